/* SPDX-License-Identifier: MIT */
/* hub: the hub as a whole: its roster, its doors and readers, the spreading of
 * changes and the turn that delivers. See hub_priv.h for how it is built. */
#include "flow/hub.h"

#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "flow/cold.h"
#include "flow/hub_priv.h"

/* Wall-clock milliseconds, so that the seq of `_roster` items also grows from
 * one start of the daemon to the next. */
static void
hub_take_roster(struct hub *h, const struct roster *r)
{
	uint64_t now;

	h->roster = r;
	h->roster_us = loop_wall_us(h->loop);
	now = (uint64_t)h->roster_us / 1000;
	h->roster_seq = now > h->roster_seq ? now : h->roster_seq + 1;
}

/* A student whose states were away has them again: what of them is in nodes with
 * subscribers becomes pending. */
static void
hub_warm_cb(void *arg, struct student *t)
{
	struct hub *h = arg;

	if (map_size(h->nodes) == 0)
		return;
	for (struct state *s = t->states; s != NULL; s = s->of_student)
		if (s->watch == NULL && !s->reducer->internal)
			hub_state_look(h, s);
	hub_mirror_warm(h, t);
}

struct hub *
hub_new(struct loop *l, struct engine *e, const struct roster *r)
{
	struct hub *h;

	MEM_NEW(h);
	h->loop = l;
	h->engine = e;
	h->nodes = map_new();
	h->readers = map_new();
	h->mirrored = map_new();
	h->mirror_students = map_new();
	TAILQ_INIT(&h->doors);
	TAILQ_INIT(&h->dead_doors);
	TAILQ_INIT(&h->ready);
	TAILQ_INIT(&h->ending);
	TAILQ_INIT(&h->dead);
	hub_take_roster(h, r);
	cold_on_warm(e, hub_warm_cb, h);
	return h;
}

void
hub_free(struct hub *h)
{
	if (h == NULL)
		return;
	assert(h->busy == 0);
	cold_on_warm(h->engine, NULL, NULL);
	while (!TAILQ_EMPTY(&h->doors))
		hub_door_free(TAILQ_FIRST(&h->doors));
	map_free(h->nodes, NULL);
	map_free(h->readers, NULL);
	map_free(h->mirrored, NULL);
	map_free(h->mirror_students, mem_free);
	loop_timer_free(h->telling);
	h->closed = true;
	if (!h->woken)
		mem_free(h);
}

const struct roster *
hub_roster(const struct hub *h)
{
	return h->roster;
}

struct engine *
hub_engine(struct hub *h)
{
	return h->engine;
}

/* ---- callbacks may end anything ---- */

void
hub_enter(struct hub *h)
{
	h->busy++;
}

void
hub_leave(struct hub *h)
{
	struct hub_door *d;

	if (--h->busy > 0)
		return;
	while (!TAILQ_EMPTY(&h->dead))
		hub_sub_free(TAILQ_FIRST(&h->dead));
	while ((d = TAILQ_FIRST(&h->dead_doors)) != NULL) {
		TAILQ_REMOVE(&h->dead_doors, d, link);
		mem_free(d);
	}
}

/* ---- access ---- */

enum err
hub_find(struct hub *h, struct str node, struct node *out)
{
	const struct reducer *r;

	if (node_parse(node, out) != ERR_OK)
		return ERR_NOT_FOUND;
	r = engine_reducer(h->engine, str_of(out->reducer));
	if (out->kind != NODE_ROSTER && (r == NULL || r->internal))
		return ERR_NOT_FOUND;
	return access_exists(h->roster, out) ? ERR_OK : ERR_NOT_FOUND;
}

enum err
hub_may_read(struct hub *h, struct str node, struct str reader, struct node *out)
{
	struct node is;
	enum err e = hub_find(h, node, &is);

	if (e != ERR_OK)
		return e;
	if (!access_may_read(h->roster, reader, &is))
		return ERR_FORBIDDEN;
	if (out != NULL)
		*out = is;
	return ERR_OK;
}

enum err
hub_admit(struct hub *h, const char *door, struct str node, struct str reader, struct node *out)
{
	enum err e = hub_may_read(h, node, reader, out);

	if (e != ERR_OK)
		hub_refused(h, door, reader, node);
	return e;
}

