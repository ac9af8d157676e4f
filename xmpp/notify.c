/* SPDX-License-Identifier: MIT */
/* notify: the hub's door. Items leave as headline messages, many in one
 * (XEP-0060 §7.1.2); how many are under way is bounded by the answers to pings:
 * the answer to a ping says that the server has dealt with all before it. */
#include <stdio.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/datetime.h"
#include "xmpp/service_priv.h"

/* An item leaves at most this around its JSON: id and datatype (255 bytes each
 * at most, nothing in them to escape) and the elements. */
#define NOTIFY_ITEM_BYTES 700
/* What is left of a stanza when addresses and node are as long as can be. */
#define NOTIFY_BATCH_BYTES 50000
#define NOTIFY_PING_MS 60000 /* a ping not answered by then never will be */

void
notify_write_item(struct xmlw *w, const struct hub_item *item)
{
	xmlw_open(w, "item", NULL);
	xmlw_attrz(w, "id", item->id);
	xmlw_open(w, "payload", NS_JSON_MSG); /* XEP-0432 §2.2 */
	xmlw_attrz(w, "datatype", item->datatype);
	xmlw_open(w, "json", NS_JSON); /* XEP-0335 §3 */
	xmlw_text(w, item->json);
	xmlw_close(w);
	xmlw_close(w);
	xmlw_close(w);
}

static struct xmlw
notify_open(struct service *s, const char *to, const char *type)
{
	struct xmlw w = service_begin(s, "message");
	char id[32];

	snprintf(id, sizeof id, "n%llu", (unsigned long long)++s->messages);
	xmlw_attrz(&w, "from", s->o.jid);
	xmlw_attrz(&w, "to", to);
	xmlw_attrz(&w, "type", type);
	xmlw_attrz(&w, "id", id);
	return w;
}

/* XEP-0060 §7.1.2: each notification has an id; §12.6: headline, so that no
 * server keeps it for later, also where there is a body. */
static struct xmlw
notify_message(struct service *s, const char *to)
{
	struct xmlw w = notify_open(s, to, "headline");

	xmlw_open(&w, "event", NS_PUBSUB_EVENT);
	return w;
}

/* ---- flow control ---- */

static unsigned
notify_quarter(const struct service *s)
{
	return s->o.window < 4 ? 1 : s->o.window / 4;
}

static bool
notify_has_room(const struct service *s)
{
	return s->up && s->in_flight < s->o.window && s->o.sink->bulk(s->o.sink_arg);
}

/* XEP-0199, after every quarter of the window. */
static void
notify_ping(struct service *s)
{
	struct service_credit *c = &s->credit[s->n_credit++];
	char id[32];

	*c = (struct service_credit){ ++s->pings, s->since_ping, loop_now_ms(s->o.loop) };
	s->since_ping = 0;
	snprintf(id, sizeof id, "credit-%llu", (unsigned long long)c->id);
	buf_clear(&s->out);
	stanza_ping(&s->out, s->o.jid, s->o.server, id);
	service_send(s);
}

static void
notify_ping_if_due(struct service *s)
{
	if (s->since_ping >= notify_quarter(s) && s->n_credit < SERVICE_CREDITS)
		notify_ping(s);
}

static void
notify_sent(struct service *s)
{
	s->in_flight++;
	s->since_ping++;
	notify_ping_if_due(s);
}

/* The first n pings under way are answered, or given up. What left while there
 * were too many of them has none of its own yet: no item could follow it. */
static void
notify_credit(struct service *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s->in_flight -= s->credit[i].messages;
	s->n_credit -= n;
	memmove(s->credit, s->credit + n, s->n_credit * sizeof *s->credit);
	if (s->up)
		notify_ping_if_due(s);
	if (notify_has_room(s))
		hub_door_ready(s->door);
}

