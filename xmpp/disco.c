/* SPDX-License-Identifier: MIT */
/* disco: what there is for whom (XEP-0030; XEP-0060 §5.1-5.5). What a reader
 * may not read does not exist for him. */
#include "xmpp/service_priv.h"

/* Around a node or item id in <item jid='' node=''/>. */
#define DISCO_ITEM_BYTES 64

/* Exactly what is implemented, sorted. */
static const char *const disco_features[] = {
	NS_CAPS,
	NS_COMMANDS,
	NS_DISCO_INFO,
	NS_DISCO_ITEMS,
	NS_PUBSUB,
	NS_PUBSUB "#access-whitelist",
	NS_PUBSUB "#item-ids",
	NS_PUBSUB "#last-published",
	NS_PUBSUB "#leased-subscription",
	NS_PUBSUB "#member-affiliation",
	NS_PUBSUB "#meta-data",
	NS_PUBSUB "#persistent-items",
	NS_PUBSUB "#presence-notifications",
	NS_PUBSUB "#retrieve-affiliations",
	NS_PUBSUB "#retrieve-default",
	NS_PUBSUB "#retrieve-default-sub",
	NS_PUBSUB "#retrieve-items",
	NS_PUBSUB "#retrieve-subscriptions",
	NS_PUBSUB "#subscribe",
	NS_PUBSUB "#subscription-options",
	NS_RSM,
	NS_VERSION,
	NS_DATA,
	NS_JSON_MSG,
	NS_JSON,
	NS_PING,
};

static const char *const disco_node_features[] = {
	NS_DISCO_INFO,
	NS_DISCO_ITEMS,
	NS_PUBSUB,
	NS_RSM,
};

static void
disco_write_info(struct xmlw *w, const char *type, const char *name,
    const char *const *features, size_t n)
{
	xmlw_open(w, "identity", NULL);
	xmlw_attrz(w, "category", "pubsub");
	xmlw_attrz(w, "type", type);
	xmlw_attrz(w, "name", name);
	xmlw_close(w);
	for (size_t i = 0; i < n; i++) {
		xmlw_open(w, "feature", NULL);
		xmlw_attrz(w, "var", features[i]);
		xmlw_close(w);
	}
}

/* What the service itself is, as an answer and as what XEP-0115 hashes. */
static void
disco_write_service(struct xmlw *w, const struct service *s)
{
	disco_write_info(w, "service", "Lectern", disco_features,
	    sizeof disco_features / sizeof *disco_features);
	metadata_write_service(w, s);
}

void
disco_caps(const struct service *s, char ver[CAPS_VER_LEN + 1])
{
	struct buf b = BUF_INIT(0);
	struct xmlw w = xmlw_to(&b);

	xmlw_open(&w, "query", NS_DISCO_INFO);
	disco_write_service(&w, s);
	xmlw_close(&w);
	caps_ver(buf_view(&b), ver);
	buf_free(&b);
}

/* Whether it asks for what our presence stood for (XEP-0115 §6.2). */
static bool
disco_is_caps(const struct service *s, const char *node)
{
	char ver[CAPS_VER_LEN + 1];

	if (strncmp(node, CAPS_NODE "#", strlen(CAPS_NODE "#")) != 0)
		return false;
	disco_caps(s, ver);
	return strcmp(node + strlen(CAPS_NODE "#"), ver) == 0;
}

/* XEP-0060 §5.1, §5.3, §5.4 */
void
disco_info(struct request *q)
{
	const char *node = xml_attr(q->query, "node");
	bool whole = node == NULL || disco_is_caps(q->reply.service, node);
	struct node is = { 0 };
	struct xmlw w;

	if (commands_disco_info(q))
		return;
	if (!whole && service_admit(q->reply.service, q->reader, node, &is) != ERR_OK) {
		reply_fault(&q->reply, FAULT_NOT_FOUND);
		return;
	}
	w = reply_begin(&q->reply);
	xmlw_open(&w, "query", NS_DISCO_INFO);
	xmlw_attrz(&w, "node", node);
	if (whole) {
		disco_write_service(&w, q->reply.service);
	} else {
		disco_write_info(&w, "leaf", NULL, disco_node_features,
		    sizeof disco_node_features / sizeof *disco_node_features);
		metadata_write(&w, q->reply.service, &is);
	}
	reply_end(&q->reply, &w);
}

