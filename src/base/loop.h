/* SPDX-License-Identifier: MIT */
/* loop: owns the one libuv loop: time, timers, deferred calls, work for the
 * pool, signals, descriptors of other libraries, and the hooks run before the
 * loop sleeps. Rooms that need sockets of their own (base/conn, web/server, the
 * control socket) take loop_uv(). */
#ifndef LECTERN_BASE_LOOP_H
#define LECTERN_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
typedef void loop_cb(void *arg);

struct loop *loop_new(void);
/* Runs until loop_stop, or until nothing is left that could wake it (signals
 * and hooks alone do not keep it). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* Runs what was deferred, pool jobs under way and pending closes, then frees
 * the loop. Timers, hooks and foreign handles must have been freed before. */
void loop_free(struct loop *l);

/* The uv_loop_t, for the adapters named above. */
void *loop_uv(struct loop *l);

/* Wall clock in microseconds since 1970, never going back within a process
 * (a clock set back stands still until it has caught up). */
int64_t loop_wall_us(struct loop *l);
/* Monotonic milliseconds. */
uint64_t loop_now_ms(struct loop *l);

/* Timer: one object, armed again and again. cb is called through the loop. */
struct loop_timer;
struct loop_timer *loop_timer_new(struct loop *l, loop_cb *cb, void *arg);
void loop_timer_once(struct loop_timer *t, uint64_t ms);
void loop_timer_every(struct loop_timer *t, uint64_t ms);
void loop_timer_stop(struct loop_timer *t);
bool loop_timer_armed(const struct loop_timer *t);
void loop_timer_free(struct loop_timer *t); /* NULL is allowed; cb never fires again */

/* How long to wait before the next attempt after `tries` failed ones: `ms`
 * doubled with each up to `most`, less up to half of it by chance, so that many
 * who lost the same server do not come back at once. */
uint64_t loop_backoff(uint64_t ms, unsigned tries, uint64_t most);

/* Calls cb once in the next turn. */
void loop_defer(struct loop *l, loop_cb *cb, void *arg);

/* Registers a hook run at the end of every turn, before the loop sleeps, in
 * the order of registration. For whatever gathers during a turn (Redis calls
 * this beforeSleep). */
struct loop_hook;
struct loop_hook *loop_before_sleep(struct loop *l, loop_cb *cb, void *arg);
void loop_hook_free(struct loop_hook *h);

/* Runs work(arg) in libuv's pool, then done(arg) on the loop. work must touch
 * nothing that the loop touches meanwhile. */
void loop_pool(struct loop *l, loop_cb *work, loop_cb *done, void *arg);

/* Watches a descriptor that somebody else owns, such as a library's socket. cb
 * is called as long as what is wanted holds; trouble with the descriptor counts
 * as both. Nothing is wanted at first. Free it before the descriptor is closed. */
struct loop_poll;
typedef void loop_poll_cb(void *arg, bool readable, bool writable);
struct loop_poll *loop_poll_new(struct loop *l, int fd, loop_poll_cb *cb, void *arg);
void loop_poll_want(struct loop_poll *p, bool readable, bool writable);
void loop_poll_free(struct loop_poll *p); /* NULL is allowed; cb never fires again */

/* Calls cb(arg) on the loop for each delivery of a signal. */
void loop_signal(struct loop *l, int signum, loop_cb *cb, void *arg);

#endif
