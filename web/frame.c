/* SPDX-License-Identifier: MIT */
/* frame: WebSocket framing. A text that came in one piece is handed out where
 * it lies; only what is fragmented, split between reads or too near to the end
 * of the input is gathered in a buffer, which is given back at once. */
#include "web/frame.h"

#include "base/utf8.h"

#define FRAME_FIN 0x80
#define FRAME_RSV 0x70
#define FRAME_OP 0x0f
#define FRAME_CONTROL 0x08 /* the bit that all control opcodes have */
#define FRAME_MASKED 0x80
#define FRAME_LEN16 126
#define FRAME_LEN64 127

#define FRAME_ASCII 0x8080808080808080u /* bits that no ASCII byte has */

void
frame_reader_init(struct frame_reader *r, size_t max_message, unsigned max_fragments)
{
	*r = (struct frame_reader){
		.max_message = max_message,
		.max_fragments = max_fragments,
		.message = BUF_INIT(max_message + FRAME_SLACK),
		.control = BUF_INIT(FRAME_CONTROL_MAX),
	};
}

void
frame_reader_free(struct frame_reader *r)
{
	buf_free(&r->message);
	buf_free(&r->control);
}

bool
frame_unfinished(const struct frame_reader *r)
{
	return r->head_n > 0 || r->in_payload || r->fragments > 0;
}

static enum frame_kind
frame_bad(struct frame *out, int code, const char *why)
{
	out->code = code;
	out->payload = str_of(why);
	return FRAME_BAD;
}

/* ---- unmasking and UTF-8 ---- */

static void
frame_turn(uint8_t mask[4], size_t by)
{
	uint8_t old[4];

	memcpy(old, mask, 4);
	for (size_t i = 0; i < 4; i++)
		mask[i] = old[(i + by) & 3];
}

/* Sixteen bytes, wherever they lie. */
typedef uint8_t frame_run __attribute__((vector_size(16), aligned(1), may_alias));

bool
frame_unmask(char *p, size_t n, uint8_t mask[4])
{
	frame_run m, seen = { 0 }, *at;
	uint64_t high[2];
	size_t i = 0;

	for (size_t k = 0; k < sizeof m; k++)
		m[k] = mask[k & 3];
	for (; n - i >= 2 * sizeof m; i += 2 * sizeof m) {
		at = (frame_run *)(p + i);
		at[0] ^= m;
		at[1] ^= m;
		seen |= at[0] | at[1];
	}
	memcpy(high, &seen, sizeof high);
	for (; i < n; i++) {
		p[i] = (char)((uint8_t)p[i] ^ mask[i & 3]);
		high[0] |= (uint8_t)p[i];
	}
	frame_turn(mask, n);
	return ((high[0] | high[1]) & FRAME_ASCII) != 0;
}

bool
frame_utf8_valid(struct str s)
{
	size_t i = 0;
	uint64_t w;
	uint32_t c;
	int ok = 1;

	while (ok && i < s.n) {
		while (s.n - i >= sizeof w) {
			memcpy(&w, s.p + i, sizeof w);
			if ((w & FRAME_ASCII) != 0)
				break;
			i += sizeof w;
		}
		/* up to the next run of ASCII: a word's worth of characters */
		for (size_t k = 0; ok && k < sizeof w && i < s.n; k++)
			i += utf8_next(s.p + i, s.n - i, &c, &ok);
	}
	return ok;
}

/* ---- heads ---- */

/* What the first two bytes tell (RFC 6455 §5.2, §5.4, §5.5). */
static enum frame_kind
frame_check_start(const struct frame_reader *r, struct frame *out)
{
	uint8_t op = r->head[0] & FRAME_OP, len = r->head[1] & ~FRAME_MASKED;
	bool fin = r->head[0] & FRAME_FIN, control = op & FRAME_CONTROL;

	if (r->head[0] & FRAME_RSV)
		return frame_bad(out, FRAME_CODE_PROTOCOL, "reserved bits are set");
	if (op > FRAME_OP_PONG || (op > FRAME_OP_BINARY && !control))
		return frame_bad(out, FRAME_CODE_PROTOCOL, "unknown opcode");
	if (!(r->head[1] & FRAME_MASKED))
		return frame_bad(out, FRAME_CODE_PROTOCOL, "frames of a client must be masked");
	if (control && (!fin || len > FRAME_CONTROL_MAX))
		return frame_bad(out, FRAME_CODE_PROTOCOL, "control frame fragmented or too long");
	if (op == FRAME_OP_BINARY)
		return frame_bad(out, FRAME_CODE_NOT_TEXT, "events are text");
	if (op == FRAME_OP_CONTINUATION && r->fragments == 0)
		return frame_bad(out, FRAME_CODE_PROTOCOL, "nothing to continue");
	if (op == FRAME_OP_TEXT && r->fragments > 0)
		return frame_bad(out, FRAME_CODE_PROTOCOL, "the last message has not ended");
	if (!control && r->fragments >= r->max_fragments)
		return frame_bad(out, FRAME_CODE_POLICY, "too many fragments");
	return FRAME_MORE;
}

