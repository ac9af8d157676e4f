/* SPDX-License-Identifier: MIT */
/* Tests of state/roster_copy: what is kept is what was in force, of this source alone,
 * and never half. */
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
#include "state/roster_copy.h"

#define KEY STR_LIT("0123456789abcdefghijklmnopqrstuv")
#define S(text) { text, sizeof(text) - 1 }
#define COUNT(a) (sizeof(a) / sizeof *(a))

static char folder[] = "/tmp/test_roster_copy.XXXXXX";
static char path[64];
static struct conf conf;
static struct roster_options options;

static const struct str aliases[] = { S("gc-117"), S("lms-9") };
static const struct roster_row school[] = {
	{ .role = ROSTER_TEACHER, .class = S("7b"), .title = S("Maths, \"advanced\""), .person = S("t"),
	    .jid = S("tina@school.test"), .name = S("Tina Two"), .email = S("tina@school.test") },
	{ .role = ROSTER_STUDENT, .class = S("7b"), .id = S("s1"), .jid = S("ann@school.test"),
	    .email = S("Ann@Mail.test"), .given = S("Ann"), .family = S("O'Neill"), .aliases = aliases,
	    .n_aliases = COUNT(aliases) },
	/* may not sign in: has no JID, although the e-mail address would give one */
	{ .role = ROSTER_STUDENT, .class = S("8a"), .id = S("s2"), .email = S("bo@school.test"),
	    .no_login = true },
	{ .role = ROSTER_STUDENT, .class = S("8a"), .id = S("s1") },
	{ .role = ROSTER_GUARDIAN, .id = S("s1"), .jid = S("pia@home.test") },
};

static struct roster *
make(size_t rows)
{
	struct roster *r = roster_begin(&options);
	struct roster_options empty = options;
	const char *wrong;
	char *why = NULL;

	empty.allow_empty = true;
	for (size_t i = 0; i < rows; i++)
		assert_int_equal(roster_add(r, &school[i], &wrong), ERR_OK);
	r = roster_finish(r, &empty, "test", &why);
	assert_non_null(r);
	return r;
}

static void
put(size_t rows)
{
	struct roster *r = make(rows);
	char *why = NULL;

	if (roster_copy_put("postgres", &options, r, &why) != ERR_OK)
		fail_msg("%s", why);
	roster_free(r);
}

static struct roster *
get(void)
{
	char *why = NULL;
	int64_t when = 0;
	struct roster *r = roster_copy_get("postgres", &options, &when, &why);

	if (r == NULL)
		fail_msg("%s", why);
	assert_true(when > 1700000000);
	return r;
}

static void
none(const char *reason)
{
	char *why = NULL;
	int64_t when;

	assert_null(roster_copy_get("postgres", &options, &when, &why));
	if (why == NULL || strstr(why, reason) == NULL)
		fail_msg("%s, not %s", why, reason);
	mem_free(why);
}

static bool
text_cb(void *arg, const struct roster_row *row)
{
	buf_printf(arg, "%d %.*s %.*s %.*s %.*s %.*s %.*s %.*s %.*s", (int)row->role, STR_ARG(row->class),
	    STR_ARG(row->title), STR_ARG(row->id), STR_ARG(row->jid), STR_ARG(row->email),
	    STR_ARG(row->name), STR_ARG(row->given), STR_ARG(row->family));
	for (size_t i = 0; i < row->n_aliases; i++)
		buf_printf(arg, " %.*s", STR_ARG(row->aliases[i]));
	buf_byte(arg, '\n');
	return true;
}

