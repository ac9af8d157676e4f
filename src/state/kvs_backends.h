/* SPDX-License-Identifier: MIT */
/* The backends behind kvs.h, one file each; kvs.c lists them. */
#ifndef LECTERN_STATE_KVS_BACKENDS_H
#define LECTERN_STATE_KVS_BACKENDS_H

#include "state/kvs.h"

extern const struct kvs_backend kvs_memory, kvs_disk, kvs_redis, kvs_redis_ephemeral;

#endif
