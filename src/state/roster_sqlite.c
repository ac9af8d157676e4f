/* SPDX-License-Identifier: MIT */
/* roster_sqlite: the roster in the tables of an SQLite file (docs/rosters.md).
 * The file stays as whoever keeps it wants it: read with a transaction of its own,
 * and looked at now and then for what others committed. */
#include <stdio.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sqlite.h"
#include "state/roster_sql.h"

#define ROSTER_SQLITE_LOOK_MS 2000
#define ROSTER_SQLITE_BUSY_MS 1 /* on the loop: looked at again soon */

static bool
rosterlite_has_file(const struct roster_options *o, char **why)
{
	if (o->file == NULL)
		*why = mem_strdup("roster.file names no SQLite file");
	return o->file != NULL;
}

/* ---- load ---- */

/* The rows of one query. False with trouble in db, or once q knows what is wrong. */
static bool
rosterlite_rows(struct sqlite *db, struct roster_sql *q, size_t read)
{
	const struct roster_sql_read *what = &roster_sql_reads[read];
	struct sqlite_query *query = sqlite_prepare(db, what->sql);
	struct str cells[ROSTER_SQL_COLUMNS];
	bool row = false, ok = query != NULL;

	while (ok && sqlite_step(query, &row) == ERR_OK && row) {
		for (size_t i = 0; i < what->columns; i++)
			cells[i] = sqlite_text(query, (int)i);
		ok = roster_sql_row(q, read, cells);
	}
	sqlite_query_free(query);
	return ok && *sqlite_trouble(db) == '\0';
}

/* All queries see the same moment. */
static bool
rosterlite_read(struct sqlite *db, struct roster_sql *q)
{
	bool ok = sqlite_exec(db, "BEGIN") == ERR_OK;

	for (size_t i = 0; ok && i < roster_sql_n_reads; i++)
		ok = rosterlite_rows(db, q, i);
	sqlite_rollback(db);
	return ok;
}

static struct roster *
rosterlite_load(const struct roster_options *o, char **why)
{
	struct sqlite_options open = { .file = o->file, .read_only = true };
	struct sqlite *db = rosterlite_has_file(o, why) ? sqlite_open(&open, why) : NULL;
	struct roster_sql *q;
	struct roster *r = NULL;

	if (db == NULL)
		return NULL;
	q = roster_sql_new(o, o->file);
	rosterlite_read(db, q);
	if (*sqlite_trouble(db) == '\0') {
		r = roster_sql_take(q, why);
	} else {
		*why = mem_printf("%s; the tables are made with: lecternctl roster init", sqlite_trouble(db));
		roster_sql_free(q);
	}
	sqlite_close(db);
	return r;
}

/* ---- watch ---- */

struct roster_watch {
	struct loop_timer *timer;
	char *file;
	struct sqlite *db; /* NULL while it cannot be opened */
	int64_t version;   /* of the data, for this connection */
	struct stat seen;
	loop_cb *changed;
	void *arg;
};

/* Whether it is the same file as at the last look, and not one that was copied into
 * it, which SQLite cannot notice. */
static bool
rosterlite_same_file(struct roster_watch *w)
{
	struct stat now = { .st_ino = 0 };
	bool same;

	if (stat(w->file, &now) != 0)
		now = (struct stat){ .st_ino = 0 };
	same = now.st_ino == w->seen.st_ino && now.st_dev == w->seen.st_dev &&
	    now.st_size == w->seen.st_size && now.st_mtim.tv_sec == w->seen.st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == w->seen.st_mtim.tv_nsec;
	w->seen = now;
	return same;
}

static void
rosterlite_open_watch(struct roster_watch *w)
{
	struct sqlite_options o = { .file = w->file, .read_only = true,
		.busy_ms = ROSTER_SQLITE_BUSY_MS };
	char *why = NULL;

	sqlite_close(w->db);
	w->db = sqlite_open(&o, &why);
	if (w->db != NULL && sqlite_value(w->db, "PRAGMA data_version", &w->version) != ERR_OK)
		w->version = -1;
	if (w->db == NULL)
		log_debug("roster cannot be looked at why=\"%s\"", why);
	mem_free(why);
}

/* Another file in its place is a change, and so is a commit to it. */
static void
rosterlite_look_cb(void *arg)
{
	struct roster_watch *w = arg;
	int64_t before = w->version;

	if (!rosterlite_same_file(w) || w->db == NULL) {
		bool was_there = w->db != NULL;

		rosterlite_open_watch(w);
		if (w->db != NULL || was_there)
			w->changed(w->arg);
	} else if (sqlite_value(w->db, "PRAGMA data_version", &w->version) == ERR_OK &&
	    w->version != before) {
		w->changed(w->arg);
	}
}

