/* SPDX-License-Identifier: MIT */
/* Tests of state/roster: addresses, who may read whom, and which files are
 * refused, with file and line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "state/roster.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define KEY STR_LIT("0123456789abcdefghijklmnopqrstuv")
#define HEAD "class,role,id,jid,name\n"

static char folder[] = "/tmp/test_roster.XXXXXX";
static char *file;

static void
write_roster(struct str text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
	assert_int_equal(fclose(f), 0);
}

static struct roster *
load_file(const char *path, bool allow_empty, char **why)
{
	struct roster_options o = { .file = path, .allow_empty = allow_empty, .pseudonym_key = KEY };

	*why = NULL;
	return roster_load("csv", &o, why);
}

static struct roster *
load(struct str text)
{
	char *why;
	struct roster *r;

	write_roster(text);
	r = load_file(file, false, &why);
	if (r == NULL)
		fail_msg("%s", why);
	return r;
}

/* The file is refused at this line (0: as a whole), for this reason. */
static void
refuse(struct str text, unsigned line, const char *reason)
{
	char *why, *where = line > 0 ? mem_printf("%s:%u: ", file, line) : mem_printf("%s: ", file);

	write_roster(text);
	assert_null(load_file(file, false, &why));
	if (why == NULL || !str_starts(str_of(why), where) || strstr(why, reason) == NULL)
		fail_msg("\"%s\", not %s ... %s", why ? why : "", where, reason);
	mem_free(why);
	mem_free(where);
}

/* ---- who may read whom ---- */

static void
test_school(void **state)
{
	const struct roster_student *s1, *s2;
	const struct roster_class *b;
	struct roster *r;
	uint64_t version;
	(void)state;

	r = load(STR_LIT("\xef\xbb\xbf# the school\r\n\r\n"
	    "class,role,id,jid,name\r\n"
	    "7b,teacher,,T1@School.test,\r\n"
	    "7b,student,s1,s1@school.test,Anna First\r\n"
	    "7b,student,s2,,\"Bo, the \"\"second\"\"\"\r\n"
	    "8a, teacher ,,t2@school.test,Ms. Two\r\n"
	    "8a,student,s2,,\r\n"
	    "8a,student,s3,, =cmd() \r\n"
	    ",guardian,s1,g1@home.test,\r\n"
	    "7b,student,s1,S1@school.test,\r\n"
	    "7b,teacher,,t1@school.test,\r\n"
	    ",guardian,s1,g1@home.test,"));
	assert_int_equal(roster_classes(r), 2);
	assert_int_equal(roster_students(r), 3);
	assert_string_equal(roster_class_at(r, 0)->name, "7b");
	assert_string_equal(roster_class_at(r, 1)->name, "8a");
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(roster_student_at(r, i)->id[1], '1' + (int)i);
	assert_string_equal(roster_student_at(r, 2)->name, "=cmd()");

	b = roster_class(r, STR_LIT("7b"));
	assert_int_equal(b->n_teachers, 1);
	assert_int_equal(b->n_students, 2);
	assert_true(strcmp(b->students[0]->pseudonym, b->students[1]->pseudonym) < 0);
	assert_int_equal(roster_reads_class(b, STR_LIT("t1@school.test"), NULL), ROSTER_AS_TEACHER);
	assert_false(roster_reads_class(b, STR_LIT("t2@school.test"), NULL));
	assert_false(roster_reads_class(b, STR_LIT("t1@school.tes"), NULL));
	assert_false(roster_reads_class(b, STR_LIT("t1@school.testt"), NULL));
	assert_false(roster_reads_class(b, STR_LIT(""), NULL));
	assert_null(roster_class(r, STR_LIT("7")));

	s1 = roster_student(r, STR_LIT("s1"));
	s2 = roster_student(r, STR_LIT("s2"));
	assert_string_equal(s1->name, "Anna First");
	assert_string_equal(s2->name, "Bo, the \"second\"");
	assert_int_equal(s1->n_readers, 2);
	assert_int_equal(s2->n_classes, 2);
	assert_ptr_equal(roster_by_pseudonym(r, str_of(s1->pseudonym)), s1);
	assert_true(roster_reads_student(s1, STR_LIT("s1@school.test"), NULL));
	assert_true(roster_reads_student(s1, STR_LIT("g1@home.test"), NULL));
	assert_true(roster_reads_student(s1, STR_LIT("t1@school.test"), NULL));
	assert_false(roster_reads_student(s1, STR_LIT("t2@school.test"), NULL));
	assert_true(roster_reads_student(s2, STR_LIT("t1@school.test"), NULL));
	assert_true(roster_reads_student(s2, STR_LIT("t2@school.test"), NULL));
	assert_false(roster_reads_student(s2, STR_LIT("g1@home.test"), NULL));
	assert_false(roster_reads_student(s2, STR_LIT(""), NULL));
	assert_null(roster_student(r, STR_LIT("S1")));

	version = roster_version(r);
	roster_free(r);
	r = load(STR_LIT(HEAD "7b,teacher,,t@x,\n"));
	assert_true(roster_version(r) > version);
	roster_free(r);
}

