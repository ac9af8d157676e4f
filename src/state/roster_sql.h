/* SPDX-License-Identifier: MIT */
/* roster_sql: what the rosters in SQLite and in PostgreSQL have in common: the
 * tables (docs/rosters.md), the queries that read them, and the rows that fill
 * them. Knows no library. */
#ifndef LECTERN_STATE_ROSTER_SQL_H
#define LECTERN_STATE_ROSTER_SQL_H

#include "base/map.h"
#include "state/roster.h"

/* Raised with every change to the tables that an older program could not read. */
#define ROSTER_SQL_VERSION 1
#define ROSTER_SQL_CHANNEL "lectern_roster" /* that PostgreSQL notifies */

/* Makes the tables; several statements. */
extern const char roster_sql_sqlite[];
extern const char roster_sql_postgres[];

/* ---- reading: all of roster_sql_reads in order, each row given to roster_sql_row ---- */

#define ROSTER_SQL_COLUMNS 9

struct roster_sql_read {
	const char *sql;
	size_t columns;
	const char *what; /* its rows, in the order of the query */
	const char *(*row)(struct roster *r, struct map *aliases, const struct str *cells,
	    size_t number);
};
extern const struct roster_sql_read roster_sql_reads[];
extern const size_t roster_sql_n_reads;

struct roster_sql;
/* source: what to call it in messages; borrowed. */
struct roster_sql *roster_sql_new(const struct roster_options *o, const char *source);
/* Cells that are NULL are empty. False once anything was wrong: the rest can be left. */
bool roster_sql_row(struct roster_sql *q, size_t read, const struct str *cells);
/* The roster, or NULL with *why; q is gone. */
struct roster *roster_sql_take(struct roster_sql *q, char **why);
void roster_sql_free(struct roster_sql *q);

/* ---- filling ---- */

struct roster_sql_table {
	const char *name;
	const char *columns[ROSTER_SQL_COLUMNS + 1]; /* all text; ended by NULL */
};
/* In an order in which each refers only to those before it. */
extern const struct roster_sql_table roster_sql_tables[];
extern const size_t roster_sql_n_tables;

/* Calls each for all rows of all tables in that order; a cell without text is
 * NULL. False as soon as each says so. */
typedef bool roster_sql_cb(void *arg, size_t table, const struct str *cells);
bool roster_sql_each(const struct roster *r, roster_sql_cb *each, void *arg);

#endif
