/* SPDX-License-Identifier: MIT */
/* The PubSub service beyond single exchanges (those are in tests/conformance):
 * subscribing, what lasts and what does not, options. */
#include "xmpp_world.h"

#include "base/datetime.h"

/* ---- subscribing ---- */

static void
confirmation_comes_before_the_snapshot(void **state)
{
	(void)state;
	event("u1");
	event("u3");
	ask("set", DESK, PS "<subscribe node='" COUNTS
	    "' jid='" TEACHER "'/></pubsub>");
	assert_int_equal(n_said, 0); /* not on disk yet */
	settle();
	assert_int_equal(n_said, 2);
	assert_string_equal(said[0].name, "iq");
	assert_string_equal(said[0].to, DESK);
	assert_string_equal(said[1].name, "message");
	assert_string_equal(said[1].to, TEACHER);
	assert_non_null(strstr(said[1].text, pseudonym("u1")));
	assert_non_null(strstr(said[1].text, pseudonym("u3")));
	assert_null(strstr(said[1].text, pseudonym("u2")));
	assert_non_null(strstr(said[1].text, "<json xmlns='urn:xmpp:json:0'>{\"v\":1,\"seq\":1,"
	    "\"t\":\"2026-11-23T17:40:00.123Z\",\"sec\":\"unauthenticated\","
	    "\"state\":{\"count\":1}}</json>"));
}

static void
changes_follow_with_their_seq(void **state)
{
	(void)state;
	subscribe(DESK, COUNTS, TEACHER);
	for (int i = 0; i < 3; i++)
		event("u2");
	turns(4);
	assert_int_equal(messages(), 1); /* coalesced: one turn, one value */
	assert_non_null(strstr(last_said(), "\"seq\":3"));
	event("v1"); /* another class */
	turns(4);
	assert_int_equal(n_said, 1);
}

static void
second_subscription_is_the_first(void **state)
{
	char first[SUBID_LEN + 1];
	const struct subscription *sub;

	(void)state;
	event("u1");
	subscribe(DESK, COUNTS, TEACHER);
	sub = book_find(service->book, STR_LIT(TEACHER), COUNTS, TEACHER);
	memcpy(first, sub->subid, sizeof first);
	subscribe_with(DESK, COUNTS, TEACHER, NULL);
	settle();
	assert_int_equal(book_size(service->book), 1);
	assert_int_equal(times_said("iq", first), 1);
	assert_int_equal(messages(), 1); /* the snapshot again */
}

static void
addresses_are_compared_canonically(void **state)
{
	(void)state;
	presence("Teacher@SCHOOL.test/Desk", NULL);
	subscribe("Teacher@SCHOOL.test/Desk", COUNTS, "teacher@School.test/Desk");
	event("u1");
	turns(4);
	assert_string_equal(said[0].to, "teacher@school.test/Desk");
	forget();
	presence("teacher@school.test/desk", "unavailable"); /* another resource */
	assert_int_equal(book_size(service->book), 1);
	presence("teacher@school.test/Desk", "unavailable");
	assert_int_equal(book_size(service->book), 0);
}

static void
reader_has_so_many_subscriptions(void **state)
{
	char node[NODE_MAX + 1];
	size_t subscribed = 0;

	(void)state;
	world_close();
	world_open(BOOK_READER_SUBS_MAX, 200);
	presence(DESK, NULL);
	for (size_t i = 1; i <= BOOK_READER_SUBS_MAX; i++) {
		char id[24];

		snprintf(id, sizeof id, "u%zu", i);
		snprintf(node, sizeof node, "student/%s/activity.event_count", pseudonym(id));
		subscribe_with(DESK, node, DESK, NULL);
	}
	subscribed = times_said("iq", "subscription='subscribed'");
	assert_int_equal(subscribed, BOOK_READER_SUBS_MAX);
	forget();
	subscribe_with(DESK, COUNTS, DESK, NULL);
	assert_int_equal(times_said("iq", "<too-many-subscriptions "), 1);
	assert_int_equal(times_said("iq", "<error type='wait'><policy-violation "), 1);
	forget();
	subscribe_with(DESK, node, DESK, NULL); /* one that exists */
	assert_int_equal(times_said("iq", "subscription='subscribed'"), 1);
	forget();

	/* All of them do not fit one stanza: pages. */
	ask("get", DESK, PS "<subscriptions/></pubsub>");
	assert_int_equal(times_said("iq", "<set xmlns='http://jabber.org/protocol/rsm'>"), 0);
	assert_true(strlen(last_said()) < SERVICE_OUT_MAX);
}

