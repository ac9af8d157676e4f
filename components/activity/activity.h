/* SPDX-License-Identifier: MIT */
/* activity: that a student does something at all, whatever the source. */
#ifndef LECTERN_COMPONENTS_ACTIVITY_H
#define LECTERN_COMPONENTS_ACTIVITY_H

#include "components/reducer.h"

extern const struct component component_activity;
extern const struct reducer activity_event_count;
extern const struct reducer activity_last_active;

#endif
