/* SPDX-License-Identifier: MIT */
/* follower: a second hub, without the events, has the items of the first. */
#include "tests/unit/hub_world.h"
#include "tests/unit/redis_server.h"

#include "flow/follower.h"
#include "flow/pubsub_backends.h"
#include "flow/pubsub_door.h"
#include "state/redis_link.h"
#include "tests/contract/pubsub_contract.h"
#include "tests/contract/pubsub_fault.h"

/* The first daemon is the world's; this is the second. */
static struct engine *engine_b;
static struct roster *roster_b;
static struct hub *hub_b;
static struct pubsub *pubsub, *pubsub_b; /* the same in memory */
static struct pubsub_door *out;
static struct follower *follower;
static struct redis_server server;

static void
open_with(const char *rows, const struct pubsub_backend *b)
{
	struct engine_options eo = { .reducers = world_reducers, .pseudonym_key = KEY };
	struct redis_options redis = { .address = server.address, .timeout_s = 5 };
	struct pubsub_options o = { .redis = &redis };
	char *why = NULL;

	world_open(rows);
	o.loop = loop;
	pubsub = pubsub_b = pubsub_open(b, &o, &why);
	if (b->caps & PUBSUB_SHARED)
		pubsub_b = pubsub_open(b, &o, &why);
	out = pubsub_door_new(hub, pubsub);
	engine_b = engine_new(&eo, &why);
	roster_b = roster_of(rows);
	hub_b = hub_new(loop, engine_b, roster_b);
	follower = follower_new(hub_b, pubsub_b);
}

static int
setup(void **state)
{
	(void)state;
	open_with("7b:+t,s1,s2;8c:+t,s2,s3", &pubsub_memory);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	follower_free(follower);
	pubsub_door_free(out);
	if (pubsub_b != pubsub)
		pubsub_close(pubsub_b);
	pubsub_close(pubsub);
	hub_free(hub_b);
	engine_free(engine_b);
	roster_free(roster_b);
	world_close();
	return 0;
}

static void
set_roster_b(const char *rows)
{
	struct roster *next = roster_of(rows);

	hub_set_roster(hub_b, next);
	roster_free(roster_b);
	roster_b = next;
}

/* ---- comparing ---- */

static bool
item_cb(void *arg, const struct hub_item *item)
{
	buf_printf(arg, "%s=%.*s\n", item->id, STR_ARG(item->json));
	return true;
}

static char *
text_of(struct hub *h, const char *node)
{
	struct buf b = BUF_INIT(0);

	buf_z(&b, "");
	hub_items(h, str_of(node), STR_LIT("t@x"), item_cb, &b);
	return buf_take(&b);
}

static bool
is_equal(void *node)
{
	char *a = text_of(hub, node), *b = text_of(hub_b, node);
	bool equal = strcmp(a, b) == 0;

	mem_free(a);
	mem_free(b);
	return equal;
}

static void
expect_equal(void)
{
	char *own = mem_printf("student/%s/t.docs", pseudonym("s2"));

	pubsub_contract_until(loop, is_equal, (void *)"class/7b/t.count");
	pubsub_contract_until(loop, is_equal, (void *)"class/7b/t.docs");
	pubsub_contract_until(loop, is_equal, (void *)"class/8c/t.count");
	pubsub_contract_until(loop, is_equal, (void *)"class/8c/t.docs");
	pubsub_contract_until(loop, is_equal, own);
	mem_free(own);
}

static bool
is_empty(void *node)
{
	char *text = text_of(hub_b, node);
	bool empty = *text == '\0';

	mem_free(text);
	return empty;
}

/* ---- tests ---- */

static void
test_follows(void **state)
{
	char longest[400];

	(void)state;
	event("s1");
	event_of("s2", "a document");
	event_of("s2", "");
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	event_of("s2", longest); /* its id is a hash */
	hub_spread(hub);
	expect_equal();
	assert_false(is_empty((void *)"class/7b/t.docs"));
	event("s2");
	event("s3");
	expect_equal();
	assert_int_equal(engine_position(engine_b), 0);
	assert_null(engine_student(engine_b, STR_LIT("s1")));
}

/* Who reads at the second daemon is the second daemon's business. */
static void
test_access(void **state)
{
	struct hub_door *door_b = hub_door_new(hub_b, &world_ops, NULL);
	struct hub_sub *s;
	size_t at;

	(void)state;
	event("s1");
	expect_equal();
	assert_int_equal(hub_subscribe(door_b, STR_LIT("class/7b/t.count"), STR_LIT("x@x"), 0, NULL,
	    &s), ERR_FORBIDDEN);
	assert_int_equal(hub_subscribe(door_b, STR_LIT("class/7b/t.count"), STR_LIT("t@x"), 0, NULL,
	    &s), ERR_OK);
	turns(4);
	assert_int_equal(times(s, pseudonym("s1")), 1);
	event("s1");
	event("s2");
	expect_equal();
	turns(4);
	assert_int_equal(last_seq(s, pseudonym("s1")), 2);
	assert_int_equal(times(s, pseudonym("s2")), 1);
	at = n_got;
	set_roster("7b:+t,s2;8c:+t,s2,s3"); /* in the first alone: its items are gone */
	expect_equal();
	turns(4);
	assert_int_equal(n_got, at + 1);
	assert_null(got[at].json);
	assert_string_equal(got[at].id, pseudonym("s1"));
	set_roster_b("7b:+u,s2;8c:+t,s2,s3"); /* in the second: t teaches 7b no more */
	assert_int_equal(n_ended, 1);
	forget();
}

