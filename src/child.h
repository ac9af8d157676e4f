/* SPDX-License-Identifier: MIT */
/* child: forked children that work on a copy-on-write picture of the daemon's
 * memory, so that the loop goes on: the writer of snapshots, and the folder of
 * states anew. */
#ifndef LECTERN_CHILD_H
#define LECTERN_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* Forks and runs work(arg) in the child, whose exit status says whether it
 * answered true. It has no descriptors but the standard ones, takes no signal but
 * SIGKILL, and ends with us. The child's id, or -1 with errno. */
pid_t child_start(bool (*work)(void *arg), void *arg);

enum child_end { CHILD_RUNS, CHILD_DONE, CHILD_FAILED };
/* How the child is; waits for its end when `block`. For a handler of SIGCHLD. */
enum child_end child_reap(pid_t child, bool block);

#endif
