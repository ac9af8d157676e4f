/* SPDX-License-Identifier: MIT */
/* crypt: digests, randomness, checksums, their encodings, and reading secrets.
 * The only file of the daemon that knows OpenSSL's digests. */
#include "base/crypt.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

static void __attribute__((noreturn))
crypt_die(const char *what)
{
	log_error("crypt failed what=%s", what);
	abort();
}

/* Fetched once: a fetch per digest costs more than a short digest. */
static EVP_MD *crypt_md_sha256, *crypt_md_sha1;
static pthread_once_t crypt_md_fetched = PTHREAD_ONCE_INIT;

static void
crypt_md_fetch_cb(void)
{
	crypt_md_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	crypt_md_sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
	if (crypt_md_sha256 == NULL || crypt_md_sha1 == NULL)
		crypt_die("fetching SHA-256 and SHA-1 from OpenSSL");
}

static void
crypt_digest(const EVP_MD *md, const struct str *pieces, size_t n, uint8_t *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL && EVP_DigestInit_ex2(ctx, md, NULL) == 1;

	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_DigestUpdate(ctx, pieces[i].p, pieces[i].n) == 1;
	if (!ok || EVP_DigestFinal_ex(ctx, out, NULL) != 1)
		crypt_die("digest");
	EVP_MD_CTX_free(ctx);
}

void
crypt_sha256(const struct str *pieces, size_t n, uint8_t out[CRYPT_SHA256])
{
	pthread_once(&crypt_md_fetched, crypt_md_fetch_cb);
	crypt_digest(crypt_md_sha256, pieces, n, out);
}

void
crypt_sha1(const struct str *pieces, size_t n, uint8_t out[CRYPT_SHA1])
{
	pthread_once(&crypt_md_fetched, crypt_md_fetch_cb);
	crypt_digest(crypt_md_sha1, pieces, n, out);
}

void
crypt_hmac_sha256(struct str key, struct str text, uint8_t out[CRYPT_SHA256])
{
	pthread_once(&crypt_md_fetched, crypt_md_fetch_cb);
	if (HMAC(crypt_md_sha256, key.p, (int)key.n, (const unsigned char *)text.p, text.n,
	    out, NULL) == NULL)
		crypt_die("HMAC");
}

void
crypt_random(void *out, size_t n)
{
	char *at = out;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno != EINTR)
			crypt_die("getrandom");
		if (got > 0) {
			at += got;
			n -= (size_t)got;
		}
	}
}

bool
crypt_equal(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}

/* CRC32C, bits reflected: the polynomial 0x1edc6f41 reads 0x82f63b78. */
static uint32_t crypt_crc_table[8][256]; /* [k][b]: byte b with k zero bytes behind */
static pthread_once_t crypt_crc_made = PTHREAD_ONCE_INIT;

static void
crypt_crc_make_cb(void)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t crc = b;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
		crypt_crc_table[0][b] = crc;
	}
	for (int k = 1; k < 8; k++) {
		for (int b = 0; b < 256; b++) {
			uint32_t before = crypt_crc_table[k - 1][b];

			crypt_crc_table[k][b] = before >> 8 ^ crypt_crc_table[0][before & 255];
		}
	}
}

uint32_t
crypt_crc32c_portable(uint32_t crc, const void *p, size_t n)
{
	const uint8_t *at = p;

	pthread_once(&crypt_crc_made, crypt_crc_make_cb);
	crc = ~crc;
	for (; n >= 8; n -= 8, at += 8) {
		uint32_t sum = 0;

		for (int i = 0; i < 8; i++) {
			uint8_t byte = i < 4 ? (uint8_t)(at[i] ^ crc >> (8 * i)) : at[i];

			sum ^= crypt_crc_table[7 - i][byte];
		}
		crc = sum;
	}
	for (; n > 0; n--, at++)
		crc = crc >> 8 ^ crypt_crc_table[0][(crc ^ *at) & 255];
	return ~crc;
}

