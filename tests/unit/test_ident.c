/* SPDX-License-Identifier: MIT */
/* Tests of state/ident: every method as the reference derives it, tokens, what
 * is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypt.h"
#include "base/mem.h"
#include "state/ident.h"
#include "state/roster.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define KEY "0123456789abcdefghijklmnopqrstuv"
#define NOW 1000

static char folder[] = "/tmp/test_ident.XXXXXX";
static struct json_doc *event_doc, *locked_doc;

static char *
path_of(const char *name)
{
	return mem_printf("%s/%s", folder, name);
}

static char *
write_file(const char *name, struct str text)
{
	char *path = path_of(name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0600), 0);
	return path;
}

/* Rules with these methods; a user file that knows ls-anna; a token key. */
static struct ident_rules *
rules_of(bool allow_guest, size_t n, const char **methods)
{
	char *why = NULL;
	struct conf c = { .methods = { (char **)methods, n }, .allow_guest = allow_guest };
	struct ident_rules *r;

	c.user_file = write_file("users", STR_LIT("\xef\xbb\xbf# known\r\nls-anna\r\n\r\nls-b b\n"));
	c.token_key_file = write_file("key", STR_LIT(KEY "\n"));
	r = ident_rules_new(&c, &why);
	if (r == NULL)
		fail_msg("%s", why);
	mem_free(c.user_file);
	mem_free(c.token_key_file);
	return r;
}
#define RULES(guest, ...) rules_of(guest, COUNT(((const char *[]){ __VA_ARGS__ })), \
	(const char *[]){ __VA_ARGS__ })

static struct json
parse(struct json_doc *doc, const char *text)
{
	struct buf b = BUF_INIT(0);
	struct json root = { .doc = NULL };

	if (text == NULL)
		return root;
	buf_z(&b, text);
	memset(buf_room(&b, JSON_PADDING), 0, JSON_PADDING);
	if (json_parse(doc, buf_view(&b), &root) != ERR_OK)
		fail_msg("test text is no JSON: %s", text);
	buf_free(&b);
	return root;
}

static enum err
find(const struct ident_rules *r, const char *locked, const char *event, struct ident *out)
{
	struct ident_claim c = {
		.locked = parse(locked_doc, locked),
		.event = parse(event_doc, event),
		.now_us = NOW * (int64_t)1000000,
		.guest_ok = true,
	};

	*out = (struct ident){ 0 };
	return ident_find(r, &c, out);
}

static void
expect(const struct ident_rules *r, const char *locked, const char *event, const char *user_id,
    const char *safe, const char *providence, enum sec sec)
{
	struct ident i;

	assert_int_equal(find(r, locked, event, &i), ERR_OK);
	assert_string_equal(i.user_id, user_id);
	assert_string_equal(i.safe_user_id, safe);
	assert_string_equal(i.providence, providence);
	assert_int_equal(i.sec, sec);
	ident_free(&i);
}

static void
expect_err(const struct ident_rules *r, const char *locked, const char *event, enum err want)
{
	struct ident i;
	enum err e = find(r, locked, event, &i);

	if (e != want)
		fail_msg("%s over %s: %s, not %s", locked ? locked : "-", event ? event : "-",
		    err_code(e), err_code(want));
	assert_null(i.user_id);
}

static void
test_safe_id(void **state)
{
	static const struct { const char *in, *out; } cases[] = {
		{ "u1", "tc-u1" },
		{ "az.AZ_09-~@", "tc-az.AZ_09-~@" },
		{ "#user=zihan", "tc-%23user%3Dzihan" },
		{ "a b+c", "tc-a+b%2Bc" },
		{ "\xc3\xa9,:/%", "tc-%C3%A9%2C%3A%2F%25" },
		{ "", "tc-" },
	};
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *safe = ident_safe_id("tc", str_of(cases[i].in));

		assert_string_equal(safe, cases[i].out);
		mem_free(safe);
	}
}

