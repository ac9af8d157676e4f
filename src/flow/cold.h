/* SPDX-License-Identifier: MIT */
/* cold: students whose states are not in memory but in a store only. All states of
 * a student go out and come back together. In memory stay who it is, how many
 * states there are, which journal position they include, and a digest of them.
 *
 * Beside the values the store has an index for each student: what the values are,
 * with their hashes, under the organisation's key. States are taken back only when
 * the index is the one that we know, or a later one that the run before this wrote,
 * and every value fits its hash. Whatever else the store answers, the journal wins:
 * the states are folded anew (rebuild.h).
 *
 * Records for a cold student wait until the states are there; what has no place in
 * that queue is folded anew from the journal, too. Nobody else waits. This file
 * knows no store: keep.h does. */
#ifndef LECTERN_FLOW_COLD_H
#define LECTERN_FLOW_COLD_H

#include "flow/engine.h"

#define COLD_WAITING_MAX ((size_t)256 << 10) /* bytes of records that wait for one student */
#define COLD_WAITING_ALL ((size_t)64 << 20)  /* for all of them */
#define COLD_INDEX_PREFIX "lectern:student:"

/* Whether the engine has any such students, and how many; for how many of them
 * records wait. While there are any, the engine's states are not those of its
 * position: no snapshot, no digest. */
bool cold_is_on(const struct engine *e);
size_t cold_count(const struct engine *e);
size_t cold_waiting(const struct engine *e);
size_t cold_hot(const struct engine *e); /* students with states in memory */

/* ---- out ---- */

/* Calls cb with the index of each student of whom all is flushed, after
 * engine_flush_dirty and as part of the same flush. Of more than max bytes it comes
 * without text: it is not to be stored, and its student stays. */
typedef void cold_index_cb(void *arg, struct str key, struct str index);
void cold_indexes(struct engine *e, size_t max, cold_index_cb *cb, void *arg);

/* Lets go of the states of the students that were used least recently, of at most
 * `max`, until no more than `limit` are in memory. Who has a session, a subscriber,
 * a state of an external reducer, one that cannot be stored, or something that the
 * store has not confirmed stays. Returns how many went. */
size_t cold_evict(struct engine *e, size_t limit, size_t max);

/* ---- back ---- */

/* The replay is over: from now on states can be fetched. */
void cold_begin(struct engine *e);
/* Called when a student is wanted, from anywhere: to be noted only. */
void cold_on_wanted(struct engine *e, void (*cb)(void *arg), void *arg);
/* Called when a student's states are back and what waited is folded. */
typedef void cold_warm_cb(void *arg, struct student *t);
void cold_on_warm(struct engine *e, cold_warm_cb *cb, void *arg);

/* Has the student's states fetched, if they are away. */
void cold_want(struct engine *e, struct student *t);
/* The next one to fetch, or NULL; to be given back by cold_again when that did not
 * work out. */
struct student *cold_next(struct engine *e);
void cold_again(struct engine *e, struct student *t);

/* Where a student's index is. */
void cold_index_key(const struct student *t, struct buf *out);

/* One student on the way back. NULL with *why when the index does not count (text
 * empty: there is none). */
struct cold_load;
struct cold_load *cold_load_new(struct engine *e, struct student *t, struct str text,
    const char **why);
size_t cold_load_size(const struct cold_load *l);
struct str cold_load_key(const struct cold_load *l, size_t at);
/* Takes a value; false when it is not the one the index means. Each once. */
bool cold_load_value(struct cold_load *l, size_t at, struct str json);
/* With all values there: the states are back; frees it. false when what waits does
 * not begin where the states end: the student is still away. */
bool cold_load_done(struct cold_load *l);
void cold_load_free(struct cold_load *l); /* NULL is allowed */

/* ---- anew ---- */

/* These students are now folded anew, up to the position the engine has. */
void cold_rebuild_begin(struct engine *e, struct student *const *v, size_t n);
bool cold_is_rebuilding(struct engine *e, struct str student);
/* snapshot_entry_cb, arg is the engine: takes what belongs to them. */
enum err cold_rebuild_entry(void *engine, uint8_t kind, struct str key, struct str value);
/* Their states are back, as of that position; or they are not (ok is false). */
void cold_rebuild_end(struct engine *e, struct student *const *v, size_t n, uint64_t position,
    bool ok);

/* ---- waiting ---- */

/* Somebody who needs the states of some students at once; they stay in memory until
 * the wait is freed, also from inside its callback. */
struct cold_wait;
struct cold_wait *cold_wait_new(struct engine *e);
void cold_wait_for(struct cold_wait *w, struct student *t);
/* cb is called when the last of them is back, if cold_wait_over is not true yet. */
void cold_wait_calls(struct cold_wait *w, void (*cb)(void *arg), void *arg);
bool cold_wait_over(const struct cold_wait *w);
void cold_wait_free(struct cold_wait *w); /* NULL is allowed */

#endif
