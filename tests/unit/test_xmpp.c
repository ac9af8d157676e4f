/* SPDX-License-Identifier: MIT */
/* The PubSub service beyond single exchanges (those are in tests/conformance):
 * what lasts and what does not, flow control, lost streams, bounces, revocation,
 * size limits, forged and foreign addresses. */
#include "xmpp_world.h"

#define PS "<pubsub xmlns='http://jabber.org/protocol/pubsub'>"
#define DESK TEACHER "/desk"
#define OPTION(var, value) "<field var='" var "'><value>" value "</value></field>"

static int
begin(void **state)
{
	(void)state;
	world_open(3, 200);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	world_close();
	world_reducers = NULL;
	return 0;
}

static void
subscribe_with(const char *from, const char *node, const char *jid, const char *fields)
{
	tell("<iq type='set' id='sub' from='%s' to='" SERVICE "'>" PS "<subscribe node='%s' jid='%s'/>"
	    "%s%s%s</pubsub></iq>", from, node, jid,
	    fields ? "<options><x xmlns='jabber:x:data' type='submit'>" : "", fields ? fields : "",
	    fields ? "</x></options>" : "");
}

static void
subscribe(const char *from, const char *node, const char *jid)
{
	subscribe_with(from, node, jid, NULL);
	settle();
	if (times_said("iq", "subscription='subscribed'") == 0)
		fail_msg("not subscribed: %s", last_said());
	forget();
}

static void
presence(const char *from, const char *type)
{
	tell("<presence from='%s' to='" SERVICE "'%s%s%s/>", from, type ? " type='" : "",
	    type ? type : "", type ? "'" : "");
}

static void
answer_pings(void)
{
	size_t n = n_said;

	for (size_t i = 0; i < n; i++)
		if (strcmp(said[i].name, "iq") == 0 && strcmp(said[i].to, SERVER) == 0)
			tell("<iq type='result' id='%s' from='" SERVER "' to='" SERVICE "'/>", said[i].id);
}

static size_t
messages(void)
{
	return times_said("message", "<items node=");
}

/* ---- kvs ---- */

struct kept {
	size_t n;
	bool done;
};

static void
kept_cb(void *arg, enum err e, struct str key, struct str value, uint64_t position)
{
	struct kept *k = arg;

	(void)value, (void)position;
	assert_int_equal(e, ERR_OK);
	k->n += key.p != NULL;
	k->done = key.p == NULL;
}

static size_t
kept(void)
{
	struct kept k = { 0 };

	kvs_scan(kvs, STR_LIT("Subscription,"), kept_cb, &k);
	while (!k.done)
		turns(1);
	return k.n;
}

/* ---- subscribing ---- */

static void
confirmation_comes_before_the_snapshot(void **state)
{
	(void)state;
	event("u1");
	event("u3");
	tell("<iq type='set' id='s' from='" DESK "' to='" SERVICE "'>" PS "<subscribe node='" COUNTS
	    "' jid='" TEACHER "'/></pubsub></iq>");
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
	assert_non_null(strstr(said[1].text, "<json xmlns='urn:xmpp:json:0'>{\"v\":1,\"seq\":1,\"t\":"
	    "\"2026-11-23T17:40:00.123Z\",\"sec\":\"unauthenticated\",\"state\":{\"count\":1}}</json>"));
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
	tell("<iq type='get' id='l' from='" DESK "' to='" SERVICE "'>" PS "<subscriptions/></pubsub></iq>");
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
	tell("<iq type='get' id='l' from='" DESK "' to='" SERVICE "'>"
	    "<query xmlns='http://jabber.org/protocol/disco#items'/></iq>");
	assert_int_equal(times_said("iq", "writing."), 0);
	assert_int_equal(times_said("iq", COUNTS), 1);
	assert_int_equal(times_said("iq", NAMES), 1);
	subscribe(DESK, COUNTS, TEACHER);
}

/* ---- what lasts ---- */