static void
test_testcase(void **state)
{
	struct ident_rules *r = RULES(false, "testcase_auth");
	(void)state;

	expect(r, NULL, "{\"user_id\":\"u1\"}", "testcase-u1", "tc-testcase-u1", "tc",
	    SEC_UNAUTHENTICATED);
	expect(r, "{\"user_id\":\"u1\"}", NULL, "testcase-u1", "tc-testcase-u1", "tc",
	    SEC_UNAUTHENTICATED);
	/* The locked field lies over the event's own, also when it is null. */
	expect(r, "{\"user_id\":\"a\"}", "{\"user_id\":\"b\"}", "testcase-a", "tc-testcase-a", "tc",
	    SEC_UNAUTHENTICATED);
	expect_err(r, "{\"user_id\":null}", "{\"user_id\":\"b\"}", ERR_NOT_FOUND);
	expect(r, NULL, "{\"user_id\":\"D,STUDENT:v/../\\u0007\"}", "testcase-D,STUDENT:v/../\x07",
	    "tc-testcase-D%2CSTUDENT%3Av%2F..%2F%07", "tc", SEC_UNAUTHENTICATED);
	expect_err(r, NULL, "{}", ERR_NOT_FOUND);
	expect_err(r, NULL, NULL, ERR_NOT_FOUND);
	expect_err(r, NULL, "{\"user_tag\":\"anna\"}", ERR_NOT_FOUND);
	expect_err(r, NULL, "{\"user_id\":5}", ERR_BAD_IDENTITY);
	expect_err(r, NULL, "{\"user_id\":\"\"}", ERR_BAD_IDENTITY);
	expect_err(r, NULL, "{\"user_id\":\"a\\u0000b\"}", ERR_BAD_IDENTITY);
	ident_rules_free(r);
}

static void
test_id_length(void **state)
{
	struct ident_rules *r = RULES(false, "testcase_auth");
	char text[2000];
	struct ident i;
	(void)state;

	/* "testcase-" and "tc-" stand before it. */
	snprintf(text, sizeof text, "{\"user_id\":\"%0*d\"}", IDENT_ID_MAX - 12, 0);
	assert_int_equal(find(r, NULL, text, &i), ERR_OK);
	assert_int_equal(strlen(i.safe_user_id), IDENT_ID_MAX);
	ident_free(&i);
	snprintf(text, sizeof text, "{\"user_id\":\"%0*d\"}", IDENT_ID_MAX - 11, 0);
	expect_err(r, NULL, text, ERR_BAD_IDENTITY);
	/* The encoding makes it longer. */
	snprintf(text, sizeof text, "{\"user_id\":\"%0300d\"}", 0);
	for (char *p = text; (p = strchr(p, '0')) != NULL;)
		*p = '/';
	expect_err(r, NULL, text, ERR_BAD_IDENTITY);
	ident_rules_free(r);
}

static void
test_local_storage(void **state)
{
	struct ident_rules *strict = RULES(false, "local_storage");
	struct ident_rules *open = RULES(true, "local_storage");
	(void)state;

	expect(strict, NULL, "{\"user_tag\":\"anna\"}", "ls-anna", "ls-ls-anna", "ls",
	    SEC_AUTHENTICATED);
	expect(strict, NULL, "{\"user_tag\":\"b b\"}", "ls-b b", "ls-ls-b+b", "ls",
	    SEC_AUTHENTICATED);
	expect_err(strict, NULL, "{\"user_tag\":\"eve\"}", ERR_BAD_IDENTITY);
	expect_err(strict, NULL, "{\"user_tag\":\"\"}", ERR_BAD_IDENTITY);
	expect_err(strict, NULL, "{\"user_id\":\"anna\"}", ERR_NOT_FOUND);
	expect(open, NULL, "{\"user_tag\":\"anna\"}", "ls-anna", "ls-ls-anna", "ls",
	    SEC_AUTHENTICATED);
	expect(open, NULL, "{\"user_tag\":\"eve\"}", "ls-eve", "ls-ls-eve", "ls",
	    SEC_UNAUTHENTICATED);
	ident_rules_free(strict);
	ident_rules_free(open);
}

