/* SPDX-License-Identifier: MIT */
/* hub_item: the text of items, and reading all of a node. Knows no
 * subscriptions. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/jsonw.h"
#include "base/mem.h"
#include "flow/hub_priv.h"

/* Everything up to the state. */
static struct jsonw
hub_item_head(struct buf *out, uint64_t seq, int64_t time_us, enum sec sec)
{
	struct jsonw w = jsonw_to(out);
	int64_t ms = time_us / 1000;
	time_t seconds = (time_t)(ms / 1000);
	char date[32], t[40];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(t, sizeof t, "%s.%03dZ", date, (int)(ms % 1000));
	jsonw_object(&w);
	jsonw_kint(&w, "v", 1);
	jsonw_kuint(&w, "seq", seq);
	jsonw_kz(&w, "t", t);
	jsonw_kz(&w, "sec", sec_name(sec));
	jsonw_key(&w, "state");
	return w;
}

void
hub_state_write(const struct state *s, struct buf *out)
{
	hub_item_head(out, s->seq, s->time_us, s->sec);
	engine_encode(s, out);
	buf_byte(out, '}');
}

void
hub_student_write(const struct hub *h, const struct roster_student *s, struct buf *out)
{
	struct jsonw w = hub_item_head(out, h->roster_seq, h->roster_us, SEC_AUTHENTICATED);

	jsonw_object(&w);
	jsonw_kz(&w, "name", s->name);
	jsonw_object_end(&w);
	jsonw_object_end(&w);
}

char *
hub_datatype(struct hub *h, const struct node *is)
{
	const struct reducer *r;

	if (is->kind == NODE_ROSTER)
		return mem_strdup("urn:lectern:roster:1");
	r = engine_reducer(h->engine, str_of(is->reducer));
	return mem_printf("urn:lectern:state:%s:%u", r->id, r->version);
}

void
hub_text_set(struct hub_text *t, uint64_t seq, struct str json)
{
	mem_free(t->p);
	*t = (struct hub_text){ seq, mem_dup(json.p, json.n), json.n };
}

void
hub_text_free(struct hub_text *t)
{
	mem_free(t->p);
	*t = (struct hub_text){ 0 };
}

void
hub_text_refresh(struct hub_text *t, const struct state *s)
{
	struct buf b = BUF_INIT(0);

	if (t->seq == s->seq)
		return;
	hub_state_write(s, &b);
	hub_text_set(t, s->seq, buf_view(&b));
	buf_free(&b);
}

/* ---- reading ---- */

struct hub_entry {
	char *id;
	const struct state *state;            /* one of the two */
	const struct roster_student *student;
};

struct hub_reading {
	struct hub *hub;
	enum node_kind kind;
	struct hub_entry *v;
	size_t n, cap;
	char *datatype;
	struct buf json; /* of an item that nobody watches */
};

static void
hub_reading_add(struct hub_reading *r, const char *id, const struct state *state,
    const struct roster_student *student)
{
	if (r->n == r->cap) {
		r->cap = r->cap > 0 ? 2 * r->cap : 32;
		r->v = mem_realloc(r->v, r->cap * sizeof *r->v);
	}
	r->v[r->n++] = (struct hub_entry){ mem_strdup(id), state, student };
}

static void
hub_reading_state_cb(void *arg, struct state *s)
{
	struct hub_reading *r = arg;
	char id[ITEM_ID_MAX + 1];

	node_item_id(r->kind, s, id);
	hub_reading_add(r, id, s, NULL);
}

static int
hub_entry_order(const void *a, const void *b)
{
	return strcmp(((const struct hub_entry *)a)->id, ((const struct hub_entry *)b)->id);
}

static void
hub_reading_gather(struct hub *h, const struct node *is, struct hub_reading *r)
{
	r->kind = is->kind;
	if (is->kind == NODE_ROSTER) {
		const struct roster_class *c = access_class(h->roster, is);

		for (size_t i = 0; i < c->n_students; i++)
			hub_reading_add(r, c->students[i]->pseudonym, NULL, c->students[i]);
	} else {
		hub_node_states(h, is, hub_reading_state_cb, r);
	}
	if (r->n > 1)
		qsort(r->v, r->n, sizeof *r->v, hub_entry_order);
}

