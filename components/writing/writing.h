/* SPDX-License-Identifier: MIT */
/* writing: what a student writes, from Learning Observer's writing extension. */
#ifndef LECTERN_COMPONENTS_WRITING_H
#define LECTERN_COMPONENTS_WRITING_H

#include "components/reducer.h"

#define WRITING_SOURCE "org.mitros.writing_analytics"

extern const struct component component_writing;
extern const struct reducer writing_time_on_task;
extern const struct reducer writing_last_document;

#endif
