/* SPDX-License-Identifier: MIT */
/* Tests of base/sqlite: values, transactions, threads, and every way a file can
 * be wrong, each with its code and a sentence that names the file. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/loop.h"
#include "base/mem.h"
#include "base/sqlite.h"

static char dir[64], file[128];

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/lectern-sqlite-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof file, "%s/a.db", dir);
	return 0;
}

static int
teardown(void **state)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char path[160];
	(void)state;

	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s%s", file, ends[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static struct sqlite *
open_db(bool durable)
{
	struct sqlite_options o = { .file = file, .create = true, .durable = durable, .busy_ms = 20 };
	char *why = NULL;
	struct sqlite *db = sqlite_open(&o, &why);

	if (db == NULL)
		fail_msg("%s", why);
	return db;
}

static void
refused(const struct sqlite_options *o, const char *part)
{
	char *why = NULL;

	assert_null(sqlite_open(o, &why));
	assert_non_null(why);
	if (strstr(why, part) == NULL || strstr(why, o->file) == NULL)
		fail_msg("%s", why);
	mem_free(why);
}

static int64_t
value(struct sqlite *db, const char *sql)
{
	int64_t n = -1;

	assert_int_equal(sqlite_value(db, sql, &n), ERR_OK);
	return n;
}

static void
trouble_has(struct sqlite *db, const char *part)
{
	if (strstr(sqlite_trouble(db), part) == NULL || strstr(sqlite_trouble(db), file) == NULL)
		fail_msg("%s", sqlite_trouble(db));
}

static void
test_open(void **state)
{
	struct sqlite *db = open_db(true);
	struct sqlite_query *q;
	struct stat st;
	bool row;
	(void)state;

	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(value(db, "PRAGMA synchronous"), 2);
	assert_int_equal(value(db, "PRAGMA foreign_keys"), 1);
	q = sqlite_prepare(db, "PRAGMA journal_mode");
	assert_int_equal(sqlite_step(q, &row), ERR_OK);
	assert_true(row && str_is(sqlite_text(q, 0), "wal"));
	sqlite_query_free(q);
	assert_string_equal(sqlite_trouble(db), "");
	/* defensive: the schema's own table cannot be written */
	assert_int_equal(sqlite_exec(db, "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema"),
	    ERR_INVALID);
	sqlite_close(db);
	db = open_db(false);
	assert_int_equal(value(db, "PRAGMA synchronous"), 1);
	sqlite_close(db);
	sqlite_close(NULL);
}

static void
test_values(void **state)
{
	struct sqlite *db = open_db(false);
	struct str bytes = { "a\0b", 3 };
	struct sqlite_query *q;
	bool row;
	(void)state;

	assert_int_equal(sqlite_exec(db, "CREATE TABLE t (i INTEGER, x TEXT, b BLOB, n TEXT) STRICT"), ERR_OK);
	q = sqlite_prepare(db, "INSERT INTO t VALUES (?, ?, ?, ?)");
	assert_non_null(q);
	sqlite_bind_int(q, 1, INT64_MIN);
	sqlite_bind_text(q, 2, STR_LIT("Zo\xc3\xab"));
	sqlite_bind_blob(q, 3, bytes);
	assert_int_equal(sqlite_run(q), ERR_OK);
	/* parameters do not outlive a run */
	sqlite_bind_text(q, 2, (struct str){ NULL, 0 });
	assert_int_equal(sqlite_run(q), ERR_OK);
	sqlite_query_free(q);

	q = sqlite_prepare(db, "SELECT i, x, b, n FROM t ORDER BY rowid");
	assert_int_equal(sqlite_step(q, &row), ERR_OK);
	assert_true(row);
	assert_true(sqlite_int(q, 0) == INT64_MIN);
	assert_true(str_is(sqlite_text(q, 1), "Zo\xc3\xab"));
	assert_true(str_eq(sqlite_blob(q, 2), bytes));
	assert_true(sqlite_text(q, 3).n == 0);
	assert_int_equal(sqlite_step(q, &row), ERR_OK);
	assert_true(row && sqlite_int(q, 0) == 0 && sqlite_text(q, 1).n == 0 && sqlite_blob(q, 2).n == 0);
	assert_int_equal(sqlite_step(q, &row), ERR_OK);
	assert_false(row);
	sqlite_query_free(q);
	assert_int_equal(value(db, "SELECT count(*) FROM t WHERE x = ''"), 1);
	sqlite_close(db);
}

