/* SPDX-License-Identifier: MIT */
/* The contract of KVS backends, as tests. */
#include "tests/contract/kvs_contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/mem.h"

static const struct kvs_contract *contract;
static bool faults;         /* the store fails by itself */
static struct map *written; /* since the last flush that went well: value, or REMOVED */
static char removed[] = "";
#define REMOVED removed
static struct kvs_options options;
static struct kvs *kvs;

#define PATIENCE_MS 20000 /* a test that waits longer has failed */

static void
turn_cb(void *arg)
{
	loop_stop(arg);
}

void
kvs_contract_until(struct loop *l, const unsigned *count, unsigned n)
{
	uint64_t end = loop_now_ms(l) + PATIENCE_MS;

	while (*count < n) {
		struct loop_timer *t = loop_timer_new(l, turn_cb, l);

		loop_timer_once(t, 2);
		loop_run(l);
		loop_timer_free(t);
		if (loop_now_ms(l) > end)
			fail_msg("waited too long for an answer");
	}
}

/* A store somewhere else is not there at once. */
struct kvs *
kvs_contract_open(const char *backend, const struct kvs_options *o)
{
	char *why = NULL;
	struct kvs *k = contract != NULL && contract->as != NULL ? kvs_open_as(contract->as, o, &why) :
	    kvs_open(backend, o, &why);
	uint64_t end = loop_now_ms(o->loop) + PATIENCE_MS;

	if (k == NULL)
		fail_msg("kvs_open: %s", why);
	while (kvs_contract_flush(k, o->loop) != ERR_OK)
		if (loop_now_ms(o->loop) > end)
			fail_msg("the store cannot be reached: %s", kvs_trouble(k));
	return k;
}

static int
setup(void **state)
{
	(void)state;
	options = (struct kvs_options){ .loop = loop_new() };
	contract->place(&options);
	kvs = kvs_contract_open(contract->backend, &options);
	written = map_new();
	return 0;
}

static void
written_free(void *value)
{
	if (value == NULL || value == REMOVED)
		return;
	buf_free(value);
	mem_free(value);
}

static int
teardown(void **state)
{
	(void)state;
	kvs_close(kvs);
	loop_run(options.loop);
	loop_free(options.loop);
	contract->drop(&options);
	kvs = NULL;
	map_free(written, written_free);
	return 0;
}

/* ---- answers, gathered as text ---- */

struct answers {
	struct buf text;
	unsigned calls, ends; /* ends: of scans */
	enum err last;
	struct kvs *close; /* closed in the first call */
};

static void
answered(struct answers *a, enum err e)
{
	a->calls++;
	a->last = e;
	if (a->close != NULL)
		kvs_close(a->close);
	a->close = NULL;
}

static void
get_cb(void *arg, enum err e, bool found, struct str value)
{
	struct answers *a = arg;

	if (found)
		buf_printf(&a->text, "%.*s", STR_ARG(value));
	else
		buf_byte(&a->text, '-');
	answered(a, e);
}

static void
scan_cb(void *arg, enum err e, struct str key, struct str value)
{
	struct answers *a = arg;

	if (key.p != NULL)
		buf_printf(&a->text, "%.*s=%.*s;", STR_ARG(key), STR_ARG(value));
	else
		buf_byte(&a->text, '.');
	a->ends += key.p == NULL;
	answered(a, e);
}

static void
done_cb(void *arg, enum err e)
{
	struct answers *a = arg;

	buf_byte(&a->text, '!');
	answered(a, e);
}

/* Whether the answer has to be asked for again. */
static bool
answer_failed(struct answers *a)
{
	if (!faults || a->last == ERR_OK)
		return false;
	buf_free(&a->text);
	*a = (struct answers){ 0 };
	return true;
}

char *
kvs_contract_get(struct kvs *k, struct loop *l, const char *key)
{
	struct answers a = { 0 };

	do {
		kvs_get(k, str_of(key), get_cb, &a);
		kvs_contract_until(l, &a.calls, 1);
		assert_int_equal(a.calls, 1);
	} while (answer_failed(&a));
	assert_int_equal(a.last, ERR_OK);
	return buf_take(&a.text);
}

char *
kvs_contract_scan(struct kvs *k, struct loop *l, const char *prefix)
{
	struct answers a = { 0 };

	do {
		kvs_scan(k, str_of(prefix), scan_cb, &a);
		kvs_contract_until(l, &a.ends, 1);
	} while (answer_failed(&a));
	assert_int_equal(a.last, ERR_OK);
	assert_int_equal(a.text.data[a.text.len - 1], '.'); /* and it was the last call */
	a.text.len--;
	return buf_take(&a.text);
}

