/* SPDX-License-Identifier: MIT */
#include "tests/contract/pubsub_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/queue.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/mem.h"

#define FAULT_DOWN_TURNS 5
#define FAULT_TURN_MS 1

#define FAULT_PATIENCE 10000 /* times that pubsub_faults_seen is asked */

struct pubsub_faults pubsub_faults;

bool
pubsub_faults_seen(const struct pubsub_faults *before)
{
	const struct pubsub_faults *f = &pubsub_faults;
	bool seen = (f->delay == 0 || f->delays > before->delays) &&
	    (f->refuse == 0 || f->refusals > before->refusals) &&
	    (f->swap == 0 || f->swaps > before->swaps) &&
	    (f->cut == 0 || (f->cuts > before->cuts && f->losses > before->losses)) &&
	    (f->cut_ask == 0 || f->errors > before->errors);

	if (!seen && ++pubsub_faults.asked > FAULT_PATIENCE)
		fail_msg("a fault that is to happen does not");
	return seen;
}

struct fault;

static const struct pubsub_backend *fault_inner;
static unsigned fault_seed;
static struct fault *fault_last;

enum fault_news { FAULT_SNAPSHOT, FAULT_CHANGE, FAULT_ROOM, FAULT_IDS, FAULT_NODES };

/* Something to tell, or an answer that is awaited from the inner one. */
struct fault_told {
	struct fault *fault;
	bool orphan; /* nobody waits for the answer any more */
	enum fault_news what;
	char *node;
	struct pubsub_change change;
	struct pubsub_item *v; /* a snapshot, ids or names; strings are owned */
	size_t n;
	bool whole, more;
	enum err e;
	pubsub_ids_cb *ids;
	pubsub_nodes_cb *nodes;
	void *arg;
	TAILQ_ENTRY(fault_told) link;
};
TAILQ_HEAD(fault_queue, fault_told);

struct fault {
	struct loop *loop;
	const struct pubsub_events *ev;
	void *arg;
	void *store;
	struct map *read; /* bool by node: whether the inner one owes a snapshot */
	struct loop_timer *turn;
	struct fault_queue queue, asked, orphans;
	bool up, inner_up, closed, busy, cut_due;
	unsigned down_turns;
};

static bool
fault_happens(unsigned one_in)
{
	return one_in != 0 && (unsigned)rand_r(&fault_seed) % one_in == 0;
}

static struct str
fault_own(struct str s)
{
	return (struct str){ mem_str(s), s.n };
}

static void
fault_told_free(struct fault_told *t)
{
	for (size_t i = 0; i < t->n; i++) {
		mem_free((char *)t->v[i].id.p);
		mem_free((char *)t->v[i].json.p);
	}
	mem_free(t->v);
	mem_free(t->node);
	mem_free((char *)t->change.id.p);
	mem_free((char *)t->change.json.p);
	mem_free(t);
}

static struct fault_told *
fault_tell(struct fault *f, enum fault_news what, struct str node)
{
	struct fault_told *t;

	MEM_NEW(t);
	t->fault = f;
	t->what = what;
	t->node = mem_str(node);
	TAILQ_INSERT_TAIL(&f->queue, t, link);
	return t;
}

/* ---- what the inner one says ---- */

static void
fault_up_cb(void *arg)
{
	struct fault *f = arg;

	f->inner_up = true;
}

/* Everything that waits is lost. */
static void
fault_drop(struct fault *f)
{
	struct fault_told *t, *next;

	for (t = TAILQ_FIRST(&f->queue); t != NULL; t = next) {
		next = TAILQ_NEXT(t, link);
		t->e = ERR_CLOSED;
		if (t->what == FAULT_IDS || t->what == FAULT_NODES)
			continue;
		TAILQ_REMOVE(&f->queue, t, link);
		fault_told_free(t);
	}
	while ((t = TAILQ_FIRST(&f->asked)) != NULL) { /* its answer is nobody's; ours is that */
		struct fault_told *ours = fault_tell(f, t->what, str_of(t->node));

		ours->e = ERR_CLOSED;
		ours->ids = t->ids;
		ours->nodes = t->nodes;
		ours->arg = t->arg;
		TAILQ_REMOVE(&f->asked, t, link);
		TAILQ_INSERT_TAIL(&f->orphans, t, link);
		t->orphan = true;
	}
}

static void
fault_cut(struct fault *f)
{
	if (!f->up)
		return;
	pubsub_faults.cuts++;
	f->up = false;
	f->down_turns = FAULT_DOWN_TURNS;
	fault_drop(f);
	f->ev->down(f->arg);
}

static void
fault_down_cb(void *arg)
{
	struct fault *f = arg;

	f->inner_up = false;
	fault_cut(f);
}

static void
fault_room_cb(void *arg)
{
	fault_tell(arg, FAULT_ROOM, STR_LIT(""));
}

