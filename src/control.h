/* SPDX-License-Identifier: MIT */
/* control: the Unix socket of lecternctl: one request line, an answer, close. */
#ifndef LECTERN_CONTROL_H
#define LECTERN_CONTROL_H

#include "base/loop.h"
#include "daemon.h"

struct control;

/* Listens on path (mode 0600), replacing a socket nobody answers on. NULL with
 * *why (mem_free it). */
struct control *control_new(struct loop *l, const char *path, struct daemon *d, char **why);
void control_free(struct control *c); /* removes the socket; NULL is allowed */

#endif
