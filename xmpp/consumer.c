/* SPDX-License-Identifier: MIT */
/* consumer: the stream and the requests on it. There is at most one request of
 * each kind under way; when one is answered, lost or refused, consumer_next looks
 * what is due. */
#include "xmpp/consumer_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

/* ---- asking ---- */

struct xmlw
consumer_ask(struct consumer *c, enum consumer_ask what, const char *type)
{
	struct xmlw w = xmlw_to(&c->out);
	char id[32];

	buf_clear(&c->out);
	c->asked[what] = ++c->asks;
	c->asked_ms[what] = loop_now_ms(c->o.loop);
	snprintf(id, sizeof id, "f%" PRIu64, c->asks);
	xmlw_open(&w, "iq", NULL);
	xmlw_attrz(&w, "type", type);
	xmlw_attrz(&w, "from", c->o.jid);
	xmlw_attrz(&w, "to", c->o.service);
	xmlw_attrz(&w, "id", id);
	xmlw_open(&w, "pubsub", NS_PUBSUB);
	return w;
}

void
consumer_send(struct consumer *c, struct xmlw *w)
{
	while (w->depth > 0)
		xmlw_close(w);
	link_send(c->link, buf_view(&c->out)); /* a stream that is lost loses it: asked again */
}

static void
consumer_ask_page(struct consumer *c, enum consumer_ask what, const char *node, const char *after)
{
	struct xmlw w = consumer_ask(c, what, "get");

	xmlw_open(&w, "items", NULL);
	xmlw_attrz(&w, "node", node);
	xmlw_close(&w);
	xmlw_open(&w, "set", NS_RSM);
	if (what == ASK_EVENTS) {
		xmlw_open(&w, "max", NULL);
		xmlw_text(&w, STR_LIT("250"));
		xmlw_close(&w);
	}
	if (after != NULL && after[0] != '\0')
		xmlw_textz(&w, "after", after);
	consumer_send(c, &w);
}

static void
consumer_subscribe(struct consumer *c)
{
	struct xmlw w = consumer_ask(c, ASK_SUBSCRIBE, "set");

	xmlw_open(&w, "subscribe", NULL);
	xmlw_attrz(&w, "node", NODE_EVENTS_ALL);
	xmlw_attrz(&w, "jid", c->o.jid);
	consumer_send(c, &w);
}

/* The first node whose states are not all back. */
static struct consumer_node *
consumer_to_restore(const struct consumer *c)
{
	for (size_t i = 0; i < c->n_nodes; i++)
		if (!c->node[i].restored)
			return &c->node[i];
	return NULL;
}

static bool
consumer_may_ask(const struct consumer *c, enum consumer_ask what)
{
	return c->asked[what] == 0 && loop_now_ms(c->o.loop) >= c->not_before_ms[what];
}

void
consumer_next(struct consumer *c)
{
	struct consumer_node *n = consumer_to_restore(c);

	if (!c->up)
		return;
	if (!c->subscribed && consumer_may_ask(c, ASK_SUBSCRIBE))
		consumer_subscribe(c);
	if (n != NULL) {
		if (consumer_may_ask(c, ASK_RESTORE))
			consumer_ask_page(c, ASK_RESTORE, n->name, n->after);
		return;
	}
	if (c->subscribed && c->more && consumer_may_ask(c, ASK_EVENTS))
		consumer_ask_page(c, ASK_EVENTS, NODE_EVENTS_ALL, c->after);
	if (consumer_may_ask(c, ASK_PUBLISH))
		consumer_publish(c);
}

/* ---- answers ---- */

void
consumer_fail(struct consumer *c, const char *what, const struct xml *iq)
{
	const struct xml *error = iq != NULL ? xml_child(iq, NS_COMPONENT, "error") : NULL;
	const struct xml *text = xml_child(error, NS_STANZAS, "text");
	const char *condition = error != NULL && error->first != NULL ? error->first->name : "no answer";
	char said[CONSUMER_DETAIL_MAX];

	snprintf(said, sizeof said, "%s: %.60s%s%.100s", what, condition, text ? ": " : "",
	    text ? text->text.p : "");
	if (strcmp(said, c->error) != 0)
		log_warning("component jid=%s service=%s %s; trying again", c->o.jid, c->o.service, said);
	memcpy(c->error, said, sizeof said);
}