/* ---- what is written down ---- */

/* Anybody can be refused as often as he likes: the log gets the first of a
 * minute, and then how many there were. */
static bool
hub_refusal_is_logged(struct hub *h)
{
	uint64_t now = loop_now_ms(h->loop);

	if (h->refusals == 0 || now - h->refusals_ms >= HUB_REFUSALS_MS) {
		if (h->refusals > HUB_REFUSALS_MAX)
			log_notice("access refused more=%zu", h->refusals - HUB_REFUSALS_MAX);
		h->refusals = 0;
		h->refusals_ms = now;
	}
	return ++h->refusals <= HUB_REFUSALS_MAX;
}

void
hub_refused(struct hub *h, const char *door, struct str reader, struct str node)
{
	struct audit_line line = { "refused", reader, door, node, ROSTER_AS_NOBODY, 0 };

	line.node.n = node.n < NODE_MAX ? node.n : NODE_MAX;
	metric_add(METRIC_ACCESS_REFUSED, 1);
	if (hub_refusal_is_logged(h))
		log_notice("access refused reader=%.*s node=%.*s door=%s", STR_ARG(reader),
		    STR_ARG(line.node), door != NULL ? door : "");
	audit_refuse(h->audit, &line);
}

void
hub_shown(struct hub *h, const char *door, struct str reader, struct str node, size_t n)
{
	struct audit_line line = { "read", reader, door, node, ROSTER_AS_NOBODY, n };
	struct node is;

	if (h->audit != NULL && node_parse(node, &is) == ERR_OK)
		line.as = access_as(h->roster, reader, &is);
	audit_write(h->audit, &line);
}

void
hub_sub_audit(struct hub_sub *s, const char *what)
{
	struct hub *h = s->door->hub;
	struct audit_line line = { .what = what, .door = s->door->name,
		.node = str_of(s->node->name), .items = s->told };

	s->told = 0;
	if (h->audit == NULL || s->reader == NULL)
		return; /* what no reader has is no disclosure */
	line.reader = str_of(s->reader->jid);
	line.as = access_as(h->roster, line.reader, &s->node->is);
	audit_write(h->audit, &line);
}

/* Items of subscriptions are summed up, as there may be many in a second. */
static void
hub_telling_cb(void *arg)
{
	struct hub *h = arg;
	struct hub_door *d;
	struct hub_sub *s;

	TAILQ_FOREACH(d, &h->doors, link)
		TAILQ_FOREACH(s, &d->subs, of_door)
			if (s->told > 0 && s->life == HUB_LIVE)
				hub_sub_audit(s, "received");
}

void
hub_set_audit(struct hub *h, struct audit *a)
{
	h->audit = a;
	if (a == NULL)
		return;
	audit_roster(a, NULL, h->roster);
	h->telling = loop_timer_new(h->loop, hub_telling_cb, h);
	loop_timer_every(h->telling, HUB_TELLING_MS);
}

struct hub_reader *
hub_reader_take(struct hub *h, struct str jid)
{
	struct hub_reader *r = map_get(h->readers, jid);

	if (r == NULL) {
		MEM_NEW(r);
		r->jid = mem_str(jid);
		map_put(h->readers, jid, r);
	}
	if (r->subs == HUB_READER_SUBS_MAX)
		return NULL;
	r->subs++;
	return r;
}

void
hub_reader_drop(struct hub *h, struct hub_reader *r)
{
	if (--r->subs > 0)
		return;
	map_remove(h->readers, str_of(r->jid));
	mem_free(r->jid);
	mem_free(r);
}

/* ---- doors ---- */

struct hub_door *
hub_door_new(struct hub *h, const struct hub_door_ops *ops, void *arg)
{
	struct hub_door *d;

	MEM_NEW(d);
	d->hub = h;
	d->ops = ops;
	d->arg = arg;
	TAILQ_INIT(&d->waiting);
	TAILQ_INIT(&d->subs);
	TAILQ_INSERT_TAIL(&h->doors, d, link);
	return d;
}

