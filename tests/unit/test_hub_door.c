/* SPDX-License-Identifier: MIT */
/* Tests of flow/hub: batches, whose turn it is, and what doors may do from
 * inside their callbacks. */
#include "tests/unit/hub_world.h"

#define SCHOOL "7b:+tina,ann,bob;8a:+tom,cy;big:+tina,+tom"

static struct hub_sub *aim; /* of the callbacks below */

/* ---- batches ---- */

static size_t
batch_size(size_t batch)
{
	size_t n = 0;

	for (size_t i = 0; i < n_got; i++)
		n += got[i].batch == batch;
	return n;
}

static void
test_batches_by_size(void **state)
{
	size_t item;

	(void)state;
	world_open(SCHOOL);
	docs_of("ann", 9);
	subscribe("class/7b/t.docs", "tina@x", 0);
	turns(2);
	item = strlen(got[0].json);
	assert_int_equal(batch_size(1), 9);
	forget();
	world_ops.batch_bytes = 3 * item + 1;
	subscribe("class/7b/t.docs", "tina@x", 0);
	turns(2);
	assert_int_equal(batch_size(1), 3);
	assert_int_equal(batch_size(3), 3);
	forget();
	world_ops.batch_bytes = 3 * item; /* below, not up to */
	subscribe("class/7b/t.docs", "tina@x", 0);
	turns(2);
	assert_int_equal(batch_size(1), 2);
	assert_int_equal(batch_size(5), 1);
	forget();
	world_ops.item_bytes = item;
	world_ops.batch_bytes = 4 * item + 1;
	subscribe("class/7b/t.docs", "tina@x", 0);
	turns(2);
	assert_int_equal(batch_size(1), 2);
	forget();
	world_ops.batch_bytes = 1; /* each too large, so each alone */
	subscribe("class/7b/t.docs", "tina@x", 0);
	turns(2);
	assert_int_equal(n_batches, 9);
	assert_int_equal(n_got, 9);
	world_close();
}

static void
test_batches_by_number(void **state)
{
	struct hub_sub *s;

	(void)state;
	world_open(SCHOOL);
	docs_of("ann", 1000);
	world_ops.batch_bytes = SIZE_MAX;
	s = subscribe("class/7b/t.docs", "tina@x", 0);
	turns(3);
	assert_int_equal(n_got, 1000);
	for (size_t i = 1; i <= n_batches; i++)
		assert_in_range(batch_size(i), 1, 200);
	docs_of("ann", 1000);
	turns(3);
	assert_int_equal(n_got, 2000);
	for (int i = 0; i < 2000; i++)
		assert_ptr_equal(got[i].sub, s);
	world_close();
}

/* A large node does not keep the others waiting, and not the loop either. */
static void
test_fair(void **state)
{
	struct hub_sub *large, *small;

	(void)state;
	world_open(SCHOOL);
	docs_of("ann", 500);
	event("cy");
	world_ops.batch_bytes = 1;
	large = subscribe("class/7b/t.docs", "tina@x", 0);
	small = subscribe("class/8a/t.count", "tom@x", 0);
	turns(1);
	assert_in_range(n_got, 3, 400);
	assert_ptr_equal(got[0].sub, large);
	assert_ptr_equal(got[1].sub, small);
	turns(20);
	assert_int_equal(n_got, 501);
	world_close();
}

static void
change_deliver(struct hub_sub *s)
{
	(void)s;
	if (n_batches == 2) {
		event_of("ann", "d0"); /* behind the round */
		event_of("ann", "d3"); /* before it */
		hub_spread(hub);
	}
}

