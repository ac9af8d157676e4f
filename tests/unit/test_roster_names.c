/* SPDX-License-Identifier: MIT */
/* Tests of state/roster: by what students and teachers are known, and that nothing is
 * known of two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "state/roster.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define KEY STR_LIT("0123456789abcdefghijklmnopqrstuv")

static enum err
add(struct roster *r, const struct roster_row *row)
{
	const char *why;
	enum err e = roster_add(r, row, &why);

	if (e != ERR_OK)
		print_message("%s\n", why);
	return e;
}

#define ALIASES(...) (const struct str[]){ __VA_ARGS__ }

static void
test_identify(void **state)
{
	struct roster *r = roster_new(KEY);
	const struct roster_student *s;
	const struct roster_person *p;
	const char *why;
	(void)state;

	roster_set_domain(r, "school.test");
	assert_int_equal(add(r, &(struct roster_row){ .role = ROSTER_STUDENT, .class = STR_LIT("7b"),
	    .title = STR_LIT("Maths"), .id = STR_LIT("gc-5"), .login = STR_LIT("anna"),
	    .email = STR_LIT("Anna@Mail.test"), .given = STR_LIT("Anna"), .family = STR_LIT("B"),
	    .aliases = ALIASES(STR_LIT("lms-9"), STR_LIT("gc-5")), .n_aliases = 2 }), ERR_OK);
	assert_int_equal(add(r, &(struct roster_row){ .role = ROSTER_TEACHER, .class = STR_LIT("7b"),
	    .person = STR_LIT("t1"), .email = STR_LIT("tom@School.test"), .name = STR_LIT("Tom") }),
	    ERR_OK);
	assert_int_equal(add(r, &(struct roster_row){ .role = ROSTER_GUARDIAN, .id = STR_LIT("gc-5"),
	    .jid = STR_LIT("tom@school.test") }), ERR_OK);
	assert_int_equal(roster_seal(r, &why), ERR_OK);

	s = roster_student(r, STR_LIT("gc-5"));
	assert_string_equal(s->jid, "anna@school.test");
	assert_string_equal(s->name, "Anna B");
	assert_int_equal(s->n_aliases, 1);
	assert_ptr_equal(roster_identify(r, STR_LIT("gc-5")), s);
	assert_ptr_equal(roster_identify(r, STR_LIT("lms-9")), s);
	assert_ptr_equal(roster_identify(r, STR_LIT("ANNA@mail.test")), s);
	assert_ptr_equal(roster_identify(r, STR_LIT("anna@school.test")), s);
	assert_null(roster_identify(r, STR_LIT("LMS-9")));
	assert_null(roster_identify(r, STR_LIT("anna")));
	assert_null(roster_identify(r, STR_LIT("")));
	assert_null(roster_student(r, STR_LIT("lms-9")));
	assert_ptr_equal(roster_by_jid(r, STR_LIT("anna@school.test")), s);
	assert_null(roster_by_jid(r, STR_LIT("anna@mail.test")));

	assert_int_equal(roster_people(r), 1);
	p = roster_person(r, STR_LIT("tom@school.test"));
	assert_ptr_equal(roster_person_at(r, 0), p);
	assert_string_equal(p->name, "Tom");
	assert_int_equal(p->n_classes, 1);
	assert_string_equal(p->classes[0]->title, "Maths");
	assert_int_equal(p->n_wards, 1);
	assert_ptr_equal(p->wards[0], s);
	assert_null(roster_person(r, STR_LIT("anna@school.test")));
	roster_free(r);
}

/* The domain may be written as people write it. */
static void
test_domain(void **state)
{
	static const struct { const char *domain, *login, *email, *jid; } cases[] = {
		{ "School.Test", "Anna", "", "anna@school.test" },
		{ "SCHOOL.test", "", "anna@School.test", "anna@school.test" },
		{ "xn--mller-kva.test", "", "anna@m\xc3\xbcller.test",
		    "anna@m\xc3\xbcller.test" },
		{ "m\xc3\xbcller.test", "", "anna@XN--mller-kva.test",
		    "anna@m\xc3\xbcller.test" },
		{ "school.test", "", "anna@ool.test", NULL },
		{ "school.test", "", "anna@preschool.test", NULL },
		{ "school.test", "", "anna@mail.test@school.test", NULL },
		{ "school.test", "an na", "", NULL },
	};
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct roster *r = roster_new(KEY);
		const struct roster_student *s;

		roster_set_domain(r, cases[i].domain);
		assert_int_equal(add(r, &(struct roster_row){ .role = ROSTER_STUDENT,
		    .class = STR_LIT("7b"), .id = STR_LIT("s1"), .login = str_of(cases[i].login),
		    .email = str_of(cases[i].email) }), ERR_OK);
		s = roster_student(r, STR_LIT("s1"));
		if (cases[i].jid == NULL)
			assert_null(s->jid);
		else
			assert_string_equal(s->jid, cases[i].jid);
		roster_free(r);
	}
}

