/* SPDX-License-Identifier: MIT */
/* Tests of rebuild: a child folds the states of those whom the store lost from a real
 * journal, while events go on. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "components/reducer.h"
#include "flow/cold.h"
#include "flow/keep.h"
#include "flow/record.h"
#include "rebuild.h"

#define KEY STR_LIT("a key for pseudonyms in tests only")
#define STUDENTS 40

static struct {
	struct loop *loop;
	struct journal *journal;
	struct engine *e, *all;
	struct kvs *kvs;
	struct keep *keep;
	struct rebuild *rebuild;
	struct conf conf;
	char dir[40];
} w;

static void
durable_cb(void *arg, const struct record *r)
{
	(void)arg;
	engine_record(w.all, r);
	engine_record(w.e, r);
}

static void
spread_cb(void *arg)
{
	(void)arg;
	engine_changed(w.e);
}

static void
commit_cb(void *arg)
{
	spread_cb(arg);
	engine_changed(w.all);
}

static bool kill_next;

/* The child that was forked a moment ago. */
static void
kill_child(void)
{
	char name[64];
	FILE *f;
	int child;

	snprintf(name, sizeof name, "/proc/%d/task/%d/children", getpid(), getpid());
	f = fopen(name, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &child), 1);
	fclose(f);
	assert_int_equal(kill(child, SIGKILL), 0);
}

static bool
rebuild_cb(void *arg)
{
	(void)arg;
	if (!rebuild_start(w.rebuild))
		return false;
	if (kill_next)
		kill_child();
	kill_next = false;
	return true;
}

static bool failed;

static void
rebuilt_cb(void *arg, uint64_t position, bool ok)
{
	(void)arg;
	failed |= !ok;
	keep_rebuilt(w.keep, position, ok);
}

static struct engine *
engine_of(bool cold)
{
	struct engine_options o = { .reducers = component_reducers(), .pseudonym_key = KEY,
		.cold = cold };
	char *why = NULL;

	return engine_new(&o, &why);
}

static void
open_journal(void)
{
	char *dir = mem_printf("%s/journal", w.dir), *why = NULL;
	struct journal_options o = { .dir = dir, .organisation = w.conf.organisation,
		.segment_size = 1 << 20, .max_pending = 1 << 20 };
	struct journal_reader nobody = { 0 };
	struct journal_listener listener = { .on_record = durable_cb, .on_commit = commit_cb };
	struct journal_summary sum;

	w.journal = journal_open(w.loop, &o, 0, &nobody, &sum, &why);
	assert_non_null(w.journal);
	journal_listen(w.journal, &listener);
	mem_free(dir);
}

static void
begin(void)
{
	struct kvs_options ko = { 0 };
	struct keep_options o = { .limit = 5, .hurry = 20, .spread = spread_cb, .rebuild = rebuild_cb };
	char *why = NULL;

	log_set_level(LOG_ERROR);
	snprintf(w.dir, sizeof w.dir, "/tmp/test-rebuild.XXXXXX");
	w.conf.state_dir = mkdtemp(w.dir);
	w.conf.organisation = (char[]){ "school.example" };
	w.loop = o.loop = ko.loop = loop_new();
	w.e = o.engine = engine_of(true);
	w.all = engine_of(false);
	w.kvs = o.kvs = kvs_open("memory", &ko, &why);
	open_journal();
	w.keep = keep_new(&o);
	w.rebuild = rebuild_new(w.loop, w.e, &w.conf, KEY, rebuilt_cb, NULL);
}

static int
end(void **state)
{
	char *rm = mem_printf("rm -r '%s'", w.dir);

	(void)state;
	keep_free(w.keep);
	rebuild_free(w.rebuild);
	journal_close(w.journal);
	engine_free(w.e);
	engine_free(w.all);
	kvs_close(w.kvs);
	loop_free(w.loop);
	assert_int_equal(system(rm), 0);
	mem_free(rm);
	memset(&w, 0, sizeof w);
	return 0;
}

/* ---- waiting ---- */

static void
look_cb(void *arg)
{
	bool (*cond)(void) = *(bool (**)(void))arg;

	if (cond())
		loop_stop(w.loop);
}

static void
vain_cb(void *arg)
{
	(void)arg;
	fail_msg("waited in vain");
}

static void
until(bool (*cond)(void))
{
	struct loop_timer *look = loop_timer_new(w.loop, look_cb, &cond);
	struct loop_timer *vain = loop_timer_new(w.loop, vain_cb, NULL);

	loop_timer_every(look, 1);
	loop_timer_once(vain, 120000);
	if (!cond())
		loop_run(w.loop);
	loop_timer_free(look);
	loop_timer_free(vain);
}

