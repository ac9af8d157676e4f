/* SPDX-License-Identifier: MIT */
/* Sign-in without a network: credentials out of bodies, sessions and what lives in
 * them, how often somebody may try. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "web/credentials.h"
#include "web/login.h"
#include "web/throttle.h"

/* ---- credentials ---- */

static struct json_doc *doc;

static int
read_as(const char *type, struct str body, struct credentials *c)
{
	const char *why = NULL;
	char *exact = mem_dup(body.p, body.n); /* so that a byte too far is noticed */
	int status = credentials_read(doc, str_of(type), (struct str){ exact, body.n }, c, &why);

	assert_true(status == 200 || why != NULL);
	mem_free(exact);
	return status;
}

static void
assert_read(const char *type, struct str body, const char *user, struct str password)
{
	struct credentials c;

	assert_int_equal(read_as(type, body, &c), 200);
	assert_true(str_is(buf_view(&c.user), user));
	assert_true(str_eq(buf_view(&c.password), password));
	credentials_wipe(&c);
}

static void
assert_not_read(const char *type, struct str body, int want)
{
	struct credentials c;

	assert_int_equal(read_as(type, body, &c), want);
	credentials_wipe(&c);
}

#define FORM "application/x-www-form-urlencoded"
#define JSON "application/json"

static void
test_credentials(void **state)
{
	(void)state;
	doc = json_doc_new();
	assert_read(JSON, STR_LIT("{\"username\":\"u\",\"password\":\"p\\u20ac\"}"), "u",
	    STR_LIT("p\xe2\x82\xac"));
	assert_read("Application/JSON; charset=utf-8", STR_LIT("{\"password\":\"\",\"x\":[1],\"username\":\"u\"}"),
	    "u", STR_LIT(""));
	assert_read(JSON, STR_LIT("{\"username\":\"u\",\"password\":\"a\\u0000b\"}"), "u", STR_LIT("a\0b"));
	assert_read(FORM, STR_LIT("username=u%40x&password=a+b%2b%26%3d"), "u@x", STR_LIT("a b+&="));
	assert_read(FORM, STR_LIT("x&password=%&username=%4"), "%4", STR_LIT("%"));
	assert_read(FORM, STR_LIT("password=a=b&username="), "", STR_LIT("a=b"));
	assert_read(FORM, STR_LIT("password=%00%fF&username=u"), "u", STR_LIT("\0\xff"));
	assert_not_read(FORM, STR_LIT(""), 400);
	assert_not_read(FORM, STR_LIT("username=u&username=v&password=p"), 400);
	assert_not_read(FORM, STR_LIT("Username=u&password=p"), 400);
	assert_not_read(JSON, STR_LIT(""), 400);
	assert_not_read(JSON, STR_LIT("{\"username\":\"u\",\"password\":\"p\"} x"), 400);
	assert_not_read(JSON, STR_LIT("{\"username\":\"u\",\"password\":null}"), 400);
	assert_not_read(JSON, STR_LIT("[\"username\",\"password\"]"), 400);
	assert_not_read("", STR_LIT("username=u&password=p"), 415);
	assert_not_read("application/jsonx", STR_LIT("{}"), 415);
	assert_not_read("multipart/form-data; boundary=x", STR_LIT("x"), 415);
	json_doc_free(doc);
}

/* ---- sessions ---- */

static struct loop *loop;
static struct logins *logins;
static struct conf conf;
static unsigned ended;

static void
ended_cb(void *arg)
{
	(void)arg;
	ended++;
}

static int
setup(void **state)
{
	(void)state;
	conf = (struct conf){ .auth_session = 100, .auth_idle = 100 };
	loop = loop_new();
	logins = logins_new(loop, &conf);
	ended = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	logins_free(logins);
	loop_free(loop);
	return 0;
}

static struct login *
begin(const char *user, char token[LOGIN_TOKEN_LEN + 1])
{
	static const struct auth_proof proof = { .backend = "file" };
	struct login *x = login_begin(logins, str_of(user), &proof, token);

	assert_non_null(x);
	return x;
}

static void
test_tokens(void **state)
{
	char a[LOGIN_TOKEN_LEN + 1], b[LOGIN_TOKEN_LEN + 1];
	struct login *ann = begin("ann@x", a), *bob = begin("bob@x", b);

	(void)state;
	assert_string_not_equal(a, b);
	assert_ptr_equal(login_find(logins, str_of(a)), ann);
	assert_ptr_equal(login_find(logins, str_of(b)), bob);
	assert_string_equal(login_user(ann), "ann@x");
	assert_null(login_find(logins, STR_LIT("")));
	assert_null(login_find(logins, (struct str){ a, LOGIN_TOKEN_LEN - 1 }));
	a[0] = a[0] == 'x' ? 'y' : 'x';
	assert_null(login_find(logins, str_of(a)));
	login_end(bob);
	assert_null(login_find(logins, str_of(b)));
	assert_int_equal(logins_count(logins), 1);
}

