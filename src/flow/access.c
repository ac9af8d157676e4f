/* SPDX-License-Identifier: MIT */
/* access: what the roster says about nodes. Keeps nothing: each question is
 * answered from the roster it is given. */
#include "flow/access.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

/* A CLASS that is a hash fits only names too long to be written out; those are
 * so rare that they are compared one by one. */
static const struct roster_class *
access_class_hashed(const struct roster *r, const char *part)
{
	char each[NODE_CLASS_MAX + 1];

	for (size_t i = 0; i < roster_classes(r); i++) {
		const struct roster_class *c = roster_class_at(r, i);
		struct str name = str_of(c->name);

		if (3 * name.n <= NODE_CLASS_MAX)
			continue;
		node_class_write(name, each);
		if (strcmp(each, part) == 0)
			return c;
	}
	return NULL;
}

const struct roster_class *
access_class(const struct roster *r, const struct node *n)
{
	char name[NODE_CLASS_MAX + 1];

	if (n->kind == NODE_STUDENT)
		return NULL;
	if (node_class_read(n->owner, name))
		return roster_class(r, str_of(name));
	return access_class_hashed(r, n->owner);
}

const struct roster_student *
access_student(const struct roster *r, const struct node *n)
{
	return n->kind == NODE_STUDENT ? roster_by_pseudonym(r, str_of(n->owner)) : NULL;
}

enum roster_as
access_as(const struct roster *r, struct str reader, const struct node *n)
{
	const struct roster_student *s = access_student(r, n);
	const struct roster_class *c = access_class(r, n);
	const char *reducer = n->kind == NODE_ROSTER ? NULL : n->reducer;

	if (s != NULL)
		return roster_reads_student(s, reader, reducer);
	return c != NULL ? roster_reads_class(c, reader, reducer) : ROSTER_AS_NOBODY;
}

bool
access_may_read(const struct roster *r, struct str reader, const struct node *n)
{
	return access_as(r, reader, n) != ROSTER_AS_NOBODY;
}

bool
access_exists(const struct roster *r, const struct node *n)
{
	return access_class(r, n) != NULL || access_student(r, n) != NULL;
}

/* Who might read: each is asked about. */
struct access_asking {
	const struct roster *roster;
	const struct node *node;
	access_reader_cb *cb;
	void *arg;
};

static void
access_ask(const struct access_asking *a, const char *jid)
{
	if (access_may_read(a->roster, str_of(jid), a->node))
		a->cb(a->arg, str_of(jid));
}

static void
access_ask_class(const struct access_asking *a, const struct roster_class *c)
{
	for (size_t i = 0; i < c->n_teachers; i++)
		access_ask(a, c->teachers[i]);
	for (size_t i = 0; i < c->n_grants; i++)
		access_ask(a, c->grants[i]->jid);
}

void
access_readers(const struct roster *r, const struct node *n, access_reader_cb *cb, void *arg)
{
	const struct access_asking a = { r, n, cb, arg };
	const struct roster_student *s = access_student(r, n);
	const struct roster_class *c = access_class(r, n);

	if (c != NULL)
		access_ask_class(&a, c);
	for (size_t i = 0; s != NULL && i < s->n_readers; i++)
		access_ask(&a, s->readers[i]);
	for (size_t i = 0; s != NULL && i < s->n_classes; i++)
		access_ask_class(&a, s->classes[i]);
}

/* One listing under way. */
struct access_list {
	const struct roster *roster;
	struct str reader;
	const struct reducer *const *reducers;
	access_node_cb *cb;
	void *arg;
	struct node node;
};

/* The owner's node of each reducer that the reader may read, less those whose
 * name would be too long. */
static void
access_list_reducers(struct access_list *l)
{
	char name[NODE_MAX + 1];

	for (const struct reducer *const *r = l->reducers; *r != NULL; r++) {
		if ((*r)->internal || strlen((*r)->id) > NODE_MAX)
			continue;
		memcpy(l->node.reducer, (*r)->id, strlen((*r)->id) + 1);
		if (node_write(&l->node, name) == ERR_OK && (l->reader.p == NULL ||
		    access_may_read(l->roster, l->reader, &l->node)))
			l->cb(l->arg, &l->node);
	}
}

static void
access_list_class(struct access_list *l, const struct roster_class *c)
{
	l->node.kind = NODE_CLASS;
	node_class_write(str_of(c->name), l->node.owner);
	access_list_reducers(l);
	if (l->reducers[0] == NULL)
		return;
	l->node.kind = NODE_ROSTER;
	l->node.reducer[0] = '\0';
	l->cb(l->arg, &l->node);
}

static int
access_by_pseudonym(const void *a, const void *b)
{
	return strcmp((*(const struct roster_student *const *)a)->pseudonym,
	    (*(const struct roster_student *const *)b)->pseudonym);
}

