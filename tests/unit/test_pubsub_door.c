/* SPDX-License-Identifier: MIT */
/* pubsub_door: what stands outside is what the hub has, whatever happened. */
#include "tests/unit/hub_world.h"
#include "tests/unit/redis_server.h"

#include "base/map.h"
#include "flow/pubsub_backends.h"
#include "flow/pubsub_door.h"
#include "state/redis_link.h"
#include "tests/contract/pubsub_contract.h"
#include "tests/contract/pubsub_fault.h"

static struct pubsub *pubsub;
static struct pubsub_door *out;
static struct redis_server server;

static void
open_with(const char *rows, const struct pubsub_backend *b)
{
	struct redis_options redis = { .address = server.address, .timeout_s = 5 };
	struct pubsub_options o = { .redis = &redis };
	char *why = NULL;

	world_open(rows);
	o.loop = loop;
	pubsub = pubsub_open(b, &o, &why);
	out = pubsub_door_new(hub, pubsub);
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
	pubsub_door_free(out);
	pubsub_close(pubsub);
	world_close();
	return 0;
}

/* ---- a node as it stands outside: "id=json\n" of each item, in order ---- */

struct seen {
	struct buf text;
	bool come, whole;
};

static int
by_id(const void *a, const void *b)
{
	const struct pubsub_item *x = a, *y = b;
	int order = memcmp(x->id.p, y->id.p, x->id.n < y->id.n ? x->id.n : y->id.n);

	return order != 0 ? order : (x->id.n > y->id.n) - (x->id.n < y->id.n);
}

static void
seen_snapshot_cb(void *arg, const struct pubsub_item *items, size_t n, bool whole)
{
	struct seen *s = arg;
	struct pubsub_item *v = mem_alloc(n * sizeof *v + 1);

	if (n > 0)
		memcpy(v, items, n * sizeof *v);
	qsort(v, n, sizeof *v, by_id);
	buf_clear(&s->text);
	buf_z(&s->text, "");
	for (size_t i = 0; i < n; i++)
		buf_printf(&s->text, "%.*s=%.*s\n", STR_ARG(v[i].id), STR_ARG(v[i].json));
	mem_free(v);
	s->come = true;
	s->whole = whole;
}

static void
seen_change_cb(void *arg, const struct pubsub_change *c)
{
	(void)arg;
	(void)c;
}

static const struct pubsub_reader seen_ops = { seen_snapshot_cb, seen_change_cb };

static bool
hub_cb(void *arg, const struct hub_item *item)
{
	buf_printf(arg, "%s=%.*s\n", item->id, STR_ARG(item->json));
	return true;
}

static char *
hub_text(const char *node)
{
	struct buf b = BUF_INIT(0);

	buf_z(&b, "");
	hub_items(hub, str_of(node), STR_LIT("t@x"), hub_cb, &b);
	return buf_take(&b);
}

struct wait {
	const char *node;
	struct seen seen;
	struct pubsub_sub *sub;
	unsigned turns;
	bool gone; /* there should be nothing */
};

static bool
is_equal(void *arg)
{
	struct wait *w = arg;
	char *want = w->gone ? mem_strdup("") : hub_text(w->node);
	bool equal = w->seen.come && w->seen.whole == !w->gone &&
	    str_is(buf_view(&w->seen.text), want);

	mem_free(want);
	if (!equal && w->seen.come && ++w->turns % 8 == 0) {
		w->seen.come = false;
		pubsub_refresh(w->sub);
	}
	return equal;
}

/* Waits until the node stands outside as the hub has it; gone: until it does not. */
static void
expect(const char *node, bool gone)
{
	struct wait w = { .node = node, .gone = gone };

	w.sub = pubsub_follow(pubsub, str_of(node), &seen_ops, &w.seen);
	pubsub_contract_until(loop, is_equal, &w);
	pubsub_unfollow(w.sub);
	buf_free(&w.seen.text);
}

static void
expect_all(void)
{
	expect("class/7b/t.count", false);
	expect("class/7b/t.docs", false);
	expect("class/7b/_roster", false);
	expect("class/8c/t.count", false);
	expect("class/8c/t.docs", false);
}

/* ---- tests ---- */

static void
test_publishes(void **state)
{
	char *own = mem_printf("student/%s/t.count", pseudonym("s2"));

	(void)state;
	event("s1");
	event_of("s2", "doc");
	event("s2");
	expect_all();
	event("s1");
	event("s3");
	expect_all();
	expect(own, false);
	mem_free(own);
	assert_true(metric_value[METRIC_PUBSUB_PUBLISHED] > 0);
}

/* Internal reducers and what is not in the roster stay inside. */
static void
test_stays_inside(void **state)
{
	(void)state;
	event("s1");
	event("nobody");
	expect_all();
	expect("class/7b/t.hidden", true);
	expect("class/9d/t.count", true);
}

