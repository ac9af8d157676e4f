/* SPDX-License-Identifier: MIT */
/* feed: the feed WebSocket: the hub's nodes for browsers without XMPP. Each socket
 * is a door of the hub in the name of who signed in, so access, digests, order and
 * what is written down are the hub's. A reader that is slow has the newest value
 * of each item waiting in the hub, not here. docs/web.md has the messages. */
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metric.h"
#include "flow/hub.h"
#include "web/feed_message.h"
#include "web/web_priv.h"

#define FEED_MESSAGE_MAX 4096      /* bytes of what a client says at once */
#define FEED_SUBS_MAX 256          /* subscriptions of one socket */
#define FEEDS_PER_LOGIN 16         /* sockets of one session */
#define FEED_NODES_MAX 500         /* of one answer to "nodes" */
#define FEED_BATCH_BYTES (32 * 1024)
#define FEED_QUEUE (64 * 1024)     /* bytes that may wait here before the hub waits */
#define FEED_WAIT (256 * 1024)     /* the same with answers; then it is closed */
#define FEED_MESSAGES 200          /* that a client may say at once, */
#define FEED_NODES_COST 20         /* messages that "nodes" counts for */
#define FEED_MESSAGE_MS 50         /* and then one in so many milliseconds */

struct feed {
	struct socket socket;
	struct login_guest guest;
	struct hub_door *door;
	struct map *subs;          /* by node: struct hub_sub */
	char *user;
	uint64_t talked_ms;        /* when it may say FEED_MESSAGES at once again */
	struct buf text;           /* of the message being written */
};

/* ---- what is said ---- */

static struct jsonw
feed_begin(struct feed *f, const char *op, const char *node)
{
	struct jsonw out;

	buf_clear(&f->text);
	out = jsonw_to(&f->text);
	jsonw_object(&out);
	jsonw_kz(&out, "op", op);
	if (node != NULL)
		jsonw_kz(&out, "node", node);
	return out;
}

static void
feed_say(struct feed *f, struct jsonw *out)
{
	jsonw_object_end(out);
	socket_say(&f->socket, buf_view(&f->text));
}

static void
feed_tell(struct feed *f, const char *op, const char *node)
{
	struct jsonw out = feed_begin(f, op, node);

	feed_say(f, &out);
}

static void
feed_error(struct feed *f, const char *code, const char *why, const char *node)
{
	struct jsonw out = feed_begin(f, "error", node);

	jsonw_kz(&out, "code", code);
	jsonw_kz(&out, "message", why);
	feed_say(f, &out);
}

/* ---- for the hub ---- */

/* What is larger than all that may wait goes when nothing waits. */
static bool
feed_has_room(const struct feed *f, size_t n)
{
	size_t queued = conn_queued(f->socket.conn);

	return queued == 0 || queued + n <= FEED_QUEUE;
}

static bool
feed_give(struct feed *f, struct jsonw *out)
{
	jsonw_object_end(out);
	if (!feed_has_room(f, f->text.len))
		return false;
	if (f->text.failed || !socket_give(&f->socket, buf_view(&f->text)))
		log_warning("feed: items too large for a message are skipped bytes=%zu", f->text.len);
	return true;
}

static bool
feed_deliver_cb(void *arg, struct hub_sub *s, const struct hub_item *items, size_t n)
{
	struct feed *f = arg;
	struct jsonw out;

	if (!feed_has_room(f, 0))
		return false;
	out = feed_begin(f, "items", hub_sub_node(s));
	jsonw_kz(&out, "datatype", items[0].datatype);
	jsonw_key(&out, "items");
	jsonw_array(&out);
	for (size_t i = 0; i < n; i++) {
		jsonw_object(&out);
		jsonw_kz(&out, "id", items[i].id);
		jsonw_key(&out, "item");
		jsonw_raw(&out, items[i].json);
		jsonw_object_end(&out);
	}
	jsonw_array_end(&out);
	return feed_give(f, &out);
}

