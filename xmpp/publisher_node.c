/* SPDX-License-Identifier: MIT */
/* publisher_node: the steps of one node, and what is done when one fails. */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "xmpp/publisher_priv.h"

static const struct {
	const char *name, *text;
} pub_whys[] = {
#define PUB_WHY_ROW(sym, name, text) { name, text },
	PUB_WHY_MAP(PUB_WHY_ROW)
#undef PUB_WHY_ROW
};

const char *
pub_why_name(enum pub_why w)
{
	return pub_whys[w].name;
}

const char *
pub_why_text(enum pub_why w)
{
	return pub_whys[w].text;
}

/* ---- going on ---- */

void
pub_go(struct pub_node *n, enum pub_step s)
{
	struct publisher *p = n->publisher;
	bool change = s == PUB_AFFILIATIONS || s == PUB_SUBSCRIPTIONS;
	bool again = n->step == PUB_AFFILIATE || n->step == PUB_UNSUBSCRIBE;

	if (change && !again)
		n->left = SIZE_MAX;
	n->step = s;
	n->retry_ms = 0;
	pub_queue(n, &p->work, false);
}

/* A request under way is waited for: two at a time would not be in order. */
void
pub_begin(struct pub_node *n)
{
	struct publisher *p = n->publisher;

	pub_detach(n);
	n->retry_ms = 0;
	if (n->queue == &p->asked) {
		n->again = true;
		return;
	}
	pub_unqueue(n);
	pub_items_forget(n);
	n->again = n->configured = false;
	n->step = PUB_IDLE;
	if (p->up && n->saved)
		pub_go(n, n->leaving ? PUB_DELETE : n->known ? PUB_CONFIG : PUB_CREATE);
}

/* ---- failing ---- */

static void
pub_wait(struct pub_node *n, uint64_t ms)
{
	pub_detach(n);
	pub_unqueue(n);
	n->step = PUB_IDLE;
	n->retry_ms = loop_now_ms(n->publisher->o.loop) + ms;
}

static void
pub_say(struct pub_node *n)
{
	struct publisher *p = n->publisher;
	unsigned *said = &p->said[n->why];

	if ((*said)++ < PUB_SAID_MAX)
		log_error("xmpp jid=%s pubsub=%s node=%s name=%s is not published: %s%s%s%s; trying "
		    "again%s", p->o.jid, p->o.pubsub, n->opaque, n->name, pub_why_text(n->why),
		    n->detail[0] != '\0' ? " (" : "", n->detail, n->detail[0] != '\0' ? ")" : "",
		    *said == PUB_SAID_MAX ? "; more of these are in the status only" : "");
	if (n->why == PUB_FORBIDDEN && *said == 1)
		log_notice("xmpp the server must let %s own nodes at %s; prosody.cfg.lua, in "
		    "Component \"%s\" \"pubsub\": admins = { \"%s\" }; ejabberd.yml, "
		    "access_createnode of mod_pubsub: allow acl with server: \"%s\"", p->o.jid,
		    p->o.pubsub, p->o.pubsub, p->o.jid, p->o.jid);
}

void
pub_refuse(struct pub_node *n, enum pub_why why, const char *detail)
{
	bool news = n->why != why;

	n->why = why;
	snprintf(n->detail, sizeof n->detail, "%s", detail);
	if (news)
		pub_say(n);
	if (n->tries > PUB_TRIES_SLOW)
		n->tries = PUB_TRIES_SLOW;
	pub_wait(n, PUB_RETRY_SLOW_MS / 2 + pub_backoff(PUB_TRIES) * 2);
}

/* At once for the first time: what was there a moment ago may just be gone. */
static void
pub_try_again(struct pub_node *n)
{
	if (n->tries++ == 0)
		pub_begin(n);
	else
		pub_wait(n, pub_backoff(n->tries));
}

void
pub_fail(struct pub_node *n, enum pub_fault f, const char *detail)
{
	if (f == PUB_MISSING || f == PUB_EXISTS)
		n->known = f == PUB_EXISTS;
	if (f == PUB_ABSENT || f == PUB_TIMEOUT) {
		pub_begin(n);
	} else if (n->tries >= PUB_TRIES) {
		pub_refuse(n, f == PUB_DENIED ? PUB_FORBIDDEN : PUB_BUSY, detail);
	} else if (f == PUB_MISSING || f == PUB_EXISTS) {
		pub_try_again(n);
	} else if (f == PUB_WAIT) {
		pub_wait(n, pub_backoff(n->tries++));
	} else {
		pub_refuse(n, f == PUB_DENIED ? PUB_FORBIDDEN : PUB_UNSUPPORTED, detail);
	}
}

/* ---- answers ---- */

typedef void pub_answer_fn(struct pub_node *n, const struct xml *iq, enum pub_fault f,
    const char *detail);

static void
pub_created(struct pub_node *n, const struct xml *iq, enum pub_fault f, const char *detail)
{
	(void)iq;
	n->known = f == PUB_NONE || f == PUB_EXISTS;
	if (n->known)
		pub_go(n, PUB_CONFIG);
	else
		pub_fail(n, f, detail);
}

/* An open node is not ours to close: whoever opened it, or reads it, must know.
 * What else differs is set once. */
