/* SPDX-License-Identifier: MIT */
/* engine: see engine.h. This file owns the reducers' registration, students
 * and states. */
#include "flow/engine_priv.h"

#include "base/mem.h"
#include "base/metric.h"

/* ---- registration ---- */

static bool
engine_is_name(const char *z, bool upper)
{
	if (z == NULL || z[0] == '\0')
		return false;
	for (; *z != '\0'; z++) {
		bool ok = (*z >= 'a' && *z <= 'z') || (*z >= '0' && *z <= '9') || *z == '_' ||
		    *z == '.' || (upper && *z >= 'A' && *z <= 'Z');
		if (!ok)
			return false;
	}
	return true;
}

/* "component.name" */
static bool
engine_is_id(const char *z)
{
	const char *dot = engine_is_name(z, false) ? strchr(z, '.') : NULL;

	return dot != NULL && dot != z && dot[1] != '\0' && strchr(dot + 1, '.') == NULL;
}

/* What is wrong with the scope, or NULL. */
static const char *
engine_scope_fault(const struct reducer *r, size_t *n)
{
	for (*n = 0; r->scope[*n] != NULL; (*n)++) {
		if (*n == REDUCER_SCOPE_MAX)
			return "scope has too many fields";
		if (!engine_is_name(r->scope[*n], true))
			return "scope names a field with other characters than A-Z a-z 0-9 _ .";
		if (*n > 0 && strcmp(r->scope[*n - 1], r->scope[*n]) >= 0)
			return "scope is not sorted";
	}
	return NULL;
}

static const char *
engine_fault(const struct reducer *r, size_t *n_scope)
{
	if (!engine_is_id(r->id))
		return "id is not \"component.name\" in a-z 0-9 _";
	if (r->key_id != NULL && !engine_is_name(r->key_id, true))
		return "key_id has other characters than A-Z a-z 0-9 _ .";
	if (r->size == 0 || r->size > REDUCER_STATE_MAX)
		return "size is 0 or more than REDUCER_STATE_MAX";
	if ((r->reduce == NULL) != r->external || r->encode == NULL ||
	    (r->decode == NULL && r->decode_text == NULL))
		return "reduce, encode or decode is missing";
	return engine_scope_fault(r, n_scope);
}

static bool
engine_same_scope(const struct engine_reducer *a, const struct engine_reducer *b)
{
	if (a->n_scope != b->n_scope)
		return false;
	for (size_t i = 0; i < a->n_scope; i++)
		if (strcmp(a->r->scope[i], b->r->scope[i]) != 0)
			return false;
	return true;
}

/* Whether two reducers share their id or their states' keys. */
static bool
engine_clash(const struct engine_reducer *a, const struct engine_reducer *b)
{
	return strcmp(a->r->id, b->r->id) == 0 ||
	    (strcmp(engine_key_id(a->r), engine_key_id(b->r)) == 0 && engine_same_scope(a, b));
}

static bool
engine_register(struct engine *e, const struct reducer *r, char **why)
{
	struct engine_reducer *slot = &e->reducers[e->n_reducers];
	const char *fault;

	if (r->abi != REDUCER_ABI || r->abi_size != sizeof *r) {
		*why = mem_printf("a reducer was built for another version of reducer.h "
		    "(abi %u size %u, expected %u and %zu)", (unsigned)r->abi,
		    (unsigned)r->abi_size, REDUCER_ABI, sizeof *r);
		return false;
	}
	*slot = (struct engine_reducer){ .r = r };
	fault = engine_fault(r, &slot->n_scope);
	for (size_t i = 0; fault == NULL && i < e->n_reducers; i++)
		if (engine_clash(&e->reducers[i], slot))
			fault = "another reducer has the same id or the same keys";
	if (fault != NULL)
		*why = mem_printf("reducer %s: %s", r->id ? r->id : "(no id)", fault);
	e->n_reducers++;
	return fault == NULL;
}

static bool
engine_register_all(struct engine *e, char **why)
{
	size_t n = 0;

	while (e->given[n] != NULL)
		n++;
	e->reducers = mem_zalloc(n * sizeof *e->reducers);
	for (size_t i = 0; i < n; i++)
		if (!engine_register(e, e->given[i], why))
			return false;
	return true;
}

/* ---- plans ---- */