/* Bytes of the head, known from its first two. */
static size_t
frame_head_size(const uint8_t *head)
{
	uint8_t len = head[1] & ~FRAME_MASKED;

	return 2 + (len == FRAME_LEN16 ? 2 : len == FRAME_LEN64 ? 8 : 0) + 4;
}

/* RFC 6455 §5.2: network byte order, in the fewest bytes, below 2^63. */
static bool
frame_length(const uint8_t *head, uint64_t *len)
{
	uint8_t short_len = head[1] & ~FRAME_MASKED;
	size_t size = frame_head_size(head) - 4;

	*len = short_len;
	if (short_len < FRAME_LEN16)
		return true;
	*len = 0;
	for (size_t i = 2; i < size; i++)
		*len = *len << 8 | head[i];
	return *len <= INT64_MAX && *len >= (short_len == FRAME_LEN16 ? FRAME_LEN16 : 65536);
}

/* The head is whole: its length is judged before anything is kept for it. */
static enum frame_kind
frame_begin(struct frame_reader *r, struct frame *out)
{
	bool control = r->head[0] & FRAME_CONTROL;

	if (!frame_length(r->head, &r->left))
		return frame_bad(out, FRAME_CODE_PROTOCOL, "bad length");
	if (!control && r->left > r->max_message - r->message.len)
		return frame_bad(out, FRAME_CODE_TOO_BIG, "message too long");
	memcpy(r->mask, r->head + r->head_n - 4, 4);
	r->head_n = 0;
	r->in_payload = true;
	if (!control)
		r->fragments++;
	return FRAME_MORE;
}

static bool
frame_gather(struct frame_reader *r, struct frame_input *in, size_t need)
{
	while (r->head_n < need && in->n > 0) {
		r->head[r->head_n++] = (uint8_t)*in->p++;
		in->n--;
	}
	return r->head_n == need;
}

static enum frame_kind
frame_head(struct frame_reader *r, struct frame_input *in, struct frame *out)
{
	if (r->head_n < 2) {
		if (!frame_gather(r, in, 2))
			return FRAME_MORE;
		if (frame_check_start(r, out) == FRAME_BAD)
			return FRAME_BAD;
	}
	if (!frame_gather(r, in, frame_head_size(r->head)))
		return FRAME_MORE;
	return frame_begin(r, out);
}

/* ---- payloads ---- */

/* RFC 6455 §7.4: codes that may stand in a Close frame. */
static bool
frame_code_good(int code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
	    (code >= 3000 && code <= 4999);
}

/* RFC 6455 §5.5.1 */
static enum frame_kind
frame_close(struct str payload, struct frame *out)
{
	const uint8_t *p = (const uint8_t *)payload.p;

	out->code = FRAME_CODE_NONE;
	out->payload = STR_LIT("");
	if (payload.n == 0)
		return FRAME_CLOSE;
	out->code = payload.n > 1 ? p[0] << 8 | p[1] : FRAME_CODE_NONE;
	if (!frame_code_good(out->code))
		return frame_bad(out, FRAME_CODE_PROTOCOL, "bad close code");
	out->payload = (struct str){ payload.p + 2, payload.n - 2 };
	if (!frame_utf8_valid(out->payload))
		return frame_bad(out, FRAME_CODE_UTF8, "reason is not UTF-8");
	return FRAME_CLOSE;
}

static enum frame_kind
frame_control(struct frame_reader *r, struct str payload, struct frame *out)
{
	uint8_t op = r->head[0] & FRAME_OP;

	if (op == FRAME_OP_CLOSE)
		return frame_close(payload, out);
	out->payload = payload;
	return op == FRAME_OP_PING ? FRAME_PING : FRAME_PONG;
}

