/* SPDX-License-Identifier: MIT */
/* Tests of cold and keep: students whose states go to a store and come back, and a
 * store that forgets, swaps, cuts and lies. */
#include "tests/unit/cold_world.h"

#define A_ANY "Internal,t.any,STUDENT:a"
#define A_INDEX "lectern:student:a"

static void
test_out_and_back(void **state)
{
	(void)state;
	cw_start(1);
	cw_visit("a", "d1", 2);
	cw_visit("b", "d1", 1);
	cw_visit("c", NULL, 3);
	cw_settle();
	assert_int_equal(cold_hot(cw.e), 1);
	assert_int_equal(cold_count(cw.e), 2);
	assert_null(engine_state(cw.e, STR_LIT(A_ANY))); /* the first to go */
	cw_assert_digest();
	cw_assert_student("a");
	cw_assert_student("b");
	cw_assert_student("c");
	cw_assert_digest();
	assert_int_equal(cw.rebuilds, 0);
}

/* What comes for a student who is away waits for his states only. */
static void
test_records_wait(void **state)
{
	(void)state;
	cw_start(1);
	cw_visit("a", "d1", 2);
	cw_visit("b", "d1", 1);
	cw_settle();
	cw_visit("a", "d1", 2);
	cw_visit("b", "d1", 2);
	assert_int_equal(cold_waiting(cw.e), 1);
	assert_null(engine_state(cw.e, STR_LIT(A_ANY)));
	assert_int_equal(engine_state(cw.e, STR_LIT("Internal,t.any,STUDENT:b"))->seq, 3);
	cw_until(cw_nobody_waits);
	assert_int_equal(engine_state(cw.e, STR_LIT(A_ANY))->seq, 4);
	assert_true(cw.spreads > 0);
	cw_assert_digest();
	cw_settle();
	cw_assert_digest();
	cw_assert_student("a");
	assert_int_equal(cw.rebuilds, 0);
}

/* An event that comes again is one also while it waits. */
static void
test_repeats(void **state)
{
	uint64_t session;

	(void)state;
	cw_start(1);
	cw_visit("a", NULL, 1);
	cw_visit("b", NULL, 1);
	cw_settle();
	session = cw_session("a");
	cw_event(session, (struct rig_event){ .stream_seq = 1 });
	cw_event(session, (struct rig_event){ .stream_seq = 1 });
	cw_event(session, (struct rig_event){ .stream_seq = 2 });
	assert_true(engine_is_repeat(cw.e, session + 2));
	cw_until(cw_nobody_waits);
	assert_int_equal(engine_state(cw.e, STR_LIT(A_ANY))->seq, 3);
	cw_assert_digest();
}

static void
test_who_stays(void **state)
{
	uint64_t session;
	struct student *a;

	(void)state;
	cw_start(1);
	session = cw_session("a");
	cw_event(session, (struct rig_event){ 0 });
	cw_visit("b", NULL, 1);
	cw_visit("c", NULL, 1);
	cw_settle();
	a = engine_student(cw.e, STR_LIT("a"));
	assert_non_null(a->states); /* is connected */
	cw_end(session);
	a->n_watched = 1;
	cw_visit("b", NULL, 1);
	cw_visit("c", NULL, 1);
	cw_settle();
	assert_non_null(a->states);
	a->n_watched = 0;
	cw_visit("b", NULL, 1);
	cw_until(cw_nobody_waits);
	cw_settle();
	assert_null(a->states);
	cw_assert_digest();
}

/* ---- a store that cannot be trusted ---- */

static void
a_is_away(void)
{
	cw_start(1);
	cw_visit("a", "d1", 2);
	cw_visit("b", "d1", 1);
	cw_settle();
	assert_null(engine_state(cw.e, STR_LIT(A_ANY)));
}

static void
comes_from_the_journal(unsigned rebuilds)
{
	cw_assert_student("a");
	assert_int_equal(cw.rebuilds, rebuilds);
	cw_assert_digest();
	cw_assert_student("b");
	cw_visit("a", "d2", 1);
	cw_settle();
	cw_assert_digest();
	cw_assert_student("a");
	assert_int_equal(cw.rebuilds, rebuilds); /* it was stored again */
}