/* ---- files ---- */

static void
test_rows(void **state)
{
	static const struct { struct str text; unsigned line; const char *reason; } cases[] = {
		{ STR_LIT("7b,teacher,,t@x,\n"), 1, "no header" },
		{ STR_LIT("Class,role,id,jid,name\n"), 1, "no header" },
		{ STR_LIT(HEAD "7b,teacher,,t@x\n"), 2, "fewer than 5 cells" },
		{ STR_LIT(HEAD "7b,teacher,,t@x,,\n"), 2, "more than 5 cells" },
		{ STR_LIT(HEAD "\n#\n7b,teacher,,t@x,,,\n"), 4, "more than 5 cells" },
		{ STR_LIT(HEAD "7b,Teacher,,t@x,\n"), 2, "not a role" },
		{ STR_LIT(HEAD "7b,,,t@x,\n"), 2, "not a role" },
		{ STR_LIT(HEAD ",teacher,,t@x,\n"), 2, "without a class" },
		{ STR_LIT(HEAD "7b,teacher,t,,\n"), 2, "without a jid" },
		{ STR_LIT(HEAD "7b,teacher,,*@school-b,\n"), 2, "not the address of a person" },
		{ STR_LIT(HEAD "7b,student,,s@x,\n"), 2, "no valid id" },
		{ STR_LIT(HEAD ",student,s,,\n"), 2, "without a class" },
		{ STR_LIT(HEAD ",guardian,s,,\n"), 2, "without a jid" },
		{ STR_LIT(HEAD ",guardian,,g@x,\n"), 2, "no valid id" },
		{ STR_LIT(HEAD "7b,student,a,,\n,guardian,b,g@x,\n,guardian,c,g@x,\n"), 3,
		    "a guardian of nobody" },
		{ STR_LIT(HEAD "7b,teacher,,t@x,\n7b,student,s,T@x,\n"), 3, "is a teacher of this class" },
		{ STR_LIT(HEAD "7b,student,s,t@x,\n7b,teacher,,t@x,\n"), 3, "is a student of this class" },
		{ STR_LIT(HEAD "7b,student,s,t@x,\n8a,student,s,,\n8a,teacher,,t@x,\n"), 4,
		    "is a student of this class" },
		{ STR_LIT(HEAD "7b,student,s,,\n7b,teacher,,t@x,\n8a,student,s,t@x,\n"), 4,
		    "is a teacher of this class" },
		{ STR_LIT(HEAD "7b,student,s,t@x,\n8a,teacher,,t@x,\n8a,student,s,,\n"), 4,
		    "is a teacher of this class" },
		{ STR_LIT(HEAD "7b,student,a,s@x,\n8a,student,b,s@x,\n"), 3, "another student" },
		{ STR_LIT(HEAD "7b,student,Ann@x,,\n7b,student,ann@x,,\n"), 3, "of line 2 is known by" },
		{ STR_LIT(HEAD "7b,student,Ann@x,,\n7b,student,b,ann@x,\n"), 3, "another student" },
		{ STR_LIT(HEAD "7b,student,a,s@x,\n8a,student,a,t@x,\n"), 3, "another jid" },
		{ STR_LIT(HEAD "7b,student,a,,Ann\n8a,student,a,,Bob\n"), 3, "another name" },
		{ STR_LIT(HEAD "7b,student,a,,\"Ann\n"), 2, "not closed" },
		{ STR_LIT(HEAD "7b,student,a,,\"A\nnn\"\n"), 2, "not closed" },
		{ STR_LIT(HEAD "7b,student,a,,\"Ann\" B\n"), 2, "out of place" },
		{ STR_LIT(HEAD "7b,student,a,,A\"nn\n"), 2, "out of place" },
		{ STR_LIT(HEAD "7b,student,a,,A\tnn\n"), 2, "control character" },
		{ STR_LIT(HEAD "7b,student,a,,A\0nn\n"), 2, "a NUL byte" },
		{ STR_LIT(HEAD "7b,student,a,,A\xc2\x85nn\n"), 2, "control character" },
		{ STR_LIT(HEAD "7b,student,a,,A\rnn\n"), 2, "a carriage return without" },
		{ STR_LIT(HEAD "7b,student,a,,\"A\rnn\"\n"), 2, "control character" },
		{ STR_LIT("class,role,id,jid,name\r7b,teacher,,t@x,\r"), 1, "a carriage return without" },
		{ STR_LIT("c\0l\0a\0s\0s\0,\0r\0o\0l\0e\0\n"), 1, "a NUL byte" },
		{ STR_LIT(HEAD "7b,student,a,,Zo\xeb\n"), 2, "byte 39 of the file is not UTF-8" },
		{ STR_LIT("\xff\xfe" "c\0l\0a\0s\0s\0"), 1, "byte 0 of the file is not UTF-8" },
		{ STR_LIT(""), 0, "no rows" },
		{ STR_LIT("# nothing\n\n"), 0, "no rows" },
		{ STR_LIT(HEAD), 0, "no rows" },
	};
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++)
		refuse(cases[i].text, cases[i].line, cases[i].reason);
}

