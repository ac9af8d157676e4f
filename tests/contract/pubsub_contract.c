/* SPDX-License-Identifier: MIT */
/* The contract of pubsub backends, as tests. */
#include "tests/contract/pubsub_rig.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/mem.h"
#include "tests/contract/pubsub_fault.h"

#define LARGE ((size_t)1 << 20)

static void
test_name(void **state)
{
	char *why = NULL;

	(void)state;
	assert_ptr_equal(pubsub_backend(rig_contract->backend->name, &why), rig_contract->backend);
	assert_string_equal(pubsub_name(rig_writer), rig_contract->backend->name);
	assert_null(pubsub_backend("nosuch", &why));
	assert_non_null(strstr(why, "nosuch"));
	assert_non_null(strstr(why, rig_contract->backend->name));
	mem_free(why);
	pubsub_close(NULL);
}

static void
test_snapshot_then_live(void **state)
{
	struct view v;

	(void)state;
	rig_item("a", 1);
	rig_item("b", 1);
	rig_item("a", 2);
	view_open(&v, RIG_NODE);
	assert_int_equal(v.snapshots, 0);
	view_expect(&v, "a=2;b=1;");
	rig_item("c", 7);
	rig_item("a", 3);
	view_expect(&v, "a=3;b=1;c=7;");
	view_close(&v);
}

static void
test_nothing_yet(void **state)
{
	struct view v;

	(void)state;
	view_open(&v, RIG_NODE);
	view_expect(&v, "");
	assert_false(v.whole);
	rig_item("a", 1);
	view_expect(&v, "a=1;");
	view_close(&v);
}

static void
test_leaving(void **state)
{
	struct view early, late;

	(void)state;
	view_open(&early, RIG_NODE);
	rig_item("a", 1);
	rig_item("b", 1);
	rig_publish(PUBSUB_RETRACT, "a", "");
	view_expect(&early, "b=1;");
	rig_item("a", 1); /* back as it was */
	view_expect(&early, "a=1;b=1;");
	rig_publish(PUBSUB_PURGE, "", "");
	rig_item("c", 1);
	view_expect(&early, "c=1;");
	view_open(&late, RIG_NODE);
	view_expect(&late, "c=1;");
	rig_publish(PUBSUB_DELETED, "", "");
	view_expect(&early, "");
	view_expect(&late, "");
	view_close(&early);
	view_close(&late);
}

static bool
is_whole(void *arg)
{
	return ((struct view *)arg)->whole;
}

static void
test_whole(void **state)
{
	struct view v;

	(void)state;
	rig_publish(PUBSUB_PART, "", "");
	rig_item("a", 1);
	view_open(&v, RIG_NODE);
	view_expect(&v, "a=1;");
	assert_false(v.whole);
	rig_publish(PUBSUB_WHOLE, "", "");
	rig_until(is_whole, &v); /* and is read again, then */
	rig_publish(PUBSUB_PART, "", "");
	v.snapshots = 0;
	pubsub_refresh(v.sub);
	view_expect(&v, "a=1;");
	assert_false(v.whole);
	view_close(&v);
}

static void
test_other_node(void **state)
{
	struct view v, other;

	(void)state;
	view_open(&v, RIG_NODE);
	view_open(&other, "class/8c/t.count");
	rig_item("a", 1);
	view_expect(&v, "a=1;");
	view_expect(&other, "");
	rig_settle();
	assert_int_equal(other.changes, 0);
	pubsub_unfollow(v.sub);
	v.sub = NULL;
	rig_item("a", 2);
	rig_settle();
	view_expect(&v, "a=1;");
	view_close(&v);
	view_close(&other);
}

static void
test_two_readers(void **state)
{
	struct view v, w;

	(void)state;
	view_open(&v, RIG_NODE);
	rig_item("a", 1);
	view_expect(&v, "a=1;");
	view_open(&w, RIG_NODE);
	view_expect(&w, "a=1;");
	rig_item("b", 1);
	view_expect(&v, "a=1;b=1;");
	view_expect(&w, "a=1;b=1;");
	view_close(&v);
	rig_item("b", 2);
	view_expect(&w, "a=1;b=2;");
	view_close(&w);
}

