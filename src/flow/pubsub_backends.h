/* SPDX-License-Identifier: MIT */
/* The backends behind pubsub.h, one file each; pubsub.c lists them. */
#ifndef LECTERN_FLOW_PUBSUB_BACKENDS_H
#define LECTERN_FLOW_PUBSUB_BACKENDS_H

#include "flow/pubsub.h"

extern const struct pubsub_backend pubsub_memory;
extern const struct pubsub_backend pubsub_redis;

#endif