/* Nodes at the server's service, which lists them to everybody by names that say
 * nothing. An entry's data is the place of the telling name, plus one. */
struct disco_elsewhere {
	struct service *service;
	struct page *page;
	struct buf names;
};

static void
disco_elsewhere_cb(void *arg, const struct node *n)
{
	struct disco_elsewhere *l = arg;
	struct service *s = l->service;
	char name[NODE_MAX + 1], opaque[NODE_OPAQUE_LEN + 1];

	if (node_write(n, name) != ERR_OK)
		return;
	node_opaque(s->o.key, str_of(name), opaque);
	page_add(l->page, str_of(opaque), DISCO_ITEM_BYTES + strlen(s->o.pubsub) +
	    NODE_OPAQUE_LEN + page_cost(str_of(name)), l->names.len + 1);
	buf_add(&l->names, name, strlen(name) + 1);
}

/* XEP-0030 §4.1: an item's JID may be another's. */
static void
disco_list_elsewhere(struct disco_elsewhere *l, struct str reader)
{
	struct service *s = l->service;

	if (s->o.elsewhere != NULL && reader.n > 0)
		access_nodes(hub_roster(s->o.hub), reader, s->o.elsewhere, disco_elsewhere_cb, l);
}

static void
disco_send_items(struct request *q, const char *node, struct page *p, struct str names)
{
	struct xmlw w = reply_begin(&q->reply);

	xmlw_open(&w, "query", NS_DISCO_ITEMS);
	xmlw_attrz(&w, "node", node);
	page_choose(p);
	for (size_t i = p->from; i < p->to; i++) {
		xmlw_open(&w, "item", NULL);
		xmlw_attrz(&w, "jid", p->v[i].data > 0 ? q->reply.service->o.pubsub
		                                       : q->reply.service->o.jid);
		xmlw_attrz(&w, node != NULL ? "name" : "node", p->v[i].id);
		if (p->v[i].data > 0)
			xmlw_attrz(&w, "name", names.p + p->v[i].data - 1);
		xmlw_close(&w);
	}
	page_write(p, &w);
	reply_end(&q->reply, &w);
}

/* The ids alone: nothing is encoded. */
static void
disco_list_node(struct request *q, const char *node, size_t cost, struct page *p)
{
	struct hub_reading *r;

	if (hub_read(q->reply.service->o.hub, str_of(node), q->reader, &r) != ERR_OK)
		return;
	for (size_t i = 0; i < hub_reading_size(r); i++) {
		struct str id = str_of(hub_reading_head(r, i).id);

		page_add(p, id, cost + page_cost(id), 0);
	}
	hub_reading_free(r);
}

/* XEP-0060 §5.2 for the service, §5.5 for a node */
void
disco_items(struct request *q)
{
	struct service *s = q->reply.service;
	const char *node = xml_attr(q->query, "node");
	struct page p;
	size_t cost = DISCO_ITEM_BYTES + strlen(s->o.jid);
	struct disco_elsewhere more = { .service = s, .page = &p, .names = BUF_INIT(0) };

	if (commands_disco_items(q) || (node != NULL &&
	    service_may_read(s, q->reader, node, NULL) == ERR_OK &&
	    request_waits(q, node, disco_items)))
		return;
	if (!page_read(q->query, &p)) {
		reply_fault(&q->reply, FAULT_BAD_REQUEST);
		return;
	}
	if (node == NULL) {
		service_list(s, q->reader, &p, cost);
		disco_list_elsewhere(&more, q->reader);
	} else if (service_admit(s, q->reader, node, NULL) == ERR_OK) {
		disco_list_node(q, node, cost, &p);
	} else {
		reply_fault(&q->reply, FAULT_NOT_FOUND);
		return;
	}
	disco_send_items(q, node, &p, buf_view(&more.names));
	page_free(&p);
	buf_free(&more.names);
}

/* XEP-0092 §3; the version is for those who have something to read here. */
void
disco_version(struct request *q)
{
	struct page mine = { 0 };
	struct xmlw w;

	service_list(q->reply.service, q->reader, &mine, 0);
	w = reply_begin(&q->reply);
	xmlw_open(&w, "query", NS_VERSION);
	xmlw_textz(&w, "name", "Lectern");
	xmlw_textz(&w, "version", mine.n > 0 ? PACKAGE_VERSION : "");
	reply_end(&q->reply, &w);
	page_free(&mine);
}