static enum frame_kind
frame_text(struct frame_reader *r, struct str payload, struct frame *out)
{
	bool check = r->beyond_ascii;

	r->fragments = 0;
	r->beyond_ascii = false;
	if (check && !frame_utf8_valid(payload))
		return frame_bad(out, FRAME_CODE_UTF8, "text is not UTF-8");
	out->payload = payload;
	return FRAME_TEXT;
}

/* Takes n bytes off the input, unmasked. */
static char *
frame_take(struct frame_reader *r, struct frame_input *in, size_t n)
{
	char *p = in->p;

	if (frame_unmask(p, n, r->mask) && !(r->head[0] & FRAME_CONTROL))
		r->beyond_ascii = true;
	in->p += n;
	in->n -= n;
	r->left -= n;
	r->in_payload = r->left > 0;
	return p;
}

/* Moves what there is of the payload into b; the whole of it when it ended. */
static bool
frame_keep(struct frame_reader *r, struct frame_input *in, struct buf *b)
{
	size_t n = in->n < r->left ? in->n : (size_t)r->left;

	/* cannot fail: frame_begin has compared the length with the caps */
	buf_add(b, frame_take(r, in, n), n);
	return r->left == 0;
}

/* Whether the whole payload can be handed out where it lies. */
static bool
frame_lies_well(const struct frame_reader *r, const struct frame_input *in)
{
	if (r->head[0] & FRAME_CONTROL)
		return r->control.len == 0 && in->n >= r->left;
	return (r->head[0] & FRAME_FIN) && r->fragments == 1 && r->message.len == 0 &&
	    in->n >= r->left + FRAME_SLACK;
}

/* FRAME_MORE also when a fragment ended that is not the last. */
static enum frame_kind
frame_payload(struct frame_reader *r, struct frame_input *in, struct frame *out)
{
	bool control = r->head[0] & FRAME_CONTROL;
	struct buf *b = control ? &r->control : &r->message;
	struct str payload;

	if (frame_lies_well(r, in)) {
		payload.n = (size_t)r->left;
		payload.p = frame_take(r, in, payload.n);
	} else {
		if (!frame_keep(r, in, b) || (!control && !(r->head[0] & FRAME_FIN)))
			return FRAME_MORE;
		r->given = true;
		payload.p = buf_room(b, control ? 0 : FRAME_SLACK) - b->len;
		payload.n = b->len;
	}
	return control ? frame_control(r, payload, out) : frame_text(r, payload, out);
}

/* What the last call handed out is no longer needed. */
static void
frame_forget(struct frame_reader *r)
{
	if (!r->given)
		return;
	r->given = false;
	buf_free(r->head[0] & FRAME_CONTROL ? &r->control : &r->message);
}

enum frame_kind
frame_next(struct frame_reader *r, struct frame_input *in, struct frame *out)
{
	enum frame_kind kind = FRAME_MORE;

	frame_forget(r);
	while (kind == FRAME_MORE && (in->n > 0 || (r->in_payload && r->left == 0)))
		kind = r->in_payload ? frame_payload(r, in, out) : frame_head(r, in, out);
	return kind;
}

/* ---- writing ---- */

enum err
frame_write(struct buf *out, enum frame_op op, struct str payload)
{
	size_t size = payload.n < FRAME_LEN16 ? 0 : payload.n < 65536 ? 2 : 8;
	char *p = buf_room(out, 2 + size + payload.n);

	if (p == NULL)
		return ERR_FULL;
	p[0] = (char)(FRAME_FIN | op);
	p[1] = (char)(size == 0 ? payload.n : size == 2 ? FRAME_LEN16 : FRAME_LEN64);
	for (size_t i = 0; i < size; i++)
		p[2 + i] = (char)((uint64_t)payload.n >> 8 * (size - 1 - i));
	if (payload.n > 0)
		memcpy(p + 2 + size, payload.p, payload.n);
	out->len += 2 + size + payload.n;
	return ERR_OK;
}

enum err
frame_write_close(struct buf *out, int code, struct str reason)
{
	char payload[FRAME_CONTROL_MAX] = { (char)(code >> 8), (char)code };
	size_t n = reason.n < sizeof payload - 2 ? reason.n : sizeof payload - 2;

	if (code == FRAME_CODE_NONE)
		return frame_write(out, FRAME_OP_CLOSE, STR_LIT(""));
	/* never half a character */
	while (n < reason.n && n > 0 && ((uint8_t)reason.p[n] & 0xc0) == 0x80)
		n--;
	memcpy(payload + 2, reason.p, n);
	return frame_write(out, FRAME_OP_CLOSE, (struct str){ payload, n + 2 });
}