static void
test_index_lost(void **state)
{
	(void)state;
	a_is_away();
	kvs_remove(cw.kvs, STR_LIT(A_INDEX));
	comes_from_the_journal(1);
}

static void
test_value_lost(void **state)
{
	(void)state;
	a_is_away();
	kvs_remove(cw.kvs, STR_LIT(A_ANY));
	comes_from_the_journal(1);
}

static void
test_value_foreign(void **state)
{
	(void)state;
	a_is_away();
	kvs_put(cw.kvs, STR_LIT(A_ANY), STR_LIT("{\"n\":9,\"pad\":7}"));
	comes_from_the_journal(1);
}

struct got {
	struct buf value;
	bool there;
};

static void
got_cb(void *arg, enum err e, bool found, struct str value)
{
	struct got *g = arg;

	assert_int_equal(e, ERR_OK);
	assert_int_equal(found, value.n > 0);
	buf_str(&g->value, value);
	g->there = true;
}

static struct got got;

static bool
is_got(void)
{
	return got.there;
}

static bool
two_are_away(void)
{
	return cold_count(cw.e) == 2;
}

/* What the store has under this key, good until the next call; empty: nothing. */
static struct str
stored(const char *key)
{
	buf_clear(&got.value);
	got.there = false;
	kvs_get(cw.kvs, str_of(key), got_cb, &got);
	cw_until(is_got);
	return buf_view(&got.value);
}

static void
test_index_damaged(void **state)
{
	struct str is;

	(void)state;
	a_is_away();
	is = stored(A_INDEX);
	for (size_t at = 0; at < is.n; at += 13) {
		got.value.data[at] ^= 1;
		kvs_put(cw.kvs, STR_LIT(A_INDEX), is);
		comes_from_the_journal(cw.rebuilds + 1);
		cw_visit("b", NULL, 1);
		cw_settle();
		if (engine_student(cw.e, STR_LIT("a"))->states != NULL) {
			cw_visit("b", NULL, 1);
			cw_settle();
		}
		is = stored(A_INDEX);
		if (at > 200)
			break;
	}
	buf_free(&got.value);
}

static void
test_index_cut(void **state)
{
	struct str is;

	(void)state;
	a_is_away();
	is = stored(A_INDEX);
	is.n -= 40;
	kvs_put(cw.kvs, STR_LIT(A_INDEX), is);
	comes_from_the_journal(1);
	buf_free(&got.value);
}

static void
test_index_of_another(void **state)
{
	(void)state;
	a_is_away();
	kvs_put(cw.kvs, STR_LIT(A_INDEX), stored("lectern:student:b"));
	comes_from_the_journal(1);
	buf_free(&got.value);
}

/* Index and value together of an earlier time: everything fits but the time. */
static void
test_index_old(void **state)
{
	struct buf value = BUF_INIT(0);

	(void)state;
	a_is_away();
	buf_str(&value, stored(A_ANY));
	stored(A_INDEX);
	cw_visit("a", NULL, 1);
	cw_until(cw_nobody_waits);
	cw_visit("b", NULL, 1);
	cw_settle();
	assert_null(engine_state(cw.e, STR_LIT(A_ANY)));
	kvs_put(cw.kvs, STR_LIT(A_ANY), buf_view(&value));
	kvs_put(cw.kvs, STR_LIT(A_INDEX), buf_view(&got.value));
	comes_from_the_journal(1);
	buf_free(&value);
	buf_free(&got.value);
}

/* The same of the run before, whose snapshot knows later ones. */
static void
test_index_old_after_restart(void **state)
{
	struct buf value = BUF_INIT(0);
	struct rig_saved *s;

	(void)state;
	a_is_away();
	buf_str(&value, stored(A_ANY));
	stored(A_INDEX);
	cw_visit("a", NULL, 1);
	cw_until(cw_nobody_waits);
	cw_visit("b", NULL, 1);
	cw_settle();
	s = rig_save(cw.e);
	cw_restart(s, cw.n);
	rig_saved_free(s);
	kvs_put(cw.kvs, STR_LIT(A_ANY), buf_view(&value));
	kvs_put(cw.kvs, STR_LIT(A_INDEX), buf_view(&got.value));
	comes_from_the_journal(1);
	buf_free(&value);
	buf_free(&got.value);
}

