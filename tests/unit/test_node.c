/* SPDX-License-Identifier: MIT */
/* Tests of flow/node: the one spelling of node names, and item ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/crypt.h"
#include "base/mem.h"
#include "flow/node.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define PSEUDONYM "abcdefghijklmnopqrstuvwx27"

static const char *
class_part(const char *name)
{
	static char out[NODE_CLASS_MAX + 1];

	node_class_write(str_of(name), out);
	return out;
}

static char *
hash_part(struct str text)
{
	struct buf b = BUF_INIT(0);
	uint8_t digest[CRYPT_SHA256];

	crypt_sha256(&text, 1, digest);
	buf_byte(&b, '~');
	crypt_base32(&b, digest, sizeof digest);
	return buf_take(&b);
}

static char *
repeat(const char *z, size_t times)
{
	struct buf b = BUF_INIT(0);

	for (size_t i = 0; i < times; i++)
		buf_z(&b, z);
	return buf_take(&b);
}

/* ---- names ---- */

static const struct {
	const char *name;
	enum node_kind kind;
	const char *owner, *reducer;
} good[] = {
	{ "class/7b/writing.time_on_task", NODE_CLASS, "7b", "writing.time_on_task" },
	{ "class/7b/_roster", NODE_ROSTER, "7b", "" },
	{ "class/_roster/_roster", NODE_ROSTER, "_roster", "" },
	{ "class/_roster/a.b", NODE_CLASS, "_roster", "a.b" },
	{ "class/Mathe%20%2F%20%C3%9Cbung/a.b", NODE_CLASS, "Mathe%20%2F%20%C3%9Cbung", "a.b" },
	{ "class/a-b.c_d~e/a.b", NODE_CLASS, "a-b.c_d~e", "a.b" },
	{ "class/%7Ea/a.b", NODE_CLASS, "%7Ea", "a.b" },
	{ "student/" PSEUDONYM "/a.b", NODE_STUDENT, PSEUDONYM, "a.b" },
};

static void
test_names(void **state)
{
	struct node n;
	char again[NODE_MAX + 1];

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(node_parse(str_of(good[i].name), &n), ERR_OK);
		assert_int_equal(n.kind, good[i].kind);
		assert_string_equal(n.owner, good[i].owner);
		assert_string_equal(n.reducer, good[i].reducer);
		assert_int_equal(node_write(&n, again), ERR_OK);
		assert_string_equal(again, good[i].name);
	}
}

static const char *const bad[] = {
	"", "/", "//", "class", "class/", "class/7b", "class/7b/", "class//a.b", "/7b/a.b",
	"/class/7b/a.b", "class/7b/a.b/", "class/7b/a.b/c", "class/7b//a.b", "Class/7b/a.b",
	"teacher/7b/a.b", "class/7b/a b", "class/7b/a%2Eb", "class/7b/\xc3\xbc.b",
	/* other spellings of what has one */
	"class/7%62/a.b", "class/a%2db/a.b", "class/a%2Db/a.b", "class/%c3%9c/a.b",
	"class/\xc3\x9c/a.b", "class/a b/a.b", "class/a+b/a.b", "class/7b%/a.b", "class/7b%2/a.b",
	"class/7b%2/", "class/7b%GG/a.b", "class/%00/a.b", "class/7b%00/a.b", "class/7b%-1/a.b",
	/* no hash */
	"class/~/a.b", "class/~a/a.b", "class/~7b/a.b",
	"class/~abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrs/a.b",
	"class/~abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrsttt/a.b",
	"class/~Abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrst/a.b",
	/* no pseudonym */
	"student//a.b", "student/alice/a.b", "student/abcdefghijklmnopqrstuvwx2/a.b",
	"student/abcdefghijklmnopqrstuvwx277/a.b", "student/Abcdefghijklmnopqrstuvwx27/a.b",
	"student/abcdefghijklmnopqrstuvwx21/a.b", "student/" PSEUDONYM "/_roster",
	"student/" PSEUDONYM, "student/" PSEUDONYM "/",
};

static void
test_no_names(void **state)
{
	struct node n;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		if (node_parse(str_of(bad[i]), &n) != ERR_NOT_FOUND)
			fail_msg("taken for a node: %s", bad[i]);
	assert_int_equal(node_parse((struct str){ 0 }, &n), ERR_NOT_FOUND);
	assert_int_equal(node_parse(STR_LIT("class/7b\0/a.b"), &n), ERR_NOT_FOUND);
	assert_int_equal(node_parse(STR_LIT("class/7b/a.b\0"), &n), ERR_NOT_FOUND);
	assert_int_equal(node_parse(STR_LIT("class/7b/a.b\0/x"), &n), ERR_NOT_FOUND);
}

static void
test_classes(void **state)
{
	(void)state;
	assert_string_equal(class_part("7b"), "7b");
	assert_string_equal(class_part("Grade 7/b"), "Grade%207%2Fb");
	assert_string_equal(class_part("\xc3\x9c"), "%C3%9C");
	assert_string_equal(class_part("\xff\x01\x7f"), "%FF%01%7F");
	assert_string_equal(class_part("a%b~c~"), "a%25b~c~");
	assert_string_equal(class_part("~a"), "%7Ea");
	assert_string_equal(class_part(".."), "..");
}

