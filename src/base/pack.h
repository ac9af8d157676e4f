/* SPDX-License-Identifier: MIT */
/* pack: little-endian numbers and counted strings into a buf and back, for
 * what goes to disk. A run of reads is checked once, at its end. */
#ifndef LECTERN_BASE_PACK_H
#define LECTERN_BASE_PACK_H

#include <endian.h>
#include <stdint.h>

#include "base/buf.h"

static inline void
pack_u8(struct buf *out, uint8_t v)
{
	buf_add(out, &v, sizeof v);
}

static inline void
pack_u16(struct buf *out, uint16_t v)
{
	v = htole16(v);
	buf_add(out, &v, sizeof v);
}

static inline void
pack_u32(struct buf *out, uint32_t v)
{
	v = htole32(v);
	buf_add(out, &v, sizeof v);
}

static inline void
pack_u64(struct buf *out, uint64_t v)
{
	v = htole64(v);
	buf_add(out, &v, sizeof v);
}

/* Four bytes of length, then the bytes. */
static inline void
pack_str(struct buf *out, struct str s)
{
	pack_u32(out, (uint32_t)s.n);
	buf_str(out, s);
}

/* Reads from the front of `left`. What is not there reads as 0 or empty and
 * sets failed. */
struct unpack {
	struct str left;
	bool failed;
};

static inline struct str
unpack_bytes(struct unpack *u, size_t n)
{
	struct str s = { u->left.p, n };

	if (n > u->left.n) {
		*u = (struct unpack){ .failed = true };
		return (struct str){ 0 };
	}
	if (n > 0)
		u->left.p += n; /* p may be NULL when nothing is there */
	u->left.n -= n;
	return s;
}

static inline void
unpack_into(struct unpack *u, void *v, size_t n)
{
	struct str s = unpack_bytes(u, n);

	if (s.n > 0)
		memcpy(v, s.p, n);
}

static inline uint8_t
unpack_u8(struct unpack *u)
{
	uint8_t v = 0;

	unpack_into(u, &v, sizeof v);
	return v;
}

static inline uint16_t
unpack_u16(struct unpack *u)
{
	uint16_t v = 0;

	unpack_into(u, &v, sizeof v);
	return le16toh(v);
}

static inline uint32_t
unpack_u32(struct unpack *u)
{
	uint32_t v = 0;

	unpack_into(u, &v, sizeof v);
	return le32toh(v);
}

static inline uint64_t
unpack_u64(struct unpack *u)
{
	uint64_t v = 0;

	unpack_into(u, &v, sizeof v);
	return le64toh(v);
}

static inline struct str
unpack_str(struct unpack *u)
{
	return unpack_bytes(u, unpack_u32(u));
}

#endif
