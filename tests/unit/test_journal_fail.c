/* SPDX-License-Identifier: MIT */
/* The journal on a disk that fails (C122): nothing takes effect that is not
 * durable, nothing is lost, what fdatasync refused is never synced again, and
 * service resumes by itself. */
#include "tests/unit/journal_help.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/jsonw.h"
#include "base/metric.h"

static struct rig g; /* large: not on the stack */
static struct seen replayed;

/* What the fake disk does. A call fails while its `..._fails` is above 0; the
 * first `skip` calls of it do not count. Changed only while the pool rests. */
static struct {
	int write_errno, write_fails, write_skip;
	int hold;            /* writes wait until a byte comes from here */
	size_t write_most; /* bytes a write takes, 0: all */
	bool interrupted;  /* every other write answers EINTR */
	int sync_errno, sync_fails, sync_skip;
	unsigned sync_mask; /* the n-th fdatasync fails where bit n is set */
	int folder_fails, cut_fails, unlink_fails;
	uint64_t refused_inode; /* fdatasync failed on it */
	bool asked_again;       /* ... and was asked once more */
	unsigned writes, syncs, unlinks;
} disk;

static bool
disk_fails(int *fails, int *skip)
{
	if (skip != NULL && *skip > 0) {
		(*skip)--;
		return false;
	}
	return *fails > 0 && (*fails)-- > 0;
}

static ssize_t
disk_pwrite(int fd, const void *p, size_t n, off_t at)
{
	unsigned turn = disk.writes++;
	char c;

	if (disk.hold > 0 && read(disk.hold, &c, 1) != 1)
		return -1;
	if (disk.interrupted && turn % 2 == 0) {
		errno = EINTR;
		return -1;
	}
	if (disk_fails(&disk.write_fails, &disk.write_skip)) {
		errno = disk.write_errno;
		return disk.write_errno ? -1 : 0;
	}
	if (disk.write_most > 0 && n > disk.write_most)
		n = disk.write_most;
	return pwrite(fd, p, n, at);
}

static int
disk_fdatasync(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -1;
	if (disk.refused_inode == st.st_ino)
		disk.asked_again = true;
	if (disk_fails(&disk.sync_fails, &disk.sync_skip) ||
	    (disk.syncs < 32 && disk.sync_mask >> disk.syncs++ & 1)) {
		disk.refused_inode = st.st_ino;
		errno = disk.sync_errno;
		return -1;
	}
	return fdatasync(fd);
}

static int
disk_fsync(int fd)
{
	if (disk_fails(&disk.folder_fails, NULL)) {
		errno = EIO;
		return -1;
	}
	return fsync(fd);
}

static int
disk_ftruncate(int fd, off_t size)
{
	if (disk_fails(&disk.cut_fails, NULL)) {
		errno = EIO;
		return -1;
	}
	return ftruncate(fd, size);
}

static int
disk_unlinkat(int dir, const char *name, int flags)
{
	disk.unlinks++;
	if (disk_fails(&disk.unlink_fails, NULL)) {
		errno = EROFS;
		return -1;
	}
	disk.refused_inode = 0; /* its number may be a new file's */
	return unlinkat(dir, name, flags);
}

