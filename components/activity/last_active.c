/* SPDX-License-Identifier: MIT */
/* activity.last_active: when the server last received an event of a student,
 * in seconds since 1970. */
#include "components/activity/activity.h"

struct last_active {
	double seconds;
};

/* A clock that steps back makes no student less recently active. */
static enum reduced
last_active_reduce(void *state, const struct event *e)
{
	struct last_active *l = state;
	double now = event_time(e);

	if (now <= l->seconds)
		return REDUCED_SAME;
	l->seconds = now;
	return REDUCED_CHANGED;
}

static void
last_active_encode(const void *state, struct jsonw *w)
{
	const struct last_active *l = state;

	jsonw_object(w);
	jsonw_kdouble(w, "last_active", l->seconds);
	jsonw_object_end(w);
}

static bool
last_active_decode(void *state, struct json v)
{
	struct last_active *l = state;
	struct json seconds;

	return json_get(v, "last_active", &seconds) && json_double(seconds, &l->seconds);
}

const struct reducer activity_last_active = {
	REDUCER_HEADER,
	.id = "activity.last_active",
	.version = 1,
	.size = sizeof(struct last_active),
	.reduce = last_active_reduce,
	.encode = last_active_encode,
	.decode = last_active_decode,
};
