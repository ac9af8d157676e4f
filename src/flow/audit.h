/* SPDX-License-Identifier: MIT */
/* audit: the file that says who could and did see whose data: one JSON object a
 * line, appended and synced in libuv's pool. Pseudonyms and JIDs, never names.
 * docs/audit.md has the lines. Knows no doors. */
#ifndef LECTERN_FLOW_AUDIT_H
#define LECTERN_FLOW_AUDIT_H

#include "base/jsonw.h"
#include "base/loop.h"
#include "state/roster.h"

struct audit;

#define AUDIT_QUEUE_MAX ((size_t)64 << 20) /* bytes that wait for the disk */
#define AUDIT_REFUSALS 20       /* of one reader in one window; more are counted */
#define AUDIT_REFUSERS 1024     /* readers so counted; more count together */
#define AUDIT_TRIERS 64         /* the same of those who try to sign in: nobody is asked who he is */
#define AUDIT_SIGN_INS 20       /* of one person's sign-ins and log-outs; more are counted */
#define AUDIT_SIGNERS 65536     /* people so counted; more count together */
#define AUDIT_WINDOW_MS 60000

/* Opens the file, creating it for its owner alone. NULL with *why (mem_free it)
 * when it cannot be written. */
struct audit *audit_new(struct loop *l, const char *file, char **why);
/* Writes what waits, then goes: with loop_free at the latest. NULL is allowed. */
void audit_free(struct audit *a);
/* After logrotate moved the file; a new one begins with the whole roster. */
void audit_reopen(struct audit *a);
void audit_status(const struct audit *a, struct jsonw *w);

/* What happened to one reader and node. */
struct audit_line {
	const char *what;  /* "subscribed", "read", "revoked", ... */
	struct str reader;
	const char *door;  /* through which; NULL: none */
	struct str node;
	enum roster_as as; /* NOBODY where it does not matter any more */
	size_t items;      /* shown; left out when 0 */
};
/* a may be NULL: nothing is written. */
void audit_write(struct audit *a, const struct audit_line *line);
/* The same for a refusal, of which a reader cannot cause more than so many. */
void audit_refuse(struct audit *a, const struct audit_line *line);

/* Somebody signed in or out, or tried to. */
struct audit_sign_in {
	const char *what; /* "signed_in", "signed_out", "sign_in_refused" */
	struct str user;  /* JID; empty for one who is nobody here, whatever was typed */
	const char *door;
	const char *by;   /* the backend that vouched; NULL: none did */
	const char *why;  /* of a refusal; or NULL */
	const char *peer; /* address */
};
/* Bounded like audit_refuse, what was refused apart from what was not: so nobody can
 * hide a sign-in behind a crowd of tries. */
void audit_sign_in(struct audit *a, const struct audit_sign_in *s);

/* Who may see whose data from now on: the differences, or everything when there
 * was no roster before. next is borrowed until the next call or audit_free. */
void audit_roster(struct audit *a, const struct roster *before, const struct roster *next);

const char *audit_as(enum roster_as as);

#endif
