/* SPDX-License-Identifier: MIT */
/* events: the event socket: frames in, a session's answers out. What an event
 * means is the session's business. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "flow/session.h"
#include "web/frame.h"
#include "web/web_priv.h"

/* An unfinished frame or message gets new time whenever this much of it came:
 * slow lines may take long, idle ones may not. */
#define EVENTS_PROGRESS (16 * 1024)

struct events {
	struct web *web;
	struct conn *conn;
	struct session *session;
	struct peer *peer;
	struct frame_reader reader;
	size_t since;  /* 1 + bytes since the time limit was set; 0: none is set */
	bool closing;  /* the Close frame is written */
	bool drained;  /* never read again */
	bool paused;   /* by the session */
};

/* Acknowledgements and pongs may wait up to the configured bound; a client that
 * leaves more unread is closed. */
static void
events_write(struct events *ev, enum frame_op op, struct str payload)
{
	if (ev->closing)
		return;
	if (conn_queued(ev->conn) + payload.n > (size_t)ev->web->conf->write_queue ||
	    frame_write(conn_out(ev->conn), op, payload) != ERR_OK)
		events_close(ev, FRAME_CODE_POLICY, "answers are not read");
	else
		conn_push(ev->conn);
}

static void
events_finish(struct events *ev, int code, struct str reason)
{
	ev->closing = true;
	frame_write_close(conn_out(ev->conn), code, reason);
	conn_finish(ev->conn);
}

void
events_close(struct events *ev, int code, const char *reason)
{
	if (ev->closing)
		return;
	if (code >= 1000 && code <= 1015)
		ev->web->closed[code - 1000]++;
	if (code != FRAME_CODE_NORMAL && code != FRAME_CODE_RESTART) {
		metric_add(METRIC_CLOSED_BY_US, 1);
		log_info("event socket closed peer=%s code=%d why=%s", ev->peer->address, code,
		    reason);
	}
	events_finish(ev, code, str_of(reason));
}

void
events_drain(struct events *ev)
{
	ev->drained = true;
	conn_read(ev->conn, false);
}

/* Sets, prolongs or lifts the time limit for what is unfinished, of which n
 * more bytes came. */
static void
events_watch(struct events *ev, size_t n)
{
	if (!frame_unfinished(&ev->reader)) {
		if (ev->since > 0)
			conn_deadline(ev->conn, 0);
		ev->since = 0;
		return;
	}
	if (ev->since == 0 || ev->since + n > EVENTS_PROGRESS) {
		conn_deadline(ev->conn, (uint64_t)ev->web->conf->frame_timeout * 1000);
		ev->since = 1;
	}
	ev->since += n;
}

/* ---- for the session ---- */

static void
events_send_cb(void *peer, struct str json)
{
	events_write(peer, FRAME_OP_TEXT, json);
}

static void
events_close_cb(void *peer, int code, const char *reason)
{
	events_close(peer, code, reason);
}

static void
events_read_cb(void *peer, bool on)
{
	struct events *ev = peer;

	ev->paused = !on;
	if (ev->drained || ev->closing)
		return;
	conn_read(ev->conn, on);
	if (on)
		events_watch(ev, 0);
}

static const struct session_door events_door = {
	.send = events_send_cb,
	.close = events_close_cb,
	.read = events_read_cb,
};

/* ---- for the connection ---- */

/* One message or control frame; false when no more is wanted for now. */
static bool
events_take(struct events *ev, enum frame_kind kind, const struct frame *f)
{
	switch (kind) {
	case FRAME_TEXT:
		session_frame(ev->session, f->payload);
		break;
	case FRAME_PING:
		events_write(ev, FRAME_OP_PONG, f->payload);
		break;
	case FRAME_CLOSE: /* RFC 6455 §5.5.1: answered with the same code */
		events_finish(ev, f->code, STR_LIT(""));
		break;
	case FRAME_BAD:
		events_close(ev, f->code, f->payload.p);
		break;
	case FRAME_PONG:
		break;
	case FRAME_MORE:
		return false;
	}
	return !ev->closing && !ev->paused;
}

static size_t
events_data(struct conn *c, void *user, char *p, size_t n)
{
	struct events *ev = user;
	struct frame_input in = { p, n };
	struct frame f;

	(void)c;
	while (events_take(ev, frame_next(&ev->reader, &in, &f), &f))
		;
	events_watch(ev, n - in.n);
	return n - in.n;
}

static void
events_late(struct conn *c, void *user)
{
	struct events *ev = user;

	(void)c;
	ev->since = 0;
	if (!ev->paused && !ev->drained) /* else it is we who do not read */
		events_close(ev, FRAME_CODE_PROTOCOL, "a frame was not finished in time");
}

static void
events_stuck(struct conn *c, void *user)
{
	(void)c;
	events_close(user, FRAME_CODE_POLICY, "answers are not read");
}

static void
events_gone(struct conn *c, void *user)
{
	struct events *ev = user;

	(void)c;
	session_free(ev->session);
	frame_reader_free(&ev->reader);
	peer_leave(ev->web->peers, ev->peer);
	ev->web->event_sockets--;
	metric_sub(METRIC_CONNECTIONS, 1);
	mem_free(ev);
}

const struct conn_handler events_handler = {
	.data = events_data,
	.late = events_late,
	.stuck = events_stuck,
	.gone = events_gone,
};

/* ---- opening ---- */

static bool
events_guests(const struct conf *conf)
{
	for (size_t i = 0; i < conf->methods.n; i++) {
		if (strcmp(conf->methods.v[i], "guest") == 0)
			return true;
	}
	return false;
}

static void
events_session(struct events *ev, const struct http_head *h, const char *guest)
{
	struct session_peer info = { .ip = str_of(ev->peer->address), .guest_id = str_of(guest) };

	http_get(h, "Origin", &info.origin);
	http_get(h, "User-Agent", &info.agent);
	ev->session = session_new(ev->web->ingest, &events_door, ev, &info);
}

void
events_open(struct web *w, struct conn *c, const struct http_head *h, struct peer *peer)
{
	char guest[HANDSHAKE_GUEST_LEN + 1] = "";
	bool fresh = false;
	struct events *ev;

	MEM_NEW(ev);
	ev->web = w;
	ev->conn = c;
	ev->peer = peer;
	frame_reader_init(&ev->reader, (size_t)w->conf->max_frame,
	    (unsigned)w->conf->max_fragments);
	if (events_guests(w->conf))
		handshake_guest(h, guest, &fresh);
	conn_handle(c, &events_handler, ev);
	conn_deadline(c, 0);
	handshake_accept(conn_out(c), h, fresh ? guest : NULL, server_has_tls(w->server));
	conn_push(c);
	w->event_sockets++;
	metric_add(METRIC_CONNECTIONS, 1);
	metric_add(METRIC_CONNECTIONS_TOTAL, 1);
	events_session(ev, h, guest);
}
