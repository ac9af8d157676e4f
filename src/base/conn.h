/* SPDX-License-Identifier: MIT */
/* conn: bytes to and from one server: resolving, connecting, reading,
 * writing. Knows no protocol. The process must ignore SIGPIPE. */
#ifndef LECTERN_BASE_CONN_H
#define LECTERN_BASE_CONN_H

#include "base/buf.h"
#include "base/loop.h"

struct conn;

/* Splits "host:port", "[address]:port", "host" (then *port is `standard`) or
 * "unix:/path" into what conn_new takes. *host is for the caller to mem_free,
 * also when it does not read, which is false. */
bool conn_address(const char *address, int standard, char **host, int *port);

/* Called through the loop, never inside conn_new; conn_free is allowed in each. */
struct conn_ops {
	void (*open)(void *arg);
	void (*bytes)(void *arg, struct str bytes);
	void (*written)(void *arg);
	/* The last call; why is a static sentence. */
	void (*lost)(void *arg, bool was_open, const char *why);
};

/* Connects to host and port, or to a Unix socket when host starts with "/".
 * Every address of the host is tried in turn; with loopback_only those that are
 * no loopback addresses are passed over, whatever the host is called. */
struct conn *conn_new(struct loop *l, const char *host, int port, bool loopback_only,
    const struct conn_ops *ops, void *arg);
/* Takes the bytes; the buf is empty afterwards. Not before `open`, and one at
 * a time: the next after `written`. */
void conn_send(struct conn *c, struct buf *bytes);
void conn_free(struct conn *c); /* NULL is allowed; no call comes after it */

#endif
