/* SPDX-License-Identifier: MIT */
/* The SQLite backend against the contract, and what is the file's own. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sqlite.h"
#include "tests/contract/kvs_contract.h"

static char folder[] = "/tmp/lectern-kvs-disk-XXXXXX";
static char file[64];
static struct kvs_options options;

static void
remove_file(void)
{
	char name[80];

	unlink(file);
	snprintf(name, sizeof name, "%s-wal", file);
	unlink(name);
	snprintf(name, sizeof name, "%s-shm", file);
	unlink(name);
}

static void
place(struct kvs_options *o)
{
	o->file = file;
}

static void
drop(struct kvs_options *o)
{
	(void)o;
	remove_file();
}

static int
setup(void **state)
{
	(void)state;
	options = (struct kvs_options){ .loop = loop_new(), .file = file };
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	loop_run(options.loop);
	loop_free(options.loop);
	remove_file();
	return 0;
}

static void
write_one(const char *key, const char *value)
{
	struct kvs *k = kvs_contract_open("disk", &options);

	kvs_put(k, str_of(key), str_of(value));
	assert_int_equal(kvs_contract_flush(k, options.loop), ERR_OK);
	kvs_close(k);
	loop_run(options.loop);
}

static void
assert_open_refused(const char *what)
{
	char *why = NULL;

	assert_null(kvs_open("disk", &options, &why));
	assert_non_null(strstr(why, file));
	assert_non_null(strstr(why, what));
	mem_free(why);
}

static void
test_private(void **state)
{
	struct stat st;

	(void)state;
	write_one("k", "v");
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void
fill_file(const char *sql)
{
	struct sqlite_options o = { .file = file, .create = true };
	char *why = NULL;
	struct sqlite *db = sqlite_open(&o, &why);

	assert_non_null(db);
	assert_int_equal(sqlite_exec(db, sql), ERR_OK);
	sqlite_close(db);
}

/* Files of others are refused and stay as they were. */
static void
test_foreign(void **state)
{
	int fd;

	(void)state;
	fill_file("CREATE TABLE roster (id TEXT)");
	assert_open_refused("not one of states");
	remove_file();
	write_one("k", "v");
	fill_file("PRAGMA user_version = 2");
	assert_open_refused("format 2");
	remove_file();
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(dprintf(fd, "%01000d", 7), 1000);
	close(fd);
	assert_open_refused("");
}

static void
test_read_only(void **state)
{
	struct kvs *k;
	char *got;

	(void)state;
	options.read_only = true;
	assert_open_refused("");
	options.read_only = false;
	write_one("k", "v");
	options.read_only = true;
	k = kvs_contract_open("disk", &options);
	got = kvs_contract_scan(k, options.loop, "");
	assert_string_equal(got, "k=v;");
	mem_free(got);
	kvs_put(k, STR_LIT("k"), STR_LIT("w"));
	assert_int_not_equal(kvs_contract_flush(k, options.loop), ERR_OK);
	assert_non_null(kvs_trouble(k));
	kvs_close(k);
}

/* A flush that fails says so; the store then has all of it or nothing. */
static void
test_locked(void **state)
{
	struct sqlite_options o = { .file = file };
	struct sqlite *db;
	struct kvs *k = kvs_contract_open("disk", &options);
	char *why = NULL, *got;

	(void)state;
	kvs_put(k, STR_LIT("a"), STR_LIT("1"));
	assert_int_equal(kvs_contract_flush(k, options.loop), ERR_OK);
	db = sqlite_open(&o, &why);
	assert_non_null(db);
	assert_int_equal(sqlite_begin(db), ERR_OK);
	kvs_put(k, STR_LIT("a"), STR_LIT("2"));
	kvs_put(k, STR_LIT("b"), STR_LIT("2"));
	assert_int_not_equal(kvs_contract_flush(k, options.loop), ERR_OK);
	assert_non_null(strstr(kvs_trouble(k), file));
	got = kvs_contract_scan(k, options.loop, "");
	assert_string_equal(got, "a=1;");
	mem_free(got);
	assert_non_null(kvs_trouble(k)); /* reading does not make it go away */
	sqlite_rollback(db);
	sqlite_close(db);
	kvs_put(k, STR_LIT("b"), STR_LIT("3"));
	assert_int_equal(kvs_contract_flush(k, options.loop), ERR_OK);
	assert_null(kvs_trouble(k));
	got = kvs_contract_scan(k, options.loop, "");
	assert_string_equal(got, "a=1;b=3;");
	mem_free(got);
	kvs_close(k);
}

