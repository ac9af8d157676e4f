/* SPDX-License-Identifier: MIT */
/* kvs_redis: states in a Redis, under the keys and as the values of Learning
 * Observer. Writes go into the pipeline at once; a flush reads our mark behind
 * them and writes the next one. Its answers come after all of theirs, and the mark
 * tells whether this is still the same Redis with everything that we wrote. While
 * Redis is away puts are dropped and the flush after them fails. */
#include <inttypes.h>
#include <stdio.h>

#include "base/crypt.h"
#include "base/log.h"
#include "base/mem.h"
#include "state/kvs_backends.h"
#include "state/kvs_redis_priv.h"

struct str
kvs_redis_key(struct kvs_redis *s, struct str key)
{
	buf_clear(&s->key);
	buf_z(&s->key, s->prefix);
	buf_str(&s->key, key);
	return buf_view(&s->key);
}

/* ---- what is asked ---- */

struct kvs_ask *
kvs_ask_new(struct kvs_redis *s, enum kvs_ask_kind kind, void *arg)
{
	struct kvs_ask *a;

	MEM_NEW(a);
	a->store = s;
	a->kind = kind;
	a->arg = arg;
	TAILQ_INSERT_TAIL(&s->asked, a, link);
	return a;
}

static void
kvs_ask_free(struct kvs_ask *a)
{
	for (size_t i = 0; i < a->n; i++)
		mem_free((char *)a->keys[i].p);
	mem_free(a->keys);
	buf_free(&a->pattern);
	mem_free(a);
}

static void
kvs_ask_drop(struct kvs_ask *a)
{
	TAILQ_REMOVE(&a->store->asked, a, link);
	kvs_ask_free(a);
}

void
kvs_ask_fail(struct kvs_ask *a)
{
	struct kvs_redis *s = a->store;

	TAILQ_REMOVE(&s->asked, a, link);
	TAILQ_INSERT_TAIL(&s->failing, a, link);
	loop_timer_once(s->fail, 0);
}

void
kvs_ask_end(struct kvs_ask *a, enum err e, bool found, struct str value)
{
	struct kvs_ask was = *a;

	TAILQ_REMOVE(&a->store->asked, a, link);
	if (was.kind == KVS_ASK_GET)
		was.get(was.arg, e, found, value);
	else if (was.kind == KVS_ASK_SCAN)
		was.scan(was.arg, e, (struct str){ 0 }, (struct str){ 0 });
	else
		was.done(was.arg, e);
	kvs_ask_free(a);
}

static void
kvs_redis_fail_cb(void *arg)
{
	struct kvs_redis *s = arg;
	struct kvs_ask *a;

	s->busy++;
	while (!s->closed && (a = TAILQ_FIRST(&s->failing)) != NULL) {
		TAILQ_REMOVE(&s->failing, a, link);
		TAILQ_INSERT_TAIL(&s->asked, a, link);
		kvs_ask_end(a, ERR_IO, false, (struct str){ 0 });
	}
	kvs_redis_leave(s);
}

/* ---- trouble ---- */

static void
kvs_redis_trouble_set(struct kvs_redis *s, char *why)
{
	mem_free(s->trouble);
	s->trouble = why;
}

bool
kvs_redis_wrong(struct kvs_redis *s, const struct redis_reply *r)
{
	struct buf why = BUF_INIT(0);

	if (r != NULL && r->type == REDIS_ERROR) {
		redis_trouble(r->text, &why);
		kvs_redis_trouble_set(s, buf_take(&why));
	}
	return r == NULL || r->type == REDIS_ERROR;
}

static const char *
kvs_redis_trouble(const void *store)
{
	return ((const struct kvs_redis *)store)->trouble;
}

/* ---- the mark ---- */

/* The number of the flush that the mark is of, 0 when it is not ours. */
static uint64_t
kvs_redis_mark_number(const struct kvs_redis *s, struct str mark)
{
	size_t at = strlen(s->mark);
	uint64_t n = 0;

	if (!str_starts(mark, s->mark) || mark.n == at || mark.p[at] != ':')
		return 0;
	for (at++; at < mark.n && mark.p[at] >= '0' && mark.p[at] <= '9'; at++)
		n = 10 * n + (uint64_t)(mark.p[at] - '0');
	return at == mark.n ? n : 0;
}

/* A Redis with another mark, or with one of earlier, has not what we wrote, or not
 * all of it. Whether it is the one that we know; tells the owner when it is not. */
static bool
kvs_redis_known(struct kvs_redis *s, const struct redis_reply *r)
{
	uint64_t is = r->type == REDIS_TEXT ? kvs_redis_mark_number(s, r->text) : 0;

	if (s->kept == 0 || (is >= s->kept && is <= s->flushes))
		return true;
	log_warning("kvs: %s; all states are written again", r->type == REDIS_TEXT && is == 0 ?
	    "another process writes to this Redis, expected a redis.prefix of its own" :
	    "Redis has lost what was written");
	s->kept = 0; /* nothing is in it that could be missing */
	if (s->lost != NULL)
		s->lost(s->lost_arg);
	return false;
}

