/* SPDX-License-Identifier: MIT */
/* Tests of base/jsonw (with base/json as the reader back) and of the counters
 * that base/metric writes through it. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "base/metric.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct buf out;

static void
assert_text(const char *want)
{
	char *got = mem_str(buf_view(&out));

	assert_false(out.failed);
	assert_string_equal(got, want);
	mem_free(got);
	buf_clear(&out);
}

static struct jsonw
writer(void)
{
	buf_clear(&out);
	return jsonw_to(&out);
}

static void
test_structure(void **state)
{
	struct jsonw w = writer();

	(void)state;
	jsonw_object(&w);
	jsonw_key(&w, "empty");
	jsonw_object(&w);
	jsonw_object_end(&w);
	jsonw_key(&w, "list");
	jsonw_array(&w);
	jsonw_int(&w, 1);
	jsonw_array(&w);
	jsonw_array_end(&w);
	jsonw_null(&w);
	jsonw_bool(&w, true);
	jsonw_bool(&w, false);
	jsonw_raw(&w, STR_LIT("{\"raw\":1}"));
	jsonw_array_end(&w);
	jsonw_kstr(&w, "s", STR_LIT("x"));
	jsonw_kz(&w, "z", "y");
	jsonw_kz(&w, "none", NULL);
	jsonw_kint(&w, "i", -5);
	jsonw_kuint(&w, "u", 5);
	jsonw_kdouble(&w, "d", 0.5);
	jsonw_kbool(&w, "b", true);
	jsonw_object_end(&w);
	assert_text("{\"empty\":{},\"list\":[1,[],null,true,false,{\"raw\":1}],\"s\":\"x\","
	    "\"z\":\"y\",\"none\":null,\"i\":-5,\"u\":5,\"d\":0.5,\"b\":true}");
}

/* The commas of one depth must not depend on what was open there before. */
static void
test_deepest_nesting(void **state)
{
	struct jsonw w = writer();
	char want[3 * JSONW_MAX_DEPTH + 8] = "";

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < JSONW_MAX_DEPTH; i++)
			jsonw_array(&w);
		jsonw_int(&w, 1);
		jsonw_int(&w, 2);
		for (int i = 0; i < JSONW_MAX_DEPTH; i++)
			jsonw_array_end(&w);
		memset(want, '[', JSONW_MAX_DEPTH);
		memcpy(want + JSONW_MAX_DEPTH, "1,2", 3);
		memset(want + JSONW_MAX_DEPTH + 3, ']', JSONW_MAX_DEPTH);
		assert_text(want);
	}
}

static const struct {
	struct str in;
	const char *want;
} strings[] = {
#define S(lit, want) { { lit, sizeof(lit) - 1 }, "\"" want "\"" }
	S("", ""),
	S("plain text ~!", "plain text ~!"),
	S("\"\\/'", "\\\"\\\\/'"),
	S("\b\f\n\r\t", "\\b\\f\\n\\r\\t"),
	S("\0\x01\x0b\x0e\x1f\x7f", "\\u0000\\u0001\\u000b\\u000e\\u001f\\u007f"),
	S("<a href=\"x\">&amp;]]>", "\\u003ca href=\\\"x\\\"\\u003e\\u0026amp;]]\\u003e"),
	S("\u00e9\u20ac\U0001f600", "\\u00e9\\u20ac\\ud83d\\ude00"),
	S("\xc2\x80\xdf\xbf", "\\u0080\\u07ff"),
	S("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", "\\u0800\\ud7ff\\ue000\\uffff"),
	S("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\\ud800\\udc00\\udbff\\udfff"),
	/* not UTF-8: stray and missing continuations, overlong forms,
	 * surrogates, beyond U+10FFFF */
	S("a\x80z", "a\\ufffdz"),
	S("\xc3", "\\ufffd"),
	S("\xc3(", "\\ufffd("),
	S("\xe2\x82", "\\ufffd"),
	S("\xe2\x82z", "\\ufffdz"),
	S("\xf0\x9f\x98", "\\ufffd"),
	S("\xf0\x9f\x98\xc3\xa9", "\\ufffd\\u00e9"),
	S("\xc0\xaf", "\\ufffd\\ufffd"),
	S("\xc1\xbf", "\\ufffd\\ufffd"),
	S("\xe0\x9f\xbf", "\\ufffd\\ufffd\\ufffd"),
	S("\xf0\x8f\xbf\xbf", "\\ufffd\\ufffd\\ufffd\\ufffd"),
	S("\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"),
	S("\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"),
	S("\xf5\x80\xff\xfe", "\\ufffd\\ufffd\\ufffd\\ufffd"),
#undef S
};

/* Each input from memory of its own size, so that a read beyond shows. */
static void
test_strings(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(strings); i++) {
		struct jsonw w = writer();
		char *copy = mem_alloc(strings[i].in.n);

		memcpy(copy, strings[i].in.p, strings[i].in.n);
		jsonw_str(&w, (struct str){ copy, strings[i].in.n });
		assert_text(strings[i].want);
		mem_free(copy);
	}
}

