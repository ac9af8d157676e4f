/* SPDX-License-Identifier: MIT */
/* publisher: a publisher as a whole: the nodes that the roster has, the hub's
 * door, the stream that comes and goes, status. */
#include "xmpp/publisher_priv.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"

/* ---- nodes ---- */

struct pub_node *
pub_node_new(struct publisher *p, const char *name)
{
	struct pub_node *n;
	struct node is;

	if (node_parse(str_of(name), &is) != ERR_OK)
		return NULL;
	MEM_NEW(n);
	n->publisher = p;
	n->is = is;
	n->name = mem_strdup(name);
	n->todo = BUF_INIT(0);
	node_opaque(p->o.key, str_of(name), n->opaque);
	map_put(p->nodes, str_of(name), n);
	return n;
}

static void
pub_node_release(void *value)
{
	struct pub_node *n = value;

	pub_detach(n);
	pub_unqueue(n);
	pub_items_forget(n);
	buf_free(&n->todo);
	mem_free(n->name);
	mem_free(n);
}

void
pub_node_free(struct pub_node *n)
{
	pub_store_remove(n);
	map_remove(n->publisher->nodes, str_of(n->name));
	pub_node_release(n);
}

void
pub_detach(struct pub_node *n)
{
	if (n->sub != NULL)
		hub_unsubscribe(n->sub);
	n->sub = NULL;
}

void
pub_attach(struct pub_node *n)
{
	struct publisher *p = n->publisher;

	n->step = PUB_READY;
	if (n->why != PUB_FINE)
		log_notice("xmpp jid=%s pubsub=%s name=%s is published now", p->o.jid, p->o.pubsub,
		    n->name);
	n->why = PUB_FINE;
	n->detail[0] = '\0';
	if (hub_attach(p->door, str_of(n->name), n, &n->sub) != ERR_OK)
		n->sub = NULL; /* the roster has just lost it, and will say so */
}

/* ---- the hub's door ---- */

static bool
pub_deliver_cb(void *arg, struct hub_sub *sub, const struct hub_item *items, size_t n)
{
	(void)arg, (void)n; /* batch_bytes makes it one */
	return pub_item_publish(hub_sub_user(sub), items);
}

static void
pub_ended_cb(void *arg, struct hub_sub *sub)
{
	struct pub_node *n = hub_sub_user(sub);

	(void)arg;
	n->sub = NULL;
}

/* ---- the roster ---- */

static void
pub_node_cb(void *arg, const struct node *is)
{
	struct publisher *p = arg;
	char name[NODE_MAX + 1];
	struct pub_node *n;

	if (node_write(is, name) != ERR_OK)
		return;
	n = map_get(p->nodes, str_of(name));
	if (n == NULL) {
		n = pub_node_new(p, name);
		if (n == NULL)
			return;
		pub_store_put(n);
	}
	n->kept = true;
}

/* Others read it now, or its students changed: nothing more is published before
 * the service has that, too. */
static void
pub_node_adapt(struct pub_node *n)
{
	uint64_t hash = pub_roster_hash(n);
	bool same = hash == n->roster_hash && !n->leaving;
	bool refused = n->why != PUB_FINE;

	n->roster_hash = hash;
	if (same && !refused)
		return;
	n->tries = 0;
	if (n->leaving || refused || n->queue == &n->publisher->asked) {
		n->leaving = false;
		pub_begin(n);
	} else if (n->step > PUB_AFFILIATIONS) {
		pub_detach(n);
		n->step = PUB_IDLE; /* what was left to change counts no more */
		pub_go(n, PUB_AFFILIATIONS);
	}
}

static void
pub_node_leave(struct pub_node *n)
{
	if (n->leaving)
		return;
	n->leaving = true;
	n->why = PUB_FINE;
	pub_begin(n);
}

static void
pub_roster_cb(void *arg)
{
	struct publisher *p = arg;
	struct map_iter it = { 0 };
	bool unsaved = false;

	if (!p->loaded)
		return;
	while (map_next(p->nodes, &it))
		((struct pub_node *)it.value)->kept = false;
	access_all_nodes(hub_roster(p->o.hub), p->o.reducers, pub_node_cb, p);
	it = (struct map_iter){ 0 };
	while (map_next(p->nodes, &it)) {
		struct pub_node *n = it.value;

		if (n->kept)
			pub_node_adapt(n);
		else
			pub_node_leave(n);
		unsaved |= !n->saved;
	}
	if (unsaved)
		pub_store_save(p);
	pub_work(p);
}

static const struct hub_door_ops pub_door_ops = {
	.deliver = pub_deliver_cb,
	.ended = pub_ended_cb,
	.batch_bytes = 1,
	.roster = pub_roster_cb,
};

/* ---- life ---- */

static void
pub_tick_cb(void *arg)
{
	struct publisher *p = arg;

	publisher_tick(p, loop_now_ms(p->o.loop));
}

struct publisher *
publisher_new(const struct publisher_options *o)
{
	struct publisher *p;

	MEM_NEW(p);
	p->o = *o;
	p->o.jid = mem_strdup(o->jid);
	p->o.pubsub = mem_strdup(o->pubsub);
	p->o.key.p = mem_str(o->key);
	p->o.reducers = reducers_copy(o->reducers);
	p->o.window = o->window ? o->window : PUBLISHER_WINDOW;
	p->o.max_items = o->max_items ? o->max_items : PUBLISHER_MAX_ITEMS;
	p->out = BUF_INIT(SERVICE_OUT_MAX);
	p->nodes = map_new();
	TAILQ_INIT(&p->work);
	TAILQ_INIT(&p->asked);
	p->door = hub_door_new(o->hub, &pub_door_ops, p);
	p->tick = loop_timer_new(o->loop, pub_tick_cb, p);
	return p;
}

