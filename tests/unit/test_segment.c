/* SPDX-License-Identifier: MIT */
/* The bytes of a segment: what is written is read again, what is wrong in them
 * is noticed, and they stay what docs/journal.md says they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "state/segment.h"

static struct segment_header
sample_header(void)
{
	struct segment_header h = {
		.number = 7, .continued = true, .first_seq = 1234567890123,
		.before_end = 65536, .organisation = "school.example"
	};

	for (size_t i = 0; i < sizeof h.before; i++)
		h.before[i] = (uint8_t)(i * 7 + 1);
	return h;
}

static void
assert_same_header(const struct segment_header *a, const struct segment_header *b)
{
	assert_int_equal(a->number, b->number);
	assert_int_equal(a->continued, b->continued);
	assert_int_equal(a->first_seq, b->first_seq);
	assert_int_equal(a->before_end, b->before_end);
	assert_memory_equal(a->before, b->before, sizeof a->before);
	assert_string_equal(a->organisation, b->organisation);
}

/* Puts the checksum of a header right again. */
static void
seal_header(uint8_t *p)
{
	uint32_t crc = crypt_crc32c(0, p, SEGMENT_HEADER - 4);

	for (int i = 0; i < 4; i++)
		p[SEGMENT_HEADER - 4 + i] = (uint8_t)(crc >> 8 * i);
}

static void
header_round_trip(void **state)
{
	struct segment_header h = sample_header(), got;
	uint8_t p[SEGMENT_HEADER];
	uint32_t version;

	(void)state;
	segment_header_encode(&h, p);
	assert_int_equal(segment_header_decode(p, sizeof p, &got, &version), SEGMENT_GOOD);
	assert_same_header(&h, &got);
	memset(h.organisation, 'x', SEGMENT_ORGANISATION);
	h.continued = false;
	segment_header_encode(&h, p);
	assert_int_equal(segment_header_decode(p, sizeof p, &got, &version), SEGMENT_GOOD);
	assert_same_header(&h, &got);
}

/* Nobody may change these bytes without a new version. */
static void
header_bytes(void **state)
{
	static const uint8_t start[72] = {
		0xff, 'L', 'E', 'C', 'T', 'S', 'E', 'G', 1, 0, 0, 0, 1, 0, 0, 0,
		7, 0, 0, 0, 14, 0, 0, 0, 0xcb, 0x04, 0xfb, 0x71, 0x1f, 0x01, 0, 0,
		0, 0, 1, 0, 0, 0, 0, 0,
		1, 8, 15, 22, 29, 36, 43, 50, 57, 64, 71, 78, 85, 92, 99, 106,
		113, 120, 127, 134, 141, 148, 155, 162, 169, 176, 183, 190, 197, 204, 211, 218
	};
	struct segment_header h = sample_header();
	uint8_t p[SEGMENT_HEADER];

	(void)state;
	segment_header_encode(&h, p);
	assert_memory_equal(p, start, sizeof start);
	assert_memory_equal(p + 72, "school.example", 15);
	for (size_t i = 86; i < SEGMENT_HEADER - 4; i++)
		assert_int_equal(p[i], 0);
}

