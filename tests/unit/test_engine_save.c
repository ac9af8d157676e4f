/* SPDX-License-Identifier: MIT */
/* Tests of flow/engine: what changed, what a snapshot gives back, the digest. */
#include "tests/unit/fold_reducers.h"

/* ---- what changed ---- */

static void
test_changed(void **state)
{
	uint64_t a, b;
	struct state *s;

	(void)state;
	START(&any, &hidden, &doc);
	a = rig_session(&rig, "a");
	b = rig_session(&rig, "b");
	assert_null(engine_changed(rig.e));
	event(b);
	event(a, .doc_id = "D");
	event(b);
	s = engine_changed(rig.e);
	assert_string_equal(s->key, "Internal,t.any,STUDENT:b");
	assert_false(s->changed);
	s = s->next_changed;
	assert_string_equal(s->key, "Internal,t.any,STUDENT:a");
	s = s->next_changed;
	assert_string_equal(s->key, "Internal,Other.doc,EventField.doc_id:D,STUDENT:a");
	assert_null(s->next_changed);
	assert_null(engine_changed(rig.e));
	event(a, .name = "same");
	event(a, .name = "fail");
	assert_null(engine_changed(rig.e));
	event(a);
	s = engine_changed(rig.e);
	assert_string_equal(s->key, "Internal,t.any,STUDENT:a");
	assert_null(s->next_changed);
	assert_json("Internal,t.hidden,STUDENT:a", "{\"n\":2,\"pad\":0}");
}

static const struct engine_flush everything = { SIZE_MAX, SIZE_MAX, 0 };

struct flushed {
	struct buf text;
	unsigned n, large;
};

static void
flushed_cb(void *arg, const struct state *s, struct str json)
{
	struct flushed *f = arg;

	f->n++;
	f->large += json.p == NULL;
	buf_printf(&f->text, "%s=%.*s;", s->key, STR_ARG(json));
}

static void
test_flush_dirty(void **state)
{
	struct flushed f = { 0 };
	uint64_t a;

	(void)state;
	START(&any, &hidden);
	a = rig_session(&rig, "a");
	event(a);
	event(a);
	engine_flush_dirty(rig.e, &everything, flushed_cb, &f);
	assert_str(buf_view(&f.text), "Internal,t.any,STUDENT:a={\"n\":2,\"pad\":7};"
	    "Internal,t.hidden,STUDENT:a={\"n\":2,\"pad\":0};");
	buf_clear(&f.text);
	event(a, .name = "same");
	engine_flush_dirty(rig.e, &everything, flushed_cb, &f);
	assert_int_equal(f.text.len, 0);
	event(a);
	engine_flush_dirty(rig.e, &everything, flushed_cb, &f);
	assert_non_null(memmem(f.text.data, f.text.len, "\"n\":3", 5));
	buf_free(&f.text);
}

/* Bounded by number and by bytes; one at least goes. */
static void
test_flush_bounds(void **state)
{
	static const struct engine_flush two = { 2, SIZE_MAX, 0 }, few = { SIZE_MAX, 40, 0 },
		least = { 1, 1, 0 };
	struct flushed f = { 0 };

	(void)state;
	START(&any);
	for (char id[] = "a"; id[0] <= 'g'; id[0]++)
		event(rig_session(&rig, id));
	engine_flush_dirty(rig.e, &two, flushed_cb, &f);
	assert_int_equal(f.n, 2);
	engine_flush_dirty(rig.e, &few, flushed_cb, &f); /* 15 bytes each */
	assert_int_equal(f.n, 5);
	engine_flush_dirty(rig.e, &least, flushed_cb, &f);
	assert_int_equal(f.n, 6);
	assert_int_equal(engine_dirty(rig.e), 1);
	buf_free(&f.text);
}