static void
fault_snapshot_cb(void *arg, struct str node, const struct pubsub_item *v, size_t n, bool whole)
{
	struct fault *f = arg;
	struct fault_told *t;
	bool *owed = map_get(f->read, node);

	if (owed == NULL || !*owed || !f->up)
		return;
	*owed = false;
	t = fault_tell(f, FAULT_SNAPSHOT, node);
	t->v = mem_alloc(n * sizeof *t->v);
	t->whole = whole;
	for (; t->n < n; t->n++)
		t->v[t->n] = (struct pubsub_item){ fault_own(v[t->n].id), fault_own(v[t->n].json) };
}

static void
fault_change_cb(void *arg, struct str node, const struct pubsub_change *c)
{
	struct fault *f = arg;

	if (f->up)
		fault_tell(f, FAULT_CHANGE, node)->change = (struct pubsub_change){
			c->op, c->number, fault_own(c->id), fault_own(c->json) };
}

static const struct pubsub_events fault_events = {
	.up = fault_up_cb,
	.down = fault_down_cb,
	.room = fault_room_cb,
	.snapshot = fault_snapshot_cb,
	.change = fault_change_cb,
};

/* ---- what is told ---- */

/* Two snapshots, and answers, stay in order. */
static void
fault_swap(struct fault *f)
{
	struct fault_told *t = TAILQ_FIRST(&f->queue), *next = t ? TAILQ_NEXT(t, link) : NULL;

	if (next == NULL || t->what > FAULT_CHANGE || next->what > FAULT_CHANGE ||
	    (t->what == FAULT_SNAPSHOT && next->what == FAULT_SNAPSHOT))
		return;
	pubsub_faults.swaps++;
	TAILQ_REMOVE(&f->queue, t, link);
	TAILQ_INSERT_AFTER(&f->queue, next, t, link);
}

static void
fault_give_names(const struct fault_told *t)
{
	struct str *v = mem_alloc(t->n * sizeof *v);

	for (size_t i = 0; i < t->n; i++)
		v[i] = t->v[i].id;
	pubsub_faults.errors += t->e != ERR_OK;
	if (t->what == FAULT_IDS)
		t->ids(t->arg, t->e, v, t->n);
	else
		t->nodes(t->arg, t->e, v, t->n, t->more);
	mem_free(v);
}

static void
fault_give(struct fault *f, const struct fault_told *t)
{
	bool read = map_get(f->read, str_of(t->node)) != NULL;

	if (t->what == FAULT_ROOM)
		f->ev->room(f->arg);
	else if (t->what > FAULT_CHANGE)
		fault_give_names(t);
	else if (read && t->what == FAULT_SNAPSHOT)
		f->ev->snapshot(f->arg, str_of(t->node), t->v, t->n, t->whole);
	else if (read)
		f->ev->change(f->arg, str_of(t->node), &t->change);
}

static void
fault_rise(struct fault *f)
{
	struct map_iter it = { 0 };

	f->up = true;
	while (map_next(f->read, &it)) {
		*(bool *)it.value = true;
		fault_inner->follow(f->store, it.key);
	}
	f->ev->up(f->arg);
}

static void
fault_free(struct fault *f)
{
	struct fault_told *t;

	while ((t = TAILQ_FIRST(&f->queue)) != NULL) {
		TAILQ_REMOVE(&f->queue, t, link);
		fault_told_free(t);
	}
	TAILQ_CONCAT(&f->asked, &f->orphans, link);
	while ((t = TAILQ_FIRST(&f->asked)) != NULL) {
		TAILQ_REMOVE(&f->asked, t, link);
		fault_told_free(t); /* the inner one is closed: it answers no more */
	}
	map_free(f->read, mem_free);
	mem_free(f);
}

static void
fault_turn_cb(void *arg)
{
	struct fault *f = arg;

	f->busy = true;
	if (f->cut_due)
		fault_cut(f);
	f->cut_due = false;
	if (!f->closed && !f->up && f->inner_up && (f->down_turns == 0 || --f->down_turns == 0))
		fault_rise(f);
	while (!f->closed && !TAILQ_EMPTY(&f->queue)) {
		struct fault_told *t;

		if (fault_happens(pubsub_faults.delay)) {
			pubsub_faults.delays++;
			break;
		}
		if (fault_happens(pubsub_faults.swap))
			fault_swap(f);
		t = TAILQ_FIRST(&f->queue);
		TAILQ_REMOVE(&f->queue, t, link);
		fault_give(f, t);
		fault_told_free(t);
	}
	f->busy = false;
	if (f->closed)
		fault_free(f);
}

/* ---- the backend ---- */

static void *
fault_open(const struct pubsub_options *o, const struct pubsub_events *ev, void *arg, char **why)
{
	struct fault *f;

	MEM_NEW(f);
	fault_last = f;
	f->loop = o->loop;
	f->ev = ev;
	f->arg = arg;
	f->read = map_new();
	TAILQ_INIT(&f->queue);
	TAILQ_INIT(&f->asked);
	TAILQ_INIT(&f->orphans);
	f->store = fault_inner->open(o, &fault_events, f, why);
	f->turn = loop_timer_new(o->loop, fault_turn_cb, f);
	loop_timer_every(f->turn, FAULT_TURN_MS);
	return f;
}

