/* SPDX-License-Identifier: MIT */
/* Tests of base/json: what is accepted, the limits, the accessors, repair. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/json_repair.h"
#include "base/mem.h"
#include "tests/unit/json_cases.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct json_doc *doc;

/* Parses a copy in memory of exactly the promised size, so that the sanitizer
 * sees a read beyond it, and gives the copy back at once, so that it sees
 * values that still refer to it. */
static enum err
parse_padded(struct str text, char padding, struct json *root)
{
	char *copy = mem_alloc(text.n + JSON_PADDING);
	enum err e;

	memcpy(copy, text.p, text.n);
	memset(copy + text.n, padding, JSON_PADDING);
	e = json_parse(doc, (struct str){ copy, text.n }, root);
	memset(copy, '!', text.n);
	mem_free(copy);
	return e;
}

static enum err
parse(struct str text, struct json *root)
{
	return parse_padded(text, '\0', root);
}

static struct json
parse_ok(const char *text)
{
	struct json root;

	if (parse(str_of(text), &root) != ERR_OK)
		fail_msg("refused: %s", text);
	return root;
}

#define assert_str(s, z) assert_true(str_is(s, z))

static void
test_cases(void **state)
{
	/* Bytes that could continue a text must not be taken for it. */
	static const char paddings[] = { '\0', ' ', '1', '"', ']', '}', '\\', '\x80' };
	(void)state;

	for (size_t i = 0; i < COUNT(json_cases); i++)
		for (size_t k = 0; k < COUNT(paddings); k++) {
			const struct json_case *c = &json_cases[i];
			struct json root;
			enum err e = parse_padded((struct str){ c->text, c->n }, paddings[k],
			    &root);
			if (e != c->want)
				fail_msg("%s: %s, not %s (padding %d)", c->name, err_code(e),
				    err_code(c->want), paddings[k]);
		}
}

/* Each prefix of a text is refused and read only within its bounds. */
static void
test_prefixes(void **state)
{
	static const char text[] = "{\"a\\u00e9\\ud800\":[1,-2.5e3,true,null,"
	    "99999999999999999999,\"\\\\\"],\"b\":{\"c\":\"\xf0\x9f\x98\x80\"}}";
	struct json root;
	(void)state;

	for (size_t n = 0; n < sizeof text - 1; n++)
		assert_int_equal(parse((struct str){ text, n }, &root), ERR_BAD_JSON);
	assert_int_equal(parse(STR_LIT(text), &root), ERR_OK);
}

/* How one level is opened and closed. */
struct nest {
	const char *open, *close;
};

static enum err
parse_nested(const struct nest *kinds, size_t n_kinds, const char *bottom, size_t levels)
{
	struct buf b = BUF_INIT(0);
	struct json root;
	enum err e;

	for (size_t i = 0; i < levels; i++)
		buf_z(&b, kinds[i % n_kinds].open);
	buf_z(&b, bottom);
	for (size_t i = levels; i-- > 0;)
		buf_z(&b, kinds[i % n_kinds].close);
	e = parse(buf_view(&b), &root);
	buf_free(&b);
	return e;
}

static void
test_depth(void **state)
{
	static const struct nest arrays[] = { { "[", "]" } };
	static const struct nest objects[] = { { "{\"a\":", "}" } };
	static const struct nest mixed[] = { { "[0,", ",{}]" }, { "{\"a\":1,\"b\":", "}" } };
	(void)state;

	for (size_t levels = 1; levels <= JSON_MAX_DEPTH + 2; levels++) {
		enum err want = levels > JSON_MAX_DEPTH ? ERR_TOO_DEEP : ERR_OK;
		assert_int_equal(parse_nested(arrays, 1, "", levels), want);
		assert_int_equal(parse_nested(arrays, 1, "1", levels), want);
		assert_int_equal(parse_nested(objects, 1, "\"x\"", levels), want);
		/* one level more at the bottom, empty or not */
		assert_int_equal(parse_nested(objects, 1, "{}", levels - 1), want);
		assert_int_equal(parse_nested(objects, 1, "[]", levels - 1), want);
		assert_int_equal(parse_nested(objects, 1, "[\"\\ud800\"]", levels - 1), want);
		assert_int_equal(parse_nested(mixed, 2, "[1]", levels - 1), want);
	}
	assert_int_equal(parse_nested(arrays, 1, "1", 100000), ERR_TOO_DEEP);
	assert_int_equal(parse_nested(objects, 1, "1", 100000), ERR_TOO_DEEP);
	assert_int_equal(parse_nested(mixed, 2, "1", 100000), ERR_TOO_DEEP);
}

