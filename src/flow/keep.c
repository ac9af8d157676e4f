/* SPDX-License-Identifier: MIT */
/* keep: see keep.h. One flush is under way at a time, so that what changes
 * meanwhile is written once, with its newest value; some students are fetched at a
 * time; and one rebuild runs at a time, for all who need one by then. */
#include "flow/keep.h"

#include <sys/queue.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "flow/cold.h"

#define KEEP_FLUSH_MS 1000
#define KEEP_FLUSH_STATES 32768 /* in one flush */
#define KEEP_FLUSH_BYTES ((size_t)16 << 20) /* of their values */
#define KEEP_EVICT_STUDENTS 1000 /* in one turn of the loop */
#define KEEP_TRIM_STUDENTS 10000 /* so many went: their memory is given back */
#define KEEP_LOADS 32           /* students fetched at a time */
#define KEEP_GETS 64            /* values of one student asked for at a time */
#define KEEP_RETRY_MS 250       /* after the store did not answer; doubles up to */
#define KEEP_RETRY_MAX_MS 8000
#define KEEP_GATHER_MS 100      /* for whom to rebuild */
#define KEEP_REBUILD_MAX 4096   /* students in one rebuild */
#define KEEP_REBUILD_RETRY_MS 5000

struct keep_load;

struct keep_get {
	struct keep_load *load;
	size_t at;
};

struct keep_load {
	struct keep *keep;
	struct student *student;
	struct cold_load *values; /* NULL until the index is there */
	struct keep_get *get;
	size_t n, next, in_flight;
	bool unreachable;
	const char *why;          /* what the store has does not count */
	LIST_ENTRY(keep_load) link;
};

struct keep {
	struct keep_options o;
	struct loop_timer *tick, *evict, *pump, *rebuild;
	uint64_t flush;       /* under way, 0: none */
	bool flush_fails, flush_more; /* there was more than has room in one */
	bool probing;         /* the store failed, and is asked whether it is there again */
	size_t evicted;       /* since memory was last given back */
	LIST_HEAD(, keep_load) loads;
	size_t n_loads;
	uint64_t retry_ms;    /* the store does not answer; 0: it does */
	struct student **broken; /* to be rebuilt; the first n_rebuilding are */
	size_t n_broken, cap_broken, n_rebuilding;
	const char *why;      /* of the last one that became broken */
};

static void
keep_in(const struct keep *k, struct loop_timer *t, uint64_t ms)
{
	loop_timer_once(t, ms / k->o.hurry);
}

/* ---- out ---- */

/* What is too large is not there, rather than as it was before. */
static void
keep_put_cb(void *arg, const struct state *s, struct str json)
{
	if (json.p != NULL) {
		kvs_put(arg, str_of(s->key), json);
		return;
	}
	kvs_remove(arg, str_of(s->key));
	if (!s->large)
		log_error("kvs: a state is larger than %zu bytes and is not stored reducer=%s "
		    "student=%s", KVS_VALUE_MAX, s->reducer->id, s->student->pseudonym);
}

static void
keep_index_put_cb(void *arg, struct str key, struct str index)
{
	if (index.p != NULL)
		kvs_put(arg, key, index);
	else
		kvs_remove(arg, key);
}

static void
keep_evict_cb(void *arg)
{
	struct keep *k = arg;
	size_t n = k->o.limit > 0 ? cold_evict(k->o.engine, k->o.limit, KEEP_EVICT_STUDENTS) : 0;

	k->evicted += n;
	if (n == KEEP_EVICT_STUDENTS) {
		loop_timer_once(k->evict, 1);
	} else if (k->evicted >= KEEP_TRIM_STUDENTS) {
		mem_trim();
		k->evicted = 0;
	}
}

/* Told when it begins and when it is over. */
static void
keep_say_flush(struct keep *k, enum err e)
{
	const char *why = kvs_trouble(k->o.kvs);

	if (e != ERR_OK && !k->flush_fails)
		log_warning("kvs: %s; what was not stored is written again", why ? why : err_text(e));
	else if (e == ERR_OK && k->flush_fails)
		log_notice("kvs: states are stored again");
	k->flush_fails = e != ERR_OK;
}

static void
keep_flushed_cb(void *arg, enum err e)
{
	struct keep *k = arg;
	uint64_t flush = k->flush;

	k->flush = 0;
	keep_say_flush(k, e);
	if (e != ERR_OK) {
		engine_unflushed(k->o.engine);
		return;
	}
	engine_flushed(k->o.engine, flush);
	keep_evict_cb(k);
	if (k->flush_more)
		keep_flush(k);
}

