/* SPDX-License-Identifier: MIT */
/* Reducers to test the engine with: what they do is in the event's name. */
#ifndef LECTERN_TESTS_FOLD_REDUCERS_H
#define LECTERN_TESTS_FOLD_REDUCERS_H

#include "tests/unit/fold_rig.h"

struct tally {
	int64_t n;
	char pad[100]; /* garbled by a reducer that fails */
};

static enum reduced
tally_reduce(void *state, const struct event *e)
{
	struct tally *t = state;

	if (str_is(event_name(e), "same") || str_is(event_name(e), "fail"))
		memset(t, 0xee, sizeof *t);
	if (str_is(event_name(e), "same"))
		return REDUCED_SAME;
	if (str_is(event_name(e), "fail"))
		return REDUCED_FAILED;
	t->n++;
	return REDUCED_CHANGED;
}

/* Never fails. */
static enum reduced
tally_steady_reduce(void *state, const struct event *e)
{
	(void)e;
	((struct tally *)state)->n++;
	return REDUCED_CHANGED;
}

static void
tally_encode(const void *state, struct jsonw *w)
{
	const struct tally *t = state;

	jsonw_object(w);
	jsonw_kint(w, "n", t->n);
	jsonw_kint(w, "pad", t->pad[sizeof t->pad - 1]);
	jsonw_object_end(w);
}

static bool
tally_decode(void *state, struct json v)
{
	struct tally *t = state;
	struct json n, pad;
	int64_t byte;

	if (!json_get(v, "n", &n) || !json_get(v, "pad", &pad) || !json_int(pad, &byte))
		return false;
	t->pad[sizeof t->pad - 1] = (char)byte;
	return json_int(n, &t->n) && t->n < 1000;
}

static void
tally_init(void *state)
{
	struct tally *t = state;

	t->pad[sizeof t->pad - 1] = 7;
}

#define TALLY REDUCER_HEADER, .version = 1, .size = sizeof(struct tally), \
	.reduce = tally_reduce, .encode = tally_encode, .decode = tally_decode

/* Owns memory: the events' names, one after the other. */
struct names {
	struct buf all;
};

static enum reduced
names_reduce(void *state, const struct event *e)
{
	struct names *s = state;

	if (str_is(event_name(e), "fail"))
		return REDUCED_FAILED;
	if (str_is(event_name(e), "same"))
		return REDUCED_SAME;
	buf_str(&s->all, event_name(e));
	return REDUCED_CHANGED;
}

static void
names_encode(const void *state, struct jsonw *w)
{
	jsonw_str(w, buf_view(&((const struct names *)state)->all));
}

static bool
names_decode(void *state, struct json v)
{
	struct str s;

	return json_str(v, &s) && buf_str(&((struct names *)state)->all, s) == ERR_OK;
}

static void
names_fini(void *state)
{
	buf_free(&((struct names *)state)->all);
}

/* No test program uses them all. */
#define REDUCER static const struct reducer __attribute__((unused))

REDUCER any = { TALLY, .id = "t.any", .init = tally_init };
REDUCER sourced = { TALLY, .id = "t.sourced", .source = "org.a" };
REDUCER steady = { REDUCER_HEADER, .id = "t.steady", .version = 1,
	.size = sizeof(struct tally), .reduce = tally_steady_reduce, .encode = tally_encode,
	.decode = tally_decode };
REDUCER picky = { TALLY, .id = "t.picky", .events = { "open", "save_blob" } };
REDUCER doc = { TALLY, .id = "t.doc", .key_id = "Other.doc", .scope = { "doc_id" } };
REDUCER single = { TALLY, .id = "t.single", .scope = { "a" } };
REDUCER pair = { TALLY, .id = "t.pair", .scope = { "a", "b" } };
REDUCER deep = { TALLY, .id = "t.deep", .scope = { "o.x", "source" } };
REDUCER owner = { REDUCER_HEADER, .id = "t.owner", .version = 1,
	.size = sizeof(struct names), .reduce = names_reduce, .encode = names_encode,
	.decode = names_decode, .fini = names_fini };
REDUCER hidden = { TALLY, .id = "t.hidden", .internal = true };

static struct rig rig;

/* Starts with these reducers; ends with NULL. */
#define START(...) \
	do { \
		static const struct reducer *const start_[] = { __VA_ARGS__, NULL }; \
		rig = rig_new(start_); \
	} while (0)

static inline int
teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	rig = (struct rig){ 0 };
	return 0;
}

#define event(session, ...) rig_event(&rig, session, (struct rig_event){ __VA_ARGS__ })
#define assert_json(key, json) assert_string_equal(rig_json(&rig, key), json)

static inline const struct state *
state_of(const char *key)
{
	const struct state *s = engine_state(rig.e, str_of(key));

	if (s == NULL)
		fail_msg("no state %s", key);
	return s;
}

#endif
