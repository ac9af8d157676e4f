/* SPDX-License-Identifier: MIT */
/* Tests of state/pg_link against a PostgreSQL of the test's own: queries,
 * notifications, and everything that can be wrong with a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "postgres_rig.h"
#include "state/pg_link.h"

#define NEVER_MS 60000

static struct loop *loop;
static struct loop_timer *guard;
static struct pg_link *pg;
static int ups, downs;
static char why[1200]; /* of the last down */
static char said[256]; /* "channel:payload" of the last notification */

static void
guard_cb(void *arg)
{
	(void)arg;
	fail_msg("nothing happened: up %d, down %d, %s", ups, downs, why);
}

static void
up_cb(void *arg)
{
	(void)arg;
	ups++;
	loop_stop(loop);
}

static void
down_cb(void *arg, const char *text)
{
	(void)arg;
	downs++;
	snprintf(why, sizeof why, "%s", text);
	assert_null(strstr(text, POSTGRES_PASSWORD));
	assert_null(strchr(text, '\n'));
	loop_stop(loop);
}

static void
notified_cb(void *arg, const char *channel, struct str payload)
{
	(void)arg;
	snprintf(said, sizeof said, "%s:%.*s", channel, STR_ARG(payload));
	loop_stop(loop);
}

static const struct pg_events on = { up_cb, down_cb, notified_cb };

static void
open_link(const char *conninfo, const char *password_file, unsigned timeout_s)
{
	static const char *const channels[] = { "lectern_a", "lectern_b", NULL };
	struct pg_options o = { .conninfo = conninfo, .password_file = password_file,
		.timeout_s = timeout_s, .channels = channels };

	pg = pg_link_new(loop, &o, &on, NULL);
}

static void
open_good(void)
{
	open_link(postgres.conninfo, postgres.password_file, 20);
}

static void
wait_up(int n)
{
	while (ups < n)
		loop_run(loop);
	assert_true(pg_link_up(pg));
	assert_string_equal(pg_link_trouble(pg), "");
}

static void
wait_down(const char *part)
{
	int n = downs;

	while (downs == n || strstr(why, part) == NULL) {
		loop_run(loop);
		if (downs > n + 3)
			fail_msg("%s", why);
	}
	assert_false(pg_link_up(pg));
	assert_string_equal(pg_link_trouble(pg), why);
}

static int
setup(void **state)
{
	(void)state;
	ups = downs = 0;
	why[0] = said[0] = '\0';
	loop = loop_new();
	guard = loop_timer_new(loop, guard_cb, NULL);
	loop_timer_once(guard, NEVER_MS);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	pg_link_free(pg);
	pg = NULL;
	loop_timer_free(guard);
	loop_free(loop);
	return 0;
}

/* ---- one query and its answer ---- */

struct answer {
	bool there, stop;
	enum err e;
	char trouble[1200], rows[256]; /* "a,b;c,NULL;" */
};

static void
answer_cb(void *arg, enum err e, const char *trouble, const struct pg_result *r)
{
	struct answer *a = arg;
	size_t n = 0;

	assert_false(a->there);
	a->there = true;
	a->e = e;
	snprintf(a->trouble, sizeof a->trouble, "%s", trouble);
	assert_true((e == ERR_OK) == (*trouble == '\0') && (e == ERR_OK) == (r != NULL));
	for (size_t i = 0; r != NULL && i < pg_rows(r); i++) {
		struct str x = pg_text(r, i, 0), y = pg_text(r, i, 1);

		n += (size_t)snprintf(a->rows + n, sizeof a->rows - n, "%s%.*s,%.*s;", x.p ? "" : "NULL",
		    STR_ARG(x), y.p ? (int)y.n : 4, y.p ? y.p : "NULL");
	}
	if (a->stop)
		loop_stop(loop);
}

