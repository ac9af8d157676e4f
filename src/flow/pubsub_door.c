/* SPDX-License-Identifier: MIT */
/* pubsub_door: see pubsub_door.h. Whenever the backend is reached, it may have
 * lost everything, or hold what was true long ago. So each node walks through the
 * same steps then: what ids are there is asked, those that are no more are taken
 * away, all items are given, and the node is declared whole. Until then the hub
 * holds what changes, the newest of each item. */
#include "flow/pubsub_door.h"

#include <sys/queue.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metric.h"

#define DOOR_ASKED_MAX 32   /* nodes whose ids are asked for at a time */
#define DOOR_RETRACTS 128   /* changes in one call */
#define DOOR_BATCH_BYTES ((size_t)64 << 10)

enum door_step {
	DOOR_IDLE,   /* the backend is down */
	DOOR_BEGIN,  /* to do: ask for the ids */
	DOOR_ASKED,
	DOOR_FILL,   /* the hub gives all items */
	DOOR_WHOLE,  /* to do: say that they are there */
	DOOR_LIVE,
	DOOR_DELETE  /* to do: take the node away */
};

TAILQ_HEAD(door_queue, door_node);

struct door_node {
	struct pubsub_door *door;
	char *name;
	struct hub_sub *sub; /* NULL: the roster has no such node */
	uint64_t number;     /* of the last change */
	enum door_step step;
	bool asked;          /* an answer with its ids is on its way */
	bool queued;
	TAILQ_ENTRY(door_node) link;
};

struct pubsub_door {
	struct hub *hub;
	struct pubsub *pubsub;
	struct hub_door *door;
	struct map *nodes;
	struct door_queue todo;
	size_t n_asked;
	bool up, full;
};

/* ---- the queue of what is to do ---- */

static void door_work(struct pubsub_door *d);

static void
door_unqueue(struct door_node *n)
{
	if (n->queued)
		TAILQ_REMOVE(&n->door->todo, n, link);
	n->queued = false;
}

static void
door_go(struct door_node *n, enum door_step step)
{
	door_unqueue(n);
	n->step = step;
	if (step != DOOR_BEGIN && step != DOOR_WHOLE && step != DOOR_DELETE)
		return;
	TAILQ_INSERT_TAIL(&n->door->todo, n, link);
	n->queued = true;
}

/* From the beginning; the hub holds back what comes meanwhile. */
static void
door_begin(struct door_node *n)
{
	if (n->sub != NULL)
		hub_sub_hold(n->sub, true);
	door_go(n, !n->door->up ? DOOR_IDLE : n->sub != NULL ? DOOR_BEGIN : DOOR_DELETE);
}

static bool
door_publish(struct door_node *n, struct pubsub_change *c, size_t count)
{
	struct pubsub_door *d = n->door;

	for (size_t i = 0; i < count; i++)
		c[i].number = n->number + 1 + i;
	if (!d->up || !pubsub_publish(d->pubsub, str_of(n->name), c, count)) {
		d->full = true;
		return false;
	}
	n->number += count;
	metric_add(METRIC_PUBSUB_PUBLISHED, count);
	return true;
}

static bool
door_say(struct door_node *n, enum pubsub_op op)
{
	struct pubsub_change c = { .op = op };

	return door_publish(n, &c, 1);
}

/* ---- nodes ---- */

static struct door_node *
door_node_new(struct pubsub_door *d, struct str name)
{
	struct door_node *n;

	MEM_NEW(n);
	n->door = d;
	n->name = mem_str(name);
	map_put(d->nodes, name, n);
	return n;
}

static void
door_node_free(void *node)
{
	struct door_node *n = node;

	if (n->sub != NULL)
		hub_unsubscribe(n->sub);
	door_unqueue(n);
	mem_free(n->name);
	mem_free(n);
}

static void
door_node_attach(struct door_node *n)
{
	if (hub_attach(n->door->door, str_of(n->name), n, &n->sub) != ERR_OK)
		n->sub = NULL;
	door_begin(n);
}

/* ---- the steps ---- */

static void
door_id_cb(void *arg, const char *id)
{
	struct map *live = arg;

	map_put(live, str_of(id), live);
}

/* Whether the item is one of a student whose states are not in memory yet: it comes
 * when they are, and what is there is good until then. */