static void
test_errors(void **state)
{
	struct sqlite *db = open_db(false);
	struct sqlite_query *q;
	int64_t n;
	bool row;
	(void)state;

	assert_null(sqlite_prepare(db, "SELECT * FROM nowhere"));
	trouble_has(db, "no such table: nowhere");
	assert_int_equal(sqlite_exec(db, "CREATE TABLE t (k TEXT PRIMARY KEY)"), ERR_OK);
	assert_int_equal(sqlite_value(db, "SELECT k FROM t", &n), ERR_NOT_FOUND);
	q = sqlite_prepare(db, "INSERT INTO t VALUES (?)");
	sqlite_bind_text(q, 2, STR_LIT("there is no second"));
	sqlite_bind_text(q, 1, STR_LIT("a"));
	assert_int_equal(sqlite_step(q, &row), ERR_INVALID);
	trouble_has(db, "out of range");
	sqlite_reset(q);
	assert_int_equal(value(db, "SELECT count(*) FROM t"), 0);
	for (int i = 0; i < 2; i++) {
		sqlite_bind_text(q, 1, STR_LIT("a"));
		assert_int_equal(sqlite_run(q), i == 0 ? ERR_OK : ERR_INVALID);
	}
	trouble_has(db, "UNIQUE constraint failed: t.k");
	sqlite_query_free(q);
	sqlite_close(db);
}

static void
test_transactions(void **state)
{
	struct sqlite *db = open_db(true), *other;
	(void)state;

	assert_int_equal(sqlite_exec(db, "CREATE TABLE p (k INTEGER PRIMARY KEY);"
	    "CREATE TABLE c (k INTEGER REFERENCES p DEFERRABLE INITIALLY DEFERRED)"), ERR_OK);
	sqlite_rollback(db); /* none open */
	assert_int_equal(sqlite_begin(db), ERR_OK);
	assert_int_equal(sqlite_exec(db, "INSERT INTO p VALUES (1)"), ERR_OK);
	sqlite_rollback(db);
	assert_int_equal(value(db, "SELECT count(*) FROM p"), 0);

	/* a commit that fails leaves nothing open and nothing done */
	assert_int_equal(sqlite_begin(db), ERR_OK);
	assert_int_equal(sqlite_exec(db, "INSERT INTO c VALUES (7)"), ERR_OK);
	assert_int_equal(sqlite_commit(db), ERR_INVALID);
	trouble_has(db, "FOREIGN KEY constraint failed");
	assert_int_equal(value(db, "SELECT count(*) FROM c"), 0);

	other = open_db(true);
	assert_int_equal(sqlite_begin(db), ERR_OK);
	assert_int_equal(sqlite_begin(other), ERR_LOCKED);
	trouble_has(other, "another process");
	assert_int_equal(sqlite_exec(db, "INSERT INTO p VALUES (2)"), ERR_OK);
	assert_int_equal(value(other, "SELECT count(*) FROM p"), 0);
	assert_int_equal(sqlite_commit(db), ERR_OK);
	assert_int_equal(value(other, "SELECT count(*) FROM p"), 1);
	assert_int_equal(sqlite_begin(db), ERR_OK);
	assert_int_equal(sqlite_exec(db, "INSERT INTO p VALUES (3)"), ERR_OK);
	sqlite_close(db); /* rolls back */
	assert_int_equal(value(other, "SELECT count(*) FROM p"), 1);
	sqlite_close(other);
}

static void
test_full(void **state)
{
	struct sqlite *db = open_db(true);
	(void)state;

	assert_int_equal(sqlite_exec(db, "CREATE TABLE t (b); PRAGMA max_page_count = 8"), ERR_OK);
	assert_int_equal(sqlite_begin(db), ERR_OK);
	assert_int_equal(sqlite_exec(db, "INSERT INTO t VALUES (zeroblob(100000))"), ERR_NO_SPACE);
	trouble_has(db, "make room on the disk");
	sqlite_rollback(db);
	assert_int_equal(sqlite_exec(db, "INSERT INTO t VALUES (zeroblob(100))"), ERR_OK);
	assert_int_equal(sqlite_exec(db, "INSERT INTO t VALUES (zeroblob(70000000))"), ERR_FULL);
	sqlite_close(db);
}

