/* SPDX-License-Identifier: MIT */
/* buf: growing bytes with a hard cap. */
#ifndef LECTERN_BASE_BUF_H
#define LECTERN_BASE_BUF_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct buf {
	char *data;  /* owned; NULL while cap is 0 */
	size_t len;
	size_t cap;
	size_t max;  /* append fails beyond; 0 or more than BUF_MAX means BUF_MAX */
	bool failed; /* an append hit the cap since the last buf_clear */
};

#define BUF_MAX ((size_t)1 << 30)
#define BUF_INIT(limit) ((struct buf){ .max = (limit) })

void buf_free(struct buf *b);   /* releases and zeroes; the cap stays */
void buf_clear(struct buf *b);  /* keeps the memory */

/* Each appends wholly or not at all: ERR_OK, or ERR_FULL which also sets
 * b->failed, so that a run of appends can be checked once at its end. */
enum err buf_add(struct buf *b, const void *p, size_t n);
enum err buf_str(struct buf *b, struct str s);
enum err buf_z(struct buf *b, const char *z);
enum err buf_byte(struct buf *b, char c);
enum err buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Room for n more bytes at the returned place, or NULL beyond the cap, which
 * also sets b->failed; the caller writes there and then adds to len itself. */
char *buf_room(struct buf *b, size_t n);

/* Drops n bytes from the front (n <= len). */
void buf_shift(struct buf *b, size_t n);

/* Hands the NUL-terminated bytes to the caller, who mem_free()s them; the buf
 * is empty afterwards. */
char *buf_take(struct buf *b);

static inline struct str
buf_view(const struct buf *b)
{
	return (struct str){ b->data, b->len };
}

#endif
