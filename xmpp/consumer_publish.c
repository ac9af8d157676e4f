/* SPDX-License-Identifier: MIT */
/* consumer_publish: what changed, oldest change first, many states in a publish and
 * always their newest value. With them goes the acknowledgement of everything
 * before the oldest change that is not among them. */
#include <inttypes.h>

#include "base/log.h"
#include "base/mem.h"
#include "xmpp/consumer_priv.h"

/* ---- what is due ---- */

static struct consumer_entry *
consumer_entry(struct state *s)
{
	struct consumer_entry *e = s->watch;

	if (e == NULL) {
		s->watch = MEM_NEW(e);
		e->state = s;
	}
	return e;
}

/* A change of a state that is under way, or that nobody took, waits its turn. */
static void
consumer_mark(struct consumer *c, struct consumer_entry *e, uint64_t seq)
{
	if (e->under_way) {
		e->again = e->again == 0 ? seq : e->again;
		return;
	}
	if (e->stuck) {
		TAILQ_REMOVE(&c->stuck, e, link);
		TAILQ_INSERT_HEAD(&c->dirty, e, link); /* it has the oldest change */
		e->stuck = false;
		return;
	}
	if (e->dirty)
		return;
	e->dirty = true;
	e->since = seq;
	TAILQ_INSERT_TAIL(&c->dirty, e, link);
}

void
consumer_changed(struct consumer *c, uint64_t seq)
{
	for (struct state *s = engine_changed(c->engine); s != NULL; s = s->next_changed)
		consumer_mark(c, consumer_entry(s), seq);
}

static uint64_t
consumer_oldest(const struct consumer_entries *list, const struct reducer *r, uint64_t known)
{
	const struct consumer_entry *e;

	TAILQ_FOREACH(e, list, link)
		if (e->state->reducer == r && e->since - 1 < known)
			known = e->since - 1;
	return known;
}

/* Up to where all is published once the ones under way are. */
static uint64_t
consumer_position(const struct consumer *c, const struct reducer *r)
{
	return consumer_oldest(&c->stuck, r, consumer_oldest(&c->dirty, r, c->processed));
}

size_t
consumer_waiting(const struct consumer *c)
{
	const struct consumer_entry *e;
	size_t n = 0;

	TAILQ_FOREACH(e, &c->dirty, link)
		n++;
	TAILQ_FOREACH(e, &c->under_way, link)
		n++;
	TAILQ_FOREACH(e, &c->stuck, link)
		n++;
	return n;
}

/* ---- one publish ---- */

static void
consumer_item(struct xmlw *w, const char *id, const char *datatype, struct str json)
{
	struct hub_item item = { .id = id, .json = json, .datatype = datatype };

	notify_write_item(w, &item);
}

static void
consumer_get_stuck(struct consumer *c, struct consumer_entry *e, const char *why)
{
	log_error("component jid=%s reducer=%s: a state %s; it stays unpublished until it changes",
	    c->o.jid, e->state->reducer->id, why);
	TAILQ_INSERT_TAIL(&c->stuck, e, link);
	e->stuck = true;
}

/* Moves an entry into the publish, or aside when no stanza can carry it. false: it
 * does not fit into this one. */
static bool
consumer_put(struct consumer *c, struct xmlw *w, struct consumer_entry *e, size_t *bytes)
{
	struct buf json = BUF_INIT(0);
	char id[ITEM_ID_MAX + 1];
	size_t cost;

	publish_write(e->state, &json);
	cost = page_cost(buf_view(&json)) + ITEM_ID_MAX + FEED_AROUND_BYTES;
	if (*bytes + cost > CONSUMER_PUBLISH_BYTES && *bytes > 0) {
		buf_free(&json);
		return false;
	}
	TAILQ_REMOVE(&c->dirty, e, link);
	if (cost > CONSUMER_PUBLISH_BYTES) {
		consumer_get_stuck(c, e, "is too large for a stanza");
	} else {
		*bytes += cost;
		node_item_id(NODE_CLASS, e->state, id);
		consumer_item(w, id, DATATYPE_STATE, buf_view(&json));
		e->under_way = true;
		e->again = 0;
		TAILQ_INSERT_TAIL(&c->under_way, e, link);
	}
	buf_free(&json);
	return true;
}

