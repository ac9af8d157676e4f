/* SPDX-License-Identifier: MIT */
/* pubsub_memory: nodes in this process alone. What is to be told waits in one
 * queue and is told in the next turn. */
#include <sys/queue.h>

#include "base/map.h"
#include "base/mem.h"
#include "flow/pubsub_backends.h"

struct mem_node {
	struct map *items; /* JSON texts by id */
	bool whole;
};

enum mem_news { MEM_UP, MEM_SNAPSHOT, MEM_CHANGE, MEM_IDS, MEM_NODES };

/* Something to tell. */
struct mem_told {
	enum mem_news what;
	struct str node;             /* all strings are owned */
	struct pubsub_change change;
	pubsub_ids_cb *ids;
	pubsub_nodes_cb *nodes;
	void *arg;
	TAILQ_ENTRY(mem_told) link;
};

struct mem_store {
	struct loop *loop;
	const struct pubsub_events *ev;
	void *arg;
	struct map *nodes; /* struct mem_node by name */
	struct map *read;  /* names of nodes that are subscribed to; values mean nothing */
	size_t items;
	TAILQ_HEAD(mem_queue, mem_told) queue;
	bool woken, closed;
};

/* ---- nodes ---- */

static struct mem_node *
mem_node_of(struct mem_store *s, struct str name)
{
	struct mem_node *n = map_get(s->nodes, name);

	if (n != NULL)
		return n;
	MEM_NEW(n);
	n->items = map_new();
	map_put(s->nodes, name, n);
	return n;
}

static void
mem_node_free(void *node)
{
	struct mem_node *n = node;

	map_free(n->items, mem_free);
	mem_free(n);
}

static void
mem_node_empty(struct mem_store *s, struct mem_node *n)
{
	s->items -= map_size(n->items);
	map_free(n->items, mem_free);
	n->items = map_new();
}

static void
mem_item_put(struct mem_store *s, struct mem_node *n, const struct pubsub_change *c)
{
	char *before = map_put(n->items, c->id, mem_str(c->json));

	s->items += before == NULL;
	mem_free(before);
}

static void
mem_item_remove(struct mem_store *s, struct mem_node *n, struct str id)
{
	char *before = map_remove(n->items, id);

	s->items -= before != NULL;
	mem_free(before);
}

static void
mem_apply(struct mem_store *s, struct str name, const struct pubsub_change *c)
{
	struct mem_node *n = mem_node_of(s, name);

	switch (c->op) {
	case PUBSUB_ITEM:
		mem_item_put(s, n, c);
		break;
	case PUBSUB_RETRACT:
		mem_item_remove(s, n, c->id);
		break;
	case PUBSUB_PURGE:
		mem_node_empty(s, n);
		break;
	case PUBSUB_DELETED:
		mem_node_empty(s, n);
		mem_node_free(map_remove(s->nodes, name));
		break;
	default:
		n->whole = c->op == PUBSUB_WHOLE;
	}
}

/* ---- telling ---- */

static void
mem_told_free(struct mem_told *t)
{
	mem_free((char *)t->node.p);
	mem_free((char *)t->change.id.p);
	mem_free((char *)t->change.json.p);
	mem_free(t);
}

static struct str
mem_own(struct str s)
{
	return (struct str){ mem_str(s), s.n };
}

static void mem_turn_cb(void *arg);

static struct mem_told *
mem_tell(struct mem_store *s, enum mem_news what, struct str node)
{
	struct mem_told *t;

	MEM_NEW(t);
	t->what = what;
	t->node = mem_own(node);
	TAILQ_INSERT_TAIL(&s->queue, t, link);
	if (!s->woken)
		loop_defer(s->loop, mem_turn_cb, s);
	s->woken = true;
	return t;
}

/* Of copies, as whoever is called may change the node. */
static void
mem_give_snapshot(struct mem_store *s, const struct mem_told *t)
{
	struct mem_node *n = map_get(s->nodes, t->node);
	size_t size = n != NULL ? map_size(n->items) : 0, at = 0;
	struct pubsub_item *v = mem_alloc(size * sizeof *v);
	struct map_iter it = { 0 };

	while (n != NULL && map_next(n->items, &it)) {
		v[at].id = mem_own(it.key);
		v[at++].json = mem_own(str_of(it.value));
	}
	s->ev->snapshot(s->arg, t->node, v, size, n != NULL && n->whole);
	for (at = 0; at < size; at++) {
		mem_free((char *)v[at].id.p);
		mem_free((char *)v[at].json.p);
	}
	mem_free(v);
}

/* Copies of the keys, as whoever is called may change the map. */
static struct str *
mem_keys(const struct map *m)
{
	struct str *v = mem_alloc((m != NULL ? map_size(m) : 0) * sizeof *v);
	struct map_iter it = { 0 };
	size_t at = 0;

	while (m != NULL && map_next(m, &it))
		v[at++] = mem_own(it.key);
	return v;
}