/* Ids are text of every kind, JSON may be large; both come as they went. */
static void
test_bytes(void **state)
{
	const char *id = "p/a%2C\"b\\ \xc3\xa4\n~$*\r\n";
	char *large = mem_alloc(LARGE + 1), *json;
	struct view v;

	(void)state;
	memset(large, 'x', LARGE);
	large[LARGE] = '\0';
	json = rig_item_json(1, large);
	view_open(&v, RIG_NODE);
	rig_publish(PUBSUB_ITEM, "large", json);
	rig_publish(PUBSUB_ITEM, id, "{\"v\":1,\"seq\":5}");
	view_expect(&v, "large=1;p/a%2C\"b\\ \xc3\xa4\n~$*\r\n=5;");
	assert_string_equal(map_get(v.items, STR_LIT("large")), json);
	view_close(&v);
	view_open(&v, RIG_NODE);
	view_expect(&v, "large=1;p/a%2C\"b\\ \xc3\xa4\n~$*\r\n=5;");
	assert_string_equal(map_get(v.items, STR_LIT("large")), json);
	view_close(&v);
	mem_free(json);
	mem_free(large);
}

struct names {
	struct map *got;
	unsigned calls;
	bool over;
};

static void
take_names(struct names *a, enum err e, const struct str *v, size_t n)
{
	assert_int_equal(e, ERR_OK);
	a->calls++;
	for (size_t i = 0; i < n; i++)
		map_put(a->got, v[i], a);
}

static void
ids_cb(void *arg, enum err e, const struct str *ids, size_t n)
{
	struct names *a = arg;

	take_names(a, e, ids, n);
	a->over = true;
}

static void
nodes_cb(void *arg, enum err e, const struct str *names, size_t n, bool more)
{
	struct names *a = arg;

	take_names(a, e, names, n);
	a->over = !more;
}

static bool
is_over(void *arg)
{
	return ((struct names *)arg)->over;
}

static char *
names_text(struct names *a)
{
	struct buf b = BUF_INIT(0);
	struct map_iter *all;

	rig_until(is_over, a);
	all = map_sorted(a->got);
	buf_z(&b, "");
	for (size_t i = 0; i < map_size(a->got); i++)
		buf_printf(&b, "%.*s;", STR_ARG(all[i].key));
	mem_free(all);
	map_free(a->got, NULL);
	return buf_take(&b);
}

static void
assert_ids(const char *node, const char *want)
{
	struct names a = { map_new(), 0, false };
	char *got;

	pubsub_ids(rig_writer, str_of(node), ids_cb, &a);
	assert_int_equal(a.calls, 0);
	got = names_text(&a);
	assert_string_equal(got, want);
	mem_free(got);
}

static void
assert_nodes(const char *want)
{
	struct names a = { map_new(), 0, false };
	char *got;

	pubsub_nodes(rig_writer, nodes_cb, &a);
	assert_int_equal(a.calls, 0);
	got = names_text(&a);
	assert_string_equal(got, want);
	mem_free(got);
}

/* What somebody left behind can be found and taken away. */
static void
test_names(void **state)
{
	(void)state;
	assert_ids(RIG_NODE, "");
	assert_nodes("");
	rig_publish(PUBSUB_PART, "", "");
	rig_item("a", 1);
	rig_item("b/1", 1);
	assert_ids(RIG_NODE, "a;b/1;");
	assert_ids("class/8c/t.count", "");
	assert_nodes(RIG_NODE ";");
	rig_publish(PUBSUB_WHOLE, "", "");
	rig_publish(PUBSUB_RETRACT, "a", "");
	assert_ids(RIG_NODE, "b/1;");
	rig_publish(PUBSUB_DELETED, "", "");
	assert_ids(RIG_NODE, "");
	assert_nodes("");
}

/* Many changes of few items: the last one of each arrives, in whatever way. */
static void
test_many(void **state)
{
	struct view v;

	(void)state;
	view_open(&v, RIG_NODE);
	for (uint64_t i = 1; i <= 200; i++)
		rig_item(i % 2 ? "a" : "b", i);
	view_expect(&v, "a=199;b=200;");
	view_close(&v);
}

static struct view other;