static struct answer
ask(const char *sql, const struct str *params, size_t n)
{
	struct answer a = { .stop = true };

	pg_link_query(pg, sql, params, n, answer_cb, &a);
	assert_false(a.there); /* never inside the call */
	while (!a.there)
		loop_run(loop);
	return a;
}

static void
refused(const char *sql, const struct str *params, size_t n, enum err e, const char *part)
{
	struct answer a = ask(sql, params, n);

	if (a.e != e || strstr(a.trouble, part) == NULL)
		fail_msg("%s: %s: %s", sql, err_code(a.e), a.trouble);
	assert_true(pg_link_up(pg));
}

/* ---- the tests ---- */

static void
test_queries(void **state)
{
	struct str params[] = { STR_LIT("Zo\xc3\xab'; DROP TABLE t; --"), { NULL, 0 } };
	struct answer a, many[50];
	(void)state;

	open_good();
	/* before it is up, queries wait */
	a = ask("CREATE TABLE t (k text PRIMARY KEY, v int); INSERT INTO t VALUES ('a', 1)", NULL, 0);
	assert_int_equal(a.e, ERR_OK);
	a = ask("INSERT INTO t VALUES ($1, $2)", params, 2);
	assert_int_equal(a.e, ERR_OK);
	a = ask("SELECT k, v FROM t ORDER BY v", NULL, 0);
	assert_string_equal(a.rows, "a,1;Zo\xc3\xab'; DROP TABLE t; --,NULL;");
	/* answered in the order of asking */
	for (int i = 0; i < 50; i++) {
		char sql[32];

		many[i] = (struct answer){ .stop = i == 49 };
		snprintf(sql, sizeof sql, "SELECT %d, 0", i);
		pg_link_query(pg, sql, NULL, 0, answer_cb, &many[i]);
	}
	while (!many[49].there)
		loop_run(loop);
	for (int i = 0; i < 50; i++) {
		char want[16];

		snprintf(want, sizeof want, "%d,0;", i);
		assert_string_equal(many[i].rows, want);
	}
}

static void
test_refusals(void **state)
{
	struct str twice[] = { STR_LIT("a"), STR_LIT("7") }, nul[] = { { "a\0b", 3 }, STR_LIT("1") };
	struct answer a;
	(void)state;

	open_good();
	refused("SELECT * FROM nowhere", NULL, 0, ERR_NOT_FOUND, "lecternctl roster init");
	refused("SELECT w FROM t", NULL, 0, ERR_NOT_FOUND, "docs/schema-postgres.sql");
	refused("SELEC", NULL, 0, ERR_IO, "syntax error");
	refused("INSERT INTO t VALUES ($1, $2)", twice, 2, ERR_INVALID, "duplicate key");
	refused("INSERT INTO t VALUES ($1, $2)", nul, 2, ERR_INVALID, "NUL");
	refused("SELECT $1::int, $2", twice, 2, ERR_INVALID, "invalid input syntax");
	refused("SET TRANSACTION READ ONLY; CREATE TABLE u ()", NULL, 0, ERR_FORBIDDEN, "takes no writes");
	/* all or nothing */
	refused("INSERT INTO t VALUES ('b', 2); SELECT 1/0", NULL, 0, ERR_INVALID, "division by zero");
	a = ask("SELECT count(*), 0 FROM t", NULL, 0);
	assert_string_equal(a.rows, "2,0;");
	for (int i = 0; i < PG_QUEUE_MAX; i++)
		pg_link_query(pg, "SELECT 1", NULL, 0, NULL, NULL);
	refused("SELECT 1", NULL, 0, ERR_FULL, "too many queries wait");
}

static void
test_notifications(void **state)
{
	(void)state;
	open_good();
	wait_up(1);
	postgres_exec("NOTIFY lectern_b, 'now'");
	while (said[0] == '\0')
		loop_run(loop);
	assert_string_equal(said, "lectern_b:now");
}

