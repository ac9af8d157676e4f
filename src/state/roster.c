/* SPDX-License-Identifier: MIT */
/* roster: see roster.h. Rows are gathered with add, sorted once by seal; after
 * that nothing changes until free. */
#include "state/roster.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

struct roster {
	struct str key;     /* borrowed until seal */
	uint64_t version;
	struct map *classes, *students; /* by name, by id */
	struct map *pseudonyms;         /* owns nothing */
	struct map *jids;               /* a student's own JID -> the student */
	struct map *posts;              /* class NUL jid -> one of roster_post_* */
	struct roster_class **class_at; /* sorted; filled by seal */
	struct roster_student **student_at;
	struct roster_grant *grants;
	size_t n_grants;
};

/* What someone is in one class; only the addresses count. */
static char roster_post_teacher, roster_post_student;

static const struct roster_backend *const roster_backends[] = { &roster_csv };
#define ROSTER_BACKENDS (sizeof roster_backends / sizeof *roster_backends)

struct roster *
roster_load(const char *backend, const struct roster_options *o, char **why)
{
	struct roster *r;
	struct buf known = BUF_INIT(0);

	for (size_t i = 0; i < ROSTER_BACKENDS; i++) {
		if (strcmp(backend, roster_backends[i]->name) == 0) {
			buf_free(&known);
			r = roster_backends[i]->load(o, why);
			if (r == NULL || o->conf == NULL || roster_grant(r, o->conf, why) == ERR_OK)
				return r;
			roster_free(r);
			return NULL;
		}
		buf_printf(&known, "%s%s", i > 0 ? ", " : "", roster_backends[i]->name);
	}
	*why = mem_printf("roster backend \"%s\" is not known, expected one of %.*s", backend,
	    STR_ARG(buf_view(&known)));
	buf_free(&known);
	return NULL;
}

struct roster *
roster_new(struct str pseudonym_key)
{
	struct roster *r;

	MEM_NEW(r);
	r->key = pseudonym_key;
	r->classes = map_new();
	r->students = map_new();
	r->pseudonyms = map_new();
	r->jids = map_new();
	r->posts = map_new();
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
	mem_free(c);
}

static void
roster_student_free(void *value)
{
	struct roster_student *s = value;

	roster_strings_free(s->readers, s->n_readers);
	mem_free(s->classes);
	mem_free(s->jid);
	mem_free(s->id);
	mem_free(s->name);
	mem_free(s);
}

void
roster_free(struct roster *r)
{
	if (r == NULL)
		return;
	map_free(r->classes, roster_class_free);
	map_free(r->students, roster_student_free);
	map_free(r->pseudonyms, NULL);
	map_free(r->jids, NULL);
	map_free(r->posts, NULL);
	for (size_t i = 0; i < r->n_grants; i++) {
		mem_free(r->grants[i].jid);
		roster_strings_free(r->grants[i].reducers, r->grants[i].n_reducers);
	}
	mem_free(r->grants);
	mem_free(r->class_at);
	mem_free(r->student_at);
	mem_free(r);
}

/* ---- rows ---- */

/* Room for one more pointer behind the n of *array, whose size is the power of
 * two that holds them. */
static void
roster_grow(void *array, size_t n)
{
	void **at = array;

	if ((n & (n - 1)) == 0)
		*at = mem_realloc(*at, (n > 0 ? 2 * n : 1) * sizeof(void *));
}

static struct roster_class *
roster_class_of(struct roster *r, struct str name)
{
	struct roster_class *c = map_get(r->classes, name);

	if (c != NULL)
		return c;
	MEM_NEW(c);
	c->name = mem_str(name);
	map_put(r->classes, name, c);
	return c;
}

static struct roster_student *
roster_student_of(struct roster *r, struct str id)
{
	struct roster_student *s = map_get(r->students, id);

	if (s != NULL)
		return s;
	MEM_NEW(s);
	s->id = mem_str(id);
	s->name = mem_strdup("");
	ident_pseudonym(r->key, id, s->pseudonym);
	map_put(r->students, id, s);
	map_put(r->pseudonyms, str_of(s->pseudonym), s);
	return s;
}

