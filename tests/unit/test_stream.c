/* SPDX-License-Identifier: MIT */
/* Tests of flow/stream: every seq counts once, gaps are seen, and what is saved
 * comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/metric.h"
#include "flow/stream.h"

static struct streams *all;

static int
setup(void **state)
{
	(void)state;
	metric_set(METRIC_GAPS, 0);
	all = streams_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	streams_free(all);
	all = NULL;
	return 0;
}

static struct stream *
of(const char *student, const char *name)
{
	return stream_of(all, str_of(student), str_of(name));
}

static void
test_accept(void **state)
{
	struct stream *t = of("a", "s");

	(void)state;
	assert_true(stream_accept(t, 1));
	assert_true(stream_accept(t, 2));
	assert_false(stream_accept(t, 2));
	assert_false(stream_accept(t, 1));
	assert_false(stream_accept(t, 0));
	assert_int_equal(metric_value[METRIC_GAPS], 0);
	assert_true(stream_accept(t, 5));
	assert_int_equal(metric_value[METRIC_GAPS], 1);
	assert_false(stream_accept(t, 4));
	assert_true(stream_accept(t, 6));
	assert_int_equal(metric_value[METRIC_GAPS], 1);
	assert_int_equal(t->accepted, 6);
	assert_int_equal(t->durable, 0);
}

/* A stream may begin in the middle: the client's earlier events went
 * elsewhere, and the gap is counted. */
static void
test_accept_largest(void **state)
{
	struct stream *t = of("a", "s");

	(void)state;
	assert_true(stream_accept(t, INT64_MAX));
	assert_int_equal(metric_value[METRIC_GAPS], 1);
	assert_false(stream_accept(t, INT64_MAX));
}

static void
test_fold(void **state)
{
	struct stream *t = of("a", "s");

	(void)state;
	assert_true(stream_fold(t, 1));
	assert_false(stream_fold(t, 1));
	assert_true(stream_fold(t, 3));
	assert_false(stream_fold(t, 2));
	assert_int_equal(t->durable, 3);
	/* In a replay nobody accepted; the front goes on behind what is durable. */
	assert_int_equal(t->accepted, 3);
	assert_false(stream_accept(t, 3));
	assert_true(stream_accept(t, 4));
	assert_int_equal(t->durable, 3);
	assert_true(stream_fold(t, 4));
	assert_int_equal(t->accepted, 4);
}

/* One stream for all sockets of a student, another one for each other student,
 * and no way to run two names together. */
static void
test_of(void **state)
{
	struct stream *t = of("ab", "c");
	uint64_t before = metric_value[METRIC_STREAMS];

	(void)state;
	assert_ptr_equal(of("ab", "c"), t);
	assert_ptr_equal(stream_find(all, STR_LIT("ab"), STR_LIT("c")), t);
	assert_null(stream_find(all, STR_LIT("a"), STR_LIT("bc")));
	assert_int_equal(metric_value[METRIC_STREAMS], before);
	assert_ptr_not_equal(of("a", "bc"), t);
	assert_ptr_not_equal(of("ab", "d"), t);
	assert_ptr_not_equal(of("b", "c"), t);
	assert_ptr_not_equal(stream_of(all, STR_LIT("ab"), STR_LIT("c\0")), t);
	assert_int_equal(metric_value[METRIC_STREAMS], before + 4);
	for (int i = 0; i < 1000; i++) {
		char name[16];

		snprintf(name, sizeof name, "s%d", i);
		of("many", name);
	}
	assert_ptr_equal(of("ab", "c"), t);
}

struct seen {
	char keys[64];
	uint64_t durable[4];
	size_t n;
};

static void
seen_cb(void *arg, struct str key, const struct stream *t)
{
	struct seen *s = arg;

	memcpy(s->keys + strlen(s->keys), key.p, strlen(key.p));
	s->durable[s->n++] = t->durable;
}

static void
copy_cb(void *arg, struct str key, const struct stream *t)
{
	streams_put(arg, key, t->durable);
}

static void
test_each_and_put(void **state)
{
	struct streams *copy = streams_new();
	struct seen seen = { .n = 0 };

	(void)state;
	stream_fold(of("c", "x"), 7);
	stream_fold(of("a", "x"), 8);
	stream_fold(of("b", "x"), 9);
	streams_each(all, seen_cb, &seen);
	assert_string_equal(seen.keys, "abc");
	assert_int_equal(seen.durable[0], 8);
	assert_int_equal(seen.durable[2], 7);
	streams_each(all, copy_cb, copy);
	assert_int_equal(stream_of(copy, STR_LIT("b"), STR_LIT("x"))->durable, 9);
	assert_int_equal(stream_of(copy, STR_LIT("b"), STR_LIT("x"))->accepted, 9);
	streams_free(copy);
}

static void
test_metric(void **state)
{
	uint64_t before = metric_value[METRIC_STREAMS];
	struct streams *other = streams_new();

	(void)state;
	stream_of(other, STR_LIT("a"), STR_LIT("b"));
	assert_int_equal(metric_value[METRIC_STREAMS], before + 1);
	streams_free(other);
	assert_int_equal(metric_value[METRIC_STREAMS], before);
	streams_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_accept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_accept_largest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fold, setup, teardown),
		cmocka_unit_test_setup_teardown(test_of, setup, teardown),
		cmocka_unit_test_setup_teardown(test_each_and_put, setup, teardown),
		cmocka_unit_test_setup_teardown(test_metric, setup, teardown),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
