/* SPDX-License-Identifier: MIT */
/* The snapshot: what goes in comes out, the old one stays until the new one is
 * whole, and one that is not right gives no entry at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "state/snapshot.h"
#include "state/window.h"

#define ORGANISATION "school.example"
#define FILE_MAX (64 << 10)

static char dir[64], path[128], temp[160];

static int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(dir, sizeof dir, "%.30s/lectern-snapshot-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/states", dir);
	snprintf(temp, sizeof temp, "%s.new", path);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(path);
	unlink(temp);
	return rmdir(dir);
}

/* ---- entries that follow from their number ---- */

static struct str
part_of(uint64_t i, char which)
{
	static char text[2][300000];
	char *p = text[which == 'v'];
	size_t n = which == 'k' ? i % 20 : i == 7 ? 200000 : (i * 41) % 300;

	for (size_t k = 0; k < n; k++)
		p[k] = (char)(i * 13 + k * 7 + (uint64_t)which);
	return (struct str){ p, n };
}

static void
save(uint64_t entries, uint64_t position)
{
	char *why = NULL;
	struct snapshot_writer *w = snapshot_begin(path, ORGANISATION, position, &why);

	assert_non_null(w);
	for (uint64_t i = 0; i < entries; i++)
		snapshot_add(w, (uint8_t)(i * 3), part_of(i, 'k'), part_of(i, 'v'));
	assert_int_equal(snapshot_commit(w, &why), ERR_OK);
	assert_null(why);
}

struct loaded {
	uint64_t n, stop_at;
	char slack; /* of the bytes behind the values */
	bool wrong;
};

static enum err
entry_cb(void *arg, uint8_t kind, struct str key, struct str value)
{
	struct loaded *l = arg;

	if (kind != (uint8_t)(l->n * 3) || !str_eq(key, part_of(l->n, 'k')) ||
	    !str_eq(value, part_of(l->n, 'v')))
		l->wrong = true;
	for (size_t i = 0; i < 64; i++)
		l->slack ^= value.p[value.n + i]; /* room for the JSON reader */
	return ++l->n == l->stop_at ? ERR_FULL : ERR_OK;
}

static enum err
load(struct loaded *l, uint64_t *position, char **why)
{
	*l = (struct loaded){ .stop_at = l->stop_at };
	*why = NULL;
	return snapshot_load(path, ORGANISATION, position, entry_cb, l, why);
}

static void
assert_loads(uint64_t entries, uint64_t position)
{
	struct loaded l = { 0 };
	uint64_t got = 0;
	char *why;
	enum err e = load(&l, &got, &why);

	if (why != NULL)
		print_message("%s\n", why);
	assert_int_equal(e, ERR_OK);
	assert_null(why);
	assert_false(l.wrong);
	assert_int_equal(l.n, entries);
	assert_int_equal(got, position);
}

/* No entry is given, the position is not touched. */
static void
assert_refused(enum err e, const char *word)
{
	struct loaded l = { 0 };
	uint64_t position = 99;
	char *why;

	assert_int_equal(load(&l, &position, &why), e);
	assert_non_null(why);
	if (strstr(why, word) == NULL)
		print_message("\"%s\" does not say \"%s\"\n", why, word);
	assert_non_null(strstr(why, word));
	assert_int_equal(l.n, 0);
	assert_int_equal(position, 99);
	mem_free(why);
}

static size_t
file_load(uint8_t *out, size_t room)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, out, room);

	assert_true(n >= 0 && (size_t)n < room);
	close(fd);
	return (size_t)n;
}

static void
file_store(const uint8_t *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
}

/* ---- tests ---- */

static void
none(void **state)
{
	(void)state;
	assert_refused(ERR_NOT_FOUND, "No such file");
}

static void
round_trip(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 2, 100, 3000 };
	struct stat st;

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		save(sizes[i], sizes[i] * 1000 + 1);
		assert_loads(sizes[i], sizes[i] * 1000 + 1);
		assert_int_equal(access(temp, F_OK), -1);
	}
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	save(1, UINT64_MAX);
	assert_loads(1, UINT64_MAX);
}

