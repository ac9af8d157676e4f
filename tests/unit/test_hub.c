/* SPDX-License-Identifier: MIT */
/* Tests of flow/hub: what a subscription is given, and when. */
#include "tests/unit/hub_world.h"

#define SCHOOL "7b:+tina,ann,bob;8a:+tom,cy;big:+tina,+tom"

/* ---- what comes ---- */

static void
test_snapshot_then_live(void **state)
{
	struct hub_sub *s;
	char *json, ann[PSEUDONYM_LEN + 1];

	(void)state;
	world_open(SCHOOL);
	event("ann");
	event("ann");
	s = subscribe("class/7b/t.count", "tina@x", 0);
	assert_int_equal(n_batches, 0); /* never inside the call */
	turns(3);
	memcpy(ann, pseudonym("ann"), sizeof ann);
	assert_int_equal(n_got, 1);
	assert_ptr_equal(got[0].sub, s);
	assert_string_equal(got[0].node, "class/7b/t.count");
	assert_string_equal(got[0].id, ann);
	assert_string_equal(got[0].datatype, "urn:lectern:state:t.count:3");
	assert_int_equal(got[0].seq, 2);
	json = "{\"v\":1,\"seq\":2,\"t\":\"2026-11-23T17:40:00.123Z\","
	    "\"sec\":\"unauthenticated\",\"state\":{\"n\":2}}";
	assert_string_equal(got[0].json, json);
	event("ann");
	assert_int_equal(n_got, 1);
	turns(3);
	assert_int_equal(n_got, 2);
	assert_int_equal(last_seq(s, ann), 3);
	assert_int_equal(metric_value[METRIC_ITEMS_SENT], 2);
	assert_int_equal(metric_value[METRIC_ITEMS_COALESCED], 0);
	turns(3);
	assert_int_equal(n_batches, 2);
	world_close();
}

static void
test_nodes_of_a_student(void **state)
{
	char node[NODE_MAX + 1], id[ITEM_ID_MAX + 1];
	struct hub_sub *count, *docs, *class_docs;

	(void)state;
	world_open(SCHOOL);
	snprintf(node, sizeof node, "student/%s/t.count", pseudonym("ann"));
	count = subscribe(node, "ann@x", 0);
	snprintf(node, sizeof node, "student/%s/t.docs", pseudonym("ann"));
	docs = subscribe(node, "tina@x", 0);
	class_docs = subscribe("class/7b/t.docs", "tina@x", 0);
	event_of("ann", "essay 1");
	event_of("ann", "essay 2");
	event_of("bob", "essay 1");
	hub_spread(hub);
	turns(3);
	assert_int_equal(n_got, 1 + 2 + 3);
	assert_int_equal(last_seq(count, "current"), 2);
	assert_int_equal(last_seq(docs, "essay%201"), 1);
	assert_int_equal(last_seq(docs, "essay%202"), 1);
	snprintf(id, sizeof id, "%s/essay%%201", pseudonym("bob"));
	assert_int_equal(last_seq(class_docs, id), 1);
	world_close();
}

/* Other classes, people outside the roster, other reducers. */
static void
test_only_the_node(void **state)
{
	(void)state;
	world_open(SCHOOL);
	subscribe("class/7b/t.docs", "tina@x", 0);
	event("ann");
	event_of("cy", "essay");
	event_of("nobody", "essay");
	hub_spread(hub);
	turns(3);
	assert_int_equal(n_got, 0);
	event_of("bob", "essay");
	hub_spread(hub);
	turns(3);
	assert_int_equal(n_got, 1);
	world_close();
}

/* States that the hub first sees at any point of a subscription's life. */
static void
test_late_students(void **state)
{
	struct hub_sub *first, *second;
	char node[NODE_MAX + 1];

	(void)state;
	world_open(SCHOOL);
	event("cy"); /* with nobody subscribed at all */
	first = subscribe("class/7b/t.count", "tina@x", 0);
	turns(2);
	assert_int_equal(n_got, 0);
	event("ann");
	turns(2);
	assert_int_equal(last_seq(first, pseudonym("ann")), 1);
	/* there, but not spread, when another node gets its first subscriber */
	event_of("bob", NULL);
	snprintf(node, sizeof node, "student/%s/t.count", pseudonym("bob"));
	second = subscribe(node, "bob@x", 0);
	turns(2);
	assert_int_equal(last_seq(second, "current"), 1);
	hub_spread(hub);
	event("bob");
	turns(2);
	assert_int_equal(last_seq(first, pseudonym("bob")), 2);
	assert_int_equal(last_seq(second, "current"), 2);
	/* looked at before, when nobody wanted it */
	first = subscribe("class/8a/t.count", "tom@x", 0);
	turns(2);
	assert_int_equal(last_seq(first, pseudonym("cy")), 1);
	world_close();
}

