/* SPDX-License-Identifier: MIT */
/* Publishing at a server's PubSub service: what is asked and in which order, who
 * could ever read what, and every error. */
#include "publisher_world.h"

#define COUNTS "class/7b/t.count"

static void
every_node_is_published(void **state)
{
	(void)state;
	start("7b:+anna,u1,u2;8a:+bert,u3", 0, 0);
	stream_comes();
	run();
	event("u1");
	event("u1");
	run();
	assert_int_equal(map_size(publisher->nodes), 2 * 3 + 3 * 2);
	assert_int_equal(fake_nodes(), map_size(publisher->nodes));
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 2);
	assert_true(seq_at("class/7b/_roster", pseudonym("u2")) > 0);
	assert_string_equal(at_service(COUNTS)->model, "whitelist");
	assert_string_equal(at_service(COUNTS)->max, "256");
	assert_string_equal(fake_get(at_service(COUNTS)->affiliation, "anna@x"), "member");
	assert_string_equal(fake_get(at_service(COUNTS)->affiliation, "bert@x"), "");
	assert_int_equal(n_foreign, 0);
}

static void
nothing_is_published_before_all_was_read_back(void **state)
{
	const char *begin;

	(void)state;
	start("7b:u1", 0, 0);
	event("u1");
	stream_comes();
	run();
	buf_byte(&fake.asked, '\0');
	begin = strstr(fake.asked.data, " publish");
	assert_non_null(begin);
	for (const char *const *step = (const char *const[]){ " create", " configure",
	    " affiliations", " subscriptions", " items", NULL }; *step != NULL; step++) {
		const char *at = strstr(fake.asked.data, *step);

		assert_non_null(at);
		assert_true(at < begin);
	}
}

static void
what_the_service_has_is_not_sent_again(void **state)
{
	size_t before;

	(void)state;
	start("7b:+anna,u1,u2", 0, 0);
	stream_comes();
	event("u1");
	event("u2");
	run();
	before = fake.n_published;
	stream_goes();
	stream_comes();
	run();
	assert_int_equal(fake.n_published, before);
	assert_true(publisher->unchanged > 0);
}

static void
what_it_lost_is_sent_again(void **state)
{
	(void)state;
	start("7b:+anna,u1,u2", 0, 0);
	stream_comes();
	event("u1");
	event("u1");
	run();
	stream_goes();
	fake_items_clear(at_service(COUNTS)); /* it answered, and forgot */
	fake_drop(fake_place(at_service("class/7b/_roster")->name));
	stream_comes();
	run();
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 2);
	assert_true(seq_at("class/7b/_roster", pseudonym("u1")) > 0);
}

/* ---- nodes that are not what they must be ---- */

static void
a_whitelist_that_is_ignored_is_seen(void **state)
{
	(void)state;
	start("7b:+anna,u1", 0, 0);
	fake.open_anyway = true;
	event("u1");
	stream_comes();
	run();
	assert_int_equal(fake.n_published, 0);
	assert_int_equal(node(COUNTS)->why, PUB_OPEN);
	later(PUB_RETRY_SLOW_MS);
	run();
	assert_int_equal(fake.n_published, 0);
	for (size_t i = 0; i < FAKE_NODES; i++)
		if (fake.node[i] != NULL)
			fake_model(fake.node[i], "whitelist");
	later(PUB_RETRY_SLOW_MS);
	run();
	assert_int_equal(node(COUNTS)->why, PUB_FINE);
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 1);
}

static void
an_open_node_of_somebody_is_refused(void **state)
{
	char opaque[NODE_OPAQUE_LEN + 1];

	(void)state;
	start("7b:+anna,u1", 0, 0);
	node_opaque(KEY, STR_LIT(COUNTS), opaque);
	fake_make(opaque, "open", "256");
	event("u1");
	stream_comes();
	run();
	assert_int_equal(node(COUNTS)->why, PUB_OPEN);
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 0);
	assert_true(seq_at("class/7b/_roster", pseudonym("u1")) > 0); /* others are fine */
	fake_model(at_service(COUNTS), "whitelist");
	set_roster("7b:+anna,u1"); /* a reload tries at once */
	run();
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 1);
}

static void
a_node_opened_meanwhile_takes_nothing(void **state)
{
	(void)state;
	start("7b:+anna,u1", 0, 0);
	stream_comes();
	run();
	fake_model(at_service(COUNTS), "open");
	event("u1");
	run();
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 0);
	assert_int_equal(node(COUNTS)->why, PUB_OPEN);
}

