/* SPDX-License-Identifier: MIT */
/* hub_mirror: states that another daemon folds and this one only shows. They are in
 * the nodes of the hub like the engine's, and nowhere else: not in the journal, the
 * store, a snapshot or the digest. A state of our own hides the mirrored one. Of a
 * student whose own states are away nobody knows which those are: until they are
 * back, what is mirrored of him is not shown. */
#include "base/mem.h"
#include "flow/hub_priv.h"

struct hub_mirror_student {
	struct student is; /* its mirrored states are in the list */
	size_t refs;       /* of hub_mirrored */
};

struct hub_mirrored {
	struct hub *hub;
	char *key; /* as in hub_mirror_key */
	const struct reducer *reducer;
	struct hub_mirror_student *student;
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

static struct hub_mirror_student *
hub_mirror_student_take(struct hub *h, struct str pseudonym)
{
	struct hub_mirror_student *t = map_get(h->mirror_students, pseudonym);

	if (t == NULL) {
		MEM_NEW(t);
		memcpy(t->is.pseudonym, pseudonym.p, PSEUDONYM_LEN);
		map_put(h->mirror_students, pseudonym, t);
	}
	t->refs++;
	return t;
}

static void
hub_mirror_student_release(struct hub *h, struct hub_mirror_student *t)
{
	if (--t->refs > 0)
		return;
	map_remove(h->mirror_students, str_of(t->is.pseudonym));
	mem_free(t);
}

size_t
hub_mirror_students(const struct hub *h)
{
	return map_size(h->mirror_students);
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
	m->student = hub_mirror_student_take(h, (struct str){ id.p, PSEUDONYM_LEN });
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
	struct state **at = &m->student->is.states;

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
	hub_mirror_student_release(h, m->student);
	mem_free(m->key);
	mem_free(m->scope);
	mem_free(m);
}

static struct student *
hub_mirror_own(const struct hub *h, const struct hub_mirror_student *t)
{
	return engine_by_pseudonym(h->engine, str_of(t->is.pseudonym));
}

/* Whether the student has a state of his own that is this item. */
static bool
hub_mirror_is_own(const struct student *own, const struct reducer *r, const char *id)
{
	char each[ITEM_ID_MAX + 1];

	for (const struct state *s = own != NULL ? own->states : NULL; s != NULL; s = s->of_student) {
		if (s->reducer != r)
			continue;
		node_item_id(NODE_CLASS, s, each);
		if (strcmp(each, id) == 0)
			return true;
	}
	return false;
}

/* Into the nodes that it belongs to. hub_mirror_warm shows it when it has to wait. */
static void
hub_mirror_show(struct hub_mirrored *m)
{
	struct student *own = hub_mirror_own(m->hub, m->student);

	if (m->s->watch != NULL)
		hub_state_spread(m->s);
	else if (own == NULL || own->cold == NULL)
		hub_state_look(m->hub, m->s);
	else if (map_size(m->hub->nodes) > 0)
		cold_want(m->hub->engine, own);
}

static void
hub_mirror_make_state(struct hub_mirrored *m)
{
	m->s = engine_foreign_new(m->reducer, &m->student->is, str_of(m->scope));
	m->s->of_student = m->student->is.states;
	m->student->is.states = m->s;
}

bool
hub_mirror_set(struct hub_mirrored *m, const struct hub_mirror_value *v)
{
	m->hidden = m->hidden || (m->s == NULL && hub_mirror_is_own(hub_mirror_own(m->hub, m->student),
	    m->reducer, m->key + strlen(m->reducer->id) + 1));
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
	hub_state_forget(m->s, m->s->seq >= own->seq);
	hub_mirror_drop_state(m);
}

/* The student's own states are there. */
void
hub_mirror_warm(struct hub *h, const struct student *own)
{
	const struct hub_mirror_student *t = map_get(h->mirror_students, str_of(own->pseudonym));

	for (struct state *s = t != NULL ? t->is.states : NULL; s != NULL; s = s->of_student)
		if (s->watch == NULL)
			hub_state_look(h, s);
}

void
hub_mirror_states(struct hub *h, const struct roster_student *rs, const struct reducer *r,
    hub_state_cb *cb, void *arg)
{
	const struct hub_mirror_student *t = map_get(h->mirror_students, str_of(rs->pseudonym));
	const struct student *own = engine_student(h->engine, str_of(rs->id));
	char id[ITEM_ID_MAX + 1];

	if (own != NULL && own->cold != NULL)
		return;
	for (struct state *s = t != NULL ? t->is.states : NULL; s != NULL; s = s->of_student) {
		if (s->reducer != r)
			continue;
		node_item_id(NODE_CLASS, s, id);
		if (!hub_mirror_is_own(own, r, id))
			cb(arg, s);
	}
}
