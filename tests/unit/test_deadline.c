/* SPDX-License-Identifier: MIT */
/* Many time limits on one timer: each fires once, none before its time, a
 * callback may change any of them. Time is the loop's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "web/deadline.h"

#define MANY 1000

struct limit {
	struct deadline deadline;
	uint64_t due;
	unsigned fired;
};

static struct loop *loop;
static struct deadlines *deadlines;
static struct limit limits[MANY];
static size_t left;

static void
limit_cb(void *arg)
{
	struct limit *l = arg;

	assert_true(loop_now_ms(loop) >= l->due);
	l->fired++;
	if (--left == 0)
		loop_stop(loop);
}

static void
limit_set(struct limit *l, uint64_t ms)
{
	l->deadline.cb = limit_cb;
	l->deadline.arg = l;
	l->due = loop_now_ms(loop) + ms;
	deadline_set(deadlines, &l->deadline, ms);
}

static void
test_many(void **state)
{
	(void)state;
	for (size_t i = 0; i < MANY; i++)
		limit_set(&limits[i], i % 7 * 100);
	/* every other one is taken back, some are set anew */
	for (size_t i = 0; i < MANY; i += 2)
		deadline_clear(deadlines, &limits[i].deadline);
	for (size_t i = 1; i < MANY; i += 6)
		limit_set(&limits[i], 700);
	left = MANY / 2;
	loop_run(loop);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(limits[i].fired, i % 2);
}

static struct limit near, far, later;

static void
near_cb(void *arg)
{
	(void)arg;
	deadline_clear(deadlines, &far.deadline);
	limit_set(&later, 1);
}

/* In the same slot of the wheel, one turn apart; and changes in a callback. */
static void
test_change(void **state)
{
	(void)state;
	limit_set(&far, 256 * DEADLINE_TICK_MS);
	limit_set(&near, 0);
	near.deadline.cb = near_cb;
	left = 1;
	loop_run(loop);
	assert_int_equal(later.fired, 1);
	assert_int_equal(far.fired, 0);
	/* clearing what is not set does nothing */
	deadline_clear(deadlines, &far.deadline);
}

static int
setup(void **state)
{
	(void)state;
	loop = loop_new();
	deadlines = deadlines_new(loop);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	deadlines_free(deadlines);
	loop_free(loop);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_change),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
