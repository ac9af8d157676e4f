/* SPDX-License-Identifier: MIT */
/* auth: is this the user's password? Users are people, by their canonical bare
 * JIDs. The configured backends are asked in turn: the first that knows the user
 * decides. Backends are const descriptors in one table (auth.c); nothing blocks,
 * and answers come through the loop, never inside the call. */
#ifndef LECTERN_STATE_AUTH_H
#define LECTERN_STATE_AUTH_H

#include "base/buf.h"
#include "base/conf.h"
#include "base/crypt.h"
#include "base/loop.h"

#define AUTH_ASKS_MAX 256       /* questions under way; more are not answered */
#define AUTH_TIMEOUT_MS 20000   /* then the answer is AUTH_CANNOT_SAY */

struct auth; /* the backends of one configuration */
struct auth_ask;

struct auth_options {
	struct loop *loop;
	const struct conf *conf; /* borrowed until auth_close */
};

enum auth_verdict {
	AUTH_YES,
	AUTH_NO,         /* wrong password or nobody knows the user: not told apart */
	AUTH_CANNOT_SAY  /* a backend is not there, or too many ask at once */
};

/* Where a verdict comes from, so that it can be asked for again. */
struct auth_proof {
	const char *backend;        /* static; NULL unless AUTH_YES */
	uint8_t mark[CRYPT_SHA256]; /* of the stored hash; zero when there is none */
};
typedef void auth_cb(void *arg, enum auth_verdict v, const struct auth_proof *proof);

/* Opens the backends that conf names. NULL with *why (mem_free it). */
struct auth *auth_open(const struct auth_options *o, char **why);
/* Whoever waits is never called. NULL is allowed. */
void auth_close(struct auth *a);

/* Appends the user's JID as people may type it: without a domain it gets the
 * configured one. False for what cannot be one. */
bool auth_user(const struct conf *c, struct str typed, struct buf *out);

/* Asks whether the password is the user's, a canonical JID. The password is
 * copied, and wiped as soon as it is not needed. */
struct auth_ask *auth_check(struct auth *a, struct str user, struct str password, auth_cb *cb,
    void *arg);
/* Asks whether what the proof was given for still holds: AUTH_NO when the password
 * was changed or the user is not there any more. */
struct auth_ask *auth_still(struct auth *a, struct str user, const struct auth_proof *proof,
    auth_cb *cb, void *arg);
/* Nobody is called. Only before the answer. */
void auth_drop(struct auth_ask *q);

#endif
