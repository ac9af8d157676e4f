/* SPDX-License-Identifier: MIT */
/* hub_node: nodes with subscribers, their members, and the links from states
 * to them. Knows of a subscription only that an item can be marked in it.
 *
 * Links are kept exact at all times: a node that gets its first subscriber and
 * a new roster link every state concerned, the end of a node unlinks them. Only
 * a state that the hub never saw (watch is NULL) must be looked up, once. */
#include "base/mem.h"
#include "flow/cold.h"
#include "flow/hub_priv.h"

/* Shared by all states that nobody watches; has no links and no text. */
struct hub_watch hub_nobody;

/* ---- links ---- */

static struct hub_link *
hub_link_find(const struct state *s, const struct hub_node *n)
{
	struct hub_watch *w = s->watch;

	for (size_t i = 0; w != NULL && i < w->n; i++)
		if (w->link[i].node == n)
			return &w->link[i];
	return NULL;
}

/* Returns where the state's text is. */
static struct hub_text *
hub_link_add(struct state *s, struct hub_node *n, size_t at)
{
	struct hub_watch *w = s->watch;

	if (w == NULL || w == &hub_nobody) {
		s->watch = MEM_NEW(w);
		s->student->n_watched++;
	}
	w->link = mem_realloc(w->link, (w->n + 1) * sizeof *w->link);
	w->link[w->n++] = (struct hub_link){ n, at };
	return &w->text;
}

static void
hub_link_drop(struct state *s, const struct hub_node *n)
{
	struct hub_watch *w = s->watch;

	*hub_link_find(s, n) = w->link[w->n - 1];
	if (--w->n > 0)
		return;
	hub_text_free(&w->text);
	mem_free(w->link);
	mem_free(w);
	s->watch = &hub_nobody;
	s->student->n_watched--;
}

/* ---- members ---- */

/* A free place for a member: its number. */
static size_t
hub_member_place(struct hub_node *n)
{
	if (n->free > 0) {
		size_t at = 0;

		while (n->member[at].id != NULL)
			at++;
		n->free--;
		return at;
	}
	if (n->n == n->cap) {
		n->cap = n->cap > 0 ? 2 * n->cap : 8;
		n->member = mem_realloc(n->member, n->cap * sizeof *n->member);
	}
	return n->n++;
}

static void
hub_member_mark(struct hub_node *n, size_t at)
{
	struct hub_sub *s;

	TAILQ_FOREACH(s, &n->subs, of_node)
		hub_sub_mark(s, at);
}

/* The place of a new member of this id: its old one, if it was here before. */
static size_t
hub_member_make(struct hub_node *n, const char *id)
{
	size_t at = 0;

	while (n->gone > 0 && at < n->n &&
	    (n->member[at].gone == 0 || strcmp(n->member[at].id, id) != 0))
		at++;
	if (n->gone > 0 && at < n->n) {
		n->gone--;
		n->member[at].gone = 0;
	} else {
		at = hub_member_place(n);
		n->member[at] = (struct hub_member){ .id = mem_strdup(id) };
	}
	n->member[at].kept = true;
	return at;
}

static void
hub_member_add_state(struct hub_node *n, struct state *s)
{
	struct hub_link *there = hub_link_find(s, n);
	char id[ITEM_ID_MAX + 1];
	size_t at;

	if (there != NULL) {
		n->member[there->at].kept = true;
		return;
	}
	node_item_id(n->is.kind, s, id);
	at = hub_member_make(n, id);
	n->member[at].state = s;
	n->member[at].text = hub_link_add(s, n, at);
	hub_member_mark(n, at);
}

/* The text is new with each roster, also of who was here before. */
static void
hub_member_write_student(struct hub_node *n, size_t at, const struct roster_student *s)
{
	struct hub_member *m = &n->member[at];
	struct buf b = BUF_INIT(0);

	m->kept = true;
	if (m->text == NULL)
		MEM_NEW(m->text);
	hub_student_write(n->hub, s, &b);
	hub_text_set(m->text, n->hub->roster_seq, buf_view(&b));
	buf_free(&b);
	hub_member_mark(n, at);
}