void
hub_item_ids(struct hub *h, const struct node *is, hub_id_cb *cb, void *arg)
{
	struct hub_reading r = { 0 };

	if (access_exists(h->roster, is))
		hub_reading_gather(h, is, &r);
	for (size_t i = 0; i < r.n; i++) {
		cb(arg, r.v[i].id);
		mem_free(r.v[i].id);
	}
	mem_free(r.v);
}

enum err
hub_read(struct hub *h, struct str node, struct str reader, struct hub_reading **out)
{
	struct hub_reading *r;
	struct node is;
	enum err e = hub_admit(h, NULL, node, reader, &is);

	if (e != ERR_OK)
		return e;
	*out = MEM_NEW(r);
	r->hub = h;
	r->json = BUF_INIT(0);
	hub_reading_gather(h, &is, r);
	r->datatype = hub_datatype(h, &is);
	return ERR_OK;
}

/* ---- states that are away ---- */

struct hub_warming {
	struct cold_wait *wait;
	bool away;
};

static void
hub_warm_student(struct hub *h, const struct roster_student *rs, struct hub_warming *w)
{
	struct student *t = engine_student(h->engine, str_of(rs->id));

	if (t == NULL)
		return;
	w->away |= t->cold != NULL;
	if (w->wait != NULL)
		cold_wait_for(w->wait, t);
}

static void
hub_warm_students(struct hub *h, const struct node *is, struct hub_warming *w)
{
	const struct roster_student *s = access_student(h->roster, is);
	const struct roster_class *c = access_class(h->roster, is);

	if (s != NULL)
		hub_warm_student(h, s, w);
	for (size_t i = 0; c != NULL && i < c->n_students; i++)
		hub_warm_student(h, c->students[i], w);
}

struct cold_wait *
hub_warm(struct hub *h, struct str node)
{
	struct hub_warming w = { 0 };
	struct node is;

	if (cold_count(h->engine) == 0 || hub_find(h, node, &is) != ERR_OK ||
	    is.kind == NODE_ROSTER)
		return NULL;
	hub_warm_students(h, &is, &w);
	if (!w.away)
		return NULL;
	w.wait = cold_wait_new(h->engine);
	hub_warm_students(h, &is, &w);
	return w.wait;
}

bool
hub_item_is_away(struct hub *h, const struct node *is, const char *id)
{
	struct str who = is->kind == NODE_CLASS ? (struct str){ id, strcspn(id, "/") }
	                                        : str_of(is->owner);
	const struct student *t = engine_by_pseudonym(h->engine, who);

	return t != NULL && t->cold != NULL;
}

size_t
hub_reading_size(const struct hub_reading *r)
{
	return r->n;
}

struct hub_item
hub_reading_head(const struct hub_reading *r, size_t at)
{
	const struct hub_entry *e = &r->v[at];

	return (struct hub_item){
		.id = e->id, .datatype = r->datatype,
		.seq = e->state != NULL ? e->state->seq : r->hub->roster_seq,
		.time_us = e->state != NULL ? e->state->time_us : r->hub->roster_us,
	};
}

/* Subscribers of a watched state need its text, too. */
struct hub_item
hub_reading_item(struct hub_reading *r, size_t at)
{
	const struct hub_entry *e = &r->v[at];
	struct hub_watch *w = e->state != NULL ? e->state->watch : NULL;
	struct hub_item item = hub_reading_head(r, at);

	if (w != NULL && w != &hub_nobody) {
		hub_text_refresh(&w->text, e->state);
		item.json = (struct str){ w->text.p, w->text.n };
		return item;
	}
	buf_clear(&r->json);
	if (e->state != NULL)
		hub_state_write(e->state, &r->json);
	else
		hub_student_write(r->hub, e->student, &r->json);
	item.json = buf_view(&r->json);
	return item;
}

void
hub_reading_free(struct hub_reading *r)
{
	for (size_t i = 0; i < r->n; i++)
		mem_free(r->v[i].id);
	mem_free(r->v);
	mem_free(r->datatype);
	buf_free(&r->json);
	mem_free(r);
}

enum err
hub_items(struct hub *h, struct str node, struct str reader, hub_item_cb *cb, void *arg)
{
	struct hub_reading *r;
	enum err e = hub_read(h, node, reader, &r);
	bool more = true;

	if (e != ERR_OK)
		return e;
	hub_enter(h);
	for (size_t i = 0; more && i < r->n; i++) {
		struct hub_item item = hub_reading_item(r, i);

		more = cb(arg, &item);
	}
	hub_reading_free(r);
	hub_leave(h);
	return ERR_OK;
}
