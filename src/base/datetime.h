/* SPDX-License-Identifier: MIT */
/* datetime: dates as XMPP spells them (XEP-0082). */
#ifndef LECTERN_BASE_DATETIME_H
#define LECTERN_BASE_DATETIME_H

#include <stdbool.h>
#include <stdint.h>

#define DATETIME_SIZE 32 /* of a date as text, NUL included */

/* A DateTime (§3.2) in microseconds since 1970. The seconds may be missing, as
 * in XEP-0060's own examples. */
bool datetime_read(const char *text, int64_t *out);
/* In UTC; milliseconds where there are any. */
void datetime_write(int64_t us, char out[DATETIME_SIZE]);

#endif
