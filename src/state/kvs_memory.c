/* SPDX-License-Identifier: MIT */
/* kvs_memory: a map; with a file, one that survives. Entries never change once
 * made and are counted, so that a scan, an answer on its way and a flush in the
 * pool each hold the store as it was when they were asked for. */
#include <stdlib.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "state/kvs_backends.h"
#include "state/snapshot.h"

/* In the file, in place of an organisation: what kind of file it is. */
#define KVS_FILE_MARK "kvs"
#define KVS_FILE_ENTRY 1 /* kind of its entries */

struct kvs_entry {
	unsigned refs; /* touched by the loop's thread alone */
	size_t key_n, value_n;
	char bytes[]; /* key, value */
};

struct kvs_entries {
	struct kvs_entry **v;
	size_t n;
};

struct kvs_waiter {
	struct kvs_waiter *next;
	kvs_done_cb *cb;
	void *arg;
};

struct kvs_store {
	struct loop *loop;
	char *file; /* NULL: volatile */
	struct map *map;
	unsigned refs;       /* its owner, and every answer on its way */
	bool closed;
	bool dirty;          /* differs from the file */
	bool saving;         /* a job is in the pool */
	char *trouble;       /* why the last save failed */
	struct kvs_waiter *waiting, **waiting_end; /* for the next save */
};

/* An answer on its way. */
struct kvs_answer {
	struct kvs_store *store;
	struct kvs_entry *entry;    /* get: what was found */
	struct kvs_entries entries; /* scan */
	kvs_get_cb *get;
	kvs_scan_cb *scan;
	kvs_done_cb *done;
	void *arg;
};

/* A save in the pool. */
struct kvs_save {
	struct kvs_store *store;
	struct kvs_entries entries;
	struct kvs_waiter *waiters;
	enum err result;
	char *why;
};

/* ---- entries ---- */

static struct str
kvs_entry_key(const struct kvs_entry *t)
{
	return (struct str){ t->bytes, t->key_n };
}

static struct str
kvs_entry_value(const struct kvs_entry *t)
{
	return (struct str){ t->bytes + t->key_n, t->value_n };
}

static struct kvs_entry *
kvs_entry_new(struct str key, struct str value)
{
	struct kvs_entry *t = mem_alloc(sizeof *t + key.n + value.n);

	*t = (struct kvs_entry){ .refs = 1, .key_n = key.n, .value_n = value.n };
	if (key.n > 0)
		memcpy(t->bytes, key.p, key.n);
	if (value.n > 0)
		memcpy(t->bytes + key.n, value.p, value.n);
	return t;
}

static void
kvs_entry_drop(void *entry)
{
	struct kvs_entry *t = entry;

	if (t != NULL && --t->refs == 0)
		mem_free(t);
}

static int
kvs_entry_compare_cb(const void *a, const void *b)
{
	struct str x = kvs_entry_key(*(struct kvs_entry *const *)a);
	struct str y = kvs_entry_key(*(struct kvs_entry *const *)b);
	int order = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);

	return order ? order : (x.n > y.n) - (x.n < y.n);
}

/* Holds all entries whose key begins with prefix, sorted. */
static struct kvs_entries
kvs_entries_hold(const struct map *map, struct str prefix)
{
	struct kvs_entries all = { .v = mem_alloc(map_size(map) * sizeof *all.v) };
	struct map_iter it = { 0 };

	while (map_next(map, &it)) {
		struct kvs_entry *t = it.value;

		if (t->key_n < prefix.n ||
		    (prefix.n > 0 && memcmp(t->bytes, prefix.p, prefix.n) != 0))
			continue;
		t->refs++;
		all.v[all.n++] = t;
	}
	qsort(all.v, all.n, sizeof *all.v, kvs_entry_compare_cb);
	return all;
}

static void
kvs_entries_drop(struct kvs_entries *all)
{
	for (size_t i = 0; i < all->n; i++)
		kvs_entry_drop(all->v[i]);
	mem_free(all->v);
}

/* ---- the store ---- */

static void
kvs_store_drop(struct kvs_store *s)
{
	if (--s->refs > 0)
		return;
	map_free(s->map, kvs_entry_drop);
	mem_free(s->file);
	mem_free(s->trouble);
	mem_free(s);
}

