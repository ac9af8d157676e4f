/* SPDX-License-Identifier: MIT */
/* Tests of the rosters in SQLite and PostgreSQL: the same cases for both, each
 * against a database of the test's own; then what is the one's or the other's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/sqlite.h"
#include "postgres_rig.h"
#include "state/auth_sql.h"
#include "state/roster_sql.h"

#define NEVER_MS 60000

static char file[128];
static struct conf conf;

struct rig {
	const char *backend;
	void (*exec)(const char *sql); /* by another hand than the backend's */
	void (*clear)(void);           /* no tables */
};

/* ---- two databases ---- */

static void
lite_exec(const char *sql)
{
	struct sqlite_options o = { .file = file, .create = true };
	char *why = NULL;
	struct sqlite *db = sqlite_open(&o, &why);

	if (db == NULL || sqlite_exec(db, "PRAGMA journal_mode = DELETE") != ERR_OK ||
	    sqlite_exec(db, sql) != ERR_OK)
		fail_msg("%s", db != NULL ? sqlite_trouble(db) : why);
	sqlite_close(db);
}

static void
lite_clear(void)
{
	unlink(file);
}

static void
pg_clear(void)
{
	postgres_exec("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
}

static const struct rig lite = { "sqlite", lite_exec, lite_clear };
static const struct rig pg = { "postgres", postgres_exec, pg_clear };
static const struct rig *rig;

static struct roster_options
options(void)
{
	return (struct roster_options){ .file = file, .pseudonym_key = STR_LIT("a key"), .conf = &conf };
}

static struct roster *
load(void)
{
	struct roster_options o = options();
	char *why = NULL;
	struct roster *r = roster_load(rig->backend, &o, &why);

	if (r == NULL)
		fail_msg("%s", why);
	return r;
}

static void
refused(const char *part)
{
	struct roster_options o = options();
	char *why = NULL;

	assert_null(roster_load(rig->backend, &o, &why));
	if (why == NULL || strstr(why, part) == NULL)
		fail_msg("%s, not %s", why, part);
	mem_free(why);
}

static void
init(void)
{
	struct roster_options o = options();
	char *why = NULL;

	if (roster_backend(rig->backend, &why)->init(&o, &why) != ERR_OK)
		fail_msg("%s", why);
}

#define ROWS                                                                                       \
	"INSERT INTO lectern_courses VALUES ('7b', 'Class 7b'), ('8a', NULL);"                     \
	"INSERT INTO lectern_people (id, jid, email, name, given, family) VALUES "                 \
	"('s1', 'Ann@school.test', 'ann@school.test', 'Ann', 'Ann', 'Lee'),"                       \
	"('s2', NULL, NULL, NULL, 'Zo\xc3\xab', 'M'),"                                             \
	"('t1', 'teach@school.test', NULL, 'Ms T', NULL, NULL),"                                   \
	"('g1', 'mum@home.test', NULL, 'Mum', NULL, NULL),"                                        \
	"('g2', NULL, NULL, 'Grandpa', NULL, NULL), ('s3', NULL, NULL, 'Not here', NULL, NULL);"   \
	"INSERT INTO lectern_enrollments VALUES ('7b', 's1', 'student'), ('7b', 's2', 'student'),"  \
	"('8a', 's1', 'student'), ('7b', 't1', 'teacher');"                                        \
	"INSERT INTO lectern_guardians VALUES ('s1', 'g1'), ('s1', 'g2'), ('s3', 'g1');"           \
	"INSERT INTO lectern_identities VALUES ('gc-117', 's1'), ('lms:9', 's1'), ('x', 't1');"

static int
setup(void **state)
{
	rig = *state;
	memset(&conf, 0, sizeof conf);
	conf.postgres_conninfo = postgres.conninfo;
	conf.postgres_password_file = postgres.password_file;
	conf.postgres_timeout = 20;
	snprintf(file, sizeof file, "%s/roster.db", postgres.dir);
	rig->clear();
	return 0;
}

/* ---- the same for both ---- */

static void
check_rows(const struct roster *r)
{
	const struct roster_student *ann = roster_student(r, STR_LIT("s1"));
	const struct roster_class *c = roster_class(r, STR_LIT("7b"));
	const struct roster_person *t = roster_person(r, STR_LIT("teach@school.test"));

	assert_int_equal(roster_classes(r), 2);
	assert_int_equal(roster_students(r), 2);
	assert_int_equal(roster_people(r), 2);
	assert_string_equal(c->title, "Class 7b");
	assert_int_equal(c->n_students, 2);
	assert_string_equal(ann->jid, "ann@school.test");
	assert_string_equal(ann->family, "Lee");
	assert_int_equal(ann->n_classes, 2);
	assert_ptr_equal(roster_identify(r, STR_LIT("gc-117")), ann);
	assert_ptr_equal(roster_identify(r, STR_LIT("lms:9")), ann);
	assert_ptr_equal(roster_identify(r, STR_LIT("ANN@school.test")), ann);
	assert_null(roster_identify(r, STR_LIT("x")));
	assert_string_equal(roster_student(r, STR_LIT("s2"))->name, "Zo\xc3\xab M");
	assert_string_equal(t->name, "Ms T");
	assert_int_equal(roster_reads_class(c, STR_LIT("teach@school.test"), NULL), ROSTER_AS_TEACHER);
	assert_int_equal(roster_reads_student(ann, STR_LIT("mum@home.test"), NULL), ROSTER_AS_GUARDIAN);
}

static void
test_load(void **state)
{
	struct roster *r;
	(void)state;

	init();
	rig->exec(ROWS);
	r = load();
	check_rows(r);
	assert_int_equal(roster_noted(r), 2); /* g2 without a jid, s3 in no class */
	assert_string_equal(roster_person(r, STR_LIT("teach@school.test"))->id, "t1");
	roster_free(r);
}

/* What was saved loads as the same, whatever was there before. */
static void
test_save(void **state)
{
	struct roster_options o = options();
	const struct roster_backend *b;
	struct roster *r;
	char *why = NULL;
	(void)state;

	init();
	rig->exec(ROWS);
	r = load();
	b = roster_backend(rig->backend, &why);
	for (int i = 0; i < 2; i++) {
		rig->exec("INSERT INTO lectern_courses VALUES ('old', NULL);"
		    "INSERT INTO lectern_people (id) VALUES ('old'), ('mum@home.test');"
		    "INSERT INTO lectern_enrollments VALUES ('old', 'old', 'student')");
		if (b->save(&o, r, &why) != ERR_OK)
			fail_msg("%s", why);
		roster_free(r);
		r = load();
		check_rows(r);
		assert_int_equal(roster_noted(r), 0);
	}
	roster_free(r);
}

/* A teacher whose id is also a student's, and two of one id, keep apart. */
static void
test_save_same_ids(void **state)
{
	struct roster_options o = options();
	struct roster *r = roster_new(o.pseudonym_key), *back;
	struct roster_row rows[] = {
		{ .role = ROSTER_STUDENT, .class = STR_LIT("c"), .id = STR_LIT("1"), .jid = STR_LIT("a@x.test") },
		{ .role = ROSTER_TEACHER, .class = STR_LIT("d"), .person = STR_LIT("1"), .jid = STR_LIT("a@x.test") },
		{ .role = ROSTER_TEACHER, .class = STR_LIT("c"), .person = STR_LIT("2"), .jid = STR_LIT("b@x.test") },
		{ .role = ROSTER_TEACHER, .class = STR_LIT("c"), .person = STR_LIT("2"), .jid = STR_LIT("c@x.test") },
		{ .role = ROSTER_STUDENT, .class = STR_LIT("c"), .id = STR_LIT("c@x.test") },
	};
	const char *wrong;
	char *why = NULL;
	(void)state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (roster_add(r, &rows[i], &wrong) != ERR_OK)
			fail_msg("%s", wrong);
	assert_int_equal(roster_seal(r, &wrong), ERR_OK);
	init();
	if (roster_backend(rig->backend, &why)->save(&o, r, &why) != ERR_OK)
		fail_msg("%s", why);
	back = load();
	assert_int_equal(roster_people(back), 3);
	assert_int_equal(roster_students(back), 2);
	assert_int_equal(roster_class(back, STR_LIT("c"))->n_teachers, 2);
	assert_int_equal(roster_class(back, STR_LIT("d"))->n_teachers, 1);
	roster_free(r);
	roster_free(back);
}

static void
test_refused(void **state)
{
	struct roster_options o = options();
	char *why = NULL;
	(void)state;

	refused(rig == &lite ? "does it exist" : "lecternctl roster init");
	init();
	assert_int_not_equal(roster_backend(rig->backend, &why)->init(&o, &why), ERR_OK);
	assert_non_null(strstr(why, "already exists"));
	mem_free(why);
	refused("no rows in lectern_enrollments");
	rig->exec(ROWS);
	rig->exec("INSERT INTO lectern_people (id, jid) VALUES ('s4', 'ann@school.test');"
	    "INSERT INTO lectern_enrollments VALUES ('8a', 's4', 'student')");
	refused("row 5 of lectern_enrollments in the order of course, person: "
	    "the jid belongs to another student, too, the one of line 1");
	rig->exec("UPDATE lectern_people SET jid = 'no jid at all' WHERE id = 's4'");
	refused("not the address of a person");
	rig->exec("DELETE FROM lectern_people WHERE id = 's4'; UPDATE lectern_people SET jid = NULL WHERE id = 't1'");
	refused("row 3 of lectern_enrollments in the order of course, person: a teacher without a jid");
	rig->exec("UPDATE lectern_schema SET version = 2");
	refused("newer version");
	rig->exec("DELETE FROM lectern_schema");
	refused("make them with: lecternctl roster init");
	rig->exec("DROP TABLE lectern_identities");
	refused("lectern_identities");
}

static void
test_empty(void **state)
{
	struct roster_options o = options();
	struct roster *r;
	char *why = NULL;
	(void)state;

	init();
	o.allow_empty = true;
	r = roster_load(rig->backend, &o, &why);
	assert_non_null(r);
	assert_int_equal(roster_students(r), 0);
	roster_free(r);
}

/* As large as a district. */
static void
test_large(void **state)
{
	struct roster *r;
	(void)state;

	init();
	rig->exec(rig == &lite ?
	    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
	    "INSERT INTO lectern_people (id, name) SELECT 's' || i, 'Student ' || i FROM n;"
	    "INSERT INTO lectern_courses VALUES ('c', NULL);"
	    "INSERT INTO lectern_enrollments SELECT 'c', id, 'student' FROM lectern_people" :
	    "INSERT INTO lectern_people (id, name) SELECT 's' || i, 'Student ' || i "
	    "FROM generate_series(1, 20000) i;"
	    "INSERT INTO lectern_courses VALUES ('c', NULL);"
	    "INSERT INTO lectern_enrollments SELECT 'c', id, 'student' FROM lectern_people");
	r = load();
	assert_int_equal(roster_students(r), 20000);
	rig->exec("DELETE FROM lectern_people");
	refused("no rows");
	{
		struct roster_options o = options();
		char *why = NULL;

		if (roster_backend(rig->backend, &why)->save(&o, r, &why) != ERR_OK)
			fail_msg("%s", why);
	}
	roster_free(r);
	r = load();
	assert_int_equal(roster_students(r), 20000);
	assert_string_equal(roster_student(r, STR_LIT("s77"))->name, "Student 77");
	roster_free(r);
}

/* ---- watching ---- */

struct watching {
	struct loop *loop;
	int changes;
};

static void
changed_cb(void *arg)
{
	struct watching *w = arg;

	w->changes++;
	loop_stop(w->loop);
}

static void
never_cb(void *arg)
{
	(void)arg;
	fail_msg("no change was seen");
}

static void
wait_change(struct watching *w, int n)
{
	while (w->changes < n)
		loop_run(w->loop);
}

static void
test_watch(void **state)
{
	struct watching w = { .loop = loop_new() };
	struct loop_timer *guard = loop_timer_new(w.loop, never_cb, NULL);
	struct roster_options o = options();
	struct roster_watch *watch;
	const struct roster_backend *b;
	char *why = NULL;
	int n;
	(void)state;

	loop_timer_once(guard, NEVER_MS);
	init();
	b = roster_backend(rig->backend, &why);
	watch = b->watch(w.loop, &o, changed_cb, &w, &why);
	assert_non_null(watch);
	if (rig == &pg)
		wait_change(&w, 1); /* it listens from now on */
	n = w.changes;
	rig->exec(ROWS);
	wait_change(&w, n + 1);
	if (rig == &lite) { /* another file in its place */
		char other[160];

		n = w.changes;
		snprintf(other, sizeof other, "%s.other", file);
		assert_int_equal(rename(file, other), 0);
		wait_change(&w, n + 1);
		assert_int_equal(rename(other, file), 0);
		wait_change(&w, n + 2);
	} else { /* what changed while the server was away */
		postgres_end(SIGKILL);
		assert_true(postgres_up());
		n = w.changes;
		wait_change(&w, n + 1);
		n = w.changes;
		rig->exec("TRUNCATE lectern_identities");
		wait_change(&w, n + 1);
	}
	b->close(watch);
	loop_timer_free(guard);
	loop_free(w.loop);
}

/* ---- PostgreSQL's own ---- */

/* Another database of the same age copied into the file, as an administrator does. */
static void
test_copied(void **state)
{
	struct watching w = { .loop = loop_new() };
	struct loop_timer *guard = loop_timer_new(w.loop, never_cb, NULL);
	struct roster_options o = options();
	char other[160], *copy, *why = NULL;
	struct roster_watch *watch;
	(void)state;

	init();
	rig->exec("INSERT INTO lectern_courses VALUES ('x', NULL)");
	snprintf(other, sizeof other, "%s.other", file);
	copy = mem_printf("cp '%s' '%s'", file, other);
	assert_int_equal(system(copy), 0);
	mem_free(copy);
	rig->clear();
	init();
	rig->exec("BEGIN;" ROWS "COMMIT;");
	watch = roster_sqlite.watch(w.loop, &o, changed_cb, &w, &why);
	assert_non_null(watch);
	loop_timer_once(guard, NEVER_MS);
	copy = mem_printf("cp '%s' '%s'", other, file);
	assert_int_equal(system(copy), 0);
	mem_free(copy);
	wait_change(&w, 1);
	roster_sqlite.close(watch);
	loop_timer_free(guard);
	loop_free(w.loop);
	unlink(other);
	refused("no rows");
}

static void
test_postgres_trouble(void **state)
{
	(void)state;
	init();
	rig->exec(ROWS);
	/* a lock that another session holds: no answer in time */
	conf.postgres_timeout = 1;
	{
		PGconn *other;
		char all[512];

		snprintf(all, sizeof all, "%s password='" POSTGRES_PASSWORD "'", postgres.conninfo);
		other = PQconnectdb(all);
		PQclear(PQexec(other, "BEGIN; LOCK TABLE lectern_people IN ACCESS EXCLUSIVE MODE"));
		refused("longer than postgres.timeout");
		PQfinish(other);
	}
	conf.postgres_timeout = 20;
	roster_free(load());
	/* a user who may not read */
	rig->exec("CREATE ROLE weak LOGIN PASSWORD '" POSTGRES_PASSWORD "';"
	    "GRANT USAGE ON SCHEMA public TO weak");
	{
		char weak[300];

		snprintf(weak, sizeof weak, "host=%s port=%s dbname=postgres user=weak", postgres.dir,
		    postgres.port);
		conf.postgres_conninfo = weak;
		refused("permission denied");
		conf.postgres_conninfo = postgres.conninfo;
	}
	rig->exec("DROP OWNED BY weak; DROP ROLE weak");
	postgres_end(SIGKILL);
	refused("check that the server runs");
	assert_true(postgres_up());
	roster_free(load());
	conf.postgres_conninfo = NULL;
	refused("postgres.conninfo does not say where");
}

/* ---- the text of the tables in the manual ---- */

static void
same_as_manual(const char *name, const char *sql)
{
	char path[256], text[16384];
	FILE *f;
	size_t n;

	snprintf(path, sizeof path, "docs/%s", name);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	assert_non_null(strstr(text, sql));
}

static void
test_manual(void **state)
{
	(void)state;
	same_as_manual("schema-sqlite.sql", roster_sql_sqlite);
	same_as_manual("schema-postgres.sql", roster_sql_postgres);
	same_as_manual("schema-sqlite.sql", AUTH_SQL_TABLES);
	same_as_manual("schema-postgres.sql", AUTH_SQL_TABLES);
}

#define LITE(f) cmocka_unit_test_prestate_setup_teardown(f, setup, NULL, (void *)(uintptr_t)&lite)
#define PG(f) cmocka_unit_test_prestate_setup_teardown(f, setup, NULL, (void *)(uintptr_t)&pg)
#define BOTH(f) LITE(f), PG(f)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_load), BOTH(test_save), BOTH(test_save_same_ids), BOTH(test_refused),
		BOTH(test_empty), BOTH(test_large), BOTH(test_watch), LITE(test_copied), PG(test_postgres_trouble),
		cmocka_unit_test(test_manual),
	};
	return cmocka_run_group_tests(tests, postgres_setup, postgres_teardown);
}
