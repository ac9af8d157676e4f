/* SPDX-License-Identifier: MIT */
/* pubsub: the contract with the backend in memory; and what is before all backends,
 * with one that says what the test wants it to. */
#include "base/log.h"
#include "base/mem.h"
#include "tests/contract/pubsub_contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/pubsub_backends.h"

#define NODE STR_LIT("class/7b/t.count")

/* ---- a backend that says what it is told to ---- */

static const struct pubsub_events *events;
static void *events_arg;
static unsigned follows, unfollows;

static void *
told_open(const struct pubsub_options *o, const struct pubsub_events *ev, void *arg, char **why)
{
	(void)o, (void)why;
	events = ev;
	events_arg = arg;
	return &follows;
}

static void
told_follow(void *store, struct str node)
{
	(void)store, (void)node;
	follows++;
}

static void
told_unfollow(void *store, struct str node)
{
	(void)store, (void)node;
	unfollows++;
}

static void
told_close(void *store)
{
	(void)store;
}

static const struct pubsub_backend told = {
	.name = "told", .open = told_open, .follow = told_follow, .unfollow = told_unfollow,
	.close = told_close,
};

static void
change(uint64_t number, const char *id, const char *json)
{
	struct pubsub_change c = { PUBSUB_ITEM, number, str_of(id), str_of(json) };

	events->change(events_arg, NODE, &c);
}

static void
snapshot(void)
{
	const struct pubsub_item item = { STR_LIT("s"), STR_LIT("{}") };

	events->snapshot(events_arg, NODE, &item, 1, true);
}

/* ---- a reader: what it heard, "s" for a snapshot, else the change's id ---- */

static struct pubsub *pubsub;
static struct pubsub_sub *sub, *joined;
static struct buf heard, heard_joined;
static bool joins;

static void reader_snapshot_cb(void *arg, const struct pubsub_item *v, size_t n, bool whole);
static void reader_change_cb(void *arg, const struct pubsub_change *c);
static const struct pubsub_reader reader = { reader_snapshot_cb, reader_change_cb };

static void
reader_snapshot_cb(void *arg, const struct pubsub_item *v, size_t n, bool whole)
{
	(void)whole;
	assert_int_equal(n, 1);
	buf_str(arg, v[0].id);
}

static void
reader_change_cb(void *arg, const struct pubsub_change *c)
{
	buf_str(arg, c->id);
	if (joins)
		joined = pubsub_follow(pubsub, NODE, &reader, &heard_joined);
	joins = false;
}

static void
assert_heard(struct buf *b, const char *text)
{
	buf_byte(b, '\0');
	assert_string_equal(b->data, text);
	buf_clear(b);
}

static int
setup(void **state)
{
	struct pubsub_options o = { 0 };
	char *why = NULL;

	(void)state;
	follows = unfollows = 0;
	joined = NULL;
	joins = false;
	pubsub = pubsub_open(&told, &o, &why);
	sub = pubsub_follow(pubsub, NODE, &reader, &heard);
	assert_int_equal(follows, 1);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	pubsub_close(pubsub);
	buf_free(&heard);
	buf_free(&heard_joined);
	return 0;
}

/* ---- tests ---- */

/* What comes before the snapshot counts after it. */
static void
test_waits(void **state)
{
	(void)state;
	change(7, "a", "{}");
	change(8, "b", "{}");
	assert_heard(&heard, "");
	snapshot();
	change(9, "c", "{}");
	assert_heard(&heard, "sabc");
	assert_int_equal(follows, 1);
}

/* A number that is missing, or begins again: another snapshot, which has all that came
 * before it was asked for, and what comes until then after it. */
static void
test_gap(void **state)
{
	(void)state;
	snapshot();
	change(7, "a", "{}");
	change(9, "c", "{}");
	change(10, "d", "{}");
	assert_heard(&heard, "sa");
	assert_int_equal(follows, 2);
	snapshot();
	assert_heard(&heard, "sd");
	change(1, "x", "{}");
	assert_int_equal(follows, 3);
	change(2, "y", "{}");
	snapshot();
	assert_heard(&heard, "sy");
	change(3, "z", "{}");
	assert_heard(&heard, "z");
	assert_int_equal(follows, 3);
}

/* What comes late is never given after something newer: it would undo it. */
static void
test_swapped(void **state)
{
	(void)state;
	snapshot();
	change(4, "a", "{}");
	change(6, "c", "{}");
	change(5, "b", "{}");
	snapshot();
	assert_heard(&heard, "sas");
	assert_int_equal(follows, 3);
	snapshot();
	assert_heard(&heard, "s");
	change(7, "d", "{}");
	assert_heard(&heard, "d");
	assert_int_equal(follows, 3);
}

/* More than can wait: the snapshot is given all the same, and another one asked for. A
 * node that changes much would never be read. */
static void
test_too_much_waits(void **state)
{
	char *large = mem_zalloc(PUBSUB_WAITING_MAX + 1);

	(void)state;
	memset(large, '1', PUBSUB_WAITING_MAX);
	change(1, "a", "{}");
	change(2, "b", large);
	change(3, "c", "{}");
	snapshot();
	assert_heard(&heard, "s");
	assert_int_equal(follows, 2);
	change(4, "d", "{}");
	assert_heard(&heard, "");
	snapshot();
	assert_heard(&heard, "sd");
	assert_int_equal(follows, 2);
	mem_free(large);
}

/* Who joins inside a call hears nothing before a snapshot. */
static void
test_joins_inside(void **state)
{
	(void)state;
	snapshot();
	joins = true;
	change(1, "a", "{}");
	assert_heard(&heard, "sa");
	assert_heard(&heard_joined, "");
	change(2, "b", "{}");
	snapshot();
	assert_heard(&heard, "sb");
	assert_heard(&heard_joined, "sb");
	pubsub_unfollow(joined);
	assert_int_equal(unfollows, 0);
	pubsub_unfollow(sub);
	assert_int_equal(unfollows, 1);
	change(3, "c", "{}"); /* of a node that nobody reads */
	snapshot();
	assert_heard(&heard, "");
}

static void
nothing(struct pubsub_options *o)
{
	(void)o;
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_waits),
		TEST(test_gap),
		TEST(test_swapped),
		TEST(test_too_much_waits),
		TEST(test_joins_inside),
	};
	const struct pubsub_contract contract = {
		.backend = &pubsub_memory, .place = nothing, .drop = nothing
	};
	int failed;

	log_set_level(LOG_ERROR);
	failed = pubsub_contract_run(&contract);
	failed += cmocka_run_group_tests_name("pubsub", tests, NULL, NULL);
	return failed;
}
