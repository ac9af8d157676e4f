/* SPDX-License-Identifier: MIT */
/* external: see external.h. */
#include "flow/external.h"

#include "base/mem.h"

struct external_state {
	char *json; /* owned; NULL: none yet */
	size_t n;
};

static void
external_encode(const void *state, struct jsonw *w)
{
	const struct external_state *s = state;

	jsonw_raw(w, s->json != NULL ? (struct str){ s->json, s->n } : STR_LIT("null"));
}

static bool
external_decode_text(void *state, struct str json)
{
	struct external_state *s = state;

	mem_free(s->json);
	s->json = mem_dup(json.p, json.n);
	s->n = json.n;
	return true;
}

static void
external_fini(void *state)
{
	struct external_state *s = state;

	mem_free(s->json);
}

struct reducer *
external_new(const struct reducer *like, const char *id, const char *const *scope)
{
	struct reducer *r = mem_zalloc(sizeof *r);

	if (like != NULL) {
		*r = *like;
	} else {
		*r = (struct reducer){ REDUCER_HEADER, .id = id, .version = 1 };
		for (size_t i = 0; scope[i] != NULL && i < REDUCER_SCOPE_MAX; i++)
			r->scope[i] = scope[i];
	}
	r->external = true;
	r->size = sizeof(struct external_state);
	r->init = NULL;
	r->reduce = NULL;
	r->encode = external_encode;
	r->decode = NULL;
	r->decode_text = external_decode_text;
	r->fini = external_fini;
	return r;
}

void
external_free(struct reducer *r)
{
	mem_free(r);
}