static void
grow(const char *student)
{
	uint64_t session = cw_session(student);

	cw_event(session, (struct rig_event){ .name = "bloat" });
	cw_end(session);
}

static bool
is_finished(void)
{
	return keep_finish(cw.keep);
}

static bool
flushed_often(void)
{
	return kvs_fault_now.flushes > 5;
}

/* A store that fails is asked whether it is there again; nothing is written in vain. */
static void
test_store_is_away(void **state)
{
	unsigned writes;

	(void)state;
	cw_start(1);
	kvs_fault_now.cut = 100;
	cw_visit("a", "d1", 2);
	engine_changed(cw.e);
	keep_flush(cw.keep);
	writes = kvs_fault_now.writes;
	assert_true(writes > 0);
	cw_until(flushed_often);
	assert_int_equal(kvs_fault_now.writes, writes);
	assert_false(keep_finish(cw.keep)); /* it names no trouble, so it may come yet */
	kvs_fault_now.cut = 0;
	cw_visit("b", "d1", 1);
	cw_settle();
	assert_int_equal(cold_count(cw.e), 1);
	cw_until(is_finished);
	cw_assert_student("a");
	assert_int_equal(cw.rebuilds, 0);
}

static void
flush_to_nobody_cb(void *arg, const struct state *s, struct str json)
{
	(void)arg;
	(void)s;
	(void)json;
}

static void
index_bytes_cb(void *arg, struct str key, struct str index)
{
	(void)key;
	*(size_t *)arg += index.n;
}

/* Bytes of indexes of at most max bytes in a flush of everything, as if all was stored. */
static size_t
flush_indexes(size_t max)
{
	static const struct engine_flush everything = { SIZE_MAX, SIZE_MAX, 0 };
	uint64_t flush;
	size_t n = 0;

	cw_visit("a", "d1", 1);
	engine_changed(cw.e);
	flush = engine_flush_dirty(cw.e, &everything, flush_to_nobody_cb, NULL);
	cold_indexes(cw.e, max, index_bytes_cb, &n);
	engine_flushed(cw.e, flush);
	return n;
}

/* An index that no store takes: its student stays, until it is small again. */
static void
test_index_too_large(void **state)
{
	(void)state;
	cw_start(1);
	assert_int_equal(flush_indexes(8), 0);
	assert_int_equal(cold_evict(cw.e, 0, 10), 0);
	assert_true(flush_indexes(KVS_VALUE_MAX) > 8);
	assert_int_equal(cold_evict(cw.e, 0, 10), 1);
}

/* A state that no store takes: all others are stored, its student stays, and no value
 * of earlier stands for it. */
static void
test_too_large(void **state)
{
	(void)state;
	cw_start(1);
	grow("a");
	cw_settle();
	assert_int_equal(stored("Internal,t.bloat,STUDENT:a").n, COLD_BLOAT + 2);
	grow("a");
	cw_visit("b", "d1", 1);
	cw_visit("c", "d1", 1);
	engine_changed(cw.e);
	keep_flush(cw.keep);
	cw_until(two_are_away);
	assert_int_equal(engine_large(cw.e), 1);
	assert_non_null(engine_student(cw.e, STR_LIT("a"))->states);
	assert_int_equal(stored("Internal,t.bloat,STUDENT:a").n, 0);
	assert_true(stored("Internal,t.any,STUDENT:a").n > 0);
	assert_true(stored("Internal,t.any,STUDENT:b").n > 0);
	cw_assert_digest();
	cw_assert_student("b");
	assert_int_equal(cw.rebuilds, 0);
	buf_free(&got.value);
}

static bool
has_refused(void)
{
	return cw.refusals == 0;
}

