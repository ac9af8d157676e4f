/* SPDX-License-Identifier: MIT */
/* What the tests of the hub share: an engine with three small reducers, rosters
 * written as text, and a door that remembers what it was given. */
#ifndef LECTERN_TESTS_HUB_WORLD_H
#define LECTERN_TESTS_HUB_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "flow/hub.h"
#include "flow/record.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define KEY STR_LIT("a key for pseudonyms in tests only")
#define T0 INT64_C(1795455600123456) /* 2026-11-23T17:40:00.123456Z */
#define HOUR 3600000

/* ---- reducers: each counts events ---- */

static unsigned world_encodes;

static enum reduced
world_reduce(void *state, const struct event *e)
{
	(void)e;
	++*(int64_t *)state;
	return REDUCED_CHANGED;
}

static void
world_encode(const void *state, struct jsonw *w)
{
	world_encodes++;
	jsonw_object(w);
	jsonw_kint(w, "n", *(const int64_t *)state);
	jsonw_object_end(w);
}

static bool
world_decode(void *state, struct json v)
{
	struct json n;

	return json_get(v, "n", &n) && json_int(n, state);
}

#define WORLD_REDUCER                                                          \
	REDUCER_HEADER, .version = 3, .size = sizeof(int64_t), .reduce = world_reduce, \
	    .encode = world_encode, .decode = world_decode

static const struct reducer world_count = { WORLD_REDUCER, .id = "t.count" };
static const struct reducer world_docs = { WORLD_REDUCER, .id = "t.docs", .scope = { "doc_id" } };
static const struct reducer world_hidden = { WORLD_REDUCER, .id = "t.hidden", .internal = true };
static const struct reducer *const world_reducers[] = {
	&world_count, &world_docs, &world_hidden, NULL
};

/* ---- a door that remembers ---- */

struct got {
	struct hub_sub *sub;
	char node[NODE_MAX + 1], reader[64], id[ITEM_ID_MAX + 1], datatype[64];
	char *json;
	uint64_t seq;
	int64_t time_us;
	bool old;
	size_t batch; /* which call of deliver */
};

#define WORLD_GOT_MAX 20000

static struct loop *loop;
static struct engine *engine;
static struct roster *roster;
static struct hub *hub;
static struct hub_door *door;
static uint64_t record_seq;
static bool world_cold; /* students may be away */

static struct got got[WORLD_GOT_MAX];
static size_t n_got, n_batches, n_ended;
static size_t room;                        /* batches the door takes before it says no */
static void (*on_deliver)(struct hub_sub *s); /* called before it answers */
static void (*on_ended)(struct hub_sub *s);

static bool
world_take(struct hub_sub *s)
{
	n_batches++;
	if (on_deliver != NULL)
		on_deliver(s);
	if (room == 0)
		return false;
	room--;
	return true;
}

static bool
world_deliver(void *arg, struct hub_sub *s, const struct hub_item *items, size_t n)
{
	(void)arg;
	assert_true(n > 0);
	if (!world_take(s))
		return false;
	for (size_t i = 0; i < n; i++) {
		struct got *g = &got[n_got++];

		assert_true(n_got < WORLD_GOT_MAX);
		*g = (struct got){ .sub = s, .seq = items[i].seq, .batch = n_batches,
			.time_us = items[i].time_us, .old = items[i].old };
		strncat(g->node, hub_sub_node(s), sizeof g->node - 1);
		strncat(g->reader, hub_sub_reader(s), sizeof g->reader - 1);
		strncat(g->id, items[i].id, sizeof g->id - 1);
		strncat(g->datatype, items[i].datatype, sizeof g->datatype - 1);
		g->json = mem_str(items[i].json);
	}
	return true;
}

/* In `got` a retraction has no json, and a purge no id either. */
static void
world_gone(struct hub_sub *s, const char *id)
{
	struct got *g = &got[n_got++];

	assert_true(n_got < WORLD_GOT_MAX);
	*g = (struct got){ .sub = s, .batch = n_batches };
	strncat(g->node, hub_sub_node(s), sizeof g->node - 1);
	strncat(g->reader, hub_sub_reader(s), sizeof g->reader - 1);
	strncat(g->id, id, sizeof g->id - 1);
}

static bool
world_retract(void *arg, struct hub_sub *s, const char *const *ids, size_t n)
{
	(void)arg;
	assert_true(n > 0);
	if (!world_take(s))
		return false;
	for (size_t i = 0; i < n; i++)
		world_gone(s, ids[i]);
	return true;
}

static bool
world_purge(void *arg, struct hub_sub *s)
{
	(void)arg;
	if (!world_take(s))
		return false;
	world_gone(s, "");
	return true;
}

static void
world_ended(void *arg, struct hub_sub *s)
{
	(void)arg;
	n_ended++;
	if (on_ended != NULL)
		on_ended(s);
}

static struct hub_door_ops world_ops;

static inline void
forget(void)
{
	while (n_got > 0)
		mem_free(got[--n_got].json);
	n_batches = n_ended = 0;
}

/* ---- rosters: "CLASS:WHO,WHO;..." where who starts with + teaches ---- */