static void
lasting_subscription_survives(void **state)
{
	char subid[SUBID_LEN + 1];

	(void)state;
	subscribe_with(DESK, COUNTS, TEACHER, OPTION("pubsub#digest", "1")
	    OPTION("pubsub#digest_frequency", "3600000"));
	settle();
	memcpy(subid, book_find(service->book, STR_LIT(TEACHER), COUNTS, TEACHER)->subid, sizeof subid);
	event("u1");
	assert_int_equal(kept(), 1);
	forget();
	world_restart(200);
	turns(4);
	assert_int_equal(messages(), 1);
	assert_string_equal(said[0].to, TEACHER);
	forget();
	tell("<iq type='get' id='o' from='" DESK "' to='" SERVICE "'>" PS "<options node='" COUNTS
	    "' jid='" TEACHER "'/></pubsub></iq>");
	assert_non_null(strstr(last_said(), "<value>3600000</value>"));
	assert_non_null(strstr(last_said(), subid));
	event("u1");
	turns(4);
	assert_int_equal(messages(), 0); /* the digest's hour is not over */
}

static void
temporary_subscription_does_not(void **state)
{
	(void)state;
	presence(DESK, NULL);
	subscribe(DESK, COUNTS, DESK);
	subscribe_with(TEACHER "/phone", COUNTS, TEACHER "/phone", OPTION("pubsub#expire", "presence"));
	settle();
	assert_int_equal(book_size(service->book), 2);
	assert_int_equal(kept(), 0);
	world_restart(200);
	assert_int_equal(book_size(service->book), 0);
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
	presence(DESK, NULL);
	assert_int_equal(kept(), 0);
	presence(DESK, "unavailable");
	assert_int_equal(book_size(service->book), 0);
}

static void
unsubscribing_is_for_good(void **state)
{
	(void)state;
	subscribe(DESK, COUNTS, TEACHER);
	tell("<iq type='set' id='u' from='" TEACHER "/phone' to='" SERVICE "'>" PS "<unsubscribe node='"
	    COUNTS "' jid='" TEACHER "'/></pubsub></iq>");
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
		"{\"jid\":\"nobody\",\"node\":\"" COUNTS "\",\"subid\":\"0123456789abcdef\",\"deliver\":true,"
		"\"digest\":false,\"frequency\":5000,\"expire\":0}",
		"{\"jid\":\"teacher@school.test\",\"node\":\"" COUNTS "\",\"subid\":\"0123456789abcdef\","
		"\"deliver\":true,\"digest\":false,\"frequency\":-1,\"expire\":0}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		char *key = mem_printf("Subscription,%s,%zu", SERVICE, i);

		kvs_put(kvs, str_of(key), str_of(values[i]), 0);
		mem_free(key);
	}
	kvs_put(kvs, STR_LIT("Subscription,another.school.test,n,j"), STR_LIT("{}"), 0);
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
	tell("<iq type='set' id='o' from='" DESK "' to='" SERVICE "'>" PS "<options node='" COUNTS
	    "' jid='" TEACHER "'><x xmlns='jabber:x:data' type='submit'>" OPTION("pubsub#deliver", "1")
	    "</x></options></pubsub></iq>");
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
	forget();
	tell("<iq type='set' id='o' from='" DESK "' to='" SERVICE "'>" PS "<options node='" COUNTS
	    "' jid='" TEACHER "'><x xmlns='jabber:x:data' type='submit'>" OPTION("pubsub#deliver", "1")
	    "</x></options></pubsub></iq>");
	settle();
	assert_int_equal(times_said("iq", "<closed-node "), 1);
	assert_int_equal(book_size(service->book), 0);
	assert_int_equal(kept(), 0);
}

static void
lease_ends_with_its_date(void **state)
{
	int64_t end_us;

	(void)state;
	assert_true(options_date("2099-01-01T00:00:00Z", &end_us));
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
		{ "2026-11-23T17:40:00.123456Z", 1795455600 },
		{ "2026-11-23T18:40:00+01:00", 1795455600 },
		{ "2026-11-23T12:10:00-05:30", 1795455600 },
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
		bool ok = options_date(dates[i].text, &us);

		if (ok != (dates[i].seconds >= 0) || (ok && us != dates[i].seconds * 1000000))
			fail_msg("%s", dates[i].text);
	}
}

