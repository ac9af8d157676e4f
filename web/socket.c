/* SPDX-License-Identifier: MIT */
/* socket: a WebSocket on a connection: frames in, messages out, an end with a
 * code. What a message means is its owner's business. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "web/web_priv.h"

/* An unfinished frame or message gets new time whenever this much of it came:
 * slow lines may take long, idle ones may not. */
#define SOCKET_PROGRESS (16 * 1024)

static void
socket_write(struct socket *s, enum frame_op op, struct str payload)
{
	if (s->closing)
		return;
	if (conn_queued(s->conn) + payload.n > s->max_wait ||
	    frame_write(conn_out(s->conn), op, payload) != ERR_OK)
		socket_close(s, FRAME_CODE_POLICY, "answers are not read");
	else
		conn_push(s->conn);
}

void
socket_say(struct socket *s, struct str text)
{
	socket_write(s, FRAME_OP_TEXT, text);
}

bool
socket_give(struct socket *s, struct str text)
{
	if (s->closing)
		return true;
	if (frame_write(conn_out(s->conn), FRAME_OP_TEXT, text) != ERR_OK)
		return false;
	conn_push(s->conn);
	return true;
}

static void
socket_finish(struct socket *s, int code, struct str reason)
{
	s->closing = true;
	frame_write_close(conn_out(s->conn), code, reason);
	conn_finish(s->conn);
}

void
socket_close(struct socket *s, int code, const char *reason)
{
	if (s->closing)
		return;
	if (code >= 1000 && code <= 1015)
		s->web->closed[code - 1000]++;
	if (code != FRAME_CODE_NORMAL && code != FRAME_CODE_RESTART) {
		metric_add(METRIC_CLOSED_BY_US, 1);
		log_info("%s closed peer=%s code=%d why=%s", s->ops->name, s->peer->address, code,
		    reason);
	}
	socket_finish(s, code, str_of(reason));
}

void
socket_drain(struct socket *s)
{
	s->drained = true;
	conn_read(s->conn, false);
}

/* Sets, prolongs or lifts the time limit for what is unfinished, of which n
 * more bytes came. */
static void
socket_watch(struct socket *s, size_t n)
{
	if (!frame_unfinished(&s->reader)) {
		if (s->since > 0)
			conn_deadline(s->conn, 0);
		s->since = 0;
		return;
	}
	if (s->since == 0 || s->since + n > SOCKET_PROGRESS) {
		conn_deadline(s->conn, (uint64_t)s->web->conf->frame_timeout * 1000);
		s->since = 1;
	}
	s->since += n;
}

void
socket_read(struct socket *s, bool on)
{
	s->paused = !on;
	if (s->drained || s->closing)
		return;
	conn_read(s->conn, on);
	if (on)
		socket_watch(s, 0);
}

/* ---- for the connection ---- */

/* One message or control frame; false when no more is wanted for now. */
static bool
socket_take(struct socket *s, enum frame_kind kind, const struct frame *f)
{
	switch (kind) {
	case FRAME_TEXT:
		s->ops->text(s->user, f->payload);
		break;
	case FRAME_PING:
		socket_write(s, FRAME_OP_PONG, f->payload);
		break;
	case FRAME_CLOSE: /* RFC 6455 §5.5.1: answered with the same code */
		socket_finish(s, f->code, STR_LIT(""));
		break;
	case FRAME_BAD:
		socket_close(s, f->code, f->payload.p);
		break;
	case FRAME_PONG:
		break;
	case FRAME_MORE:
		return false;
	}
	return !s->closing && !s->paused;
}

static size_t
socket_data(struct conn *c, void *user, char *p, size_t n)
{
	struct socket *s = user;
	struct frame_input in = { p, n };
	struct frame f;

	(void)c;
	while (socket_take(s, frame_next(&s->reader, &in, &f), &f))
		;
	socket_watch(s, n - in.n);
	return n - in.n;
}

static void
socket_late(struct conn *c, void *user)
{
	struct socket *s = user;

	(void)c;
	s->since = 0;
	if (!s->paused && !s->drained) /* else it is we who do not read */
		socket_close(s, FRAME_CODE_PROTOCOL, "a frame was not finished in time");
}

static void
socket_stuck(struct conn *c, void *user)
{
	(void)c;
	socket_close(user, FRAME_CODE_POLICY, "answers are not read");
}

static void
socket_drained(struct conn *c, void *user)
{
	struct socket *s = user;

	(void)c;
	if (s->ops->drained != NULL && !s->closing)
		s->ops->drained(s->user);
}

static void
socket_gone(struct conn *c, void *user)
{
	struct socket *s = user;

	(void)c;
	frame_reader_free(&s->reader);
	peer_leave(s->web->peers, s->peer);
	s->ops->gone(s->user);
}

const struct conn_handler socket_handler = {
	.data = socket_data,
	.late = socket_late,
	.stuck = socket_stuck,
	.drained = socket_drained,
	.gone = socket_gone,
};

void
socket_open(struct socket *s, const struct request *r, const struct socket_ops *ops, void *user,
    size_t max_message, size_t max_wait)
{
	*s = (struct socket){ .web = r->web, .conn = r->conn, .peer = r->peer, .ops = ops,
		.user = user, .max_wait = max_wait };
	frame_reader_init(&s->reader, max_message, (unsigned)s->web->conf->max_fragments);
	conn_handle(s->conn, &socket_handler, s);
	conn_deadline(s->conn, 0);
}
