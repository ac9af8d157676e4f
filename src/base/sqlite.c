/* SPDX-License-Identifier: MIT */
/* sqlite: see sqlite.h. */
#include "base/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

/* A row or a cell larger than this is refused, whoever wrote it. */
#define SQLITE_CELL_MAX (64 << 20)

struct sqlite {
	sqlite3 *db;
	char *file;
	char *trouble;
};

struct sqlite_query {
	struct sqlite *of;
	sqlite3_stmt *stmt;
	int wrong; /* the first failure of a bind or a cell since the last reset */
};

/* ---- failures ---- */

/* What SQLite's code means here and what to do about it. */
static const struct sqlite_fault {
	int code;
	enum err err;
	const char *advice;
} sqlite_faults[] = {
	{ SQLITE_FULL, ERR_NO_SPACE, "make room on the disk" },
	{ SQLITE_BUSY, ERR_LOCKED, "another process has held its lock for too long; end its transaction" },
	{ SQLITE_LOCKED, ERR_LOCKED, "another query of this process holds the table" },
	{ SQLITE_CORRUPT, ERR_DAMAGED, "the file is damaged; restore a copy" },
	{ SQLITE_NOTADB, ERR_DAMAGED, "expected a file made by SQLite" },
	{ SQLITE_READONLY, ERR_FORBIDDEN, "let this user write the file and its folder" },
	{ SQLITE_PERM, ERR_FORBIDDEN, "let this user read and write the file" },
	{ SQLITE_CANTOPEN, ERR_IO, "does it exist, and may this user open it and its folder?" },
	{ SQLITE_IOERR, ERR_IO, "look for disk errors in the kernel's log" },
	{ SQLITE_TOOBIG, ERR_FULL, "a value is larger than 64 MiB" },
	{ SQLITE_CONSTRAINT, ERR_INVALID, NULL },
	{ SQLITE_MISMATCH, ERR_INVALID, NULL },
	{ SQLITE_RANGE, ERR_INVALID, NULL },
	{ SQLITE_ERROR, ERR_INVALID, NULL },
};

static const struct sqlite_fault *
sqlite_fault(int code)
{
	static const struct sqlite_fault other = { 0, ERR_IO, NULL };

	for (size_t i = 0; i < sizeof sqlite_faults / sizeof *sqlite_faults; i++)
		if (sqlite_faults[i].code == (code & 0xff))
			return &sqlite_faults[i];
	return &other;
}

static char *
sqlite_sentence(const char *file, int code, const char *text)
{
	const struct sqlite_fault *f = sqlite_fault(code);

	return mem_printf("%s: %s%s%s", file, text, f->advice ? "; " : "", f->advice ? f->advice : "");
}

/* Turns SQLite's return code into ours and keeps its words. */
static enum err
sqlite_check(struct sqlite *db, int code)
{
	if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE)
		return ERR_OK;
	mem_free(db->trouble);
	/* The handle's own message is the better one, unless it tells of another call. */
	db->trouble = sqlite_sentence(db->file, code,
	    sqlite3_errcode(db->db) == (code & 0xff) || sqlite3_extended_errcode(db->db) == code ?
	    sqlite3_errmsg(db->db) : sqlite3_errstr(code));
	return sqlite_fault(code)->err;
}

const char *
sqlite_trouble(const struct sqlite *db)
{
	return db->trouble != NULL ? db->trouble : "";
}

/* ---- open and close ---- */

/* SQLite would make the file for everybody to read; its -wal and -shm take the
 * rights of the file. */
static bool
sqlite_make(const char *file, char **why)
{
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0) {
		*why = mem_printf("%s: cannot be made or opened for writing: %s", file, strerror(errno));
		return false;
	}
	return close(fd) == 0;
}

static enum err
sqlite_switch(struct sqlite *db, int what, int value)
{
	int now = -1;

	if (sqlite_check(db, sqlite3_db_config(db->db, what, value, &now)) == ERR_OK && now == value)
		return ERR_OK;
	return ERR_INVALID;
}

/* A file that somebody else wrote may hold hostile views, triggers and types. */
static enum err
sqlite_defend(struct sqlite *db)
{
	enum err e = sqlite_switch(db, SQLITE_DBCONFIG_DEFENSIVE, 1);

	if (e == ERR_OK)
		e = sqlite_switch(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0);
	if (e == ERR_OK)
		e = sqlite_switch(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1);
	if (e == ERR_OK)
		e = sqlite_switch(db, SQLITE_DBCONFIG_DQS_DML, 0);
	sqlite3_limit(db->db, SQLITE_LIMIT_LENGTH, SQLITE_CELL_MAX);
	return e;
}

/* WAL is a wish that SQLite may not grant (network folders): then the roll-back
 * journal serves, slower and as safe. */