/* ---- flow control ---- */

static void
window_bounds_what_is_under_way(void **state)
{
	(void)state;
	world_close();
	world_open(3, 4);
	subscribe(DESK, COUNTS, TEACHER);
	for (int i = 0; i < 10; i++) {
		event("u1");
		turns(3);
	}
	assert_int_equal(messages(), 4);
	assert_int_equal(times_said("iq", "<ping xmlns='urn:xmpp:ping'/>"), 4);
	assert_int_equal(times_said("message", "\"seq\":4"), 1);
	answer_pings();
	forget();
	turns(4);
	assert_int_equal(messages(), 1); /* the newest value alone */
	assert_int_equal(times_said("message", "\"seq\":10"), 1);
}

static void
only_the_servers_answer_is_credit(void **state)
{
	(void)state;
	world_close();
	world_open(3, 1);
	subscribe(DESK, COUNTS, TEACHER);
	event("u1");
	turns(3);
	event("u1");
	turns(3);
	assert_int_equal(messages(), 1);
	tell("<iq type='result' id='credit-1' from='" DESK "' to='" SERVICE "'/>");
	tell("<iq type='result' id='credit-2' from='" SERVER "' to='" SERVICE "'/>");
	tell("<iq type='result' id='other' from='" SERVER "' to='" SERVICE "'/>");
	tell("<iq type='result' from='" SERVER "' to='" SERVICE "'/>");
	turns(3);
	assert_int_equal(messages(), 1);
	assert_int_equal(metric_value[METRIC_XMPP_IGNORED], 4);
	tell("<iq type='error' id='credit-1' from='" SERVER "' to='" SERVICE "'/>"); /* as good */
	turns(3);
	assert_int_equal(messages(), 2);
}

static void
later_answer_covers_earlier_pings(void **state)
{
	(void)state;
	world_close();
	world_open(3, 4);
	subscribe(DESK, COUNTS, TEACHER);
	for (int i = 0; i < 4; i++) {
		event("u1");
		turns(3);
	}
	assert_int_equal(service->in_flight, 4);
	tell("<iq type='result' id='credit-3' from='" SERVER "' to='" SERVICE "'/>");
	assert_int_equal(service->in_flight, 1);
	tell("<iq type='result' id='credit-1' from='" SERVER "' to='" SERVICE "'/>"); /* late */
	assert_int_equal(service->in_flight, 1);
}

static void
pings_without_answer_are_given_up(void **state)
{
	(void)state;
	world_close();
	world_open(3, 1);
	subscribe(DESK, COUNTS, TEACHER);
	event("u1");
	turns(3);
	event("u1");
	turns(3);
	assert_int_equal(messages(), 1);
	service_tick(service, 0, loop_now_ms(loop));
	turns(3);
	assert_int_equal(messages(), 1);
	service_tick(service, 0, loop_now_ms(loop) + 3600000);
	turns(3);
	assert_int_equal(messages(), 2);
}

static void
full_queue_holds_items_back(void **state)
{
	(void)state;
	subscribe(DESK, COUNTS, TEACHER);
	bulk_room = false;
	event("u1");
	event("u2");
	turns(3);
	event("u1");
	turns(3);
	assert_int_equal(n_said, 0);
	tell("<iq type='get' id='p' from='" DESK "' to='" SERVICE "'><ping xmlns='urn:xmpp:ping'/></iq>");
	assert_int_equal(n_said, 1); /* answers go on */
	bulk_room = true;
	service_room(service);
	turns(3);
	assert_int_equal(messages(), 1);
	assert_int_equal(times_said("message", "\"seq\":2"), 1);
}