static void
test_newest_value_only(void **state)
{
	struct hub_sub *s;

	(void)state;
	world_open(SCHOOL);
	s = subscribe("class/7b/t.count", "tina@x", 0);
	for (int i = 0; i < 5; i++)
		event("ann");
	turns(3);
	assert_int_equal(n_got, 1);
	assert_int_equal(last_seq(s, pseudonym("ann")), 5);
	assert_int_equal(metric_value[METRIC_ITEMS_COALESCED], 4);
	assert_int_equal(metric_value[METRIC_ITEMS_SENT], 1);
	world_close();
}

static void
test_one_text_for_all(void **state)
{
	unsigned before;

	(void)state;
	world_open(SCHOOL);
	event("ann");
	for (int i = 0; i < 100; i++)
		subscribe("class/7b/t.count", "tina@x", 0);
	before = world_encodes;
	turns(5);
	assert_int_equal(n_got, 100);
	assert_int_equal(world_encodes - before, 1);
	event("ann");
	turns(5);
	assert_int_equal(n_got, 200);
	assert_int_equal(world_encodes - before, 2);
	world_close();
}

static void
test_nobody_costs_no_text(void **state)
{
	struct hub_sub *s;
	unsigned before = world_encodes;

	(void)state;
	world_open(SCHOOL);
	event("ann");
	s = subscribe("class/8a/t.count", "tom@x", 0);
	event("ann");
	hub_unsubscribe(s);
	event("cy");
	turns(3);
	assert_int_equal(world_encodes, before);
	world_close();
}

/* ---- when it comes ---- */

static void
test_interval(void **state)
{
	struct hub_sub *s;

	(void)state;
	world_open(SCHOOL);
	event("ann");
	s = subscribe("class/7b/t.count", "tina@x", HOUR);
	turns(3);
	assert_int_equal(last_seq(s, pseudonym("ann")), 1); /* the first at once */
	event("ann");
	event("bob");
	turns(10);
	assert_int_equal(n_got, 1);
	event("ann");
	hub_sub_interval(s, HOUR - 1);
	turns(10);
	assert_int_equal(n_got, 1);
	hub_sub_interval(s, 0);
	turns(3);
	assert_int_equal(n_got, 3);
	assert_int_equal(n_batches, 2);
	assert_int_equal(last_seq(s, pseudonym("ann")), 3);
	world_close();
}

static void
stop_deliver(struct hub_sub *s)
{
	if (n_batches == 2) {
		(void)s;
		loop_stop(loop);
	}
}

/* The timer alone brings the final value. */
static void
test_interval_passes(void **state)
{
	struct hub_sub *s;

	(void)state;
	world_open(SCHOOL);
	on_deliver = stop_deliver;
	event("ann");
	s = subscribe("class/7b/t.count", "tina@x", 1);
	turns(2);
	event("ann");
	event("ann");
	if (n_batches < 2)
		loop_run(loop);
	assert_int_equal(last_seq(s, pseudonym("ann")), 3);
	world_close();
}

static void
test_refresh(void **state)
{
	struct hub_sub *s;

	(void)state;
	world_open(SCHOOL);
	event("ann");
	event("bob");
	s = subscribe("class/7b/t.count", "tina@x", HOUR);
	turns(3);
	event("ann");
	hub_sub_refresh(s);
	assert_int_equal(n_got, 2);
	turns(3);
	assert_int_equal(n_got, 4);
	assert_int_equal(last_seq(s, pseudonym("ann")), 2);
	assert_int_equal(times(s, pseudonym("bob")), 2);
	event("bob");
	turns(3);
	assert_int_equal(n_got, 4); /* the interval counts from here */
	world_close();
}

static void
test_full_door(void **state)
{
	struct hub_sub *s, *t;

	(void)state;
	world_open(SCHOOL);
	room = 0;
	s = subscribe("class/7b/t.count", "tina@x", 0);
	t = subscribe("class/8a/t.count", "tom@x", 0);
	event("ann");
	turns(3);
	assert_int_equal(n_batches, 1);
	for (int i = 0; i < 4; i++) {
		event("ann");
		event("bob");
		event("cy");
		turns(2);
	}
	assert_int_equal(n_batches, 1); /* not asked again */
	assert_int_equal(metric_value[METRIC_ITEMS_SENT], 0);
	room = SIZE_MAX;
	hub_door_ready(door);
	assert_int_equal(n_got, 0);
	turns(3);
	assert_int_equal(n_got, 3);
	assert_int_equal(last_seq(s, pseudonym("ann")), 5);
	assert_int_equal(last_seq(s, pseudonym("bob")), 4);
	assert_int_equal(last_seq(t, pseudonym("cy")), 4);
	world_close();
}

static void
ready_deliver(struct hub_sub *s)
{
	(void)s;
	hub_door_ready(door);
	if (n_batches == 3)
		room = SIZE_MAX;
}