/* Every restart of the server leaves sessions that are gone; they must not lock
 * their reader out. Those that have said since that they are there stay. */
static void
lost_sessions_give_way(void **state)
{
	char from[64];

	(void)state;
	for (int i = 0; i < BOOK_READER_SUBS_MAX; i++) {
		snprintf(from, sizeof from, TEACHER "/%d", i);
		presence(from, NULL);
		subscribe_with(from, COUNTS, from, NULL);
	}
	forget();
	subscribe_with(DESK, COUNTS, DESK, OPTION("pubsub#expire", "presence"));
	assert_int_equal(times_said("iq", "<too-many-subscriptions "), 1);
	service_down(service);
	service_up(service);
	presence(TEACHER "/0", NULL);
	forget();
	presence(DESK, NULL);
	subscribe(DESK, COUNTS, DESK);
	assert_int_equal(book_size(service->book), BOOK_READER_SUBS_MAX);
	assert_non_null(book_find(service->book, STR_LIT(TEACHER), COUNTS, TEACHER "/0"));
	assert_null(book_find(service->book, STR_LIT(TEACHER), COUNTS, TEACHER "/1"));
}

static void
service_publishes_its_own_reducers(void **state)
{
	const struct reducer *mine[] = { NULL, NULL };

	(void)state;
	mine[0] = engine_reducer(engine, STR_LIT("activity.event_count"));
	service_free(service);
	world_reducers = mine;
	world_service(200);
	service_up(service);
	subscribe_with(DESK, TASKS, TEACHER, NULL);
	settle();
	assert_int_equal(times_said("iq", "<closed-node "), 1);
	forget();
	ask("get", DESK, "<query xmlns='http://jabber.org/protocol/disco#items'/>");
	assert_int_equal(times_said("iq", "writing."), 0);
	assert_int_equal(times_said("iq", COUNTS), 1);
	assert_int_equal(times_said("iq", NAMES), 1);
	subscribe(DESK, COUNTS, TEACHER);
}

/* ---- what lasts ---- */

static void
lasting_subscription_survives(void **state)
{
	const struct subscription *sub;
	char subid[SUBID_LEN + 1];

	(void)state;
	subscribe_with(DESK, COUNTS, TEACHER, OPTION("pubsub#digest", "1")
	    OPTION("pubsub#digest_frequency", "3600000"));
	settle();
	sub = book_find(service->book, STR_LIT(TEACHER), COUNTS, TEACHER);
	memcpy(subid, sub->subid, sizeof subid);
	event("u1");
	assert_int_equal(kept(), 1);
	forget();
	world_restart(200);
	turns(4);
	assert_int_equal(messages(), 1);
	assert_string_equal(said[0].to, TEACHER);
	forget();
	ask("get", DESK, PS "<options node='" COUNTS
	    "' jid='" TEACHER "'/></pubsub>");
	assert_non_null(strstr(last_said(), "<value>3600000</value>"));
	assert_non_null(strstr(last_said(), subid));
	event("u1");
	turns(4);
	assert_int_equal(messages(), 0); /* the digest's hour is not over */
}

/* Clients do not notice that we restarted: what they had goes on, and ends with
 * their presence as before, or after a day without a sign of it. */
static void
temporary_subscription_survives(void **state)
{
	(void)state;
	presence(DESK, NULL);
	subscribe(DESK, COUNTS, DESK);
	subscribe_with(TEACHER "/phone", COUNTS, TEACHER "/phone",
	    OPTION("pubsub#expire", "presence"));
	settle();
	assert_int_equal(kept(), 2);
	world_restart(200);
	assert_int_equal(book_size(service->book), 2);
	assert_int_equal(book_lasting(service->book), 0);
	presence(DESK, "unavailable");
	assert_int_equal(book_size(service->book), 1);
	service_tick(service, loop_wall_us(loop) + 23LL * 3600 * 1000000, loop_now_ms(loop));
	assert_int_equal(book_size(service->book), 1);
	service_tick(service, loop_wall_us(loop) + 25LL * 3600 * 1000000, loop_now_ms(loop));
	assert_int_equal(book_size(service->book), 0);
	settle();
	assert_int_equal(kept(), 0);
}

