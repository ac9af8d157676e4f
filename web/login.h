/* SPDX-License-Identifier: MIT */
/* login: who is signed in. A session is found by the hash of the random bytes in
 * its cookie; the bytes themselves are the browser's alone. In memory only. */
#ifndef LECTERN_WEB_LOGIN_H
#define LECTERN_WEB_LOGIN_H

#include <sys/queue.h>

#include "base/loop.h"
#include "state/auth.h"

#define LOGIN_TOKEN_LEN 43    /* 256 bits in base64url */
#define LOGINS_MAX 65536      /* sessions */
#define LOGINS_PER_USER 16    /* of one user; the next one ends the oldest */
#define LOGIN_ASKS 60         /* requests of a session at once, */
#define LOGIN_ASK_MS 500      /* and then one in so many milliseconds */

struct logins;
struct login;

/* The name of its cookie. Over https one that browsers take from nobody but this
 * very host, so that no neighbour in the domain can put a session of its own in the
 * place of the user's (RFC 6265bis §4.1.3.2). */
const char *login_cookie(bool https);

struct logins *logins_new(struct loop *l, const struct conf *c);
/* Ends all of them. NULL is allowed. */
void logins_free(struct logins *ls);
size_t logins_count(const struct logins *ls);
void logins_reconf(struct logins *ls, const struct conf *c);
/* Asks of every session whether its password is still the user's, one after the
 * other, and ends those for which it is not; all when a is NULL. So it does every
 * LOGINS_CHECK_MS from then on, as a database may change at any time. What was asked
 * of another auth before is forgotten, so call it before that one is closed. */
#define LOGINS_CHECK_MS 15000
void logins_check(struct logins *ls, struct auth *a);

/* The cookie's value into token; NULL when there are too many sessions. */
struct login *login_begin(struct logins *ls, struct str user, const struct auth_proof *proof,
    char token[LOGIN_TOKEN_LEN + 1]);
/* The session of a cookie, which counts as used now; or NULL. */
struct login *login_find(struct logins *ls, struct str token);
void login_end(struct login *x);
const char *login_user(const struct login *x); /* canonical JID */
/* Counts a request that makes work, for so many; false when it is too many. One that
 * counts for more than LOGIN_ASKS is allowed when none was before it. */
bool login_may_ask(struct login *x, size_t many);
/* Seconds until it ends at the latest. */
long login_left(const struct login *x);

/* What lives in a session, such as an open feed: while it does, the session is not
 * idle, and when that ends it is told. */
struct login_guest {
	TAILQ_ENTRY(login_guest) link;
	struct login *login; /* NULL: none, or it ended */
	void (*ended)(void *arg);
	void *arg;
};
void login_join(struct login *x, struct login_guest *g);
void login_leave(struct login_guest *g);
size_t login_guests(const struct login *x);

#endif