static enum err
kvs_load_cb(void *arg, uint8_t kind, struct str key, struct str value)
{
	struct kvs_store *s = arg;

	if (kind != KVS_FILE_ENTRY)
		return ERR_DAMAGED;
	kvs_entry_drop(map_put(s->map, key, kvs_entry_new(key, value)));
	return ERR_OK;
}

static bool
kvs_load(struct kvs_store *s, char **why)
{
	char *cause = NULL;
	uint64_t position;
	enum err e = snapshot_load(s->file, KVS_FILE_MARK, &position, kvs_load_cb, s, &cause);

	if (e != ERR_OK && e != ERR_NOT_FOUND)
		*why = mem_printf("%s; restore the file %s, or move it away to start without it",
		    cause != NULL ? cause : err_text(e), s->file);
	mem_free(cause);
	return e == ERR_OK || e == ERR_NOT_FOUND;
}

static void *
kvs_memory_open(const struct kvs_options *o, char **why)
{
	struct kvs_store *s;

	MEM_NEW(s);
	s->loop = o->loop;
	s->file = mem_strdup(o->file);
	s->map = map_new();
	s->waiting_end = &s->waiting;
	s->refs = 1;
	if (s->file != NULL && !kvs_load(s, why)) {
		kvs_store_drop(s);
		return NULL;
	}
	return s;
}

static void
kvs_memory_put(void *store, struct str key, struct str value)
{
	struct kvs_store *s = store;

	kvs_entry_drop(map_put(s->map, key, kvs_entry_new(key, value)));
	s->dirty = true;
}

static void
kvs_memory_remove(void *store, struct str key)
{
	struct kvs_store *s = store;
	struct kvs_entry *t = map_remove(s->map, key);

	kvs_entry_drop(t);
	s->dirty |= t != NULL;
}

/* ---- answers ---- */

static void
kvs_answer_scan(const struct kvs_answer *a)
{
	for (size_t i = 0; i < a->entries.n && !a->store->closed; i++) {
		const struct kvs_entry *t = a->entries.v[i];

		a->scan(a->arg, ERR_OK, kvs_entry_key(t), kvs_entry_value(t));
	}
	if (!a->store->closed)
		a->scan(a->arg, ERR_OK, (struct str){ 0 }, (struct str){ 0 });
}

static void
kvs_answer_get(const struct kvs_answer *a)
{
	const struct kvs_entry *t = a->entry;

	if (t != NULL)
		a->get(a->arg, ERR_OK, true, kvs_entry_value(t));
	else
		a->get(a->arg, ERR_OK, false, (struct str){ 0 });
}

/* The store may be closed by now, or be closed by what is called. */
static void
kvs_answer_cb(void *arg)
{
	struct kvs_answer *a = arg;

	if (a->scan != NULL)
		kvs_answer_scan(a);
	else if (a->get != NULL && !a->store->closed)
		kvs_answer_get(a);
	else if (a->done != NULL && !a->store->closed)
		a->done(a->arg, ERR_OK);
	kvs_entry_drop(a->entry);
	kvs_entries_drop(&a->entries);
	kvs_store_drop(a->store);
	mem_free(a);
}

static struct kvs_answer *
kvs_answer_later(struct kvs_store *s, void *arg)
{
	struct kvs_answer *a;

	MEM_NEW(a);
	a->store = s;
	a->arg = arg;
	s->refs++;
	loop_defer(s->loop, kvs_answer_cb, a);
	return a;
}

static void
kvs_memory_get(void *store, struct str key, kvs_get_cb *cb, void *arg)
{
	struct kvs_store *s = store;
	struct kvs_answer *a = kvs_answer_later(s, arg);

	a->get = cb;
	a->entry = map_get(s->map, key);
	if (a->entry != NULL)
		a->entry->refs++;
}

static void
kvs_memory_scan(void *store, struct str prefix, kvs_scan_cb *cb, void *arg)
{
	struct kvs_store *s = store;
	struct kvs_answer *a = kvs_answer_later(s, arg);

	a->scan = cb;
	a->entries = kvs_entries_hold(s->map, prefix);
}

