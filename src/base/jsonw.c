/* SPDX-License-Identifier: MIT */
/* jsonw: writing JSON into a buf. A text that did not fit shows in the buf's
 * `failed`, so nothing here returns an error. */
#include "base/jsonw.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

static const char jsonw_hex[] = "0123456789abcdef";

/* What a byte needs inside a string: 0 nothing, a letter the short escape,
 * 'u' a \u escape, 'x' decoding as UTF-8 first. */
static const char jsonw_escape[256] = {
	[0x00 ... 0x07] = 'u', ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', [0x0b] = 'u',
	['\f'] = 'f', ['\r'] = 'r', [0x0e ... 0x1f] = 'u', ['"'] = '"', ['\\'] = '\\',
	['<'] = 'u', ['>'] = 'u', ['&'] = 'u', [0x7f] = 'u', [0x80 ... 0xff] = 'x'
};

struct jsonw
jsonw_to(struct buf *out)
{
	return (struct jsonw){ .out = out };
}

static uint64_t
jsonw_bit(const struct jsonw *w)
{
	return (uint64_t)1 << (w->depth - 1);
}

/* Whether a comma is due before the key or value that comes now. */
static bool
jsonw_comma_due(struct jsonw *w)
{
	bool due = false;

	if (w->after_key) {
		w->after_key = false;
	} else if (w->depth > 0) {
		due = (w->has_item & jsonw_bit(w)) != 0;
		w->has_item |= jsonw_bit(w);
	}
	return due;
}

static void
jsonw_comma(struct jsonw *w)
{
	if (jsonw_comma_due(w))
		buf_byte(w->out, ',');
}

static void
jsonw_open(struct jsonw *w, char bracket)
{
	assert(w->depth < JSONW_MAX_DEPTH);
	jsonw_comma(w);
	buf_byte(w->out, bracket);
	w->depth++;
	w->has_item &= ~jsonw_bit(w);
}

static void
jsonw_close(struct jsonw *w, char bracket)
{
	assert(w->depth > 0 && !w->after_key);
	w->depth--;
	buf_byte(w->out, bracket);
}

void
jsonw_object(struct jsonw *w)
{
	jsonw_open(w, '{');
}

void
jsonw_object_end(struct jsonw *w)
{
	jsonw_close(w, '}');
}

void
jsonw_array(struct jsonw *w)
{
	jsonw_open(w, '[');
}

void
jsonw_array_end(struct jsonw *w)
{
	jsonw_close(w, ']');
}

static size_t
jsonw_put_unit(char *at, unsigned unit)
{
	at[0] = '\\';
	at[1] = 'u';
	at[2] = jsonw_hex[unit >> 12 & 15];
	at[3] = jsonw_hex[unit >> 8 & 15];
	at[4] = jsonw_hex[unit >> 4 & 15];
	at[5] = jsonw_hex[unit & 15];
	return 6;
}

/* Writes the escape of the character at s and returns the bytes it took. */
static size_t
jsonw_put_escape(struct buf *out, struct str s)
{
	char kind = jsonw_escape[(unsigned char)s.p[0]], text[12] = { '\\', kind };
	size_t taken = 1, n = 2;
	uint32_t c = (unsigned char)s.p[0];
	int ok;

	if (kind == 'x')
		taken = utf8_next(s.p, s.n, &c, &ok);
	if (c >= 0x10000) {
		n = jsonw_put_unit(text, 0xd800 + ((c - 0x10000) >> 10));
		n += jsonw_put_unit(text + n, 0xdc00 + ((c - 0x10000) & 0x3ff));
	} else if (kind == 'x' || kind == 'u') {
		n = jsonw_put_unit(text, c);
	}
	buf_add(out, text, n);
	return taken;
}

static size_t
jsonw_plain_run(struct str s)
{
	size_t n = 0;

	while (n < s.n && jsonw_escape[(unsigned char)s.p[n]] == 0)
		n++;
	return n;
}

/* A string that needs no escape, with what stands around it, in one piece. */
static void
jsonw_put_plain(struct jsonw *w, struct str s, bool key)
{
	bool comma = jsonw_comma_due(w);
	size_t total = comma + s.n + 2 + key;
	char *at = buf_room(w->out, total);

	if (at == NULL)
		return;
	if (comma)
		*at++ = ',';
	*at++ = '"';
	if (s.n > 0)
		memcpy(at, s.p, s.n);
	at[s.n] = '"';
	if (key)
		at[s.n + 1] = ':';
	w->out->len += total;
}

static void
jsonw_put_escaped(struct jsonw *w, struct str s, bool key)
{
	jsonw_comma(w);
	buf_byte(w->out, '"');
	while (s.n > 0) {
		size_t n = jsonw_plain_run(s);

		buf_add(w->out, s.p, n);
		if (n < s.n)
			n += jsonw_put_escape(w->out, (struct str){ s.p + n, s.n - n });
		s.p += n;
		s.n -= n;
	}
	buf_z(w->out, key ? "\":" : "\"");
}

static void
jsonw_put_string(struct jsonw *w, struct str s, bool key)
{
	if (jsonw_plain_run(s) == s.n)
		jsonw_put_plain(w, s, key);
	else
		jsonw_put_escaped(w, s, key);
	w->after_key = key;
}

void
jsonw_key_str(struct jsonw *w, struct str key)
{
	jsonw_put_string(w, key, true);
}

void
jsonw_key(struct jsonw *w, const char *key)
{
	jsonw_key_str(w, str_of(key));
}

void
jsonw_str(struct jsonw *w, struct str s)
{
	jsonw_put_string(w, s, false);
}

