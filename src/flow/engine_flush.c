/* SPDX-License-Identifier: MIT */
/* engine: what changed, for a KVS, and what of it is stored; and the digest of
 * everything, by way of one digest for each student. */
#include <stdlib.h>

#include "base/mem.h"
#include "flow/engine_priv.h"

/* ---- the write-behind ---- */

static void
engine_index_later(struct engine *e, struct student *t)
{
	t->flushed = e->flushes;
	if (t->indexing || !e->cold.on)
		return;
	if (e->n_indexing == e->cap_indexing) {
		e->cap_indexing = e->cap_indexing ? 2 * e->cap_indexing : 64;
		e->indexing = mem_realloc(e->indexing, e->cap_indexing * sizeof *e->indexing);
	}
	t->indexing = true;
	e->indexing[e->n_indexing++] = t;
}

/* What could be stored before may be too large now, and the other way round. */
static void
engine_set_large(struct engine *e, struct state *s, bool large)
{
	if (s->large == large)
		return;
	s->large = large;
	if (large) {
		s->student->n_large++;
		e->n_large++;
	} else {
		s->student->n_large--;
		e->n_large--;
	}
}

static size_t
engine_flush_state(struct engine *e, struct state *s, struct buf *json, engine_state_cb *cb,
    void *arg)
{
	buf_clear(json);
	engine_encode(s, json);
	s->dirty = false;
	s->student->n_dirty--;
	if (s->sum != NULL)
		crypt_sha256((struct str[]){ buf_view(json) }, 1, s->sum);
	engine_index_later(e, s->student);
	cb(arg, s, json->failed ? (struct str){ 0 } : buf_view(json));
	engine_set_large(e, s, json->failed);
	return json->len;
}

uint64_t
engine_flush_dirty(struct engine *e, const struct engine_flush *max, engine_state_cb *cb, void *arg)
{
	struct buf json = BUF_INIT(max->value);
	size_t n, bytes = 0;

	if (e->n_dirty == 0)
		return 0;
	e->flushes++;
	for (n = 0; n < e->n_dirty && n < max->states && bytes < max->bytes; n++)
		bytes += engine_flush_state(e, e->dirty[n], &json, cb, arg);
	e->n_dirty -= n;
	memmove(e->dirty, e->dirty + n, e->n_dirty * sizeof *e->dirty);
	buf_free(&json);
	return e->flushes;
}

size_t
engine_dirty(const struct engine *e)
{
	return e->n_dirty;
}

size_t
engine_large(const struct engine *e)
{
	return e->n_large;
}

void
engine_flushed(struct engine *e, uint64_t flush)
{
	if (e->confirmed < flush)
		e->confirmed = flush;
}

/* All states of the students of whom something was flushed after this one. */
static void
engine_dirty_since(struct engine *e, uint64_t confirmed, bool all)
{
	struct student *t;

	TAILQ_FOREACH(t, &e->hot, of_hot)
		if (all || t->flushed > confirmed)
			for (struct state *s = t->states; s != NULL; s = s->of_student)
				engine_mark_dirty(e, s);
}

void
engine_unflushed(struct engine *e)
{
	engine_dirty_since(e, e->confirmed, false);
}

void
engine_unstored(struct engine *e)
{
	engine_dirty_since(e, 0, true);
}

/* ---- lines ---- */

void
engine_line_write(struct buf *out, const struct engine_line *l)
{
	pack_str(out, l->key);
	pack_str(out, l->reducer);
	pack_str(out, l->scope);
	pack_u32(out, l->version);
	pack_u8(out, (uint8_t)l->sec);
	pack_u64(out, l->seq);
	pack_u64(out, l->position);
	pack_u64(out, l->folded);
	pack_u64(out, (uint64_t)l->time_us);
	buf_str(out, l->sum);
}

static int
engine_state_order(const void *a, const void *b)
{
	const struct state *const *x = a, *const *y = b;

	return strcmp((*x)->key, (*y)->key);
}

