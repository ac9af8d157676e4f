/* SPDX-License-Identifier: MIT */
/* publisher_stanza: a publisher's requests as XML, and what answers say. Only
 * what Prosody and ejabberd do alike: one item a request, few fields. */
#include <stdio.h>

#include "base/mem.h"
#include "xmpp/form.h"
#include "xmpp/publisher_priv.h"

#define NODE_CONFIG "http://jabber.org/protocol/pubsub#node_config"
#define PUBLISH_OPTIONS "http://jabber.org/protocol/pubsub#publish-options"

/* ---- the form: XEP-0060 §16.4.4 ---- */

/* NULL: max_items. The ones after notification_type need not be the same. */
static const struct pub_field {
	const char *name, *value;
	bool must;
} pub_fields[] = {
	{ "pubsub#access_model", "whitelist", true },
	{ "pubsub#persist_items", "1", true },
	{ "pubsub#max_items", NULL, true },
	{ "pubsub#send_last_published_item", "on_sub", true },
	{ "pubsub#deliver_payloads", "1", true },
	{ "pubsub#notification_type", "headline", false },
};

void
pub_form_write(const struct publisher *p, struct xmlw *w)
{
	char max[24];

	snprintf(max, sizeof max, "%u", p->o.max_items);
	form_open(w, "submit", NODE_CONFIG);
	for (size_t i = 0; i < sizeof pub_fields / sizeof *pub_fields; i++)
		form_field(w, pub_fields[i].name, NULL, NULL,
		    pub_fields[i].value != NULL ? pub_fields[i].value : max);
	xmlw_close(w);
}

/* The first value of a field, or NULL. */
static const char *
pub_field_read(const struct xml *form, const char *name)
{
	for (const struct xml *f = form->first; f != NULL; f = f->next) {
		const char *var = xml_attr(f, "var");
		const struct xml *v = xml_child(f, NS_DATA, "value");

		if (xml_is(f, NS_DATA, "field") && var != NULL && strcmp(var, name) == 0)
			return v != NULL ? v->text.p : "";
	}
	return NULL;
}

/* More items than asked for is as good; "max" is what the service holds. */
static bool
pub_field_enough(const char *value, unsigned want)
{
	unsigned long n = 0;

	if (strcmp(value, "max") == 0)
		return true;
	for (; *value >= '0' && *value <= '9' && n < want; value++)
		n = 10 * n + (unsigned long)(*value - '0');
	return n >= want;
}

static bool
pub_field_fits(const struct publisher *p, const struct pub_field *f, const char *value)
{
	if (value == NULL)
		return !f->must;
	if (f->value == NULL)
		return pub_field_enough(value, p->o.max_items);
	if (strcmp(f->value, "1") == 0)
		return strcmp(value, "1") == 0 || strcmp(value, "true") == 0;
	return strcmp(f->value, value) == 0 || !f->must;
}

enum pub_form
pub_form_read(const struct publisher *p, const struct xml *iq, const char **field)
{
	const struct xml *configure = xml_child(xml_child(iq, NS_PUBSUB_OWNER, "pubsub"),
	    NS_PUBSUB_OWNER, "configure");
	const struct xml *form = xml_child(configure, NS_DATA, "x");

	if (form == NULL)
		return PUB_FORM_NONE;
	for (size_t i = 0; i < sizeof pub_fields / sizeof *pub_fields; i++) {
		*field = pub_fields[i].name;
		if (!pub_field_fits(p, &pub_fields[i], pub_field_read(form, *field)))
			return i == 0 ? PUB_FORM_OPEN : PUB_FORM_DIFFERS;
	}
	return PUB_FORM_FITS;
}

/* ---- errors: RFC 6120 §8.3, XEP-0060 §11 ---- */

static const struct {
	const char *condition;
	enum pub_fault fault;
} pub_conditions[] = {
	{ "item-not-found", PUB_MISSING },
	{ "conflict", PUB_EXISTS },
	{ "forbidden", PUB_DENIED },
	{ "not-authorized", PUB_DENIED },
	{ "not-allowed", PUB_DENIED },
	{ "registration-required", PUB_DENIED },
	{ "payload-too-big", PUB_TOO_BIG },
	{ "invalid-payload", PUB_TOO_BIG },
	{ "not-acceptable", PUB_TOO_BIG },
	{ "policy-violation", PUB_TOO_BIG },
	{ "service-unavailable", PUB_ABSENT },
	{ "remote-server-timeout", PUB_ABSENT },
	{ "remote-server-not-found", PUB_ABSENT },
	{ "recipient-unavailable", PUB_ABSENT },
	{ "gone", PUB_ABSENT },
	{ "resource-constraint", PUB_WAIT },
	{ "internal-server-error", PUB_WAIT },
	{ "feature-not-implemented", PUB_CANNOT },
	{ "bad-request", PUB_CANNOT },
};

static enum pub_fault
pub_condition(const char *name)
{
	for (size_t i = 0; i < sizeof pub_conditions / sizeof *pub_conditions; i++)
		if (strcmp(name, pub_conditions[i].condition) == 0)
			return pub_conditions[i].fault;
	return PUB_OTHER;
}

