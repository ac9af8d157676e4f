/* SPDX-License-Identifier: MIT */
/* blob: what clients save with save_blob and fetch again; never published. */
#ifndef LECTERN_COMPONENTS_BLOB_H
#define LECTERN_COMPONENTS_BLOB_H

#include "components/reducer.h"

extern const struct component component_blob;
extern const struct reducer blob_state_blob;

#endif
