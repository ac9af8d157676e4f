/* SPDX-License-Identifier: MIT */
/* OneRoster 1.1 exports: zip files against what every roster backend must do; what
 * counts of their rows, what is only noted, and what refuses an export. */
#include "tests/unit/roster_source.h"

#include <time.h>
#include <zip.h>

static const char *const names[] = { "manifest.csv", "orgs.csv", "academicSessions.csv",
	"courses.csv", "classes.csv", "users.csv", "enrollments.csv" };

/* ---- zip files ---- */

static void
packed_add(zip_t *zip, const char *name, const void *data, size_t n)
{
	zip_source_t *s = zip_source_buffer(zip, data, n, 0);

	assert_non_null(s);
	assert_true(zip_file_add(zip, name, s, ZIP_FL_ENC_UTF_8) >= 0);
}

static zip_t *
packed_new(const char *path)
{
	int error;
	zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &error);

	assert_non_null(zip);
	return zip;
}

/* The files of a folder as a zip file, in a folder of it. */
static void
zip_folder(const char *folder, const char *path)
{
	zip_t *zip = packed_new(path);

	for (size_t i = 0; i < COUNT(names); i++) {
		char *from = mem_printf("%s/%s", folder, names[i]);
		char *to = mem_printf("export/%s", names[i]);
		zip_source_t *s;

		if (access(from, F_OK) == 0) {
			s = zip_source_file(zip, from, 0, -1);
			assert_non_null(s);
			assert_true(zip_file_add(zip, to, s, ZIP_FL_ENC_UTF_8) >= 0);
		}
		mem_free(from);
		mem_free(to);
	}
	assert_int_equal(zip_close(zip), 0);
}

static bool
zip_write(const struct roster_options *o, const struct roster_row *rows, size_t n)
{
	char *version = source_version(), *path = mem_printf("%s/export.zip", version);

	source_oneroster(version, rows, n);
	zip_folder(version, path);
	assert_int_equal(rename(path, o->file), 0);
	mem_free(path);
	mem_free(version);
	return true;
}

static bool
zip_spoil(const struct roster_options *o, enum roster_spoil how)
{
	struct stat st;

	if (how == ROSTER_GONE)
		return unlink(o->file) == 0;
	assert_int_equal(stat(o->file, &st), 0);
	return truncate(o->file, st.st_size / 2) == 0;
}

static const struct roster_contract contract = {
	"oneroster", source_place, source_drop, zip_write, zip_spoil, true, true, true,
};

/* ---- a school that changes piece by piece ---- */

static char *folder;
static const char *domain;

static void
base(void)
{
	source_file(folder, "manifest.csv", STR_LIT("propertyName,value\noneroster.version,1.1\n"
	    "file.orgs,bulk\nfile.classes,bulk\nfile.users,bulk\nfile.enrollments,bulk\n"));
	source_file(folder, "orgs.csv", STR_LIT("sourcedId,status,name\no1,,School\n"));
	source_file(folder, "classes.csv",
	    STR_LIT("sourcedId,status,title,schoolSourcedId\nc1,,Maths,o1\n"));
	source_file(folder, "users.csv", STR_LIT("sourcedId,status,role,givenName,familyName,username,"
	    "email,userIds,agentSourcedIds,enabledUser,orgSourcedIds\n"
	    "t1,,teacher,Tina,Two,tina,,,,true,o1\n"
	    "s1,,student,Anna,One,anna,anna@mail.test,\"{Google:117},{LTI:x-9}\",p1,true,o1\n"
	    "s2,,student,Bo,Three,bo,,,,true,o1\n"
	    "p1,,parent,Pia,One,pia,,,s1,true,o1\n"));
	source_file(folder, "enrollments.csv", STR_LIT("sourcedId,status,classSourcedId,"
	    "userSourcedId,role,beginDate,endDate\n"
	    "e1,,c1,t1,teacher,,\ne2,,c1,s1,student,,\ne3,,c1,s2,student,,\n"));
}

