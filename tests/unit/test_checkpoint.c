/* SPDX-License-Identifier: MIT */
/* Tests of checkpoint: what a child that writes the snapshot must not do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>

#include "base/jsonw.h"
#include "base/log.h"
#include "base/mem.h"
#include "checkpoint.h"
#include "components/reducer.h"
#include "state/journal.h"

static struct loop *loop;
static unsigned terms;
static bool raise_in_child;

static void
child_cb(void)
{
	if (raise_in_child && raise(SIGTERM) != 0)
		abort();
}

static void
term_cb(void *arg)
{
	(void)arg;
	terms++;
}

static void
stop_cb(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

/* A service manager signals all processes of the daemon at once: what the child
 * gets before it has closed our descriptors must not arrive here once more. */
static void
test_signal_in_child(void **state)
{
	char dir[] = "/tmp/test-checkpoint.XXXXXX", *file;
	static const struct reducer *const none[] = { NULL };
	struct engine_options o = { .reducers = none, .pseudonym_key = STR_LIT("k") };
	struct conf c = { .organisation = (char[]){ "school.example" }, .snapshot_records = 1 };
	struct record r = { .seq = 1, .type = RECORD_SESSION_END, .session = 1 };
	struct loop_timer *alive;
	struct checkpoint *k;
	struct engine *e;
	char *why = NULL;

	(void)state;
	c.state_dir = mkdtemp(dir);
	assert_non_null(c.state_dir);
	loop = loop_new();
	e = engine_new(&o, &why);
	assert_non_null(e);
	loop_signal(loop, SIGTERM, term_cb, NULL);
	k = checkpoint_new(loop, e, &c, 0);
	loop_signal(loop, SIGCHLD, stop_cb, NULL);
	engine_record(e, &r);
	assert_int_equal(pthread_atfork(NULL, NULL, child_cb), 0);
	alive = loop_timer_new(loop, stop_cb, NULL);
	loop_timer_once(alive, 60000);
	raise_in_child = true;
	checkpoint_due(k);
	raise_in_child = false;
	loop_run(loop);
	assert_int_equal(terms, 0);
	loop_signal(loop, SIGTERM, stop_cb, NULL);
	assert_int_equal(raise(SIGTERM), 0); /* ours still comes */
	loop_run(loop);
	assert_int_equal(terms, 1);
	loop_timer_free(alive);
	checkpoint_free(k);
	engine_free(e);
	loop_free(loop);
	file = mem_printf("%s/states.snapshot", dir);
	assert_int_equal(unlink(file), 0); /* the child wrote it all the same */
	mem_free(file);
	assert_int_equal(rmdir(dir), 0);
}

static void
late_cb(void *arg)
{
	(void)arg;
	fail_msg("no child ended");
}

/* Whether a snapshot is written with this one record; fewer than it would need. */
static bool
writes_at_once(struct checkpoint *k, struct engine *e, uint64_t seq, const char *dir)
{
	char *file = mem_printf("%s/states.snapshot", dir);
	struct record r = { .seq = seq, .type = RECORD_SESSION_END, .session = 1 };
	struct loop_timer *late = loop_timer_new(loop, late_cb, NULL);
	struct buf status = BUF_INIT(0);
	struct jsonw w = jsonw_to(&status);
	bool written;

	engine_record(e, &r);
	checkpoint_due(k);
	checkpoint_status(k, &w);
	buf_byte(&status, '\0');
	loop_timer_once(late, 60000);
	if (strstr(status.data, "\"running\":true") != NULL)
		loop_run(loop);
	loop_timer_free(late);
	written = unlink(file) == 0;
	mem_free(file);
	buf_free(&status);
	return written;
}

static void
test_first_of_a_run(void **state)
{
	static const struct reducer *const none[] = { NULL };
	struct conf c = { .organisation = (char[]){ "school.example" }, .snapshot_records = 1000 };
	char *why = NULL;

	(void)state;
	for (int cold = 0; cold < 2; cold++) {
		struct engine_options o = { .reducers = none, .pseudonym_key = STR_LIT("k"),
			.cold = cold };
		char dir[] = "/tmp/test-checkpoint.XXXXXX";
		struct engine *e = engine_new(&o, &why);
		struct checkpoint *k;

		c.state_dir = mkdtemp(dir);
		loop = loop_new();
		k = checkpoint_new(loop, e, &c, 0);
		loop_signal(loop, SIGCHLD, stop_cb, NULL);
		assert_int_equal(writes_at_once(k, e, 1, dir), cold);
		assert_false(writes_at_once(k, e, 2, dir));
		checkpoint_free(k);
		engine_free(e);
		loop_free(loop);
		assert_int_equal(rmdir(dir), 0);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signal_in_child),
		cmocka_unit_test(test_first_of_a_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