/* A result and an error are the same to us: it came back. */
bool
notify_pong(struct service *s, const struct xml *iq)
{
	const char *id = xml_attr(iq, "id"), *from = xml_attr(iq, "from");
	char ours[32];

	if (id == NULL || strcasecmp(from, s->o.server) != 0)
		return false;
	for (size_t i = 0; i < s->n_credit; i++) {
		snprintf(ours, sizeof ours, "credit-%llu", (unsigned long long)s->credit[i].id);
		if (strcmp(id, ours) == 0) {
			notify_credit(s, i + 1);
			return true;
		}
	}
	return false;
}

/* A server domain that does not answer pings must not stop the items for ever;
 * they then trickle, a window at a time. */
void
notify_lost_pings(struct service *s, uint64_t now_ms)
{
	size_t lost = 0;

	while (lost < s->n_credit && s->credit[lost].sent_ms + NOTIFY_PING_MS <= now_ms)
		lost++;
	if (lost == 0)
		return;
	if (!s->said_unanswered)
		log_warning("xmpp jid=%s server=%s does not answer pings; items flow slowly. "
		    "Is it the domain of the XMPP server?", s->o.jid, s->o.server);
	s->said_unanswered = true;
	notify_credit(s, lost);
}

void
notify_reset(struct service *s)
{
	s->in_flight = s->since_ping = 0;
	s->n_credit = 0;
	s->said_unanswered = false;
}

/* ---- items ---- */

/* Closes <items/> and <event/>, then pubsub#include_body, then the message. The
 * sentence tells no more than the node's name does. */
static void
notify_body(struct xmlw *w, const struct subscription *sub, size_t n, const char *what)
{
	char text[NODE_MAX + 64];

	while (w->depth > 1)
		xmlw_close(w);
	snprintf(text, sizeof text, "%s: %zu item%s %s", sub->node, n, n == 1 ? "" : "s", what);
	if (sub->o.body)
		xmlw_textz(w, "body", text);
	xmlw_close(w);
}

/* XEP-0060 §6.1.7, XEP-0203 §4: what is sent although it did not change now. One
 * live item makes the message a live one. */
static void
notify_delay(struct xmlw *w, const struct service *s, const struct hub_item *items, size_t n)
{
	char stamp[DATETIME_SIZE];
	int64_t newest = 0;

	for (size_t i = 0; i < n; i++) {
		if (!items[i].old)
			return;
		if (items[i].time_us > newest)
			newest = items[i].time_us;
	}
	datetime_write(newest, stamp);
	while (w->depth > 1)
		xmlw_close(w);
	xmlw_open(w, "delay", NS_DELAY);
	xmlw_attrz(w, "from", s->o.jid);
	xmlw_attrz(w, "stamp", stamp);
	xmlw_close(w);
}

static bool
notify_deliver_cb(void *arg, struct hub_sub *hub_sub, const struct hub_item *items, size_t n)
{
	struct service *s = arg;
	const struct subscription *sub = hub_sub_user(hub_sub);
	struct xmlw w;

	if (!notify_has_room(s))
		return false;
	w = notify_message(s, sub->jid);
	xmlw_open(&w, "items", NULL);
	xmlw_attrz(&w, "node", sub->node);
	for (size_t i = 0; i < n; i++)
		notify_write_item(&w, &items[i]);
	notify_delay(&w, s, items, n);
	notify_body(&w, sub, n, "changed");
	if (service_send(s)) {
		notify_sent(s);
	} else {
		metric_add(METRIC_XMPP_TOO_LARGE, n);
		log_warning("xmpp jid=%s node=%s item=%s is too large for a stanza and is skipped "
		    "bytes=%zu", s->o.jid, sub->node, items[0].id, items[0].json.n);
	}
	return true;
}

/* XEP-0060 §7.2.2.1 */
static bool
notify_retract_cb(void *arg, struct hub_sub *hub_sub, const char *const *ids, size_t n)
{
	struct service *s = arg;
	const struct subscription *sub = hub_sub_user(hub_sub);
	struct xmlw w;

	if (!notify_has_room(s))
		return false;
	w = notify_message(s, sub->jid);
	xmlw_open(&w, "items", NULL);
	xmlw_attrz(&w, "node", sub->node);
	for (size_t i = 0; i < n; i++) {
		xmlw_open(&w, "retract", NULL);
		xmlw_attrz(&w, "id", ids[i]);
		xmlw_close(&w);
	}
	notify_body(&w, sub, n, "removed");
	if (service_send(s))
		notify_sent(s);
	return true;
}

