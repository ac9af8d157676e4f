/* SPDX-License-Identifier: MIT */
/* roster_make: a roster's life: made empty, sorted once by seal when all rows are
 * in it, after that unchanged until free; and written out as rows again. */
#include "state/roster_priv.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define ROSTER_NOTES_MAX ((size_t)256 << 10) /* bytes of notes kept */

struct roster *
roster_new(struct str pseudonym_key)
{
	struct roster *r;

	MEM_NEW(r);
	r->key = pseudonym_key;
	r->classes = map_new();
	r->students = map_new();
	r->people = map_new();
	r->pseudonyms = map_new();
	r->names = map_new();
	r->notes = BUF_INIT(ROSTER_NOTES_MAX);
	return r;
}

static void
roster_strings_free(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		mem_free(v[i]);
	mem_free(v);
}

static void
roster_class_free(void *value)
{
	struct roster_class *c = value;

	roster_strings_free(c->teachers, c->n_teachers);
	mem_free(c->students);
	mem_free(c->grants);
	mem_free(c->name);
	mem_free(c->title);
	mem_free(c);
}

static void
roster_student_free(void *value)
{
	struct roster_student *s = value;

	roster_strings_free(s->readers, s->n_readers);
	roster_strings_free(s->aliases, s->n_aliases);
	mem_free(s->classes);
	mem_free(s->jid);
	mem_free(s->id);
	mem_free(s->name);
	mem_free(s->given);
	mem_free(s->family);
	mem_free(s->email);
	mem_free(s);
}

static void
roster_person_free(void *value)
{
	struct roster_person *p = value;

	mem_free(p->classes);
	mem_free(p->wards);
	mem_free(p->jid);
	mem_free(p->id);
	mem_free(p->name);
	mem_free(p->given);
	mem_free(p->family);
	mem_free(p->email);
	mem_free(p);
}

void
roster_free(struct roster *r)
{
	if (r == NULL)
		return;
	map_free(r->classes, roster_class_free);
	map_free(r->students, roster_student_free);
	map_free(r->people, roster_person_free);
	map_free(r->pseudonyms, NULL);
	map_free(r->names, NULL);
	for (size_t i = 0; i < r->n_grants; i++) {
		mem_free(r->grants[i].jid);
		roster_strings_free(r->grants[i].reducers, r->grants[i].n_reducers);
	}
	mem_free(r->grants);
	mem_free(r->class_at);
	mem_free(r->student_at);
	mem_free(r->person_at);
	mem_free(r->domain);
	buf_free(&r->notes);
	mem_free(r);
}

/* In the form in which JIDs have it. */
void
roster_set_domain(struct roster *r, const char *domain)
{
	struct buf jid = BUF_INIT(0);
	char *any = domain != NULL && domain[0] != '\0' ? mem_printf("x@%s", domain) : NULL;

	mem_free(r->domain);
	r->domain = any == NULL ? NULL : roster_jid(str_of(any), &jid) ?
	    mem_str((struct str){ jid.data + 2, jid.len - 2 }) : mem_strdup(domain);
	mem_free(any);
	buf_free(&jid);
}

void
roster_note(struct roster *r, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	for (char *c = line; *c != '\0'; c++) /* a file's name may hold anything */
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	r->noted++;
	buf_printf(&r->notes, "%s\n", line);
}

/* ---- seal ---- */

static int
roster_by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
roster_by_pseudonym_order(const void *a, const void *b)
{
	return strcmp((*(struct roster_student *const *)a)->pseudonym,
	    (*(struct roster_student *const *)b)->pseudonym);
}

static int
roster_by_id(const void *a, const void *b)
{
	return strcmp((*(struct roster_student *const *)a)->id,
	    (*(struct roster_student *const *)b)->id);
}

static int
roster_by_class_name(const void *a, const void *b)
{
	return strcmp((*(struct roster_class *const *)a)->name,
	    (*(struct roster_class *const *)b)->name);
}

/* Sorts an array of pointers and keeps one of each; `drop`, when given, frees
 * the others. */
static void
roster_sort_once(void *array, size_t *n, int (*order)(const void *, const void *),
    void (*drop)(void *))
{
	void **v = array;
	size_t kept = 0;

	if (*n > 1)
		qsort(v, *n, sizeof *v, order);
	for (size_t i = 0; i < *n; i++) {
		if (kept == 0 || order(&v[kept - 1], &v[i]) != 0)
			v[kept++] = v[i];
		else if (drop != NULL)
			drop(v[i]);
	}
	*n = kept;
}

