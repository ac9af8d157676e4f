/* SPDX-License-Identifier: MIT */
/* What the tests of the hub share that have students whose states are not in memory:
 * a store, a keep that leaves one student in memory, and a loop that is run until
 * something is so. */
#ifndef LECTERN_TESTS_HUB_AWAY_H
#define LECTERN_TESTS_HUB_AWAY_H

#include "flow/keep.h"
#include "tests/unit/hub_world.h"

static struct kvs *kvs;
static struct keep *keep;

static void
away_spread_cb(void *arg)
{
	(void)arg;
	hub_spread(hub);
}

static bool
away_rebuild_cb(void *arg)
{
	(void)arg;
	fail_msg("the store has everything");
	return false;
}

static void
away_begin(const char *text)
{
	struct kvs_options ko = { 0 };
	struct keep_options o = { .limit = 1, .spread = away_spread_cb, .rebuild = away_rebuild_cb };
	char *why = NULL;

	world_cold = true;
	world_open(text);
	o.loop = ko.loop = loop;
	kvs = kvs_open("memory", &ko, &why);
	o.engine = engine;
	o.kvs = kvs;
	keep = keep_new(&o);
}

static void
away_end(void)
{
	hub_free(hub);
	hub = NULL;
	keep_free(keep);
	kvs_close(kvs);
	world_close();
	world_cold = false;
}

static void
away_look_cb(void *arg)
{
	bool (*cond)(void) = *(bool (**)(void))arg;

	if (cond())
		loop_stop(loop);
}

static void
away_vain_cb(void *arg)
{
	(void)arg;
	fail_msg("waited in vain");
}

static void
until(bool (*cond)(void))
{
	struct loop_timer *look = loop_timer_new(loop, away_look_cb, &cond);
	struct loop_timer *vain = loop_timer_new(loop, away_vain_cb, NULL);

	loop_timer_every(look, 1);
	loop_timer_once(vain, 60000);
	if (!cond())
		loop_run(loop);
	loop_timer_free(look);
	loop_timer_free(vain);
}

static bool
one_is_hot(void)
{
	return cold_hot(engine) <= 1;
}

static bool
all_are_hot(void)
{
	return cold_count(engine) == 0;
}

/* Everybody but the one who came last is away. */
static void
settle(void)
{
	hub_spread(hub);
	keep_flush(keep);
	until(one_is_hot);
}

#endif