/* The word that there is room again must not be lost, whenever it comes. */
static void
test_ready_while_it_says_no(void **state)
{
	struct hub_sub *s;

	(void)state;
	world_open(SCHOOL);
	room = 0;
	on_deliver = ready_deliver;
	s = subscribe("class/7b/t.count", "tina@x", 0);
	event("ann");
	turns(10);
	assert_int_equal(n_batches, 3);
	assert_int_equal(n_got, 1);
	assert_int_equal(last_seq(s, pseudonym("ann")), 1);
	world_close();
}

static void
test_other_doors_go_on(void **state)
{
	struct hub_door *other;
	struct hub_sub *s;

	(void)state;
	world_open(SCHOOL);
	room = 0;
	subscribe("class/7b/t.count", "tina@x", 0);
	event("ann");
	turns(3);
	room = SIZE_MAX;
	other = hub_door_new(hub, &world_ops, NULL);
	assert_int_equal(hub_subscribe(other, STR_LIT("class/7b/t.count"), STR_LIT("tina@x"), 0,
	    NULL, &s), ERR_OK);
	turns(3);
	assert_int_equal(n_got, 1);
	assert_int_equal(last_seq(s, pseudonym("ann")), 1);
	hub_door_free(other);
	world_close();
}

/* ---- ends ---- */

static void
test_unsubscribe(void **state)
{
	struct hub_sub *s;
	int user;

	(void)state;
	world_open(SCHOOL);
	event("ann");
	assert_int_equal(hub_subscribe(door, STR_LIT("class/7b/t.count"), STR_LIT("tina@x"), 0, &user,
	    &s), ERR_OK);
	assert_ptr_equal(hub_sub_user(s), &user);
	assert_string_equal(hub_sub_node(s), "class/7b/t.count");
	assert_string_equal(hub_sub_reader(s), "tina@x");
	assert_int_equal(metric_value[METRIC_SUBSCRIPTIONS], 1);
	hub_unsubscribe(s);
	turns(3);
	assert_int_equal(n_batches, 0);
	assert_int_equal(metric_value[METRIC_SUBSCRIPTIONS], 0);
	world_close();
}

/* Doors, subscriptions, an armed timer and a turn that is due. */
static void
test_free_with_everything(void **state)
{
	(void)state;
	world_open(SCHOOL);
	event("ann");
	subscribe("class/7b/t.count", "tina@x", HOUR);
	turns(3);
	event("ann");
	subscribe("class/7b/t.docs", "tina@x", 0);
	event_of("bob", "essay");
	hub_spread(hub);
	world_close();
	assert_int_equal(n_got, 0);
	hub_free(NULL);
}

/* Another hub on the same engine starts from nothing. */
static void
test_next_hub(void **state)
{
	struct hub_sub *s;

	(void)state;
	world_open(SCHOOL);
	subscribe("class/7b/t.count", "tina@x", 0);
	event("ann");
	event("cy");
	turns(3);
	hub_free(hub);
	hub = hub_new(loop, engine, roster);
	door = hub_door_new(hub, &world_ops, NULL);
	event("cy");
	s = subscribe("class/8a/t.count", "tom@x", 0);
	event("cy");
	turns(3);
	assert_int_equal(last_seq(s, pseudonym("cy")), 3);
	world_close();
}

static void
test_limit_of_a_reader(void **state)
{
	struct hub_sub *first = NULL, *s;

	(void)state;
	world_open(SCHOOL);
	for (int i = 0; i < HUB_READER_SUBS_MAX; i++) {
		s = subscribe("class/big/t.count", "tina@x", 0);
		first = first != NULL ? first : s;
	}
	assert_int_equal(hub_subscribe(door, STR_LIT("class/7b/t.count"), STR_LIT("tina@x"), 0, NULL,
	    &s), ERR_FULL);
	subscribe("class/big/t.count", "tom@x", 0);
	hub_unsubscribe(first);
	subscribe("class/7b/t.count", "tina@x", 0);
	assert_int_equal(metric_value[METRIC_SUBSCRIPTIONS], HUB_READER_SUBS_MAX + 1);
	world_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snapshot_then_live),
		cmocka_unit_test(test_nodes_of_a_student),
		cmocka_unit_test(test_only_the_node),
		cmocka_unit_test(test_late_students),
		cmocka_unit_test(test_newest_value_only),
		cmocka_unit_test(test_one_text_for_all),
		cmocka_unit_test(test_nobody_costs_no_text),
		cmocka_unit_test(test_interval),
		cmocka_unit_test(test_interval_passes),
		cmocka_unit_test(test_refresh),
		cmocka_unit_test(test_full_door),
		cmocka_unit_test(test_ready_while_it_says_no),
		cmocka_unit_test(test_other_doors_go_on),
		cmocka_unit_test(test_unsubscribe),
		cmocka_unit_test(test_free_with_everything),
		cmocka_unit_test(test_next_hub),
		cmocka_unit_test(test_limit_of_a_reader),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
