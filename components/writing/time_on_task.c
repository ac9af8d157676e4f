/* SPDX-License-Identifier: MIT */
/* writing.time_on_task: how long a student has been busy with a document: the
 * time between events, of which a pause counts only its first minute. The
 * state's JSON is that of Learning Observer's reducer of the same name. */
#include <math.h>

#include "components/writing/writing.h"

#define TIME_ON_TASK_PAUSE_US ((int64_t)60 * 1000000) /* a longer gap counts as this */
#define TIME_ON_TASK_MAX_S 4e9 /* 2096; whole microseconds up to here are exact in doubles */

/* Whole microseconds, so that adding up many small gaps loses nothing. */
struct time_on_task {
	int64_t total_us;
	int64_t saved_us; /* time of the last event */
	bool saved;       /* there was one */
};

/* Learning Observer lets a clock that steps back take time away; here such a
 * gap counts nothing, and the next one counts from the new time. */
static int64_t
time_on_task_gap(const struct time_on_task *t, int64_t now)
{
	if (!t->saved || now < t->saved_us)
		return 0;
	if (now - t->saved_us > TIME_ON_TASK_PAUSE_US)
		return TIME_ON_TASK_PAUSE_US;
	return now - t->saved_us;
}

static enum reduced
time_on_task_reduce(void *state, const struct event *e)
{
	struct time_on_task *t = state;
	int64_t now = event_time_us(e);

	if (t->saved && now == t->saved_us)
		return REDUCED_SAME;
	t->total_us += time_on_task_gap(t, now);
	t->saved_us = now;
	t->saved = true;
	return REDUCED_CHANGED;
}

static void
time_on_task_encode(const void *state, struct jsonw *w)
{
	const struct time_on_task *t = state;

	jsonw_object(w);
	jsonw_key(w, "saved_ts");
	if (t->saved)
		jsonw_double(w, (double)t->saved_us / 1e6);
	else
		jsonw_null(w);
	jsonw_kdouble(w, "total_time_on_task", (double)t->total_us / 1e6);
	jsonw_object_end(w);
}

static bool
time_on_task_us(struct json object, const char *key, int64_t *us)
{
	struct json v;
	double seconds;

	if (!json_get(object, key, &v) || !json_double(v, &seconds))
		return false;
	if (!(fabs(seconds) <= TIME_ON_TASK_MAX_S))
		return false;
	*us = llround(seconds * 1e6);
	return true;
}

static bool
time_on_task_decode(void *state, struct json v)
{
	struct time_on_task *t = state;
	struct json saved;

	if (!json_get(v, "saved_ts", &saved) || !time_on_task_us(v, "total_time_on_task", &t->total_us))
		return false;
	t->saved = json_type(saved) != JSON_NULL;
	return !t->saved || time_on_task_us(v, "saved_ts", &t->saved_us);
}

const struct reducer writing_time_on_task = {
	REDUCER_HEADER,
	.id = "writing.time_on_task",
	.key_id = "writing_observer.writing_analysis.time_on_task",
	.source = WRITING_SOURCE,
	.scope = { "doc_id" },
	.version = 1,
	.size = sizeof(struct time_on_task),
	.reduce = time_on_task_reduce,
	.encode = time_on_task_encode,
	.decode = time_on_task_decode,
};