static void
test_keys_are_escaped(void **state)
{
	struct jsonw w = writer();

	(void)state;
	jsonw_object(&w);
	jsonw_key_str(&w, STR_LIT("a\"<\0"));
	jsonw_int(&w, 1);
	jsonw_object_end(&w);
	assert_text("{\"a\\\"\\u003c\\u0000\":1}");
}

static void
test_integers(void **state)
{
	struct jsonw w = writer();

	(void)state;
	jsonw_array(&w);
	jsonw_int(&w, 0);
	jsonw_int(&w, -1);
	jsonw_int(&w, INT64_MAX);
	jsonw_int(&w, INT64_MIN);
	jsonw_uint(&w, UINT64_MAX);
	jsonw_array_end(&w);
	assert_text("[0,-1,9223372036854775807,-9223372036854775808,18446744073709551615]");
}

static const struct {
	double in;
	const char *want;
} doubles[] = {
	{ 0.0, "0" }, { -0.0, "0" }, { 1.0, "1" }, { -17.0, "-17" },
	{ 999999999999999.0, "999999999999999" }, { 1e15, "1e+15" }, { -1e15, "-1e+15" },
	{ 0.1, "0.1" }, { -0.1, "-0.1" }, { 0.001, "0.001" }, { 0.0005, "0.0005" },
	{ 1.5, "1.5" }, { 12.34, "12.34" }, { 1764000000.123, "1764000000.123" },
	{ 1764000000.1234, "1764000000.1234" }, { 1.0 / 3, "0.3333333333333333" },
	{ 0.1 + 0.2, "0.30000000000000004" }, { 5e-324, "5e-324" },
	{ 2.2250738585072014e-308, "2.2250738585072014e-308" }, { DBL_MAX, "1.7976931348623157e+308" },
	{ 1e300, "1e+300" }, { 1e-7, "1e-07" }, { 9007199254740993.0, "9007199254740992" },
	{ 123456789012.5, "123456789012.5" }, { 1234567890123.5, "1234567890123.5" },
	{ NAN, "null" }, { INFINITY, "null" }, { -INFINITY, "null" },
};

static void
test_doubles(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(doubles); i++) {
		struct jsonw w = writer();

		jsonw_double(&w, doubles[i].in);
		assert_text(doubles[i].want);
	}
}

static void
assert_reads_back(double v)
{
	struct jsonw w = writer();
	char *text, shorter[40];

	jsonw_double(&w, v);
	text = mem_str(buf_view(&out));
	assert_true(strtod(text, NULL) == v);
	/* and nothing with a digit less would do */
	for (int digits = 1; digits < 17; digits++) {
		snprintf(shorter, sizeof shorter, "%.*g", digits, v);
		if (strtod(shorter, NULL) == v) {
			assert_true(strlen(text) <= strlen(shorter) || fabs(v) < 1e15);
			if (v != trunc(v))
				assert_string_equal(text, shorter);
			break;
		}
	}
	mem_free(text);
}

static void
test_doubles_read_back(void **state)
{
	uint64_t x = 88172645463325252;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		double any;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(&any, &x, sizeof any);
		if (isfinite(any))
			assert_reads_back(any);
		assert_reads_back((double)(x % 2000000000000000) / 1000);
		assert_reads_back((double)(x % 100000) / 1000);
		assert_reads_back((double)(int64_t)x / 65536);
		assert_reads_back((double)(x % 1000) * 1e-323); /* subnormal */
	}
}

/* Parses a text, writes it, expects it in the writer's spelling. */
static void
copy_value(struct json_doc *doc, const char *in, const char *want)
{
	struct jsonw w = writer();
	size_t n = strlen(in);
	char *padded = mem_zalloc(n + JSON_PADDING);
	struct json root;

	memcpy(padded, in, n);
	assert_int_equal(json_parse(doc, (struct str){ padded, n }, &root), ERR_OK);
	jsonw_value(&w, root);
	assert_text(want);
	mem_free(padded);
}

