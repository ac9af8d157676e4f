/* SPDX-License-Identifier: MIT */
/* pubsub_redis_read: the link that reads. A node is subscribed to before its
 * snapshot is asked for, so there is nothing between the two. */
#include "flow/pubsub_redis_priv.h"

/* The node of a channel, or NULL. */
static struct rps_node *
rps_node_of(struct rps *s, struct str channel)
{
	size_t n = rps_channel(s, STR_LIT("")).n;

	if (channel.n < n || memcmp(channel.p, s->key.data, n) != 0)
		return NULL;
	return map_get(s->nodes, (struct str){ channel.p + n, channel.n - n });
}

/* ---- snapshots ---- */

static void
rps_snapshot_give(struct rps *s, struct rps_node *n, const struct redis_reply *whole,
    const struct redis_reply *items)
{
	size_t size = items->n / 2;
	struct pubsub_item *v = mem_alloc(size * sizeof *v);
	char *name = mem_strdup(n->name); /* it may be unsubscribed from inside */

	n->wanted = false;
	for (size_t i = 0; i < size; i++)
		v[i] = (struct pubsub_item){ items->items[2 * i]->text, items->items[2 * i + 1]->text };
	s->ev->snapshot(s->arg, str_of(name), v, size, str_is(whole->text, "1"));
	mem_free(name);
	mem_free(v);
}

static void
rps_snapshot_reply_cb(void *arg, const struct redis_reply *r)
{
	struct rps_ask *a = arg;
	struct rps *s = a->store;
	struct rps_node *n = map_get(s->nodes, str_of(a->node));
	const struct redis_reply *failed = r != NULL ? rps_failed(r) : NULL;
	bool good = r != NULL && failed == NULL && r->n == 2 && r->items[1]->type == REDIS_ARRAY &&
	    n != NULL && n->generation == a->generation;

	rps_ask_free(a);
	if (failed != NULL)
		rps_refused(s, failed->text);
	else if (good)
		rps_snapshot_give(s, n, r->items[0], r->items[1]);
}

static void
rps_snapshot_ask(struct rps *s, struct rps_node *n)
{
	struct rps_ask *a;
	struct str name = str_of(n->name), multi = STR_LIT("MULTI"), exec = STR_LIT("EXEC");
	struct str whole[] = { STR_LIT("HGET"), rps_all(s), name };
	struct str items[] = { STR_LIT("HGETALL"), { NULL, 0 } };

	if (!n->wanted || !n->subscribed || !rps_is_up(s))
		return;
	a = rps_ask_new(s, name);
	a->generation = n->generation;
	rps_say(s, &multi, 1);
	rps_say(s, whole, 3);
	items[1] = rps_items(s, name);
	rps_say(s, items, 2);
	if (!redis_command(s->link, &exec, 1, rps_snapshot_reply_cb, a))
		rps_ask_free(a);
}

void
rps_snapshots_ask(struct rps *s)
{
	struct map_iter it = { 0 };

	while (map_next(s->nodes, &it))
		rps_snapshot_ask(s, it.value);
}

/* ---- the link ---- */

static void
rps_node_free(void *node)
{
	struct rps_node *n = node;

	mem_free(n->name);
	mem_free(n);
}

static bool
rps_node_say(struct rps *s, const struct rps_node *n, const char *verb)
{
	struct str words[] = { str_of(verb), rps_channel(s, str_of(n->name)) };

	return redis_command(s->sub, words, 2, NULL, NULL);
}

static void
rps_node_drop(struct rps *s, struct rps_node *n)
{
	if (!n->read && n->leaving == 0)
		rps_node_free(map_remove(s->nodes, str_of(n->name)));
}

void
rps_subscribe_all(struct rps *s)
{
	struct map_iter it = { 0 };

	while (map_next(s->nodes, &it)) {
		const struct rps_node *n = it.value;

		if (n->read && !n->subscribed)
			rps_node_say(s, n, "SUBSCRIBE");
	}
}

