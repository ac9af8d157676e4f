/* SPDX-License-Identifier: MIT */
/* web: the HTTP and WebSocket door. Turns a browser's bytes into sessions. */
#ifndef LECTERN_WEB_WEB_H
#define LECTERN_WEB_WEB_H

#include "base/conf.h"
#include "base/jsonw.h"
#include "base/loop.h"
#include "flow/hub.h"
#include "flow/session.h"
#include "state/auth.h"

struct web;

/* Where the door leads. */
struct web_options {
	struct loop *loop;
	const struct conf *conf; /* borrowed until web_reconf */
	struct ingest *ingest;
	struct hub *hub;
	struct auth *auth;       /* borrowed until web_auth; NULL: nobody signs in */
	struct audit *audit;     /* borrowed; may be NULL */
};

/* Binds and listens. NULL with *why (mem_free it): which address and port or
 * file, what is wrong, what to do. */
struct web *web_new(const struct web_options *o, char **why);

/* A new configuration takes effect: origins, hosts, proxies and limits for new
 * connections, and the certificate is read anew. On failure false with *why,
 * and everything stays as it was. */
bool web_reconf(struct web *w, const struct conf *conf, char **why);

/* From now on passwords are checked by this one (NULL: nobody signs in); the one
 * before is not needed any more. Sessions whose password changed end. */
void web_auth(struct web *w, struct auth *auth);

/* Takes no new event sockets and reads no more from those that are open; who
 * asks is told 503. Answers still go out. */
void web_drain(struct web *w);
/* Stops listening and closes everything with this code (RFC 6455 §7.4). */
void web_close_all(struct web *w, int code, const char *reason);
/* Connections that are not gone yet. */
size_t web_connections(const struct web *w);
/* Not from inside the running loop. Connections that are left are cut. */
void web_free(struct web *w);

/* {"address":..,"port":..,"tls":..,"event_sockets":..,"refused":{"403":1},..} */
void web_status(struct web *w, struct jsonw *out);

#endif
