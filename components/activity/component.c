/* SPDX-License-Identifier: MIT */
/* activity: the component's descriptor. */
#include "components/activity/activity.h"

static const struct reducer *const activity_reducers[] = {
	&activity_event_count,
	&activity_last_active,
	NULL,
};

const struct component component_activity = {
	.name = "activity",
	.title = "Activity of any source",
	.reducers = activity_reducers,
};
