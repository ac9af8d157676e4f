/* SPDX-License-Identifier: MIT */
/* publisher_access: who may read a node, brought to the service: affiliations
 * by the roster, and no subscription of anybody else. Access taken away goes by
 * four steps, because on no server does the affiliation end a subscription:
 * affiliation none, subscriptions read, each ended, read again. */
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "xmpp/publisher_priv.h"

/* ---- the roster's view ---- */

static void
pub_reader_cb(void *arg, struct str jid)
{
	static char yes;

	map_put(arg, jid, &yes);
}

static struct map *
pub_readers(const struct pub_node *n)
{
	struct map *m = map_new();

	access_readers(hub_roster(n->publisher->o.hub), &n->is, pub_reader_cb, m);
	return m;
}

static void
pub_hash_key(struct buf *b, const struct map_iter *it)
{
	buf_str(b, it->key);
	buf_byte(b, '\n');
}

uint64_t
pub_roster_hash(const struct pub_node *n)
{
	const struct roster_class *c = access_class(hub_roster(n->publisher->o.hub), &n->is);
	struct map *readers = pub_readers(n);
	struct map_iter *v = map_sorted(readers);
	struct buf b = BUF_INIT(0);
	uint64_t hash;

	for (size_t i = 0; i < map_size(readers); i++)
		pub_hash_key(&b, &v[i]);
	for (size_t i = 0; c != NULL && i < c->n_students; i++)
		buf_printf(&b, "%s\n", c->students[i]->pseudonym);
	hash = map_hash(buf_view(&b));
	buf_free(&b);
	mem_free(v);
	map_free(readers, NULL);
	return hash;
}

/* ---- comparing ---- */

static void
pub_todo_add(struct pub_node *n, const char *jid, const char *subid)
{
	buf_add(&n->todo, jid, strlen(jid) + 1);
	buf_add(&n->todo, subid, strlen(subid) + 1);
}

/* The reader that the service's JID is; false for a stranger. */
static bool
pub_is_reader(struct map *readers, const char *jid, struct address *a)
{
	return address_read(jid, a) && map_get(readers, address_bare(a)) != NULL;
}

/* Whether what is left to change has become less; else the service does not do
 * what it is told, and would be told for ever. */
static bool
pub_gets_less(struct pub_node *n, size_t left)
{
	bool less = left < n->left;

	n->left = left;
	return less;
}

struct pub_change {
	struct pub_node *node;
	struct map *readers; /* those who are members are taken out */
	size_t strangers;
};

static void
pub_affiliation(struct pub_change *c, const char *jid, const char *as)
{
	struct address a;

	if (strcasecmp(jid, c->node->publisher->o.jid) == 0)
		return;
	if (pub_is_reader(c->readers, jid, &a)) {
		if (strcmp(as, "member") == 0)
			map_remove(c->readers, address_bare(&a));
		return;
	}
	if (strcmp(as, "none") == 0 || strcmp(as, "outcast") == 0)
		return;
	if (c->strangers++ == 0) /* one at a time: Prosody stops at its first "forbidden" */
		pub_todo_add(c->node, jid, "");
}

static void
pub_add_members(struct pub_change *c)
{
	struct map_iter it = { 0 };

	for (int i = 0; i < PUB_ADD_MAX && map_next(c->readers, &it); i++) {
		char *jid = mem_str(it.key);

		pub_todo_add(c->node, jid, "");
		mem_free(jid);
	}
}

static void
pub_affiliate(struct pub_change *c)
{
	struct pub_node *n = c->node;
	size_t left = c->strangers + map_size(c->readers);

	if (left == 0) {
		pub_go(n, PUB_SUBSCRIPTIONS);
	} else if (!pub_gets_less(n, left)) {
		pub_refuse(n, PUB_MEMBERS, n->todo.len > 0 ? n->todo.data : "");
	} else {
		if (c->strangers == 0)
			pub_add_members(c);
		n->todo_as = c->strangers > 0 ? "none" : "member";
		pub_go(n, PUB_AFFILIATE);
	}
}

void
pub_affiliations(struct pub_node *n, const struct xml *iq)
{
	const struct xml *list = xml_child(xml_child(iq, NS_PUBSUB_OWNER, "pubsub"),
	    NS_PUBSUB_OWNER, "affiliations");
	struct pub_change c = { .node = n, .readers = pub_readers(n) };

	buf_clear(&n->todo);
	for (const struct xml *x = list != NULL ? list->first : NULL; x != NULL; x = x->next) {
		const char *jid = xml_attr(x, "jid"), *as = xml_attr(x, "affiliation");

		if (jid != NULL && as != NULL)
			pub_affiliation(&c, jid, as);
	}
	if (list == NULL)
		pub_refuse(n, PUB_UNREADABLE, "affiliations");
	else
		pub_affiliate(&c);
	map_free(c.readers, NULL);
}

/* ---- subscriptions ---- */

static void
pub_subscription(struct pub_change *c, const struct xml *x)
{
	const char *jid = xml_attr(x, "jid"), *as = xml_attr(x, "subscription");
	const char *subid = xml_attr(x, "subid");
	struct address a;

	if (jid == NULL || (as != NULL && strcmp(as, "none") == 0) ||
	    pub_is_reader(c->readers, jid, &a))
		return;
	if (c->strangers++ < PUB_ADD_MAX)
		pub_todo_add(c->node, jid, subid != NULL ? subid : "");
}

void
pub_subscriptions(struct pub_node *n, const struct xml *iq)
{
	const struct xml *list = xml_child(xml_child(iq, NS_PUBSUB_OWNER, "pubsub"),
	    NS_PUBSUB_OWNER, "subscriptions");
	struct pub_change c = { .node = n, .readers = pub_readers(n) };

	buf_clear(&n->todo);
	for (const struct xml *x = list != NULL ? list->first : NULL; x != NULL; x = x->next)
		pub_subscription(&c, x);
	map_free(c.readers, NULL);
	if (list == NULL) {
		pub_refuse(n, PUB_UNREADABLE, "subscriptions");
	} else if (c.strangers == 0) {
		pub_go(n, PUB_ITEMS);
	} else if (!pub_gets_less(n, c.strangers)) {
		pub_refuse(n, PUB_SUBSCRIBED, n->todo.data);
	} else {
		log_notice("xmpp jid=%s node=%s subscriptions ended=%zu", n->publisher->o.jid,
		    n->name, c.strangers);
		n->todo_as = "none";
		pub_go(n, PUB_UNSUBSCRIBE);
	}
}
