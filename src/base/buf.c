/* SPDX-License-Identifier: MIT */
/* buf: growing bytes with a hard cap. One byte more than asked for is always
 * kept, so that buf_take and buf_printf have room for their NUL. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

#define BUF_FIRST 64 /* bytes of the first allocation */

static size_t
buf_max(const struct buf *b)
{
	return b->max == 0 || b->max > BUF_MAX ? BUF_MAX : b->max;
}

static void
buf_grow(struct buf *b, size_t need)
{
	size_t cap = b->cap ? b->cap : BUF_FIRST;

	while (cap < need)
		cap *= 2;
	if (cap > buf_max(b) + 1)
		cap = buf_max(b) + 1;
	b->data = mem_realloc(b->data, cap);
	b->cap = cap;
}

char *
buf_room(struct buf *b, size_t n)
{
	size_t max = buf_max(b);

	if (b->len > max || n > max - b->len) {
		b->failed = true;
		return NULL;
	}
	if (b->cap < b->len + n + 1)
		buf_grow(b, b->len + n + 1);
	return b->data + b->len;
}

void
buf_free(struct buf *b)
{
	mem_free(b->data);
	*b = BUF_INIT(b->max);
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

enum err
buf_add(struct buf *b, const void *p, size_t n)
{
	char *at = buf_room(b, n);

	if (at == NULL)
		return ERR_FULL;
	if (n > 0)
		memcpy(at, p, n);
	b->len += n;
	return ERR_OK;
}

enum err
buf_str(struct buf *b, struct str s)
{
	return buf_add(b, s.p, s.n);
}

enum err
buf_z(struct buf *b, const char *z)
{
	return buf_add(b, z, strlen(z));
}

enum err
buf_byte(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

/* The first attempt goes straight into the spare room, which mostly suffices;
 * otherwise it has told how much is needed. */
enum err
buf_printf(struct buf *b, const char *fmt, ...)
{
	size_t spare = b->cap - b->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(spare ? b->data + b->len : NULL, spare, fmt, ap);
	va_end(ap);
	if (n < 0 || buf_room(b, (size_t)n) == NULL) {
		b->failed = true;
		return ERR_FULL;
	}
	if ((size_t)n >= spare) {
		va_start(ap, fmt);
		vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	b->len += (size_t)n;
	return ERR_OK;
}

void
buf_shift(struct buf *b, size_t n)
{
	b->len -= n;
	if (b->len > 0 && n > 0)
		memmove(b->data, b->data + n, b->len);
}

char *
buf_take(struct buf *b)
{
	char *p = mem_realloc(b->data, b->len + 1);

	p[b->len] = '\0';
	*b = BUF_INIT(b->max);
	return p;
}
