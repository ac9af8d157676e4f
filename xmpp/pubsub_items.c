/* SPDX-License-Identifier: MIT */
/* pubsub_items: retrieving items (XEP-0060 §6.5), paged when they do not fit
 * one stanza. Access is asked anew each time. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/metric.h"
#include "xmpp/service_priv.h"

/* Around an item's id, datatype and JSON. */
#define ITEMS_ENTRY_BYTES 192
#define ITEMS_TIME_LEN 24 /* of 2026-11-23T17:40:00.123Z, the node's "t" */

struct items_entry {
	size_t at, n; /* the JSON in `json` */
	char *datatype;
	char time[ITEMS_TIME_LEN + 1];
	bool old;     /* not among the most recent ones asked for */
};

struct items {
	const struct xml *wanted; /* <items/> with <item id=''/>s, or NULL for all */
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

static struct items_entry *
items_entry(struct items *l)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 32;
		l->v = mem_realloc(l->v, l->cap * sizeof *l->v);
	}
	l->v[l->n] = (struct items_entry){ .at = l->json.len };
	return &l->v[l->n++];
}

static bool
items_gather_cb(void *arg, const struct hub_item *item)
{
	struct items *l = arg;
	struct str id = str_of(item->id), member, time;
	size_t cost = ITEMS_ENTRY_BYTES + page_cost(id) + page_cost(str_of(item->datatype)) +
	    page_cost(item->json);
	struct items_entry *e;

	if (!items_is_wanted(l->wanted, item->id))
		return true;
	if (cost > PAGE_BYTES) { /* no stanza can carry it */
		metric_add(METRIC_XMPP_TOO_LARGE, 1);
		return true;
	}
	e = items_entry(l);
	e->n = item->json.n;
	e->datatype = mem_strdup(item->datatype);
	if (json_member_raw(item->json, "t", &member, &time) && time.n == ITEMS_TIME_LEN + 2)
		memcpy(e->time, time.p + 1, ITEMS_TIME_LEN);
	page_add(&l->page, id, cost, l->n - 1);
	return buf_str(&l->json, item->json) == ERR_OK;
}

/* ---- max_items: the most recent ones ---- */

static int
items_newest_first(const void *a, const void *b)
{
	const struct items_entry *const *x = a, *const *y = b;

	return strcmp((*y)->time, (*x)->time);
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

	page_choose(&l->page);
	xmlw_open(&w, "pubsub", NS_PUBSUB);
	xmlw_open(&w, "items", NULL);
	xmlw_attrz(&w, "node", node);
	for (size_t i = l->page.from; i < l->page.to; i++) {
		const struct items_entry *e = &l->v[l->page.v[i].data];
		struct hub_item item = { .id = l->page.v[i].id, .json = { l->json.data + e->at, e->n },
			.datatype = e->datatype };

		notify_write_item(&w, &item);
	}
	xmlw_close(&w);
	page_write(&l->page, &w);
	reply_end(&q->reply, &w);
	hub_shown(q->reply.service->o.hub, q->reply.service->o.jid, q->reader, str_of(node),
	    l->page.to - l->page.from);
}

static void
items_free(struct items *l)
{
	for (size_t i = 0; i < l->n; i++)
		mem_free(l->v[i].datatype);
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
	} else if (!items_subid_fits(q, node, xml_attr(x, "subid"))) {
		reply_fault(&q->reply, FAULT_INVALID_SUBID);
	} else if (!page_read(q->query, &l.page) || !items_max(x, &max)) {
		reply_fault(&q->reply, FAULT_BAD_REQUEST);
	} else {
		hub_items(s->o.hub, str_of(node), q->reader, items_gather_cb, &l);
		items_keep_newest(&l, max);
		items_send(q, node, &l);
		items_free(&l);
	}
}
