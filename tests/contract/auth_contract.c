/* SPDX-License-Identifier: MIT */
/* The contract of auth backends, as tests. */
#include "tests/contract/auth_contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "tests/contract/auth_fault.h"

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
	unsigned before;

	(void)state;
	auth_drop(auth_check(auth, STR_LIT(CONTRACT_ANN), STR_LIT("a"), answer_cb, &dropped));
	auth_check(auth, STR_LIT(CONTRACT_ANN), STR_LIT(CONTRACT_ANN_PASSWORD), answer_cb, &closes);
	auth_check(auth, STR_LIT(CONTRACT_ANN), STR_LIT("b"), answer_cb, &closed);
	loop_run(loop);
	assert_int_equal(closes.calls, 1);
	assert_int_equal(closes.verdict, AUTH_YES);
	assert_int_equal(dropped.calls, 0);
	auth = contract_open();
	before = closed.calls; /* who asked later may have been answered before */
	auth_check(auth, STR_LIT(CONTRACT_ANN), STR_LIT("c"), answer_cb, &closed);
	contract_reopen(); /* while it computes, or is asked */
	assert_verdict(CONTRACT_ANN, CONTRACT_ANN_PASSWORD, AUTH_YES);
	assert_int_equal(closed.calls, before);
	assert_int_equal(dropped.calls, 0);
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

/* ---- answers that fail and never come ---- */

#define FAULT_QUESTIONS 120

/* ann's, bea's and nobody's password, for ann and for bea. */
static const struct fault_question {
	const char *user, *password;
	enum auth_verdict want;
} fault_questions[] = {
	{ CONTRACT_ANN, CONTRACT_ANN_PASSWORD, AUTH_YES },
	{ CONTRACT_BEA, CONTRACT_ANN_PASSWORD, AUTH_NO },
	{ CONTRACT_ANN, "wrong", AUTH_NO },
	{ CONTRACT_BEA, CONTRACT_BEA_PASSWORD, AUTH_YES },
	{ CONTRACT_ANN, CONTRACT_BEA_PASSWORD, AUTH_NO },
	{ CONTRACT_BEA, "wrong", AUTH_NO },
};
#define FAULT_KINDS (sizeof fault_questions / sizeof *fault_questions)

static void
fault_turn_cb(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static size_t
fault_count(const struct answer *a, enum auth_verdict v)
{
	size_t n = 0;

	for (size_t i = 0; i < FAULT_QUESTIONS; i++)
		n += a[i].calls > 0 && a[i].verdict == v;
	return n;
}

/* Asks all of them at once, and drops those whose answers never come. */
static void
fault_ask_all(struct answer *a)
{
	struct loop_timer *t = loop_timer_new(loop, fault_turn_cb, NULL);
	struct auth_ask *asks[FAULT_QUESTIONS];
	size_t answered = 0;

	loop_timer_every(t, 5);
	for (size_t i = 0; i < FAULT_QUESTIONS; i++) {
		const struct fault_question *q = &fault_questions[i % FAULT_KINDS];

		asks[i] = auth_check(auth, str_of(q->user), str_of(q->password), answer_cb, &a[i]);
	}
	while (answered + auth_fault_now.n_cut < FAULT_QUESTIONS) {
		loop_run(loop);
		answered = 0;
		for (size_t i = 0; i < FAULT_QUESTIONS; i++)
			answered += a[i].calls > 0;
	}
	for (size_t i = 0; i < FAULT_QUESTIONS; i++)
		if (a[i].calls == 0)
			auth_drop(asks[i]);
	loop_timer_free(t);
}

/* Nobody gets another's answer, whatever comes late, twice, as a failure or never. */
static void
test_faults(void **state)
{
	struct answer a[FAULT_QUESTIONS] = { { 0 } }, of_ann, of_bea;

	(void)state;
	auth_fault_now = (struct auth_fault){ .seed = 7 };
	of_ann = assert_verdict(CONTRACT_ANN, CONTRACT_ANN_PASSWORD, AUTH_YES);
	of_bea = assert_verdict(CONTRACT_BEA, CONTRACT_BEA_PASSWORD, AUTH_YES);
	auth_fault_now = (struct auth_fault){ .late_ms = 30, .twice = 30, .fail = 15, .cut = 10, .seed = 7 };
	fault_ask_all(a);
	for (size_t i = 0; i < FAULT_QUESTIONS; i++) {
		const struct fault_question *q = &fault_questions[i % FAULT_KINDS];
		const struct answer *own = strcmp(q->user, CONTRACT_ANN) == 0 ? &of_ann : &of_bea;

		assert_in_range(a[i].calls, 0, 1);
		if (a[i].calls == 0 || a[i].verdict == AUTH_CANNOT_SAY)
			continue;
		assert_int_equal(a[i].verdict, q->want);
		if (q->want == AUTH_YES)
			assert_memory_equal(a[i].proof.mark, own->proof.mark, sizeof own->proof.mark);
	}
	assert_true(fault_count(a, AUTH_YES) > 0);
	assert_true(fault_count(a, AUTH_NO) > 0);
	assert_true(fault_count(a, AUTH_CANNOT_SAY) > 0);
	assert_true(auth_fault_now.n_cut > 0);
	auth_fault_now = (struct auth_fault){ .seed = 7 };
	assert_verdict(CONTRACT_ANN, CONTRACT_ANN_PASSWORD, AUTH_YES);
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
	const struct CMUnitTest faults[] = { TEST(test_faults) };
	struct auth_contract late = *c;
	char name[64];
	int failed;

	log_set_level(LOG_ERROR);
	contract = c;
	failed = cmocka_run_group_tests_name(c->backend->name, tests, NULL, NULL);
	contract = &late;
	late.backend = auth_fault_before(c->backend);
	auth_fault_now = (struct auth_fault){ .late_ms = 30, .twice = 30, .seed = 1 };
	snprintf(name, sizeof name, "%s, late and twice", c->backend->name);
	failed += cmocka_run_group_tests_name(name, tests, NULL, NULL);
	snprintf(name, sizeof name, "%s, with faults", c->backend->name);
	return failed + cmocka_run_group_tests_name(name, faults, NULL, NULL);
}