static void
test_roster(void **state)
{
	char *text;

	(void)state;
	event("s1");
	event("s2");
	event("s3");
	expect_equal();
	set_roster("7b:+t,s1;8c:+t,s2,s3");
	set_roster_b("7b:+t,s1;8c:+t,s2,s3");
	expect_equal(); /* s2 is in one of two classes still */
	set_roster("7b:+t,s1,s2,s4");
	text = mem_printf("student/%s/t.count", pseudonym("s3"));
	pubsub_contract_until(loop, is_empty, text); /* of no class any more */
	mem_free(text);
	event("s4"); /* whom the second does not know yet */
	set_roster_b("7b:+t,s1,s2,s4");
	expect_equal();
	text = text_of(hub_b, "class/7b/t.count");
	assert_non_null(strstr(text, pseudonym("s4")));
	mem_free(text);
}

static void
event_b(const char *student)
{
	struct engine *a = engine;
	uint64_t seq = record_seq;

	engine = engine_b;
	record_seq = 0;
	event_of(student, NULL);
	hub_spread(hub_b);
	engine = a;
	record_seq = seq;
}

/* What the second has from its own journal is what it shows. */
static void
test_own(void **state)
{
	struct hub_door *door_b = hub_door_new(hub_b, &world_ops, NULL);
	struct hub_sub *s;
	int i;

	(void)state;
	for (i = 0; i < 5; i++)
		event("s1");
	expect_equal();
	assert_int_equal(hub_subscribe(door_b, STR_LIT("class/7b/t.count"), STR_LIT("t@x"), 0, NULL,
	    &s), ERR_OK);
	turns(4);
	assert_int_equal(last_seq(s, pseudonym("s1")), 5);
	event_b("s1");
	turns(4);
	assert_int_equal(last_seq(s, pseudonym("s1")), 1);
	event("s1");
	turns(8);
	assert_int_equal(last_seq(s, pseudonym("s1")), 1);
	hub_unsubscribe(s);
	forget();
}

static void
test_unreadable(void **state)
{
	struct pubsub_change c[] = {
		{ PUBSUB_ITEM, 1000, STR_LIT("short"), STR_LIT("{\"v\":1}") },
		{ PUBSUB_ITEM, 1001, str_of(pseudonym("s1")), STR_LIT("{\"v\":1,\"seq\":9,"
		    "\"t\":\"2026-11-23T17:40:00.123Z\",\"sec\":\"none\",\"state\":[]}") },
	};
	struct buf b = BUF_INIT(0);
	struct jsonw w = jsonw_to(&b);

	(void)state;
	event("s2");
	expect_equal();
	assert_true(pubsub_publish(pubsub, STR_LIT("class/7b/t.count"), c, 2));
	turns(8);
	jsonw_object(&w);
	follower_status(follower, &w);
	buf_byte(&b, '\0');
	assert_non_null(strstr(b.data, "\"items_unreadable\":"));
	assert_null(strstr(b.data, "\"items_unreadable\":0"));
	buf_free(&b);
}

static bool
turns_over(void *left)
{
	return --*(int *)left <= 0;
}

static void
converges(const struct pubsub_backend *b)
{
	const struct pubsub_faults none = { 0 };

	pubsub_faults = (struct pubsub_faults){ .delay = 3, .refuse = 4, .swap = 5, .cut = 30,
	    .cut_ask = 100 };
	open_with("7b:+t,s1,s2;8c:+t,s2,s3", pubsub_fault(b, 11));
	for (int i = 0; i < 300 || !pubsub_faults_seen(&none); i++) {
		int few = rand() % 4;

		event_of((const char *[]){ "s1", "s2", "s3" }[rand() % 3], i % 2 ? "d1" : "d2");
		hub_spread(hub);
		if (rand() % 20 == 0)
			set_roster(i % 2 ? "7b:+t,s1;8c:+t,s3" : "7b:+t,s1,s2,s3;8c:+t,s2,s3");
		pubsub_contract_until(loop, turns_over, &few);
	}
	pubsub_faults = (struct pubsub_faults){ 0 };
	set_roster("7b:+t,s1,s2;8c:+t,s2,s3");
	expect_equal();
}

static void
test_converges_memory(void **state)
{
	(void)state;
	converges(&pubsub_memory);
}

static void
test_converges_redis(void **state)
{
	(void)state;
	redis_server_start(&server, NULL);
	converges(&pubsub_redis);
}

static int
teardown_redis(void **state)
{
	teardown(state);
	redis_server_drop(&server);
	return 0;
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_follows),
		TEST(test_access),
		TEST(test_roster),
		TEST(test_own),
		TEST(test_unreadable),
		cmocka_unit_test_teardown(test_converges_memory, teardown),
		cmocka_unit_test_teardown(test_converges_redis, teardown_redis),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
