/* SPDX-License-Identifier: MIT */
/* cold: who is cold and who waits for it. See cold.h. */
#include "base/mem.h"
#include "base/metric.h"
#include "flow/cold_priv.h"

bool
cold_is_on(const struct engine *e)
{
	return e->cold.on;
}

size_t
cold_count(const struct engine *e)
{
	return e->cold.n_cold;
}

size_t
cold_waiting(const struct engine *e)
{
	return e->cold.n_waiting;
}

size_t
cold_hot(const struct engine *e)
{
	return e->n_hot;
}

const uint8_t *
cold_digest(const struct student *t)
{
	return t->cold->digest;
}

struct cold *
cold_make(struct engine *e, struct student *t, size_t n_states, uint64_t includes,
    const uint8_t digest[CRYPT_SHA256])
{
	struct cold *c;

	MEM_NEW(c);
	c->student = t;
	c->end = &c->first;
	memcpy(c->digest, digest, sizeof c->digest);
	t->cold = c;
	t->n_states = n_states;
	t->includes = includes;
	e->cold.n_cold++;
	return c;
}

/* ---- out ---- */

static bool
cold_may_go(const struct engine *e, const struct student *t)
{
	if (t->n_dirty > 0 || t->indexing || t->flushed > e->confirmed || t->n_external > 0 ||
	    t->n_large > 0 || t->index_large || t->n_sessions > 0 || t->n_pins > 0 || t->n_watched > 0)
		return false;
	for (const struct state *s = t->states; s != NULL; s = s->of_student)
		if (s->changed)
			return false;
	return true;
}

static void
cold_go(struct engine *e, struct student *t)
{
	struct buf lines = BUF_INIT(0);
	uint8_t digest[CRYPT_SHA256];
	size_t n = t->n_states;

	engine_lines(t, true, &lines);
	crypt_sha256((struct str[]){ buf_view(&lines) }, 1, digest);
	engine_drop_states(e, t);
	cold_make(e, t, n, t->includes, digest);
	metric_add(METRIC_COLD_OUT, 1);
	buf_free(&lines);
}

size_t
cold_evict(struct engine *e, size_t limit, size_t max)
{
	struct student *t, *next;
	size_t n = 0;

	for (t = TAILQ_FIRST(&e->hot); t != NULL && e->n_hot > limit && n < max; t = next) {
		next = TAILQ_NEXT(t, of_hot);
		if (!cold_may_go(e, t))
			continue;
		cold_go(e, t);
		n++;
	}
	return n;
}

/* ---- wanted ---- */

void
cold_begin(struct engine *e)
{
	e->cold.recovered = e->position;
}

void
cold_on_wanted(struct engine *e, void (*cb)(void *arg), void *arg)
{
	e->cold.wanted_cb = cb;
	e->cold.wanted_arg = arg;
	if (cb != NULL && !TAILQ_EMPTY(&e->cold.wanted))
		cb(arg);
}

void
cold_on_warm(struct engine *e, cold_warm_cb *cb, void *arg)
{
	e->cold.warm_cb = cb;
	e->cold.warm_arg = arg;
}

void
cold_want(struct engine *e, struct student *t)
{
	struct cold *c = t->cold;

	if (c == NULL || c->step != COLD_LEFT)
		return;
	c->step = COLD_WANTED;
	TAILQ_INSERT_TAIL(&e->cold.wanted, c, of_wanted);
	if (e->cold.wanted_cb != NULL)
		e->cold.wanted_cb(e->cold.wanted_arg);
}

struct student *
cold_next(struct engine *e)
{
	struct cold *c = TAILQ_FIRST(&e->cold.wanted);

	if (c == NULL)
		return NULL;
	TAILQ_REMOVE(&e->cold.wanted, c, of_wanted);
	c->step = COLD_TAKEN;
	return c->student;
}

void
cold_again(struct engine *e, struct student *t)
{
	t->cold->step = COLD_LEFT;
	cold_want(e, t);
}

/* ---- records that wait ---- */

static void
cold_record_free(struct cold_record *w)
{
	if (w->said != NULL)
		engine_said_drop(w->said);
	mem_free(w);
}

static void
cold_empty(struct engine *e, struct cold *c)
{
	struct cold_record *w;

	while ((w = c->first) != NULL) {
		c->first = w->next;
		cold_record_free(w);
	}
	c->end = &c->first;
	e->cold.bytes -= c->bytes;
	c->bytes = 0;
}

static void
cold_wait_begins(struct engine *e, struct cold *c)
{
	e->cold.n_waiting += !c->waiting;
	c->waiting = true;
}

void
cold_lose(struct engine *e, struct cold *c, uint64_t seq)
{
	cold_wait_begins(e, c);
	cold_empty(e, c);
	c->lost = seq;
}

/* The statement counts with each record: it may be the only one that keeps it. */
static size_t
cold_cost(const struct engine_session *s, const struct record *r)
{
	return sizeof(struct cold_record) + r->body.n + JSON_PADDING +
	    (s != NULL ? s->said->body.n : 0);
}

