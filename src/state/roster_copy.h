/* SPDX-License-Identifier: MIT */
/* roster_copy: the roster that was read last from a source that may be away, kept in
 * the state folder, so that a start without the source goes on where the daemon
 * ended: with the same students under the same ids, and the same readers. */
#ifndef LECTERN_STATE_ROSTER_COPY_H
#define LECTERN_STATE_ROSTER_COPY_H

#include "state/roster.h"

/* Puts r in the place of the copy, on the disk when it returns; when that fails there
 * is none any more. It is of this source alone: backend, o->domain and o->conf say
 * which. A backend whose source cannot be away has none, nor leaves another one's.
 * Waits for the disk; touches nothing but its arguments. ERR_OK, or *why
 * (mem_free it). */
enum err roster_copy_put(const char *backend, const struct roster_options *o,
    const struct roster *r, char **why);

/* The copy as a roster, and when it was put there; NULL when there is none of this
 * source, with *why (mem_free it) if there should be. */
struct roster *roster_copy_get(const char *backend, const struct roster_options *o,
    int64_t *put_s, char **why);

#endif