static void
test_chromebook(void **state)
{
	struct ident_rules *r = RULES(false, "chromebook");
	(void)state;

	expect(r, NULL, "{\"chrome_identity\":{\"email\":\"a@b.edu\",\"id\":\"117200000000000000000\"}}",
	    "gc-117200000000000000000", "gc-117200000000000000000", "gcu", SEC_UNAUTHENTICATED);
	expect(r, "{\"user_tag\":\"anna\"}", "{\"chrome_identity\":{\"id\":\"12\"}}", "gc-12", "gc-12",
	    "gcu", SEC_AUTHENTICATED);
	expect(r, "{\"user_tag\":\"eve\"}", "{\"chrome_identity\":{\"id\":\"12\"}}", "gc-12", "gc-12",
	    "gcu", SEC_UNAUTHENTICATED);
	expect_err(r, NULL, "{\"chrome_identity\":{\"email\":\"a@b.edu\",\"id\":null}}", ERR_NOT_FOUND);
	expect_err(r, NULL, "{\"chrome_identity\":{\"email\":\"a@b.edu\"}}", ERR_NOT_FOUND);
	expect_err(r, NULL, "{\"chrome_identity\":\"12\"}", ERR_NOT_FOUND);
	expect_err(r, NULL, "{\"chrome_identity\":{\"id\":\"\"}}", ERR_BAD_IDENTITY);
	expect_err(r, NULL, "{\"chrome_identity\":{\"id\":\"12a\"}}", ERR_BAD_IDENTITY);
	expect_err(r, NULL, "{\"chrome_identity\":{\"id\":\"-1\"}}", ERR_BAD_IDENTITY);
	expect_err(r, NULL, "{\"chrome_identity\":{\"id\":12}}", ERR_BAD_IDENTITY);
	ident_rules_free(r);
}

static void
test_hash(void **state)
{
	struct ident_rules *r = RULES(false, "hash_identify");
	(void)state;

	expect(r, NULL, "{\"hash\":\"#user=zihan\"}", "hi-#user=zihan", "mch-hi-%23user%3Dzihan",
	    "mch", SEC_UNAUTHENTICATED);
	expect_err(r, NULL, "{\"hash\":\"\"}", ERR_NOT_FOUND);
	expect_err(r, NULL, "{\"hash\":[]}", ERR_BAD_IDENTITY);
	ident_rules_free(r);
}

static void
test_guest(void **state)
{
	static const char id[] = "00112233445566778899aabbccddeeff";
	struct ident_rules *r = RULES(false, "guest");
	struct ident_claim c = { .guest_id = STR_LIT(id) };
	struct ident i, j;
	(void)state;

	assert_int_equal(ident_find(r, &c, &i), ERR_NOT_FOUND);
	c.guest_ok = true;
	assert_int_equal(ident_find(r, &c, &i), ERR_OK);
	assert_string_equal(i.user_id, id);
	assert_string_equal(i.safe_user_id, "guest-00112233445566778899aabbccddeeff");
	assert_int_equal(i.sec, SEC_NONE);
	ident_free(&i);
	expect(r, NULL, "{\"guest_id\":\"ffeeddccbbaa99887766554433221100\"}",
	    "ffeeddccbbaa99887766554433221100", "guest-ffeeddccbbaa99887766554433221100", "guest",
	    SEC_NONE);
	/* What is not one of our ids is no id: two strangers get two new ones. */
	assert_int_equal(find(r, NULL, "{\"guest_id\":\"admin\"}", &i), ERR_OK);
	assert_int_equal(find(r, NULL, "{\"guest_id\":\"admin\"}", &j), ERR_OK);
	assert_int_equal(strlen(i.user_id), 32);
	assert_string_not_equal(i.user_id, j.user_id);
	ident_free(&i);
	ident_free(&j);
	ident_rules_free(r);
}

static void
test_order(void **state)
{
	struct ident_rules *r = RULES(true, "hash_identify", "testcase_auth", "guest");
	struct ident i;
	(void)state;

	expect(r, NULL, "{\"hash\":\"h\",\"user_id\":\"u\"}", "hi-h", "mch-hi-h", "mch",
	    SEC_UNAUTHENTICATED);
	expect(r, NULL, "{\"user_id\":\"u\"}", "testcase-u", "tc-testcase-u", "tc",
	    SEC_UNAUTHENTICATED);
	assert_int_equal(find(r, NULL, "{}", &i), ERR_OK);
	assert_int_equal(i.sec, SEC_NONE);
	ident_free(&i);
	ident_rules_free(r);
}