/* Lets go of what an item is made of; its id stays. */
static void
hub_member_empty(struct hub_node *n, struct hub_member *m)
{
	if (m->state != NULL) {
		hub_link_drop(m->state, n);
	} else if (m->text != NULL) {
		hub_text_free(m->text);
		mem_free(m->text);
	}
	m->state = NULL;
	m->text = NULL;
}

static void
hub_member_remove(struct hub_node *n, size_t at)
{
	struct hub_member *m = &n->member[at];
	struct hub_sub *s;

	TAILQ_FOREACH(s, &n->subs, of_node)
		hub_sub_unmark(s, at);
	hub_member_empty(n, m);
	n->gone -= m->gone != 0;
	mem_free(m->id);
	*m = (struct hub_member){ 0 };
	n->free++;
}

/* What was pending of it is its retraction now. */
static void
hub_member_leave(struct hub_node *n, size_t at)
{
	struct hub_member *m = &n->member[at];

	hub_member_empty(n, m);
	m->gone = ++n->hub->leavings;
	n->gone++;
	hub_member_mark(n, at);
}

/* Whether there is nobody left who could have items. */
static bool
hub_node_is_empty(const struct hub_node *n)
{
	const struct roster_class *c = access_class(n->hub->roster, &n->is);

	return n->is.kind != NODE_STUDENT && (c == NULL || c->n_students == 0);
}

/* One purge for all retractions, those that are pending included. */
static void
hub_node_purge(struct hub_node *n)
{
	struct hub_sub *s;

	for (size_t i = 0; i < n->n; i++)
		if (n->member[i].gone != 0)
			hub_member_remove(n, i);
	n->purged = ++n->hub->leavings;
	TAILQ_FOREACH(s, &n->subs, of_node)
		hub_sub_purge(s);
}

/* Members that hub_node_fill did not meet have left. */
static void
hub_node_sweep(struct hub_node *n)
{
	size_t left = 0;

	for (size_t i = 0; i < n->n; i++) {
		if (n->member[i].id == NULL || n->member[i].kept || n->member[i].gone != 0)
			continue;
		hub_member_leave(n, i);
		left++;
	}
	if (left > 0 && (n->gone > HUB_GONE_MAX || hub_node_is_empty(n)))
		hub_node_purge(n);
}

static void
hub_node_take_cb(void *arg, struct state *s)
{
	struct hub_node *n = arg;

	if (s->watch == NULL)
		hub_state_look(n->hub, s);
	else
		hub_member_add_state(n, s);
}

static void
hub_node_take_roster(struct hub_node *n)
{
	const struct roster_class *c = access_class(n->hub->roster, &n->is);
	struct map *places = map_new(); /* of the members before, by id, from 1 */

	for (size_t i = 0; i < n->n; i++)
		if (n->member[i].id != NULL && n->member[i].gone == 0)
			map_put(places, str_of(n->member[i].id), (void *)(uintptr_t)(i + 1));
	for (size_t i = 0; c != NULL && i < c->n_students; i++) {
		const char *id = c->students[i]->pseudonym;
		size_t at = (uintptr_t)map_get(places, str_of(id));

		hub_member_write_student(n, at > 0 ? at - 1 : hub_member_make(n, id),
		    c->students[i]);
	}
	map_free(places, NULL);
}

void
hub_node_fill(struct hub_node *n)
{
	for (size_t i = 0; i < n->n; i++)
		n->member[i].kept = false;
	if (n->is.kind == NODE_ROSTER)
		hub_node_take_roster(n);
	else
		hub_node_states(n->hub, &n->is, hub_node_take_cb, n);
	hub_node_sweep(n);
}

/* ---- nodes ---- */

