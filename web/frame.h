/* SPDX-License-Identifier: MIT */
/* frame: WebSocket frames (RFC 6455 §5) from bytes to messages and back. Pure
 * and incremental; works inside the bytes it is given. */
#ifndef LECTERN_WEB_FRAME_H
#define LECTERN_WEB_FRAME_H

#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"

#define FRAME_SLACK JSON_PADDING /* readable bytes behind a text */
#define FRAME_HEAD_MAX 14
#define FRAME_CONTROL_MAX 125    /* RFC 6455 §5.5 */

enum frame_op {
	FRAME_OP_CONTINUATION = 0,
	FRAME_OP_TEXT = 1,
	FRAME_OP_BINARY = 2,
	FRAME_OP_CLOSE = 8,
	FRAME_OP_PING = 9,
	FRAME_OP_PONG = 10
};

/* RFC 6455 §7.4.1 */
enum frame_code {
	FRAME_CODE_NONE = 0, /* a Close frame without one */
	FRAME_CODE_NORMAL = 1000,
	FRAME_CODE_PROTOCOL = 1002,
	FRAME_CODE_NOT_TEXT = 1003,
	FRAME_CODE_UTF8 = 1007,
	FRAME_CODE_POLICY = 1008,
	FRAME_CODE_TOO_BIG = 1009,
	FRAME_CODE_RESTART = 1012
};

/* One client's side of a connection. */
struct frame_reader {
	size_t max_message;     /* bytes of one text over all its fragments */
	unsigned max_fragments;
	unsigned fragments;     /* of the message being read; 0: none is */
	struct buf message;     /* its text so far, unless it lies in the input */
	struct buf control;     /* payload of a control frame that came in pieces */
	uint64_t left;          /* payload bytes of the frame still to come */
	uint8_t mask[4];        /* turned so that mask[0] is for the next byte */
	uint8_t head[FRAME_HEAD_MAX];
	uint8_t head_n;
	bool in_payload;
	bool beyond_ascii;      /* the message holds bytes that need checking */
	bool given;             /* message and control were handed out */
};

void frame_reader_init(struct frame_reader *r, size_t max_message, unsigned max_fragments);
void frame_reader_free(struct frame_reader *r);

/* Bytes to read from; they are unmasked where they lie. */
struct frame_input {
	char *p;
	size_t n;
};

enum frame_kind {
	FRAME_MORE,  /* the input is used up */
	FRAME_TEXT,  /* a whole message; FRAME_SLACK readable bytes follow payload */
	FRAME_PING,
	FRAME_PONG,
	FRAME_CLOSE, /* code and reason; nothing after it counts */
	FRAME_BAD    /* close with this code; reason says why */
};

/* Valid until the next call with this reader. */
struct frame {
	struct str payload; /* FRAME_CLOSE, FRAME_BAD: the reason */
	int code;
};

/* Takes the next message or control frame off the front of the input. */
enum frame_kind frame_next(struct frame_reader *r, struct frame_input *in, struct frame *out);

/* A frame or a message has begun and not ended. */
bool frame_unfinished(const struct frame_reader *r);

/* Unmasks (RFC 6455 §5.3) and answers whether any byte lies beyond ASCII.
 * mask is turned as far as the bytes went. */
bool frame_unmask(char *p, size_t n, uint8_t mask[4]);

/* RFC 3629, quick where the text is ASCII. */
bool frame_utf8_valid(struct str s);

/* Appends one unfragmented frame of the server; all of it or nothing. */
enum err frame_write(struct buf *out, enum frame_op op, struct str payload);
/* FRAME_CODE_NONE writes an empty Close; the reason is cut to what fits. */
enum err frame_write_close(struct buf *out, int code, struct str reason);

#endif
