/* SPDX-License-Identifier: MIT */
/* engine: everything it knows, as sorted entries for a snapshot and back. */
#include "base/crypt.h"
#include "base/mem.h"
#include "base/pack.h"
#include "flow/engine_priv.h"

/* Raise when entries, keys or the fold itself change their meaning: snapshots
 * of before are then ignored and the journal is replayed. */
#define ENGINE_FOLD_VERSION 2

/* ---- save ---- */

static void
engine_pack_z(struct buf *out, const char *z)
{
	pack_str(out, str_of(z));
}

static void
engine_describe(struct buf *out, const struct reducer *r)
{
	engine_pack_z(out, r->id);
	engine_pack_z(out, engine_key_id(r));
	engine_pack_z(out, r->source);
	pack_u32(out, r->version);
	pack_u8(out, r->external);
	for (size_t i = 0; i < sizeof r->events / sizeof *r->events; i++)
		engine_pack_z(out, r->events[i]);
	for (size_t i = 0; r->scope[i] != NULL; i++)
		engine_pack_z(out, r->scope[i]);
	pack_u32(out, 0);
}

/* A snapshot holds the fold only up to its position: a reducer that did not
 * take part, or was another one then, cannot go on from there. */
void
engine_fingerprint(const struct engine *e, struct buf *out)
{
	struct buf text = BUF_INIT(0);
	uint8_t hash[CRYPT_SHA256];

	pack_u32(&text, ENGINE_FOLD_VERSION);
	for (size_t i = 0; i < e->n_reducers; i++)
		engine_describe(&text, e->reducers[i].r);
	crypt_sha256((struct str[]){ buf_view(&text) }, 1, hash);
	crypt_hex(out, hash, sizeof hash);
	buf_free(&text);
}

static void
engine_pack_state(struct buf *out, const struct state *s)
{
	pack_u32(out, s->reducer->version);
	pack_u8(out, (uint8_t)s->sec);
	pack_u64(out, s->seq);
	pack_u64(out, s->position);
	pack_u64(out, (uint64_t)s->time_us);
	pack_u64(out, s->folded);
	engine_pack_z(out, s->reducer->id);
	engine_pack_z(out, s->student->id);
	engine_pack_z(out, s->scope);
	engine_encode(s, out);
}

static void
engine_save_states(struct engine *e, struct engine_saving *to)
{
	struct map_iter *sorted = map_sorted(e->states);

	for (size_t i = 0; i < map_size(e->states); i++) {
		buf_clear(&to->value);
		engine_pack_state(&to->value, sorted[i].value);
		to->cb(to->arg, ENGINE_ENTRY_STATE, sorted[i].key, buf_view(&to->value));
	}
	mem_free(sorted);
}

/* A stream without a durable event is one that only the front knows. */
static void
engine_save_stream_cb(void *arg, struct str key, const struct stream *t)
{
	struct engine_saving *to = arg;

	if (t->durable == 0)
		return;
	buf_clear(&to->value);
	pack_u64(&to->value, t->durable);
	to->cb(to->arg, ENGINE_ENTRY_STREAM, key, buf_view(&to->value));
}

static void
engine_save_sessions(struct engine *e, struct engine_saving *to)
{
	struct map_iter *sorted = map_sorted(e->sessions);

	for (size_t i = 0; i < map_size(e->sessions); i++) {
		const struct engine_session *s = sorted[i].value;

		buf_clear(&to->value);
		pack_u64(&to->value, s->said->seq);
		buf_str(&to->value, s->said->body);
		to->cb(to->arg, ENGINE_ENTRY_SESSION, sorted[i].key, buf_view(&to->value));
	}
	mem_free(sorted);
}

static void
engine_save_student(struct engine_saving *to, const struct student *t)
{
	buf_clear(&to->value);
	if (t->cold == NULL) {
		to->cb(to->arg, ENGINE_ENTRY_STUDENT, str_of(t->id), STR_LIT(""));
		return;
	}
	pack_u64(&to->value, t->n_states);
	pack_u64(&to->value, t->includes);
	buf_add(&to->value, cold_digest(t), CRYPT_SHA256);
	to->cb(to->arg, ENGINE_ENTRY_COLD, str_of(t->id), buf_view(&to->value));
}

