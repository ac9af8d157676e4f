/* SPDX-License-Identifier: MIT */
/* feed: see feed.h. Reads are answered in a turn of their own, each from memory or
 * from its reader of the disk; those that wait for one are asked again when a
 * batch has come. */
#include "flow/feed_priv.h"

#include "base/json.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

#define FEED_DOC_KEEP ((size_t)1 << 20) /* bytes of parser memory kept */

/* ---- runs ---- */

void
feed_run_add(struct feed_run *r, struct feed_event *e)
{
	if (r->n == r->cap) {
		size_t cap = r->cap > 0 ? 2 * r->cap : 64;
		struct feed_event **wider = mem_alloc(cap * sizeof *wider);

		for (size_t i = 0; i < r->n; i++)
			wider[i] = feed_run_at(r, i);
		mem_free(r->v);
		r->v = wider;
		r->cap = cap;
		r->at = 0;
	}
	r->v[(r->at + r->n++) & (r->cap - 1)] = e;
	r->bytes += feed_event_size(e);
}

void
feed_run_drop(struct feed_run *r)
{
	struct feed_event *e = feed_run_at(r, 0);

	r->at++;
	r->n--;
	r->bytes -= feed_event_size(e);
	feed_event_free(e);
}

void
feed_run_clear(struct feed_run *r)
{
	while (r->n > 0)
		feed_run_drop(r);
	mem_free(r->v);
	*r = (struct feed_run){ 0 };
}

