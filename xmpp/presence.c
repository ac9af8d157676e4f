/* SPDX-License-Identifier: MIT */
/* presence: who is there. A temporary subscription ends with the presence of
 * its full JID (XEP-0060 §12.4), or when what we sent it comes back (§12.3).
 * Presence is only believed of the address it comes from. */
#include <strings.h>

#include "base/metric.h"
#include "xmpp/service_priv.h"

#define PRESENCE_RETRY_MS 30000    /* after a bounce; doubles with each */
#define PRESENCE_RETRY_MAX_MS 3600000
#define PRESENCE_BOUNCES_MAX 5     /* a temporary subscription lives through */

struct presence_visit {
	struct service *s;
	const struct address *from;
	int64_t wall_us;
	uint64_t now_ms;
};

/* One of the reader's sessions came, went, or shows something else. */
static void
presence_show_cb(void *arg, struct subscription *sub)
{
	struct service *s = arg;

	notify_hold(s, sub);
}

static bool
presence_is_from(const struct subscription *sub, const struct address *from)
{
	return !sub->full || !from->has_resource || strcmp(sub->jid, from->full) == 0;
}

/* ---- arriving ---- */

/* A full JID that tells us it is there has its subscriptions bound to that, and
 * gets what it may have missed (§6.1.7 and the feature last-published). */
static void
presence_arrive_cb(void *arg, struct subscription *sub)
{
	struct presence_visit *v = arg;

	if (!presence_is_from(sub, v->from))
		return;
	sub->lasting = sub->lasting && !sub->full;
	sub->doubted_us = 0;
	sub->unseen = false;
	store_put(v->s, sub);
	sub->bounces = 0;
	sub->retry_ms = 0;
	if (sub->hub != NULL)
		hub_sub_refresh(sub->hub);
}

static struct xmlw
presence_open(struct service *s, const char *to, const char *type)
{
	struct xmlw w = service_begin(s, "presence");

	xmlw_attrz(&w, "type", type);
	xmlw_attrz(&w, "from", s->o.jid);
	xmlw_attrz(&w, "to", to);
	return w;
}

/* Whoever is new learns what the service can do without asking (XEP-0115 §6.1).
 * Nobody is told twice while he is there, so that two who answer each other's
 * presence come to an end. */
static void
presence_greet(struct service *s, const struct xml *x, const struct address *from)
{
	char ver[CAPS_VER_LEN + 1];
	struct xmlw w;

	if (!s->up || !s->o.sink->bulk(s->o.sink_arg) ||
	    strcasecmp(xml_attr(x, "to"), s->o.jid) != 0)
		return;
	disco_caps(s, ver);
	w = presence_open(s, from->full, NULL);
	xmlw_open(&w, "c", NS_CAPS);
	xmlw_attrz(&w, "hash", "sha-1");
	xmlw_attrz(&w, "node", CAPS_NODE);
	xmlw_attrz(&w, "ver", ver);
	xmlw_close(&w);
	xmlw_close(&w);
	service_send(s);
}

static bool
presence_goodbye_cb(void *arg, const char *full)
{
	struct service *s = arg;
	struct xmlw w;

	if (!s->o.sink->bulk(s->o.sink_arg))
		return false;
	w = presence_open(s, full, "unavailable");
	xmlw_close(&w);
	service_send(s);
	return true;
}

/* RFC 6121 §4.6.3; as many as the stream has room for. */
void
service_stop(struct service *s)
{
	if (s->up)
		book_each_lease(s->book, presence_goodbye_cb, s);
}

static void
presence_arrive(struct service *s, const struct xml *x, const struct address *from)
{
	struct presence_visit v = { .s = s, .from = from };
	const struct xml *show = xml_child(x, NS_COMPONENT, "show");

	if (!from->has_resource)
		return;
	if (book_lease(s->book, from, show != NULL ? show_read(show->text.p) : SHOW_ONLINE)) {
		presence_greet(s, x, from);
		book_each_of(s->book, address_bare(from), presence_arrive_cb, &v);
	}
	book_each_of(s->book, address_bare(from), presence_show_cb, s);
}

/* ---- leaving ---- */

/* The full JID's temporary subscriptions, and those of the bare JID once none
 * of its resources is there. */
static void
presence_leave_cb(void *arg, struct subscription *sub)
{
	struct presence_visit *v = arg;
	bool alone = sub->full || sub->reader->n_leases == 0;

	if (!sub->lasting && alone && presence_is_from(sub, v->from))
		notify_end(v->s, sub, false);
}

static void
presence_leave(struct service *s, const struct address *from)
{
	struct presence_visit v = { .s = s, .from = from };

	book_unlease(s->book, from);
	book_each_of(s->book, address_bare(from), presence_leave_cb, &v);
	book_each_of(s->book, address_bare(from), presence_show_cb, s);
}

/* ---- stanzas ---- */

/* Nobody can subscribe to our presence: we have none. */
static void
presence_refuse(struct service *s, const struct xml *x)
{
	struct xmlw w = service_begin(s, "presence");

	xmlw_attrz(&w, "type", "unsubscribed");
	xmlw_attrz(&w, "from", xml_attr(x, "to"));
	xmlw_attrz(&w, "to", xml_attr(x, "from"));
	xmlw_close(&w);
	service_send(s);
}