/* Each second row makes two students known by the same. */
static void
test_two_students(void **state)
{
	static const struct roster_row first = { .role = ROSTER_STUDENT, .class = { "7b", 2 },
		.id = { "s1", 2 }, .jid = { "a@x", 3 }, .email = { "a@y", 3 }, .line = 12 };
	static const struct {
		struct roster_row row;
		const char *reason;
	} cases[] = {
		{ { .id = { "s2", 2 }, .jid = { "A@x", 3 } }, "the one of line 12" },
		{ { .id = { "s2", 2 }, .email = { "A@y", 3 } }, "the one of line 12" },
		{ { .id = { "s2", 2 }, .email = { "a@x", 3 } }, "the one of line 12" },
		{ { .id = { "a@y", 3 } }, "the student of line 12 is known by this id" },
		{ { .id = { "s2", 2 }, .email = { "nobody", 6 } }, "not an e-mail address" },
		{ { .id = { "s1", 2 }, .email = { "b@y", 3 } }, "another e-mail address" },
		{ { .id = { "s1", 2 }, .jid = { "b@x", 3 } }, "another jid" },
		{ { .id = { "s2", 2 }, .name = { "a\x1b[2J", 5 } }, "control character" },
		{ { .id = { "s2", 2 }, .name = { "a\xff", 2 } }, "not UTF-8" },
	};
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct roster *r = roster_new(KEY);
		struct roster_row row = cases[i].row;
		const char *why;

		row.role = ROSTER_STUDENT;
		row.class = STR_LIT("8a");
		assert_int_equal(roster_add(r, &first, &why), ERR_OK);
		assert_int_equal(roster_add(r, &row, &why), ERR_INVALID);
		if (strstr(why, cases[i].reason) == NULL)
			fail_msg("%zu: \"%s\", not %s", i, why, cases[i].reason);
		roster_free(r);
	}
}

static void
test_aliases_apart(void **state)
{
	static const char *const bad[] = { "s1", "lms-1", "unverified-gc-7" };
	(void)state;

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct roster *r = roster_new(KEY);
		struct str alias = str_of(bad[i]);
		const char *why;

		assert_int_equal(roster_add(r, &(struct roster_row){ .role = ROSTER_STUDENT,
		    .class = STR_LIT("7b"), .id = STR_LIT("s1"), .aliases = ALIASES(STR_LIT("lms-1")),
		    .n_aliases = 1, .line = 3 }, &why), ERR_OK);
		assert_int_equal(roster_add(r, &(struct roster_row){ .role = ROSTER_STUDENT,
		    .class = STR_LIT("7b"), .id = STR_LIT("s2"), .aliases = &alias, .n_aliases = 1 },
		    &why), ERR_INVALID);
		assert_non_null(strstr(why, i < 2 ? "of line 3" : "begins with unverified-"));
		roster_free(r);
	}
}

/* More aliases than anybody has are a source gone wrong, and would take long. */
static void
test_many_aliases(void **state)
{
	struct str aliases[ROSTER_ALIASES_MAX + 1];
	struct roster_row row = { .role = ROSTER_STUDENT, .class = STR_LIT("7b"), .id = STR_LIT("s1"),
		.aliases = aliases, .n_aliases = ROSTER_ALIASES_MAX };
	struct roster *r = roster_new(KEY);
	const char *why;
	(void)state;

	for (size_t i = 0; i < COUNT(aliases); i++)
		aliases[i] = str_of(mem_printf("lms-%zu", i));
	assert_int_equal(roster_add(r, &row, &why), ERR_OK);
	assert_int_equal(roster_add(r, &row, &why), ERR_OK); /* the same once more */
	row.n_aliases++;
	assert_int_equal(roster_add(r, &row, &why), ERR_INVALID);
	assert_non_null(strstr(why, "64 aliases"));
	roster_free(r);
	for (size_t i = 0; i < COUNT(aliases); i++)
		mem_free((char *)(uintptr_t)aliases[i].p);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identify),
		cmocka_unit_test(test_domain),
		cmocka_unit_test(test_two_students),
		cmocka_unit_test(test_aliases_apart),
		cmocka_unit_test(test_many_aliases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
