/* SPDX-License-Identifier: MIT */
/* What the files of the web door share. */
#ifndef LECTERN_WEB_PRIV_H
#define LECTERN_WEB_PRIV_H

#include "web/frame.h"
#include "web/handshake.h"
#include "web/http.h"
#include "web/listen.h"
#include "web/login.h"
#include "web/peers.h"
#include "web/server.h"
#include "web/throttle.h"
#include "web/web.h"

/* Connections above a limit that may stay long enough to be told so. */
#define WEB_SPARE 64
#define WEB_DOOR "web" /* what this door is called in the audit file */

struct signin;
TAILQ_HEAD(signins, signin);

struct web {
	struct loop *loop;
	const struct conf *conf;
	struct ingest *ingest;
	struct hub *hub;
	struct auth *auth; /* NULL: nobody signs in */
	struct audit *audit;
	struct logins *logins;
	struct throttle *user_tries, *network_tries;
	struct signins signins; /* whose passwords are being checked */
	struct json_doc *doc;
	struct server *server;
	struct listener *listener;
	struct peers *peers;
	char *address; /* where it listens, whatever conf says by now */
	long port;
	bool draining;
	size_t event_sockets, feed_sockets;
	size_t answering; /* bytes of answers under way */
	uint64_t refused[HTTP_STATUSES]; /* by http_status_index */
	uint64_t closed[16];             /* by us, codes 1000 to 1015 */
};

/* ---- request.c: one request on a connection ---- */

#define REQUEST_BODY_MAX 8192 /* bytes of a body */

struct route;

struct request {
	struct web *web;
	struct conn *conn;
	struct peer *peer; /* counted; a socket takes it over */
	struct http_head head; /* to be looked into in the call of the route only */
	bool whole;        /* the head is read */
	bool local, proxied; /* the connection comes from this machine, from a trusted proxy */
	const struct route *route;
	size_t body;       /* its length */
	bool taken;        /* the route has it: what still comes is thrown away */
	struct login *login; /* of who asks, in the call of the route; or NULL */
	struct str rest;   /* of the path, behind a route that is a prefix */
	struct signin *signin; /* that answers later */
	struct buf answer; /* what of a large answer has not been sent, */
	size_t answered;   /* from here on */
};

/* What is there. The table is all a new address needs. */
struct route {
	const char *path;
	const char *methods; /* "GET", "POST" or "GET, POST" */
	bool prefix;         /* and whatever follows the path */
	bool signed_in;      /* for people who signed in; others get 401 */
	bool socket;         /* speaks WebSocket */
	/* Answers, now or later, or becomes something else. */
	void (*take)(struct request *r, struct str body);
};
extern const struct route routes[];
extern const size_t n_routes;

/* Reads the head of a request and sends it on its way. Takes over the socket and
 * the peer's count. */
void request_open(struct web *w, int fd, struct peer *peer);
void request_answer(struct request *r, const char *type, const char *fields, struct str body);
/* Takes the JSON over; it may be larger than a connection's queue. */
void request_answer_json(struct request *r, struct buf *json);
void request_refuse(struct request *r, int status, const char *why);
/* The connection and the peer's count are another's now. */
void request_become(struct request *r);
/* Whether the browser's side is TLS: ours, or a trusted proxy's that says so. */
bool request_is_https(const struct request *r);
/* Whether nobody between the browser and us can listen: TLS, or this machine. */
bool request_is_private(const struct request *r);
/* Whether the page that asks is ours or one of conf origins. */
bool request_origin_known(const struct request *r);
/* What the session's cookie holds; false when there is none. In the call of the
 * route, as the head. */
bool request_cookie(const struct request *r, struct str *token);

/* ---- the routes ---- */

void events_open(struct request *r);
void feed_open(struct request *r);
/* signin.c */
void signin_config(struct request *r, struct str body);
void signin_userinfo(struct request *r, struct str body);
void signin_password(struct request *r, struct str body);
void signin_logout(struct request *r, struct str body);
void signin_avatar(struct request *r, struct str body);
/* The request is gone; the answer is for nobody. */
void signin_forget(struct signin *x);
/* All are told to try again: their auth is about to be closed. */
void signin_give_up(struct web *w);
/* courses.c */
void courses_list(struct request *r, struct str body);
void courses_roster(struct request *r, struct str body);
void courses_dashboards(struct request *r, struct str body);
void courses_student_dashboards(struct request *r, struct str body);

/* ---- socket.c: a WebSocket ---- */

struct socket_ops {
	const char *name; /* for the log */
	void (*text)(void *user, struct str text); /* FRAME_SLACK readable bytes follow */
	void (*drained)(void *user); /* all that was sent has left us; or NULL */
	void (*gone)(void *user);    /* the socket with it */
};

struct socket {
	struct web *web;
	struct conn *conn;
	struct peer *peer;
	const struct socket_ops *ops;
	void *user;
	size_t max_wait; /* bytes */
	struct frame_reader reader;
	size_t since;  /* 1 + bytes since the time limit was set; 0: none is set */
	bool closing;  /* the Close frame is written */
	bool drained;  /* never read again */
	bool paused;   /* by its owner */
};

extern const struct conn_handler socket_handler; /* conn_user is the struct socket */
/* Takes connection and peer from a request whose handshake was accepted. A message
 * has at most max_message bytes; no more than max_wait wait to be read. */
void socket_open(struct socket *s, const struct request *r, const struct socket_ops *ops,
    void *user, size_t max_message, size_t max_wait);
/* Sends a message; closes the socket when more than max_wait wait then. */
void socket_say(struct socket *s, struct str text);
/* Sends a message however much waits; false when the connection cannot hold it. */
bool socket_give(struct socket *s, struct str text);
void socket_read(struct socket *s, bool on);
void socket_drain(struct socket *s); /* nothing is read from it any more */
void socket_close(struct socket *s, int code, const char *reason);

#endif