static void
roster_add_reader(struct roster_student *s, struct str jid)
{
	roster_grow(&s->readers, s->n_readers);
	s->readers[s->n_readers++] = mem_str(jid);
}

/* Notes that jid holds this post in the class; false when it holds the other. */
static bool
roster_take_post(struct roster *r, struct str class, struct str jid, char *post)
{
	struct buf key = BUF_INIT(0);
	char *before;

	buf_str(&key, class);
	buf_byte(&key, '\0');
	buf_str(&key, jid);
	before = map_get(r->posts, buf_view(&key));
	if (before == NULL)
		map_put(r->posts, buf_view(&key), post);
	buf_free(&key);
	return before == NULL || before == post;
}

static const char *
roster_add_teacher(struct roster *r, struct str class, struct str jid)
{
	struct roster_class *c;

	if (class.n == 0)
		return "a teacher without a class, expected the name of one";
	if (jid.n == 0)
		return "a teacher without a jid, expected local@domain";
	if (!roster_take_post(r, class, jid, &roster_post_teacher))
		return "the jid is a student of this class in another row, expected one or the other";
	c = roster_class_of(r, class);
	roster_grow(&c->teachers, c->n_teachers);
	c->teachers[c->n_teachers++] = mem_str(jid);
	return NULL;
}

/* A student's own address; two students cannot share one, nor one have two, as
 * a slip of the pen would then open one's states to the other. */
static const char *
roster_add_own_jid(struct roster *r, struct roster_student *p, struct str class, struct str jid)
{
	struct roster_student *owner = map_get(r->jids, jid);

	if (!roster_take_post(r, class, jid, &roster_post_student))
		return "the jid is a teacher of this class in another row, expected one or the other";
	if (owner != NULL && owner != p)
		return "the jid belongs to another student in another row, expected one of each";
	if (p->jid != NULL && !str_is(jid, p->jid))
		return "the student has another jid in another row, expected the same";
	if (owner == NULL) {
		p->jid = mem_str(jid);
		roster_add_reader(p, jid);
		map_put(r->jids, jid, p);
	}
	return NULL;
}

static const char *
roster_set_name(struct roster_student *s, struct str name)
{
	if (name.n == 0 || str_is(name, s->name))
		return NULL;
	if (s->name[0] != '\0')
		return "the student has another name in another row, expected the same or none";
	mem_free(s->name);
	s->name = mem_str(name);
	return NULL;
}

static const char *
roster_add_student(struct roster *r, struct str class, struct str id, struct str jid,
    struct str name)
{
	struct roster_student *s;
	struct roster_class *c;
	const char *wrong = NULL;

	if (class.n == 0)
		return "a student without a class, expected the name of one";
	if (id.n == 0 || id.n > IDENT_ID_MAX)
		return "no valid id, expected the student's of 1 to 512 bytes";
	s = roster_student_of(r, id);
	if (jid.n > 0)
		wrong = roster_add_own_jid(r, s, class, jid);
	if (wrong == NULL)
		wrong = roster_set_name(s, name);
	if (wrong != NULL)
		return wrong;
	c = roster_class_of(r, class);
	roster_grow(&c->students, c->n_students);
	c->students[c->n_students++] = s;
	roster_grow(&s->classes, s->n_classes);
	s->classes[s->n_classes++] = c;
	return NULL;
}

static const char *
roster_add_guardian(struct roster *r, struct str id, struct str jid)
{
	if (id.n == 0 || id.n > IDENT_ID_MAX)
		return "no valid id, expected the one of the guardian's student";
	if (jid.n == 0)
		return "a guardian without a jid, expected local@domain";
	roster_add_reader(roster_student_of(r, id), jid);
	return NULL;
}

static const char *
roster_add_row(struct roster *r, enum roster_role role, struct str class, struct str id,
    struct str jid, struct str name)
{
	switch (role) {
	case ROSTER_TEACHER:
		return roster_add_teacher(r, class, jid);
	case ROSTER_STUDENT:
		return roster_add_student(r, class, id, jid, name);
	case ROSTER_GUARDIAN:
		return roster_add_guardian(r, id, jid);
	}
	return "not a role, expected teacher, student or guardian";
}