static bool
consumer_may_pass(const struct xml *iq)
{
	const struct xml *error = xml_child(iq, NS_COMPONENT, "error");
	const char *type = error != NULL ? xml_attr(error, "type") : NULL;

	return type == NULL || strcmp(type, "modify") != 0;
}

static const struct xml *
consumer_items(const struct xml *iq)
{
	return xml_child(xml_child(iq, NS_PUBSUB, "pubsub"), NS_PUBSUB, "items");
}

static struct str
consumer_json(const struct xml *item)
{
	const struct xml *json = xml_child(xml_child(item, NS_JSON_MSG, "payload"), NS_JSON, "json");

	return json != NULL ? json->text : (struct str){ "", 0 };
}

/* Where the feed is taken up again: behind what all reducers have acknowledged. */
static void
consumer_restored(struct consumer *c)
{
	uint64_t from = UINT64_MAX;

	for (size_t i = 0; i < c->n_nodes; i++)
		if (c->node[i].acked < from)
			from = c->node[i].acked;
	mem_free(c->after);
	c->after = from > 0 ? mem_printf("%" PRIu64, from) : mem_strdup("");
	c->processed = from;
	c->more = true;
	log_notice("component jid=%s states=%" PRIu64 " position=%" PRIu64, c->o.jid,
	    metric_value[METRIC_STATES], from);
}

static void
consumer_restore_page(struct consumer *c, const struct xml *iq)
{
	struct consumer_node *n = consumer_to_restore(c);
	const struct xml *items = consumer_items(iq), *x = items != NULL ? items->first : NULL;
	bool any = x != NULL;

	for (; x != NULL; x = x->next) {
		const char *id = xml_attr(x, "id");

		if (id == NULL || !consumer_restore(c, n, id, consumer_json(x)))
			log_error("component jid=%s node=%s item=%s cannot be read back; it is folded "
			    "anew from what the feed still has", c->o.jid, n->name, id ? id : "");
		mem_free(n->after);
		n->after = mem_strdup(id);
	}
	n->restored = !any;
	if (consumer_to_restore(c) == NULL)
		consumer_restored(c);
}

static void
consumer_events_page(struct consumer *c, const struct xml *iq)
{
	const struct xml *items = consumer_items(iq), *x = items != NULL ? items->first : NULL;

	c->more = x != NULL;
	c->polled_ms = loop_now_ms(c->o.loop);
	for (; x != NULL; x = x->next) {
		const char *id = xml_attr(x, "id");

		if (id == NULL)
			continue;
		if (!consumer_fold(c, id, consumer_json(x)))
			log_error("component jid=%s event=%s does not read, left out", c->o.jid, id);
		mem_free(c->after);
		c->after = mem_strdup(id);
	}
}

static void
consumer_refused(struct consumer *c, enum consumer_ask what, const struct xml *iq)
{
	static const char *const names[] = { "subscribing", "reading states", "reading events",
		"publishing" };

	c->not_before_ms[what] = loop_now_ms(c->o.loop) + CONSUMER_RETRY_MS;
	consumer_fail(c, names[what], iq);
	if (what == ASK_PUBLISH)
		consumer_unpublished(c, iq != NULL && !consumer_may_pass(iq));
}

static void
consumer_answered(struct consumer *c, enum consumer_ask what, const struct xml *iq)
{
	c->error[0] = '\0';
	switch (what) {
	case ASK_SUBSCRIBE:
		c->subscribed = c->more = true;
		break;
	case ASK_RESTORE:
		consumer_restore_page(c, iq);
		break;
	case ASK_EVENTS:
		consumer_events_page(c, iq);
		break;
	default:
		consumer_published(c);
	}
}

