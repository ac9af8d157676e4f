/* SPDX-License-Identifier: MIT */
/* pubsub: see pubsub.h. The table of backends, and what is the same before all of
 * them: who reads which node, what waits for a snapshot, and gaps. */
#include "flow/pubsub.h"

#include <sys/queue.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metric.h"
#include "flow/pubsub_backends.h"

static const struct pubsub_backend *const pubsub_backends[] = {
	&pubsub_memory,
	&pubsub_redis,
};

struct pubsub_sub {
	struct pubsub_node *node;
	const struct pubsub_reader *ops;
	void *arg;
	bool begun; /* it had a snapshot */
	bool dead;
	TAILQ_ENTRY(pubsub_sub) of_node;
};

/* A node that is read. */
struct pubsub_node {
	struct pubsub *pubsub;
	char *name;
	TAILQ_HEAD(, pubsub_sub) subs;
	uint64_t last;      /* number of the last change that was given; 0: see seen */
	uint64_t newest;    /* of the one that came last, given or not */
	uint64_t seen;      /* it came before the snapshot was asked for, which has it */
	bool asked;         /* a snapshot is on its way; changes wait for it */
	bool again;         /* more than can wait: another snapshot after it */
	struct buf waiting; /* changes, packed */
};

struct pubsub {
	const struct pubsub_backend *backend;
	void *store;
	const struct pubsub_writer *writer; /* or NULL */
	void *writer_arg;
	struct map *nodes;
	unsigned busy; /* inside callbacks: nothing is freed */
	bool closed, swept;
	bool up;
	uint64_t gaps, snapshots;
};

static const char *const pubsub_op_names[] = {
#define PUBSUB_OP_NAME(sym, name) name,
	PUBSUB_OP_MAP(PUBSUB_OP_NAME)
#undef PUBSUB_OP_NAME
};

const char *
pubsub_op_name(enum pubsub_op op)
{
	return pubsub_op_names[op];
}

bool
pubsub_op_by_name(struct str name, enum pubsub_op *op)
{
	for (unsigned i = 0; i < PUBSUB_OPS; i++) {
		if (str_is(name, pubsub_op_names[i])) {
			*op = (enum pubsub_op)i;
			return true;
		}
	}
	return false;
}

const struct pubsub_backend *
pubsub_backend(const char *name, char **why)
{
	struct buf known = BUF_INIT(0);
	size_t n = sizeof pubsub_backends / sizeof *pubsub_backends;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(pubsub_backends[i]->name, name) == 0) {
			buf_free(&known);
			return pubsub_backends[i];
		}
		buf_printf(&known, "%s%s", i > 0 ? ", " : "", pubsub_backends[i]->name);
	}
	*why = mem_printf("unknown pubsub backend \"%s\"; known: %.*s", name,
	    STR_ARG(buf_view(&known)));
	buf_free(&known);
	return NULL;
}

/* ---- callbacks may end anything ---- */

static void
pubsub_node_free(void *node)
{
	struct pubsub_node *n = node;

	while (!TAILQ_EMPTY(&n->subs)) {
		struct pubsub_sub *s = TAILQ_FIRST(&n->subs);

		TAILQ_REMOVE(&n->subs, s, of_node);
		mem_free(s);
	}
	buf_free(&n->waiting);
	mem_free(n->name);
	mem_free(n);
}

static void
pubsub_node_sweep(struct pubsub_node *n)
{
	struct pubsub_sub *s = TAILQ_FIRST(&n->subs), *next;

	for (; s != NULL; s = next) {
		next = TAILQ_NEXT(s, of_node);
		if (!s->dead)
			continue;
		TAILQ_REMOVE(&n->subs, s, of_node);
		mem_free(s);
	}
	if (!TAILQ_EMPTY(&n->subs))
		return;
	n->pubsub->backend->unfollow(n->pubsub->store, str_of(n->name));
	map_remove(n->pubsub->nodes, str_of(n->name));
	pubsub_node_free(n);
}

static void
pubsub_leave(struct pubsub *p)
{
	struct map_iter it = { 0 };

	if (--p->busy > 0)
		return;
	if (p->closed) {
		map_free(p->nodes, pubsub_node_free);
		mem_free(p);
		return;
	}
	if (!p->swept)
		return;
	p->swept = false;
	while (map_next(p->nodes, &it))
		pubsub_node_sweep(it.value);
}

/* ---- changes that wait ---- */