#ifdef __x86_64__
static uint32_t __attribute__((target("sse4.2")))
crypt_crc32c_sse42(uint32_t crc, const void *p, size_t n)
{
	const uint8_t *at = p;
	uint64_t word, sum = ~crc;

	for (; n >= 8; n -= 8, at += 8) {
		memcpy(&word, at, 8);
		sum = __builtin_ia32_crc32di(sum, word);
	}
	crc = (uint32_t)sum;
	for (; n > 0; n--, at++)
		crc = __builtin_ia32_crc32qi(crc, *at);
	return ~crc;
}
#endif

uint32_t
crypt_crc32c(uint32_t crc, const void *p, size_t n)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return crypt_crc32c_sse42(crc, p, n);
#endif
	return crypt_crc32c_portable(crc, p, n);
}

/* RFC 4648 §4: `bits` at a time, from the top; the last group is filled with
 * zero bits. */
static void
crypt_encode(struct buf *out, const char *alphabet, unsigned bits, const uint8_t *p, size_t n)
{
	size_t total = n / bits * 8 + (n % bits * 8 + bits - 1) / bits;
	char *at = buf_room(out, total);
	unsigned held = 0, have = 0;

	if (at == NULL)
		return;
	for (size_t i = 0; i < n; i++) {
		held = (held << 8 | p[i]) & 0xffff;
		for (have += 8; have >= bits; have -= bits)
			*at++ = alphabet[held >> (have - bits) & ((1u << bits) - 1)];
	}
	if (have > 0)
		*at = alphabet[held << (bits - have) & ((1u << bits) - 1)];
	out->len += total;
}

void
crypt_hex(struct buf *out, const void *p, size_t n)
{
	crypt_encode(out, "0123456789abcdef", 4, p, n);
}

void
crypt_base32(struct buf *out, const void *p, size_t n)
{
	crypt_encode(out, "abcdefghijklmnopqrstuvwxyz234567", 5, p, n);
}

void
crypt_base64(struct buf *out, const void *p, size_t n)
{
	crypt_encode(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
	    6, p, n);
	for (size_t i = n % 3; i > 0 && i < 3; i++)
		buf_byte(out, '=');
}

void
crypt_base64url(struct buf *out, const void *p, size_t n)
{
	crypt_encode(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
	    6, p, n);
}

static int
crypt_base64url_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

enum err
crypt_base64url_decode(struct buf *out, struct str text)
{
	size_t total = text.n / 4 * 3 + text.n % 4 * 6 / 8;
	unsigned held = 0, have = 0;
	char *at;

	if (text.n % 4 == 1)
		return ERR_INVALID;
	if ((at = buf_room(out, total)) == NULL)
		return ERR_FULL;
	for (size_t i = 0; i < text.n; i++) {
		int value = crypt_base64url_value(text.p[i]);

		if (value < 0)
			return ERR_INVALID;
		held = (held << 6 | (unsigned)value) & 0xffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			*at++ = (char)(held >> have & 0xff);
		}
	}
	if (held & ((1u << have) - 1))
		return ERR_INVALID; /* stray bits: a second spelling of the same bytes */
	out->len += total;
	return ERR_OK;
}

const char *
crypt_secret_place(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return "cannot be examined";
	if (!S_ISREG(st.st_mode))
		return "is not a regular file; put the secret into one";
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return "belongs to another user; make root or the daemon's user its owner (chown)";
	if (st.st_mode & (S_IWGRP | S_IRWXO))
		return "is open to others; let only its owner write and nobody else read it "
		    "(chmod 0600, or 0640 for the daemon's group)";
	return NULL;
}

/* Whether s is one short piece again and again ("aaaa...", "changemechangeme"). */
static bool
crypt_secret_repeats(struct str s)
{
	for (size_t period = 1; period <= 8 && period < s.n; period++) {
		if (memcmp(s.p, s.p + period, s.n - period) == 0)
			return true;
	}
	return false;
}