/* ---- tokens ---- */

static char *
mint(const char *id, int64_t expires)
{
	return ident_token_mint(str_of(KEY), str_of(id), expires);
}

static enum err
check(const char *token, int64_t now)
{
	char *id = NULL;
	enum err e = ident_token_check(str_of(KEY), str_of(token), now, &id);

	assert_true((e == ERR_OK) == (id != NULL));
	mem_free(id);
	return e;
}

static void
test_token(void **state)
{
	char *token = mint("gc-\xc3\xa9\"<1>", 2000), *id = NULL;
	(void)state;

	assert_memory_equal(token, "lt1.", 4);
	assert_int_equal(ident_token_check(str_of(KEY), str_of(token), NOW, &id), ERR_OK);
	assert_string_equal(id, "gc-\xc3\xa9\"<1>");
	assert_int_equal(check(token, 1999), ERR_OK);
	assert_int_equal(check(token, 2000), ERR_TOKEN_EXPIRED);
	mem_free(id);
	id = NULL;
	assert_int_equal(ident_token_check(STR_LIT("another key of 32 bytes and more"),
	    str_of(token), NOW, &id), ERR_BAD_TOKEN);
	assert_null(id);
	mem_free(token);
}

static void
test_token_ids(void **state)
{
	char *longest = mem_alloc(IDENT_ID_MAX + 2), *token;
	(void)state;

	memset(longest, 'a', IDENT_ID_MAX + 1);
	longest[IDENT_ID_MAX + 1] = '\0';
	assert_null(mint("", 1));
	assert_null(mint("unverified-x", 1));
	assert_null(mint("a\nb", 1));
	assert_null(mint("a\xff", 1));
	assert_null(mint("a\xc2\x85", 1));
	assert_null(mint(longest, 1));
	longest[IDENT_ID_MAX] = '\0';
	token = mint(longest, 2000);
	assert_int_equal(check(token, NOW), ERR_OK);
	mem_free(token);
	mem_free(longest);
}

/* Every single changed, missing or added byte makes it another text. */
static void
test_token_bytes(void **state)
{
	char *token = mint("gc-1", 2000);
	size_t n = strlen(token);
	(void)state;

	for (size_t i = 0; i < n; i++) {
		char *other = mem_strdup(token);

		for (int bit = 0; bit < 8; bit++) {
			other[i] = (char)(token[i] ^ 1 << bit);
			if (other[i] != '\0')
				assert_int_equal(check(other, NOW), ERR_BAD_TOKEN);
		}
		mem_free(other);
	}
	for (size_t i = 0; i < n; i++) {
		char *id = NULL;

		assert_int_equal(ident_token_check(str_of(KEY), (struct str){ token, i }, NOW, &id),
		    ERR_BAD_TOKEN);
	}
	for (const char *tail = "=.A \n"; *tail != '\0'; tail++) {
		char *other = mem_printf("%s%c", token, *tail);

		assert_int_equal(check(other, NOW), ERR_BAD_TOKEN);
		mem_free(other);
	}
	mem_free(token);
}

/* Claims of any shape under a good signature. */
static enum err
check_claims(const char *claims)
{
	struct buf token = BUF_INIT(0);
	uint8_t mac[CRYPT_SHA256];
	char *id = NULL;
	enum err e;

	buf_z(&token, "lt1.");
	crypt_base64url(&token, claims, strlen(claims));
	crypt_hmac_sha256(str_of(KEY), buf_view(&token), mac);
	buf_byte(&token, '.');
	crypt_base64url(&token, mac, sizeof mac);
	e = ident_token_check(str_of(KEY), buf_view(&token), NOW, &id);
	mem_free(id);
	buf_free(&token);
	return e;
}

