/* SPDX-License-Identifier: MIT */
/* Tests of state/optout: which rule a student falls under. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "state/optout.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* The table may be read-only; conf's strings are not const. */
#define Z(literal) (char *)(uintptr_t)(literal)

#define DAY_US (INT64_C(86400) * 1000000)

/* The answer for an address and no more; its strings live as long as c. */
static struct optout_rule
by_email(const struct conf *c, struct str email)
{
	struct optout *o = optout_new(c, NULL);
	struct optout_rule r = optout_find(o, &(struct optout_who){ .email = email }, 0);

	optout_free(o);
	return r;
}

static void
test_none(void **state)
{
	struct conf c = { .n_opt_outs = 0 };
	(void)state;

	assert_int_equal(by_email(&c, STR_LIT("kid@blocked.edu")).action, OPTOUT_TRANSMIT);
	assert_int_equal(by_email(&c, (struct str){ NULL, 0 }).action, OPTOUT_TRANSMIT);
}

static void
test_domains(void **state)
{
	struct conf_opt_out rules[] = {
		{ .whom = Z("blocked.edu"), .action = Z("DROP") },
		{ .whom = Z("open.blocked.edu"), .action = Z("TRANSMIT") },
		{ .whom = Z("Paused.org"), .action = Z("MAINTAIN") },
	};
	struct conf c = { .opt_outs = rules, .n_opt_outs = COUNT(rules) };
	static const struct { struct str email; enum optout_action want; } cases[] = {
		{ STR_LIT("kid@blocked.edu"), OPTOUT_DROP },
		{ STR_LIT("KID@BLOCKED.EDU"), OPTOUT_DROP },
		{ STR_LIT("kid@a.b.blocked.edu"), OPTOUT_DROP },
		{ STR_LIT("kid@open.blocked.edu"), OPTOUT_TRANSMIT },
		{ STR_LIT("kid@x.open.blocked.edu"), OPTOUT_TRANSMIT },
		{ STR_LIT("kid@notblocked.edu"), OPTOUT_TRANSMIT },
		{ STR_LIT("kid@blocked.edu.com"), OPTOUT_TRANSMIT },
		{ STR_LIT("kid@edu"), OPTOUT_TRANSMIT },
		{ STR_LIT("kid@paused.org"), OPTOUT_MAINTAIN },
		{ STR_LIT("kid@x@paused.org"), OPTOUT_MAINTAIN },
		{ STR_LIT("kid@blocked.edu. "), OPTOUT_DROP },
		{ STR_LIT("blocked.edu"), OPTOUT_TRANSMIT },
		{ STR_LIT("kid@"), OPTOUT_TRANSMIT },
		{ STR_LIT("kid@."), OPTOUT_TRANSMIT },
		{ STR_LIT("kid@blocked.edu\0.org"), OPTOUT_TRANSMIT },
		{ { NULL, 0 }, OPTOUT_TRANSMIT },
	};
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++)
		if (by_email(&c, cases[i].email).action != cases[i].want)
			fail_msg("%.*s", STR_ARG(cases[i].email));
}

static void
test_default(void **state)
{
	struct conf_opt_out rules[] = {
		{ .whom = Z("*"), .action = Z("DROP"), .time_limit = Z("86400000"),
		    .message = Z("not us") },
		{ .whom = Z("school.edu"), .action = Z("TRANSMIT") },
	};
	struct conf c = { .opt_outs = rules, .n_opt_outs = COUNT(rules) };
	struct optout_rule r;
	(void)state;

	assert_int_equal(by_email(&c, STR_LIT("kid@school.edu")).action, OPTOUT_TRANSMIT);
	r = by_email(&c, (struct str){ NULL, 0 });
	assert_int_equal(r.action, OPTOUT_DROP);
	assert_string_equal(r.action_name, "DROP");
	assert_null(r.time_limit);
	assert_int_equal(r.limit_ms, 86400000);
	assert_string_equal(r.message, "not us");
	assert_int_equal(by_email(&c, STR_LIT("kid@elsewhere.edu")).action, OPTOUT_DROP);
}

/* What a rule leaves open reads as in the reference. */
static void
test_words(void **state)
{
	struct conf_opt_out rules[] = {
		{ .whom = Z("d"), .action = Z("DROP"), .time_limit = Z("") },
		{ .whom = Z("m"), .action = Z("MAINTAIN"), .message = Z("") },
	};
	struct conf c = { .opt_outs = rules, .n_opt_outs = COUNT(rules) };
	struct optout_rule drop = by_email(&c, STR_LIT("a@d"));
	struct optout_rule maintain = by_email(&c, STR_LIT("a@m"));
	(void)state;

	assert_string_equal(drop.time_limit, "PERMANENT");
	assert_string_equal(drop.message, "Do not send more messages to me");
	assert_string_equal(maintain.action_name, "MAINTAIN");
	assert_string_equal(maintain.time_limit, "MINUTES");
	assert_string_equal(maintain.message, "You are blocked for now");
}