static void
header_one_bit_is_mended(void **state)
{
	struct segment_header h = sample_header(), got;
	uint8_t p[SEGMENT_HEADER];
	uint32_t version;

	(void)state;
	segment_header_encode(&h, p);
	for (size_t bit = 0; bit < sizeof p * 8; bit++) {
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(segment_header_decode(p, sizeof p, &got, &version),
		    SEGMENT_BENT);
		assert_same_header(&h, &got);
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void
header_two_bits_are_never_believed(void **state)
{
	struct segment_header h = sample_header(), got;
	uint8_t p[SEGMENT_HEADER];
	uint32_t version;

	(void)state;
	segment_header_encode(&h, p);
	for (size_t a = 0; a < sizeof p * 8; a += 61) {
		for (size_t b = a + 1; b < sizeof p * 8; b += 67) {
			enum segment_state state_of;

			p[a / 8] ^= (uint8_t)(1 << a % 8);
			p[b / 8] ^= (uint8_t)(1 << b % 8);
			state_of = segment_header_decode(p, sizeof p, &got, &version);
			assert_int_not_equal(state_of, SEGMENT_GOOD);
			assert_int_not_equal(state_of, SEGMENT_BENT);
			assert_int_not_equal(state_of, SEGMENT_TORN);
			p[a / 8] ^= (uint8_t)(1 << a % 8);
			p[b / 8] ^= (uint8_t)(1 << b % 8);
		}
	}
}

static void
header_torn_anywhere(void **state)
{
	struct segment_header h = sample_header(), got;
	uint8_t p[SEGMENT_HEADER];
	uint32_t version;

	(void)state;
	segment_header_encode(&h, p);
	for (size_t n = 0; n < sizeof p; n++)
		assert_int_equal(segment_header_decode(p, n, &got, &version), SEGMENT_TORN);
	p[0] = '#';
	for (size_t n = 1; n < sizeof p; n++)
		assert_int_equal(segment_header_decode(p, n, &got, &version), SEGMENT_FOREIGN);
}

static void
header_of_another_kind(void **state)
{
	struct segment_header h = sample_header(), got;
	uint8_t p[SEGMENT_HEADER];
	uint32_t version = 0;

	(void)state;
	segment_header_encode(&h, p);
	p[8] = 2; /* two bits away: with the old checksum, too */
	assert_int_equal(segment_header_decode(p, sizeof p, &got, &version), SEGMENT_STRANGE);
	assert_int_equal(version, 2);
	seal_header(p);
	assert_int_equal(segment_header_decode(p, sizeof p, &got, &version), SEGMENT_STRANGE);
	p[8] = 1;
	p[12] = 3; /* a flag nobody knows */
	seal_header(p);
	assert_int_equal(segment_header_decode(p, sizeof p, &got, &version), SEGMENT_STRANGE);
	p[12] = 1;
	p[200] = 1; /* a field nobody knows */
	seal_header(p);
	assert_int_equal(segment_header_decode(p, sizeof p, &got, &version), SEGMENT_STRANGE);
	p[200] = 0;
	p[21] = 0xff; /* a name longer than there is room */
	seal_header(p);
	assert_int_equal(segment_header_decode(p, sizeof p, &got, &version), SEGMENT_STRANGE);
	memset(p, 0, sizeof p);
	assert_int_equal(segment_header_decode(p, sizeof p, &got, &version), SEGMENT_FOREIGN);
	memset(p, 0xff, sizeof p);
	assert_int_equal(segment_header_decode(p, sizeof p, &got, &version), SEGMENT_FOREIGN);
}

/* ---- blocks ---- */

static void
put_block(uint8_t *p, uint32_t length, uint32_t count, uint64_t first)
{
	struct segment_block b = { .length = length, .count = count, .first_seq = first };

	segment_block_encode(&b, p);
}

static void
block_round_trip(void **state)
{
	struct segment_block got;
	uint8_t p[SEGMENT_BLOCK];

	(void)state;
	put_block(p, 4096, 10, 77);
	assert_memory_equal(p, "\xff" "BL\xfe" "\0\x10\0\0" "M\0\0\0\0\0\0\0" "\n\0\0\0", 20);
	assert_true(segment_block_decode(p, &got));
	assert_int_equal(got.length, 4096);
	assert_int_equal(got.count, 10);
	assert_int_equal(got.first_seq, 77);
	assert_true(segment_block_begins(p, 2));
	assert_true(segment_block_begins(p, 24));
	assert_false(segment_block_begins(p + 1, 3));
}

static void
block_one_bit(void **state)
{
	struct segment_block got;
	uint8_t p[SEGMENT_BLOCK], was[SEGMENT_BLOCK];

	(void)state;
	put_block(was, 4096, 10, 77);
	for (size_t bit = 0; bit < sizeof p * 8; bit++) {
		memcpy(p, was, sizeof p);
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(segment_block_decode(p, &got));
		assert_true(segment_block_mend(p, &got));
		assert_memory_equal(p, was, sizeof p);
		assert_int_equal(got.length, 4096);
	}
	memset(p, 0, sizeof p);
	assert_false(segment_block_mend(p, &got));
}

/* Right checksum, impossible content (C116). */
static void
block_lengths(void **state)
{
	const struct { uint32_t length, count; uint64_t first; bool good; } cases[] = {
		{ 96, 1, 1, true },
		{ 0, 1, 1, false }, { UINT32_MAX, 1, 1, false }, { UINT32_MAX - 7, 1, 1, false },
		{ 88, 1, 1, false }, { 97, 1, 1, false }, { 96, 0, 1, false },
		{ 96, 2, 1, false }, { 136, 2, 1, true }, { 96, UINT32_MAX, 1, false },
		{ 96, 1, 0, false }, { 96, 1, UINT64_MAX, false }, { 96, 1, INT64_MAX, false },
		{ 96, 1, INT64_MAX - 1, true },
		{ SEGMENT_BLOCK_MAX / 8 * 8, 1, 1, true },
		{ SEGMENT_BLOCK_MAX / 8 * 8 + 8, 1, 1, false },
	};
	struct segment_block got;
	uint8_t p[SEGMENT_BLOCK];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		put_block(p, cases[i].length, cases[i].count, cases[i].first);
		assert_int_equal(segment_block_decode(p, &got), cases[i].good);
	}
}

static void
trailer_chains(void **state)
{
	uint8_t before[SEGMENT_TRAILER], block[96], a[SEGMENT_TRAILER], b[SEGMENT_TRAILER];
	struct str whole = { NULL, 0 };
	uint8_t text[SEGMENT_TRAILER + 64];

	(void)state;
	memset(before, 3, sizeof before);
	memset(block, 5, sizeof block);
	memcpy(text, before, sizeof before);
	memcpy(text + sizeof before, block, 64);
	whole = (struct str){ (char *)text, sizeof text };
	crypt_sha256(&whole, 1, a);
	segment_trailer(before, block, sizeof block, b);
	assert_memory_equal(a, b, sizeof a);
	before[31] ^= 1;
	segment_trailer(before, block, sizeof block, b);
	assert_memory_not_equal(a, b, sizeof a);
}

/* ---- records ---- */

static size_t
put_record(uint8_t *p, enum record_type type, uint64_t seq, const char *a, const char *b)
{
	struct str pieces[] = { str_of(a), str_of(b) };
	struct record r = {
		.seq = seq, .session = 5, .time_us = -2, .type = type,
		.body.n = pieces[0].n + pieces[1].n
	};

	return segment_record_encode(p, &r, pieces, 2);
}

static void
record_round_trip(void **state)
{
	static const char *const text[] = { "", "a", "1234567", "12345678", "123456789" };
	uint8_t p[256];
	struct record r;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		for (size_t k = 0; k < 5; k++) {
			size_t n = strlen(text[i]) + strlen(text[k]), size;

			memset(p, 0xaa, sizeof p);
			size = put_record(p, RECORD_EVENT, 9, text[i], text[k]);
			assert_int_equal(size, segment_record_size(n));
			assert_int_equal(size, SEGMENT_RECORD + (n + 7) / 8 * 8);
			for (size_t pad = SEGMENT_RECORD + n; pad < size; pad++)
				assert_int_equal(p[pad], 0);
			assert_int_equal(p[size], 0xaa);
			assert_int_equal(segment_record_claim(p), size);
			assert_true(segment_record_right(p, size));
			assert_false(segment_record_right(p, size + 8));
			assert_int_equal(segment_record_view(p, &r), size);
			assert_int_equal(r.seq, 9);
			assert_int_equal(r.session, 5);
			assert_int_equal(r.time_us, -2);
			assert_int_equal(r.type, RECORD_EVENT);
			assert_int_equal(r.body.n, n);
			assert_memory_equal(r.body.p, text[i], strlen(text[i]));
			assert_memory_equal(r.body.p + strlen(text[i]), text[k], strlen(text[k]));
		}
	}
}

