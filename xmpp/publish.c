/* SPDX-License-Identifier: MIT */
/* publish: states from producers (XEP-0060 §7.1). The result is a promise: it is
 * sent once the states are durable. */
#include "xmpp/feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

#define PUBLISH_ENTRY_BYTES 220 /* around an item's id and JSON */

/* ---- errors ---- */

static enum fault
publish_fault(enum err e)
{
	switch (e) {
	case ERR_NOT_FOUND:
		return FAULT_NOT_FOUND;
	case ERR_FULL:
		return FAULT_TOO_LARGE;
	default:
		return FAULT_INVALID_PAYLOAD;
	}
}

/* Names the item and what is wrong with it. */
static void
publish_refuse(struct request *q, struct producer *p, enum fault f, const char *id,
    const char *why)
{
	struct xmlw w = reply_open(&q->reply, "error");
	char *text = mem_printf("item %.*s: %s", ITEM_ID_MAX, id != NULL ? id : "without id", why);

	stanza_fault_text(&w, f, text);
	while (w.depth > 0)
		xmlw_close(&w);
	service_send(q->reply.service);
	producer_fail(p, "%s", text);
	log_notice("publish refused producer=%s %s", p->name, text);
	mem_free(text);
}

/* ---- publish ---- */

/* XEP-0432 around XEP-0335, or the latter alone. */
static const struct xml *
publish_json(const struct xml *item)
{
	const struct xml *payload = xml_child(item, NS_JSON_MSG, "payload");

	return xml_child(payload != NULL ? payload : item, NS_JSON, "json");
}

static bool
publish_take(struct request *q, struct producer *p, struct publish *b, const struct xml *item)
{
	const char *id = xml_attr(item, "id"), *why = NULL;
	const struct xml *json = publish_json(item);
	enum err e;

	if (id == NULL || json == NULL) {
		publish_refuse(q, p, FAULT_INVALID_PAYLOAD, id,
		    id == NULL ? "an item needs the id of its state" : "there is no <json/> in it");
		return false;
	}
	e = publish_add(b, str_of(id), json->text, &why);
	if (e != ERR_OK)
		publish_refuse(q, p, publish_fault(e), id, why);
	return e == ERR_OK;
}

static bool
publish_take_all(struct request *q, struct producer *p, struct publish *b, const struct xml *x)
{
	size_t n = 0;

	for (const struct xml *item = x->first; item != NULL; item = item->next, n++)
		if (!xml_is(item, NS_PUBSUB, "item") || !publish_take(q, p, b, item)) {
			if (!xml_is(item, NS_PUBSUB, "item"))
				reply_fault(&q->reply, FAULT_BAD_REQUEST);
			return false;
		}
	if (n == 0)
		reply_fault(&q->reply, FAULT_ITEM_REQUIRED); /* §7.1.3.5 */
	return n > 0;
}

static void
publish_states(struct request *q, struct producer *p, const struct reducer *r,
    const struct xml *x, const char *node)
{
	struct service *s = q->reply.service;
	struct feed *f = feed_door_feed(s->feed);
	struct publish *b = publish_new(f, hub_roster(s->o.hub), p, r);
	struct feed_wait *w;

	if (publish_take_all(q, p, b, x)) {
		w = feed_wait_new(q, p, node);
		if (w != NULL)
			w->seq = publish_commit(b);
	}
	publish_free(b);
}

void
publish_request(struct request *q, struct producer *p, const struct xml *x)
{
	const char *node = xml_attr(x, "node");
	const struct reducer *r = producer_reducer(p, str_of(node + strlen(NODE_STATE)));

	if (r == NULL) {
		producer_fail(p, "%.*s is not its own to publish to", NODE_MAX, node);
		reply_fault(&q->reply, FAULT_FORBIDDEN); /* §7.1.3.1 */
	} else if (x->next != NULL) {
		reply_unsupported(&q->reply, "publish-options"); /* §7.1.5 */
	} else if (publish_full(feed_door_feed(q->reply.service->feed))) {
		reply_fault(&q->reply, FAULT_BUSY);
	} else {
		publish_states(q, p, r, x, node);
	}
}

/* ---- reading back: all states of a reducer, by id, a page at a time ---- */

struct publish_entry {
	char *id;
	const struct state *state; /* NULL: the acknowledgement */
};

struct publish_cache {
	const struct reducer *reducer;
	struct publish_entry *v;
	size_t n;
};

