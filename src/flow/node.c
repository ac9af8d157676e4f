/* SPDX-License-Identifier: MIT */
/* node: spelling of node names and item ids, both ways. Knows no roster: what
 * a name stands for, and whether it exists, is asked elsewhere. */
#include "flow/node.h"

#include <stdio.h>

#include "base/crypt.h"
#include "base/mem.h"

#define NODE_HASH_CHARS 52 /* base32 of a SHA-256 */
#define NODE_SCOPE_MAX (ITEM_ID_MAX - PSEUDONYM_LEN - 1)

static const char node_hex[] = "0123456789ABCDEF";

static bool
node_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    c == '-' || c == '.' || c == '_' || c == '~';
}

static bool
node_base32(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '2' && s.p[i] <= '7'))
			return false;
	return true;
}

static void
node_hash(struct str raw, char *out)
{
	struct buf b = BUF_INIT(0);
	uint8_t digest[CRYPT_SHA256];

	crypt_sha256(&raw, 1, digest);
	buf_byte(&b, '~');
	crypt_base32(&b, digest, sizeof digest);
	memcpy(out, b.data, b.len);
	out[b.len] = '\0';
	buf_free(&b);
}

/* Percent-encodes into out[max + 1], or hashes what would be longer. Bytes of
 * `also` stand for themselves, too; a "~" at the front never does, so that
 * nothing reads like a hash. */
static void
node_encode(struct str raw, const char *also, size_t max, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < raw.n; i++) {
		unsigned char c = raw.p[i];
		bool plain = node_unreserved(c) ? i > 0 || c != '~' : c != 0 && strchr(also, c);

		if (n + (plain ? 1 : 3) > max) {
			node_hash(raw, out);
			return;
		}
		out[n++] = plain ? (char)c : '%';
		if (!plain) {
			out[n++] = node_hex[c >> 4];
			out[n++] = node_hex[c & 15];
		}
	}
	out[n] = '\0';
}

/* The value of an upper-case hex digit, or -1. */
static int
node_digit(char c)
{
	const char *at = c == '\0' ? NULL : strchr(node_hex, c);

	return at == NULL ? -1 : (int)(at - node_hex);
}

void
node_class_write(struct str name, char *out)
{
	node_encode(name, "", NODE_CLASS_MAX, out);
}

bool
node_class_read(const char *part, char *out)
{
	if (*part == '~' || strlen(part) > NODE_CLASS_MAX)
		return false;
	while (*part != '\0') {
		int high, low;

		if (*part != '%') {
			*out++ = *part++;
			continue;
		}
		if ((high = node_digit(part[1])) < 0 || (low = node_digit(part[2])) < 0)
			return false;
		*out++ = (char)(high << 4 | low);
		part += 3;
	}
	*out = '\0';
	return true;
}

/* Whether it is what node_class_write makes of some name. */
static bool
node_class_canonical(const char *part)
{
	char name[NODE_CLASS_MAX + 1], again[NODE_CLASS_MAX + 1];
	size_t n = strlen(part);

	if (n == 0 || n > NODE_CLASS_MAX)
		return false;
	if (*part == '~')
		return n == 1 + NODE_HASH_CHARS && node_base32((struct str){ part + 1, n - 1 });
	if (!node_class_read(part, name))
		return false;
	node_class_write(str_of(name), again);
	return strcmp(part, again) == 0;
}

static bool
node_reducer_plain(const char *id)
{
	if (*id == '\0')
		return false;
	while (node_unreserved(*id))
		id++;
	return *id == '\0';
}

/* Splits a name into its three parts, each a C string; what is beyond the
 * second slash is the third. */
static bool
node_split(struct str name, char kind[NODE_MAX + 1], struct node *out)
{
	char *part[] = { kind, out->owner, out->reducer };
	size_t i = 0, n = 0;

	if (name.n > NODE_MAX)
		return false;
	for (size_t at = 0; at < name.n; at++) {
		if (name.p[at] == '\0')
			return false;
		if (name.p[at] == '/' && i < 2) {
			part[i++][n] = '\0';
			n = 0;
		} else {
			part[i][n++] = name.p[at];
		}
	}
	part[i][n] = '\0';
	return i == 2;
}

enum err
node_parse(struct str name, struct node *out)
{
	char kind[NODE_MAX + 1];
	bool roster, good;

	if (!node_split(name, kind, out))
		return ERR_NOT_FOUND;
	roster = strcmp(out->reducer, "_roster") == 0;
	good = node_reducer_plain(out->reducer);
	if (strcmp(kind, "class") == 0) {
		out->kind = roster ? NODE_ROSTER : NODE_CLASS;
		good = good && node_class_canonical(out->owner);
	} else {
		struct str owner = str_of(out->owner);

		out->kind = NODE_STUDENT;
		good = good && strcmp(kind, "student") == 0 && !roster &&
		    owner.n == PSEUDONYM_LEN && node_base32(owner);
	}
	if (roster)
		out->reducer[0] = '\0';
	return good ? ERR_OK : ERR_NOT_FOUND;
}

enum err
node_write(const struct node *n, char *out)
{
	int len = snprintf(out, NODE_MAX + 1, "%s/%s/%s",
	    n->kind == NODE_STUDENT ? "student" : "class", n->owner,
	    n->kind == NODE_ROSTER ? "_roster" : n->reducer);

	return len > NODE_MAX ? ERR_FULL : ERR_OK;
}

/* Under a key of its own: the organisation's makes pseudonyms. */
void
node_opaque(struct str key, struct str name, char *out)
{
	uint8_t own[CRYPT_SHA256], mac[CRYPT_SHA256];
	struct buf text = BUF_INIT(0);

	crypt_hmac_sha256(key, STR_LIT("lectern: names of nodes at a server's PubSub service"), own);
	crypt_hmac_sha256((struct str){ (const char *)own, sizeof own }, name, mac);
	crypt_base32(&text, mac, (NODE_OPAQUE_LEN - 2) * 5 / 8);
	snprintf(out, NODE_OPAQUE_LEN + 1, "l/%.*s", STR_ARG(buf_view(&text)));
	buf_free(&text);
	mem_wipe(own, sizeof own);
}

void
node_item_id(enum node_kind kind, const struct state *s, char *out)
{
	char scope[NODE_SCOPE_MAX + 1] = "";

	if (s->foreign)
		snprintf(scope, sizeof scope, "%s", s->scope);
	else if (s->reducer->scope[0] != NULL && s->scope[0] == '\0')
		scope[0] = '~';
	else
		node_encode(str_of(s->scope), "%,", NODE_SCOPE_MAX, scope);
	if (kind == NODE_CLASS)
		snprintf(out, ITEM_ID_MAX + 1, "%s%s%s", s->student->pseudonym,
		    scope[0] != '\0' ? "/" : "", scope);
	else
		snprintf(out, ITEM_ID_MAX + 1, "%s", scope[0] != '\0' ? scope : "current");
}