static void
test_values(void **state)
{
	struct json_doc *doc = json_doc_new();
	char deep[2 * JSON_MAX_DEPTH + 1] = "";

	(void)state;
	copy_value(doc, " { \"a\" : [ 1 , -2, 1.50, 1e2, true, false, null, { } , [ ] ] } ",
	    "{\"a\":[1,-2,1.5,100,true,false,null,{},[]]}");
	copy_value(doc, "\"\\u00e9<\\u0000\\ud83d\\ude00\"",
	    "\"\\u00e9\\u003c\\u0000\\ud83d\\ude00\"");
	copy_value(doc, "\"lone \\ud800 surrogate\"", "\"lone \\ufffd surrogate\"");
	copy_value(doc, "[9223372036854775807,-9223372036854775808,9007199254740993]",
	    "[9223372036854775807,-9223372036854775808,9007199254740993]");
	copy_value(doc, "[9223372036854775808,123456789012345678901234567890]",
	    "[9.223372036854776e+18,1.2345678901234568e+29]");
	copy_value(doc, "{\"\\u0001k\":{\"k\":\"v\"},\"z\":0}",
	    "{\"\\u0001k\":{\"k\":\"v\"},\"z\":0}");
	copy_value(doc, "null", "null");
	memset(deep, '[', JSON_MAX_DEPTH);
	memset(deep + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
	copy_value(doc, deep, deep);
	json_doc_free(doc);
}

/* A value under a key and a second one in the same array: the writer's commas
 * go on around copied values. */
static void
test_values_inside(void **state)
{
	struct json_doc *doc = json_doc_new();
	char text[64 + JSON_PADDING] = "{\"x\":[1]}";
	struct jsonw w = writer();
	struct json root;

	(void)state;
	assert_int_equal(json_parse(doc, (struct str){ text, 9 }, &root), ERR_OK);
	jsonw_object(&w);
	jsonw_key(&w, "v");
	jsonw_value(&w, root);
	jsonw_key(&w, "list");
	jsonw_array(&w);
	jsonw_value(&w, root);
	jsonw_value(&w, root);
	jsonw_array_end(&w);
	jsonw_object_end(&w);
	assert_text("{\"v\":{\"x\":[1]},\"list\":[{\"x\":[1]},{\"x\":[1]}]}");
	json_doc_free(doc);
}

/* What does not fit shows in `failed`, however small the missing piece. */
static void
test_full(void **state)
{
	(void)state;
	for (size_t cap = 1; cap <= 12; cap++) {
		struct buf small = BUF_INIT(cap);
		struct jsonw w = jsonw_to(&small);

		jsonw_array(&w);
		jsonw_str(&w, STR_LIT("<"));
		jsonw_int(&w, 7);
		jsonw_array_end(&w); /* ["\u003c",7] */
		assert_int_equal(small.failed, cap < 12);
		buf_clear(&small);
		w = jsonw_to(&small);
		jsonw_object(&w);
		jsonw_kint(&w, "kl", 0);
		jsonw_kz(&w, "", "");
		jsonw_object_end(&w); /* {"kl":0,"":""} needs 14 */
		assert_true(small.failed);
		buf_clear(&small);
		w = jsonw_to(&small);
		jsonw_object(&w);
		jsonw_kz(&w, "k", "vw");
		jsonw_object_end(&w); /* {"k":"vw"} */
		assert_int_equal(small.failed, cap < 10);
		buf_free(&small);
	}
}

static void
test_metrics(void **state)
{
	struct json_doc *doc = json_doc_new();
	struct jsonw w = writer();
	struct json root, member;
	int64_t n = -1;

	(void)state;
	metric_add(METRIC_EVENTS, 5);
	metric_sub(METRIC_EVENTS, 2);
	metric_set(METRIC_STATES, 7);
	metric_reject(ERR_BAD_JSON);
	metric_reject(ERR_BAD_JSON);
	metric_reject(ERR_TOO_DEEP);
	metric_write(&w);
	assert_non_null(buf_room(&out, JSON_PADDING));
	assert_int_equal(json_parse(doc, buf_view(&out), &root), ERR_OK);
	assert_int_equal(json_size(root), METRIC_COUNT + 1);
	assert_true(json_get(root, "events_accepted", &member) && json_int(member, &n));
	assert_int_equal(n, 3);
	assert_true(json_get(root, "states", &member) && json_int(member, &n));
	assert_int_equal(n, 7);
	assert_true(json_get(root, "events_rejected", &member) && json_int(member, &n));
	assert_int_equal(n, 3);
	assert_true(json_path(root, "rejected.bad_json", &member) && json_int(member, &n));
	assert_int_equal(n, 2);
	assert_true(json_path(root, "rejected.too_deep", &member) && json_int(member, &n));
	assert_int_equal(n, 1);
	assert_true(json_get(root, "rejected", &member));
	assert_int_equal(json_size(member), 2);
	json_doc_free(doc);
}

/* Clients tell errors apart by their codes, so no two may be the same. */
static void
test_error_codes_are_distinct(void **state)
{
	(void)state;
	for (int a = 0; a < ERR_COUNT; a++) {
		assert_true(strlen(err_text((enum err)a)) > 0);
		for (int b = 0; b < a; b++)
			assert_string_not_equal(err_code((enum err)a), err_code((enum err)b));
	}
	assert_string_equal(err_code(ERR_OK), "ok");
	assert_string_equal(err_code(ERR_CLOSED), "closed");
	assert_string_equal(err_code(ERR_COUNT), "unknown");
	assert_string_equal(err_text(ERR_COUNT), "unknown error");
}

static int
free_out_cb(void **state)
{
	(void)state;
	buf_free(&out);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_structure),
		cmocka_unit_test(test_deepest_nesting),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_keys_are_escaped),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_doubles),
		cmocka_unit_test(test_doubles_read_back),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_values_inside),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_error_codes_are_distinct),
	};

	return cmocka_run_group_tests(tests, NULL, free_out_cb);
}
