/* SPDX-License-Identifier: MIT */
/* Tests of base/map: against a plain array as a model, iteration with removal,
 * and the seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/mem.h"

#define KEYS 700 /* crosses several table sizes */

static char values[KEYS]; /* what is in the map are pointers into this */

static struct str
key_of(unsigned i, char text[16])
{
	return (struct str){ text, (size_t)snprintf(text, 16, "key-%u", i) };
}

/* xorshift: the same course every time. */
static uint32_t
next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

static void
fill(struct map *m, unsigned n)
{
	char text[16];

	for (unsigned i = 0; i < n; i++)
		assert_null(map_put(m, key_of(i, text), &values[i]));
}

static void
test_empty(void **state)
{
	struct map *m = map_new();
	struct map_iter it = { 0 };

	(void)state;
	assert_int_equal(map_size(m), 0);
	assert_null(map_get(m, STR_LIT("x")));
	assert_null(map_remove(m, STR_LIT("x")));
	assert_false(map_next(m, &it));
	assert_null(map_sorted(m));
	map_free(m, NULL);
	map_free(NULL, NULL);
}

static void
test_put_answers_what_was_there(void **state)
{
	struct map *m = map_new();

	(void)state;
	assert_null(map_put(m, STR_LIT("k"), &values[1]));
	assert_ptr_equal(map_put(m, STR_LIT("k"), &values[2]), &values[1]);
	assert_int_equal(map_size(m), 1);
	assert_ptr_equal(map_get(m, STR_LIT("k")), &values[2]);
	assert_ptr_equal(map_remove(m, STR_LIT("k")), &values[2]);
	assert_null(map_remove(m, STR_LIT("k")));
	assert_null(map_get(m, STR_LIT("k")));
	assert_int_equal(map_size(m), 0);
	map_free(m, NULL);
}

/* Keys are bytes: the empty one, NUL bytes and prefixes are all different,
 * and the map keeps copies. */
static void
test_keys_are_bytes(void **state)
{
	static const struct str keys[] = {
		{ NULL, 0 }, { "\0", 1 }, { "\0\0", 2 }, { "a", 1 }, { "a\0", 2 }, { "ab", 2 },
		{ "abcdefg", 7 }, { "abcdefgh", 8 }, { "abcdefgh\0", 9 }, { "\xff\x80", 2 }
	};
	const size_t n = sizeof keys / sizeof *keys;
	struct map *m = map_new();

	(void)state;
	for (size_t i = 0; i < n; i++) {
		char *copy = mem_str(keys[i]);

		assert_null(map_put(m, (struct str){ copy, keys[i].n }, &values[i]));
		mem_free(copy);
	}
	assert_int_equal(map_size(m), n);
	for (size_t i = 0; i < n; i++)
		assert_ptr_equal(map_get(m, keys[i]), &values[i]);
	map_free(m, NULL);
}

static void
check_against(const struct map *m, const bool model[KEYS])
{
	bool seen[KEYS] = { false };
	struct map_iter it = { 0 };
	char text[16];
	size_t n = 0;

	for (unsigned i = 0; i < KEYS; i++) {
		n += model[i];
		assert_ptr_equal(map_get(m, key_of(i, text)), model[i] ? &values[i] : NULL);
	}
	assert_int_equal(map_size(m), n);
	while (map_next(m, &it)) {
		size_t i = (size_t)((char *)it.value - values);

		assert_true(model[i] && !seen[i]);
		assert_true(str_eq(it.key, key_of((unsigned)i, text)));
		seen[i] = true;
		n--;
	}
	assert_int_equal(n, 0);
}

static void
test_model(void **state)
{
	struct map *m = map_new();
	bool model[KEYS] = { false };
	uint32_t x = 2463534242;
	char text[16];

	(void)state;
	for (int step = 0; step < 60000; step++) {
		/* the range breathes, so that the map fills and empties */
		unsigned i = next_random(&x) % (KEYS / (1 + step / 97 % 9));
		bool put = next_random(&x) % 5 < (step / 5000 % 2 ? 1 : 3);

		void *before = put ? map_put(m, key_of(i, text), &values[i])
		                   : map_remove(m, key_of(i, text));

		assert_ptr_equal(before, model[i] ? &values[i] : NULL);
		model[i] = put;
		if (step % 1000 == 0)
			check_against(m, model);
	}
	check_against(m, model);
	map_free(m, NULL);
}

