/* SPDX-License-Identifier: MIT */
/* pubsub_sub: subscribing, unsubscribing and the options of a subscription
 * (XEP-0060 §6.1-6.3). An unknown node and one that is not the reader's get the
 * same answer. What is to last is on disk before it is confirmed; what is
 * temporary is kept, too, so that it outlives a restart of ours. */
#include "base/mem.h"
#include "xmpp/form.h"
#include "xmpp/service_priv.h"

void
pubsub_write_subscription(struct xmlw *w, const struct subscription *sub)
{
	xmlw_open(w, "subscription", NULL);
	xmlw_attrz(w, "node", sub->node);
	xmlw_attrz(w, "jid", sub->jid);
	xmlw_attrz(w, "subid", sub->subid);
	xmlw_attrz(w, "subscription", "subscribed");
	xmlw_close(w);
}

/* ---- what a request names ---- */

struct pubsub_target {
	const char *node;
	bool whole;        /* the full JID, not the bare one */
	struct subscription *sub; /* or NULL */
};

/* Whose subscription `jid` names: the reader's bare JID, or the full JID the
 * request came from. Other resources of the reader are not his to change here,
 * so that a mistyped one cannot leave a subscription that nobody ends. */
static bool
pubsub_target_jid(const struct request *q, const char *jid, bool own_resource_only,
    struct address *out)
{
	if (q->reader.n == 0 || !address_read(jid, out) ||
	    !str_eq(address_bare(out), q->reader))
		return false;
	return !out->has_resource || !own_resource_only || strcmp(out->full, q->from.full) == 0;
}

/* Finds the subscription that unsubscribe and options name; answers the request
 * itself when there is something wrong with it (§6.2.3, §6.3.4). */
static struct subscription *
pubsub_named(struct request *q, const struct xml *x)
{
	const char *node = xml_attr(x, "node"), *jid = xml_attr(x, "jid");
	const char *subid = xml_attr(x, "subid");
	struct subscription *sub;
	struct address a;

	if (jid == NULL) {
		reply_fault(&q->reply, FAULT_JID_REQUIRED);
		return NULL;
	}
	if (node == NULL) {
		reply_fault(&q->reply, FAULT_NODE_REQUIRED);
		return NULL;
	}
	if (!pubsub_target_jid(q, jid, false, &a)) {
		reply_fault(&q->reply, FAULT_FORBIDDEN);
		return NULL;
	}
	sub = book_find(q->reply.service->book, q->reader, node, a.full);
	if (sub == NULL) {
		reply_fault(&q->reply, FAULT_NOT_SUBSCRIBED);
		return NULL;
	}
	if (subid != NULL && strcmp(subid, sub->subid) != 0) {
		reply_fault(&q->reply, FAULT_INVALID_SUBID);
		return NULL;
	}
	return sub;
}

/* The form in <options/>; NULL without one. false when there is no form in it. */
static bool
pubsub_form(const struct xml *options, const struct xml **form)
{
	*form = xml_child(options, NS_DATA, "x");
	return options == NULL || *form != NULL;
}

/* ---- lasting or not ---- */

/* A subscription lasts unless it is bound to a presence: by its options, or
 * because the full JID has told us that it is there. */
static void
pubsub_settle(struct service *s, struct subscription *sub)
{
	sub->lasting = !sub->o.presence && !(sub->full && book_has_lease(s->book, sub->jid));
	sub->doubted_us = 0;
	store_put(s, sub);
}

static struct answer *
pubsub_answer(struct request *q, const struct subscription *sub,
    void (*cb)(struct answer *, enum err))
{
	struct answer *a = answer_new(q, cb);

	if (a == NULL)
		return NULL;
	a->node = mem_strdup(sub->node);
	a->whole = sub->full;
	memcpy(a->subid, sub->subid, sizeof a->subid);
	return a;
}

/* The subscription an answer is about, if it still is there. */
static struct subscription *
pubsub_answered(const struct answer *a)
{
	const struct address *from = &a->from;
	char *jid = a->whole ? mem_strdup(from->full) : mem_str(address_bare(from));
	struct subscription *sub = book_find(a->reply.service->book, address_bare(from), a->node,
	    jid);

	mem_free(jid);
	return sub != NULL && strcmp(sub->subid, a->subid) == 0 ? sub : NULL;
}

