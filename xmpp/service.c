/* SPDX-License-Identifier: MIT */
/* service: one component's PubSub service as a whole, without the stream. */
#include "xmpp/feed.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

static void
service_tick_cb(void *arg)
{
	struct service *s = arg;

	feed_door_tick(s->feed, loop_now_ms(s->o.loop));
	service_tick(s, loop_wall_us(s->o.loop), loop_now_ms(s->o.loop));
}

struct service *
service_new(const struct service_options *o)
{
	struct service *s;

	MEM_NEW(s);
	s->o = *o;
	s->o.jid = mem_strdup(o->jid);
	s->o.server = mem_strdup(o->server);
	s->o.reducers = reducers_copy(o->reducers);
	if (o->elsewhere != NULL) {
		s->o.elsewhere = reducers_copy(o->elsewhere);
		s->o.pubsub = mem_strdup(o->pubsub);
		s->o.key.p = mem_str(o->key);
	}
	s->out = BUF_INIT(SERVICE_OUT_MAX);
	s->book = book_new();
	s->door = hub_door_new(o->hub, &notify_door_ops, s);
	s->feed = feed_door_new(s, o->feed);
	hub_door_name(s->door, s->o.jid);
	s->tick = loop_timer_new(o->loop, service_tick_cb, s);
	s->reload = loop_timer_new(o->loop, commands_reload_cb, s);
	LIST_INIT(&s->commands);
	LIST_INIT(&s->answers);
	loop_timer_every(s->tick, SERVICE_TICK_MS);
	return s;
}

void
service_free(struct service *s)
{
	if (s == NULL)
		return;
	while (!LIST_EMPTY(&s->answers))
		answer_free(LIST_FIRST(&s->answers));
	store_load_free(s);
	feed_door_free(s->feed);
	hub_door_free(s->door);
	book_free(s->book);
	commands_free(s);
	loop_timer_free(s->reload);
	loop_timer_free(s->tick);
	buf_free(&s->out);
	if (s->o.elsewhere != NULL) {
		mem_wipe((char *)s->o.key.p, s->o.key.n);
		mem_free((char *)s->o.key.p);
		mem_free((char *)s->o.pubsub);
	}
	mem_free((void *)s->o.elsewhere);
	mem_free((void *)s->o.reducers);
	mem_free((char *)s->o.jid);
	mem_free((char *)s->o.server);
	mem_free(s);
}

void
service_load(struct service *s, loop_cb *cb, void *arg)
{
	feed_door_load(s->feed);
	store_load(s, cb, arg);
}

/* ---- the stream comes and goes ---- */

static void
service_refresh_cb(void *arg, struct subscription *sub)
{
	(void)arg;
	if (sub->hub != NULL)
		hub_sub_refresh(sub->hub);
}

/* A new stream: what was under way on the old one may be lost, so everything is
 * sent again. */
void
service_up(struct service *s)
{
	s->up = true;
	notify_reset(s);
	presence_probe_all(s);
	book_each(s->book, service_refresh_cb, NULL);
	feed_door_up(s->feed);
	hub_door_ready(s->door);
}

void
service_down(struct service *s)
{
	s->up = false;
}

void
service_room(struct service *s)
{
	hub_door_ready(s->door);
}

/* ---- who may read what ---- */

static bool
service_publishes(const struct service *s, const struct node *n)
{
	if (n->kind == NODE_ROSTER)
		return s->o.reducers[0] != NULL;
	for (size_t i = 0; s->o.reducers[i] != NULL; i++)
		if (strcmp(s->o.reducers[i]->id, n->reducer) == 0)
			return true;
	return false;
}

enum err
service_may_read(struct service *s, struct str reader, const char *node, struct node *out)
{
	struct node is;
	enum err e = reader.n == 0 ? ERR_FORBIDDEN :
	    hub_may_read(s->o.hub, str_of(node), reader, &is);

	if (e == ERR_OK && !service_publishes(s, &is))
		e = ERR_NOT_FOUND;
	if (e == ERR_OK && out != NULL)
		*out = is;
	return e;
}

enum err
service_find(struct service *s, const char *node, struct node *out)
{
	enum err e = hub_find(s->o.hub, str_of(node), out);

	return e == ERR_OK && !service_publishes(s, out) ? ERR_NOT_FOUND : e;
}

enum err
service_admit(struct service *s, struct str reader, const char *node, struct node *out)
{
	enum err e = service_may_read(s, reader, node, out);

	if (e != ERR_OK)
		hub_refused(s->o.hub, s->o.jid, reader, str_of(node));
	return e;
}

struct service_listing {
	struct page *page;
	size_t cost;
};

static void
service_list_cb(void *arg, const struct node *n)
{
	struct service_listing *l = arg;
	char name[NODE_MAX + 1];

	if (node_write(n, name) == ERR_OK)
		page_add(l->page, str_of(name), l->cost + page_cost(str_of(name)), 0);
}

void
service_list(struct service *s, struct str reader, struct page *p, size_t cost)
{
	struct service_listing l = { p, cost };

	if (reader.n > 0)
		access_nodes(hub_roster(s->o.hub), reader, s->o.reducers, service_list_cb, &l);
}

void
service_write(const struct service *s, struct jsonw *w)
{
	size_t lasting = book_lasting(s->book);

	jsonw_kuint(w, "in_flight", s->in_flight);
	jsonw_kuint(w, "window", s->o.window);
	jsonw_kuint(w, "subscriptions", book_size(s->book));
	jsonw_kuint(w, "temporary", book_size(s->book) - lasting);
	jsonw_kuint(w, "answers_waiting", s->n_answers);
}

size_t
service_pending(const struct service *s)
{
	return s->n_answers;
}