/* Visits all while removing every entry that `drop` names: each entry must be
 * seen exactly once and the others must stay. */
static void
visit_and_remove(unsigned n, unsigned drop)
{
	struct map *m = map_new();
	bool seen[KEYS] = { false };
	struct map_iter it = { 0 };
	unsigned visits = 0, kept = 0;
	char text[16];

	fill(m, n);
	while (map_next(m, &it)) {
		size_t i = (size_t)((char *)it.value - values);

		assert_false(seen[i]);
		seen[i] = true;
		visits++;
		if (i % drop == 0)
			assert_ptr_equal(map_remove(m, it.key), &values[i]);
		else
			kept++;
	}
	assert_int_equal(visits, n);
	assert_int_equal(map_size(m), kept);
	for (unsigned i = 0; i < n; i++)
		assert_ptr_equal(map_get(m, key_of(i, text)), i % drop ? &values[i] : NULL);
	map_free(m, NULL);
}

/* Every size up to three tables, so that runs wrap around the table's end in
 * many of them. */
static void
test_removal_while_visiting(void **state)
{
	(void)state;
	for (unsigned n = 1; n < 100; n++) {
		for (unsigned drop = 1; drop < 4; drop++)
			visit_and_remove(n, drop);
	}
	visit_and_remove(KEYS, 1);
	visit_and_remove(KEYS, 2);
}

static void
test_sorted(void **state)
{
	static const char *const order[] = { "", "a", "aa", "ab", "b", "\x7f", "\x80", "\xff" };
	const size_t n = sizeof order / sizeof *order;
	struct map *m = map_new();
	struct map_iter *all;

	(void)state;
	for (size_t i = n; i > 0; i--)
		map_put(m, str_of(order[i - 1]), &values[i - 1]);
	all = map_sorted(m);
	for (size_t i = 0; i < n; i++) {
		assert_true(str_is(all[i].key, order[i]));
		assert_ptr_equal(all[i].value, &values[i]);
	}
	mem_free(all);
	map_free(m, NULL);
}

static void
count_free_cb(void *value)
{
	++*(char *)value;
}

static void
test_free_visits_each_value_once(void **state)
{
	struct map *m = map_new();
	char text[16];

	(void)state;
	fill(m, KEYS);
	map_remove(m, key_of(3, text));
	memset(values, 0, sizeof values);
	map_free(m, count_free_cb);
	for (unsigned i = 0; i < KEYS; i++)
		assert_int_equal(values[i], i != 3);
}

static void
test_hash_is_stable_in_a_process(void **state)
{
	char text[40], copy[40];

	(void)state;
	for (size_t n = 0; n < sizeof text; n++) {
		memset(text, 'q', n);
		memset(copy, 'q', n);
		assert_true(map_hash((struct str){ text, n }) == map_hash((struct str){ copy, n }));
		if (n > 0) { /* one byte decides, wherever it stands */
			copy[n / 2] = 'r';
			assert_true(map_hash((struct str){ text, n }) !=
			    map_hash((struct str){ copy, n }));
		}
	}
}

static uint64_t
hash_in_another_process(void)
{
	uint64_t hash = 0;
	int pipes[2], status;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (child == 0) {
		hash = map_hash(STR_LIT("the same key"));
		_exit(write(pipes[1], &hash, sizeof hash) != sizeof hash);
	}
	assert_int_equal(read(pipes[0], &hash, sizeof hash), sizeof hash);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(pipes[0]);
	close(pipes[1]);
	return hash;
}

/* Must run before anything seeds this process: children inherit a seed. */
static void
test_seed_differs_between_processes(void **state)
{
	(void)state;
	assert_true(hash_in_another_process() != hash_in_another_process());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seed_differs_between_processes),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_put_answers_what_was_there),
		cmocka_unit_test(test_keys_are_bytes),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_removal_while_visiting),
		cmocka_unit_test(test_sorted),
		cmocka_unit_test(test_free_visits_each_value_once),
		cmocka_unit_test(test_hash_is_stable_in_a_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