void
jsonw_z(struct jsonw *w, const char *z)
{
	if (z == NULL)
		jsonw_null(w);
	else
		jsonw_str(w, str_of(z));
}

/* Writes v in decimal so that it ends before `end`; returns where it starts. */
static char *
jsonw_digits(char *end, uint64_t v)
{
	do {
		*--end = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	return end;
}

static void
jsonw_put_whole(struct jsonw *w, bool minus, uint64_t v)
{
	char text[24], *end = text + sizeof text, *at = jsonw_digits(end, v);

	if (minus)
		*--at = '-';
	jsonw_comma(w);
	buf_add(w->out, at, (size_t)(end - at));
}

void
jsonw_int(struct jsonw *w, int64_t v)
{
	jsonw_put_whole(w, v < 0, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void
jsonw_uint(struct jsonw *w, uint64_t v)
{
	jsonw_put_whole(w, false, v);
}

/* Numbers of at most three decimals, such as times in seconds, without
 * printf: whole / 1000 is the double nearest to that decimal, and a decimal of
 * at most 15 digits is the only one so short that reads as this double. */
static bool
jsonw_put_milli(struct jsonw *w, double v)
{
	char text[24], *end = text + sizeof text, *at;
	uint64_t whole = (uint64_t)(fabs(v) * 1000 + 0.5);

	if ((double)whole / 1000 != fabs(v))
		return false;
	at = jsonw_digits(end, whole % 1000 + 1000); /* 1ddd */
	*at = '.';
	while (end[-1] == '0')
		end--;
	at = jsonw_digits(at, whole / 1000);
	if (v < 0)
		*--at = '-';
	jsonw_comma(w);
	buf_add(w->out, at, (size_t)(end - at));
	return true;
}

/* Whatever stands between the digits is the locale's decimal point. */
static size_t
jsonw_mend_point(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		if (strchr("0123456789+-e", *from) != NULL)
			*to++ = *from;
		else if (to[-1] != '.')
			*to++ = '.';
	}
	return (size_t)(to - text);
}

/* Any normal double that has a text of at most 15 digits comes out as that
 * with %.15g; only the subnormal ones can need fewer and be found later. */
static void
jsonw_put_shortest(struct jsonw *w, double v)
{
	char text[64];
	int digits = fabs(v) < DBL_MIN ? 1 : 15;

	do {
		snprintf(text, sizeof text, "%.*g", digits, v);
	} while (++digits <= 17 && strtod(text, NULL) != v);
	jsonw_comma(w);
	buf_add(w->out, text, jsonw_mend_point(text));
}

void
jsonw_double(struct jsonw *w, double v)
{
	if (!isfinite(v))
		jsonw_null(w);
	else if (fabs(v) < 1e15 && v == trunc(v))
		jsonw_int(w, (int64_t)v);
	else if (fabs(v) >= 1e12 || !jsonw_put_milli(w, v))
		jsonw_put_shortest(w, v);
}

void
jsonw_bool(struct jsonw *w, bool v)
{
	jsonw_raw(w, v ? STR_LIT("true") : STR_LIT("false"));
}

void
jsonw_null(struct jsonw *w)
{
	jsonw_raw(w, STR_LIT("null"));
}

void
jsonw_raw(struct jsonw *w, struct str json)
{
	jsonw_comma(w);
	buf_str(w->out, json);
}

static void
jsonw_number(struct jsonw *w, struct json v)
{
	int64_t whole;
	double real = 0;

	if (json_int(v, &whole)) {
		jsonw_int(w, whole);
	} else {
		json_double(v, &real);
		jsonw_double(w, real);
	}
}

static void
jsonw_members(struct jsonw *w, struct json v, bool keys)
{
	struct json_iter it = json_each(v);

	jsonw_open(w, keys ? '{' : '[');
	while (json_next(&it)) {
		if (keys)
			jsonw_key_str(w, it.key);
		jsonw_value(w, it.value);
	}
	jsonw_close(w, keys ? '}' : ']');
}

/* Recursion is bounded: json_parse lets at most JSON_MAX_DEPTH through. */
void
jsonw_value(struct jsonw *w, struct json v)
{
	struct str s = { 0 };
	bool b = false;

	switch (json_type(v)) {
	case JSON_NULL:
		jsonw_null(w);
		break;
	case JSON_BOOL:
		json_bool(v, &b);
		jsonw_bool(w, b);
		break;
	case JSON_NUMBER:
		jsonw_number(w, v);
		break;
	case JSON_STRING:
		json_str(v, &s);
		jsonw_str(w, s);
		break;
	case JSON_ARRAY:
		jsonw_members(w, v, false);
		break;
	case JSON_OBJECT:
		jsonw_members(w, v, true);
		break;
	}
}

void
jsonw_kstr(struct jsonw *w, const char *key, struct str s)
{
	jsonw_key(w, key);
	jsonw_str(w, s);
}

void
jsonw_kz(struct jsonw *w, const char *key, const char *z)
{
	jsonw_key(w, key);
	jsonw_z(w, z);
}

void
jsonw_kint(struct jsonw *w, const char *key, int64_t v)
{
	jsonw_key(w, key);
	jsonw_int(w, v);
}

void
jsonw_kuint(struct jsonw *w, const char *key, uint64_t v)
{
	jsonw_key(w, key);
	jsonw_uint(w, v);
}

void
jsonw_kdouble(struct jsonw *w, const char *key, double v)
{
	jsonw_key(w, key);
	jsonw_double(w, v);
}

void
jsonw_kbool(struct jsonw *w, const char *key, bool v)
{
	jsonw_key(w, key);
	jsonw_bool(w, v);
}