static void
test_token_claims(void **state)
{
	static const struct { const char *claims; enum err want; } cases[] = {
		{ "{\"sub\":\"a\",\"exp\":1001}", ERR_OK },
		{ "{\"exp\":1001, \"sub\":\"a\", \"iss\":\"lms\"}", ERR_OK },
		{ "{\"sub\":\"a\",\"exp\":-1}", ERR_TOKEN_EXPIRED },
		{ "{\"sub\":\"a\"}", ERR_BAD_TOKEN },
		{ "{\"exp\":1001}", ERR_BAD_TOKEN },
		{ "{\"sub\":5,\"exp\":1001}", ERR_BAD_TOKEN },
		{ "{\"sub\":\"a\",\"exp\":\"1001\"}", ERR_BAD_TOKEN },
		{ "{\"sub\":\"a\",\"exp\":1001.5}", ERR_BAD_TOKEN },
		{ "{\"sub\":\"unverified-a\",\"exp\":1001}", ERR_BAD_TOKEN },
		{ "{\"sub\":\"a\\u0000\",\"exp\":1001}", ERR_BAD_TOKEN },
		{ "[\"a\",1001]", ERR_BAD_TOKEN },
		{ "", ERR_BAD_TOKEN },
		{ "{", ERR_BAD_TOKEN },
	};
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++)
		if (check_claims(cases[i].claims) != cases[i].want)
			fail_msg("%s", cases[i].claims);
}

static void
test_token_method(void **state)
{
	struct ident_rules *r = RULES(true, "testcase_auth", "local_storage", "guest", "token");
	char *token = mint("gc-1", 2000), *late = mint("gc-1", NOW);
	char *both = mem_printf("{\"token\":\"%s\",\"user_id\":\"u\"}", token);
	char *expired = mem_printf("{\"token\":\"%s\",\"user_id\":\"u\"}", late);
	(void)state;

	/* It decides wherever it stands in the list, also when it is wrong. */
	expect(r, NULL, both, "gc-1", "gc-1", "token", SEC_AUTHENTICATED);
	expect_err(r, NULL, expired, ERR_TOKEN_EXPIRED);
	expect_err(r, NULL, "{\"token\":\"lt1.x\",\"user_id\":\"u\"}", ERR_BAD_TOKEN);
	expect_err(r, NULL, "{\"token\":7,\"user_id\":\"u\"}", ERR_BAD_TOKEN);
	/* All others are set apart, even those of the user file. */
	expect(r, NULL, "{\"token\":null,\"user_id\":\"u\"}", "testcase-u",
	    "unverified-tc-testcase-u", "tc", SEC_UNAUTHENTICATED);
	expect(r, NULL, "{\"user_tag\":\"anna\"}", "ls-anna", "unverified-ls-ls-anna", "ls",
	    SEC_AUTHENTICATED);
	mem_free(token);
	mem_free(late);
	mem_free(both);
	mem_free(expired);
	ident_rules_free(r);
}