/* Each test begins with a journal of 5 records in one segment. */
static int
setup(void **state)
{
	(void)state;
	rig_new(&g);
	memset(&disk, 0, sizeof disk);
	rig_must_open(&g, &replayed);
	rig_append_block(&g, 5);
	journal_io = (struct journal_io){
		disk_pwrite, disk_fdatasync, disk_fsync, disk_ftruncate, disk_unlinkat
	};
	metric_set(METRIC_COMMIT_FAILURES, 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	io_real();
	window_pread = pread;
	rig_free(&g);
	return 0;
}

static off_t
size_of(uint32_t segment)
{
	struct stat st;

	return stat(rig_path(&g, segment), &st) == 0 ? st.st_size : -1;
}

static bool
continued(uint32_t segment)
{
	static uint8_t file[1 << 20];
	struct segment_header h;
	uint32_t version;

	file_load(rig_path(&g, segment), file, sizeof file);
	assert_int_equal(segment_header_decode(file, SEGMENT_HEADER, &h, &version), SEGMENT_GOOD);
	return h.continued;
}

/* All 1 to n came once, in order, after one stall; the journal is whole. */
static void
assert_survived(uint64_t n, uint64_t failures)
{
	assert_false(g.live.wrong);
	assert_int_equal(g.live.n, n);
	assert_int_equal(g.live.last, n);
	assert_int_equal(g.stalls, failures ? 1 : 0);
	assert_int_equal(g.resumes, failures ? 1 : 0);
	assert_int_equal(metric_value[METRIC_COMMIT_FAILURES], failures);
	assert_false(journal_stalled(g.j));
	assert_false(disk.asked_again);
	assert_whole(g.dir, n);
	rig_append_block(&g, 3);
	rig_close(&g);
	assert_whole(g.dir, n + 3);
	rig_must_open(&g, &replayed);
	assert_int_equal(replayed.n, n + 3);
}

/* ---- a block fails ---- */

static int on_stall_keeps; /* records to append while the disk refuses */

static void
stall_cb(void *arg)
{
	struct rig *r = arg;
	struct buf out = BUF_INIT(0);
	struct jsonw w = jsonw_to(&out);
	char *text;

	r->stalls++;
	assert_true(journal_stalled(r->j));
	assert_int_equal(r->live.last, journal_durable(r->j));
	journal_status(r->j, &w);
	text = buf_take(&out);
	assert_non_null(strstr(text, "\"stalled\":true"));
	assert_null(strstr(text, "\"last_error\":null"));
	mem_free(text);
	for (int i = 0; i < on_stall_keeps; i++)
		rig_append(r);
}

static void
listen_with_stall(int keeps)
{
	struct journal_listener on = {
		rig_record_cb, rig_commit_cb, stall_cb, rig_resume_cb, &g
	};

	on_stall_keeps = keeps;
	journal_listen(g.j, &on);
}

static void
no_space(void **state)
{
	static const int errors[] = { ENOSPC, EDQUOT, 0 /* takes nothing */ };

	(void)state;
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		off_t before = size_of(1);

		if (i > 0) {
			teardown(state);
			setup(state);
			before = size_of(1);
		}
		disk.write_errno = errors[i];
		disk.write_fails = 1;
		listen_with_stall(4);
		rig_append_block(&g, 6); /* drained: the four of the stall are later */
		rig_drain(&g);
		assert_int_equal(size_of(1), before);
		assert_true(continued(2));
		assert_survived(15, 1);
	}
}

static void
no_space_for_a_while(void **state)
{
	(void)state;
	disk.write_errno = ENOSPC;
	disk.write_fails = 2;
	rig_append_block(&g, 6);
	assert_survived(11, 2);
}

static void
write_ends_in_the_middle(void **state)
{
	off_t before = size_of(1);

	(void)state;
	disk.write_errno = ENOSPC;
	disk.write_fails = 1;
	disk.write_skip = 3;
	disk.write_most = 100;
	rig_append_block(&g, 6);
	assert_int_equal(size_of(1), before);
	assert_survived(11, 1);
}

static void
short_and_interrupted_writes(void **state)
{
	(void)state;
	disk.write_most = 7;
	disk.interrupted = true;
	rig_append_block(&g, 6);
	assert_int_equal(size_of(2), -1);
	assert_survived(11, 0);
}

static void
sync_fails_then_succeeds(void **state)
{
	off_t before = size_of(1);

	(void)state;
	disk.sync_errno = EIO;
	disk.sync_fails = 1;
	rig_append_block(&g, 6);
	assert_int_equal(size_of(1), before);
	assert_true(size_of(2) > 0);
	assert_survived(11, 1);
}

/* The block stays in the old segment, too; it counts once. */
static void
cut_fails(void **state)
{
	off_t before = size_of(1);

	(void)state;
	disk.sync_errno = EIO;
	disk.sync_fails = 1;
	disk.cut_fails = 1;
	rig_append_block(&g, 6);
	assert_true(size_of(1) > before);
	assert_survived(11, 1);
}

static void
stop_cb(void *arg)
{
	struct rig *r = arg;

	r->stalls++;
	loop_stop(r->loop);
}