/* The students the reader (NULL: anybody) may read, in the order of what is seen
 * outside: that of their ids would tell something about the ids. */
static const struct roster_student **
access_readable(const struct roster *r, struct str reader, size_t *n)
{
	const struct roster_student **v = mem_alloc((roster_students(r) + 1) * sizeof *v);

	*n = 0;
	for (size_t i = 0; i < roster_students(r); i++)
		if (reader.p == NULL ||
		    roster_reads_student(roster_student_at(r, i), reader, NULL) != ROSTER_AS_NOBODY)
			v[(*n)++] = roster_student_at(r, i);
	qsort(v, *n, sizeof *v, access_by_pseudonym);
	return v;
}

/* reader.p NULL: everything. */
static void
access_list(const struct roster *r, struct str reader,
    const struct reducer *const *reducers, access_node_cb *cb, void *arg)
{
	struct access_list l = {
		.roster = r, .reader = reader, .reducers = reducers, .cb = cb, .arg = arg
	};
	const struct roster_student **students;
	size_t n;

	for (size_t i = 0; i < roster_classes(r); i++)
		if (reader.p == NULL ||
		    roster_reads_class(roster_class_at(r, i), reader, NULL) != ROSTER_AS_NOBODY)
			access_list_class(&l, roster_class_at(r, i));
	l.node.kind = NODE_STUDENT;
	students = access_readable(r, reader, &n);
	for (size_t i = 0; i < n; i++) {
		memcpy(l.node.owner, students[i]->pseudonym, PSEUDONYM_LEN + 1);
		access_list_reducers(&l);
	}
	mem_free(students);
}

void
access_nodes(const struct roster *r, struct str reader,
    const struct reducer *const *reducers, access_node_cb *cb, void *arg)
{
	assert(reader.p != NULL);
	access_list(r, reader, reducers, cb, arg);
}

void
access_all_nodes(const struct roster *r, const struct reducer *const *reducers,
    access_node_cb *cb, void *arg)
{
	access_list(r, (struct str){ NULL, 0 }, reducers, cb, arg);
}

/* ---- what there is to look at ---- */

bool
access_sees_class(const struct roster_class *c, struct str reader)
{
	return roster_reads_class(c, reader, NULL) != ROSTER_AS_NOBODY;
}

/* Classes that the reader may see, of students those that have any. */
static const struct roster_class **
access_seen(const struct roster *r, struct str reader, enum node_kind kind, size_t *n)
{
	const struct roster_class **v = mem_alloc((roster_classes(r) + 1) * sizeof *v);

	*n = 0;
	for (size_t i = 0; i < roster_classes(r); i++) {
		const struct roster_class *c = roster_class_at(r, i);

		if ((kind == NODE_CLASS || c->n_students > 0) && access_sees_class(c, reader))
			v[(*n)++] = c;
	}
	return v;
}

static bool
access_is_student_or_guardian(const struct roster *r, struct str reader)
{
	const struct roster_person *p = roster_person(r, reader);

	return roster_by_jid(r, reader) != NULL || (p != NULL && p->n_wards > 0);
}

static bool
access_has_node(const struct roster_class *c, enum node_kind kind, const char *reducer)
{
	struct node n = { .kind = kind };
	char name[NODE_MAX + 1];

	memcpy(n.reducer, reducer, strlen(reducer) + 1);
	if (c == NULL || kind == NODE_STUDENT)
		memset(n.owner, 'a', PSEUDONYM_LEN); /* all are as long */
	else
		node_class_write(str_of(c->name), n.owner);
	return node_write(&n, name) == ERR_OK;
}

static bool
access_reads_some(const struct roster_class **v, size_t n, struct str reader, enum node_kind kind,
    const char *reducer)
{
	for (size_t i = 0; i < n; i++)
		if (roster_reads_class(v[i], reader, reducer) != ROSTER_AS_NOBODY &&
		    access_has_node(v[i], kind, reducer))
			return true;
	return false;
}

void
access_menu(const struct roster *r, struct str reader, enum node_kind kind,
    const struct reducer *const *reducers, access_reducer_cb *cb, void *arg)
{
	bool own = kind == NODE_STUDENT && access_is_student_or_guardian(r, reader);
	size_t n;
	const struct roster_class **v = access_seen(r, reader, kind, &n);

	for (const struct reducer *const *p = reducers; *p != NULL; p++) {
		const char *id = (*p)->id;

		if ((*p)->internal || strlen(id) > NODE_MAX)
			continue;
		if ((own && access_has_node(NULL, kind, id)) || access_reads_some(v, n, reader, kind, id))
			cb(arg, id);
	}
	mem_free(v);
}
