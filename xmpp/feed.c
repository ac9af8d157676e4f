/* SPDX-License-Identifier: MIT */
/* feed: requests of producers. Events are retrieved page by page (XEP-0060 §6.5,
 * XEP-0059), from whatever place the producer names: following the feed and taking
 * it up again are the same request, and nothing is lost with a stream. */
#include "xmpp/feed.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"

struct feed *
feed_door_feed(struct feed_door *d)
{
	return d->feed;
}

/* ---- requests that wait ---- */

struct feed_wait *
feed_wait_new(struct request *q, struct producer *p, const char *node)
{
	struct feed_door *d = q->reply.service->feed;
	struct feed_wait *w;
	size_t n = 0;

	LIST_FOREACH(w, &d->waits, link)
		n += w->producer == p;
	if (n >= FEED_WAITS_MAX) {
		reply_fault(&q->reply, FAULT_BUSY);
		return NULL;
	}
	MEM_NEW(w);
	w->door = d;
	w->producer = p;
	w->reply = (struct reply){ q->reply.service, mem_strdup(q->reply.to),
		mem_strdup(q->reply.from), mem_strdup(q->reply.id) };
	w->node = mem_strdup(node);
	LIST_INSERT_HEAD(&d->waits, w, link);
	return w;
}

void
feed_wait_free(struct feed_wait *w)
{
	LIST_REMOVE(w, link);
	if (w->read != NULL)
		feed_read_cancel(w->read);
	mem_free((char *)w->reply.to);
	mem_free((char *)w->reply.from);
	mem_free((char *)w->reply.id);
	mem_free(w->node);
	mem_free(w);
}

void
feed_answer_durable(struct feed_door *d, uint64_t durable)
{
	struct feed_wait *w = LIST_FIRST(&d->waits), *next;

	for (; w != NULL; w = next) {
		next = LIST_NEXT(w, link);
		if (w->seq == 0 || w->seq > durable)
			continue;
		reply_empty(&w->reply);
		feed_wait_free(w);
	}
}

/* ---- items ---- */

/* "412", or "412.3": behind part 3 of an event in parts. */
static bool
feed_mark_read(const char *text, struct feed_mark *out)
{
	uint64_t v[2] = { 0, 0 };
	int at = 0;

	if (*text == '\0')
		return false;
	for (const char *c = text; *c != '\0'; c++) {
		if (*c == '.' && at == 0 && c > text && c[1] != '\0') {
			at = 1;
			continue;
		}
		if (*c < '0' || *c > '9' || v[at] > (at == 0 ? INT64_MAX / 10 - 1 : 1000000))
			return false;
		v[at] = 10 * v[at] + (uint64_t)(*c - '0');
	}
	*out = (struct feed_mark){ v[0], (unsigned)v[1] };
	return true;
}

static void
feed_item_id(const struct feed_item *i, char out[40])
{
	if (i->part > 0)
		snprintf(out, 40, "%" PRIu64 ".%u", i->seq, i->part);
	else
		snprintf(out, 40, "%" PRIu64, i->seq);
}

void
feed_write_set(struct xmlw *w, const char *first, const char *last)
{
	xmlw_open(w, "set", NS_RSM);
	xmlw_textz(w, "first", first);
	xmlw_textz(w, "last", last);
	xmlw_close(w);
}

static void
feed_send_page(const struct reply *r, const char *node, const struct feed_item *items, size_t n)
{
	struct xmlw w = reply_begin(r);
	char id[40], first[40];

	xmlw_open(&w, "pubsub", NS_PUBSUB);
	xmlw_open(&w, "items", NULL);
	xmlw_attrz(&w, "node", node);
	for (size_t i = 0; i < n; i++) {
		struct hub_item item = { .id = id, .json = items[i].json,
			.datatype = DATATYPE_EVENT };

		feed_item_id(&items[i], id);
		notify_write_item(&w, &item);
	}
	xmlw_close(&w);
	if (n > 0) {
		feed_item_id(&items[0], first);
		feed_write_set(&w, first, id);
	}
	reply_end(r, &w);
}

