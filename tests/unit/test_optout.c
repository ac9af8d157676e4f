/* SPDX-License-Identifier: MIT */
/* Tests of state/optout: which rule an address falls under. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "state/optout.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* The table may be read-only; conf's strings are not const. */
#define Z(literal) (char *)(uintptr_t)(literal)

static void
test_none(void **state)
{
	struct conf c = { .n_opt_outs = 0 };
	(void)state;

	assert_int_equal(optout_find(&c, STR_LIT("kid@blocked.edu")).action, OPTOUT_TRANSMIT);
	assert_int_equal(optout_find(&c, (struct str){ NULL, 0 }).action, OPTOUT_TRANSMIT);
}

static void
test_domains(void **state)
{
	struct conf_opt_out rules[] = {
		{ .domain = Z("blocked.edu"), .action = Z("DROP") },
		{ .domain = Z("open.blocked.edu"), .action = Z("TRANSMIT") },
		{ .domain = Z("Paused.org"), .action = Z("MAINTAIN") },
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
		if (optout_find(&c, cases[i].email).action != cases[i].want)
			fail_msg("%.*s", STR_ARG(cases[i].email));
}

static void
test_default(void **state)
{
	struct conf_opt_out rules[] = {
		{ .domain = Z("*"), .action = Z("DROP"), .time_limit = Z("86400000"),
		    .message = Z("not us") },
		{ .domain = Z("school.edu"), .action = Z("TRANSMIT") },
	};
	struct conf c = { .opt_outs = rules, .n_opt_outs = COUNT(rules) };
	struct optout_rule r;
	(void)state;

	assert_int_equal(optout_find(&c, STR_LIT("kid@school.edu")).action, OPTOUT_TRANSMIT);
	r = optout_find(&c, (struct str){ NULL, 0 });
	assert_int_equal(r.action, OPTOUT_DROP);
	assert_string_equal(r.action_name, "DROP");
	assert_string_equal(r.time_limit, "86400000");
	assert_string_equal(r.message, "not us");
	assert_int_equal(optout_find(&c, STR_LIT("kid@elsewhere.edu")).action, OPTOUT_DROP);
}

/* What a rule leaves open reads as in the reference. */
static void
test_words(void **state)
{
	struct conf_opt_out rules[] = {
		{ .domain = Z("d"), .action = Z("DROP"), .time_limit = Z("") },
		{ .domain = Z("m"), .action = Z("MAINTAIN"), .message = Z("") },
	};
	struct conf c = { .opt_outs = rules, .n_opt_outs = COUNT(rules) };
	struct optout_rule drop = optout_find(&c, STR_LIT("a@d"));
	struct optout_rule maintain = optout_find(&c, STR_LIT("a@m"));
	(void)state;

	assert_string_equal(drop.time_limit, "PERMANENT");
	assert_string_equal(drop.message, "Do not send more messages to me");
	assert_string_equal(maintain.action_name, "MAINTAIN");
	assert_string_equal(maintain.time_limit, "MINUTES");
	assert_string_equal(maintain.message, "You are blocked for now");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_default),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
