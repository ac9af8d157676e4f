/* SPDX-License-Identifier: MIT */
/* http: the head of an HTTP/1.1 request, read strictly (RFC 9112), and short
 * answers. Pure: knows no sockets and no routes. */
#ifndef LECTERN_WEB_HTTP_H
#define LECTERN_WEB_HTTP_H

#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define HTTP_HEAD_MAX 16384  /* bytes of a whole head */
#define HTTP_LINE_MAX 4096   /* bytes of one line of it */
#define HTTP_FIELDS_MAX 128  /* header lines */

enum http_state { HTTP_MORE, HTTP_DONE, HTTP_BAD };

/* A place in the head. */
struct http_span {
	uint16_t at, n;
};

struct http_field {
	struct http_span name, value;
};

/* A head on its way in. Cleared to zero at the start. */
struct http_head {
	const char *p;       /* the bytes last given to http_read; borrowed */
	uint16_t at;         /* looked at so far; when done, the head's length */
	uint16_t line;       /* where the line being read begins */
	uint16_t n_fields;
	struct http_span method, path, query;
	bool has_query;      /* a "?" stood in the target */
	int status;          /* HTTP_BAD: the answer it must get, */
	const char *why;     /* and one sentence for its body */
	struct http_field fields[HTTP_FIELDS_MAX];
};

/* Goes on reading: p[0..n) is everything that came so far (it may have moved,
 * it must not have changed). Bytes after the head are left alone. */
enum http_state http_read(struct http_head *h, const char *p, size_t n);

/* All of these want a head that is HTTP_DONE and its bytes still in place. */
struct str http_str(const struct http_head *h, struct http_span s);
/* First field of this name (in any case); false when there is none. */
bool http_get(const struct http_head *h, const char *name, struct str *value);
size_t http_count(const struct http_head *h, const char *name);
/* Whether a comma-separated list field holds the token, in any case. */
bool http_has_token(const struct http_head *h, const char *name, const char *token);
/* A cookie's value (RFC 6265 §4.2.1); false when there is none. */
bool http_cookie(const struct http_head *h, const char *name, struct str *value);
bool http_has_body(const struct http_head *h);

/* Appends the head of an answer whose body has so many bytes; fields are further
 * header lines, each with its CR LF. The connection closes after it. */
void http_answer_head(struct buf *out, int status, const char *type, const char *fields,
    size_t body);
/* A whole one. */
void http_answer(struct buf *out, int status, const char *type, const char *fields,
    struct str body);
/* The same with a sentence as plain text. */
void http_refuse(struct buf *out, int status, const char *fields, const char *why);

/* Place of a status in the table of all that are ever sent, 0 to
 * HTTP_STATUSES - 1, and back. */
#define HTTP_STATUSES 18
size_t http_status_index(int status);
int http_status_at(size_t index);

#endif
