/* SPDX-License-Identifier: MIT */
/* pubsub_redis: nodes in a Redis. The newest items of NODE are the hash
 * lectern:items:NODE, what changes is published on lectern:node:NODE in the same
 * transaction, and lectern:nodes has "1" for each node that is whole and "0" for
 * one that may not be. docs/consume-redis.md is the contract with readers.
 *
 * Two links, as a connection that subscribed takes no other commands. */
#include "flow/pubsub_redis_priv.h"

#define RPS_WINDOW ((size_t)4 << 20) /* bytes without an answer; then there is no room */
#define RPS_ITEM_BYTES 256           /* that an item has around its id and JSON, about */
#define RPS_SCAN "1000" /* names in one answer, about */

/* ---- names ---- */

struct str
rps_name(struct rps *s, const char *kind, struct str node)
{
	buf_clear(&s->key);
	buf_printf(&s->key, "%slectern:%s%.*s", s->prefix, kind, STR_ARG(node));
	return buf_view(&s->key);
}

struct str
rps_items(struct rps *s, struct str node)
{
	return rps_name(s, "items:", node);
}

struct str
rps_all(struct rps *s)
{
	return rps_name(s, "nodes", STR_LIT(""));
}

struct str
rps_channel(struct rps *s, struct str node)
{
	return rps_name(s, "node:", node);
}

/* ---- trouble ---- */

void
rps_trouble(struct rps *s, const char *why)
{
	if (s->trouble == NULL || strcmp(s->trouble, why) != 0)
		log_warning("pubsub redis: %s", why);
	mem_free(s->trouble);
	s->trouble = mem_strdup(why);
}

bool
rps_is_up(const struct rps *s)
{
	return s->up && redis_link_up(s->link);
}

void
rps_node_want(struct rps *s, struct rps_node *n)
{
	n->wanted = n->read;
	n->generation = ++s->generations;
}

/* Every snapshot is asked for anew. */
static void
rps_nodes_want(struct rps *s)
{
	struct map_iter it = { 0 };

	while (map_next(s->nodes, &it))
		rps_node_want(s, it.value);
}

void
rps_down(struct rps *s, const char *why)
{
	bool was = s->up;

	rps_trouble(s, why);
	s->up = s->full = false;
	mem_free(s->refused);
	s->refused = NULL;
	rps_nodes_want(s);
	s->lost += was;
	if (was)
		s->ev->down(s->arg);
}

char *
rps_trouble_of(struct str error)
{
	struct buf why = BUF_INIT(0);

	redis_trouble(error, &why);
	return buf_take(&why);
}

void
rps_refused(struct rps *s, struct str error)
{
	if (!s->up || s->refused != NULL)
		return;
	s->refused = rps_trouble_of(error);
	loop_timer_once(s->turn, 0);
}

/* ---- questions ---- */

struct rps_ask *
rps_ask_new(struct rps *s, struct str node)
{
	struct rps_ask *a;

	MEM_NEW(a);
	a->store = s;
	a->node = mem_str(node);
	TAILQ_INSERT_TAIL(&s->asks, a, link);
	return a;
}

void
rps_ask_free(struct rps_ask *a)
{
	TAILQ_REMOVE(&a->store->asks, a, link);
	mem_free(a->node);
	mem_free(a);
}

/* Frees it first, as whoever is called may close everything. */
static void
rps_ask_end(struct rps_ask *a, enum err e, const struct str *v, size_t n)
{
	struct rps_ask copy = *a;

	rps_ask_free(a);
	if (copy.ids != NULL)
		copy.ids(copy.arg, e, v, n);
	else
		copy.nodes(copy.arg, e, v, n, false);
}

/* Whether there is no answer of the type that was asked for. */
static bool
rps_is_wrong(struct rps *s, const struct redis_reply *r)
{
	if (r != NULL && r->type == REDIS_ERROR)
		rps_refused(s, r->text);
	return r == NULL || r->type != REDIS_ARRAY;
}