/* What nobody can store is given without its value, and holds up nothing. */
static void
test_flush_large(void **state)
{
	static const struct engine_flush small = { SIZE_MAX, SIZE_MAX, 12 };
	struct flushed f = { 0 };
	uint64_t b;

	(void)state;
	START(&owner);
	event(rig_session(&rig, "a"), .name = "save");
	b = rig_session(&rig, "b");
	event(b, .name = "a name that is long");
	event(rig_session(&rig, "c"), .name = "open");
	engine_flush_dirty(rig.e, &small, flushed_cb, &f);
	assert_str(buf_view(&f.text), "Internal,t.owner,STUDENT:a=\"save\";"
	    "Internal,t.owner,STUDENT:b=;Internal,t.owner,STUDENT:c=\"open\";");
	assert_int_equal(f.large, 1);
	assert_int_equal(engine_large(rig.e), 1);
	assert_int_equal(engine_dirty(rig.e), 0);
	event(b);
	engine_flush_dirty(rig.e, &small, flushed_cb, &f);
	assert_int_equal(engine_large(rig.e), 1); /* still the same one */
	event(b);
	engine_flush_dirty(rig.e, &everything, flushed_cb, &f);
	assert_int_equal(engine_large(rig.e), 0);
	buf_free(&f.text);
}

static void
test_each(void **state)
{
	struct flushed f = { 0 };

	(void)state;
	START(&steady, &any);
	engine_each(rig.e, flushed_cb, &f);
	assert_int_equal(f.text.len, 0);
	event(rig_session(&rig, "b"));
	event(rig_session(&rig, "a"));
	engine_each(rig.e, flushed_cb, &f);
	assert_str(buf_view(&f.text),
	    "Internal,t.any,STUDENT:a={\"n\":1,\"pad\":7};Internal,t.any,STUDENT:b={\"n\":1,\"pad\":7};"
	    "Internal,t.steady,STUDENT:a={\"n\":1,\"pad\":0};"
	    "Internal,t.steady,STUDENT:b={\"n\":1,\"pad\":0};");
	buf_free(&f.text);
}

/* ---- snapshots ---- */

/* A little of everything; ends with two live sessions. */
static void
some_history(uint64_t *a, uint64_t *b)
{
	struct session_record s = rig_student("a");

	s.sec = SEC_NONE;
	s.stream = STR_LIT("x");
	s.locked = STR_LIT("{\"a\":\"1\"}");
	*a = rig_state_session(&rig, 0, &s);
	*b = rig_session(&rig, "b,");
	for (unsigned i = 1; i < 20; i++) {
		char doc_id[8];

		snprintf(doc_id, sizeof doc_id, "D%u", i % 3);
		rig.now += 1000000;
		event(*a, .stream_seq = i, .doc_id = doc_id, .json = "{\"b\":5}");
		event(*b, .name = i % 5 == 0 ? "fail" : "n", .doc_id = "E");
	}
}

#define START_ALL() START(&any, &steady, &picky, &doc, &pair, &owner, &hidden)

static void
test_save_and_load(void **state)
{
	uint64_t a, b;
	struct rig again;
	struct rig_saved *before, *after;
	char digest[65], other[65];
	const struct state *s, *t;

	(void)state;
	START_ALL();
	some_history(&a, &b);
	again = rig_reload(&rig);
	before = rig_save(rig.e);
	after = rig_save(again.e);
	rig_assert_same(before, after);
	engine_digest(rig.e, digest);
	engine_digest(again.e, other);
	assert_string_equal(digest, other);
	assert_int_equal(engine_position(again.e), rig.seq);
	s = state_of("Internal,Other.doc,EventField.doc_id:D1,STUDENT:a");
	t = engine_state(again.e, str_of(s->key));
	assert_int_equal(t->seq, s->seq);
	assert_int_equal(t->position, s->position);
	assert_true(t->time_us == s->time_us);
	assert_int_equal(t->sec, SEC_NONE);
	assert_string_equal(t->scope, "D1");
	assert_string_equal(t->student->id, "a");
	assert_null(engine_changed(again.e));
	rig_saved_free(before);
	rig_saved_free(after);
	rig_free(&again);
}