static void
kvs_redis_marked_cb(void *arg, const struct redis_reply *r)
{
	struct kvs_redis *s = arg;

	if (!kvs_redis_wrong(s, r))
		kvs_redis_known(s, r);
}

static void
kvs_redis_ask_mark(struct kvs_redis *s, redis_reply_cb *cb, void *arg)
{
	redis_command(s->link, (struct str[]){ STR_LIT("GET"), kvs_redis_key(s,
	    STR_LIT(KVS_REDIS_MARK)) }, 2, cb, arg);
}

/* ---- up and down ---- */

/* Not an error: the journal is the truth. Not said where we may not ask. */
static void
kvs_redis_config_cb(void *arg, const struct redis_reply *r)
{
	bool kept = false;

	(void)arg;
	for (size_t i = 0; r != NULL && i + 1 < r->n; i += 2)
		kept |= !str_is(r->items[i + 1]->text, "no") && r->items[i + 1]->text.n > 0;
	if (r != NULL && r->type == REDIS_ARRAY && !kept)
		log_notice("kvs: this Redis keeps nothing over its own restart (appendonly no, "
		    "save \"\"): all states are then written again");
}

static void
kvs_redis_up_cb(void *arg)
{
	struct kvs_redis *s = arg;

	kvs_redis_trouble_set(s, NULL);
	if (s->kept == 0 && !s->read_only && s->ttl[0] == '\0')
		redis_command(s->link, (struct str[]){ STR_LIT("CONFIG"), STR_LIT("GET"),
		    STR_LIT("save"), STR_LIT("appendonly") }, 4, kvs_redis_config_cb, s);
	kvs_redis_ask_mark(s, kvs_redis_marked_cb, s);
}

static void
kvs_redis_down_cb(void *arg, const char *why)
{
	kvs_redis_trouble_set(arg, mem_strdup(why));
}

static const struct redis_link_ops kvs_redis_ops = { kvs_redis_up_cb, kvs_redis_down_cb, NULL };

static void *
kvs_redis_open_ttl(const struct kvs_options *o, long ttl, char **why)
{
	uint8_t mark[KVS_REDIS_MARK_BYTES];
	struct buf hex = BUF_INIT(0);
	struct kvs_redis *s;

	MEM_NEW(s);
	s->loop = o->loop;
	TAILQ_INIT(&s->asked);
	TAILQ_INIT(&s->failing);
	s->link = redis_link_new(o->loop, o->redis, &kvs_redis_ops, s, why);
	if (s->link == NULL) {
		mem_free(s);
		return NULL;
	}
	s->fail = loop_timer_new(o->loop, kvs_redis_fail_cb, s);
	s->prefix = mem_strdup(o->prefix != NULL ? o->prefix : "");
	s->read_only = o->read_only;
	s->lost = o->lost;
	s->lost_arg = o->lost_arg;
	if (ttl > 0)
		snprintf(s->ttl, sizeof s->ttl, "%ld", ttl);
	crypt_random(mark, sizeof mark);
	crypt_hex(&hex, mark, sizeof mark);
	memcpy(s->mark, hex.data, hex.len);
	buf_free(&hex);
	kvs_redis_trouble_set(s, mem_strdup(KVS_NOT_YET));
	return s;
}

static void *
kvs_redis_open(const struct kvs_options *o, char **why)
{
	return kvs_redis_open_ttl(o, 0, why);
}

static void *
kvs_redis_open_ephemeral(const struct kvs_options *o, char **why)
{
	return kvs_redis_open_ttl(o, o->ttl, why);
}

/* ---- writing ---- */

static void
kvs_redis_written_cb(void *arg, const struct redis_reply *r)
{
	struct kvs_redis *s = arg;

	s->failed |= kvs_redis_wrong(s, r);
}

static void
kvs_redis_put(void *store, struct str key, struct str value)
{
	struct kvs_redis *s = store;

	s->wrote = true;
	s->dropped |= !redis_command(s->link, (struct str[]){ STR_LIT("SET"), kvs_redis_key(s, key),
	    value, STR_LIT("EX"), str_of(s->ttl) }, s->ttl[0] != '\0' ? 5 : 3,
	    kvs_redis_written_cb, s);
}

static void
kvs_redis_remove(void *store, struct str key)
{
	struct kvs_redis *s = store;

	s->wrote = true;
	s->dropped |= !redis_command(s->link, (struct str[]){ STR_LIT("DEL"),
	    kvs_redis_key(s, key) }, 2, kvs_redis_written_cb, s);
}

