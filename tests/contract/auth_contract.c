/* SPDX-License-Identifier: MIT */
/* The contract of auth backends, as tests. */
#include "tests/contract/auth_contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"

static const struct auth_contract *contract;
static struct conf conf;
static struct loop *loop;
static struct auth *auth;

struct answer {
	unsigned calls;
	enum auth_verdict verdict;
	struct auth_proof proof;
	struct auth *close; /* closed in the call */
	bool stop;          /* and the loop left */
};

static struct auth *
contract_open(void)
{
	const struct auth_options o = { .loop = loop, .conf = &conf };
	char *why = NULL;
	struct auth *a = auth_new(&contract->backend, 1, &o, &why);

	if (a == NULL)
		fail_msg("auth_new: %s", why);
	return a;
}

static void
contract_reopen(void)
{
	auth_close(auth);
	auth = contract_open();
}

static int
setup(void **state)
{
	(void)state;
	conf = (struct conf){ .auth_domain = (char *)"school.test" };
	loop = loop_new();
	contract->place(&conf);
	auth = contract_open();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	auth_close(auth);
	loop_free(loop);
	contract->drop(&conf);
	return 0;
}

static void
answer_cb(void *arg, enum auth_verdict v, const struct auth_proof *proof)
{
	struct answer *a = arg;

	a->calls++;
	a->verdict = v;
	a->proof = *proof;
	if (a->close != NULL)
		auth_close(a->close);
	if (a->stop)
		loop_stop(loop);
}

static void
ask(struct answer *a, const char *user, const char *password)
{
	*a = (struct answer){ .stop = true };
	auth_check(auth, str_of(user), str_of(password), answer_cb, a);
	assert_int_equal(a->calls, 0); /* never inside the call */
	loop_run(loop);
	assert_int_equal(a->calls, 1);
}

static struct answer
assert_verdict(const char *user, const char *password, enum auth_verdict want)
{
	struct answer a;

	ask(&a, user, password);
	assert_int_equal(a.verdict, want);
	assert_int_equal(a.proof.backend != NULL, want == AUTH_YES);
	return a;
}

static void
test_verdicts(void **state)
{
	struct answer a = assert_verdict(CONTRACT_ANN, CONTRACT_ANN_PASSWORD, AUTH_YES);

	(void)state;
	assert_string_equal(a.proof.backend, contract->backend->name);
	assert_verdict(CONTRACT_BEA, CONTRACT_BEA_PASSWORD, AUTH_YES);
	assert_verdict(CONTRACT_ANN, "wrong", AUTH_NO);
	assert_verdict(CONTRACT_ANN, "", AUTH_NO);
	assert_verdict(CONTRACT_ANN, CONTRACT_BEA_PASSWORD, AUTH_NO);
	assert_verdict(CONTRACT_ANN, "Correct horse", AUTH_NO);
	assert_verdict("nobody@school.test", CONTRACT_ANN_PASSWORD, AUTH_NO);
	assert_verdict("ann@other.test", CONTRACT_ANN_PASSWORD, AUTH_NO);
	assert_verdict("an%@school.test", CONTRACT_ANN_PASSWORD, AUTH_NO);
	assert_verdict("x' OR '1'='1", "' OR '1'='1", AUTH_NO);
}

/* What cannot be a password is no password, also not its beginning. */
static void
test_odd_passwords(void **state)
{
	struct answer a = { .stop = true };
	char *large = mem_alloc(70000);

	(void)state;
	memset(large, 'x', 69999);
	large[69999] = '\0';
	assert_verdict(CONTRACT_ANN, large, AUTH_NO);
	mem_free(large);
	auth_check(auth, STR_LIT(CONTRACT_ANN), (struct str){ CONTRACT_ANN_PASSWORD "\0x",
	    sizeof CONTRACT_ANN_PASSWORD + 1 }, answer_cb, &a);
	loop_run(loop);
	assert_int_equal(a.verdict, AUTH_NO);
}

#define CROWD 20

static void
test_many_at_once(void **state)
{
	struct answer a[CROWD] = { { 0 } };

	(void)state;
	for (size_t i = 0; i < CROWD; i++)
		auth_check(auth, STR_LIT(CONTRACT_ANN),
		    str_of(i % 2 ? CONTRACT_ANN_PASSWORD : "wrong"), answer_cb, &a[i]);
	for (size_t i = 0; i < CROWD; i++) {
		a[i].stop = true;
		while (a[i].calls == 0)
			loop_run(loop);
	}
	for (size_t i = 0; i < CROWD; i++) {
		assert_int_equal(a[i].calls, 1);
		assert_int_equal(a[i].verdict, i % 2 ? AUTH_YES : AUTH_NO);
	}
}