/* However many batches it takes, an item comes once in a round. */
static void
test_round(void **state)
{
	struct hub_sub *s;

	(void)state;
	world_open("one:+tina,ann");
	docs_of("ann", 4);
	world_ops.batch_bytes = 1;
	on_deliver = change_deliver;
	s = subscribe("class/one/t.docs", "tina@x", HOUR);
	turns(10);
	assert_int_equal(n_got, 4);
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(got[i].id, got[j].id);
	hub_sub_interval(s, 0);
	turns(3);
	assert_in_range(n_got, 5, 6);
	for (int i = 0; i < 4; i++) {
		char id[ITEM_ID_MAX + 1];

		snprintf(id, sizeof id, "%s/d%d", pseudonym("ann"), i);
		assert_int_equal(last_seq(s, id), i % 3 == 0 ? 2 : 1);
	}
	world_close();
}

/* A round broken off by a full door goes on where it was. */
static void
test_round_after_full(void **state)
{
	struct hub_sub *s;

	(void)state;
	world_open(SCHOOL);
	docs_of("ann", 6);
	world_ops.batch_bytes = 1;
	room = 2;
	s = subscribe("class/7b/t.docs", "tina@x", HOUR);
	turns(3);
	assert_int_equal(n_got, 2);
	room = SIZE_MAX;
	hub_door_ready(door);
	turns(3);
	assert_int_equal(n_got, 6);
	for (int i = 0; i < 6; i++)
		assert_int_equal(times(s, got[i].id), 1);
	world_close();
}

/* ---- snapshots ---- */

/* How many of what came are old; then they are forgotten. */
static size_t
old_ones(size_t all)
{
	size_t n = 0;

	assert_int_equal(n_got, all);
	for (size_t i = 0; i < n_got; i++) {
		n += got[i].old;
		assert_int_equal(got[i].time_us, T0);
	}
	forget();
	return n;
}

static void
test_snapshot_is_old(void **state)
{
	struct hub_sub *s;

	(void)state;
	world_open(SCHOOL);
	event("ann");
	event("bob");
	s = subscribe("class/7b/t.count", "tina@x", 0);
	turns(3);
	assert_int_equal(old_ones(2), 2);
	event("ann");
	turns(3);
	assert_int_equal(old_ones(1), 0);
	hub_sub_refresh(s);
	turns(3);
	assert_int_equal(old_ones(2), 2);
	hub_sub_reset(s);
	turns(3);
	assert_int_equal(n_got, 3);
	assert_true(got[1].old && got[2].old);
	world_close();
}

/* Also when it waits for a door without room, and when it changed before. */
static void
test_what_changes_is_not_old(void **state)
{
	struct hub_sub *s;

	(void)state;
	world_open(SCHOOL);
	event("ann");
	event("bob");
	room = 0;
	s = subscribe("class/7b/t.count", "tina@x", 0);
	turns(3);
	event("ann");
	room = SIZE_MAX;
	hub_door_ready(door);
	turns(3);
	assert_int_equal(old_ones(2), 1);
	hub_sub_hold(s, true);
	event("bob");
	hub_sub_refresh(s);
	hub_sub_hold(s, false);
	turns(3);
	assert_int_equal(old_ones(2), 1);
	world_close();
}

/* ---- callbacks ---- */

static void
unsubscribe_deliver(struct hub_sub *s)
{
	(void)s;
	if (aim != NULL)
		hub_unsubscribe(aim);
	aim = NULL;
}

static void
test_unsubscribe_itself(void **state)
{
	(void)state;
	for (int takes = 0; takes < 2; takes++) {
		world_open(SCHOOL);
		docs_of("ann", 5);
		world_ops.batch_bytes = 1;
		room = takes ? SIZE_MAX : 0;
		on_deliver = unsubscribe_deliver;
		aim = subscribe("class/7b/t.docs", "tina@x", 0);
		turns(3);
		assert_int_equal(n_batches, 1);
		assert_int_equal(metric_value[METRIC_SUBSCRIPTIONS], 0);
		hub_door_ready(door);
		event_of("ann", "d1");
		hub_spread(hub);
		turns(3);
		assert_int_equal(n_batches, 1);
		world_close();
	}
}

