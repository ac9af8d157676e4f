/* SPDX-License-Identifier: MIT */
/* See roster_contract.h. */
#include "tests/contract/roster_contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define KEY STR_LIT("0123456789abcdefghijklmnopqrstuv")
#define S(text) { text, sizeof(text) - 1 }

static const struct roster_contract *contract;
static struct roster_options options;

static int
setup(void **state)
{
	(void)state;
	options = (struct roster_options){ .pseudonym_key = KEY };
	contract->place(&options);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	contract->drop(&options);
	return 0;
}

static struct roster *
load(char **why)
{
	*why = NULL;
	return roster_load(contract->backend, &options, why);
}

static struct roster *
load_rows(const struct roster_row *rows, size_t n)
{
	struct roster *r;
	char *why;

	assert_true(contract->write(&options, rows, n));
	r = load(&why);
	if (r == NULL)
		fail_msg("%s: %s", contract->backend, why);
	return r;
}

/* ---- a school ---- */

#define TEACHER(class_, title_, jid_, mail, given_, family_) \
	{ .role = ROSTER_TEACHER, .class = S(class_), .title = S(title_), .person = S(jid_), \
	    .jid = S(jid_), .email = S(mail), .given = S(given_), .family = S(family_), \
	    .name = S(given_ " " family_) }
#define STUDENT(class_, title_, id_, mail, given_, family_) \
	{ .role = ROSTER_STUDENT, .class = S(class_), .title = S(title_), .id = S(id_), \
	    .email = S(mail), .given = S(given_), .family = S(family_), \
	    .name = S(given_ " " family_) }

static const struct str anna_aliases[] = { S("lms-9") };

static const struct roster_row school[] = {
	TEACHER("7b", "Maths, \"advanced\"", "tina@school.test", "tina@school.test", "Tina", "Two"),
	STUDENT("7b", "Maths, \"advanced\"", "gc-1", "Anna@mail.test", "Anna", "O'Neill <b>"),
	STUDENT("7b", "Maths, \"advanced\"", "gc-2", "", "=cmd()", "Zo\xc3\xab"),
	TEACHER("8a", "English", "tom@school.test", "tom@school.test", "Tom", "Three"),
	STUDENT("8a", "English", "gc-2", "", "=cmd()", "Zo\xc3\xab"),
};

static void
check_classes(const struct roster *r)
{
	const struct roster_class *b = roster_class(r, STR_LIT("7b"));
	const struct roster_class *a = roster_class(r, STR_LIT("8a"));

	assert_int_equal(roster_classes(r), 2);
	assert_int_equal(roster_students(r), 2);
	assert_non_null(b);
	assert_non_null(a);
	assert_string_equal(b->title, "Maths, \"advanced\"");
	assert_int_equal(b->n_students, 2);
	assert_int_equal(a->n_students, 1);
	assert_int_equal(b->n_teachers, 1);
	assert_string_equal(b->teachers[0], "tina@school.test");
	assert_int_equal(roster_reads_class(b, STR_LIT("tina@school.test"), NULL), ROSTER_AS_TEACHER);
	assert_int_equal(roster_reads_class(a, STR_LIT("tina@school.test"), NULL), ROSTER_AS_NOBODY);
}

static void
check_students(const struct roster *r)
{
	const struct roster_student *anna = roster_student(r, STR_LIT("gc-1"));
	const struct roster_student *zoe = roster_student(r, STR_LIT("gc-2"));

	assert_non_null(anna);
	assert_non_null(zoe);
	assert_string_equal(anna->name, "Anna O'Neill <b>");
	assert_string_equal(anna->given, "Anna");
	assert_string_equal(anna->family, "O'Neill <b>");
	assert_string_equal(zoe->given, "=cmd()");
	assert_string_equal(zoe->family, "Zo\xc3\xab");
	assert_null(zoe->email);
	assert_int_equal(zoe->n_classes, 2);
	assert_ptr_equal(roster_identify(r, STR_LIT("anna@mail.test")), anna);
	assert_ptr_equal(roster_identify(r, STR_LIT("gc-2")), zoe);
	assert_null(roster_identify(r, STR_LIT("gc-3")));
}

static void
test_school(void **state)
{
	struct roster *r = load_rows(school, COUNT(school)), *again;
	const struct roster_person *tina;
	uint64_t version = roster_version(r);
	char *why;
	(void)state;

	check_classes(r);
	check_students(r);
	assert_int_equal(roster_people(r), 2);
	tina = roster_person(r, STR_LIT("tina@school.test"));
	assert_non_null(tina);
	assert_int_equal(tina->n_classes, 1);
	assert_string_equal(tina->classes[0]->name, "7b");
	again = load(&why);
	assert_non_null(again);
	assert_true(roster_version(again) > version);
	roster_free(again);
	roster_free(r);
}

