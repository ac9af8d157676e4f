/* SPDX-License-Identifier: MIT */
/* The contract of pubsub backends, as tests. */
#include "tests/contract/pubsub_contract.h"

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

#define UNTIL_MS 30000
#define LARGE ((size_t)1 << 20)
#define CLASS "class/7b/t.count"

static const struct pubsub_contract *contract;
static const struct pubsub_backend *backend;
static struct pubsub_options options;
static struct pubsub *writer, *reader; /* the same where nobody else sees what is published */
static unsigned ups, downs, rooms;
static uint64_t number;

/* ---- the loop ---- */

struct until {
	struct loop *loop;
	pubsub_contract_cond *cond;
	void *arg;
	uint64_t end_ms;
	bool met;
};

static void
until_cb(void *arg)
{
	struct until *u = arg;

	u->met = u->cond(u->arg);
	if (u->met || loop_now_ms(u->loop) > u->end_ms)
		loop_stop(u->loop);
}

void
pubsub_contract_until(struct loop *l, pubsub_contract_cond *cond, void *arg)
{
	struct until u = { l, cond, arg, loop_now_ms(l) + UNTIL_MS, false };
	struct loop_timer *t = loop_timer_new(l, until_cb, &u);

	loop_timer_every(t, 1);
	loop_run(l);
	loop_timer_free(t);
	if (!u.met)
		fail_msg("waited in vain");
}

static void
until(pubsub_contract_cond *cond, void *arg)
{
	pubsub_contract_until(options.loop, cond, arg);
}

static bool
is_up(void *arg)
{
	(void)arg;
	return ups > downs;
}

static bool
turns_over(void *left)
{
	return --*(int *)left == 0;
}

/* A while in which nothing is expected to happen. */
static void
settle(void)
{
	int turns = 30;

	until(turns_over, &turns);
}

/* ---- who publishes ---- */

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

static void
room_cb(void *arg)
{
	(void)arg;
	rooms++;
}

static const struct pubsub_writer writer_ops = { up_cb, down_cb, room_cb };

static char *
item_json(uint64_t seq, const char *text)
{
	return mem_printf("{\"v\":1,\"seq\":%" PRIu64 ",\"state\":\"%s\"}", seq, text);
}

static bool
publishes(void *arg)
{
	return pubsub_publish(writer, str_of(CLASS), arg, 1);
}

static void
publish(enum pubsub_op op, const char *id, const char *json)
{
	struct pubsub_change c = { op, ++number, str_of(id), str_of(json) };

	until(publishes, &c);
}

static void
item(const char *id, uint64_t seq)
{
	char *json = item_json(seq, id);

	publish(PUBSUB_ITEM, id, json);
	mem_free(json);
}

/* ---- who reads: what it has of one node ---- */

struct view {
	struct map *items;    /* JSON by id */
	struct pubsub_sub *sub;
	unsigned snapshots, changes, deleted;
	bool whole;
	void (*called)(struct view *v); /* in the first call */
};

static uint64_t
seq_of(struct str json)
{
	char *text = mem_str(json), *at = strstr(text, "\"seq\":");
	uint64_t seq = at != NULL ? strtoull(at + 6, NULL, 10) : 0;

	mem_free(text);
	return seq;
}

static void
view_put(struct view *v, struct str id, struct str json)
{
	const char *before = map_get(v->items, id);

	if (before == NULL || seq_of(json) > seq_of(str_of(before)))
		mem_free(map_put(v->items, id, mem_str(json)));
}

static void
view_empty(struct view *v)
{
	map_free(v->items, mem_free);
	v->items = map_new();
}

static void
view_called(struct view *v)
{
	void (*called)(struct view *) = v->called;

	v->called = NULL;
	if (called != NULL)
		called(v);
}

static bool
has_id(const struct pubsub_item *v, size_t n, struct str id)
{
	while (n > 0)
		if (str_eq(v[--n].id, id))
			return true;
	return false;
}

static void
view_snapshot_cb(void *arg, const struct pubsub_item *items, size_t n, bool whole)
{
	struct view *v = arg;
	struct map_iter it = { 0 };

	v->snapshots++;
	v->whole = whole;
	for (size_t i = 0; i < n; i++)
		view_put(v, items[i].id, items[i].json);
	while (whole && map_next(v->items, &it))
		if (!has_id(items, n, it.key))
			mem_free(map_remove(v->items, it.key));
	view_called(v);
}