/* The process ends before the block is anywhere else: what the old segment
 * holds was never acknowledged, and is kept. */
static void
cut_fails_then_the_end(void **state)
{
	struct journal_listener on = { rig_record_cb, NULL, stop_cb, NULL, &g };

	(void)state;
	disk.sync_errno = EIO;
	disk.sync_fails = 1;
	disk.cut_fails = 1;
	journal_listen(g.j, &on);
	for (int i = 0; i < 6; i++)
		rig_append(&g);
	loop_run(g.loop);
	assert_int_equal(g.live.n, 5);
	rig_close(&g);
	memset(&disk, 0, sizeof disk);
	rig_must_open(&g, &replayed);
	assert_int_equal(replayed.n, 11);
	rig_append_block(&g, 4);
	assert_whole(g.dir, 15);
}

/* ... or while a part of it is there. */
static void
torn_then_the_end(void **state)
{
	struct journal_listener on = { rig_record_cb, NULL, stop_cb, NULL, &g };

	(void)state;
	disk.write_errno = ENOSPC;
	disk.write_fails = 1;
	disk.write_skip = 7;
	disk.write_most = 100;
	disk.cut_fails = 1;
	journal_listen(g.j, &on);
	for (int i = 0; i < 6; i++)
		rig_append(&g);
	loop_run(g.loop);
	rig_close(&g);
	memset(&disk, 0, sizeof disk);
	rig_must_open(&g, &replayed);
	assert_true(g.sum.torn_tail);
	assert_in_range(replayed.n, 6, 10);
	rig_append_block(&g, 4);
	assert_whole(g.dir, replayed.n + 4);
	assert_true(continued(2));
}

/* ---- a new segment fails ---- */

/* The next block is to open segment 2. */
static void
rotate_next(void)
{
	rig_close(&g);
	g.segment_size = 512;
	rig_must_open(&g, &replayed);
	assert_int_equal(journal_segment(g.j), 2);
	g.live = (struct seen){ .n = 5, .first = 1, .last = 5 };
	disk.unlinks = 0;
}

static void
assert_nothing_left_cb(void *arg)
{
	((struct rig *)arg)->stalls++;
	if (disk.unlink_fails == 0 && disk.unlinks == 1)
		assert_int_equal(size_of(2), -1);
}

static void
new_segment_fails(void **state)
{
	struct journal_listener on = {
		rig_record_cb, rig_commit_cb, assert_nothing_left_cb, rig_resume_cb, &g
	};

	for (int step = 0; step < 5; step++) {
		if (step > 0) {
			teardown(state);
			setup(state);
		}
		rotate_next();
		journal_listen(g.j, &on);
		disk.write_errno = disk.sync_errno = EIO;
		disk.write_fails = step == 0 || step == 1;
		disk.write_skip = step;
		disk.sync_fails = step == 2;
		disk.folder_fails = step == 3 || step == 4;
		disk.unlink_fails = step == 4 ? 2 : 0; /* at once, and before the next try */
		rig_append_block(&g, 6);
		assert_false(continued(2));
		assert_survived(11, step == 4 ? 2 : 1);
	}
}

static void
name_is_taken_cb(void *arg)
{
	((struct rig *)arg)->stalls++;
	assert_int_equal(unlink(rig_path(&g, 2)), 0);
}

/* Somebody put a file where the next segment is to be: never overwritten. */
static void
name_is_taken(void **state)
{
	struct journal_listener on = {
		rig_record_cb, rig_commit_cb, name_is_taken_cb, rig_resume_cb, &g
	};

	(void)state;
	rotate_next();
	journal_listen(g.j, &on);
	file_store(rig_path(&g, 2), (const uint8_t *)"mine", 4);
	rig_append_block(&g, 6);
	assert_survived(11, 1);
}

static int holding[2];
static struct loop_timer *behind;

static void
append_behind_cb(void *arg)
{
	static const char plenty[1000]; /* of writes */

	if (!g.j->in_flight) {
		loop_timer_once(behind, 1);
		return;
	}
	rig_append(arg);
	assert_int_equal(write(holding[1], plenty, sizeof plenty), sizeof plenty);
}