void
publish_cache_free(struct service *s)
{
	struct publish_cache *c = s->published;

	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n; i++)
		mem_free(c->v[i].id);
	mem_free(c->v);
	mem_free(c);
	s->published = NULL;
}

static void
publish_cache_cb(void *arg, struct state *state)
{
	struct publish_cache *c = arg;
	char id[ITEM_ID_MAX + 1];

	node_item_id(NODE_CLASS, state, id);
	c->v[c->n++] = (struct publish_entry){ mem_strdup(id), state };
}

static int
publish_order(const void *a, const void *b)
{
	return strcmp(((const struct publish_entry *)a)->id, ((const struct publish_entry *)b)->id);
}

/* Made once for all pages: states come, none ever goes. */
static const struct publish_cache *
publish_cache(struct service *s, const struct reducer *r)
{
	struct engine *e = feed_engine(feed_door_feed(s->feed));
	size_t n = engine_state_count(e, r) + 1;
	struct publish_cache *c = s->published;

	if (c != NULL && c->reducer == r && c->n == n)
		return c;
	publish_cache_free(s);
	s->published = MEM_NEW(c);
	c->reducer = r;
	c->v = mem_alloc(n * sizeof *c->v);
	engine_each_of(e, r, publish_cache_cb, c);
	c->v[c->n++] = (struct publish_entry){ mem_strdup(PUBLISH_ACK), NULL };
	qsort(c->v, c->n, sizeof *c->v, publish_order);
	return c;
}

static size_t
publish_place(const struct publish_cache *c, const char *after)
{
	size_t low = 0, high = c->n;

	while (after != NULL && low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(c->v[middle].id, after) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
publish_entry_write(const struct engine *e, const struct publish_entry *entry,
    const struct reducer *r, struct buf *out)
{
	if (entry->state != NULL)
		publish_write(entry->state, out);
	else
		buf_printf(out, "{\"v\":1,\"position\":%" PRIu64 "}", engine_acked(e, r));
}

/* Items named in the request, or else the page. */
static bool
publish_wanted(const struct xml *x, const char *id)
{
	const struct xml *one = xml_child(x, NS_PUBSUB, "item");

	if (one == NULL)
		return true;
	for (; one != NULL; one = one->next)
		if (xml_attr(one, "id") != NULL && strcmp(xml_attr(one, "id"), id) == 0)
			return true;
	return false;
}

static void
publish_send_page(struct request *q, const struct reducer *r, const struct xml *x,
    const struct page *page)
{
	struct service *s = q->reply.service;
	const struct publish_cache *c = publish_cache(s, r);
	struct engine *e = feed_engine(feed_door_feed(s->feed));
	const char *first = NULL, *last = NULL;
	struct buf json = BUF_INIT(0);
	struct xmlw w = reply_begin(&q->reply);
	size_t bytes = 0, n = 0;

	xmlw_open(&w, "pubsub", NS_PUBSUB);
	xmlw_open(&w, "items", NULL);
	xmlw_attrz(&w, "node", xml_attr(x, "node"));
	for (size_t i = publish_place(c, page->query.after); i < c->n && n < page->query.max; i++) {
		struct hub_item item = { .id = c->v[i].id, .datatype = DATATYPE_STATE };

		if (!publish_wanted(x, c->v[i].id))
			continue;
		buf_clear(&json);
		publish_entry_write(e, &c->v[i], r, &json);
		bytes += page_cost(buf_view(&json)) + PUBLISH_ENTRY_BYTES + strlen(c->v[i].id);
		if (bytes > PAGE_BYTES && n > 0)
			break;
		item.json = buf_view(&json);
		notify_write_item(&w, &item);
		first = n++ == 0 ? c->v[i].id : first;
		last = c->v[i].id;
	}
	xmlw_close(&w);
	if (n > 0)
		feed_write_set(&w, first, last);
	reply_end(&q->reply, &w);
	buf_free(&json);
}

void
publish_items(struct request *q, struct producer *p, const struct xml *x)
{
	const struct reducer *r = producer_reducer(p, str_of(xml_attr(x, "node") + strlen(NODE_STATE)));
	struct page page;

	if (r == NULL)
		reply_fault(&q->reply, FAULT_FORBIDDEN);
	else if (!page_read(q->query, &page) || page.query.backwards || page.query.has_index)
		reply_fault(&q->reply, FAULT_BAD_REQUEST);
	else
		publish_send_page(q, r, x, &page);
}
