/* SPDX-License-Identifier: MIT */
/* Every load of a roster, of whichever backend, through a place where it is delayed or
 * fails as long as the test likes. Programs with it are linked with
 * --wrap=roster_load. */
#ifndef LECTERN_TESTS_ROSTER_FAULT_H
#define LECTERN_TESTS_ROSTER_FAULT_H

#include <stdbool.h>
#include <stddef.h>

enum roster_fault {
	ROSTER_FAULT_NONE,
	ROSTER_FAULT_LATE, /* what was read is given back only when this is over */
	ROSTER_FAULT_FAIL  /* what was read is thrown away */
};
#define ROSTER_FAULT_WHY "the source was lost while it was read"

/* For all loads from now on; those that wait go on. */
void roster_fault_set(enum roster_fault how);
/* Loads that have read their source and wait; how many loads began; and the most of
 * them that were under way at once. */
size_t roster_fault_waiting(void);
size_t roster_fault_loads(void);
size_t roster_fault_most(void);

#endif