void
publisher_free(struct publisher *p)
{
	if (p == NULL)
		return;
	map_free(p->nodes, pub_node_release);
	hub_door_free(p->door);
	loop_timer_free(p->tick);
	buf_free(&p->out);
	mem_wipe((char *)p->o.key.p, p->o.key.n);
	mem_free((char *)p->o.key.p);
	mem_free((void *)p->o.reducers);
	mem_free((char *)p->o.jid);
	mem_free((char *)p->o.pubsub);
	mem_free(p);
}

struct pub_loaded {
	struct publisher *publisher;
	loop_cb *cb;
	void *arg;
};

static void
pub_loaded_cb(void *arg)
{
	struct pub_loaded *l = arg;

	l->publisher->loaded = true;
	pub_roster_cb(l->publisher);
	l->cb(l->arg);
	mem_free(l);
}

void
publisher_load(struct publisher *p, loop_cb *cb, void *arg)
{
	struct pub_loaded *l;

	MEM_NEW(l);
	*l = (struct pub_loaded){ p, cb, arg };
	pub_store_load(p, pub_loaded_cb, l);
}

/* ---- the stream comes and goes ---- */

/* An answer was no promise, and the server may be another one: everything is
 * read back, and what is not there is published again. */
void
publisher_up(struct publisher *p)
{
	struct map_iter it = { 0 };

	p->up = true;
	p->absent = false;
	p->absent_tries = 0;
	memset(p->said, 0, sizeof p->said);
	loop_timer_every(p->tick, PUB_TICK_MS);
	while (map_next(p->nodes, &it)) {
		((struct pub_node *)it.value)->tries = 0;
		pub_begin(it.value);
	}
	pub_work(p);
}

void
publisher_down(struct publisher *p)
{
	struct map_iter it = { 0 };

	p->up = false;
	loop_timer_stop(p->tick);
	while (map_next(p->nodes, &it)) {
		struct pub_node *n = it.value;

		pub_unqueue(n); /* its answer is lost with the stream */
		pub_begin(n);
	}
}

void
publisher_room(struct publisher *p)
{
	pub_work(p);
}

/* ---- status ---- */

struct pub_counts {
	size_t published, refused, leaving, waiting, items, left_out;
};

static void
pub_count(const struct publisher *p, struct pub_counts *c)
{
	struct map_iter it = { 0 };

	while (map_next(p->nodes, &it)) {
		const struct pub_node *n = it.value;

		if (n->why != PUB_FINE)
			c->refused++;
		else if (n->leaving)
			c->leaving++;
		else if (n->step == PUB_READY || n->step == PUB_PUBLISH)
			c->published++;
		else
			c->waiting++;
		c->items += n->n_items - n->left_out;
		c->left_out += n->left_out;
	}
}

static void
pub_write_refused(const struct publisher *p, struct jsonw *w)
{
	struct map_iter it = { 0 };
	size_t listed = 0;

	jsonw_key(w, "refused");
	jsonw_array(w);
	while (listed < PUB_LISTED_MAX && map_next(p->nodes, &it)) {
		const struct pub_node *n = it.value;

		if (n->why == PUB_FINE)
			continue;
		listed++;
		jsonw_object(w);
		jsonw_kz(w, "name", n->name);
		jsonw_kz(w, "node", n->opaque);
		jsonw_kz(w, "why", pub_why_name(n->why));
		jsonw_kz(w, "detail", n->detail);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
}

static void
pub_write_errors(const struct publisher *p, struct jsonw *w)
{
	static const char *const names[] = {
#define PUB_FAULT_NAME(sym, name) name,
		PUB_FAULT_MAP(PUB_FAULT_NAME)
#undef PUB_FAULT_NAME
	};

	jsonw_key(w, "errors");
	jsonw_object(w);
	for (size_t i = PUB_NONE + 1; i < PUB_FAULTS; i++)
		if (p->faults[i] > 0)
			jsonw_kuint(w, names[i], p->faults[i]);
	jsonw_object_end(w);
}

static void
pub_write_counts(const struct publisher *p, struct jsonw *w)
{
	struct pub_counts c = { 0 };

	pub_count(p, &c);
	jsonw_kuint(w, "nodes", map_size(p->nodes));
	jsonw_kuint(w, "nodes_published", c.published);
	jsonw_kuint(w, "nodes_waiting", c.waiting);
	jsonw_kuint(w, "nodes_refused", c.refused);
	jsonw_kuint(w, "nodes_leaving", c.leaving);
	jsonw_kuint(w, "items", c.items);
	jsonw_kuint(w, "items_left_out", c.left_out);
}

void
publisher_write(const struct publisher *p, struct jsonw *w)
{
	jsonw_key(w, "publisher");
	jsonw_object(w);
	jsonw_kz(w, "service", p->o.pubsub);
	jsonw_kbool(w, "answers", p->up && !p->absent);
	pub_write_counts(p, w);
	jsonw_kuint(w, "in_flight", p->n_asked);
	jsonw_kuint(w, "window", p->o.window);
	jsonw_kuint(w, "published", p->published);
	jsonw_kuint(w, "unchanged", p->unchanged);
	jsonw_kuint(w, "skipped", p->skipped);
	jsonw_kuint(w, "retracted", p->retracted);
	jsonw_kuint(w, "late_answers", p->late);
	pub_write_errors(p, w);
	pub_write_refused(p, w);
	jsonw_object_end(w);
}