/* What is wrong with the text as a password or a secret; NULL when nothing. */
static const char *
crypt_password_text(struct str s)
{
	if (s.n == 0)
		return "is empty";
	if (memchr(s.p, '\n', s.n) != NULL || memchr(s.p, '\0', s.n) != NULL)
		return "holds more than one line of text";
	return s.n > CRYPT_SECRET_MAX ? "holds more than 4096 bytes" : NULL;
}

/* The same for a secret that we or the administrator made up: it must be a good
 * one, too. */
static const char *
crypt_secret_text(struct str s)
{
	static const char *const fillers[] = {
		"changeme", "change-me", "change_me", "secret", "password", "placeholder"
	};
	const char *wrong = crypt_password_text(s);

	if (wrong != NULL)
		return wrong;
	for (size_t i = 0; i < sizeof fillers / sizeof *fillers; i++) {
		size_t n = strlen(fillers[i]);

		if (s.n >= n && strncasecmp(s.p, fillers[i], n) == 0)
			return "still holds a placeholder";
	}
	if (s.n < CRYPT_SECRET_MIN)
		return "holds less than 32 bytes";
	return crypt_secret_repeats(s) ? "repeats one short piece" : NULL;
}

/* The bytes of fd, at most `room`; negative when reading fails. */
static ssize_t
crypt_secret_load(int fd, char *at, size_t room)
{
	size_t n = 0;
	ssize_t got;

	do {
		got = read(fd, at + n, room - n);
		n += got > 0 ? (size_t)got : 0;
	} while ((got > 0 && n < room) || (got < 0 && errno == EINTR));
	return got < 0 ? -1 : (ssize_t)n;
}

/* What a file holds, and what to write into a wrong one. */
struct crypt_kind {
	const char *(*wrong)(struct str s);
	const char *advice;
};

static char *
crypt_secret_take(int fd, const char *path, const struct crypt_kind *kind, char **why)
{
	char text[CRYPT_SECRET_MAX + 3], *secret = NULL; /* CR, LF, and one too many */
	ssize_t got = crypt_secret_load(fd, text, sizeof text);
	struct str s = { text, got < 0 ? 0 : (size_t)got };
	const char *wrong;

	if (s.n > 0 && s.p[s.n - 1] == '\n')
		s.n--;
	if (s.n > 0 && s.p[s.n - 1] == '\r')
		s.n--;
	wrong = kind->wrong(s);
	if (got < 0)
		*why = mem_printf("%s: cannot be read: %s", path, strerror(errno));
	else if (wrong != NULL)
		*why = mem_printf("%s: %s; %s", path, wrong, kind->advice);
	else
		secret = mem_str(s);
	mem_wipe(text, sizeof text);
	return secret;
}

/* O_NONBLOCK: opening a FIFO would wait for a writer. */
static char *
crypt_kind_read(const char *path, const struct crypt_kind *kind, char **why)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	const char *wrong;
	char *secret = NULL;

	if (fd < 0 && errno == ELOOP) {
		*why = mem_printf("%s: is a symbolic link; name the file itself", path);
		return NULL;
	}
	if (fd < 0) {
		*why = mem_printf("%s: cannot be opened: %s; create it and let the daemon's "
		    "user read it", path, strerror(errno));
		return NULL;
	}
	wrong = crypt_secret_place(fd);
	if (wrong != NULL)
		*why = mem_printf("%s: %s", path, wrong);
	else
		secret = crypt_secret_take(fd, path, kind, why);
	close(fd);
	return secret;
}

char *
crypt_secret_read(const char *path, char **why)
{
	static const struct crypt_kind kind = { crypt_secret_text,
		"write one line of 32 to 4096 random bytes, for example with: openssl rand -hex 32" };

	return crypt_kind_read(path, &kind, why);
}

char *
crypt_password_read(const char *path, char **why)
{
	static const struct crypt_kind kind = { crypt_password_text,
		"write the password as its only line" };

	return crypt_kind_read(path, &kind, why);
}