/* The condition of pubsub#errors says more, where it is one of the list. */
enum pub_fault
pub_fault_read(const struct xml *iq, char detail[PUB_DETAIL_MAX])
{
	const struct xml *error = xml_child(iq, NS_COMPONENT, "error");
	const char *type = error != NULL ? xml_attr(error, "type") : NULL;
	const char *first = "no condition", *second = "";
	enum pub_fault f = PUB_OTHER;

	for (const struct xml *c = error != NULL ? error->first : NULL; c != NULL; c = c->next) {
		if (strcmp(c->ns, NS_STANZAS) == 0 && strcmp(c->name, "text") != 0) {
			first = c->name;
			if (f == PUB_OTHER)
				f = pub_condition(first);
		} else if (strcmp(c->ns, NS_PUBSUB_ERRORS) == 0) {
			second = c->name;
			if (pub_condition(second) != PUB_OTHER)
				f = pub_condition(second);
		}
	}
	if (type != NULL && strcmp(type, "wait") == 0 && f != PUB_ABSENT)
		f = PUB_WAIT;
	snprintf(detail, PUB_DETAIL_MAX, "%.40s%s%.40s", first, *second != '\0' ? "/" : "", second);
	return f;
}

/* ---- requests ---- */

static struct xmlw
pub_iq(struct pub_node *n, const char *type, const char *ns)
{
	struct publisher *p = n->publisher;
	struct xmlw w = xmlw_to(&p->out);
	char id[32];

	n->id = ++p->ids;
	snprintf(id, sizeof id, "publisher-%llu", (unsigned long long)n->id);
	buf_clear(&p->out);
	xmlw_open(&w, "iq", NULL);
	xmlw_attrz(&w, "type", type);
	xmlw_attrz(&w, "from", p->o.jid);
	xmlw_attrz(&w, "to", p->o.pubsub);
	xmlw_attrz(&w, "id", id);
	xmlw_open(&w, "pubsub", ns);
	return w;
}

static void
pub_end(struct xmlw *w)
{
	while (w->depth > 0)
		xmlw_close(w);
}

/* <outer node='..'><inner jid='..' what='as'/>..</outer> for all in todo. */
static void
pub_write_todo(const struct pub_node *n, struct xmlw *w, const char *what)
{
	for (size_t at = 0; at < n->todo.len;) {
		const char *jid = n->todo.data + at;
		const char *subid = jid + strlen(jid) + 1;

		xmlw_open(w, what, NULL);
		xmlw_attrz(w, "jid", jid);
		xmlw_attrz(w, what, n->todo_as);
		xmlw_attrz(w, "subid", *subid != '\0' ? subid : NULL);
		xmlw_close(w);
		at += strlen(jid) + 1 + strlen(subid) + 1;
	}
}

/* How a step asks. */
static const struct pub_request {
	enum pub_step step;
	const char *type, *ns, *element, *children;
} pub_requests[] = {
	{ PUB_CREATE, "set", NS_PUBSUB, "create", NULL },
	{ PUB_CONFIG, "get", NS_PUBSUB_OWNER, "configure", NULL },
	{ PUB_CONFIGURE, "set", NS_PUBSUB_OWNER, "configure", NULL },
	{ PUB_AFFILIATIONS, "get", NS_PUBSUB_OWNER, "affiliations", NULL },
	{ PUB_AFFILIATE, "set", NS_PUBSUB_OWNER, "affiliations", "affiliation" },
	{ PUB_SUBSCRIPTIONS, "get", NS_PUBSUB_OWNER, "subscriptions", NULL },
	{ PUB_UNSUBSCRIBE, "set", NS_PUBSUB_OWNER, "subscriptions", "subscription" },
	{ PUB_ITEMS, "get", NS_PUBSUB, "items", NULL },
	{ PUB_RETRACT, "set", NS_PUBSUB, "retract", NULL },
	{ PUB_PURGE, "set", NS_PUBSUB_OWNER, "purge", NULL },
	{ PUB_DELETE, "set", NS_PUBSUB_OWNER, "delete", NULL },
};

/* What stands inside or behind the element. */
static void
pub_write_rest(struct pub_node *n, struct xmlw *w, const char *children)
{
	if (n->step == PUB_CREATE) {
		xmlw_close(w);
		xmlw_open(w, "configure", NULL);
	}
	if (n->step == PUB_CREATE || n->step == PUB_CONFIGURE)
		pub_form_write(n->publisher, w);
	if (children != NULL)
		pub_write_todo(n, w, children);
	if (n->step == PUB_RETRACT) {
		xmlw_attrz(w, "notify", "true");
		xmlw_open(w, "item", NULL);
		xmlw_attrz(w, "id", n->item[n->at].id);
	}
}

void
pub_write_request(struct pub_node *n)
{
	for (size_t i = 0; i < sizeof pub_requests / sizeof *pub_requests; i++) {
		const struct pub_request *r = &pub_requests[i];
		struct xmlw w;

		if (r->step != n->step)
			continue;
		w = pub_iq(n, r->type, r->ns);
		xmlw_open(&w, r->element, NULL);
		xmlw_attrz(&w, "node", n->opaque);
		pub_write_rest(n, &w, r->children);
		pub_end(&w);
	}
}

/* XEP-0060 §7.1.5: where the node is not what it must be, nothing is published;
 * and a service that makes a missing node makes it so. */
void
pub_write_publish(struct pub_node *n, const struct hub_item *item)
{
	struct xmlw w = pub_iq(n, "set", NS_PUBSUB);

	xmlw_open(&w, "publish", NULL);
	xmlw_attrz(&w, "node", n->opaque);
	notify_write_item(&w, item);
	xmlw_close(&w);
	xmlw_open(&w, "publish-options", NULL);
	form_open(&w, "submit", PUBLISH_OPTIONS);
	form_field(&w, pub_fields[0].name, NULL, NULL, pub_fields[0].value);
	pub_end(&w);
}
