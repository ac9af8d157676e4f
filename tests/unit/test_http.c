/* SPDX-License-Identifier: MIT */
/* The request head: what is read, what is refused with which status, and that
 * it does not matter in which pieces it comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "web/http.h"

#define GET "GET /x HTTP/1.1\r\n"
#define HOST "Host: school.test\r\n"

/* 0: more is wanted; 200: done; else the status of the refusal. */
static int
verdict(struct http_head *h, const char *p, size_t n)
{
	switch (http_read(h, p, n)) {
	case HTTP_MORE:
		return 0;
	case HTTP_DONE:
		return 200;
	case HTTP_BAD:
		assert_non_null(h->why);
		return h->status;
	}
	return -1;
}

static int
whole(struct str s)
{
	struct http_head h = { 0 };
	char *copy = mem_alloc(s.n); /* of exact size, for the sanitizer */
	int status = verdict(&h, memcpy(copy, s.p, s.n), s.n);

	mem_free(copy);
	return status;
}

/* The bytes come one by one, at a new place each time. */
static int
slowly(struct str s)
{
	struct http_head h = { 0 };
	int status = 0;

	for (size_t n = 1; status == 0 && n <= s.n; n++) {
		char *copy = mem_alloc(n);

		status = verdict(&h, memcpy(copy, s.p, n), n);
		mem_free(copy);
	}
	return status;
}

static void
expect(struct str s, int status)
{
	assert_int_equal(whole(s), status);
	assert_int_equal(slowly(s), status);
}
#define EXPECT(lit, status) expect(STR_LIT(lit), status)

static void
test_good(void **state)
{
	struct str head = STR_LIT("GET /wsapi/in/?a=b HTTP/1.1\r\n" HOST
	    "ACCEPT:*/*\r\nX-Empty:\r\nX-Spaces: \t a b \t\r\nX-Latin: \xe4\r\n\r\nrest");
	struct http_head h = { 0 };
	struct str v;

	(void)state;
	assert_int_equal(verdict(&h, head.p, head.n), 200);
	assert_int_equal(h.at, head.n - 4);
	assert_true(str_is(http_str(&h, h.method), "GET"));
	assert_true(str_is(http_str(&h, h.path), "/wsapi/in/"));
	assert_true(h.has_query);
	assert_true(str_is(http_str(&h, h.query), "a=b"));
	assert_true(http_get(&h, "accept", &v) && str_is(v, "*/*"));
	assert_true(http_get(&h, "X-Empty", &v) && v.n == 0);
	assert_true(http_get(&h, "X-Spaces", &v) && str_is(v, "a b"));
	assert_false(http_get(&h, "X-A", &v));
	assert_false(http_has_body(&h));
	EXPECT(GET HOST "\r\n", 200);
	EXPECT(GET HOST, 0);
	EXPECT("", 0);
}

static void
test_request_line(void **state)
{
	(void)state;
	EXPECT("GET /x HTTP/1.0\r\n" HOST "\r\n", 505);
	EXPECT("GET /x HTTP/2.0\r\n" HOST "\r\n", 505);
	EXPECT("PRI * HTTP/2.0\r\n", 505);
	EXPECT("GET /x http/1.1\r\n" HOST "\r\n", 400);
	EXPECT("GET /x HTTP/1.1 \r\n" HOST "\r\n", 400);
	EXPECT("GET  /x HTTP/1.1\r\n" HOST "\r\n", 400);
	EXPECT("GET /x\r\n" HOST "\r\n", 400);
	EXPECT("GET x HTTP/1.1\r\n" HOST "\r\n", 400);
	EXPECT("GET http://school.test/x HTTP/1.1\r\n" HOST "\r\n", 400);
	EXPECT("GET /x#y HTTP/1.1\r\n" HOST "\r\n", 400);
	EXPECT("G@T /x HTTP/1.1\r\n" HOST "\r\n", 400);
	EXPECT("\r\n" GET HOST "\r\n", 400);
	EXPECT("GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", 400);
	EXPECT("GET /x\tHTTP/1.1\r\n" HOST "\r\n", 400);
	EXPECT("GET /x\0 HTTP/1.1\r\n" HOST "\r\n", 400);
}

/* C17: refused as soon as it can be told, not when a line has ended. */
static void
test_no_http(void **state)
{
	(void)state;
	EXPECT("\x16\x03\x01\x02", 400);
	EXPECT("\x80", 400);
	EXPECT("ab\xff", 400);
	EXPECT("\0", 400);
}

