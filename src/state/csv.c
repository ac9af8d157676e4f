/* SPDX-License-Identifier: MIT */
/* csv: see csv.h. */
#include "state/csv.h"

#include <stdio.h>

static const char csv_place[] = "a quote or text out of place, expected the whole cell in quotes "
    "and quotes in it doubled";
static const char csv_cr[] = "a carriage return without a line feed, expected lines that end with "
    "LF or CR LF";
static const char csv_nul[] = "a NUL byte, expected plain text in UTF-8";
static const char csv_open_quote[] = "a quote that is not closed, expected \" at the end of the "
    "cell";

void
csv_open(struct csv *c, struct str text, bool one_line)
{
	*c = (struct csv){ .rest = text.n > 0 ? text : STR_LIT(""), .line = 1, .next = 1, .one_line = one_line,
		.text = BUF_INIT(CSV_RECORD_MAX) };
	if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
		c->rest = (struct str){ text.p + 3, text.n - 3 };
}

void
csv_close(struct csv *c)
{
	buf_free(&c->text);
}

/* The line break at p, as the number of its bytes. */
static size_t
csv_break(const char *p, const char *end)
{
	if (p < end && *p == '\n')
		return 1;
	return end - p >= 2 && p[0] == '\r' && p[1] == '\n' ? 2 : 0;
}

/* Takes the quoted cell behind its first quote; NULL when it is never closed. */
static const char *
csv_quoted(struct csv *c, const char *p, const char *end)
{
	for (; p < end; p++) {
		if (*p == '"') {
			if (p + 1 == end || p[1] != '"')
				return p + 1;
			p++;
		} else if (*p == '\n') {
			if (c->one_line)
				return NULL;
			c->next++;
		}
		buf_byte(&c->text, *p);
	}
	return NULL;
}

static bool
csv_is_end(const char *p, const char *end)
{
	return p == end || *p == ',' || *p == '\r' || *p == '\n';
}

/* Takes one cell up to its comma or line break. NULL, or what is wrong. */
static const char *
csv_take_cell(struct csv *c, const char **at, const char *end)
{
	const char *p = *at;

	if (p < end && *p == '"') {
		p = csv_quoted(c, p + 1, end);
		if (p == NULL)
			return csv_open_quote;
	} else {
		const char *from = p;

		while (!csv_is_end(p, end) && *p != '"')
			p++;
		buf_add(&c->text, from, (size_t)(p - from));
	}
	if (!csv_is_end(p, end))
		return csv_place;
	if (p < end && *p == '\r' && csv_break(p, end) == 0)
		return csv_cr;
	if (c->n == CSV_COLUMNS_MAX)
		return "more than 64 cells";
	c->end[c->n++] = c->text.len;
	*at = p;
	return c->text.failed ? "a line of more than 64 KiB" : NULL;
}

static void
csv_skip_lines(struct csv *c)
{
	const char *p = c->rest.p, *end = p + c->rest.n;

	while (p < end) {
		size_t n = csv_break(p, end);
		const char *lf;

		if (n == 0 && !(c->one_line && *p == '#'))
			break;
		lf = memchr(p, '\n', (size_t)(end - p));
		p = lf != NULL ? lf + 1 : end;
		c->next++;
	}
	c->rest = (struct str){ p, (size_t)(end - p) };
}

static const char *
csv_record(struct csv *c)
{
	const char *p = c->rest.p, *end = p + c->rest.n;
	const char *wrong;

	c->line = c->next;
	c->n = 0;
	buf_clear(&c->text);
	for (;;) {
		wrong = csv_take_cell(c, &p, end);
		if (wrong != NULL || p == end || *p != ',')
			break;
		p++;
	}
	p += csv_break(p, end);
	c->next++;
	c->rest = (struct str){ p, (size_t)(end - p) };
	if (wrong == NULL && c->text.len > 0 && memchr(c->text.data, '\0', c->text.len) != NULL)
		wrong = csv_nul; /* a C string would end there */
	return wrong;
}

enum csv_next
csv_next(struct csv *c)
{
	const char *wrong;

	csv_skip_lines(c);
	if (c->rest.n == 0)
		return CSV_END;
	wrong = csv_record(c);
	if (wrong == NULL && c->header > 0 && c->n != c->header) {
		snprintf(c->why, sizeof c->why, "%s than %zu cells, expected one for each column of the "
		    "first line", c->n < c->header ? "fewer" : "more", c->header);
		return CSV_WRONG;
	}
	if (wrong != NULL) {
		snprintf(c->why, sizeof c->why, "%s", wrong);
		return CSV_WRONG;
	}
	if (c->header == 0)
		c->header = c->n;
	return CSV_RECORD;
}

struct str
csv_cell(const struct csv *c, size_t column)
{
	size_t from, to;

	if (column >= c->n)
		return (struct str){ "", 0 };
	from = column > 0 ? c->end[column - 1] : 0;
	to = c->end[column];
	while (from < to && c->text.data[from] == ' ')
		from++;
	while (to > from && c->text.data[to - 1] == ' ')
		to--;
	return (struct str){ to > from ? c->text.data + from : "", to - from };
}

size_t
csv_column(const struct csv *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (str_is(csv_cell(c, i), name))
			return i;
	return CSV_NO_COLUMN;
}