static void
mem_keys_free(struct str *v, size_t n)
{
	while (n > 0)
		mem_free((char *)v[--n].p);
	mem_free(v);
}

static void
mem_give_ids(struct mem_store *s, const struct mem_told *t)
{
	const struct mem_node *n = map_get(s->nodes, t->node);
	size_t size = n != NULL ? map_size(n->items) : 0;
	struct str *v = mem_keys(n != NULL ? n->items : NULL);

	t->ids(t->arg, ERR_OK, v, size);
	mem_keys_free(v, size);
}

static void
mem_give_nodes(struct mem_store *s, const struct mem_told *t)
{
	size_t size = map_size(s->nodes);
	struct str *v = mem_keys(s->nodes);

	t->nodes(t->arg, ERR_OK, v, size, false);
	mem_keys_free(v, size);
}

static void
mem_give(struct mem_store *s, const struct mem_told *t)
{
	bool read = map_get(s->read, t->node) != NULL;

	switch (t->what) {
	case MEM_UP:
		s->ev->up(s->arg);
		break;
	case MEM_SNAPSHOT:
		if (read)
			mem_give_snapshot(s, t);
		break;
	case MEM_CHANGE:
		if (read)
			s->ev->change(s->arg, t->node, &t->change);
		break;
	case MEM_IDS:
		mem_give_ids(s, t);
		break;
	case MEM_NODES:
		mem_give_nodes(s, t);
		break;
	}
}

static void
mem_free_store(struct mem_store *s)
{
	struct mem_told *t;

	while ((t = TAILQ_FIRST(&s->queue)) != NULL) {
		TAILQ_REMOVE(&s->queue, t, link);
		mem_told_free(t);
	}
	map_free(s->nodes, mem_node_free);
	map_free(s->read, NULL);
	mem_free(s);
}

/* What is told meanwhile waits for the next turn. */
static void
mem_turn_cb(void *arg)
{
	struct mem_store *s = arg;
	struct mem_told *t, *last = TAILQ_LAST(&s->queue, mem_queue);
	bool more = last != NULL;

	while (more && !s->closed) {
		t = TAILQ_FIRST(&s->queue);
		more = t != last;
		TAILQ_REMOVE(&s->queue, t, link);
		mem_give(s, t);
		mem_told_free(t);
	}
	s->woken = false;
	if (s->closed) {
		mem_free_store(s);
		return;
	}
	s->woken = !TAILQ_EMPTY(&s->queue);
	if (s->woken)
		loop_defer(s->loop, mem_turn_cb, s);
}

/* ---- the backend ---- */

static void *
mem_open(const struct pubsub_options *o, const struct pubsub_events *ev, void *arg, char **why)
{
	struct mem_store *s;

	(void)why;
	MEM_NEW(s);
	s->loop = o->loop;
	s->ev = ev;
	s->arg = arg;
	s->nodes = map_new();
	s->read = map_new();
	TAILQ_INIT(&s->queue);
	mem_tell(s, MEM_UP, STR_LIT(""));
	return s;
}

static bool
mem_publish(void *store, struct str node, const struct pubsub_change *c, size_t n)
{
	struct mem_store *s = store;

	for (size_t i = 0; i < n; i++) {
		mem_apply(s, node, &c[i]);
		if (map_get(s->read, node) != NULL)
			mem_tell(s, MEM_CHANGE, node)->change = (struct pubsub_change){
				c[i].op, c[i].number, mem_own(c[i].id), mem_own(c[i].json) };
	}
	return true;
}

static void
mem_ids(void *store, struct str node, pubsub_ids_cb *cb, void *arg)
{
	struct mem_told *t = mem_tell(store, MEM_IDS, node);

	t->ids = cb;
	t->arg = arg;
}

static void
mem_nodes(void *store, pubsub_nodes_cb *cb, void *arg)
{
	struct mem_told *t = mem_tell(store, MEM_NODES, STR_LIT(""));

	t->nodes = cb;
	t->arg = arg;
}

static void
mem_follow(void *store, struct str node)
{
	struct mem_store *s = store;

	map_put(s->read, node, s);
	mem_tell(s, MEM_SNAPSHOT, node);
}

static void
mem_unfollow(void *store, struct str node)
{
	struct mem_store *s = store;

	map_remove(s->read, node);
}

static void
mem_status(const void *store, struct jsonw *w)
{
	const struct mem_store *s = store;

	jsonw_kuint(w, "nodes", map_size(s->nodes));
	jsonw_kuint(w, "items", s->items);
}

static void
mem_close(void *store)
{
	struct mem_store *s = store;

	s->closed = true;
	if (!s->woken)
		mem_free_store(s);
}

const struct pubsub_backend pubsub_memory = {
	.name = "memory",
	.open = mem_open,
	.publish = mem_publish,
	.ids = mem_ids,
	.nodes = mem_nodes,
	.follow = mem_follow,
	.unfollow = mem_unfollow,
	.status = mem_status,
	.close = mem_close,
};
