/* SPDX-License-Identifier: MIT */
/* follower: see follower.h. It reads the classes' nodes: they hold every state of
 * every student. One of several classes is read several times and mirrored once. */
#include "flow/follower.h"

#include "base/datetime.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

struct follow_item {
	struct hub_mirrored *mirrored;
	bool kept; /* the snapshot at hand has it */
};

struct follow_node {
	struct follower *follower;
	char *name;
	const struct reducer *reducer;
	struct pubsub_sub *sub;
	struct map *items; /* struct follow_item by id */
	bool whole;        /* all that is there is known */
	bool kept;         /* the roster has it */
};

struct follower {
	struct hub *hub;
	struct pubsub *pubsub;
	struct hub_door *door; /* for the roster alone: nothing is subscribed to */
	struct map *nodes;
	struct json_doc *doc;
	struct buf text; /* an item, padded */
	uint64_t unreadable;
};

/* ---- items ---- */

/* {"v":1,"seq":..,"t":"..","sec":"..","state":..} as hub_item writes it. */
static bool
follow_read(struct follower *f, struct str text, struct hub_mirror_value *v)
{
	struct str t, sec, member;
	struct json root, number;
	int64_t version, seq;
	char *date;
	bool ok;

	buf_clear(&f->text);
	buf_str(&f->text, text);
	memset(buf_room(&f->text, JSON_PADDING), 0, JSON_PADDING);
	if (json_parse(f->doc, buf_view(&f->text), &root) != ERR_OK ||
	    !json_get(root, "v", &number) || !json_int(number, &version) || version != 1 ||
	    !json_get(root, "seq", &number) || !json_int(number, &seq) || seq < 1 ||
	    !json_get_str(root, "t", &t) || !json_get_str(root, "sec", &sec) ||
	    !sec_by_name(sec, &v->sec))
		return false;
	v->seq = (uint64_t)seq;
	date = mem_str(t);
	ok = datetime_read(date, &v->time_us);
	mem_free(date);
	return ok && json_member_raw(buf_view(&f->text), "state", &member, &v->json);
}

static void
follow_item_free(void *item)
{
	struct follow_item *i = item;

	hub_mirror_release(i->mirrored);
	mem_free(i);
}

static struct follow_item *
follow_item_of(struct follow_node *n, struct str id)
{
	struct follow_item *i = map_get(n->items, id);
	struct hub_mirrored *m;

	if (i != NULL)
		return i;
	m = hub_mirror_take(n->follower->hub, n->reducer, id);
	if (m == NULL)
		return NULL;
	MEM_NEW(i);
	i->mirrored = m;
	map_put(n->items, id, i);
	return i;
}

static void
follow_take(struct follow_node *n, struct str id, struct str json)
{
	struct follower *f = n->follower;
	struct hub_mirror_value v;
	struct follow_item *i = NULL;

	if (follow_read(f, json, &v))
		i = follow_item_of(n, id);
	if (i != NULL && hub_mirror_set(i->mirrored, &v)) {
		i->kept = true;
		return;
	}
	if (f->unreadable++ == 0)
		log_warning("pubsub node=%s: an item does not read; do both daemons have the same "
		    "version and reducers?", n->name);
}

static void
follow_drop(struct follow_node *n, struct str id)
{
	struct follow_item *i = map_remove(n->items, id);

	if (i != NULL)
		follow_item_free(i);
}

/* All, or what the snapshot does not have. */
static void
follow_sweep(struct follow_node *n, bool all)
{
	struct map_iter it = { 0 };

	while (map_next(n->items, &it)) {
		struct follow_item *i = it.value;

		if (all || !i->kept)
			follow_drop(n, it.key);
	}
}

/* ---- what comes ---- */

