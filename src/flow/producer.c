/* SPDX-License-Identifier: MIT */
/* producer: see producer.h. */
#include "flow/producer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "flow/external.h"
#include "state/roster.h"

struct producers {
	struct producer *v;
	size_t n;
	const struct reducer **all; /* the engine's */
	size_t n_all;
	struct conf_list *sources;  /* made here, of components */
};

/* ---- what sections say ---- */

bool
producer_lists(const struct conf_list *list, const char *id)
{
	const char *dot = strchr(id, '.');

	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->v[i], id) == 0 || (dot != NULL && strcmp(list->v[i], dot + 1) == 0))
			return true;
	return list->n == 0;
}

bool
producer_is_own(const struct conf_component *c)
{
	return c->process != NULL && strcmp(c->process, "own") == 0;
}

size_t
producer_component(const struct conf_component *c, const struct reducer **out)
{
	size_t n = 0;

	for (size_t i = 0; component_table[i] != NULL; i++) {
		const struct component *t = component_table[i];

		for (size_t k = 0; strcmp(t->name, c->name) == 0 && t->reducers[k] != NULL; k++)
			if (!t->reducers[k]->internal && producer_lists(&c->reducers, t->reducers[k]->id))
				out[n++] = t->reducers[k];
	}
	out[n] = NULL;
	return n;
}

/* ---- JIDs ---- */

/* A person's, or a domain in lower case; the resource goes. false when it is
 * neither. */
static bool
producer_jid(const char *text, struct buf *out)
{
	struct str bare = { text, strcspn(text, "/") };

	if (memchr(bare.p, '@', bare.n) != NULL)
		return roster_jid(bare, out);
	for (size_t i = 0; i < bare.n; i++) {
		char c = bare.p[i];

		buf_byte(out, c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c);
	}
	return bare.n > 0 && !out->failed;
}

struct producer *
producers_find(const struct producers *p, const char *jid)
{
	struct buf bare = BUF_INIT(PRODUCER_JID_MAX);
	struct producer *found = NULL;

	if (p == NULL || p->n == 0)
		return NULL;
	if (producer_jid(jid, &bare))
		for (size_t i = 0; found == NULL && i < p->n; i++)
			if (str_is(buf_view(&bare), p->v[i].jid))
				found = &p->v[i];
	buf_free(&bare);
	return found;
}

/* ---- making them ---- */

static bool
producers_add_jid(struct producers *p, struct producer *one, const char *jid, char **why)
{
	struct buf bare = BUF_INIT(PRODUCER_JID_MAX);

	if (!producer_jid(jid, &bare)) {
		*why = mem_printf("producer \"%s\": \"%s\" is no JID", one->name, jid);
		buf_free(&bare);
		return false;
	}
	one->jid = buf_take(&bare);
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->v[i].jid, one->jid) != 0)
			continue;
		*why = mem_printf("producer \"%s\" has the JID of \"%s\", %s; give it one of its own",
		    one->name, p->v[i].name, one->jid);
		return false;
	}
	return true;
}

/* Sorted, as the engine wants it. */
static int
producer_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
producer_add_reducer(struct producer *one, struct reducer *r)
{
	size_t n = 0;

	while (one->reducers != NULL && one->reducers[n] != NULL)
		n++;
	one->reducers = mem_realloc(one->reducers, (n + 2) * sizeof *one->reducers);
	one->reducers[n] = r;
	one->reducers[n + 1] = NULL;
}

static bool
producers_configured(struct producers *p, const struct conf_producer *cp, char **why)
{
	struct producer one = { .name = cp->name, .sources = &cp->sources };
	const char *scope[REDUCER_SCOPE_MAX + 2] = { NULL };
	bool ok = producers_add_jid(p, &one, cp->jid, why);

	for (size_t i = 0; i < cp->scope.n && i <= REDUCER_SCOPE_MAX; i++)
		scope[i] = cp->scope.v[i];
	qsort(scope, cp->scope.n <= REDUCER_SCOPE_MAX ? cp->scope.n : REDUCER_SCOPE_MAX,
	    sizeof *scope, producer_order);
	if (ok && cp->scope.n > REDUCER_SCOPE_MAX) {
		*why = mem_printf("producer \"%s\" has more than %d fields in its scope", cp->name,
		    REDUCER_SCOPE_MAX);
		ok = false;
	}
	one.reducers = mem_zalloc(sizeof *one.reducers);
	for (size_t i = 0; ok && i < cp->reducers.n; i++) {
		struct reducer *r = external_new(NULL, cp->reducers.v[i], scope);

		r->source = cp->sources.n == 1 ? cp->sources.v[0] : NULL;
		producer_add_reducer(&one, r);
	}
	p->v[p->n++] = one;
	return ok;
}

/* The sources that these reducers name; none when one of them takes any. */
static void
producers_sources(const struct reducer *const *r, struct conf_list *out)
{
	for (; *r != NULL; r++) {
		bool known = false;

		for (size_t i = 0; (*r)->source != NULL && i < out->n; i++)
			known = known || strcmp(out->v[i], (*r)->source) == 0;
		if ((*r)->source == NULL) {
			out->n = 0;
			return;
		}
		if (!known)
			out->v[out->n++] = (char *)(*r)->source;
	}
}

