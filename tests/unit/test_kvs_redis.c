/* SPDX-License-Identifier: MIT */
/* The Redis backends against the contract, each on a redis-server of its own, and
 * what Redis does that no other store does: emptied, full, read-only, closed to a
 * user, stopped and killed (bad-inputs C105, C106). */
#include "redis_server.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "state/redis_link.h"
#include "tests/contract/kvs_contract.h"

static struct redis_server server;
static struct redis_options redis;
static struct kvs_options options;
static struct kvs *kvs;
static unsigned lost;

static void
lost_cb(void *arg)
{
	(void)arg;
	lost++;
}

static void
place(struct kvs_options *o)
{
	redis_server_start(&server, NULL);
	redis = (struct redis_options){ .address = server.address, .timeout_s = 20 };
	o->redis = &redis;
	o->ttl = 3600;
	o->prefix = "";
	o->lost = lost_cb;
	lost = 0;
}

static void
prefixed_place(struct kvs_options *o)
{
	place(o);
	redis_server_do(&server, "ACL SETUSER lectern on >sesame ~school:* "
	    "+get +set +del +scan +ping");
	redis_server_do(&server, "CONFIG SET requirepass open");
	o->prefix = "school:";
	redis.user = "lectern";
	redis.password = "sesame";
}

static void
drop(struct kvs_options *o)
{
	(void)o;
	redis_server_drop(&server);
}

/* ---- the rig of what is Redis's own ---- */

static int
setup(void **state)
{
	(void)state;
	options = (struct kvs_options){ .loop = loop_new() };
	place(&options);
	redis.timeout_s = 1;
	kvs = kvs_contract_open("redis", &options);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	kvs_close(kvs);
	loop_run(options.loop);
	loop_free(options.loop);
	drop(&options);
	return 0;
}

static void
put(const char *key, const char *value)
{
	kvs_put(kvs, str_of(key), str_of(value));
}

static void
assert_scan(const char *want)
{
	char *got = kvs_contract_scan(kvs, options.loop, "");

	assert_string_equal(got, want);
	mem_free(got);
}

static void
assert_flush_fails(const char *trouble)
{
	assert_int_equal(kvs_contract_flush(kvs, options.loop), ERR_IO);
	assert_non_null(kvs_trouble(kvs));
	if (strstr(kvs_trouble(kvs), trouble) == NULL)
		fail_msg("%s instead of %s", kvs_trouble(kvs), trouble);
}

/* Flushes until it succeeds, as the daemon does each second. */
static void
flush_until_fine(const char *key, const char *value)
{
	enum err e = ERR_IO;

	for (int i = 0; i < 2000 && e != ERR_OK; i++) {
		put(key, value);
		e = kvs_contract_flush(kvs, options.loop);
		if (e != ERR_OK)
			usleep(5000);
	}
	assert_int_equal(e, ERR_OK);
	assert_null(kvs_trouble(kvs));
}

/* ---- tests ---- */

static void
test_keys(void **state)
{
	char answer[256];

	(void)state;
	put("Internal,a.b,STUDENT:x", "{\"n\":1}");
	assert_int_equal(kvs_contract_flush(kvs, options.loop), ERR_OK);
	redis_server_ask(&server, "GET Internal,a.b,STUDENT:x", answer, sizeof answer);
	assert_string_equal(answer, "$7\r\n{\"n\":1}\r\n");
	redis_server_ask(&server, "DBSIZE", answer, sizeof answer);
	assert_string_equal(answer, ":2\r\n"); /* and the mark */
	redis_server_do(&server, "LPUSH list x"); /* of somebody else, no text */
	assert_scan("Internal,a.b,STUDENT:x={\"n\":1};");
	redis_server_do(&server, "SET Internal,c theirs");
	assert_scan("Internal,a.b,STUDENT:x={\"n\":1};Internal,c=theirs;");
}

static void
test_no_text(void **state)
{
	char *got;

	(void)state;
	redis_server_do(&server, "LPUSH k x");
	got = kvs_contract_get(kvs, options.loop, "k");
	assert_string_equal(got, "-");
	mem_free(got);
}

static void
test_ephemeral(void **state)
{
	char answer[64];

	(void)state;
	kvs_close(kvs);
	kvs = kvs_contract_open("redis_ephemeral", &options);
	put("k", "v");
	assert_int_equal(kvs_contract_flush(kvs, options.loop), ERR_OK);
	redis_server_ask(&server, "TTL k", answer, sizeof answer);
	assert_in_range(strtol(answer + 1, NULL, 10), 3500, 3600);
}

static void
test_emptied(void **state)
{
	(void)state;
	put("k", "v");
	assert_int_equal(kvs_contract_flush(kvs, options.loop), ERR_OK);
	redis_server_do(&server, "FLUSHALL");
	put("l", "w");
	assert_int_equal(kvs_contract_flush(kvs, options.loop), ERR_IO);
	assert_int_equal(lost, 1);
	flush_until_fine("l", "w");
	assert_int_equal(lost, 1); /* said once */
}

static void
test_killed(void **state)
{
	(void)state;
	put("k", "v");
	assert_int_equal(kvs_contract_flush(kvs, options.loop), ERR_OK);
	redis_server_stop(&server, SIGKILL);
	put("k", "w");
	assert_flush_fails("Redis");
	redis_server_start(&server, NULL);
	flush_until_fine("k", "x");
	assert_int_equal(lost, 1);
	assert_scan("k=x;");
}