/* What is asked together is done together: the failure of one job is told to all
 * flushes that it was about, and to none after them. */
static void
count_cb(void *arg, enum err e)
{
	unsigned *told = arg;

	told[e == ERR_OK]++;
	told[2]++;
}

static void
test_failure_is_told_once(void **state)
{
	struct sqlite_options o = { .file = file };
	struct kvs *k = kvs_contract_open("disk", &options);
	unsigned told[3] = { 0 };
	char *why = NULL;
	struct sqlite *db = sqlite_open(&o, &why);

	(void)state;
	assert_int_equal(sqlite_begin(db), ERR_OK);
	kvs_put(k, STR_LIT("a"), STR_LIT("1"));
	kvs_flush(k, count_cb, told);
	kvs_put(k, STR_LIT("b"), STR_LIT("1"));
	kvs_flush(k, count_cb, told);
	kvs_contract_until(options.loop, &told[2], 2);
	assert_int_equal(told[false], 2);
	sqlite_close(db);
	assert_int_equal(kvs_contract_flush(k, options.loop), ERR_OK);
	kvs_close(k);
}

#define MANY 400
#define BLOB 2000 /* bytes of a value */
#define DISK (256 << 10) /* bytes of a file that the disk takes */

static void
put_many(struct kvs *k, char with)
{
	char key[16], value[BLOB];

	memset(value, with, sizeof value);
	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof key, "k%03d", i);
		kvs_put(k, str_of(key), (struct str){ value, sizeof value });
	}
}

/* How many of them are there, all with this value. */
static int
count_many(struct kvs *k, char with)
{
	char key[16], want[BLOB + 1], *got;
	int n = 0;

	memset(want, with, BLOB);
	want[BLOB] = '\0';
	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof key, "k%03d", i);
		got = kvs_contract_get(k, options.loop, key);
		if (strcmp(got, "-") != 0) {
			assert_string_equal(got, want);
			n++;
		}
		mem_free(got);
	}
	return n;
}

/* In the middle of a flush the disk takes no more: nothing of it is in the store, what
 * was before is, and the next flush brings all. */
static void
test_disk_is_full(void **state)
{
	struct rlimit all, little = { .rlim_cur = DISK };
	struct kvs *k = kvs_contract_open("disk", &options);

	(void)state;
	kvs_put(k, STR_LIT("k000"), STR_LIT("before"));
	assert_int_equal(kvs_contract_flush(k, options.loop), ERR_OK);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
	little.rlim_max = all.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	put_many(k, 'x');
	assert_int_not_equal(kvs_contract_flush(k, options.loop), ERR_OK);
	assert_non_null(strstr(kvs_trouble(k), file));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
	kvs_remove(k, STR_LIT("k000"));
	assert_int_equal(kvs_contract_flush(k, options.loop), ERR_OK);
	assert_int_equal(count_many(k, 'x'), 0);
	put_many(k, 'y');
	assert_int_equal(kvs_contract_flush(k, options.loop), ERR_OK);
	assert_null(kvs_trouble(k));
	assert_int_equal(count_many(k, 'y'), MANY);
	kvs_close(k);
}

/* Values that the disk damaged are lost like those that are not there. */
static void
test_damaged(void **state)
{
	struct kvs *k = kvs_contract_open("disk", &options);
	char junk[4096];
	int fd, n;

	(void)state;
	put_many(k, 'x');
	assert_int_equal(kvs_contract_flush(k, options.loop), ERR_OK);
	kvs_close(k);
	loop_run(options.loop);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	memset(junk, 0xff, sizeof junk);
	for (off_t at = (off_t)sizeof junk * 40; at < (off_t)sizeof junk * 80; at += sizeof junk)
		assert_int_equal(pwrite(fd, junk, sizeof junk, at), sizeof junk);
	close(fd);
	k = kvs_contract_open("disk", &options);
	n = count_many(k, 'x');
	assert_in_range(n, 1, MANY - 1);
	kvs_close(k);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_private),
		TEST(test_foreign),
		TEST(test_read_only),
		TEST(test_locked),
		TEST(test_failure_is_told_once),
		TEST(test_disk_is_full),
		TEST(test_damaged),
	};
	static const struct kvs_contract contract = {
		.backend = "disk", .place = place, .drop = drop, .persistent = true };
	int failed;

	signal(SIGXFSZ, SIG_IGN); /* as lecternd does */
	if (mkdtemp(folder) == NULL)
		return 1;
	snprintf(file, sizeof file, "%s/states.db", folder);
	failed = kvs_contract_run(&contract);
	failed += cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(folder);
	return failed;
}
