/* SPDX-License-Identifier: MIT */
/* external: descriptors of reducers that run elsewhere. Their states are JSON
 * texts that a producer publishes; here they are kept as they came. */
#ifndef LECTERN_FLOW_EXTERNAL_H
#define LECTERN_FLOW_EXTERNAL_H

#include "components/reducer.h"

/* A new descriptor, mem_alloc'ed, for external_free. Of `like`, which may be NULL,
 * are id, key, source, events, scope and version; id and scope (ends with NULL,
 * sorted) are then not looked at. All strings are borrowed. */
struct reducer *external_new(const struct reducer *like, const char *id,
    const char *const *scope);
void external_free(struct reducer *r);

#endif