static void
engine_save_students(struct engine *e, struct engine_saving *to)
{
	struct map_iter *sorted = map_sorted(e->students);

	for (size_t i = 0; i < map_size(e->students); i++)
		if (((const struct student *)sorted[i].value)->states == NULL)
			engine_save_student(to, sorted[i].value);
	mem_free(sorted);
}

static void
engine_save_acked(struct engine *e, struct engine_saving *to)
{
	for (size_t i = 0; i < e->n_reducers; i++) {
		if (e->reducers[i].acked == 0)
			continue;
		buf_clear(&to->value);
		pack_u64(&to->value, e->reducers[i].acked);
		to->cb(to->arg, ENGINE_ENTRY_ACKED, str_of(e->reducers[i].r->id),
		    buf_view(&to->value));
	}
}

static void
engine_save_repeats(struct engine *e, struct engine_saving *to)
{
	for (size_t i = 0; i < e->n_repeats; i++) {
		struct engine_session_key k = engine_session_key(e->repeats[i]);

		to->cb(to->arg, ENGINE_ENTRY_REPEAT, (struct str){ k.bytes, sizeof k.bytes },
		    STR_LIT(""));
	}
}

void
engine_save_head(struct engine *e, struct engine_saving *to)
{
	buf_clear(&to->value);
	engine_fingerprint(e, &to->value);
	to->cb(to->arg, ENGINE_ENTRY_REDUCERS, STR_LIT("reducers"), buf_view(&to->value));
}

void
engine_save_facts(struct engine *e, struct engine_saving *to)
{
	streams_each(e->streams, engine_save_stream_cb, to);
	engine_save_acked(e, to);
	engine_save_repeats(e, to);
}

void
engine_save(struct engine *e, engine_entry_cb *cb, void *arg)
{
	struct engine_saving to = { .cb = cb, .arg = arg };

	engine_save_head(e, &to);
	engine_save_states(e, &to);
	engine_save_students(e, &to);
	engine_save_facts(e, &to);
	engine_save_sessions(e, &to);
	if (e->cold.on)
		cb(arg, ENGINE_ENTRY_RUN, STR_LIT("run"),
		    (struct str){ (const char *)e->cold.run, sizeof e->cold.run });
	buf_free(&to.value);
}

/* ---- load ---- */

bool
engine_decode(struct engine *e, struct state *s, struct str json)
{
	const struct reducer *r = s->reducer;
	char *padded;
	struct json root;
	bool ok;

	if (r->decode_text != NULL)
		return r->decode_text(s->data, json);
	if (e->load_doc == NULL)
		e->load_doc = json_doc_new();
	padded = mem_zalloc(json.n + JSON_PADDING);
	memcpy(padded, json.p, json.n);
	ok = json_parse(e->load_doc, (struct str){ padded, json.n }, &root) == ERR_OK &&
	    r->decode(s->data, root);
	mem_free(padded);
	return ok;
}

struct state *
engine_load_state(struct engine *e, struct str key, struct unpack *u)
{
	uint32_t version = unpack_u32(u);
	uint8_t sec = unpack_u8(u);
	uint64_t seq = unpack_u64(u), position = unpack_u64(u), time_us = unpack_u64(u),
	    folded = unpack_u64(u);
	const struct reducer *r = engine_reducer(e, unpack_str(u));
	struct str student = unpack_str(u), scope = unpack_str(u);
	struct state *s;

	if (u->failed || u->left.n == 0 || student.n == 0 || key.n == 0 || r == NULL ||
	    version != r->version || sec >= SEC_COUNT || map_get(e->states, key) != NULL)
		return NULL;
	s = engine_state_new(r, engine_student_of(e, student), key, scope);
	s->seq = seq;
	s->position = position;
	s->time_us = (int64_t)time_us;
	s->folded = folded;
	s->sec = (enum sec)sec;
	if (!engine_decode(e, s, u->left)) {
		engine_state_drop(s);
		return NULL;
	}
	engine_add(e, s);
	return s;
}

static bool
engine_load_saved(struct engine *e, struct str key, struct unpack *u)
{
	struct state *s = engine_load_state(e, key, u);

	if (s != NULL)
		engine_mark_dirty(e, s); /* what a store has of it, nobody knows */
	return s != NULL;
}