static void
test_unsubscribe_another(void **state)
{
	struct hub_sub *s;

	(void)state;
	for (int which = 0; which < 2; which++) {
		world_open(SCHOOL);
		docs_of("ann", 5);
		world_ops.batch_bytes = 1;
		on_deliver = unsubscribe_deliver;
		s = subscribe("class/7b/t.docs", "tina@x", 0);
		/* of the same node; of another node, which ends with it */
		aim = which ? subscribe("class/7b/t.docs", "tina@x", 0)
		            : subscribe("class/big/t.docs", "tina@x", 0);
		turns(3);
		assert_int_equal(n_got, 5);
		assert_int_equal(times(s, got[4].id), 1);
		assert_int_equal(metric_value[METRIC_SUBSCRIPTIONS], 1);
		world_close();
	}
}

static void
subscribe_deliver(struct hub_sub *s)
{
	(void)s;
	if (n_batches == 1)
		aim = subscribe("class/7b/t.count", "tina@x", 0);
}

static void
test_subscribe_inside(void **state)
{
	(void)state;
	world_open(SCHOOL);
	event("ann");
	on_deliver = subscribe_deliver;
	subscribe("class/7b/t.count", "tina@x", 0);
	turns(5);
	assert_int_equal(n_got, 2);
	assert_ptr_equal(got[1].sub, aim);
	world_close();
}

static void
refresh_deliver(struct hub_sub *s)
{
	if (n_batches == 2)
		hub_sub_refresh(s);
}

static void
test_refresh_inside(void **state)
{
	struct hub_sub *s;

	(void)state;
	world_open(SCHOOL);
	docs_of("ann", 3);
	world_ops.batch_bytes = 1;
	on_deliver = refresh_deliver;
	s = subscribe("class/7b/t.docs", "tina@x", 0);
	turns(5);
	assert_int_equal(n_got, 5);
	for (int i = 0; i < 5; i++)
		assert_in_range(times(s, got[i].id), 1, 2);
	world_close();
}

static void
free_door_deliver(struct hub_sub *s)
{
	(void)s;
	hub_door_free(door);
	door = hub_door_new(hub, &world_ops, NULL);
}

static void
test_door_gone_inside(void **state)
{
	(void)state;
	for (int takes = 0; takes < 2; takes++) {
		world_open(SCHOOL);
		docs_of("ann", 3);
		event("cy");
		world_ops.batch_bytes = 1;
		room = takes ? SIZE_MAX : 0;
		on_deliver = free_door_deliver;
		subscribe("class/7b/t.docs", "tina@x", 0);
		subscribe("class/8a/t.count", "tom@x", 0);
		turns(5);
		assert_int_equal(n_batches, 1);
		assert_int_equal(metric_value[METRIC_SUBSCRIPTIONS], 0);
		world_close();
	}
}

static bool
count_item(void *arg, const struct hub_item *item)
{
	*(size_t *)arg += item->seq;
	return true;
}

static void
read_deliver(struct hub_sub *s)
{
	size_t sum = 0;

	assert_int_equal(hub_items(hub, str_of(hub_sub_node(s)), str_of(hub_sub_reader(s)),
	    count_item, &sum), ERR_OK);
	assert_int_equal(sum, 1 + 1);
}

static void
test_read_inside(void **state)
{
	(void)state;
	world_open(SCHOOL);
	event("ann");
	event("bob");
	on_deliver = read_deliver;
	subscribe("class/7b/t.count", "tina@x", 0);
	turns(3);
	assert_int_equal(n_got, 2);
	world_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batches_by_size),
		cmocka_unit_test(test_batches_by_number),
		cmocka_unit_test(test_fair),
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_round_after_full),
		cmocka_unit_test(test_snapshot_is_old),
		cmocka_unit_test(test_what_changes_is_not_old),
		cmocka_unit_test(test_unsubscribe_itself),
		cmocka_unit_test(test_unsubscribe_another),
		cmocka_unit_test(test_subscribe_inside),
		cmocka_unit_test(test_refresh_inside),
		cmocka_unit_test(test_door_gone_inside),
		cmocka_unit_test(test_read_inside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
