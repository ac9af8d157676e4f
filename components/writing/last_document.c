/* SPDX-License-Identifier: MIT */
/* writing.last_document: the document a student was last in. The state's JSON
 * is that of Learning Observer's reducer of the same name. */
#include "components/writing/writing.h"

#define LAST_DOCUMENT_ID_MAX 512 /* bytes; an event with a longer id is not reduced */

struct last_document {
	uint16_t n; /* 0: none yet */
	char id[LAST_DOCUMENT_ID_MAX];
};

static struct str
last_document_id(const struct last_document *d)
{
	return (struct str){ d->id, d->n };
}

static bool
last_document_set(struct last_document *d, struct str id)
{
	if (id.n == 0 || id.n > LAST_DOCUMENT_ID_MAX)
		return false;
	memcpy(d->id, id.p, id.n);
	d->n = (uint16_t)id.n;
	return true;
}

static enum reduced
last_document_reduce(void *state, const struct event *e)
{
	struct last_document *d = state;
	struct str id;

	if (!event_doc_id(e, &id) || str_eq(id, last_document_id(d)))
		return REDUCED_SAME;
	return last_document_set(d, id) ? REDUCED_CHANGED : REDUCED_FAILED;
}

static void
last_document_encode(const void *state, struct jsonw *w)
{
	const struct last_document *d = state;

	jsonw_object(w);
	jsonw_key(w, "document_id");
	if (d->n > 0)
		jsonw_str(w, last_document_id(d));
	else
		jsonw_null(w);
	jsonw_object_end(w);
}

static bool
last_document_decode(void *state, struct json v)
{
	struct json id;
	struct str s;

	if (!json_get(v, "document_id", &id))
		return false;
	return json_type(id) == JSON_NULL || (json_str(id, &s) && last_document_set(state, s));
}

const struct reducer writing_last_document = {
	REDUCER_HEADER,
	.id = "writing.last_document",
	.key_id = "writing_observer.writing_analysis.last_document",
	.source = WRITING_SOURCE,
	.version = 1,
	.size = sizeof(struct last_document),
	.reduce = last_document_reduce,
	.encode = last_document_encode,
	.decode = last_document_decode,
};
