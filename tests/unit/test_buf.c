/* SPDX-License-Identifier: MIT */
/* Tests of base/buf and of base/mem's copies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

#define assert_holds(b, z) assert_true(str_is(buf_view(b), z))

static void
test_appends(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	assert_int_equal(buf_view(&b).n, 0);
	assert_int_equal(buf_add(&b, NULL, 0), ERR_OK);
	assert_int_equal(buf_add(&b, "a\0b", 3), ERR_OK);
	assert_int_equal(buf_str(&b, STR_LIT("cd")), ERR_OK);
	assert_int_equal(buf_str(&b, (struct str){ 0 }), ERR_OK);
	assert_int_equal(buf_z(&b, "ef"), ERR_OK);
	assert_int_equal(buf_byte(&b, 'g'), ERR_OK);
	assert_int_equal(buf_printf(&b, "%d-%s", 42, "x"), ERR_OK);
	assert_true(str_eq(buf_view(&b), STR_LIT("a\0bcdefg42-x")));
	assert_false(b.failed);
	buf_free(&b);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.cap, 0);
}

/* Every length around the growing steps keeps what was there before. */
static void
test_growth_keeps_bytes(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	for (int i = 0; i < 5000; i++)
		assert_int_equal(buf_byte(&b, (char)(i * 7)), ERR_OK);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(b.data[i], (char)(i * 7));
	buf_free(&b);
}

static void
test_cap_is_exact(void **state)
{
	struct buf b = BUF_INIT(10);

	(void)state;
	assert_int_equal(buf_add(&b, "0123456789", 10), ERR_OK);
	assert_int_equal(buf_add(&b, NULL, 0), ERR_OK);
	assert_false(b.failed);
	assert_int_equal(buf_byte(&b, 'x'), ERR_FULL);
	assert_true(b.failed);
	assert_holds(&b, "0123456789");
	assert_in_range(b.cap, 10, 11); /* the memory keeps to it too */
	buf_free(&b);
	assert_int_equal(b.max, 10);
	assert_false(b.failed);
}

static void
test_all_or_nothing(void **state)
{
	struct buf b = BUF_INIT(8);

	(void)state;
	assert_int_equal(buf_z(&b, "abc"), ERR_OK);
	assert_int_equal(buf_z(&b, "defghi"), ERR_FULL);
	assert_holds(&b, "abc");
	assert_int_equal(buf_printf(&b, "%06d", 7), ERR_FULL);
	assert_holds(&b, "abc");
	assert_null(buf_room(&b, 6));
	assert_null(buf_room(&b, SIZE_MAX));
	/* a later append that fits succeeds, the failure stays visible */
	assert_int_equal(buf_printf(&b, "%05d", 7), ERR_OK);
	assert_holds(&b, "abc00007");
	assert_true(b.failed);
	buf_clear(&b);
	assert_false(b.failed);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_z(&b, "12345678"), ERR_OK);
	buf_free(&b);
}

static void
test_room_sets_failed(void **state)
{
	struct buf b = BUF_INIT(4);

	(void)state;
	assert_null(buf_room(&b, 5));
	assert_true(b.failed);
	buf_clear(&b);
	memcpy(buf_room(&b, 4), "wxyz", 4);
	b.len += 4;
	assert_holds(&b, "wxyz");
	assert_non_null(buf_room(&b, 0));
	assert_false(b.failed);
	buf_free(&b);
}

/* Texts around the spare room: the one that just fits and the one that makes
 * the buf grow must both come out whole. */
static void
test_printf_lengths(void **state)
{
	(void)state;
	for (int before = 0; before < 70; before++) {
		for (int n = 0; n < 70; n++) {
			struct buf b = BUF_INIT(0);

			for (int i = 0; i < before; i++)
				buf_byte(&b, '.');
			assert_int_equal(buf_printf(&b, "%0*d", n, 0), ERR_OK);
			assert_int_equal(b.len, before + (n ? n : 1));
			assert_int_equal(b.data[b.len - 1], '0');
			buf_free(&b);
		}
	}
}

static void
test_shift(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	buf_shift(&b, 0);
	buf_z(&b, "abcdef");
	buf_shift(&b, 0);
	assert_holds(&b, "abcdef");
	buf_shift(&b, 2);
	assert_holds(&b, "cdef");
	buf_z(&b, "gh");
	assert_holds(&b, "cdefgh");
	buf_shift(&b, 6);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static void
test_take(void **state)
{
	struct buf b = BUF_INIT(5);
	char *z = buf_take(&b);

	(void)state;
	assert_string_equal(z, "");
	mem_free(z);
	buf_z(&b, "12345");
	assert_int_equal(buf_byte(&b, '6'), ERR_FULL);
	z = buf_take(&b);
	assert_string_equal(z, "12345");
	mem_free(z);
	assert_null(b.data);
	assert_false(b.failed);
	assert_int_equal(b.max, 5);
	assert_int_equal(buf_z(&b, "123456"), ERR_FULL);
	assert_int_equal(buf_z(&b, "54321"), ERR_OK);
	assert_holds(&b, "54321");
	buf_free(&b);
}

static void
test_copies(void **state)
{
	char *z;

	(void)state;
	assert_null(mem_strdup(NULL));
	z = mem_strdup("abc");
	assert_string_equal(z, "abc");
	mem_free(z);
	z = mem_str((struct str){ "abcdef", 3 });
	assert_string_equal(z, "abc");
	mem_free(z);
	z = mem_str((struct str){ 0 });
	assert_string_equal(z, "");
	mem_free(z);
	z = mem_printf("%s=%d", "key", -1);
	assert_string_equal(z, "key=-1");
	mem_wipe(z, 6);
	assert_memory_equal(z, "\0\0\0\0\0\0", 7);
	mem_free(z);
	mem_wipe(NULL, 0);
	mem_free(NULL);
}

/* Nothing is smaller than one byte, so that NULL always means a mistake. */
static void
test_empty_allocations(void **state)
{
	void *p = mem_alloc(0), *q = mem_zalloc(0);

	(void)state;
	assert_non_null(p);
	assert_non_null(q);
	p = mem_realloc(p, 0);
	assert_non_null(p);
	mem_free(p);
	mem_free(q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends),
		cmocka_unit_test(test_growth_keeps_bytes),
		cmocka_unit_test(test_cap_is_exact),
		cmocka_unit_test(test_all_or_nothing),
		cmocka_unit_test(test_room_sets_failed),
		cmocka_unit_test(test_printf_lengths),
		cmocka_unit_test(test_shift),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_empty_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
