/* SPDX-License-Identifier: MIT */
/* locked: see locked.h. Values are spliced byte for byte, never rewritten, so
 * that nothing in them is rounded or spelled anew. */
#include "flow/locked.h"

#include <inttypes.h>

#include "base/map.h"
#include "base/mem.h"
#include "flow/adapter.h"
#include "flow/stream.h"

static const char locked_none[2 + JSON_PADDING] = "{}";

struct str
locked_text(const struct locked *l)
{
	return l->text != NULL ? (struct str){ l->text, l->n } : (struct str){ locked_none, 2 };
}

void
locked_free(struct locked *l)
{
	mem_free(l->text);
	mem_free((char *)l->source.p);
	mem_free((char *)l->stream.p);
	mem_free((char *)l->activity.p);
	mem_free((char *)l->email.p);
	mem_free((char *)l->doc_id.p);
	mem_free((char *)l->object_doc_id.p);
	*l = (struct locked){ 0 };
}

/* ---- splicing ---- */

enum locked_kind { LOCKED_KEPT, LOCKED_CLAIM, LOCKED_RESERVED };

/* event and seq are an event's own, the rest of the reserved ones ours. */
static enum locked_kind
locked_kind(struct str key)
{
	enum message_key k = message_key(key);

	if (k == MESSAGE_TOKEN || k == MESSAGE_USER_ID)
		return LOCKED_CLAIM;
	if (k == MESSAGE_EVENT || k == MESSAGE_SEQ ||
	    (k >= MESSAGE_FIRST_RESERVED && k < MESSAGE_KEYS))
		return LOCKED_RESERVED;
	return LOCKED_KEPT;
}

/* The keys of an object in today's spelling, each with the number of the last
 * member that has it, counted from 1. */
static struct map *
locked_keys(struct json object)
{
	struct map *keys = map_new();
	char spelling[JSON_MAX_KEY];
	uintptr_t n = 0;

	for (struct json_iter it = json_each(object); json_next(&it);)
		map_put(keys, adapter_key(it.key, spelling), (void *)++n);
	return keys;
}

static void
locked_add(struct buf *out, const struct json_iter *it, const struct json_raw *raw)
{
	buf_byte(out, out->len == 0 ? '{' : ',');
	adapter_member(out, it->key, it->value, raw);
}

/* Appends the fields that stay: those no new field replaces. */
static void
locked_splice_old(struct buf *out, struct str text, struct json old, const struct map *keys)
{
	struct json_iter it = json_each(old);
	struct json_raw raw = json_raw_each(text);

	while (json_next(&it) && json_raw_next(&raw))
		if (map_get(keys, it.key) == NULL)
			locked_add(out, &it, &raw);
}

/* Appends the new fields, of two with the same key the last. */
static void
locked_splice_new(struct buf *out, struct str text, struct json fields, const struct map *keys,
    unsigned *stripped)
{
	struct json_iter it = json_each(fields);
	struct json_raw raw = json_raw_each(text);
	char spelling[JSON_MAX_KEY];
	uintptr_t n = 0;

	while (json_next(&it) && json_raw_next(&raw)) {
		struct str key = adapter_key(it.key, spelling);
		enum locked_kind kind = locked_kind(key);

		*stripped += kind == LOCKED_RESERVED;
		if (map_get(keys, key) == (void *)++n && kind == LOCKED_KEPT)
			locked_add(out, &it, &raw);
	}
}

static enum err
locked_splice(const struct locked *l, const struct message *m, struct json_doc *doc,
    unsigned *stripped, struct buf *out)
{
	struct json fields = m->member[MESSAGE_FIELDS], old;
	struct str member, text;
	struct map *keys;

	if (!message_has(m, MESSAGE_FIELDS) || json_type(fields) != JSON_OBJECT ||
	    !json_member_raw(m->text, "fields", &member, &text) ||
	    json_parse(doc, locked_text(l), &old) != ERR_OK)
		return ERR_BAD_FIELDS;
	keys = locked_keys(fields);
	locked_splice_old(out, locked_text(l), old, keys);
	locked_splice_new(out, text, fields, keys, stripped);
	map_free(keys, NULL);
	if (out->len == 0)
		buf_byte(out, '{');
	buf_byte(out, '}');
	return out->failed ? ERR_BAD_FIELDS : ERR_OK;
}

/* ---- reading out ---- */

/* A copy, whose .p is never NULL. */
static struct str
locked_copy(struct str s)
{
	return (struct str){ mem_dup(s.n > 0 ? s.p : "", s.n), s.n };
}

static struct str
locked_read_str(struct json root, const char *key)
{
	struct str s = { NULL, 0 };
	struct json v;

	if (!json_get(root, key, &v))
		return s;
	json_str(v, &s);
	return locked_copy(s);
}

/* An activity is a string, or an integer's text. */
static bool
locked_activity_text(struct json v, struct buf *scratch, struct str *out)
{
	int64_t number;

	if (json_int(v, &number)) {
		buf_clear(scratch);
		buf_printf(scratch, "%" PRId64, number);
		*out = buf_view(scratch);
	} else if (!json_str(v, out)) {
		return false;
	}
	return out->n > 0 && out->n <= LOCKED_ACTIVITY_MAX;
}