void
hub_door_free(struct hub_door *d)
{
	struct hub *h = d->hub;
	struct hub_sub *s;

	hub_enter(h);
	TAILQ_FOREACH(s, &d->subs, of_door) {
		s->ends_as = "stopped";
		hub_unsubscribe(s);
	}
	TAILQ_REMOVE(&h->doors, d, link);
	TAILQ_INSERT_TAIL(&h->dead_doors, d, link);
	hub_leave(h);
}

void
hub_door_name(struct hub_door *d, const char *name)
{
	d->name = name;
}

void
hub_door_ready(struct hub_door *d)
{
	d->blocked = false;
	if (TAILQ_EMPTY(&d->waiting))
		return;
	while (!TAILQ_EMPTY(&d->waiting))
		hub_sub_queue(TAILQ_FIRST(&d->waiting), &d->hub->ready);
	hub_wake(d->hub);
}

/* ---- changes ---- */

void
hub_state_spread(struct state *s)
{
	struct hub_watch *w = s->watch;
	struct hub_sub *sub;

	for (size_t i = 0; i < w->n; i++)
		TAILQ_FOREACH(sub, &w->link[i].node->subs, of_node)
			if (hub_sub_mark(sub, w->link[i].at))
				metric_add(METRIC_ITEMS_COALESCED, 1);
}

/* The hot path: a state that nobody watches costs one look at its watch. */
void
hub_spread(struct hub *h)
{
	struct state *s = engine_changed(h->engine);

	if (map_size(h->nodes) == 0)
		return;
	for (; s != NULL; s = s->next_changed) {
		if (s->watch != NULL)
			hub_state_spread(s);
		else
			hub_state_look(h, s);
	}
}

/* Serves the ready ones in turn, a batch each; what they leave comes after all
 * others, and after whatever else waits for the loop. */
static void
hub_turn_cb(void *arg)
{
	struct hub *h = arg;

	h->woken = false;
	if (h->closed) {
		mem_free(h);
		return;
	}
	hub_enter(h);
	for (int i = 0; i < HUB_TURN_BATCHES && !TAILQ_EMPTY(&h->ready); i++)
		hub_sub_serve(TAILQ_FIRST(&h->ready));
	hub_leave(h);
	if (!TAILQ_EMPTY(&h->ready))
		hub_wake(h);
}

void
hub_wake(struct hub *h)
{
	if (h->woken)
		return;
	h->woken = true;
	loop_defer(h->loop, hub_turn_cb, h);
}

/* ---- another roster ---- */

static void
hub_check_access(struct hub *h, struct hub_node *n)
{
	struct hub_sub *s;

	TAILQ_FOREACH(s, &n->subs, of_node)
		if (s->reader == NULL ? !access_exists(h->roster, &n->is)
		                      : !access_may_read(h->roster, str_of(s->reader->jid), &n->is))
			hub_sub_revoke(s);
}

/* It is dead before its door hears of it, so that the door may also
 * unsubscribe; its node and reader stay for the call. */
static void
hub_end(struct hub_sub *s)
{
	struct hub_door *d = s->door;

	if (s->reader != NULL) {
		hub_sub_audit(s, "revoked");
		metric_add(METRIC_REVOKED, 1);
		log_notice("access revoked reader=%s node=%s", s->reader->jid, s->node->name);
	}
	hub_sub_die(s);
	d->ops->ended(d->arg, s);
}

bool
hub_sub_is_deleted(const struct hub_sub *s)
{
	return !access_exists(s->door->hub->roster, &s->node->is);
}

void
hub_set_roster(struct hub *h, const struct roster *r)
{
	struct map_iter it = { 0 };
	struct hub_door *d;

	assert(h->busy == 0);
	hub_enter(h);
	audit_roster(h->audit, h->roster, r);
	hub_take_roster(h, r);
	while (map_next(h->nodes, &it))
		hub_check_access(h, it.value);
	it = (struct map_iter){ 0 };
	while (map_next(h->nodes, &it))
		hub_node_fill(it.value);
	while (!TAILQ_EMPTY(&h->ending))
		hub_end(TAILQ_FIRST(&h->ending));
	TAILQ_FOREACH(d, &h->doors, link)
		if (d->ops->roster != NULL)
			d->ops->roster(d->arg);
	hub_leave(h);
}
