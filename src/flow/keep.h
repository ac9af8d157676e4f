/* SPDX-License-Identifier: MIT */
/* keep: the engine's states and their store. Writes what changed behind, lets go of
 * students beyond a bound, and brings back whose states are wanted. With the store
 * out of reach nothing goes and what is away waits; everything else goes on. */
#ifndef LECTERN_FLOW_KEEP_H
#define LECTERN_FLOW_KEEP_H

#include "base/jsonw.h"
#include "base/loop.h"
#include "flow/engine.h"
#include "state/kvs.h"

struct keep;

struct keep_options {
	struct loop *loop;
	struct engine *engine; /* after its replay; made with .cold when limit > 0 */
	struct kvs *kvs;
	size_t limit;          /* students with states in memory; 0: all */
	unsigned hurry;        /* for tests: pauses are so many times shorter; 0: as they are */
	/* States have changed outside of a commit. */
	void (*spread)(void *arg);
	/* Folds the students of whom cold_is_rebuilding says so anew from the journal up
	 * to the engine's position, and calls keep_rebuilt some time later; false when that
	 * cannot be begun now. */
	bool (*rebuild)(void *arg);
	void *arg;
};

struct keep *keep_new(const struct keep_options *o);
void keep_rebuilt(struct keep *k, uint64_t position, bool ok);
/* Writes behind now what is dirty, not only when the clock says so. */
void keep_flush(struct keep *k);
/* Before a stop: stores what is left. To be called again until it says true: all is
 * stored, or the store is in trouble. */
bool keep_finish(struct keep *k);
void keep_status(const struct keep *k, struct jsonw *w);
void keep_free(struct keep *k); /* before the kvs is closed; NULL is allowed */

#endif