static void
follow_snapshot_cb(void *arg, const struct pubsub_item *v, size_t count, bool whole)
{
	struct follow_node *n = arg;
	struct map_iter it = { 0 };

	n->whole = whole;
	while (map_next(n->items, &it))
		((struct follow_item *)it.value)->kept = false;
	for (size_t i = 0; i < count; i++)
		follow_take(n, v[i].id, v[i].json);
	if (whole)
		follow_sweep(n, false);
}

/* A node that was not whole when it was read is read again when it is. */
static void
follow_change_cb(void *arg, const struct pubsub_change *c)
{
	struct follow_node *n = arg;

	switch (c->op) {
	case PUBSUB_ITEM:
		follow_take(n, c->id, c->json);
		break;
	case PUBSUB_RETRACT:
		follow_drop(n, c->id);
		break;
	case PUBSUB_PURGE:
	case PUBSUB_DELETED:
		follow_sweep(n, true);
		break;
	case PUBSUB_WHOLE:
		if (!n->whole)
			pubsub_refresh(n->sub);
		break;
	default:
		break;
	}
}

static const struct pubsub_reader follow_reader = { follow_snapshot_cb, follow_change_cb };

/* ---- the roster ---- */

static void
follow_node_free(void *node)
{
	struct follow_node *n = node;

	pubsub_unfollow(n->sub);
	map_free(n->items, follow_item_free);
	mem_free(n->name);
	mem_free(n);
}

static void
follow_node_cb(void *arg, const struct node *is)
{
	struct follower *f = arg;
	char name[NODE_MAX + 1];
	struct follow_node *n;

	if (is->kind != NODE_CLASS || node_write(is, name) != ERR_OK)
		return;
	n = map_get(f->nodes, str_of(name));
	if (n == NULL) {
		MEM_NEW(n);
		n->follower = f;
		n->name = mem_strdup(name);
		n->reducer = engine_reducer(hub_engine(f->hub), str_of(is->reducer));
		n->items = map_new();
		map_put(f->nodes, str_of(name), n);
		n->sub = pubsub_follow(f->pubsub, str_of(name), &follow_reader, n);
	}
	n->kept = true;
}

static void
follow_roster_cb(void *arg)
{
	struct follower *f = arg;
	struct map_iter it = { 0 };

	while (map_next(f->nodes, &it))
		((struct follow_node *)it.value)->kept = false;
	access_all_nodes(hub_roster(f->hub), engine_reducers(hub_engine(f->hub)), follow_node_cb, f);
	it = (struct map_iter){ 0 };
	while (map_next(f->nodes, &it)) {
		struct follow_node *n = it.value;

		if (n->kept)
			continue;
		map_remove(f->nodes, it.key);
		follow_node_free(n);
	}
}

static const struct hub_door_ops follow_door_ops = { .roster = follow_roster_cb };

/* ---- life ---- */

struct follower *
follower_new(struct hub *h, struct pubsub *p)
{
	struct follower *f;

	MEM_NEW(f);
	f->hub = h;
	f->pubsub = p;
	f->nodes = map_new();
	f->doc = json_doc_new();
	f->door = hub_door_new(h, &follow_door_ops, f);
	follow_roster_cb(f);
	return f;
}

void
follower_free(struct follower *f)
{
	if (f == NULL)
		return;
	map_free(f->nodes, follow_node_free);
	hub_door_free(f->door);
	json_doc_free(f->doc);
	buf_free(&f->text);
	mem_free(f);
}

void
follower_status(const struct follower *f, struct jsonw *w)
{
	struct map_iter it = { 0 };
	size_t whole = 0;

	while (map_next(f->nodes, &it))
		whole += ((struct follow_node *)it.value)->whole;
	jsonw_kbool(w, "follows", true);
	jsonw_kuint(w, "nodes_whole", whole);
	jsonw_kuint(w, "nodes_waiting", map_size(f->nodes) - whole);
	jsonw_kuint(w, "students", hub_mirror_students(f->hub));
	jsonw_kuint(w, "items_unreadable", f->unreadable);
}
