/* SPDX-License-Identifier: MIT */
/* blob.state_blob: the newest "blob" a student's client saved, per source and
 * activity. Kept as text, so that the client gets back every digit and every
 * escape it wrote; only white space goes and what jsonw would escape is
 * escaped, which no JSON reader can tell apart. */
#include "base/mem.h"
#include "base/utf8.h"
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

/* Appends the character at the start of s as \u escapes; its length. */
static size_t
state_blob_escape(struct buf *out, struct str s)
{
	uint32_t c;
	int ok;
	size_t n = utf8_next(s.p, s.n, &c, &ok);

	if (c >= 0x10000)
		buf_printf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
		    0xdc00 + ((c - 0x10000) & 0x3ff));
	else
		buf_printf(out, "\\u%04x", c);
	return n;
}

/* What would not be plain ASCII, or not safe inside XML. In a JSON text such
 * bytes stand in strings only. */
static bool
state_blob_special(unsigned char c)
{
	return c >= 0x7f || c == '<' || c == '>' || c == '&';
}

static void
state_blob_normalise(struct buf *out, struct str json)
{
	bool in_string = false, escaped = false;

	for (size_t i = 0; i < json.n;) {
		char c = json.p[i];

		if (state_blob_special((unsigned char)c)) {
			i += state_blob_escape(out, (struct str){ json.p + i, json.n - i });
			continue;
		}
		if (c == '"' && !escaped)
			in_string = !in_string;
		escaped = c == '\\' && !escaped;
		if (in_string || memchr(" \t\r\n", c, 4) == NULL)
			buf_byte(out, c);
		i++;
	}
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
	struct str raw;

	if (!event_raw(e, "blob", &raw))
		return REDUCED_FAILED;
	state_blob_normalise(&text, raw);
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