/* An object of n members inside the given text around it. */
static enum err
parse_members(const char *before, size_t n, const char *after)
{
	struct buf b = BUF_INIT(0);
	struct json root;
	enum err e;

	buf_z(&b, before);
	buf_byte(&b, '{');
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s\"%zu\":%zu", i > 0 ? "," : "", i, i);
	buf_byte(&b, '}');
	buf_z(&b, after);
	e = parse(buf_view(&b), &root);
	buf_free(&b);
	return e;
}

static void
test_members(void **state)
{
	(void)state;
	assert_int_equal(parse_members("", JSON_MAX_MEMBERS, ""), ERR_OK);
	assert_int_equal(parse_members("", JSON_MAX_MEMBERS + 1, ""), ERR_TOO_MANY_MEMBERS);
	assert_int_equal(parse_members("[1,{\"a\":[", JSON_MAX_MEMBERS, "]}]"), ERR_OK);
	assert_int_equal(parse_members("[1,{\"a\":[", JSON_MAX_MEMBERS + 1, "]}]"),
	    ERR_TOO_MANY_MEMBERS);
	assert_int_equal(parse_members("", 1000000, ""), ERR_TOO_MANY_MEMBERS);
}

/* Elements of an array have no such limit. */
static void
test_long_array(void **state)
{
	struct buf b = BUF_INIT(0);
	struct json root;
	struct json_iter it;
	size_t n = 100000, seen = 0;
	(void)state;

	buf_z(&b, "[0");
	for (size_t i = 1; i < n; i++)
		buf_printf(&b, ",%zu", i);
	buf_byte(&b, ']');
	assert_int_equal(parse(buf_view(&b), &root), ERR_OK);
	assert_int_equal(json_size(root), n);
	for (it = json_each(root); json_next(&it); seen++) {
		int64_t v = -1;
		assert_true(json_int(it.value, &v));
		assert_int_equal(v, seen);
	}
	assert_int_equal(seen, n);
	buf_free(&b);
}

/* A key of n pieces, in the object at the top or in an inner one. */
static enum err
parse_key(const char *before, const char *piece, size_t n, const char *after)
{
	struct buf b = BUF_INIT(0);
	struct json root;
	enum err e;

	buf_z(&b, before);
	for (size_t i = 0; i < n; i++)
		buf_z(&b, piece);
	buf_z(&b, after);
	e = parse(buf_view(&b), &root);
	buf_free(&b);
	return e;
}

static void
test_key_length(void **state)
{
	size_t max = JSON_MAX_KEY;
	(void)state;

	assert_int_equal(parse_key("{\"", "k", max, "\":1}"), ERR_OK);
	assert_int_equal(parse_key("{\"", "k", max + 1, "\":1}"), ERR_KEY_TOO_LONG);
	assert_int_equal(parse_key("[{\"a\":[],\"", "k", max + 1, "\":1}]"), ERR_KEY_TOO_LONG);
	assert_int_equal(parse_key("{\"", "k", 1000000, "\":1}"), ERR_KEY_TOO_LONG);
	/* counted in bytes after unescaping */
	assert_int_equal(parse_key("{\"", "\\u0041", max, "\":1}"), ERR_OK);
	assert_int_equal(parse_key("{\"", "\\u0041", max + 1, "\":1}"), ERR_KEY_TOO_LONG);
	assert_int_equal(parse_key("{\"", "\\u00e9", max / 2, "\":1}"), ERR_OK);
	assert_int_equal(parse_key("{\"", "\\u00e9", max / 2 + 1, "\":1}"), ERR_KEY_TOO_LONG);
	/* values and elements are no keys */
	assert_int_equal(parse_key("{\"a\":\"", "v", max + 1, "\",\"b\":1}"), ERR_OK);
	assert_int_equal(parse_key("{\"a\":[\"", "v", max + 1, "\",\"\\u0000\"]}"), ERR_OK);
}

