/* SPDX-License-Identifier: MIT */
/* blob.state_blob: the newest "blob" a student's client saved, per source and
 * activity. Kept as text, so that the client gets back every digit and every
 * escape it wrote; only white space goes and what jsonw would escape is
 * escaped, which no JSON reader can tell apart. */
#include "base/mem.h"
#include "components/blob/blob.h"

struct state_blob {
	char *json; /* owned; NULL: none yet */
	size_t n;
};

static struct str
state_blob_text(const struct state_blob *b)
{
	return b->json ? (struct str){ b->json, b->n } : STR_LIT("null");
}

/* Takes what `text` holds. */
static bool
state_blob_take(struct state_blob *b, struct buf *text)
{
	if (text->failed) {
		buf_free(text);
		return false;
	}
	mem_free(b->json);
	b->n = text->len;
	b->json = buf_take(text);
	return true;
}

static enum reduced
state_blob_reduce(void *state, const struct event *e)
{
	struct state_blob *b = state;
	struct buf text = BUF_INIT(0);
	struct jsonw w = jsonw_to(&text);
	struct str raw;

	if (!event_raw(e, "blob", &raw))
		return REDUCED_FAILED;
	jsonw_text(&w, raw);
	if (b->json != NULL && !text.failed && str_eq(buf_view(&text), state_blob_text(b))) {
		buf_free(&text);
		return REDUCED_SAME;
	}
	return state_blob_take(b, &text) ? REDUCED_CHANGED : REDUCED_FAILED;
}

static void
state_blob_encode(const void *state, struct jsonw *w)
{
	jsonw_raw(w, state_blob_text(state));
}

static bool
state_blob_decode_text(void *state, struct str json)
{
	struct buf text = BUF_INIT(0);

	buf_str(&text, json);
	return state_blob_take(state, &text);
}

static void
state_blob_fini(void *state)
{
	struct state_blob *b = state;

	mem_free(b->json);
}

const struct reducer blob_state_blob = {
	REDUCER_HEADER,
	.id = "blob.state_blob",
	.key_id = "learning_observer.blob_storage.state_blob",
	.events = { EVENT_SAVE_BLOB },
	.scope = { "activity", "source" },
	.version = 1,
	.internal = true,
	.size = sizeof(struct state_blob),
	.reduce = state_blob_reduce,
	.encode = state_blob_encode,
	.decode_text = state_blob_decode_text,
	.fini = state_blob_fini,
};