size_t
feed_run_place(const struct feed_run *r, uint64_t seq)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (feed_event_seq(feed_run_at(r, middle)) < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---- life ---- */

struct feed *
feed_new(const struct feed_options *o)
{
	struct feed *f;

	MEM_NEW(f);
	f->o = *o;
	f->o.journal_dir = mem_strdup(o->journal_dir);
	f->sessions = feed_sessions_new(o->pseudonym_key);
	f->tail_from = engine_position(o->engine);
	f->doc = json_doc_new();
	TAILQ_INIT(&f->reads);
	LIST_INIT(&f->disks);
	LIST_INIT(&f->listeners);
	for (size_t i = 0; i < producers_count(o->producers); i++)
		producers_at(o->producers, i)->newest = f->tail_from;
	return f;
}

/* A turn that is due, or a batch that is being read, frees the rest. */
static void
feed_destroy(struct feed *f)
{
	if (f->woken)
		return;
	mem_free((char *)f->o.journal_dir);
	mem_free(f);
}

void
feed_free(struct feed *f)
{
	if (f == NULL)
		return;
	while (!TAILQ_EMPTY(&f->reads))
		feed_read_cancel(TAILQ_FIRST(&f->reads));
	while (!LIST_EMPTY(&f->disks))
		feed_disk_free(LIST_FIRST(&f->disks));
	feed_run_clear(&f->tail);
	feed_sessions_free(f->sessions);
	json_doc_free(f->doc);
	buf_free(&f->page);
	buf_free(&f->large);
	f->closed = true;
	feed_destroy(f);
}

struct producers *
feed_producers(struct feed *f)
{
	return f->o.producers;
}

struct engine *
feed_engine(struct feed *f)
{
	return f->o.engine;
}

void
feed_listen(struct feed *f, struct feed_listener *l)
{
	LIST_INSERT_HEAD(&f->listeners, l, link);
}

void
feed_unlisten(struct feed_listener *l)
{
	LIST_REMOVE(l, link);
}

/* ---- new events ---- */

bool
feed_wants(const struct producer *p, const char *source, struct str of)
{
	return source != NULL ? str_is(of, source) : producer_takes(p, of);
}

/* Whether anybody gets it; notes for whom it is the newest. */
static bool
feed_is_for_some(struct feed *f, const struct feed_event *e)
{
	bool some = false;

	for (size_t i = 0; i < producers_count(f->o.producers); i++) {
		struct producer *p = producers_at(f->o.producers, i);

		if (!producer_takes(p, feed_event_source(e)))
			continue;
		p->newest = feed_event_seq(e);
		some = true;
	}
	return some;
}

/* The newest one stays, however large: somebody will ask for it. */
static void
feed_keep(struct feed *f, struct feed_event *e)
{
	struct feed_listener *l;

	feed_run_add(&f->tail, e);
	while (f->tail.bytes > FEED_TAIL_MAX && f->tail.n > 1) {
		f->tail_from = feed_event_seq(feed_run_at(&f->tail, 0));
		feed_run_drop(&f->tail);
	}
	LIST_FOREACH(l, &f->listeners, link)
		l->event(l->arg, feed_event_source(e), feed_event_seq(e));
}

void
feed_record(struct feed *f, const struct record *r)
{
	struct feed_event *e;

	if (r->type != RECORD_EVENT) {
		feed_sessions_record(f->sessions, r);
		return;
	}
	if (engine_is_repeat(f->o.engine, r->seq))
		return;
	e = feed_event_new(f->sessions, r);
	if (e == NULL)
		return;
	if (feed_is_for_some(f, e))
		feed_keep(f, e);
	else
		feed_event_free(e);
}

void
feed_commit(struct feed *f)
{
	struct feed_listener *l, *next;
	uint64_t durable = engine_position(f->o.engine);

	for (l = LIST_FIRST(&f->listeners); l != NULL; l = next) {
		next = LIST_NEXT(l, link);
		l->commit(l->arg, durable);
	}
}

/* ---- a page ---- */

struct feed_page {
	struct feed_item v[FEED_PAGE_ITEMS];
	size_t at[FEED_PAGE_ITEMS]; /* where each JSON begins */
	size_t n, max;
	size_t cost;
};

static bool
feed_page_has_room(const struct feed_page *p)
{
	return p->n < p->max && p->cost < FEED_PAGE_BYTES;
}

/* What is in f->page behind `at`. */
static size_t
feed_cost(const struct feed *f, size_t at)
{
	size_t cost = FEED_AROUND_BYTES;

	for (size_t i = at; i < f->page.len; i++)
		cost += f->page.data[i] == '"' || f->page.data[i] == '\'' ? 6 : 1;
	return cost;
}

/* Puts what was appended behind `at` into the page, unless that grows too large. */
static bool
feed_page_take(struct feed *f, struct feed_page *p, uint64_t seq, unsigned part, size_t at)
{
	size_t cost = feed_cost(f, at);

	if (p->cost + cost > FEED_PAGE_BYTES && p->n > 0) {
		f->page.len = at;
		return false;
	}
	p->cost += cost;
	p->at[p->n] = at;
	p->v[p->n++] = (struct feed_item){ seq, part, { NULL, f->page.len - at } };
	return true;
}

/* The event in f->large. Kept from part to part. */
static void
feed_large(struct feed *f, const struct feed_event *e)
{
	if (f->large_seq == feed_event_seq(e))
		return;
	buf_free(&f->large);
	f->large_seq = feed_event_seq(e);
	feed_event_write(e, f->doc, &f->large);
}

/* {"v":1,"seq":..,"part":..,"parts":..,"text":".."}: the texts of all parts one
 * after the other are the event's JSON. false when it has no such part. */
static bool
feed_write_part(struct feed *f, const struct feed_event *e, unsigned part)
{
	struct jsonw w = jsonw_to(&f->page);
	struct str text;
	size_t parts, at = (size_t)(part - 1) * FEED_PART_BYTES;

	feed_large(f, e);
	text = buf_view(&f->large);
	parts = (text.n + FEED_PART_BYTES - 1) / FEED_PART_BYTES;
	if (part > parts)
		return false;
	text.p += at;
	text.n = text.n - at < FEED_PART_BYTES ? text.n - at : FEED_PART_BYTES;
	jsonw_object(&w);
	jsonw_kint(&w, "v", 1);
	jsonw_kuint(&w, "seq", feed_event_seq(e));
	jsonw_kuint(&w, "part", part);
	jsonw_kuint(&w, "parts", parts);
	jsonw_kstr(&w, "text", text);
	jsonw_object_end(&w);
	return true;
}

/* The parts behind part `done`, as many as there is room for; false when one had
 * to be left out. */
static bool
feed_page_parts(struct feed *f, struct feed_page *p, const struct feed_event *e, unsigned done)
{
	size_t at = f->page.len;
	unsigned part = done + 1;

	for (; feed_page_has_room(p); part++, at = f->page.len)
		if (!feed_write_part(f, e, part))
			return true;
		else if (!feed_page_take(f, p, feed_event_seq(e), part, at))
			return false;
	return false;
}

/* Adds an event, `done` parts of which are known; false: the page is full. */
static bool
feed_page_add(struct feed *f, struct feed_page *p, const struct feed_event *e, unsigned done)
{
	size_t at = f->page.len;

	if (!feed_page_has_room(p))
		return false;
	if (done > 0)
		return feed_page_parts(f, p, e, done);
	feed_event_write(e, f->doc, &f->page);
	json_doc_trim(f->doc, FEED_DOC_KEEP);
	if (feed_cost(f, at) <= FEED_ITEM_BYTES)
		return feed_page_take(f, p, feed_event_seq(e), 0, at);
	f->page.len = at;
	return feed_page_parts(f, p, e, 0);
}

/* Fills the page from a run, from the event that the read wants next. */
static void
feed_page_fill(struct feed *f, struct feed_page *p, const struct feed_run *run,
    const struct feed_read *r)
{
	uint64_t from = r->after.part > 0 ? r->after.seq : r->after.seq + 1;
	bool more = true;

	for (size_t i = feed_run_place(run, from); more && i < run->n; i++) {
		const struct feed_event *e = feed_run_at(run, i);
		unsigned done = feed_event_seq(e) == r->after.seq ? r->after.part : 0;

		if (feed_wants(r->producer, r->source, feed_event_source(e)))
			more = feed_page_add(f, p, e, done);
	}
}

/* ---- reads ---- */

struct feed_read *
feed_read_new(struct feed *f, struct producer *p, const char *source, struct feed_mark after,
    size_t max, feed_page_cb *cb, void *arg)
{
	struct feed_read *r;
	size_t n = 0;

	TAILQ_FOREACH(r, &f->reads, link)
		n += r->producer == p;
	if (n >= FEED_READS_MAX)
		return NULL;
	MEM_NEW(r);
	*r = (struct feed_read){ .feed = f, .producer = p, .source = mem_strdup(source),
		.after = after, .max = max < FEED_PAGE_ITEMS ? max : FEED_PAGE_ITEMS, .cb = cb,
		.arg = arg };
	TAILQ_INSERT_TAIL(&f->reads, r, link);
	feed_wake(f);
	return r;
}

void
feed_read_cancel(struct feed_read *r)
{
	TAILQ_REMOVE(&r->feed->reads, r, link);
	mem_free(r->source);
	mem_free(r);
}

static void
feed_answer(struct feed_read *r, enum err e, struct feed_page *p)
{
	struct feed *f = r->feed;
	feed_page_cb *cb = r->cb;
	void *arg = r->arg;

	for (size_t i = 0; i < p->n; i++)
		p->v[i].json.p = f->page.data + p->at[i];
	r->producer->pages++;
	r->producer->events += p->n;
	metric_add(METRIC_FEED_EVENTS, p->n);
	feed_read_cancel(r);
	cb(arg, e, p->v, p->n);
}

/* Whether it was answered. What a batch of the disk has nothing of, the next one
 * or the memory may have. */
static bool
feed_serve(struct feed *f, struct feed_read *r, struct feed_page *p)
{
	enum err e = ERR_OK;

	for (;;) {
		uint64_t from = r->after.part > 0 ? r->after.seq : r->after.seq + 1;
		struct feed_disk *d;

		if (from > f->tail_from) {
			feed_page_fill(f, p, &f->tail, r);
			break;
		}
		d = feed_disk_of(f, r->producer, r->source);
		if (d == NULL || (!feed_disk_has(d, from, &e) && e == ERR_OK))
			return false;
		if (e == ERR_OK)
			feed_page_fill(f, p, &d->batch, r);
		if (e != ERR_OK || p->n > 0)
			break;
		r->after = (struct feed_mark){ d->to, 0 };
	}
	feed_answer(r, e, p);
	return true;
}

static void
feed_turn_cb(void *arg)
{
	struct feed *f = arg;
	struct feed_page page;
	struct feed_read *r, *next;

	f->woken = false;
	if (f->closed) {
		feed_destroy(f);
		return;
	}
	for (r = TAILQ_FIRST(&f->reads); r != NULL; r = next) {
		next = TAILQ_NEXT(r, link);
		page.n = page.cost = 0;
		page.max = r->max;
		buf_clear(&f->page);
		feed_serve(f, r, &page);
	}
	if (f->page.cap > 4 * FEED_PAGE_BYTES)
		buf_free(&f->page);
}

void
feed_wake(struct feed *f)
{
	if (f->woken)
		return;
	f->woken = true;
	loop_defer(f->o.loop, feed_turn_cb, f);
}