/* <purge node=''/> or <delete node=''/> */
static void
notify_tell(struct service *s, const struct subscription *sub, const char *what)
{
	struct xmlw w = notify_message(s, sub->jid);

	xmlw_open(&w, what, NULL);
	xmlw_attrz(&w, "node", sub->node);
	while (w.depth > 0)
		xmlw_close(&w);
	if (service_send(s))
		notify_sent(s);
}

/* XEP-0060 §8.5.2 */
static bool
notify_purge_cb(void *arg, struct hub_sub *hub_sub)
{
	struct service *s = arg;

	if (!notify_has_room(s))
		return false;
	notify_tell(s, hub_sub_user(hub_sub), "purge");
	return true;
}

/* A headline to a session that is gone is dropped without a word, and an iq is
 * answered alike by servers and by clients that do not know it. But a message
 * of type groupchat to a full JID reaches its session or comes back as an error
 * (RFC 6121 §8.5.3.2.1), and an empty one means nothing to anybody. */
void
notify_probe(struct service *s, const char *jid)
{
	struct xmlw w = notify_open(s, jid, "groupchat");

	xmlw_close(&w);
	if (service_send(s))
		notify_sent(s);
}

/* ---- begin and end ---- */

void
notify_hold(struct service *s, struct subscription *sub)
{
	if (sub->hub != NULL)
		hub_sub_hold(sub->hub, !sub->o.deliver || !book_is_shown(s->book, sub));
}

enum err
notify_adapt(struct service *s, struct subscription *sub)
{
	uint32_t interval = options_interval(&sub->o);
	enum err e = ERR_OK;

	if (sub->hub != NULL)
		hub_sub_interval(sub->hub, interval);
	else
		e = hub_subscribe(s->door, str_of(sub->node), str_of(sub->reader->jid), interval,
		    sub, &sub->hub);
	notify_hold(s, sub);
	return e;
}

enum err
notify_begin(struct service *s, struct subscription *sub)
{
	bool again = sub->hub != NULL;
	enum err e = notify_adapt(s, sub);

	if (again)
		hub_sub_refresh(sub->hub);
	return e;
}

/* XEP-0060 §12.13: tells of an end that the subscriber did not ask for. */
static void
notify_tell_end(struct service *s, const struct subscription *sub)
{
	struct xmlw w = notify_message(s, sub->jid);

	xmlw_open(&w, "subscription", NULL);
	xmlw_attrz(&w, "node", sub->node);
	xmlw_attrz(&w, "jid", sub->jid);
	xmlw_attrz(&w, "subid", sub->subid);
	xmlw_attrz(&w, "subscription", "none");
	while (w.depth > 0)
		xmlw_close(&w);
	if (s->up && service_send(s))
		notify_sent(s);
}

void
notify_end(struct service *s, struct subscription *sub, bool tell)
{
	if (sub->hub != NULL)
		hub_unsubscribe(sub->hub);
	sub->hub = NULL;
	store_remove(s, sub);
	if (tell)
		notify_tell_end(s, sub);
	book_remove(s->book, sub);
}

/* The roster ended it: the hub has let go of it already. Of a node that is gone
 * for everybody that is told first (XEP-0060 §8.4.2). */
static void
notify_ended_cb(void *arg, struct hub_sub *hub_sub)
{
	struct service *s = arg;
	struct subscription *sub = hub_sub_user(hub_sub);

	sub->hub = NULL;
	if (s->up && hub_sub_is_deleted(hub_sub))
		notify_tell(s, sub, "delete");
	notify_end(s, sub, true);
}

const struct hub_door_ops notify_door_ops = {
	.deliver = notify_deliver_cb,
	.ended = notify_ended_cb,
	.retract = notify_retract_cb,
	.purge = notify_purge_cb,
	.batch_bytes = NOTIFY_BATCH_BYTES,
	.item_bytes = NOTIFY_ITEM_BYTES,
};
