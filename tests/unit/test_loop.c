/* SPDX-License-Identifier: MIT */
/* Tests of base/loop: order and exactly-once, never how long anything takes.
 * A timer far in the future keeps each loop awake that must be woken by what
 * is tested; should it ever fire, the test has failed. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "base/loop.h"
#include "base/mem.h"

#define NEVER_MS 60000

static struct loop *loop;
static struct loop_timer *guard;
static char said[64]; /* one letter for each thing that happened */
static bool guard_fired;

static void
say(char c)
{
	size_t n = strlen(said);

	assert_true(n + 1 < sizeof said);
	said[n] = c;
	said[n + 1] = '\0';
}

static void
guard_cb(void *arg)
{
	(void)arg;
	guard_fired = true;
	loop_stop(loop);
}

static int
setup_cb(void **state)
{
	(void)state;
	said[0] = '\0';
	guard_fired = false;
	loop = loop_new();
	guard = loop_timer_new(loop, guard_cb, NULL);
	loop_timer_once(guard, NEVER_MS);
	return 0;
}

static int
teardown_cb(void **state)
{
	(void)state;
	loop_timer_free(guard);
	loop_free(loop);
	return guard_fired ? -1 : 0;
}

static void
say_cb(void *arg)
{
	say(*(const char *)arg);
}