static size_t
consumer_put_all(struct consumer *c, struct xmlw *w, const struct reducer *r)
{
	struct consumer_entry *e = TAILQ_FIRST(&c->dirty), *next;
	size_t bytes = 0, n = 0;

	for (; e != NULL && n < c->batch_max; e = next) {
		next = TAILQ_NEXT(e, link);
		if (e->state->reducer != r)
			continue;
		if (!consumer_put(c, w, e, &bytes))
			break;
		n += e->under_way;
	}
	return n;
}

static struct consumer_node *
consumer_node_of(struct consumer *c, const struct reducer *r)
{
	struct consumer_node *n = c->node;

	while (n->reducer != r)
		n++;
	return n;
}

/* The node with the oldest change, or else one that has not acknowledged for a
 * while. */
static struct consumer_node *
consumer_due(struct consumer *c)
{
	uint64_t now = loop_now_ms(c->o.loop);
	uint64_t rest = c->more ? CONSUMER_ACK_MS : CONSUMER_ACK_IDLE_MS;

	if (!TAILQ_EMPTY(&c->dirty))
		return consumer_node_of(c, TAILQ_FIRST(&c->dirty)->state->reducer);
	for (size_t i = 0; i < c->n_nodes; i++)
		if (consumer_position(c, c->node[i].reducer) > c->node[i].acked &&
		    c->node[i].acked_ms + rest <= now)
			return &c->node[i];
	return NULL;
}

bool
consumer_publish(struct consumer *c)
{
	struct consumer_node *n = consumer_due(c);
	struct buf json = BUF_INIT(0);
	struct xmlw w;
	size_t states;

	if (n == NULL)
		return false;
	c->publishing = n;
	w = consumer_ask(c, ASK_PUBLISH, "set");
	xmlw_open(&w, "publish", NULL);
	xmlw_attrz(&w, "node", n->name);
	states = consumer_put_all(c, &w, n->reducer);
	n->acking = consumer_position(c, n->reducer);
	if (n->acking > n->acked) {
		buf_printf(&json, "{\"v\":1,\"position\":%" PRIu64 "}", n->acking);
		consumer_item(&w, PUBLISH_ACK, DATATYPE_STATE, buf_view(&json));
		buf_free(&json);
	} else if (states == 0) { /* the only one cannot be sent */
		c->asked[ASK_PUBLISH] = 0;
		return false;
	}
	consumer_send(c, &w);
	return true;
}

/* ---- its end ---- */

void
consumer_published(struct consumer *c)
{
	struct consumer_entry *e;

	while ((e = TAILQ_FIRST(&c->under_way)) != NULL) {
		TAILQ_REMOVE(&c->under_way, e, link);
		e->under_way = e->dirty = false;
		if (e->again != 0)
			consumer_mark(c, e, e->again);
		c->published++;
	}
	if (c->publishing->acking > c->publishing->acked)
		c->publishing->acked = c->publishing->acking;
	c->publishing->acked_ms = loop_now_ms(c->o.loop);
	c->batch_max = 2 * c->batch_max < CONSUMER_PUBLISH_ITEMS ? 2 * c->batch_max
	    : CONSUMER_PUBLISH_ITEMS;
}

/* What the service refuses for good is found by halves, so that one state cannot
 * keep the others back. */
void
consumer_unpublished(struct consumer *c, bool permanent)
{
	struct consumer_entry *e;
	size_t n = 0;

	TAILQ_FOREACH(e, &c->under_way, link)
		n++;
	while ((e = TAILQ_LAST(&c->under_way, consumer_entries)) != NULL) {
		TAILQ_REMOVE(&c->under_way, e, link);
		e->under_way = false;
		if (permanent && n == 1)
			consumer_get_stuck(c, e, "is refused by the service");
		else
			TAILQ_INSERT_HEAD(&c->dirty, e, link);
	}
	if (permanent && n > 1)
		c->batch_max = n / 2;
}

static void
consumer_entries_free(struct consumer_entries *list)
{
	struct consumer_entry *e;

	while ((e = TAILQ_FIRST(list)) != NULL)
		TAILQ_REMOVE(list, e, link);
}

static void
consumer_state_cb(void *arg, const struct state *s, struct str json)
{
	(void)arg, (void)json;
	mem_free(s->watch);
}

void
consumer_publish_free(struct consumer *c)
{
	consumer_entries_free(&c->dirty);
	consumer_entries_free(&c->under_way);
	consumer_entries_free(&c->stuck);
	engine_each(c->engine, consumer_state_cb, c);
}