static void
lost_stream_ends_in_the_same_state(void **state)
{
	(void)state;
	world_close();
	world_open(3, 4);
	subscribe(DESK, COUNTS, TEACHER);
	for (int i = 0; i < 4; i++) {
		event("u1");
		turns(3);
	}
	service_down(service); /* with four unanswered */
	forget();
	event("u1");
	event("u2");
	turns(3);
	assert_int_equal(n_said, 0);
	service_up(service);
	turns(4);
	assert_int_equal(messages(), 1);
	assert_int_equal(times_said("message", "\"seq\":5"), 1);
	assert_int_equal(times_said("message", pseudonym("u2")), 1);
	tell("<iq type='result' id='credit-1' from='" SERVER "' to='" SERVICE "'/>"); /* of before */
	assert_int_equal(service->in_flight, 1);
}

/* ---- the end of a subscription ---- */

static void
roster_ends_it_at_once(void **state)
{
	(void)state;
	subscribe(DESK, COUNTS, TEACHER);
	subscribe("second@school.test/x", COUNTS, "second@school.test");
	event("u1");
	set_roster(3, false); /* with the item pending */
	turns(4);
	assert_int_equal(times_said("message", "subscription='none'"), 1);
	assert_string_equal(said[0].to, TEACHER);
	assert_int_equal(messages(), 1);
	assert_string_equal(said[1].to, "second@school.test");
	assert_int_equal(kept(), 1);
	forget();
	event("u1");
	turns(4);
	assert_int_equal(n_said, 1);
	tell("<iq type='get' id='i' from='" DESK "' to='" SERVICE "'>" PS "<items node='" COUNTS
	    "'/></pubsub></iq>");
	assert_non_null(strstr(last_said(), "<closed-node "));
}

static void
bounce(const char *from, const char *type)
{
	tell("<message type='error' id='n1' from='%s' to='" SERVICE "'><error type='%s'>"
	    "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
	    from, type);
}

static void
bounce_ends_what_is_temporary(void **state)
{
	(void)state;
	presence(DESK, NULL);
	subscribe(DESK, COUNTS, DESK);
	subscribe(DESK, COUNTS, TEACHER);
	bounce("stranger@school.test/x", "cancel");
	bounce(TEACHER "/phone", "cancel");
	assert_int_equal(book_size(service->book), 2);
	bounce(DESK, "cancel");
	assert_int_equal(book_size(service->book), 1);
	bounce(TEACHER, "cancel");
	assert_int_equal(book_size(service->book), 1);
	assert_int_equal(n_said, 0); /* an error is not answered */
}

/* What came back is sent again later, and less and less often. */
static void
bounced_items_are_sent_again(void **state)
{
	uint64_t now = loop_now_ms(loop);

	(void)state;
	subscribe(DESK, COUNTS, TEACHER);
	event("u1");
	turns(3);
	forget();
	bounce(TEACHER, "wait");
	bounce(TEACHER, "wait"); /* of the same burst */
	service_tick(service, 0, now);
	turns(3);
	assert_int_equal(messages(), 0);
	service_tick(service, 0, now + 40000);
	turns(3);
	assert_int_equal(messages(), 1);
	forget();
	bounce(TEACHER, "wait");
	service_tick(service, 0, now + 40000);
	turns(3);
	assert_int_equal(messages(), 0);
	service_tick(service, 0, now + 7200000);
	turns(3);
	assert_int_equal(messages(), 1);
}

static void
endless_bounces_end_what_is_temporary(void **state)
{
	uint64_t now = loop_now_ms(loop);

	(void)state;
	presence(DESK, NULL);
	subscribe(DESK, COUNTS, DESK);
	for (int i = 0; i < 20 && book_size(service->book) > 0; i++) {
		bounce(DESK, "wait");
		service_tick(service, 0, now + (uint64_t)(i + 1) * 7200000);
	}
	assert_int_equal(book_size(service->book), 0);
}