static void
feed_page_ready_cb(void *arg, enum err e, const struct feed_item *items, size_t n)
{
	struct feed_wait *w = arg;

	w->read = NULL;
	if (e == ERR_OK) {
		feed_asked(w->door, w->producer, w->node, n == 0);
		feed_send_page(&w->reply, w->node, items, n);
	} else {
		reply_fault(&w->reply, FAULT_INTERNAL);
	}
	feed_wait_free(w);
}

static void
feed_items(struct request *q, struct producer *p, const char *node, const char *source)
{
	struct feed_door *d = q->reply.service->feed;
	struct feed_mark after = { 0, 0 };
	struct feed_wait *w;
	struct page page;
	bool ok = page_read(q->query, &page) && !page.query.backwards && !page.query.has_index &&
	    (page.query.after == NULL || feed_mark_read(page.query.after, &after));

	if (!ok || page.query.max == 0) {
		reply_fault(&q->reply, FAULT_BAD_REQUEST);
		return;
	}
	w = feed_wait_new(q, p, node);
	if (w == NULL)
		return;
	w->read = feed_read_new(d->feed, p, source[0] != '\0' ? source : NULL, after,
	    page.query.max, feed_page_ready_cb, w);
	if (w->read == NULL) {
		feed_wait_free(w);
		reply_fault(&q->reply, FAULT_BUSY);
	}
}

/* ---- routing ---- */

static bool
feed_events_request(struct request *q, struct producer *p, const struct xml *x, const char *node)
{
	char *source = feed_node_source(p, node);

	if (source == NULL)
		return false; /* the answer is that for a node that is not there */
	if (q->set && strcmp(x->name, "subscribe") == 0)
		feed_subscribe(q, p, x, node, source);
	else if (q->set && strcmp(x->name, "unsubscribe") == 0)
		feed_unsubscribe(q, p, x, node);
	else if (!q->set && strcmp(x->name, "items") == 0)
		feed_items(q, p, node, source);
	else
		reply_fault(&q->reply, FAULT_FORBIDDEN);
	mem_free(source);
	return true;
}

static bool
feed_state_request(struct request *q, struct producer *p, const struct xml *x)
{
	if (q->set && strcmp(x->name, "publish") == 0)
		publish_request(q, p, x);
	else if (!q->set && strcmp(x->name, "items") == 0)
		publish_items(q, p, x);
	else
		reply_fault(&q->reply, FAULT_FORBIDDEN);
	return true;
}

bool
feed_request(struct request *q)
{
	struct feed_door *d = q->reply.service->feed;
	struct producer *p = d != NULL ? producers_find(feed_producers(d->feed), q->reply.to) : NULL;
	const struct xml *x = q->query->first;
	const char *node = x != NULL ? xml_attr(x, "node") : NULL;

	if (p == NULL || node == NULL || strcmp(x->ns, NS_PUBSUB) != 0)
		return false;
	if (str_starts(str_of(node), NODE_EVENTS))
		return feed_events_request(q, p, x, node);
	if (str_starts(str_of(node), NODE_STATE))
		return feed_state_request(q, p, x);
	return false;
}

/* ---- life ---- */

struct feed_door *
feed_door_new(struct service *s, struct feed *f)
{
	struct feed_door *d;

	if (f == NULL)
		return NULL;
	MEM_NEW(d);
	d->service = s;
	d->feed = f;
	LIST_INIT(&d->subs);
	LIST_INIT(&d->waits);
	d->listener = feed_sub_listener;
	d->listener.arg = d;
	feed_listen(f, &d->listener);
	return d;
}

void
feed_door_free(struct feed_door *d)
{
	if (d == NULL)
		return;
	json_doc_free(d->loading);
	while (!LIST_EMPTY(&d->waits))
		feed_wait_free(LIST_FIRST(&d->waits));
	while (!LIST_EMPTY(&d->subs))
		feed_sub_free(d, LIST_FIRST(&d->subs));
	publish_cache_free(d->service);
	feed_unlisten(&d->listener);
	mem_free(d);
}