static bool
door_is_away(const struct pubsub_door *d, const struct node *is, struct str id)
{
	struct str who = is->kind == NODE_STUDENT ? str_of(is->owner) : id;
	const struct roster_student *rs;
	const struct student *t;
	char class[NODE_CLASS_MAX + 1];

	if (is->kind == NODE_ROSTER || who.n < PSEUDONYM_LEN)
		return false;
	who.n = PSEUDONYM_LEN;
	t = engine_by_pseudonym(hub_engine(d->hub), who);
	rs = roster_by_pseudonym(hub_roster(d->hub), who);
	if (t == NULL || t->cold == NULL || rs == NULL || is->kind == NODE_STUDENT)
		return t != NULL && t->cold != NULL && rs != NULL;
	for (size_t i = 0; i < rs->n_classes; i++) {
		node_class_write(str_of(rs->classes[i]->name), class);
		if (strcmp(class, is->owner) == 0)
			return true;
	}
	return false;
}

/* Takes away what is there and should not be. */
static bool
door_retract_stale(struct door_node *n, const struct str *ids, size_t count)
{
	struct pubsub_change c[DOOR_RETRACTS] = { { .op = PUBSUB_PART } };
	struct map *live = map_new();
	size_t k = 1;
	struct node is = { .kind = NODE_ROSTER };
	bool ok = node_parse(str_of(n->name), &is) == ERR_OK;

	if (ok)
		hub_item_ids(n->door->hub, &is, door_id_cb, live);
	for (size_t i = 0; ok && i < count; i++) {
		if (map_get(live, ids[i]) != NULL || door_is_away(n->door, &is, ids[i]))
			continue;
		if (k == DOOR_RETRACTS) {
			ok = door_publish(n, c, k);
			k = 0;
		}
		c[k++] = (struct pubsub_change){ .op = PUBSUB_RETRACT, .id = ids[i] };
	}
	map_free(live, NULL);
	return ok && door_publish(n, c, k);
}

/* When nothing is pending any more, everything is there. */
static void
door_filled(struct door_node *n)
{
	if (n->step != DOOR_FILL || hub_sub_pending(n->sub) > 0)
		return;
	door_go(n, DOOR_WHOLE);
	door_work(n->door);
}

static void
door_ids_cb(void *arg, enum err e, const struct str *ids, size_t count)
{
	struct door_node *n = arg;
	struct pubsub_door *d = n->door;

	n->asked = false;
	d->n_asked--;
	if (n->step == DOOR_ASKED && (e != ERR_OK || !door_retract_stale(n, ids, count))) {
		door_begin(n);
	} else if (n->step == DOOR_ASKED) {
		n->step = DOOR_FILL;
		hub_sub_hold(n->sub, false);
		hub_sub_refresh(n->sub);
		door_filled(n);
	}
	door_work(d);
}

static void
door_ask(struct door_node *n)
{
	door_go(n, DOOR_ASKED);
	n->asked = true;
	n->door->n_asked++;
	pubsub_ids(n->door->pubsub, str_of(n->name), door_ids_cb, n);
}

static void
door_delete(struct door_node *n)
{
	if (!door_say(n, PUBSUB_DELETED))
		return;
	map_remove(n->door->nodes, str_of(n->name));
	door_node_free(n);
}

static void
door_step(struct door_node *n)
{
	if (n->step == DOOR_BEGIN)
		door_ask(n);
	else if (n->step == DOOR_DELETE)
		door_delete(n);
	else if (door_say(n, PUBSUB_WHOLE))
		door_go(n, DOOR_LIVE);
}

/* The answer of a node that begins anew meanwhile comes first. */
static void
door_work(struct pubsub_door *d)
{
	struct door_node *n = TAILQ_FIRST(&d->todo), *next;

	for (; n != NULL && d->up && !d->full; n = next) {
		next = TAILQ_NEXT(n, link);
		if (n->asked || (n->step == DOOR_BEGIN && d->n_asked == DOOR_ASKED_MAX))
			continue;
		door_step(n);
	}
}

/* ---- the hub ---- */

static bool
door_deliver_cb(void *arg, struct hub_sub *sub, const struct hub_item *items, size_t n)
{
	struct pubsub_change c[HUB_BATCH_ITEMS];
	struct door_node *of = hub_sub_user(sub);

	(void)arg;
	for (size_t i = 0; i < n; i++)
		c[i] = (struct pubsub_change){ .op = PUBSUB_ITEM, .id = str_of(items[i].id),
			.json = items[i].json };
	if (!door_publish(of, c, n))
		return false;
	door_filled(of);
	return true;
}