/* The journal cannot be read at first: it is tried again, and records wait. */
static void
test_rebuild_fails(void **state)
{
	(void)state;
	a_is_away();
	kvs_remove(cw.kvs, STR_LIT(A_INDEX));
	cw.rebuild_fails = true;
	cw_visit("a", "d1", 2);
	cw_until(cw_nobody_waits);
	assert_int_equal(cw.rebuilds, 2);
	cw_assert_digest();
}

/* No child can be made at first; what comes meanwhile counts once. */
static void
test_rebuild_cannot_begin(void **state)
{
	(void)state;
	a_is_away();
	kvs_remove(cw.kvs, STR_LIT(A_INDEX));
	cw.refusals = 2;
	cw_visit("a", "d1", 2);
	cw_until(has_refused);
	cw_visit("a", "d2", 1);
	assert_int_equal(cold_waiting(cw.e), 1);
	cw_until(cw_nobody_waits);
	assert_int_equal(cw.rebuilds, 1);
	cw_assert_digest();
	cw_assert_student("a");
}

/* Six events, more than may wait. */
static void
too_much_comes(void)
{
	char *big = mem_alloc(COLD_WAITING_MAX / 4);
	uint64_t session = cw_session("a");

	memset(big, ' ', COLD_WAITING_MAX / 4);
	memcpy(big, "{}", 2);
	big[COLD_WAITING_MAX / 4 - 1] = '\0';
	for (int i = 0; i < 6; i++)
		cw_event(session, (struct rig_event){ .json = big });
	mem_free(big);
}

/* The rest comes from the journal. */
static void
test_too_much_waits(void **state)
{
	(void)state;
	a_is_away();
	too_much_comes();
	cw_until(cw_nobody_waits);
	assert_int_equal(engine_state(cw.e, STR_LIT(A_ANY))->seq, 8);
	assert_int_equal(cw.rebuilds, 1);
	cw_assert_digest();
}

static void
has_value_cb(void *arg, struct state *s)
{
	struct buf json = BUF_INIT(0);

	engine_encode(s, &json);
	assert_true(str_eq(buf_view(&json), *(struct str *)arg));
	buf_free(&json);
}

/* States folded anew, a producer's among them, are too old when they come: they are
 * given up, and folded anew again. */
static void
test_rebuilt_too_late(void **state)
{
	struct str want = STR_LIT("{\"x\":1}");

	(void)state;
	a_is_away();
	kvs_remove(cw.kvs, STR_LIT(A_INDEX));
	cw_publish("a", "{\"x\":1}");
	cw.meanwhile = too_much_comes;
	cw_until(cw_nobody_waits);
	assert_int_equal(cw.rebuilds, 2);
	assert_int_equal(engine_state_count(cw.e, &cold_external), 1);
	engine_each_of(cw.e, &cold_external, has_value_cb, &want);
	cw_assert_digest();
	cw_visit("c", NULL, 1);
	keep_flush(cw.keep);
	cw_assert_student("a"); /* stays: his producer asks for it */
}

/* A session that was the student's is another's: its events are, too. */
static void
test_session_changes_hands(void **state)
{
	uint64_t session;

	(void)state;
	a_is_away();
	kvs_remove(cw.kvs, STR_LIT(A_INDEX));
	session = cw_session("a");
	cw_event(session, (struct rig_event){ 0 });
	cw_says(session, "b");
	cw_event(session, (struct rig_event){ 0 });
	cw_event(session, (struct rig_event){ 0 });
	cw_until(cw_nobody_waits);
	assert_int_equal(cw.rebuilds, 1);
	assert_int_equal(engine_state(cw.e, STR_LIT(A_ANY))->seq, 3);
	cw_assert_digest();
}

/* ---- a new start ---- */

static void
test_restart(void **state)
{
	struct rig_saved *s;

	(void)state;
	a_is_away();
	s = rig_save(cw.e);
	cw_restart(s, cw.n);
	rig_saved_free(s);
	assert_int_equal(cold_count(cw.e), 1);
	cw_assert_digest();
	cw_assert_student("a");
	cw_settle();
	assert_int_equal(cw.rebuilds, 0);
	cw_assert_digest();
}