static int
setup(void **state)
{
	(void)state;
	folder = source_version();
	domain = "school.test";
	base();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	mem_free(folder);
	return 0;
}

static int64_t now_s = 1790000000; /* 2026-09-21 */

static struct roster *
load(const char *path, char **why)
{
	struct roster_options o = { .file = path, .pseudonym_key = KEY, .domain = domain,
		.now_s = now_s };

	*why = NULL;
	return roster_load("oneroster", &o, why);
}

static struct roster *
taken(const char *path)
{
	char *why;
	struct roster *r = load(path, &why);

	if (r == NULL)
		fail_msg("%s", why);
	return r;
}

static void
refused(const char *path, const char *reason)
{
	char *why;

	if (load(path, &why) != NULL)
		fail_msg("taken, expected: %s", reason);
	if (strstr(why, reason) == NULL)
		fail_msg("\"%s\", expected: %s", why, reason);
	mem_free(why);
}

static void
test_identities(void **state)
{
	static const char *const known[] = { "s1", "gc-117", "x-9", "anna@mail.test", "anna",
		"anna@school.test" };
	struct roster *r = taken(folder);
	const struct roster_student *s = roster_student(r, STR_LIT("s1"));
	(void)state;

	assert_int_equal(roster_noted(r), 0);
	for (size_t i = 0; i < COUNT(known); i++)
		assert_ptr_equal(roster_identify(r, str_of(known[i])), s);
	assert_string_equal(s->name, "Anna One");
	assert_int_equal(roster_reads_student(s, STR_LIT("pia@school.test"), NULL),
	    ROSTER_AS_GUARDIAN);
	assert_int_equal(roster_reads_student(roster_student(r, STR_LIT("s2")),
	    STR_LIT("pia@school.test"), NULL), ROSTER_AS_NOBODY);
	roster_free(r);
}

/* Each line is added to the enrollments; how many students the class then has. */
static void
test_dates(void **state)
{
	static const struct { const char *line; size_t students; const char *note; } cases[] = {
		{ "e4,tobedeleted,c1,s3,student,,", 2, NULL },
		{ "e4,active,c1,s3,student,,", 3, NULL },
		{ "e4,,c1,s3,student,2026-09-21,2026-09-22", 3, NULL },
		{ "e4,,c1,s3,student,2026-09-22,", 2, NULL },
		{ "e4,,c1,s3,student,,2026-09-21", 2, NULL },
		{ "e4,,c1,s9,student,,", 2, "enrollments.csv:5: userSourcedId names what users.csv" },
		{ "e4,,c9,s3,student,,", 2, "enrollments.csv:5: classSourcedId names what classes.csv" },
		{ "e4,,c1,s3,teacher,,", 2, "enrollments.csv:5: a role that the user does not have" },
		{ "e4,,c1,t1,student,,", 2, "enrollments.csv:5: a role that the user does not have" },
		{ "e4,,c1,t1,proctor,,", 2, "neither teaches nor attends" },
	};
	(void)state;

	source_file(folder, "users.csv", STR_LIT("sourcedId,status,role,givenName,familyName,username\n"
	    "t1,,teacher,T,T,t1\ns1,,student,A,A,s1\ns2,,student,B,B,s2\ns3,,student,C,C,s3\n"));
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *text = mem_printf("sourcedId,status,classSourcedId,userSourcedId,role,beginDate,"
		    "endDate\ne1,,c1,t1,teacher,,\ne2,,c1,s1,student,,\ne3,,c1,s2,student,,\n%s\n",
		    cases[i].line);
		struct roster *r;

		source_file(folder, "enrollments.csv", str_of(text));
		r = taken(folder);
		if (roster_class_at(r, 0)->n_students != cases[i].students ||
		    roster_noted(r) != (cases[i].note != NULL) ||
		    (cases[i].note != NULL && strstr(roster_notes(r).p, cases[i].note) == NULL))
			fail_msg("%s: %zu students, notes %.*s", cases[i].line,
			    roster_class_at(r, 0)->n_students, STR_ARG(roster_notes(r)));
		roster_free(r);
		mem_free(text);
	}
}