/* The same person may be teacher here and student there, or guardian of a
 * student of the own class. */
static void
test_allowed(void **state)
{
	(void)state;
	roster_free(load(STR_LIT(HEAD "7b,teacher,,p@x,\n8a,student,p,p@x,\n7b,student,k,,\n"
	    ",guardian,k,p@x,\n,guardian,p,p@x,\n")));
	roster_free(load(STR_LIT(HEAD ",guardian,k,g@x,\n7b,student,k,g@x,\n")));
	roster_free(load(STR_LIT(HEAD "7b,teacher,same,t@x,Name\n7b,teacher,same,u@x,Other\n")));
}

static void
test_limits(void **state)
{
	struct buf text = BUF_INIT(0);
	char *long_text = mem_alloc(70000);
	(void)state;

	memset(long_text, 'n', 70000);
	buf_z(&text, HEAD "7b,student,a,,");
	buf_add(&text, long_text, 1024);
	roster_free(load(buf_view(&text)));
	buf_byte(&text, 'n');
	refuse(buf_view(&text), 2, "1024 bytes");
	buf_add(&text, long_text, 66000);
	refuse(buf_view(&text), 2, "64 KiB");
	while (text.len < (size_t)1 << 20) /* C79 */
		buf_add(&text, long_text, 70000);
	refuse(buf_view(&text), 2, "64 KiB");
	buf_clear(&text);
	buf_printf(&text, HEAD "7b,student,%.*s,,", IDENT_ID_MAX, long_text);
	roster_free(load(buf_view(&text)));
	buf_clear(&text);
	buf_printf(&text, HEAD "7b,student,%.*s,,", IDENT_ID_MAX + 1, long_text);
	refuse(buf_view(&text), 2, "no valid id");
	mem_free(long_text);
	buf_free(&text);
}

static void
test_many(void **state)
{
	struct buf text = BUF_INIT(0);
	struct roster *r;
	(void)state;

	buf_z(&text, HEAD);
	for (unsigned i = 0; i < 100000; i++)
		buf_printf(&text, "c%u,student,s%u,s%u@x,\n", i / 30, i, i);
	r = load(buf_view(&text));
	assert_int_equal(roster_students(r), 100000);
	assert_int_equal(roster_classes(r), 3334);
	assert_int_equal(roster_class(r, STR_LIT("c0"))->n_students, 30);
	roster_free(r);
	buf_clear(&text);
	buf_z(&text, HEAD);
	for (unsigned i = 0; i <= 1000000; i++)
		buf_z(&text, "c,teacher,,t@x,\n");
	refuse(buf_view(&text), 1000002, "1000000");
	buf_free(&text);
}

static void
test_places(void **state)
{
	static const struct { const char *path, *reason; } cases[] = {
		{ "/nonexistent/roster.csv", "cannot be opened" },
		{ "/dev/zero", "not a regular file" },
		{ folder, "not a regular file" },
	};
	char *why, *fifo = mem_printf("%s/fifo", folder), *link = mem_printf("%s/link", folder);
	struct roster_options o = { .file = file };
	struct roster *r;
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_null(load_file(cases[i].path, true, &why));
		assert_non_null(strstr(why, cases[i].reason));
		mem_free(why);
	}
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_null(load_file(fifo, true, &why));
	mem_free(why);
	unlink(fifo);
	write_roster(STR_LIT("# nobody yet\n"));
	assert_int_equal(symlink(file, link), 0);
	r = load_file(link, true, &why);
	assert_non_null(r);
	assert_int_equal(roster_students(r), 0);
	assert_int_equal(roster_classes(r), 0);
	roster_free(r);
	unlink(link);
	assert_null(roster_load("ldap", &o, &why));
	assert_non_null(strstr(why, "\"ldap\" is not known, expected one of csv"));
	mem_free(why);
	mem_free(fifo);
	mem_free(link);
}