static void
a_smaller_node_is_configured_once(void **state)
{
	char opaque[NODE_OPAQUE_LEN + 1];

	(void)state;
	start("7b:+anna,u1", 0, 0);
	node_opaque(KEY, STR_LIT(COUNTS), opaque);
	fake_make(opaque, "whitelist", "1");
	event("u1");
	stream_comes();
	run();
	assert_string_equal(at_service(COUNTS)->max, "256");
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 1);
	stream_goes();
	fake_make(opaque, "whitelist", "1");
	fake.keeps_config = true;
	stream_comes();
	run();
	assert_int_equal(node(COUNTS)->why, PUB_CONFIGURED);
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 0);
}

/* ---- access ---- */

static void
access_is_taken_away_before_the_next_item(void **state)
{
	(void)state;
	start("7b:+anna,+bert,u1", 0, 0);
	fake.forbidden_though = true;
	stream_comes();
	event("u1");
	run();
	fake_set(at_service(COUNTS)->subscription, "anna@x", "subscribed");
	fake_set(at_service(COUNTS)->subscription, "anna@x/desk", "subscribed");
	fake_set(at_service(COUNTS)->subscription, "bert@x", "subscribed");
	set_roster("7b:+bert,u1");
	event("u1"); /* the service's answers are checked with each item */
	run();
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 2);
	assert_string_equal(fake_get(at_service(COUNTS)->affiliation, "anna@x"), "");
	assert_string_equal(fake_get(at_service(COUNTS)->subscription, "anna@x/desk"), "");
	assert_string_equal(fake_get(at_service(COUNTS)->subscription, "bert@x"), "subscribed");
}

/* The roster changes between an item and its answer. */
static void
access_is_taken_away_while_an_item_is_under_way(void **state)
{
	(void)state;
	start("7b:+anna,u1", 0, 0);
	stream_comes();
	run();
	event("u1");
	turns(4);
	assert_int_equal(node(COUNTS)->step, PUB_PUBLISH);
	set_roster("7b:+bert,u1");
	event("u1");
	turns(4);
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 1);
	run();
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 2);
	assert_string_equal(fake_get(at_service(COUNTS)->affiliation, "anna@x"), "");
}

/* More to change than before is no sign that the service does not obey. */
static void
a_roster_changes_while_affiliations_do(void **state)
{
	(void)state;
	start("7b:+anna,u1", 1, 0);
	stream_comes();
	while (node(COUNTS)->step != PUB_AFFILIATE || node(COUNTS)->queue != &publisher->work)
		tell_one();
	set_roster("7b:+bert,+carl,+dora,u1");
	run();
	assert_int_equal(node(COUNTS)->why, PUB_FINE);
	assert_int_equal(node(COUNTS)->step, PUB_READY);
	assert_string_equal(fake_get(at_service(COUNTS)->affiliation, "anna@x"), "");
	assert_string_equal(fake_get(at_service(COUNTS)->affiliation, "dora@x"), "member");
}

static void
a_service_that_keeps_a_member_gets_nothing(void **state)
{
	(void)state;
	start("7b:+anna,u1", 0, 0);
	stream_comes();
	run();
	fake.keeps_members = true;
	set_roster("7b:+bert,u1");
	event("u1");
	run();
	assert_int_equal(node(COUNTS)->why, PUB_MEMBERS);
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 0);
	fake.keeps_members = false;
	later(PUB_RETRY_SLOW_MS);
	run();
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 1);
}

/* Left behind by a life that ended between two of the four steps. */
static void
a_strangers_subscription_is_found_and_ended(void **state)
{
	(void)state;
	start("7b:+anna,u1", 0, 0);
	stream_comes();
	run();
	stream_goes();
	fake_set(at_service(COUNTS)->subscription, "eve@x/a", "subscribed");
	fake_set(at_service(COUNTS)->affiliation, "eve@x", "publisher");
	event("u1");
	stream_comes();
	run();
	assert_string_equal(fake_get(at_service(COUNTS)->subscription, "eve@x/a"), "");
	assert_string_equal(fake_get(at_service(COUNTS)->affiliation, "eve@x"), "");
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 1);
}

static void
who_left_leaves_no_item_and_no_node(void **state)
{
	char *own = mem_printf("student/%s/t.count", pseudonym("u1"));

	(void)state;
	start("7b:+anna,u1,u2", 0, 0);
	stream_comes();
	event("u1");
	event("u2");
	run();
	assert_non_null(at_service(own));
	set_roster("7b:+anna,u2");
	run();
	assert_null(at_service(own));
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 0);
	assert_int_equal(seq_at("class/7b/_roster", pseudonym("u1")), 0);
	assert_int_equal(seq_at(COUNTS, pseudonym("u2")), 1);
	mem_free(own);
}

