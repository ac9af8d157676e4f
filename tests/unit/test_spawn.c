/* SPDX-License-Identifier: MIT */
/* Programs beside the daemon: what they are told, how they end, and that none is
 * left behind. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/spawn.h"

static struct loop *loop;
static unsigned calls;
static int last;

static int
setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	loop = loop_new();
	calls = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	loop_run(loop); /* what is closing closes */
	loop_free(loop);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return 0;
}

static void
exit_cb(void *arg, int status)
{
	(void)arg;
	calls++;
	last = status;
}

static struct spawn *
shell(const char *script, const char *input, uint64_t limit_ms)
{
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };
	struct spawn *s = spawn_run(loop, argv, str_of(input), limit_ms, exit_cb, NULL);

	assert_int_equal(calls, 0);
	return s;
}

static void
test_status(void **state)
{
	(void)state;
	shell("read a; read b; read c; test \"$a$b$c\" = xy && exit 7", "x\ny\n", 60000);
	loop_run(loop);
	assert_int_equal(calls, 1);
	assert_int_equal(last, 7);
}

/* What the daemon was told is not the program's. */
static void
test_environment(void **state)
{
	(void)state;
	assert_int_equal(setenv("LECTERN_PASSWORD", "secret", 1), 0);
	shell("test -z \"$LECTERN_PASSWORD$NOTIFY_SOCKET$HOME\" && exit 7", "", 60000);
	loop_run(loop);
	assert_int_equal(last, 7);
}

/* A program that reads nothing, and much for it to read. */
static void
test_unread(void **state)
{
	static char large[1 << 20];

	(void)state;
	memset(large, 'x', sizeof large - 1);
	shell("exit 3", large, 60000);
	loop_run(loop);
	assert_int_equal(last, 3);
}

static void
test_killed(void **state)
{
	(void)state;
	shell("kill -9 $$", "", 60000);
	loop_run(loop);
	assert_int_equal(last, -1);
	calls = 0;
	shell("exec sleep 600", "", 50);
	loop_run(loop);
	assert_int_equal(calls, 1);
	assert_int_equal(last, -1);
}

static void
test_missing(void **state)
{
	const char *const argv[] = { "/nonexistent/program", NULL };

	(void)state;
	spawn_run(loop, argv, STR_LIT("x"), 60000, exit_cb, NULL);
	assert_int_equal(calls, 0);
	loop_run(loop);
	assert_int_equal(calls, 1);
	assert_int_equal(last, -1);
}

static void
test_dropped(void **state)
{
	(void)state;
	spawn_kill(shell("exec sleep 600", "x", 60000));
	spawn_kill(shell("exit 0", "", 60000));
	loop_run(loop);
	assert_int_equal(calls, 0);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_status),
		TEST(test_environment),
		TEST(test_unread),
		TEST(test_killed),
		TEST(test_missing),
		TEST(test_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
