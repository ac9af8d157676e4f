/* SPDX-License-Identifier: MIT */
/* The journal that is written: order, grouping, rotation, back-pressure, the
 * lock, what a disk that fails does to it, and what kill -9 does. */
#include "tests/unit/journal_help.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/jsonw.h"

static struct rig g; /* large: not on the stack */
static struct seen replayed;

static int
setup(void **state)
{
	(void)state;
	rig_new(&g);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	rig_free(&g);
	io_real();
	return 0;
}

static void
assert_live(uint64_t first, uint64_t last)
{
	assert_false(g.live.wrong);
	assert_int_equal(g.live.n, last - first + 1);
	assert_int_equal(g.live.first, first);
	assert_int_equal(g.live.last, last);
}

/* ---- the ordinary life ---- */

static void
empty_folder(void **state)
{
	struct journal_summary sum;
	struct journal_reader reader = { 0 };
	struct stat st;
	char *why = NULL;

	(void)state;
	assert_int_equal(rmdir(g.dir), 0);
	assert_int_equal(journal_read(g.dir, ORGANISATION, 0, &reader, &sum, &why), ERR_NOT_FOUND);
	assert_non_null(why);
	mem_free(why);
	rig_must_open(&g, &replayed);
	assert_int_equal(journal_durable(g.j), 0);
	assert_int_equal(journal_segment(g.j), 1);
	assert_int_equal(stat(g.dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	rig_drain(&g); /* nothing to wait for */
	rig_close(&g);
	assert_whole(g.dir, 0);
	assert_int_equal(access(rig_path(&g, 1), F_OK), -1);
}

static void
append_commit_read(void **state)
{
	struct stat st;

	(void)state;
	rig_must_open(&g, &replayed);
	for (int i = 1; i <= 5; i++) {
		rig_append_block(&g, 5);
		assert_int_equal(g.commits, i);
		assert_live(1, 5 * (uint64_t)i);
		assert_int_equal(journal_durable(g.j), 5 * i);
	}
	rig_close(&g);
	assert_whole(g.dir, 25);
	assert_int_equal(stat(rig_path(&g, 1), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(access(rig_path(&g, 2), F_OK), -1);
}

static void
reopen_and_go_on(void **state)
{
	(void)state;
	for (uint64_t n = 0; n < 50; n += 10) {
		rig_must_open(&g, &replayed);
		assert_int_equal(replayed.n, n);
		assert_int_equal(g.sum.damaged, 0);
		assert_false(g.sum.torn_tail);
		rig_append_block(&g, 3);
		rig_append_block(&g, 7);
		assert_live(n + 1, n + 10);
		rig_close(&g);
		assert_whole(g.dir, n + 10);
	}
	assert_int_equal(access(rig_path(&g, 2), F_OK), -1);
}

/* What was not committed when the journal closes is not there afterwards. */
static void
closed_before_commit(void **state)
{
	(void)state;
	rig_must_open(&g, &replayed);
	rig_append_block(&g, 4);
	rig_append(&g);
	journal_drain(g.j, rig_stop_cb, &g); /* is not called */
	rig_close(&g);
	assert_whole(g.dir, 4);
}

/* Closed while the pool writes: harmless, too. */
static int held[2];
static struct loop_timer *closer;

static void
close_in_flight_cb(void *arg)
{
	(void)arg;
	if (!g.j->in_flight) {
		loop_timer_once(closer, 1);
		return;
	}
	rig_close(&g);
	loop_stop(g.loop);
	assert_int_equal(write(held[1], "x", 1), 1);
}

static int
held_sync(int fd)
{
	char c;

	return read(held[0], &c, 1) == 1 ? fdatasync(fd) : -1;
}

static void
closed_in_flight(void **state)
{
	(void)state;
	closer = loop_timer_new(g.loop, close_in_flight_cb, NULL);
	assert_int_equal(pipe(held), 0);
	journal_io.fdatasync = held_sync;
	rig_must_open(&g, &replayed);
	rig_append(&g);
	loop_timer_once(closer, 1);
	loop_run(g.loop);
	loop_timer_free(closer);
	rig_free(&g); /* the pool ends here */
	close(held[0]);
	close(held[1]);
	assert_int_equal(g.live.n, 0);
	rig_new(&g);
}

/* Records appended while others take effect follow in the next block. */
static void
grow_cb(void *arg)
{
	struct rig *r = arg;

	r->commits++;
	if (r->told[0] < 100)
		rig_append(r);
	else
		loop_stop(r->loop);
}

static void
append_inside_commit(void **state)
{
	struct journal_listener on = { .on_record = rig_record_cb, .on_commit = grow_cb, .arg = &g };

	(void)state;
	rig_must_open(&g, &replayed);
	journal_listen(g.j, &on);
	rig_append(&g);
	loop_run(g.loop);
	assert_live(1, 100);
	assert_int_equal(g.commits, 100);
	rig_close(&g);
	assert_whole(g.dir, 100);
}

/* ---- large ones ---- */

static void
large_record_cb(void *arg, const struct record *r)
{
	uint64_t *sum = arg;

	assert_int_equal(r->body.n, 1 << 20);
	for (size_t i = 0; i < r->body.n; i += 4093)
		assert_int_equal((uint8_t)r->body.p[i], (uint8_t)(r->seq + i));
	*sum += r->seq;
}

static void
large_records(void **state)
{
	struct journal_reader reader = { .record = large_record_cb };
	struct journal_listener on = { .on_record = large_record_cb, .on_commit = rig_commit_cb };
	uint64_t live = 0, again = 0;
	char *text = mem_alloc(1 << 20), *why = NULL;
	struct str body = { text, 1 << 20 };

	(void)state;
	rig_must_open(&g, &replayed);
	on.arg = &live;
	on.on_commit = NULL;
	journal_listen(g.j, &on);
	for (uint64_t seq = 1; seq <= 30; seq++) {
		for (size_t i = 0; i < body.n; i++)
			text[i] = (char)(seq + i);
		journal_append(g.j, RECORD_EVENT, 1, 0, &body, 1);
	}
	rig_drain(&g);
	rig_close(&g);
	mem_free(text);
	assert_int_equal(live, 30 * 31 / 2);
	reader.arg = &again;
	assert_int_equal(journal_read(g.dir, ORGANISATION, 0, &reader, &g.sum, &why), ERR_OK);
	assert_int_equal(again, live);
	assert_int_equal(g.sum.damaged, 0);
	assert_in_range(g.sum.blocks, 4, 6); /* a full block takes nothing more */
}

/* ---- back-pressure ---- */

static void
full_and_resume(void **state)
{
	(void)state;
	g.max_pending = 2000;
	rig_must_open(&g, &replayed);
	while (!journal_full(g.j))
		rig_append(&g);
	for (int i = 0; i < 10; i++)
		rig_append(&g); /* asked to stop, yet nothing is refused */
	assert_true(journal_full(g.j));
	assert_int_equal(g.resumes, 0);
	rig_drain(&g);
	assert_false(journal_full(g.j));
	assert_int_equal(g.resumes, 1);
	rig_append_block(&g, 1);
	assert_int_equal(g.resumes, 1);
	assert_live(1, g.told[0]);
}

/* ---- rotation ---- */

/* The segment in which the record is, by the segments' own headers. */
static uint32_t
segment_of(const struct journal_dir *d, uint64_t seq)
{
	uint32_t number = 0;

	for (size_t i = 0; i < d->n; i++) {
		if (d->v[i].header.first_seq <= seq)
			number = d->v[i].number;
	}
	return number;
}

static void
assert_told_right(uint64_t n)
{
	struct journal_dir d;
	char *why = NULL;

	assert_int_equal(journal_dir_open(&d, g.dir, ORGANISATION, false, &why), ERR_OK);
	assert_int_equal(journal_dir_list(&d, &why), ERR_OK);
	for (uint64_t seq = 1; seq <= n; seq++)
		assert_int_equal(segment_of(&d, seq), g.told[seq]);
	for (size_t i = 0; i < d.n; i++)
		assert_false(d.v[i].header.continued);
	journal_dir_close(&d);
}

static void
rotation(void **state)
{
	(void)state;
	g.segment_size = 1500;
	rig_must_open(&g, &replayed);
	for (int i = 0; i < 60; i++)
		rig_append_block(&g, 1 + i % 4);
	rig_close(&g);
	assert_true(g.told[g.told[0]] > 10);
	assert_live(1, g.told[0]);
	assert_told_right(g.told[0]);
	assert_whole(g.dir, g.told[0]);
	rig_must_open(&g, &replayed); /* and so on, after a restart */
	rig_append_block(&g, 30);
	rig_append_block(&g, 30);
	rig_close(&g);
	assert_told_right(g.told[0]);
	assert_whole(g.dir, g.told[0]);
}

/* A session that stated itself does so for the events that follow: a segment
 * never ends between the two. */
static void
no_rotation_behind_a_session(void **state)
{
	uint32_t segment;

	(void)state;
	g.segment_size = 600;
	rig_must_open(&g, &replayed);
	rig_append_block(&g, 10);
	assert_int_equal(journal_segment(g.j), 2);
	segment = journal_segment(g.j);
	rig_append_block(&g, 1); /* 11: a session */
	assert_int_equal(journal_segment(g.j), segment);
	rig_append_block(&g, 1);
	assert_int_equal(g.told[12], segment);
	rig_close(&g);
	assert_told_right(12);
}

/* ---- reading from a position ---- */

static void
positions(void **state)
{
	struct seen s;
	struct journal_summary sum;

	(void)state;
	g.segment_size = 1500;
	rig_must_open(&g, &replayed);
	for (int i = 0; i < 20; i++)
		rig_append_block(&g, 4);
	rig_close(&g);
	for (uint64_t after = 0; after <= 80; after++) {
		read_after(g.dir, after, &s, &sum);
		assert_int_equal(s.damaged, 0);
		for (uint64_t seq = 1; seq <= 80; seq++) {
			if (seq > after)
				assert_int_equal(s.times[seq], 1);
			else if (type_of(seq) == RECORD_EVENT)
				assert_int_equal(s.times[seq], 0);
		}
	}
	read_after(g.dir, 80, &s, &sum);
	assert_true(sum.segments < 3); /* the old ones are left alone */
}

/* A snapshot that knows more than the journal: said, and its numbers are not
 * given twice. */
static void
position_beyond_the_end(void **state)
{
	char *why;

	(void)state;
	rig_must_open(&g, &replayed);
	rig_append_block(&g, 10);
	rig_close(&g);
	why = rig_open(&g, 19, &replayed);
	assert_null(why);
	assert_int_equal(g.sum.damaged, 1);
	assert_int_equal(replayed.damage[0].first_lost, 11);
	assert_int_equal(replayed.damage[0].last_lost, 19);
	assert_int_equal(journal_durable(g.j), 19);
	rig_append_block(&g, 5);
	assert_live(20, 24);
	rig_close(&g);
	read_after(g.dir, 0, &replayed, &g.sum);
	assert_int_equal(replayed.n, 15);
	assert_int_equal(replayed.damaged, 1);
	assert_int_equal(replayed.damage[0].first_lost, 11);
	assert_int_equal(replayed.damage[0].last_lost, 19);
}

/* ---- lock ---- */

static void
lock_in_another_process(void **state)
{
	char pid[32], *why;
	int status;
	pid_t child;

	(void)state;
	snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
	rig_must_open(&g, &replayed);
	rig_append_block(&g, 3);
	child = fork();
	if (child == 0) {
		static struct rig other;

		memcpy(other.dir, g.dir, sizeof other.dir);
		rig_loop(&other);
		why = rig_open(&other, 0, &replayed);
		_exit(other.j == NULL && why != NULL && strstr(why, pid) != NULL ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_whole(g.dir, 3); /* reading needs no lock */
	rig_close(&g);
	rig_must_open(&g, &replayed);
	assert_int_equal(replayed.n, 3);
}

/* The lock of a process that died is free, whatever the file says. */
static void
lock_of_the_dead(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof path, "%s/lock", g.dir);
	file_store(path, (const uint8_t *)"1\n", 2);
	rig_must_open(&g, &replayed);
}

/* ---- status ---- */

static void
status(void **state)
{
	struct buf out = BUF_INIT(0);
	struct jsonw w = jsonw_to(&out);
	char *text;

	(void)state;
	rig_must_open(&g, &replayed);
	rig_append_block(&g, 3);
	rig_append(&g);
	journal_status(g.j, &w);
	text = buf_take(&out);
	assert_non_null(strstr(text, "\"segment\":1,"));
	assert_non_null(strstr(text, "\"durable\":3,"));
	assert_non_null(strstr(text, "\"appended\":4,"));
	assert_non_null(strstr(text, "\"stalled\":false"));
	assert_non_null(strstr(text, "\"last_error\":null"));
	mem_free(text);
}

/* ---- memory ---- */

/* A large event does not keep its memory for ever. */
static void
block_memory(void **state)
{
	struct journal_block *b = journal_block_new();
	struct record r = { .seq = 1, .session = 1, .type = RECORD_EVENT };
	char *text = mem_zalloc(20 << 20);
	struct str body = { text, 4 << 20 };
	const uint8_t *kept;

	(void)state;
	r.body.n = body.n;
	journal_block_put(b, &r, &body, 1);
	kept = b->data;
	journal_block_reset(b);
	assert_ptr_equal(b->data, kept); /* the next one may be like it */
	body.n = r.body.n = 100;
	for (int i = 0; b->data != NULL; i++) {
		assert_true(i < 1000);
		journal_block_put(b, &r, &body, 1);
		assert_int_equal(b->len, SEGMENT_BLOCK + segment_record_size(100));
		journal_block_reset(b);
	}
	for (int i = 0; i < 1000; i++) { /* small ones keep theirs */
		journal_block_put(b, &r, &body, 1);
		journal_block_reset(b);
		assert_non_null(b->data);
	}
	body.n = r.body.n = 20 << 20;
	journal_block_put(b, &r, &body, 1);
	journal_block_reset(b);
	assert_null(b->data);
	journal_block_free(b);
	mem_free(text);
}

/* ---- refused before anything is looked at ---- */

static void
cannot_open(void **state)
{
	char name[300], *why = NULL;
	struct journal_options o = { g.dir, name, 1000, 1000 };
	struct journal_reader none = { 0 };

	(void)state;
	memset(name, 'x', sizeof name);
	name[256] = '\0';
	assert_null(journal_open(g.loop, &o, 0, &none, &g.sum, &why));
	assert_non_null(strstr(why, "longer than 255"));
	mem_free(why);
	name[255] = '\0';
	g.j = journal_open(g.loop, &o, 0, &none, &g.sum, &why);
	assert_non_null(g.j);
	rig_close(&g);
	o.dir = "/nonexistent/journal";
	assert_null(journal_open(g.loop, &o, 0, &none, &g.sum, &why));
	assert_non_null(strstr(why, "/nonexistent/journal: cannot be made"));
	mem_free(why);
	o.dir = "/dev/null";
	assert_null(journal_open(g.loop, &o, 0, &none, &g.sum, &why));
	assert_non_null(strstr(why, "/dev/null: cannot be opened: Not a directory"));
	mem_free(why);
}

/* ---- kill -9 ---- */

#define KILL_ROUNDS 20

static int kill_pipe;

static void
kill_commit_cb(void *arg)
{
	struct rig *r = arg;
	uint64_t durable = journal_durable(r->j);

	if (write(kill_pipe, &durable, sizeof durable) != sizeof durable)
		_exit(2);
	for (uint64_t i = 0; i <= durable % 5; i++)
		rig_append(r);
}

/* Appends for ever; tells of each commit through the pipe. */
static void
kill_child(void)
{
	struct journal_listener on = { .on_commit = kill_commit_cb, .arg = &g };
	char *why = rig_open(&g, 0, &replayed);

	if (why != NULL || replayed.wrong)
		_exit(3);
	journal_listen(g.j, &on);
	rig_append(&g);
	loop_run(g.loop);
	_exit(4);
}

static uint64_t
kill_round(unsigned acks)
{
	int ends[2], status;
	uint64_t durable = 0;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		close(ends[0]);
		kill_pipe = ends[1];
		kill_child();
	}
	close(ends[1]);
	for (unsigned i = 0; i < acks; i++)
		assert_int_equal(read(ends[0], &durable, sizeof durable), sizeof durable);
	assert_int_equal(kill(child, SIGKILL), 0);
	while (read(ends[0], &durable, sizeof durable) == sizeof durable)
		;
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	return durable;
}

static void
kill_nine(void **state)
{
	struct journal_summary sum;
	unsigned seed = (unsigned)getpid();

	(void)state;
	g.segment_size = 20000;
	for (int round = 0; round < KILL_ROUNDS; round++) {
		uint64_t acked;

		seed = seed * 1103515245 + 12345;
		acked = kill_round(1 + seed / 65536 % 60);
		read_after(g.dir, 0, &replayed, &sum);
		assert_int_equal(replayed.damaged, 0);
		assert_true(replayed.last >= acked);
		for (uint64_t seq = 1; seq <= replayed.last; seq++)
			assert_int_equal(replayed.times[seq], 1);
	}
}

int
main(void)
{
#define JOURNAL_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		JOURNAL_TEST(empty_folder),
		JOURNAL_TEST(append_commit_read),
		JOURNAL_TEST(reopen_and_go_on),
		JOURNAL_TEST(closed_before_commit),
		JOURNAL_TEST(closed_in_flight),
		JOURNAL_TEST(append_inside_commit),
		JOURNAL_TEST(large_records),
		JOURNAL_TEST(full_and_resume),
		JOURNAL_TEST(rotation),
		JOURNAL_TEST(no_rotation_behind_a_session),
		JOURNAL_TEST(positions),
		JOURNAL_TEST(position_beyond_the_end),
		JOURNAL_TEST(lock_in_another_process),
		JOURNAL_TEST(lock_of_the_dead),
		JOURNAL_TEST(status),
		JOURNAL_TEST(block_memory),
		JOURNAL_TEST(cannot_open),
		JOURNAL_TEST(kill_nine),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
