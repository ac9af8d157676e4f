/* SPDX-License-Identifier: MIT */
/* auth_sql: what the users in SQLite and in PostgreSQL have in common: one table,
 * made when the first password is written, and what is asked of it. */
#ifndef LECTERN_STATE_AUTH_SQL_H
#define LECTERN_STATE_AUTH_SQL_H

/* Raised with every change to the table that an older program could not read. */
#define AUTH_SQL_VERSION 1

#define AUTH_SQL_TABLES                                                                            \
	"CREATE TABLE IF NOT EXISTS lectern_schema (\n"                                            \
	"	part TEXT PRIMARY KEY,\n"                                                          \
	"	version INTEGER NOT NULL\n"                                                        \
	");\n"                                                                                     \
	"CREATE TABLE IF NOT EXISTS lectern_users (\n"                                             \
	"	name TEXT PRIMARY KEY, -- the bare JID in canonical form\n"                        \
	"	hash TEXT NOT NULL     -- crypt(5): $y$, $2y$, $6$ or $5$\n"                       \
	");\n"                                                                                     \
	"INSERT INTO lectern_schema (part, version) VALUES ('auth', 1) ON CONFLICT (part) DO NOTHING;\n"

/* The hash of user $1, NULL when there is no such user, and the table's version. */
#define AUTH_SQL_FIND                                                                              \
	"SELECT u.hash, s.version FROM lectern_schema s "                                          \
	"LEFT JOIN lectern_users u ON u.name = $1 WHERE s.part = 'auth'"
/* User $1 has the hash $2 from now on. */
#define AUTH_SQL_PUT                                                                               \
	"INSERT INTO lectern_users (name, hash) VALUES ($1, $2) "                                  \
	"ON CONFLICT (name) DO UPDATE SET hash = excluded.hash RETURNING name"
/* A row when there was such a user. */
#define AUTH_SQL_DROP "DELETE FROM lectern_users WHERE name = $1 RETURNING name"

#endif