static void
test_refused(void **state)
{
	struct sqlite_options o = { .file = file };
	char missing[160];
	FILE *f;
	(void)state;

	refused(&o, "does it exist");
	snprintf(missing, sizeof missing, "%s/none/a.db", dir);
	refused(&(struct sqlite_options){ .file = missing, .create = true }, "No such file or directory");
	refused(&(struct sqlite_options){ .file = dir, .create = true }, "Is a directory");
	f = fopen(file, "w");
	assert_non_null(f);
	for (int i = 0; i < 200; i++)
		assert_true(fputs("class,role,id,jid,name\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	refused(&o, "file is not a database; expected a file made by SQLite");
	o.read_only = true;
	refused(&o, "file is not a database");
	assert_int_equal(truncate(file, 0), 0);
}

/* A file with its first page kept and the rest overwritten. */
static void
test_damaged(void **state)
{
	struct sqlite *db = open_db(true);
	char junk[4096];
	int64_t n;
	int fd;
	(void)state;

	assert_int_equal(sqlite_exec(db, "CREATE TABLE t (b); INSERT INTO t VALUES (zeroblob(3000)), (zeroblob(3000))"), ERR_OK);
	sqlite_close(db);
	memset(junk, 0x5a, sizeof junk);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	assert_true(pwrite(fd, junk, sizeof junk, 4096) == sizeof junk);
	close(fd);
	db = open_db(true);
	assert_int_equal(sqlite_value(db, "SELECT count(*) FROM t", &n), ERR_DAMAGED);
	trouble_has(db, "restore a copy");
	sqlite_close(db);
}

static void
test_read_only(void **state)
{
	struct sqlite_options o = { .file = file, .read_only = true };
	struct sqlite *db = open_db(true), *reader;
	int64_t before;
	char *why;
	(void)state;

	assert_int_equal(sqlite_exec(db, "CREATE TABLE t (b)"), ERR_OK);
	reader = sqlite_open(&o, &why);
	assert_non_null(reader);
	assert_int_equal(sqlite_exec(reader, "INSERT INTO t VALUES (1)"), ERR_FORBIDDEN);
	trouble_has(reader, "readonly");
	/* what others commit is noticed */
	before = value(reader, "PRAGMA data_version");
	assert_int_equal(value(reader, "PRAGMA data_version"), before);
	assert_int_equal(sqlite_exec(db, "INSERT INTO t VALUES (1)"), ERR_OK);
	assert_int_not_equal(value(reader, "PRAGMA data_version"), before);
	sqlite_close(reader);
	sqlite_close(db);
}

/* ---- jobs of the pool, one at a time, in whatever thread ---- */

struct jobs {
	struct loop *loop;
	struct sqlite *db;
	struct sqlite_query *q;
	int left;
	enum err e;
};

static void
job_work(void *arg)
{
	struct jobs *j = arg;

	j->e = sqlite_begin(j->db);
	sqlite_bind_int(j->q, 1, j->left);
	if (j->e == ERR_OK)
		j->e = sqlite_run(j->q);
	if (j->e == ERR_OK)
		j->e = sqlite_commit(j->db);
}

static void
job_done(void *arg)
{
	struct jobs *j = arg;

	assert_int_equal(j->e, ERR_OK);
	if (--j->left > 0)
		loop_pool(j->loop, job_work, job_done, j);
}

static void
test_pool(void **state)
{
	struct jobs j = { .loop = loop_new(), .db = open_db(false), .left = 50 };
	(void)state;

	assert_int_equal(sqlite_exec(j.db, "CREATE TABLE t (b)"), ERR_OK);
	j.q = sqlite_prepare(j.db, "INSERT INTO t VALUES (?)");
	loop_pool(j.loop, job_work, job_done, &j);
	loop_run(j.loop);
	assert_int_equal(value(j.db, "SELECT sum(b) FROM t"), 50 * 51 / 2);
	sqlite_query_free(j.q);
	sqlite_close(j.db);
	loop_free(j.loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transactions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pool, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