/* Every step-th text of an array; mem_free it. */
static struct str *
rps_texts(const struct redis_reply *r, size_t step, size_t *n)
{
	struct str *v = mem_alloc(r->n * sizeof *v);

	*n = 0;
	for (size_t i = 0; i < r->n; i += step)
		v[(*n)++] = r->items[i]->text;
	return v;
}

static void
rps_ids_reply_cb(void *arg, const struct redis_reply *r)
{
	struct rps_ask *a = arg;
	struct str *v;
	size_t n;

	if (rps_is_wrong(a->store, r)) {
		rps_ask_end(a, ERR_CLOSED, NULL, 0);
		return;
	}
	v = rps_texts(r, 1, &n);
	rps_ask_end(a, ERR_OK, v, n);
	mem_free(v);
}

/* Answers it in the next turn. */
static void
rps_ask_fail(struct rps_ask *a)
{
	struct rps *s = a->store;

	TAILQ_REMOVE(&s->asks, a, link);
	TAILQ_INSERT_TAIL(&s->failed, a, link);
	loop_timer_once(s->turn, 0);
}

static void
rps_turn_cb(void *arg)
{
	struct rps *s = arg;
	struct rps_ask *a = TAILQ_FIRST(&s->failed);
	char *refused = s->refused;

	s->refused = NULL;
	if (a != NULL && (TAILQ_NEXT(a, link) != NULL || refused != NULL))
		loop_timer_once(s->turn, 0);
	if (refused != NULL) {
		loop_timer_once(s->retry, loop_backoff(RPS_RETRY_MS, s->tries++, RPS_RETRY_MOST_MS));
		rps_down(s, refused);
		mem_free(refused);
	} else if (a != NULL) {
		TAILQ_REMOVE(&s->failed, a, link);
		TAILQ_INSERT_TAIL(&s->asks, a, link);
		rps_ask_end(a, ERR_CLOSED, NULL, 0);
	}
}

static void
rps_ids(void *store, struct str node, pubsub_ids_cb *cb, void *arg)
{
	struct rps *s = store;
	struct rps_ask *a = rps_ask_new(s, node);
	struct str words[] = { STR_LIT("HKEYS"), rps_items(s, node) };

	a->ids = cb;
	a->arg = arg;
	if (!redis_command(s->link, words, 2, rps_ids_reply_cb, a))
		rps_ask_fail(a);
}

static void rps_scan_reply_cb(void *arg, const struct redis_reply *r);

static bool
rps_scan(struct rps_ask *a, struct str cursor)
{
	struct rps *s = a->store;
	struct str words[] = { STR_LIT("HSCAN"), rps_all(s), cursor,
		STR_LIT("COUNT"), STR_LIT(RPS_SCAN) };

	return redis_command(s->link, words, 5, rps_scan_reply_cb, a);
}

/* A page: the cursor of the next one, and names with values. */
static void
rps_scan_reply_cb(void *arg, const struct redis_reply *r)
{
	struct rps_ask *a = arg;
	bool more;
	struct str *v;
	size_t n;

	if (rps_is_wrong(a->store, r) || r->n != 2) {
		rps_ask_end(a, ERR_CLOSED, NULL, 0);
		return;
	}
	more = !str_is(r->items[0]->text, "0");
	v = rps_texts(r->items[1], 2, &n);
	if (!more)
		rps_ask_end(a, ERR_OK, v, n);
	else if (rps_scan(a, r->items[0]->text))
		a->nodes(a->arg, ERR_OK, v, n, true);
	else
		rps_ask_end(a, ERR_CLOSED, NULL, 0);
	mem_free(v);
}

static void
rps_nodes(void *store, pubsub_nodes_cb *cb, void *arg)
{
	struct rps_ask *a = rps_ask_new(store, STR_LIT(""));

	a->nodes = cb;
	a->arg = arg;
	if (!rps_scan(a, STR_LIT("0")))
		rps_ask_fail(a);
}

const struct redis_reply *
rps_failed(const struct redis_reply *r)
{
	if (r->type != REDIS_ARRAY)
		return r;
	for (size_t i = 0; i < r->n; i++)
		if (r->items[i]->type == REDIS_ERROR)
			return r->items[i];
	return NULL;
}