/* JIDs of students, guardians and aliases, where the source has them. */
static void
test_more(void **state)
{
	struct roster_row rows[] = { school[0], school[1], school[2],
		{ .role = ROSTER_GUARDIAN, .id = S("gc-1"), .jid = S("G@Home.test"),
		    .person = S("g"), .given = S("Gus"), .family = S("One"), .name = S("Gus One") } };
	const struct roster_student *anna;
	struct roster *r;
	(void)state;

	rows[1].aliases = contract->aliases ? anna_aliases : NULL;
	rows[1].n_aliases = contract->aliases ? 1 : 0;
	if (contract->jids)
		rows[1].jid = STR_LIT("Anna@School.test");
	r = load_rows(rows, contract->guardians ? 4 : 3);
	anna = roster_student(r, STR_LIT("gc-1"));
	if (contract->aliases)
		assert_ptr_equal(roster_identify(r, STR_LIT("lms-9")), anna);
	if (contract->jids) {
		assert_string_equal(anna->jid, "anna@school.test");
		assert_ptr_equal(roster_by_jid(r, STR_LIT("anna@school.test")), anna);
	}
	if (contract->guardians) {
		assert_int_equal(roster_reads_student(anna, STR_LIT("g@home.test"), NULL),
		    ROSTER_AS_GUARDIAN);
		assert_int_equal(roster_person(r, STR_LIT("g@home.test"))->n_wards, 1);
	}
	roster_free(r);
}

static void
test_change(void **state)
{
	struct roster *r = load_rows(school, COUNT(school)), *next;
	(void)state;

	next = load_rows(school, 2);
	assert_int_equal(roster_classes(r), 2);
	assert_int_equal(roster_classes(next), 1);
	assert_int_equal(roster_students(next), 1);
	assert_null(roster_class(next, STR_LIT("8a")));
	assert_null(roster_person(next, STR_LIT("tom@school.test")));
	roster_free(r);
	roster_free(next);
}

static void
test_empty(void **state)
{
	struct roster *r;
	char *why;
	(void)state;

	assert_true(contract->write(&options, school, 0));
	assert_null(load(&why));
	assert_non_null(strstr(why, "nobody could read anything"));
	mem_free(why);
	options.allow_empty = true;
	r = load(&why);
	assert_non_null(r);
	assert_int_equal(roster_students(r), 0);
	roster_free(r);
}

/* ---- rows that are refused, each behind the school's; bad-inputs C.5 ---- */

struct bad_row {
	const char *name;
	struct roster_row row;
	bool jid; /* it is about a student's JID */
};

static char long_part[1100];
static const struct bad_row bad_rows[] = {
	{ "C76 a teacher who is a student of the class",
	    { .role = ROSTER_TEACHER, .class = S("7b"), .jid = S("anna@school.test") }, true },
	{ "two students with one e-mail address",
	    { .role = ROSTER_STUDENT, .class = S("7b"), .id = S("gc-7"), .email = S("anna@MAIL.test") },
	    false },
	{ "two students with one JID", { .role = ROSTER_STUDENT, .class = S("8a"), .id = S("gc-7"),
	    .jid = S("anna@school.test") }, true },
	{ "C77 no local part", { .role = ROSTER_TEACHER, .class = S("7b"), .jid = S("@x") }, false },
	{ "C77 no domain", { .role = ROSTER_TEACHER, .class = S("7b"), .jid = S("a@") }, false },
	{ "C77 two @", { .role = ROSTER_TEACHER, .class = S("7b"), .jid = S("a@b@c") }, false },
	{ "C77 a resource", { .role = ROSTER_TEACHER, .class = S("7b"), .jid = S("a@b/..") }, false },
	{ "C77 IPv6 literal", { .role = ROSTER_TEACHER, .class = S("7b"), .jid = S("a@[2001:db8::1]") },
	    false },
	{ "C77 half a punycode label", { .role = ROSTER_TEACHER, .class = S("7b"), .jid = S("a@xn--") },
	    false },
	{ "C77 a letter nobody sees", { .role = ROSTER_TEACHER, .class = S("7b"),
	    .jid = S("ti\xe2\x80\x8bna@school.test") }, false },
	{ "C77 1,024-byte part", { .role = ROSTER_TEACHER, .class = S("7b"),
	    .jid = { long_part, 0 } }, false },
	{ "C78 wildcard", { .role = ROSTER_TEACHER, .class = S("7b"), .jid = S("*@school-b") }, false },
	{ "C78 + alone", { .role = ROSTER_TEACHER, .class = S("7b"), .jid = S("+") }, false },
	{ "C78 every class", { .role = ROSTER_TEACHER, .class = S("7b"), .jid = S("#") }, false },
	{ "C78 #", { .role = ROSTER_TEACHER, .class = S("7b"), .jid = S("#@school-b") }, false },
	{ "C78 %", { .role = ROSTER_TEACHER, .class = S("7b"), .jid = S("%@school-b") }, false },
	{ "C79 control character", { .role = ROSTER_STUDENT, .class = S("7b"), .id = S("gc-7"),
	    .given = S("A\x1b[2J"), .family = S("B") }, false },
	{ "C79 embedded newline", { .role = ROSTER_STUDENT, .class = S("7b"), .id = S("gc-7"),
	    .given = S("A\nB"), .family = S("B") }, false },
};