/* The snapshot is behind: the store has a later index, of what the journal has, too. */
static void
test_crash(void **state)
{
	struct rig_saved *s;
	uint64_t position;

	(void)state;
	a_is_away();
	s = rig_save(cw.e);
	position = cw.n;
	cw_visit("a", "d1", 2);
	cw_until(cw_nobody_waits);
	cw_visit("b", "d1", 2);
	cw_settle();
	cw_visit("a", "d1", 1); /* this one the store does not have */
	cw_restart(s, position);
	assert_int_equal(cold_waiting(cw.e), 1);
	cw_until(cw_nobody_waits);
	assert_int_equal(cw.rebuilds, 0);
	cw_assert_digest();
	cw_assert_student("a");
	rig_saved_free(s);
}

static void
put_back(size_t position)
{
	engine_free(cw.all);
	while (cw.n > position)
		mem_free((char *)cw.record[--cw.n].body.p);
	cw.all = cw_engine(false);
	for (size_t i = 0; i < cw.n; i++)
		engine_record(cw.all, &cw.record[i]);
}

/* Journal and snapshot are put back to an earlier time, and it goes on differently:
 * the store's index is of a future that is none. */
static void
test_put_back(void **state)
{
	struct rig_saved *s;
	size_t position;

	(void)state;
	a_is_away();
	s = rig_save(cw.e);
	position = cw.n;
	cw_visit("a", "d1", 5);
	cw_until(cw_nobody_waits);
	cw_visit("b", "d1", 2);
	cw_settle();
	put_back(position);
	cw_restart(s, position);
	for (int i = 0; i < 5; i++)
		cw_visit("b", "d1", 2);
	cw_assert_student("a");
	assert_int_equal(cw.rebuilds, 1);
	cw_assert_digest();
	rig_saved_free(s);
}

/* The same, and the run after it is killed, too: its snapshot, not that of the run before
 * the journal was put back, says whose indexes count. */
static void
test_put_back_and_killed(void **state)
{
	struct rig_saved *s;
	size_t position;

	(void)state;
	a_is_away();
	s = rig_save(cw.e);
	position = cw.n;
	cw_visit("a", "d1", 5);
	cw_until(cw_nobody_waits);
	cw_visit("b", "d1", 2);
	cw_settle();
	put_back(position);
	cw_restart(s, position);
	rig_saved_free(s);
	cw_visit("b", "d1", 1);
	s = rig_save(cw.e); /* what checkpoint does with the first commit */
	position = cw.n;
	for (int i = 0; i < 5; i++)
		cw_visit("b", "d1", 2);
	cw_restart(s, position);
	cw_assert_student("a");
	assert_int_equal(cw.rebuilds, 1);
	cw_assert_digest();
	rig_saved_free(s);
}

static void
test_snapshot_needs_cold(void **state)
{
	struct rig_saved *s;
	struct engine *plain;

	(void)state;
	a_is_away();
	s = rig_save(cw.e);
	plain = cw_engine(false);
	assert_int_equal(rig_load(plain, s, s->n), ERR_DAMAGED);
	engine_free(plain);
	rig_saved_free(s);
}

/* ---- at random ---- */

static unsigned seed;