static void
keep_temporary(const char *resource, int64_t doubted_us)
{
	char *key = mem_printf("Subscription,%s,%s", SERVICE, resource);
	char *value = mem_printf("{\"jid\":\"" TEACHER "/%s\",\"node\":\"" COUNTS "\","
	    "\"subid\":\"0123456789abcdef\",\"lasting\":false,\"doubted\":%lld,"
	    "\"deliver\":true,\"digest\":false,\"frequency\":0,\"expire\":0,"
	    "\"presence\":false}", resource, (long long)doubted_us);

	kvs_put(kvs, str_of(key), str_of(value));
	mem_free(key);
	mem_free(value);
}

static int64_t
doubted(const char *jid)
{
	const struct subscription *sub = book_find(service->book, STR_LIT(TEACHER), COUNTS, jid);

	return sub != NULL ? sub->doubted_us : -1;
}

/* However old its session is, it has its day from our restart on; more restarts
 * do not make it longer. */
static void
doubt_begins_with_the_restart(void **state)
{
	int64_t now = loop_wall_us(loop), until;

	(void)state;
	keep_temporary("desk", 0);
	keep_temporary("gone", now - 1);
	world_restart(200);
	assert_int_equal(doubted(TEACHER "/gone"), -1);
	until = doubted(DESK);
	assert_true(until > now + 23LL * 3600 * 1000000);
	while (loop_wall_us(loop) == now)
		;
	world_restart(200);
	assert_int_equal(doubted(DESK), until);
	presence(DESK, NULL);
	assert_int_equal(doubted(DESK), 0);
	world_restart(200);
	assert_true(doubted(DESK) > until);
}

/* A full JID that has not said that it is there: it lasts until it does. */
static void
presence_makes_it_temporary(void **state)
{
	(void)state;
	subscribe(DESK, COUNTS, DESK);
	assert_int_equal(kept(), 1);
	presence(TEACHER "/phone", NULL);
	assert_int_equal(kept(), 1);
	assert_int_equal(book_lasting(service->book), 1);
	presence(DESK, NULL);
	assert_int_equal(book_lasting(service->book), 0);
	presence(DESK, "unavailable");
	assert_int_equal(book_size(service->book), 0);
	assert_int_equal(kept(), 0);
}

static void
unsubscribing_is_for_good(void **state)
{
	(void)state;
	subscribe(DESK, COUNTS, TEACHER);
	ask("set", TEACHER "/phone", PS "<unsubscribe node='"
	    COUNTS "' jid='" TEACHER "'/></pubsub>");
	settle();
	assert_int_equal(times_said("iq", "type='result'"), 1);
	assert_int_equal(kept(), 0);
	event("u1");
	turns(4);
	assert_int_equal(n_said, 1);
}

static void
what_the_roster_forbids_is_not_loaded(void **state)
{
	(void)state;
	subscribe(DESK, COUNTS, TEACHER);
	subscribe("second@school.test/x", COUNTS, "second@school.test");
	service_free(service); /* with the roster changed while nobody looked */
	world_service(200);
	set_roster(3, false);
	world_restart(200);
	assert_int_equal(book_size(service->book), 1);
	assert_int_equal(kept(), 1);
	event("u1");
	turns(4);
	assert_int_equal(messages(), 1);
	assert_string_equal(said[0].to, "second@school.test");
}

static void
damaged_entries_are_dropped(void **state)
{
	static const char *const values[] = {
		"", "{", "[]", "{\"jid\":5}",
		"{\"jid\":\"teacher@school.test\",\"node\":\"" COUNTS "\",\"subid\":\"x\"}",
		"{\"jid\":\"nobody\",\"node\":\"" COUNTS "\",\"subid\":\"0123456789abcdef\","
		"\"deliver\":true,\"digest\":false,\"frequency\":5000,\"expire\":0}",
		"{\"jid\":\"teacher@school.test\",\"node\":\"" COUNTS "\","
		"\"subid\":\"0123456789abcdef\",\"deliver\":true,\"digest\":false,"
		"\"frequency\":-1,\"expire\":0}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		char *key = mem_printf("Subscription,%s,%zu", SERVICE, i);

		kvs_put(kvs, str_of(key), str_of(values[i]));
		mem_free(key);
	}
	kvs_put(kvs, STR_LIT("Subscription,another.school.test,n,j"), STR_LIT("{}"));
	world_restart(200);
	assert_int_equal(book_size(service->book), 0);
	assert_int_equal(kept(), 1); /* the other component's stays */
}

