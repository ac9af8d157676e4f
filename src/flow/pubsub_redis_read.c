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
rps_node_say(struct rps *s, const struct rps_node *n, const char *verb)
{
	struct str words[] = { str_of(verb), rps_channel(s, str_of(n->name)) };

	redis_command(s->sub, words, 2, NULL, NULL);
}

void
rps_subscribe_all(struct rps *s)
{
	struct map_iter it = { 0 };

	while (map_next(s->nodes, &it)) {
		const struct rps_node *n = it.value;

		if (!n->subscribed)
			rps_node_say(s, n, "SUBSCRIBE");
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
	rps_down(s, why);
}

/* Of a subscription that was given up; the node has another one, on its way behind it.
 * What was published in between nobody knows. */
static void
rps_node_unsubscribed(struct rps *s, struct rps_node *n)
{
	n->subscribed = false;
	rps_node_want(s, n);
}

static void
rps_sub_reply(struct rps *s, const struct redis_reply *r)
{
	struct rps_node *n = r->n == 3 ? rps_node_of(s, r->items[1]->text) : NULL;
	struct pubsub_change c;
	char *name;

	if (n != NULL && str_is(r->items[0]->text, "subscribe")) {
		n->subscribed = true;
		rps_snapshot_ask(s, n);
	} else if (n != NULL && str_is(r->items[0]->text, "unsubscribe")) {
		rps_node_unsubscribed(s, n);
	} else if (n != NULL && str_is(r->items[0]->text, "message") &&
	    pubsub_message_read(s->message, r->items[2]->text, &c)) {
		name = mem_strdup(n->name);
		s->ev->change(s->arg, str_of(name), &c);
		mem_free(name);
	} else if (r->n != 3 || !str_is(r->items[0]->text, "unsubscribe")) {
		s->strange++;
	}
}

/* An error does not say of which channel it is: all that are missing are tried
 * again later. */
static void
rps_sub_push_cb(void *arg, const struct redis_reply *r)
{
	struct rps *s = arg;
	char *why;

	if (r->type != REDIS_ERROR) {
		rps_sub_reply(s, r);
		return;
	}
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

	if (n != NULL)
		return n;
	MEM_NEW(n);
	n->name = mem_str(name);
	map_put(s->nodes, name, n);
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

static void
rps_node_free(void *node)
{
	struct rps_node *n = node;

	mem_free(n->name);
	mem_free(n);
}

void
rps_unfollow(void *store, struct str node)
{
	struct rps *s = store;
	struct rps_node *n = map_remove(s->nodes, node);

	rps_node_say(s, n, "UNSUBSCRIBE");
	rps_node_free(n);
}

void
rps_nodes_free(struct rps *s)
{
	map_free(s->nodes, rps_node_free);
}
