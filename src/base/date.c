/* SPDX-License-Identifier: MIT */
/* date: see date.h. */
#include "base/date.h"

#include <time.h>

/* As text; '0' stands for any digit. */
#define DATE_DAY "0000-00-00"
#define DATE_MOMENT "0000-00-00T00:00:00Z"

static bool
date_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
date_looks_like(struct str s, const char *shape)
{
	if (s.n != strlen(shape))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (shape[i] == '0' ? !date_is_digit(s.p[i]) : s.p[i] != shape[i])
			return false;
	return true;
}

static int
date_number(const char *p, size_t n)
{
	int v = 0;

	while (n-- > 0)
		v = 10 * v + *p++ - '0';
	return v;
}

bool
date_read(struct str s, int64_t *us, bool *day)
{
	struct tm t = { 0 }, same;
	time_t seconds;

	*day = date_looks_like(s, DATE_DAY);
	if (!*day && !date_looks_like(s, DATE_MOMENT))
		return false;
	t.tm_year = date_number(s.p, 4) - 1900;
	t.tm_mon = date_number(s.p + 5, 2) - 1;
	t.tm_mday = date_number(s.p + 8, 2);
	if (!*day) {
		t.tm_hour = date_number(s.p + 11, 2);
		t.tm_min = date_number(s.p + 14, 2);
		t.tm_sec = date_number(s.p + 17, 2);
	}
	same = t;
	seconds = timegm(&same); /* which makes a 31 April the 1 May */
	*us = (int64_t)seconds * 1000000;
	return seconds >= 0 && same.tm_mon == t.tm_mon && same.tm_mday == t.tm_mday &&
	    same.tm_hour == t.tm_hour && same.tm_min == t.tm_min && same.tm_sec == t.tm_sec;
}