static enum err
sqlite_tune(struct sqlite *db, const struct sqlite_options *o)
{
	int64_t schema;
	enum err e = sqlite_check(db,
	    sqlite3_busy_timeout(db->db, o->busy_ms > 0 ? o->busy_ms : SQLITE_BUSY_MS));

	if (e == ERR_OK)
		e = sqlite_defend(db);
	if (e == ERR_OK && !o->read_only)
		e = sqlite_exec(db, "PRAGMA journal_mode = WAL");
	if (e == ERR_OK)
		e = sqlite_exec(db, o->durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
	/* Opening reads nothing; this does, so that a wrong file is refused here. */
	return e == ERR_OK ? sqlite_value(db, "PRAGMA schema_version", &schema) : e;
}

struct sqlite *
sqlite_open(const struct sqlite_options *o, char **why)
{
	struct sqlite *db;
	int flags = o->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;

	if (o->create && !sqlite_make(o->file, why))
		return NULL;
	MEM_NEW(db);
	db->file = mem_strdup(o->file);
	if (sqlite_check(db, sqlite3_open_v2(o->file, &db->db,
	    flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL)) == ERR_OK &&
	    sqlite_tune(db, o) == ERR_OK)
		return db;
	*why = mem_strdup(db->trouble != NULL ? db->trouble :
	    "SQLite was built without its defensive settings; use the distribution's library");
	sqlite_close(db);
	return NULL;
}

void
sqlite_close(struct sqlite *db)
{
	if (db == NULL)
		return;
	sqlite_rollback(db);
	if (sqlite3_close(db->db) != SQLITE_OK)
		abort(); /* a query was not freed before */
	mem_free(db->file);
	mem_free(db->trouble);
	mem_free(db);
}

/* ---- whole statements ---- */

enum err
sqlite_exec(struct sqlite *db, const char *sql)
{
	return sqlite_check(db, sqlite3_exec(db->db, sql, NULL, NULL, NULL));
}

enum err
sqlite_value(struct sqlite *db, const char *sql, int64_t *out)
{
	struct sqlite_query *q = sqlite_prepare(db, sql);
	bool row = false;
	enum err e;

	if (q == NULL)
		return ERR_INVALID;
	e = sqlite_step(q, &row);
	if (row)
		*out = sqlite_int(q, 0);
	sqlite_query_free(q);
	return e != ERR_OK || row ? e : ERR_NOT_FOUND;
}

enum err
sqlite_begin(struct sqlite *db)
{
	/* At once, not at the first write: then only the begin waits for a lock. */
	return sqlite_exec(db, "BEGIN IMMEDIATE");
}

enum err
sqlite_commit(struct sqlite *db)
{
	enum err e = sqlite_exec(db, "COMMIT");

	if (e != ERR_OK)
		sqlite_rollback(db);
	return e;
}

void
sqlite_rollback(struct sqlite *db)
{
	/* Some failures have rolled back by themselves; what they said stays said. */
	if (db->db != NULL && sqlite3_get_autocommit(db->db) == 0 &&
	    sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
		(void)sqlite_check(db, sqlite3_extended_errcode(db->db));
}

/* ---- prepared queries ---- */

struct sqlite_query *
sqlite_prepare(struct sqlite *db, const char *sql)
{
	struct sqlite_query *q;
	sqlite3_stmt *stmt;

	if (sqlite_check(db, sqlite3_prepare_v3(db->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt,
	    NULL)) != ERR_OK)
		return NULL;
	MEM_NEW(q);
	q->of = db;
	q->stmt = stmt;
	return q;
}

void
sqlite_query_free(struct sqlite_query *q)
{
	if (q == NULL)
		return;
	(void)sqlite3_finalize(q->stmt); /* repeats what its last step said */
	mem_free(q);
}

static void
sqlite_note(struct sqlite_query *q, int code)
{
	if (q->wrong == SQLITE_OK)
		q->wrong = code;
}

void
sqlite_bind_text(struct sqlite_query *q, int i, struct str text)
{
	sqlite_note(q, sqlite3_bind_text64(q->stmt, i, text.n > 0 ? text.p : "", text.n, SQLITE_STATIC,
	    SQLITE_UTF8));
}

void
sqlite_bind_blob(struct sqlite_query *q, int i, struct str bytes)
{
	sqlite_note(q, sqlite3_bind_blob64(q->stmt, i, bytes.n > 0 ? bytes.p : "", bytes.n,
	    SQLITE_STATIC));
}

void
sqlite_bind_int(struct sqlite_query *q, int i, int64_t n)
{
	sqlite_note(q, sqlite3_bind_int64(q->stmt, i, n));
}

enum err
sqlite_step(struct sqlite_query *q, bool *row)
{
	int code = q->wrong != SQLITE_OK ? q->wrong : sqlite3_step(q->stmt);

	*row = code == SQLITE_ROW;
	return sqlite_check(q->of, code);
}

void
sqlite_reset(struct sqlite_query *q)
{
	(void)sqlite3_reset(q->stmt); /* repeats what its last step said */
	(void)sqlite3_clear_bindings(q->stmt); /* never fails */
	q->wrong = SQLITE_OK;
}

enum err
sqlite_run(struct sqlite_query *q)
{
	bool row;
	enum err e;

	do
		e = sqlite_step(q, &row);
	while (e == ERR_OK && row);
	sqlite_reset(q);
	return e;
}

/* Without memory a cell would read as NULL: the next step says so instead. */
static struct str
sqlite_cell(struct sqlite_query *q, int column, const void *p)
{
	if (p == NULL && sqlite3_errcode(q->of->db) == SQLITE_NOMEM)
		sqlite_note(q, SQLITE_NOMEM);
	return (struct str){ p, p != NULL ? (size_t)sqlite3_column_bytes(q->stmt, column) : 0 };
}

struct str
sqlite_text(struct sqlite_query *q, int column)
{
	return sqlite_cell(q, column, sqlite3_column_text(q->stmt, column));
}

struct str
sqlite_blob(struct sqlite_query *q, int column)
{
	return sqlite_cell(q, column, sqlite3_column_blob(q->stmt, column));
}

int64_t
sqlite_int(struct sqlite_query *q, int column)
{
	return sqlite3_column_int64(q->stmt, column);
}