static void
stop_cb(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void
say_then_defer_stop_cb(void *arg)
{
	say_cb(arg);
	loop_defer(loop, stop_cb, NULL);
}

static void
test_defer_in_order(void **state)
{
	static char letters[] = "abcdefghijklmnopqrstuvwxyz";

	(void)state;
	for (int i = 0; i < 26; i++) /* more than the first allocation */
		loop_defer(loop, say_cb, &letters[i]);
	loop_defer(loop, stop_cb, NULL);
	assert_string_equal(said, ""); /* never inside the call */
	loop_run(loop);
	assert_string_equal(said, letters);
}

static void
chain_cb(void *arg)
{
	static const char *const next[] = { "b", "c" };

	say_cb(arg);
	if (*(const char *)arg == 'a')
		loop_defer(loop, chain_cb, (void *)next[0]);
	else if (*(const char *)arg == 'b')
		loop_defer(loop, say_then_defer_stop_cb, (void *)next[1]);
}

/* Each step is a turn of its own: the hook, 'h', runs between any two. */
static void
test_defer_from_deferred(void **state)
{
	struct loop_hook *h = loop_before_sleep(loop, say_cb, "h");

	(void)state;
	loop_defer(loop, chain_cb, "a");
	loop_run(loop);
	assert_string_equal(said, "ahbhchh");
	loop_hook_free(h);
}

static struct loop_hook *hooks[4];

static void
defer_from_hook_cb(void *arg)
{
	say('h');
	if (strlen(said) < 8)
		loop_defer(loop, say_cb, arg);
	else
		loop_stop(loop);
}

/* With the guard far away, only the deferred call itself can
 * keep the loop from sleeping. */
static void
test_defer_from_hook_runs_at_once(void **state)
{
	struct loop_hook *h = loop_before_sleep(loop, defer_from_hook_cb, "d");

	(void)state;
	loop_run(loop);
	assert_string_equal(said, "hdhdhdhdh");
	loop_hook_free(h);
}

static void
test_hooks_in_order(void **state)
{
	(void)state;
	hooks[0] = loop_before_sleep(loop, say_cb, "1");
	hooks[1] = loop_before_sleep(loop, say_cb, "2");
	hooks[2] = loop_before_sleep(loop, say_cb, "3");
	loop_defer(loop, say_then_defer_stop_cb, "a");
	loop_run(loop);
	assert_string_equal(said, "a123123");
	loop_hook_free(hooks[1]);
	loop_defer(loop, stop_cb, NULL);
	loop_run(loop);
	assert_string_equal(said, "a12312313");
	loop_hook_free(hooks[0]);
	loop_hook_free(hooks[2]);
	loop_hook_free(NULL);
}

/* arg points to the digits of the hooks to free, which are freed once. */
static void
free_hooks_cb(void *arg)
{
	const char **freed = arg;

	say('f');
	for (; **freed != '\0'; ++*freed)
		loop_hook_free(hooks[**freed - '0']);
}

/* Hook 1 frees some of 0 (already run), itself, 2 (next) and 3. The others go
 * on in this turn and in the one that stops the loop. */
static void
test_hooks_freed_while_running(void **state)
{
	static const struct {
		const char *freed, *want, *left;
	} rows[] = {
		{ "0", "a0f23f23", "123" }, { "1", "a0f23023", "023" },
		{ "2", "a0f30f3", "013" },  { "3", "a0f20f2", "012" },
		{ "12", "a0f303", "03" },   { "23", "a0f0f", "01" },
		{ "123", "a0f0", "0" },     { "32", "a0f0f", "01" },
		{ "012", "a0f33", "3" },    { "0123", "a0f", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *freed = rows[i].freed;

		said[0] = '\0';
		hooks[0] = loop_before_sleep(loop, say_cb, "0");
		hooks[1] = loop_before_sleep(loop, free_hooks_cb, &freed);
		hooks[2] = loop_before_sleep(loop, say_cb, "2");
		hooks[3] = loop_before_sleep(loop, say_cb, "3");
		loop_defer(loop, say_then_defer_stop_cb, "a");
		loop_run(loop);
		assert_string_equal(said, rows[i].want);
		for (const char *z = rows[i].left; *z != '\0'; z++)
			loop_hook_free(hooks[*z - '0']);
	}
}

static struct loop_timer *timer;

static void
once_cb(void *arg)
{
	(void)arg;
	say(loop_timer_armed(timer) ? '!' : 'o');
	if (strlen(said) < 3)
		loop_timer_once(timer, 1);
	else
		loop_stop(loop);
}

static void
test_timer_once(void **state)
{
	(void)state;
	timer = loop_timer_new(loop, once_cb, NULL);
	assert_false(loop_timer_armed(timer));
	loop_timer_once(timer, NEVER_MS);
	assert_true(loop_timer_armed(timer));
	loop_timer_once(timer, 0); /* the later arming counts */
	loop_run(loop);
	assert_string_equal(said, "ooo");
	loop_timer_free(timer);
}

static void
every_cb(void *arg)
{
	(void)arg;
	say(loop_timer_armed(timer) ? 'e' : '!');
	if (strlen(said) == 3) {
		loop_timer_stop(timer);
		loop_stop(loop);
	}
}

static void
test_timer_every(void **state)
{
	(void)state;
	timer = loop_timer_new(loop, every_cb, NULL);
	for (uint64_t ms = 0; ms < 2; ms++) {
		said[0] = '\0';
		loop_timer_every(timer, ms);
		loop_run(loop);
		assert_string_equal(said, "eee");
		assert_false(loop_timer_armed(timer));
	}
	loop_timer_free(timer);
}

static void
free_timer_cb(void *arg)
{
	say('f');
	loop_timer_free(*(struct loop_timer **)arg);
}

/* A freed timer never fires, although it is due before the one that ends the
 * loop; a timer may free itself or another one that is due in the same turn. */
static void
test_timer_free(void **state)
{
	struct loop_timer *freed = loop_timer_new(loop, say_cb, "!");
	struct loop_timer *itself = loop_timer_new(loop, free_timer_cb, &itself);
	struct loop_timer *next, *killer = loop_timer_new(loop, free_timer_cb, &next);
	struct loop_timer *last = loop_timer_new(loop, stop_cb, NULL);

	(void)state;
	next = loop_timer_new(loop, say_cb, "!");
	loop_timer_once(freed, 0);
	loop_timer_every(itself, 1);
	loop_timer_once(killer, 2);
	loop_timer_once(next, 2);
	loop_timer_once(last, 3);
	loop_timer_free(freed);
	loop_run(loop);
	assert_string_equal(said, "ff");
	loop_timer_free(killer);
	loop_timer_free(last);
	loop_timer_free(NULL);
}

struct job {
	pthread_t worker, looper;
	int worked, done;
};

static void
work_cb(void *arg)
{
	struct job *job = arg;

	job->worker = pthread_self();
	job->worked++;
}

static void
done_cb(void *arg)
{
	struct job *job = arg;

	assert_int_equal(job->worked, 1);
	job->looper = pthread_self();
	job->done++;
	loop_stop(loop);
}

static void
test_pool(void **state)
{
	struct job job = { 0 };

	(void)state;
	loop_pool(loop, work_cb, done_cb, &job);
	assert_int_equal(job.done, 0);
	loop_run(loop);
	assert_int_equal(job.worked, 1);
	assert_int_equal(job.done, 1);
	assert_false(pthread_equal(job.worker, pthread_self()));
	assert_true(pthread_equal(job.looper, pthread_self()));
}

static void
defer_say_cb(void *arg)
{
	loop_defer(arg, say_cb, "x");
}

/* Whoever frees their memory in a deferred call or in `done` can rely on it. */
static void
test_free_finishes_what_was_begun(void **state)
{
	struct loop *l = loop_new();
	struct job jobs[10] = { 0 };

	(void)state;
	for (int i = 0; i < 10; i++)
		loop_pool(l, work_cb, done_cb, &jobs[i]);
	loop_defer(l, defer_say_cb, l);
	loop_stop(l);
	loop_run(l);
	loop_signal(l, SIGUSR2, say_cb, "!");
	loop_timer_free(loop_timer_new(l, say_cb, "!"));
	loop_free(l);
	assert_string_equal(said, "x");
	for (int i = 0; i < 10; i++)
		assert_int_equal(jobs[i].done, 1);
}

/* A forgotten timer is reported and must not keep loop_free waiting; it stays
 * valid, so that the loop below it can be taken apart by hand. */
static void
test_free_with_a_forgotten_timer(void **state)
{
	struct loop *l = loop_new();
	struct loop_timer *t = loop_timer_new(l, say_cb, "!");
	uv_loop_t *uv = loop_uv(l);

	(void)state;
	loop_timer_every(t, NEVER_MS);
	loop_free(l);
	loop_timer_free(t);
	assert_int_equal(uv_run(uv, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(uv), 0);
	mem_free(l);
	assert_string_equal(said, "");
}

static void
signal_cb(void *arg)
{
	say_cb(arg);
	if (strlen(said) < 3)
		raise(SIGUSR1);
	else
		loop_stop(loop);
}

static void
test_signal(void **state)
{
	(void)state;
	loop_signal(loop, SIGUSR1, signal_cb, "s");
	raise(SIGUSR1);
	loop_run(loop);
	assert_string_equal(said, "sss");
}

static void
test_run_ends_when_nothing_is_left(void **state)
{
	struct loop *l = loop_new();
	struct loop_hook *h = loop_before_sleep(l, say_cb, "h");

	(void)state;
	loop_signal(l, SIGUSR1, say_cb, "!");
	loop_defer(l, say_cb, "d");
	loop_run(l);
	assert_string_equal(said, "dh");
	loop_hook_free(h);
	loop_free(l);
}

static int64_t wall_shift_s; /* how wrong the wall clock is */

/* Stands before libc's: a wall clock that the test can set. */
int
clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);

	if (id == CLOCK_REALTIME)
		t->tv_sec += wall_shift_s;
	return rc;
}

static void
test_wall_clock(void **state)
{
	struct timespec t;
	int64_t before, later;

	(void)state;
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &t), 0);
	before = loop_wall_us(loop);
	assert_true(before >= (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000);
	wall_shift_s = -3600; /* set back: stands still */
	assert_true(loop_wall_us(loop) == before);
	assert_true(loop_wall_us(loop) == before);
	wall_shift_s = 3600; /* set forward: follows */
	later = loop_wall_us(loop);
	assert_true(later >= before + 3600 * INT64_C(1000000));
	wall_shift_s = 0;
	assert_true(loop_wall_us(loop) == later);
}