/* A NUL is found at every place of a key. */
static void
test_key_nul(void **state)
{
	(void)state;
	for (size_t at = 0; at < 40; at++) {
		char text[128];
		struct json root;
		int n = snprintf(text, sizeof text, "{\"a\":{\"%.*s\\u0000%.*s\":1}}", (int)at,
		    "0123456789012345678901234567890123456789", (int)(40 - at),
		    "0123456789012345678901234567890123456789");
		assert_int_equal(parse((struct str){ text, (size_t)n }, &root), ERR_BAD_KEY);
	}
}

static void
test_types(void **state)
{
	struct json v = parse_ok("[null,true,1,1.5,18446744073709551615,\"\",[],{}]");
	static const enum json_type want[] = { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_NUMBER,
		JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
	struct json_iter it = json_each(v);
	size_t i = 0;
	(void)state;

	assert_int_equal(json_type(v), JSON_ARRAY);
	assert_int_equal(json_size(v), COUNT(want));
	for (; json_next(&it); i++) {
		assert_int_equal(json_type(it.value), want[i]);
		assert_null(it.key.p);
	}
	assert_int_equal(i, COUNT(want));
}

/* What does not fit answers false and leaves *out alone. */
static void
test_wrong_types(void **state)
{
	static const char *texts[] = { "null", "true", "\"1\"", "[1]", "{\"a\":1}" };
	(void)state;

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct json v = parse_ok(texts[i]), got = { NULL, 7 };
		enum json_type type = json_type(v);
		struct str s = STR_LIT("untouched");
		int64_t n = 42;
		double d = 4.5;
		bool b = true;

		assert_false(json_int(v, &n));
		assert_false(json_double(v, &d));
		assert_int_equal(json_str(v, &s), type == JSON_STRING);
		assert_int_equal(json_bool(v, &b), type == JSON_BOOL);
		assert_int_equal(json_get(v, "a", &got), type == JSON_OBJECT);
		assert_true(n == 42 && d == 4.5 && b);
		assert_true(type == JSON_STRING || str_is(s, "untouched"));
		assert_true(type == JSON_OBJECT || got.at == 7);
	}
}

static void
test_integers(void **state)
{
	static const struct {
		const char *text;
		bool exact;
		int64_t value;
		double real;
	} cases[] = {
		{ "0", true, 0, 0 },
		{ "-0", true, 0, 0 },
		{ "1.0", false, 0, 1 },
		{ "1e2", false, 0, 100 },
		{ "9007199254740993", true, 9007199254740993, 9007199254740992.0 },
		{ "9223372036854775807", true, INT64_MAX, 9223372036854775808.0 },
		{ "-9223372036854775808", true, INT64_MIN, -9223372036854775808.0 },
		{ "9223372036854775808", false, 0, 9223372036854775808.0 },
		{ "18446744073709551615", false, 0, 18446744073709551616.0 },
		{ "18446744073709551616", false, 0, 18446744073709551616.0 },
		{ "-9223372036854776000", false, 0, -9223372036854775808.0 },
		{ "117200000000000000000", false, 0, 117200000000000000000.0 },
		{ "1180591620717411300000", false, 0, 1180591620717411303424.0 },
		{ "-1180591620717411300000", false, 0, -1180591620717411303424.0 },
		{ "100000000000000000000000000000000000000000", false, 0, 1e41 },
		{ "1.7976931348623157e308", false, 0, 1.7976931348623157e308 },
	};
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct json v = parse_ok(cases[i].text);
		int64_t n = 0;
		double d = 0.25;
		assert_int_equal(json_int(v, &n), cases[i].exact);
		assert_int_equal(n, cases[i].value);
		assert_true(json_double(v, &d));
		if (d != cases[i].real)
			fail_msg("%s reads as %.17g", cases[i].text, d);
	}
}