/* Beyond what may be under way the answer is that there is none. */
static void
test_too_many(void **state)
{
	static struct answer a[AUTH_ASKS_MAX + 1];

	(void)state;
	memset(a, 0, sizeof a);
	for (size_t i = 0; i <= AUTH_ASKS_MAX; i++)
		auth_check(auth, STR_LIT(CONTRACT_ANN), STR_LIT("x"), answer_cb, &a[i]);
	a[AUTH_ASKS_MAX].stop = true;
	assert_int_equal(a[AUTH_ASKS_MAX].calls, 0);
	while (a[AUTH_ASKS_MAX].calls == 0)
		loop_run(loop);
	assert_int_equal(a[AUTH_ASKS_MAX].verdict, AUTH_CANNOT_SAY);
	contract_reopen();
}

static void
test_drop_and_close(void **state)
{
	struct answer dropped = { 0 }, closed = { 0 }, closes = { .close = auth, .stop = true };

	(void)state;
	auth_drop(auth_check(auth, STR_LIT(CONTRACT_ANN), STR_LIT("a"), answer_cb, &dropped));
	auth_check(auth, STR_LIT(CONTRACT_ANN), STR_LIT(CONTRACT_ANN_PASSWORD), answer_cb, &closes);
	auth_check(auth, STR_LIT(CONTRACT_ANN), STR_LIT("b"), answer_cb, &closed);
	loop_run(loop);
	assert_int_equal(closes.calls, 1);
	assert_int_equal(closes.verdict, AUTH_YES);
	assert_int_equal(dropped.calls + closed.calls, 0);
	auth = contract_open();
	auth_check(auth, STR_LIT(CONTRACT_ANN), STR_LIT("c"), answer_cb, &closed);
	contract_reopen(); /* while it computes, or is asked */
	assert_verdict(CONTRACT_ANN, CONTRACT_ANN_PASSWORD, AUTH_YES);
	assert_int_equal(closed.calls, 0);
}

static void
assert_still(const struct answer *before, enum auth_verdict want)
{
	struct answer a = { .stop = true };

	auth_still(auth, STR_LIT(CONTRACT_ANN), &before->proof, answer_cb, &a);
	assert_int_equal(a.calls, 0);
	loop_run(loop);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.verdict, want);
}

/* A proof holds as long as the password is the same and the user is there. */
static void
test_still(void **state)
{
	struct answer a = assert_verdict(CONTRACT_ANN, CONTRACT_ANN_PASSWORD, AUTH_YES);

	(void)state;
	assert_still(&a, AUTH_YES);
	contract_reopen();
	assert_still(&a, AUTH_YES);
	if (contract->change == NULL)
		return;
	contract->change(&conf, "another");
	contract_reopen();
	assert_still(&a, AUTH_NO);
	assert_verdict(CONTRACT_ANN, CONTRACT_ANN_PASSWORD, AUTH_NO);
	a = assert_verdict(CONTRACT_ANN, "another", AUTH_YES);
	contract->change(&conf, NULL);
	contract_reopen();
	assert_still(&a, AUTH_NO);
	assert_verdict(CONTRACT_ANN, "another", AUTH_NO);
}

static void
test_cut(void **state)
{
	struct answer a;

	(void)state;
	if (contract->cut == NULL)
		return;
	a = assert_verdict(CONTRACT_ANN, CONTRACT_ANN_PASSWORD, AUTH_YES);
	contract->cut(&conf);
	assert_verdict(CONTRACT_ANN, CONTRACT_ANN_PASSWORD, AUTH_CANNOT_SAY);
	if (contract->change != NULL)
		assert_still(&a, AUTH_CANNOT_SAY);
}

int
auth_contract_run(const struct auth_contract *c)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_verdicts),
		TEST(test_odd_passwords),
		TEST(test_many_at_once),
		TEST(test_too_many),
		TEST(test_drop_and_close),
		TEST(test_still),
		TEST(test_cut),
	};

	contract = c;
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests_name(c->backend->name, tests, NULL, NULL);
}
