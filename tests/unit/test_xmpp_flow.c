/* SPDX-License-Identifier: MIT */
/* Items to subscribers: flow control, lost streams, and what ends a
 * subscription: roster, presence, bounces. */
#include "xmpp_world.h"

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
	assert_int_equal(times_said("iq", PING), 4);
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

/* An administrator may write the domain in capitals; the server does not. */
static void
the_servers_name_is_spelled_in_any_case(void **state)
{
	(void)state;
	world_close();
	world_open(3, 1);
	subscribe(DESK, COUNTS, DESK);
	event("u1");
	turns(3);
	assert_int_equal(service->in_flight, 1);
	tell("<iq type='result' id='credit-1' from='SCHOOL.test' to='" SERVICE "'/>");
	assert_int_equal(service->in_flight, 0);
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

/* A message need not wait for room: probes, and ends when a roster takes access
 * away. However many there were, the items go on. */
static void
many_ends_at_once_leave_room_again(void **state)
{
	(void)state;
	world_close();
	world_open(3, 4);
	subscribe("second@school.test/x", COUNTS, "second@school.test");
	for (int i = 0; i < 40; i++) {
		char jid[64];

		snprintf(jid, sizeof jid, TEACHER "/d%d", i);
		subscribe(jid, COUNTS, jid);
	}
	set_roster(3, false);
	assert_int_equal(times_said("message", "subscription='none'"), 40);
	while (service->n_credit > 0)
		answer_pings();
	assert_int_equal(service->in_flight, 0);
	forget();
	event("u1");
	turns(4);
	assert_int_equal(messages(), 1);
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
	ask("get", DESK, PING);
	assert_int_equal(n_said, 1); /* answers go on */
	bulk_room = true;
	service_room(service);
	turns(3);
	assert_int_equal(messages(), 1);
	assert_int_equal(times_said("message", "\"seq\":2"), 1);
}

/* Somebody who asks for more than the server takes must not end the stream. */
static void
full_queue_refuses_requests(void **state)
{
	(void)state;
	event("u1");
	sink_busy = true;
	ask("get", DESK, PS "<items node='" COUNTS "'/></pubsub>");
	assert_non_null(strstr(last_said(), "<error type='wait'><resource-constraint "));
	sink_busy = false;
	ask("get", DESK, PS "<items node='" COUNTS "'/></pubsub>");
	assert_non_null(strstr(last_said(), pseudonym("u1")));
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
	/* an answer to a ping of before */
	tell("<iq type='result' id='credit-1' from='" SERVER "' to='" SERVICE "'/>");
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
	ask("get", DESK, PS "<items node='" COUNTS
	    "'/></pubsub>");
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
	tell("<message type='error' id='n1' from='" DESK "' to='" SERVICE "'><error type='cancel'>"
	    "<remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
	    "</message>");
	assert_int_equal(book_size(service->book), 2); /* it will be back */
	bounce(DESK, "cancel");
	assert_int_equal(book_size(service->book), 1);
	bounce(TEACHER, "cancel");
	assert_int_equal(book_size(service->book), 1);
	assert_int_equal(n_said, 0); /* an error is not answered */
}

/* While there was no stream, sessions may have gone without a word. */
static void
sessions_are_probed_on_a_new_stream(void **state)
{
	(void)state;
	presence(DESK, NULL);
	presence(TEACHER "/phone", NULL);
	subscribe(DESK, COUNTS, DESK);
	subscribe(DESK, NAMES, DESK);
	subscribe(TEACHER "/phone", COUNTS, TEACHER "/phone");
	subscribe(DESK, COUNTS, TEACHER);
	service_down(service);
	service_up(service);
	assert_int_equal(times_said("message", "to='" DESK "' type='groupchat'"), 1);
	assert_int_equal(times_said("message", "to='" TEACHER "/phone' type='groupchat'"), 1);
	assert_int_equal(times_said("message", "type='groupchat'"), 2);
	bounce(DESK, "cancel"); /* it is gone */
	assert_int_equal(book_size(service->book), 2);
	event("u1");
	turns(4);
	assert_int_equal(times_said("message", "to='" DESK "' type='headline'"), 0);
	assert_int_equal(times_said("message", "to='" TEACHER "/phone' type='headline'"), 1);
	forget();
	presence(TEACHER "/phone", NULL);
	service_down(service);
	service_up(service);
	assert_int_equal(times_said("message", "type='groupchat'"), 1);
}

/* Who never told us that he is there is asked on a new stream, and now and then:
 * nobody would tell us that he goes. */
static void
silent_session_is_found_gone(void **state)
{
	uint64_t now;

	(void)state;
	subscribe(DESK, COUNTS, DESK);
	settle();
	assert_int_equal(book_lasting(service->book), 1);
	service_down(service);
	service_up(service);
	now = loop_now_ms(loop) + 1; /* the probe is not younger */
	assert_int_equal(times_said("message", "to='" DESK "' type='groupchat'"), 1);
	service_tick(service, 0, now + BOOK_PROBE_MS / 2);
	assert_int_equal(times_said("message", "type='groupchat'"), 1);
	service_tick(service, 0, now + BOOK_PROBE_MS);
	assert_int_equal(times_said("message", "type='groupchat'"), 2);
	bounce(DESK, "wait"); /* its server is away, it need not be */
	assert_int_equal(book_size(service->book), 1);
	bounce(DESK, "cancel");
	assert_int_equal(book_size(service->book), 0);
}

/* Probes wait for room: more than the link's queue holds would end the stream,
 * and the next one, and the next. */
static void
probes_wait_for_room(void **state)
{
	(void)state;
	presence(DESK, NULL);
	subscribe_with(TEACHER "/phone", COUNTS, TEACHER "/phone",
	    OPTION("pubsub#expire", "presence"));
	subscribe(DESK, COUNTS, DESK);
	service_tick(service, 0, 0); /* both have just spoken */
	assert_int_equal(times_said("message", "type='groupchat'"), 0);
	service_down(service);
	bulk_room = false;
	service_up(service);
	service_tick(service, 0, 0);
	assert_int_equal(times_said("message", "type='groupchat'"), 0);
	bulk_room = true;
	service_tick(service, 0, 0);
	assert_int_equal(times_said("message", "type='groupchat'"), 2);
	service_tick(service, 0, 0); /* once a stream */
	assert_int_equal(times_said("message", "type='groupchat'"), 2);
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
	assert_int_equal(book_lasting(service->book), 0);
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
		forget();
		presence(from, NULL);
		assert_int_equal(n_said, 1);
	}
	assert_false(book_has_lease(service->book, DESK)); /* the oldest gave way */
	assert_true(book_has_lease(service->book, "x500@evil.test/y"));
}

