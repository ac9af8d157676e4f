/* SPDX-License-Identifier: MIT */
/* segment: see segment.h. The marks hold 0xff and 0xfe, bytes that no UTF-8
 * text has, so that nothing a student writes can pass for a record when a
 * damaged place is searched for the next one. */
#include "state/segment.h"

#include <assert.h>
#include <endian.h>

static const uint8_t segment_mark[8] = { 0xff, 'L', 'E', 'C', 'T', 'S', 'E', 'G' };
static const uint8_t segment_block_mark[4] = { 0xff, 'B', 'L', 0xfe };
static const uint8_t segment_record_mark[4] = { 0xff, 'R', 'E', 0xfe };

#define SEGMENT_CONTINUED 1u /* flag */
#define SEGMENT_RECORD_VERSION 1

/* Where the fields are. */
enum {
	HEADER_VERSION = 8,
	HEADER_FLAGS = 12,
	HEADER_NUMBER = 16,
	HEADER_NAME_LENGTH = 20,
	HEADER_FIRST_SEQ = 24,
	HEADER_BEFORE_END = 32,
	HEADER_BEFORE = 40,
	HEADER_NAME = 72,
	HEADER_CRC = SEGMENT_HEADER - 4,

	BLOCK_LENGTH = 4,
	BLOCK_FIRST_SEQ = 8,
	BLOCK_COUNT = 16,
	BLOCK_CRC = SEGMENT_BLOCK - 4,

	RECORD_CRC = 4,
	RECORD_CHECKED = 8, /* the checksum begins here, up to the body's end */
	RECORD_LENGTH = 8,
	RECORD_VERSION = 12,
	RECORD_TYPE = 13,
	RECORD_ZERO = 14,
	RECORD_SEQ = 16,
	RECORD_SESSION_ID = 24,
	RECORD_TIME = 32,
};

static void
segment_put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof v);
}

static void
segment_put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof v);
}

static uint32_t
segment_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return le32toh(v);
}

static uint64_t
segment_get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return le64toh(v);
}

/* Whether the n bytes at p end in the checksum of what stands before it. */
static bool
segment_sealed(const uint8_t *p, size_t n)
{
	return crypt_crc32c(0, p, n - 4) == segment_get32(p + n - 4);
}

static void
segment_seal(uint8_t *p, size_t n)
{
	segment_put32(p + n - 4, crypt_crc32c(0, p, n - 4));
}

/* Turns over each bit of the n sealed bytes in turn until the seal matches. Two
 * wrong bits never come out as a false right one: CRC32C keeps sealed texts of
 * this length at least four bits apart. */
