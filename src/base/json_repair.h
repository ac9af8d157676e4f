/* SPDX-License-Identifier: MIT */
/* json_repair: rewrites what simdjson refuses although JSON.stringify emits
 * it: lone surrogate escapes and integers of more than 64 bits. Only json.cc
 * needs it, and only after a parse failed. */
#ifndef LECTERN_BASE_JSON_REPAIR_H
#define LECTERN_BASE_JSON_REPAIR_H

#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Copies text to out (text.n bytes), on the way
 *  - every \uD800..\uDFFF escape in a string that is not half of a pair
 *    becomes \ufffd;
 *  - every integer that fits neither int64_t nor uint64_t has its last two
 *    digits replaced by "e2": a double of the same value for any number that
 *    JSON.stringify writes (at most 17 of its digits are not 0), at most one
 *    unit in the last place lower for others.
 * The text need not be valid; nothing invalid becomes valid. Returns how many
 * places were rewritten. */
size_t json_repair(struct str text, char *out);

#ifdef __cplusplus
}
#endif

#endif
