/* SPDX-License-Identifier: MIT */
/* writing: the component's descriptor. */
#include "components/writing/writing.h"

static const struct reducer *const writing_reducers[] = {
	&writing_time_on_task,
	&writing_last_document,
	NULL,
};

const struct component component_writing = {
	.name = "writing",
	.title = "Writing",
	.reducers = writing_reducers,
};