/* ---- the file ---- */

/* In the pool: touches nothing but entries, which never change. */
static void
kvs_save_cb(void *arg)
{
	struct kvs_save *v = arg;
	struct snapshot_writer *w = snapshot_begin(v->store->file, KVS_FILE_MARK, 0, &v->why);

	if (w == NULL) {
		v->result = ERR_IO;
		return;
	}
	for (size_t i = 0; i < v->entries.n; i++) {
		const struct kvs_entry *t = v->entries.v[i];

		snapshot_add(w, KVS_FILE_ENTRY, kvs_entry_key(t), kvs_entry_value(t));
	}
	v->result = snapshot_commit(w, &v->why);
}

static void kvs_save_start(struct kvs_store *s);

static struct kvs_waiter *
kvs_waiters_take(struct kvs_store *s)
{
	struct kvs_waiter *first = s->waiting;

	s->waiting = NULL;
	s->waiting_end = &s->waiting;
	return first;
}

/* Frees the waiters, telling each the result unless the store was closed. */
static void
kvs_waiters_end(const struct kvs_store *s, struct kvs_waiter *w, enum err result)
{
	while (w != NULL) {
		struct kvs_waiter *next = w->next;

		if (!s->closed)
			w->cb(w->arg, result);
		mem_free(w);
		w = next;
	}
}

static void
kvs_save_done_cb(void *arg)
{
	struct kvs_save *v = arg;
	struct kvs_store *s = v->store;

	s->saving = false;
	mem_free(s->trouble);
	s->trouble = v->result != ERR_OK ? mem_strdup(v->why != NULL ? v->why :
	    err_text(v->result)) : NULL;
	if (v->result != ERR_OK) {
		s->dirty = true;
		log_warning("kvs not saved: %s", s->trouble);
	}
	kvs_waiters_end(s, v->waiters, v->result);
	if (!s->saving && !s->dirty)
		kvs_waiters_end(s, kvs_waiters_take(s), ERR_OK); /* nothing came since */
	else if (!s->saving && s->waiting != NULL)
		kvs_save_start(s);
	kvs_entries_drop(&v->entries);
	kvs_store_drop(s);
	mem_free(v->why);
	mem_free(v);
}

static void
kvs_save_start(struct kvs_store *s)
{
	struct kvs_save *v;

	MEM_NEW(v);
	v->store = s;
	v->entries = kvs_entries_hold(s->map, (struct str){ 0 });
	v->waiters = kvs_waiters_take(s);
	s->dirty = false;
	s->saving = true;
	s->refs++;
	loop_pool(s->loop, kvs_save_cb, kvs_save_done_cb, v);
}

/* A save under way may have missed what came since: whoever asks meanwhile
 * waits for the next one. */
static void
kvs_memory_flush(void *store, kvs_done_cb *cb, void *arg)
{
	struct kvs_store *s = store;
	struct kvs_waiter *w;

	if (s->file == NULL || (!s->dirty && !s->saving)) {
		kvs_answer_later(s, arg)->done = cb;
		return;
	}
	MEM_NEW(w);
	w->cb = cb;
	w->arg = arg;
	*s->waiting_end = w;
	s->waiting_end = &w->next;
	if (!s->saving)
		kvs_save_start(s);
}

static const char *
kvs_memory_trouble(const void *store)
{
	return ((const struct kvs_store *)store)->trouble;
}

static void
kvs_memory_close(void *store)
{
	struct kvs_store *s = store;

	s->closed = true;
	kvs_waiters_end(s, kvs_waiters_take(s), ERR_CLOSED);
	kvs_store_drop(s);
}

/* No KVS_PERSISTENT: what survives is what was flushed, and only with a file. */
const struct kvs_backend kvs_memory = {
	.name = "memory",
	.caps = KVS_SNAPSHOT,
	.open = kvs_memory_open,
	.get = kvs_memory_get,
	.put = kvs_memory_put,
	.remove = kvs_memory_remove,
	.scan = kvs_memory_scan,
	.flush = kvs_memory_flush,
	.trouble = kvs_memory_trouble,
	.close = kvs_memory_close,
};
