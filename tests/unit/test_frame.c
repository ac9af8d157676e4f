/* SPDX-License-Identifier: MIT */
/* The frame decoder: the rows C20 to C34 of the list of bad inputs, each given
 * whole, split at every byte and byte by byte; and what the encoder writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "web/frame.h"

#define LIMIT 1000
#define FRAGMENTS 4

/* A client's frame: b0 as on the wire, masked. */
static void
put_frame(struct buf *b, int b0, const void *payload, size_t n)
{
	static const uint8_t mask[4] = { 0xa1, 0x02, 0xf3, 0x44 };
	uint8_t head[14] = { (uint8_t)b0, 0x80 };
	size_t size = 2, i;

	if (n < 126) {
		head[1] |= (uint8_t)n;
	} else if (n < 65536) {
		head[1] |= 126;
		head[size++] = (uint8_t)(n >> 8);
		head[size++] = (uint8_t)n;
	} else {
		head[1] |= 127;
		for (i = 0; i < 8; i++)
			head[size++] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
	}
	memcpy(head + size, mask, 4);
	buf_add(b, head, size + 4);
	for (i = 0; i < n; i++)
		buf_byte(b, (char)(((const uint8_t *)payload)[i] ^ mask[i % 4]));
}

static void
put_z(struct buf *b, int b0, const char *payload)
{
	put_frame(b, b0, payload, strlen(payload));
}

/* ---- running a decoder over pieces ---- */

/* Takes what a decoder gives down as text: "text(..) ping(..) bad(1002)". */
static void
note(struct buf *out, enum frame_kind kind, const struct frame *f)
{
	static const char *const names[] = { "more", "text", "ping", "pong", "close", "bad" };

	if (out->len > 0)
		buf_z(out, " ");
	if (kind == FRAME_BAD)
		buf_printf(out, "bad(%d)", f->code);
	else if (kind == FRAME_CLOSE)
		buf_printf(out, "close(%d%.*s)", f->code, STR_ARG(f->payload));
	else
		buf_printf(out, "%s(%.*s)", names[kind], STR_ARG(f->payload));
}

/* Every piece in an allocation of its own, of exactly its size: a read beyond
 * it is seen by the sanitizer. */
static bool
feed(struct frame_reader *r, const char *p, size_t n, struct buf *out)
{
	char *copy = mem_alloc(n);
	volatile char sink;
	struct frame_input in = { memcpy(copy, p, n), n };
	enum frame_kind kind;
	struct frame f;
	bool going = true;

	while (going && (kind = frame_next(r, &in, &f)) != FRAME_MORE) {
		note(out, kind, &f);
		for (size_t i = 0; kind == FRAME_TEXT && i < FRAME_SLACK; i++)
			sink = f.payload.p[f.payload.n + i];
		going = kind != FRAME_BAD && kind != FRAME_CLOSE;
	}
	if (going)
		assert_int_equal(in.n, 0);
	(void)sink;
	mem_free(copy);
	return going;
}

static void
run(const struct buf *wire, size_t cut, size_t step, struct buf *out)
{
	struct frame_reader r;
	size_t at = 0, n = cut;
	bool going = true;

	buf_clear(out);
	buf_z(out, "");
	frame_reader_init(&r, LIMIT, FRAGMENTS);
	while (going && at < wire->len) {
		if (n > wire->len - at)
			n = wire->len - at;
		going = feed(&r, wire->data + at, n, out);
		at += n;
		n = step;
	}
	if (going && frame_unfinished(&r))
		buf_z(out, out->len ? " ..." : "...");
	frame_reader_free(&r);
}

static void
expect(struct buf *wire, const char *expected)
{
	struct buf out = BUF_INIT(0);

	for (size_t cut = 1; cut <= wire->len; cut++) {
		run(wire, cut, wire->len, &out);
		assert_int_equal(out.len, strlen(expected));
		assert_memory_equal(out.data, expected, out.len);
	}
	run(wire, 1, 1, &out);
	assert_int_equal(out.len, strlen(expected));
	assert_memory_equal(out.data, expected, out.len);
	buf_free(&out);
	buf_clear(wire);
}

/* ---- rows ---- */

static void
row_bytes(const char *bytes, size_t n, const char *expected)
{
	struct buf b = BUF_INIT(0);

	buf_add(&b, bytes, n);
	expect(&b, expected);
	buf_free(&b);
}
#define ROW_BYTES(lit, expected) row_bytes(lit, sizeof(lit) - 1, expected)