static void
bare_subscription_ends_with_the_last_resource(void **state)
{
	(void)state;
	presence(DESK, NULL);
	presence(TEACHER "/phone", NULL);
	subscribe_with(DESK, COUNTS, TEACHER, OPTION("pubsub#expire", "presence"));
	settle();
	assert_int_equal(kept(), 0);
	presence(DESK, "unavailable");
	assert_int_equal(book_size(service->book), 1);
	presence(TEACHER "/phone", "error");
	assert_int_equal(book_size(service->book), 0);
}

static void
strangers_presence_is_bounded(void **state)
{
	(void)state;
	presence(DESK, NULL);
	for (int i = 0; i < BOOK_LEASES_MAX + 100; i++) {
		char from[64];

		snprintf(from, sizeof from, "x%d@evil.test/y", i);
		presence(from, NULL);
	}
	assert_false(book_has_lease(service->book, DESK)); /* the oldest gave way */
	assert_true(book_has_lease(service->book, "x500@evil.test/y"));
	assert_int_equal(n_said, 0);
}

static void
arriving_brings_what_was_missed(void **state)
{
	(void)state;
	event("u1");
	subscribe(DESK, COUNTS, TEACHER);
	presence(TEACHER "/phone", NULL);
	turns(3);
	assert_int_equal(messages(), 1);
	presence(TEACHER "/phone", NULL); /* again: known */
	turns(3);
	assert_int_equal(messages(), 1);
}

/* ---- size ---- */

static void
world_large(size_t students)
{
	world_close();
	world_open(students, 200);
	for (size_t i = 1; i <= students; i++) {
		char id[24];

		snprintf(id, sizeof id, "u%zu", i);
		event(id);
	}
}

static void
large_snapshots_take_several_messages(void **state)
{
	size_t found = 0;

	(void)state;
	world_large(1000);
	subscribe_with(DESK, COUNTS, TEACHER, NULL);
	settle();
	while (messages() < 2 || found != messages()) {
		found = messages();
		turns(4);
	}
	assert_true(messages() < 1000 / 20); /* many items in one */
	for (size_t i = 1; i <= 1000; i++) {
		char id[24];

		snprintf(id, sizeof id, "u%zu", i);
		assert_int_equal(times_said("message", pseudonym(id)), 1);
	}
	for (size_t i = 0; i < n_said; i++)
		assert_true(strlen(said[i].text) <= SERVICE_OUT_MAX);
}

/* The text of the first element whose tag starts so; false when there is none. */
static bool
text_of(const char *xml, const char *tag, char *out, size_t max)
{
	const char *from = strstr(xml, tag);
	size_t n;

	if (from == NULL)
		return false;
	from = strchr(from, '>') + 1;
	n = strcspn(from, "<");
	assert_true(n < max);
	memcpy(out, from, n);
	out[n] = '\0';
	return true;
}

/* Pages through the node; each item must come once. */
static void
walk(const char *direction, const char *next, const char *set)
{
	char place[ITEM_ID_MAX + 1], asked[512];
	size_t pages = 0, items = 0;

	for (bool more = true; more; pages++) {
		tell("<iq type='get' id='w' from='" DESK "' to='" SERVICE "'>" PS "<items node='" COUNTS
		    "'/>%s</pubsub></iq>", set);
		assert_true(strlen(last_said()) <= SERVICE_OUT_MAX);
		for (const char *at = last_said(); (at = strstr(at, "<item id=")) != NULL; at++)
			items++;
		assert_non_null(strstr(last_said(), "<count>1000</count>"));
		more = text_of(last_said(), next, place, sizeof place);
		snprintf(asked, sizeof asked,
		    "<set xmlns='http://jabber.org/protocol/rsm'><%s>%s</%s></set>", direction, place,
		    direction);
		set = asked;
	}
	assert_int_equal(items, 1000);
	assert_true(pages > 2 && pages < 20);
	forget();
}

static void
items_are_paged_when_they_do_not_fit(void **state)
{
	(void)state;
	world_large(1000);
	walk("after", "<last>", "");
	walk("before", "<first ", "<set xmlns='http://jabber.org/protocol/rsm'><before/></set>");
}

