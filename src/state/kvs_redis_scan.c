/* SPDX-License-Identifier: MIT */
/* kvs_redis: a scan: all keys, then their values in order. */
#include <stdlib.h>

#include "base/mem.h"
#include "state/kvs_redis_priv.h"

#define KVS_REDIS_SCAN "500" /* keys that Redis looks at in one step */
#define KVS_REDIS_VALUES 16  /* asked for at a time */

static int
kvs_redis_order_cb(const void *a, const void *b)
{
	const struct str *x = a, *y = b;
	int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);

	return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* SCAN may give a key twice. */
static void
kvs_redis_sort(struct kvs_ask *a)
{
	size_t n = 0;

	if (a->n > 0)
		qsort(a->keys, a->n, sizeof *a->keys, kvs_redis_order_cb);
	for (size_t i = 0; i < a->n; i++)
		if (n > 0 && str_eq(a->keys[n - 1], a->keys[i]))
			mem_free((char *)a->keys[i].p);
		else
			a->keys[n++] = a->keys[i];
	a->n = n;
}

static void
kvs_redis_found(struct kvs_ask *a, struct str key)
{
	size_t prefix = strlen(a->store->prefix);

	if (key.n < prefix || str_eq(key, kvs_redis_key(a->store, STR_LIT(KVS_REDIS_MARK))))
		return;
	if (a->n == a->cap) {
		a->cap = a->cap > 0 ? 2 * a->cap : 64;
		a->keys = mem_realloc(a->keys, a->cap * sizeof *a->keys);
	}
	a->keys[a->n++] = (struct str){ mem_dup(key.p + prefix, key.n - prefix), key.n - prefix };
}

static void kvs_redis_values(struct kvs_ask *a);

/* A key that is gone by now, or holds no text, has no value. */
static void
kvs_redis_value_cb(void *arg, const struct redis_reply *r)
{
	struct kvs_ask *a = arg;
	struct kvs_redis *s = a->store;
	struct str key = a->keys[a->at++];

	a->wrong |= !kvs_redis_is_other(r) && kvs_redis_wrong(s, r);
	s->busy++;
	if (!a->wrong && r->type == REDIS_TEXT)
		a->scan(a->arg, ERR_OK, key, r->text);
	if (!s->closed && a->at == a->asked)
		kvs_redis_values(a);
	kvs_redis_leave(s);
}

/* Not MGET: its answer would have no bound. */
static void
kvs_redis_values(struct kvs_ask *a)
{
	struct kvs_redis *s = a->store;

	if (a->wrong || a->at == a->n) {
		kvs_ask_end(a, a->wrong ? ERR_IO : ERR_OK, false, (struct str){ 0 });
		return;
	}
	while (a->asked < a->n && a->asked - a->at < KVS_REDIS_VALUES &&
	    redis_command(s->link, (struct str[]){ STR_LIT("GET"), kvs_redis_key(s,
	    a->keys[a->asked]) }, 2, kvs_redis_value_cb, a))
		a->asked++;
	if (a->asked == a->at)
		kvs_ask_fail(a);
}

static void kvs_redis_scan_cb(void *arg, const struct redis_reply *r);

static void
kvs_redis_step(struct kvs_ask *a, struct str cursor)
{
	if (!redis_command(a->store->link, (struct str[]){ STR_LIT("SCAN"), cursor, STR_LIT("MATCH"),
	    buf_view(&a->pattern), STR_LIT("COUNT"), STR_LIT(KVS_REDIS_SCAN) }, 6,
	    kvs_redis_scan_cb, a))
		kvs_ask_fail(a);
}

static void
kvs_redis_scan_cb(void *arg, const struct redis_reply *r)
{
	struct kvs_ask *a = arg;

	if (kvs_redis_wrong(a->store, r) || r->type != REDIS_ARRAY || r->n != 2) {
		kvs_ask_end(a, ERR_IO, false, (struct str){ 0 });
		return;
	}
	for (size_t i = 0; i < r->items[1]->n; i++)
		if (r->items[1]->items[i]->type == REDIS_TEXT)
			kvs_redis_found(a, r->items[1]->items[i]->text);
	if (!str_is(r->items[0]->text, "0")) {
		kvs_redis_step(a, r->items[0]->text);
		return;
	}
	kvs_redis_sort(a);
	kvs_redis_values(a);
}

void
kvs_redis_scan(void *store, struct str prefix, kvs_scan_cb *cb, void *arg)
{
	struct kvs_redis *s = store;
	struct kvs_ask *a = kvs_ask_new(s, KVS_ASK_SCAN, arg);
	struct str all = kvs_redis_key(s, prefix);

	a->scan = cb;
	for (size_t i = 0; i < all.n; i++) {
		if (all.p[i] != '\0' && strchr("*?[]\\", all.p[i]) != NULL)
			buf_byte(&a->pattern, '\\');
		buf_byte(&a->pattern, all.p[i]);
	}
	buf_byte(&a->pattern, '*');
	kvs_redis_step(a, STR_LIT("0"));
}
