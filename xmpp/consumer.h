/* SPDX-License-Identifier: MIT */
/* consumer: a component alone in its process: reads the feed of an ingest daemon
 * through the XMPP server, folds it with the component's reducers, publishes
 * their states. Keeps nothing on disk: what it published it reads back at its
 * start, and goes on behind what it acknowledged. */
#ifndef LECTERN_XMPP_CONSUMER_H
#define LECTERN_XMPP_CONSUMER_H

#include "base/jsonw.h"
#include "base/loop.h"
#include "components/reducer.h"

struct consumer;

struct consumer_options {
	struct loop *loop;
	const char *host;    /* of the XMPP server's component port */
	int port;
	unsigned idle_ms;    /* silence before a ping; 0: LINK_IDLE_MS */
	bool insecure_ok;    /* the stream may leave this machine */
	const char *server;  /* its domain */
	const char *jid, *secret, *secret_file; /* of this component */
	const char *service; /* JID of a component of the ingest daemon */
	const struct reducer *const *reducers;  /* ends with NULL; borrowed */
};

/* Copies strings. NULL with *why for reducers the engine refuses. */
struct consumer *consumer_new(const struct consumer_options *o, char **why);
void consumer_start(struct consumer *c);
/* Closes the stream politely, then calls cb. What is not published is folded
 * again at the next start. */
void consumer_stop(struct consumer *c, loop_cb *cb, void *arg);
void consumer_free(struct consumer *c); /* NULL is allowed */

/* Members of an open object. */
void consumer_status(const struct consumer *c, struct jsonw *w);
struct engine *consumer_engine(struct consumer *c);

#endif
