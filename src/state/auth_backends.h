/* SPDX-License-Identifier: MIT */
/* What a backend behind auth.h is; one file each, auth.c lists them. */
#ifndef LECTERN_STATE_AUTH_BACKENDS_H
#define LECTERN_STATE_AUTH_BACKENDS_H

#include "state/auth.h"

/* ERR_OK with the user's hash (valid in the call; see base/password.h),
 * ERR_NOT_FOUND for no such user, or another error: cannot say now. */
typedef void auth_hash_cb(void *arg, enum err e, const char *hash);
/* ERR_OK: it is the password; ERR_FORBIDDEN: it is not; ERR_NOT_FOUND: no such
 * user here; another error: cannot say now. */
typedef void auth_word_cb(void *arg, enum err e);

/* Each question is answered once, through the loop; after close none is. The
 * strings are borrowed for the call. */
struct auth_backend {
	const char *name;
	void *(*open)(const struct auth_options *o, char **why);
	/* One of the two. A backend that stores hashes only finds them. */
	void (*find)(void *store, struct str user, auth_hash_cb *cb, void *arg);
	void (*check)(void *store, struct str user, struct str password, auth_word_cb *cb,
	    void *arg);
	void (*close)(void *store);
	/* For lecternctl, waits: the user has this hash from now on; NULL: the user goes.
	 * ERR_NOT_FOUND when there was none; else *why (mem_free it). NULL: cannot. */
	enum err (*set)(const struct conf *c, struct str user, const char *hash, char **why);
};

extern const struct auth_backend auth_file;
extern const struct auth_backend auth_sqlite;
extern const struct auth_backend auth_postgres;
extern const struct auth_backend auth_xmpp;

/* The backend by name, or NULL with *why listing the known ones. */
const struct auth_backend *auth_backend(const char *name, char **why);

/* auth_open with these backends instead of those that conf names. */
struct auth *auth_new(const struct auth_backend *const *backends, size_t n,
    const struct auth_options *o, char **why);

#endif