/* Sessions live on in the entries: the tail folds as if nothing had been. */
static void
test_goes_on_after_load(void **state)
{
	uint64_t a, b;
	struct rig again, *both[] = { &rig, &again };
	struct rig_saved *one, *two;

	(void)state;
	START_ALL();
	some_history(&a, &b);
	again = rig_reload(&rig);
	for (size_t i = 0; i < COUNT(both); i++) {
		rig_event(both[i], a, (struct rig_event){ .stream_seq = 19 }); /* a repeat */
		rig_event(both[i], a, (struct rig_event){ .stream_seq = 20, .doc_id = "D1" });
		rig_event(both[i], b, (struct rig_event){ .name = "fail" });
		rig_event(both[i], rig_session(both[i], "c"), (struct rig_event){ .doc_id = "F" });
	}
	one = rig_save(rig.e);
	two = rig_save(again.e);
	rig_assert_same(one, two);
	rig_saved_free(one);
	rig_saved_free(two);
	rig_free(&again);
}

/* The same records fold to the same bytes, however often somebody looks. */
static void
test_replay_is_the_same(void **state)
{
	uint64_t a, b;
	struct rig live;
	char digest[65], other[65];
	struct flushed f = { 0 };

	(void)state;
	START_ALL();
	some_history(&a, &b);
	live = rig;
	/* what waits at the front and never became durable */
	stream_accept(stream_of(engine_streams(live.e), STR_LIT("a"), STR_LIT("new")), 1);
	stream_accept(stream_of(engine_streams(live.e), STR_LIT("a"), STR_LIT("x")), 20);
	START_ALL();
	some_history(&a, &b);
	engine_changed(rig.e);
	engine_flush_dirty(rig.e, &everything, flushed_cb, &f);
	engine_digest(live.e, digest);
	engine_digest(rig.e, other);
	assert_string_equal(digest, other);
	assert_int_equal(strlen(digest), 64);
	engine_forget_sessions(rig.e); /* who is connected is no part of it */
	engine_digest(rig.e, other);
	assert_string_equal(digest, other);
	event(rig_session(&rig, "z"));
	engine_digest(rig.e, other);
	assert_string_not_equal(digest, other);
	buf_free(&f.text);
	rig_free(&live);
}

/* After a load nobody knows what a store has. */
static void
test_loaded_is_dirty(void **state)
{
	struct rig again;
	struct flushed f = { 0 };

	(void)state;
	START(&any);
	event(rig_session(&rig, "a"));
	engine_flush_dirty(rig.e, &everything, flushed_cb, &f);
	buf_clear(&f.text);
	again = rig_reload(&rig);
	engine_flush_dirty(again.e, &everything, flushed_cb, &f);
	assert_str(buf_view(&f.text), "Internal,t.any,STUDENT:a={\"n\":1,\"pad\":7};");
	buf_free(&f.text);
	rig_free(&again);
}

/* Loads what rig saved into an engine with these reducers. */
static enum err
load_with(const struct reducer *first, const struct reducer *second)
{
	const struct reducer *all[] = { first, second, NULL };
	struct rig_saved *s = rig_save(rig.e);
	struct engine *e = rig_engine(all);
	enum err err = rig_load(e, s, s->n);

	engine_free(e);
	rig_saved_free(s);
	return err;
}

/* States of before are the fold only for exactly these reducers: one more would
 * have missed the past. */
static void
test_other_reducers(void **state)
{
	struct reducer changed;

	(void)state;
	START(&any, &doc);
	event(rig_session(&rig, "s"), .doc_id = "D");
	assert_int_equal(load_with(&any, &doc), ERR_OK);
	assert_int_equal(load_with(&any, NULL), ERR_DAMAGED);
	assert_int_equal(load_with(&any, &steady), ERR_DAMAGED);
	changed = doc;
	changed.version = 2;
	assert_int_equal(load_with(&any, &changed), ERR_DAMAGED);
	changed = doc;
	changed.source = "org.a";
	assert_int_equal(load_with(&any, &changed), ERR_DAMAGED);
	changed = doc;
	changed.key_id = NULL;
	assert_int_equal(load_with(&any, &changed), ERR_DAMAGED);
	changed = doc;
	changed.events[0] = "open";
	assert_int_equal(load_with(&any, &changed), ERR_DAMAGED);
	changed = doc;
	changed.scope[1] = "tab_id";
	assert_int_equal(load_with(&any, &changed), ERR_DAMAGED);
	rig_free(&rig);
	START(&any); /* nothing folded yet, yet it has seen records */
	rig_session(&rig, "s");
	assert_int_equal(load_with(&any, &doc), ERR_DAMAGED);
	changed = any;
	changed.version = 2;
	assert_int_equal(load_with(&changed, NULL), ERR_DAMAGED);
}

