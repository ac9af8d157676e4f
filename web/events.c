/* SPDX-License-Identifier: MIT */
/* events: the event socket: messages in, a session's answers out. What an event
 * means is the session's business. */
#include "base/mem.h"
#include "base/metric.h"
#include "flow/session.h"
#include "web/web_priv.h"

struct events {
	struct socket socket;
	struct session *session;
};

/* ---- for the session ---- */

/* Acknowledgements may wait up to the configured bound; a client that leaves more
 * unread is closed. */
static void
events_send_cb(void *peer, struct str json)
{
	socket_say(&((struct events *)peer)->socket, json);
}

static void
events_close_cb(void *peer, int code, const char *reason)
{
	socket_close(&((struct events *)peer)->socket, code, reason);
}

static void
events_read_cb(void *peer, bool on)
{
	socket_read(&((struct events *)peer)->socket, on);
}

static const struct session_door events_door = {
	.send = events_send_cb,
	.close = events_close_cb,
	.read = events_read_cb,
};

/* ---- for the socket ---- */

static void
events_text(void *user, struct str text)
{
	session_frame(((struct events *)user)->session, text);
}

static void
events_gone(void *user)
{
	struct events *ev = user;

	session_free(ev->session);
	ev->socket.web->event_sockets--;
	metric_sub(METRIC_CONNECTIONS, 1);
	mem_free(ev);
}

static const struct socket_ops events_ops = {
	.name = "event socket",
	.text = events_text,
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
	struct session_peer info = {
		.ip = str_of(ev->socket.peer->address), .guest_id = str_of(guest)
	};

	http_get(h, "Origin", &info.origin);
	http_get(h, "User-Agent", &info.agent);
	ev->session = session_new(ev->socket.web->ingest, &events_door, ev, &info);
}

void
events_open(struct request *r)
{
	char guest[HANDSHAKE_GUEST_LEN + 1] = "";
	struct web *w = r->web;
	bool fresh = false;
	struct events *ev;

	if (w->event_sockets >= (size_t)w->conf->max_connections) {
		request_refuse(r, 503, "There are too many connections; try again later.");
		return;
	}
	MEM_NEW(ev);
	if (events_guests(w->conf))
		handshake_guest(&r->head, guest, &fresh);
	handshake_accept(conn_out(r->conn), &r->head, fresh ? guest : NULL, request_is_https(r));
	socket_open(&ev->socket, r, &events_ops, ev, (size_t)w->conf->max_frame,
	    (size_t)w->conf->write_queue);
	conn_push(r->conn);
	w->event_sockets++;
	metric_add(METRIC_CONNECTIONS, 1);
	metric_add(METRIC_CONNECTIONS_TOTAL, 1);
	events_session(ev, &r->head, guest);
	request_become(r);
}