static struct engine_plan *
engine_plan_new(struct engine *e, struct str source)
{
	struct engine_plan *p;

	MEM_NEW(p);
	p->source = source;
	p->reducers = mem_alloc(e->n_reducers * sizeof *p->reducers);
	for (size_t i = 0; i < e->n_reducers; i++) {
		const char *wanted = e->reducers[i].r->source;

		if (!e->reducers[i].r->external &&
		    (wanted == NULL || (source.n > 0 && str_is(source, wanted))))
			p->reducers[p->n++] = &e->reducers[i];
	}
	return p;
}

static void
engine_plan_free(void *plan)
{
	struct engine_plan *p = plan;

	mem_free(p->reducers);
	mem_free(p);
}

static void
engine_make_plans(struct engine *e)
{
	e->any = engine_plan_new(e, (struct str){ 0 });
	for (size_t i = 0; i < e->n_reducers; i++) {
		struct str source = str_of(e->reducers[i].r->source);

		if (source.n > 0 && map_get(e->plans, source) == NULL)
			map_put(e->plans, source, engine_plan_new(e, source));
	}
}

const struct engine_plan *
engine_plan_of(const struct engine *e, struct str source)
{
	const struct engine_plan *p = map_get(e->plans, source);

	return p != NULL ? p : e->any;
}

/* ---- the engine ---- */

struct engine *
engine_new(const struct engine_options *o, char **why)
{
	struct engine *e;

	MEM_NEW(e);
	e->given = o->reducers;
	e->pseudonym_key = o->pseudonym_key;
	e->only = o->only;
	e->only_arg = o->arg;
	TAILQ_INIT(&e->hot);
	TAILQ_INIT(&e->cold.wanted);
	e->cold.on = o->cold;
	crypt_random(e->cold.run, sizeof e->cold.run);
	e->plans = map_new();
	e->students = map_new();
	e->pseudonyms = map_new();
	e->states = map_new();
	e->sessions = map_new();
	e->streams = streams_new();
	e->reader = event_reader_new();
	e->changed_end = &e->changed;
	if (!engine_register_all(e, why)) {
		engine_free(e);
		return NULL;
	}
	engine_make_plans(e);
	return e;
}

static void
engine_student_free(void *student)
{
	struct student *t = student;

	mem_free(t->id);
	mem_free(t);
}

void
engine_free(struct engine *e)
{
	struct map_iter it = { 0 };

	if (e == NULL)
		return;
	engine_forget_sessions(e);
	map_free(e->sessions, NULL);
	metric_sub(METRIC_STATES, map_size(e->states));
	map_free(e->states, engine_state_drop);
	map_free(e->pseudonyms, NULL);
	while (map_next(e->students, &it))
		cold_free(e, it.value);
	map_free(e->students, engine_student_free);
	map_free(e->plans, engine_plan_free);
	if (e->any != NULL)
		engine_plan_free(e->any);
	streams_free(e->streams);
	event_reader_free(e->reader);
	json_doc_free(e->load_doc);
	buf_free(&e->scope);
	buf_free(&e->key);
	mem_free(e->dirty);
	mem_free(e->indexing);
	mem_free(e->repeats);
	for (size_t i = 0; i < e->n_reducers; i++)
		mem_free(e->reducers[i].states);
	mem_free(e->reducers);
	mem_free(e);
}

uint64_t
engine_position(const struct engine *e)
{
	return e->position;
}

struct streams *
engine_streams(struct engine *e)
{
	return e->streams;
}

struct engine_reducer *
engine_find_reducer(const struct engine *e, struct str id)
{
	for (size_t i = 0; i < e->n_reducers; i++)
		if (str_is(id, e->reducers[i].r->id))
			return &e->reducers[i];
	return NULL;
}

const struct reducer *
engine_reducer(const struct engine *e, struct str id)
{
	const struct engine_reducer *er = engine_find_reducer(e, id);

	return er != NULL ? er->r : NULL;
}

const struct reducer *const *
engine_reducers(const struct engine *e)
{
	return e->given;
}

bool
engine_knows_source(const struct engine *e, struct str source)
{
	return map_get(e->plans, source) != NULL;
}

const char *
engine_key_id(const struct reducer *r)
{
	return r->key_id != NULL ? r->key_id : r->id;
}

/* ---- students ---- */

struct student *
engine_student(struct engine *e, struct str id)
{
	return map_get(e->students, id);
}

struct student *
engine_by_pseudonym(struct engine *e, struct str p)
{
	return map_get(e->pseudonyms, p);
}

size_t
engine_students(const struct engine *e)
{
	return map_size(e->students);
}

void
engine_each_student(const struct engine *e, engine_student_cb *cb, void *arg)
{
	struct map_iter it = { 0 };

	while (map_next(e->students, &it))
		cb(arg, it.value);
}

