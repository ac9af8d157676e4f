/* SPDX-License-Identifier: MIT */
/* pubsub: <pubsub/> requests (XEP-0060) to their handlers, from a table; what a
 * reader is subscribed to and affiliated with. Publishing, and all an owner
 * does, is not for clients: the engine publishes, the roster decides. */
#include <stdint.h>

#include "xmpp/feed.h"

#define PUBSUB_ENTRY_BYTES 128 /* around the values of a <subscription/> */

/* XEP-0060 §5.6 */
static void
pubsub_subscriptions(struct request *q, const struct xml *x)
{
	struct service *s = q->reply.service;
	const char *node = xml_attr(x, "node");
	struct reader *r = book_reader(s->book, q->reader);
	struct subscription *sub;
	struct page p;
	struct xmlw w;

	if (!page_read(q->query, &p)) {
		reply_fault(&q->reply, FAULT_BAD_REQUEST);
		return;
	}
	for (sub = r ? TAILQ_FIRST(&r->subs) : NULL; sub != NULL; sub = TAILQ_NEXT(sub, of_reader))
		if (node == NULL || strcmp(node, sub->node) == 0)
			page_add(&p, str_of(sub->subid), PUBSUB_ENTRY_BYTES +
			    page_cost(str_of(sub->node)) + page_cost(str_of(sub->jid)),
			    (uintptr_t)sub);
	page_choose(&p);
	w = reply_begin(&q->reply);
	xmlw_open(&w, "pubsub", NS_PUBSUB);
	xmlw_open(&w, "subscriptions", NULL);
	xmlw_attrz(&w, "node", node);
	for (size_t i = p.from; i < p.to; i++)
		pubsub_write_subscription(&w, (struct subscription *)(uintptr_t)p.v[i].data);
	xmlw_close(&w);
	page_write(&p, &w);
	reply_end(&q->reply, &w);
	page_free(&p);
}

/* XEP-0060 §5.7: who may read a node is a member of it, and nothing more. */
static void
pubsub_affiliations(struct request *q, const struct xml *x)
{
	struct service *s = q->reply.service;
	const char *node = xml_attr(x, "node");
	struct page p;
	struct xmlw w;

	if (!page_read(q->query, &p)) {
		reply_fault(&q->reply, FAULT_BAD_REQUEST);
		return;
	}
	if (node == NULL)
		service_list(s, q->reader, &p, PUBSUB_ENTRY_BYTES);
	else if (service_may_read(s, q->reader, node, NULL) == ERR_OK)
		page_add(&p, str_of(node), PUBSUB_ENTRY_BYTES, 0);
	page_choose(&p);
	w = reply_begin(&q->reply);
	xmlw_open(&w, "pubsub", NS_PUBSUB);
	xmlw_open(&w, "affiliations", NULL);
	xmlw_attrz(&w, "node", node);
	for (size_t i = p.from; i < p.to; i++) {
		xmlw_open(&w, "affiliation", NULL);
		xmlw_attrz(&w, "node", p.v[i].id);
		xmlw_attrz(&w, "affiliation", "member");
		xmlw_close(&w);
	}
	xmlw_close(&w);
	page_write(&p, &w);
	reply_end(&q->reply, &w);
	page_free(&p);
}

/* ---- routing ---- */

static const struct pubsub_route {
	const char *ns, *name;
	void (*get)(struct request *q, const struct xml *x);
	void (*set)(struct request *q, const struct xml *x);
	const char *feature; /* named as unsupported where there is no handler */
} pubsub_routes[] = {
	{ NS_PUBSUB, "subscribe", NULL, pubsub_subscribe, "subscribe" },
	{ NS_PUBSUB, "unsubscribe", NULL, pubsub_unsubscribe, "subscribe" },
	{ NS_PUBSUB, "options", pubsub_options_get, pubsub_options_set, "subscription-options" },
	{ NS_PUBSUB, "items", pubsub_items, NULL, "retrieve-items" },
	{ NS_PUBSUB, "subscriptions", pubsub_subscriptions, NULL, "retrieve-subscriptions" },
	{ NS_PUBSUB, "affiliations", pubsub_affiliations, NULL, "retrieve-affiliations" },
	{ NS_PUBSUB, "default", pubsub_options_default, NULL, "retrieve-default-sub" },
	{ NS_PUBSUB, "publish", NULL, NULL, "publish" },               /* §7.1.3 */
	{ NS_PUBSUB, "retract", NULL, NULL, "delete-items" },          /* §7.2.3 */
	{ NS_PUBSUB, "create", NULL, NULL, "create-nodes" },           /* §8.1.1 */
	{ NS_PUBSUB_OWNER, "configure", metadata_configure_get, metadata_configure_set, "config-node" },
	{ NS_PUBSUB_OWNER, "default", metadata_default_get, NULL, "retrieve-default" },
	{ NS_PUBSUB_OWNER, "delete", NULL, NULL, "delete-nodes" },     /* §8.4.3 */
	{ NS_PUBSUB_OWNER, "purge", NULL, NULL, "purge-nodes" },       /* §8.5.3 */
	{ NS_PUBSUB_OWNER, "subscriptions", NULL, NULL, "manage-subscriptions" }, /* §8.8.1 */
	{ NS_PUBSUB_OWNER, "affiliations", NULL, NULL, "modify-affiliations" },   /* §8.9.1 */
};

static void
pubsub_route(struct request *q, const struct pubsub_route *r, const struct xml *x)
{
	void (*handle)(struct request *, const struct xml *) = q->set ? r->set : r->get;

	if (handle != NULL)
		handle(q, x);
	else if (r->get == NULL && r->set == NULL)
		reply_unsupported(&q->reply, r->feature);
	else
		reply_fault(&q->reply, FAULT_BAD_REQUEST);
}

/* One child says what is wanted; options, set and configure go with it. */
void
pubsub_request(struct request *q)
{
	if (feed_request(q))
		return;
	for (const struct xml *x = q->query->first; x != NULL; x = x->next) {
		for (size_t i = 0; i < sizeof pubsub_routes / sizeof *pubsub_routes; i++) {
			if (xml_is(x, pubsub_routes[i].ns, pubsub_routes[i].name)) {
				pubsub_route(q, &pubsub_routes[i], x);
				return;
			}
		}
	}
	reply_fault(&q->reply, FAULT_BAD_REQUEST);
}