static void
test_fields(void **state)
{
	(void)state;
	EXPECT(GET HOST "X-A: b\r\n\r\n", 200);
	EXPECT(GET HOST "X A: b\r\n\r\n", 400);
	EXPECT(GET HOST "X-A : b\r\n\r\n", 400);
	EXPECT(GET HOST ": b\r\n\r\n", 400);
	EXPECT(GET HOST "no colon\r\n\r\n", 400);
	EXPECT(GET " " HOST "\r\n", 400);
	/* C16 */
	EXPECT(GET HOST "X: a\r\n b\r\n\r\n", 400);
	EXPECT(GET HOST "X: a\r\n\tb\r\n\r\n", 400);
	EXPECT(GET HOST "X: a\rb\r\n\r\n", 400);
	EXPECT(GET HOST "X: a\nY: b\r\n\r\n", 400);
	EXPECT(GET HOST "X: a\n\n", 400);
	EXPECT(GET HOST "X: a\0b\r\n\r\n", 400);
	EXPECT(GET HOST "X: a\x7f\r\n\r\n", 400);
	EXPECT(GET HOST "X: a\x01\r\n\r\n", 400);
	EXPECT(GET HOST "X: a\r\r\n\r\n", 400);
}

static void
test_host(void **state)
{
	(void)state;
	EXPECT(GET "\r\n", 400);
	EXPECT(GET "Host:\r\n\r\n", 400);
	EXPECT(GET HOST HOST "\r\n", 400);
}

/* C10 */
static void
test_length(void **state)
{
	struct str s = STR_LIT("POST /x HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n");
	struct http_head h = { 0 };

	(void)state;
	EXPECT(GET HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400);
	EXPECT(GET HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400);
	EXPECT(GET HOST "Content-Length: -1\r\n\r\n", 400);
	EXPECT(GET HOST "Content-Length: \r\n\r\n", 400);
	EXPECT(GET HOST "Content-Length: 0\r\n\r\n", 200);
	assert_int_equal(verdict(&h, s.p, s.n), 200);
	assert_true(http_has_body(&h));
}

/* GET /xxx.. with a target of n bytes. */
static struct str
long_target(struct buf *b, size_t n)
{
	buf_clear(b);
	buf_z(b, "GET /");
	for (size_t i = 1; i < n; i++)
		buf_z(b, "x");
	buf_z(b, " HTTP/1.1\r\n" HOST "\r\n");
	return buf_view(b);
}

static struct str
long_field(struct buf *b, size_t n)
{
	buf_clear(b);
	buf_z(b, GET HOST "X-Long: ");
	for (size_t i = 0; i < n; i++)
		buf_z(b, "x");
	buf_z(b, "\r\n\r\n");
	return buf_view(b);
}

static struct str
many_fields(struct buf *b, size_t n, size_t size)
{
	buf_clear(b);
	buf_z(b, GET HOST);
	for (size_t i = 0; i < n; i++)
		buf_printf(b, "X-%03zu: %0*d\r\n", i, (int)size, 0);
	buf_z(b, "\r\n");
	return buf_view(b);
}

/* C13, C14 */
static void
test_limits(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	expect(long_target(&b, 4000), 200);
	expect(long_target(&b, 8192), 414);
	expect(long_field(&b, 3800), 200);
	expect(long_field(&b, HTTP_LINE_MAX - 8), 200);
	expect(long_field(&b, HTTP_LINE_MAX - 7), 431);
	expect(long_field(&b, 20480), 431);
	expect(many_fields(&b, 100, 1), 200);
	expect(many_fields(&b, HTTP_FIELDS_MAX - 1, 1), 200);
	expect(many_fields(&b, HTTP_FIELDS_MAX, 1), 431);
	expect(many_fields(&b, 500, 1), 431);
	expect(many_fields(&b, 4, 4000), 200);
	expect(many_fields(&b, 5, 4000), 431);
	buf_free(&b);
}

static void
test_lists(void **state)
{
	struct str s = STR_LIT(GET HOST "Connection: keep-alive , Upgrade\r\n"
	    "Upgrade: h2c\r\nupgrade: ,WebSocket,\r\nX: upgrader\r\n"
	    "Cookie: a=1; guest_id=abc=; b\r\nCookie: c=3\r\n\r\n");
	struct http_head h = { 0 };
	struct str v;

	(void)state;
	assert_int_equal(verdict(&h, s.p, s.n), 200);
	assert_true(http_has_token(&h, "Connection", "upgrade"));
	assert_true(http_has_token(&h, "Upgrade", "websocket"));
	assert_false(http_has_token(&h, "X", "upgrade"));
	assert_false(http_has_token(&h, "Y", "upgrade"));
	assert_int_equal(http_count(&h, "UPGRADE"), 2);
	assert_true(http_cookie(&h, "guest_id", &v) && str_is(v, "abc="));
	assert_true(http_cookie(&h, "c", &v) && str_is(v, "3"));
	assert_false(http_cookie(&h, "b", &v));
	assert_false(http_cookie(&h, "guest", &v));
}

static void
test_answers(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	http_refuse(&b, 426, "", "Only 13.");
	buf_byte(&b, 0);
	assert_string_equal(b.data, "HTTP/1.1 426 Upgrade Required\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 9\r\n"
	    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
	    "Connection: close\r\n\r\nOnly 13.\n");
	for (size_t i = 0; i < HTTP_STATUSES; i++)
		assert_int_equal(http_status_index(http_status_at(i)), i);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_request_line),
		cmocka_unit_test(test_no_http),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
