/* SPDX-License-Identifier: MIT */
/* kvs_fault: see kvs_fault.h. Writes gather until the flush; then those of different
 * keys go to the real store in any order, or some of them before a cut. */
#include "tests/contract/kvs_fault.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "base/map.h"
#include "base/mem.h"

struct kvs_fault kvs_fault_now;

struct fault_write {
	bool removes;
	size_t n;
	char value[];
};

/* An answer on its way. */
struct fault_answer {
	TAILQ_ENTRY(fault_answer) link;
	struct fault_store *store;
	struct loop_timer *timer;
	kvs_get_cb *get;
	kvs_scan_cb *scan;
	kvs_done_cb *done;
	void *arg;
	enum err e;
	bool found;
	struct buf value;
};

struct fault_store {
	struct loop *loop;
	struct kvs *real;
	struct map *writes; /* struct fault_write */
	TAILQ_HEAD(, fault_answer) answers;
};

unsigned
kvs_fault_chance(unsigned n)
{
	kvs_fault_now.seed = kvs_fault_now.seed * 1103515245u + 12345u;
	return (kvs_fault_now.seed >> 8) % n;
}

/* ---- answers ---- */

static void
fault_answer_drop(struct fault_answer *a)
{
	TAILQ_REMOVE(&a->store->answers, a, link);
	loop_timer_free(a->timer);
	buf_free(&a->value);
	mem_free(a);
}

static void
fault_tell_cb(void *arg)
{
	struct fault_answer *a = arg, was = *a;

	a->value = BUF_INIT(0);
	fault_answer_drop(a);
	if (was.get != NULL)
		was.get(was.arg, was.e, was.found, buf_view(&was.value));
	else if (was.scan != NULL)
		was.scan(was.arg, was.e, (struct str){ 0 }, (struct str){ 0 });
	else
		was.done(was.arg, was.e);
	buf_free(&was.value);
}

static struct fault_answer *
fault_answer_new(struct fault_store *s, void *arg)
{
	struct fault_answer *a;

	MEM_NEW(a);
	a->store = s;
	a->arg = arg;
	a->timer = loop_timer_new(s->loop, fault_tell_cb, a);
	TAILQ_INSERT_TAIL(&s->answers, a, link);
	return a;
}

static void
fault_answer_late(struct fault_answer *a, enum err e)
{
	a->e = e;
	loop_timer_once(a->timer, kvs_fault_chance(kvs_fault_now.late_ms + 1));
}

static bool
fault_strikes(unsigned of_100)
{
	return kvs_fault_chance(100) < of_100;
}

/* ---- reading ---- */

static void
fault_got_cb(void *arg, enum err e, bool found, struct str value)
{
	struct fault_answer *a = arg;

	a->found = found;
	buf_str(&a->value, value);
	fault_answer_late(a, e);
}

static const struct fault_write *
fault_written(const struct fault_store *s, struct str key)
{
	return map_get(s->writes, key);
}

static void
fault_get(void *store, struct str key, kvs_get_cb *cb, void *arg)
{
	struct fault_store *s = store;
	struct fault_answer *a = fault_answer_new(s, arg);
	const struct fault_write *w = fault_written(s, key);

	a->get = cb;
	if (fault_strikes(kvs_fault_now.fail))
		fault_answer_late(a, ERR_IO);
	else if (w != NULL)
		fault_got_cb(a, ERR_OK, !w->removes, (struct str){ w->value, w->n });
	else
		kvs_get(s->real, key, fault_got_cb, a);
}

static void
fault_scan(void *store, struct str prefix, kvs_scan_cb *cb, void *arg)
{
	struct fault_store *s = store;
	struct fault_answer *a;

	if (!fault_strikes(kvs_fault_now.fail)) {
		kvs_scan(s->real, prefix, cb, arg);
		return;
	}
	a = fault_answer_new(s, arg);
	a->scan = cb;
	fault_answer_late(a, ERR_IO);
}

/* ---- writing ---- */

static void
fault_write(struct fault_store *s, struct str key, struct str value, bool removes)
{
	struct fault_write *w = mem_alloc(sizeof *w + value.n);

	kvs_fault_now.writes++;
	w->removes = removes;
	w->n = value.n;
	if (value.n > 0)
		memcpy(w->value, value.p, value.n);
	mem_free(map_put(s->writes, key, w));
}

static void
fault_put(void *store, struct str key, struct str value)
{
	fault_write(store, key, value, false);
}

static void
fault_remove(void *store, struct str key)
{
	fault_write(store, key, (struct str){ 0 }, true);
}

/* The order of a map is as good as any. With a cut, half of them stay behind. */
static void
fault_let_through(struct fault_store *s, bool cut)
{
	struct map_iter it = { 0 };

	while (map_next(s->writes, &it)) {
		const struct fault_write *w = it.value;

		if (cut && fault_strikes(50))
			continue;
		if (w->removes)
			kvs_remove(s->real, it.key);
		else
			kvs_put(s->real, it.key, (struct str){ w->value, w->n });
	}
	map_free(s->writes, mem_free);
	s->writes = map_new();
}

static void
fault_flushed_cb(void *arg, enum err e)
{
	fault_answer_late(arg, e);
}

static void
fault_flush(void *store, kvs_done_cb *cb, void *arg)
{
	struct fault_store *s = store;
	struct fault_answer *a = fault_answer_new(s, arg);
	bool cut = fault_strikes(kvs_fault_now.cut);

	kvs_fault_now.flushes++;
	a->done = cb;
	fault_let_through(s, cut);
	if (cut)
		fault_answer_late(a, ERR_IO);
	else
		kvs_flush(s->real, fault_flushed_cb, a);
}

/* ---- open and close ---- */

static void *
fault_open(const struct kvs_options *o, char **why)
{
	struct kvs *real = kvs_open(kvs_fault_now.backend, o, why);
	struct fault_store *s;

	if (real == NULL)
		return NULL;
	MEM_NEW(s);
	s->loop = o->loop;
	s->real = real;
	s->writes = map_new();
	TAILQ_INIT(&s->answers);
	return s;
}

static const char *
fault_trouble(const void *store)
{
	return kvs_trouble(((const struct fault_store *)store)->real);
}

static void
fault_close(void *store)
{
	struct fault_store *s = store;

	while (!TAILQ_EMPTY(&s->answers))
		fault_answer_drop(TAILQ_FIRST(&s->answers));
	kvs_close(s->real);
	map_free(s->writes, mem_free);
	mem_free(s);
}

const struct kvs_backend kvs_fault_backend = {
	.name = "fault",
	.caps = KVS_KEEPS,
	.open = fault_open,
	.get = fault_get,
	.put = fault_put,
	.remove = fault_remove,
	.scan = fault_scan,
	.flush = fault_flush,
	.trouble = fault_trouble,
	.close = fault_close,
};
