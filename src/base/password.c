/* SPDX-License-Identifier: MIT */
/* password: see password.h. The only file that knows libcrypt. */
#include "base/password.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypt.h"
#include "base/mem.h"

#define PASSWORD_BCRYPT_COST 15   /* log2; one check takes seconds there */
#define PASSWORD_SHA_ROUNDS 5000000
#define PASSWORD_YESCRYPT_COST 'D' /* the third character of its parameters */
#define PASSWORD_PREFIX "$y$"     /* of new hashes, at the library's default cost */

/* Cost of "$2y$NN$" */
static bool
password_bcrypt_cheap(const char *hash)
{
	return strtol(hash + 4, NULL, 10) <= PASSWORD_BCRYPT_COST;
}

static bool
password_sha_cheap(const char *hash)
{
	return strncmp(hash + 3, "rounds=", 7) != 0 ||
	    strtol(hash + 10, NULL, 10) <= PASSWORD_SHA_ROUNDS;
}

/* Parameters such as "j9T": flavour, N, r. */
static bool
password_yescrypt_cheap(const char *hash)
{
	return hash[3] != '\0' && hash[4] <= PASSWORD_YESCRYPT_COST;
}

static const struct password_kind {
	const char *prefix;
	size_t tail; /* bytes behind the last "$" */
	bool (*cheap)(const char *hash);
} password_kinds[] = {
	{ "$2y$", 53, password_bcrypt_cheap },
	{ "$2b$", 53, password_bcrypt_cheap },
	{ "$2a$", 53, password_bcrypt_cheap },
	{ "$y$", 43, password_yescrypt_cheap },
	{ "$6$", 86, password_sha_cheap },
	{ "$5$", 43, password_sha_cheap },
};

const char *
password_hash_wrong(const char *hash)
{
	for (size_t i = 0; i < sizeof password_kinds / sizeof *password_kinds; i++) {
		const struct password_kind *k = &password_kinds[i];

		if (strncmp(hash, k->prefix, strlen(k->prefix)) != 0)
			continue;
		if (!k->cheap(hash))
			return "the hash costs more time than a server can spend";
		return strlen(hash) <= PASSWORD_HASH_MAX && strlen(strrchr(hash, '$') + 1) == k->tail &&
		    crypt_checksalt(hash) != CRYPT_SALT_INVALID ? NULL : "the hash is damaged";
	}
	return "the hash is of an unknown kind, expected $2y$ (htpasswd -B), $y$, $6$ or $5$";
}

bool
password_matches(const char *hash, const char *password)
{
	struct crypt_data *data;
	const char *got;
	bool ok;

	if (password_hash_wrong(hash) != NULL)
		return false;
	MEM_NEW(data);
	got = crypt_r(password, hash, data);
	/* "*0" stands for failure, and no good hash begins with "*" */
	ok = got != NULL && got[0] == '$' && crypt_equal(str_of(got), str_of(hash));
	mem_wipe(data, sizeof *data);
	mem_free(data);
	return ok;
}

char *
password_hash(const char *password)
{
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *data;
	const char *got;
	char *hash = NULL;

	if (password[0] == '\0' || strlen(password) > PASSWORD_MAX ||
	    crypt_gensalt_rn(PASSWORD_PREFIX, 0, NULL, 0, salt, sizeof salt) == NULL)
		return NULL;
	MEM_NEW(data);
	got = crypt_r(password, salt, data);
	if (got != NULL && got[0] == '$')
		hash = mem_strdup(got);
	mem_wipe(data, sizeof *data);
	mem_free(data);
	return hash;
}

const char *
password_hash_nobody(void)
{
	return "$y$j9T$aVUrCwGsY1sYmTSCHnKO8/$ESCd3SSvhlEG2hnX7j4lQZPX1wEBfGjUi9DWfs0wRcA";
}