static void
test_roster(void **state)
{
	(void)state;
	event("s1");
	event("s2");
	event("s3");
	expect_all();
	set_roster("7b:+t,s1;8c:+t,s2,s3"); /* s2 leaves 7b */
	expect_all();
	set_roster("7b:+t,s1,s2"); /* and 8c is no more */
	expect("class/7b/t.count", false);
	expect("class/8c/t.count", true);
	expect("class/8c/_roster", true);
	set_roster("7b:+t,s1;8c:+t,s1,s2,s3");
	expect_all();
	set_roster("7b:+t;8c:+t,s1"); /* a class without students */
	expect_all();
}

/* ---- what is said of a node: the operations, in order ---- */

static void
ops_snapshot_cb(void *arg, const struct pubsub_item *v, size_t n, bool whole)
{
	(void)v, (void)n, (void)whole;
	buf_clear(arg);
}

static void
ops_change_cb(void *arg, const struct pubsub_change *c)
{
	buf_printf(arg, "%s ", pubsub_op_name(c->op));
}

static const struct pubsub_reader ops_reader = { ops_snapshot_cb, ops_change_cb };

static bool
ends_whole(void *arg)
{
	struct str ops = buf_view(arg);

	return ops.n > 6 && memcmp(ops.p + ops.n - 6, "whole ", 6) == 0;
}

/* From a purge until the items are there again nobody may take the node for whole. */
static void
test_purge(void **state)
{
	struct buf ops = BUF_INIT(0);
	struct pubsub_sub *sub;

	(void)state;
	docs_of("s1", 300);
	event_of("s2", "doc");
	hub_spread(hub);
	expect("class/7b/t.docs", false);
	sub = pubsub_follow(pubsub, STR_LIT("class/7b/t.docs"), &ops_reader, &ops);
	turns(8);
	assert_int_equal(ops.len, 0);
	set_roster("7b:+t,s2;8c:+t,s2,s3");
	pubsub_contract_until(loop, ends_whole, &ops);
	buf_byte(&ops, '\0');
	assert_string_equal(ops.data, "part purge item whole ");
	expect("class/7b/t.docs", false);
	pubsub_unfollow(sub);
	buf_free(&ops);
}

/* A new daemon, with another roster, finds what the one before it left. */
static void
test_earlier_life(void **state)
{
	(void)state;
	open_with("7b:+t,s1,s2;8c:+t,s2,s3", pubsub_fault(&pubsub_memory, 3));
	event("s1");
	event("s2");
	event("s3");
	expect_all();
	pubsub_door_free(out);
	set_roster("7b:+t,s2,s4;9d:+t,s3");
	out = pubsub_door_new(hub, pubsub);
	pubsub_fault_cut(); /* and what it finds is new to it */
	expect("class/7b/t.count", false);
	expect("class/9d/t.count", false);
	expect("class/8c/t.count", true);
}

static void
random_roster(void)
{
	static const char *const rosters[] = {
		"7b:+t,s1,s2;8c:+t,s2,s3", "7b:+t,s1,s2,s3;8c:+t,s3", "7b:+t,s3;8c:+t,s1,s2,s3",
		"8c:+t,s2", "7b:+t,s1,s2;8c:+t",
	};

	set_roster(rosters[rand() % (int)COUNT(rosters)]);
}

static bool
turns_over(void *left)
{
	return --*(int *)left <= 0;
}

/* Whatever the backend does in between, it has in the end what the hub has. */
static void
converges(const struct pubsub_backend *b)
{
	const struct pubsub_faults none = { 0 };

	pubsub_faults = (struct pubsub_faults){ .delay = 3, .refuse = 4, .cut = 30,
	    .cut_ask = 100 };
	open_with("7b:+t,s1,s2;8c:+t,s2,s3", pubsub_fault(b, 7));
	for (int i = 0; i < 300 || !pubsub_faults_seen(&none); i++) {
		int few = rand() % 4;

		event_of((const char *[]){ "s1", "s2", "s3" }[rand() % 3], i % 2 ? "d1" : "d2");
		hub_spread(hub);
		if (rand() % 20 == 0)
			random_roster();
		pubsub_contract_until(loop, turns_over, &few);
	}
	pubsub_faults = (struct pubsub_faults){ 0 };
	set_roster("7b:+t,s1,s2;8c:+t,s2,s3");
	expect_all();
	set_roster("8c:+t,s3");
	expect("class/8c/t.count", false);
	expect("class/7b/t.count", true);
	expect("class/7b/_roster", true);
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

static void
test_status(void **state)
{
	struct buf b = BUF_INIT(0);
	struct jsonw w = jsonw_to(&b);

	(void)state;
	event("s1");
	expect_all();
	jsonw_object(&w);
	pubsub_door_status(out, &w);
	jsonw_object_end(&w);
	buf_byte(&b, '\0');
	assert_string_equal(b.data,
	    "{\"nodes_published\":12,\"nodes_waiting\":0,\"nodes_leaving\":0}");
	buf_free(&b);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_publishes),
		TEST(test_stays_inside),
		TEST(test_roster),
		TEST(test_purge),
		TEST(test_status),
		cmocka_unit_test_teardown(test_earlier_life, teardown),
		cmocka_unit_test_teardown(test_converges_memory, teardown),
		cmocka_unit_test_teardown(test_converges_redis, teardown_redis),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