static void
keep_write(struct keep *k)
{
	static const struct engine_flush max = { KEEP_FLUSH_STATES, KEEP_FLUSH_BYTES,
		KVS_VALUE_MAX };

	k->flush = engine_flush_dirty(k->o.engine, &max, keep_put_cb, k->o.kvs);
	if (k->flush == 0)
		return;
	k->flush_more = engine_dirty(k->o.engine) > 0;
	cold_indexes(k->o.engine, KVS_VALUE_MAX, keep_index_put_cb, k->o.kvs);
	kvs_flush(k->o.kvs, keep_flushed_cb, k);
}

static void
keep_probed_cb(void *arg, enum err e)
{
	struct keep *k = arg;

	k->probing = false;
	if (e == ERR_OK)
		keep_write(k);
}

/* To a store that is away nothing is written: all states would be encoded in vain, each
 * time. */
void
keep_flush(struct keep *k)
{
	if (k->flush != 0 || k->probing || engine_dirty(k->o.engine) == 0)
		return;
	k->probing = k->flush_fails;
	if (k->probing)
		kvs_flush(k->o.kvs, keep_probed_cb, k);
	else
		keep_write(k);
}

bool
keep_finish(struct keep *k)
{
	if (k->flush_fails && kvs_trouble(k->o.kvs) != NULL)
		return true;
	keep_flush(k);
	return k->flush == 0 && !k->probing;
}

static void
keep_tick_cb(void *arg)
{
	keep_flush(arg);
	keep_evict_cb(arg);
}

/* ---- anew ---- */

static void
keep_broken(struct keep *k, struct student *t, const char *why)
{
	if (k->n_broken == k->cap_broken) {
		k->cap_broken = k->cap_broken > 0 ? 2 * k->cap_broken : 16;
		k->broken = mem_realloc(k->broken, k->cap_broken * sizeof *k->broken);
	}
	k->broken[k->n_broken++] = t;
	k->why = why;
	if (k->n_rebuilding == 0 && !loop_timer_armed(k->rebuild))
		keep_in(k, k->rebuild, KEEP_GATHER_MS);
}

static void
keep_rebuild_cb(void *arg)
{
	struct keep *k = arg;
	size_t n = k->n_broken < KEEP_REBUILD_MAX ? k->n_broken : KEEP_REBUILD_MAX;

	if (n == 0 || k->n_rebuilding > 0)
		return;
	cold_rebuild_begin(k->o.engine, k->broken, n);
	if (!k->o.rebuild(k->o.arg)) {
		keep_in(k, k->rebuild, KEEP_REBUILD_RETRY_MS);
		return;
	}
	k->n_rebuilding = n;
	log_warning("states are folded anew from the journal students=%zu first=%s why=\"%s\"", n,
	    k->broken[0]->pseudonym, k->why);
}

void
keep_rebuilt(struct keep *k, uint64_t position, bool ok)
{
	size_t n = k->n_rebuilding;

	k->n_rebuilding = 0;
	cold_rebuild_end(k->o.engine, k->broken, n, position, ok);
	k->n_broken -= n;
	memmove(k->broken, k->broken + n, k->n_broken * sizeof *k->broken);
	if (k->n_broken > 0 || !ok)
		keep_in(k, k->rebuild, ok ? KEEP_GATHER_MS : KEEP_REBUILD_RETRY_MS);
	if (ok) {
		log_notice("states were folded anew students=%zu position=%llu", n,
		    (unsigned long long)position);
		k->o.spread(k->o.arg);
	}
}

/* ---- back ---- */

static void
keep_load_free(struct keep_load *l)
{
	LIST_REMOVE(l, link);
	l->keep->n_loads--;
	cold_load_free(l->values);
	mem_free(l->get);
	mem_free(l);
}

static void
keep_unreachable(struct keep *k)
{
	if (k->retry_ms == 0)
		log_warning("kvs does not answer: students whose states are away wait for it");
	k->retry_ms = k->retry_ms == 0 ? KEEP_RETRY_MS : 2 * k->retry_ms;
	if (k->retry_ms > KEEP_RETRY_MAX_MS)
		k->retry_ms = KEEP_RETRY_MAX_MS;
}

static void
keep_reachable(struct keep *k)
{
	if (k->retry_ms != 0)
		log_notice("kvs answers again");
	k->retry_ms = 0;
}

/* Nothing of it is under way any more. */
static void
keep_loaded(struct keep_load *l)
{
	struct keep *k = l->keep;
	struct student *t = l->student;
	struct cold_load *values = l->values;
	const char *why = l->why;
	bool unreachable = l->unreachable;

	l->values = NULL;
	keep_load_free(l);
	if (unreachable)
		keep_unreachable(k);
	else
		keep_reachable(k);
	if (unreachable || why != NULL)
		cold_load_free(values);
	if (unreachable)
		cold_again(k->o.engine, t);
	else if (why != NULL)
		keep_broken(k, t, why);
	else if (cold_load_done(values))
		k->o.spread(k->o.arg);
	else
		keep_broken(k, t, "more came than could wait");
	if (!loop_timer_armed(k->pump))
		keep_in(k, k->pump, k->retry_ms);
}