static uint64_t appended;

static bool
is_durable(void)
{
	return engine_position(w.e) == appended;
}

static bool
has_failed(void)
{
	return failed;
}

static bool
nobody_waits(void)
{
	return engine_position(w.e) == appended && cold_waiting(w.e) == 0;
}

static bool
few_are_hot(void)
{
	return cold_hot(w.e) <= 5 && nobody_waits();
}

/* ---- students ---- */

static void
append(enum record_type type, uint64_t session, struct buf *body)
{
	struct str piece = buf_view(body);

	appended = journal_append(w.journal, type, session, INT64_C(1795455148000000), &piece, 1);
	buf_free(body);
}

static void
visit(unsigned i, unsigned n)
{
	char id[16];
	struct session_record s = { .providence = STR_LIT("t"), .locked = STR_LIT("{}"),
		.source = STR_LIT("org.mitros.writing_analytics") };
	struct buf b = BUF_INIT(0);
	uint64_t session;

	snprintf(id, sizeof id, "gcu-%u", i);
	s.user_id = s.safe_user_id = str_of(id);
	session_record_write(&b, &s);
	append(RECORD_SESSION, 0, &b);
	session = appended;
	while (n-- > 0) {
		event_record_head(&b, &(struct event_record){ .name = STR_LIT("document_history"),
		    .doc_id = n % 2 ? STR_LIT("d") : STR_LIT("e") });
		buf_z(&b, "{}");
		append(RECORD_EVENT, session, &b);
	}
	append(RECORD_SESSION_END, session, &b);
}

static void
lose_indexes(void)
{
	for (unsigned i = 0; i < STUDENTS; i++) {
		char key[48];

		snprintf(key, sizeof key, COLD_INDEX_PREFIX "gcu-%u", i);
		kvs_remove(w.kvs, str_of(key));
	}
}

static void
assert_equal(void)
{
	char want[65], got[65];

	engine_digest(w.all, want);
	engine_digest(w.e, got);
	assert_string_equal(want, got);
}

static void
test_rebuild(void **state)
{
	(void)state;
	begin();
	for (unsigned i = 0; i < STUDENTS; i++)
		visit(i, 1 + i % 5);
	until(is_durable);
	keep_flush(w.keep);
	until(few_are_hot);
	assert_int_equal(cold_count(w.e), STUDENTS - 5);
	lose_indexes();
	for (unsigned round = 0; round < 5; round++) /* some come before the child, some later */
		for (unsigned i = 0; i < STUDENTS; i++)
			visit(i, 2);
	until(nobody_waits);
	assert_true(metric_value[METRIC_COLD_REBUILT] > 0);
	assert_equal();
	keep_flush(w.keep);
	until(few_are_hot);
	assert_equal();
	for (unsigned i = 0; i < STUDENTS; i++)
		visit(i, 1);
	until(nobody_waits);
	assert_equal();
}

/* No journal: it is said, and tried again; the end is clean all the same. */
static void
test_no_journal(void **state)
{
	char *from, *to;

	(void)state;
	begin();
	from = mem_printf("%s/journal", w.dir);
	to = mem_printf("%s/else", w.dir);
	for (unsigned i = 0; i < STUDENTS; i++)
		visit(i, 1);
	until(is_durable);
	keep_flush(w.keep);
	until(few_are_hot);
	lose_indexes();
	assert_int_equal(rename(from, to), 0);
	failed = false;
	visit(0, 1);
	until(has_failed);
	assert_int_equal(cold_waiting(w.e), 1);
	assert_int_equal(rename(to, from), 0);
	until(nobody_waits);
	assert_equal();
	mem_free(from);
	mem_free(to);
}

/* The child is killed at its work, as by a kernel without memory. */
static void
test_child_is_killed(void **state)
{
	(void)state;
	begin();
	for (unsigned i = 0; i < STUDENTS; i++)
		visit(i, 1);
	until(is_durable);
	keep_flush(w.keep);
	until(few_are_hot);
	lose_indexes();
	failed = false;
	kill_next = true;
	visit(0, 1);
	until(has_failed);
	visit(0, 1);
	until(nobody_waits);
	assert_equal();
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_rebuild, end),
		cmocka_unit_test_teardown(test_no_journal, end),
		cmocka_unit_test_teardown(test_child_is_killed, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