static void
ends_both(struct view *v)
{
	pubsub_unfollow(v->sub);
	v->sub = NULL;
	if (other.sub != NULL)
		pubsub_unfollow(other.sub);
	other.sub = NULL;
}

static bool
both_ended(void *arg)
{
	return ((struct view *)arg)->sub == NULL && other.sub == NULL;
}

/* Whoever is called may end anything. */
static void
test_unsubscribe_inside(void **state)
{
	struct view v;

	(void)state;
	rig_item("a", 1);
	view_open(&v, RIG_NODE);
	view_open(&other, RIG_NODE);
	v.called = ends_both;
	rig_until(both_ended, &v);
	rig_item("a", 2);
	rig_settle();
	assert_int_equal(v.snapshots, 1);
	assert_int_equal(v.changes + other.changes, 0);
	view_close(&v);
	view_close(&other);
}

static void
closes(struct view *v)
{
	v->sub = other.sub = NULL;
	rig_close();
}

static bool
is_closed(void *arg)
{
	(void)arg;
	return rig_writer == NULL;
}

static void
test_close_inside(void **state)
{
	struct view v;

	(void)state;
	rig_item("a", 1);
	view_open(&v, RIG_NODE);
	view_open(&other, RIG_NODE);
	v.called = closes;
	rig_until(is_closed, NULL);
	rig_settle();
	assert_int_equal(v.snapshots, 1);
	assert_int_equal(other.snapshots, 0);
	view_close(&v);
	view_close(&other);
	rig_ups = rig_downs = 0;
	rig_open();
	rig_until(rig_is_up, NULL);
}

static void
test_close_drops(void **state)
{
	struct names a = { map_new(), 0, false };
	struct view v;

	(void)state;
	view_open(&v, RIG_NODE);
	pubsub_ids(rig_writer, str_of(RIG_NODE), ids_cb, &a);
	pubsub_nodes(rig_writer, nodes_cb, &a);
	v.sub = NULL;
	rig_close();
	rig_settle();
	assert_int_equal(v.snapshots, 0);
	assert_int_equal(a.calls, 0);
	map_free(a.got, NULL);
	view_close(&v);
	rig_ups = rig_downs = 0;
	rig_open();
	rig_until(rig_is_up, NULL);
}

static bool
has_risen(void *arg)
{
	return rig_ups > *(unsigned *)arg && rig_is_up(NULL);
}

/* The link is lost: it comes back, says so, and the reader misses nothing of what
 * is published after that. */
static void
test_cut(void **state)
{
	unsigned before = rig_ups;
	struct view v;

	(void)state;
	if (rig_contract->cut == NULL)
		return;
	view_open(&v, RIG_NODE);
	rig_item("a", 1);
	view_expect(&v, "a=1;");
	rig_contract->cut(&rig_options);
	rig_until(has_risen, &before);
	rig_item("a", 2);
	rig_item("b", 1);
	view_expect(&v, "a=2;b=1;");
	view_close(&v);
}

static int
run_suite(const char *how)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_name),
		TEST(test_snapshot_then_live),
		TEST(test_nothing_yet),
		TEST(test_leaving),
		TEST(test_whole),
		TEST(test_other_node),
		TEST(test_two_readers),
		TEST(test_bytes),
		TEST(test_names),
		TEST(test_many),
		TEST(test_unsubscribe_inside),
		TEST(test_close_inside),
		TEST(test_close_drops),
		TEST(test_cut),
		TEST(test_converges),
	};

	return cmocka_run_group_tests_name(how, tests, NULL, NULL);
}

int
pubsub_contract_run(const struct pubsub_contract *c)
{
	char *how = mem_printf("pubsub %s with faults", c->backend->name);
	int failed;

	rig_contract = c;
	rig_backend = c->backend;
	pubsub_faults = (struct pubsub_faults){ 0 };
	failed = run_suite(c->backend->name);
	rig_backend = pubsub_fault(c->backend, 1);
	pubsub_faults = (struct pubsub_faults){ .delay = 3, .refuse = 5, .swap = 6 };
	failed += run_suite(how);
	pubsub_faults = (struct pubsub_faults){ 0 };
	mem_free(how);
	return failed;
}