/* ---- students and classes ---- */

static struct roster *
roster_of(const char *rows)
{
	char file[] = "/tmp/lectern-optout-XXXXXX", *why = NULL;
	struct roster_options o = { .file = file,
		.pseudonym_key = STR_LIT("0123456789abcdefghijklmnopqrstuv") };
	int fd = mkstemp(file);
	struct roster *r;

	assert_true(fd >= 0);
	assert_true(dprintf(fd, "class,role,id,jid,name\n%s", rows) > 0);
	close(fd);
	r = roster_load("csv", &o, &why);
	if (r == NULL)
		fail_msg("%s", why);
	unlink(file);
	return r;
}

/* The message of the rule for this student, "" for none. */
static void
falls_under(const struct optout *o, struct optout_who who, int64_t now, const char *message)
{
	struct optout_rule r = optout_find(o, &who, now);

	assert_string_equal(r.message, message);
}

#define RULE(whom_, action_, message_) \
	{ .whom = Z(whom_), .action = Z(action_), .message = Z(message_) }

/* Student, class, domain, everyone: the closest that there is. */
static void
test_closest(void **state)
{
	struct conf_opt_out rules[] = {
		RULE("*", "DROP", "all"),
		RULE("edu", "DROP", "domain"),
		RULE("class:7b", "DROP", "class"),
		RULE("student:gc-1", "DROP", "student"),
	};
	struct conf c = { .opt_outs = rules };
	struct optout_who who = { .id = STR_LIT("gc-1"), .email = STR_LIT("a@b.edu") };
	struct roster *r = roster_of("7b,teacher,t,t@s,\n7b,student,gc-1,,\n");
	static const char *wants[] = { "", "all", "domain", "class", "student" };
	(void)state;

	for (size_t n = 0; n <= COUNT(rules); n++) {
		struct optout *o;

		c.n_opt_outs = n;
		o = optout_new(&c, r);
		falls_under(o, who, 0, wants[n]);
		/* Whose address is not known yet may be of another domain. */
		who.unheard = true;
		falls_under(o, who, 0, n < 3 ? "" : wants[n]);
		who.unheard = false;
		falls_under(o, (struct optout_who){ .id = STR_LIT("gc-10") }, 0, n > 0 ? "all" : "");
		optout_free(o);
	}
	roster_free(r);
}

/* Of the same kind the strictest, and of equal ones the first. */
static void
test_equally_close(void **state)
{
	struct conf_opt_out rules[] = {
		RULE("class:a", "TRANSMIT", "on"),
		RULE("class:b", "MAINTAIN", "wait b"),
		RULE("class:c", "MAINTAIN", "wait c"),
		RULE("class:d", "DROP", "stop"),
		RULE("*", "DROP", "all"),
	};
	struct conf c = { .opt_outs = rules, .n_opt_outs = COUNT(rules) };
	struct roster *r = roster_of("a,teacher,t,t@s,\na,student,one,,\n"
	    "a,student,two,,\nb,student,two,,\n"
	    "c,student,three,,\nb,student,three,,\na,student,three,,\n"
	    "d,student,four,,\nb,student,four,,\n");
	struct optout *o = optout_new(&c, r);
	(void)state;

	falls_under(o, (struct optout_who){ .id = STR_LIT("one") }, 0, "on");
	falls_under(o, (struct optout_who){ .id = STR_LIT("two") }, 0, "wait b");
	falls_under(o, (struct optout_who){ .id = STR_LIT("three") }, 0, "wait b");
	falls_under(o, (struct optout_who){ .id = STR_LIT("four") }, 0, "stop");
	falls_under(o, (struct optout_who){ .id = STR_LIT("five") }, 0, "all");
	falls_under(o, (struct optout_who){ .id = STR_LIT("unverified-two") }, 0, "wait b");
	optout_free(o);
	roster_free(r);
}