static void
record_bytes(void **state)
{
	static const uint8_t want[48] = {
		0xff, 'R', 'E', 0xfe, 0, 0, 0, 0, 3, 0, 0, 0, 1, 2, 0, 0,
		9, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0,
		0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'a', 'b', 'c', 0, 0, 0, 0, 0
	};
	uint32_t crc = crypt_crc32c(0, want + 8, 35);
	uint8_t p[48];

	(void)state;
	assert_int_equal(put_record(p, RECORD_SESSION_END, 9, "ab", "c"), 48);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(p[4 + i], (uint8_t)(crc >> 8 * i));
		p[4 + i] = 0;
	}
	assert_memory_equal(p, want, sizeof want);
}

static void
record_one_bit(void **state)
{
	uint8_t p[64];
	size_t size = put_record(p, RECORD_SESSION, 9, "some", "thing"), body = 9;

	(void)state;
	for (size_t bit = 0; bit < size * 8; bit++) {
		bool padding = bit / 8 >= SEGMENT_RECORD + body;
		bool right;

		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		right = segment_record_claim(p) == size && segment_record_right(p, size);
		assert_int_equal(right, padding); /* the block's hash covers the padding */
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void
record_lengths(void **state)
{
	const struct { uint32_t length; size_t claim; } cases[] = {
		{ 0, 40 }, { 1, 48 }, { UINT32_MAX, 0 }, { UINT32_MAX - 7, 0 },
		{ RECORD_BODY_MAX, SEGMENT_RECORD + RECORD_BODY_MAX },
		{ RECORD_BODY_MAX + 1, 0 },
	};
	uint8_t p[64];

	(void)state;
	put_record(p, RECORD_EVENT, 1, "", "");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (int k = 0; k < 4; k++)
			p[8 + k] = (uint8_t)(cases[i].length >> 8 * k);
		assert_int_equal(segment_record_claim(p), cases[i].claim);
	}
}

/* Right checksum, but nothing this version writes. */
static void
record_of_another_kind(void **state)
{
	uint8_t p[64];
	size_t size;

	(void)state;
	size = put_record(p, (enum record_type)0, 1, "x", "");
	assert_false(segment_record_right(p, size));
	size = put_record(p, (enum record_type)5, 1, "x", "");
	assert_false(segment_record_right(p, size));
	size = put_record(p, RECORD_EVENT, 0, "x", "");
	assert_false(segment_record_right(p, size));
	size = put_record(p, RECORD_EVENT, UINT64_MAX, "x", "");
	assert_false(segment_record_right(p, size));
	size = put_record(p, RECORD_EVENT, INT64_MAX, "x", "");
	assert_false(segment_record_right(p, size));
	size = put_record(p, RECORD_EVENT, INT64_MAX - 1, "x", "");
	assert_true(segment_record_right(p, size));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_round_trip),
		cmocka_unit_test(header_bytes),
		cmocka_unit_test(header_one_bit_is_mended),
		cmocka_unit_test(header_two_bits_are_never_believed),
		cmocka_unit_test(header_torn_anywhere),
		cmocka_unit_test(header_of_another_kind),
		cmocka_unit_test(block_round_trip),
		cmocka_unit_test(block_one_bit),
		cmocka_unit_test(block_lengths),
		cmocka_unit_test(trailer_chains),
		cmocka_unit_test(record_round_trip),
		cmocka_unit_test(record_bytes),
		cmocka_unit_test(record_one_bit),
		cmocka_unit_test(record_lengths),
		cmocka_unit_test(record_of_another_kind),
	};

	return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