static void
view_change_cb(void *arg, const struct pubsub_change *c)
{
	struct view *v = arg;

	v->changes++;
	if (c->op == PUBSUB_ITEM)
		view_put(v, c->id, c->json);
	else if (c->op == PUBSUB_RETRACT)
		mem_free(map_remove(v->items, c->id));
	else if (c->op != PUBSUB_WHOLE && c->op != PUBSUB_PART)
		view_empty(v);
	else if (c->op == PUBSUB_WHOLE && !v->whole)
		pubsub_refresh(v->sub);
	v->deleted += c->op == PUBSUB_DELETED;
	view_called(v);
}

static const struct pubsub_reader view_ops = { view_snapshot_cb, view_change_cb };

static void
view_open(struct view *v, const char *node)
{
	*v = (struct view){ .items = map_new() };
	v->sub = pubsub_follow(reader, str_of(node), &view_ops, v);
}

static void
view_close(struct view *v)
{
	if (v->sub != NULL)
		pubsub_unfollow(v->sub);
	map_free(v->items, mem_free);
}

/* "id=seq;" of each item, in order. */
static char *
view_text(const struct view *v)
{
	struct buf b = BUF_INIT(0);
	struct map_iter *all = map_sorted(v->items);

	buf_z(&b, "");
	for (size_t i = 0; i < map_size(v->items); i++)
		buf_printf(&b, "%.*s=%" PRIu64 ";", STR_ARG(all[i].key),
		    seq_of(str_of(all[i].value)));
	mem_free(all);
	return buf_take(&b);
}

struct expected {
	const struct view *v;
	const char *text;
};

static bool
is_as_expected(void *arg)
{
	const struct expected *e = arg;
	char *text = view_text(e->v);
	bool is = e->v->snapshots > 0 && strcmp(text, e->text) == 0;

	mem_free(text);
	return is;
}

static void
expect(const struct view *v, const char *text)
{
	struct expected e = { v, text };

	until(is_as_expected, &e);
}

/* ---- begin and end ---- */

static void
open_both(void)
{
	char *why = NULL;

	writer = pubsub_open(backend, &options, &why);
	if (writer == NULL)
		fail_msg("pubsub_open: %s", why);
	pubsub_write(writer, &writer_ops, NULL);
	reader = writer;
	if (backend->caps & PUBSUB_SHARED)
		reader = pubsub_open(backend, &options, &why);
	assert_non_null(reader);
}

static void
close_both(void)
{
	if (reader != writer)
		pubsub_close(reader);
	pubsub_close(writer);
	reader = writer = NULL;
}