static void
answers_that_wait_may_be_lost(void **state)
{
	(void)state;
	subscribe_with(DESK, COUNTS, TEACHER, NULL);
	assert_int_equal(service_pending(service), 1);
	assert_int_equal(n_said, 0);
	/* world_close frees service and kvs before the loop turns again */
}

/* ---- options ---- */

static void
without_delivery_nothing_is_delivered(void **state)
{
	(void)state;
	event("u1");
	subscribe_with(DESK, COUNTS, TEACHER, OPTION("pubsub#deliver", "0"));
	settle();
	event("u1");
	turns(4);
	assert_int_equal(messages(), 0);
	ask("set", DESK, PS "<options node='" COUNTS
	    "' jid='" TEACHER "'>" FORM(OPTION("pubsub#deliver", "1")) "</options></pubsub>");
	settle();
	assert_int_equal(messages(), 1);
	assert_int_equal(times_said("message", "\"seq\":2"), 1);
}

static void
who_lost_access_cannot_resume(void **state)
{
	(void)state;
	subscribe_with(DESK, COUNTS, TEACHER, OPTION("pubsub#deliver", "0"));
	settle();
	set_roster(3, false);
	assert_int_equal(times_said("message", "subscription='none'"), 1);
	ask("set", DESK, PS "<options node='" COUNTS
	    "' jid='" TEACHER "'>" FORM(OPTION("pubsub#deliver", "1")) "</options></pubsub>");
	settle();
	assert_int_equal(times_said("iq", "<not-subscribed "), 1);
	assert_int_equal(messages(), 0);
	assert_int_equal(book_size(service->book), 0);
	assert_int_equal(kept(), 0);
}

/* <presence/> with this <show/> (NULL: without). */
static void
shows(const char *from, const char *show)
{
	tell("<presence from='%s' to='" SERVICE "'>%s%s%s</presence>", from, show ? "<show>" : "",
	    show ? show : "", show ? "</show>" : "");
	turns(4);
}

#define SHOWN "<field var='pubsub#show-values'><value>chat</value><value>online</value></field>"

/* Nothing before there is a presence, nothing while it shows something else; then
 * the newest value, once. */
static void
items_wait_for_a_presence_that_wants_them(void **state)
{
	(void)state;
	event("u1");
	subscribe_with(DESK, COUNTS, DESK, SHOWN);
	settle();
	assert_int_equal(messages(), 0);
	shows(DESK, "dnd");
	event("u1");
	turns(4);
	assert_int_equal(messages(), 0);
	shows(TEACHER "/phone", NULL); /* another session's presence is not this one's */
	assert_int_equal(messages(), 0);
	shows(DESK, "chat");
	assert_int_equal(messages(), 1);
	assert_int_equal(times_said("message", "\"seq\":2"), 1);
	shows(DESK, "xa");
	event("u1");
	event("u1");
	turns(4);
	assert_int_equal(messages(), 1);
	shows(DESK, NULL);
	assert_int_equal(messages(), 2);
	assert_int_equal(times_said("message", "\"seq\":4"), 1);
}

static void
bare_jid_wants_items_while_one_session_does(void **state)
{
	(void)state;
	event("u1");
	subscribe_with(DESK, COUNTS, TEACHER, SHOWN);
	settle();
	assert_int_equal(messages(), 0);
	shows(DESK, "away");
	shows(TEACHER "/phone", "chat");
	assert_int_equal(messages(), 1);
	presence(TEACHER "/phone", "unavailable");
	event("u1");
	turns(4);
	assert_int_equal(messages(), 1);
	shows(DESK, NULL);
	assert_int_equal(messages(), 2);
}

