/* SPDX-License-Identifier: MIT */
/* Items that leave a node: retractions and purges obey the rules of items. */
#include "tests/unit/hub_world.h"

#define COUNTS "class/7b/t.count"
#define NAMES "class/7b/_roster"
#define BOTH "7b:+tina,ann,ben"

/* How often the item was retracted; "" for purges. */
static size_t
gone(const struct hub_sub *s, const char *id)
{
	size_t n = 0;

	for (size_t i = 0; i < n_got; i++)
		n += got[i].sub == s && got[i].json == NULL && strcmp(got[i].id, id) == 0;
	return n;
}

static int
begin(void **state)
{
	(void)state;
	world_open(BOTH);
	event("ann");
	event("ben");
	return 0;
}

static int
end(void **state)
{
	(void)state;
	world_close();
	return 0;
}

static void
who_leaves_is_retracted(void **state)
{
	struct hub_sub *counts = subscribe(COUNTS, "tina@x", 0);
	struct hub_sub *names = subscribe(NAMES, "tina@x", 0);

	(void)state;
	turns(4);
	set_roster("7b:+tina,ben;8a:+tom,ann");
	turns(4);
	assert_int_equal(gone(counts, pseudonym("ann")), 1);
	assert_int_equal(gone(names, pseudonym("ann")), 1);
	assert_int_equal(gone(counts, pseudonym("ben")), 0);
	assert_int_equal(gone(counts, "") + gone(names, ""), 0);
	forget();
	event("ann");
	turns(4);
	assert_int_equal(n_got, 0);
}

/* The retraction takes the place of what was pending: one thing for an item. */
static void
retraction_replaces_the_item(void **state)
{
	struct hub_sub *s = subscribe(COUNTS, "tina@x", 0);

	(void)state;
	turns(4);
	forget();
	room = 0;
	event("ann");
	turns(4);
	set_roster("7b:+tina,ben");
	room = SIZE_MAX;
	hub_door_ready(door);
	turns(4);
	assert_int_equal(times(s, pseudonym("ann")), 0);
	assert_int_equal(gone(s, pseudonym("ann")), 1);
}

static void
who_comes_back_in_time_was_never_away(void **state)
{
	struct hub_sub *s = subscribe(COUNTS, "tina@x", 0);

	(void)state;
	turns(4);
	forget();
	room = 0;
	set_roster("7b:+tina,ben");
	turns(4);
	set_roster(BOTH);
	room = SIZE_MAX;
	hub_door_ready(door);
	turns(4);
	assert_int_equal(gone(s, pseudonym("ann")), 0);
	assert_int_equal(times(s, pseudonym("ann")), 1);
	event("ann");
	turns(4);
	assert_int_equal(last_seq(s, pseudonym("ann")), 2);
}

/* A stream may have been lost with the retraction on it. */
static void
refresh_retracts_again(void **state)
{
	struct hub_sub *s = subscribe(COUNTS, "tina@x", 0), *later;

	(void)state;
	turns(4);
	set_roster("7b:+tina,ben");
	turns(4);
	later = subscribe(COUNTS, "tina@x", 0);
	turns(4);
	forget();
	hub_sub_refresh(s);
	hub_sub_refresh(later);
	turns(4);
	assert_int_equal(gone(s, pseudonym("ann")), 1);
	assert_int_equal(times(s, pseudonym("ben")), 1);
	assert_int_equal(gone(later, pseudonym("ann")), 0); /* he never had it */
}

static void
empty_class_is_purged(void **state)
{
	struct hub_sub *s = subscribe(COUNTS, "tina@x", 0);

	(void)state;
	turns(4);
	forget();
	room = 0;
	set_roster("7b:+tina,ben");
	set_roster("7b:+tina");
	room = SIZE_MAX;
	hub_door_ready(door);
	turns(4);
	assert_int_equal(n_got, 1);
	assert_int_equal(gone(s, ""), 1);
	room = 0;
	set_roster(BOTH);
	forget();
	hub_sub_refresh(s);
	room = SIZE_MAX;
	hub_door_ready(door);
	turns(4);
	assert_int_equal(n_got, 3);
	assert_string_equal(got[0].id, ""); /* and then what is there */
}

static void
many_who_leave_are_a_purge(void **state)
{
	struct buf all = BUF_INIT(0);
	struct hub_sub *s;
	char id[16];

	(void)state;
	buf_z(&all, BOTH);
	for (int i = 0; i < 300; i++) {
		snprintf(id, sizeof id, ",u%d", i);
		buf_z(&all, id);
	}
	buf_byte(&all, '\0');
	set_roster(all.data);
	s = subscribe(NAMES, "tina@x", 0);
	turns(20);
	assert_int_equal(n_got, 302);
	forget();
	set_roster(BOTH);
	turns(20);
	assert_int_equal(gone(s, ""), 1);
	assert_int_equal(n_got, 3);
	assert_int_equal(times(s, pseudonym("ann")), 1);
	buf_free(&all);
}

static bool ended_deleted;

static void
ended_look(struct hub_sub *s)
{
	ended_deleted = hub_sub_is_deleted(s);
}

static void
who_is_revoked_hears_nothing_more(void **state)
{
	(void)state;
	subscribe(COUNTS, "tina@x", 0);
	turns(4);
	forget();
	on_ended = ended_look;
	set_roster("7b:+tom,ben");
	turns(4);
	assert_int_equal(n_got, 0);
	assert_int_equal(n_ended, 1);
	assert_false(ended_deleted);
}

static void
class_that_vanishes_is_deleted(void **state)
{
	(void)state;
	subscribe(COUNTS, "tina@x", 0);
	turns(4);
	forget();
	on_ended = ended_look;
	set_roster("8a:+tina,ann,ben");
	turns(4);
	assert_int_equal(n_got, 0);
	assert_int_equal(n_ended, 1);
	assert_true(ended_deleted);
}

/* What is held back waits, a retraction like an item; the end does not. */
static void
held_things_wait(void **state)
{
	struct hub_sub *s = subscribe(COUNTS, "tina@x", 0);

	(void)state;
	hub_sub_hold(s, true);
	turns(4);
	assert_int_equal(n_got, 0);
	event("ben");
	set_roster("7b:+tina,ben");
	hub_sub_refresh(s);
	turns(4);
	assert_int_equal(n_got, 0);
	hub_sub_hold(s, false);
	turns(4);
	assert_int_equal(gone(s, pseudonym("ann")), 1);
	assert_int_equal(last_seq(s, pseudonym("ben")), 2);
	assert_int_equal(n_got, 2);
	hub_sub_hold(s, true);
	set_roster("7b:+tom,ben");
	assert_int_equal(n_ended, 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(who_leaves_is_retracted), CASE(retraction_replaces_the_item),
		CASE(who_comes_back_in_time_was_never_away), CASE(refresh_retracts_again),
		CASE(empty_class_is_purged), CASE(many_who_leave_are_a_purge),
		CASE(who_is_revoked_hears_nothing_more), CASE(class_that_vanishes_is_deleted),
		CASE(held_things_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