struct pubsub_packed {
	enum pubsub_op op;
	uint64_t number;
	size_t id_n, json_n;
};

static void
pubsub_pack(struct buf *b, const struct pubsub_change *c)
{
	struct pubsub_packed head = { c->op, c->number, c->id.n, c->json.n };

	buf_add(b, &head, sizeof head);
	buf_str(b, c->id);
	buf_str(b, c->json);
}

static struct pubsub_change
pubsub_unpack(const char *p, size_t *at)
{
	struct pubsub_packed head;
	struct pubsub_change c;

	memcpy(&head, p + *at, sizeof head);
	*at += sizeof head;
	c = (struct pubsub_change){ head.op, head.number, { p + *at, head.id_n },
		{ p + *at + head.id_n, head.json_n } };
	*at += head.id_n + head.json_n;
	return c;
}

static void
pubsub_wait(struct pubsub_node *n, const struct pubsub_change *c)
{
	if (n->again)
		return;
	if (n->waiting.len + c->id.n + c->json.n > PUBSUB_WAITING_MAX) {
		n->again = true;
		buf_free(&n->waiting);
		return;
	}
	pubsub_pack(&n->waiting, c);
}

static void
pubsub_ask(struct pubsub_node *n)
{
	n->asked = true;
	n->again = false;
	n->last = 0;
	n->seen = n->newest;
	buf_clear(&n->waiting);
	n->pubsub->backend->follow(n->pubsub->store, str_of(n->name));
}

/* ---- what a backend says ---- */

static void
pubsub_give(struct pubsub_node *n, const struct pubsub_change *c)
{
	struct pubsub_sub *s;

	n->last = c->number;
	TAILQ_FOREACH(s, &n->subs, of_node)
		if (s->begun && !s->dead && !n->pubsub->closed)
			s->ops->change(s->arg, c);
}

/* Whether it comes behind all that the reader has. */
static bool
pubsub_is_next(const struct pubsub_node *n, const struct pubsub_change *c)
{
	return n->last != 0 ? c->number == n->last + 1 : c->number > n->seen;
}

/* Another snapshot has what came until now, in whatever order it came. */
static void
pubsub_gap(struct pubsub_node *n)
{
	n->pubsub->gaps++;
	metric_add(METRIC_PUBSUB_GAPS, 1);
	log_info("pubsub backend=%s node=%s: a change is missing, reading all of it",
	    n->pubsub->backend->name, n->name);
	pubsub_ask(n);
}

static void
pubsub_change(struct pubsub_node *n, const struct pubsub_change *c)
{
	n->newest = c->number;
	if (n->asked)
		pubsub_wait(n, c);
	else if (pubsub_is_next(n, c))
		pubsub_give(n, c);
	else
		pubsub_gap(n);
}

static void
pubsub_change_cb(void *arg, struct str node, const struct pubsub_change *c)
{
	struct pubsub *p = arg;
	struct pubsub_node *n = map_get(p->nodes, node);

	if (n == NULL)
		return;
	p->busy++;
	pubsub_change(n, c);
	pubsub_leave(p);
}

/* Those that came while the snapshot was on its way, after it. When another one is
 * asked for meanwhile, it has the rest, too. */
static void
pubsub_replay(struct pubsub_node *n)
{
	struct buf waiting = n->waiting;
	size_t at = 0;

	n->waiting = BUF_INIT(0);
	while (at < waiting.len && !n->asked && !n->pubsub->closed) {
		struct pubsub_change c = pubsub_unpack(waiting.data, &at);

		if (pubsub_is_next(n, &c))
			pubsub_give(n, &c);
		else
			pubsub_gap(n);
	}
	buf_free(&waiting);
}

static void
pubsub_give_snapshot(struct pubsub_node *of, const struct pubsub_item *v, size_t n, bool whole)
{
	struct pubsub_sub *s;

	TAILQ_FOREACH(s, &of->subs, of_node) {
		if (s->dead || of->pubsub->closed)
			continue;
		s->begun = true;
		s->ops->snapshot(s->arg, v, n, whole);
	}
}

static void
pubsub_snapshot_cb(void *arg, struct str node, const struct pubsub_item *v, size_t n, bool whole)
{
	struct pubsub *p = arg;
	struct pubsub_node *of = map_get(p->nodes, node);
	bool again;

	if (of == NULL)
		return;
	again = of->again;
	p->busy++;
	p->snapshots++;
	of->asked = of->again = false;
	of->last = 0;
	pubsub_give_snapshot(of, v, n, whole);
	if (!again)
		pubsub_replay(of);
	else if (!p->closed)
		pubsub_ask(of);
	pubsub_leave(p);
}

