/* SPDX-License-Identifier: MIT */
/* json: reading JSON. json.cc is the only file that knows simdjson.
 *
 * simdjson refuses two things that JSON.stringify may emit: lone surrogate
 * escapes, and integers of more than 64 bits. Both are accepted here: a lone
 * surrogate reads as U+FFFD, a huge integer as a double. The text itself is
 * never changed. */
#ifndef LECTERN_BASE_JSON_H
#define LECTERN_BASE_JSON_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Text given to json_parse must be followed by this many readable bytes. */
#define JSON_PADDING 64

#define JSON_MAX_DEPTH 32     /* objects and arrays inside each other */
#define JSON_MAX_MEMBERS 4096 /* per object */
#define JSON_MAX_KEY 256      /* bytes of one key, unescaped */

/* A parser with its own memory; reused for many texts, one at a time. */
struct json_doc;

/* A value inside a json_doc; valid until the next json_parse on that doc. */
struct json {
	const void *doc;
	size_t at;
};

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
};

struct json_doc *json_doc_new(void);
void json_doc_free(struct json_doc *d);

/* Lets go of memory beyond `keep` bytes that a large text made necessary. */
void json_doc_trim(struct json_doc *d, size_t keep);

/* Parses one whole JSON text with full UTF-8 validation and the limits above.
 * Answers ERR_BAD_JSON, ERR_TOO_DEEP, ERR_TOO_MANY_MEMBERS, ERR_KEY_TOO_LONG
 * or ERR_BAD_KEY, and ERR_FULL when there is no memory for a text so large; any
 * JSON value may stand at the top. A byte order mark at the start is
 * ERR_BAD_JSON. text.p[text.n .. text.n+JSON_PADDING) must be
 * readable. The text is not referred to after the call. */
enum err json_parse(struct json_doc *d, struct str text, struct json *root);

enum json_type json_type(struct json v);

/* The member of an object, unescaped comparison; false when v is no object or
 * has no such member. The first one counts when a key stands twice. */
bool json_get(struct json v, const char *key, struct json *out);

/* json_get along keys separated by dots ("object.url"). */
bool json_path(struct json v, const char *path, struct json *out);

/* Each answers false and leaves *out alone when the type does not fit.
 * Strings are unescaped UTF-8 and may hold NUL bytes. json_int accepts only
 * integers that fit exactly, never 1.0; json_double any number. */
bool json_str(struct json v, struct str *out);
bool json_int(struct json v, int64_t *out);
bool json_double(struct json v, double *out);
bool json_bool(struct json v, bool *out);

/* json_get and json_str in one. */
bool json_get_str(struct json v, const char *key, struct str *out);

/* Visits the members of an object (key set) or elements of an array:
 *     struct json_iter it = json_each(v);
 *     while (json_next(&it)) use(it.key, it.value);
 * A scalar has nothing to visit. */
struct json_iter {
	struct str key;
	struct json value;
	const void *doc;
	size_t at, end;
	bool is_object;
};
struct json_iter json_each(struct json v);
bool json_next(struct json_iter *it);

/* Number of members or elements, 0 for scalars; exact below 2^24. */
size_t json_size(struct json v);

/* Visits the raw bytes of the members of an object, in a text that json_parse
 * accepted, without parsing again; the order is that of json_each:
 *     struct json_raw it = json_raw_each(text);
 *     while (json_raw_next(&it)) use(it.member, it.value);
 * A text that is no object has nothing to visit. For cutting members out of a
 * text, or into another, byte for byte. */
struct json_raw {
	struct str key;    /* between its quotes, escapes as they stand */
	struct str member; /* from the key's opening quote to the end of the value */
	struct str value;
	struct str rest;
};
struct json_raw json_raw_each(struct str text);
bool json_raw_next(struct json_raw *it);

/* Finds the raw bytes of one member. Keys are compared unescaped. false when
 * there is no such member. */
bool json_member_raw(struct str text, const char *key, struct str *member,
    struct str *value);

#ifdef __cplusplus
}
#endif

#endif
