/* SPDX-License-Identifier: MIT */
/* feed_sub: subscriptions to events. A notification only says that there is more
 * (XEP-0060 §7.1.2.2, without payload), and there is at most one before the
 * producer has asked again. */
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "state/key.h"
#include "xmpp/feed.h"

/* ---- subscriptions ---- */

/* The source in the node's name, mem_alloc'ed; "" for all. NULL when the producer
 * has no such node. */
char *
feed_node_source(const struct producer *p, const char *node)
{
	char name[NODE_CLASS_MAX + 1], again[NODE_CLASS_MAX + 1];
	const char *part = node + strlen(NODE_EVENTS);

	if (strcmp(node, NODE_EVENTS_ALL) == 0)
		return mem_strdup("");
	if (part[0] == '\0' || !node_class_read(part, name))
		return NULL;
	node_class_write(str_of(name), again);
	if (strcmp(part, again) != 0 || name[0] == '\0' || !producer_takes(p, str_of(name)))
		return NULL;
	return mem_strdup(name);
}

static struct feed_sub *
feed_sub_find(const struct feed_door *d, const struct producer *p, const char *node,
    const char *jid)
{
	struct feed_sub *s;

	LIST_FOREACH(s, &d->subs, link)
		if (s->producer == p && strcmp(s->node, node) == 0 && strcmp(s->jid, jid) == 0)
			return s;
	return NULL;
}

static struct feed_sub *
feed_sub_add(struct feed_door *d, struct producer *p, const char *node, const char *jid,
    const char *source)
{
	struct feed_sub *s;

	if (d->n_subs == FEED_SUBS_MAX)
		return NULL;
	MEM_NEW(s);
	s->producer = p;
	s->node = mem_strdup(node);
	s->jid = mem_strdup(jid);
	s->source = source[0] != '\0' ? mem_strdup(source) : NULL;
	s->newest = p->newest;
	LIST_INSERT_HEAD(&d->subs, s, link);
	d->n_subs++;
	return s;
}

void
feed_sub_free(struct feed_door *d, struct feed_sub *s)
{
	LIST_REMOVE(s, link);
	d->n_subs--;
	mem_free(s->node);
	mem_free(s->jid);
	mem_free(s->source);
	mem_free(s);
}

/* ---- notifications ---- */

static void
feed_notify(struct feed_door *d, struct feed_sub *sub)
{
	struct service *s = d->service;
	struct xmlw w;
	char id[24];

	if (sub->newest == 0 || sub->told || !s->up || !s->o.sink->bulk(s->o.sink_arg))
		return;
	snprintf(id, sizeof id, "%" PRIu64, sub->newest);
	w = service_begin(s, "message");
	xmlw_attrz(&w, "from", s->o.jid);
	xmlw_attrz(&w, "to", sub->jid);
	xmlw_attrz(&w, "type", "headline");
	xmlw_open(&w, "event", NS_PUBSUB_EVENT);
	xmlw_open(&w, "items", NULL);
	xmlw_attrz(&w, "node", sub->node);
	xmlw_open(&w, "item", NULL);
	xmlw_attrz(&w, "id", id);
	while (w.depth > 0)
		xmlw_close(&w);
	sub->told = service_send(s);
	sub->told_ms = loop_now_ms(s->o.loop);
}

static void
feed_event_cb(void *arg, struct str source, uint64_t seq)
{
	struct feed_door *d = arg;
	struct feed_sub *s;

	LIST_FOREACH(s, &d->subs, link)
		if (s->source != NULL ? str_is(source, s->source) : producer_takes(s->producer, source))
			s->newest = seq;
}

static void
feed_commit_cb(void *arg, uint64_t durable)
{
	struct feed_door *d = arg;
	struct feed_sub *s;

	feed_answer_durable(d, durable);
	LIST_FOREACH(s, &d->subs, link)
		feed_notify(d, s);
}

const struct feed_listener feed_sub_listener = {
	.event = feed_event_cb, .commit = feed_commit_cb
};

void
feed_door_up(struct feed_door *d)
{
	struct feed_sub *s;

	if (d == NULL)
		return;
	LIST_FOREACH(s, &d->subs, link) {
		s->told = false;
		feed_notify(d, s);
	}
}

void
feed_door_tick(struct feed_door *d, uint64_t now_ms)
{
	struct feed_sub *s;

	if (d == NULL)
		return;
	LIST_FOREACH(s, &d->subs, link) {
		if (s->told_ms + FEED_REMIND_MS <= now_ms)
			s->told = false;
		feed_notify(d, s);
	}
}

/* Whoever has read everything is told of what comes next; whoever got a page asks
 * again without being told. */
void
feed_asked(struct feed_door *d, const struct producer *p, const char *node, bool at_end)
{
	struct feed_sub *s;

	LIST_FOREACH(s, &d->subs, link) {
		if (s->producer != p || strcmp(s->node, node) != 0)
			continue;
		s->told = !at_end;
		s->told_ms = loop_now_ms(d->service->o.loop);
		if (at_end)
			s->newest = 0;
	}
}

/* ---- kept in the kvs: Feed,<service>,<node>,<jid> = {"node":..,"jid":..} ---- */