/* While a block is in flight the next one gathers, told segment 1. Then 1 fails,
 * and 2 after its first block: what was told 1 comes to lie in 3. */
static void
fails_again_and_again(void **state)
{
	(void)state;
	behind = loop_timer_new(g.loop, append_behind_cb, &g);
	assert_int_equal(pipe(holding), 0);
	disk.hold = holding[0];
	disk.sync_errno = EIO;
	disk.sync_mask = 1 << 0 | 1 << 2; /* between them: the first block of 2 */
	for (int i = 0; i < 3; i++)
		rig_append(&g);
	loop_timer_once(behind, 1);
	while (g.live.last < 9)
		rig_drain(&g);
	loop_timer_free(behind);
	disk.hold = 0;
	close(holding[0]);
	close(holding[1]);
	assert_int_equal(g.told[9], 1);
	assert_true(continued(2));
	assert_true(continued(3));
	assert_int_equal(g.stalls, 2);
	assert_int_equal(g.resumes, 2);
	rig_append_block(&g, 6);
	assert_int_equal(g.told[10], 3);
	assert_false(disk.asked_again);
	assert_whole(g.dir, 15);
	/* Whoever starts in 3 is given the session stated in 1. */
	read_after(g.dir, 8, &replayed, &g.sum);
	assert_int_equal(g.sum.segments, 3);
	assert_int_equal(replayed.times[1], 1);
	assert_int_equal(replayed.times[8], 0);
	assert_int_equal(replayed.times[9], 1);
}

/* Blocks that wait behind the failed one keep the segments they were told. */
static void
large_blocks_behind(void **state)
{
	char *text = mem_zalloc(9 << 20), *why = NULL;
	struct str body = { text, 9 << 20 };
	struct journal_listener none = { 0 };
	struct journal_reader reader = { 0 };

	(void)state;
	rotate_next();
	journal_listen(g.j, &none);
	disk.sync_errno = EIO;
	disk.sync_fails = 2;
	disk.sync_skip = 1; /* segment 2 */
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(journal_segment(g.j), 2 + i);
		journal_append(g.j, RECORD_EVENT, 1, 0, &body, 1);
	}
	rig_drain(&g);
	mem_free(text);
	assert_int_equal(journal_read(g.dir, ORGANISATION, 0, &reader, &g.sum, &why), ERR_OK);
	assert_int_equal(g.sum.damaged, 0);
	assert_int_equal(g.sum.records, 9);
	assert_int_equal(g.sum.segments, 5);
}

/* ---- the real thing: no file may grow beyond a limit ---- */

static struct rlimit limit;

static void
lift_limit_cb(void *arg)
{
	((struct rig *)arg)->stalls++;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
		_exit(2);
}

