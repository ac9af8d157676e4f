/* SPDX-License-Identifier: MIT */
/* json_repair: see json_repair.h. Knows the letters of JSON, nothing of
 * parsers; every rewrite keeps its length. */
#include "base/json_repair.h"

#include <stdint.h>

#define REPAIR_ESCAPE 6 /* bytes of \uXXXX */

/* The code unit of a \uXXXX escape at p, or -1 when there is none. */
static int32_t
repair_code_unit(const char *p, const char *end)
{
	int32_t unit = 0;

	if (end - p < REPAIR_ESCAPE || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (int i = 2; i < REPAIR_ESCAPE; i++) {
		char c = p[i], low = (char)(c | 0x20);
		if (c >= '0' && c <= '9')
			unit = unit << 4 | (c - '0');
		else if (low >= 'a' && low <= 'f')
			unit = unit << 4 | (low - 'a' + 10);
		else
			return -1;
	}
	return unit;
}

/* Handles the escape at p, a backslash: how many bytes it takes. */
static size_t
repair_escape(char *p, const char *end, size_t *changed)
{
	int32_t unit = repair_code_unit(p, end), next;

	if (unit < 0)
		return end - p < 2 ? 1 : 2;
	if (unit < 0xd800 || unit > 0xdfff)
		return REPAIR_ESCAPE;
	next = unit < 0xdc00 ? repair_code_unit(p + REPAIR_ESCAPE, end) : -1;
	if (next >= 0xdc00 && next <= 0xdfff)
		return 2 * (size_t)REPAIR_ESCAPE;
	memcpy(p + 2, "fffd", 4);
	++*changed;
	return REPAIR_ESCAPE;
}

/* Handles the string whose opening quote is at p; answers the byte after it. */
static char *
repair_string(char *p, const char *end, size_t *changed)
{
	for (p++; p < end && *p != '"';)
		p += *p == '\\' ? repair_escape(p, end, changed) : 1;
	return p < end ? p + 1 : p;
}

static bool
repair_is_number_byte(char c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' ||
	    c == 'e' || c == 'E';
}

/* Whether the digits, without leading zero, are beyond 64 bits. */
static bool
repair_overflows(const char *p, const char *end, bool negative)
{
	uint64_t value = 0, max = negative ? (uint64_t)INT64_MAX + 1 : UINT64_MAX;

	for (; p < end; p++) {
		uint64_t digit = (uint64_t)(*p - '0');
		if (value > (max - digit) / 10)
			return true;
		value = value * 10 + digit;
	}
	return false;
}

/* Handles the number-like run at p; answers the byte after it. */
static char *
repair_number(char *p, const char *end, size_t *changed)
{
	bool negative = *p == '-', integer = true;
	char *first = p + negative, *q = p;

	for (; q < end && repair_is_number_byte(*q); q++)
		if (q >= first && (*q < '0' || *q > '9'))
			integer = false;
	if (integer && q > first && *first != '0' && repair_overflows(first, q, negative)) {
		memcpy(q - 2, "e2", 2);
		++*changed;
	}
	return q;
}

size_t
json_repair(struct str text, char *out)
{
	char *p = out, *end = out + text.n;
	size_t changed = 0;

	if (text.n > 0)
		memcpy(out, text.p, text.n);
	while (p < end) {
		if (*p == '"')
			p = repair_string(p, end, &changed);
		else if (repair_is_number_byte(*p))
			p = repair_number(p, end, &changed);
		else
			p++;
	}
	return changed;
}
