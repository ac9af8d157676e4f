/* SPDX-License-Identifier: MIT */
/* router: who handles a stanza, from a table by type and namespace; and how
 * requests are answered. */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/metric.h"
#include "xmpp/service_priv.h"

enum { ROUTE_GET = 1, ROUTE_SET = 2 };

static void
router_ping(struct request *q)
{
	reply_empty(&q->reply); /* XEP-0199 §4 */
}

static const struct route {
	unsigned types;
	const char *ns, *name;
	request_cb *handle;
} routes[] = {
	{ ROUTE_GET, NS_DISCO_INFO, "query", disco_info },
	{ ROUTE_GET, NS_DISCO_ITEMS, "query", disco_items },
	{ ROUTE_GET, NS_VERSION, "query", disco_version },
	{ ROUTE_GET, NS_PING, "ping", router_ping },
	{ ROUTE_SET, NS_COMMANDS, "command", commands_request },
	{ ROUTE_GET | ROUTE_SET, NS_PUBSUB, "pubsub", pubsub_request },
	{ ROUTE_GET | ROUTE_SET, NS_PUBSUB_OWNER, "pubsub", pubsub_request },
};

/* ---- answers ---- */

struct xmlw
service_begin(struct service *s, const char *name)
{
	struct xmlw w = xmlw_to(&s->out);

	buf_clear(&s->out);
	xmlw_open(&w, name, NULL);
	return w;
}

bool
service_send(struct service *s)
{
	if (s->out.failed)
		return false;
	s->o.sink->send(s->o.sink_arg, buf_view(&s->out));
	return true;
}

struct xmlw
reply_open(const struct reply *r, const char *type)
{
	struct xmlw w = service_begin(r->service, "iq");

	xmlw_attrz(&w, "type", type);
	xmlw_attrz(&w, "from", r->from);
	xmlw_attrz(&w, "to", r->to);
	xmlw_attrz(&w, "id", r->id);
	return w;
}

struct xmlw
reply_begin(const struct reply *r)
{
	return reply_open(r, "result");
}

void
reply_end(const struct reply *r, struct xmlw *w)
{
	while (w->depth > 0)
		xmlw_close(w);
	if (!service_send(r->service))
		reply_fault(r, FAULT_INTERNAL);
}

void
reply_empty(const struct reply *r)
{
	struct xmlw w = reply_begin(r);

	reply_end(r, &w);
}

static void
reply_error(const struct reply *r, enum fault f, const char *feature)
{
	struct xmlw w = reply_open(r, "error");

	stanza_fault(&w, f, feature);
	xmlw_close(&w);
	service_send(r->service); /* small; or addresses beyond all measure */
}

void
reply_fault(const struct reply *r, enum fault f)
{
	reply_error(r, f, NULL);
}

void
reply_unsupported(const struct reply *r, const char *feature)
{
	reply_error(r, FAULT_UNSUPPORTED, feature);
}

/* ---- answers that wait ---- */

void
answer_free(struct answer *a)
{
	LIST_REMOVE(a, link);
	a->reply.service->n_answers--;
	mem_free((char *)a->reply.to);
	mem_free((char *)a->reply.from);
	mem_free((char *)a->reply.id);
	mem_free(a->node);
	mem_free(a->jid);
	xml_copy_free(a->query);
	cold_wait_free(a->wait);
	loop_timer_free(a->end);
	mem_free(a);
}

struct answer *
answer_new(const struct request *q, void (*cb)(struct answer *a, enum err e))
{
	struct service *s = q->reply.service;
	struct answer *a;

	if (s->n_answers == SERVICE_ANSWERS_MAX) {
		reply_fault(&q->reply, FAULT_INTERNAL);
		return NULL;
	}
	MEM_NEW(a);
	a->reply = (struct reply){ s, mem_strdup(q->reply.to), mem_strdup(q->reply.from),
		mem_strdup(q->reply.id) };
	a->from = q->from;
	a->cb = cb;
	LIST_INSERT_HEAD(&s->answers, a, link);
	s->n_answers++;
	return a;
}

static void
answer_flushed_cb(void *arg, enum err e)
{
	struct answer *a = arg;

	a->cb(a, e);
	answer_free(a);
}

void
answer_after_flush(struct answer *a)
{
	a->reply.service->unsaved = false;
	kvs_flush(a->reply.service->o.kvs, answer_flushed_cb, a);
}

/* The states are there: the request is one like any other, and asked anew whether it
 * is allowed. */
static void
request_again_cb(void *arg)
{
	struct answer *a = arg;
	struct request q = { .reply = a->reply, .set = a->set, .query = a->query, .from = a->from };

	q.reader = address_bare(&q.from);
	a->handle(&q);
	answer_free(a);
}

static void
request_late_cb(void *arg)
{
	struct answer *a = arg;

	reply_fault(&a->reply, FAULT_BUSY);
	answer_free(a);
}