static void
test_class_back(void **state)
{
	char every[256], part[NODE_CLASS_MAX + 1], back[NODE_CLASS_MAX + 1];

	(void)state;
	for (int c = 1; c < 256; c++)
		every[c - 1] = (char)c;
	for (int c = 0; c + 50 < 256; c += 50) {
		char name[51] = "";

		memcpy(name, every + c, 50);
		node_class_write(str_of(name), part);
		assert_true(node_class_read(part, back));
		assert_string_equal(back, name);
	}
	assert_false(node_class_read("~abc", back));
}

/* Of 150 bytes it is written out, of more it is a hash; neither can be taken
 * for the other. */
static void
test_long_class(void **state)
{
	char *fits = repeat("a", NODE_CLASS_MAX), *longer = repeat("a", NODE_CLASS_MAX + 1);
	char *odd = repeat("\xc3\xbc", 26), *hash, name[NODE_MAX + 1], back[NODE_CLASS_MAX + 1];
	struct node n = { .kind = NODE_CLASS, .reducer = "a.b" };

	(void)state;
	assert_string_equal(class_part(fits), fits);
	hash = hash_part(str_of(longer));
	assert_string_equal(class_part(longer), hash);
	assert_false(node_class_read(hash, back));
	memcpy(n.owner, hash, strlen(hash) + 1);
	assert_int_equal(node_write(&n, name), ERR_OK);
	assert_int_equal(node_parse(str_of(name), &n), ERR_OK);
	assert_string_equal(n.owner, hash);
	assert_string_not_equal(class_part(hash), hash);
	mem_free(hash);
	hash = hash_part(str_of(odd));
	assert_string_equal(class_part(odd), hash);
	mem_free(hash);
	memcpy(n.owner, longer, strlen(longer) + 1);
	assert_int_equal(node_write(&n, name), ERR_OK);
	assert_int_equal(node_parse(str_of(name), &n), ERR_NOT_FOUND);
	mem_free(fits);
	mem_free(longer);
	mem_free(odd);
}

static void
test_long_name(void **state)
{
	struct node n = { .kind = NODE_CLASS };
	char *class = repeat("a", NODE_CLASS_MAX), name[NODE_MAX + 2];

	(void)state;
	memcpy(n.owner, class, strlen(class));
	memset(n.reducer, 'r', NODE_MAX - NODE_CLASS_MAX - strlen("class//"));
	assert_int_equal(node_write(&n, name), ERR_OK);
	assert_int_equal(strlen(name), NODE_MAX);
	assert_int_equal(node_parse(str_of(name), &n), ERR_OK);
	memcpy(name + NODE_MAX, "r", 2);
	assert_int_equal(node_parse(str_of(name), &n), ERR_NOT_FOUND);
	n.reducer[strlen(n.reducer)] = 'r';
	assert_int_equal(node_write(&n, name), ERR_FULL);
	mem_free(class);
}

/* ---- items ---- */

static const char *
item_id(enum node_kind kind, char *scope, bool scoped)
{
	static char out[ITEM_ID_MAX + 1];
	struct reducer r = { .id = "a.b", .scope = { scoped ? "doc_id" : NULL } };
	struct student student = { .pseudonym = PSEUDONYM };
	struct state s = { .reducer = &r, .student = &student, .scope = scope };

	node_item_id(kind, &s, out);
	return out;
}

static void
test_items(void **state)
{
	(void)state;
	assert_string_equal(item_id(NODE_CLASS, "", false), PSEUDONYM);
	assert_string_equal(item_id(NODE_STUDENT, "", false), "current");
	assert_string_equal(item_id(NODE_CLASS, "doc", true), PSEUDONYM "/doc");
	assert_string_equal(item_id(NODE_STUDENT, "doc", true), "doc");
	/* values that were escaped stay so, the commas between them stand */
	assert_string_equal(item_id(NODE_STUDENT, "a%2Cb,c d/e", true), "a%2Cb,c%20d%2Fe");
	assert_string_equal(item_id(NODE_STUDENT, "~x,~y", true), "%7Ex,~y");
	assert_string_equal(item_id(NODE_STUDENT, "\xc3\xbc<&", true), "%C3%BC%3C%26");
	/* an empty value is no missing one */
	assert_string_equal(item_id(NODE_STUDENT, "", true), "~");
	assert_string_equal(item_id(NODE_CLASS, "", true), PSEUDONYM "/~");
	assert_string_equal(item_id(NODE_STUDENT, ",", true), ",");
}

static void
test_long_items(void **state)
{
	char *fits = repeat("d", ITEM_ID_MAX - PSEUDONYM_LEN - 1), *longer = mem_printf("%sd", fits);
	char *hash = hash_part(str_of(longer)), *both = mem_printf(PSEUDONYM "/%s", hash);

	(void)state;
	assert_string_equal(item_id(NODE_STUDENT, fits, true), fits);
	assert_int_equal(strlen(item_id(NODE_CLASS, fits, true)), ITEM_ID_MAX);
	assert_string_equal(item_id(NODE_STUDENT, longer, true), hash);
	assert_string_equal(item_id(NODE_CLASS, longer, true), both);
	mem_free(fits);
	mem_free(longer);
	mem_free(hash);
	mem_free(both);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_names),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_class_back),
		cmocka_unit_test(test_long_class),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_long_items),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