static struct roster_watch *
rosterlite_watch(struct loop *l, const struct roster_options *o, loop_cb *changed, void *arg,
    char **why)
{
	struct roster_watch *w;

	if (!rosterlite_has_file(o, why))
		return NULL;
	MEM_NEW(w);
	w->file = mem_strdup(o->file);
	w->changed = changed;
	w->arg = arg;
	rosterlite_same_file(w);
	rosterlite_open_watch(w);
	w->timer = loop_timer_new(l, rosterlite_look_cb, w);
	loop_timer_every(w->timer, ROSTER_SQLITE_LOOK_MS);
	return w;
}

static void
rosterlite_close(struct roster_watch *w)
{
	if (w == NULL)
		return;
	loop_timer_free(w->timer);
	sqlite_close(w->db);
	mem_free(w->file);
	mem_free(w);
}

/* ---- init and save ---- */

/* Without WAL: the daemon then needs no right to write, and a copy is one file. */
static struct sqlite *
rosterlite_open(const struct roster_options *o, bool create, char **why)
{
	struct sqlite_options open = { .file = o->file, .create = create, .durable = true };
	struct sqlite *db = rosterlite_has_file(o, why) ? sqlite_open(&open, why) : NULL;

	if (db == NULL || sqlite_exec(db, "PRAGMA journal_mode = DELETE") == ERR_OK)
		return db;
	*why = mem_strdup(sqlite_trouble(db));
	sqlite_close(db);
	return NULL;
}

/* Commits what went well; e with *why otherwise. Closes db. */
static enum err
rosterlite_end(struct sqlite *db, enum err e, char **why)
{
	if (e == ERR_OK)
		e = sqlite_commit(db);
	if (e != ERR_OK)
		*why = mem_strdup(sqlite_trouble(db));
	sqlite_close(db);
	return e;
}

static enum err
rosterlite_init(const struct roster_options *o, char **why)
{
	struct sqlite *db = rosterlite_open(o, true, why);
	enum err e;

	if (db == NULL)
		return ERR_IO;
	e = sqlite_begin(db);
	if (e == ERR_OK)
		e = sqlite_exec(db, roster_sql_sqlite);
	return rosterlite_end(db, e, why);
}

struct rosterlite_save {
	struct sqlite *db;
	struct sqlite_query *insert;
	size_t table; /* of insert */
	enum err e;
};

/* INSERT INTO table (column, ...) VALUES (?, ...) */
static bool
rosterlite_prepare(struct rosterlite_save *s, size_t table)
{
	const struct roster_sql_table *t = &roster_sql_tables[table];
	struct buf sql = BUF_INIT(0);
	size_t n = 0;
	char *text;

	if (s->insert != NULL && s->table == table)
		return true;
	sqlite_query_free(s->insert);
	buf_printf(&sql, "INSERT INTO %s (", t->name);
	for (; t->columns[n] != NULL; n++)
		buf_printf(&sql, "%s%s", n > 0 ? ", " : "", t->columns[n]);
	buf_z(&sql, ") VALUES (?");
	while (--n > 0)
		buf_z(&sql, ", ?");
	buf_byte(&sql, ')');
	text = buf_take(&sql);
	s->insert = sqlite_prepare(s->db, text);
	s->table = table;
	mem_free(text);
	return s->insert != NULL;
}

static bool
rosterlite_save_row(void *arg, size_t table, const struct str *cells)
{
	struct rosterlite_save *s = arg;

	s->e = ERR_INVALID;
	if (!rosterlite_prepare(s, table))
		return false;
	for (int i = 0; roster_sql_tables[table].columns[i] != NULL; i++)
		if (cells[i].p != NULL)
			sqlite_bind_text(s->insert, i + 1, cells[i]);
	s->e = sqlite_run(s->insert);
	return s->e == ERR_OK;
}

/* The tables that refer to others first. */
static enum err
rosterlite_clear(struct sqlite *db)
{
	enum err e = ERR_OK;
	char sql[64];

	for (size_t i = roster_sql_n_tables; e == ERR_OK && i-- > 0;) {
		snprintf(sql, sizeof sql, "DELETE FROM %s", roster_sql_tables[i].name);
		e = sqlite_exec(db, sql);
	}
	return e;
}

static enum err
rosterlite_save(const struct roster_options *o, const struct roster *r, char **why)
{
	struct rosterlite_save s = { .db = rosterlite_open(o, false, why) };

	if (s.db == NULL)
		return ERR_IO;
	s.e = sqlite_begin(s.db);
	if (s.e == ERR_OK)
		s.e = rosterlite_clear(s.db);
	if (s.e == ERR_OK)
		roster_sql_each(r, rosterlite_save_row, &s);
	sqlite_query_free(s.insert);
	return rosterlite_end(s.db, s.e, why);
}

const struct roster_backend roster_sqlite = {
	.name = "sqlite",
	.load = rosterlite_load,
	.watch = rosterlite_watch,
	.close = rosterlite_close,
	.init = rosterlite_init,
	.save = rosterlite_save,
};
