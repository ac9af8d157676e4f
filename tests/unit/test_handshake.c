/* SPDX-License-Identifier: MIT */
/* The WebSocket handshake: the rows C1 to C12 and C19b of the list of bad
 * inputs as changes to one good request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "web/handshake.h"

static char good_origin[] = "https://good.example", local_origin[] = "http://127.0.0.1:8080";
static char good_host[] = "good.example", local_host[] = "[::1]:80";
static char *good_origins[] = { good_origin, local_origin };
static char *good_hosts[] = { good_host, local_host };
static struct conf conf = {
	.origins = { good_origins, 2 },
};

struct request {
	const char *line, *host, *upgrade, *connection, *key, *version, *origin, *more;
};

static const struct request good = {
	.line = "GET /wsapi/in/ HTTP/1.1",
	.host = "Host: good.example",
	.upgrade = "Upgrade: websocket",
	.connection = "Connection: Upgrade",
	.key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	.version = "Sec-WebSocket-Version: 13",
	.origin = "Origin: https://good.example",
};

static struct buf text;
static struct http_head head;
static const char *own;

static void
parse(struct request r)
{
	const char *lines[] = { r.line, r.host, r.upgrade, r.connection, r.key, r.version,
		r.origin, r.more };

	buf_clear(&text);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		if (lines[i] != NULL)
			buf_printf(&text, "%s\r\n", lines[i]);
	}
	buf_z(&text, "\r\n");
	head = (struct http_head){ 0 };
	assert_int_equal(http_read(&head, text.data, text.len), HTTP_DONE);
}

static int
check(struct request r)
{
	const char *why = NULL;
	int status;

	parse(r);
	status = handshake_check(&head, &conf, own, &why);
	if (status != 101)
		assert_non_null(why);
	return status;
}

#define CHANGED(field, value) ({ struct request r_ = good; r_.field = (value); check(r_); })

static void
test_good(void **state)
{
	(void)state;
	assert_int_equal(check(good), 101);
	assert_int_equal(CHANGED(upgrade, "upgrade: h2c, WebSocket"), 101);
	assert_int_equal(CHANGED(connection, "Connection: keep-alive, upgrade"), 101);
	assert_int_equal(CHANGED(origin, "Origin: http://127.0.0.1:8080"), 101);
	assert_int_equal(CHANGED(more, "Sec-WebSocket-Protocol: chat"), 101);
	assert_int_equal(CHANGED(more, "Sec-WebSocket-Extensions: permessage-deflate"), 101);
	assert_int_equal(CHANGED(more, "X-A: b"), 101);
	assert_int_equal(CHANGED(more, "Content-Length: 0"), 101);
}

/* C1 to C7; C6 is refused by the reader of the head. */
static void
test_origin(void **state)
{
	(void)state;
	assert_int_equal(CHANGED(origin, NULL), 403);
	assert_int_equal(CHANGED(origin, "Origin: null"), 403);
	assert_int_equal(CHANGED(origin, "Origin:"), 403);
	assert_int_equal(CHANGED(origin, "Origin: https://good.example.evil.com"), 403);
	assert_int_equal(CHANGED(origin, "Origin: https://good.exampl"), 403);
	assert_int_equal(CHANGED(origin, "Origin: http://good.example"), 403);
	assert_int_equal(CHANGED(origin, "Origin: https://good.example:444"), 403);
	assert_int_equal(CHANGED(origin, "Origin: https://good.example/"), 403);
	assert_int_equal(CHANGED(origin, "Origin: HTTPS://GOOD.EXAMPLE"), 403);
	assert_int_equal(CHANGED(more, "Origin: https://good.example"), 400);
	conf.allow_no_origin = true;
	assert_int_equal(CHANGED(origin, NULL), 101);
	assert_int_equal(CHANGED(origin, "Origin: null"), 403);
	conf.allow_no_origin = false;
	conf.origins.n = 0;
	assert_int_equal(check(good), 403);
	conf.origins.n = 2;
}

/* Our own pages, by the scheme that they came by. */
static void
test_own(void **state)
{
	(void)state;
	conf.origins.n = 0;
	own = "https://";
	assert_int_equal(check(good), 101);
	assert_int_equal(CHANGED(host, "Host: Good.example"), 101);
	assert_int_equal(CHANGED(origin, "Origin: http://good.example"), 403);
	assert_int_equal(CHANGED(origin, "Origin: https://good.example:444"), 403);
	assert_int_equal(CHANGED(origin, "Origin: https://other.example"), 403);
	assert_int_equal(CHANGED(origin, "Origin: https://"), 403);
	assert_int_equal(CHANGED(origin, NULL), 403);
	own = "http://";
	assert_int_equal(check(good), 403);
	assert_int_equal(CHANGED(origin, "Origin: http://good.example"), 101);
	own = NULL;
	assert_int_equal(check(good), 403);
	conf.origins.n = 2;
}