/* A day begins and ends at midnight where the server is. */
static void
test_zone(void **state)
{
	static const struct { const char *zone; int64_t now_s; size_t students; } cases[] = {
		{ "UTC0", 1790035199, 2 },           /* 2026-09-21T23:59:59Z */
		{ "UTC0", 1790035200, 3 },
		{ "UTC0", 1790121599, 3 },
		{ "UTC0", 1790121600, 2 },
		{ "XXX-12", 1790035200 - 43201, 2 }, /* twelve hours earlier there */
		{ "XXX-12", 1790035200 - 43200, 3 },
		{ "XXX+9", 1790035200 + 32399, 2 },
		{ "XXX+9", 1790035200 + 32400, 3 },
	};
	(void)state;

	source_file(folder, "enrollments.csv", STR_LIT("sourcedId,status,classSourcedId,userSourcedId,"
	    "role,beginDate,endDate\ne1,,c1,t1,teacher,,\ne2,,c1,s1,student,,\ne3,,c1,s2,student,,\n"
	    "e4,,c2,s1,student,2026-09-22,2026-09-23\n"));
	source_file(folder, "classes.csv", STR_LIT("sourcedId,status,title\nc1,,Maths\nc2,,English\n"));
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct roster *r;

		assert_int_equal(setenv("TZ", cases[i].zone, 1), 0);
		tzset();
		now_s = cases[i].now_s;
		r = taken(folder);
		if (1 + roster_student(r, STR_LIT("s1"))->n_classes != cases[i].students ||
		    roster_classes(r) + 1 != cases[i].students)
			fail_msg("%s %lld", cases[i].zone, (long long)cases[i].now_s);
		roster_free(r);
	}
	assert_int_equal(unsetenv("TZ"), 0);
	tzset();
	now_s = 1790000000;
}

/* A class is there in its terms; one without a known term always. */
static void
test_terms(void **state)
{
	static const struct { const char *terms; bool taken, there; } cases[] = {
		{ "now", true, true }, { "past", true, false }, { "\"past,now\"", true, true },
		{ "", true, true }, { "\"unknown\"", true, true }, { "next", false, false },
		{ "\"past,next\"", false, false },
	};
	(void)state;

	source_file(folder, "academicSessions.csv", STR_LIT("sourcedId,status,startDate,endDate\n"
	    "now,,2026-08-01,2027-07-31\npast,,2025-08-01,2026-07-31\n"
	    "next,,2027-08-01,2028-07-31\n"));
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *text = mem_printf("sourcedId,status,title,termSourcedIds\nc1,,Maths,%s\n",
		    cases[i].terms);
		struct roster *r;
		char *why;

		source_file(folder, "classes.csv", str_of(text));
		r = load(folder, &why);
		assert_int_equal(r != NULL, cases[i].taken);
		assert_int_equal(r != NULL && roster_classes(r) == 1, cases[i].there);
		if (i == 4)
			assert_non_null(strstr(roster_notes(r).p, "classes.csv:2: termSourcedIds"));
		roster_free(r);
		mem_free(why);
		mem_free(text);
	}
}

/* After the last day of all enrollments nobody is on the roster: it may not stay as it
 * was. An export without enrollments, and one of the next term alone, are a mistake. */
static void
test_over(void **state)
{
	static const struct { const char *dates; size_t notes; bool taken; } cases[] = {
		{ "2025-09-01,2026-09-21", 1, true },
		{ "2025-09-01,2026-07-31", 1, true },
		{ "2026-09-22,2027-07-31", 0, false },
		{ NULL, 0, false },
	};
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *d = cases[i].dates;
		char *text = d == NULL ? mem_strdup("sourcedId,status,classSourcedId,userSourcedId,role\n") :
		    mem_printf("sourcedId,status,classSourcedId,userSourcedId,role,beginDate,endDate\n"
		    "e1,,c1,t1,teacher,%s\ne2,,c1,s1,student,%s\n", d, d);
		struct roster *r;

		source_file(folder, "enrollments.csv", str_of(text));
		mem_free(text);
		if (!cases[i].taken) {
			refused(folder, "nobody could read anything");
			continue;
		}
		r = taken(folder);
		assert_int_equal(roster_students(r), 0);
		assert_int_equal(roster_people(r), 0);
		assert_int_equal(roster_noted(r), cases[i].notes);
		roster_free(r);
	}
}