/* A command of a transaction was not even queued: EXEC will say only that. */
static void
rps_queued_cb(void *arg, const struct redis_reply *r)
{
	if (r != NULL && r->type == REDIS_ERROR)
		rps_refused(arg, r->text);
}

void
rps_say(struct rps *s, const struct str *words, size_t n)
{
	redis_command(s->link, words, n, rps_queued_cb, s);
}

/* ---- publishing ---- */

static bool
rps_may_write(const struct rps *s)
{
	return !s->writes || rps_lease_held(s);
}

void
rps_room(struct rps *s)
{
	if (!s->full || !s->up || !rps_may_write(s) || s->unanswered >= RPS_WINDOW / 2)
		return;
	s->full = false;
	s->ev->room(s->arg);
}

static void
rps_published_cb(void *arg, const struct redis_reply *r)
{
	struct rps_ask *a = arg;
	struct rps *s = a->store;
	const struct redis_reply *failed = r != NULL ? rps_failed(r) : NULL;

	s->unanswered -= a->bytes;
	rps_ask_free(a);
	if (failed != NULL) {
		rps_refused(s, failed->text);
		return;
	}
	s->tries = r != NULL ? 0 : s->tries;
	if (r != NULL)
		rps_room(s);
}

/* What the change is in the hashes. */
static void
rps_store(struct rps *s, struct str node, const struct pubsub_change *c)
{
	struct str words[4] = { STR_LIT("HSET"), { NULL, 0 }, node, STR_LIT("0") };
	size_t n = 4;

	if (c->op == PUBSUB_PART || c->op == PUBSUB_WHOLE || c->op == PUBSUB_DELETED) {
		words[1] = rps_all(s);
		words[3] = c->op == PUBSUB_WHOLE ? STR_LIT("1") : words[3];
	} else {
		words[1] = rps_items(s, node);
		words[2] = c->id;
		words[3] = c->json;
	}
	if (c->op == PUBSUB_RETRACT || c->op == PUBSUB_DELETED) {
		words[0] = STR_LIT("HDEL");
		n = 3;
	} else if (c->op == PUBSUB_PURGE) {
		words[0] = STR_LIT("DEL");
		n = 2;
	}
	rps_say(s, words, n);
	if (c->op == PUBSUB_DELETED)
		rps_say(s, (struct str[]){ STR_LIT("DEL"), rps_items(s, node) }, 2);
}

static size_t
rps_size(const struct pubsub_change *c, size_t n)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += 2 * (c[i].id.n + c[i].json.n) + RPS_ITEM_BYTES;
	return bytes;
}

static bool
rps_publish(void *store, struct str node, const struct pubsub_change *c, size_t n)
{
	struct rps *s = store;
	struct rps_ask *a;
	struct str multi = STR_LIT("MULTI"), exec = STR_LIT("EXEC");
	size_t bytes = rps_size(c, n);

	if (!rps_is_up(s))
		return false;
	s->full = !rps_may_write(s) || (s->unanswered > 0 && s->unanswered + bytes > RPS_WINDOW);
	if (s->full)
		return false;
	rps_say(s, &multi, 1);
	for (size_t i = 0; i < n; i++) {
		rps_store(s, node, &c[i]);
		buf_clear(&s->text);
		pubsub_message_write(&c[i], &s->text);
		rps_say(s, (struct str[]){ STR_LIT("PUBLISH"), rps_channel(s, node),
		    buf_view(&s->text) }, 3);
	}
	a = rps_ask_new(s, STR_LIT(""));
	a->bytes = bytes;
	s->unanswered += bytes;
	s->published += n;
	redis_command(s->link, &exec, 1, rps_published_cb, a);
	return true;
}

/* ---- the links ---- */