/* 309 digits and more may be beyond a double. */
static void
test_infinite_integer(void **state)
{
	char text[512];
	struct json root;
	double d = 0;
	(void)state;

	memset(text, '9', sizeof text);
	assert_int_equal(parse((struct str){ text, 308 }, &root), ERR_OK);
	assert_true(json_double(root, &d) && isfinite(d) && d > 1e307);
	assert_int_equal(parse((struct str){ text, 309 }, &root), ERR_BAD_JSON);
	assert_int_equal(parse((struct str){ text, sizeof text }, &root), ERR_BAD_JSON);
}

static void
test_members_found(void **state)
{
	struct json v = parse_ok("{\"a\":1,\"object\":{\"url\":\"u\",\"in\":{\"x\":[1]},\"\":3},"
	    "\"a\":2,\"k\\u00e9\\n\":\"v\",\"url\":\"top\",\"n\":null}");
	struct json got;
	struct str s = STR_LIT("-");
	int64_t n = 0;
	(void)state;

	assert_int_equal(json_size(v), 6);
	assert_true(json_get(v, "a", &got) && json_int(got, &n) && n == 1);
	assert_true(json_get_str(v, "k\xc3\xa9\n", &s));
	assert_str(s, "v");
	assert_true(json_path(v, "object.url", &got) && json_str(got, &s));
	assert_str(s, "u");
	assert_true(json_path(v, "object.in.x", &got) && json_type(got) == JSON_ARRAY);
	assert_true(json_path(v, "object.", &got) && json_int(got, &n) && n == 3);
	assert_true(json_path(v, "url", &got));
	assert_true(json_get(v, "n", &got) && json_type(got) == JSON_NULL);
	assert_false(json_get(v, "in", &got));
	assert_false(json_get(v, "x", &got));
	assert_false(json_get(v, "ur", &got));
	assert_false(json_get(v, "object.url", &got));
	assert_false(json_path(v, "object.nothing", &got));
	assert_false(json_path(v, "a.url", &got));
	assert_false(json_path(v, ".a", &got));
	assert_false(json_get_str(v, "a", &s));
}

static void
test_each(void **state)
{
	struct json v = parse_ok("{\"a\":[1,[2],{}],\"b\":{\"c\":{}},\"\":-1.5,\"z\":\"\\u0000\"}");
	struct json_iter it = json_each(v);
	struct str s;
	(void)state;

	assert_true(json_next(&it));
	assert_str(it.key, "a");
	assert_int_equal(json_size(it.value), 3);
	assert_true(json_next(&it));
	assert_str(it.key, "b");
	assert_true(json_next(&it));
	assert_str(it.key, "");
	assert_int_equal(json_type(it.value), JSON_NUMBER);
	assert_true(json_next(&it));
	assert_str(it.key, "z");
	assert_true(json_str(it.value, &s) && s.n == 1 && s.p[0] == '\0');
	assert_false(json_next(&it));
	assert_false(json_next(&it));
}

static void
test_each_nothing(void **state)
{
	static const char *texts[] = { "1", "-1.5", "\"abc\"", "true", "null", "[]", "{}" };
	(void)state;

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct json v = parse_ok(texts[i]);
		struct json_iter it = json_each(v);
		assert_false(json_next(&it));
		assert_int_equal(json_size(v), 0);
	}
}