static void
test_same(void **state)
{
	struct roster *before = make(COUNT(school)), *after;
	struct buf a = BUF_INIT(0), b = BUF_INIT(0);
	(void)state;

	put(COUNT(school));
	after = get();
	assert_true(roster_each_row(before, text_cb, &a));
	assert_true(roster_each_row(after, text_cb, &b));
	assert_true(str_eq(buf_view(&a), buf_view(&b)));
	assert_null(roster_student(after, STR_LIT("s2"))->jid);
	assert_string_equal(roster_identify(after, STR_LIT("gc-117"))->pseudonym,
	    roster_student(before, STR_LIT("s1"))->pseudonym);
	roster_free(before);
	roster_free(after);
	buf_free(&a);
	buf_free(&b);
}

/* The newest one counts, be it empty, and nobody else may read it. */
static void
test_replaced(void **state)
{
	struct roster *r;
	struct stat st;
	(void)state;

	put(COUNT(school));
	put(2);
	r = get();
	assert_int_equal(roster_classes(r), 1);
	roster_free(r);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	put(0);
	r = get();
	assert_int_equal(roster_students(r), 0);
	roster_free(r);
}

/* What a daemon that was killed left beside it does not count. */
static void
test_killed(void **state)
{
	char *beside = mem_printf("%s.new", path);
	char *command = mem_printf("head -c 5000 %s >%s; cp %s %s-wal; cp %s %s-journal", path, beside,
	    beside, beside, beside, beside);
	struct roster *r;
	(void)state;

	put(COUNT(school));
	assert_int_equal(system(command), 0);
	r = get();
	assert_int_equal(roster_classes(r), 2);
	roster_free(r);
	put(2);
	r = get();
	assert_int_equal(roster_classes(r), 1);
	roster_free(r);
	assert_int_not_equal(access(beside, F_OK), 0);
	mem_free(command);
	mem_free(beside);
}

static void
test_none(void **state)
{
	char *why = NULL;
	int64_t when;
	(void)state;

	none("there is no copy of it in");
	put(COUNT(school));
	conf.postgres_conninfo = (char *)(uintptr_t)"host=another";
	none("of another source");
	conf.postgres_conninfo = (char *)(uintptr_t)"host=db";
	options.domain = "another.test";
	none("of another source");
	options.domain = "school.test";
	assert_null(roster_copy_get("csv", &options, &when, &why));
	assert_null(why);
	roster_free(get());
	assert_int_equal(truncate(path, 5000), 0);
	none("");
}

/* A source that is never away has no copy, and of another one none is left. */
static void
test_tidy(void **state)
{
	struct roster *r = make(2);
	char *why = NULL;
	(void)state;

	put(COUNT(school));
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(roster_copy_put("csv", &options, r, &why), ERR_OK);
	assert_int_not_equal(access(path, F_OK), 0);
	roster_free(r);
}

/* One that is out of date would let in who is let in no more. */
static void
test_no_room(void **state)
{
	char *beside = mem_printf("%s.new", path), *why = NULL;
	struct roster *r = make(2);
	(void)state;

	put(COUNT(school));
	assert_int_equal(mkdir(beside, 0700), 0); /* no file can be made there */
	assert_int_not_equal(roster_copy_put("postgres", &options, r, &why), ERR_OK);
	assert_non_null(why);
	mem_free(why);
	assert_int_equal(rmdir(beside), 0);
	roster_free(r);
	none("there is no copy of it in");
	mem_free(beside);
}

static int
setup(void **state)
{
	(void)state;
	conf = (struct conf){ .state_dir = folder, .postgres_conninfo = (char *)(uintptr_t)"host=db" };
	options = (struct roster_options){ .pseudonym_key = KEY, .domain = "school.test", .conf = &conf };
	snprintf(path, sizeof path, "%s/roster.copy", folder);
	(void)unlink(path);
	return 0;
}

static int
setup_all(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL ? -1 : 0;
}

static int
teardown_all(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(folder);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_same, setup),
		cmocka_unit_test_setup(test_replaced, setup),
		cmocka_unit_test_setup(test_killed, setup),
		cmocka_unit_test_setup(test_none, setup),
		cmocka_unit_test_setup(test_tidy, setup),
		cmocka_unit_test_setup(test_no_room, setup),
	};

	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