/* Killed with what it had on its disk: nothing is lost. */
static void
test_killed_persistent(void **state)
{
	static const char *const aof[] = { "--appendonly", "yes", "--appendfsync", "always", NULL };

	(void)state;
	kvs_close(kvs);
	loop_run(options.loop);
	redis_server_stop(&server, SIGKILL);
	redis_server_start(&server, aof);
	kvs = kvs_contract_open("redis", &options);
	put("k", "v");
	assert_int_equal(kvs_contract_flush(kvs, options.loop), ERR_OK);
	redis_server_stop(&server, SIGKILL);
	assert_flush_fails("Redis");
	redis_server_start(&server, aof);
	flush_until_fine("l", "w");
	assert_int_equal(lost, 0);
	assert_scan("k=v;l=w;");
}

/* Killed with a copy of earlier on its disk: our mark is in that, too, and yet not all
 * that was written. */
static void
test_killed_with_an_old_copy(void **state)
{
	(void)state;
	put("k", "v");
	assert_int_equal(kvs_contract_flush(kvs, options.loop), ERR_OK);
	redis_server_do(&server, "SAVE");
	put("k", "w");
	assert_int_equal(kvs_contract_flush(kvs, options.loop), ERR_OK);
	redis_server_stop(&server, SIGKILL);
	redis_server_start(&server, NULL);
	flush_until_fine("l", "x");
	assert_int_equal(lost, 1);
}

static void
test_stopped(void **state)
{
	(void)state;
	kill(server.pid, SIGSTOP);
	put("k", "v");
	assert_flush_fails("Redis does not answer");
	put("k", "v");
	assert_int_equal(kvs_contract_flush(kvs, options.loop), ERR_IO); /* at once */
	kill(server.pid, SIGCONT);
	flush_until_fine("k", "v");
	assert_int_equal(lost, 0);
}

static void
test_full(void **state)
{
	(void)state;
	redis_server_do(&server, "CONFIG SET maxmemory 1");
	put("k", "v");
	assert_flush_fails("OOM");
	redis_server_do(&server, "CONFIG SET maxmemory 0");
	flush_until_fine("k", "v");
}

/* Full from its start on: our mark is not in it either. */
static void
test_full_from_the_start(void **state)
{
	(void)state;
	kvs_close(kvs);
	redis_server_do(&server, "FLUSHALL");
	redis_server_do(&server, "CONFIG SET maxmemory 1");
	kvs = kvs_contract_open("redis", &options);
	for (int i = 0; i < 3; i++) {
		put("k", "v");
		assert_flush_fails("OOM");
	}
	redis_server_do(&server, "CONFIG SET maxmemory 0");
	flush_until_fine("k", "v");
	assert_int_equal(lost, 0);
}

static void
test_read_only_replica(void **state)
{
	(void)state;
	redis_server_do(&server, "REPLICAOF 127.0.0.1 1");
	put("k", "v");
	assert_flush_fails("READONLY");
	redis_server_do(&server, "REPLICAOF NO ONE");
	flush_until_fine("k", "v");
}

static void
test_user_may_not(void **state)
{
	(void)state;
	redis_server_do(&server, "ACL SETUSER default resetkeys ~lectern:*");
	put("k", "v");
	assert_flush_fails("NOPERM");
	redis_server_do(&server, "ACL SETUSER default ~*");
	flush_until_fine("k", "v");
	redis_server_do(&server, "ACL SETUSER default -config");
	kvs_close(kvs);
	kvs = kvs_contract_open("redis", &options); /* does without */
	assert_null(kvs_trouble(kvs));
}

/* Two who believe a Redis to be theirs find out. */
static void
test_two_writers(void **state)
{
	struct kvs *two;

	(void)state;
	put("k", "v");
	assert_int_equal(kvs_contract_flush(kvs, options.loop), ERR_OK);
	two = kvs_contract_open("redis", &options);
	kvs_put(two, STR_LIT("k"), STR_LIT("w"));
	assert_int_equal(kvs_contract_flush(two, options.loop), ERR_OK);
	put("k", "v");
	assert_int_equal(kvs_contract_flush(kvs, options.loop), ERR_IO);
	assert_int_equal(lost, 1);
	kvs_close(two);
	flush_until_fine("k", "v");
	options.read_only = true; /* who only looks is no writer */
	two = kvs_contract_open("redis", &options);
	kvs_close(two);
	put("k", "v");
	assert_int_equal(kvs_contract_flush(kvs, options.loop), ERR_OK);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_keys),
		TEST(test_no_text),
		TEST(test_ephemeral),
		TEST(test_emptied),
		TEST(test_killed),
		TEST(test_killed_persistent),
		TEST(test_killed_with_an_old_copy),
		TEST(test_stopped),
		TEST(test_full),
		TEST(test_full_from_the_start),
		TEST(test_read_only_replica),
		TEST(test_user_may_not),
		TEST(test_two_writers),
	};
	static const struct kvs_contract contracts[] = {
		{ .backend = "redis", .place = place, .drop = drop, .persistent = true },
		{ .backend = "redis", .place = prefixed_place, .drop = drop, .persistent = true },
		{ .backend = "redis_ephemeral", .place = place, .drop = drop, .persistent = true },
	};
	int failed = 0;

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof contracts / sizeof *contracts; i++)
		failed += kvs_contract_run(&contracts[i]);
	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
