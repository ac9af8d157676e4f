/* SPDX-License-Identifier: MIT */
/* pubsub: the contract with the backend in Redis, and what is that one's own: names
 * of keys and channels, users who may read only some, and a Redis in trouble. */
#include "tests/unit/redis_server.h"

#include "base/log.h"
#include "base/mem.h"
#include "flow/pubsub_backends.h"
#include "state/redis_link.h"
#include "tests/contract/pubsub_contract.h"

#define NODE "class/7b/t.count"

static struct redis_server server;
static struct redis_options redis;
static struct loop *loop;
static struct pubsub *writer, *reader;
static unsigned ups, downs;
static uint64_t number;

/* ---- the contract ---- */

static void
place(struct pubsub_options *o)
{
	redis_server_do(&server, "FLUSHALL");
	redis = (struct redis_options){ .address = server.address, .timeout_s = 5 };
	o->redis = &redis;
	o->prefix = "school:";
}

static void
drop(struct pubsub_options *o)
{
	(void)o;
}

static void
cut(struct pubsub_options *o)
{
	(void)o;
	redis_server_do(&server, "CLIENT KILL TYPE normal SKIPME yes");
	redis_server_do(&server, "CLIENT KILL TYPE pubsub");
}

/* ---- a writer and a reader ---- */

static void
up_cb(void *arg)
{
	(void)arg;
	ups++;
}

static void
down_cb(void *arg)
{
	(void)arg;
	downs++;
}

static const struct pubsub_writer writer_ops = { up_cb, down_cb, down_cb };

static struct pubsub *
open_as(const char *user, const char *password)
{
	struct redis_options r = { .address = server.address, .user = user, .password = password,
		.timeout_s = 5 };
	struct pubsub_options o = { .loop = loop, .redis = &r };
	char *why = NULL;
	struct pubsub *p = pubsub_open(&pubsub_redis, &o, &why);

	assert_null(why);
	return p;
}

static bool
is_up(void *arg)
{
	(void)arg;
	return ups > downs;
}

static bool
has_risen(void *before)
{
	return ups > *(unsigned *)before && is_up(NULL);
}

