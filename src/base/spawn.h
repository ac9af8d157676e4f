/* SPDX-License-Identifier: MIT */
/* spawn: runs a program of ours beside the daemon: a text on its standard input,
 * its exit status back, bounded in time. */
#ifndef LECTERN_BASE_SPAWN_H
#define LECTERN_BASE_SPAWN_H

#include "base/loop.h"
#include "base/str.h"

struct spawn;
/* status is that of exit(3); -1 when the program could not run, was killed by a
 * signal or took too long. */
typedef void spawn_cb(void *arg, int status);

/* argv[0] is the program's path. It has an empty environment, input to read, nowhere
 * to write, our standard error, and what else is open without O_CLOEXEC. input is
 * copied, and wiped when it is written. The answer comes through the loop, once. */
struct spawn *spawn_run(struct loop *l, const char *const *argv, struct str input,
    uint64_t limit_ms, spawn_cb *cb, void *arg);
/* Kills it; nobody is called. Only before the answer. */
void spawn_kill(struct spawn *s);

#endif