bool
request_waits(struct request *q, const char *node, request_cb *handle)
{
	struct service *s = q->reply.service;
	struct answer *a;
	struct cold_wait *wait = hub_warm(s->o.hub, str_of(node));

	if (wait == NULL)
		return false;
	a = answer_new(q, NULL);
	if (a == NULL) {
		cold_wait_free(wait);
		return true;
	}
	a->query = xml_copy(q->query);
	a->handle = handle;
	a->set = q->set;
	a->wait = wait;
	cold_wait_calls(wait, request_again_cb, a);
	a->end = loop_timer_new(s->o.loop, request_late_cb, a);
	loop_timer_once(a->end, SERVICE_AWAY_MS);
	return true;
}

/* ---- stanzas ---- */

static void
router_ignore(void)
{
	metric_add(METRIC_XMPP_IGNORED, 1);
}

/* RFC 6120 §8.2.3: a request has exactly one child. */
static void
router_request(struct service *s, const struct xml *iq, bool set)
{
	struct request q = {
		.reply = { s, xml_attr(iq, "from"), xml_attr(iq, "to"), xml_attr(iq, "id") },
		.set = set,
		.query = iq->first,
	};

	if (q.reply.id == NULL || q.query == NULL || q.query->next != NULL) {
		reply_fault(&q.reply, FAULT_BAD_REQUEST);
		return;
	}
	/* Answers can be a hundred times what asks for them. */
	if (s->o.sink->busy(s->o.sink_arg)) {
		reply_fault(&q.reply, FAULT_BUSY);
		return;
	}
	if (address_read(q.reply.to, &q.from))
		q.reader = address_bare(&q.from);
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		if (!xml_is(q.query, routes[i].ns, routes[i].name))
			continue;
		if (strcasecmp(q.reply.from, s->o.jid) != 0)
			break; /* nobody lives at local@component or component/resource */
		if (routes[i].types & (set ? ROUTE_SET : ROUTE_GET))
			routes[i].handle(&q);
		else
			reply_fault(&q.reply, FAULT_BAD_REQUEST);
		return;
	}
	reply_fault(&q.reply, FAULT_UNAVAILABLE); /* RFC 6120 §8.4 */
}

static void
router_iq(struct service *s, const struct xml *iq)
{
	const char *type = xml_attr(iq, "type");
	struct reply r = { s, xml_attr(iq, "from"), xml_attr(iq, "to"), xml_attr(iq, "id") };

	if (type != NULL && (strcmp(type, "get") == 0 || strcmp(type, "set") == 0))
		router_request(s, iq, type[0] == 's');
	else if (type == NULL || (strcmp(type, "result") != 0 && strcmp(type, "error") != 0))
		reply_fault(&r, FAULT_BAD_REQUEST);
	else if (!notify_pong(s, iq))
		router_ignore(); /* an error is never answered */
}

static void
router_message(struct service *s, const struct xml *x)
{
	const char *type = xml_attr(x, "type");

	if (type != NULL && strcmp(type, "error") == 0)
		presence_bounce(s, x);
	else
		router_ignore();
}

/* Whether an address is of our domain: alone, or with local part or resource. */
static bool
router_is_ours(const struct service *s, const char *to)
{
	size_t n = strcspn(to, "/");
	const char *at = memchr(to, '@', n);
	const char *domain = at != NULL ? at + 1 : to;

	n -= (size_t)(domain - to);
	return n == strlen(s->o.jid) && strncasecmp(domain, s->o.jid, n) == 0;
}

static bool
router_is_addressed(const struct service *s, const struct xml *x)
{
	const char *from = xml_attr(x, "from"), *to = xml_attr(x, "to");

	return strcmp(x->ns, NS_COMPONENT) == 0 && from != NULL && from[0] != '\0' && to != NULL &&
	    router_is_ours(s, to);
}

void
service_stanza(struct service *s, const struct xml *x)
{
	metric_add(METRIC_XMPP_IN, 1);
	if (!router_is_addressed(s, x))
		router_ignore();
	else if (strcmp(x->name, "iq") == 0)
		router_iq(s, x);
	else if (strcmp(x->name, "presence") == 0)
		presence_stanza(s, x);
	else if (strcmp(x->name, "message") == 0)
		router_message(s, x);
	else
		router_ignore();
}

/* Beyond a limit of the reader: one stanza costs its sender one error. */
void
service_refused(struct service *s, const struct xml *head)
{
	const char *type = xml_attr(head, "type");

	metric_add(METRIC_XMPP_IN, 1);
	router_ignore();
	if (router_is_addressed(s, head) && strcmp(head->name, "iq") == 0 && type != NULL &&
	    (strcmp(type, "get") == 0 || strcmp(type, "set") == 0)) {
		struct reply r = { s, xml_attr(head, "from"), xml_attr(head, "to"),
			xml_attr(head, "id") };

		reply_fault(&r, FAULT_TOO_LARGE);
	}
}
