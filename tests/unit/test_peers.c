/* SPDX-License-Identifier: MIT */
/* Addresses in one spelling, counted; and who is a trusted proxy. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "web/peers.h"

static const char *
canonical(const char *text)
{
	static char out[INET6_ADDRSTRLEN];

	return peer_canonical(str_of(text), out) ? out : "";
}

static void
test_canonical(void **state)
{
	char out[INET6_ADDRSTRLEN];

	(void)state;
	assert_string_equal(canonical("192.0.2.1"), "192.0.2.1");
	assert_string_equal(canonical("2001:DB8:0:0::1"), "2001:db8::1");
	assert_string_equal(canonical("::ffff:192.0.2.1"), "192.0.2.1");
	assert_string_equal(canonical(""), "");
	assert_string_equal(canonical("192.0.2"), "");
	assert_string_equal(canonical("192.0.2.1 "), "");
	assert_string_equal(canonical("192.0.2.1, 192.0.2.2"), "");
	assert_string_equal(canonical("example.org"), "");
	assert_string_equal(canonical("1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa"), "");
	assert_false(peer_canonical(STR_LIT("192.0.2.1\0.evil"), out));
}

static void
test_socket(void **state)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6 };
	struct sockaddr other = { .sa_family = AF_UNIX };
	char out[INET6_ADDRSTRLEN];

	(void)state;
	assert_true(peer_of_socket((struct sockaddr *)&a4, out));
	assert_string_equal(out, "192.0.2.1");
	assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &a6.sin6_addr), 1);
	assert_true(peer_of_socket((struct sockaddr *)&a6, out));
	assert_string_equal(out, "192.0.2.1");
	assert_false(peer_of_socket(&other, out));
}

static void
test_count(void **state)
{
	struct peers *ps = peers_new();
	struct peer *a = peer_join(ps, "192.0.2.1"), *b = peer_join(ps, "192.0.2.2");

	(void)state;
	assert_ptr_equal(peer_join(ps, "192.0.2.1"), a);
	assert_int_equal(a->n, 2);
	assert_int_equal(b->n, 1);
	assert_int_equal(peers_count(ps), 2);
	peer_leave(ps, a);
	peer_leave(ps, b);
	assert_int_equal(peers_count(ps), 1);
	peer_leave(ps, NULL);
	peer_leave(ps, a);
	assert_int_equal(peers_count(ps), 0);
	peers_free(ps);
}

static void
test_proxy(void **state)
{
	char v4[] = "192.0.2.7", v6[] = "2001:DB8::7";
	char *list[] = { v4, v6 };
	const struct conf conf = { .trusted_proxies = { list, 2 } }, none = { 0 };

	(void)state;
	assert_true(peer_is_proxy(&conf, "192.0.2.7"));
	assert_true(peer_is_proxy(&conf, "2001:db8::7"));
	assert_false(peer_is_proxy(&conf, "192.0.2.70"));
	assert_false(peer_is_proxy(&none, "192.0.2.7"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_socket),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_proxy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