static void
test_guests(void **state)
{
	char token[LOGIN_TOKEN_LEN + 1];
	struct login *x = begin("ann@x", token);
	struct login_guest a = { .ended = ended_cb }, b = a, c = a;

	(void)state;
	login_join(x, &a);
	login_join(x, &b);
	login_join(x, &c);
	login_leave(&b);
	assert_int_equal(login_guests(x), 2);
	login_end(x);
	assert_int_equal(ended, 2);
	assert_null(a.login);
	login_leave(&a); /* as its owner does in the end */
	x = begin("ann@x", token);
	login_join(x, &a);
	logins_check(logins, NULL); /* nobody signs in any more */
	assert_int_equal(ended, 3);
	assert_int_equal(logins_count(logins), 0);
}

/* Idle is who neither asks nor has anything open; the end comes for all. */
static void
test_over(void **state)
{
	char token[LOGIN_TOKEN_LEN + 1];
	struct login_guest g = { .ended = ended_cb };
	struct login *x = begin("ann@x", token);

	(void)state;
	login_join(x, &g);
	conf.auth_idle = 0;
	logins_reconf(logins, &conf);
	assert_ptr_equal(login_find(logins, str_of(token)), x);
	login_leave(&g);
	assert_null(login_find(logins, str_of(token)));
	x = begin("ann@x", token);
	login_join(x, &g);
	conf.auth_session = 0;
	logins_reconf(logins, &conf);
	assert_int_equal(login_left(x), 0);
	assert_null(login_find(logins, str_of(token)));
	assert_int_equal(ended, 1);
}

static void
test_many_of_one(void **state)
{
	char token[LOGINS_PER_USER + 1][LOGIN_TOKEN_LEN + 1], other[LOGIN_TOKEN_LEN + 1];

	(void)state;
	begin("bob@x", other);
	for (size_t i = 0; i <= LOGINS_PER_USER; i++)
		begin("ann@x", token[i]);
	assert_null(login_find(logins, str_of(token[0])));
	assert_non_null(login_find(logins, str_of(token[1])));
	assert_non_null(login_find(logins, str_of(other)));
	assert_int_equal(logins_count(logins), LOGINS_PER_USER + 1);
}

/* ---- how often ---- */

static void
test_throttle(void **state)
{
	struct throttle *t = throttle_new(3, 1000);
	struct str ann = STR_LIT("ann"), bob = STR_LIT("bob");

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true(throttle_take(t, ann, 5000));
	assert_false(throttle_take(t, ann, 5000));
	assert_false(throttle_take(t, ann, 5999)); /* a refusal does not count */
	assert_true(throttle_take(t, bob, 5000));
	assert_true(throttle_take(t, ann, 6000));
	assert_false(throttle_take(t, ann, 6000));
	throttle_give_back(t, ann);
	assert_true(throttle_take(t, ann, 6000));
	for (int i = 0; i < 3; i++)
		assert_true(throttle_take(t, ann, 1000000));
	assert_false(throttle_take(t, ann, 1000000));
	throttle_free(t);
	throttle_free(NULL);
}

/* Whoever brings any number of keys shares one in the end, and others come back. */
static void
test_throttle_is_bounded(void **state)
{
	struct throttle *t = throttle_new(2, 1000);
	size_t passed = 0;
	char key[16];

	(void)state;
	for (int i = 0; i < 2 * THROTTLE_KEYS_MAX; i++) {
		snprintf(key, sizeof key, "%d", i);
		passed += throttle_take(t, str_of(key), 1000);
	}
	assert_int_equal(passed, THROTTLE_KEYS_MAX + 2);
	assert_true(throttle_take(t, STR_LIT("0"), 1000));
	assert_true(throttle_take(t, STR_LIT("new"), 9000));
	assert_true(throttle_take(t, STR_LIT("newer"), 9000));
	assert_true(throttle_take(t, STR_LIT("newest"), 9000));
	throttle_free(t);
}

/* So many requests at once; what costs more than all of them is done when nothing was
 * before it. */
static void
test_asks(void **state)
{
	char token[LOGIN_TOKEN_LEN + 1];
	struct login *x = begin("ann@x", token);

	(void)state;
	assert_true(login_may_ask(x, 1));
	assert_true(login_may_ask(x, 0));
	assert_false(login_may_ask(x, LOGIN_ASKS));
	assert_true(login_may_ask(x, LOGIN_ASKS - 1));
	assert_false(login_may_ask(x, LOGIN_ASKS / 2));
	x = begin("ann@x", token);
	assert_true(login_may_ask(x, 1000000));
	assert_false(login_may_ask(x, LOGIN_ASKS / 2));
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_credentials),
		TEST(test_tokens),
		TEST(test_guests),
		TEST(test_over),
		TEST(test_many_of_one),
		TEST(test_asks),
		cmocka_unit_test(test_throttle),
		cmocka_unit_test(test_throttle_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
