/* SPDX-License-Identifier: MIT */
/* Tests of state/auth: the backend "file" against the contract, what is its own,
 * and the facade over backends that delay, fail and answer late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/password.h"
#include "tests/contract/auth_contract.h"

#define HASH_PLUM "$2y$05$abcdefghijklmnopqrstuuYOJfBJfieBN9mIpgP8D54IozzFukrZO"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static char folder[] = "/tmp/lectern-auth-XXXXXX";
static char file[64], beside[64];

static void
put(const char *text)
{
	FILE *f = fopen(file, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fchmod(fileno(f), 0600), 0);
	assert_int_equal(fclose(f), 0);
}

static void
put_users(const char *ann)
{
	char *bea_hash = password_hash(CONTRACT_BEA_PASSWORD);
	char *ann_hash = ann != NULL ? password_hash(ann) : NULL;
	char *text = mem_printf("# users\n%s%s\n\n%s:%s\n", ann ? "ann:" : "", ann ? ann_hash : "",
	    CONTRACT_BEA, bea_hash);

	put(text);
	mem_free(text);
	mem_free(ann_hash);
	mem_free(bea_hash);
}

static void
place(struct conf *c)
{
	c->auth_file = file;
	put_users(CONTRACT_ANN_PASSWORD);
}

static void
drop(struct conf *c)
{
	(void)c;
	unlink(file);
}

static void
change(struct conf *c, const char *password)
{
	(void)c;
	put_users(password);
}

static const struct auth_contract contract = { &auth_file, place, drop, change, NULL };

/* ---- the file's own ---- */

static struct conf conf = { .auth_domain = (char *)"school.test", .auth_file = file };

static struct auth *
open_file(struct loop *l, char **why)
{
	static const struct auth_backend *const backend = &auth_file;
	const struct auth_options o = { .loop = l, .conf = &conf };

	return auth_new(&backend, 1, &o, why);
}

static void
refused(const char *want)
{
	struct loop *l = loop_new();
	char *why = NULL;

	assert_null(open_file(l, &why));
	if (strstr(why, want) == NULL)
		fail_msg("%s, not %s", why, want);
	assert_non_null(strstr(why, file));
	mem_free(why);
	loop_free(l);
}

static void
test_bad_lines(void **state)
{
	(void)state;
	put("ann:" HASH_PLUM "\nnonsense\n");
	refused(":2: not name:hash");
	put("ann:$1$abc$1234567890123456789012\n");
	refused(":1: the hash is of an unknown kind, expected $2y$");
	put("ann:plaintext\n");
	refused("unknown kind");
	put("ann:$2y$05$short\n");
	refused("damaged");
	put("ann:$2y$31$abcdefghijklmnopqrstuuv7cPq6oTKuvm7q5v5qaSBSdY0T6hD0a\n");
	refused("more time");
	put("ann:$6$rounds=900000000$abc$abc\n");
	refused("more time");
	put("a b:" HASH_PLUM "\n");
	refused(":1: the name is no JID");
	put("ann:" HASH_PLUM "\n\nAnn@School.test:" HASH_PLUM "\n");
	refused(":3: this user stands further up");
	unlink(file);
	refused("cannot be opened");
}

/* What nobody else may read, and no other file by way of a link. */
static void
test_place(void **state)
{
	(void)state;
	put("ann:" HASH_PLUM "\n");
	assert_int_equal(chmod(file, 0644), 0);
	refused("open to others");
	assert_int_equal(rename(file, beside), 0);
	assert_int_equal(chmod(beside, 0600), 0);
	assert_int_equal(symlink(beside, file), 0);
	refused("symbolic link");
	unlink(file);
	assert_int_equal(mkfifo(file, 0600), 0);
	refused("regular file");
	unlink(file);
	unlink(beside);
}

/* ---- hashes as other programs write them ---- */

static void
test_hashes(void **state)
{
	static const char *const hashes[] = {
		HASH_PLUM, /* htpasswd -B */
		"$2b$04$1yLTYoQoxClsCqED.rj8R.hLm0Bk168PobR9XVdICjP49Pjf3SPye",
		"$6$rounds=1000$saltstring$qPEgKJE7jJZKeUatZOTBcvK4EhrNkLz5hj97HxLYJi9soYM/"
		"xkoUIATlrP9j15EpZsXOEEK3LxWV8XbHhwond1",
		"$5$saltstring$LEuwoES028BanKVqu/jF7yzqEvKFBGxQh9KZGjE81D5",
	};
	char *fresh = password_hash("plum");

	(void)state;
	assert_non_null(fresh);
	assert_memory_equal(fresh, "$y$", 3);
	assert_true(password_matches(fresh, "plum"));
	assert_false(password_matches(fresh, "plums"));
	assert_false(password_matches(fresh, ""));
	mem_free(fresh);
	assert_null(password_hash(""));
	assert_null(password_hash_wrong(password_hash_nobody()));
	assert_false(password_matches(password_hash_nobody(), ""));
	assert_false(password_matches("*0", "*0"));
	for (size_t i = 0; i < COUNT(hashes); i++)
		assert_true(password_matches(hashes[i], "plum"));
}

/* ---- backends that misbehave ---- */

enum fault { FAULT_UNKNOWN, FAULT_FAIL, FAULT_LATE, FAULT_FOREIGN, FAULT_YES };

static enum fault fault;
static struct fault_ask {
	auth_hash_cb *hash;
	auth_word_cb *word;
	void *arg;
} owed;
static unsigned fault_asked;
static struct loop *loop;

