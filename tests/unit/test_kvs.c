/* SPDX-License-Identifier: MIT */
/* Tests of state/kvs: the memory backend against the contract, with and without
 * a file, and what is the file's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "state/snapshot.h"
#include "tests/contract/kvs_contract.h"

static char folder[] = "/tmp/lectern-kvs-XXXXXX";
static char file[64], away[64];

static void
volatile_place(struct kvs_options *o)
{
	o->file = NULL;
}

static void
volatile_drop(struct kvs_options *o)
{
	(void)o;
}

static void
file_place(struct kvs_options *o)
{
	o->file = file;
}

static void
file_drop(struct kvs_options *o)
{
	(void)o;
	unlink(file);
}

/* ---- what is the file's own ---- */

static struct kvs_options options;

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
	loop_free(options.loop);
	unlink(file);
	return 0;
}

static void
write_one(const char *key, const char *value)
{
	struct kvs *k = kvs_contract_open("memory", &options);

	kvs_put(k, str_of(key), str_of(value));
	assert_int_equal(kvs_contract_flush(k, options.loop), ERR_OK);
	kvs_close(k);
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
assert_open_refused(void)
{
	char *why = NULL;

	assert_null(kvs_open("memory", &options, &why));
	assert_non_null(strstr(why, file));
	mem_free(why);
}

/* A damaged file is not taken for an empty one. */
static void
test_damaged(void **state)
{
	struct stat st;

	(void)state;
	write_one("k", "v");
	assert_int_equal(stat(file, &st), 0);
	for (off_t n = st.st_size - 1; n >= 0; n -= 7) {
		assert_int_equal(truncate(file, n), 0);
		assert_open_refused();
	}
}

static void
foreign(const char *mark, uint8_t kind, struct str value)
{
	char *why = NULL;
	struct snapshot_writer *w = snapshot_begin(file, mark, 0, &why);

	assert_non_null(w);
	snapshot_add(w, kind, STR_LIT("k"), value);
	assert_int_equal(snapshot_commit(w, &why), ERR_OK);
}

/* An intact file of somebody else, such as the states' snapshot. */
static void
test_foreign(void **state)
{
	struct kvs *k;
	char *got;

	(void)state;
	foreign("Our School", 1, STR_LIT("positionvalue"));
	assert_open_refused();
	foreign("kvs", 2, STR_LIT("positionvalue"));
	assert_open_refused();
	foreign("kvs", 1, STR_LIT("value"));
	k = kvs_contract_open("memory", &options);
	got = kvs_contract_get(k, options.loop, "k");
	assert_string_equal(got, "value");
	mem_free(got);
	kvs_close(k);
}

/* A flush that fails says so and loses nothing: the next one brings it all. */
static void
test_disk_refuses(void **state)
{
	struct kvs *k = kvs_contract_open("memory", &options);
	char *got;

	(void)state;
	kvs_put(k, STR_LIT("k"), STR_LIT("v"));
	assert_int_equal(rename(folder, away), 0);
	assert_int_not_equal(kvs_contract_flush(k, options.loop), ERR_OK);
	assert_int_not_equal(kvs_contract_flush(k, options.loop), ERR_OK);
	got = kvs_contract_get(k, options.loop, "k");
	assert_string_equal(got, "v");
	mem_free(got);
	assert_int_equal(rename(away, folder), 0);
	assert_int_equal(kvs_contract_flush(k, options.loop), ERR_OK);
	kvs_close(k);
	k = kvs_contract_open("memory", &options);
	got = kvs_contract_scan(k, options.loop, "");
	assert_string_equal(got, "k=v;");
	mem_free(got);
	kvs_close(k);
}

static void
called_cb(void *arg, enum err e)
{
	(void)e;
	*(bool *)arg = true;
}

struct refused {
	struct kvs *k;
	bool moves;          /* takes the folder away first */
	unsigned fine, failed;
};

static void
refused_cb(void *arg, enum err e)
{
	struct refused *r = arg;

	if (e != ERR_OK)
		r->failed++;
	else
		r->fine++;
	if (e != ERR_OK || r->fine > 1)
		return;
	if (r->moves) {
		assert_int_equal(rename(folder, away), 0);
		kvs_put(r->k, STR_LIT("k"), STR_LIT("later"));
	}
	kvs_flush(r->k, refused_cb, r);
}

/* Nobody hears of success before the disk has it, also who asked while a save
 * was under way that turned out to fail. */
static void
test_no_early_success(void **state)
{
	struct kvs *k = kvs_contract_open("memory", &options);
	struct refused one = { .k = k, .moves = true }, two = { .k = k };
	bool first = false;

	(void)state;
	kvs_put(k, STR_LIT("k"), STR_LIT("v"));
	kvs_flush(k, called_cb, &first);
	kvs_put(k, STR_LIT("k"), STR_LIT("w"));
	kvs_flush(k, refused_cb, &one); /* these two share the second save */
	kvs_flush(k, refused_cb, &two);
	loop_run(options.loop);
	assert_true(first);
	assert_int_equal(one.fine, 1);
	assert_int_equal(one.failed, 1);
	assert_int_equal(two.fine, 1);
	assert_int_equal(two.failed, 1);
	one = (struct refused){ .k = k };
	kvs_flush(k, refused_cb, &one);
	kvs_flush(k, refused_cb, &one);
	loop_run(options.loop);
	assert_int_equal(one.failed, 2);
	assert_int_equal(rename(away, folder), 0);
	kvs_close(k);
}

/* What was not flushed is not in the file, and what is in it stays whole. */
static void
test_unflushed(void **state)
{
	struct kvs *k;
	char *got;

	(void)state;
	write_one("a", "1");
	k = kvs_contract_open("memory", &options);
	kvs_put(k, STR_LIT("b"), STR_LIT("2"));
	kvs_close(k);
	k = kvs_contract_open("memory", &options);
	got = kvs_contract_scan(k, options.loop, "");
	assert_string_equal(got, "a=1;");
	mem_free(got);
	kvs_close(k);
}

/* Nothing changed: the file is left alone. */
static void
test_clean_flush(void **state)
{
	struct kvs *k;
	struct stat before, after;

	(void)state;
	write_one("a", "1");
	assert_int_equal(stat(file, &before), 0);
	k = kvs_contract_open("memory", &options);
	kvs_remove(k, STR_LIT("never there"));
	assert_int_equal(kvs_contract_flush(k, options.loop), ERR_OK);
	kvs_close(k);
	assert_int_equal(stat(file, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
}

static unsigned chained;

struct chain {
	struct kvs *k;
	int left;
};

static void
chain_cb(void *arg, enum err e)
{
	struct chain *c = arg;

	assert_int_equal(e, ERR_OK);
	chained++;
	if (c->left-- == 0)
		return;
	kvs_put(c->k, STR_LIT("n"), STR_LIT("more"));
	kvs_flush(c->k, chain_cb, c);
}

/* Flushes asked for from flushes' answers, some of them while the next save
 * already runs: each is answered once, and only for what is on the disk. */
static void
test_chained(void **state)
{
	struct kvs *k = kvs_contract_open("memory", &options);
	struct chain one = { k, 5 }, two = { k, 3 };
	char *got;

	(void)state;
	chained = 0;
	kvs_put(k, STR_LIT("n"), STR_LIT("first"));
	kvs_flush(k, chain_cb, &one);
	kvs_flush(k, chain_cb, &two);
	loop_run(options.loop);
	assert_int_equal(chained, 6 + 4);
	kvs_close(k);
	k = kvs_contract_open("memory", &options);
	got = kvs_contract_get(k, options.loop, "n");
	assert_string_equal(got, "more");
	mem_free(got);
	kvs_close(k);
}

/* The pool still writes when the store is closed and the loop ends. */
static void
test_close_while_saving(void **state)
{
	struct kvs *k = kvs_contract_open("memory", &options);
	bool called = false;
	char *got;

	(void)state;
	kvs_put(k, STR_LIT("a"), STR_LIT("1"));
	kvs_flush(k, called_cb, &called);
	kvs_close(k);
	loop_free(options.loop);
	assert_false(called);
	options.loop = loop_new();
	k = kvs_contract_open("memory", &options);
	got = kvs_contract_scan(k, options.loop, "");
	assert_string_equal(got, "a=1;");
	mem_free(got);
	kvs_close(k);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_private),
		TEST(test_damaged),
		TEST(test_foreign),
		TEST(test_disk_refuses),
		TEST(test_no_early_success),
		TEST(test_unflushed),
		TEST(test_clean_flush),
		TEST(test_chained),
		TEST(test_close_while_saving),
	};
	struct kvs_contract contract = {
		.backend = "memory", .place = volatile_place, .drop = volatile_drop
	};
	int failed;

	log_set_level(LOG_ERROR);
	if (mkdtemp(folder) == NULL)
		return 1;
	snprintf(file, sizeof file, "%s/store", folder);
	snprintf(away, sizeof away, "%s-away", folder);
	failed = kvs_contract_run(&contract);
	contract.place = file_place;
	contract.drop = file_drop;
	contract.persistent = true;
	failed += kvs_contract_run(&contract);
	failed += cmocka_run_group_tests_name("kvs_memory file", tests, NULL, NULL);
	rmdir(folder);
	return failed;
}