static bool
feed_retract_cb(void *arg, struct hub_sub *s, const char *const *ids, size_t n)
{
	struct feed *f = arg;
	struct jsonw out = feed_begin(f, "retract", hub_sub_node(s));

	jsonw_key(&out, "ids");
	jsonw_array(&out);
	for (size_t i = 0; i < n; i++)
		jsonw_z(&out, ids[i]);
	jsonw_array_end(&out);
	return feed_give(f, &out);
}

static bool
feed_purge_cb(void *arg, struct hub_sub *s)
{
	struct feed *f = arg;
	struct jsonw out = feed_begin(f, "purge", hub_sub_node(s));

	return feed_give(f, &out);
}

static void
feed_ended_cb(void *arg, struct hub_sub *s)
{
	struct feed *f = arg;
	struct jsonw out;

	map_remove(f->subs, str_of(hub_sub_node(s)));
	out = feed_begin(f, "revoked", hub_sub_node(s));
	jsonw_kbool(&out, "deleted", hub_sub_is_deleted(s));
	feed_say(f, &out);
}

static const struct hub_door_ops feed_door_ops = {
	.deliver = feed_deliver_cb,
	.ended = feed_ended_cb,
	.retract = feed_retract_cb,
	.purge = feed_purge_cb,
	.batch_bytes = FEED_BATCH_BYTES,
	.item_bytes = ITEM_ID_MAX + 32,
};

/* ---- what the client says ---- */

/* Whether there is no such node or it is not this reader's is not told apart. */
static void
feed_refused(struct feed *f, enum err e, const char *node)
{
	if (e == ERR_FULL)
		feed_error(f, "too_many", "There are too many subscriptions.", node);
	else
		feed_error(f, "forbidden", "There is no such node for you.", node);
}

static void
feed_subscribed(struct feed *f, const struct feed_message *m)
{
	struct jsonw out = feed_begin(f, "subscribed", m->node);

	jsonw_kuint(&out, "digest_ms", m->digest_ms);
	feed_say(f, &out);
}

/* Subscribing again sets another digest and brings the snapshot once more. */
static void
feed_subscribe(struct feed *f, const struct feed_message *m)
{
	struct hub_sub *s = map_get(f->subs, str_of(m->node));
	enum err e = ERR_OK;

	if (s != NULL) {
		hub_sub_interval(s, m->digest_ms);
		hub_sub_refresh(s);
	} else if (map_size(f->subs) >= FEED_SUBS_MAX) {
		e = ERR_FULL;
	} else {
		e = hub_subscribe(f->door, str_of(m->node), str_of(f->user), m->digest_ms, NULL, &s);
		if (e == ERR_OK)
			map_put(f->subs, str_of(m->node), s);
	}
	if (e == ERR_OK)
		feed_subscribed(f, m);
	else
		feed_refused(f, e, m->node);
}

static void
feed_unsubscribe(struct feed *f, const struct feed_message *m)
{
	struct hub_sub *s = map_remove(f->subs, str_of(m->node));

	if (s == NULL) {
		feed_error(f, "not_subscribed", "There is no such subscription.", m->node);
		return;
	}
	hub_unsubscribe(s);
	feed_tell(f, "unsubscribed", m->node);
}

struct feed_list {
	struct jsonw out;
	const char *after; /* "" or the last one of the page before */
	bool begun, more;
	size_t n;
};

static void
feed_list_cb(void *arg, const struct node *n)
{
	struct feed_list *l = arg;
	char name[NODE_MAX + 1];

	if (node_write(n, name) != ERR_OK)
		return;
	if (!l->begun) {
		l->begun = strcmp(name, l->after) == 0;
		return;
	}
	if (l->n++ < FEED_NODES_MAX)
		jsonw_z(&l->out, name);
	else
		l->more = true;
}