static void
cold_queue(struct engine *e, struct cold *c, const struct engine_session *s,
    const struct record *r)
{
	struct cold_record *w = mem_zalloc(sizeof *w + r->body.n + JSON_PADDING);

	memcpy(w->body, r->body.p, r->body.n);
	w->r = *r;
	w->r.body.p = w->body;
	w->cost = cold_cost(s, r);
	if (s != NULL) {
		w->said = s->said;
		w->said->refs++;
	}
	*c->end = w;
	c->end = &w->next;
	c->bytes += w->cost;
	e->cold.bytes += w->cost;
}

void
cold_keep_record(struct engine *e, struct student *t, const struct engine_session *s,
    const struct record *r)
{
	struct cold *c = t->cold;
	size_t cost = cold_cost(s, r);

	cold_wait_begins(e, c);
	if (c->bytes + cost > COLD_WAITING_MAX || e->cold.bytes + cost > COLD_WAITING_ALL)
		cold_lose(e, c, r->seq);
	else
		cold_queue(e, c, s, r);
	cold_want(e, t);
}

/* ---- warm again ---- */

static void
cold_fold(struct engine *e, struct engine_session *s, const struct cold_record *w)
{
	struct event_record er;

	if (w->said == NULL) {
		engine_external_take(e, &w->r);
		return;
	}
	if (s->said != w->said) {
		mem_free(s->recent);
		*s = (struct engine_session){ .student = s->student, .said = w->said };
	}
	if (event_record_read(w->r.body, &er) == ERR_OK)
		engine_fold_event(e, s, &w->r, &er);
}

/* A callback may free any wait. */
static void
cold_unlink(struct engine *e, struct cold *c)
{
	struct cold_link *l;

	e->cold.unlinking = c;
	while ((l = c->links) != NULL) {
		c->links = l->next;
		if (l->wait != NULL && --l->wait->pending == 0 && l->wait->cb != NULL)
			l->wait->cb(l->wait->arg);
		mem_free(l);
	}
	e->cold.unlinking = NULL;
}

void
cold_warm(struct engine *e, struct student *t, uint64_t includes)
{
	struct engine_session session = { .student = t };
	struct cold *c = t->cold;

	t->cold = NULL;
	if (t->states == NULL)
		t->n_states = 0;
	e->cold.n_cold--;
	e->cold.n_waiting -= c->waiting;
	for (const struct cold_record *w = c->first; w != NULL; w = w->next)
		if (w->r.seq > includes)
			cold_fold(e, &session, w);
	mem_free(session.recent);
	cold_empty(e, c);
	if (e->cold.warm_cb != NULL)
		e->cold.warm_cb(e->cold.warm_arg, t);
	cold_unlink(e, c);
	mem_free(c);
}

void
cold_free(struct engine *e, struct student *t)
{
	struct cold_link *l;

	if (t->cold == NULL)
		return;
	cold_empty(e, t->cold);
	while ((l = t->cold->links) != NULL) {
		t->cold->links = l->next;
		mem_free(l);
	}
	mem_free(t->cold);
}

/* ---- waits ---- */

struct cold_wait *
cold_wait_new(struct engine *e)
{
	struct cold_wait *w;

	MEM_NEW(w);
	w->engine = e;
	return w;
}

void
cold_wait_calls(struct cold_wait *w, void (*cb)(void *arg), void *arg)
{
	w->cb = cb;
	w->arg = arg;
}

void
cold_wait_for(struct cold_wait *w, struct student *t)
{
	struct cold_link *l;

	if (w->n == w->cap) {
		w->cap = w->cap > 0 ? 2 * w->cap : 8;
		w->v = mem_realloc(w->v, w->cap * sizeof *w->v);
	}
	w->v[w->n++] = t;
	t->n_pins++;
	engine_touch(w->engine, t);
	if (t->cold == NULL)
		return;
	MEM_NEW(l);
	*l = (struct cold_link){ t->cold->links, w };
	t->cold->links = l;
	w->pending++;
	cold_want(w->engine, t);
}

bool
cold_wait_over(const struct cold_wait *w)
{
	return w->pending == 0;
}

static void
cold_link_cut(struct cold *c, const struct cold_wait *w)
{
	for (struct cold_link *l = c != NULL ? c->links : NULL; l != NULL; l = l->next)
		if (l->wait == w)
			l->wait = NULL;
}

/* A link stays with its student, but leads nowhere. */
void
cold_wait_free(struct cold_wait *w)
{
	if (w == NULL)
		return;
	for (size_t i = 0; i < w->n; i++) {
		w->v[i]->n_pins--;
		cold_link_cut(w->v[i]->cold, w);
	}
	cold_link_cut(w->engine->cold.unlinking, w);
	mem_free(w->v);
	mem_free(w);
}
