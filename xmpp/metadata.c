/* SPDX-License-Identifier: MIT */
/* metadata: what a node is: the form in disco#info (XEP-0060 §5.4) and its
 * configuration, which can be read and not be set (§8.2, §8.3): the roster and
 * the reducers make the nodes. Who may read a node may read both. How many others
 * are subscribed is told to nobody. */
#include "base/mem.h"
#include "xmpp/form.h"
#include "xmpp/service_priv.h"

#define NS_META_DATA NS_PUBSUB "#meta-data"
#define NS_NODE_CONFIG NS_PUBSUB "#node_config"

/* The same for all nodes. */
static const struct {
	const char *var, *type, *label, *value;
} metadata_config[] = {
	{ "pubsub#access_model", "list-single", "Who may read", "whitelist" },
	{ "pubsub#deliver_payloads", "boolean", "Notifications with the item", "1" },
	{ "pubsub#max_items", "text-single", "How many items are kept", "max" },
	{ "pubsub#notification_type", "list-single", "Type of the messages", "headline" },
	{ "pubsub#notify_config", "boolean", "Tell of another configuration", "0" },
	{ "pubsub#notify_delete", "boolean", "Tell when the node is gone", "1" },
	{ "pubsub#notify_retract", "boolean", "Tell when an item is gone", "1" },
	{ "pubsub#persist_items", "boolean", "Keep items", "1" },
	{ "pubsub#presence_based_delivery", "boolean", "Notify only who is there", "0" },
	{ "pubsub#publish_model", "list-single", "Who may publish", "publishers" },
	{ "pubsub#send_last_published_item", "list-single", "When what there is is sent",
	    "on_sub_and_presence" },
	{ "pubsub#type", "text-single", "Namespace of the items", NS_JSON_MSG },
};

static void
metadata_write_config(struct xmlw *w, bool to_fill)
{
	for (size_t i = 0; i < sizeof metadata_config / sizeof *metadata_config; i++) {
		const char *type = metadata_config[i].type, *value = metadata_config[i].value;

		form_field_open(w, metadata_config[i].var, type, metadata_config[i].label);
		if (to_fill && strcmp(type, "list-single") == 0)
			form_option(w, value, NULL);
		form_value(w, value);
		xmlw_close(w);
	}
}

/* No names of people: whoever may read the node knows them from `_roster`. */
static char *
metadata_title(const struct node *n)
{
	char class[NODE_CLASS_MAX + 1];
	const char *owner = n->owner;

	if (n->kind == NODE_STUDENT)
		return mem_printf("%s of one student", n->reducer);
	if (node_class_read(n->owner, class))
		owner = class;
	return mem_printf("%s of class %s", n->kind == NODE_ROSTER ? "Students" : n->reducer, owner);
}

static void
metadata_write_title(struct xmlw *w, const struct node *n)
{
	char *title = metadata_title(n);

	form_field(w, "pubsub#title", "text-single", "Title", title);
	mem_free(title);
}

void
metadata_write(struct xmlw *w, const struct service *s, const struct node *n)
{
	form_open(w, "result", NS_META_DATA);
	metadata_write_title(w, n);
	form_field(w, "pubsub#creator", "jid-single", "Creator", s->o.jid);
	metadata_write_config(w, false);
	xmlw_close(w);
}

/* ---- the owner's requests ---- */

static void
metadata_send_config(struct request *q, const char *name, const char *node, const struct node *n)
{
	struct xmlw w = reply_begin(&q->reply);

	xmlw_open(&w, "pubsub", NS_PUBSUB_OWNER);
	xmlw_open(&w, name, NULL);
	xmlw_attrz(&w, "node", node);
	form_open(&w, "form", NS_NODE_CONFIG);
	if (n != NULL)
		metadata_write_title(&w, n);
	metadata_write_config(&w, true);
	reply_end(&q->reply, &w);
}

/* §8.2.1; to all others the answer is that of a node which is not theirs
 * (§8.2.3.2), whether there is one or not. */
void
metadata_configure_get(struct request *q, const struct xml *x)
{
	const char *node = xml_attr(x, "node");
	struct node is;

	if (node == NULL)
		reply_fault(&q->reply, FAULT_NODE_REQUIRED); /* §8.2.3.3 */
	else if (service_admit(q->reply.service, q->reader, node, &is) != ERR_OK)
		reply_fault(&q->reply, FAULT_FORBIDDEN);
	else
		metadata_send_config(q, "configure", node, &is);
}

/* §8.2.4, §8.2.5: nobody outside is an owner, but a form can be cancelled. */
void
metadata_configure_set(struct request *q, const struct xml *x)
{
	const char *node = xml_attr(x, "node");
	const struct xml *form = xml_child(x, NS_DATA, "x");

	if (node == NULL)
		reply_fault(&q->reply, FAULT_NODE_REQUIRED);
	else if (form != NULL && form_kind(form) == FORM_CANCEL &&
	    service_admit(q->reply.service, q->reader, node, NULL) == ERR_OK)
		reply_empty(&q->reply);
	else
		reply_fault(&q->reply, FAULT_FORBIDDEN);
}

/* §8.3.1 */
void
metadata_default_get(struct request *q, const struct xml *x)
{
	(void)x;
	metadata_send_config(q, "default", NULL, NULL);
}
