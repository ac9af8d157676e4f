/* SPDX-License-Identifier: MIT */
/* crypt: the only door to OpenSSL's digests and randomness, and the small
 * encodings that go with them. */
#ifndef LECTERN_BASE_CRYPT_H
#define LECTERN_BASE_CRYPT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define CRYPT_SHA256 32
#define CRYPT_SHA1 20

/* SHA-256 over the concatenation of n pieces. Safe in any thread. */
void crypt_sha256(const struct str *pieces, size_t n, uint8_t out[CRYPT_SHA256]);
void crypt_sha1(const struct str *pieces, size_t n, uint8_t out[CRYPT_SHA1]);
void crypt_hmac_sha256(struct str key, struct str text, uint8_t out[CRYPT_SHA256]);

/* Random bytes from the system; ends the process when there are none. */
void crypt_random(void *out, size_t n);

/* Compared in constant time for equal lengths. */
bool crypt_equal(struct str a, struct str b);

/* CRC32C (Castagnoli); crc is 0 at the start or the value so far. Uses the
 * SSE4.2 instruction where there is one; crypt_crc32c_portable never does and
 * answers the same. Safe in any thread. */
uint32_t crypt_crc32c(uint32_t crc, const void *p, size_t n);
uint32_t crypt_crc32c_portable(uint32_t crc, const void *p, size_t n);

/* Appends the encoding of n bytes: lower-case hex; RFC 4648 base32 in lower
 * case without padding; base64 with padding; base64url without. */
void crypt_hex(struct buf *out, const void *p, size_t n);
void crypt_base32(struct buf *out, const void *p, size_t n);
void crypt_base64(struct buf *out, const void *p, size_t n);
void crypt_base64url(struct buf *out, const void *p, size_t n);
/* Strict inverse; ERR_INVALID for any foreign byte, padding or stray bits. */
enum err crypt_base64url_decode(struct buf *out, struct str text);

/* Reads a secret from a file: one line, trailing newline dropped, at least
 * CRYPT_SECRET_MIN bytes and no placeholder; a regular file owned by root or
 * us, closed to others and not writable by its group. On failure NULL and *why
 * (mem_free it) says what is wrong and what to do, never what the file holds.
 * The caller wipes and frees the secret. */
#define CRYPT_SECRET_MIN 32
#define CRYPT_SECRET_MAX 4096
char *crypt_secret_read(const char *path, char **why);
/* The same for a password that another server chose: any line from one byte on. */
char *crypt_password_read(const char *path, char **why);

/* What is wrong with the file behind fd as a place for secrets, and what to do
 * about it; NULL when nothing. Static. */
const char *crypt_secret_place(int fd);

#endif