/* Nobody knows any more which answers are of old subscriptions. */
static void
rps_sub_forget(struct rps *s)
{
	struct map_iter it = { 0 };

	while (map_next(s->nodes, &it)) {
		struct rps_node *n = it.value;

		n->leaving = 0;
		rps_node_drop(s, n);
	}
}

static void
rps_sub_up_cb(void *arg)
{
	rps_subscribe_all(arg);
	rps_rise(arg);
}

/* What was published meanwhile nobody knows. */
static void
rps_sub_down_cb(void *arg, const char *why)
{
	struct rps *s = arg;
	struct map_iter it = { 0 };

	while (map_next(s->nodes, &it))
		((struct rps_node *)it.value)->subscribed = false;
	rps_sub_forget(s);
	rps_down(s, why);
}

/* Of a subscription that was given up; the node may have another one, on its way
 * behind it. */
static void
rps_sub_old(struct rps *s, struct rps_node *n, struct str kind)
{
	if (!str_is(kind, "unsubscribe"))
		return;
	n->leaving--;
	rps_node_drop(s, n);
}

static void
rps_sub_message(struct rps *s, const struct rps_node *n, struct str text)
{
	struct pubsub_change c;
	char *name;

	if (!pubsub_message_read(s->message, text, &c)) {
		s->strange++;
		return;
	}
	name = mem_strdup(n->name); /* it may be unsubscribed from inside */
	s->ev->change(s->arg, str_of(name), &c);
	mem_free(name);
}

static void
rps_sub_reply(struct rps *s, const struct redis_reply *r)
{
	struct rps_node *n = r->n == 3 ? rps_node_of(s, r->items[1]->text) : NULL;
	struct str kind = r->n == 3 ? r->items[0]->text : STR_LIT("");

	if (n != NULL && n->leaving > 0) {
		rps_sub_old(s, n, kind);
	} else if (n != NULL && str_is(kind, "subscribe")) {
		n->subscribed = true;
		rps_snapshot_ask(s, n);
	} else if (n != NULL && str_is(kind, "message")) {
		rps_sub_message(s, n, r->items[2]->text);
	} else {
		s->strange++;
	}
}

/* An error does not say of which channel it is, or of what: all that are missing are
 * tried again later. */
static void
rps_sub_push_cb(void *arg, const struct redis_reply *r)
{
	struct rps *s = arg;
	char *why;

	if (r->type != REDIS_ERROR) {
		rps_sub_reply(s, r);
		return;
	}
	rps_sub_forget(s);
	why = rps_trouble_of(r->text);
	rps_trouble(s, why);
	mem_free(why);
	if (!loop_timer_armed(s->retry))
		loop_timer_once(s->retry, loop_backoff(RPS_RETRY_MS, s->tries++, RPS_RETRY_MOST_MS));
}

static const struct redis_link_ops rps_sub_ops = {
	rps_sub_up_cb, rps_sub_down_cb, rps_sub_push_cb
};

/* ---- who reads ---- */

static struct rps_node *
rps_node_make(struct rps *s, struct str name)
{
	struct rps_node *n = map_get(s->nodes, name);
	char *why = NULL;

	if (n != NULL && n->read)
		return n;
	if (n == NULL) {
		MEM_NEW(n);
		n->name = mem_str(name);
		map_put(s->nodes, name, n);
	}
	n->read = true;
	if (s->sub == NULL)
		s->sub = redis_link_new(s->loop, &s->options, &rps_sub_ops, s, &why);
	mem_free(why); /* the address was good for the first link */
	rps_node_say(s, n, "SUBSCRIBE");
	return n;
}

void
rps_follow(void *store, struct str node)
{
	struct rps *s = store;
	struct rps_node *n = rps_node_make(s, node);

	rps_node_want(s, n);
	rps_snapshot_ask(s, n);
}

void
rps_unfollow(void *store, struct str node)
{
	struct rps *s = store;
	struct rps_node *n = map_get(s->nodes, node);

	n->read = n->subscribed = n->wanted = false;
	n->leaving += rps_node_say(s, n, "UNSUBSCRIBE");
	rps_node_drop(s, n);
}

void
rps_nodes_free(struct rps *s)
{
	map_free(s->nodes, rps_node_free);
}
