/* SPDX-License-Identifier: MIT */
/* audit_roster: who may see whose data, as lines: who attends which class, who
 * reads which class and which student; of a new roster only what changed. */
#include <stdlib.h>

#include "base/mem.h"
#include "flow/audit_priv.h"

/* Facts as the members of their lines, sorted, so that two rosters can be
 * compared in one pass. */
struct audit_facts {
	char **v;
	size_t n, cap;
};

/* A fact that begins with "student" is who attends, with "reader" who may. */
static void
audit_fact(struct audit_facts *f, const char *first, const char *who, const char *as,
    const char *key, const char *value, const struct roster_grant *g)
{
	struct buf b = BUF_INIT(0);
	struct jsonw w = jsonw_to(&b);

	jsonw_object(&w);
	jsonw_kz(&w, first, who);
	if (as != NULL)
		jsonw_kz(&w, "as", as);
	jsonw_kz(&w, key, value);
	if (g != NULL && g->n_reducers > 0) {
		jsonw_key(&w, "reducers");
		jsonw_array(&w);
		for (size_t i = 0; i < g->n_reducers; i++)
			jsonw_z(&w, g->reducers[i]);
		jsonw_array_end(&w);
	}
	jsonw_object_end(&w);
	if (f->n == f->cap) {
		f->cap = f->cap > 0 ? 2 * f->cap : 256;
		f->v = mem_realloc(f->v, f->cap * sizeof *f->v);
	}
	f->v[f->n++] = buf_take(&b);
}

static void
audit_class(struct audit_facts *f, const struct roster_class *c)
{
	for (size_t i = 0; i < c->n_students; i++)
		audit_fact(f, "student", c->students[i]->pseudonym, NULL, "class", c->name, NULL);
	for (size_t i = 0; i < c->n_teachers; i++)
		audit_fact(f, "reader", c->teachers[i], audit_as(ROSTER_AS_TEACHER), "class", c->name,
		    NULL);
	for (size_t i = 0; i < c->n_grants; i++)
		audit_fact(f, "reader", c->grants[i]->jid, audit_as(ROSTER_AS_READER), "class",
		    c->name, c->grants[i]);
}

static void
audit_student(struct audit_facts *f, const struct roster_student *s)
{
	for (size_t i = 0; i < s->n_readers; i++) {
		bool self = s->jid != NULL && strcmp(s->jid, s->readers[i]) == 0;

		audit_fact(f, "reader", s->readers[i],
		    audit_as(self ? ROSTER_AS_SELF : ROSTER_AS_GUARDIAN), "student", s->pseudonym, NULL);
	}
}

static int
audit_by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct audit_facts
audit_facts(const struct roster *r)
{
	struct audit_facts f = { 0 };

	for (size_t i = 0; r != NULL && i < roster_classes(r); i++)
		audit_class(&f, roster_class_at(r, i));
	for (size_t i = 0; r != NULL && i < roster_students(r); i++)
		audit_student(&f, roster_student_at(r, i));
	if (f.n > 1)
		qsort(f.v, f.n, sizeof *f.v, audit_by_text);
	return f;
}

static void
audit_facts_free(struct audit_facts *f)
{
	for (size_t i = 0; i < f->n; i++)
		mem_free(f->v[i]);
	mem_free(f->v);
}

static void
audit_change(struct audit *a, const char *fact, bool holds)
{
	bool attends = strncmp(fact, "{\"student\"", 10) == 0;
	struct str members = { fact + 1, strlen(fact) - 2 };
	struct buf line = BUF_INIT(0);
	struct jsonw w = audit_begin(a, &line,
	    attends ? (holds ? "attends" : "left") : holds ? "may" : "may_not");

	buf_byte(&line, ',');
	buf_str(&line, members);
	audit_end(a, &w);
}

/* What stands in one of the two only, in the order of the facts. */
static void
audit_differ(struct audit *a, const struct audit_facts *was, const struct audit_facts *is)
{
	size_t i = 0, k = 0;

	while (i < was->n || k < is->n) {
		int order = i == was->n ? 1 : k == is->n ? -1 : strcmp(was->v[i], is->v[k]);

		if (order < 0)
			audit_change(a, was->v[i], false);
		else if (order > 0)
			audit_change(a, is->v[k], true);
		i += order <= 0;
		k += order >= 0;
	}
}

static void
audit_compare(struct audit *a, const struct roster *before)
{
	struct audit_facts was = audit_facts(before), is = audit_facts(a->roster);

	audit_differ(a, &was, &is);
	audit_facts_free(&was);
	audit_facts_free(&is);
}

void
audit_picture(struct audit *a)
{
	struct buf line = BUF_INIT(0);
	struct jsonw w = audit_begin(a, &line, "begin");

	audit_end(a, &w);
	audit_compare(a, NULL);
}

void
audit_roster(struct audit *a, const struct roster *before, const struct roster *next)
{
	if (a == NULL)
		return;
	a->roster = next;
	if (before == NULL)
		audit_picture(a);
	else
		audit_compare(a, before);
	audit_flush(a);
}