static void keep_fetch(struct keep_load *l);

static void
keep_value_cb(void *arg, enum err e, bool found, struct str value)
{
	struct keep_get *g = arg;
	struct keep_load *l = g->load;

	l->in_flight--;
	if (e != ERR_OK)
		l->unreachable = true;
	else if (!found)
		l->why = "the store has lost a value";
	else if (!cold_load_value(l->values, g->at, value))
		l->why = "a value in the store is not the one that was written";
	keep_fetch(l);
}

static void
keep_fetch(struct keep_load *l)
{
	while (!l->unreachable && l->why == NULL && l->next < l->n && l->in_flight < KEEP_GETS) {
		struct keep_get *g = &l->get[l->next];

		*g = (struct keep_get){ l, l->next++ };
		l->in_flight++;
		kvs_get(l->keep->o.kvs, cold_load_key(l->values, g->at), keep_value_cb, g);
	}
	if (l->in_flight == 0)
		keep_loaded(l);
}

static void
keep_index_cb(void *arg, enum err e, bool found, struct str value)
{
	struct keep_load *l = arg;

	l->unreachable = e != ERR_OK;
	if (!l->unreachable)
		l->values = cold_load_new(l->keep->o.engine, l->student,
		    found ? value : (struct str){ 0 }, &l->why);
	if (l->values != NULL) {
		l->n = cold_load_size(l->values);
		l->get = mem_alloc((l->n + 1) * sizeof *l->get);
	}
	keep_fetch(l);
}

static void
keep_load(struct keep *k, struct student *t)
{
	struct keep_load *l;
	struct buf key = BUF_INIT(0);

	MEM_NEW(l);
	l->keep = k;
	l->student = t;
	LIST_INSERT_HEAD(&k->loads, l, link);
	k->n_loads++;
	cold_index_key(t, &key);
	kvs_get(k->o.kvs, buf_view(&key), keep_index_cb, l);
	buf_free(&key);
}

/* While the store does not answer, one asks whether it does again. */
static void
keep_pump_cb(void *arg)
{
	struct keep *k = arg;
	size_t max = k->retry_ms == 0 ? KEEP_LOADS : 1;
	struct student *t;

	while (k->n_loads < max && (t = cold_next(k->o.engine)) != NULL)
		keep_load(k, t);
}

static void
keep_wanted_cb(void *arg)
{
	struct keep *k = arg;

	if (!loop_timer_armed(k->pump) && k->n_loads < KEEP_LOADS)
		keep_in(k, k->pump, k->retry_ms);
}

/* ---- begin and end ---- */

struct keep *
keep_new(const struct keep_options *o)
{
	struct keep *k;

	MEM_NEW(k);
	k->o = *o;
	k->o.hurry = o->hurry > 0 ? o->hurry : 1;
	LIST_INIT(&k->loads);
	k->tick = loop_timer_new(o->loop, keep_tick_cb, k);
	k->evict = loop_timer_new(o->loop, keep_evict_cb, k);
	k->pump = loop_timer_new(o->loop, keep_pump_cb, k);
	k->rebuild = loop_timer_new(o->loop, keep_rebuild_cb, k);
	loop_timer_every(k->tick, KEEP_FLUSH_MS / k->o.hurry);
	cold_begin(o->engine);
	o->spread(o->arg); /* what the replay changed: a state that is to be spread stays */
	cold_on_wanted(o->engine, keep_wanted_cb, k);
	return k;
}

void
keep_status(const struct keep *k, struct jsonw *w)
{
	jsonw_object(w);
	jsonw_kuint(w, "state_cache", k->o.limit);
	jsonw_kuint(w, "hot", cold_hot(k->o.engine));
	jsonw_kuint(w, "cold", cold_count(k->o.engine));
	jsonw_kuint(w, "loading", k->n_loads);
	jsonw_kuint(w, "waiting", cold_waiting(k->o.engine));
	jsonw_kuint(w, "rebuilding", k->n_broken);
	jsonw_kuint(w, "rebuilt", metric_value[METRIC_COLD_REBUILT]);
	jsonw_kuint(w, "dirty", engine_dirty(k->o.engine));
	jsonw_kuint(w, "too_large", engine_large(k->o.engine));
	jsonw_kbool(w, "reachable", k->retry_ms == 0 && !k->flush_fails);
	jsonw_object_end(w);
}

void
keep_free(struct keep *k)
{
	if (k == NULL)
		return;
	cold_on_wanted(k->o.engine, NULL, NULL);
	while (!LIST_EMPTY(&k->loads))
		keep_load_free(LIST_FIRST(&k->loads));
	loop_timer_free(k->tick);
	loop_timer_free(k->evict);
	loop_timer_free(k->pump);
	loop_timer_free(k->rebuild);
	mem_free(k->broken);
	mem_free(k);
}
