/* SPDX-License-Identifier: MIT */
/* What the files of the web door share. */
#ifndef LECTERN_WEB_PRIV_H
#define LECTERN_WEB_PRIV_H

#include "web/handshake.h"
#include "web/http.h"
#include "web/listen.h"
#include "web/peers.h"
#include "web/server.h"
#include "web/web.h"

/* Connections above a limit that may stay long enough to be told so. */
#define WEB_SPARE 64

struct web {
	struct loop *loop;
	const struct conf *conf;
	struct ingest *ingest;
	struct server *server;
	struct listener *listener;
	struct peers *peers;
	char *address; /* where it listens, whatever conf says by now */
	long port;
	bool draining;
	size_t event_sockets;
	uint64_t refused[HTTP_STATUSES]; /* by http_status_index */
	uint64_t closed[16];             /* by us, codes 1000 to 1015 */
};

/* request.c: reads the head of a request and sends it on its way. Takes over
 * the socket and the peer's count. */
void request_open(struct web *w, int fd, struct peer *peer);

/* events.c: an event socket. */
extern const struct conn_handler events_handler;
struct events; /* conn_user of a connection with this handler */
/* Turns the connection of an accepted handshake into an event socket, which
 * takes over the peer's count. */
void events_open(struct web *w, struct conn *c, const struct http_head *h, struct peer *peer);
void events_drain(struct events *ev); /* nothing is read from it any more */
void events_close(struct events *ev, int code, const char *reason);

#endif
