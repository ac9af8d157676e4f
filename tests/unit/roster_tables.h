/* SPDX-License-Identifier: MIT */
/* What the tests of the rosters in SQLite and PostgreSQL share: rows as SQL, and both as
 * sources for the contract (roster_contract.h). */
#ifndef LECTERN_TESTS_ROSTER_TABLES_H
#define LECTERN_TESTS_ROSTER_TABLES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/sqlite.h"
#include "postgres_rig.h"
#include "state/roster_sql.h"
#include "tests/contract/roster_contract.h"

static char tables_file[128]; /* of the SQLite one */
static struct conf tables_conf;

/* ---- rows as SQL ---- */

/* The values in parentheses; what is empty is NULL. */
static inline void
tables_values(struct buf *sql, const char *into, const struct str *v, size_t n)
{
	buf_printf(sql, "INSERT INTO %s VALUES (", into);
	for (size_t i = 0; i < n; i++) {
		buf_z(sql, i > 0 ? ", " : "");
		if (v[i].n == 0) {
			buf_z(sql, "NULL");
			continue;
		}
		buf_byte(sql, '\'');
		for (size_t k = 0; k < v[i].n; k++) {
			buf_byte(sql, v[i].p[k]);
			if (v[i].p[k] == '\'')
				buf_byte(sql, '\'');
		}
		buf_byte(sql, '\'');
	}
	buf_z(sql, ") ON CONFLICT DO NOTHING;\n");
}

#define TABLES_PUT(sql, into, ...)                                                                        \
	tables_values(sql, into, (const struct str[]){ __VA_ARGS__ },                                 \
	    sizeof((const struct str[]){ __VA_ARGS__ }) / sizeof(struct str))

static inline void
tables_row(struct buf *sql, const struct roster_row *row)
{
	struct str id = row->role == ROSTER_STUDENT ? row->id : row->person.n > 0 ? row->person : row->jid;

	TABLES_PUT(sql, "lectern_people (id, jid, email, name, given, family)", id, row->jid, row->email,
	    row->name, row->given, row->family);
	for (size_t i = 0; i < row->n_aliases; i++)
		TABLES_PUT(sql, "lectern_identities", row->aliases[i], id);
	if (row->role == ROSTER_GUARDIAN) {
		TABLES_PUT(sql, "lectern_guardians", row->id, id);
		return;
	}
	TABLES_PUT(sql, "lectern_courses", row->class, row->title);
	TABLES_PUT(sql, "lectern_enrollments", row->class, id, str_of(roster_role_name(row->role)));
}

/* A transaction that puts the rows in the place of all others; mem_free it. */
static inline char *
tables_script(const struct roster_row *rows, size_t n)
{
	struct buf sql = BUF_INIT(0);

	buf_z(&sql, "BEGIN;\n");
	for (size_t i = roster_sql_n_tables; i-- > 0;)
		buf_printf(&sql, "DELETE FROM %s;\n", roster_sql_tables[i].name);
	for (size_t i = 0; i < n; i++)
		tables_row(&sql, &rows[i]);
	buf_z(&sql, "COMMIT;\n");
	return buf_take(&sql);
}

static inline void
tables_init(const char *backend, const struct roster_options *o)
{
	char *why = NULL;

	if (roster_backend(backend, &why)->init(o, &why) != ERR_OK)
		fail_msg("%s", why);
}

/* Beside PostgreSQL, whose folder is there. */
static inline void
tables_setup(void)
{
	snprintf(tables_file, sizeof tables_file, "%s/roster.db", postgres.dir);
}

/* ---- SQLite ---- */

static inline void
tables_lite_place(struct roster_options *o)
{
	o->file = tables_file;
	tables_init("sqlite", o);
}

static inline void
tables_lite_drop(struct roster_options *o)
{
	unlink(o->file);
}

static inline bool
tables_lite_exec(const char *sql)
{
	struct sqlite_options o = { .file = tables_file };
	char *why = NULL;
	struct sqlite *db = sqlite_open(&o, &why);
	bool ok = db != NULL && sqlite_exec(db, "PRAGMA journal_mode = DELETE") == ERR_OK &&
	    sqlite_exec(db, sql) == ERR_OK;

	sqlite_close(db);
	mem_free(why);
	return ok;
}

static inline bool
tables_lite_write(const struct roster_options *o, const struct roster_row *rows, size_t n)
{
	char *sql = tables_script(rows, n);
	bool ok = tables_lite_exec(sql);
	(void)o;

	mem_free(sql);
	return ok;
}

static inline bool
tables_lite_spoil(const struct roster_options *o, enum roster_spoil how)
{
	struct stat st;

	if (how == ROSTER_GONE)
		return unlink(o->file) == 0;
	assert_int_equal(stat(o->file, &st), 0);
	return truncate(o->file, st.st_size / 2) == 0;
}

/* ---- PostgreSQL ---- */

static inline void
tables_pg_place(struct roster_options *o)
{
	tables_conf.postgres_conninfo = postgres.conninfo;
	tables_conf.postgres_password_file = postgres.password_file;
	tables_conf.postgres_timeout = 20;
	o->conf = &tables_conf;
	tables_init("postgres", o);
}

static inline void
tables_pg_drop(struct roster_options *o)
{
	(void)o;
	if (postgres.pid == 0)
		assert_true(postgres_up());
	postgres_exec("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
}

static inline bool
tables_pg_write(const struct roster_options *o, const struct roster_row *rows, size_t n)
{
	char *sql = tables_script(rows, n);
	bool ok = postgres_try(sql, NULL);
	(void)o;

	mem_free(sql);
	return ok;
}

static inline bool
tables_pg_spoil(const struct roster_options *o, enum roster_spoil how)
{
	(void)o;
	if (how == ROSTER_GONE)
		postgres_end(SIGKILL);
	else
		postgres_exec("DROP TABLE lectern_guardians");
	return true;
}

#define TABLES_CONTRACTS                                                                           \
	{ "sqlite", tables_lite_place, tables_lite_drop, tables_lite_write, tables_lite_spoil, true, true, \
	    true },                                                                                \
	{ "postgres", tables_pg_place, tables_pg_drop, tables_pg_write, tables_pg_spoil, true, true, true }

#endif