static void
fault_answer(struct fault_ask q)
{
	if (q.hash != NULL)
		q.hash(q.arg, fault == FAULT_UNKNOWN ? ERR_NOT_FOUND : fault == FAULT_FAIL ? ERR_IO : ERR_OK,
		    fault == FAULT_FOREIGN ? "$1$old$hash" : password_hash_nobody());
	else if (q.word != NULL)
		q.word(q.arg, fault == FAULT_YES ? ERR_OK : fault == FAULT_FAIL ? ERR_IO : ERR_NOT_FOUND);
}

/* Twice: the second one comes when the next backend is asked. */
static void
fault_answer_cb(void *arg)
{
	struct fault_ask q = owed;

	(void)arg;
	owed = (struct fault_ask){ 0 };
	fault_answer(q);
	fault_answer(q);
}

static void *
fault_open(const struct auth_options *o, char **why)
{
	(void)o;
	(void)why;
	return &owed;
}

static void
fault_find(void *store, struct str user, auth_hash_cb *cb, void *arg)
{
	(void)store;
	(void)user;
	fault_asked++;
	owed = (struct fault_ask){ .hash = cb, .arg = arg };
	if (fault != FAULT_LATE)
		loop_defer(loop, fault_answer_cb, NULL);
}

static void
fault_check(void *store, struct str user, struct str password, auth_word_cb *cb, void *arg)
{
	(void)store;
	(void)user;
	(void)password;
	fault_asked++;
	owed = (struct fault_ask){ .word = cb, .arg = arg };
	if (fault != FAULT_LATE)
		loop_defer(loop, fault_answer_cb, NULL);
}

static void
fault_close(void *store)
{
	(void)store;
	owed = (struct fault_ask){ 0 };
}

static const struct auth_backend fault_finds = { .name = "finds", .open = fault_open,
	.find = fault_find, .close = fault_close };
static const struct auth_backend fault_checks = { .name = "checks", .open = fault_open,
	.check = fault_check, .close = fault_close };

static enum auth_verdict verdict;
static unsigned verdicts;

static void
verdict_cb(void *arg, enum auth_verdict v, const struct auth_proof *proof)
{
	(void)arg;
	(void)proof;
	verdict = v;
	verdicts++;
	loop_stop(loop);
}

/* The misbehaving backend before the file, in which ann is. */
static struct auth *
open_two(const struct auth_backend *first)
{
	const struct auth_backend *both[] = { first, &auth_file };
	const struct auth_options o = { .loop = loop, .conf = &conf };
	char *why = NULL;

	put_users("plum");
	return auth_new(both, 2, &o, &why);
}

static enum auth_verdict
ask_two(struct auth *a, const char *password)
{
	verdicts = 0;
	auth_check(a, STR_LIT(CONTRACT_ANN), str_of(password), verdict_cb, NULL);
	assert_int_equal(verdicts, 0);
	loop_run(loop);
	assert_int_equal(verdicts, 1);
	return verdict;
}

static void
test_faults(void **state)
{
	static const struct auth_backend *const kinds[] = { &fault_finds, &fault_checks };

	(void)state;
	loop = loop_new();
	for (size_t i = 0; i < 2; i++) {
		struct auth *a = open_two(kinds[i]);

		fault = FAULT_UNKNOWN; /* then the next one is asked */
		assert_int_equal(ask_two(a, "plum"), AUTH_YES);
		assert_int_equal(ask_two(a, "pear"), AUTH_NO);
		fault = FAULT_FAIL; /* then nobody else's word counts */
		assert_int_equal(ask_two(a, "plum"), AUTH_CANNOT_SAY);
		auth_close(a);
	}
	fault = FAULT_FOREIGN;
	struct auth *a = open_two(&fault_finds);
	assert_int_equal(ask_two(a, "plum"), AUTH_CANNOT_SAY);
	auth_close(a);
	unlink(file);
	loop_free(loop);
}

/* A late answer reaches nobody: not who went away, and not after the end, when another
 * may be asking. */
static void
test_late(void **state)
{
	struct auth *a;
	struct auth_ask *q;
	struct fault_ask late;

	(void)state;
	loop = loop_new();
	fault = FAULT_LATE;
	a = open_two(&fault_finds);
	verdicts = 0;
	q = auth_check(a, STR_LIT(CONTRACT_ANN), STR_LIT("plum"), verdict_cb, NULL);
	assert_non_null(owed.hash);
	auth_drop(q);
	fault_answer_cb(NULL);
	assert_int_equal(verdicts, 0);
	auth_check(a, STR_LIT(CONTRACT_ANN), STR_LIT("plum"), verdict_cb, NULL);
	late = owed;
	auth_close(a);
	assert_null(owed.hash);
	a = open_two(&fault_finds);
	auth_check(a, STR_LIT(CONTRACT_ANN), STR_LIT("plum"), verdict_cb, NULL);
	fault = FAULT_UNKNOWN;
	fault_answer(late);
	auth_close(a);
	loop_free(loop);
	assert_int_equal(verdicts, 0);
	unlink(file);
}

static void
test_names(void **state)
{
	char *why = NULL;

	(void)state;
	assert_ptr_equal(auth_backend("file", &why), &auth_file);
	assert_null(auth_backend("nosuch", &why));
	assert_non_null(strstr(why, "\"nosuch\"; known: file"));
	mem_free(why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_names),
	};
	int failed;

	if (mkdtemp(folder) == NULL)
		return 1;
	snprintf(file, sizeof file, "%s/users", folder);
	snprintf(beside, sizeof beside, "%s/beside", folder);
	failed = auth_contract_run(&contract) + cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(folder);
	return failed;
}