static bool
producers_component(struct producers *p, size_t at, const struct conf_component *cc, char **why)
{
	struct producer one = { .name = cc->name, .component = true };
	const struct reducer *list[COMPONENT_REDUCERS_MAX + 1];
	size_t n = producer_component(cc, list);
	bool ok = producers_add_jid(p, &one, cc->jid, why);

	if (ok && n == 0) {
		*why = mem_printf("component \"%s\" has no reducer that could run in a process of its "
		    "own", cc->name);
		ok = false;
	}
	p->sources[at].v = mem_alloc((n + 1) * sizeof *p->sources[at].v);
	producers_sources(list, &p->sources[at]);
	one.sources = &p->sources[at];
	one.reducers = mem_zalloc(sizeof *one.reducers);
	for (size_t i = 0; ok && i < n; i++)
		producer_add_reducer(&one, external_new(list[i], NULL, NULL));
	p->v[p->n++] = one;
	return ok;
}

/* The reducer, or what stands for it where its component has its own process. */
static const struct reducer *
producers_stand_in(const struct producers *p, const struct reducer *r)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct reducer *own = producer_reducer(&p->v[i], str_of(r->id));

		if (p->v[i].component && own != NULL)
			return own;
	}
	return r;
}

static void
producers_gather(struct producers *p)
{
	for (const struct reducer *const *r = component_reducers(); *r != NULL; r++)
		p->all[p->n_all++] = producers_stand_in(p, *r);
	for (size_t i = 0; i < p->n; i++)
		for (struct reducer **r = p->v[i].reducers; !p->v[i].component && *r != NULL; r++)
			p->all[p->n_all++] = *r;
}

static size_t
producers_room(const struct conf *c)
{
	size_t n = COMPONENT_REDUCERS_MAX + 1;

	for (size_t i = 0; i < c->n_producers; i++)
		n += c->producers[i].reducers.n;
	return n;
}

struct producers *
producers_new(const struct conf *c, char **why)
{
	struct producers *p;
	bool ok = true;

	MEM_NEW(p);
	p->v = mem_zalloc((c->n_producers + c->n_components + 1) * sizeof *p->v);
	p->sources = mem_zalloc((c->n_components + 1) * sizeof *p->sources);
	p->all = mem_zalloc(producers_room(c) * sizeof *p->all);
	for (size_t i = 0; ok && i < c->n_components; i++)
		if (producer_is_own(&c->components[i]))
			ok = producers_component(p, i, &c->components[i], why);
	for (size_t i = 0; ok && i < c->n_producers; i++)
		ok = producers_configured(p, &c->producers[i], why);
	if (ok) {
		producers_gather(p);
		return p;
	}
	producers_free(p);
	return NULL;
}

void
producers_free(struct producers *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->n; i++) {
		for (struct reducer **r = p->v[i].reducers; *r != NULL; r++)
			external_free(*r);
		mem_free(p->v[i].reducers);
		mem_free(p->v[i].jid);
		if (p->v[i].component)
			mem_free(p->v[i].sources->v);
	}
	mem_free(p->v);
	mem_free(p->sources);
	mem_free((void *)p->all);
	mem_free(p);
}

const struct reducer *const *
producers_reducers(const struct producers *p)
{
	return p->all;
}

size_t
producers_count(const struct producers *p)
{
	return p != NULL ? p->n : 0;
}

struct producer *
producers_at(const struct producers *p, size_t i)
{
	return &p->v[i];
}

/* ---- one of them ---- */

bool
producer_takes(const struct producer *p, struct str source)
{
	for (size_t i = 0; i < p->sources->n; i++)
		if (str_is(source, p->sources->v[i]))
			return true;
	return p->sources->n == 0;
}

const struct reducer *
producer_reducer(const struct producer *p, struct str id)
{
	for (struct reducer **r = p->reducers; *r != NULL; r++)
		if (str_is(id, (*r)->id))
			return *r;
	return NULL;
}

void
producer_fail(struct producer *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->error, sizeof p->error, fmt, ap);
	va_end(ap);
}

/* Up to where everything of it is published; 0 for one without reducers. */
static uint64_t
producer_acked(const struct producer *p, const struct engine *e)
{
	uint64_t acked = p->reducers[0] != NULL ? UINT64_MAX : 0;

	for (struct reducer **r = p->reducers; *r != NULL; r++)
		if (engine_acked(e, *r) < acked)
			acked = engine_acked(e, *r);
	return acked;
}

void
producers_status(const struct producers *p, const struct engine *e, struct jsonw *w)
{
	jsonw_array(w);
	for (size_t i = 0; i < p->n; i++) {
		const struct producer *one = &p->v[i];
		uint64_t acked = producer_acked(one, e);

		jsonw_object(w);
		jsonw_kz(w, "name", one->name);
		jsonw_kz(w, "jid", one->jid);
		jsonw_kuint(w, "acknowledged", acked);
		jsonw_kuint(w, "newest", one->newest);
		jsonw_kuint(w, "behind", one->newest > acked ? one->newest - acked : 0);
		jsonw_kuint(w, "events", one->events);
		jsonw_kuint(w, "states", one->published);
		jsonw_kz(w, "last_error", one->error[0] != '\0' ? one->error : NULL);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
}