/* Two ids that are the same up to a NUL would become one child. */
static void
test_nul(void **state)
{
	(void)state;
	source_file(folder, "users.csv", STR_LIT("sourcedId,status,role,givenName,familyName\n"
	    "s1\0a,,student,,\ns1\0b,,student,,\n"));
	refused(folder, "users.csv:2: a NUL byte");
	source_file(folder, "users.csv", STR_LIT("sourcedId,status,role,givenName,familyName\r"
	    "s1,,student,A,B\r"));
	refused(folder, "users.csv:1: a carriage return without a line feed");
	source_file(folder, "users.csv", STR_LIT("\xff\xfes\0o\0u\0r\0c\0e\0"));
	refused(folder, "users.csv:1: byte 0 of the file is not UTF-8");
}

/* Of the names of a student none is dropped in silence. */
static void
test_many_ids(void **state)
{
	struct buf text = BUF_INIT(0);
	struct roster *r;
	(void)state;

	for (size_t n = ROSTER_ALIASES_MAX; n <= 2 * ROSTER_ALIASES_MAX; n += ROSTER_ALIASES_MAX) {
		buf_clear(&text);
		buf_z(&text, "sourcedId,status,role,givenName,familyName,userIds\nt1,,teacher,T,T,\n"
		    "s1,,student,A,A,\"");
		for (size_t i = 0; i < n; i++)
			buf_printf(&text, "%s{LMS:x%zu}", i > 0 ? "," : "", i);
		buf_z(&text, "\"\ns2,,student,B,B,\"117,{Google:118}\"\n");
		source_file(folder, "users.csv", buf_view(&text));
		if (n > ROSTER_ALIASES_MAX) {
			refused(folder, "users.csv:3: a student with more than 64 aliases");
			continue;
		}
		r = taken(folder);
		assert_string_equal(roster_identify(r, STR_LIT("x63"))->id, "s1");
		assert_string_equal(roster_identify(r, STR_LIT("gc-118"))->id, "s2");
		assert_null(roster_identify(r, STR_LIT("117")));
		assert_non_null(strstr(roster_notes(r).p, "users.csv:4: userIds that are no list"));
		roster_free(r);
	}
	buf_free(&text);
}

/* References that lead nowhere are noted, people who may not sign in read nothing. */
static void
test_notes(void **state)
{
	struct roster *r;
	(void)state;

	source_file(folder, "classes.csv", STR_LIT("sourcedId,status,title,schoolSourcedId\n"
	    "c1,,Maths,o9\n"));
	source_file(folder, "users.csv", STR_LIT("sourcedId,status,role,givenName,familyName,username,"
	    "email,agentSourcedIds,enabledUser,orgSourcedIds\n"
	    "t1,,teacher,Tina,Two,,,,true,\"o1, o8\"\n"
	    "s1,,student,Anna,One,anna,,\"p9,s2\",false,o1\n"
	    "s2,,student,Bo,Three,,,,true,o1\n"));
	r = taken(folder);
	assert_int_equal(roster_noted(r), 5);
	assert_non_null(strstr(roster_notes(r).p, "classes.csv:2: schoolSourcedId names what orgs.csv"));
	assert_non_null(strstr(roster_notes(r).p, "users.csv:2: orgSourcedIds names what orgs.csv"));
	assert_non_null(strstr(roster_notes(r).p, "users.csv:2: a teacher without a JID"));
	assert_non_null(strstr(roster_notes(r).p, "users.csv:3: agentSourcedIds names what users.csv"));
	assert_non_null(strstr(roster_notes(r).p, "users.csv:3: agentSourcedIds names who is no"));
	assert_int_equal(roster_class_at(r, 0)->n_teachers, 0);
	assert_null(roster_student(r, STR_LIT("s1"))->jid);
	assert_null(strstr(roster_notes(r).p, "Anna"));
	roster_free(r);
}