static struct engine *
empty_copy(void)
{
	return rig_engine(engine_reducers(rig.e));
}

/* Every entry cut short anywhere is refused and leaks nothing. */
static void
test_damaged_entries(void **state)
{
	uint64_t a, b;
	struct rig_saved *s;

	(void)state;
	START_ALL();
	some_history(&a, &b);
	s = rig_save(rig.e);
	for (size_t i = 0; i < s->n; i++) {
		struct engine *e = empty_copy();
		size_t whole = s->v[i].value_n;

		assert_int_equal(rig_load(e, s, i), ERR_OK);
		for (size_t n = 0; n < whole; n++) {
			s->v[i].value_n = n;
			if (rig_load(e, &(struct rig_saved){ .v[0] = s->v[i], .n = 1 }, 1) != ERR_DAMAGED)
				fail_msg("entry %zu cut to %zu of %zu bytes was taken", i, n, whole);
		}
		s->v[i].value_n = whole;
		engine_free(e);
	}
	rig_saved_free(s);
}

static void
test_refused_entries(void **state)
{
	uint64_t a, b;
	struct rig_saved *s;
	struct engine *e;

	(void)state;
	START_ALL();
	some_history(&a, &b);
	s = rig_save(rig.e);
	e = empty_copy();
	/* before the first entry has told whose they are */
	assert_int_equal(engine_load(e, s->v[1].kind, (struct str){ s->v[1].key, s->v[1].key_n },
	    (struct str){ s->v[1].value, s->v[1].value_n }), ERR_DAMAGED);
	assert_int_equal(rig_load(e, s, s->n), ERR_OK);
	/* the same state twice */
	assert_int_equal(engine_load(e, s->v[1].kind, (struct str){ s->v[1].key, s->v[1].key_n },
	    (struct str){ s->v[1].value, s->v[1].value_n }), ERR_DAMAGED);
	assert_int_equal(engine_load(e, 0, STR_LIT("k"), STR_LIT("v")), ERR_DAMAGED);
	assert_int_equal(engine_load(e, 200, STR_LIT("k"), STR_LIT("v")), ERR_DAMAGED);
	engine_free(e);
	rig_saved_free(s);
}

/* A value that the reducer itself refuses. */
static void
test_refused_value(void **state)
{
	uint64_t session;

	(void)state;
	START(&steady);
	session = rig_session(&rig, "s");
	for (int i = 0; i < 999; i++)
		event(session);
	assert_int_equal(load_with(&steady, NULL), ERR_OK);
	event(session);
	assert_int_equal(load_with(&steady, NULL), ERR_DAMAGED);
}

static void
test_empty(void **state)
{
	struct rig again;
	char digest[65], other[65];

	(void)state;
	START(&any);
	again = rig_reload(&rig);
	engine_digest(rig.e, digest);
	engine_digest(again.e, other);
	assert_string_equal(digest, other);
	assert_int_equal(engine_position(again.e), 0);
	engine_forget_sessions(again.e);
	rig_free(&again);
	engine_free(NULL);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_changed),
		TEST(test_flush_dirty),
		TEST(test_flush_bounds),
		TEST(test_flush_large),
		TEST(test_each),
		TEST(test_save_and_load),
		TEST(test_goes_on_after_load),
		TEST(test_replay_is_the_same),
		TEST(test_loaded_is_dirty),
		TEST(test_other_reducers),
		TEST(test_damaged_entries),
		TEST(test_refused_entries),
		TEST(test_refused_value),
		TEST(test_empty),
	};

	return cmocka_run_group_tests_name("engine save", tests, NULL, NULL);
}