/* What the roster knows students by, shown in every way, and the id that comes of it. */
static void
test_roster(void **state)
{
	static const struct { const char *method, *event, *id; bool marked; } cases[] = {
		{ "chromebook", "{\"chrome_identity\":{\"id\":\"117\"}}", "s1", true },
		{ "chromebook", "{\"chrome_identity\":{\"id\":\"9\",\"email\":\"Anna@Mail.test\"}}", "s1",
		    true },
		{ "chromebook", "{\"chrome_identity\":{\"id\":\"117\",\"email\":\"bo@mail.test\"}}", "s1",
		    true },
		{ "chromebook", "{\"chrome_identity\":{\"id\":\"9\",\"email\":\"no@mail.test\"}}", "gc-9",
		    true },
		{ "local_storage", "{\"user_tag\":\"anna\"}", "s1", true },
		{ "testcase_auth", "{\"user_id\":\"s1\"}", "tc-testcase-s1", true },
		{ "testcase_auth", "{\"user_id\":\"anna@mail.test\"}", "tc-testcase-anna@mail.test", true },
		{ "hash_identify", "{\"hash\":\"s1\"}", "mch-hi-s1", true },
	};
	const struct str anna[] = { STR_LIT("gc-117"), STR_LIT("ls-anna") };
	struct roster *roster = roster_new(STR_LIT(KEY));
	const char *why;
	(void)state;

	assert_int_equal(roster_add(roster, &(struct roster_row){ .role = ROSTER_STUDENT,
	    .class = STR_LIT("7b"), .id = STR_LIT("s1"), .email = STR_LIT("anna@mail.test"),
	    .jid = STR_LIT("anna@school.test"), .aliases = anna, .n_aliases = 2 }, &why), ERR_OK);
	assert_int_equal(roster_add(roster, &(struct roster_row){ .role = ROSTER_STUDENT,
	    .class = STR_LIT("7b"), .id = STR_LIT("s2"), .email = STR_LIT("bo@mail.test") }, &why),
	    ERR_OK);
	assert_int_equal(roster_seal(roster, &why), ERR_OK);
	for (size_t i = 0; i < 2 * COUNT(cases); i++) {
		bool token = i % 2 == 1;
		struct ident_rules *r = token ? RULES(true, "token", cases[i / 2].method) :
		    RULES(true, cases[i / 2].method);
		char *want = mem_printf("%s%s", token ? "unverified-" : "", cases[i / 2].id);
		struct ident_claim c = { .event = parse(event_doc, cases[i / 2].event),
			.roster = roster };
		struct ident id = { 0 };

		assert_int_equal(ident_find(r, &c, &id), ERR_OK);
		assert_string_equal(id.safe_user_id, want);
		assert_true(ident_still_fits(r, roster, &id));
		assert_int_equal(ident_still_fits(r, NULL, &id), strcmp(id.shown, want) == 0);
		ident_free(&id);
		mem_free(want);
		ident_rules_free(r);
	}
	roster_free(roster);
}

/* A token for any of a student's names is the same student's. */
static void
test_roster_token(void **state)
{
	const struct str lms[] = { STR_LIT("lms-9") };
	struct ident_rules *r = RULES(false, "token");
	struct roster *roster = roster_new(STR_LIT(KEY));
	char *token = mint("lms-9", 2000), *text = mem_printf("{\"token\":\"%s\"}", token);
	struct ident_claim c = { .event = parse(event_doc, text), .now_us = NOW * (int64_t)1000000,
		.roster = roster };
	struct ident id = { 0 };
	const char *why;
	(void)state;

	assert_int_equal(roster_add(roster, &(struct roster_row){ .role = ROSTER_STUDENT,
	    .class = STR_LIT("7b"), .id = STR_LIT("s1"), .aliases = lms, .n_aliases = 1 }, &why), ERR_OK);
	assert_int_equal(roster_seal(roster, &why), ERR_OK);
	assert_int_equal(ident_find(r, &c, &id), ERR_OK);
	assert_string_equal(id.safe_user_id, "s1");
	assert_string_equal(id.shown, "lms-9");
	assert_int_equal(ident_recheck(r, &c, "s1"), ERR_OK);
	assert_int_equal(ident_recheck(r, &c, "lms-9"), ERR_IDENTITY_CHANGED);
	ident_free(&id);
	roster_free(roster);
	ident_rules_free(r);
	mem_free(token);
	mem_free(text);
}

static void
test_recheck(void **state)
{
	struct ident_rules *r = RULES(true, "token", "testcase_auth");
	struct ident_rules *off = RULES(true, "testcase_auth");
	char *token = mint("gc-1", 2000), *old = mint("gc-2", NOW);
	char *text = mem_printf("{\"token\":\"%s\"}", token);
	char *late = mem_printf("{\"token\":\"%s\"}", old);
	struct ident_claim c = { .event = parse(event_doc, text), .now_us = NOW * (int64_t)1000000 };
	(void)state;

	assert_int_equal(ident_recheck(r, &c, "gc-1"), ERR_OK);
	assert_int_equal(ident_recheck(r, &c, "gc-2"), ERR_IDENTITY_CHANGED);
	assert_int_equal(ident_recheck(r, &c, "unverified-gc-1"), ERR_IDENTITY_CHANGED);
	assert_int_equal(ident_recheck(off, &c, "gc-2"), ERR_OK);
	c.event = parse(event_doc, late);
	assert_int_equal(ident_recheck(r, &c, "gc-1"), ERR_OK);
	c.event = parse(event_doc, "{\"user_id\":\"somebody\"}");
	assert_int_equal(ident_recheck(r, &c, "gc-1"), ERR_OK);
	mem_free(token);
	mem_free(old);
	mem_free(text);
	mem_free(late);
	ident_rules_free(r);
	ident_rules_free(off);
}