/* Only answers of the service to what was asked last count. */
static void
consumer_iq(struct consumer *c, const struct xml *iq)
{
	const char *type = xml_attr(iq, "type"), *id = xml_attr(iq, "id");
	bool error = type != NULL && strcmp(type, "error") == 0;
	uint64_t number = id != NULL && id[0] == 'f' ? strtoull(id + 1, NULL, 10) : 0;

	for (size_t i = 0; number > 0 && i < CONSUMER_ASKS; i++) {
		if (c->asked[i] != number)
			continue;
		c->asked[i] = 0;
		if (error)
			consumer_refused(c, (enum consumer_ask)i, iq);
		else
			consumer_answered(c, (enum consumer_ask)i, iq);
		consumer_next(c);
		return;
	}
}

/* XEP-0199 and whatever else is asked of us: we offer nothing. */
static void
consumer_request(struct consumer *c, const struct xml *iq)
{
	bool ping = xml_child(iq, NS_PING, "ping") != NULL;
	struct xmlw w = xmlw_to(&c->out);

	buf_clear(&c->out);
	xmlw_open(&w, "iq", NULL);
	xmlw_attrz(&w, "type", ping ? "result" : "error");
	xmlw_attrz(&w, "from", xml_attr(iq, "to"));
	xmlw_attrz(&w, "to", xml_attr(iq, "from"));
	xmlw_attrz(&w, "id", xml_attr(iq, "id"));
	if (!ping)
		stanza_fault(&w, FAULT_UNAVAILABLE, NULL);
	consumer_send(c, &w);
}

static void
consumer_stanza_cb(void *arg, const struct xml *x)
{
	struct consumer *c = arg;
	const char *from = xml_attr(x, "from"), *type = xml_attr(x, "type");
	bool ours = from != NULL && strcasecmp(from, c->o.service) == 0;

	metric_add(METRIC_XMPP_IN, 1);
	if (strcmp(x->name, "iq") == 0 && type != NULL && from != NULL &&
	    (strcmp(type, "get") == 0 || strcmp(type, "set") == 0)) {
		consumer_request(c, x);
	} else if (strcmp(x->name, "iq") == 0 && ours) {
		consumer_iq(c, x);
	} else if (ours && xml_child(x, NS_PUBSUB_EVENT, "event") != NULL) {
		c->more = true;
		consumer_next(c);
	}
}

/* ---- the stream ---- */

static void
consumer_up_cb(void *arg)
{
	struct consumer *c = arg;

	c->up = true;
	c->subscribed = false;
	consumer_next(c);
}

static void
consumer_down_cb(void *arg)
{
	struct consumer *c = arg;

	c->up = false;
	if (c->asked[ASK_PUBLISH] != 0)
		consumer_unpublished(c, false);
	memset(c->asked, 0, sizeof c->asked);
}

static void
consumer_refused_cb(void *arg, const struct xml *head)
{
	(void)arg, (void)head;
	metric_add(METRIC_XMPP_IGNORED, 1);
}

static void
consumer_room_cb(void *arg)
{
	(void)arg;
}

static const struct link_ops consumer_link_ops = {
	.up = consumer_up_cb,
	.down = consumer_down_cb,
	.stanza = consumer_stanza_cb,
	.refused = consumer_refused_cb,
	.room = consumer_room_cb,
};

/* Requests without an answer are asked again; the feed is asked now and then. */
static void
consumer_tick_cb(void *arg)
{
	struct consumer *c = arg;
	uint64_t now = loop_now_ms(c->o.loop);

	for (size_t i = 0; i < CONSUMER_ASKS; i++)
		if (c->asked[i] != 0 && c->asked_ms[i] + CONSUMER_TIMEOUT_MS <= now) {
			c->asked[i] = 0;
			consumer_refused(c, (enum consumer_ask)i, NULL);
		}
	if (c->polled_ms + CONSUMER_POLL_MS <= now)
		c->more = true;
	consumer_next(c);
}

/* ---- life ---- */