struct student *
engine_student_of(struct engine *e, struct str id)
{
	struct student *t = map_get(e->students, id);

	if (t != NULL)
		return t;
	MEM_NEW(t);
	t->id = mem_str(id);
	if (e->pseudonym_key.n > 0)
		ident_pseudonym(e->pseudonym_key, id, t->pseudonym);
	else
		memcpy(t->pseudonym, id.p, id.n < PSEUDONYM_LEN ? id.n : PSEUDONYM_LEN);
	map_put(e->students, id, t);
	map_put(e->pseudonyms, str_of(t->pseudonym), t);
	return t;
}

void
engine_touch(struct engine *e, struct student *t)
{
	if (t->states == NULL || !e->cold.on)
		return;
	TAILQ_REMOVE(&e->hot, t, of_hot);
	TAILQ_INSERT_TAIL(&e->hot, t, of_hot);
}

/* ---- states ---- */

struct state *
engine_state(struct engine *e, struct str key)
{
	return map_get(e->states, key);
}

/* A state as it lies in memory: all of it in one piece. */
struct engine_cell {
	struct state s;
	alignas(max_align_t) char rest[]; /* data, key, scope */
};

struct state *
engine_state_new(const struct reducer *r, struct student *student, struct str key,
    struct str scope)
{
	struct engine_cell *c = mem_zalloc(sizeof *c + r->size + key.n + 1 + scope.n + 1);
	struct state *s = &c->s;

	s->reducer = r;
	s->student = student;
	s->data = c->rest;
	s->key = c->rest + r->size;
	s->scope = s->key + key.n + 1;
	memcpy(s->key, key.p, key.n);
	if (scope.n > 0)
		memcpy(s->scope, scope.p, scope.n);
	if (r->init != NULL)
		r->init(s->data);
	return s;
}

void
engine_state_drop(void *state)
{
	struct state *s = state;

	if (s->reducer->fini != NULL)
		s->reducer->fini(s->data);
	mem_free(s->sum);
	mem_free(s);
}

void
engine_add(struct engine *e, struct state *s)
{
	struct student *t = s->student;

	map_put(e->states, str_of(s->key), s);
	if (t->states == NULL) {
		TAILQ_INSERT_TAIL(&e->hot, t, of_hot);
		e->n_hot++;
		t->n_states = 0; /* of a cold one the number was kept */
	}
	s->of_student = t->states;
	t->states = s;
	t->n_states++;
	if (s->reducer->external)
		engine_external_add(e, s);
	if (e->cold.on && s->sum == NULL)
		s->sum = mem_zalloc(CRYPT_SHA256);
	metric_add(METRIC_STATES, 1);
}

void
engine_drop_states(struct engine *e, struct student *t)
{
	struct state *next;

	if (t->states == NULL)
		return;
	TAILQ_REMOVE(&e->hot, t, of_hot);
	e->n_hot--;
	for (struct state *s = t->states; s != NULL; s = next) {
		next = s->of_student;
		map_remove(e->states, str_of(s->key));
		if (s->reducer->external)
			engine_external_remove(e, s);
		engine_state_drop(s);
		metric_sub(METRIC_STATES, 1);
	}
	t->states = NULL;
	t->n_states = 0;
}

void
engine_mark_dirty(struct engine *e, struct state *s)
{
	if (s->dirty)
		return;
	if (e->n_dirty == e->cap_dirty) {
		e->cap_dirty = e->cap_dirty ? 2 * e->cap_dirty : 64;
		e->dirty = mem_realloc(e->dirty, e->cap_dirty * sizeof *e->dirty);
	}
	s->dirty = true;
	s->student->n_dirty++;
	e->dirty[e->n_dirty++] = s;
}

void
engine_mark_changed(struct engine *e, struct state *s)
{
	engine_mark_dirty(e, s);
	if (s->changed || s->reducer->internal)
		return;
	s->changed = true;
	s->next_changed = NULL;
	*e->changed_end = s;
	e->changed_end = &s->next_changed;
}

struct state *
engine_changed(struct engine *e)
{
	struct state *first = e->changed;

	for (struct state *s = first; s != NULL; s = s->next_changed)
		s->changed = false;
	e->changed = NULL;
	e->changed_end = &e->changed;
	return first;
}

void
engine_encode(const struct state *s, struct buf *out)
{
	struct jsonw w = jsonw_to(out);

	s->reducer->encode(s->data, &w);
}