static void
test_bad_rows(void **state)
{
	struct roster_row rows[COUNT(school) + 1];
	(void)state;

	memset(long_part, 'a', 1024);
	memcpy(long_part + 1024, "@x", 2);
	memcpy(rows, school, sizeof school);
	if (contract->jids)
		rows[1].jid = STR_LIT("anna@school.test");
	for (size_t i = 0; i < COUNT(bad_rows); i++) {
		char *why;

		if (bad_rows[i].jid && !contract->jids)
			continue;
		rows[COUNT(school)] = bad_rows[i].row;
		if (rows[COUNT(school)].jid.p == long_part)
			rows[COUNT(school)].jid.n = 1026;
		if (!contract->write(&options, rows, COUNT(rows)))
			continue; /* by the source itself */
		if (load(&why) != NULL)
			fail_msg("%s: %s was taken", contract->backend, bad_rows[i].name);
		assert_non_null(why);
		if (strstr(why, "anna@") != NULL || strstr(why, "gc-7") != NULL)
			fail_msg("%s: names a person: %s", contract->backend, why);
		mem_free(why);
	}
}

/* JIDs are kept in one form, in which they are asked for (C77). */
static void
test_jids(void **state)
{
	static const struct { struct str written; const char *kept; } cases[] = {
		{ S("TINA@School.TEST"), "tina@school.test" },
		{ S("tina@m\xc3\xbcller.test"), "tina@m\xc3\xbcller.test" },
		{ S("tina@M\xc3\x9cLLER.test"), "tina@m\xc3\xbcller.test" },
		{ S("tina@xn--mller-kva.test"), "tina@m\xc3\xbcller.test" },
		{ S("tina+x@192.0.2.1"), "tina+x@192.0.2.1" },
	};
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct roster_row rows[2] = { school[0], school[1] };
		struct roster *r;

		rows[0].jid = rows[0].person = rows[0].email = cases[i].written;
		r = load_rows(rows, COUNT(rows));
		assert_int_equal(roster_class_at(r, 0)->n_teachers, 1);
		assert_string_equal(roster_class_at(r, 0)->teachers[0], cases[i].kept);
		assert_int_equal(roster_reads_class(roster_class_at(r, 0), str_of(cases[i].kept), NULL),
		    ROSTER_AS_TEACHER);
		roster_free(r);
	}
}

/* The same person twice, and in two classes, is no privilege and no error (C76). */
static void
test_repeated(void **state)
{
	struct roster_row rows[2 * COUNT(school)];
	struct roster *r;
	(void)state;

	memcpy(rows, school, sizeof school);
	memcpy(rows + COUNT(school), school, sizeof school);
	if (!contract->write(&options, rows, COUNT(rows)))
		return; /* its source has unique rows */
	r = load_rows(rows, COUNT(rows));
	check_classes(r);
	roster_free(r);
}

/* ---- a source that fails ---- */

static void
test_spoiled(void **state)
{
	(void)state;

	for (enum roster_spoil how = ROSTER_GONE; how <= ROSTER_CUT; how++) {
		char *why;

		assert_true(contract->write(&options, school, COUNT(school)));
		if (!contract->spoil(&options, how))
			continue;
		if (load(&why) != NULL)
			fail_msg("%s: taken although spoiled (%d)", contract->backend, (int)how);
		assert_non_null(why);
		mem_free(why);
		contract->drop(&options);
		contract->place(&options);
	}
}

static atomic_bool changing_stop;

static void *
changing_cb(void *arg)
{
	(void)arg;
	for (size_t i = 0; !changing_stop; i++)
		contract->write(&options, school, i % 2 == 0 ? 3 : COUNT(school));
	return NULL;
}

/* A source that is written to while it is read gives one state or the other, or is
 * refused; never a mixture. */
static void
test_changing(void **state)
{
	pthread_t writer;
	(void)state;

	assert_true(contract->write(&options, school, COUNT(school)));
	changing_stop = false;
	assert_int_equal(pthread_create(&writer, NULL, changing_cb, NULL), 0);
	for (int i = 0; i < 50; i++) {
		char *why;
		struct roster *r = load(&why);

		mem_free(why);
		if (r == NULL)
			continue;
		assert_int_equal(roster_students(r), 2);
		assert_int_equal(roster_class(r, STR_LIT("7b"))->n_students, 2);
		if (roster_classes(r) == 2)
			check_classes(r);
		else
			assert_int_equal(roster_classes(r), 1);
		roster_free(r);
	}
	changing_stop = true;
	assert_int_equal(pthread_join(writer, NULL), 0);
}

int
roster_contract_run(const struct roster_contract *c)
{
#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	static const struct CMUnitTest tests[] = {
		WITH_PLACE(test_school),
		WITH_PLACE(test_more),
		WITH_PLACE(test_change),
		WITH_PLACE(test_empty),
		WITH_PLACE(test_bad_rows),
		WITH_PLACE(test_jids),
		WITH_PLACE(test_repeated),
		WITH_PLACE(test_spoiled),
		WITH_PLACE(test_changing),
	};

	contract = c;
	return cmocka_run_group_tests_name(c->backend, tests, NULL, NULL);
}