enum err
kvs_contract_flush(struct kvs *k, struct loop *l)
{
	struct answers a = { 0 };

	kvs_flush(k, done_cb, &a);
	kvs_contract_until(l, &a.calls, 1);
	assert_int_equal(a.calls, 1);
	buf_free(&a.text);
	return a.last;
}

/* ---- writing, again where a flush failed ---- */

static void
write_bytes(struct str key, struct str value)
{
	struct buf *b;

	MEM_NEW(b);
	buf_str(b, value);
	written_free(map_put(written, key, b));
	kvs_put(kvs, key, value);
}

static void
put(const char *key, const char *value)
{
	write_bytes(str_of(key), str_of(value));
}

static void
remove_key(const char *key)
{
	written_free(map_put(written, str_of(key), REMOVED));
	kvs_remove(kvs, str_of(key));
}

static void
write_again(void)
{
	struct map_iter it = { 0 };

	while (map_next(written, &it))
		if (it.value == REMOVED)
			kvs_remove(kvs, it.key);
		else
			kvs_put(kvs, it.key, buf_view(it.value));
}

/* Everything is in the store. */
static void
assert_flush(void)
{
	enum err e = kvs_contract_flush(kvs, options.loop);

	while (faults && e != ERR_OK) {
		write_again();
		e = kvs_contract_flush(kvs, options.loop);
	}
	assert_int_equal(e, ERR_OK);
	map_free(written, written_free);
	written = map_new();
}

static void
assert_get(const char *key, const char *want)
{
	char *got = kvs_contract_get(kvs, options.loop, key);

	assert_string_equal(got, want);
	mem_free(got);
}

static void
assert_scan(const char *prefix, const char *want)
{
	char *got;

	if (faults) /* a scan has nothing that was not flushed there */
		assert_flush();
	got = kvs_contract_scan(kvs, options.loop, prefix);
	assert_string_equal(got, want);
	mem_free(got);
}

/* ---- the contract ---- */

static void
test_name(void **state)
{
	char *why = NULL;

	(void)state;
	assert_string_equal(kvs_backend(contract->backend, &why)->name, contract->backend);
	assert_int_equal(kvs_caps(kvs), kvs_backend(contract->backend, &why)->caps);
	assert_null(kvs_trouble(kvs));
	assert_null(why);
	assert_null(kvs_open("nosuch", &options, &why));
	assert_non_null(strstr(why, "nosuch"));
	assert_non_null(strstr(why, contract->backend));
	mem_free(why);
	kvs_close(NULL);
}

static void
test_values(void **state)
{
	(void)state;
	assert_get("a", "-");
	put("a", "1");
	assert_get("a", "1");
	put("a", "two");
	assert_get("a", "two");
	assert_get("", "-");
	assert_get("aa", "-");
	put("empty", "");
	assert_get("empty", "");
	remove_key("a");
	assert_get("a", "-");
	remove_key("a");
	put("a", "again");
	assert_get("a", "again");
	assert_flush();
	assert_get("a", "again");
	assert_get("empty", "");
}

struct bytes {
	char want[256];
	bool same;
	enum err e;
	unsigned calls;
};

static void
bytes_cb(void *arg, enum err e, bool found, struct str value)
{
	struct bytes *b = arg;

	b->calls++;
	b->e = e;
	b->same = e == ERR_OK && found &&
	    str_eq(value, (struct str){ b->want, sizeof b->want });
}

/* Keys and values are bytes. */
static void
test_binary(void **state)
{
	struct bytes b = { .same = false };

	(void)state;
	for (size_t i = 0; i < sizeof b.want; i++)
		b.want[i] = (char)i;
	write_bytes((struct str){ b.want, 256 }, (struct str){ b.want, 256 });
	write_bytes((struct str){ b.want, 255 }, STR_LIT("other"));
	assert_flush();
	do {
		b.calls = 0;
		kvs_get(kvs, (struct str){ b.want, 256 }, bytes_cb, &b);
		kvs_contract_until(options.loop, &b.calls, 1);
	} while (faults && b.e != ERR_OK);
	assert_true(b.same);
}

static void
large_cb(void *arg, enum err e, bool found, struct str value)
{
	(void)e;
	*(bool *)arg = found && value.n == KVS_VALUE_MAX && value.p[value.n - 1] == 'v';
}

struct large_scan {
	unsigned n, ends;
	enum err e;
};

static void
large_scan_cb(void *arg, enum err e, struct str key, struct str value)
{
	struct large_scan *s = arg;

	s->ends += key.p == NULL;
	s->n += key.p != NULL && value.n == KVS_VALUE_MAX;
	s->e = e;
}

