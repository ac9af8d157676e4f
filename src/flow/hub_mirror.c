/* SPDX-License-Identifier: MIT */
/* hub_mirror: states that another daemon folds and this one only shows. They are in
 * the nodes of the hub like the engine's, and nowhere else: not in the journal, the
 * store, a snapshot or the digest. A state of our own hides the mirrored one. */
#include "base/mem.h"
#include "flow/hub_priv.h"

struct hub_mirrored {
	struct hub *hub;
	char *key; /* as in hub_mirror_key */
	const struct reducer *reducer;
	struct student *student;
	char *scope;     /* as it stands in the item's id */
	struct state *s; /* NULL: no value yet, or hidden */
	bool hidden;
	unsigned refs;
};

/* "REDUCER ITEM" of a class node; the two are free of blanks. */
static struct str
hub_mirror_key(struct buf *out, const struct reducer *r, struct str id)
{
	buf_clear(out);
	buf_printf(out, "%s %.*s", r->id, STR_ARG(id));
	return buf_view(out);
}

static struct student *
hub_mirror_student(struct hub *h, struct str pseudonym)
{
	struct student *t = map_get(h->mirror_students, pseudonym);

	if (t != NULL)
		return t;
	MEM_NEW(t);
	memcpy(t->pseudonym, pseudonym.p, PSEUDONYM_LEN);
	map_put(h->mirror_students, pseudonym, t);
	return t;
}

static struct hub_mirrored *
hub_mirror_new(struct hub *h, const struct reducer *r, struct str id, struct str key)
{
	struct hub_mirrored *m;
	struct str scope = { id.p + PSEUDONYM_LEN, id.n - PSEUDONYM_LEN };

	MEM_NEW(m);
	m->hub = h;
	m->key = mem_str(key);
	m->reducer = r;
	m->student = hub_mirror_student(h, (struct str){ id.p, PSEUDONYM_LEN });
	if (scope.n > 0)
		scope = (struct str){ scope.p + 1, scope.n - 1 };
	m->scope = mem_str(scope);
	map_put(h->mirrored, key, m);
	return m;
}

struct hub_mirrored *
hub_mirror_take(struct hub *h, const struct reducer *r, struct str id)
{
	struct buf key = BUF_INIT(0);
	struct hub_mirrored *m = NULL;
	bool scoped = id.n > PSEUDONYM_LEN;

	if (id.n < PSEUDONYM_LEN || id.n > ITEM_ID_MAX || scoped != (r->scope[0] != NULL) ||
	    (scoped && id.p[PSEUDONYM_LEN] != '/') || memchr(id.p, '\0', id.n) != NULL)
		return NULL;
	m = map_get(h->mirrored, hub_mirror_key(&key, r, id));
	if (m == NULL)
		m = hub_mirror_new(h, r, id, buf_view(&key));
	m->refs++;
	buf_free(&key);
	return m;
}

/* Takes its state away; others may have links to it no more. */
static void
hub_mirror_drop_state(struct hub_mirrored *m)
{
	struct state **at = &m->student->states;

	while (*at != m->s)
		at = &(*at)->of_student;
	*at = m->s->of_student;
	engine_foreign_free(m->s);
	m->s = NULL;
}

void
hub_mirror_release(struct hub_mirrored *m)
{
	struct hub *h = m->hub;

	if (--m->refs > 0)
		return;
	if (m->s != NULL) {
		hub_state_leave(m->s);
		hub_mirror_drop_state(m);
	}
	map_remove(h->mirrored, str_of(m->key));
	mem_free(m->key);
	mem_free(m->scope);
	mem_free(m);
}

/* Whether the engine has the item's state from its own journal. */
static bool
hub_mirror_is_own(const struct hub_mirrored *m)
{
	const struct student *t = engine_by_pseudonym(m->hub->engine, str_of(m->student->pseudonym));
	const char *id = m->key + strlen(m->reducer->id) + 1;
	char own[ITEM_ID_MAX + 1];

	for (const struct state *s = t != NULL ? t->states : NULL; s != NULL; s = s->of_student) {
		if (s->reducer != m->reducer)
			continue;
		node_item_id(NODE_CLASS, s, own);
		if (strcmp(own, id) == 0)
			return true;
	}
	return false;
}

static void
hub_mirror_show(struct hub_mirrored *m)
{
	if (m->s->watch == NULL)
		hub_state_look(m->hub, m->s);
	else
		hub_state_spread(m->s);
}

static void
hub_mirror_make_state(struct hub_mirrored *m)
{
	m->s = engine_foreign_new(m->reducer, m->student, str_of(m->scope));
	m->s->of_student = m->student->states;
	m->student->states = m->s;
}

bool
hub_mirror_set(struct hub_mirrored *m, const struct hub_mirror_value *v)
{
	m->hidden = m->hidden || (m->s == NULL && hub_mirror_is_own(m));
	if (m->hidden || (m->s != NULL && m->s->seq >= v->seq))
		return true;
	if (m->s == NULL)
		hub_mirror_make_state(m);
	if (!engine_foreign_read(m->hub->engine, m->s, v->json)) {
		hub_state_leave(m->s);
		hub_mirror_drop_state(m);
		return false;
	}
	m->s->seq = v->seq;
	m->s->time_us = v->time_us;
	m->s->sec = v->sec;
	hub_mirror_show(m);
	return true;
}

void
hub_mirror_hide(struct hub *h, const struct state *own)
{
	struct buf key = BUF_INIT(0);
	char id[ITEM_ID_MAX + 1];
	struct hub_mirrored *m;

	if (own->foreign || map_size(h->mirrored) == 0)
		return;
	node_item_id(NODE_CLASS, own, id);
	m = map_get(h->mirrored, hub_mirror_key(&key, own->reducer, str_of(id)));
	buf_free(&key);
	if (m == NULL)
		return;
	m->hidden = true;
	if (m->s == NULL)
		return;
	hub_state_forget(m->s);
	hub_mirror_drop_state(m);
}

void
hub_mirror_states(struct hub *h, const struct roster_student *rs, const struct reducer *r,
    hub_state_cb *cb, void *arg)
{
	const struct student *t = map_get(h->mirror_students, str_of(rs->pseudonym));

	for (struct state *s = t != NULL ? t->states : NULL; s != NULL; s = s->of_student)
		if (s->reducer == r)
			cb(arg, s);
}
