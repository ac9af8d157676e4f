/* SPDX-License-Identifier: MIT */
/* Tests of base/crypt against published vectors, and of reading secrets. */
#include <fcntl.h>
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

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void
assert_hex(const uint8_t *p, size_t n, const char *want)
{
	struct buf hex = BUF_INIT(0);
	char *text;

	crypt_hex(&hex, p, n);
	text = buf_take(&hex);
	assert_string_equal(text, want);
	mem_free(text);
}

/* FIPS 180-4 examples. */
static void
test_digests(void **state)
{
	const struct str abc = STR_LIT("abc"), abc3[] = { STR_LIT("a"), { 0 }, STR_LIT("bc") };
	uint8_t d[CRYPT_SHA256];

	(void)state;
	crypt_sha256(&abc, 1, d);
	assert_hex(d, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	crypt_sha256(abc3, 3, d);
	assert_hex(d, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	crypt_sha256(NULL, 0, d);
	assert_hex(d, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	crypt_sha1(&abc, 1, d);
	assert_hex(d, 20, "a9993e364706816aba3e25717850c26c9cd0d89d");
	crypt_sha1(abc3, 3, d);
	assert_hex(d, 20, "a9993e364706816aba3e25717850c26c9cd0d89d");
}

/* RFC 4231 §4.2, §4.3, §4.7 (a key longer than the block). */
static void
test_hmac(void **state)
{
	uint8_t d[CRYPT_SHA256];
	char key[131];

	(void)state;
	memset(key, 0x0b, 20);
	crypt_hmac_sha256((struct str){ key, 20 }, STR_LIT("Hi There"), d);
	assert_hex(d, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	crypt_hmac_sha256(STR_LIT("Jefe"), STR_LIT("what do ya want for nothing?"), d);
	assert_hex(d, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof key);
	crypt_hmac_sha256((struct str){ key, sizeof key },
	    STR_LIT("Test Using Larger Than Block-Size Key - Hash Key First"), d);
	assert_hex(d, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* RFC 3720 §B.4, and the usual check value. */
static void
test_crc32c_vectors(void **state)
{
	uint8_t p[32];

	(void)state;
	memset(p, 0, sizeof p);
	assert_int_equal(crypt_crc32c(0, p, 32), 0x8a9136aa);
	assert_int_equal(crypt_crc32c_portable(0, p, 32), 0x8a9136aa);
	memset(p, 0xff, sizeof p);
	assert_int_equal(crypt_crc32c(0, p, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		p[i] = (uint8_t)i;
	assert_int_equal(crypt_crc32c(0, p, 32), 0x46dd794e);
	for (int i = 0; i < 32; i++)
		p[i] = (uint8_t)(31 - i);
	assert_int_equal(crypt_crc32c(0, p, 32), 0x113fdb5c);
	assert_int_equal(crypt_crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crypt_crc32c_portable(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crypt_crc32c(0, NULL, 0), 0);
}

/* Both ways agree at every length and alignment, and in two pieces. */
static void
test_crc32c_ways_agree(void **state)
{
	uint8_t p[100];

	(void)state;
	crypt_random(p, sizeof p);
	for (size_t at = 0; at < 9; at++) {
		for (size_t n = 0; n <= sizeof p - at; n++) {
			uint32_t whole = crypt_crc32c_portable(0, p + at, n);

			assert_int_equal(crypt_crc32c(0, p + at, n), whole);
			assert_int_equal(crypt_crc32c(crypt_crc32c(0, p + at, n / 3),
			    p + at + n / 3, n - n / 3), whole);
			assert_int_equal(crypt_crc32c_portable(crypt_crc32c(0, p + at, n / 2),
			    p + at + n / 2, n - n / 2), whole);
		}
	}
}

/* RFC 4648 §10, in our alphabets and without padding. */
static void
test_encodings(void **state)
{
	static const char *const rows[][4] = {
		{ "", "", "", "" },
		{ "f", "66", "my", "Zg" },
		{ "fo", "666f", "mzxq", "Zm8" },
		{ "foo", "666f6f", "mzxw6", "Zm9v" },
		{ "foob", "666f6f62", "mzxw6yq", "Zm9vYg" },
		{ "fooba", "666f6f6261", "mzxw6ytb", "Zm9vYmE" },
		{ "foobar", "666f6f626172", "mzxw6ytboi", "Zm9vYmFy" },
		{ "\xff\xef\xbe", "ffefbe", "77x34", "_---" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf b = BUF_INIT(0);
		size_t n = strlen(rows[i][0]);

		crypt_hex(&b, rows[i][0], n);
		assert_true(str_is(buf_view(&b), rows[i][1]));
		buf_clear(&b);
		crypt_base32(&b, rows[i][0], n);
		assert_true(str_is(buf_view(&b), rows[i][2]));
		buf_clear(&b);
		crypt_base64url(&b, rows[i][0], n);
		assert_true(str_is(buf_view(&b), rows[i][3]));
		buf_clear(&b);
		assert_int_equal(crypt_base64url_decode(&b, str_of(rows[i][3])), ERR_OK);
		assert_true(str_is(buf_view(&b), rows[i][0]));
		buf_free(&b);
	}
}

static void
test_encodings_respect_the_cap(void **state)
{
	struct buf b = BUF_INIT(5);

	(void)state;
	crypt_hex(&b, "foo", 3);
	assert_true(b.failed);
	assert_int_equal(b.len, 0);
	buf_clear(&b);
	crypt_base32(&b, "foo", 3);
	assert_false(b.failed);
	buf_clear(&b);
	assert_int_equal(crypt_base64url_decode(&b, STR_LIT("Zm9vYmFy")), ERR_FULL);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static void
test_decode_is_strict(void **state)
{
	static const char *const bad[] = {
		"Z", "Zg==", "Zm8=", "Zm9vY", "Zm 9", "Zm9\n", "Zm+v", "Zm/v", "Zh", "Zm9", "Z.",
		"Zm9v\xc3\xa9", "=", "Zm9v=", "A", "Zm9vA"
	};
	struct buf b = BUF_INIT(0);

	(void)state;
	buf_z(&b, "kept");
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(crypt_base64url_decode(&b, str_of(bad[i])), ERR_INVALID);
		assert_true(str_is(buf_view(&b), "kept"));
	}
	assert_int_equal(crypt_base64url_decode(&b, (struct str){ "Zm\0v", 4 }), ERR_INVALID);
	buf_free(&b);
}

/* Of all texts of two and of three characters, exactly those decode that are
 * the encoding of something. */
static void
test_one_spelling_each(void **state)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	struct buf b = BUF_INIT(0), again = BUF_INIT(0);
	int valid = 0;

	(void)state;
	for (int i = 0; i < 64 * 64 * 65; i++) {
		char text[3] = { alphabet[i % 64], alphabet[i / 64 % 64], alphabet[i / 4096 % 64] };
		struct str s = { text, i / 4096 == 64 ? 2 : 3 };

		buf_clear(&b);
		buf_clear(&again);
		if (crypt_base64url_decode(&b, s) != ERR_OK)
			continue;
		valid++;
		crypt_base64url(&again, b.data, b.len);
		assert_true(str_eq(buf_view(&again), s));
	}
	assert_int_equal(valid, 65536 + 256);
	buf_free(&b);
	buf_free(&again);
}

static void
test_equal(void **state)
{
	(void)state;
	assert_true(crypt_equal(STR_LIT("same"), STR_LIT("same")));
	assert_true(crypt_equal((struct str){ 0 }, STR_LIT("")));
	assert_false(crypt_equal(STR_LIT("same"), STR_LIT("samf")));
	assert_false(crypt_equal(STR_LIT("same"), STR_LIT("same ")));
	assert_false(crypt_equal(STR_LIT("Same"), STR_LIT("same")));
}

static void
test_random(void **state)
{
	uint8_t a[64] = { 0 }, b[64] = { 0 };

	(void)state;
	crypt_random(a, sizeof a);
	crypt_random(b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
	memcpy(b, a, sizeof a);
	crypt_random(a + 32, 0);
	assert_memory_equal(a, b, sizeof a);
}

#define GOOD "4f1c9a70b25de8836a0fd41be97c25380b6e1ad9f7428c53"

static char dir[] = "/tmp/lectern-crypt-XXXXXX";
static char path[64];

static int
make_dir_cb(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof path, "%s/key", dir);
	return 0;
}

static int
remove_dir_cb(void **state)
{
	(void)state;
	unlink(path); /* there only after a failure */
	return rmdir(dir);
}

static void
write_secret(struct str text, mode_t mode)
{
	int fd;

	unlink(path); /* the one before may be read-only */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.p, text.n), (ssize_t)text.n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* Reads what stands at path and expects a refusal that names the path and
 * says `reason`, without a piece of the content. */
static void
assert_refused(const char *reason)
{
	char *why = NULL;

	assert_null(crypt_secret_read(path, &why));
	assert_non_null(why);
	assert_non_null(strstr(why, path));
	if (strstr(why, reason) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why, reason);
	assert_null(strstr(why, "4f1c"));
	mem_free(why);
}

static void
assert_accepted(const char *want)
{
	char *why = NULL, *secret = crypt_secret_read(path, &why);

	assert_null(why);
	assert_non_null(secret);
	assert_string_equal(secret, want);
	mem_wipe(secret, strlen(secret));
	mem_free(secret);
}

static void
test_secret_accepted(void **state)
{
	char longest[CRYPT_SECRET_MAX + 3] = "";

	(void)state;
	write_secret(STR_LIT(GOOD "\n"), 0600);
	assert_accepted(GOOD);
	write_secret(STR_LIT(GOOD), 0400);
	assert_accepted(GOOD);
	write_secret(STR_LIT(GOOD "\r\n"), 0640);
	assert_accepted(GOOD);
	assert_int_equal(unlink(path), 0);
	write_secret((struct str){ GOOD, CRYPT_SECRET_MIN }, 0600);
	assert_accepted("4f1c9a70b25de8836a0fd41be97c2538");
	for (size_t i = 0; i < CRYPT_SECRET_MAX; i++)
		longest[i] = (char)('a' + i * i % 23);
	memcpy(longest + CRYPT_SECRET_MAX, "\r\n", 2);
	write_secret((struct str){ longest, CRYPT_SECRET_MAX + 2 }, 0600);
	longest[CRYPT_SECRET_MAX] = '\0';
	assert_accepted(longest);
	assert_int_equal(unlink(path), 0);
}

static void
test_secret_text_refused(void **state)
{
	static const struct {
		struct str text;
		const char *reason;
	} rows[] = {
		{ STR_LIT(""), "empty" },
		{ STR_LIT("\n"), "empty" },
		{ STR_LIT("4f1c9a70b25de8836a0fd41be97c253\n"), "less than 32" },
		{ STR_LIT(GOOD "\nsecond line\n"), "more than one line" },
		{ STR_LIT(GOOD "\n\n"), "more than one line" },
		{ STR_LIT(GOOD "\0" GOOD), "more than one line" },
		{ STR_LIT("changeme\n"), "placeholder" },
		{ STR_LIT("secret\n"), "placeholder" },
		{ STR_LIT("Change-Me-before-you-run-this-in-a-school\n"), "placeholder" },
		{ STR_LIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"), "repeats" },
		{ STR_LIT("4f1c4f1c4f1c4f1c4f1c4f1c4f1c4f1c4f1c4f\n"), "repeats" },
	};
	char big[CRYPT_SECRET_MAX + 100];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		write_secret(rows[i].text, 0600);
		assert_refused(rows[i].reason);
	}
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (char)('a' + i * i % 23);
	write_secret((struct str){ big, CRYPT_SECRET_MAX + 1 }, 0600);
	assert_refused("more than 4096");
	write_secret((struct str){ big, sizeof big }, 0600);
	assert_refused("more than 4096");
	memcpy(big + CRYPT_SECRET_MAX, "\r\nx", 3); /* the x must not go unread */
	write_secret((struct str){ big, CRYPT_SECRET_MAX + 3 }, 0600);
	assert_refused("more than one line");
	assert_int_equal(unlink(path), 0);
}

static void
test_password(void **state)
{
	char *why = NULL, *password;

	(void)state;
	write_secret(STR_LIT("password\n"), 0600);
	password = crypt_password_read(path, &why);
	assert_string_equal(password, "password");
	mem_free(password);
	for (int i = 0; i < 2; i++) {
		write_secret(i == 0 ? STR_LIT("\n") : STR_LIT("one\ntwo\n"), 0600);
		assert_null(crypt_password_read(path, &why));
		assert_non_null(strstr(why, "write the password as its only line"));
		mem_free(why);
	}
	write_secret(STR_LIT("x"), 0644);
	assert_null(crypt_password_read(path, &why));
	assert_non_null(strstr(why, "open to others"));
	mem_free(why);
}

static void
test_secret_modes_refused(void **state)
{
	static const mode_t open_modes[] = { 0604, 0602, 0601, 0620, 0660, 0644, 0777 };

	(void)state;
	for (size_t i = 0; i < COUNT(open_modes); i++) {
		write_secret(STR_LIT(GOOD "\n"), open_modes[i]);
		assert_refused("chmod 0600");
	}
	if (geteuid() == 0) { /* only root can give a file away */
		assert_int_equal(chmod(path, 0600), 0);
		assert_int_equal(chown(path, 65534, 65534), 0);
		assert_refused("another user");
	}
	assert_int_equal(unlink(path), 0);
}

static void
test_secret_places_refused(void **state)
{
	(void)state;
	assert_refused("cannot be opened");
	assert_int_equal(mkdir(path, 0700), 0);
	assert_refused("not a regular file");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0); /* must not wait for a writer */
	assert_refused("not a regular file");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_refused("symbolic link");
	assert_int_equal(unlink(path), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_crc32c_vectors),
		cmocka_unit_test(test_crc32c_ways_agree),
		cmocka_unit_test(test_encodings),
		cmocka_unit_test(test_encodings_respect_the_cap),
		cmocka_unit_test(test_decode_is_strict),
		cmocka_unit_test(test_one_spelling_each),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_secret_accepted),
		cmocka_unit_test(test_secret_text_refused),
		cmocka_unit_test(test_password),
		cmocka_unit_test(test_secret_modes_refused),
		cmocka_unit_test(test_secret_places_refused),
	};

	return cmocka_run_group_tests(tests, make_dir_cb, remove_dir_cb);
}
