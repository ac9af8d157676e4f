/* SPDX-License-Identifier: MIT */
/* checkpoint: when the states are written to the snapshot file, and how a
 * start reads them back. A forked child writes, so that the loop goes on. */
#ifndef LECTERN_CHECKPOINT_H
#define LECTERN_CHECKPOINT_H

#include "base/conf.h"
#include "base/loop.h"
#include "flow/engine.h"

struct checkpoint;

/* engine is borrowed; loaded is the position of the snapshot the start read, 0
 * for none. A child is started by checkpoint_due when
 * conf->snapshot_records records came since the last one. When students may be away,
 * also with the first commit: their indexes name the run that wrote them, and those of
 * the run that wrote the snapshot are trusted up to the journal's end (cold.h). If that
 * was two runs ago, the journal may have been put back between them. */
struct checkpoint *checkpoint_new(struct loop *l, struct engine *e, const struct conf *c,
    uint64_t loaded);
void checkpoint_due(struct checkpoint *k);
/* Writes one now, in this process, after ending a child at work; for the stop. */
void checkpoint_now(struct checkpoint *k);
void checkpoint_status(const struct checkpoint *k, struct jsonw *w);
void checkpoint_free(struct checkpoint *k); /* NULL is allowed */

/* Loads the snapshot of conf->state_dir into a new engine. ERR_OK, or
 * ERR_NOT_FOUND, or ERR_DAMAGED with *why: the engine is then unusable and the
 * caller starts with a fresh one and replays everything. */
enum err checkpoint_load(const struct conf *c, struct engine *e, char **why);

#endif
