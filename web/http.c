/* SPDX-License-Identifier: MIT */
/* http: reads a request head line by line, each byte looked at once, and
 * refuses whatever RFC 9112 allows a server to refuse: what two programs could
 * read differently is not let in. */
#include "web/http.h"

#include <strings.h>

static const struct http_status {
	int code;
	const char *phrase;
	const char *fields; /* what this answer must carry besides */
} http_statuses[HTTP_STATUSES] = {
	{ 101, "Switching Protocols", "" },
	{ 200, "OK", "" },
	{ 400, "Bad Request", "" },
	{ 401, "Unauthorized", "" },
	{ 403, "Forbidden", "" },
	{ 404, "Not Found", "" },
	{ 405, "Method Not Allowed", "" },
	{ 408, "Request Timeout", "" },
	{ 411, "Length Required", "" },
	{ 413, "Content Too Large", "" },
	{ 414, "URI Too Long", "" },
	{ 415, "Unsupported Media Type", "" },
	{ 421, "Misdirected Request", "" },
	{ 426, "Upgrade Required", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" },
	{ 429, "Too Many Requests", "Retry-After: 60\r\n" },
	{ 431, "Request Header Fields Too Large", "" },
	{ 503, "Service Unavailable", "Retry-After: 5\r\n" },
	{ 505, "HTTP Version Not Supported", "" },
};

/* ---- reading ---- */

static enum http_state
http_bad(struct http_head *h, int status, const char *why)
{
	h->status = status;
	h->why = why;
	return HTTP_BAD;
}

/* RFC 9110 §5.6.2 */
static bool
http_is_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		    (c >= 'a' && c <= 'z');

		if (!alnum && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
			return false;
	}
	return s.n > 0;
}

static struct http_span
http_span(const struct http_head *h, struct str s)
{
	return (struct http_span){ (uint16_t)(s.p - h->p), (uint16_t)s.n };
}

/* Cuts s at the first c: what stands before it is returned, what follows stays
 * in s. false when there is no c. */
static bool
http_cut(struct str *s, char c, struct str *before)
{
	const char *at = s->n ? memchr(s->p, c, s->n) : NULL;

	if (at == NULL)
		return false;
	*before = (struct str){ s->p, (size_t)(at - s->p) };
	*s = (struct str){ at + 1, s->n - before->n - 1 };
	return true;
}

/* RFC 9112 §2.3. Of HTTP/1.x only 1.1 has what the handshake needs. */
static enum http_state
http_version(struct http_head *h, struct str v)
{
	if (str_is(v, "HTTP/1.1"))
		return HTTP_MORE;
	if (v.n == 8 && str_starts(v, "HTTP/") && v.p[6] == '.')
		return http_bad(h, 505, "Only HTTP/1.1 is spoken here.");
	return http_bad(h, 400, "This is not an HTTP request.");
}

/* RFC 9112 §3: method SP request-target SP HTTP-version, target in origin form
 * (the other forms are for proxies). */
static enum http_state
http_request_line(struct http_head *h, struct str line)
{
	struct str method, target, path;

	if (!http_cut(&line, ' ', &method) || !http_is_token(method) ||
	    !http_cut(&line, ' ', &target))
		return http_bad(h, 400, "This is not an HTTP request.");
	if (http_version(h, line) != HTTP_MORE)
		return HTTP_BAD;
	if (target.n == 0 || target.p[0] != '/' || memchr(target.p, '#', target.n) != NULL)
		return http_bad(h, 400, "The request target must be a path.");
	h->method = http_span(h, method);
	h->has_query = http_cut(&target, '?', &path);
	h->path = http_span(h, h->has_query ? path : target);
	if (h->has_query)
		h->query = http_span(h, target);
	return HTTP_MORE;
}

static struct str
http_trim(struct str s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = (struct str){ s.p + 1, s.n - 1 };
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* RFC 9112 §5, without obsolete line folding (§5.2). */
static enum http_state
http_field_line(struct http_head *h, struct str line)
{
	struct str name;

	if (line.p[0] == ' ' || line.p[0] == '\t')
		return http_bad(h, 400, "Header lines must not be folded.");
	if (!http_cut(&line, ':', &name) || !http_is_token(name))
		return http_bad(h, 400, "A header line has no proper name.");
	if (h->n_fields == HTTP_FIELDS_MAX)
		return http_bad(h, 431, "There are too many header lines.");
	h->fields[h->n_fields++] = (struct http_field){
		http_span(h, name), http_span(h, http_trim(line)),
	};
	return HTTP_MORE;
}

static bool
http_is_number(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	}
	return s.n > 0;
}

/* What concerns the message as a whole: RFC 9112 §3.2 and §6. */
static enum http_state
http_end(struct http_head *h)
{
	struct str host, length;
	bool coded = http_count(h, "Transfer-Encoding") > 0;
	size_t lengths = http_count(h, "Content-Length");

	if (http_count(h, "Host") != 1 || !http_get(h, "Host", &host) || host.n == 0)
		return http_bad(h, 400, "The request must have one Host header.");
	if (lengths > 1 || (lengths > 0 && coded))
		return http_bad(h, 400, "The length of the request is ambiguous.");
	if (http_get(h, "Content-Length", &length) && !http_is_number(length))
		return http_bad(h, 400, "Content-Length must be a number.");
	return HTTP_DONE;
}