static void
who_left_while_we_were_away_leaves_nothing_either(void **state)
{
	char *own = mem_printf("student/%s/t.count", pseudonym("u1"));

	(void)state;
	start("7b:+anna,u1,u2", 0, 0);
	stream_comes();
	event("u1");
	run();
	stream_goes();
	publisher_free(publisher);
	set_roster("7b:+anna,u2");
	publisher_open(0, 0);
	stream_comes();
	run();
	assert_null(at_service(own));
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 0);
	mem_free(own);
}

/* ---- limits ---- */

static void
an_item_without_room_is_left_out_and_counted(void **state)
{
	(void)state;
	start("7b:+anna,u1,u2,u3", 0, 2);
	stream_comes();
	event("u1");
	event("u2");
	run();
	event("u3");
	event("u3");
	event("u1");
	run();
	assert_int_equal(seq_at(COUNTS, pseudonym("u3")), 0);
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 2);
	assert_int_equal(node(COUNTS)->left_out, 1);
	set_roster("7b:+anna,u1,u3"); /* there is room now */
	run();
	assert_int_equal(seq_at(COUNTS, pseudonym("u3")), 2);
	assert_int_equal(node(COUNTS)->left_out, 0);
}

static void
items_that_cannot_be_read_back_are_published_anew(void **state)
{
	(void)state;
	start("7b:+anna,u1", 0, 0);
	stream_comes();
	event("u1");
	run();
	stream_goes();
	snprintf(fake_item(at_service(COUNTS), "stale")->id, 8, "stale");
	fake_item(at_service(COUNTS), "stale")->json = mem_strdup("{}");
	fake.huge = true;
	stream_comes();
	run();
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 1);
	assert_int_equal(seq_at(COUNTS, "stale"), 0);
	assert_null(fake_item(at_service(COUNTS), "stale")->json);
}

static void
no_more_is_under_way_than_the_window(void **state)
{
	(void)state;
	start("7b:+anna,u1,u2,u3,u4;8a:+bert,u5,u6,u7", 8, 0);
	fake.silent = true;
	stream_comes();
	turns(20);
	assert_true(fake.n_asked <= 8);
	assert_true(fake.n_asked >= 4);
	assert_int_equal(publisher->n_asked, fake.n_asked);
}

static void
answers_in_any_order_end_in_the_same_items(void **state)
{
	(void)state;
	start("7b:+anna,u1,u2,u3", 0, 0);
	fake.backwards = true;
	stream_comes();
	for (int i = 0; i < 20; i++) {
		event("u1");
		event("u2");
		turns(2);
		if (i % 3 == 0)
			deliver_answers();
	}
	run();
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 20);
	assert_int_equal(seq_at(COUNTS, pseudonym("u2")), 20);
}

/* ---- a service that is silent, or absent ---- */

static void
silence_is_asked_again_one_at_a_time(void **state)
{
	size_t before;

	(void)state;
	start("7b:+anna,u1,u2", 8, 0);
	fake.silent = true;
	stream_comes();
	event("u1");
	turns(8);
	later(PUB_ANSWER_MS);
	turns(8);
	assert_true(publisher->absent);
	before = fake.n_asked;
	publisher->absent_until = 0;
	later(0);
	turns(8);
	later(0);
	turns(8);
	assert_int_equal(fake.n_asked, before + 1);
	fake.silent = false;
	later(PUB_ANSWER_MS);
	publisher->absent_until = 0;
	later(0);
	run();
	assert_false(publisher->absent);
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 1);
}

/* The answers come after all, when nobody waits for them any more. */
static void
late_and_foreign_answers_are_ignored(void **state)
{
	(void)state;
	start("7b:+anna,u1", 0, 0);
	stream_comes();
	turns(4);
	assert_true(fake.n_answers > 0);
	later(PUB_ANSWER_MS);
	deliver_answers();
	assert_true(publisher->late > 0);
	publisher->absent_until = 0;
	later(0);
	run();
	tell("<iq type='result' from='eve@x' to='" JID "' id='publisher-1'/>");
	tell("<iq type='result' from='school.test' to='" JID "' id='credit-1'/>");
	tell("<iq type='get' from='" PUBSUB_JID "' to='" JID "' id='publisher-1'><ping/></iq>");
	tell("<message from='" PUBSUB_JID "' to='" JID "'/>");
	assert_int_equal(n_foreign, 4);
	event("u1");
	run();
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 1);
}

/* ---- errors ---- */

