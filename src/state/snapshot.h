/* SPDX-License-Identifier: MIT */
/* snapshot: a file of entries with the journal position they include, so that
 * a start replays only the tail. Written to a temporary file, fsynced, renamed,
 * folder fsynced; closed by a SHA-256. The journal always wins: a snapshot that
 * does not verify is reported and ignored. */
#ifndef LECTERN_STATE_SNAPSHOT_H
#define LECTERN_STATE_SNAPSHOT_H

#include "base/buf.h"

struct snapshot_writer;

/* begin: NULL with *why on failure. add: kind is the caller's; errors are kept
 * and answered by commit. commit and abort free the writer. */
struct snapshot_writer *snapshot_begin(const char *path, const char *organisation,
    uint64_t position, char **why);
void snapshot_add(struct snapshot_writer *w, uint8_t kind, struct str key, struct str value);
enum err snapshot_commit(struct snapshot_writer *w, char **why);
void snapshot_abort(struct snapshot_writer *w);

typedef enum err snapshot_entry_cb(void *arg, uint8_t kind, struct str key, struct str value);

/* Verifies the whole file first, then gives every entry. ERR_NOT_FOUND when
 * there is none; ERR_DAMAGED or ERR_INVALID with *why; or the callback's error,
 * which stops the reading. */
enum err snapshot_load(const char *path, const char *organisation, uint64_t *position,
    snapshot_entry_cb *cb, void *arg, char **why);

#endif