static struct str
locked_read_activity(struct json root)
{
	struct buf scratch = BUF_INIT(0);
	struct str s = { NULL, 0 };
	struct json v;

	if (json_get(root, "activity", &v))
		s = locked_copy(locked_activity_text(v, &scratch, &s) ? s : STR_LIT(""));
	buf_free(&scratch);
	return s;
}

static struct str
locked_read_email(struct json root)
{
	struct str s = { NULL, 0 };
	struct json identity;

	if (!json_get(root, "chrome_identity", &identity))
		return s;
	json_get_str(identity, "email", &s);
	return locked_copy(s);
}

static struct str
locked_read_doc_id(struct json root)
{
	struct buf scratch = BUF_INIT(0);
	struct str s = { NULL, 0 };
	struct json v;

	if (json_get(root, "doc_id", &v))
		s = locked_copy(adapter_doc_id(v, &scratch, &s) ? s : STR_LIT(""));
	buf_free(&scratch);
	return s;
}

static struct str
locked_read_object(struct json root)
{
	struct str s = { NULL, 0 };
	struct json v;

	if (!json_get(root, "object", &v))
		return s;
	return locked_copy(adapter_object_doc_id(v, &s) ? s : STR_LIT(""));
}

static void
locked_read(struct json root, struct locked *out)
{
	out->source = locked_read_str(root, "source");
	out->stream = locked_read_str(root, "stream");
	out->activity = locked_read_activity(root);
	out->email = locked_read_email(root);
	out->doc_id = locked_read_doc_id(root);
	out->object_doc_id = locked_read_object(root);
}

static bool
locked_bad_length(struct str s, size_t max)
{
	return s.p != NULL && (s.n == 0 || s.n > max);
}

/* Takes the spliced text into *next, which stays empty on failure. */
static enum err
locked_take(struct buf *text, struct json_doc *doc, struct locked *next)
{
	struct json root;

	next->n = text->len;
	text->max += JSON_PADDING;
	if (buf_room(text, JSON_PADDING) == NULL || json_parse(doc, buf_view(text), &root) != ERR_OK)
		return ERR_BAD_FIELDS;
	locked_read(root, next);
	if (locked_bad_length(next->source, ADAPTER_SOURCE_MAX))
		return ERR_BAD_SOURCE;
	if (locked_bad_length(next->stream, STREAM_NAME_MAX))
		return ERR_BAD_STREAM;
	next->text = mem_alloc(next->n + JSON_PADDING);
	memcpy(next->text, text->data, next->n);
	memset(next->text + next->n, 0, JSON_PADDING);
	return ERR_OK;
}

enum err
locked_merge(struct locked *l, const struct message *m, struct json_doc *doc, unsigned *stripped,
    bool *changed)
{
	struct buf text = BUF_INIT(LOCKED_MAX);
	struct locked next = { 0 };
	enum err e = locked_splice(l, m, doc, stripped, &text);

	*changed = e == ERR_OK && !str_eq(buf_view(&text), locked_text(l));
	if (*changed)
		e = locked_take(&text, doc, &next);
	buf_free(&text);
	if (e != ERR_OK || !*changed) {
		locked_free(&next);
		*changed = false;
		return e;
	}
	locked_free(l);
	*l = next;
	return ERR_OK;
}

/* ---- the locked laid over an event ---- */

bool
locked_source(const struct locked *l, const struct message *m, struct str *out)
{
	if (l->source.p != NULL) {
		*out = l->source;
		return true;
	}
	return message_has(m, MESSAGE_SOURCE) && json_str(m->member[MESSAGE_SOURCE], out);
}

enum err
locked_check_source(const struct locked *l, const struct message *m)
{
	struct json v = m->member[MESSAGE_SOURCE];
	struct str own;

	if (l->source.p != NULL || v.doc == NULL || json_type(v) == JSON_NULL)
		return ERR_OK;
	if (json_str(v, &own) && own.n > 0 && own.n <= ADAPTER_SOURCE_MAX)
		return ERR_OK;
	return ERR_BAD_SOURCE;
}

bool
locked_activity(const struct locked *l, const struct message *m, struct buf *scratch,
    struct str *out)
{
	if (l->activity.p == NULL)
		return message_has(m, MESSAGE_ACTIVITY) &&
		    locked_activity_text(m->member[MESSAGE_ACTIVITY], scratch, out);
	*out = l->activity;
	return out->n > 0;
}

bool
locked_email(const struct locked *l, const struct message *m, struct str *out)
{
	if (l->email.p != NULL) {
		*out = l->email;
		return out->n > 0;
	}
	return message_has(m, MESSAGE_CHROME_IDENTITY) &&
	    json_get_str(m->member[MESSAGE_CHROME_IDENTITY], "email", out);
}

bool
locked_doc_id(const struct locked *l, const struct message *m, struct buf *scratch,
    struct str *out)
{
	if (l->doc_id.p != NULL)
		*out = l->doc_id;
	else if (!message_has(m, MESSAGE_DOC_ID) ||
	    !adapter_doc_id(m->member[MESSAGE_DOC_ID], scratch, out))
		out->n = 0;
	if (out->n > 0)
		return true;
	if (l->object_doc_id.p != NULL)
		*out = l->object_doc_id;
	else if (!message_has(m, MESSAGE_OBJECT) ||
	    !adapter_object_doc_id(m->member[MESSAGE_OBJECT], out))
		out->n = 0;
	return out->n > 0;
}