static void
test_backoff(void **state)
{
	(void)state;
	for (unsigned tries = 0; tries < 300; tries++) {
		uint64_t full = tries > 5 ? 5000 : UINT64_C(100) << tries;
		uint64_t ms = loop_backoff(100, tries, 5000);

		full = full > 5000 ? 5000 : full;
		assert_true(ms >= full / 2 && ms <= full);
	}
}

static void
test_now_ignores_the_wall_clock(void **state)
{
	uint64_t before = loop_now_ms(loop), later;

	(void)state;
	wall_shift_s = -100000;
	later = loop_now_ms(loop);
	wall_shift_s = 0;
	assert_true(later >= before && later < before + NEVER_MS);
}

/* ---- a descriptor of somebody else ---- */

static int ends[2];
static struct loop_poll *poll;

static void
poll_cb(void *arg, bool readable, bool writable)
{
	char c;

	(void)arg;
	if (writable) {
		say('w');
		assert_true(write(ends[1], "x", 1) == 1);
		loop_poll_want(poll, true, false);
	}
	if (!readable)
		return;
	if (read(ends[0], &c, 1) == 1) {
		say('r');
		close(ends[1]); /* the end of the other side is something to read */
	} else {
		say('e');
		loop_poll_free(poll);
		close(ends[0]);
		loop_stop(loop);
	}
}

