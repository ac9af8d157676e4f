/* SPDX-License-Identifier: MIT */
/* pubsub_items: retrieving items (XEP-0060 §6.5), paged when they do not fit
 * one stanza. Access is asked anew each time. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/metric.h"
#include "xmpp/service_priv.h"

/* Around an item's id, datatype and JSON. */
#define ITEMS_ENTRY_BYTES 192

struct items_entry {
	size_t place;    /* in the reading */
	int64_t time_us;
	size_t at, n;    /* the JSON in `json`, once it is asked for; n 0: no
	                  * stanza can carry it */
	bool old;        /* not among the most recent ones asked for */
};

struct items {
	const struct xml *wanted; /* <items/> with <item id=''/>s, or NULL for all */
	struct hub_reading *reading;
	struct page page;
	struct items_entry *v;
	size_t n, cap;
	struct buf json;
};

static bool
items_is_wanted(const struct xml *wanted, const char *id)
{
	if (wanted == NULL)
		return true;
	for (const struct xml *x = wanted->first; x != NULL; x = x->next) {
		const char *one = xml_attr(x, "id");

		if (strcmp(x->name, "item") == 0 && one != NULL && strcmp(one, id) == 0)
			return true;
	}
	return false;
}

static void
items_add(struct items *l, size_t place)
{
	struct hub_item head = hub_reading_head(l->reading, place);

	if (!items_is_wanted(l->wanted, head.id))
		return;
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 32;
		l->v = mem_realloc(l->v, l->cap * sizeof *l->v);
	}
	l->v[l->n] = (struct items_entry){ .place = place, .time_us = head.time_us };
	page_add(&l->page, str_of(head.id), 0, l->n++);
}

/* An item is written when it is known to come into question. */
static size_t
items_cost_cb(void *arg, const struct page_entry *entry)
{
	struct items *l = arg;
	struct items_entry *e = &l->v[entry->data];
	struct hub_item item = hub_reading_item(l->reading, e->place);
	size_t cost = ITEMS_ENTRY_BYTES + page_cost(str_of(item.id)) +
	    page_cost(str_of(item.datatype)) + page_cost(item.json);

	if (cost > PAGE_BYTES) {
		metric_add(METRIC_XMPP_TOO_LARGE, 1);
		return 0;
	}
	e->at = l->json.len;
	e->n = item.json.n;
	buf_str(&l->json, item.json);
	return cost;
}

/* ---- max_items: the most recent ones ---- */

static int
items_newest_first(const void *a, const void *b)
{
	const struct items_entry *const *x = a, *const *y = b;

	return ((*y)->time_us > (*x)->time_us) - ((*y)->time_us < (*x)->time_us);
}

/* XEP-0060 §6.5.7 */
static void
items_keep_newest(struct items *l, size_t max)
{
	struct items_entry **by_time;
	struct page *p = &l->page;
	size_t kept = 0;

	if (l->n <= max)
		return;
	by_time = mem_alloc(l->n * sizeof *by_time);
	for (size_t i = 0; i < l->n; i++)
		by_time[i] = &l->v[i];
	qsort(by_time, l->n, sizeof *by_time, items_newest_first);
	for (size_t i = max; i < l->n; i++)
		by_time[i]->old = true;
	mem_free(by_time);
	for (size_t i = 0; i < p->n; i++) {
		if (l->v[p->v[i].data].old)
			mem_free(p->v[i].id);
		else
			p->v[kept++] = p->v[i];
	}
	p->n = kept;
}

/* A positive integer; no attribute means all. */
static bool
items_max(const struct xml *x, size_t *max)
{
	const char *text = xml_attr(x, "max_items");
	size_t n = 0;

	*max = SIZE_MAX;
	if (text == NULL)
		return true;
	for (const char *c = text; *c != '\0'; c++) {
		if (*c < '0' || *c > '9' || c - text >= 9)
			return false;
		n = 10 * n + (size_t)(*c - '0');
	}
	*max = n;
	return n > 0;
}

/* ---- answering ---- */

static void
items_send(struct request *q, const char *node, struct items *l)
{
	struct xmlw w = reply_begin(&q->reply);
	size_t shown = 0;

	l->page.cost = items_cost_cb;
	l->page.arg = l;
	page_choose(&l->page);
	xmlw_open(&w, "pubsub", NS_PUBSUB);
	xmlw_open(&w, "items", NULL);
	xmlw_attrz(&w, "node", node);
	for (size_t i = l->page.from; i < l->page.to; i++) {
		const struct items_entry *e = &l->v[l->page.v[i].data];
		struct hub_item item = hub_reading_head(l->reading, e->place);

		item.json = (struct str){ l->json.data + e->at, e->n };
		if (e->n > 0)
			notify_write_item(&w, &item);
		shown += e->n > 0;
	}
	xmlw_close(&w);
	page_write(&l->page, &w);
	reply_end(&q->reply, &w);
	hub_shown(q->reply.service->o.hub, q->reply.service->o.jid, q->reader, str_of(node),
	    shown);
}

static void
items_free(struct items *l)
{
	hub_reading_free(l->reading);
	mem_free(l->v);
	page_free(&l->page);
	buf_free(&l->json);
}

/* A subid must be that of a subscription of the reader (§6.5.9.2). */
static bool
items_subid_fits(const struct request *q, const char *node, const char *subid)
{
	const struct reader *r = book_reader(q->reply.service->book, q->reader);
	const struct subscription *sub;

	if (subid == NULL)
		return true;
	if (r == NULL)
		return false;
	TAILQ_FOREACH(sub, &r->subs, of_reader)
		if (strcmp(sub->subid, subid) == 0 && strcmp(sub->node, node) == 0)
			return true;
	return false;
}

void
pubsub_items(struct request *q, const struct xml *x)
{
	struct service *s = q->reply.service;
	const char *node = xml_attr(x, "node");
	struct items l = { .wanted = xml_child(x, NS_PUBSUB, "item") ? x : NULL };
	size_t max;

	if (node == NULL) {
		reply_fault(&q->reply, FAULT_NODE_REQUIRED);
	} else if (service_admit(s, q->reader, node, NULL) != ERR_OK) {
		reply_fault(&q->reply, FAULT_CLOSED_NODE);
	} else if (request_waits(q, node, pubsub_request)) {
		return;
	} else if (!items_subid_fits(q, node, xml_attr(x, "subid"))) {
		reply_fault(&q->reply, FAULT_INVALID_SUBID);
	} else if (!page_read(q->query, &l.page) || !items_max(x, &max)) {
		reply_fault(&q->reply, FAULT_BAD_REQUEST);
	} else if (hub_read(s->o.hub, str_of(node), q->reader, &l.reading) == ERR_OK) {
		for (size_t i = 0; i < hub_reading_size(l.reading); i++)
			items_add(&l, i);
		items_keep_newest(&l, max);
		items_send(q, node, &l);
		items_free(&l);
	}
}
