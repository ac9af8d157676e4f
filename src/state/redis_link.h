/* SPDX-License-Identifier: MIT */
/* redis_link: one connection to a Redis, kept up: connects, signs in, pipelines
 * commands, notices silence, and comes back after a pause when it was lost. The
 * only file that knows hiredis, of which it uses the reader. Knows nothing of
 * keys.
 *
 * Callbacks come through the loop, never inside a call; redis_link_free is
 * allowed in each of them. */
#ifndef LECTERN_STATE_REDIS_LINK_H
#define LECTERN_STATE_REDIS_LINK_H

#include "base/buf.h"
#include "base/loop.h"

#define REDIS_PORT 6379
#define REDIS_REPLY_MAX ((size_t)128 << 20) /* bytes of one reply, all its parts together */
#define REDIS_ELEMENTS_MAX (1 << 20)        /* of one array */

struct redis_link;

enum redis_type {
	REDIS_NONE, /* nil */
	REDIS_TEXT, /* a status as well as a string of bytes */
	REDIS_INTEGER,
	REDIS_ERROR,
	REDIS_ARRAY,
};

struct redis_reply {
	enum redis_type type;
	struct str text;            /* TEXT; ERROR: "CODE and a sentence" */
	int64_t integer;
	struct redis_reply **items; /* ARRAY; none is NULL */
	size_t n;
};

struct redis_options {
	const char *address;  /* "host:port", "[address]:port", "host", or "unix:/path" */
	const char *user;     /* NULL: the default one */
	const char *password; /* NULL: none. A secret: copied, wiped with the link */
	long database;
	bool insecure_ok;     /* the connection may leave this machine, unencrypted */
	bool subscriber;      /* for SUBSCRIBE and its kind: see redis_command */
	unsigned timeout_s;   /* silence when an answer is due: the connection is given up */
};

struct redis_link_ops {
	/* Signed in: commands are taken from now on. */
	void (*up)(void *arg);
	/* Could not connect or sign in, or lost the connection; after the callbacks of
	 * all commands that it leaves without answer. Comes again with every attempt
	 * that fails. why: a sentence, valid in the call. */
	void (*down)(void *arg, const char *why);
	/* Everything a subscriber hears; NULL for others. */
	void (*push)(void *arg, const struct redis_reply *r);
};

/* The reply, valid in the call; NULL: lost before it came, and whether the
 * command took effect nobody knows. */
typedef void redis_reply_cb(void *arg, const struct redis_reply *r);

/* Starts to connect. NULL with *why when the address does not read. */
struct redis_link *redis_link_new(struct loop *l, const struct redis_options *o,
    const struct redis_link_ops *ops, void *arg, char **why);
/* No callback comes after it; what is on its way to Redis may still arrive, and
 * does when the link was idle. */
void redis_link_free(struct redis_link *k); /* NULL is allowed */

/* Sends a command of n words, which are copied. Replies come in the order of the
 * commands, so MULTI, commands, EXEC in a row are one transaction. cb may be NULL.
 * false: the link is not up, nothing was sent and cb is not called.
 * A subscriber's commands have no callback: what comes back, errors too, is push. */
bool redis_command(struct redis_link *k, const struct str *words, size_t n, redis_reply_cb *cb,
    void *arg);

bool redis_link_up(const struct redis_link *k);
/* Bytes of commands gathered and not yet on their way. Whoever sends bounds them: beyond
 * BUF_MAX the connection is given up. */
size_t redis_link_waiting(const struct redis_link *k);

/* The trouble an ERROR reply names, as a sentence for people; the reply's own
 * text when it is none of the known ones. Appends. */
void redis_trouble(struct str error, struct buf *out);

#endif
