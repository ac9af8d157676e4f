/* SPDX-License-Identifier: MIT */
/* What the tests of the engine and of reducers share: records written by hand
 * and folded, and states read back as text. */
#ifndef LECTERN_TESTS_FOLD_RIG_H
#define LECTERN_TESTS_FOLD_RIG_H

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
#include "flow/engine.h"
#include "flow/record.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define RIG_KEY STR_LIT("a key for pseudonyms in tests only")
#define RIG_SECOND INT64_C(1000000)
#define RIG_T0 (INT64_C(1795455148) * RIG_SECOND)
#define RIG_WRITING "org.mitros.writing_analytics"

#define assert_str(s, z) assert_true(str_is(s, z))

struct rig {
	struct engine *e;
	uint64_t seq;     /* of the last record */
	int64_t now;      /* server time of the next record */
	struct buf text;  /* what rig_json returned last */
};

struct rig_event {
	const char *name, *source, *doc_id, *json; /* NULL: "save", none, none, "{}" */
	uint64_t stream_seq;
};

static inline struct engine *
rig_engine(const struct reducer *const *reducers)
{
	struct engine_options o = { .reducers = reducers, .pseudonym_key = RIG_KEY };
	char *why = NULL;
	struct engine *e = engine_new(&o, &why);

	if (e == NULL)
		fail_msg("engine_new: %s", why);
	return e;
}

static inline struct rig
rig_new(const struct reducer *const *reducers)
{
	log_set_level(LOG_ERROR);
	return (struct rig){ .e = rig_engine(reducers), .now = RIG_T0 };
}

static inline void
rig_free(struct rig *r)
{
	engine_free(r->e);
	buf_free(&r->text);
}

/* Folds a record whose body lies in memory of its own, of exactly the size that
 * is promised, and is gone afterwards. */
static inline void
rig_record(struct rig *r, enum record_type type, uint64_t seq, uint64_t session, struct str body)
{
	char *copy = mem_zalloc(body.n + JSON_PADDING);

	if (body.n > 0)
		memcpy(copy, body.p, body.n);
	engine_record(r->e, &(struct record){ .seq = seq, .session = session, .time_us = r->now,
	    .type = type, .body = { copy, body.n } });
	memset(copy, '!', body.n);
	mem_free(copy);
}

/* A session, or what a known one states anew; returns its id. */
static inline uint64_t
rig_state_session(struct rig *r, uint64_t id, const struct session_record *s)
{
	struct buf body = BUF_INIT(0);

	session_record_write(&body, s);
	r->seq++;
	rig_record(r, RECORD_SESSION, r->seq, id != 0 ? id : r->seq, buf_view(&body));
	buf_free(&body);
	return id != 0 ? id : r->seq;
}

static inline struct session_record
rig_student(const char *id)
{
	return (struct session_record){
		.user_id = str_of(id), .safe_user_id = str_of(id), .providence = STR_LIT("tc"),
		.source = STR_LIT(RIG_WRITING), .locked = STR_LIT("{}")
	};
}

static inline uint64_t
rig_session(struct rig *r, const char *student)
{
	struct session_record s = rig_student(student);

	return rig_state_session(r, 0, &s);
}

static inline void
rig_end(struct rig *r, uint64_t session)
{
	rig_record(r, RECORD_SESSION_END, ++r->seq, session, (struct str){ 0 });
}

static inline void
rig_event_at(struct rig *r, uint64_t seq, uint64_t session, struct rig_event ev)
{
	struct buf body = BUF_INIT(0);

	event_record_head(&body, &(struct event_record){
		.name = str_of(ev.name != NULL ? ev.name : "save"), .source = str_of(ev.source),
		.doc_id = str_of(ev.doc_id), .stream_seq = ev.stream_seq });
	buf_z(&body, ev.json != NULL ? ev.json : "{}");
	rig_record(r, RECORD_EVENT, seq, session, buf_view(&body));
	buf_free(&body);
}

static inline void
rig_event(struct rig *r, uint64_t session, struct rig_event ev)
{
	rig_event_at(r, ++r->seq, session, ev);
}

/* The JSON of the state, "" when there is none; good until the next call. */
static inline const char *
rig_json(struct rig *r, const char *key)
{
	const struct state *s = engine_state(r->e, str_of(key));

	buf_clear(&r->text);
	if (s != NULL)
		engine_encode(s, &r->text);
	buf_byte(&r->text, '\0');
	return r->text.data;
}

/* ---- what engine_save gives, kept ---- */

struct rig_entry {
	uint8_t kind;
	char *key, *value;
	size_t key_n, value_n;
};

struct rig_saved {
	struct rig_entry v[256];
	size_t n;
};

static inline void
rig_save_cb(void *arg, uint8_t kind, struct str key, struct str value)
{
	struct rig_saved *s = arg;

	assert_true(s->n < COUNT(s->v));
	s->v[s->n++] = (struct rig_entry){ kind, mem_dup(key.p, key.n), mem_dup(value.p, value.n),
		key.n, value.n };
}

static inline struct rig_saved *
rig_save(struct engine *e)
{
	struct rig_saved *s;

	MEM_NEW(s);
	engine_save(e, rig_save_cb, s);
	return s;
}

static inline void
rig_saved_free(struct rig_saved *s)
{
	for (size_t i = 0; i < s->n; i++) {
		mem_free(s->v[i].key);
		mem_free(s->v[i].value);
	}
	mem_free(s);
}

static inline void
rig_assert_same(const struct rig_saved *a, const struct rig_saved *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		assert_int_equal(a->v[i].kind, b->v[i].kind);
		assert_int_equal(a->v[i].key_n, b->v[i].key_n);
		assert_memory_equal(a->v[i].key, b->v[i].key, a->v[i].key_n);
		assert_int_equal(a->v[i].value_n, b->v[i].value_n);
		assert_memory_equal(a->v[i].value, b->v[i].value, a->v[i].value_n);
	}
}

/* Loads the first n entries, each from memory of exactly its size. */
static inline enum err
rig_load(struct engine *e, const struct rig_saved *s, size_t n)
{
	enum err err = ERR_OK;

	for (size_t i = 0; i < n && err == ERR_OK; i++) {
		const struct rig_entry *t = &s->v[i];
		char *value = mem_alloc(t->value_n);

		memcpy(value, t->value, t->value_n);
		err = engine_load(e, t->kind, (struct str){ t->key, t->key_n },
		    (struct str){ value, t->value_n });
		mem_free(value);
	}
	return err;
}

/* Another engine that goes on where r is. */
static inline struct rig
rig_reload(struct rig *r)
{
	struct rig next = { .e = rig_engine(engine_reducers(r->e)), .seq = r->seq, .now = r->now };
	struct rig_saved *s = rig_save(r->e);

	assert_int_equal(rig_load(next.e, s, s->n), ERR_OK);
	engine_loaded(next.e, engine_position(r->e));
	rig_saved_free(s);
	return next;
}

#endif
