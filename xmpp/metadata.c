/* SPDX-License-Identifier: MIT */
/* metadata: what the service and its nodes are. For disco#info whom to ask and
 * what becomes of the data (XEP-0157, XEP-0504), and of a node what its readers
 * may know (XEP-0060 §5.4); for admins the configuration of nodes, which can be
 * read and not be set (§8.2, §8.3), since the roster and the reducers make them.
 * How many are subscribed is told to nobody. */
#include "base/mem.h"
#include "xmpp/form.h"
#include "xmpp/service_priv.h"

#define NS_META_DATA NS_PUBSUB "#meta-data"
#define NS_NODE_CONFIG NS_PUBSUB "#node_config"
#define NS_SERVERINFO "http://jabber.org/network/serverinfo"
#define NS_DATA_POLICY "urn:xmpp:data-policy:0"

/* ---- the service ---- */

/* XEP-0157 §3 */
static void
metadata_write_contact(struct xmlw *w, const struct conf_list *contact)
{
	if (contact->n == 0)
		return;
	form_open(w, "result", NS_SERVERINFO);
	form_field_open(w, "admin-addresses", "list-multi", NULL);
	for (size_t i = 0; i < contact->n; i++)
		form_value(w, contact->v[i]);
	xmlw_close(w);
	xmlw_close(w);
}

/* XEP-0504 §3. The journal is never purged, and readers can delete nothing; who
 * runs the machine can read its disk. Of other things we know nothing. */
static void
metadata_write_policy(struct xmlw *w, const char *uri)
{
	if (uri == NULL || uri[0] == '\0')
		return;
	form_open(w, "result", NS_DATA_POLICY);
	form_field(w, "data_retention", "text-single", NULL, "infinite");
	form_flag(w, "data_deletion", NULL, false);
	form_flag(w, "data_export", NULL, false);
	form_flag(w, "full_erasure", NULL, false);
	form_field(w, "access_policy", "list-multi", NULL, "admins");
	form_field(w, "tos", "text-single", NULL, uri);
	form_field(w, "extra_info", "text-multi", NULL, "Items about a student go only to those "
	    "whom the organisation's roster and configuration name.");
	xmlw_close(w);
}

void
metadata_write_service(struct xmlw *w, const struct service *s)
{
	if (s->o.about == NULL)
		return;
	metadata_write_contact(w, s->o.about->contact);
	metadata_write_policy(w, s->o.about->privacy_policy);
}

/* ---- nodes ---- */

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
	    "on_sub" },
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
metadata_write_node(struct xmlw *w, const struct service *s, const struct node *n)
{
	char *title = metadata_title(n), *type = hub_datatype(s->o.hub, n);

	form_field(w, "pubsub#title", "text-single", "Title", title);
	form_field(w, "pubsub#type", "text-single", "Datatype of the items", type);
	mem_free(title);
	mem_free(type);
}

void
metadata_write(struct xmlw *w, const struct service *s, const struct node *n)
{
	form_open(w, "result", NS_META_DATA);
	metadata_write_node(w, s, n);
	form_field(w, "pubsub#creator", "jid-single", "Creator", s->o.jid);
	metadata_write_config(w, false);
	xmlw_close(w);
}

/* ---- the owner's requests ---- */

static bool
metadata_is_admin(const struct request *q)
{
	const struct service_admin *admin = q->reply.service->o.admin;

	return admin != NULL && q->reader.n > 0 && admin->is(admin->arg, q->reader);
}

static void
metadata_send_config(struct request *q, const char *name, const char *node, const struct node *n)
{
	struct xmlw w = reply_begin(&q->reply);

	xmlw_open(&w, "pubsub", NS_PUBSUB_OWNER);
	xmlw_open(&w, name, NULL);
	xmlw_attrz(&w, "node", node);
	form_open(&w, "form", NS_NODE_CONFIG);
	if (n != NULL)
		metadata_write_node(&w, q->reply.service, n);
	metadata_write_config(&w, true);
	reply_end(&q->reply, &w);
}

/* Whether the node may be looked at by who asks; else the request is answered.
 * To all but admins it is a node that is not theirs (§8.2.3.2), whether there is
 * one or not. */
static bool
metadata_admits(struct request *q, const char *node, struct node *is)
{
	if (node == NULL)
		reply_fault(&q->reply, FAULT_NODE_REQUIRED); /* §8.2.3.3 */
	else if (!metadata_is_admin(q))
		reply_fault(&q->reply, FAULT_FORBIDDEN);
	else if (service_find(q->reply.service, node, is) != ERR_OK)
		reply_fault(&q->reply, FAULT_NOT_FOUND); /* §8.2.3.4 */
	else
		return true;
	return false;
}

/* §8.2.1 */
void
metadata_configure_get(struct request *q, const struct xml *x)
{
	const char *node = xml_attr(x, "node");
	struct node is;

	if (metadata_admits(q, node, &is))
		metadata_send_config(q, "configure", node, &is);
}

/* §8.2.4; a form can be cancelled (§8.2.5.1), but there is nothing to set. */
void
metadata_configure_set(struct request *q, const struct xml *x)
{
	const struct xml *form = xml_child(x, NS_DATA, "x");
	struct node is;

	if (!metadata_admits(q, xml_attr(x, "node"), &is))
		return;
	if (form == NULL)
		reply_fault(&q->reply, FAULT_BAD_REQUEST);
	else if (form_kind(form) == FORM_CANCEL)
		reply_empty(&q->reply);
	else
		reply_fault(&q->reply, FAULT_NOT_ALLOWED);
}

/* §8.3.1 */
void
metadata_default_get(struct request *q, const struct xml *x)
{
	(void)x;
	if (metadata_is_admin(q))
		metadata_send_config(q, "default", NULL, NULL);
	else
		reply_fault(&q->reply, FAULT_FORBIDDEN);
}