/* ---- subscribe ---- */

static void
pubsub_confirm(const struct reply *r, const struct subscription *sub, bool with_options)
{
	struct xmlw w = reply_begin(r);

	xmlw_open(&w, "pubsub", NS_PUBSUB);
	pubsub_write_subscription(&w, sub);
	if (with_options) {
		xmlw_open(&w, "options", NULL);
		options_write(&w, &sub->o, "result");
		xmlw_close(&w);
	}
	reply_end(r, &w);
}

/* The snapshot leaves in the next turn, after the confirmation. */
static void
pubsub_begin(const struct reply *r, struct subscription *sub, bool with_options)
{
	enum err e = notify_begin(r->service, sub);

	if (e == ERR_OK) {
		pubsub_confirm(r, sub, with_options);
		return;
	}
	notify_end(r->service, sub, false);
	reply_fault(r, e == ERR_FULL ? FAULT_TOO_MANY : FAULT_CLOSED_NODE);
}

static void
pubsub_kept_cb(struct answer *a, enum err e)
{
	struct subscription *sub = pubsub_answered(a);

	if (sub == NULL) {
		reply_fault(&a->reply, FAULT_NOT_SUBSCRIBED); /* ended meanwhile */
		return;
	}
	if (e == ERR_OK) {
		pubsub_begin(&a->reply, sub, a->with_options);
		return;
	}
	if (sub->hub == NULL)
		notify_end(a->reply.service, sub, false); /* never was */
	reply_fault(&a->reply, FAULT_INTERNAL);
}

/* Sessions that may have gone without a word, as all do when the server dies,
 * must not use up what their reader may have: the oldest gives way. */
static bool
pubsub_make_room(struct service *s, struct str reader)
{
	const struct reader *r = book_reader(s->book, reader);
	struct subscription *sub = r != NULL ? TAILQ_FIRST(&r->subs) : NULL;

	if (r != NULL && r->n_subs >= BOOK_READER_SUBS_MAX) {
		while (sub != NULL && !book_is_stale(s->book, sub))
			sub = TAILQ_NEXT(sub, of_reader);
		if (sub == NULL)
			return false;
		notify_end(s, sub, true);
	}
	return book_size(s->book) < BOOK_SUBS_MAX;
}

/* Checks what the request says (§6.1.3, §6.3.7); answers it when it is wrong. */
static bool
pubsub_may_subscribe(struct request *q, const char *node, const char *jid,
    const struct xml *options, struct address *a)
{
	enum fault f;

	if (jid == NULL)
		f = FAULT_JID_REQUIRED;
	else if (!pubsub_target_jid(q, jid, true, a))
		f = FAULT_INVALID_JID;
	else if (node == NULL)
		f = FAULT_NODE_REQUIRED;
	else if (options != NULL && (xml_attr(options, "node") || xml_attr(options, "jid")))
		f = FAULT_BAD_REQUEST;
	else if (service_admit(q->reply.service, q->reader, node, NULL) != ERR_OK)
		f = FAULT_CLOSED_NODE;
	else
		return true;
	reply_fault(&q->reply, f);
	return false;
}

static void
pubsub_subscribe_as(struct request *q, struct subscription *sub, bool with_options)
{
	struct service *s = q->reply.service;
	struct answer *a;

	pubsub_settle(s, sub);
	if (!sub->lasting) {
		store_save(s); /* nobody waits for it */
		pubsub_begin(&q->reply, sub, with_options);
		return;
	}
	a = pubsub_answer(q, sub, pubsub_kept_cb);
	if (a == NULL) {
		if (sub->hub == NULL)
			notify_end(s, sub, false); /* never was */
		return;
	}
	a->with_options = with_options;
	answer_after_flush(a);
}

