/* SPDX-License-Identifier: MIT */
/* What the service says of items and nodes that are there no more. */
#include "xmpp_world.h"

/* A roster of its own: class 7b with the teacher and so many students, or not
 * there at all (-1). */
static void
shrink_to(int students)
{
	struct roster *next = roster_new(KEY);
	const char *why = NULL;
	char id[24];

	world_row(next, ROSTER_TEACHER, students < 0 ? "8a" : "7b", "t1", TEACHER);
	for (int i = 1; i <= students; i++) {
		snprintf(id, sizeof id, "u%d", i);
		world_row(next, ROSTER_STUDENT, "7b", id, "");
	}
	assert_int_equal(roster_seal(next, &why), ERR_OK);
	hub_set_roster(hub, next);
	roster_free(roster);
	roster = next;
	turns(4);
}

#define RETRACT(node) "<items node='" node "'><retract id='%s'/></items></event></message>"

static void
retractions_are_told(void **state)
{
	char *expected = mem_printf(RETRACT(COUNTS), pseudonym("u3"));

	(void)state;
	event("u3");
	event("u1");
	subscribe(DESK, COUNTS, TEACHER);
	subscribe(DESK, NAMES, TEACHER);
	shrink_to(2);
	assert_int_equal(times_said("message", expected), 1);
	assert_int_equal(times_said("message", "<retract "), 2);
	assert_int_equal(times_said("message", "type='headline'"), n_said);
	forget();
	service_down(service);
	service_up(service); /* it may have been lost with the stream */
	turns(4);
	assert_int_equal(times_said("message", expected), 1);
	mem_free(expected);
}

static void
empty_class_is_purged(void **state)
{
	(void)state;
	event("u1");
	subscribe(DESK, COUNTS, TEACHER);
	shrink_to(0);
	assert_int_equal(times_said("message", "<event xmlns='http://jabber.org/protocol/"
	    "pubsub#event'><purge node='" COUNTS "'/></event></message>"), 1);
	assert_int_equal(times_said("message", "<retract "), 0);
	assert_int_equal(book_size(service->book), 1);
}

static void
vanished_class_is_deleted_and_the_subscription_ends(void **state)
{
	(void)state;
	event("u1");
	subscribe(DESK, COUNTS, TEACHER);
	shrink_to(-1);
	assert_int_equal(n_said, 2);
	assert_non_null(strstr(said[0].text, "<delete node='" COUNTS "'/>"));
	assert_non_null(strstr(said[1].text, "subscription='none'"));
	assert_int_equal(book_size(service->book), 0);
	assert_int_equal(kept(), 0);
	event("u1");
	turns(4);
	assert_int_equal(n_said, 2);
}

static void
who_is_revoked_hears_only_that(void **state)
{
	(void)state;
	event("u3");
	subscribe(DESK, COUNTS, TEACHER);
	set_roster(2, false);
	turns(4);
	assert_int_equal(n_said, 1);
	assert_non_null(strstr(said[0].text, "subscription='none'"));
}

/* We do not know what a subscriber has of before; he starts from nothing. */
static void
after_a_restart_all_begins_with_a_purge(void **state)
{
	(void)state;
	event("u1");
	subscribe(DESK, COUNTS, TEACHER);
	world_restart(200);
	turns(4);
	assert_int_equal(n_said, 2);
	assert_non_null(strstr(said[0].text, "<purge node='" COUNTS "'/>"));
	assert_non_null(strstr(said[1].text, "<item id="));
}

static void
retractions_wait_for_room(void **state)
{
	(void)state;
	event("u3");
	subscribe(DESK, COUNTS, TEACHER);
	bulk_room = false;
	shrink_to(2);
	assert_int_equal(n_said, 0);
	bulk_room = true;
	service_room(service);
	turns(4);
	assert_int_equal(times_said("message", "<retract "), 1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(retractions_are_told), CASE(empty_class_is_purged),
		CASE(vanished_class_is_deleted_and_the_subscription_ends),
		CASE(who_is_revoked_hears_only_that),
		CASE(after_a_restart_all_begins_with_a_purge), CASE(retractions_wait_for_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
