/* SPDX-License-Identifier: MIT */
/* server: connections as streams of bytes, with TLS or without: bounded output,
 * flow control, time limits, orderly ends. server.c is the only file that knows
 * libwebsockets, which carries the bytes; what they mean is not known here. */
#ifndef LECTERN_WEB_SERVER_H
#define LECTERN_WEB_SERVER_H

#include "base/buf.h"
#include "base/loop.h"

struct server;
struct conn;

/* What becomes of a connection's bytes. A connection changes its handler when
 * it changes its protocol. None of these is called from inside a conn_ call. */
struct conn_handler {
	/* p[0..n): what came and was not used before. Answers how much it used;
	 * the rest is kept and comes again, with what follows it. p may be
	 * written to; it is gone after the call. */
	size_t (*data)(struct conn *c, void *user, char *p, size_t n);
	/* The limit set with conn_deadline has passed. */
	void (*late)(struct conn *c, void *user);
	/* The peer takes no output for CONN_STUCK_MS. */
	void (*stuck)(struct conn *c, void *user);
	/* All output that was pushed has left us; may be NULL. */
	void (*drained)(struct conn *c, void *user);
	/* The connection is gone; c must not be used after this. */
	void (*gone)(struct conn *c, void *user);
};

#define CONN_STUCK_MS 30000
#define CONN_LINGER_MS 3000     /* for the peer to close after we did */
#define CONN_OUT_MAX (1 << 20)  /* output of one connection, whatever conf says */

/* With certificate and key: TLS. NULL with *why (mem_free it). */
struct server *server_new(struct loop *l, const char *certificate, const char *key, char **why);
/* Ends all connections at once. Not from inside the running loop. */
void server_free(struct server *s);
bool server_has_tls(const struct server *s);
/* New connections see the new certificate. On failure nothing changes. */
bool server_reload_tls(struct server *s, const char *certificate, const char *key, char **why);
size_t server_connections(const struct server *s);

/* Takes over a connected socket; NULL (and it is closed) when that fails. */
struct conn *server_adopt(struct server *s, int fd, const struct conn_handler *h, void *user);

typedef void conn_cb(void *arg, struct conn *c);
void server_each(struct server *s, conn_cb *cb, void *arg);

void conn_handle(struct conn *c, const struct conn_handler *h, void *user);
const struct conn_handler *conn_handler(const struct conn *c);
void *conn_user(const struct conn *c);

/* Where to append output, followed by conn_push: it leaves before the loop
 * sleeps, at once when it grows. conn_queued counts what waits, here and in
 * libwebsockets. */
struct buf *conn_out(struct conn *c);
void conn_push(struct conn *c);
size_t conn_queued(const struct conn *c);

/* Keeps little in the system's own queue, so that what is pushed next is not
 * behind much that is old. */
void conn_keep_fresh(struct conn *c);

/* No data calls while reading is off; the peer is held back by TCP. */
void conn_read(struct conn *c, bool on);
/* handler->late is called ms from now unless set anew; 0: no limit. */
void conn_deadline(struct conn *c, uint64_t ms);

/* Orderly end: sends what waits, says that nothing follows, throws away what
 * still comes, and closes when the peer has, or after CONN_LINGER_MS. Of the
 * handler only gone will be called. */
void conn_finish(struct conn *c);
bool conn_finishing(const struct conn *c);
/* End without ceremony, through the loop. */
void conn_kill(struct conn *c);

#endif