static void
consumer_nodes(struct consumer *c)
{
	while (c->o.reducers[c->n_nodes] != NULL)
		c->n_nodes++;
	c->node = mem_zalloc((c->n_nodes + 1) * sizeof *c->node);
	for (size_t i = 0; i < c->n_nodes; i++) {
		c->node[i].reducer = c->o.reducers[i];
		c->node[i].name = mem_printf(NODE_STATE "%s", c->o.reducers[i]->id);
	}
}

struct consumer *
consumer_new(const struct consumer_options *o, char **why)
{
	struct engine_options eo = { .reducers = o->reducers };
	struct link_options lo = {
		.host = o->host, .port = o->port, .jid = o->jid, .server = o->server,
		.secret_file = o->secret_file, .insecure_ok = o->insecure_ok,
		.idle_ms = o->idle_ms,
	};
	struct engine *e = engine_new(&eo, why);
	struct consumer *c;

	if (e == NULL)
		return NULL;
	MEM_NEW(c);
	c->o = *o;
	c->o.jid = mem_strdup(o->jid);
	c->o.service = mem_strdup(o->service);
	c->engine = e;
	c->doc = json_doc_new();
	c->sessions = map_new();
	c->batch_max = CONSUMER_PUBLISH_ITEMS;
	c->parts = BUF_INIT(CONSUMER_EVENT_MAX);
	TAILQ_INIT(&c->dirty);
	TAILQ_INIT(&c->under_way);
	TAILQ_INIT(&c->stuck);
	consumer_nodes(c);
	c->link = link_new(o->loop, &lo, o->secret, &consumer_link_ops, c);
	c->tick = loop_timer_new(o->loop, consumer_tick_cb, c);
	return c;
}

void
consumer_start(struct consumer *c)
{
	loop_timer_every(c->tick, CONSUMER_TICK_MS);
	link_start(c->link);
}

void
consumer_stop(struct consumer *c, loop_cb *cb, void *arg)
{
	loop_timer_stop(c->tick);
	link_stop(c->link, cb, arg);
}

void
consumer_free(struct consumer *c)
{
	if (c == NULL)
		return;
	link_free(c->link);
	loop_timer_free(c->tick);
	consumer_publish_free(c);
	consumer_forget_sessions(c);
	map_free(c->sessions, NULL);
	engine_free(c->engine);
	for (size_t i = 0; i < c->n_nodes; i++) {
		mem_free(c->node[i].name);
		mem_free(c->node[i].after);
	}
	mem_free(c->node);
	mem_free(c->after);
	json_doc_free(c->doc);
	buf_free(&c->out);
	buf_free(&c->text);
	buf_free(&c->parts);
	mem_free((char *)c->o.jid);
	mem_free((char *)c->o.service);
	mem_free(c);
}

struct engine *
consumer_engine(struct consumer *c)
{
	return c->engine;
}

void
consumer_status(const struct consumer *c, struct jsonw *w)
{
	enum link_state s = link_state(c->link);
	uint64_t acked = UINT64_MAX;

	for (size_t i = 0; i < c->n_nodes; i++)
		if (c->node[i].acked < acked)
			acked = c->node[i].acked;
	jsonw_kz(w, "jid", c->o.jid);
	jsonw_kz(w, "service", c->o.service);
	jsonw_kz(w, "state", s == LINK_UP ? "up" : "down");
	jsonw_kz(w, "why", s == LINK_UP ? NULL : link_state_name(s));
	jsonw_kbool(w, "restored", consumer_to_restore(c) == NULL);
	jsonw_kbool(w, "subscribed", c->subscribed);
	jsonw_kuint(w, "position", c->processed);
	jsonw_kuint(w, "acknowledged", acked);
	jsonw_kuint(w, "events", c->events);
	jsonw_kuint(w, "published", c->published);
	jsonw_kuint(w, "waiting", consumer_waiting(c));
	jsonw_kz(w, "last_error", c->error[0] != '\0' ? c->error : NULL);
}
