/* SPDX-License-Identifier: MIT */
/* ident: who is this? Turns what an event claims into an identity, by the
 * methods switched on in the configuration, tried in their order, and that into the
 * one student whom the roster knows by it. */
#ifndef LECTERN_STATE_IDENT_H
#define LECTERN_STATE_IDENT_H

#include "base/buf.h"
#include "base/conf.h"
#include "base/json.h"

/* How far an identity can be trusted; a state carries the weakest of all that
 * wrote into it, so the order matters. Names as in the reference. */
#define SEC_MAP(X)                             \
	X(SEC_AUTHENTICATED, "authenticated")  \
	X(SEC_UNAUTHENTICATED, "unauthenticated") \
	X(SEC_NONE, "none")

enum sec {
#define SEC_ENUM(sym, name) sym,
	SEC_MAP(SEC_ENUM)
#undef SEC_ENUM
	SEC_COUNT
};
const char *sec_name(enum sec s);
bool sec_by_name(struct str name, enum sec *out);

#define IDENT_ID_MAX 512 /* bytes of a user id, and of a safe one */
#define IDENT_UNVERIFIED "unverified-"

struct roster;

struct ident {
	char *user_id;
	char *safe_user_id; /* of the roster, if that knows the student; else `shown` */
	char *shown;        /* percent-encoded, prefixed by where it came from */
	char *email;        /* that came with it and may find the student, or NULL */
	char *providence;   /* the reference's spelling */
	enum sec sec;
};
void ident_free(struct ident *i); /* what it holds, not itself */

/* Fields of one event with the locked ones laid over it. */
struct ident_claim {
	struct json locked;    /* object, or .doc == NULL */
	struct json event;     /* object, or .doc == NULL */
	struct str guest_id;   /* from the guest cookie; may be empty */
	const struct roster *roster; /* NULL: none */
	int64_t now_us;
	bool guest_ok;         /* something waits for an identity, its source is known;
	                        * nobody is made a guest before that */
};

struct ident_rules;

/* Reads key and user files named in the configuration. NULL with *why. */
struct ident_rules *ident_rules_new(const struct conf *c, char **why);
void ident_rules_free(struct ident_rules *r);

/* A student whom the roster knows by the id that was shown, by the user id or, when by
 * neither, by the e-mail address gets the roster's id, so that all that is known of
 * one student comes together; the prefix "unverified-" stays before it.
 *
 * ERR_OK: *out is filled. ERR_NOT_FOUND: nothing claimed yet.
 * ERR_BAD_IDENTITY, ERR_BAD_TOKEN, ERR_TOKEN_EXPIRED: claimed and wrong.
 * The first method that has anything to say decides; `token` is asked first
 * wherever it stands in the list. When it is on, identities of all other methods
 * get the prefix "unverified-" in safe_user_id, so that no claim can ever write
 * into a verified student's state. */
enum err ident_find(const struct ident_rules *r, const struct ident_claim *c, struct ident *out);

/* For a session that has its identity: ERR_IDENTITY_CHANGED when c carries a
 * valid token of another student, else ERR_OK. */
enum err ident_recheck(const struct ident_rules *r, const struct ident_claim *c,
    const char *safe_user_id);

/* Whether these rules and this roster would still write under this identity, which
 * earlier ones found: a claim's is marked unverified exactly when `token` is on, and a
 * token's counts only then. */
bool ident_still_fits(const struct ident_rules *r, const struct roster *roster,
    const struct ident *i);

/* A student token: "lt1." base64url(JSON {"sub":ID,"exp":seconds}) "."
 * base64url(HMAC-SHA-256 over all before the last dot). sub is the
 * safe_user_id, valid until exp, exclusive; ids that are empty, too long, start
 * with "unverified-" or hold control bytes are refused (NULL). Results are
 * mem_alloc'ed. */
#define IDENT_TOKEN_MAX 8192 /* bytes */
char *ident_token_mint(struct str key, struct str safe_user_id, int64_t expires_s);
enum err ident_token_check(struct str key, struct str token, int64_t now_s, char **safe_user_id);

/* providence "-" id, percent-encoded as the reference does (space is '+', '@'
 * stays, letters digits _ . - ~ stay). mem_alloc'ed. */
char *ident_safe_id(const char *providence, struct str user_id);

/* The pseudonym of a student: HMAC-SHA-256 with the organisation's key over
 * the safe_user_id, first 130 bits in base32. */
#define PSEUDONYM_LEN 26
void ident_pseudonym(struct str key, struct str safe_user_id, char out[PSEUDONYM_LEN + 1]);

#endif
