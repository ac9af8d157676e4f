/* SPDX-License-Identifier: MIT */
/* publisher_item: what items the service has of a node, and publishing them.
 * What it has is known by a hash, so nothing is sent that is there already. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "xmpp/publisher_priv.h"

static uint64_t
pub_hash(const char *datatype, struct str json)
{
	uint64_t hash = map_hash(json) * 31 + map_hash(str_of(datatype));

	return hash != 0 ? hash : 1;
}

static struct pub_item *
pub_item_find(struct pub_node *n, const char *id)
{
	for (size_t i = 0; i < n->n_items; i++)
		if (strcmp(n->item[i].id, id) == 0)
			return &n->item[i];
	return NULL;
}

static struct pub_item *
pub_item_add(struct pub_node *n, const char *id)
{
	struct pub_item *i;

	n->item = mem_realloc(n->item, (n->n_items + 1) * sizeof *n->item);
	i = &n->item[n->n_items++];
	*i = (struct pub_item){ .id = mem_strdup(id) };
	return i;
}

void
pub_items_forget(struct pub_node *n)
{
	while (n->n_items > 0)
		mem_free(n->item[--n->n_items].id);
	mem_free(n->item);
	n->item = NULL;
	n->left_out = 0;
}

/* ---- what is there ---- */

static void
pub_item_read(struct pub_node *n, const struct xml *x)
{
	const char *id = xml_attr(x, "id");
	const struct xml *payload = xml_child(x, NS_JSON_MSG, "payload");
	const struct xml *json = xml_child(payload, NS_JSON, "json");
	const char *datatype = payload != NULL ? xml_attr(payload, "datatype") : NULL;
	struct pub_item *i;

	if (id == NULL || pub_item_find(n, id) != NULL)
		return;
	i = pub_item_add(n, id);
	i->stale = true;
	if (json != NULL && datatype != NULL)
		i->hash = pub_hash(datatype, json->text);
}

static void
pub_item_kept_cb(void *arg, const char *id)
{
	struct pub_item *i = pub_item_find(arg, id);

	if (i != NULL)
		i->stale = false;
}

void
pub_items(struct pub_node *n, const struct xml *iq)
{
	const struct xml *list = xml_child(xml_child(iq, NS_PUBSUB, "pubsub"), NS_PUBSUB, "items");

	pub_items_forget(n);
	for (const struct xml *x = list != NULL ? list->first : NULL; x != NULL; x = x->next)
		if (strcmp(x->name, "item") == 0)
			pub_item_read(n, x);
	hub_item_ids(n->publisher->o.hub, &n->is, pub_item_kept_cb, n);
	for (size_t i = 0; i < n->n_items; i++)
		if (hub_item_is_away(n->publisher->o.hub, &n->is, n->item[i].id))
			n->item[i].stale = false; /* comes again when it is back */
	if (list == NULL)
		pub_refuse(n, PUB_UNREADABLE, "items");
	else
		pub_items_known(n);
}

void
pub_items_known(struct pub_node *n)
{
	for (n->at = 0; n->at < n->n_items; n->at++) {
		if (n->item[n->at].stale) {
			pub_go(n, PUB_RETRACT);
			return;
		}
	}
	pub_attach(n);
}

/* ---- publishing ---- */

static void
pub_say_full(struct pub_node *n, const char *id)
{
	struct publisher *p = n->publisher;

	metric_add(METRIC_XMPP_TOO_LARGE, 1);
	if (p->said_full++ < PUB_SAID_MAX)
		log_error("xmpp jid=%s pubsub=%s node=%s holds %u items, there is no room for "
		    "item=%s: it is not published; raise pubsub_max_items, and what the server "
		    "allows", p->o.jid, p->o.pubsub, n->name, p->o.max_items, id);
}

/* An item for which the node has no place has one here, marked. */
static struct pub_item *
pub_item_place(struct pub_node *n, const char *id)
{
	struct pub_item *i = pub_item_find(n, id);

	if (i == NULL) {
		i = pub_item_add(n, id);
		i->out = n->n_items - n->left_out > n->publisher->o.max_items;
		if (i->out) {
			n->left_out++;
			pub_say_full(n, id);
		}
	}
	return i->out ? NULL : i;
}

static void
pub_skip(struct pub_node *n, const char *why)
{
	struct publisher *p = n->publisher;

	p->skipped++;
	metric_add(METRIC_XMPP_TOO_LARGE, 1);
	n->item[n->at].hash = n->at_hash; /* this value is never sent again */
	if (p->said_big++ < PUB_SAID_MAX)
		log_error("xmpp jid=%s pubsub=%s node=%s item=%s: this state is not published: %s",
		    p->o.jid, p->o.pubsub, n->name, n->item[n->at].id, why);
}

bool
pub_item_publish(struct pub_node *n, const struct hub_item *item)
{
	struct publisher *p = n->publisher;
	uint64_t hash = pub_hash(item->datatype, item->json);
	struct pub_item *i = pub_item_place(n, item->id);

	if (i == NULL || i->hash == hash) {
		p->unchanged += i != NULL;
		return true;
	}
	if (!pub_has_room(p, 4))
		return false;
	n->at = (size_t)(i - n->item);
	n->at_hash = hash;
	pub_write_publish(n, item);
	if (p->out.failed) {
		pub_skip(n, "it is too large for a stanza");
		return true;
	}
	if (!pub_ask(n))
		return false;
	i->hash = 0;
	n->step = PUB_PUBLISH;
	hub_sub_hold(n->sub, true);
	return true;
}

void
pub_item_answer(struct pub_node *n, enum pub_fault f, const char *detail)
{
	struct publisher *p = n->publisher;

	if (f == PUB_NONE) {
		p->published++;
		n->item[n->at].hash = n->at_hash;
		n->tries = 0;
	} else if (f == PUB_TOO_BIG || f == PUB_CANNOT) {
		pub_skip(n, detail);
	} else {
		pub_fail(n, f, detail);
		return;
	}
	n->step = PUB_READY;
	hub_sub_hold(n->sub, false);
}
