/* SPDX-License-Identifier: MIT */
/* csv: tables of RFC 4180 in UTF-8, record by record, columns by the names in the
 * first one. Knows nothing of what they mean. */
#ifndef LECTERN_STATE_CSV_H
#define LECTERN_STATE_CSV_H

#include "base/buf.h"

#define CSV_COLUMNS_MAX 64
#define CSV_RECORD_MAX ((size_t)64 << 10) /* bytes */

struct csv {
	struct str rest;
	size_t line;     /* of the record's begin */
	size_t next;     /* of what comes after it */
	bool one_line;   /* a record ends with its line; '#' lines are left out */
	size_t n;        /* cells of the record */
	size_t header;   /* columns; 0: the first record is the next one */
	size_t end[CSV_COLUMNS_MAX];
	struct buf text; /* the cells, one after the other */
	char why[200];
};

/* The text must live until csv_close; a byte order mark at its start is left out. */
void csv_open(struct csv *c, struct str text, bool one_line);
void csv_close(struct csv *c);

/* Goes to the next record, blank lines left out. CSV_WRONG: c->why says what is
 * wrong with the record of c->line; one with more or fewer cells than the first
 * is. */
enum csv_next { CSV_END, CSV_RECORD, CSV_WRONG };
enum csv_next csv_next(struct csv *c);

/* A cell without the spaces at its ends, which nobody sees or means; valid until
 * the next csv_next. "" beyond the last column. */
#define CSV_NO_COLUMN SIZE_MAX
struct str csv_cell(const struct csv *c, size_t column);

/* Where the present record, the header that is, has a cell of that name. */
size_t csv_column(const struct csv *c, const char *name);

#endif