/* One whole line; i is the place of its LF. */
static enum http_state
http_line(struct http_head *h, size_t i)
{
	struct str line = { h->p + h->line, i - h->line };
	enum http_state state;

	if (line.n == 0 || line.p[line.n - 1] != '\r')
		return http_bad(h, 400, "Lines must end in CR LF.");
	line.n--;
	if (h->line == 0)
		state = http_request_line(h, line);
	else if (line.n > 0)
		state = http_field_line(h, line);
	else
		state = http_end(h);
	h->line = (uint16_t)(i + 1);
	return state;
}

/* A byte inside a line: visible ASCII and spaces, in fields also tabs and bytes
 * beyond ASCII (RFC 9112 §3, RFC 9110 §5.5). CR only before LF. */
static enum http_state
http_byte(struct http_head *h, size_t i)
{
	unsigned char c = (unsigned char)h->p[i];
	bool first = h->line == 0, cr = i > h->line && h->p[i - 1] == '\r';

	if (cr || (c < 0x20 && c != '\t' && c != '\r') || c == 0x7f ||
	    (first && (c == '\t' || c >= 0x80)))
		return http_bad(h, 400, first ? "This is not an HTTP request." :
		    "A header line holds a control character.");
	if (i - h->line >= HTTP_LINE_MAX && c != '\r')
		return first ? http_bad(h, 414, "The request target is too long.") :
		    http_bad(h, 431, "A header line is too long.");
	if (i >= HTTP_HEAD_MAX)
		return http_bad(h, 431, "The header lines are too long together.");
	return HTTP_MORE;
}

enum http_state
http_read(struct http_head *h, const char *p, size_t n)
{
	enum http_state state = HTTP_MORE;
	size_t i;

	h->p = p;
	for (i = h->at; state == HTTP_MORE && i < n; i++)
		state = p[i] == '\n' ? http_line(h, i) : http_byte(h, i);
	h->at = (uint16_t)i;
	return state;
}

/* ---- looking up ---- */

struct str
http_str(const struct http_head *h, struct http_span s)
{
	return (struct str){ h->p + s.at, s.n };
}

static bool
http_same(struct str a, const char *b)
{
	return a.n == strlen(b) && strncasecmp(a.p, b, a.n) == 0;
}

/* The value of the next field of this name, from *i on. */
static bool
http_next(const struct http_head *h, const char *name, size_t *i, struct str *value)
{
	while (*i < h->n_fields) {
		const struct http_field *f = &h->fields[(*i)++];

		if (http_same(http_str(h, f->name), name)) {
			*value = http_str(h, f->value);
			return true;
		}
	}
	return false;
}

bool
http_get(const struct http_head *h, const char *name, struct str *value)
{
	size_t i = 0;

	return http_next(h, name, &i, value);
}

size_t
http_count(const struct http_head *h, const char *name)
{
	struct str value;
	size_t i = 0, n = 0;

	while (http_next(h, name, &i, &value))
		n++;
	return n;
}

/* The next part of a list with this separator, trimmed. */
static bool
http_part(struct str *list, char separator, struct str *part)
{
	if (list->p == NULL)
		return false;
	if (!http_cut(list, separator, part)) {
		*part = *list;
		*list = (struct str){ NULL, 0 };
	}
	*part = http_trim(*part);
	return true;
}

bool
http_has_token(const struct http_head *h, const char *name, const char *token)
{
	struct str list, part;
	size_t i = 0;

	while (http_next(h, name, &i, &list)) {
		while (http_part(&list, ',', &part)) {
			if (http_same(part, token))
				return true;
		}
	}
	return false;
}

bool
http_cookie(const struct http_head *h, const char *name, struct str *value)
{
	struct str list, pair, key;
	size_t i = 0;

	while (http_next(h, "Cookie", &i, &list)) {
		while (http_part(&list, ';', &pair)) {
			if (http_cut(&pair, '=', &key) && str_is(key, name)) {
				*value = pair;
				return true;
			}
		}
	}
	return false;
}

bool
http_has_body(const struct http_head *h)
{
	struct str length;

	return http_count(h, "Transfer-Encoding") > 0 ||
	    (http_get(h, "Content-Length", &length) && !str_is(length, "0"));
}

/* ---- answering ---- */

size_t
http_status_index(int status)
{
	size_t i = 0;

	while (i < HTTP_STATUSES - 1 && http_statuses[i].code != status)
		i++;
	return i;
}

int
http_status_at(size_t index)
{
	return http_statuses[index].code;
}

void
http_answer_head(struct buf *out, int status, const char *type, const char *fields, size_t body)
{
	const struct http_status *s = &http_statuses[http_status_index(status)];

	buf_printf(out,
	    "HTTP/1.1 %d %s\r\n"
	    "Content-Type: %s\r\n"
	    "Content-Length: %zu\r\n"
	    "Cache-Control: no-store\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "%s%s"
	    "Connection: close\r\n\r\n",
	    s->code, s->phrase, type, body, s->fields, fields);
}

void
http_answer(struct buf *out, int status, const char *type, const char *fields, struct str body)
{
	http_answer_head(out, status, type, fields, body.n);
	buf_str(out, body);
}

void
http_refuse(struct buf *out, int status, const char *fields, const char *why)
{
	struct buf body = BUF_INIT(0);

	buf_printf(&body, "%s\n", why);
	http_answer(out, status, "text/plain; charset=utf-8", fields, buf_view(&body));
	buf_free(&body);
}
