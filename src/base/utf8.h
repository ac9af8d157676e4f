/* SPDX-License-Identifier: MIT */
/* utf8: one character at a time, strictly (RFC 3629: no overlong forms, no
 * surrogates, nothing beyond U+10FFFF). */
#ifndef LECTERN_BASE_UTF8_H
#define LECTERN_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define UTF8_BAD 0xfffd /* what stands for bytes that are not UTF-8 */

/* Reads the character at the start of p[0..n), n > 0, and returns its length
 * in bytes. For bytes that are no character *ok is 0, *c is UTF8_BAD and the
 * length is that of the longest beginning of a character, at least 1. */
static inline size_t
utf8_next(const char *p, size_t n, uint32_t *c, int *ok)
{
	const unsigned char *u = (const unsigned char *)p;
	unsigned char lead = u[0], low = 0x80, high = 0xbf;
	size_t i, more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0x80;

	*c = lead < 0x80 ? lead : lead & (0x3fu >> more);
	*ok = lead < 0x80 || (lead >= 0xc2 && lead <= 0xf4);
	if (lead == 0xe0)
		low = 0xa0;
	else if (lead == 0xf0)
		low = 0x90;
	else if (lead == 0xed)
		high = 0x9f;
	else if (lead == 0xf4)
		high = 0x8f;
	for (i = 1; *ok && i <= more; i++) {
		if (i >= n || u[i] < low || u[i] > high) {
			*ok = 0;
			break;
		}
		*c = *c << 6 | (u[i] & 0x3fu);
		low = 0x80;
		high = 0xbf;
	}
	if (!*ok)
		*c = UTF8_BAD;
	return i;
}

#endif