/* The presence of strangers, who have no subscriptions, does not take the place
 * of those who have: that would end what is there, or keep what is gone. */
static void
strangers_presence_pushes_no_subscriber_out(void **state)
{
	(void)state;
	presence(DESK, NULL);
	subscribe_with(DESK, COUNTS, TEACHER, OPTION("pubsub#expire", "presence"));
	settle();
	for (int i = 0; i < BOOK_LEASES_MAX + 100; i++) {
		char from[64];

		snprintf(from, sizeof from, "x%d@evil.test/y", i);
		presence(from, NULL);
		forget();
	}
	assert_true(book_has_lease(service->book, DESK));
	assert_false(book_has_lease(service->book, "x50@evil.test/y"));
	presence(TEACHER "/phone", NULL);
	presence(TEACHER "/phone", "unavailable");
	assert_int_equal(book_size(service->book), 1);
	forget();
	subscribe(DESK, COUNTS, DESK);
	assert_int_equal(book_lasting(service->book), 0);
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

/* XEP-0203: the stamp is that of the newest item. */
static void
snapshot_has_a_delay(void **state)
{
	(void)state;
	event("u1"); /* at T0 */
	event("u2");
	subscribe_with(DESK, COUNTS, DESK, OPTION("pubsub#include_body", "1"));
	settle();
	assert_int_equal(messages(), 1);
	assert_int_equal(times_said("message", "</event><delay xmlns='urn:xmpp:delay' from='"
	    SERVICE "' stamp='2026-11-23T17:40:01.123Z'/><body>"), 1);
	forget();
	event("u1");
	turns(4);
	assert_int_equal(messages(), 1);
	assert_int_equal(times_said("message", "<delay "), 0);
	forget();
	service_down(service);
	service_up(service);
	event("u2"); /* before the rest leaves */
	turns(4);
	assert_int_equal(messages(), 1);
	assert_int_equal(times_said("message", "<delay "), 0);
	forget();
	service_down(service);
	service_up(service);
	turns(4);
	assert_int_equal(times_said("message", "stamp='2026-11-23T17:40:03.123Z'"), 1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(window_bounds_what_is_under_way), CASE(only_the_servers_answer_is_credit),
		CASE(the_servers_name_is_spelled_in_any_case),
		CASE(later_answer_covers_earlier_pings),
		CASE(pings_without_answer_are_given_up),
		CASE(many_ends_at_once_leave_room_again), CASE(full_queue_holds_items_back),
		CASE(full_queue_refuses_requests),
		CASE(lost_stream_ends_in_the_same_state), CASE(roster_ends_it_at_once),
		CASE(bounce_ends_what_is_temporary), CASE(bounced_items_are_sent_again),
		CASE(sessions_are_probed_on_a_new_stream), CASE(silent_session_is_found_gone),
		CASE(probes_wait_for_room),
		CASE(endless_bounces_end_what_is_temporary),
		CASE(bare_subscription_ends_with_the_last_resource),
		CASE(strangers_presence_is_bounded),
		CASE(strangers_presence_pushes_no_subscriber_out), CASE(arriving_brings_what_was_missed),
		CASE(snapshot_has_a_delay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