static void
test_poll(void **state)
{
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	poll = loop_poll_new(loop, ends[0], poll_cb, NULL);
	loop_poll_want(poll, false, true);
	loop_run(loop);
	assert_string_equal(said, "wre");
	loop_poll_free(NULL);
}

/* Without a wish nothing is called, and a freed one is never called. */
static void
test_poll_wants_nothing(void **state)
{
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_true(write(ends[1], "x", 1) == 1);
	poll = loop_poll_new(loop, ends[0], poll_cb, NULL);
	loop_poll_want(poll, true, true);
	loop_poll_want(poll, false, false);
	loop_timer_once(guard, 1);
	loop_run(loop);
	assert_true(guard_fired);
	guard_fired = false;
	assert_string_equal(said, "");
	loop_poll_want(poll, true, true);
	loop_poll_free(poll);
	close(ends[0]);
	close(ends[1]);
	loop_timer_once(guard, 1);
	loop_run(loop);
	guard_fired = false;
	assert_string_equal(said, "");
}

static void
test_uv(void **state)
{
	uv_loop_t *uv = loop_uv(loop);

	(void)state;
	assert_true(uv_loop_alive(uv)); /* the guard is on it */
	loop_timer_stop(guard);
	assert_false(uv_loop_alive(uv));
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, setup_cb, teardown_cb)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(test_defer_in_order),
		LOOP_TEST(test_defer_from_deferred),
		LOOP_TEST(test_defer_from_hook_runs_at_once),
		LOOP_TEST(test_hooks_in_order),
		LOOP_TEST(test_hooks_freed_while_running),
		LOOP_TEST(test_timer_once),
		LOOP_TEST(test_timer_every),
		LOOP_TEST(test_timer_free),
		LOOP_TEST(test_pool),
		LOOP_TEST(test_free_finishes_what_was_begun),
		LOOP_TEST(test_free_with_a_forgotten_timer),
		LOOP_TEST(test_signal),
		LOOP_TEST(test_run_ends_when_nothing_is_left),
		LOOP_TEST(test_wall_clock),
		LOOP_TEST(test_backoff),
		LOOP_TEST(test_now_ignores_the_wall_clock),
		LOOP_TEST(test_poll),
		LOOP_TEST(test_poll_wants_nothing),
		LOOP_TEST(test_uv),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
