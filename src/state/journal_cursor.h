/* SPDX-License-Identifier: MIT */
/* journal_cursor: reading a journal bit by bit while it is being written. Touches
 * nothing of the loop: for the pool. */
#ifndef LECTERN_STATE_JOURNAL_CURSOR_H
#define LECTERN_STATE_JOURNAL_CURSOR_H

#include "state/journal.h"

struct journal_cursor;

/* Reads the records behind `after` up to `until`, which must be durable. The
 * sessions they lean on are given, too, also from before. NULL with *why. */
struct journal_cursor *journal_cursor_open(const char *dir, const char *organisation,
    uint64_t after, uint64_t until, char **why);

/* Gives records in their order until the callback answers false, which it is
 * not asked again about. ERR_OK; ERR_NOT_FOUND: that was the last one; ERR_IO
 * with *why. Damaged records are left out. */
typedef bool journal_cursor_cb(void *arg, const struct record *r);
enum err journal_cursor_read(struct journal_cursor *c, journal_cursor_cb *cb, void *arg,
    char **why);
void journal_cursor_close(struct journal_cursor *c); /* NULL is allowed */

#endif