static void
begin_with_error(const char *element, const char *error, unsigned times)
{
	start("7b:+anna,u1", 0, 0);
	stream_comes();
	run();
	fake.script = (struct fake_script){ element, error, times };
	event("u1");
	run();
}

static void
a_vanished_node_is_made_again(void **state)
{
	(void)state;
	start("7b:+anna,u1", 0, 0);
	stream_comes();
	run();
	fake_drop(fake_place(at_service(COUNTS)->name));
	event("u1");
	run();
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 1);
	assert_string_equal(fake_get(at_service(COUNTS)->affiliation, "anna@x"), "member");
}

static void
a_node_that_vanishes_for_ever_is_not_made_for_ever(void **state)
{
	(void)state;
	begin_with_error("publish", "cancel item-not-found", UINT32_MAX);
	assert_true(fake.n_asked < 300);
	for (int i = 0; i < 10; i++) {
		later(PUB_RETRY_MAX_MS);
		run();
	}
	assert_int_equal(node(COUNTS)->why, PUB_BUSY);
}

static void
forbidden_is_said_and_tried_slowly(void **state)
{
	size_t before;

	(void)state;
	begin_with_error("publish", "auth forbidden", UINT32_MAX);
	assert_int_equal(node(COUNTS)->why, PUB_FORBIDDEN);
	before = fake.n_asked;
	later(PUB_RETRY_MAX_MS);
	run();
	assert_int_equal(fake.n_asked, before);
	fake.script.times = 0;
	later(PUB_RETRY_SLOW_MS);
	run();
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 1);
}

static void
too_large_a_state_is_skipped_and_the_next_is_not(void **state)
{
	(void)state;
	/* the class's and the student's own node */
	begin_with_error("publish", "modify not-acceptable payload-too-big", 2);
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 0);
	assert_int_equal(publisher->skipped, 2);
	assert_int_equal(node(COUNTS)->why, PUB_FINE);
	event("u1");
	run();
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 2);
}

static void
wait_is_waited_for_but_not_for_ever(void **state)
{
	(void)state;
	begin_with_error("publish", "wait resource-constraint", UINT32_MAX);
	assert_int_equal(node(COUNTS)->why, PUB_FINE);
	assert_true(node(COUNTS)->retry_ms > 0);
	for (int i = 0; i < 10; i++) {
		later(PUB_RETRY_MAX_MS);
		run();
	}
	assert_int_equal(node(COUNTS)->why, PUB_BUSY);
	fake.script.times = 0;
	later(PUB_RETRY_SLOW_MS);
	run();
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 1);
}

static void
a_service_that_is_away_is_asked_by_one(void **state)
{
	(void)state;
	begin_with_error("publish", "wait remote-server-timeout", UINT32_MAX);
	assert_true(publisher->absent);
	assert_true(publisher->n_asked <= 1);
	fake.script.times = 0;
	publisher->absent_until = 0;
	later(0);
	run();
	assert_false(publisher->absent);
	assert_int_equal(seq_at(COUNTS, pseudonym("u1")), 1);
}

/* Whatever is answered to whatever is asked: nothing loops, and when the service
 * is well again everything is there. */
static void
every_error_at_every_step_heals(void **state)
{
	static const char *const elements[] = { "create", "configure", "affiliations",
		"subscriptions", "items", "publish", "retract", "delete" };
	static const char *const errors[] = { "cancel item-not-found", "auth forbidden",
		"cancel conflict", "cancel not-allowed closed-node", "modify bad-request",
		"modify not-acceptable payload-too-big", "wait resource-constraint",
		"cancel service-unavailable", "cancel feature-not-implemented unsupported",
		"wait remote-server-timeout", "cancel undefined-condition", "modify nonsense" };

	(void)state;
	for (size_t i = 0; i < COUNT(elements); i++) {
		for (size_t k = 0; k < COUNT(errors); k++) {
			start("7b:+anna,u1,u2", 0, 0);
			fake.script = (struct fake_script){ elements[i], errors[k], UINT32_MAX };
			event("u1");
			event("u2");
			stream_comes();
			run();
			set_roster("7b:+bert,u1");
			for (int n = 0; n < 12; n++) {
				publisher->absent_until = 0;
				later(PUB_RETRY_SLOW_MS);
				run();
			}
			assert_true(fake.n_asked < 3000);
			fake.script.times = 0;
			for (int n = 0; n < 3; n++) {
				publisher->absent_until = 0;
				later(PUB_RETRY_SLOW_MS);
				run();
			}
			event("u1");
			run();
			if (seq_at(COUNTS, pseudonym("u1")) != 2)
				fail_msg("%s to %s: %s", errors[k], elements[i],
				    pub_why_name(node(COUNTS)->why));
			assert_int_equal(seq_at(COUNTS, pseudonym("u2")), 0);
			/* a node of which the service says that it is not there is forgotten */
			if (strcmp(elements[i], "delete") != 0 || k != 0)
				if (fake_nodes() != 3 + 2)
					fail_msg("%s to %s leaves a node", errors[k], elements[i]);
			if (i + 1 < COUNT(elements) || k + 1 < COUNT(errors))
				finish(state);
		}
	}
}

