/* SPDX-License-Identifier: MIT */
/* Tests of the users in SQLite and PostgreSQL: the contract, each against a
 * database of the test's own, and what is the one's or the other's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/password.h"
#include "base/sqlite.h"
#include "postgres_rig.h"
#include "state/auth_sql.h"
#include "tests/contract/auth_contract.h"

static char file[128];

static void
set(const struct auth_backend *b, const struct conf *c, const char *user, const char *password)
{
	char *why = NULL, *hash = password != NULL ? password_hash(password) : NULL;

	if (b->set(c, str_of(user), hash, &why) != ERR_OK)
		fail_msg("%s", why);
	mem_free(hash);
}

static void
put_both(const struct auth_backend *b, const struct conf *c)
{
	set(b, c, CONTRACT_ANN, CONTRACT_ANN_PASSWORD);
	set(b, c, CONTRACT_BEA, CONTRACT_BEA_PASSWORD);
}

/* ---- SQLite ---- */

static void
lite_place(struct conf *c)
{
	c->auth_database = file;
	put_both(&auth_sqlite, c);
}

static void
lite_drop(struct conf *c)
{
	(void)c;
	unlink(file);
}

static void
lite_change(struct conf *c, const char *password)
{
	set(&auth_sqlite, c, CONTRACT_ANN, password);
}

/* The table goes; the file stays. */
static void
lite_cut(struct conf *c)
{
	struct sqlite_options o = { .file = c->auth_database };
	char *why = NULL;
	struct sqlite *db = sqlite_open(&o, &why);

	assert_non_null(db);
	assert_int_equal(sqlite_exec(db, "PRAGMA journal_mode = DELETE; DROP TABLE lectern_users"), ERR_OK);
	sqlite_close(db);
}

/* ---- PostgreSQL ---- */

static void
pg_conf(struct conf *c)
{
	c->postgres_conninfo = postgres.conninfo;
	c->postgres_password_file = postgres.password_file;
	c->postgres_timeout = 10;
}

static void
pg_place(struct conf *c)
{
	pg_conf(c);
	put_both(&auth_postgres, c);
}

static void
pg_drop(struct conf *c)
{
	(void)c;
	if (postgres.pid == 0)
		assert_true(postgres_up());
	postgres_exec("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
}

static void
pg_change(struct conf *c, const char *password)
{
	set(&auth_postgres, c, CONTRACT_ANN, password);
}

static void
pg_cut(struct conf *c)
{
	(void)c;
	postgres_end(SIGKILL);
}

static const struct auth_contract contracts[] = {
	{ &auth_sqlite, lite_place, lite_drop, lite_change, lite_cut },
	{ &auth_postgres, pg_place, pg_drop, pg_change, pg_cut },
};

/* ---- what is their own ---- */

static void
refused(const struct auth_backend *b, const struct conf *c, const char *part)
{
	struct loop *l = loop_new();
	const struct auth_options o = { .loop = l, .conf = c };
	char *why = NULL;

	assert_null(auth_new(&b, 1, &o, &why));
	if (strstr(why, part) == NULL)
		fail_msg("%s, not %s", why, part);
	mem_free(why);
	loop_free(l);
}

static void
lite_exec(const char *sql)
{
	struct sqlite_options o = { .file = file };
	char *why = NULL;
	struct sqlite *db = sqlite_open(&o, &why);

	assert_int_equal(sqlite_exec(db, sql), ERR_OK);
	sqlite_close(db);
}

static void
test_sqlite_refused(void **state)
{
	struct conf c = { .auth_database = file };
	(void)state;

	refused(&auth_sqlite, &c, "does it exist");
	lite_place(&c);
	assert_int_equal(chmod(file, 0644), 0);
	refused(&auth_sqlite, &c, "is open to others");
	assert_int_equal(chmod(file, 0640), 0);
	lite_exec("UPDATE lectern_schema SET version = 2");
	refused(&auth_sqlite, &c, "of a newer version");
	lite_exec("DROP TABLE lectern_users");
	refused(&auth_sqlite, &c, "lecternctl passwd");
	lite_drop(&c);
}

static void
test_removed(void **state)
{
	struct conf c = { .auth_database = file };
	const struct auth_backend *both[] = { &auth_sqlite, &auth_postgres };
	char *why = NULL;
	(void)state;

	pg_conf(&c);
	for (size_t i = 0; i < 2; i++) {
		put_both(both[i], &c);
		set(both[i], &c, CONTRACT_BEA, NULL);
		assert_int_equal(both[i]->set(&c, STR_LIT(CONTRACT_BEA), NULL, &why), ERR_NOT_FOUND);
		assert_null(why);
	}
	lite_drop(&c);
	pg_drop(&c);
}

struct answer {
	struct loop *loop;
	int calls;
	enum auth_verdict verdict;
};

static void
answer_cb(void *arg, enum auth_verdict v, const struct auth_proof *proof)
{
	struct answer *a = arg;
	(void)proof;

	a->calls++;
	a->verdict = v;
	loop_stop(a->loop);
}

static enum auth_verdict
ask_postgres(const struct conf *c)
{
	static const struct auth_backend *const b = &auth_postgres;
	struct answer a = { .loop = loop_new() };
	const struct auth_options o = { .loop = a.loop, .conf = c };
	char *why = NULL;
	struct auth *auth = auth_new(&b, 1, &o, &why);

	assert_non_null(auth);
	auth_check(auth, STR_LIT(CONTRACT_ANN), STR_LIT(CONTRACT_ANN_PASSWORD), answer_cb, &a);
	while (a.calls == 0)
		loop_run(a.loop);
	auth_close(auth);
	loop_free(a.loop);
	return a.verdict;
}

static void
test_postgres_trouble(void **state)
{
	struct conf c = { .auth_domain = NULL };
	char *why = NULL, wrong[160];
	(void)state;

	pg_conf(&c);
	assert_int_equal(ask_postgres(&c), AUTH_CANNOT_SAY); /* no table */
	put_both(&auth_postgres, &c);
	assert_int_equal(ask_postgres(&c), AUTH_YES);
	postgres_exec("UPDATE lectern_schema SET version = 2 WHERE part = 'auth'");
	assert_int_equal(ask_postgres(&c), AUTH_CANNOT_SAY);
	snprintf(wrong, sizeof wrong, "%s/wrong", postgres.dir);
	assert_true(postgres_write(wrong, "guess\n"));
	c.postgres_password_file = wrong;
	assert_int_equal(ask_postgres(&c), AUTH_CANNOT_SAY);
	assert_int_equal(auth_postgres.set(&c, STR_LIT(CONTRACT_ANN), "x", &why), ERR_CLOSED);
	assert_non_null(strstr(why, "password authentication failed"));
	mem_free(why);
	c.postgres_conninfo = (char *)(uintptr_t)"host=db password=x";
	refused(&auth_postgres, &c, "holds a password");
	pg_drop(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sqlite_refused),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_postgres_trouble),
	};
	int failed;

	if (postgres_setup(NULL) != 0)
		return 1;
	snprintf(file, sizeof file, "%s/users.db", postgres.dir);
	failed = auth_contract_run(&contracts[0]) + auth_contract_run(&contracts[1]) +
	    cmocka_run_group_tests(tests, NULL, NULL);
	return postgres_teardown(NULL) != 0 || failed > 0;
}