static int
setup(void **state)
{
	(void)state;
	redis_server_do(&server, "FLUSHALL");
	ups = downs = 0;
	number = 0;
	loop = loop_new();
	writer = open_as(NULL, NULL);
	pubsub_write(writer, &writer_ops, NULL);
	reader = NULL;
	pubsub_contract_until(loop, is_up, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	pubsub_close(reader);
	pubsub_close(writer);
	loop_run(loop);
	loop_free(loop);
	return 0;
}

static bool
publishes(void *arg)
{
	return pubsub_publish(writer, str_of(NODE), arg, 1);
}

static void
publish(enum pubsub_op op, const char *id, const char *json)
{
	struct pubsub_change c = { op, ++number, str_of(id), str_of(json) };

	pubsub_contract_until(loop, publishes, &c);
}

static char *
status_of(const struct pubsub *p)
{
	struct buf b = BUF_INIT(0);
	struct jsonw w = jsonw_to(&b);

	jsonw_object(&w);
	pubsub_status(p, &w);
	jsonw_object_end(&w);
	return buf_take(&b);
}

struct told {
	const struct pubsub *p;
	const char *text;
};

static bool
tells(void *arg)
{
	const struct told *t = arg;
	char *status = status_of(t->p);
	bool does = strstr(status, t->text) != NULL;

	mem_free(status);
	return does;
}

/* Waits until the status has the text. */
static void
expect_status(const struct pubsub *p, const char *text)
{
	struct told t = { p, text };

	pubsub_contract_until(loop, tells, &t);
}

/* What a reader hears, as text. */
struct heard {
	struct buf text;
	const char *wanted;
};

static void
heard_snapshot_cb(void *arg, const struct pubsub_item *v, size_t n, bool whole)
{
	struct heard *h = arg;

	buf_printf(&h->text, "[%s", whole ? "whole" : "part");
	for (size_t i = 0; i < n; i++)
		buf_printf(&h->text, " %.*s=%.*s", STR_ARG(v[i].id), STR_ARG(v[i].json));
	buf_z(&h->text, "]");
}

static void
heard_change_cb(void *arg, const struct pubsub_change *c)
{
	struct heard *h = arg;

	buf_printf(&h->text, "(%s %.*s=%.*s)", pubsub_op_name(c->op), STR_ARG(c->id),
	    STR_ARG(c->json));
}

static const struct pubsub_reader heard_ops = { heard_snapshot_cb, heard_change_cb };

static bool
is_heard(void *arg)
{
	struct heard *h = arg;

	return str_is(buf_view(&h->text), h->wanted);
}

static void
expect_heard(struct heard *h, const char *wanted)
{
	h->wanted = wanted;
	pubsub_contract_until(loop, is_heard, h);
	buf_clear(&h->text);
}

static void
expect_answer(const char *words, const char *answer)
{
	char got[512];

	redis_server_ask(&server, words, got, sizeof got);
	assert_string_equal(got, answer);
}

static void
nothing_cb(void *arg, enum err e, const struct str *ids, size_t n)
{
	(void)ids;
	(void)n;
	assert_int_equal(e, ERR_OK);
	*(bool *)arg = true;
}

static bool
is_true(void *arg)
{
	return *(bool *)arg;
}

/* All that was published is in Redis. */
static void
settled(void)
{
	bool over = false;

	pubsub_ids(writer, STR_LIT(NODE), nothing_cb, &over);
	pubsub_contract_until(loop, is_true, &over);
}

/* ---- tests ---- */

/* As docs/consume-redis.md says. */
static void
test_keys(void **state)
{
	(void)state;
	publish(PUBSUB_PART, "", "");
	publish(PUBSUB_ITEM, "p/d", "{\"seq\":1}");
	settled();
	expect_answer("HGETALL lectern:items:" NODE, "*2\r\n$3\r\np/d\r\n$9\r\n{\"seq\":1}\r\n");
	expect_answer("HGET lectern:nodes " NODE, "$1\r\n0\r\n");
	publish(PUBSUB_WHOLE, "", "");
	settled();
	expect_answer("HGET lectern:nodes " NODE, "$1\r\n1\r\n");
	expect_answer("DBSIZE", ":3\r\n"); /* with lectern:publisher */
	publish(PUBSUB_DELETED, "", "");
	settled();
	expect_answer("DBSIZE", ":1\r\n");
}

/* What is no message of ours is counted and nothing else; a number that is missing
 * has the whole node read again. */
static void
test_strange(void **state)
{
	struct heard h = { .text = BUF_INIT(0) };

	(void)state;
	reader = open_as(NULL, NULL);
	publish(PUBSUB_ITEM, "a", "{\"seq\":1}");
	settled();
	pubsub_follow(reader, STR_LIT(NODE), &heard_ops, &h);
	expect_heard(&h, "[part a={\"seq\":1}]");
	redis_server_do(&server, "PUBLISH lectern:node:" NODE " hello");
	redis_server_do(&server, "PUBLISH lectern:node:" NODE " '{\"op\":\"sing\",\"number\":7}'");
	redis_server_do(&server, "PUBLISH lectern:node:" NODE " '{\"op\":\"item\",\"number\":0}'");
	redis_server_do(&server, "PUBLISH lectern:node:class/8c/t.count '{\"op\":\"purge\",\"number\":1}'");
	expect_status(reader, "\"strange_messages\":3,");
	publish(PUBSUB_ITEM, "a", "{\"seq\":2}");
	expect_heard(&h, "(item a={\"seq\":2})");
	redis_server_do(&server, "PUBLISH lectern:node:" NODE " '{\"op\":\"purge\",\"number\":9}'");
	expect_heard(&h, "[part a={\"seq\":2}]");
	expect_status(reader, "\"gaps\":1");
	buf_free(&h.text);
}

/* The ACL of the documentation: this user reads one class, and nothing else. */
static void
test_acl(void **state)
{
	struct heard h = { .text = BUF_INIT(0) }, other = { .text = BUF_INIT(0) };

	(void)state;
	redis_server_do(&server, "ACL SETUSER board reset on >secret &lectern:node:class/7b/* "
	    "%R~lectern:items:class/7b/* %R~lectern:nodes "
	    "+subscribe +unsubscribe +ping +multi +exec +hget +hgetall");
	publish(PUBSUB_ITEM, "a", "{\"seq\":1}");
	settled();
	reader = open_as("board", "secret");
	pubsub_follow(reader, STR_LIT(NODE), &heard_ops, &h);
	expect_heard(&h, "[part a={\"seq\":1}]");
	pubsub_follow(reader, STR_LIT("class/8c/t.count"), &heard_ops, &other);
	expect_status(reader, "NOPERM");
	publish(PUBSUB_ITEM, "a", "{\"seq\":2}");
	expect_heard(&h, "(item a={\"seq\":2})");
	assert_int_equal(other.text.len, 0);
	redis_server_do(&server, "ACL DELUSER board");
	buf_free(&h.text);
	buf_free(&other.text);
}

/* So much Lectern itself needs, as the documentation says. */
static void
test_own_user(void **state)
{
	struct heard h = { .text = BUF_INIT(0) };

	(void)state;
	redis_server_do(&server, "ACL SETUSER own reset on >secret ~lectern:* &lectern:* "
	    "+@hash +@connection +@pubsub +@transaction +get +set +pexpire +del");
	pubsub_close(writer);
	ups = downs = 0;
	writer = open_as("own", "secret");
	pubsub_write(writer, &writer_ops, NULL);
	pubsub_contract_until(loop, is_up, NULL);
	publish(PUBSUB_PART, "", "");
	publish(PUBSUB_ITEM, "a", "{\"seq\":1}");
	publish(PUBSUB_WHOLE, "", "");
	settled();
	pubsub_follow(writer, STR_LIT(NODE), &heard_ops, &h);
	expect_heard(&h, "[whole a={\"seq\":1}]");
	publish(PUBSUB_RETRACT, "a", "");
	expect_heard(&h, "(retract a=)");
	publish(PUBSUB_DELETED, "", "");
	expect_heard(&h, "(deleted =)");
	expect_answer("DBSIZE", ":1\r\n");
	redis_server_do(&server, "ACL DELUSER own");
	buf_free(&h.text);
}

/* A Redis that refuses is named, nothing is published meanwhile, and when it takes
 * again everything is to be published anew. */
static void
test_refuses(void **state)
{
	unsigned before = ups;
	char *status;

	(void)state;
	redis_server_do(&server, "CONFIG SET maxmemory 1");
	publish(PUBSUB_ITEM, "a", "{\"seq\":1}");
	expect_status(writer, "(OOM)");
	status = status_of(writer);
	assert_non_null(strstr(status, "\"state\":\"down\""));
	mem_free(status);
	assert_int_equal(downs, 1);
	redis_server_do(&server, "CONFIG SET maxmemory 0");
	pubsub_contract_until(loop, is_up, NULL);
	assert_true(ups > before);
	publish(PUBSUB_ITEM, "a", "{\"seq\":2}");
	settled();
	expect_answer("HGET lectern:items:" NODE " a", "$9\r\n{\"seq\":2}\r\n");
	expect_status(writer, "\"trouble\":null");
}

static bool
is_full(void *arg)
{
	struct pubsub_change c = { PUBSUB_ITEM, ++number, STR_LIT("a"), str_of(arg) };

	return !pubsub_publish(writer, STR_LIT(NODE), &c, 1);
}

/* A Redis that is stopped: what is under way is bounded; then it counts as lost. */
static void
test_stopped(void **state)
{
	char *large = mem_alloc(100001);

	(void)state;
	memset(large, '1', 100000);
	large[100000] = '\0';
	kill(server.pid, SIGSTOP);
	pubsub_contract_until(loop, is_full, large);
	expect_status(writer, "\"trouble\":\"Redis does not answer\"");
	kill(server.pid, SIGCONT);
	pubsub_contract_until(loop, is_up, NULL);
	publish(PUBSUB_ITEM, "a", "{\"seq\":2}");
	settled();
	expect_answer("HGET lectern:items:" NODE " a", "$9\r\n{\"seq\":2}\r\n");
	mem_free(large);
}

/* Killed and empty when it is back: readers keep what they have until it is whole. */
static void
test_killed(void **state)
{
	struct heard h = { .text = BUF_INIT(0) };

	(void)state;
	reader = open_as(NULL, NULL);
	publish(PUBSUB_ITEM, "a", "{\"seq\":1}");
	publish(PUBSUB_WHOLE, "", "");
	settled();
	pubsub_follow(reader, STR_LIT(NODE), &heard_ops, &h);
	expect_heard(&h, "[whole a={\"seq\":1}]");
	redis_server_stop(&server, SIGKILL);
	expect_status(reader, "\"state\":\"down\"");
	redis_server_start(&server, NULL);
	expect_heard(&h, "[part]");
	pubsub_contract_until(loop, is_up, NULL);
	publish(PUBSUB_ITEM, "a", "{\"seq\":1}");
	expect_heard(&h, "(item a={\"seq\":1})");
	buf_free(&h.text);
}

/* ---- one alone publishes ---- */

static void
count_cb(void *arg)
{
	++*(unsigned *)arg;
}

static const struct pubsub_writer count_ops = { count_cb, count_cb, count_cb };

static bool
is_counted(void *arg)
{
	return *(unsigned *)arg > 0;
}

/* The second one says so, changes nothing, and takes over when the first one ends. */
static void
test_two_writers(void **state)
{
	struct pubsub_change c = { PUBSUB_ITEM, 1, STR_LIT("a"), STR_LIT("{\"seq\":9}") };
	unsigned second = 0;

	(void)state;
	publish(PUBSUB_ITEM, "a", "{\"seq\":1}");
	reader = open_as(NULL, NULL);
	pubsub_write(reader, &count_ops, &second);
	expect_status(reader, "\"state\":\"down\"");
	expect_status(reader, "another daemon (process ");
	expect_status(reader, "give it a prefix of its own");
	assert_false(pubsub_publish(reader, STR_LIT(NODE), &c, 1));
	publish(PUBSUB_ITEM, "b", "{\"seq\":1}");
	settled();
	expect_answer("HGET lectern:items:" NODE " a", "$9\r\n{\"seq\":1}\r\n");
	assert_int_equal(second, 0);
	assert_int_equal(downs, 0);
	pubsub_close(writer);
	writer = NULL;
	pubsub_contract_until(loop, is_counted, &second);
	expect_status(reader, "\"trouble\":null");
	assert_true(pubsub_publish(reader, STR_LIT(NODE), &c, 1));
}

/* Another one publishes, whatever became of the key: it is noticed. */
static void
test_taken_away(void **state)
{
	unsigned before = ups;

	(void)state;
	redis_server_do(&server, "SET lectern:publisher 'x process 7 on \002there' PX 600000");
	expect_status(writer, "another daemon (process 7 on ");
	assert_int_equal(downs, 1);
	redis_server_do(&server, "DEL lectern:publisher");
	pubsub_contract_until(loop, has_risen, &before);
	publish(PUBSUB_ITEM, "a", "{\"seq\":2}");
	settled();
}

/* A Redis that lost everything and kept the link: all is to be published anew. */
static void
test_emptied(void **state)
{
	unsigned before = ups;

	(void)state;
	publish(PUBSUB_ITEM, "a", "{\"seq\":1}");
	settled();
	redis_server_do(&server, "FLUSHALL");
	pubsub_contract_until(loop, has_risen, &before);
	assert_int_equal(downs, 1);
}

static void
close_cb(void *arg)
{
	(void)arg;
	pubsub_close(writer);
	writer = NULL;
}

static const struct pubsub_writer close_ops = { up_cb, close_cb, close_cb };

static bool
is_closed(void *arg)
{
	(void)arg;
	return writer == NULL;
}

/* Whoever hears of it may close everything. */
static void
test_emptied_and_closed(void **state)
{
	(void)state;
	pubsub_close(writer);
	ups = 0;
	writer = open_as(NULL, NULL);
	pubsub_write(writer, &close_ops, NULL);
	pubsub_contract_until(loop, is_up, NULL);
	redis_server_do(&server, "FLUSHALL");
	pubsub_contract_until(loop, is_closed, NULL);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_keys),
		TEST(test_strange),
		TEST(test_acl),
		TEST(test_own_user),
		TEST(test_refuses),
		TEST(test_stopped),
		TEST(test_killed),
		TEST(test_two_writers),
		TEST(test_taken_away),
		TEST(test_emptied),
		TEST(test_emptied_and_closed),
	};
	const struct pubsub_contract contract = {
		.backend = &pubsub_redis, .place = place, .drop = drop, .cut = cut
	};
	int failed;

	log_set_level(LOG_ERROR);
	signal(SIGPIPE, SIG_IGN);
	redis_server_start(&server, NULL);
	failed = pubsub_contract_run(&contract);
	failed += cmocka_run_group_tests_name("pubsub_redis", tests, NULL, NULL);
	redis_server_drop(&server);
	return failed;
}
