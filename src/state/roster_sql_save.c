/* SPDX-License-Identifier: MIT */
/* roster_sql_save: from a roster to the rows of the tables, and the tables. */
#include "base/mem.h"
#include "state/roster_sql.h"

/* ---- the tables: docs/schema-sqlite.sql and docs/schema-postgres.sql ---- */

#define SQL_COMMON_TABLES(strict, cascade)                                                         \
	"CREATE TABLE IF NOT EXISTS lectern_schema (\n"                                            \
	"	part TEXT PRIMARY KEY,\n"                                                          \
	"	version INTEGER NOT NULL\n"                                                        \
	")" strict ";\n"                                                                           \
	"CREATE TABLE lectern_courses (\n"                                                         \
	"	id TEXT PRIMARY KEY CHECK (id <> ''), -- the name in nodes: class/ID/...\n"        \
	"	title TEXT                            -- what people call it\n"                    \
	")" strict ";\n"                                                                           \
	"CREATE TABLE lectern_people (\n"                                                          \
	"	id TEXT PRIMARY KEY CHECK (id <> ''), -- a student's: as their events are filed\n" \
	"	jid TEXT,                             -- XMPP address; who reads needs one\n"      \
	"	email TEXT,\n"                                                                     \
	"	name TEXT,                            -- to show; given and family without it\n"   \
	"	given TEXT,\n"                                                                     \
	"	family TEXT\n"                                                                     \
	")" strict ";\n"                                                                           \
	"CREATE TABLE lectern_enrollments (\n"                                                     \
	"	course TEXT NOT NULL REFERENCES lectern_courses" cascade ",\n"                     \
	"	person TEXT NOT NULL REFERENCES lectern_people" cascade ",\n"                      \
	"	role TEXT NOT NULL CHECK (role IN ('teacher', 'student')),\n"                      \
	"	PRIMARY KEY (course, person)\n"                                                    \
	")" strict ";\n"                                                                           \
	"CREATE TABLE lectern_guardians (\n"                                                       \
	"	student TEXT NOT NULL REFERENCES lectern_people" cascade ",\n"                     \
	"	guardian TEXT NOT NULL REFERENCES lectern_people" cascade ",\n"                    \
	"	PRIMARY KEY (student, guardian)\n"                                                 \
	")" strict ";\n"                                                                           \
	"CREATE TABLE lectern_identities ( -- what else a student is known by: gc-..., LMS id\n"   \
	"	alias TEXT PRIMARY KEY CHECK (alias <> ''),\n"                                     \
	"	person TEXT NOT NULL REFERENCES lectern_people" cascade "\n"                       \
	")" strict ";\n"                                                                           \
	"CREATE INDEX lectern_enrollments_person ON lectern_enrollments (person);\n"               \
	"CREATE INDEX lectern_guardians_guardian ON lectern_guardians (guardian);\n"               \
	"CREATE INDEX lectern_identities_person ON lectern_identities (person);\n"                 \
	"INSERT INTO lectern_schema (part, version) VALUES ('roster', 1);\n"

#define SQL_CASCADE " ON UPDATE CASCADE ON DELETE CASCADE"

#define SQL_TRIGGER(table)                                                                         \
	"CREATE TRIGGER lectern_roster_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE\n"     \
	"	ON " table " FOR EACH STATEMENT EXECUTE FUNCTION lectern_roster_changed();\n"

const char roster_sql_sqlite[] = SQL_COMMON_TABLES(" STRICT", SQL_CASCADE);

const char roster_sql_postgres[] = SQL_COMMON_TABLES("", SQL_CASCADE)
	"CREATE FUNCTION lectern_roster_changed() RETURNS trigger LANGUAGE plpgsql AS $$\n"
	"BEGIN\n"
	"	PERFORM pg_notify('" ROSTER_SQL_CHANNEL "', '');\n"
	"	RETURN NULL;\n"
	"END $$;\n"
	SQL_TRIGGER("lectern_courses")
	SQL_TRIGGER("lectern_people")
	SQL_TRIGGER("lectern_enrollments")
	SQL_TRIGGER("lectern_guardians")
	SQL_TRIGGER("lectern_identities");

enum { SQL_COURSES, SQL_PEOPLE, SQL_ENROLLMENTS, SQL_GUARDIANS, SQL_IDENTITIES };

const struct roster_sql_table roster_sql_tables[] = {
	[SQL_COURSES] = { "lectern_courses", { "id", "title" } },
	[SQL_PEOPLE] = { "lectern_people", { "id", "jid", "email", "name", "given", "family" } },
	[SQL_ENROLLMENTS] = { "lectern_enrollments", { "course", "person", "role" } },
	[SQL_GUARDIANS] = { "lectern_guardians", { "student", "guardian" } },
	[SQL_IDENTITIES] = { "lectern_identities", { "alias", "person" } },
};
const size_t roster_sql_n_tables = sizeof roster_sql_tables / sizeof *roster_sql_tables;

