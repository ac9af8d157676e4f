/* SPDX-License-Identifier: MIT */
/* pg_link: the one owner of libpq: a connection to PostgreSQL that is kept up:
 * queries with parameters one after the other, notifications, back-off and
 * time limits. Nothing blocks; answers come through the loop, never inside a
 * call. */
#ifndef LECTERN_STATE_PG_LINK_H
#define LECTERN_STATE_PG_LINK_H

#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"

struct pg_link;
struct pg_result;

struct pg_options {
	const char *conninfo;        /* as libpq reads it, without a password */
	const char *password_file;   /* read at every attempt; NULL: none */
	unsigned timeout_s;          /* for a connection to come up, and for each query */
	const char *const *channels; /* to LISTEN to, ended by NULL; NULL: none */
};

/* Each may be NULL. */
struct pg_events {
	/* Connected, and it listens to the channels: what was notified before is lost. */
	void (*up)(void *arg);
	/* The connection is gone or could not be made; the next attempt follows by
	 * itself, and when it fails for the same reason that is not told again. why is
	 * one line for people and holds no secret. */
	void (*down)(void *arg, const char *why);
	void (*notified)(void *arg, const char *channel, struct str payload);
};

/* What is wrong with conninfo, whose answer the caller mem_free()s; NULL when
 * nothing. Knows nothing of servers. */
char *pg_conninfo_wrong(const char *conninfo);
/* Whether the server is on this machine; others are only reached by TLS, unless conninfo
 * itself says another sslmode. */
bool pg_conninfo_local(const char *conninfo);

struct pg_link *pg_link_new(struct loop *l, const struct pg_options *o,
    const struct pg_events *on, void *arg);
/* Queries that wait get no answer any more. NULL is allowed, and so is every
 * callback of the link as the place of the call. */
void pg_link_free(struct pg_link *k);
/* Why it is down; "" when it is up or has not tried yet. */
const char *pg_link_trouble(const struct pg_link *k);
bool pg_link_up(const struct pg_link *k);

/* e is ERR_OK with a result, or else trouble says why in one line: ERR_CLOSED when
 * there is no connection or it broke (what the query did is not known),
 * ERR_NOT_FOUND for a missing table or column, ERR_FORBIDDEN, ERR_INVALID for a
 * broken constraint, ERR_LOCKED, ERR_FULL when it took too long, ERR_NO_SPACE,
 * ERR_IO for the rest. Both are valid in the call only. */
typedef void pg_query_cb(void *arg, enum err e, const char *trouble, const struct pg_result *r);

#define PG_QUEUE_MAX 1024 /* queries that may wait; ERR_FULL beyond */
#define PG_PARAMS_MAX 8

/* Sends sql after the queries before it, with $1 ... from params (copied; p == NULL
 * is NULL). Without params sql may be several statements, all or nothing. While
 * the first connection is being made the query waits for it; while the link is
 * down it fails. cb may be NULL. */
void pg_link_query(struct pg_link *k, const char *sql, const struct str *params, size_t n,
    pg_query_cb *cb, void *arg);

size_t pg_rows(const struct pg_result *r);
/* NULL reads as { NULL, 0 }. */
struct str pg_text(const struct pg_result *r, size_t row, int column);
int64_t pg_int(const struct pg_result *r, size_t row, int column);

#endif
