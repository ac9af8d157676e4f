/* SPDX-License-Identifier: MIT */
/* hub_mirror: states of another daemon in this one's nodes, and states of its own
 * beside them, in memory or away. */
#include "tests/unit/hub_away.h"

#define COUNTS "class/c/t.count"
#define DOCS "class/c/t.docs"

static struct hub_mirrored *mirrored[8];
static size_t n_mirrored;

/* a, b and d; of d there are no states. */
static int
setup(void **state)
{
	(void)state;
	away_begin("c:+t,a,b,d");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	while (n_mirrored > 0)
		hub_mirror_release(mirrored[--n_mirrored]);
	away_end();
	return 0;
}

/* ---- what is mirrored and shown ---- */

static struct hub_mirrored *
mirror(const struct reducer *r, const char *student, const char *scope, uint64_t seq)
{
	char *id = mem_printf("%s%s%s", pseudonym(student), *scope != '\0' ? "/" : "", scope);
	struct hub_mirrored *m = hub_mirror_take(hub, r, str_of(id));
	struct hub_mirror_value v = { .seq = seq, .time_us = T0, .json = STR_LIT("{\"n\":7}") };

	assert_non_null(m);
	assert_true(hub_mirror_set(m, &v));
	mirrored[n_mirrored++] = m;
	mem_free(id);
	return m;
}

static bool
seq_cb(void *arg, const struct hub_item *item)
{
	buf_printf(arg, "%d ", (int)item->seq);
	return true;
}

/* The seqs of the student's items, as whoever reads the node gets them. */
static void
assert_seqs(const char *node, const char *want)
{
	struct buf b = BUF_INIT(0);

	buf_z(&b, "");
	assert_int_equal(hub_items(hub, str_of(node), STR_LIT("t@x"), seq_cb, &b), ERR_OK);
	buf_byte(&b, '\0');
	assert_string_equal(b.data, want);
	buf_free(&b);
}

/* ---- tests ---- */

/* A state of its own that nobody looked at yet: the item is there once. */
static void
test_own_unseen(void **state)
{
	(void)state;
	mirror(&world_count, "d", "", 400);
	assert_seqs(COUNTS, "400 ");
	event("d");
	assert_seqs(COUNTS, "1 ");
	event("d");
	mirror(&world_count, "d", "", 401);
	assert_seqs(COUNTS, "2 ");
}

/* Where the daemon's own begins after the mirrored one, a reader who goes by seq is
 * told that what he has counts no more. */
static void
test_own_goes_back(void **state)
{
	struct hub_sub *s = subscribe(COUNTS, "t@x", 0);
	size_t at;

	(void)state;
	mirror(&world_count, "d", "", 400);
	mirror(&world_count, "b", "", 1);
	turns(4);
	assert_int_equal(last_seq(s, pseudonym("d")), 400);
	at = n_got;
	event("d");
	turns(4);
	assert_true(n_got > at);
	assert_string_equal(got[at].id, ""); /* a purge */
	assert_int_equal(last_seq(s, pseudonym("d")), 1);
	assert_int_equal(times(s, pseudonym("b")), 2);
	event("b");
	event("b");
	turns(4);
	assert_int_equal(last_seq(s, pseudonym("b")), 2);
	forget();
}

/* While a student's own states are away nobody knows which of the mirrored ones they
 * hide: none is shown until they are back. */
static void
test_own_is_away(void **state)
{
	struct hub_sub *s, *docs;

	(void)state;
	event("a");
	event("b");
	settle();
	assert_int_equal(cold_count(engine), 1);
	mirror(&world_count, "a", "", 400);
	mirror(&world_docs, "a", "other", 7);
	mirror(&world_count, "d", "", 5);
	s = subscribe(COUNTS, "t@x", 0);
	docs = subscribe(DOCS, "t@x", 0);
	turns(2);
	assert_int_equal(last_seq(s, pseudonym("d")), 5);
	assert_int_equal(times(s, pseudonym("a")), 0);
	until(all_are_hot);
	turns(4);
	assert_int_equal(last_seq(s, pseudonym("a")), 1);
	assert_int_equal(times(s, pseudonym("a")), 1);
	assert_int_equal(n_got, 4); /* of a, b and d, and a's document */
	hub_unsubscribe(s);
	hub_unsubscribe(docs);
	forget();
}

/* The same when somebody has subscribed already. */
static void
test_comes_while_away(void **state)
{
	struct hub_sub *s = subscribe("class/c/_roster", "t@x", 0);

	(void)state;
	event("a");
	event("b");
	settle();
	assert_int_equal(cold_count(engine), 1);
	mirror(&world_count, "a", "", 400);
	assert_seqs(COUNTS, "1 "); /* b's */
	until(all_are_hot);
	assert_seqs(COUNTS, "1 1 ");
	hub_unsubscribe(s);
	turns(2);
	forget();
}

/* Students of whom nothing is mirrored any more leave nothing behind. */
static void
test_nothing_is_left(void **state)
{
	char id[PSEUDONYM_LEN + 1];

	(void)state;
	for (int i = 0; i < 10000; i++) {
		struct hub_mirror_value v = { .seq = 1, .time_us = T0, .json = STR_LIT("{\"n\":7}") };
		struct hub_mirrored *m;

		snprintf(id, sizeof id, "%0*d", PSEUDONYM_LEN, i);
		m = hub_mirror_take(hub, &world_count, str_of(id));
		assert_true(hub_mirror_set(m, &v));
		hub_mirror_release(m);
	}
	assert_int_equal(hub_mirror_students(hub), 0);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_own_unseen),
		TEST(test_own_goes_back),
		TEST(test_own_is_away),
		TEST(test_comes_while_away),
		TEST(test_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