static void
pubsub_up_cb(void *arg)
{
	struct pubsub *p = arg;

	p->up = true;
	if (p->writer != NULL)
		p->writer->up(p->writer_arg);
}

/* A snapshot of each node follows by itself. */
static void
pubsub_down_cb(void *arg)
{
	struct pubsub *p = arg;
	struct map_iter it = { 0 };

	p->up = false;
	while (map_next(p->nodes, &it)) {
		struct pubsub_node *n = it.value;

		n->asked = true;
		n->again = false;
		n->newest = n->seen = 0;
		buf_free(&n->waiting);
	}
	if (p->writer != NULL)
		p->writer->down(p->writer_arg);
}

static void
pubsub_room_cb(void *arg)
{
	struct pubsub *p = arg;

	if (p->writer != NULL)
		p->writer->room(p->writer_arg);
}

static const struct pubsub_events pubsub_events = {
	.up = pubsub_up_cb,
	.down = pubsub_down_cb,
	.room = pubsub_room_cb,
	.snapshot = pubsub_snapshot_cb,
	.change = pubsub_change_cb,
};

/* ---- life ---- */

struct pubsub *
pubsub_open(const struct pubsub_backend *b, const struct pubsub_options *o, char **why)
{
	struct pubsub *p;

	MEM_NEW(p);
	p->backend = b;
	p->nodes = map_new();
	p->store = b->open(o, &pubsub_events, p, why);
	if (p->store != NULL)
		return p;
	map_free(p->nodes, NULL);
	mem_free(p);
	return NULL;
}

void
pubsub_close(struct pubsub *p)
{
	if (p == NULL)
		return;
	p->busy++;
	p->closed = true;
	p->backend->close(p->store);
	pubsub_leave(p);
}

const char *
pubsub_name(const struct pubsub *p)
{
	return p->backend->name;
}

void
pubsub_status(const struct pubsub *p, struct jsonw *w)
{
	jsonw_kz(w, "backend", p->backend->name);
	jsonw_kz(w, "state", p->up ? "up" : "down");
	p->backend->status(p->store, w);
	jsonw_kuint(w, "nodes_read", map_size(p->nodes));
	jsonw_kuint(w, "snapshots", p->snapshots);
	jsonw_kuint(w, "gaps", p->gaps);
}

/* ---- who publishes ---- */

void
pubsub_write(struct pubsub *p, const struct pubsub_writer *w, void *arg)
{
	p->writer = w;
	p->writer_arg = arg;
	if (p->backend->write != NULL)
		p->backend->write(p->store);
}

bool
pubsub_publish(struct pubsub *p, struct str node, const struct pubsub_change *c, size_t n)
{
	return p->backend->publish(p->store, node, c, n);
}

void
pubsub_ids(struct pubsub *p, struct str node, pubsub_ids_cb *cb, void *arg)
{
	p->backend->ids(p->store, node, cb, arg);
}

void
pubsub_nodes(struct pubsub *p, pubsub_nodes_cb *cb, void *arg)
{
	p->backend->nodes(p->store, cb, arg);
}

/* ---- who reads ---- */

static struct pubsub_node *
pubsub_node_of(struct pubsub *p, struct str name)
{
	struct pubsub_node *n = map_get(p->nodes, name);

	if (n != NULL)
		return n;
	MEM_NEW(n);
	n->pubsub = p;
	n->name = mem_str(name);
	TAILQ_INIT(&n->subs);
	map_put(p->nodes, name, n);
	return n;
}

struct pubsub_sub *
pubsub_follow(struct pubsub *p, struct str node, const struct pubsub_reader *r, void *arg)
{
	struct pubsub_sub *s;

	MEM_NEW(s);
	s->node = pubsub_node_of(p, node);
	s->ops = r;
	s->arg = arg;
	TAILQ_INSERT_TAIL(&s->node->subs, s, of_node);
	pubsub_refresh(s);
	return s;
}

void
pubsub_unfollow(struct pubsub_sub *s)
{
	struct pubsub *p = s->node->pubsub;

	p->busy++;
	s->dead = p->swept = true;
	pubsub_leave(p);
}

void
pubsub_refresh(struct pubsub_sub *s)
{
	if (!s->node->asked)
		pubsub_ask(s->node);
}