enum err
roster_add(struct roster *r, enum roster_role role, struct str class, struct str id,
    struct str jid, struct str name, const char **why)
{
	struct buf canonical = BUF_INIT(0);

	*why = NULL;
	if (jid.n > 0 && !roster_jid(jid, &canonical))
		*why = "the jid is not the address of a person, expected local@domain";
	else
		*why = roster_add_row(r, role, class, id, buf_view(&canonical), name);
	buf_free(&canonical);
	return *why == NULL ? ERR_OK : ERR_INVALID;
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

enum err
roster_seal(struct roster *r, const char **why)
{
	static uint64_t versions;

	r->class_at = roster_values(r->classes);
	r->student_at = roster_values(r->students);
	for (size_t i = 0; i < roster_classes(r); i++) {
		struct roster_class *c = r->class_at[i];

		roster_sort_once(c->students, &c->n_students, roster_by_pseudonym_order, NULL);
		roster_sort_once(c->teachers, &c->n_teachers, roster_by_text, mem_free);
	}
	for (size_t i = 0; i < roster_students(r); i++) {
		struct roster_student *s = r->student_at[i];

		if (s->n_classes == 0) {
			*why = "a guardian of an id that no student row has";
			return ERR_INVALID;
		}
		roster_sort_once(s->classes, &s->n_classes, roster_by_class_name, NULL);
		roster_sort_once(s->readers, &s->n_readers, roster_by_text, mem_free);
	}
	map_free(r->jids, NULL);
	map_free(r->posts, NULL);
	r->jids = r->posts = NULL;
	r->version = ++versions;
	return ERR_OK;
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

/* ---- who reads as what ---- */

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

/* ---- configured readers ---- */

static void
roster_grant_take(struct roster_grant *g, const struct conf_reader_entry *e)
{
	struct buf jid = BUF_INIT(0);

	jid_bare(str_of(e->jid), &jid); /* conf has checked it */
	g->jid = buf_take(&jid);
	for (size_t i = 0; i < e->reducers.n; i++) {
		roster_grow(&g->reducers, g->n_reducers);
		g->reducers[g->n_reducers++] = mem_strdup(e->reducers.v[i]);
	}
}

/* A student who reads the whole class would be a slip of the pen, as in the
 * roster itself. */
static bool
roster_attends(const struct roster_class *c, const char *jid)
{
	for (size_t i = 0; i < c->n_students; i++)
		if (c->students[i]->jid != NULL && strcmp(c->students[i]->jid, jid) == 0)
			return true;
	return false;
}

static bool
roster_grant_class(struct roster *r, const struct conf *conf, const struct roster_grant *g,
    const char *name, char **why)
{
	struct roster_class *c = map_get(r->classes, str_of(name));

	if (c == NULL) {
		log_warning("%s: reader \"%s\": the roster has no class \"%s\"", conf->path, g->jid,
		    name);
		return true;
	}
	if (roster_attends(c, g->jid)) {
		*why = mem_printf("%s: reader \"%s\" is a student of class \"%s\", "
		    "expected one or the other", conf->path, g->jid, name);
		return false;
	}
	roster_grow(&c->grants, c->n_grants);
	c->grants[c->n_grants++] = g;
	return true;
}

enum err
roster_grant(struct roster *r, const struct conf *c, char **why)
{
	r->grants = mem_zalloc((c->n_readers + 1) * sizeof *r->grants);
	r->n_grants = c->n_readers;
	for (size_t i = 0; i < c->n_readers; i++) {
		const struct conf_list *classes = &c->readers[i].classes;

		roster_grant_take(&r->grants[i], &c->readers[i]);
		for (size_t k = 0; k < classes->n; k++)
			if (!roster_grant_class(r, c, &r->grants[i], classes->v[k], why))
				return ERR_INVALID;
	}
	return ERR_OK;
}