static void
pub_config(struct pub_node *n, const struct xml *iq, enum pub_fault f, const char *detail)
{
	const char *field = "";
	enum pub_form form;

	if (f != PUB_NONE) {
		pub_fail(n, f, detail);
		return;
	}
	form = iq != NULL ? pub_form_read(n->publisher, iq, &field) : PUB_FORM_NONE;
	if (form == PUB_FORM_FITS)
		pub_go(n, PUB_AFFILIATIONS);
	else if (form == PUB_FORM_OPEN)
		pub_refuse(n, PUB_OPEN, field);
	else if (form == PUB_FORM_NONE)
		pub_refuse(n, PUB_UNREADABLE, "configuration");
	else if (n->configured)
		pub_refuse(n, PUB_CONFIGURED, field);
	else
		pub_go(n, PUB_CONFIGURE);
}

static void
pub_configured(struct pub_node *n, const struct xml *iq, enum pub_fault f, const char *detail)
{
	(void)iq;
	n->configured = true;
	if (f == PUB_NONE)
		pub_go(n, PUB_CONFIG);
	else if (f == PUB_TOO_BIG || f == PUB_CANNOT || f == PUB_OTHER)
		pub_refuse(n, PUB_CONFIGURED, detail);
	else
		pub_fail(n, f, detail);
}

static void
pub_affiliations_read(struct pub_node *n, const struct xml *iq, enum pub_fault f,
    const char *detail)
{
	if (f != PUB_NONE)
		pub_fail(n, f, detail);
	else if (iq == NULL)
		pub_refuse(n, PUB_UNREADABLE, "affiliations");
	else
		pub_affiliations(n, iq);
}

/* Prosody answers forbidden although it did it: what counts is what is read
 * back. */
static void
pub_changed(struct pub_node *n, const struct xml *iq, enum pub_fault f, const char *detail)
{
	(void)iq;
	if (f == PUB_NONE || f == PUB_DENIED || f == PUB_OTHER || f == PUB_CANNOT)
		pub_go(n, n->step == PUB_AFFILIATE ? PUB_AFFILIATIONS : PUB_SUBSCRIPTIONS);
	else
		pub_fail(n, f, detail);
}

static void
pub_subscriptions_read(struct pub_node *n, const struct xml *iq, enum pub_fault f,
    const char *detail)
{
	if (f != PUB_NONE)
		pub_fail(n, f, detail);
	else if (iq == NULL)
		pub_refuse(n, PUB_UNREADABLE, "subscriptions");
	else
		pub_subscriptions(n, iq);
}

/* Items that are together too large for an answer are all published anew. */
static void
pub_items_read(struct pub_node *n, const struct xml *iq, enum pub_fault f, const char *detail)
{
	if (f != PUB_NONE)
		pub_fail(n, f, detail);
	else if (iq == NULL)
		pub_go(n, PUB_PURGE);
	else
		pub_items(n, iq);
}

static void
pub_retracted(struct pub_node *n, const struct xml *iq, enum pub_fault f, const char *detail)
{
	(void)iq;
	if (f != PUB_NONE) {
		pub_fail(n, f, detail);
		return;
	}
	n->publisher->retracted++;
	mem_free(n->item[n->at].id);
	n->item[n->at] = n->item[--n->n_items];
	pub_items_known(n);
}

static void
pub_purged(struct pub_node *n, const struct xml *iq, enum pub_fault f, const char *detail)
{
	(void)iq;
	if (f != PUB_NONE) {
		pub_fail(n, f, detail);
		return;
	}
	pub_items_forget(n);
	pub_items_known(n);
}

static void
pub_published(struct pub_node *n, const struct xml *iq, enum pub_fault f, const char *detail)
{
	(void)iq;
	pub_item_answer(n, f, detail);
}

static void
pub_deleted(struct pub_node *n, const struct xml *iq, enum pub_fault f, const char *detail)
{
	(void)iq;
	if (f == PUB_NONE || f == PUB_MISSING)
		pub_node_free(n);
	else
		pub_fail(n, f, detail);
}

static pub_answer_fn *const pub_answers[] = {
	[PUB_CREATE] = pub_created,
	[PUB_CONFIG] = pub_config,
	[PUB_CONFIGURE] = pub_configured,
	[PUB_AFFILIATIONS] = pub_affiliations_read,
	[PUB_AFFILIATE] = pub_changed,
	[PUB_SUBSCRIPTIONS] = pub_subscriptions_read,
	[PUB_UNSUBSCRIBE] = pub_changed,
	[PUB_ITEMS] = pub_items_read,
	[PUB_RETRACT] = pub_retracted,
	[PUB_PURGE] = pub_purged,
	[PUB_PUBLISH] = pub_published,
	[PUB_DELETE] = pub_deleted,
};

void
pub_answer(struct pub_node *n, const struct xml *iq, enum pub_fault f, const char *detail)
{
	if (!n->again) {
		pub_answers[n->step](n, iq, f, detail);
		return;
	}
	if (n->step == PUB_CREATE && (f == PUB_NONE || f == PUB_EXISTS))
		n->known = true;
	if (n->step == PUB_DELETE)
		n->known = false;
	pub_begin(n);
}

void
pub_step_node(struct pub_node *n)
{
	pub_write_request(n);
	if (!pub_ask(n))
		pub_wait(n, pub_backoff(n->tries++));
}
