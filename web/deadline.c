/* SPDX-License-Identifier: MIT */
/* deadline: a hashed wheel. A limit further away than one turn of the wheel
 * stays in its slot until its own tick comes round. */
#include "web/deadline.h"

#include "base/mem.h"

#define DEADLINE_SLOTS 256

TAILQ_HEAD(deadline_slot, deadline);

struct deadlines {
	struct loop *loop;
	struct loop_timer *timer;
	uint64_t swept; /* the last tick that was looked at */
	size_t n;
	struct deadline_slot slots[DEADLINE_SLOTS];
};

static uint64_t
deadline_now(const struct deadlines *ds)
{
	return loop_now_ms(ds->loop) / DEADLINE_TICK_MS;
}

/* Calls take place one by one from the head: each may change the slot. */
static void
deadline_sweep_slot(struct deadlines *ds, uint64_t tick)
{
	struct deadline_slot *slot = &ds->slots[tick % DEADLINE_SLOTS];
	struct deadline *d = TAILQ_FIRST(slot);

	while (d != NULL) {
		if (d->tick > tick) {
			d = TAILQ_NEXT(d, link);
			continue;
		}
		deadline_clear(ds, d);
		d->cb(d->arg);
		d = TAILQ_FIRST(slot);
	}
}

static void
deadline_sweep_cb(void *arg)
{
	struct deadlines *ds = arg;
	uint64_t now = deadline_now(ds);

	while (ds->swept < now && ds->n > 0)
		deadline_sweep_slot(ds, ++ds->swept);
	if (ds->n == 0)
		loop_timer_stop(ds->timer);
}

struct deadlines *
deadlines_new(struct loop *l)
{
	struct deadlines *ds;

	MEM_NEW(ds);
	ds->loop = l;
	ds->timer = loop_timer_new(l, deadline_sweep_cb, ds);
	for (size_t i = 0; i < DEADLINE_SLOTS; i++)
		TAILQ_INIT(&ds->slots[i]);
	return ds;
}

void
deadlines_free(struct deadlines *ds)
{
	if (ds == NULL)
		return;
	loop_timer_free(ds->timer);
	mem_free(ds);
}

void
deadline_set(struct deadlines *ds, struct deadline *d, uint64_t ms)
{
	uint64_t now = deadline_now(ds);

	deadline_clear(ds, d);
	if (ds->n++ == 0) {
		ds->swept = now;
		if (!loop_timer_armed(ds->timer))
			loop_timer_every(ds->timer, DEADLINE_TICK_MS);
	}
	/* one tick for the part of the present one that is over */
	d->tick = now + 1 + (ms + DEADLINE_TICK_MS - 1) / DEADLINE_TICK_MS;
	TAILQ_INSERT_TAIL(&ds->slots[d->tick % DEADLINE_SLOTS], d, link);
}

void
deadline_clear(struct deadlines *ds, struct deadline *d)
{
	if (d->tick == 0)
		return;
	TAILQ_REMOVE(&ds->slots[d->tick % DEADLINE_SLOTS], d, link);
	d->tick = 0;
	ds->n--;
}