/* ---- the rows ---- */

struct sql_save {
	const struct roster *r;
	char **keys; /* ids in the tables of roster_person_at(r, i) */
	roster_sql_cb *each;
	void *arg;
};

/* Teachers and guardians share the table with students, whose ids come first. */
static char *
sql_key(const struct roster *r, const struct map *taken, const struct roster_person *p)
{
	const char *tries[] = { p->id, p->jid };

	for (size_t i = 0; i < 2; i++)
		if (tries[i] != NULL && *tries[i] != '\0' && roster_student(r, str_of(tries[i])) == NULL &&
		    map_get(taken, str_of(tries[i])) == NULL)
			return mem_strdup(tries[i]);
	return mem_printf("person %s", p->jid);
}

static char **
sql_keys(const struct roster *r)
{
	char **keys = mem_alloc((roster_people(r) + 1) * sizeof *keys);
	struct map *taken = map_new();

	for (size_t i = 0; i < roster_people(r); i++) {
		keys[i] = sql_key(r, taken, roster_person_at(r, i));
		map_put(taken, str_of(keys[i]), keys[i]);
	}
	map_free(taken, NULL);
	return keys;
}

static bool
sql_courses(struct sql_save *s)
{
	for (size_t i = 0; i < roster_classes(s->r); i++) {
		const struct roster_class *c = roster_class_at(s->r, i);
		struct str cells[] = { str_of(c->name), str_of(c->title) };

		if (!s->each(s->arg, SQL_COURSES, cells))
			return false;
	}
	return true;
}

static bool
sql_people(struct sql_save *s)
{
	for (size_t i = 0; i < roster_students(s->r); i++) {
		const struct roster_student *p = roster_student_at(s->r, i);
		struct str cells[] = { str_of(p->id), str_of(p->jid), str_of(p->email), str_of(p->name),
			str_of(p->given), str_of(p->family) };

		if (!s->each(s->arg, SQL_PEOPLE, cells))
			return false;
	}
	for (size_t i = 0; i < roster_people(s->r); i++) {
		const struct roster_person *p = roster_person_at(s->r, i);
		struct str cells[] = { str_of(s->keys[i]), str_of(p->jid), str_of(p->email),
			str_of(p->name), str_of(p->given), str_of(p->family) };

		if (!s->each(s->arg, SQL_PEOPLE, cells))
			return false;
	}
	return true;
}

static bool
sql_enrollment(struct sql_save *s, const char *class, const char *person, enum roster_role role)
{
	struct str cells[] = { str_of(class), str_of(person), str_of(roster_role_name(role)) };

	return s->each(s->arg, SQL_ENROLLMENTS, cells);
}

static bool
sql_enrollments(struct sql_save *s)
{
	bool ok = true;

	for (size_t i = 0; i < roster_students(s->r); i++) {
		const struct roster_student *p = roster_student_at(s->r, i);

		for (size_t k = 0; ok && k < p->n_classes; k++)
			ok = sql_enrollment(s, p->classes[k]->name, p->id, ROSTER_STUDENT);
	}
	for (size_t i = 0; i < roster_people(s->r); i++) {
		const struct roster_person *p = roster_person_at(s->r, i);

		for (size_t k = 0; ok && k < p->n_classes; k++)
			ok = sql_enrollment(s, p->classes[k]->name, s->keys[i], ROSTER_TEACHER);
	}
	return ok;
}

static bool
sql_guardians(struct sql_save *s)
{
	bool ok = true;

	for (size_t i = 0; i < roster_people(s->r); i++) {
		const struct roster_person *p = roster_person_at(s->r, i);

		for (size_t k = 0; ok && k < p->n_wards; k++) {
			struct str cells[] = { str_of(p->wards[k]->id), str_of(s->keys[i]) };

			ok = s->each(s->arg, SQL_GUARDIANS, cells);
		}
	}
	return ok;
}

static bool
sql_identities(struct sql_save *s)
{
	bool ok = true;

	for (size_t i = 0; i < roster_students(s->r); i++) {
		const struct roster_student *p = roster_student_at(s->r, i);

		for (size_t k = 0; ok && k < p->n_aliases; k++) {
			struct str cells[] = { str_of(p->aliases[k]), str_of(p->id) };

			ok = s->each(s->arg, SQL_IDENTITIES, cells);
		}
	}
	return ok;
}

bool
roster_sql_each(const struct roster *r, roster_sql_cb *each, void *arg)
{
	struct sql_save s = { .r = r, .keys = sql_keys(r), .each = each, .arg = arg };
	bool ok = sql_courses(&s) && sql_people(&s) && sql_enrollments(&s) && sql_guardians(&s) &&
	    sql_identities(&s);

	for (size_t i = 0; i < roster_people(r); i++)
		mem_free(s.keys[i]);
	mem_free(s.keys);
	return ok;
}
