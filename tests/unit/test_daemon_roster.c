/* SPDX-License-Identifier: MIT */
/* The daemon's loads of the roster, with every backend, when they are late, fail, or
 * find half a source: the roster in force is never replaced by one that is older, and
 * never by none. */
#include <pthread.h>

#include "daemon_priv.h"
#include "tests/contract/roster_fault.h"
#include "tests/unit/roster_source.h"
#include "tests/unit/roster_tables.h"

#define GUARD_MS 60000
#define LOOK_MS 5
#define STUDENTS_MAX 9
#define S(text) { text, sizeof(text) - 1 }

static const struct roster_contract contracts[] = { SOURCE_CONTRACTS, TABLES_CONTRACTS };
static const struct roster_contract *contract;
static struct roster_options place;
static char state_dir[160], conf_file[160], key_file[160];
static struct daemon d;

/* ---- the rest of the daemon, as far as a roster concerns it ---- */

static const struct roster *in_force; /* as the hub has it */
static size_t swaps, shrunk;

void __wrap_hub_set_roster(struct hub *h, const struct roster *r);
void __wrap_ingest_reconf(struct ingest *g, const struct conf *c, const struct ident_rules *rules,
    const struct roster *r);
bool __wrap_web_reconf(struct web *w, const struct conf *c, char **why);
void __wrap_web_auth(struct web *w, struct auth *auth);

/* The source only grows, so a roster that shrinks is an older one. */
void
__wrap_hub_set_roster(struct hub *h, const struct roster *r)
{
	(void)h;
	shrunk += roster_students(r) < roster_students(in_force);
	in_force = r;
	swaps++;
}

void
__wrap_ingest_reconf(struct ingest *g, const struct conf *c, const struct ident_rules *rules,
    const struct roster *r)
{
	(void)g;
	(void)c;
	(void)rules;
	assert_non_null(r);
}

bool
__wrap_web_reconf(struct web *w, const struct conf *c, char **why)
{
	(void)w;
	(void)c;
	(void)why;
	return true;
}

void
__wrap_web_auth(struct web *w, struct auth *auth)
{
	(void)w;
	(void)auth;
}

void
daemon_about(struct daemon *daemon)
{
	(void)daemon;
}

/* ---- waiting ---- */

static bool (*wanted)(void);
static struct loop_timer *look, *guard;

static void
look_cb(void *arg)
{
	(void)arg;
	if (wanted())
		loop_stop(d.loop);
}

static void
guard_cb(void *arg)
{
	fail_msg("%s: never: %s, error %s", contract->backend, (const char *)arg, d.reload_error);
}

static void
wait_until(bool (*what)(void), const char *name)
{
	wanted = what;
	look = loop_timer_new(d.loop, look_cb, NULL);
	guard = loop_timer_new(d.loop, guard_cb, (void *)(uintptr_t)name);
	loop_timer_every(look, LOOK_MS);
	loop_timer_once(guard, GUARD_MS);
	loop_run(d.loop);
	loop_timer_free(look);
	loop_timer_free(guard);
}

static size_t goal;

static bool
has_goal(void)
{
	return roster_students(in_force) == goal;
}

static void
wait_students(size_t n)
{
	goal = n;
	wait_until(has_goal, "the students");
}

static bool
one_waits(void)
{
	return roster_fault_waiting() > 0;
}

static bool
has_error(void)
{
	return d.reload_error != NULL;
}

static bool
is_idle(void)
{
	return d.load == NULL;
}

/* ---- a source with so many students ---- */

static void
write_students(size_t n)
{
	struct roster_row rows[STUDENTS_MAX + 1] = { { .role = ROSTER_TEACHER, .class = S("7b"),
		.person = S("t@x.test"), .jid = S("t@x.test"), .email = S("t@x.test"), .given = S("T"),
		.family = S("Two"), .name = S("T Two") } };
	char ids[STUDENTS_MAX][32];

	for (size_t i = 0; i < n; i++) {
		snprintf(ids[i], sizeof ids[i], "gc-%zu", i + 1);
		rows[i + 1] = (struct roster_row){ .role = ROSTER_STUDENT, .class = S("7b"),
			.id = str_of(ids[i]), .given = S("A"), .family = S("B"), .name = S("A B") };
	}
	assert_true(contract->write(&place, rows, n + 1));
}

