/* SPDX-License-Identifier: MIT */
/* message: see message.h. This is walked for every event, so the common case,
 * some twenty keys, none of them reserved, touches each key once. */
#include "flow/message.h"

#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "flow/adapter.h"

#define MESSAGE_FEW 64 /* keys up to which comparing beats hashing well */

/* ---- the same key twice ---- */

struct message_seen {
	uint64_t bits[4]; /* by a cheap hash: a first look */
	struct str key[MESSAGE_FEW];
	size_t n;
};

static unsigned
message_cheap_hash(struct str key)
{
	const unsigned char *p = (const unsigned char *)key.p;

	if (key.n == 0)
		return 0;
	return ((unsigned)key.n + 31u * p[0] + 7u * p[key.n - 1] + 131u * p[key.n / 2]) & 255;
}

/* Whether the key was there before; remembers it. */
static bool
message_seen(struct message_seen *seen, struct str key)
{
	unsigned h = message_cheap_hash(key);
	uint64_t bit = (uint64_t)1 << (h & 63), *word = &seen->bits[h >> 6];

	for (size_t i = 0; (*word & bit) != 0 && i < seen->n; i++)
		if (str_eq(seen->key[i], key))
			return true;
	*word |= bit;
	seen->key[seen->n++] = key;
	return false;
}

static int
message_by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* For objects of many keys, whose sender may have chosen them to collide: equal
 * seeded hashes are equal keys but for a chance of 2^-41. */
static bool
message_has_twins(struct json root)
{
	size_t n = 0;
	uint64_t *hash = mem_alloc(json_size(root) * sizeof *hash);
	bool twins = false;

	for (struct json_iter it = json_each(root); json_next(&it);)
		hash[n++] = map_hash(it.key);
	qsort(hash, n, sizeof *hash, message_by_number);
	for (size_t i = 1; i < n; i++)
		twins = twins || hash[i] == hash[i - 1];
	mem_free(hash);
	return twins;
}

/* ---- reading ---- */

enum message_key
message_key(struct str key)
{
#define MESSAGE_IF(sym, name) \
	if (key.n == sizeof name - 1 && memcmp(key.p, name, sizeof name - 1) == 0) \
		return sym;
	MESSAGE_MAP(MESSAGE_IF)
#undef MESSAGE_IF
	return MESSAGE_KEYS;
}

static enum err
message_members(struct message *m)
{
	bool few = json_size(m->root) <= MESSAGE_FEW;
	struct message_seen seen;

	seen.n = 0;
	memset(seen.bits, 0, sizeof seen.bits);
	if (!few && message_has_twins(m->root))
		return ERR_DUPLICATE_KEY;
	for (struct json_iter it = json_each(m->root); json_next(&it);) {
		enum message_key key = message_key(it.key);

		if (few && message_seen(&seen, it.key))
			return ERR_DUPLICATE_KEY;
		if (key != MESSAGE_KEYS)
			m->member[key] = it.value;
		m->reserved += key >= MESSAGE_FIRST_RESERVED && key < MESSAGE_KEYS;
		m->old = m->old || adapter_is_old(it.key, it.value);
	}
	return ERR_OK;
}

static bool
message_is_blank(struct str text)
{
	size_t n = 0;

	while (n < text.n && memchr(" \t\r\n", text.p[n], 4) != NULL)
		n++;
	return n == text.n;
}

enum err
message_read(struct json_doc *doc, struct str text, struct message *m)
{
	enum err e;

	*m = (struct message){ .text = text };
	if (message_is_blank(text))
		return ERR_NOT_AN_OBJECT;
	e = json_parse(doc, text, &m->root);
	if (e != ERR_OK)
		return e;
	if (json_type(m->root) != JSON_OBJECT)
		return ERR_NOT_AN_OBJECT;
	e = message_members(m);
	if (e != ERR_OK)
		return e;
	if (!message_has(m, MESSAGE_EVENT) || !json_str(m->member[MESSAGE_EVENT], &m->name) ||
	    m->name.n == 0 || m->name.n > MESSAGE_NAME_MAX)
		return ERR_BAD_EVENT_NAME;
	return ERR_OK;
}

static void
message_spell(const struct message *m, struct buf *out)
{
	struct json_iter it = json_each(m->root);
	struct json_raw raw = json_raw_each(m->text);
	const char *before = "{";

	while (json_next(&it) && json_raw_next(&raw)) {
		buf_z(out, before);
		adapter_member(out, it.key, it.value, &raw);
		before = ",";
	}
	buf_byte(out, '}');
}

enum err
message_read_any(struct json_doc *doc, struct str text, struct buf *spelling, struct message *m)
{
	enum err e = message_read(doc, text, m);

	if (e != ERR_OK || !m->old)
		return e;
	buf_clear(spelling);
	message_spell(m, spelling);
	if (buf_room(spelling, JSON_PADDING) == NULL)
		return ERR_FULL;
	return message_read(doc, buf_view(spelling), m);
}

/* ---- cutting ---- */

/* Runs of members that stay, with the commas between them as they are; a comma
 * of our own between two runs. */
size_t
message_pieces(const struct message *m, struct str *pieces)
{
	struct json_iter it = json_each(m->root);
	struct json_raw raw = json_raw_each(m->text);
	bool in_run = false;
	size_t n = 0;

	if (m->reserved == 0) {
		pieces[0] = m->text;
		return 1;
	}
	while (json_next(&it) && json_raw_next(&raw)) {
		enum message_key key = message_key(it.key);
		bool stays = key < MESSAGE_FIRST_RESERVED || key == MESSAGE_KEYS;

		if (stays && !in_run) {
			pieces[n] = n == 0 ? STR_LIT("{") : STR_LIT(",");
			pieces[++n] = raw.member;
			n++;
		} else if (stays) {
			pieces[n - 1].n = (size_t)(raw.member.p + raw.member.n - pieces[n - 1].p);
		}
		in_run = stays;
	}
	pieces[n++] = STR_LIT("}");
	return n;
}