/* The values of a map as an array in the order of their keys. */
static void *
roster_values(const struct map *m)
{
	struct map_iter *sorted = map_sorted(m);
	void **v = mem_alloc((map_size(m) + 1) * sizeof *v);

	for (size_t i = 0; i < map_size(m); i++)
		v[i] = sorted[i].value;
	mem_free(sorted);
	return v;
}

static void
roster_seal_class(struct roster_class *c)
{
	roster_sort_once(c->students, &c->n_students, roster_by_pseudonym_order, NULL);
	roster_sort_once(c->teachers, &c->n_teachers, roster_by_text, mem_free);
}

static void
roster_seal_student(struct roster_student *s)
{
	roster_sort_once(s->classes, &s->n_classes, roster_by_class_name, NULL);
	roster_sort_once(s->readers, &s->n_readers, roster_by_text, mem_free);
}

static void
roster_seal_person(struct roster_person *p)
{
	roster_sort_once(p->classes, &p->n_classes, roster_by_class_name, NULL);
	roster_sort_once(p->wards, &p->n_wards, roster_by_id, NULL);
}

enum err
roster_seal(struct roster *r, const char **why)
{
	static atomic_uint_fast64_t versions;

	r->class_at = roster_values(r->classes);
	r->student_at = roster_values(r->students);
	r->person_at = roster_values(r->people);
	for (size_t i = 0; i < roster_classes(r); i++)
		roster_seal_class(r->class_at[i]);
	for (size_t i = 0; i < roster_people(r); i++)
		roster_seal_person(r->person_at[i]);
	for (size_t i = 0; i < roster_students(r); i++) {
		if (r->student_at[i]->n_classes == 0) {
			*why = "a guardian of an id that no student row has";
			return ERR_INVALID;
		}
		roster_seal_student(r->student_at[i]);
	}
	r->version = ++versions;
	return ERR_OK;
}

struct roster *
roster_begin(const struct roster_options *o)
{
	struct roster *r = roster_new(o->pseudonym_key);

	roster_set_domain(r, o->domain);
	return r;
}

struct roster *
roster_finish(struct roster *r, const struct roster_options *o, const char *source, char **why)
{
	const char *wrong;

	if (map_size(r->classes) == 0 && !o->allow_empty)
		*why = mem_printf("%s: no rows, so nobody could read anything; expected teachers and "
		    "students, or the option allow_empty", source);
	else if (roster_seal(r, &wrong) != ERR_OK)
		*why = mem_printf("%s: %s", source, wrong);
	else
		return r;
	roster_free(r);
	return NULL;
}

/* ---- a roster as rows again ---- */

static bool
roster_each_student(const struct roster_student *s, roster_row_cb *each, void *arg)
{
	struct str *aliases = mem_alloc((s->n_aliases + 1) * sizeof *aliases);
	struct roster_row row = {
		.role = ROSTER_STUDENT, .id = str_of(s->id), .jid = str_of(s->jid),
		.email = str_of(s->email), .name = str_of(s->name), .given = str_of(s->given),
		.family = str_of(s->family), .aliases = aliases, .n_aliases = s->n_aliases,
	};
	bool ok = true;

	for (size_t i = 0; i < s->n_aliases; i++)
		aliases[i] = str_of(s->aliases[i]);
	for (size_t i = 0; ok && i < s->n_classes; i++) {
		row.class = str_of(s->classes[i]->name);
		row.title = str_of(s->classes[i]->title);
		ok = each(arg, &row);
	}
	mem_free(aliases);
	return ok;
}

static bool
roster_each_person(const struct roster_person *p, roster_row_cb *each, void *arg)
{
	struct roster_row row = {
		.role = ROSTER_TEACHER, .person = str_of(p->id), .jid = str_of(p->jid),
		.email = str_of(p->email), .name = str_of(p->name), .given = str_of(p->given),
		.family = str_of(p->family),
	};
	bool ok = true;

	for (size_t i = 0; ok && i < p->n_classes; i++) {
		row.class = str_of(p->classes[i]->name);
		row.title = str_of(p->classes[i]->title);
		ok = each(arg, &row);
	}
	row.role = ROSTER_GUARDIAN;
	row.class = row.title = (struct str){ NULL, 0 };
	for (size_t i = 0; ok && i < p->n_wards; i++) {
		row.id = str_of(p->wards[i]->id);
		ok = each(arg, &row);
	}
	return ok;
}

bool
roster_each_row(const struct roster *r, roster_row_cb *each, void *arg)
{
	bool ok = true;

	for (size_t i = 0; ok && i < roster_students(r); i++)
		ok = roster_each_student(r->student_at[i], each, arg);
	for (size_t i = 0; ok && i < roster_people(r); i++)
		ok = roster_each_person(r->person_at[i], each, arg);
	return ok;
}