/* C8, C9 */
static void
test_version_and_key(void **state)
{
	static const char *const bad[] = {
		"Sec-WebSocket-Key:", "Sec-WebSocket-Key: AAAA",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ===",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j-Q==",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==",
	};

	(void)state;
	assert_int_equal(CHANGED(version, NULL), 426);
	assert_int_equal(CHANGED(version, "Sec-WebSocket-Version: 12"), 426);
	assert_int_equal(CHANGED(version, "Sec-WebSocket-Version: 13, 8"), 426);
	assert_int_equal(CHANGED(version, "Sec-WebSocket-Version: 013"), 426);
	assert_int_equal(CHANGED(key, NULL), 400);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(CHANGED(key, bad[i]), 400);
	assert_int_equal(CHANGED(more, good.key), 400);
}

/* C10, C19b, and requests that are no handshake */
static void
test_request(void **state)
{
	(void)state;
	assert_int_equal(CHANGED(line, "POST /wsapi/in/ HTTP/1.1"), 405);
	assert_int_equal(CHANGED(line, "get /wsapi/in/ HTTP/1.1"), 405);
	assert_int_equal(CHANGED(line, "GET /wsapi/in/?token=x HTTP/1.1"), 400);
	assert_int_equal(CHANGED(line, "GET /wsapi/in/? HTTP/1.1"), 400);
	assert_int_equal(CHANGED(more, "Content-Length: 3"), 400);
	assert_int_equal(CHANGED(more, "Transfer-Encoding: chunked"), 400);
	assert_int_equal(CHANGED(upgrade, NULL), 426);
	assert_int_equal(CHANGED(upgrade, "Upgrade: websockets"), 426);
	assert_int_equal(CHANGED(connection, NULL), 426);
	assert_int_equal(CHANGED(connection, "Connection: close"), 426);
}

static bool
host(const char *line)
{
	struct request r = good;

	r.host = line;
	parse(r);
	return handshake_host_known(&head, &conf);
}

/* C12 */
static void
test_host(void **state)
{
	(void)state;
	assert_true(host("Host: anything"));
	conf.hosts = (struct conf_list){ good_hosts, 2 };
	assert_true(host("Host: good.example"));
	assert_true(host("Host: GOOD.example"));
	assert_true(host("Host: [::1]:80"));
	assert_false(host("Host: good.example:8443"));
	assert_false(host("Host: [::1]"));
	assert_false(host("Host: good.example.evil"));
	assert_false(host("Host: good.exampl"));
	assert_false(host("Host: :80"));
	assert_false(host("Host: [::2]"));
	conf.hosts = (struct conf_list){ NULL, 0 };
}

static void
guest(const char *cookie, char id[HANDSHAKE_GUEST_LEN + 1], bool *fresh)
{
	struct request r = good;

	r.more = cookie;
	parse(r);
	handshake_guest(&head, id, fresh);
	assert_int_equal(strspn(id, "0123456789abcdef"), HANDSHAKE_GUEST_LEN);
}

static void
test_guest(void **state)
{
	static const char *const bad[] = {
		NULL, "Cookie: other=1", "Cookie: guest_id=",
		"Cookie: guest_id=0123456789abcdef0123456789abcde",
		"Cookie: guest_id=0123456789abcdef0123456789abcdef0",
		"Cookie: guest_id=0123456789ABCDEF0123456789abcdef",
		"Cookie: guest_id=0123456789abcdef0123456789abcde,",
	};
	char id[HANDSHAKE_GUEST_LEN + 1], last[HANDSHAKE_GUEST_LEN + 1] = "";
	bool fresh;

	(void)state;
	guest("Cookie: a=b; guest_id=0123456789abcdef0123456789abcdef", id, &fresh);
	assert_false(fresh);
	assert_string_equal(id, "0123456789abcdef0123456789abcdef");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		guest(bad[i], id, &fresh);
		assert_true(fresh);
		assert_string_not_equal(id, last);
		memcpy(last, id, sizeof id);
	}
}

/* The key and answer of RFC 6455 §1.3. */
static void
test_accept(void **state)
{
	struct buf out = BUF_INIT(0);

	(void)state;
	parse(good);
	handshake_accept(&out, &head, NULL, false);
	buf_byte(&out, 0);
	assert_string_equal(out.data, "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
	buf_clear(&out);
	handshake_accept(&out, &head, "0123456789abcdef0123456789abcdef", true);
	buf_byte(&out, 0);
	assert_non_null(strstr(out.data, "\r\nSet-Cookie: guest_id=0123456789abcdef0123456789"
	    "abcdef; Path=/wsapi/in; HttpOnly; SameSite=Lax; Max-Age=31536000; Secure\r\n\r\n"));
	buf_free(&out);
}

static int
teardown(void **state)
{
	(void)state;
	buf_free(&text);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_origin),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_version_and_key),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_guest),
		cmocka_unit_test(test_accept),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