static void
test_strings(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
		{ "\"\\u00e9\\u20ac\\ud83d\\ude00\"", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "\"\\ud800\"", "\xef\xbf\xbd" },
		{ "\"\\uDFFF.\"", "\xef\xbf\xbd." },
		{ "\"\\udc00\\ud800\"", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\"\\ud800\\ud800\\udc00\"", "\xef\xbf\xbd\xf0\x90\x80\x80" },
		{ "\"\\ud83d\\ude00\\ude00\"", "\xf0\x9f\x98\x80\xef\xbf\xbd" },
		{ "\"\\ud800 \\udc00\"", "\xef\xbf\xbd \xef\xbf\xbd" },
		/* an escaped backslash before u is no escape */
		{ "\"\\\\ud800\\udc00\"", "\\ud800\xef\xbf\xbd" },
		{ "\"\\\\\\ud800\"", "\\\xef\xbf\xbd" },
		{ "\"\\\"\\ud800\\\"\"", "\"\xef\xbf\xbd\"" },
	};
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct str s;
		assert_true(json_str(parse_ok(cases[i].text), &s));
		if (!str_is(s, cases[i].want))
			fail_msg("%s reads as %.*s", cases[i].text, STR_ARG(s));
	}
}

static void
test_both_repairs(void **state)
{
	struct json v = parse_ok("{\"\\ud800\":99999999999999999999,"
	    "\"s\":\"99999999999999999999\"}"), got;
	struct str s;
	double d;
	(void)state;

	assert_true(json_get(v, "\xef\xbf\xbd", &got) && json_double(got, &d) && d == 1e20);
	assert_true(json_get_str(v, "s", &s));
	assert_str(s, "99999999999999999999");
}

static void
test_repair(void **state)
{
	static const struct {
		const char *text, *want;
		size_t changes;
	} cases[] = {
		{ "", "", 0 },
		{ "{\"a\":[1,2.5,\"\\ud83d\\ude00\"]}", NULL, 0 },
		{ "18446744073709551615", NULL, 0 },
		{ "18446744073709551616", "184467440737095516e2", 1 },
		{ "-9223372036854775808", NULL, 0 },
		{ "-9223372036854775809", "-92233720368547758e2", 1 },
		{ "[117200000000000000000,1]", "[1172000000000000000e2,1]", 1 },
		{ "99999999999999999999.0", NULL, 0 },
		{ "99999999999999999999e0", NULL, 0 },
		{ "0.99999999999999999999", NULL, 0 },
		{ "1e99999999999999999999", NULL, 0 },
		{ "1-99999999999999999999", NULL, 0 },
		{ "-", NULL, 0 },
		{ "--99999999999999999999", NULL, 0 },
		{ "00099999999999999999999", NULL, 0 },
		{ "\"99999999999999999999\"", NULL, 0 },
		{ "\"\\\"99999999999999999999\"", NULL, 0 },
		{ "\"\\\\\"99999999999999999999", "\"\\\\\"999999999999999999e2", 1 },
		{ "\"\\ud800\\uDC0\"", "\"\\ufffd\\uDC0\"", 1 },
		{ "\"\\ud800\\udbff\\udfff\"", "\"\\ufffd\\udbff\\udfff\"", 1 },
		{ "\"\\uDeAd\\ud8", "\"\\ufffd\\ud8", 1 },
		{ "\\ud800", NULL, 0 },
		{ "\"\\", NULL, 0 },
		{ "\"\\u", NULL, 0 },
	};
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *want = cases[i].want ? cases[i].want : cases[i].text;
		struct str text = str_of(cases[i].text);
		char *out = mem_alloc(text.n);
		assert_int_equal(json_repair(text, out), cases[i].changes);
		if (!str_is((struct str){ out, text.n }, want))
			fail_msg("%s became %.*s", cases[i].text, (int)text.n, out);
		mem_free(out);
	}
}