static void
kvs_redis_read_mark_cb(void *arg, const struct redis_reply *r)
{
	struct kvs_ask *a = arg;
	struct kvs_redis *s = a->store;

	a->wrong = kvs_redis_wrong(s, r) || !kvs_redis_known(s, r);
}

static void
kvs_redis_end_flush(struct kvs_ask *a)
{
	struct kvs_redis *s = a->store;
	bool ok = !a->wrong && !s->failed;

	s->failed = false;
	if (ok)
		kvs_redis_trouble_set(s, NULL);
	kvs_ask_end(a, ok ? ERR_OK : ERR_IO, false, (struct str){ 0 });
}

/* Nothing was written. */
static void
kvs_redis_looked_cb(void *arg, const struct redis_reply *r)
{
	kvs_redis_read_mark_cb(arg, r);
	kvs_redis_end_flush(arg);
}

static void
kvs_redis_wrote_mark_cb(void *arg, const struct redis_reply *r)
{
	struct kvs_ask *a = arg;

	a->wrong |= kvs_redis_wrong(a->store, r);
	if (!a->wrong && !a->store->failed)
		a->store->kept = a->number;
	kvs_redis_end_flush(a);
}

static void
kvs_redis_write_mark(struct kvs_redis *s, struct kvs_ask *a)
{
	char mark[sizeof s->mark + 24];

	a->number = ++s->flushes;
	snprintf(mark, sizeof mark, "%s:%" PRIu64, s->mark, a->number);
	redis_command(s->link, (struct str[]){ STR_LIT("SET"), kvs_redis_key(s,
	    STR_LIT(KVS_REDIS_MARK)), str_of(mark) }, 3, kvs_redis_wrote_mark_cb, a);
}

static void
kvs_redis_flush(void *store, kvs_done_cb *cb, void *arg)
{
	struct kvs_redis *s = store;
	struct kvs_ask *a = kvs_ask_new(s, KVS_ASK_FLUSH, arg);
	bool writes = s->wrote && !s->read_only;

	a->done = cb;
	if (!redis_link_up(s->link) || s->dropped) {
		kvs_ask_fail(a);
	} else {
		kvs_redis_ask_mark(s, writes ? kvs_redis_read_mark_cb : kvs_redis_looked_cb, a);
		if (writes)
			kvs_redis_write_mark(s, a);
	}
	s->dropped = s->wrote = false;
}

/* ---- reading ---- */

bool
kvs_redis_is_other(const struct redis_reply *r)
{
	return r != NULL && r->type == REDIS_ERROR && str_starts(r->text, "WRONGTYPE");
}

static void
kvs_redis_got_cb(void *arg, const struct redis_reply *r)
{
	struct kvs_ask *a = arg;
	bool wrong = !kvs_redis_is_other(r) && kvs_redis_wrong(a->store, r);
	bool found = !wrong && r->type == REDIS_TEXT;

	kvs_ask_end(a, wrong ? ERR_IO : ERR_OK, found, found ? r->text : (struct str){ 0 });
}

static void
kvs_redis_get(void *store, struct str key, kvs_get_cb *cb, void *arg)
{
	struct kvs_redis *s = store;
	struct kvs_ask *a = kvs_ask_new(s, KVS_ASK_GET, arg);

	a->get = cb;
	if (!redis_command(s->link, (struct str[]){ STR_LIT("GET"), kvs_redis_key(s, key) }, 2,
	    kvs_redis_got_cb, a))
		kvs_ask_fail(a);
}

/* ---- the end ---- */

void
kvs_redis_leave(struct kvs_redis *s)
{
	struct kvs_ask *a;

	if (--s->busy > 0 || !s->closed)
		return;
	while ((a = TAILQ_FIRST(&s->asked)) != NULL)
		kvs_ask_drop(a);
	mem_free(s);
}

static void
kvs_redis_close(void *store)
{
	struct kvs_redis *s = store;

	s->closed = true;
	TAILQ_CONCAT(&s->asked, &s->failing, link);
	redis_link_free(s->link);
	loop_timer_free(s->fail);
	buf_free(&s->key);
	mem_free(s->prefix);
	mem_free(s->trouble);
	s->busy++;
	kvs_redis_leave(s);
}

#define KVS_REDIS_CALLS \
	.get = kvs_redis_get, .put = kvs_redis_put, .remove = kvs_redis_remove, \
	.scan = kvs_redis_scan, .flush = kvs_redis_flush, .trouble = kvs_redis_trouble, \
	.close = kvs_redis_close

const struct kvs_backend kvs_redis = {
	.name = "redis", .caps = KVS_PERSISTENT | KVS_REDIS | KVS_KEEPS, .open = kvs_redis_open,
	KVS_REDIS_CALLS,
};

const struct kvs_backend kvs_redis_ephemeral = {
	.name = "redis_ephemeral", .caps = KVS_REDIS | KVS_KEEPS, .open = kvs_redis_open_ephemeral,
	KVS_REDIS_CALLS,
};
