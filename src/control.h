/* SPDX-License-Identifier: MIT */
/* control: the Unix socket of lecternctl: one request line, an answer, close. */
#ifndef LECTERN_CONTROL_H
#define LECTERN_CONTROL_H

#include "base/buf.h"
#include "base/loop.h"

struct control;

struct control_peer;

/* What may be asked; the table ends with a NULL name. Either answers at once, or
 * later, which calls control_reply through the loop, unless the socket was freed
 * meanwhile. */
struct control_request {
	const char *name;
	void (*answer)(void *arg, struct buf *out);
	void (*later)(void *arg, struct control_peer *peer);
};
void control_reply(struct control_peer *p, struct str answer);

/* Listens on path (mode 0600), replacing a socket nobody answers on. NULL with
 * *why (mem_free it). */
struct control *control_new(struct loop *l, const char *path,
    const struct control_request *requests, void *arg, char **why);
void control_free(struct control *c); /* removes the socket; NULL is allowed */

#endif
