/* SPDX-License-Identifier: MIT */
/* pg_link_text: what PostgreSQL says, in words for people and in rows. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "state/pg_link_priv.h"

/* ---- words ---- */

/* libpq's messages are several lines that end in one. */
char *
pg_one_line(const char *text)
{
	struct buf line = BUF_INIT(PG_TROUBLE_MAX);
	bool gap = false;

	for (; *text != '\0' && line.len + 2 < PG_TROUBLE_MAX; text++) {
		if (*text == '\n' || *text == '\t' || *text == ' ') {
			gap = line.len > 0;
			continue;
		}
		if (gap)
			buf_byte(&line, ' ');
		buf_byte(&line, *text);
		gap = false;
	}
	if (line.len == 0)
		buf_z(&line, "PostgreSQL gave no reason");
	return buf_take(&line);
}

/* SQLSTATEs by their first characters: our code, and what to do. */
static const struct pg_fault {
	const char *sqlstate;
	enum err err;
	const char *advice;
} pg_faults[] = {
	{ "42P01", ERR_NOT_FOUND, "make the tables with: lecternctl roster init" },
	{ "42703", ERR_NOT_FOUND, "the table is not the one that docs/schema-postgres.sql describes" },
	{ "42501", ERR_FORBIDDEN, "grant it to the user in postgres.conninfo" },
	{ "25006", ERR_FORBIDDEN, "this server takes no writes" },
	{ "28", ERR_FORBIDDEN, "check postgres.conninfo and postgres.password_file" },
	{ "23", ERR_INVALID, NULL },
	{ "22", ERR_INVALID, NULL },
	{ "57014", ERR_FULL, "it took longer than postgres.timeout" },
	{ "55P03", ERR_LOCKED, "another session holds a lock" },
	{ "40", ERR_LOCKED, "another session was in the way" },
	{ "53100", ERR_NO_SPACE, "make room on the server's disk" },
};

static const struct pg_fault *
pg_fault(const char *sqlstate)
{
	static const struct pg_fault other = { "", ERR_IO, NULL };

	for (size_t i = 0; sqlstate != NULL && i < sizeof pg_faults / sizeof *pg_faults; i++)
		if (str_starts(str_of(sqlstate), pg_faults[i].sqlstate))
			return &pg_faults[i];
	return &other;
}

/* The primary message only: the details quote values of rows. */
char *
pg_result_trouble(const PGresult *r, enum err *e)
{
	const struct pg_fault *f = pg_fault(PQresultErrorField(r, PG_DIAG_SQLSTATE));
	const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	char *line = pg_one_line(text != NULL ? text : PQresultErrorMessage(r));
	char *all = mem_printf("PostgreSQL: %s%s%s", line, f->advice ? "; " : "",
	    f->advice ? f->advice : "");

	*e = f->err;
	mem_free(line);
	return all;
}

/* ---- results ---- */

size_t
pg_rows(const struct pg_result *r)
{
	return (size_t)PQntuples(r->pg);
}

struct str
pg_text(const struct pg_result *r, size_t row, int column)
{
	if (PQgetisnull(r->pg, (int)row, column))
		return (struct str){ NULL, 0 };
	return (struct str){ PQgetvalue(r->pg, (int)row, column),
		(size_t)PQgetlength(r->pg, (int)row, column) };
}

int64_t
pg_int(const struct pg_result *r, size_t row, int column)
{
	struct str text = pg_text(r, row, column);

	return text.p != NULL ? strtoll(text.p, NULL, 10) : 0;
}
