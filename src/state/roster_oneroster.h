/* SPDX-License-Identifier: MIT */
/* What the files of the OneRoster backend share: the texts of one export, and how their
 * tables are read. */
#ifndef LECTERN_STATE_ROSTER_ONEROSTER_H
#define LECTERN_STATE_ROSTER_ONEROSTER_H

#include "base/map.h"
#include "state/csv.h"
#include "state/roster.h"

/* The files of an export that count here, OneRoster 1.1 CSV §4. */
enum oneroster_file {
	ONEROSTER_MANIFEST,
	ONEROSTER_ORGS,
	ONEROSTER_SESSIONS,
	ONEROSTER_COURSES,
	ONEROSTER_CLASSES,
	ONEROSTER_USERS,
	ONEROSTER_ENROLLMENTS,
	ONEROSTER_FILES
};
const char *oneroster_file_name(enum oneroster_file f);

struct oneroster_texts {
	struct buf text[ONEROSTER_FILES];
	bool there[ONEROSTER_FILES];
};

/* Reads the files of one export, a folder or a zip file, as they all were at one
 * time: what is replaced meanwhile is read once more, then refused. false with *why
 * (mem_free it). Freed by oneroster_texts_free in any case. */
bool oneroster_read(const char *path, struct oneroster_texts *out, char **why);
void oneroster_texts_free(struct oneroster_texts *t);

/* ---- tables ---- */

#define ONEROSTER_DATE_LEN 10 /* 2026-09-01 */

struct oneroster {
	const char *path;
	const struct oneroster_texts *texts;
	struct roster *roster;
	char today[ONEROSTER_DATE_LEN + 1];
	struct map *orgs, *courses;  /* sourcedId -> (char *) title */
	struct map *sessions;        /* sourcedId -> an enum oneroster_when of it */
	struct map *classes, *users;
	size_t ended;                /* enrollments that are over */
	char **why;
};

/* One file being read; columns are numbered as its own table names them. */
#define ONEROSTER_COLUMNS_MAX 16
struct oneroster_table {
	struct oneroster *o;
	const char *name;
	struct csv csv;
	size_t at[ONEROSTER_COLUMNS_MAX];
};
/* NULL, or what is wrong with the row; ONEROSTER_SAID when *why is said already. */
#define ONEROSTER_SAID ""
typedef const char *oneroster_row(struct oneroster_table *t);

struct oneroster_shape {
	enum oneroster_file file;
	const char *columns[ONEROSTER_COLUMNS_MAX]; /* ends with NULL */
	size_t required; /* the first so many must be there */
	size_t status;   /* column, or CSV_NO_COLUMN */
	oneroster_row *row;
};

struct str oneroster_cell(const struct oneroster_table *t, size_t column);

/* Gives every row of the file that counts to s->row; a file that is not there has none.
 * false with *o->why. */
bool oneroster_table(struct oneroster *o, const struct oneroster_shape *s);

/* The next of a list "a,b,c"; false at its end. */
bool oneroster_each(struct str *rest, struct str *one);

/* Where today is: from begin (inclusive) to end (exclusive), either of which may be
 * open, before or after it; NULL, or what is wrong with them. OneRoster 1.1 CSV §4.3, §4.11 */
enum oneroster_when { ONEROSTER_LATER, ONEROSTER_NOW, ONEROSTER_OVER };
const char *oneroster_when(const struct oneroster *o, struct str begin, struct str end,
    enum oneroster_when *when);

#endif