/* A client does not notice that we restarted, and so will not tell us again. */
static void
unknown_presence_holds_nothing_after_a_restart(void **state)
{
	(void)state;
	shows(DESK, NULL);
	subscribe_with(DESK, COUNTS, DESK, SHOWN);
	settle();
	world_restart(200);
	forget();
	event("u1");
	turns(4);
	assert_int_equal(messages(), 1);
	shows(DESK, "dnd");
	forget();
	event("u1");
	turns(4);
	assert_int_equal(messages(), 0);
}

static void
body_says_which_node_and_how_many(void **state)
{
	(void)state;
	event("u1");
	event("u2");
	subscribe_with(DESK, COUNTS, DESK, OPTION("pubsub#include_body", "1"));
	settle();
	assert_int_equal(times_said("message", "<body>" COUNTS ": 2 items changed</body>"), 1);
	event("u1");
	turns(4);
	assert_int_equal(times_said("message", "</event><body>" COUNTS ": 1 item changed</body>"), 1);
}

static void
lease_ends_with_its_date(void **state)
{
	int64_t end_us;

	(void)state;
	assert_true(datetime_read("2099-01-01T00:00:00Z", &end_us));
	subscribe_with(DESK, COUNTS, TEACHER, OPTION("pubsub#expire", "2099-01-01T00:00:00Z"));
	settle();
	forget();
	service_tick(service, end_us - 1, 0);
	assert_int_equal(book_size(service->book), 1);
	service_tick(service, end_us, 0);
	assert_int_equal(book_size(service->book), 0);
	assert_int_equal(kept(), 0);
	assert_int_equal(times_said("message", "subscription='none'"), 1);
}

static void
dates_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds; /* -1: no date */
	} dates[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2026-11-23T17:40:00Z", 1795455600 },
		{ "2026-11-23T17:40Z", 1795455600 },
		{ "2026-11-23T18:40:00+01:00", 1795455600 },
		{ "2026-11-23T12:10:00-05:30", 1795455600 },
		{ "2026-11-23T17:40:00.000000999Z", 1795455600 },
		{ "2026-11-23T17:40.5Z", -1 },
		{ "2026-11-23T17:40:00.Z", -1 },
		{ "2024-02-29T00:00:00Z", 1709164800 },
		{ "2023-02-29T00:00:00Z", -1 },
		{ "2023-13-01T00:00:00Z", -1 },
		{ "2023-00-01T00:00:00Z", -1 },
		{ "2023-01-00T00:00:00Z", -1 },
		{ "2023-01-01T24:00:00Z", -1 },
		{ "2023-01-01T00:60:00Z", -1 },
		{ "2023-01-01T00:00:00", -1 },
		{ "2023-01-01T00:00:00Zx", -1 },
		{ "2023-01-01T00:00:00+1:00", -1 },
		{ "2023-01-01 00:00:00Z", -1 },
		{ "2023-1-1T00:00:00Z", -1 },
		{ "-023-01-01T00:00:00Z", -1 },
		{ "tomorrow", -1 },
		{ "", -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(dates); i++) {
		int64_t us = -1;
		bool ok = datetime_read(dates[i].text, &us);

		if (ok != (dates[i].seconds >= 0) || (ok && us != dates[i].seconds * 1000000))
			fail_msg("%s", dates[i].text);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(confirmation_comes_before_the_snapshot),
		CASE(changes_follow_with_their_seq), CASE(second_subscription_is_the_first),
		CASE(addresses_are_compared_canonically),
		CASE(reader_has_so_many_subscriptions), CASE(lost_sessions_give_way),
		CASE(service_publishes_its_own_reducers), CASE(lasting_subscription_survives),
		CASE(temporary_subscription_survives), CASE(doubt_begins_with_the_restart),
		CASE(presence_makes_it_temporary),
		CASE(unsubscribing_is_for_good), CASE(what_the_roster_forbids_is_not_loaded),
		CASE(damaged_entries_are_dropped), CASE(answers_that_wait_may_be_lost),
		CASE(without_delivery_nothing_is_delivered),
		CASE(who_lost_access_cannot_resume), CASE(lease_ends_with_its_date),
		CASE(dates_are_read), CASE(items_wait_for_a_presence_that_wants_them),
		CASE(bare_jid_wants_items_while_one_session_does),
		CASE(unknown_presence_holds_nothing_after_a_restart),
		CASE(body_says_which_node_and_how_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