/* As large as they may be, and several of them in one scan. */
static void
test_large(void **state)
{
	char *value = mem_alloc(KVS_VALUE_MAX);
	struct large_scan scan = { 0 };
	bool ok = false;

	(void)state;
	memset(value, 'v', KVS_VALUE_MAX);
	for (const char *key = "abc"; *key != '\0'; key++) {
		kvs_put(kvs, (struct str){ key, 1 }, (struct str){ value, KVS_VALUE_MAX });
		assert_int_equal(kvs_contract_flush(kvs, options.loop), ERR_OK);
	}
	mem_free(value);
	kvs_get(kvs, STR_LIT("b"), large_cb, &ok);
	kvs_scan(kvs, STR_LIT(""), large_scan_cb, &scan);
	kvs_contract_until(options.loop, &scan.ends, 1);
	assert_true(ok);
	assert_int_equal(scan.e, ERR_OK);
	assert_int_equal(scan.n, 3);
}

static void
test_scan(void **state)
{
	(void)state;
	assert_scan("", "");
	put("b", "2");
	put("ab", "4");
	put("a", "1");
	put("abc", "5");
	put("\xff", "6");
	put("a\x01", "3");
	assert_scan("", "a=1;a\x01=3;ab=4;abc=5;b=2;\xff=6;");
	assert_scan("a", "a=1;a\x01=3;ab=4;abc=5;");
	assert_scan("ab", "ab=4;abc=5;");
	assert_scan("abcd", "");
	assert_scan("c", "");
}

#define MANY 1500

static void
many_cb(void *arg, enum err e, struct str key, struct str value)
{
	struct answers *a = arg;
	char want[16];

	a->last = e;
	snprintf(want, sizeof want, "key[%06u", a->calls);
	a->ends += key.p == NULL;
	if (key.p == NULL)
		return;
	assert_int_equal(e, ERR_OK);
	assert_true(str_is(key, want) && str_eq(key, value));
	a->calls++;
}

/* More than any backend gives in one piece; names that mean something in patterns. */
static void
test_scan_of_many(void **state)
{
	struct answers a = { 0 };
	char key[16];

	(void)state;
	put("key", "not this one");
	put("key[", "neither, it would be the first");
	remove_key("key[");
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(key, sizeof key, "key[%06u", MANY - 1 - i);
		put(key, key);
	}
	put("key]", "nor this one");
	assert_flush();
	do {
		a = (struct answers){ 0 };
		kvs_scan(kvs, STR_LIT("key["), many_cb, &a);
		kvs_contract_until(options.loop, &a.ends, 1);
	} while (faults && a.last != ERR_OK);
	assert_int_equal(a.calls, MANY);
}

/* Never inside the call; in the order of asking; each the store as it was when
 * asked. */
static void
test_order(void **state)
{
	struct answers a = { 0 };

	(void)state;
	put("k", "1");
	kvs_get(kvs, STR_LIT("k"), get_cb, &a);
	put("k", "2");
	kvs_get(kvs, STR_LIT("k"), get_cb, &a);
	kvs_flush(kvs, done_cb, &a);
	remove_key("k");
	kvs_get(kvs, STR_LIT("k"), get_cb, &a);
	assert_int_equal(a.calls, 0);
	kvs_contract_until(options.loop, &a.calls, 4);
	if (contract->as == NULL && kvs_caps(kvs) & KVS_KEEPS)
		assert_true(str_is(buf_view(&a.text), "12!-"));
	else /* a save to a file takes longer than a look into memory */
		assert_true(str_is(buf_view(&a.text), "12!-") || str_is(buf_view(&a.text), "12-!"));
	buf_free(&a.text);
}

static void
test_scan_is_a_snapshot(void **state)
{
	struct answers a = { 0 };

	(void)state;
	if (!(kvs_caps(kvs) & KVS_SNAPSHOT))
		return;
	put("k", "1");
	kvs_scan(kvs, STR_LIT(""), scan_cb, &a);
	put("k", "2");
	put("l", "3");
	remove_key("k");
	kvs_scan(kvs, STR_LIT(""), scan_cb, &a);
	assert_int_equal(a.calls, 0);
	kvs_contract_until(options.loop, &a.ends, 2);
	assert_true(str_is(buf_view(&a.text), "k=1;." "l=3;."));
	buf_free(&a.text);
}

static void
changing_scan_cb(void *arg, enum err e, struct str key, struct str value)
{
	unsigned *calls = arg;

	(void)e;
	(void)value;
	++*calls;
	if (key.p == NULL)
		return;
	kvs_remove(kvs, key);
	kvs_remove(kvs, STR_LIT("c"));
	kvs_put(kvs, STR_LIT("d"), STR_LIT("new"));
}

/* Whoever is called may change the store. */
static void
test_change_in_scan(void **state)
{
	unsigned calls = 0;

	(void)state;
	put("a", "1");
	put("b", "2");
	put("c", "3");
	kvs_scan(kvs, STR_LIT(""), changing_scan_cb, &calls);
	kvs_contract_until(options.loop, &calls, 4);
	assert_int_equal(calls, 4);
	assert_scan("", "d=new;");
}