/* Ids byte by byte, addresses in any case; a claim without proof is the student's. */
static void
test_names(void **state)
{
	struct conf_opt_out rules[] = {
		RULE("student:gc-1", "DROP", "id"),
		RULE("student:Kid@School.edu", "MAINTAIN", "address"),
	};
	struct conf c = { .opt_outs = rules, .n_opt_outs = COUNT(rules) };
	struct optout *o = optout_new(&c, NULL);
	(void)state;

	falls_under(o, (struct optout_who){ .id = STR_LIT("gc-1") }, 0, "id");
	falls_under(o, (struct optout_who){ .id = STR_LIT("GC-1") }, 0, "");
	falls_under(o, (struct optout_who){ .id = STR_LIT("unverified-gc-1") }, 0, "id");
	falls_under(o, (struct optout_who){ .user_id = STR_LIT("gc-1") }, 0, "id");
	falls_under(o, (struct optout_who){ .email = STR_LIT("kid@school.EDU") }, 0, "address");
	falls_under(o, (struct optout_who){ .email = STR_LIT("kid@school.edu.x") }, 0, "");
	falls_under(o, (struct optout_who){ .id = STR_LIT("gc-1"),
	    .email = STR_LIT("kid@school.edu") }, 0, "id");
	falls_under(o, (struct optout_who){ .id = STR_LIT("") }, 0, "");
	optout_free(o);
}

/* Any name of the roster's means its student, whoever the client says to be. */
static void
test_known_by(void **state)
{
	struct conf_opt_out rules[] = {
		RULE("student:kid@s.example", "DROP", "rule"),
		RULE("class:8a", "MAINTAIN", "class"),
	};
	struct conf c = { .opt_outs = rules, .n_opt_outs = COUNT(rules) };
	struct roster *r = roster_of("7b,teacher,t,t@s,\n7b,student,gc-1,kid@s.example,\n"
	    "8a,student,gc-2,two@s.example,\n7b,student,gc-3,three@s.example,\n");
	struct optout *o = optout_new(&c, r);
	(void)state;

	falls_under(o, (struct optout_who){ .id = STR_LIT("gc-1") }, 0, "rule");
	falls_under(o, (struct optout_who){ .id = STR_LIT("lti-9"),
	    .email = STR_LIT("kid@s.example") }, 0, "rule");
	falls_under(o, (struct optout_who){ .id = STR_LIT("lti-9"),
	    .email = STR_LIT("two@s.example") }, 0, "class");
	falls_under(o, (struct optout_who){ .id = STR_LIT("lti-9") }, 0, "");
	/* one student's id with another's address is both */
	falls_under(o, (struct optout_who){ .id = STR_LIT("gc-2"),
	    .email = STR_LIT("kid@s.example") }, 0, "rule");
	falls_under(o, (struct optout_who){ .id = STR_LIT("gc-3"),
	    .email = STR_LIT("two@s.example") }, 0, "class");
	falls_under(o, (struct optout_who){ .id = STR_LIT("gc-3"), .user_id = STR_LIT("gc-1"),
	    .email = STR_LIT("two@s.example") }, 0, "rule");
	falls_under(o, (struct optout_who){ .id = STR_LIT("gc-3"), .email = STR_LIT("three@s.example") },
	    0, "");
	optout_free(o);
	roster_free(r);
}

/* A rule holds through its last day, or up to its moment; then the next one does. */
static void
test_until(void **state)
{
	struct conf_opt_out rules[] = {
		{ .whom = Z("student:a"), .action = Z("TRANSMIT"), .until = Z("1970-01-02") },
		{ .whom = Z("*"), .action = Z("DROP"), .message = Z("all"),
		    .until = Z("1970-01-10T00:00:01Z") },
		{ .whom = Z("x.edu"), .action = Z("DROP"), .until = Z("1970-01-10"),
		    .time_limit = Z("DAYS") },
	};
	struct conf c = { .opt_outs = rules, .n_opt_outs = COUNT(rules) };
	struct optout *o = optout_new(&c, NULL);
	struct optout_who who = { .id = STR_LIT("a") };
	struct optout_rule r;
	(void)state;

	assert_int_equal(optout_next(o, 0), 2 * DAY_US);
	falls_under(o, who, 2 * DAY_US - 1, "");
	falls_under(o, who, 2 * DAY_US, "all");
	assert_int_equal(optout_next(o, 2 * DAY_US), 9 * DAY_US + 1000000);
	falls_under(o, who, 9 * DAY_US + 999999, "all");
	falls_under(o, who, 9 * DAY_US + 1000000, "");
	assert_int_equal(optout_next(o, 9 * DAY_US + 1000000), 10 * DAY_US);
	assert_true(optout_next(o, 10 * DAY_US) == INT64_MAX);
	/* What the rule does not say, its end does. */
	r = optout_find(o, &who, 9 * DAY_US);
	assert_null(r.time_limit);
	assert_int_equal(r.limit_ms, 1000);
	r = optout_find(o, &(struct optout_who){ .email = STR_LIT("k@x.edu") }, 9 * DAY_US);
	assert_string_equal(r.time_limit, "DAYS");
	optout_free(o);
	assert_true(optout_next(NULL, 0) == INT64_MAX);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_default),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_closest),
		cmocka_unit_test(test_equally_close),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_known_by),
		cmocka_unit_test(test_until),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
