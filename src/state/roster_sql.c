/* SPDX-License-Identifier: MIT */
/* roster_sql: from the rows of the tables to a roster. */
#include "state/roster_sql.h"

#include <stdlib.h>

#include "base/mem.h"

/* One more than a roster may have, so that too many are noticed. */
#define LIMIT " LIMIT 1000001"

struct roster_sql {
	struct roster *roster;
	struct map *aliases; /* of a person: struct sql_aliases */
	const char *source;
	bool allow_empty;
	bool has_version;
	size_t read, rows; /* rows of this read */
	size_t all;        /* rows that say who is in a class */
	char *why;
};

struct sql_aliases {
	struct str *v;
	size_t n;
};

static void
sql_aliases_free(void *value)
{
	struct sql_aliases *a = value;

	for (size_t i = 0; i < a->n; i++)
		mem_free((void *)(uintptr_t)a->v[i].p);
	mem_free(a->v);
	mem_free(a);
}

/* ---- the rows ---- */

static const char *
sql_version_row(struct roster *r, struct map *aliases, const struct str *cells, size_t number)
{
	char text[24] = "";
	long version;

	(void)r;
	(void)aliases;
	(void)number;
	memcpy(text, cells[0].p, cells[0].n < sizeof text ? cells[0].n : 0);
	version = strtol(text, NULL, 10);
	if (version > ROSTER_SQL_VERSION)
		return "the tables are of a newer version than this program knows; update it";
	return version == ROSTER_SQL_VERSION ? NULL : "not a version of the tables";
}

static const char *
sql_identity_row(struct roster *r, struct map *aliases, const struct str *cells, size_t number)
{
	struct sql_aliases *a = map_get(aliases, cells[0]);

	(void)r;
	(void)number;
	if (a == NULL) {
		MEM_NEW(a);
		map_put(aliases, cells[0], a);
	}
	a->v = mem_realloc(a->v, (a->n + 1) * sizeof *a->v);
	a->v[a->n++] = (struct str){ mem_str(cells[1]), cells[1].n };
	return NULL;
}

static const char *
sql_enrollment_row(struct roster *r, struct map *aliases, const struct str *cells, size_t number)
{
	struct roster_row row = { .class = cells[1], .title = cells[2], .jid = cells[4],
		.email = cells[5], .name = cells[6], .given = cells[7], .family = cells[8],
		.line = number };
	const struct sql_aliases *a = map_get(aliases, cells[3]);
	const char *wrong;

	if (str_is(cells[0], roster_role_name(ROSTER_TEACHER))) {
		row.role = ROSTER_TEACHER;
		row.person = cells[3];
	} else if (str_is(cells[0], roster_role_name(ROSTER_STUDENT))) {
		row.role = ROSTER_STUDENT;
		row.id = cells[3];
		row.aliases = a != NULL ? a->v : NULL;
		row.n_aliases = a != NULL ? a->n : 0;
	} else {
		return "not a role, expected teacher or student";
	}
	roster_add(r, &row, &wrong);
	return wrong;
}

/* A school's tables go on naming guardians whose children are in no class now, and
 * those who have no address here: neither opens anything to anyone. */
static const char *
sql_guardian_row(struct roster *r, struct map *aliases, const struct str *cells, size_t number)
{
	struct roster_row row = { .role = ROSTER_GUARDIAN, .id = cells[0], .person = cells[1],
		.jid = cells[2], .email = cells[3], .name = cells[4], .given = cells[5],
		.family = cells[6], .line = number };
	const char *wrong;

	(void)aliases;
	if (roster_student(r, cells[0]) == NULL) {
		roster_note(r, "lectern_guardians, row %zu: the student is in no class", number);
		return NULL;
	}
	if (cells[2].n == 0 && cells[3].n == 0) {
		roster_note(r, "lectern_guardians, row %zu: the guardian has no jid", number);
		return NULL;
	}
	roster_add(r, &row, &wrong);
	return wrong;
}

const struct roster_sql_read roster_sql_reads[] = {
	{ "SELECT version FROM lectern_schema WHERE part = 'roster'", 1,
	    "lectern_schema", sql_version_row },
	{ "SELECT person, alias FROM lectern_identities ORDER BY person, alias" LIMIT, 2,
	    "lectern_identities in the order of person, alias", sql_identity_row },
	{ "SELECT e.role, e.course, c.title, e.person, p.jid, p.email, p.name, p.given, p.family "
	    "FROM lectern_enrollments e JOIN lectern_courses c ON c.id = e.course "
	    "JOIN lectern_people p ON p.id = e.person ORDER BY e.course, e.person" LIMIT, 9,
	    "lectern_enrollments in the order of course, person", sql_enrollment_row },
	{ "SELECT g.student, g.guardian, p.jid, p.email, p.name, p.given, p.family "
	    "FROM lectern_guardians g JOIN lectern_people p ON p.id = g.guardian "
	    "ORDER BY g.student, g.guardian" LIMIT, 7,
	    "lectern_guardians in the order of student, guardian", sql_guardian_row },
};
const size_t roster_sql_n_reads = sizeof roster_sql_reads / sizeof *roster_sql_reads;

/* ---- the whole ---- */

struct roster_sql *
roster_sql_new(const struct roster_options *o, const char *source)
{
	struct roster_sql *q;

	MEM_NEW(q);
	q->roster = roster_new(o->pseudonym_key);
	roster_set_domain(q->roster, o->domain);
	q->aliases = map_new();
	q->source = source;
	q->allow_empty = o->allow_empty;
	return q;
}

void
roster_sql_free(struct roster_sql *q)
{
	roster_free(q->roster);
	map_free(q->aliases, sql_aliases_free);
	mem_free(q->why);
	mem_free(q);
}

bool
roster_sql_row(struct roster_sql *q, size_t read, const struct str *cells)
{
	struct str known[ROSTER_SQL_COLUMNS];
	const char *wrong;

	if (q->why != NULL || (read > 0 && !q->has_version))
		return false;
	if (read != q->read)
		q->rows = 0;
	q->read = read;
	for (size_t i = 0; i < roster_sql_reads[read].columns; i++)
		known[i] = cells[i].p != NULL ? cells[i] : STR_LIT("");
	wrong = ++q->rows > ROSTER_ROWS_MAX ? "more rows than a roster may have, expected at most 1000000" :
	    roster_sql_reads[read].row(q->roster, q->aliases, known, q->rows);
	if (wrong != NULL)
		q->why = mem_printf("%s: row %zu of %s: %s", q->source, q->rows,
		    roster_sql_reads[read].what, wrong);
	q->has_version |= read == 0;
	q->all += read > 1;
	return wrong == NULL;
}

static void
sql_check_whole(struct roster_sql *q)
{
	const char *wrong;

	if (q->why != NULL)
		return;
	if (!q->has_version)
		q->why = mem_printf("%s: the tables are not there; make them with: lecternctl roster init",
		    q->source);
	else if (q->all == 0 && !q->allow_empty)
		q->why = mem_printf("%s: no rows in lectern_enrollments, so nobody could read anything; "
		    "expected rows, or the option that allows an empty roster", q->source);
	else if (roster_seal(q->roster, &wrong) != ERR_OK)
		q->why = mem_printf("%s: %s", q->source, wrong);
}

struct roster *
roster_sql_take(struct roster_sql *q, char **why)
{
	struct roster *r = NULL;

	sql_check_whole(q);
	if (q->why == NULL) {
		r = q->roster;
		q->roster = NULL;
	} else {
		*why = mem_strdup(q->why);
	}
	roster_sql_free(q);
	return r;
}