static unsigned
dice(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static void
spoil_something(void)
{
	char key[64];

	snprintf(key, sizeof key, "%sSTUDENT:s%u", "Internal,t.any,", dice(12));
	if (dice(3) == 0)
		snprintf(key, sizeof key, "lectern:student:s%u", dice(12));
	if (dice(2) == 0)
		kvs_remove(cw.kvs, str_of(key));
	else
		kvs_put(cw.kvs, str_of(key), STR_LIT("[1]"));
}

static void
do_something(struct rig_saved **saved, uint64_t *position)
{
	char student[16], document[16];

	snprintf(student, sizeof student, "s%u", dice(12));
	snprintf(document, sizeof document, "d%u", dice(3));
	cw_visit(student, document, dice(4));
	if (dice(6) == 0) {
		cw_until(cw_nobody_waits);
		cw_settle();
	}
	if (dice(8) == 0)
		spoil_something();
	if (dice(10) == 0 && cold_waiting(cw.e) == 0) {
		if (*saved != NULL)
			rig_saved_free(*saved);
		*saved = rig_save(cw.e);
		*position = cw.n;
	}
	if (dice(20) == 0)
		cw_restart(*saved, *position);
}

static void
assert_everybody(void)
{
	cw_until(cw_nobody_waits);
	cw_assert_digest();
	for (int i = 0; i < 12; i++) {
		char student[16];

		snprintf(student, sizeof student, "s%d", i);
		if (engine_student(cw.all, str_of(student)) != NULL)
			cw_assert_student(student);
	}
	cw_assert_digest();
}

/* How often states were folded anew. */
static unsigned
round_of(unsigned began, int steps, const struct kvs_fault *fault)
{
	struct rig_saved *saved = NULL;
	uint64_t position = 0;
	unsigned rebuilds;

	cw_start(3);
	seed = began;
	kvs_fault_now = *fault;
	for (int i = 0; i < steps; i++)
		do_something(&saved, &position);
	assert_everybody();
	rebuilds = cw.rebuilds;
	cw_stop(NULL);
	if (saved != NULL)
		rig_saved_free(saved);
	return rebuilds;
}

static void
test_random(void **state)
{
	struct kvs_fault none = { .backend = "memory" };

	(void)state;
	for (unsigned began = 1; began < 16; began++)
		assert_true(round_of(began, 200, &none) > 0);
}

/* The store also answers late and out of order, fails, and keeps half of a flush. */
static void
test_random_faults(void **state)
{
	struct kvs_fault fault = { .backend = "memory", .late_ms = 3, .cut = 30, .fail = 2 };
	unsigned rebuilds = 0;

	(void)state;
	/* How often something is folded anew depends on the clock, too: until it was. */
	for (fault.seed = 1; fault.seed < 9 || (rebuilds == 0 && fault.seed < 99); fault.seed++)
		rebuilds += round_of(fault.seed, 60, &fault);
	assert_true(rebuilds > 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_out_and_back, cw_stop),
		cmocka_unit_test_teardown(test_records_wait, cw_stop),
		cmocka_unit_test_teardown(test_repeats, cw_stop),
		cmocka_unit_test_teardown(test_who_stays, cw_stop),
		cmocka_unit_test_teardown(test_index_lost, cw_stop),
		cmocka_unit_test_teardown(test_value_lost, cw_stop),
		cmocka_unit_test_teardown(test_value_foreign, cw_stop),
		cmocka_unit_test_teardown(test_index_damaged, cw_stop),
		cmocka_unit_test_teardown(test_index_cut, cw_stop),
		cmocka_unit_test_teardown(test_index_of_another, cw_stop),
		cmocka_unit_test_teardown(test_index_old, cw_stop),
		cmocka_unit_test_teardown(test_index_old_after_restart, cw_stop),
		cmocka_unit_test_teardown(test_store_is_away, cw_stop),
		cmocka_unit_test_teardown(test_too_large, cw_stop),
		cmocka_unit_test_teardown(test_index_too_large, cw_stop),
		cmocka_unit_test_teardown(test_rebuild_fails, cw_stop),
		cmocka_unit_test_teardown(test_rebuild_cannot_begin, cw_stop),
		cmocka_unit_test_teardown(test_too_much_waits, cw_stop),
		cmocka_unit_test_teardown(test_rebuilt_too_late, cw_stop),
		cmocka_unit_test_teardown(test_session_changes_hands, cw_stop),
		cmocka_unit_test_teardown(test_restart, cw_stop),
		cmocka_unit_test_teardown(test_crash, cw_stop),
		cmocka_unit_test_teardown(test_put_back, cw_stop),
		cmocka_unit_test_teardown(test_put_back_and_killed, cw_stop),
		cmocka_unit_test_teardown(test_snapshot_needs_cold, cw_stop),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_random_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