static void
test_plain(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	put_z(&b, 0x81, "{\"event\":\"a\"}");
	expect(&b, "text({\"event\":\"a\"})");
	put_z(&b, 0x81, "");
	expect(&b, "text()");
	put_z(&b, 0x81, "one");
	put_z(&b, 0x81, "two");
	put_z(&b, 0x8a, "late");
	put_z(&b, 0x81, "three");
	expect(&b, "text(one) text(two) pong(late) text(three)");
	put_z(&b, 0x81, "cut");
	b.len--;
	expect(&b, "...");
	buf_free(&b);
}

/* C20, C21, C22 */
static void
test_bad_heads(void **state)
{
	static const int ops[] = { 3, 4, 5, 6, 7, 11, 12, 13, 14, 15 };
	struct buf b = BUF_INIT(0);

	(void)state;
	ROW_BYTES("\x81\x02" "hi", "bad(1002)");
	for (int rsv = 0x10; rsv <= 0x40; rsv *= 2) {
		put_z(&b, 0x81 | rsv, "x");
		expect(&b, "bad(1002)");
	}
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
		put_z(&b, 0x80 | ops[i], "x");
		expect(&b, "bad(1002)");
	}
	put_z(&b, 0x81, "good");
	put_z(&b, 0x83, "x");
	expect(&b, "text(good) bad(1002)");
	buf_free(&b);
}

/* C23, C24 */
static void
test_control(void **state)
{
	char payload[126];
	char expected[160];
	struct buf b = BUF_INIT(0);

	(void)state;
	memset(payload, 'p', sizeof payload);
	snprintf(expected, sizeof expected, "ping(%.125s)", payload);
	put_frame(&b, 0x89, payload, 125);
	expect(&b, expected);
	put_frame(&b, 0x89, payload, 126);
	expect(&b, "bad(1002)");
	put_z(&b, 0x09, "half");
	expect(&b, "bad(1002)");
	put_z(&b, 0x89, "");
	expect(&b, "ping()");
	buf_free(&b);
}

/* C25, C26, C27 */
static void
test_fragments(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	put_z(&b, 0x80, "x");
	expect(&b, "bad(1002)");
	put_z(&b, 0x01, "x");
	put_z(&b, 0x81, "y");
	expect(&b, "bad(1002)");
	put_z(&b, 0x01, "Hel");
	put_z(&b, 0x89, "ping");
	put_z(&b, 0x00, "l");
	put_z(&b, 0x80, "o");
	put_z(&b, 0x81, "next");
	expect(&b, "ping(ping) text(Hello) text(next)");
	put_z(&b, 0x01, "");
	put_z(&b, 0x80, "");
	expect(&b, "text()");
	put_z(&b, 0x01, "1");
	put_z(&b, 0x00, "2");
	put_z(&b, 0x00, "3");
	put_z(&b, 0x80, "4");
	expect(&b, "text(1234)");
	put_z(&b, 0x01, "1");
	put_z(&b, 0x00, "2");
	put_z(&b, 0x00, "3");
	put_z(&b, 0x00, "4");
	put_z(&b, 0x80, "5");
	expect(&b, "bad(1008)");
	put_z(&b, 0x01, "open");
	expect(&b, "...");
	buf_free(&b);
}

/* C28: judged by the head alone, nothing of the payload is there. */
static void
test_lengths(void **state)
{
	struct buf b = BUF_INIT(0);
	char payload[LIMIT + 1];
	char expected[LIMIT + 8];

	(void)state;
	ROW_BYTES("\x81\xff\x80\0\0\0\0\0\0\0mask", "bad(1002)");
	ROW_BYTES("\x81\xff\x40\0\0\0\0\0\0\0mask", "bad(1009)");
	ROW_BYTES("\x81\xff\0\0\0\0\x40\0\0\0mask", "bad(1009)");
	ROW_BYTES("\x81\xfe\x03\xe9mask", "bad(1009)");
	/* not in the fewest bytes */
	ROW_BYTES("\x81\xfe\0\x7dmask", "bad(1002)");
	ROW_BYTES("\x81\xff\0\0\0\0\0\0\xff\xffmask", "bad(1002)");

	memset(payload, 'a', sizeof payload);
	snprintf(expected, sizeof expected, "text(%.*s)", LIMIT, payload);
	put_frame(&b, 0x81, payload, LIMIT);
	expect(&b, expected);
	put_frame(&b, 0x01, payload, LIMIT);
	put_frame(&b, 0x80, payload, 1);
	expect(&b, "bad(1009)");
	put_frame(&b, 0x01, payload, LIMIT - 1);
	put_frame(&b, 0x80, payload, 1);
	expect(&b, expected);
	buf_free(&b);
}

