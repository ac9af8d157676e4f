/* SPDX-License-Identifier: MIT */
/* json_raw: finds a member's bytes in a text that json_parse accepted, so it
 * trusts the grammar, yet never reads beyond the text. */
#include "base/json.h"

struct raw {
	const char *p, *end;
};

static void
raw_space(struct raw *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
		r->p++;
}

/* Steps over a byte that is due here; false when the text lacks it. */
static bool
raw_byte(struct raw *r, char c)
{
	raw_space(r);
	if (r->p >= r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

/* Whether a byte right after s is escaped: s ends in an odd run of
 * backslashes. */
static bool
raw_is_escaped(struct str s)
{
	bool escaped = false;

	while (s.n > 0 && s.p[--s.n] == '\\')
		escaped = !escaped;
	return escaped;
}

/* Steps over the string that starts here; *inside is what stands between its
 * quotes. */
static bool
raw_string(struct raw *r, struct str *inside)
{
	if (!raw_byte(r, '"'))
		return false;
	inside->p = r->p;
	while ((r->p = memchr(r->p, '"', (size_t)(r->end - r->p))) != NULL) {
		inside->n = (size_t)(r->p++ - inside->p);
		if (!raw_is_escaped(*inside))
			return true;
	}
	r->p = r->end;
	return false;
}

/* Steps over an object or array, however deep. */
static bool
raw_container(struct raw *r)
{
	struct str unused;
	size_t depth = 0;

	while (r->p < r->end) {
		char c = *r->p;
		if (c == '"') {
			if (!raw_string(r, &unused))
				return false;
			continue;
		}
		r->p++;
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			return true;
	}
	return false;
}

static bool
raw_value(struct raw *r, struct str *value)
{
	struct str unused;
	bool ok = true;

	raw_space(r);
	value->p = r->p;
	if (r->p < r->end && *r->p == '"')
		ok = raw_string(r, &unused);
	else if (r->p < r->end && (*r->p == '{' || *r->p == '['))
		ok = raw_container(r);
	else
		while (r->p < r->end && memchr(",}] \t\r\n", *r->p, 7) == NULL)
			r->p++;
	value->n = (size_t)(r->p - value->p);
	return ok && value->n > 0;
}

static uint32_t
raw_hex4(const char *p)
{
	uint32_t unit = 0;

	for (int i = 0; i < 4; i++) {
		int c = p[i];
		unit = unit << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return unit;
}

/* The character of the \u escape at *p, as json_parse reads it: a lone
 * surrogate is U+FFFD. */
static uint32_t
raw_unicode(const char **p, const char *end)
{
	uint32_t unit, low;

	if (end - *p < 6) {
		*p = end;
		return 0xfffd;
	}
	unit = raw_hex4(*p + 2);
	*p += 6;
	if (unit < 0xd800 || unit > 0xdfff)
		return unit;
	if (unit > 0xdbff || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
		return 0xfffd;
	low = raw_hex4(*p + 2);
	if (low < 0xdc00 || low > 0xdfff)
		return 0xfffd;
	*p += 6;
	return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

/* RFC 3629 §3; number of bytes written. */
static size_t
raw_utf8(uint32_t c, char out[4])
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(lead[n] | c);
	return n;
}

/* The bytes of the escape at *p, a backslash; steps over it. */
static size_t
raw_escape(const char **p, const char *end, char out[4])
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *at;
	char c = end - *p > 1 ? (*p)[1] : '\\';

	if (c == 'u')
		return raw_utf8(raw_unicode(p, end), out);
	*p = end - *p > 2 ? *p + 2 : end;
	at = memchr(from, c, sizeof from - 1);
	out[0] = at != NULL ? to[at - from] : c;
	return 1;
}

/* Whether the escaped string reads as key. */
static bool
raw_reads_as(struct str escaped, struct str key)
{
	const char *p = escaped.p, *end = p + escaped.n;
	char piece[4];

	if (memchr(p, '\\', escaped.n) == NULL)
		return str_eq(escaped, key);
	while (p < end) {
		size_t n = 1;
		if (*p == '\\')
			n = raw_escape(&p, end, piece);
		else
			piece[0] = *p++;
		if (n > key.n || memcmp(piece, key.p, n) != 0)
			return false;
		key.p += n;
		key.n -= n;
	}
	return key.n == 0;
}

struct json_raw
json_raw_each(struct str text)
{
	return (struct json_raw){ .rest = text };
}

bool
json_raw_next(struct json_raw *it)
{
	struct raw r = { it->rest.p, it->rest.p + it->rest.n };
	char before = it->member.p == NULL ? '{' : ',';

	if (!raw_byte(&r, before) || !raw_string(&r, &it->key) || !raw_byte(&r, ':') ||
	    !raw_value(&r, &it->value))
		return false;
	it->member.p = it->key.p - 1;
	it->member.n = (size_t)(r.p - it->member.p);
	it->rest = (struct str){ r.p, (size_t)(r.end - r.p) };
	return true;
}

bool
json_member_raw(struct str text, const char *key, struct str *member, struct str *value)
{
	struct json_raw it = json_raw_each(text);
	struct str wanted = str_of(key);

	while (json_raw_next(&it)) {
		if (raw_reads_as(it.key, wanted)) {
			*member = it.member;
			*value = it.value;
			return true;
		}
	}
	return false;
}
