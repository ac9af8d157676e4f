/* SPDX-License-Identifier: MIT */
/* segment: the bytes of a journal segment, pure encoding and decoding of what
 * is in memory. Opens no file, knows no journal. docs/journal.md says the same
 * in words; all numbers little-endian, everything starts on 8 bytes:
 *
 *     segment header, block, block, ...
 *     block = block header, record, record, ..., SHA-256 trailer */
#ifndef LECTERN_STATE_SEGMENT_H
#define LECTERN_STATE_SEGMENT_H

#include "base/crypt.h"
#include "state/journal.h"

#define SEGMENT_VERSION 1
#define SEGMENT_HEADER 512      /* bytes of a segment's header */
#define SEGMENT_ORGANISATION 255 /* longest name of an organisation */
#define SEGMENT_BLOCK 24        /* bytes of a block's header */
#define SEGMENT_RECORD 40       /* bytes of a record's header */
#define SEGMENT_TRAILER CRYPT_SHA256
#define SEGMENT_ALIGN 8
#define SEGMENT_SLACK 64        /* readable bytes behind whatever is decoded */
#define SEGMENT_SEQ_MAX ((uint64_t)INT64_MAX) /* more is no sequence number */

/* A block gathers records until it holds this much, so it is at most one
 * record longer; a longer one is no block of ours. */
#define SEGMENT_BLOCK_FULL ((size_t)8 << 20)
#define SEGMENT_BLOCK_MAX                                                      \
	(SEGMENT_BLOCK_FULL + RECORD_BODY_MAX + SEGMENT_RECORD + SEGMENT_TRAILER + SEGMENT_ALIGN)

struct segment_header {
	uint32_t number;      /* as in the file's name */
	bool continued;       /* its records may lean on sessions of the segment before */
	uint64_t first_seq;   /* no record of this segment has a lower one */
	uint64_t before_end;  /* bytes of the segment before that belong to the journal */
	uint8_t before[SEGMENT_TRAILER]; /* trailer of the last block before; zeros: none */
	char organisation[SEGMENT_ORGANISATION + 1];
};

enum segment_state {
	SEGMENT_GOOD,
	SEGMENT_BENT,    /* one bit was wrong; the header given is right again */
	SEGMENT_TORN,    /* shorter than a header, and the beginning of one */
	SEGMENT_BROKEN,  /* ours, but its checksum does not match */
	SEGMENT_STRANGE, /* ours, but of another version */
	SEGMENT_FOREIGN  /* no segment of ours */
};

void segment_header_encode(const struct segment_header *h, uint8_t out[SEGMENT_HEADER]);
/* n: bytes at p, SEGMENT_HEADER or fewer when the file ends there. *out is set
 * for GOOD and BENT, *version for STRANGE. */
enum segment_state segment_header_decode(const uint8_t *p, size_t n,
    struct segment_header *out, uint32_t *version);

struct segment_block {
	uint32_t length;    /* of the whole block, header and trailer included */
	uint32_t count;     /* records */
	uint64_t first_seq; /* of its first record */
};

void segment_block_encode(const struct segment_block *b, uint8_t out[SEGMENT_BLOCK]);
bool segment_block_decode(const uint8_t p[SEGMENT_BLOCK], struct segment_block *out);
/* Whether the n bytes at p may be the beginning of a block's header. */
bool segment_block_begins(const uint8_t *p, size_t n);
/* As decode, but one wrong bit in p is put right, in p. */
bool segment_block_mend(uint8_t p[SEGMENT_BLOCK], struct segment_block *out);

/* The trailer of a block: SHA-256 over the trailer before, header and records. */
void segment_trailer(const uint8_t before[SEGMENT_TRAILER], const uint8_t *block,
    size_t length, uint8_t out[SEGMENT_TRAILER]);

/* Bytes of a record with a body of n bytes. */
static inline size_t
segment_record_size(size_t n)
{
	return SEGMENT_RECORD + ((n + SEGMENT_ALIGN - 1) & ~(size_t)(SEGMENT_ALIGN - 1));
}

/* Writes the record at `at`, its body (r->body.n bytes; r->body.p is not
 * looked at) made of n pieces. Returns segment_record_size(r->body.n). */
size_t segment_record_encode(uint8_t *at, const struct record *r, const struct str *pieces,
    size_t n);
/* The record at p, which is known to be whole. Returns its size. */
size_t segment_record_view(const uint8_t *p, struct record *out);
/* Size of the record that seems to start at p[0..SEGMENT_RECORD), or 0. */
size_t segment_record_claim(const uint8_t *p);
/* Whether the `size` bytes at p (see claim) are a whole and right record. */
bool segment_record_right(const uint8_t *p, size_t size);

#endif