static void
all_nodes_are_paged(void **state)
{
	(void)state;
	world_close();
	world_open(400, 200);
	tell("<iq type='get' id='d' from='" DESK "' to='" SERVICE "'>"
	    "<query xmlns='http://jabber.org/protocol/disco#items'/></iq>");
	assert_true(strlen(last_said()) <= SERVICE_OUT_MAX);
	assert_non_null(strstr(last_said(), "<first index='0'>" NAMES "</first>"));
	tell("<iq type='get' id='a' from='" DESK "' to='" SERVICE "'>" PS "<affiliations/></pubsub></iq>");
	assert_true(strlen(last_said()) <= SERVICE_OUT_MAX);
	assert_non_null(strstr(last_said(), "</last><count>"));
}

static enum reduced
huge_reduce(void *state, const struct event *e)
{
	(void)e;
	++*(int *)state;
	return REDUCED_CHANGED;
}

/* The first event makes it too large for a stanza, the second small again. */
static void
huge_encode(const void *state, struct jsonw *w)
{
	static char text[70000];

	memset(text, 'x', sizeof text);
	jsonw_str(w, (struct str){ text, *(const int *)state == 1 ? sizeof text : 10 });
}

static bool
huge_decode(void *state, struct json v)
{
	(void)state, (void)v;
	return false;
}

static const struct reducer huge = { REDUCER_HEADER, .id = "activity.event_count", .version = 1,
	.size = sizeof(int), .reduce = huge_reduce, .encode = huge_encode, .decode = huge_decode };
static const struct reducer *const huge_only[] = { &huge, NULL };

static void
too_large_an_item_is_skipped(void **state)
{
	(void)state;
	world_close();
	world_reducers = huge_only;
	world_open(3, 200);
	log_set_level((enum log_level)-1); /* it warns */
	event("u1");
	event("u2");
	event("u2");
	subscribe(DESK, COUNTS, TEACHER);
	tell("<iq type='get' id='i' from='" DESK "' to='" SERVICE "'>" PS "<items node='" COUNTS
	    "'/></pubsub></iq>");
	assert_null(strstr(last_said(), pseudonym("u1")));
	assert_non_null(strstr(last_said(), pseudonym("u2")));
	assert_int_equal(metric_value[METRIC_XMPP_TOO_LARGE], 2);
	event("u1");
	turns(3);
	assert_int_equal(times_said("message", pseudonym("u1")), 1);
}

/* ---- foreign and forged ---- */

static void
stanzas_for_others_are_dropped(void **state)
{
	static const char *const stanzas[] = {
		"<iq type='get' id='1' to='" SERVICE "'><ping xmlns='urn:xmpp:ping'/></iq>",
		"<iq type='get' id='1' from='' to='" SERVICE "'><ping xmlns='urn:xmpp:ping'/></iq>",
		"<iq type='get' id='1' from='" DESK "'><ping xmlns='urn:xmpp:ping'/></iq>",
		"<iq type='get' id='1' from='" DESK "' to='other.test'><ping xmlns='urn:xmpp:ping'/></iq>",
		"<iq type='get' id='1' from='" DESK "' to='x@other.test'><ping xmlns='urn:xmpp:ping'/></iq>",
		"<iq type='get' id='1' from='" DESK "' to='" SERVICE ".evil.test'><ping xmlns='urn:xmpp:ping'/></iq>",
		"<iq xmlns:x='urn:x' type='get' id='1' x:from='" DESK "' to='" SERVICE "'><ping xmlns='urn:xmpp:ping'/></iq>",
		"<iq xmlns='jabber:client' type='get' id='1' from='" DESK "' to='" SERVICE "'><ping xmlns='urn:xmpp:ping'/></iq>",
		"<unknown from='" DESK "' to='" SERVICE "'/>",
		"<message from='" DESK "' to='" SERVICE "'><body>hi</body></message>",
		"<presence from='" SERVER "' to='" SERVICE "'/>",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(stanzas); i++)
		tell("%s", stanzas[i]);
	assert_int_equal(n_said, 0);
	assert_int_equal(metric_value[METRIC_XMPP_IGNORED], COUNT(stanzas));
	assert_int_equal(metric_value[METRIC_XMPP_IN], COUNT(stanzas));
}

