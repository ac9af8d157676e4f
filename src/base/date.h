/* SPDX-License-Identifier: MIT */
/* date: a day or a moment as people write it in a configuration. Pure. */
#ifndef LECTERN_BASE_DATE_H
#define LECTERN_BASE_DATE_H

#include <stdint.h>

#include "base/str.h"

#define DATE_DAY_US (INT64_C(86400) * 1000000)

/* Reads "2026-12-24" or "2026-12-24T08:30:00Z", both in UTC and not before 1970;
 * false for anything else. *us is the moment, or the day's first, in microseconds
 * since 1970; *day says whether it was a day. */
bool date_read(struct str text, int64_t *us, bool *day);

#endif