static void
test_member_raw(void **state)
{
	static const struct {
		const char *text, *key, *member, *value;
	} cases[] = {
		{ "{}", "a", NULL, NULL },
		{ "[]", "a", NULL, NULL },
		{ "{\"a\":1}", "a", "\"a\":1", "1" },
		{ " { \"a\" : -1.5e3 , \"b\":2}", "a", "\"a\" : -1.5e3", "-1.5e3" },
		{ "{\"b\":2,\"a\":{\"a\":[3,{}]},\"c\":1}", "a", "\"a\":{\"a\":[3,{}]}",
		    "{\"a\":[3,{}]}" },
		{ "{\"b\":{\"a\":1},\"c\":[\"a\",\"]}\\\"\"]}", "a", NULL, NULL },
		{ "{\"b\":\"\\\\\",\"a\":\"x\\\\\\\"y\"}", "a", "\"a\":\"x\\\\\\\"y\"",
		    "\"x\\\\\\\"y\"" },
		{ "{\"a\":true,\"a\":false}", "a", "\"a\":true", "true" },
		{ "{\"\\u0061\\t\\/\":null}", "a\t/", "\"\\u0061\\t\\/\":null", "null" },
		{ "{\"\\ud83d\\ude00\":[ ]\n}", "\xf0\x9f\x98\x80", "\"\\ud83d\\ude00\":[ ]",
		    "[ ]" },
		{ "{\"\\ud800x\":0}", "\xef\xbf\xbdx", "\"\\ud800x\":0", "0" },
		{ "{\"\\udc00\\u00e9\\\\\":0}", "\xef\xbf\xbd\xc3\xa9\\",
		    "\"\\udc00\\u00e9\\\\\":0", "0" },
		{ "{\"\\ud800\\ue000\":0}", "\xef\xbf\xbd\xee\x80\x80",
		    "\"\\ud800\\ue000\":0", "0" },
		{ "{\"ab\":1,\"a\\u0062c\":2,\"abc\":3}", "abc", "\"a\\u0062c\":2", "2" },
		{ "{\"\":{}}", "", "\"\":{}", "{}" },
	};
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct str text = str_of(cases[i].text), m = { NULL, 0 }, v = m;
		bool found = json_member_raw(text, cases[i].key, &m, &v);
		assert_int_equal(found, cases[i].member != NULL);
		if (found && (!str_is(m, cases[i].member) || !str_is(v, cases[i].value)))
			fail_msg("%s: member %.*s value %.*s", cases[i].text, STR_ARG(m),
			    STR_ARG(v));
	}
}

/* The parser stays usable after every kind of failure, a large text and a
 * trim; values of the last text stay valid until the next. */
static void
test_reuse(void **state)
{
	struct str s;
	(void)state;

	for (int round = 0; round < 3; round++) {
		assert_int_equal(parse_key("[\"", "x", 1000000, "\"]"), ERR_OK);
		json_doc_trim(doc, round == 0 ? 0 : 1 << 20);
		assert_true(json_get_str(parse_ok("{\"a\":\"b\"}"), "a", &s));
		assert_str(s, "b");
		assert_int_equal(parse(STR_LIT("[1"), &(struct json){ 0 }), ERR_BAD_JSON);
		assert_int_equal(parse_members("", 5000, ""), ERR_TOO_MANY_MEMBERS);
	}
	json_doc_free(NULL);
}

static int
setup(void **state)
{
	(void)state;
	doc = json_doc_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	json_doc_free(doc);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_long_array),
		cmocka_unit_test(test_key_length),
		cmocka_unit_test(test_key_nul),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_wrong_types),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_infinite_integer),
		cmocka_unit_test(test_members_found),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_each_nothing),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_both_repairs),
		cmocka_unit_test(test_repair),
		cmocka_unit_test(test_member_raw),
		cmocka_unit_test(test_reuse),
	};

	return cmocka_run_group_tests_name("json", tests, setup, teardown);
}