void
pubsub_subscribe(struct request *q, const struct xml *x)
{
	struct service *s = q->reply.service;
	const char *node = xml_attr(x, "node");
	const struct xml *options = xml_child(q->query, NS_PUBSUB, "options"), *form;
	struct options o = OPTIONS_DEFAULT;
	struct subscription *sub;
	struct address a;

	if (!pubsub_may_subscribe(q, node, xml_attr(x, "jid"), options, &a))
		return;
	sub = book_find(s->book, q->reader, node, a.full);
	if (sub != NULL)
		o = sub->o;
	if (!pubsub_form(options, &form) ||
	    (form != NULL && !options_read(form, loop_wall_us(s->o.loop), &o))) {
		reply_fault(&q->reply, FAULT_INVALID_OPTIONS);
		return;
	}
	if (sub == NULL && !pubsub_make_room(s, q->reader)) {
		reply_fault(&q->reply, FAULT_TOO_MANY);
		return;
	}
	if (sub == NULL)
		sub = book_add(s->book, &a, node, a.has_resource, NULL);
	sub->o = o;
	pubsub_subscribe_as(q, sub, form != NULL);
}

/* ---- unsubscribe ---- */

static void
pubsub_done_cb(struct answer *a, enum err e)
{
	if (e == ERR_OK)
		reply_empty(&a->reply);
	else
		reply_fault(&a->reply, FAULT_INTERNAL);
}

void
pubsub_unsubscribe(struct request *q, const struct xml *x)
{
	struct subscription *sub = pubsub_named(q, x);
	struct answer *a;

	if (sub == NULL)
		return;
	if (!sub->lasting) {
		notify_end(q->reply.service, sub, false);
		reply_empty(&q->reply);
		return;
	}
	a = answer_new(q, pubsub_done_cb);
	notify_end(q->reply.service, sub, false);
	if (a != NULL)
		answer_after_flush(a);
}

/* ---- options ---- */

void
pubsub_options_get(struct request *q, const struct xml *x)
{
	struct subscription *sub = pubsub_named(q, x);
	struct xmlw w;

	if (sub == NULL)
		return;
	w = reply_begin(&q->reply);
	xmlw_open(&w, "pubsub", NS_PUBSUB);
	xmlw_open(&w, "options", NULL);
	xmlw_attrz(&w, "node", sub->node);
	xmlw_attrz(&w, "jid", sub->jid);
	xmlw_attrz(&w, "subid", sub->subid);
	options_write(&w, &sub->o, "form");
	reply_end(&q->reply, &w);
}

/* §6.4: of every node alike, so it may be asked with or without one. */
void
pubsub_options_default(struct request *q, const struct xml *x)
{
	const char *node = xml_attr(x, "node");
	struct xmlw w;

	if (node != NULL && service_admit(q->reply.service, q->reader, node, NULL) != ERR_OK) {
		reply_fault(&q->reply, FAULT_CLOSED_NODE);
		return;
	}
	w = reply_begin(&q->reply);
	xmlw_open(&w, "pubsub", NS_PUBSUB);
	xmlw_open(&w, "default", NULL);
	xmlw_attrz(&w, "node", node);
	options_write(&w, &OPTIONS_DEFAULT, "form");
	reply_end(&q->reply, &w);
}

/* §6.3.5, §6.3.6 */
void
pubsub_options_set(struct request *q, const struct xml *x)
{
	struct service *s = q->reply.service;
	struct subscription *sub = pubsub_named(q, x);
	const struct xml *form = xml_child(x, NS_DATA, "x");
	bool was_lasting = sub != NULL && sub->lasting;
	struct answer *a;

	if (sub == NULL)
		return;
	if (form != NULL && form_kind(form) == FORM_CANCEL) {
		reply_empty(&q->reply); /* XEP-0004 §3.1: all stays as it is */
		return;
	}
	if (form == NULL || !options_read(form, loop_wall_us(s->o.loop), &sub->o)) {
		reply_fault(&q->reply, FAULT_INVALID_OPTIONS);
		return;
	}
	if (notify_adapt(s, sub) != ERR_OK) { /* no longer his to read */
		notify_end(s, sub, true);
		reply_fault(&q->reply, FAULT_CLOSED_NODE);
		return;
	}
	pubsub_settle(s, sub);
	if (!was_lasting && !sub->lasting) {
		reply_empty(&q->reply);
		return;
	}
	a = answer_new(q, pubsub_done_cb);
	if (a != NULL)
		answer_after_flush(a);
}