static struct buf
feed_key(const struct feed_door *d, const char *node, const char *jid)
{
	struct buf key = BUF_INIT(0);

	buf_z(&key, "Feed,");
	key_escape(&key, str_of(d->service->o.jid));
	buf_byte(&key, ',');
	if (node == NULL)
		return key;
	key_escape(&key, str_of(node));
	buf_byte(&key, ',');
	key_escape(&key, str_of(jid));
	return key;
}

static void
feed_keep_sub(struct feed_door *d, const struct feed_sub *s)
{
	struct buf key = feed_key(d, s->node, s->jid), value = BUF_INIT(0);
	struct jsonw w = jsonw_to(&value);

	jsonw_object(&w);
	jsonw_kz(&w, "node", s->node);
	jsonw_kz(&w, "jid", s->jid);
	jsonw_object_end(&w);
	kvs_put(d->service->o.kvs, buf_view(&key), buf_view(&value));
	buf_free(&key);
	buf_free(&value);
}

static void
feed_load_one(struct feed_door *d, struct str value)
{
	char *text = mem_zalloc(value.n + JSON_PADDING), *node, *jid, *source = NULL;
	struct str node_s, jid_s;
	struct producer *p;
	struct json v;

	memcpy(text, value.p, value.n);
	if (json_parse(d->loading, (struct str){ text, value.n }, &v) == ERR_OK &&
	    json_get_str(v, "node", &node_s) && json_get_str(v, "jid", &jid_s)) {
		node = mem_str(node_s);
		jid = mem_str(jid_s);
		p = producers_find(feed_producers(d->feed), jid);
		if (p != NULL && str_starts(node_s, NODE_EVENTS))
			source = feed_node_source(p, node);
		if (source != NULL && feed_sub_find(d, p, node, jid) == NULL)
			feed_sub_add(d, p, node, jid, source);
		mem_free(source);
		mem_free(node);
		mem_free(jid);
	}
	mem_free(text);
}

static void
feed_load_cb(void *arg, enum err e, struct str key, struct str value)
{
	struct feed_door *d = arg;

	if (key.p != NULL) {
		feed_load_one(d, value);
		return;
	}
	if (e != ERR_OK)
		log_error("subscriptions to events cannot be read: %s", err_text(e));
	feed_door_up(d);
	json_doc_free(d->loading);
	d->loading = NULL;
}

void
feed_door_load(struct feed_door *d)
{
	struct buf prefix;

	if (d == NULL)
		return;
	prefix = feed_key(d, NULL, NULL);
	d->loading = json_doc_new();
	kvs_scan(d->service->o.kvs, buf_view(&prefix), feed_load_cb, d);
	buf_free(&prefix);
}

/* ---- subscribe, unsubscribe: XEP-0060 §6.1, §6.2 ---- */

static void
feed_confirm(const struct reply *r, const char *node, const char *jid)
{
	struct xmlw w = reply_begin(r);

	xmlw_open(&w, "pubsub", NS_PUBSUB);
	xmlw_open(&w, "subscription", NULL);
	xmlw_attrz(&w, "node", node);
	xmlw_attrz(&w, "jid", jid);
	xmlw_attrz(&w, "subscription", "subscribed");
	reply_end(r, &w);
}

static void
feed_saved_cb(struct answer *a, enum err e)
{
	if (e == ERR_OK)
		feed_confirm(&a->reply, a->node, a->jid);
	else
		reply_fault(&a->reply, FAULT_INTERNAL);
}

/* The JID must be one of the producer's; notifications go to it as it stands. */
void
feed_subscribe(struct request *q, struct producer *p, const struct xml *x, const char *node,
    const char *source)
{
	struct feed_door *d = q->reply.service->feed;
	const char *jid = xml_attr(x, "jid");
	struct feed_sub *s;
	struct answer *a;

	if (jid == NULL || producers_find(feed_producers(d->feed), jid) != p) {
		reply_fault(&q->reply, jid == NULL ? FAULT_JID_REQUIRED : FAULT_INVALID_JID);
		return;
	}
	s = feed_sub_find(d, p, node, jid);
	if (s == NULL)
		s = feed_sub_add(d, p, node, jid, source);
	if (s == NULL) {
		reply_fault(&q->reply, FAULT_TOO_MANY);
		return;
	}
	s->told = true; /* it will ask now */
	s->told_ms = loop_now_ms(d->service->o.loop);
	feed_keep_sub(d, s);
	a = answer_new(q, feed_saved_cb);
	if (a == NULL)
		return;
	a->node = mem_strdup(node);
	a->jid = mem_strdup(jid);
	answer_after_flush(a);
}

void
feed_unsubscribe(struct request *q, struct producer *p, const struct xml *x, const char *node)
{
	struct feed_door *d = q->reply.service->feed;
	const char *jid = xml_attr(x, "jid");
	struct feed_sub *s = jid != NULL ? feed_sub_find(d, p, node, jid) : NULL;
	struct buf key;

	if (s == NULL) {
		reply_fault(&q->reply, jid == NULL ? FAULT_JID_REQUIRED : FAULT_NOT_SUBSCRIBED);
		return;
	}
	key = feed_key(d, node, jid);
	kvs_remove(d->service->o.kvs, buf_view(&key));
	d->service->unsaved = true;
	buf_free(&key);
	feed_sub_free(d, s);
	reply_empty(&q->reply);
}
