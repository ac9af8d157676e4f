/* SPDX-License-Identifier: MIT */
/* jsonw: writing JSON. ASCII only, with < > & and everything beyond ASCII as
 * \u escapes, so that the text is valid JSON and safe inside XML as it is.
 * Commas and colons come by themselves. */
#ifndef LECTERN_BASE_JSONW_H
#define LECTERN_BASE_JSONW_H

#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"

#define JSONW_MAX_DEPTH 64

struct jsonw {
	struct buf *out;   /* borrowed */
	unsigned depth;
	uint64_t has_item; /* one bit per depth: a comma is due */
	bool after_key;
};

struct jsonw jsonw_to(struct buf *out);

void jsonw_object(struct jsonw *w);
void jsonw_object_end(struct jsonw *w);
void jsonw_array(struct jsonw *w);
void jsonw_array_end(struct jsonw *w);
void jsonw_key(struct jsonw *w, const char *key);
void jsonw_key_str(struct jsonw *w, struct str key);

/* Bytes that are not valid UTF-8 come out as U+FFFD. */
void jsonw_str(struct jsonw *w, struct str s);
void jsonw_z(struct jsonw *w, const char *z); /* NULL writes null */
void jsonw_int(struct jsonw *w, int64_t v);
void jsonw_uint(struct jsonw *w, uint64_t v);
/* Shortest text that reads back as the same double, always the same text for
 * the same value; whole numbers below 1e15 without a point; NaN and the
 * infinities as null. */
void jsonw_double(struct jsonw *w, double v);
void jsonw_bool(struct jsonw *w, bool v);
void jsonw_null(struct jsonw *w);
/* A JSON text that is already valid and ASCII-safe, as it is. */
void jsonw_raw(struct jsonw *w, struct str json);
/* A JSON text that json_parse accepts, as whoever wrote it spelled it: only white
 * space goes, and what is not ASCII or not safe inside XML is escaped, which no
 * JSON reader can tell apart. (jsonw_text.c) */
void jsonw_text(struct jsonw *w, struct str json);
/* Any parsed value, copied in this writer's spelling. */
void jsonw_value(struct jsonw *w, struct json v);

/* Shorthands: key and value. */
void jsonw_kstr(struct jsonw *w, const char *key, struct str s);
void jsonw_kz(struct jsonw *w, const char *key, const char *z);
void jsonw_kint(struct jsonw *w, const char *key, int64_t v);
void jsonw_kuint(struct jsonw *w, const char *key, uint64_t v);
void jsonw_kdouble(struct jsonw *w, const char *key, double v);
void jsonw_kbool(struct jsonw *w, const char *key, bool v);

#endif
