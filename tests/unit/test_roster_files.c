/* SPDX-License-Identifier: MIT */
/* The roster backends that read files and folders, against what every roster backend
 * must do; and what is their own. */
#include "tests/unit/roster_source.h"

static const struct roster_contract contracts[] = { SOURCE_CONTRACTS };

/* ---- csv's own ---- */

static struct roster *
load(const char *backend, const char *file, char **why)
{
	struct roster_options o = { .file = file, .pseudonym_key = KEY, .domain = "school.test",
		.now_s = 1790000000 }; /* 2026-09-21 */

	*why = NULL;
	return roster_load(backend, &o, why);
}

static void
refused(const char *backend, const char *file, const char *reason)
{
	char *why;

	if (load(backend, file, &why) != NULL)
		fail_msg("%s: taken, expected: %s", backend, reason);
	if (strstr(why, reason) == NULL)
		fail_msg("\"%s\", expected: %s", why, reason);
	mem_free(why);
}

static void
test_csv_columns(void **state)
{
	static const struct { const char *text, *reason; } cases[] = {
		{ "class,role,id,jid,name,mail\n", "a column that is not known" },
		{ "class,role,id,jid,title,name\n", "no header" },
		{ "class,role,id,jid,name,email\n7b,student,s,,\n", "fewer than 6 cells" },
	};
	char *version = source_version(), *path = mem_printf("%s/r.csv", version), *why;
	struct roster *r;
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		source_file(version, "r.csv", str_of(cases[i].text));
		refused("csv", path, cases[i].reason);
	}
	source_file(version, "r.csv", STR_LIT("class,role,id,jid,name,alias,login,alias\n"
	    "7b,student,s,,Ann,lms-1,ann,\n7b,teacher,,,Tom,,tom,\n"));
	r = load("csv", path, &why);
	assert_non_null(r);
	assert_string_equal(roster_identify(r, STR_LIT("lms-1"))->jid, "ann@school.test");
	assert_string_equal(roster_class_at(r, 0)->teachers[0], "tom@school.test");
	roster_free(r);
	mem_free(path);
	mem_free(version);
}

/* ---- files' own ---- */

static void
test_files_shapes(void **state)
{
	static const struct { const char *text, *reason; } cases[] = {
		{ "{\"course\":[]}", "an object without the array" },
		{ "5", "not an array" },
		{ "[", "not one valid JSON" },
		{ "[{\"name\":\"x\"}]", "entry 1: no id of the course" },
	};
	char *version = source_version(), *why, *link = mem_printf("%s/courselist-b@x.json", version);
	struct roster *r;
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		source_file(version, "courselist-tom.json", str_of(cases[i].text));
		refused("files", version, cases[i].reason);
	}
	source_file(version, "courselist-tom.json",
	    STR_LIT("{\"courses\":[{\"id\":12345678901,\"name\":\"All\"}]}"));
	source_file(version, "courseroster-12345678901.json",
	    STR_LIT("{\"students\":[{\"user_id\":\"gc-1\",\"profile\":{\"name\":{\"given_name\":77,"
	    "\"family_name\":\"B\"},\"external_ids\":[5,\"lms-1\",{\"id\":\"lms-2\"}]}}]}"));
	source_file(version, "courseroster-9.json", STR_LIT("[]"));
	source_file(version, "notes.json", STR_LIT("nothing of ours"));
	r = load("files", version, &why);
	assert_non_null(r);
	assert_string_equal(roster_class(r, STR_LIT("12345678901"))->title, "All");
	assert_string_equal(roster_class(r, STR_LIT("12345678901"))->teachers[0], "tom@school.test");
	assert_int_equal(roster_students(r), 1);
	assert_string_equal(roster_student(r, STR_LIT("gc-1"))->name, "B");
	assert_string_equal(roster_identify(r, STR_LIT("lms-2"))->id, "gc-1");
	assert_int_equal(roster_noted(r), 2);
	assert_non_null(strstr(roster_notes(r).p, "courseroster-9.json: a course that no"));
	assert_non_null(strstr(roster_notes(r).p, "entry 1: external ids that are no texts"));
	roster_free(r);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	refused("files", version, "symbolic link");
	mem_free(link);
	mem_free(version);
}

/* ---- all ---- */

static void
test_all(void **state)
{
	static const struct str seen[] = { { "gc-1", 4 }, { "bad\nid", 6 }, { "guest-1", 7 } };
	char *admins[] = { "Admin@school.test" };
	struct conf conf = { .roster_admins = { admins, 1 } };
	struct roster_options o = { .pseudonym_key = KEY, .conf = &conf };
	struct roster *r;
	char *why = NULL;
	(void)state;

	r = roster_load("all", &o, &why);
	assert_non_null(r);
	assert_int_equal(roster_classes(r), 1);
	assert_int_equal(roster_students(r), 0);
	roster_free(r);
	o.seen = seen;
	o.n_seen = COUNT(seen);
	r = roster_load("all", &o, &why);
	assert_non_null(r);
	assert_int_equal(roster_class(r, STR_LIT("all"))->n_students, 2);
	assert_int_equal(roster_noted(r), 1);
	assert_int_equal(roster_reads_class(roster_class_at(r, 0), STR_LIT("admin@school.test"), NULL),
	    ROSTER_AS_TEACHER);
	roster_free(r);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_csv_columns),
		cmocka_unit_test(test_files_shapes),
		cmocka_unit_test(test_all),
	};
	int failed = 0;

	if (source_setup(NULL) != 0)
		return 1;
	for (size_t i = 0; i < COUNT(contracts); i++)
		failed += roster_contract_run(&contracts[i]);
	failed += cmocka_run_group_tests(tests, NULL, NULL);
	return failed + source_teardown(NULL);
}