/* C30, C31 */
static void
test_utf8(void **state)
{
	static const char *const bad[] = {
		"\xff", "a\x80", "\xc3", "\xc3(", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf",
		"\xf0\x80\x80\xaf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80",
		"\xf8\x88\x80\x80\x80", "0123456789abcdef0123456789abcdef\xe2\x82",
		"0123456789abcdef0123456789abcde\xe2(\xa1",
	};
	static const char *const good[] = {
		"\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
		"\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
		"0123456789abcdef\xe2\x82\xac" "0123456789abcdef\xe2\x82\xac",
	};
	struct buf b = BUF_INIT(0);
	char expected[64];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		put_z(&b, 0x81, bad[i]);
		expect(&b, "bad(1007)");
	}
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		put_z(&b, 0x81, good[i]);
		snprintf(expected, sizeof expected, "text(%s)", good[i]);
		expect(&b, expected);
	}
	put_z(&b, 0x01, "\xe2");
	put_z(&b, 0x00, "\x82");
	put_z(&b, 0x80, "\xac");
	put_z(&b, 0x81, "\xff");
	expect(&b, "text(\xe2\x82\xac) bad(1007)");
	/* a ping between the halves of a character does not hide them */
	put_z(&b, 0x01, "\xe2");
	put_z(&b, 0x89, "p");
	put_z(&b, 0x80, "x");
	expect(&b, "ping(p) bad(1007)");
	/* payloads of pings are no text */
	put_z(&b, 0x89, "\xff\xfe");
	put_z(&b, 0x81, "plain");
	expect(&b, "ping(\xff\xfe) text(plain)");
	buf_free(&b);
}

/* C32, C33, C34 */
static void
test_close(void **state)
{
	static const struct {
		const char *payload;
		size_t n;
		const char *expected;
	} rows[] = {
		{ "", 0, "close(0)" },
		{ "\x03\xe8", 2, "close(1000)" },
		{ "\x03\xe9 bye", 6, "close(1001 bye)" },
		{ "\x03\xeb", 2, "close(1003)" },
		{ "\x03\xf6", 2, "close(1014)" },
		{ "\x0b\xb8", 2, "close(3000)" },
		{ "\x13\x87", 2, "close(4999)" },
		{ "\x03", 1, "bad(1002)" },
		{ "\x03\xe7", 2, "bad(1002)" }, /* 999 */
		{ "\x03\xec", 2, "bad(1002)" }, /* 1004 */
		{ "\x03\xed", 2, "bad(1002)" }, /* 1005 */
		{ "\x03\xee", 2, "bad(1002)" }, /* 1006 */
		{ "\x03\xf7", 2, "bad(1002)" }, /* 1015 */
		{ "\x03\xf8", 2, "bad(1002)" }, /* 1016 */
		{ "\x0b\xb7", 2, "bad(1002)" }, /* 2999 */
		{ "\x13\x88", 2, "bad(1002)" }, /* 5000 */
		{ "\0\0", 2, "bad(1002)" },
		{ "\x03\xe8\xff", 3, "bad(1007)" },
	};
	struct buf b = BUF_INIT(0);

	(void)state;
	put_z(&b, 0x82, "binary");
	expect(&b, "bad(1003)");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		put_frame(&b, 0x88, rows[i].payload, rows[i].n);
		expect(&b, rows[i].expected);
	}
	put_z(&b, 0x81, "last");
	put_z(&b, 0x88, "");
	put_z(&b, 0x81, "ignored");
	expect(&b, "text(last) close(0)");
	buf_free(&b);
}

/* C35c: many messages of all sizes in one piece, and byte by byte. */
static void
test_many(void **state)
{
	struct buf b = BUF_INIT(0), expected = BUF_INIT(0), out = BUF_INIT(0);
	char payload[LIMIT];

	(void)state;
	for (size_t n = 0; n < LIMIT; n++) {
		for (size_t i = 0; i < n; i++)
			payload[i] = (char)(' ' + (n + i) % 90);
		put_frame(&b, 0x81, payload, n);
		buf_printf(&expected, "%stext(%.*s)", n ? " " : "", (int)n, payload);
	}
	for (size_t step = 1; step < 3000; step = step * 2 + 1) {
		run(&b, step, step, &out);
		assert_int_equal(out.len, expected.len);
		assert_memory_equal(out.data, expected.data, out.len);
	}
	run(&b, b.len, b.len, &out);
	assert_int_equal(out.len, expected.len);
	assert_memory_equal(out.data, expected.data, out.len);
	buf_free(&b);
	buf_free(&expected);
	buf_free(&out);
}