static bool
engine_load_reducers(struct engine *e, struct str value)
{
	struct buf mine = BUF_INIT(0);

	engine_fingerprint(e, &mine);
	e->load_checked = str_eq(buf_view(&mine), value);
	buf_free(&mine);
	return e->load_checked;
}

static bool
engine_load_stream(struct engine *e, struct str key, struct unpack *u)
{
	uint64_t durable = unpack_u64(u);

	if (u->failed || u->left.n > 0 || memchr(key.p, '\0', key.n) == NULL)
		return false;
	streams_put(e->streams, key, durable);
	return true;
}

/* The number that engine_session_key wrote. */
static bool
engine_load_number(struct str key, uint64_t *number)
{
	*number = 0;
	for (size_t i = 0; i < key.n; i++)
		*number = *number << 8 | (unsigned char)key.p[i];
	return key.n == sizeof(struct engine_session_key);
}

static bool
engine_load_session(struct engine *e, struct str key, struct unpack *u)
{
	uint64_t statement = unpack_u64(u), id;

	return !u->failed && engine_load_number(key, &id) &&
	    engine_session_put(e, id, statement, u->left);
}

static bool
engine_load_student(struct engine *e, struct str key, struct unpack *u)
{
	if (key.n == 0 || memchr(key.p, '\0', key.n) != NULL || u->left.n > 0)
		return false;
	engine_student_of(e, key);
	return true;
}

static bool
engine_load_acked(struct engine *e, struct str key, struct unpack *u)
{
	struct engine_reducer *er = engine_find_reducer(e, key);
	uint64_t acked = unpack_u64(u);

	if (er == NULL || !er->r->external || u->failed || u->left.n > 0)
		return false;
	er->acked = acked;
	return true;
}

static bool
engine_load_repeat(struct engine *e, struct str key, struct unpack *u)
{
	uint64_t seq;

	if (!engine_load_number(key, &seq) || u->left.n > 0 ||
	    (e->n_repeats > 0 && e->repeats[e->n_repeats - 1] >= seq))
		return false;
	engine_repeat_add(e, seq);
	return true;
}

static bool
engine_load_cold(struct engine *e, struct str key, struct unpack *u)
{
	uint64_t n = unpack_u64(u), includes = unpack_u64(u);
	struct str digest = unpack_bytes(u, CRYPT_SHA256);

	if (u->failed || u->left.n > 0 || key.n == 0 || n == 0 || !e->cold.on ||
	    map_get(e->students, key) != NULL)
		return false;
	cold_make(e, engine_student_of(e, key), n, includes, (const uint8_t *)digest.p);
	return true;
}

static bool
engine_load_run(struct engine *e, struct str key, struct unpack *u)
{
	struct str run = unpack_bytes(u, ENGINE_RUN);

	(void)key;
	if (u->failed || u->left.n > 0)
		return false;
	memcpy(e->cold.run_before, run.p, run.n);
	return true;
}

static const struct {
	enum engine_entry kind;
	bool (*load)(struct engine *e, struct str key, struct unpack *u);
} engine_loaders[] = {
	{ ENGINE_ENTRY_STATE, engine_load_saved },
	{ ENGINE_ENTRY_STREAM, engine_load_stream },
	{ ENGINE_ENTRY_SESSION, engine_load_session },
	{ ENGINE_ENTRY_STUDENT, engine_load_student },
	{ ENGINE_ENTRY_ACKED, engine_load_acked },
	{ ENGINE_ENTRY_REPEAT, engine_load_repeat },
	{ ENGINE_ENTRY_COLD, engine_load_cold },
	{ ENGINE_ENTRY_RUN, engine_load_run },
};

enum err
engine_load(void *engine, uint8_t kind, struct str key, struct str value)
{
	struct engine *e = engine;
	struct unpack u = { .left = value };
	bool ok = false;

	if (kind == ENGINE_ENTRY_REDUCERS)
		ok = engine_load_reducers(e, value);
	for (size_t i = 0; e->load_checked && i < sizeof engine_loaders / sizeof *engine_loaders; i++)
		if (kind == (uint8_t)engine_loaders[i].kind)
			ok = engine_loaders[i].load(e, key, &u);
	return ok ? ERR_OK : ERR_DAMAGED;
}

void
engine_loaded(struct engine *e, uint64_t position)
{
	e->position = position;
	json_doc_free(e->load_doc);
	e->load_doc = NULL;
}
