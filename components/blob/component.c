/* SPDX-License-Identifier: MIT */
/* blob: the component's descriptor. */
#include "components/blob/blob.h"

static const struct reducer *const blob_reducers[] = {
	&blob_state_blob,
	NULL,
};

const struct component component_blob = {
	.name = "blob",
	.title = "Saved blobs",
	.reducers = blob_reducers,
};