/* A text with room behind it is handed out where it lies; nothing is kept. */
static void
test_in_place(void **state)
{
	struct buf b = BUF_INIT(0);
	struct frame_reader r;
	struct frame_input in;
	struct frame f;

	(void)state;
	put_z(&b, 0x81, "here");
	for (int i = 0; i < 70; i++)
		buf_byte(&b, 0);
	frame_reader_init(&r, LIMIT, FRAGMENTS);
	in = (struct frame_input){ b.data, b.len };
	assert_int_equal(frame_next(&r, &in, &f), FRAME_TEXT);
	assert_ptr_equal(f.payload.p, b.data + 6);
	assert_int_equal(r.message.cap, 0);
	/* without that room it is copied, and given back with the next call */
	put_z((buf_clear(&b), &b), 0x81, "here");
	in = (struct frame_input){ b.data, b.len };
	assert_int_equal(frame_next(&r, &in, &f), FRAME_TEXT);
	assert_int_not_equal(r.message.cap, 0);
	assert_int_equal(frame_next(&r, &in, &f), FRAME_MORE);
	assert_int_equal(r.message.cap, 0);
	frame_reader_free(&r);
	buf_free(&b);
}

static void
test_unmask(void **state)
{
	char plain[200], p[200];

	(void)state;
	for (size_t i = 0; i < sizeof plain; i++)
		plain[i] = (char)(i & 0x7f);
	for (size_t cut = 0; cut <= sizeof p; cut++) {
		uint8_t mask[4] = { 1, 2, 3, 4 }, again[4] = { 1, 2, 3, 4 };

		memcpy(p, plain, sizeof p);
		for (size_t i = 0; i < sizeof p; i++)
			p[i] = (char)(p[i] ^ again[i % 4]);
		assert_false(frame_unmask(p, cut, mask));
		assert_false(frame_unmask(p + cut, sizeof p - cut, mask));
		assert_memory_equal(p, plain, sizeof p);
		/* one byte beyond ASCII is seen wherever it is */
		if (cut < sizeof p) {
			memset(mask, 0, 4);
			p[cut] = (char)0x80;
			assert_true(frame_unmask(p, sizeof p, mask));
		}
	}
}

static void
test_write(void **state)
{
	static const size_t sizes[] = { 0, 1, 125, 126, 65535, 65536, 70000 };
	static const size_t heads[] = { 2, 2, 2, 4, 4, 10, 10 };
	char *payload = mem_zalloc(70000);
	struct buf b = BUF_INIT(0);

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		buf_clear(&b);
		assert_int_equal(frame_write(&b, FRAME_OP_TEXT,
		    (struct str){ payload, sizes[i] }), ERR_OK);
		assert_int_equal(b.len, heads[i] + sizes[i]);
		assert_int_equal((uint8_t)b.data[0], 0x81);
		assert_int_equal((uint8_t)b.data[heads[i] - 1], sizes[i] & 0xff);
	}
	buf_free(&b);
	b = BUF_INIT(10);
	assert_int_equal(frame_write(&b, FRAME_OP_TEXT, (struct str){ payload, 9 }), ERR_FULL);
	assert_int_equal(b.len, 0);
	buf_free(&b);
	mem_free(payload);
}

static void
test_write_close(void **state)
{
	struct buf b = BUF_INIT(0);
	char reason[200];

	(void)state;
	assert_int_equal(frame_write_close(&b, 1002, STR_LIT("why")), ERR_OK);
	assert_int_equal(b.len, 7);
	assert_memory_equal(b.data, "\x88\x05\x03\xeawhy", 7);
	buf_clear(&b);
	assert_int_equal(frame_write_close(&b, FRAME_CODE_NONE, STR_LIT("")), ERR_OK);
	assert_memory_equal(b.data, "\x88\x00", 2);
	/* cut at 123 bytes, never inside a character */
	memset(reason, 'r', sizeof reason);
	memcpy(reason + 122, "\xe2\x82\xac", 3);
	buf_clear(&b);
	frame_write_close(&b, 1008, (struct str){ reason, sizeof reason });
	assert_int_equal(b.len, 2 + 2 + 122);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_bad_heads),
		cmocka_unit_test(test_control),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_in_place),
		cmocka_unit_test(test_unmask),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_write_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