static void
requests_without_id_or_type(void **state)
{
	(void)state;
	tell("<iq type='get' from='" DESK "' to='" SERVICE "'><ping xmlns='urn:xmpp:ping'/></iq>");
	assert_int_equal(times_said("iq", "<bad-request "), 1);
	tell("<iq id='1' from='" DESK "' to='" SERVICE "'><ping xmlns='urn:xmpp:ping'/></iq>");
	assert_int_equal(times_said("iq", "<bad-request "), 2);
	tell("<iq type='what' id='1' from='" DESK "' to='" SERVICE "'><ping xmlns='urn:xmpp:ping'/></iq>");
	assert_int_equal(times_said("iq", "<bad-request "), 3);
}

/* A server or component may ask, but is nobody who can read. */
static void
who_is_no_person_reads_nothing(void **state)
{
	(void)state;
	tell("<iq type='get' id='1' from='" SERVER "' to='" SERVICE "'><ping xmlns='urn:xmpp:ping'/></iq>");
	assert_int_equal(times_said("iq", "type='result'"), 1);
	subscribe_with("bot.school.test", COUNTS, "bot.school.test", NULL);
	assert_int_equal(times_said("iq", "<invalid-jid "), 1);
	tell("<iq type='get' id='1' from='bot.school.test' to='" SERVICE "'>" PS "<items node='" COUNTS
	    "'/></pubsub></iq>");
	assert_int_equal(times_said("iq", "<closed-node "), 1);
	tell("<iq type='get' id='1' from='bot.school.test' to='" SERVICE "'>" PS
	    "<subscriptions/></pubsub></iq>");
	assert_int_equal(times_said("iq", "<subscriptions/>"), 1);
	tell("<iq type='set' id='1' from='bot.school.test' to='" SERVICE "'>" PS "<unsubscribe node='"
	    COUNTS "' jid='bot.school.test'/></pubsub></iq>");
	assert_int_equal(times_said("iq", "<forbidden "), 1);
}

static void
too_large_a_request_costs_one_error(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	for (int i = 0; i < 9000; i++)
		buf_z(&b, "<x>text</x>");
	buf_byte(&b, '\0');
	tell("<iq type='set' id='big' from='" DESK "' to='" SERVICE "'>%s</iq>", b.data);
	assert_int_equal(n_said, 1);
	assert_string_equal(said[0].id, "big");
	assert_non_null(strstr(said[0].text, "<policy-violation "));
	tell("<iq type='result' id='big' from='" DESK "' to='" SERVICE "'>%s</iq>", b.data);
	tell("<message id='big' from='" DESK "' to='" SERVICE "'>%s</message>", b.data);
	assert_int_equal(n_said, 1);
	tell("<iq type='get' id='p' from='" DESK "' to='" SERVICE "'><ping xmlns='urn:xmpp:ping'/></iq>");
	assert_int_equal(n_said, 2);
	buf_free(&b);
}

/* Whatever a peer names comes back as XML; the ears of this test insist. */
static void
names_of_others_are_encoded(void **state)
{
	(void)state;
	tell("<iq type='get' id='&lt;&quot;&apos;&#x9;\xef\xbf\xbd' from='" DESK "' to='" SERVICE "'>"
	    "<ping xmlns='urn:xmpp:ping'/></iq>");
	assert_int_equal(n_said, 1);
	tell("<iq type='get' id='2' from='" TEACHER "/&lt;&apos;&amp;' to='" SERVICE "'>"
	    "<query xmlns='http://jabber.org/protocol/disco#items' node='&lt;a b=&apos;&apos;&gt;'/></iq>");
	assert_int_equal(n_said, 2);
	presence(TEACHER "/&lt;&apos;&amp;", NULL);
	subscribe_with(TEACHER "/&lt;&apos;&amp;", COUNTS, TEACHER "/&lt;&apos;&amp;", NULL);
	event("u1");
	settle();
	assert_int_equal(messages(), 1);
	assert_string_equal(said[n_said - 1].to, TEACHER "/<'&");
}