static void
fault_write(void *store)
{
	if (fault_inner->write != NULL)
		fault_inner->write(((struct fault *)store)->store);
}

/* What is published when the link is cut is lost, or it is not. */
static bool
fault_publish(void *store, struct str node, const struct pubsub_change *c, size_t n)
{
	struct fault *f = store;
	bool lost = false;

	if (!f->up)
		return false;
	if (fault_happens(pubsub_faults.refuse)) {
		pubsub_faults.refusals++;
		fault_tell(f, FAULT_ROOM, STR_LIT(""));
		return false;
	}
	if (fault_happens(pubsub_faults.cut)) {
		f->cut_due = true;
		lost = fault_happens(2);
		pubsub_faults.losses += lost;
	}
	return lost || fault_inner->publish(f->store, node, c, n);
}

static void
fault_nodes_cb(void *arg, enum err e, const struct str *names, size_t n, bool more)
{
	struct fault_told *asked = arg, *t;

	if (!asked->orphan) {
		t = fault_tell(asked->fault, asked->what, str_of(asked->node));
		t->ids = asked->ids;
		t->nodes = asked->nodes;
		t->arg = asked->arg;
		t->e = e;
		t->more = more;
		t->v = mem_zalloc(n * sizeof *t->v);
		for (; t->n < n; t->n++)
			t->v[t->n].id = fault_own(names[t->n]);
	}
	if (more)
		return;
	TAILQ_REMOVE(asked->orphan ? &asked->fault->orphans : &asked->fault->asked, asked, link);
	fault_told_free(asked);
}

static void
fault_ids_cb(void *arg, enum err e, const struct str *ids, size_t n)
{
	fault_nodes_cb(arg, e, ids, n, false);
}

static struct fault_told *
fault_ask(struct fault *f, enum fault_news what, struct str node, void *arg)
{
	struct fault_told *t = fault_tell(f, what, node);

	t->arg = arg;
	TAILQ_REMOVE(&f->queue, t, link);
	TAILQ_INSERT_TAIL(&f->asked, t, link);
	if (fault_happens(pubsub_faults.cut_ask))
		f->cut_due = true;
	return t;
}

static void
fault_ids(void *store, struct str node, pubsub_ids_cb *cb, void *arg)
{
	struct fault *f = store;
	struct fault_told *t = fault_ask(f, FAULT_IDS, node, arg);

	t->ids = cb;
	fault_inner->ids(f->store, node, fault_ids_cb, t);
}

static void
fault_nodes(void *store, pubsub_nodes_cb *cb, void *arg)
{
	struct fault *f = store;
	struct fault_told *t = fault_ask(f, FAULT_NODES, STR_LIT(""), arg);

	t->nodes = cb;
	fault_inner->nodes(f->store, fault_nodes_cb, t);
}

static void
fault_follow(void *store, struct str node)
{
	struct fault *f = store;

	bool *owed = map_get(f->read, node);

	if (owed == NULL)
		map_put(f->read, node, MEM_NEW(owed));
	if (!f->up)
		return;
	*owed = true;
	fault_inner->follow(f->store, node);
}

/* What was to be told of it is nobody's any more. */
static void
fault_forget(struct fault *f, struct str node)
{
	struct fault_told *t, *next;

	for (t = TAILQ_FIRST(&f->queue); t != NULL; t = next) {
		next = TAILQ_NEXT(t, link);
		if (t->what > FAULT_CHANGE || !str_is(node, t->node))
			continue;
		TAILQ_REMOVE(&f->queue, t, link);
		fault_told_free(t);
	}
}

static void
fault_unfollow(void *store, struct str node)
{
	struct fault *f = store;

	mem_free(map_remove(f->read, node));
	fault_forget(f, node);
	fault_inner->unfollow(f->store, node);
}

static void
fault_status(const void *store, struct jsonw *w)
{
	fault_inner->status(((const struct fault *)store)->store, w);
}

static void
fault_close(void *store)
{
	struct fault *f = store;

	f->closed = true;
	fault_inner->close(f->store);
	loop_timer_free(f->turn);
	if (!f->busy)
		fault_free(f);
}

const struct pubsub_backend *
pubsub_fault(const struct pubsub_backend *inner, unsigned seed)
{
	static struct pubsub_backend b;

	fault_inner = inner;
	fault_seed = seed;
	b = (struct pubsub_backend){
		.name = inner->name, .caps = inner->caps, .open = fault_open,
		.write = fault_write, .publish = fault_publish, .ids = fault_ids, .nodes = fault_nodes,
		.follow = fault_follow, .unfollow = fault_unfollow,
		.status = fault_status, .close = fault_close,
	};
	return &b;
}

void
pubsub_fault_cut(void)
{
	fault_last->cut_due = true;
}
