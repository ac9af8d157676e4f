/* SPDX-License-Identifier: MIT */
/* cold: what the store has of a student beside the values, and taking it all back.
 * An index is
 *
 *     version 4, student, run 16, includes 8, number of states 8,
 *     for each state, sorted by key: key, reducer, scope, version of the reducer 4,
 *     sec 1, seq 8, position 8, folded 8, time 8, SHA-256 of the value 32;
 *     HMAC-SHA-256 of all of it with the organisation's key 32
 *
 * little-endian; strings have their length before them in 4 bytes. The states' part
 * is also what a student's digest is the SHA-256 of. */
#include "base/mem.h"
#include "base/metric.h"
#include "flow/cold_priv.h"

#define COLD_INDEX_VERSION 1

void
cold_index_key(const struct student *t, struct buf *out)
{
	buf_z(out, COLD_INDEX_PREFIX);
	key_escape(out, str_of(t->id));
}

/* ---- out ---- */

static void
cold_index_write(const struct engine *e, const struct student *t, struct buf *out)
{
	uint8_t mac[CRYPT_SHA256];

	pack_u32(out, COLD_INDEX_VERSION);
	pack_str(out, str_of(t->id));
	buf_add(out, e->cold.run, sizeof e->cold.run);
	pack_u64(out, t->includes);
	pack_u64(out, t->n_states);
	engine_lines(t, true, out);
	crypt_hmac_sha256(e->pseudonym_key, buf_view(out), mac);
	buf_add(out, mac, sizeof mac);
}

void
cold_indexes(struct engine *e, size_t max, cold_index_cb *cb, void *arg)
{
	struct buf key = BUF_INIT(0), index = BUF_INIT(max);
	size_t kept = 0;

	for (size_t i = 0; i < e->n_indexing; i++) {
		struct student *t = e->indexing[i];

		if (t->n_dirty > 0) {
			e->indexing[kept++] = t;
			continue;
		}
		t->indexing = false;
		t->flushed = e->flushes;
		t->includes = e->position;
		buf_clear(&key);
		buf_clear(&index);
		cold_index_key(t, &key);
		cold_index_write(e, t, &index);
		t->index_large = index.failed;
		cb(arg, buf_view(&key), t->index_large ? (struct str){ NULL, 0 } : buf_view(&index));
	}
	e->n_indexing = kept;
	buf_free(&key);
	buf_free(&index);
}

/* ---- back ---- */

struct cold_load {
	struct engine *engine;
	struct student *student;
	uint64_t includes;
	struct engine_line *line; /* into text */
	struct state **state;     /* not the engine's yet */
	size_t n;
	size_t text_n;
	char text[];
};

static bool
cold_line_read(struct unpack *u, struct engine_line *l)
{
	l->key = unpack_str(u);
	l->reducer = unpack_str(u);
	l->scope = unpack_str(u);
	l->version = unpack_u32(u);
	l->sec = (enum sec)unpack_u8(u);
	l->seq = unpack_u64(u);
	l->position = unpack_u64(u);
	l->folded = unpack_u64(u);
	l->time_us = (int64_t)unpack_u64(u);
	l->sum = unpack_bytes(u, CRYPT_SHA256);
	return !u->failed;
}

/* Whether these are the states we let go; or, of the run before, those that it
 * flushed after it wrote the snapshot, of a journal that we have read. */
static const char *
cold_index_fault(const struct cold_load *l, struct str run, struct str lines)
{
	const struct engine *e = l->engine;
	uint8_t digest[CRYPT_SHA256];

	crypt_sha256(&lines, 1, digest);
	if (memcmp(digest, cold_digest(l->student), sizeof digest) == 0)
		return NULL;
	if (l->includes <= l->student->includes)
		return "the index in the store is too old";
	if (memcmp(run.p, e->cold.run_before, ENGINE_RUN) != 0 || l->includes > e->cold.recovered)
		return "the index in the store is newer than the journal, or of another time";
	return NULL;
}