/* ---- anything at all ---- */

static void
random_disturb(unsigned what)
{
	static const char *const rosters[] = { "7b:+anna,u1,u2", "7b:+bert,u1,u2,u3",
		"7b:+anna,+bert,u1;8a:+anna,u2", "7b:u1,u2,u3", "8a:+bert,u1,u2" };
	struct fake_node *n = fake.node[what / 64 % FAKE_NODES];

	switch (what % 16) {
	case 0:
		set_roster(rosters[what / 64 % COUNT(rosters)]);
		break;
	case 1:
		stream_goes();
		stream_comes();
		break;
	case 2:
		if (n != NULL)
			fake_drop(fake_place(n->name));
		break;
	case 3:
		if (n != NULL && strcmp(fake_get(n->affiliation, "anna@x"), "member") == 0)
			fake_set(n->subscription, "anna@x/desk", "subscribed");
		break;
	case 4:
		fake.script = (struct fake_script){ "publish", "wait resource-constraint", 3 };
		break;
	default:
		event(what % 2 ? "u1" : what % 3 ? "u2" : "u3");
	}
}

static uint64_t
count_of(const char *id)
{
	for (struct state *s = engine_student(engine, str_of(id))->states; s; s = s->of_student)
		if (s->reducer == &world_count)
			return s->seq;
	return 0;
}

static void
whatever_happens_nobody_reads_what_is_not_theirs(void **state)
{
	uint32_t random = 42;

	(void)state;
	start("7b:+anna,u1,u2", 0, 0);
	fake.forbidden_though = true;
	stream_comes();
	for (int i = 0; i < 3000; i++) {
		random = random * 1664525 + 1013904223;
		random_disturb(random >> 8);
		turns(2);
		if (random >> 31)
			deliver_answers();
		if (i % 100 == 0)
			later(PUB_RETRY_MAX_MS);
	}
	set_roster("7b:+bert,u1,u2,u3");
	fake.script.times = 0;
	stream_goes();
	stream_comes();
	run();
	for (const char *const *id = (const char *const[]){ "u1", "u2", "u3", NULL }; *id; id++) {
		event(*id);
		run();
		assert_int_equal(seq_at(COUNTS, pseudonym(*id)), count_of(*id));
	}
	assert_int_equal(fake_nodes(), 3 + 6);
}

#define TEST(name) cmocka_unit_test_teardown(name, finish)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_node_is_published),
		TEST(nothing_is_published_before_all_was_read_back),
		TEST(what_the_service_has_is_not_sent_again),
		TEST(what_it_lost_is_sent_again),
		TEST(a_whitelist_that_is_ignored_is_seen),
		TEST(an_open_node_of_somebody_is_refused),
		TEST(a_node_opened_meanwhile_takes_nothing),
		TEST(a_smaller_node_is_configured_once),
		TEST(access_is_taken_away_before_the_next_item),
		TEST(access_is_taken_away_while_an_item_is_under_way),
		TEST(a_roster_changes_while_affiliations_do),
		TEST(a_service_that_keeps_a_member_gets_nothing),
		TEST(a_strangers_subscription_is_found_and_ended),
		TEST(who_left_leaves_no_item_and_no_node),
		TEST(who_left_while_we_were_away_leaves_nothing_either),
		TEST(an_item_without_room_is_left_out_and_counted),
		TEST(items_that_cannot_be_read_back_are_published_anew),
		TEST(no_more_is_under_way_than_the_window),
		TEST(answers_in_any_order_end_in_the_same_items),
		TEST(silence_is_asked_again_one_at_a_time),
		TEST(late_and_foreign_answers_are_ignored),
		TEST(a_vanished_node_is_made_again),
		TEST(a_node_that_vanishes_for_ever_is_not_made_for_ever),
		TEST(forbidden_is_said_and_tried_slowly),
		TEST(too_large_a_state_is_skipped_and_the_next_is_not),
		TEST(wait_is_waited_for_but_not_for_ever),
		TEST(a_service_that_is_away_is_asked_by_one),
		TEST(every_error_at_every_step_heals),
		TEST(whatever_happens_nobody_reads_what_is_not_theirs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
