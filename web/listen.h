/* SPDX-License-Identifier: MIT */
/* listen: the listening socket: binds it, says in words why it cannot, and
 * hands out accepted sockets. Knows nothing of what is spoken on them. */
#ifndef LECTERN_WEB_LISTEN_H
#define LECTERN_WEB_LISTEN_H

#include <sys/socket.h>

#include "base/loop.h"

struct listener;

/* A connected, non-blocking socket; the callee owns fd. */
typedef void listen_cb(void *arg, int fd, const struct sockaddr *peer);

/* address is numeric. NULL with *why (mem_free it): which address and port, what
 * is wrong, what to do. */
struct listener *listener_new(struct loop *l, const char *address, long port, listen_cb *cb,
    void *arg, char **why);
void listener_free(struct listener *ls); /* NULL is allowed */

#endif
