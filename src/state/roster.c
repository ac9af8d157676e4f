/* SPDX-License-Identifier: MIT */
/* roster: see roster.h. The table of backends, and what a finished roster is
 * asked. */
#include "state/roster_priv.h"

#include <stdlib.h>

static const struct roster_backend *const roster_backends[] = { &roster_csv, &roster_oneroster, &roster_files,
	&roster_sqlite, &roster_postgres, &roster_all };
#define ROSTER_BACKENDS (sizeof roster_backends / sizeof *roster_backends)

const struct roster_backend *
roster_backend(const char *name, char **why)
{
	struct buf known = BUF_INIT(0);

	for (size_t i = 0; i < ROSTER_BACKENDS; i++) {
		if (strcmp(name, roster_backends[i]->name) == 0) {
			buf_free(&known);
			return roster_backends[i];
		}
		buf_printf(&known, "%s%s", i > 0 ? ", " : "", roster_backends[i]->name);
	}
	*why = mem_printf("roster backend \"%s\" is not known, expected one of %.*s", name,
	    STR_ARG(buf_view(&known)));
	buf_free(&known);
	return NULL;
}

struct roster *
roster_load(const char *backend, const struct roster_options *o, char **why)
{
	const struct roster_backend *b = roster_backend(backend, why);
	struct roster *r = b != NULL ? b->load(o, why) : NULL;

	if (r == NULL || o->conf == NULL || roster_grant(r, o->conf, why) == ERR_OK)
		return r;
	roster_free(r);
	return NULL;
}

struct roster_options
roster_options_of(const struct conf *conf, struct str pseudonym_key)
{
	return (struct roster_options){
		.file = conf->roster_file,
		.allow_empty = conf->roster_allow_empty,
		.domain = conf->roster_domain,
		.pseudonym_key = pseudonym_key,
		.conf = conf,
	};
}

const char *
roster_place(const struct conf *conf)
{
	return conf->roster_file != NULL ? conf->roster_file : conf->roster_backend;
}

static const char *const roster_role_names[] = {
	[ROSTER_TEACHER] = "teacher",
	[ROSTER_STUDENT] = "student",
	[ROSTER_GUARDIAN] = "guardian",
};

const char *
roster_role_name(enum roster_role role)
{
	return roster_role_names[role];
}

/* ---- questions ---- */

uint64_t
roster_version(const struct roster *r)
{
	return r->version;
}

const struct roster_student *
roster_student(const struct roster *r, struct str id)
{
	return map_get(r->students, id);
}

const struct roster_student *
roster_by_jid(const struct roster *r, struct str jid)
{
	const struct roster_student *s = map_get(r->names, jid);

	return s != NULL && s->jid != NULL && str_is(jid, s->jid) ? s : NULL;
}

const struct roster_person *
roster_person(const struct roster *r, struct str jid)
{
	return map_get(r->people, jid);
}

struct str
roster_known_as(struct str any, struct buf *scratch)
{
	buf_clear(scratch);
	if (any.n == 0 || memchr(any.p, '@', any.n) == NULL)
		return any;
	for (size_t i = 0; i < any.n; i++)
		buf_byte(scratch, any.p[i] >= 'A' && any.p[i] <= 'Z' ? (char)(any.p[i] | 0x20) :
		    any.p[i]);
	return buf_view(scratch);
}

const struct roster_student *
roster_identify(const struct roster *r, struct str any)
{
	const struct roster_student *s = map_get(r->students, any);
	struct buf scratch = BUF_INIT(0);

	if (s == NULL)
		s = map_get(r->names, roster_known_as(any, &scratch));
	buf_free(&scratch);
	return s;
}

struct str
roster_notes(const struct roster *r)
{
	return buf_view(&r->notes);
}

size_t
roster_noted(const struct roster *r)
{
	return r->noted;
}

const struct roster_student *
roster_by_pseudonym(const struct roster *r, struct str pseudonym)
{
	return map_get(r->pseudonyms, pseudonym);
}

const struct roster_class *
roster_class(const struct roster *r, struct str name)
{
	return map_get(r->classes, name);
}

const struct roster_class *
roster_class_at(const struct roster *r, size_t i)
{
	return r->class_at[i];
}

const struct roster_student *
roster_student_at(const struct roster *r, size_t i)
{
	return r->student_at[i];
}

const struct roster_person *
roster_person_at(const struct roster *r, size_t i)
{
	return r->person_at[i];
}

size_t
roster_classes(const struct roster *r)
{
	return map_size(r->classes);
}

size_t
roster_students(const struct roster *r)
{
	return map_size(r->students);
}

size_t
roster_people(const struct roster *r)
{
	return map_size(r->people);
}

/* ---- who reads as what ---- */

static bool
roster_has(char *const *sorted, size_t n, struct str jid)
{
	size_t low = 0;

	while (low < n) {
		size_t middle = low + (n - low) / 2;
		size_t len = strlen(sorted[middle]);
		int c = memcmp(sorted[middle], jid.p, len < jid.n ? len : jid.n);

		if (c == 0 && len == jid.n)
			return true;
		if (c < 0 || (c == 0 && len < jid.n))
			low = middle + 1;
		else
			n = middle;
	}
	return false;
}

static bool
roster_covers(const struct roster_grant *g, const char *reducer)
{
	const char *dot = reducer != NULL ? strchr(reducer, '.') : NULL;

	for (size_t i = 0; reducer != NULL && i < g->n_reducers; i++)
		if (strcmp(g->reducers[i], reducer) == 0 ||
		    (dot != NULL && strcmp(g->reducers[i], dot + 1) == 0))
			return true;
	return reducer == NULL || g->n_reducers == 0;
}

enum roster_as
roster_reads_class(const struct roster_class *c, struct str jid, const char *reducer)
{
	if (jid.n == 0)
		return ROSTER_AS_NOBODY;
	if (roster_has(c->teachers, c->n_teachers, jid))
		return ROSTER_AS_TEACHER;
	for (size_t i = 0; i < c->n_grants; i++)
		if (str_is(jid, c->grants[i]->jid) && roster_covers(c->grants[i], reducer))
			return ROSTER_AS_READER;
	return ROSTER_AS_NOBODY;
}

enum roster_as
roster_reads_student(const struct roster_student *s, struct str jid, const char *reducer)
{
	enum roster_as best = ROSTER_AS_NOBODY;

	if (jid.n > 0 && s->jid != NULL && str_is(jid, s->jid))
		return ROSTER_AS_SELF;
	if (jid.n > 0 && roster_has(s->readers, s->n_readers, jid))
		return ROSTER_AS_GUARDIAN;
	for (size_t i = 0; i < s->n_classes && best < ROSTER_AS_TEACHER; i++) {
		enum roster_as as = roster_reads_class(s->classes[i], jid, reducer);

		best = as > best ? as : best;
	}
	return best;
}
