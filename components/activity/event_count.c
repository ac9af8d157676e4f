/* SPDX-License-Identifier: MIT */
/* activity.event_count: how many events a student has sent. */
#include "components/activity/activity.h"

struct event_count {
	int64_t count;
};

static enum reduced
event_count_reduce(void *state, const struct event *e)
{
	struct event_count *c = state;

	(void)e;
	c->count++;
	return REDUCED_CHANGED;
}

static void
event_count_encode(const void *state, struct jsonw *w)
{
	const struct event_count *c = state;

	jsonw_object(w);
	jsonw_kint(w, "count", c->count);
	jsonw_object_end(w);
}

static bool
event_count_decode(void *state, struct json v)
{
	struct event_count *c = state;
	struct json count;

	return json_get(v, "count", &count) && json_int(count, &c->count) && c->count >= 0;
}

const struct reducer activity_event_count = {
	REDUCER_HEADER,
	.id = "activity.event_count",
	.version = 1,
	.size = sizeof(struct event_count),
	.reduce = event_count_reduce,
	.encode = event_count_encode,
	.decode = event_count_decode,
};
