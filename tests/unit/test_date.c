/* SPDX-License-Identifier: MIT */
/* Tests of base/date: days and moments as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/date.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void
test_read(void **state)
{
	static const struct { struct str text; int64_t seconds; bool day; } cases[] = {
		{ STR_LIT("1970-01-01"), 0, true },
		{ STR_LIT("1970-01-01T00:00:01Z"), 1, false },
		{ STR_LIT("2000-02-29"), 951782400, true },
		{ STR_LIT("2026-12-24T08:30:15Z"), 1798101015, false },
		{ STR_LIT("9999-12-31T23:59:59Z"), INT64_C(253402300799), false },
	};
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t us;
		bool day;

		assert_true(date_read(cases[i].text, &us, &day));
		assert_int_equal(us, cases[i].seconds * 1000000);
		assert_int_equal(day, cases[i].day);
	}
}

static void
test_wrong(void **state)
{
	static const struct str wrong[] = {
		STR_LIT(""), STR_LIT("2026"), STR_LIT("2026-12-2"), STR_LIT("2026-13-01"),
		STR_LIT("2026-00-10"), STR_LIT("2026-04-31"), STR_LIT("2025-02-29"),
		STR_LIT("2026-12-00"), STR_LIT("2026/12/24"), STR_LIT("24.12.2026"),
		STR_LIT("2026-12-24 08:00:00Z"), STR_LIT("2026-12-24T08:00:00"),
		STR_LIT("2026-12-24T24:00:00Z"), STR_LIT("2026-12-24T08:60:00Z"),
		STR_LIT("2026-12-24T08:00:60Z"), STR_LIT("2026-12-24T08:00:00+01:00"),
		STR_LIT("1969-12-31"), STR_LIT("-026-12-24"), STR_LIT("2026-12-24\0"),
		STR_LIT(" 2026-12-24"),
	};
	int64_t us;
	bool day;
	(void)state;

	for (size_t i = 0; i < COUNT(wrong); i++)
		if (date_read(wrong[i], &us, &day))
			fail_msg("%s", wrong[i].p);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