static void
test_close_drops_answers(void **state)
{
	struct answers a = { 0 };

	(void)state;
	put("k", "1");
	kvs_get(kvs, STR_LIT("k"), get_cb, &a);
	kvs_scan(kvs, STR_LIT(""), scan_cb, &a);
	kvs_flush(kvs, done_cb, &a);
	kvs_flush(kvs, done_cb, &a);
	kvs_close(kvs);
	loop_run(options.loop);
	assert_int_equal(a.calls, 0);
	kvs = kvs_contract_open(contract->backend, &options);
}

/* Whoever is called may close the store: nothing comes after that. */
static void
test_close_in_answer(void **state)
{
	struct answers in_scan = { 0 }, in_flush = { 0 };

	(void)state;
	put("k", "1");
	put("l", "2");
	in_scan.close = kvs;
	kvs_scan(kvs, STR_LIT(""), scan_cb, &in_scan);
	kvs_get(kvs, STR_LIT("k"), get_cb, &in_scan);
	loop_run(options.loop);
	assert_int_equal(in_scan.calls, 1);
	kvs = kvs_contract_open(contract->backend, &options);
	put("k", "1");
	in_flush.close = kvs;
	kvs_flush(kvs, done_cb, &in_flush);
	kvs_flush(kvs, done_cb, &in_flush);
	loop_run(options.loop);
	assert_int_equal(in_flush.calls, 1);
	kvs = kvs_contract_open(contract->backend, &options);
	buf_free(&in_scan.text);
	buf_free(&in_flush.text);
}

static void
test_flush(void **state)
{
	struct answers a = { 0 };

	(void)state;
	assert_int_equal(kvs_contract_flush(kvs, options.loop), ERR_OK); /* nothing to do */
	put("k", "1");
	kvs_flush(kvs, done_cb, &a);
	assert_int_equal(a.calls, 0);
	put("k", "2");
	kvs_flush(kvs, done_cb, &a);
	kvs_flush(kvs, done_cb, &a);
	kvs_contract_until(options.loop, &a.calls, 3);
	assert_int_equal(a.calls, 3);
	assert_int_equal(a.last, ERR_OK);
	assert_get("k", "2");
	buf_free(&a.text);
}

static void
reopen(void)
{
	kvs_close(kvs);
	loop_run(options.loop);
	kvs = kvs_contract_open(contract->backend, &options);
}

static void
test_survives(void **state)
{
	(void)state;
	if (!contract->persistent)
		return;
	put("a", "1");
	put("gone", "x");
	put("empty", "");
	assert_flush();
	remove_key("gone");
	put("a", "2");
	assert_flush();
	reopen();
	assert_scan("", "a=2;empty=;");
	remove_key("a");
	remove_key("empty");
	assert_flush();
	reopen();
	assert_scan("", "");
}

/* A flush covers what was put before it, also while another one is under way. */
static void
test_flush_covers(void **state)
{
	struct answers a = { 0 };

	(void)state;
	if (!contract->persistent)
		return;
	put("a", "1");
	kvs_flush(kvs, done_cb, &a);
	put("b", "2");
	kvs_flush(kvs, done_cb, &a);
	kvs_contract_until(options.loop, &a.calls, 2);
	assert_int_equal(a.calls, 2);
	reopen();
	assert_scan("", "a=1;b=2;");
	buf_free(&a.text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
kvs_contract_run_faults(const struct kvs_contract *c)
{
	const struct CMUnitTest tests[] = {
		TEST(test_values),
		TEST(test_binary),
		TEST(test_scan),
		TEST(test_scan_of_many),
		TEST(test_close_drops_answers),
		TEST(test_close_in_answer),
		TEST(test_survives),
	};
	int failed;

	contract = c;
	faults = true;
	failed = cmocka_run_group_tests_name(c->backend, tests, NULL, NULL);
	faults = false;
	return failed;
}

int
kvs_contract_run(const struct kvs_contract *c)
{
	const struct CMUnitTest tests[] = {
		TEST(test_name),
		TEST(test_values),
		TEST(test_binary),
		TEST(test_large),
		TEST(test_scan),
		TEST(test_order),
		TEST(test_scan_is_a_snapshot),
		TEST(test_scan_of_many),
		TEST(test_change_in_scan),
		TEST(test_close_drops_answers),
		TEST(test_close_in_answer),
		TEST(test_flush),
		TEST(test_survives),
		TEST(test_flush_covers),
	};

	contract = c;
	return cmocka_run_group_tests_name(c->backend, tests, NULL, NULL);
}