static void
feed_nodes(struct feed *f, const struct feed_message *m)
{
	struct hub *h = f->socket.web->hub;
	struct feed_list l = { .after = m->node, .begun = m->node[0] == '\0' };

	l.out = feed_begin(f, "nodes", NULL);
	jsonw_key(&l.out, "nodes");
	jsonw_array(&l.out);
	access_nodes(hub_roster(h), str_of(f->user), engine_reducers(hub_engine(h)), feed_list_cb, &l);
	jsonw_array_end(&l.out);
	jsonw_kbool(&l.out, "more", l.more);
	feed_say(f, &l.out);
}

/* Who talks faster than a program that follows its reader is not listened to. */
static bool
feed_too_fast(struct feed *f, unsigned messages)
{
	uint64_t now = loop_now_ms(f->socket.web->loop);

	if (f->talked_ms < now)
		f->talked_ms = now;
	f->talked_ms += messages * FEED_MESSAGE_MS;
	return f->talked_ms > now + FEED_MESSAGES * FEED_MESSAGE_MS;
}

static void
feed_text(void *user, struct str text)
{
	struct feed *f = user;
	struct feed_message m;

	feed_message_read(f->socket.web->doc, text, &m);
	if (feed_too_fast(f, m.op == FEED_NODES ? FEED_NODES_COST : 1)) {
		socket_close(&f->socket, FRAME_CODE_POLICY, "too many messages");
		return;
	}
	switch (m.op) {
	case FEED_BAD:
		feed_error(f, "bad_request", m.why, NULL);
		break;
	case FEED_SUBSCRIBE:
		feed_subscribe(f, &m);
		break;
	case FEED_UNSUBSCRIBE:
		feed_unsubscribe(f, &m);
		break;
	case FEED_NODES:
		feed_nodes(f, &m);
		break;
	case FEED_PING:
		feed_tell(f, "pong", NULL);
		break;
	}
}

/* ---- life ---- */

static void
feed_drained(void *user)
{
	hub_door_ready(((struct feed *)user)->door);
}

static void
feed_gone(void *user)
{
	struct feed *f = user;

	login_leave(&f->guest);
	hub_door_free(f->door);
	f->socket.web->feed_sockets--;
	map_free(f->subs, NULL);
	buf_free(&f->text);
	mem_free(f->user);
	mem_free(f);
}

static const struct socket_ops feed_ops = {
	.name = "feed",
	.text = feed_text,
	.drained = feed_drained,
	.gone = feed_gone,
};

/* Nothing is given to it any more, also while the connection still closes. */
static void
feed_signed_out_cb(void *arg)
{
	struct feed *f = arg;

	hub_door_free(f->door);
	f->door = hub_door_new(f->socket.web->hub, &feed_door_ops, f);
	map_free(f->subs, NULL);
	f->subs = map_new();
	socket_close(&f->socket, FRAME_CODE_POLICY, "signed out");
}

void
feed_open(struct request *r)
{
	struct web *w = r->web;
	struct feed *f;

	if (login_guests(r->login) >= FEEDS_PER_LOGIN ||
	    w->feed_sockets >= (size_t)w->conf->max_connections) {
		request_refuse(r, 503, "There are too many feeds open.");
		return;
	}
	MEM_NEW(f);
	handshake_accept(conn_out(r->conn), &r->head, NULL, request_is_https(r));
	socket_open(&f->socket, r, &feed_ops, f, FEED_MESSAGE_MAX, FEED_WAIT);
	conn_keep_fresh(r->conn);
	conn_push(r->conn);
	f->user = mem_strdup(login_user(r->login));
	f->subs = map_new();
	f->text = BUF_INIT(CONN_OUT_MAX);
	f->door = hub_door_new(w->hub, &feed_door_ops, f);
	hub_door_name(f->door, WEB_DOOR);
	f->guest = (struct login_guest){ .ended = feed_signed_out_cb, .arg = f };
	login_join(r->login, &f->guest);
	w->feed_sockets++;
	request_become(r);
}