static bool
cold_index_lines(struct cold_load *l, struct unpack *u)
{
	if (l->n > ENGINE_STUDENT_STATES_MAX)
		return false;
	l->line = mem_zalloc((l->n + 1) * sizeof *l->line);
	l->state = mem_zalloc((l->n + 1) * sizeof *l->state);
	for (size_t i = 0; i < l->n; i++)
		if (!cold_line_read(u, &l->line[i]))
			return false;
	return u->left.n == 0;
}

static const char *
cold_index_read(struct cold_load *l)
{
	struct str all = { l->text, l->text_n }, mac, run, lines;
	uint8_t expected[CRYPT_SHA256];
	struct unpack u;

	if (all.n == 0)
		return "the store has no index";
	if (all.n < CRYPT_SHA256)
		return "the index in the store is damaged";
	all.n -= CRYPT_SHA256;
	mac = (struct str){ all.p + all.n, CRYPT_SHA256 };
	crypt_hmac_sha256(l->engine->pseudonym_key, all, expected);
	if (!crypt_equal(mac, (struct str){ (const char *)expected, sizeof expected }))
		return "the index in the store is damaged or was not written by us";
	u = (struct unpack){ .left = all };
	if (unpack_u32(&u) != COLD_INDEX_VERSION)
		return "the index in the store is of another version";
	if (!str_is(unpack_str(&u), l->student->id))
		return "the index in the store is another student's";
	run = unpack_bytes(&u, ENGINE_RUN);
	l->includes = unpack_u64(&u);
	l->n = (size_t)unpack_u64(&u);
	lines = u.left;
	if (u.failed || !cold_index_lines(l, &u))
		return "the index in the store does not read";
	return cold_index_fault(l, run, lines);
}

struct cold_load *
cold_load_new(struct engine *e, struct student *t, struct str text, const char **why)
{
	struct cold_load *l = mem_zalloc(sizeof *l + text.n);

	l->engine = e;
	l->student = t;
	l->text_n = text.n;
	if (text.n > 0)
		memcpy(l->text, text.p, text.n);
	*why = cold_index_read(l);
	if (*why == NULL)
		return l;
	cold_load_free(l);
	return NULL;
}

size_t
cold_load_size(const struct cold_load *l)
{
	return l->n;
}

struct str
cold_load_key(const struct cold_load *l, size_t at)
{
	return l->line[at].key;
}

bool
cold_load_value(struct cold_load *l, size_t at, struct str json)
{
	const struct engine_line *line = &l->line[at];
	const struct reducer *r = engine_reducer(l->engine, line->reducer);
	uint8_t sum[CRYPT_SHA256];
	struct state *s;

	crypt_sha256(&json, 1, sum);
	if (memcmp(sum, line->sum.p, sizeof sum) != 0 || r == NULL || line->version != r->version ||
	    l->state[at] != NULL || line->sec >= SEC_COUNT)
		return false;
	s = engine_state_new(r, l->student, line->key, line->scope);
	l->state[at] = s;
	s->seq = line->seq;
	s->position = line->position;
	s->folded = line->folded;
	s->time_us = line->time_us;
	s->sec = line->sec;
	s->sum = mem_alloc(sizeof sum);
	memcpy(s->sum, sum, sizeof sum);
	return engine_decode(l->engine, s, json);
}

bool
cold_load_done(struct cold_load *l)
{
	struct engine *e = l->engine;
	struct student *t = l->student;
	uint64_t includes = l->includes;
	bool ok = t->cold->lost <= includes;

	for (size_t i = 0; ok && i < l->n; i++) {
		engine_add(e, l->state[i]);
		l->state[i] = NULL;
	}
	cold_load_free(l);
	if (!ok)
		return false;
	t->includes = includes;
	metric_add(METRIC_COLD_BACK, 1);
	cold_warm(e, t, includes);
	return true;
}

void
cold_load_free(struct cold_load *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; l->state != NULL && i < l->n; i++)
		if (l->state[i] != NULL)
			engine_state_drop(l->state[i]);
	mem_free(l->state);
	mem_free(l->line);
	mem_free(l);
}