/* Nobody may change these bytes without a new version. */
static void
bytes(void **state)
{
	static const uint8_t want[] = {
		0xff, 'L', 'E', 'C', 'T', 'S', 'N', 'P', 1, 0, 0, 0, 14, 0, 0, 0,
		0x39, 0x30, 0, 0, 0, 0, 0, 0,
		's', 'c', 'h', 'o', 'o', 'l', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0,
		3, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
		'k', 'e', 'y', '{', '}', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0
	};
	static uint8_t file[FILE_MAX];
	char *why = NULL;
	struct snapshot_writer *w = snapshot_begin(path, ORGANISATION, 12345, &why);

	(void)state;
	snapshot_add(w, 9, STR_LIT("key"), STR_LIT("{}"));
	assert_int_equal(snapshot_commit(w, &why), ERR_OK);
	assert_int_equal(file_load(file, sizeof file), sizeof want + 32);
	assert_memory_equal(file, want, sizeof want);
}

static void
every_bit(void **state)
{
	static uint8_t file[FILE_MAX];
	struct loaded l = { 0 };
	size_t n;
	int fd;

	(void)state;
	save(6, 77);
	n = file_load(file, sizeof file);
	fd = open(path, O_WRONLY);
	for (size_t bit = 0; bit < n * 8; bit++) {
		uint8_t c = file[bit / 8] ^ (uint8_t)(1 << bit % 8);
		uint64_t position = 0;
		enum err e;
		char *why;

		assert_int_equal(pwrite(fd, &c, 1, (off_t)(bit / 8)), 1);
		e = load(&l, &position, &why);
		assert_true(e == ERR_DAMAGED || (e == ERR_INVALID && bit / 8 < 12));
		assert_non_null(why);
		mem_free(why);
		assert_int_equal(l.n, 0);
		assert_int_equal(pwrite(fd, file + bit / 8, 1, (off_t)(bit / 8)), 1);
	}
	close(fd);
	assert_loads(6, 77);
}

static void
every_length(void **state)
{
	static uint8_t file[FILE_MAX];
	struct loaded l = { 0 };
	size_t n;

	(void)state;
	save(6, 77);
	n = file_load(file, sizeof file);
	file[n] = 0;
	for (size_t cut = 0; cut <= n + 1; cut++) {
		uint64_t position = 0;
		char *why;

		if (cut == n)
			continue;
		file_store(file, cut);
		assert_int_equal(load(&l, &position, &why), ERR_DAMAGED);
		mem_free(why);
		assert_int_equal(l.n, 0);
	}
}

static void
not_ours(void **state)
{
	char *why = NULL;
	struct snapshot_writer *w;

	(void)state;
	w = snapshot_begin(path, "another.example", 1, &why);
	assert_int_equal(snapshot_commit(w, &why), ERR_OK);
	assert_refused(ERR_INVALID, "another organisation");
	w = snapshot_begin(path, "school.exampl", 1, &why);
	assert_int_equal(snapshot_commit(w, &why), ERR_OK);
	assert_refused(ERR_INVALID, "another organisation");
	file_store((const uint8_t *)"# a text file, long enough to be looked into by anyone\n\n"
	    "# and a little more\n", 77);
	assert_refused(ERR_INVALID, "is no snapshot");
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_refused(ERR_INVALID, "not a regular file");
	rmdir(path);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_refused(ERR_IO, "symbolic");
}

static void
callback_stops(void **state)
{
	struct loaded l = { .stop_at = 4 };
	uint64_t position = 99;
	char *why;

	(void)state;
	save(10, 5);
	assert_int_equal(load(&l, &position, &why), ERR_FULL);
	assert_int_equal(l.n, 4);
	assert_int_equal(position, 99);
	assert_null(why);
}

/* The old one is there until the new one is whole. */
static void
unfinished(void **state)
{
	char *why = NULL;
	struct snapshot_writer *w;

	(void)state;
	save(5, 50);
	w = snapshot_begin(path, ORGANISATION, 60, &why);
	for (uint64_t i = 0; i < 2000; i++)
		snapshot_add(w, 1, part_of(i, 'k'), part_of(i, 'v'));
	assert_loads(5, 50);
	snapshot_abort(w);
	assert_loads(5, 50);
	assert_int_equal(access(temp, F_OK), -1);
	/* What a crash left is no obstacle, nor a way to write elsewhere. */
	assert_int_equal(symlink("/nonexistent/elsewhere", temp), 0);
	save(6, 60);
	assert_loads(6, 60);
}