static bool
segment_mend(uint8_t *p, size_t n)
{
	for (size_t bit = 0; bit < n * 8; bit++) {
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (segment_sealed(p, n))
			return true;
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	return false;
}

void
segment_header_encode(const struct segment_header *h, uint8_t out[SEGMENT_HEADER])
{
	size_t n = strlen(h->organisation);

	assert(n <= SEGMENT_ORGANISATION);
	memset(out, 0, SEGMENT_HEADER);
	memcpy(out, segment_mark, sizeof segment_mark);
	segment_put32(out + HEADER_VERSION, SEGMENT_VERSION);
	segment_put32(out + HEADER_FLAGS, h->continued ? SEGMENT_CONTINUED : 0);
	segment_put32(out + HEADER_NUMBER, h->number);
	segment_put32(out + HEADER_NAME_LENGTH, (uint32_t)n);
	segment_put64(out + HEADER_FIRST_SEQ, h->first_seq);
	segment_put64(out + HEADER_BEFORE_END, h->before_end);
	memcpy(out + HEADER_BEFORE, h->before, sizeof h->before);
	memcpy(out + HEADER_NAME, h->organisation, n);
	segment_seal(out, SEGMENT_HEADER);
}

/* The fields of a header whose seal matches. What we do not know of yet (a
 * flag, bytes behind the name) makes it another version. */
static bool
segment_header_fields(const uint8_t *p, struct segment_header *out)
{
	static const uint8_t zeros[SEGMENT_HEADER];
	uint32_t flags = segment_get32(p + HEADER_FLAGS);
	uint32_t n = segment_get32(p + HEADER_NAME_LENGTH);

	if (segment_get32(p + HEADER_VERSION) != SEGMENT_VERSION ||
	    (flags & ~SEGMENT_CONTINUED) != 0 || n > SEGMENT_ORGANISATION ||
	    segment_get64(p + HEADER_FIRST_SEQ) == 0 ||
	    segment_get64(p + HEADER_FIRST_SEQ) > SEGMENT_SEQ_MAX ||
	    memchr(p + HEADER_NAME, '\0', n) != NULL ||
	    memcmp(p + HEADER_NAME + n, zeros, HEADER_CRC - HEADER_NAME - n) != 0)
		return false;
	*out = (struct segment_header){
		.number = segment_get32(p + HEADER_NUMBER),
		.continued = flags & SEGMENT_CONTINUED,
		.first_seq = segment_get64(p + HEADER_FIRST_SEQ),
		.before_end = segment_get64(p + HEADER_BEFORE_END),
	};
	memcpy(out->before, p + HEADER_BEFORE, sizeof out->before);
	memcpy(out->organisation, p + HEADER_NAME, n);
	return true;
}

enum segment_state
segment_header_decode(const uint8_t *p, size_t n, struct segment_header *out, uint32_t *version)
{
	uint8_t mended[SEGMENT_HEADER];
	size_t mark = n < sizeof segment_mark ? n : sizeof segment_mark;
	bool ours = memcmp(p, segment_mark, mark) == 0;

	if (n < SEGMENT_HEADER)
		return ours ? SEGMENT_TORN : SEGMENT_FOREIGN;
	memcpy(mended, p, sizeof mended);
	*version = segment_get32(p + HEADER_VERSION);
	if (ours && segment_sealed(p, SEGMENT_HEADER))
		return segment_header_fields(p, out) ? SEGMENT_GOOD : SEGMENT_STRANGE;
	if (segment_mend(mended, SEGMENT_HEADER) &&
	    memcmp(mended, segment_mark, sizeof segment_mark) == 0 &&
	    segment_header_fields(mended, out))
		return SEGMENT_BENT;
	if (!ours)
		return SEGMENT_FOREIGN;
	return *version == SEGMENT_VERSION ? SEGMENT_BROKEN : SEGMENT_STRANGE;
}

void
segment_block_encode(const struct segment_block *b, uint8_t out[SEGMENT_BLOCK])
{
	memcpy(out, segment_block_mark, sizeof segment_block_mark);
	segment_put32(out + BLOCK_LENGTH, b->length);
	segment_put64(out + BLOCK_FIRST_SEQ, b->first_seq);
	segment_put32(out + BLOCK_COUNT, b->count);
	segment_seal(out, SEGMENT_BLOCK);
}

/* An empty block, or one that counts more records than fit, is none. */
static bool
segment_block_fields(const uint8_t *p, struct segment_block *out)
{
	struct segment_block b = {
		.length = segment_get32(p + BLOCK_LENGTH),
		.first_seq = segment_get64(p + BLOCK_FIRST_SEQ),
		.count = segment_get32(p + BLOCK_COUNT),
	};

	*out = b;
	return memcmp(p, segment_block_mark, sizeof segment_block_mark) == 0 &&
	    b.length % SEGMENT_ALIGN == 0 && b.length <= SEGMENT_BLOCK_MAX &&
	    b.length >= SEGMENT_BLOCK + SEGMENT_RECORD + SEGMENT_TRAILER && b.count > 0 &&
	    b.count <= (b.length - SEGMENT_BLOCK - SEGMENT_TRAILER) / SEGMENT_RECORD &&
	    b.first_seq > 0 && b.first_seq <= SEGMENT_SEQ_MAX - b.count;
}

bool
segment_block_decode(const uint8_t p[SEGMENT_BLOCK], struct segment_block *out)
{
	return memcmp(p, segment_block_mark, sizeof segment_block_mark) == 0 &&
	    segment_sealed(p, SEGMENT_BLOCK) && segment_block_fields(p, out);
}

bool
segment_block_begins(const uint8_t *p, size_t n)
{
	return memcmp(p, segment_block_mark,
	    n < sizeof segment_block_mark ? n : sizeof segment_block_mark) == 0;
}

bool
segment_block_mend(uint8_t p[SEGMENT_BLOCK], struct segment_block *out)
{
	return segment_mend(p, SEGMENT_BLOCK) && segment_block_fields(p, out);
}

void
segment_trailer(const uint8_t before[SEGMENT_TRAILER], const uint8_t *block, size_t length,
    uint8_t out[SEGMENT_TRAILER])
{
	struct str pieces[] = {
		{ (const char *)before, SEGMENT_TRAILER },
		{ (const char *)block, length - SEGMENT_TRAILER },
	};

	crypt_sha256(pieces, 2, out);
}

size_t
segment_record_encode(uint8_t *at, const struct record *r, const struct str *pieces, size_t n)
{
	uint8_t *end = at + SEGMENT_RECORD, *pad;

	memcpy(at, segment_record_mark, sizeof segment_record_mark);
	segment_put32(at + RECORD_LENGTH, (uint32_t)r->body.n);
	at[RECORD_VERSION] = SEGMENT_RECORD_VERSION;
	at[RECORD_TYPE] = (uint8_t)r->type;
	at[RECORD_ZERO] = at[RECORD_ZERO + 1] = 0;
	segment_put64(at + RECORD_SEQ, r->seq);
	segment_put64(at + RECORD_SESSION_ID, r->session);
	segment_put64(at + RECORD_TIME, (uint64_t)r->time_us);
	for (size_t i = 0; i < n; i++) {
		if (pieces[i].n > 0)
			memcpy(end, pieces[i].p, pieces[i].n);
		end += pieces[i].n;
	}
	segment_put32(at + RECORD_CRC,
	    crypt_crc32c(0, at + RECORD_CHECKED, (size_t)(end - at) - RECORD_CHECKED));
	pad = at + segment_record_size(r->body.n);
	memset(end, 0, (size_t)(pad - end));
	return (size_t)(pad - at);
}

size_t
segment_record_view(const uint8_t *p, struct record *out)
{
	uint32_t n = segment_get32(p + RECORD_LENGTH);

	*out = (struct record){
		.seq = segment_get64(p + RECORD_SEQ),
		.session = segment_get64(p + RECORD_SESSION_ID),
		.time_us = (int64_t)segment_get64(p + RECORD_TIME),
		.type = (enum record_type)p[RECORD_TYPE],
		.body = { (const char *)p + SEGMENT_RECORD, n },
	};
	return segment_record_size(n);
}

size_t
segment_record_claim(const uint8_t *p)
{
	uint32_t n = segment_get32(p + RECORD_LENGTH);

	if (memcmp(p, segment_record_mark, sizeof segment_record_mark) != 0 ||
	    n > RECORD_BODY_MAX)
		return 0;
	return segment_record_size(n);
}

bool
segment_record_right(const uint8_t *p, size_t size)
{
	struct record r;

	return segment_record_view(p, &r) == size &&
	    segment_get32(p + RECORD_CRC) == crypt_crc32c(0, p + RECORD_CHECKED,
	    SEGMENT_RECORD - RECORD_CHECKED + r.body.n) &&
	    p[RECORD_VERSION] == SEGMENT_RECORD_VERSION &&
	    r.type >= RECORD_SESSION && r.type <= RECORD_STATE &&
	    r.seq > 0 && r.seq < SEGMENT_SEQ_MAX;
}
