/* SPDX-License-Identifier: MIT */
/* datetime: see datetime.h. */
#include "base/datetime.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Exactly `digits` digits at *at, which moves behind them. */
static bool
datetime_digits(const char **at, int digits, int *out)
{
	*out = 0;
	for (; digits > 0; digits--, (*at)++) {
		if (**at < '0' || **at > '9')
			return false;
		*out = 10 * *out + (**at - '0');
	}
	return true;
}

static bool
datetime_mark(const char **at, char c)
{
	return *(*at)++ == c;
}

/* "Z" or "+hh:mm", "-hh:mm" as seconds east. */
static bool
datetime_zone(const char **at, int *east)
{
	char sign = *(*at)++;
	int hours, minutes;

	*east = 0;
	if (sign == 'Z')
		return true;
	if ((sign != '+' && sign != '-') || !datetime_digits(at, 2, &hours) ||
	    !datetime_mark(at, ':') || !datetime_digits(at, 2, &minutes) || hours > 14 ||
	    minutes > 59)
		return false;
	*east = (hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
	return true;
}

static bool
datetime_fits(const struct tm *t)
{
	struct tm copy = *t;

	/* timegm brings 31 February into March: then it was none. */
	return t->tm_mon >= 0 && t->tm_mday >= 1 && timegm(&copy) != (time_t)-1 &&
	    copy.tm_mday == t->tm_mday && copy.tm_mon == t->tm_mon && t->tm_hour < 24 &&
	    t->tm_min < 60 && t->tm_sec < 61;
}

/* ":ss" and ".fraction", both or the first or none. */
static bool
datetime_seconds(const char **at, int *seconds, int *us)
{
	int scale = 100000;

	*seconds = *us = 0;
	if (**at != ':')
		return true;
	(*at)++;
	if (!datetime_digits(at, 2, seconds))
		return false;
	if (**at != '.')
		return true;
	(*at)++;
	if (**at < '0' || **at > '9')
		return false;
	for (; **at >= '0' && **at <= '9'; (*at)++, scale /= 10)
		*us += scale * (**at - '0');
	return true;
}

bool
datetime_read(const char *at, int64_t *out)
{
	struct tm t = { 0 };
	int east, us;

	if (!datetime_digits(&at, 4, &t.tm_year) || !datetime_mark(&at, '-') ||
	    !datetime_digits(&at, 2, &t.tm_mon) || !datetime_mark(&at, '-') ||
	    !datetime_digits(&at, 2, &t.tm_mday) || !datetime_mark(&at, 'T') ||
	    !datetime_digits(&at, 2, &t.tm_hour) || !datetime_mark(&at, ':') ||
	    !datetime_digits(&at, 2, &t.tm_min) || !datetime_seconds(&at, &t.tm_sec, &us))
		return false;
	t.tm_year -= 1900;
	t.tm_mon -= 1;
	if (!datetime_fits(&t) || !datetime_zone(&at, &east) || *at != '\0')
		return false;
	*out = ((int64_t)timegm(&t) - east) * 1000000 + us;
	return true;
}

void
datetime_write(int64_t us, char out[DATETIME_SIZE])
{
	time_t at = (time_t)(us / 1000000);
	int ms = (int)(us / 1000 % 1000);
	char date[DATETIME_SIZE / 2 + 4];
	struct tm t;

	out[0] = '\0';
	if (gmtime_r(&at, &t) == NULL || strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &t) == 0)
		return;
	if (ms > 0)
		snprintf(out, DATETIME_SIZE, "%s.%03dZ", date, ms);
	else
		snprintf(out, DATETIME_SIZE, "%sZ", date);
}