static inline void
world_row(struct roster *r, struct str class, struct str who)
{
	enum roster_role role = who.p[0] == '+' ? ROSTER_TEACHER : ROSTER_STUDENT;
	struct str id = role == ROSTER_TEACHER ? STR_LIT("") : who;
	char *jid = mem_printf("%.*s@x", (int)(who.n - (who.p[0] == '+')), who.p + (who.p[0] == '+'));
	char *name = mem_printf("<%.*s>", STR_ARG(who));
	const char *why;

	assert_int_equal(roster_add(r, &(struct roster_row){ .role = role, .class = class, .id = id,
	    .jid = str_of(jid), .name = role == ROSTER_STUDENT ? str_of(name) : id }, &why), ERR_OK);
	mem_free(jid);
	mem_free(name);
}

static inline struct roster *
roster_of(const char *text)
{
	struct roster *r = roster_new(KEY);
	const char *why;

	while (*text != '\0') {
		struct str class = { text, strcspn(text, ":") };

		text += class.n;
		do {
			struct str who = { text + 1, strcspn(text + 1, ",;") };

			world_row(r, class, who);
			text += 1 + who.n;
		} while (*text == ',');
		text += *text == ';';
	}
	assert_int_equal(roster_seal(r, &why), ERR_OK);
	return r;
}

static inline void
set_roster(const char *text)
{
	struct roster *next = roster_of(text);

	hub_set_roster(hub, next);
	roster_free(roster);
	roster = next;
}

/* ---- events ---- */

static inline void
world_record(enum record_type type, uint64_t session, struct buf *body)
{
	struct record r = { .time_us = T0, .type = type };

	r.seq = ++record_seq;
	r.session = session != 0 ? session : r.seq;
	memset(buf_room(body, JSON_PADDING), 0, JSON_PADDING);
	r.body = buf_view(body);
	engine_record(engine, &r);
	buf_free(body);
}

/* One event of a student about a document, not yet spread. A session each. */
static inline void
event_of(const char *student, const char *doc)
{
	struct session_record s = { .safe_user_id = str_of(student), .user_id = str_of(student),
		.sec = SEC_UNAUTHENTICATED, .locked = STR_LIT("{}") };
	struct event_record e = { .name = STR_LIT("key"), .source = STR_LIT("src"),
		.doc_id = str_of(doc), .json = STR_LIT("{}") };
	struct buf b = BUF_INIT(0);
	uint64_t session = record_seq + 1;

	session_record_write(&b, &s);
	world_record(RECORD_SESSION, 0, &b);
	event_record_head(&b, &e);
	buf_str(&b, e.json);
	world_record(RECORD_EVENT, session, &b);
	world_record(RECORD_SESSION_END, session, &b);
}

/* One event and its commit. */
static inline void
event(const char *student)
{
	event_of(student, NULL);
	hub_spread(hub);
}

/* ---- the loop ---- */

static inline void
world_turn_cb(void *left)
{
	if (--*(int *)left > 0)
		loop_defer(loop, world_turn_cb, left);
	else
		loop_stop(loop);
}

/* Runs a few turns, whatever timers are armed. */
static inline void
turns(int n)
{
	loop_defer(loop, world_turn_cb, &n);
	loop_run(loop);
}

/* One event for each of n documents, in one commit. */
static inline void
docs_of(const char *student, int n)
{
	for (int i = 0; i < n; i++) {
		char *doc = mem_printf("d%d", i);

		event_of(student, doc);
		mem_free(doc);
	}
	hub_spread(hub);
}

/* ---- asking ---- */

static inline struct hub_sub *
subscribe(const char *node, const char *reader, uint32_t interval_ms)
{
	struct hub_sub *s = NULL;

	assert_int_equal(hub_subscribe(door, str_of(node), str_of(reader), interval_ms, NULL, &s),
	    ERR_OK);
	return s;
}

static inline const char *
pseudonym(const char *id)
{
	static char out[PSEUDONYM_LEN + 1];

	ident_pseudonym(KEY, str_of(id), out);
	return out;
}

/* How often the item came to the subscription (NULL: to any). */
static inline size_t
times(const struct hub_sub *s, const char *id)
{
	size_t n = 0;

	for (size_t i = 0; i < n_got; i++)
		n += (s == NULL || got[i].sub == s) && got[i].json != NULL && strcmp(got[i].id, id) == 0;
	return n;
}

/* The seq with which it came last; 0: never. */
static inline uint64_t
last_seq(const struct hub_sub *s, const char *id)
{
	uint64_t seq = 0;

	for (size_t i = 0; i < n_got; i++)
		if (got[i].sub == s && strcmp(got[i].id, id) == 0)
			seq = got[i].seq;
	return seq;
}

/* ---- begin and end of a test ---- */

static inline void
world_open(const char *text)
{
	struct engine_options o = { .reducers = world_reducers, .pseudonym_key = KEY,
		.cold = world_cold };
	char *why = NULL;

	log_set_level(LOG_ERROR);
	memset(metric_value, 0, sizeof metric_value);
	record_seq = 0;
	room = SIZE_MAX;
	on_deliver = on_ended = NULL;
	world_ops = (struct hub_door_ops){ .deliver = world_deliver, .ended = world_ended,
		.retract = world_retract, .purge = world_purge, .batch_bytes = 4096 };
	loop = loop_new();
	engine = engine_new(&o, &why);
	assert_non_null(engine);
	roster = roster_of(text);
	hub = hub_new(loop, engine, roster);
	door = hub_door_new(hub, &world_ops, NULL);
}

static inline void
world_close(void)
{
	hub_free(hub);
	assert_int_equal(metric_value[METRIC_SUBSCRIPTIONS], 0);
	engine_free(engine);
	roster_free(roster);
	loop_free(loop);
	forget();
}

#endif