struct hub_node *
hub_node_of(struct hub *h, const struct node *is, struct str name)
{
	struct hub_node *n = map_get(h->nodes, name);

	if (n != NULL)
		return n;
	MEM_NEW(n);
	n->hub = h;
	n->is = *is;
	n->name = mem_str(name);
	if (is->kind != NODE_ROSTER)
		n->reducer = engine_reducer(h->engine, str_of(is->reducer));
	n->datatype = hub_datatype(h, is);
	TAILQ_INIT(&n->subs);
	map_put(h->nodes, name, n);
	hub_node_fill(n);
	return n;
}

void
hub_node_free(struct hub_node *n)
{
	for (size_t i = 0; i < n->n; i++)
		if (n->member[i].id != NULL)
			hub_member_remove(n, i);
	map_remove(n->hub->nodes, str_of(n->name));
	mem_free(n->member);
	mem_free(n->datatype);
	mem_free(n->name);
	mem_free(n);
}

/* ---- from the roster ---- */

/* Those of a student who is away come when he is back; see hub_warm_cb. */
static void
hub_student_states(struct hub *h, const struct roster_student *rs, const struct reducer *r,
    hub_state_cb *cb, void *arg)
{
	struct student *s = engine_student(h->engine, str_of(rs->id));

	if (s != NULL && s->cold != NULL)
		cold_want(h->engine, s);
	for (struct state *t = s == NULL ? NULL : s->states; t != NULL; t = t->of_student)
		if (t->reducer == r)
			cb(arg, t);
	hub_mirror_states(h, rs, r, cb, arg);
}

void
hub_node_states(struct hub *h, const struct node *is, hub_state_cb *cb, void *arg)
{
	const struct reducer *r = engine_reducer(h->engine, str_of(is->reducer));
	const struct roster_student *s = access_student(h->roster, is);
	const struct roster_class *c = access_class(h->roster, is);

	if (s != NULL)
		hub_student_states(h, s, r, cb, arg);
	for (size_t i = 0; c != NULL && i < c->n_students; i++)
		hub_student_states(h, c->students[i], r, cb, arg);
}

/* Adds the state to the node of this name, when it has subscribers. */
static void
hub_state_join(struct hub *h, struct state *s, const struct node *is)
{
	char name[NODE_MAX + 1];
	struct hub_node *n;

	if (node_write(is, name) != ERR_OK)
		return;
	n = map_get(h->nodes, str_of(name));
	if (n != NULL)
		hub_member_add_state(n, s);
}

void
hub_state_look(struct hub *h, struct state *s)
{
	const struct roster_student *rs = s->foreign ?
	    roster_by_pseudonym(h->roster, str_of(s->student->pseudonym)) :
	    roster_student(h->roster, str_of(s->student->id));
	struct node is = { .kind = NODE_STUDENT };

	hub_mirror_hide(h, s);
	s->watch = &hub_nobody;
	if (rs == NULL || strlen(s->reducer->id) > NODE_MAX)
		return;
	memcpy(is.reducer, s->reducer->id, strlen(s->reducer->id));
	memcpy(is.owner, rs->pseudonym, PSEUDONYM_LEN);
	hub_state_join(h, s, &is);
	is.kind = NODE_CLASS;
	for (size_t i = 0; i < rs->n_classes; i++) {
		node_class_write(str_of(rs->classes[i]->name), is.owner);
		hub_state_join(h, s, &is);
	}
}

/* ---- a state that goes ---- */

void
hub_state_leave(struct state *s)
{
	struct hub_watch *w;

	while ((w = s->watch) != NULL && w != &hub_nobody) {
		struct hub_link at = w->link[0];

		hub_member_leave(at.node, at.at);
		if (at.node->gone > HUB_GONE_MAX)
			hub_node_purge(at.node);
	}
}

void
hub_state_forget(struct state *s, bool purge)
{
	struct hub_watch *w;

	while ((w = s->watch) != NULL && w != &hub_nobody) {
		struct hub_link at = w->link[0];

		hub_member_remove(at.node, at.at);
		if (purge)
			hub_node_purge(at.node);
	}
}
