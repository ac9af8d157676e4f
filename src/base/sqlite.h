/* SPDX-License-Identifier: MIT */
/* sqlite: the one owner of SQLite: a database, its prepared queries and its
 * transactions, every return code checked. A failure is an enum err and a
 * sentence (sqlite_trouble). Everything here blocks: on the loop only what is
 * small, else in the pool. A database and its queries belong to one thread at a
 * time, no matter which one. */
#ifndef LECTERN_BASE_SQLITE_H
#define LECTERN_BASE_SQLITE_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct sqlite;       /* an open database */
struct sqlite_query; /* a prepared statement of it */

struct sqlite_options {
	const char *file;
	bool read_only; /* nothing is written, the journal mode stays as it is */
	bool create;    /* makes a missing file, readable by its owner only */
	bool durable;   /* a commit that returned is on the disk; else it may be lost with the power,
	                 * but the file is never damaged */
	int busy_ms;    /* how long to wait for another process's lock; 0: SQLITE_BUSY_MS */
};

#define SQLITE_BUSY_MS 5000

/* Opens with WAL, foreign keys and defensive settings. NULL with *why (mem_free
 * it): names the file, what is wrong and what to do. */
struct sqlite *sqlite_open(const struct sqlite_options *o, char **why);
/* Its queries were freed before; an open transaction is rolled back. NULL is
 * allowed. */
void sqlite_close(struct sqlite *db);
/* The last failure in words, with the file's name; "" when there was none. Valid
 * until the next failure or sqlite_close. */
const char *sqlite_trouble(const struct sqlite *db);

/* Runs statements that have neither parameters nor wanted rows. */
enum err sqlite_exec(struct sqlite *db, const char *sql);
/* The integer in the only row of a query without parameters; ERR_NOT_FOUND (no
 * trouble) when there is no row. */
enum err sqlite_value(struct sqlite *db, const char *sql, int64_t *out);

/* All or nothing, and nobody else writes meanwhile. A commit that fails has been
 * rolled back. sqlite_rollback outside a transaction does nothing. */
enum err sqlite_begin(struct sqlite *db);
enum err sqlite_commit(struct sqlite *db);
void sqlite_rollback(struct sqlite *db);

/* Prepares one statement. NULL: sqlite_trouble says why. */
struct sqlite_query *sqlite_prepare(struct sqlite *db, const char *sql);
void sqlite_query_free(struct sqlite_query *q); /* NULL is allowed */

/* Parameters count from 1; bytes are borrowed until sqlite_reset. A value that
 * cannot be bound is reported by the next sqlite_step. */
void sqlite_bind_text(struct sqlite_query *q, int i, struct str text);
void sqlite_bind_blob(struct sqlite_query *q, int i, struct str bytes);
void sqlite_bind_int(struct sqlite_query *q, int i, int64_t n);

/* *row: there is a row to read; false: done. After an error only sqlite_reset
 * and sqlite_query_free are allowed. */
enum err sqlite_step(struct sqlite_query *q, bool *row);
/* Ready to run again, without parameters. */
void sqlite_reset(struct sqlite_query *q);
/* Steps over all rows and resets: for what is run for its effect. */
enum err sqlite_run(struct sqlite_query *q);

/* Columns count from 0; NULL reads as empty or 0. Bytes are valid until the next
 * step or reset. */
struct str sqlite_text(struct sqlite_query *q, int column);
struct str sqlite_blob(struct sqlite_query *q, int column);
int64_t sqlite_int(struct sqlite_query *q, int column);

#endif