/* The server is killed while a query runs. */
static void
kill_cb(void *arg)
{
	(void)arg;
	postgres_end(SIGKILL);
}

static void
test_killed_and_restarted(void **state)
{
	struct answer sleeping = { .there = false }, waiting = { .stop = true };
	struct loop_timer *killer = loop_timer_new(loop, kill_cb, NULL);
	(void)state;

	open_good();
	wait_up(1);
	pg_link_query(pg, "SELECT 1, pg_sleep(1000)", NULL, 0, answer_cb, &sleeping);
	pg_link_query(pg, "SELECT 1", NULL, 0, answer_cb, &waiting);
	loop_timer_once(killer, 100);
	while (!waiting.there)
		loop_run(loop);
	loop_timer_free(killer);
	assert_true(sleeping.there);
	assert_int_equal(sleeping.e, ERR_CLOSED);
	assert_int_equal(waiting.e, ERR_CLOSED);
	assert_int_equal(downs, 1);
	/* while it is down a query fails at once, with the reason */
	assert_int_equal(ask("SELECT 1", NULL, 0).e, ERR_CLOSED);
	wait_down("cannot connect");
	assert_true(postgres_up());
	wait_up(2);
	assert_string_equal(ask("SELECT 1, 2", NULL, 0).rows, "1,2;");
	/* and it listens again */
	postgres_exec("NOTIFY lectern_a");
	while (said[0] == '\0')
		loop_run(loop);
	assert_string_equal(said, "lectern_a:");
}

static void
test_cut(void **state)
{
	(void)state;
	open_good();
	wait_up(1);
	postgres_exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
	    "WHERE application_name = 'lectern'");
	wait_down("the connection is lost");
	wait_up(2);
}

static void
test_slow(void **state)
{
	struct answer a;
	(void)state;

	open_link(postgres.conninfo, postgres.password_file, 1);
	a = ask("SELECT pg_sleep(1000)", NULL, 0);
	assert_int_equal(a.e, ERR_FULL);
	assert_non_null(strstr(a.trouble, "longer than postgres.timeout"));
	assert_true(pg_link_up(pg));
}

/* A server process that is stopped answers nothing, not even that it is slow;
 * asked for nothing, the link asks by itself. */
static void
test_silent(void **state)
{
	struct answer a;
	pid_t pid;
	(void)state;

	open_link(postgres.conninfo, postgres.password_file, 1);
	a = ask("SELECT pg_backend_pid(), 0", NULL, 0);
	assert_int_equal(sscanf(a.rows, "%d,", &pid), 1);
	kill(pid, SIGSTOP);
	wait_down("no answer within 1 s");
	kill(pid, SIGKILL);
	wait_up(2);
	/* the postmaster starts all anew after a process was killed */
	while (PQping(postgres.conninfo) != PQPING_OK)
		usleep(10000);
}

static void
test_password(void **state)
{
	char wrong[160];
	(void)state;

	snprintf(wrong, sizeof wrong, "%s/wrong", postgres.dir);
	open_link(postgres.conninfo, wrong, 20);
	wait_down("cannot be opened");
	assert_true(postgres_write(wrong, "guess\n"));
	wait_down("password authentication failed");
	assert_non_null(strstr(why, "postgres.password_file"));
	assert_true(postgres_write(wrong, POSTGRES_PASSWORD "\n"));
	wait_up(1);
	pg_link_free(pg);
	open_link(postgres.conninfo, NULL, 20);
	wait_down("no password supplied");
}