static void
write_conf(void)
{
	FILE *f = fopen(conf_file, "w");

	assert_non_null(f);
	fprintf(f, "organisation = o state_dir = \"%s\" key_file = \"%s\"\n", state_dir, key_file);
	fprintf(f, "roster { backend = \"%s\"", contract->backend);
	if (place.file != NULL)
		fprintf(f, " file = \"%s\"", place.file);
	fprintf(f, " }\npostgres { conninfo = \"%s\" password_file = \"%s\" timeout = 20 }\n",
	    postgres.conninfo, postgres.password_file);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(conf_file, 0600), 0);
}

static struct conf *
take_conf(void)
{
	struct buf causes = BUF_INIT(0);
	struct conf *c = conf_read(conf_file, &causes);

	if (c == NULL)
		fail_msg("%.*s", STR_ARG(buf_view(&causes)));
	buf_free(&causes);
	return c;
}

static int
setup(void **state)
{
	char *why = NULL;
	(void)state;

	roster_fault_set(ROSTER_FAULT_NONE);
	place = (struct roster_options){ .pseudonym_key = KEY };
	contract->place(&place);
	write_conf();
	write_students(1);
	d = (struct daemon){ .loop = loop_new(), .key = mem_str(KEY), .conf = take_conf() };
	d.rules = ident_rules_new(d.conf, &why);
	assert_non_null(d.rules);
	if (!daemon_roster(&d, &why))
		fail_msg("%s: %s", contract->backend, why);
	in_force = d.roster;
	swaps = shrunk = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	roster_fault_set(ROSTER_FAULT_NONE);
	d.left = true;
	daemon_roster_free(&d);
	daemon_waiters_free(&d);
	loop_free(d.loop);
	ident_rules_free(d.rules);
	conf_free(d.conf);
	mem_free(d.key);
	mem_free(d.reload_error);
	contract->drop(&place);
	assert_int_equal(shrunk, 0);
	return 0;
}

/* ---- the tests ---- */

static size_t answers;

static void
answer_cb(void *arg, const char *why)
{
	(void)arg;
	assert_null(why);
	answers++;
}

/* What changed while a load was under way comes after it, and it never comes after what
 * changed. */
static void
test_late(void **state)
{
	size_t before;
	(void)state;

	wait_until(is_idle, "idle");
	answers = 0;
	roster_fault_set(ROSTER_FAULT_LATE);
	write_students(2);
	daemon_refresh(&d);
	wait_until(one_waits, "a load that is late");
	before = swaps;
	write_students(3);
	for (int i = 0; i < 3; i++) {
		daemon_refresh(&d);
		daemon_reload(&d, answer_cb, NULL);
	}
	assert_int_equal(roster_fault_waiting(), 1);
	assert_int_equal(swaps, before);
	roster_fault_set(ROSTER_FAULT_NONE);
	wait_students(3);
	wait_until(is_idle, "idle");
	assert_int_equal(answers, 3);
	assert_int_equal(roster_students(in_force), 3);
	assert_int_equal(roster_fault_most(), 1);
}

static void
test_fails(void **state)
{
	const struct roster *before;
	(void)state;

	write_students(2);
	daemon_refresh(&d);
	wait_students(2);
	wait_until(is_idle, "idle");
	roster_fault_set(ROSTER_FAULT_FAIL);
	before = in_force;
	write_students(3);
	daemon_refresh(&d);
	wait_until(has_error, "the error");
	assert_string_equal(d.reload_error, ROSTER_FAULT_WHY);
	assert_ptr_equal(d.roster, before);
	assert_ptr_equal(in_force, before);
	assert_int_equal(roster_students(before), 2);
	roster_fault_set(ROSTER_FAULT_NONE);
	wait_students(3); /* it is tried again by itself */
	assert_null(d.reload_error);
}

static void
test_cut(void **state)
{
	static const enum roster_spoil order[] = { ROSTER_CUT, ROSTER_GONE };
	const struct roster *before;
	(void)state;

	write_students(4);
	daemon_refresh(&d);
	wait_students(4);
	wait_until(is_idle, "idle");
	before = in_force;
	for (size_t i = 0; i < COUNT(order); i++) {
		assert_true(contract->spoil(&place, order[i]));
		daemon_refresh(&d);
		wait_until(has_error, "the error");
		wait_until(is_idle, "idle");
		assert_ptr_equal(d.roster, before);
		assert_ptr_equal(in_force, before);
		mem_free(d.reload_error);
		d.reload_error = NULL;
	}
	assert_int_equal(roster_students(before), 4);
}

