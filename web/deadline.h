/* SPDX-License-Identifier: MIT */
/* deadline: thousands of time limits with one timer: a wheel of slots, swept
 * while any limit is set. Late by up to DEADLINE_TICK_MS, never early. */
#ifndef LECTERN_WEB_DEADLINE_H
#define LECTERN_WEB_DEADLINE_H

#include <sys/queue.h>

#include "base/loop.h"

#define DEADLINE_TICK_MS 250

struct deadlines;

/* Lives inside what it guards; cleared to zero at the start but for cb, arg. */
struct deadline {
	TAILQ_ENTRY(deadline) link;
	uint64_t tick; /* 0: not set */
	loop_cb *cb;   /* may set or clear any deadline, this one too */
	void *arg;
};

struct deadlines *deadlines_new(struct loop *l);
void deadlines_free(struct deadlines *ds); /* none may be set */

/* Sets it anew, ms from now. */
void deadline_set(struct deadlines *ds, struct deadline *d, uint64_t ms);
void deadline_clear(struct deadlines *ds, struct deadline *d);

#endif