static struct state **
engine_states_sorted(const struct student *t, size_t *n)
{
	struct state **v = mem_alloc((t->n_states + 1) * sizeof *v);

	*n = 0;
	for (struct state *s = t->states; s != NULL; s = s->of_student)
		v[(*n)++] = s;
	if (*n > 1)
		qsort(v, *n, sizeof *v, engine_state_order);
	return v;
}

void
engine_lines(const struct student *t, bool flushed, struct buf *out)
{
	struct buf json = BUF_INIT(0);
	size_t n;
	struct state **v = engine_states_sorted(t, &n);

	for (size_t i = 0; i < n; i++) {
		const struct state *s = v[i];
		uint8_t sum[CRYPT_SHA256];
		const uint8_t *is = flushed ? s->sum : sum;

		if (!flushed) {
			buf_clear(&json);
			engine_encode(s, &json);
			crypt_sha256((struct str[]){ buf_view(&json) }, 1, sum);
		}
		engine_line_write(out, &(struct engine_line){
			.key = str_of(s->key), .reducer = str_of(s->reducer->id),
			.scope = str_of(s->scope), .version = s->reducer->version, .sec = s->sec,
			.seq = s->seq, .position = s->position, .folded = s->folded,
			.time_us = s->time_us, .sum = { (const char *)is, CRYPT_SHA256 } });
	}
	buf_free(&json);
	mem_free(v);
}

void
engine_each(struct engine *e, engine_state_cb *cb, void *arg)
{
	struct map_iter *sorted = map_sorted(e->states);
	struct buf json = BUF_INIT(0);

	for (size_t i = 0; i < map_size(e->states); i++) {
		buf_clear(&json);
		engine_encode(sorted[i].value, &json);
		cb(arg, sorted[i].value, buf_view(&json));
	}
	buf_free(&json);
	mem_free(sorted);
}

/* ---- digest ---- */

/* Each entry is hashed together with the hash so far, so that nothing grows
 * with the number of entries. */
static void
engine_digest_cb(void *arg, uint8_t kind, struct str key, struct str value)
{
	uint8_t *hash = arg, next[CRYPT_SHA256];
	struct buf head = BUF_INIT(0);

	buf_add(&head, hash, CRYPT_SHA256);
	pack_u8(&head, kind);
	pack_u64(&head, key.n);
	pack_u64(&head, value.n);
	crypt_sha256((struct str[]){ buf_view(&head), key, value }, 3, next);
	memcpy(hash, next, sizeof next);
	buf_free(&head);
}

static void
engine_digest_students(struct engine *e, struct engine_saving *to)
{
	struct map_iter *sorted = map_sorted(e->students);
	struct buf lines = BUF_INIT(0);
	uint8_t digest[CRYPT_SHA256];

	for (size_t i = 0; i < map_size(e->students); i++) {
		const struct student *t = sorted[i].value;

		buf_clear(&lines);
		if (t->cold == NULL) {
			engine_lines(t, false, &lines);
			crypt_sha256((struct str[]){ buf_view(&lines) }, 1, digest);
		} else {
			memcpy(digest, cold_digest(t), sizeof digest);
		}
		to->cb(to->arg, 0, sorted[i].key,
		    (struct str){ (const char *)digest, sizeof digest });
	}
	buf_free(&lines);
	mem_free(sorted);
}

void
engine_digest(struct engine *e, char out[65])
{
	uint8_t hash[CRYPT_SHA256] = { 0 };
	struct engine_saving to = { .cb = engine_digest_cb, .arg = hash };
	struct buf hex = BUF_INIT(0);

	engine_save_head(e, &to);
	engine_digest_students(e, &to);
	engine_save_facts(e, &to);
	crypt_hex(&hex, hash, sizeof hash);
	memcpy(out, hex.data, 64);
	out[64] = '\0';
	buf_free(&hex);
	buf_free(&to.value);
}