static void
test_places(void **state)
{
	char text[256];
	(void)state;

	snprintf(text, sizeof text, "host=localhost port=%s dbname=postgres user=lectern", postgres.port);
	open_link(text, postgres.password_file, 20); /* ::1 is refused, then comes 127.0.0.1 */
	wait_up(1);
	pg_link_free(pg);
	snprintf(text, sizeof text, "host=127.0.0.1 port=%s dbname=nothing user=lectern", postgres.port);
	open_link(text, postgres.password_file, 20);
	wait_down("database \"nothing\" does not exist");
	pg_link_free(pg);
	/* another machine must offer TLS, which this server does not */
	snprintf(text, sizeof text, "host=school.example hostaddr=127.0.0.1 port=%s user=lectern",
	    postgres.port);
	open_link(text, postgres.password_file, 20);
	wait_down("SSL");
	pg_link_free(pg);
	open_link("host=nowhere.invalid user=lectern", NULL, 20);
	wait_down("the host nowhere.invalid is not found");
	pg_link_free(pg);
	open_link("host=/nowhere user=lectern", NULL, 20);
	wait_down("No such file or directory");
}

/* A certificate for db.test, signed by itself, as the server's own. */
static void
make_certificate(void)
{
	struct passwd *nobody = geteuid() == 0 ? getpwnam("nobody") : NULL;
	char key[160], command[1000];

	snprintf(key, sizeof key, "%s/data/server.key", postgres.dir);
	snprintf(command, sizeof command, "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=db.test "
	    "-addext subjectAltName=DNS:db.test -keyout %s -out %s/data/server.crt 2>/dev/null && "
	    "cp %s/data/server.crt %s/ca.pem && chmod 600 %s && chmod 644 %s/data/server.crt", key, postgres.dir,
	    postgres.dir, postgres.dir, key, postgres.dir);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof command, "%s/data/server.crt", postgres.dir);
	if (nobody != NULL) {
		assert_int_equal(chown(key, nobody->pw_uid, nobody->pw_gid), 0);
		assert_int_equal(chown(command, nobody->pw_uid, nobody->pw_gid), 0);
	}
}

/* With a server that has TLS: another machine's name gets it; whether it is the right one
 * is asked by conninfo. */
static void
test_tls(void **state)
{
	struct answer a;
	char text[400];
	(void)state;

	make_certificate();
	postgres_exec("ALTER SYSTEM SET ssl = on");
	postgres_exec("SELECT pg_reload_conf()");
	snprintf(text, sizeof text, "host=school.example hostaddr=127.0.0.1 port=%s user=lectern "
	    "dbname=postgres", postgres.port);
	open_link(text, postgres.password_file, 20);
	wait_up(1);
	a = ask("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", NULL, 0);
	assert_true(str_starts(str_of(a.rows), "t"));
	pg_link_free(pg);
	snprintf(text, sizeof text, "host=school.example hostaddr=127.0.0.1 port=%s user=lectern "
	    "dbname=postgres sslmode=verify-full sslrootcert=%s/ca.pem", postgres.port, postgres.dir);
	open_link(text, postgres.password_file, 20);
	wait_down("does not match host name");
	pg_link_free(pg);
	snprintf(text, sizeof text, "host=db.test hostaddr=127.0.0.1 port=%s user=lectern "
	    "dbname=postgres sslmode=verify-full sslrootcert=%s/ca.pem", postgres.port, postgres.dir);
	open_link(text, postgres.password_file, 20);
	wait_up(2);
	postgres_exec("ALTER SYSTEM SET ssl = off");
	postgres_exec("SELECT pg_reload_conf()");
}

static void
test_conninfo(void **state)
{
	static const struct { const char *text, *part; } bad[] = {
		{ "host=db user=lectern password=guess", "put it into password_file" },
		{ "postgresql://lectern:guess@db/lectern", "put it into password_file" },
		{ "hots=db", "invalid connection option \"hots\"" },
		{ "host", "missing \"=\"" },
		{ "host=a,b", "several hosts need hostaddr=" },
	};
	char *text;
	(void)state;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		text = pg_conninfo_wrong(bad[i].text);
		if (text == NULL || strstr(text, bad[i].part) == NULL || strstr(text, "guess") != NULL)
			fail_msg("%s: %s", bad[i].text, text);
		mem_free(text);
	}
	assert_null(pg_conninfo_wrong(""));
	assert_null(pg_conninfo_wrong("host=a,b hostaddr=10.0.0.1,10.0.0.2"));
	open_link("host=db password=guess", NULL, 20);
	wait_down("postgres.conninfo: it holds a password");
}