static int
setup(void **state)
{
	(void)state;
	ups = downs = rooms = 0;
	number = 0;
	options = (struct pubsub_options){ .loop = loop_new() };
	contract->place(&options);
	open_both();
	assert_int_equal(ups, 0); /* never inside the call */
	until(is_up, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	close_both();
	loop_run(options.loop);
	loop_free(options.loop);
	contract->drop(&options);
	return 0;
}

/* ---- the contract ---- */

static void
test_name(void **state)
{
	char *why = NULL;

	(void)state;
	assert_ptr_equal(pubsub_backend(contract->backend->name, &why), contract->backend);
	assert_string_equal(pubsub_name(writer), contract->backend->name);
	assert_null(pubsub_backend("nosuch", &why));
	assert_non_null(strstr(why, "nosuch"));
	assert_non_null(strstr(why, contract->backend->name));
	mem_free(why);
	pubsub_close(NULL);
}

static void
test_snapshot_then_live(void **state)
{
	struct view v;

	(void)state;
	item("a", 1);
	item("b", 1);
	item("a", 2);
	view_open(&v, CLASS);
	assert_int_equal(v.snapshots, 0);
	expect(&v, "a=2;b=1;");
	item("c", 7);
	item("a", 3);
	expect(&v, "a=3;b=1;c=7;");
	view_close(&v);
}

static void
test_nothing_yet(void **state)
{
	struct view v;

	(void)state;
	view_open(&v, CLASS);
	expect(&v, "");
	assert_false(v.whole);
	item("a", 1);
	expect(&v, "a=1;");
	view_close(&v);
}

static void
test_leaving(void **state)
{
	struct view early, late;

	(void)state;
	view_open(&early, CLASS);
	item("a", 1);
	item("b", 1);
	publish(PUBSUB_RETRACT, "a", "");
	expect(&early, "b=1;");
	item("a", 1); /* back as it was */
	expect(&early, "a=1;b=1;");
	publish(PUBSUB_PURGE, "", "");
	item("c", 1);
	expect(&early, "c=1;");
	view_open(&late, CLASS);
	expect(&late, "c=1;");
	publish(PUBSUB_DELETED, "", "");
	expect(&early, "");
	expect(&late, "");
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
	publish(PUBSUB_PART, "", "");
	item("a", 1);
	view_open(&v, CLASS);
	expect(&v, "a=1;");
	assert_false(v.whole);
	publish(PUBSUB_WHOLE, "", "");
	until(is_whole, &v); /* and is read again, then */
	publish(PUBSUB_PART, "", "");
	v.snapshots = 0;
	pubsub_refresh(v.sub);
	expect(&v, "a=1;");
	assert_false(v.whole);
	view_close(&v);
}

static void
test_other_node(void **state)
{
	struct view v, other;

	(void)state;
	view_open(&v, CLASS);
	view_open(&other, "class/8c/t.count");
	item("a", 1);
	expect(&v, "a=1;");
	expect(&other, "");
	settle();
	assert_int_equal(other.changes, 0);
	pubsub_unfollow(v.sub);
	v.sub = NULL;
	item("a", 2);
	settle();
	expect(&v, "a=1;");
	view_close(&v);
	view_close(&other);
}

static void
test_two_readers(void **state)
{
	struct view v, w;

	(void)state;
	view_open(&v, CLASS);
	item("a", 1);
	expect(&v, "a=1;");
	view_open(&w, CLASS);
	expect(&w, "a=1;");
	item("b", 1);
	expect(&v, "a=1;b=1;");
	expect(&w, "a=1;b=1;");
	view_close(&v);
	item("b", 2);
	expect(&w, "a=1;b=2;");
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
	json = item_json(1, large);
	view_open(&v, CLASS);
	publish(PUBSUB_ITEM, "large", json);
	publish(PUBSUB_ITEM, id, "{\"v\":1,\"seq\":5}");
	expect(&v, "large=1;p/a%2C\"b\\ \xc3\xa4\n~$*\r\n=5;");
	assert_string_equal(map_get(v.items, STR_LIT("large")), json);
	view_close(&v);
	view_open(&v, CLASS);
	expect(&v, "large=1;p/a%2C\"b\\ \xc3\xa4\n~$*\r\n=5;");
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

	until(is_over, a);
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

	pubsub_ids(writer, str_of(node), ids_cb, &a);
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

	pubsub_nodes(writer, nodes_cb, &a);
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
	assert_ids(CLASS, "");
	assert_nodes("");
	publish(PUBSUB_PART, "", "");
	item("a", 1);
	item("b/1", 1);
	assert_ids(CLASS, "a;b/1;");
	assert_ids("class/8c/t.count", "");
	assert_nodes(CLASS ";");
	publish(PUBSUB_WHOLE, "", "");
	publish(PUBSUB_RETRACT, "a", "");
	assert_ids(CLASS, "b/1;");
	publish(PUBSUB_DELETED, "", "");
	assert_ids(CLASS, "");
	assert_nodes("");
}

/* Many changes of few items: the last one of each arrives, in whatever way. */
static void
test_many(void **state)
{
	struct view v;

	(void)state;
	view_open(&v, CLASS);
	for (uint64_t i = 1; i <= 200; i++)
		item(i % 2 ? "a" : "b", i);
	expect(&v, "a=199;b=200;");
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
	item("a", 1);
	view_open(&v, CLASS);
	view_open(&other, CLASS);
	v.called = ends_both;
	until(both_ended, &v);
	item("a", 2);
	settle();
	assert_int_equal(v.snapshots, 1);
	assert_int_equal(v.changes + other.changes, 0);
	view_close(&v);
	view_close(&other);
}

static void
closes(struct view *v)
{
	v->sub = other.sub = NULL;
	close_both();
}

static bool
is_closed(void *arg)
{
	(void)arg;
	return writer == NULL;
}

static void
test_close_inside(void **state)
{
	struct view v;

	(void)state;
	item("a", 1);
	view_open(&v, CLASS);
	view_open(&other, CLASS);
	v.called = closes;
	until(is_closed, NULL);
	settle();
	assert_int_equal(v.snapshots, 1);
	assert_int_equal(other.snapshots, 0);
	view_close(&v);
	view_close(&other);
	ups = downs = 0;
	open_both();
	until(is_up, NULL);
}

static void
test_close_drops(void **state)
{
	struct names a = { map_new(), 0, false };
	struct view v;

	(void)state;
	view_open(&v, CLASS);
	pubsub_ids(writer, str_of(CLASS), ids_cb, &a);
	pubsub_nodes(writer, nodes_cb, &a);
	v.sub = NULL;
	close_both();
	settle();
	assert_int_equal(v.snapshots, 0);
	assert_int_equal(a.calls, 0);
	map_free(a.got, NULL);
	view_close(&v);
	ups = downs = 0;
	open_both();
	until(is_up, NULL);
}

static bool
has_risen(void *arg)
{
	return ups > *(unsigned *)arg && is_up(NULL);
}

/* The link is lost: it comes back, says so, and the reader misses nothing of what
 * is published after that. */
static void
test_cut(void **state)
{
	unsigned before = ups;
	struct view v;

	(void)state;
	if (contract->cut == NULL)
		return;
	view_open(&v, CLASS);
	item("a", 1);
	expect(&v, "a=1;");
	contract->cut(&options);
	until(has_risen, &before);
	item("a", 2);
	item("b", 1);
	expect(&v, "a=2;b=1;");
	view_close(&v);
}

/* ---- with faults: whoever publishes everything anew after each loss, and takes
 * away what is not there any more, has equal readers in the end ---- */

#define RANDOM_IDS 6
#define RANDOM_STEPS 400

static uint64_t model[RANDOM_IDS]; /* seq of each item; 0: there is none */
static unsigned model_ups;         /* how often it was published anew */

static void
republish_ids_cb(void *arg, enum err e, const struct str *ids, size_t n)
{
	bool *over = arg;

	*over = true;
	if (e != ERR_OK)
		model_ups = 0; /* lost again */
	for (size_t i = 0; e == ERR_OK && i < n; i++) {
		struct pubsub_change c = { .op = PUBSUB_RETRACT, .number = number + 1, .id = ids[i] };

		if (model[ids[i].p[0] - 'a'] != 0)
			continue;
		if (!pubsub_publish(writer, str_of(CLASS), &c, 1))
			model_ups = 0;
		else
			number++;
	}
}

static bool
is_true(void *arg)
{
	return *(bool *)arg;
}

static void
republish(void)
{
	bool over = false;

	model_ups = ups;
	publish(PUBSUB_PART, "", "");
	pubsub_ids(writer, str_of(CLASS), republish_ids_cb, &over);
	until(is_true, &over);
	for (int i = 0; i < RANDOM_IDS && model_ups == ups; i++)
		if (model[i] != 0)
			item((const char[]){ (char)('a' + i), '\0' }, model[i]);
	if (model_ups == ups)
		publish(PUBSUB_WHOLE, "", "");
}

static void
random_step(uint64_t seq)
{
	int i = rand() % RANDOM_IDS;
	const char id[] = { (char)('a' + i), '\0' };

	if (rand() % 4 == 0) {
		model[i] = 0;
		publish(PUBSUB_RETRACT, id, "");
	} else {
		model[i] = seq;
		item(id, seq);
	}
}

static char *
model_text(void)
{
	struct buf b = BUF_INIT(0);

	buf_z(&b, "");
	for (int i = 0; i < RANDOM_IDS; i++)
		if (model[i] != 0)
			buf_printf(&b, "%c=%" PRIu64 ";", 'a' + i, model[i]);
	return buf_take(&b);
}

static void
test_converges(void **state)
{
	struct pubsub_faults before = pubsub_faults;
	struct view v, late;
	char *want;

	(void)state;
	memset(model, 0, sizeof model);
	model_ups = ups;
	if (pubsub_faults.delay != 0)
		pubsub_faults.cut = 40;
	view_open(&v, CLASS);
	for (uint64_t i = 1; i <= RANDOM_STEPS; i++) {
		random_step(i);
		while (model_ups != ups)
			republish();
	}
	pubsub_faults.cut = before.cut;
	republish();
	while (model_ups != ups || downs >= ups)
		republish();
	want = model_text();
	expect(&v, want);
	view_open(&late, CLASS);
	expect(&late, want);
	assert_true(before.delay == 0 || (pubsub_faults.cuts > before.cuts &&
	    pubsub_faults.swaps > before.swaps && pubsub_faults.refusals > before.refusals));
	mem_free(want);
	view_close(&v);
	view_close(&late);
}

static int
run_suite(const char *how)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
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

	contract = c;
	backend = c->backend;
	pubsub_faults = (struct pubsub_faults){ 0 };
	failed = run_suite(c->backend->name);
	backend = pubsub_fault(c->backend, 1);
	pubsub_faults = (struct pubsub_faults){ .delay = 3, .refuse = 5, .swap = 6 };
	failed += run_suite(how);
	pubsub_faults = (struct pubsub_faults){ 0 };
	mem_free(how);
	return failed;
}
