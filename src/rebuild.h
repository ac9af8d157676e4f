/* SPDX-License-Identifier: MIT */
/* rebuild: folds the states of some students anew from the whole journal, in a child,
 * and gives them to the engine: for those whose stored states do not count. */
#ifndef LECTERN_REBUILD_H
#define LECTERN_REBUILD_H

#include "base/conf.h"
#include "base/loop.h"
#include "flow/engine.h"

struct rebuild;

/* done: the states are in, as of this position, or they are not. The students are
 * those of cold_rebuild_begin. Everything is borrowed. */
typedef void rebuild_done_cb(void *arg, uint64_t position, bool ok);
struct rebuild *rebuild_new(struct loop *l, struct engine *e, const struct conf *c,
    struct str pseudonym_key, rebuild_done_cb *done, void *arg);
/* Begins; false when no child can be made. One at a time. */
bool rebuild_start(struct rebuild *b);
void rebuild_free(struct rebuild *b); /* ends the child; NULL is allowed */

#endif