/* What is committed while a reload is under way is noticed by who watches, although the
 * reload has read what was before; of files somebody must say it. */
static void
test_watched(void **state)
{
	bool tells = d.watched == &roster_sqlite || d.watched == &roster_postgres;
	(void)state;

	wait_until(is_idle, "idle");
	answers = 0;
	write_students(2);
	roster_fault_set(ROSTER_FAULT_LATE);
	daemon_reload(&d, answer_cb, NULL);
	wait_until(one_waits, "a load that is late");
	write_students(3);
	roster_fault_set(ROSTER_FAULT_NONE);
	if (!tells) {
		wait_students(2);
		wait_until(is_idle, "idle");
		assert_int_equal(roster_students(in_force), 2);
		daemon_refresh(&d);
	}
	wait_students(3);
	assert_int_equal(answers, 1);
}

static bool
reload_refused(void)
{
	return has_error() && d.load == NULL;
}

static size_t refusals;

static void
refused_cb(void *arg, const char *why)
{
	(void)arg;
	refusals += why != NULL;
}

/* A configuration that is wrong stays told, whatever its roster does; of several who wait
 * each is answered. */
static void
test_configuration(void **state)
{
	FILE *f;
	(void)state;

	wait_until(is_idle, "idle");
	refusals = 0;
	f = fopen(conf_file, "w");
	assert_non_null(f);
	assert_true(fputs("nonsense = 1\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	daemon_reload(&d, refused_cb, NULL);
	daemon_reload(&d, refused_cb, NULL);
	wait_until(reload_refused, "the refusal");
	assert_int_equal(refusals, 2);
	write_students(2);
	daemon_refresh(&d);
	wait_students(2);
	assert_non_null(strstr(d.reload_error, "nonsense"));
	write_conf();
	daemon_reload(&d, answer_cb, NULL);
	wait_until(is_idle, "idle");
	assert_null(d.reload_error);
}

static void *
release_cb(void *arg)
{
	(void)arg;
	usleep(50000);
	roster_fault_set(ROSTER_FAULT_NONE);
	return NULL;
}

/* The daemon ends while a load is under way. */
static void
test_end(void **state)
{
	pthread_t release;
	size_t before;
	(void)state;

	wait_until(is_idle, "idle");
	roster_fault_set(ROSTER_FAULT_LATE);
	daemon_reload(&d, answer_cb, NULL);
	wait_until(one_waits, "a load that is late");
	daemon_refresh(&d);
	before = swaps;
	answers = 0;
	assert_int_equal(pthread_create(&release, NULL, release_cb, NULL), 0);
	teardown(NULL);
	assert_int_equal(pthread_join(release, NULL), 0);
	assert_int_equal(swaps, before);
	assert_int_equal(answers, 0);
	setup(NULL);
}

static int
run(const struct roster_contract *c)
{
#define WITH_DAEMON(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	static const struct CMUnitTest tests[] = {
		WITH_DAEMON(test_late),
		WITH_DAEMON(test_fails),
		WITH_DAEMON(test_cut),
		WITH_DAEMON(test_watched),
		WITH_DAEMON(test_configuration),
		WITH_DAEMON(test_end),
	};

	contract = c;
	return cmocka_run_group_tests_name(c->backend, tests, NULL, NULL);
}

static bool
make_places(void)
{
	FILE *f;

	snprintf(state_dir, sizeof state_dir, "%s/state", postgres.dir);
	snprintf(conf_file, sizeof conf_file, "%s/lectern.conf", postgres.dir);
	snprintf(key_file, sizeof key_file, "%s/key", postgres.dir);
	f = mkdir(state_dir, 0700) == 0 ? fopen(key_file, "w") : NULL;
	return f != NULL && fprintf(f, "%.*s\n", STR_ARG(KEY)) > 0 && fclose(f) == 0 &&
	    chmod(key_file, 0600) == 0;
}

int
main(void)
{
	int failed = 0;

	if (source_setup(NULL) != 0 || postgres_setup(NULL) != 0 || !make_places())
		return 1;
	tables_setup();
	for (size_t i = 0; i < COUNT(contracts); i++)
		failed += run(&contracts[i]);
	return (postgres_teardown(NULL) != 0) + (source_teardown(NULL) != 0) + failed;
}