static bool
door_retract_cb(void *arg, struct hub_sub *sub, const char *const *ids, size_t n)
{
	struct pubsub_change c[HUB_BATCH_ITEMS];
	struct door_node *of = hub_sub_user(sub);

	(void)arg;
	for (size_t i = 0; i < n; i++)
		c[i] = (struct pubsub_change){ .op = PUBSUB_RETRACT, .id = str_of(ids[i]) };
	if (!door_publish(of, c, n))
		return false;
	door_filled(of);
	return true;
}

/* The items that are in the node follow: until then not all is there. */
static bool
door_purge_cb(void *arg, struct hub_sub *sub)
{
	struct pubsub_change c[] = { { .op = PUBSUB_PART }, { .op = PUBSUB_PURGE } };
	struct door_node *of = hub_sub_user(sub);

	(void)arg;
	if (!door_publish(of, c, 2))
		return false;
	door_go(of, DOOR_FILL);
	door_filled(of);
	return true;
}

static void
door_ended_cb(void *arg, struct hub_sub *sub)
{
	struct door_node *n = hub_sub_user(sub);

	n->sub = NULL;
	door_begin(n);
	door_work(arg);
}

static void
door_node_cb(void *arg, const struct node *is)
{
	struct pubsub_door *d = arg;
	char name[NODE_MAX + 1];
	struct door_node *n;

	if (node_write(is, name) != ERR_OK)
		return;
	n = map_get(d->nodes, str_of(name));
	if (n == NULL)
		n = door_node_new(d, str_of(name));
	if (n->sub == NULL)
		door_node_attach(n);
}

static void
door_roster_cb(void *arg)
{
	struct pubsub_door *d = arg;

	access_all_nodes(hub_roster(d->hub), engine_reducers(hub_engine(d->hub)), door_node_cb, d);
	door_work(d);
}

static const struct hub_door_ops door_ops = {
	.deliver = door_deliver_cb,
	.ended = door_ended_cb,
	.retract = door_retract_cb,
	.purge = door_purge_cb,
	.batch_bytes = DOOR_BATCH_BYTES,
	.roster = door_roster_cb,
};

/* ---- the backend ---- */

/* Nodes that it has and the roster does not: of an earlier life. */
static void
door_nodes_cb(void *arg, enum err e, const struct str *names, size_t count, bool more)
{
	struct pubsub_door *d = arg;

	(void)more;
	for (size_t i = 0; e == ERR_OK && i < count; i++)
		if (map_get(d->nodes, names[i]) == NULL)
			door_begin(door_node_new(d, names[i]));
	door_work(d);
}

static void
door_all_begin(struct pubsub_door *d)
{
	struct map_iter it = { 0 };

	while (map_next(d->nodes, &it))
		door_begin(it.value);
}

static void
door_up_cb(void *arg)
{
	struct pubsub_door *d = arg;

	d->up = true;
	d->full = false;
	door_all_begin(d);
	pubsub_nodes(d->pubsub, door_nodes_cb, d);
	hub_door_ready(d->door);
	door_work(d);
}

static void
door_down_cb(void *arg)
{
	struct pubsub_door *d = arg;

	d->up = false;
	door_all_begin(d);
}

static void
door_room_cb(void *arg)
{
	struct pubsub_door *d = arg;

	d->full = false;
	door_work(d);
	if (!d->full)
		hub_door_ready(d->door);
}

static const struct pubsub_writer door_writer = { door_up_cb, door_down_cb, door_room_cb };

/* ---- life ---- */

struct pubsub_door *
pubsub_door_new(struct hub *h, struct pubsub *p)
{
	struct pubsub_door *d;

	MEM_NEW(d);
	d->hub = h;
	d->pubsub = p;
	d->nodes = map_new();
	TAILQ_INIT(&d->todo);
	d->door = hub_door_new(h, &door_ops, d);
	hub_door_name(d->door, pubsub_name(p));
	pubsub_write(p, &door_writer, d);
	door_roster_cb(d);
	return d;
}

void
pubsub_door_free(struct pubsub_door *d)
{
	if (d == NULL)
		return;
	map_free(d->nodes, door_node_free);
	hub_door_free(d->door);
	mem_free(d);
}

void
pubsub_door_status(const struct pubsub_door *d, struct jsonw *w)
{
	struct map_iter it = { 0 };
	size_t live = 0, leaving = 0;

	while (map_next(d->nodes, &it)) {
		const struct door_node *n = it.value;

		live += n->step == DOOR_LIVE;
		leaving += n->sub == NULL;
	}
	jsonw_kuint(w, "nodes_published", live);
	jsonw_kuint(w, "nodes_waiting", map_size(d->nodes) - live - leaving);
	jsonw_kuint(w, "nodes_leaving", leaving);
}