/* Sparse, so it costs no disk. */
static void
test_too_large(void **state)
{
	char *why;
	(void)state;

	write_roster(STR_LIT(HEAD));
	assert_int_equal(truncate(file, ((off_t)256 << 20) + 1), 0);
	assert_null(load_file(file, true, &why));
	assert_non_null(strstr(why, "larger than the limit"));
	mem_free(why);
}

/* ---- building one ---- */

static void
test_guardian_alone(void **state)
{
	struct roster *r = roster_new(KEY);
	const char *why;
	(void)state;

	assert_int_equal(roster_add(r, &(struct roster_row){ .role = ROSTER_GUARDIAN,
	    .id = STR_LIT("s"), .jid = STR_LIT("g@x") }, &why), ERR_OK);
	assert_int_equal(roster_seal(r, &why), ERR_INVALID);
	assert_non_null(why);
	roster_free(r);
}

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	file = mem_printf("%s/roster.csv", folder);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(file);
	mem_free(file);
	return rmdir(folder);
}

/* ---- ids and rows ---- */

/* The case of letters counts in an id, except in one with an '@'. */
static void
test_id_case(void **state)
{
	struct roster *r = load(STR_LIT(HEAD "7b,student,Ann@X.test,,\n7b,student,B,,\n7b,student,b,,\n"));
	const struct roster_student *ann = roster_student(r, STR_LIT("Ann@X.test"));
	(void)state;

	assert_non_null(ann);
	assert_ptr_equal(roster_identify(r, STR_LIT("ann@x.test")), ann);
	assert_ptr_equal(roster_identify(r, STR_LIT("ANN@x.TEST")), ann);
	assert_int_equal(ann->n_aliases, 0);
	assert_ptr_not_equal(roster_identify(r, STR_LIT("b")), roster_identify(r, STR_LIT("B")));
	roster_free(r);
}

/* Ids of everybody who was seen are what clients showed: each is one student. */
static void
test_all_case(void **state)
{
	const struct str seen[] = { STR_LIT("Ann@x"), STR_LIT("ann@x"), STR_LIT("bo") };
	struct roster_options o = { .pseudonym_key = KEY, .seen = seen, .n_seen = COUNT(seen) };
	struct roster *r;
	char *why = NULL;
	(void)state;

	r = roster_load("all", &o, &why);
	assert_non_null(r);
	assert_int_equal(roster_students(r), 3);
	assert_int_equal(roster_noted(r), 0);
	assert_string_equal(roster_identify(r, STR_LIT("ann@x"))->id, "ann@x");
	assert_null(roster_identify(r, STR_LIT("ANN@x")));
	roster_free(r);
}

static bool
count_row_cb(void *arg, const struct roster_row *row)
{
	const char *why;

	return roster_add(arg, row, &why) == ERR_OK;
}

/* A roster made from another's rows is the same. */
static void
test_rows_again(void **state)
{
	struct roster *a = load(STR_LIT(HEAD "7b,teacher,,t@x,\n7b,student,s1,a@x,Anna\n"
	    "8a,student,s1,,\n8a,teacher,,t@x,\n,guardian,s1,g@x,\n"));
	struct roster *b = roster_new(KEY);
	const struct roster_student *s;
	const char *why;
	(void)state;

	assert_true(roster_each_row(a, count_row_cb, b));
	assert_int_equal(roster_seal(b, &why), ERR_OK);
	s = roster_student(b, STR_LIT("s1"));
	assert_string_equal(s->name, "Anna");
	assert_string_equal(s->jid, "a@x");
	assert_int_equal(s->n_classes, 2);
	assert_int_equal(s->n_readers, 2);
	assert_int_equal(roster_person(b, STR_LIT("t@x"))->n_classes, 2);
	assert_int_equal(roster_person(b, STR_LIT("g@x"))->n_wards, 1);
	roster_free(a);
	roster_free(b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_school),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_guardian_alone),
		cmocka_unit_test(test_id_case),
		cmocka_unit_test(test_all_case),
		cmocka_unit_test(test_rows_again),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