/* Both are there, if there are two, and nobody else publishes. */
void
rps_rise(struct rps *s)
{
	if (s->up || !redis_link_up(s->link) || loop_timer_armed(s->retry) ||
	    (s->sub != NULL && !redis_link_up(s->sub)))
		return;
	if (!rps_may_write(s)) {
		rps_lease_want(s);
		return;
	}
	mem_free(s->trouble);
	s->trouble = NULL;
	s->up = true;
	rps_snapshots_ask(s);
	s->ev->up(s->arg);
}

/* It may be another Redis, or one that lost everything. */
static void
rps_link_up_cb(void *arg)
{
	struct rps *s = arg;

	s->lease_until_ms = 0;
	rps_rise(s);
}

static void
rps_link_down_cb(void *arg, const char *why)
{
	rps_down(arg, why);
}

static const struct redis_link_ops rps_link_ops = { rps_link_up_cb, rps_link_down_cb, NULL };

static void
rps_retry_cb(void *arg)
{
	struct rps *s = arg;

	if (s->sub != NULL)
		rps_subscribe_all(s);
	rps_rise(s);
}

/* ---- life ---- */

static char *
rps_secret_free(char *secret)
{
	if (secret != NULL)
		mem_wipe(secret, strlen(secret));
	mem_free(secret);
	return NULL;
}

static void
rps_close(void *store)
{
	struct rps *s = store;

	rps_lease_end(s);
	redis_link_free(s->link);
	redis_link_free(s->sub);
	TAILQ_CONCAT(&s->asks, &s->failed, link);
	while (!TAILQ_EMPTY(&s->asks))
		rps_ask_free(TAILQ_FIRST(&s->asks));
	loop_timer_free(s->turn);
	loop_timer_free(s->retry);
	loop_timer_free(s->renew);
	rps_nodes_free(s);
	pubsub_message_free(s->message);
	buf_free(&s->text);
	buf_free(&s->key);
	rps_secret_free((char *)s->options.password);
	mem_free((char *)s->options.address);
	mem_free((char *)s->options.user);
	mem_free(s->prefix);
	mem_free(s->refused);
	mem_free(s->trouble);
	mem_free(s->name);
	mem_free(s->lease_error);
	mem_free(s);
}

static void *
rps_open(const struct pubsub_options *o, const struct pubsub_events *ev, void *arg, char **why)
{
	struct rps *s;

	MEM_NEW(s);
	s->loop = o->loop;
	s->ev = ev;
	s->arg = arg;
	s->prefix = mem_strdup(o->prefix != NULL ? o->prefix : "");
	s->options = *o->redis;
	s->options.address = mem_strdup(o->redis->address);
	s->options.user = mem_strdup(o->redis->user);
	s->options.password = mem_strdup(o->redis->password);
	s->nodes = map_new();
	s->message = pubsub_message_new();
	TAILQ_INIT(&s->asks);
	TAILQ_INIT(&s->failed);
	s->turn = loop_timer_new(o->loop, rps_turn_cb, s);
	s->retry = loop_timer_new(o->loop, rps_retry_cb, s);
	s->renew = loop_timer_new(o->loop, rps_lease_renew_cb, s);
	s->link = redis_link_new(o->loop, &s->options, &rps_link_ops, s, why);
	s->options.subscriber = true;
	if (s->link != NULL)
		return s;
	rps_close(s);
	return NULL;
}

static void
rps_write(void *store)
{
	rps_lease_write(store);
}

static void
rps_status(const void *store, struct jsonw *w)
{
	const struct rps *s = store;

	jsonw_kz(w, "address", s->options.address);
	jsonw_kz(w, "trouble", s->trouble);
	jsonw_kuint(w, "published", s->published);
	jsonw_kuint(w, "unanswered_bytes", s->unanswered);
	jsonw_kuint(w, "lost", s->lost);
	jsonw_kuint(w, "strange_messages", s->strange);
}

const struct pubsub_backend pubsub_redis = {
	.name = "redis",
	.caps = PUBSUB_SHARED,
	.open = rps_open,
	.write = rps_write,
	.publish = rps_publish,
	.ids = rps_ids,
	.nodes = rps_nodes,
	.follow = rps_follow,
	.unfollow = rps_unfollow,
	.status = rps_status,
	.close = rps_close,
};