static void
cannot_begin(void **state)
{
	char *why = NULL;

	(void)state;
	assert_int_equal(mkdir(temp, 0700), 0);
	assert_null(snapshot_begin(path, ORGANISATION, 1, &why));
	assert_non_null(why);
	mem_free(why);
	rmdir(temp);
	why = NULL;
	assert_null(snapshot_begin("/nonexistent/folder/states", ORGANISATION, 1, &why));
	assert_non_null(strstr(why, "No such file"));
	mem_free(why);
}

static void
cannot_rename(void **state)
{
	char *why = NULL;
	struct snapshot_writer *w;

	(void)state;
	assert_int_equal(mkdir(path, 0700), 0);
	w = snapshot_begin(path, ORGANISATION, 1, &why);
	assert_int_equal(snapshot_commit(w, &why), ERR_IO);
	assert_non_null(strstr(why, "put into its place"));
	mem_free(why);
	assert_int_equal(access(temp, F_OK), -1);
	rmdir(path);
}

/* A disk that takes no more: said once at the end, the old one stays. */
static void
no_room(void **state)
{
	struct rlimit limit;
	int status;
	pid_t child;

	(void)state;
	save(5, 50);
	child = fork();
	if (child == 0) {
		char *why = NULL;
		struct snapshot_writer *w = snapshot_begin(path, ORGANISATION, 60, &why);

		signal(SIGXFSZ, SIG_IGN);
		if (w == NULL || getrlimit(RLIMIT_FSIZE, &limit) != 0)
			_exit(2);
		limit.rlim_cur = 100000;
		if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
			_exit(3);
		for (uint64_t i = 0; i < 3000; i++)
			snapshot_add(w, 1, part_of(i, 'k'), part_of(i, 'v'));
		_exit(snapshot_commit(w, &why) == ERR_IO && strstr(why, "written") ? 0 : 4);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_loads(5, 50);
	assert_int_equal(access(temp, F_OK), -1);
}

/* The disk cannot read a place, or the file shrinks under the reader. */
#define BAD_PLACE 50000
static bool shrinks;

static ssize_t
bad_pread(int fd, void *p, size_t n, off_t at)
{
	if (at < BAD_PLACE)
		return pread(fd, p, n < (size_t)(BAD_PLACE - at) ? n : (size_t)(BAD_PLACE - at), at);
	errno = EIO;
	return shrinks ? 0 : -1;
}

static void
unreadable(void **state)
{
	(void)state;
	save(400, 9);
	window_pread = bad_pread;
	assert_refused(ERR_IO, "cannot read");
	shrinks = true;
	assert_refused(ERR_DAMAGED, "cut while it was read");
	window_pread = pread;
	assert_loads(400, 9);
}

static void
relative_path(void **state)
{
	char cwd[4096], saved[128];

	(void)state;
	assert_non_null(getcwd(cwd, sizeof cwd));
	assert_int_equal(chdir(dir), 0);
	memcpy(saved, path, sizeof saved);
	snprintf(path, sizeof path, "states");
	save(3, 30);
	assert_loads(3, 30);
	memcpy(path, saved, sizeof saved);
	assert_int_equal(chdir(cwd), 0);
	assert_loads(3, 30);
}

int
main(void)
{
#define SNAPSHOT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		SNAPSHOT_TEST(none),
		SNAPSHOT_TEST(round_trip),
		SNAPSHOT_TEST(bytes),
		SNAPSHOT_TEST(every_bit),
		SNAPSHOT_TEST(every_length),
		SNAPSHOT_TEST(not_ours),
		SNAPSHOT_TEST(callback_stops),
		SNAPSHOT_TEST(unfinished),
		SNAPSHOT_TEST(cannot_begin),
		SNAPSHOT_TEST(cannot_rename),
		SNAPSHOT_TEST(no_room),
		SNAPSHOT_TEST(unreadable),
		SNAPSHOT_TEST(relative_path),
	};

	return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