static void
file_size_limit(void **state)
{
	struct journal_listener on = {
		rig_record_cb, rig_commit_cb, lift_limit_cb, rig_resume_cb, &g
	};
	int status;
	pid_t child;

	(void)state;
	rig_close(&g);
	child = fork();
	if (child == 0) {
		io_real();
		signal(SIGXFSZ, SIG_IGN);
		if (getrlimit(RLIMIT_FSIZE, &limit) != 0)
			_exit(3);
		limit.rlim_cur = 4096;
		/* the test's output may be a file: only the journal's thread writes here */
		rig_loop(&g);
		if (rig_open(&g, 0, &replayed) != NULL || setrlimit(RLIMIT_FSIZE, &limit) != 0)
			_exit(4);
		journal_listen(g.j, &on);
		for (int i = 0; i < 40; i++)
			rig_append(&g);
		rig_drain(&g);
		_exit(g.live.n == 40 && g.stalls == 1 && g.resumes == 1 ? 0 : 5);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_whole(g.dir, 45);
	assert_true(size_of(2) > 4096);
}

/* ---- at the start ---- */

static void
refused_at_the_start(void **state)
{
	char *why;

	(void)state;
	rig_close(&g);
	disk.sync_errno = EIO;
	disk.sync_fails = 1;
	why = rig_open(&g, 0, &replayed);
	assert_null(g.j);
	assert_non_null(strstr(why, "syncing the last segment"));
	mem_free(why);
	rig_must_open(&g, &replayed);
}

/* The records of a torn block cannot be put into a new segment, or the torn one
 * cannot be cut: refused, and the next start finds all of them. */
static void
recovery_fails(void **state)
{
	static uint8_t file[1 << 16];
	size_t n;

	for (int step = 0; step < 4; step++) {
		char *why;

		if (step > 0) {
			teardown(state);
			setup(state);
		}
		rig_append_block(&g, 5);
		rig_close(&g);
		n = file_load(rig_path(&g, 1), file, sizeof file);
		file_store(rig_path(&g, 1), file, n - SEGMENT_TRAILER);
		disk.write_errno = disk.sync_errno = EIO;
		disk.write_fails = step == 0;
		disk.write_skip = 1;
		disk.sync_fails = step == 1 || step == 3;
		disk.sync_skip = step == 1 ? 1 : 2; /* of the last segment, of the new one */
		disk.cut_fails = step == 2;
		why = rig_open(&g, 0, &replayed);
		assert_null(g.j);
		assert_non_null(strstr(why, step < 2 ? "saving the records" : "cutting the torn"));
		mem_free(why);
		disk.write_skip = disk.sync_skip = 0;
		rig_must_open(&g, &replayed);
		assert_int_equal(replayed.n, 10);
		assert_int_equal(g.sum.damaged, 0);
		rig_append_block(&g, 2);
		assert_whole(g.dir, 12);
	}
}

static void
unfinished_segment_stays(void **state)
{
	char *why;

	(void)state;
	rig_close(&g);
	file_store(rig_path(&g, 2), (const uint8_t *)"", 0);
	disk.unlink_fails = 1;
	why = rig_open(&g, 0, &replayed);
	assert_null(g.j);
	assert_non_null(strstr(why, "removing the unfinished segment"));
	mem_free(why);
	rig_must_open(&g, &replayed);
	assert_true(g.sum.torn_tail);
	assert_int_equal(size_of(2), -1);
}

/* A page of the file that the disk cannot read costs that page. */
static uint64_t bad_page;

static ssize_t
bad_pread(int fd, void *p, size_t n, off_t at)
{
	if ((uint64_t)at < bad_page + 4096 && (uint64_t)at + n > bad_page) {
		errno = EIO;
		return -1;
	}
	return pread(fd, p, n, at);
}

static void
unreadable_page(void **state)
{
	uint64_t missing = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		rig_append_block(&g, 2);
	rig_close(&g);
	bad_page = 8192;
	window_pread = bad_pread;
	read_after(g.dir, 0, &replayed, &g.sum);
	assert_true(replayed.damaged > 0);
	for (uint64_t seq = 1; seq <= 205; seq++)
		missing += replayed.times[seq] == 0;
	assert_in_range(missing, 5, 60);
	assert_int_equal(replayed.n + missing, 205);
	assert_int_equal(replayed.last, 205);
	rig_must_open(&g, &replayed); /* served on, in a new segment */
	window_pread = pread;
	assert_int_equal(journal_segment(g.j), 2);
	rig_append_block(&g, 5);
	assert_whole(g.dir, 210);
}

int
main(void)
{
#define FAIL_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		FAIL_TEST(no_space),
		FAIL_TEST(no_space_for_a_while),
		FAIL_TEST(write_ends_in_the_middle),
		FAIL_TEST(short_and_interrupted_writes),
		FAIL_TEST(sync_fails_then_succeeds),
		FAIL_TEST(cut_fails),
		FAIL_TEST(cut_fails_then_the_end),
		FAIL_TEST(torn_then_the_end),
		FAIL_TEST(new_segment_fails),
		FAIL_TEST(name_is_taken),
		FAIL_TEST(fails_again_and_again),
		FAIL_TEST(large_blocks_behind),
		FAIL_TEST(file_size_limit),
		FAIL_TEST(refused_at_the_start),
		FAIL_TEST(recovery_fails),
		FAIL_TEST(unfinished_segment_stays),
		FAIL_TEST(unreadable_page),
	};

	return cmocka_run_group_tests_name("journal_fail", tests, NULL, NULL);
}