static void
test_refused(void **state)
{
	static const struct { const char *file, *text, *reason; } cases[] = {
		{ "manifest.csv", "propertyName,value\noneroster.version,1.2\n", "another version" },
		{ "manifest.csv", "propertyName,value\nfile.users,delta\n", "not complete (delta)" },
		{ "manifest.csv", "propertyName,value\nfile.courses,bulk\n", "manifest.csv:2: a file that is "
		    "not there" },
		{ "manifest.csv", "propertyName,value\nfile.users,absent\n", "is there and called absent" },
		{ "manifest.csv", "a,b\n", "no column propertyName" },
		{ "users.csv", "", "users.csv:1: an empty file" },
		{ "users.csv", "sourcedId,status,role,givenName\n", "users.csv:1: no column familyName" },
		{ "users.csv", "sourcedId,status,role,givenName,familyName\ns1,x,student,A,B\n",
		    "users.csv:2: a status that is not known" },
		{ "users.csv", "sourcedId,status,role,givenName,familyName\ns1,,pupil,A,B\n",
		    "users.csv:2: a role that is not known" },
		{ "users.csv", "sourcedId,status,role,givenName,familyName\ns1,,student,A,B\n"
		    "s1,,student,A,B\n", "users.csv:3: a sourcedId that another line has" },
		{ "users.csv", "sourcedId,status,role,givenName,familyName\n,,student,A,B\n",
		    "no valid sourcedId" },
		{ "users.csv", "sourcedId,status,role,givenName,familyName\ns1,,student,\"A\n,B\n",
		    "users.csv:2: a quote that is not closed" },
		{ "users.csv", "sourcedId,status,role,givenName,familyName\ns1,,student,\"A\nB\",B\n"
		    "s2,,student,A\n", "users.csv:4: fewer than 5 cells" },
		{ "users.csv", "sourcedId,status,role,givenName,familyName\ns1,,student,Zo\xeb,B\n",
		    "users.csv:2: byte 57 of the file is not UTF-8" },
		{ "users.csv", "sourcedId,status,role,givenName,familyName,email\ns1,,student,A,B,a@x\n"
		    "s2,,student,A,B,A@x\n", "users.csv:3: the e-mail address belongs to another student, "
		    "too, the one of line 2" },
		{ "enrollments.csv", "sourcedId,status,classSourcedId,userSourcedId,role,beginDate\n"
		    "e1,,c1,t1,teacher,soon\n", "enrollments.csv:2: a date that is none" },
	};
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		base();
		source_file(folder, cases[i].file, str_of(cases[i].text));
		refused(folder, cases[i].reason);
	}
}

static void
test_files_missing(void **state)
{
	static const char *const needed[] = { "manifest.csv", "classes.csv", "users.csv",
		"enrollments.csv" };
	char *path;
	(void)state;

	for (size_t i = 0; i < COUNT(needed); i++) {
		base();
		path = mem_printf("%s/%s", folder, needed[i]);
		assert_int_equal(unlink(path), 0);
		refused(folder, needed[i]);
		if (i + 1 == COUNT(needed)) {
			assert_int_equal(symlink("/etc/passwd", path), 0);
			refused(folder, "symbolic link");
		}
		mem_free(path);
	}
	refused("/nonexistent", "/nonexistent: cannot be opened");
}