static void
long_addresses_are_carried(void **state)
{
	char resource[1024], longer[1025];

	(void)state;
	memset(resource, '"', 1023);
	resource[1023] = '\0';
	memset(longer, 'r', 1024);
	longer[1024] = '\0';
	tell("<presence from='" TEACHER "/%s' to='" SERVICE "'/>", resource);
	tell("<iq type='set' id='s' from='" TEACHER "/%s' to='" SERVICE "'>" PS "<subscribe node='" COUNTS
	    "' jid='" TEACHER "/%s'/></pubsub></iq>", resource, resource);
	assert_int_equal(times_said("iq", "subscription='subscribed'"), 1);
	for (size_t i = 1; i <= 3; i++)
		event(i == 1 ? "u1" : i == 2 ? "u2" : "u3");
	turns(4);
	assert_int_equal(messages(), 1);
	tell("<iq type='set' id='s' from='" TEACHER "/%s' to='" SERVICE "'>" PS "<subscribe node='" COUNTS
	    "' jid='" TEACHER "/%s'/></pubsub></iq>", longer, longer);
	assert_int_equal(times_said("iq", "<invalid-jid "), 1);
}

static void
status_tells_numbers(void **state)
{
	struct buf b = BUF_INIT(0);
	struct jsonw w = jsonw_to(&b);

	(void)state;
	presence(DESK, NULL);
	subscribe(DESK, COUNTS, DESK);
	subscribe(DESK, NAMES, TEACHER);
	event("u1");
	turns(3);
	jsonw_object(&w);
	service_write(service, &w);
	jsonw_object_end(&w);
	buf_byte(&b, '\0');
	assert_non_null(strstr(b.data, "\"subscriptions\":2"));
	assert_non_null(strstr(b.data, "\"temporary\":1"));
	assert_non_null(strstr(b.data, "\"in_flight\":2"));
	buf_free(&b);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(confirmation_comes_before_the_snapshot), CASE(changes_follow_with_their_seq),
		CASE(second_subscription_is_the_first), CASE(addresses_are_compared_canonically),
		CASE(reader_has_so_many_subscriptions), CASE(lost_sessions_give_way), CASE(service_publishes_its_own_reducers),
		CASE(lasting_subscription_survives), CASE(temporary_subscription_does_not),
		CASE(presence_makes_it_temporary), CASE(unsubscribing_is_for_good),
		CASE(what_the_roster_forbids_is_not_loaded), CASE(damaged_entries_are_dropped),
		CASE(answers_that_wait_may_be_lost), CASE(without_delivery_nothing_is_delivered),
		CASE(who_lost_access_cannot_resume), CASE(lease_ends_with_its_date),
		CASE(dates_are_read), CASE(window_bounds_what_is_under_way),
		CASE(only_the_servers_answer_is_credit), CASE(later_answer_covers_earlier_pings),
		CASE(pings_without_answer_are_given_up), CASE(full_queue_holds_items_back),
		CASE(lost_stream_ends_in_the_same_state), CASE(roster_ends_it_at_once),
		CASE(bounce_ends_what_is_temporary), CASE(bounced_items_are_sent_again),
		CASE(endless_bounces_end_what_is_temporary),
		CASE(bare_subscription_ends_with_the_last_resource),
		CASE(strangers_presence_is_bounded), CASE(arriving_brings_what_was_missed),
		CASE(large_snapshots_take_several_messages), CASE(items_are_paged_when_they_do_not_fit),
		CASE(all_nodes_are_paged), CASE(too_large_an_item_is_skipped),
		CASE(stanzas_for_others_are_dropped), CASE(requests_without_id_or_type),
		CASE(who_is_no_person_reads_nothing), CASE(too_large_a_request_costs_one_error),
		CASE(names_of_others_are_encoded), CASE(long_addresses_are_carried),
		CASE(status_tells_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
