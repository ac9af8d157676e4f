/* SPDX-License-Identifier: MIT */
/* table: all components of this build. A new one is one line here. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "components/activity/activity.h"
#include "components/blob/blob.h"
#include "components/reducer.h"
#include "components/writing/writing.h"

const struct component *const component_table[] = {
	&component_activity,
	&component_blob,
	&component_writing,
	NULL,
};

const struct reducer *const *
component_reducers(void)
{
	static const struct reducer *all[COMPONENT_REDUCERS_MAX + 1];
	size_t n = 0;

	if (all[0] != NULL)
		return all;
	for (size_t i = 0; component_table[i] != NULL; i++) {
		for (const struct reducer *const *r = component_table[i]->reducers; *r != NULL; r++) {
			assert(n < COMPONENT_REDUCERS_MAX);
			all[n++] = *r;
		}
	}
	return all;
}

const struct reducer **
reducers_copy(const struct reducer *const *reducers)
{
	const struct reducer **copy;
	size_t n = 0;

	while (reducers[n] != NULL)
		n++;
	copy = mem_alloc((n + 1) * sizeof *copy);
	memcpy(copy, reducers, (n + 1) * sizeof *copy);
	return copy;
}