/* 1 GiB of zeroes packs to a megabyte; a header may say less than there is. */
static void
test_zip_refused(void **state)
{
	char *path = mem_printf("%s/x.zip", folder);
	size_t big = (size_t)300 << 20;
	void *zeroes = mem_zalloc(big);
	zip_t *zip = packed_new(path);
	(void)state;

	packed_add(zip, "manifest.csv", zeroes, big);
	assert_int_equal(zip_close(zip), 0);
	refused(path, "larger than the limit");
	zip = packed_new(path);
	packed_add(zip, "a/users.csv", "x", 1);
	packed_add(zip, "b/users.csv", "x", 1);
	assert_int_equal(zip_close(zip), 0);
	refused(path, "users.csv stands twice");
	zip = packed_new(path);
	for (int i = 0; i < 1001; i++) {
		char name[16];

		snprintf(name, sizeof name, "%d", i);
		packed_add(zip, name, "x", 1);
	}
	assert_int_equal(zip_close(zip), 0);
	refused(path, "more than 1000 files");
	zip = packed_new(path);
	packed_add(zip, "../../manifest.csv", "x", 1);
	assert_int_equal(zip_file_set_encryption(zip, 0, ZIP_EM_AES_256, "secret"), 0);
	assert_int_equal(zip_close(zip), 0);
	refused(path, "manifest.csv: cannot be unpacked");
	source_file(folder, "x.zip", STR_LIT("class,role,id,jid,name\n"));
	refused(path, "neither a folder nor a zip file");
	zip_folder(folder, path);
	roster_free(taken(path));
	mem_free(zeroes);
	mem_free(path);
}

/* Bytes that are not what their checksum says. */
static void
test_zip_damaged(void **state)
{
	char *path = mem_printf("%s/x.zip", folder);
	FILE *f;
	(void)state;

	zip_folder(folder, path);
	f = fopen(path, "r+");
	assert_non_null(f);
	assert_int_equal(fseek(f, 30 + (long)strlen("export/manifest.csv") + 12, SEEK_SET), 0);
	assert_int_equal(fputc(0x55, f), 0x55);
	assert_int_equal(fputc(0x55, f), 0x55);
	assert_int_equal(fclose(f), 0);
	refused(path, "cannot be unpacked");
	mem_free(path);
}

static void
test_many(void **state)
{
	struct buf users = BUF_INIT(0), enrollments = BUF_INIT(0);
	struct roster *r;
	(void)state;

	buf_z(&users, "sourcedId,status,role,givenName,familyName,username,email\n");
	buf_z(&enrollments, "sourcedId,status,classSourcedId,userSourcedId,role\n");
	for (unsigned i = 0; i < 100000; i++) {
		buf_printf(&users, "s%u,,student,\"A\nB%u\",C,u%u,m%u@x\n", i, i, i, i);
		buf_printf(&enrollments, "e%u,,c1,s%u,student\n", i, i);
	}
	source_file(folder, "users.csv", buf_view(&users));
	source_file(folder, "enrollments.csv", buf_view(&enrollments));
	refused(folder, "users.csv:2: a control character");
	for (size_t i = 0; i < users.len; i++)
		if (users.data[i] == '\n' && users.data[i + 1] == 'B')
			users.data[i] = ' ';
	source_file(folder, "users.csv", buf_view(&users));
	r = taken(folder);
	assert_int_equal(roster_students(r), 100000);
	assert_string_equal(roster_identify(r, STR_LIT("m99999@x"))->name, "A B99999 C");
	roster_free(r);
	buf_free(&users);
	buf_free(&enrollments);
}

int
main(void)
{
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	static const struct CMUnitTest tests[] = {
		WITH_FOLDER(test_identities),
		WITH_FOLDER(test_dates),
		WITH_FOLDER(test_zone),
		WITH_FOLDER(test_terms),
		WITH_FOLDER(test_over),
		WITH_FOLDER(test_many_ids),
		WITH_FOLDER(test_nul),
		WITH_FOLDER(test_notes),
		WITH_FOLDER(test_refused),
		WITH_FOLDER(test_files_missing),
		WITH_FOLDER(test_zip_refused),
		WITH_FOLDER(test_zip_damaged),
		WITH_FOLDER(test_many),
	};
	int failed;

	if (source_setup(NULL) != 0)
		return 1;
	failed = roster_contract_run(&contract) + cmocka_run_group_tests(tests, NULL, NULL);
	return failed + source_teardown(NULL);
}
