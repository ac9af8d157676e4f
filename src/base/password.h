/* SPDX-License-Identifier: MIT */
/* password: the only door to crypt(3): hashes of passwords as htpasswd -B,
 * mkpasswd and the system write them. */
#ifndef LECTERN_BASE_PASSWORD_H
#define LECTERN_BASE_PASSWORD_H

#include <stdbool.h>

#define PASSWORD_MAX 1024      /* bytes of a password */
#define PASSWORD_HASH_MAX 383  /* bytes of a hash (crypt(5)) */

/* What is wrong with a hash, or NULL: bcrypt ($2y$, $2b$, $2a$), yescrypt ($y$)
 * and SHA-crypt ($6$, $5$) are good, at a cost that a server can bear. Static. */
const char *password_hash_wrong(const char *hash);

/* Slow on purpose, so not for the loop; safe in any thread. false for a hash
 * that is wrong. */
bool password_matches(const char *hash, const char *password);

/* A new yescrypt hash with a random salt (mem_free it); NULL for a password
 * that is empty or too long. Slow, too. */
char *password_hash(const char *password);

/* A hash that no password has, of the same cost as password_hash. */
const char *password_hash_nobody(void);

#endif
