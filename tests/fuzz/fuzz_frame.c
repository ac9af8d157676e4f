/* SPDX-License-Identifier: MIT */
/* Fuzzes web/frame: the first byte says how the rest is cut into pieces. What
 * comes out must not depend on the cuts, texts are UTF-8 within the limit and
 * have their slack, and nothing is kept that the limits forbid. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "web/frame.h"

#define LIMIT 300
#define FRAGMENTS 5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fuzz_require(bool ok)
{
	if (!ok)
		abort();
}

static void
fuzz_note(struct buf *out, enum frame_kind kind, const struct frame *f)
{
	buf_printf(out, "%d %d %zu ", kind, kind == FRAME_BAD || kind == FRAME_CLOSE ? f->code : 0,
	    f->payload.n);
	buf_str(out, f->payload);
}

static void
fuzz_text(struct str text)
{
	volatile char sink;

	fuzz_require(text.n <= LIMIT && frame_utf8_valid(text));
	for (size_t i = 0; i < FRAME_SLACK; i++)
		sink = text.p[text.n + i];
	(void)sink;
}

static bool
fuzz_feed(struct frame_reader *r, const uint8_t *p, size_t n, struct buf *out)
{
	char *copy = mem_alloc(n);
	struct frame_input in = { memcpy(copy, p, n), n };
	enum frame_kind kind;
	struct frame f;
	bool going = true;

	while (going && (kind = frame_next(r, &in, &f)) != FRAME_MORE) {
		fuzz_note(out, kind, &f);
		if (kind == FRAME_TEXT)
			fuzz_text(f.payload);
		going = kind != FRAME_BAD && kind != FRAME_CLOSE;
	}
	fuzz_require(!going || in.n == 0);
	fuzz_require(r->message.len <= LIMIT && r->control.len <= FRAME_CONTROL_MAX);
	mem_free(copy);
	return going;
}

static void
fuzz_run(const uint8_t *p, size_t n, size_t step, struct buf *out)
{
	struct frame_reader r;
	bool going = true;

	frame_reader_init(&r, LIMIT, FRAGMENTS);
	while (going && n > 0) {
		if (step > n)
			step = n;
		going = fuzz_feed(&r, p, step, out);
		p += step;
		n -= step;
	}
	frame_reader_free(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = BUF_INIT(0), cut = BUF_INIT(0);

	if (size < 2)
		return 0;
	fuzz_run(data + 1, size - 1, size - 1, &whole);
	fuzz_run(data + 1, size - 1, 1 + (size_t)data[0], &cut);
	fuzz_require(str_eq(buf_view(&whole), buf_view(&cut)));
	buf_free(&whole);
	buf_free(&cut);
	return 0;
}
