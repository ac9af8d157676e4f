/* SPDX-License-Identifier: MIT */
/* Tests of the hub with students whose states are not in memory. */
#include "tests/unit/hub_away.h"

#define C_COUNT "class/c/t.count"

static int
end(void **state)
{
	(void)state;
	away_end();
	return 0;
}

static char id[3][PSEUDONYM_LEN + 1];

static void
class_of_three(void)
{
	static const char *const who[] = { "a", "b", "z" };

	away_begin("c:+t,a,b,z");
	for (size_t i = 0; i < 3; i++) {
		event(who[i]);
		snprintf(id[i], sizeof id[i], "%s", pseudonym(who[i]));
	}
	settle();
	assert_int_equal(cold_count(engine), 2);
}

/* Who is in memory comes at once, the others as soon as they are. */
static void
test_subscribe(void **state)
{
	struct hub_sub *s;

	(void)state;
	class_of_three();
	s = subscribe(C_COUNT, "t@x", 0);
	turns(2);
	assert_int_equal(times(s, id[2]), 1);
	assert_int_equal(times(s, id[0]), 0);
	until(all_are_hot);
	turns(3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(times(s, id[i]), 1);
	keep_flush(keep);
	event("a");
	turns(3);
	assert_int_equal(last_seq(s, id[0]), 2);
	assert_int_equal(cold_count(engine), 0); /* who is watched stays */
	hub_unsubscribe(s);
	event("z");
	settle();
}

/* The event of a student who is away comes to his subscribers, and counts once. */
static void
test_event(void **state)
{
	struct hub_sub *s;

	(void)state;
	class_of_three();
	event("b");
	s = subscribe(C_COUNT, "t@x", 0);
	event("b");
	until(all_are_hot);
	turns(3);
	assert_int_equal(last_seq(s, id[1]), 3);
	assert_int_equal(times(s, id[1]), 1);
}

/* A student who is away joins a class that is watched. */
static void
test_join(void **state)
{
	struct hub_sub *s;

	(void)state;
	away_begin("c:+t,z;d:+u,a");
	event("a");
	event("z");
	settle();
	s = subscribe(C_COUNT, "t@x", 0);
	set_roster("c:+t,z,a;d:+u,a");
	turns(2);
	assert_int_equal(times(s, pseudonym("a")), 0);
	until(all_are_hot);
	turns(3);
	assert_int_equal(times(s, pseudonym("a")), 1);
}

static unsigned warmed;

static void
warm_cb(void *arg)
{
	(void)arg;
	warmed++;
	loop_stop(loop);
}

static bool
count_cb(void *arg, const struct hub_item *item)
{
	(void)item;
	++*(size_t *)arg;
	return true;
}

static void
test_read(void **state)
{
	struct cold_wait *w;
	size_t n = 0;

	(void)state;
	class_of_three();
	warmed = 0;
	w = hub_warm(hub, STR_LIT(C_COUNT));
	assert_non_null(w);
	cold_wait_calls(w, warm_cb, NULL);
	loop_run(loop);
	assert_int_equal(warmed, 1);
	assert_null(hub_warm(hub, STR_LIT(C_COUNT)));
	keep_flush(keep);
	turns(5);
	assert_int_equal(cold_count(engine), 0); /* pinned */
	assert_int_equal(hub_items(hub, STR_LIT(C_COUNT), STR_LIT("t@x"), count_cb, &n), ERR_OK);
	assert_int_equal(n, 3);
	cold_wait_free(w);
	settle();
	assert_null(hub_warm(hub, STR_LIT("class/c/_roster")));
	assert_null(hub_warm(hub, STR_LIT("class/x/t.count")));
	w = hub_warm(hub, STR_LIT(C_COUNT)); /* given up while under way */
	assert_non_null(w);
	cold_wait_calls(w, warm_cb, NULL);
	turns(1);
	cold_wait_free(w);
	until(all_are_hot);
	assert_int_equal(warmed, 1);
}

static void
test_item_is_away(void **state)
{
	struct node is;

	(void)state;
	class_of_three();
	assert_int_equal(hub_find(hub, STR_LIT(C_COUNT), &is), ERR_OK);
	assert_true(hub_item_is_away(hub, &is, id[0]));
	assert_false(hub_item_is_away(hub, &is, id[2]));
	assert_false(hub_item_is_away(hub, &is, "nobody"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_subscribe, end),
		cmocka_unit_test_teardown(test_event, end),
		cmocka_unit_test_teardown(test_join, end),
		cmocka_unit_test_teardown(test_read, end),
		cmocka_unit_test_teardown(test_item_is_away, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
