/* SPDX-License-Identifier: MIT */
/* throttle: how often something may be tried, by key: so many times at once, and
 * then once in a while. Bounded, whoever chooses the keys. */
#ifndef LECTERN_WEB_THROTTLE_H
#define LECTERN_WEB_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define THROTTLE_KEYS_MAX 65536 /* keys told apart; more share one */

struct throttle;

/* burst tries at once, and one more every so many milliseconds. */
struct throttle *throttle_new(unsigned burst, uint64_t every_ms);
void throttle_free(struct throttle *t); /* NULL is allowed */
/* Counts one try; false when it is one too many, which is not counted. */
bool throttle_take(struct throttle *t, struct str key, uint64_t now_ms);
/* The last try does not count after all. */
void throttle_give_back(struct throttle *t, struct str key);

#endif