/* What leaves the machine goes by TLS, however the server is named. */
static void
test_local(void **state)
{
	static const struct { const char *text; bool local; } cases[] = {
		{ "dbname=x", true },
		{ "host=/run/postgresql", true },
		{ "host=localhost", true },
		{ "host=127.8.9.1", true },
		{ "host=::1", true },
		{ "host=localhost hostaddr=127.0.0.1", true },
		{ "host=db.test hostaddr=127.0.0.1", false },
		{ "host=127.0.0.1,::1", true },
		{ "host=db.test", false },
		{ "host=127.db.test", false },
		{ "host=10.0.0.1", false },
		{ "hostaddr=10.0.0.1", false },
		{ "host=localhost hostaddr=10.0.0.1", false },
		{ "host=127.0.0.1,10.0.0.1", false },
		{ "service=school", false },
		{ "nonsense", false },
	};
	(void)state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (pg_conninfo_local(cases[i].text) != cases[i].local)
			fail_msg("%s", cases[i].text);
	assert_int_equal(setenv("PGHOST", "db.test", 1), 0);
	assert_false(pg_conninfo_local("dbname=x"));
	assert_true(pg_conninfo_local("host=localhost"));
	assert_int_equal(unsetenv("PGHOST"), 0);
}

/* ---- freed in the middle ---- */

static void
free_cb(void *arg, enum err e, const char *trouble, const struct pg_result *r)
{
	(void)trouble;
	(void)r;
	*(enum err *)arg = e;
	pg_link_free(pg);
	pg = NULL;
	loop_stop(loop);
}

static void
never_cb(void *arg, enum err e, const char *trouble, const struct pg_result *r)
{
	(void)arg;
	(void)r;
	fail_msg("answered after the link was freed: %s %s", err_code(e), trouble);
}

static void
freed_by_its_answer(const char *conninfo, enum err want)
{
	enum err e = ERR_COUNT;

	open_link(conninfo, postgres.password_file, 20);
	pg_link_query(pg, "SELECT 1", NULL, 0, free_cb, &e);
	pg_link_query(pg, "SELECT 2", NULL, 0, never_cb, NULL);
	while (pg != NULL)
		loop_run(loop);
	assert_int_equal(e, want);
}

static void
stop_cb(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void
test_freed(void **state)
{
	(void)state;
	freed_by_its_answer(postgres.conninfo, ERR_OK);
	freed_by_its_answer("host=/nowhere user=lectern", ERR_CLOSED);
	/* while a name is looked up, while connecting, and before all */
	open_link("host=localhost user=lectern", NULL, 20);
	loop_defer(loop, stop_cb, NULL);
	loop_run(loop);
	pg_link_free(pg);
	open_good();
	pg_link_query(pg, "SELECT pg_sleep(1000)", NULL, 0, never_cb, NULL);
	ups = 0;
	wait_up(1);
	pg_link_free(pg);
	pg = NULL;
	pg_link_free(NULL);
}

#define PG_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		PG_TEST(test_queries),
		PG_TEST(test_refusals),
		PG_TEST(test_notifications),
		PG_TEST(test_killed_and_restarted),
		PG_TEST(test_cut),
		PG_TEST(test_slow),
		PG_TEST(test_silent),
		PG_TEST(test_password),
		PG_TEST(test_places),
		PG_TEST(test_tls),
		PG_TEST(test_conninfo),
		cmocka_unit_test(test_local),
		PG_TEST(test_freed),
	};
	return cmocka_run_group_tests(tests, postgres_setup, postgres_teardown);
}