/* Whether the error may pass: by its type, or because it is another server that
 * cannot be reached, of whose users we learn nothing by that. */
static bool
presence_may_pass(const struct xml *error)
{
	const char *type = error != NULL ? xml_attr(error, "type") : NULL;

	return (type != NULL && strcmp(type, "wait") == 0) ||
	    xml_child(error, NS_STANZAS, "remote-server-not-found") != NULL ||
	    xml_child(error, NS_STANZAS, "remote-server-timeout") != NULL;
}

void
presence_stanza(struct service *s, const struct xml *x)
{
	const char *type = xml_attr(x, "type");
	struct address from;

	if (type != NULL && strcmp(type, "subscribe") == 0)
		presence_refuse(s, x);
	else if (!address_read(xml_attr(x, "from"), &from))
		metric_add(METRIC_XMPP_IGNORED, 1);
	else if (type == NULL)
		presence_arrive(s, x, &from);
	else if (strcmp(type, "unavailable") == 0 || (strcmp(type, "error") == 0 &&
	    !presence_may_pass(xml_child(x, NS_COMPONENT, "error"))))
		presence_leave(s, &from);
}

/* ---- still there? ---- */

/* One probe for each full JID, however many subscriptions it has. */
static bool
presence_is_first(const struct subscription *sub)
{
	const struct subscription *s = TAILQ_FIRST(&sub->reader->subs);

	while (strcmp(s->jid, sub->jid) != 0)
		s = TAILQ_NEXT(s, of_reader);
	return s == sub;
}

static void
presence_probe_cb(void *arg, struct subscription *sub)
{
	struct presence_visit *v = arg;
	struct service *s = v->s;

	if (s->o.sink->bulk(s->o.sink_arg) && book_is_stale(s->book, sub) &&
	    book_probe(s->book, sub, v->now_ms) && presence_is_first(sub))
		notify_probe(s, sub->jid);
}

/* While there was no stream nobody could tell us that he goes. Those for whom
 * the link has no room are probed when the clock is asked. */
void
presence_probe_all(struct service *s)
{
	struct presence_visit v = { .s = s, .now_ms = loop_now_ms(s->o.loop) };

	book_new_stream(s->book);
	book_each(s->book, presence_probe_cb, &v);
}

/* ---- bounces ---- */

/* What could not be delivered is sent again later, less and less often. */
static void
presence_bounced(struct subscription *sub, uint64_t now_ms)
{
	uint64_t wait = (uint64_t)PRESENCE_RETRY_MS << (sub->bounces < 8 ? sub->bounces : 8);

	if (sub->retry_ms > now_ms)
		return; /* one of many that came back together */
	sub->bounces++;
	sub->retry_ms = now_ms + (wait < PRESENCE_RETRY_MAX_MS ? wait : PRESENCE_RETRY_MAX_MS);
}

static void
presence_for_good_cb(void *arg, struct subscription *sub)
{
	struct presence_visit *v = arg;

	if (!presence_is_from(sub, v->from))
		return;
	if (sub->lasting && !sub->full)
		presence_bounced(sub, v->now_ms);
	else
		notify_end(v->s, sub, false);
}

static void
presence_for_now_cb(void *arg, struct subscription *sub)
{
	struct presence_visit *v = arg;

	if (!presence_is_from(sub, v->from))
		return;
	presence_bounced(sub, v->now_ms);
	if (!sub->lasting && sub->bounces > PRESENCE_BOUNCES_MAX)
		notify_end(v->s, sub, false);
}

/* §12.3: an error that may pass is waited for; any other ends what is temporary. */
void
presence_bounce(struct service *s, const struct xml *message)
{
	bool for_now = presence_may_pass(xml_child(message, NS_COMPONENT, "error"));
	struct address from;
	struct presence_visit v = { .s = s, .from = &from, .now_ms = loop_now_ms(s->o.loop) };

	if (!address_read(xml_attr(message, "from"), &from))
		return;
	if (!for_now)
		book_unlease(s->book, &from);
	book_each_of(s->book, address_bare(&from),
	    for_now ? presence_for_now_cb : presence_for_good_cb, &v);
	book_each_of(s->book, address_bare(&from), presence_show_cb, s);
}

/* ---- the clock ---- */

static void
presence_tick_cb(void *arg, struct subscription *sub)
{
	struct presence_visit *v = arg;

	if ((sub->o.expire_us != 0 && sub->o.expire_us <= v->wall_us) ||
	    (sub->doubted_us != 0 && sub->doubted_us <= v->wall_us)) {
		if (sub->hub != NULL)
			hub_sub_ends_as(sub->hub, "expired");
		notify_end(v->s, sub, true); /* §12.18 */
		return;
	}
	if (sub->retry_ms == 0 || sub->retry_ms > v->now_ms)
		return;
	sub->retry_ms = 0;
	if (sub->hub != NULL)
		hub_sub_refresh(sub->hub);
}

void
service_tick(struct service *s, int64_t wall_us, uint64_t now_ms)
{
	struct presence_visit v = { .s = s, .wall_us = wall_us, .now_ms = now_ms };

	book_each(s->book, presence_tick_cb, &v);
	if (s->up)
		book_each(s->book, presence_probe_cb, &v);
	store_save(s);
	notify_lost_pings(s, now_ms);
}