/* ---- rules ---- */

static void
refuse_rules(struct conf *c, const char *expected)
{
	char *why = NULL;

	assert_null(ident_rules_new(c, &why));
	if (why == NULL || strstr(why, expected) == NULL)
		fail_msg("said: %s", why ? why : "nothing");
	mem_free(why);
}

static void
test_rules(void **state)
{
	const char *methods[] = { "token" }, *unknown[] = { "lti_session" };
	struct conf c = { .methods = { (char **)unknown, 1 } };
	char *bad = write_file("bad", STR_LIT("ls-a\nls-\xff\n"));
	char *longer = NULL;
	(void)state;

	refuse_rules(&c, "\"lti_session\" is not known, expected some of token, testcase_auth");
	c.methods.v = (char **)methods;
	refuse_rules(&c, "token_key_file");
	c.token_key_file = write_file("short", STR_LIT("short\n"));
	refuse_rules(&c, "32");
	c.methods.n = 0;
	c.user_file = bad;
	refuse_rules(&c, "bad:2: ");
	c.user_file = folder;
	refuse_rules(&c, "not a regular file");
	c.user_file = (char *)"/nonexistent";
	refuse_rules(&c, "/nonexistent: cannot be opened");
	longer = mem_zalloc(IDENT_ID_MAX + 2);
	memset(longer, 'a', IDENT_ID_MAX + 1);
	c.user_file = write_file("long", str_of(longer));
	refuse_rules(&c, "long:1: ");
	mem_free(c.user_file);
	mem_free(c.token_key_file);
	mem_free(longer);
	mem_free(bad);
}

static void
test_names(void **state)
{
	enum sec s;
	(void)state;

	for (size_t i = 0; i < SEC_COUNT; i++) {
		assert_true(sec_by_name(str_of(sec_name((enum sec)i)), &s));
		assert_int_equal(s, i);
	}
	assert_false(sec_by_name(STR_LIT("unauthorized"), &s));
}

/* RFC 4231 §4.3 key and text, in base32 (RFC 4648): computed with Python. */
static void
test_pseudonym(void **state)
{
	char p[PSEUDONYM_LEN + 1], q[PSEUDONYM_LEN + 1];
	(void)state;

	ident_pseudonym(STR_LIT("Jefe"), STR_LIT("what do ya want for nothing?"), p);
	assert_string_equal(p, "lpomcrv7mb2u42qeeqtarflvy5");
	ident_pseudonym(STR_LIT("Jefe"), STR_LIT("what do ya want for nothing!"), q);
	assert_string_not_equal(p, q);
}

static int
setup(void **state)
{
	(void)state;
	event_doc = json_doc_new();
	locked_doc = json_doc_new();
	return mkdtemp(folder) == NULL;
}

static int
teardown(void **state)
{
	static const char *const files[] = { "users", "key", "bad", "short", "long" };
	(void)state;

	for (size_t i = 0; i < COUNT(files); i++) {
		char *path = path_of(files[i]);

		unlink(path);
		mem_free(path);
	}
	json_doc_free(event_doc);
	json_doc_free(locked_doc);
	return rmdir(folder);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_safe_id),
		cmocka_unit_test(test_testcase),
		cmocka_unit_test(test_id_length),
		cmocka_unit_test(test_local_storage),
		cmocka_unit_test(test_chromebook),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_guest),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_token_ids),
		cmocka_unit_test(test_token_bytes),
		cmocka_unit_test(test_token_claims),
		cmocka_unit_test(test_token_method),
		cmocka_unit_test(test_recheck),
		cmocka_unit_test(test_roster),
		cmocka_unit_test(test_roster_token),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_pseudonym),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
