/* SPDX-License-Identifier: MIT */
/* link: one component stream (XEP-0114) to an XMPP server, kept up: connects
 * again with back-off, notices a dead peer, and says who is wrong when it
 * cannot connect. Knows streams, no PubSub. */
#ifndef LECTERN_XMPP_LINK_H
#define LECTERN_XMPP_LINK_H

#include "base/loop.h"
#include "xmpp/xml.h"

#define LINK_QUEUE_MAX (8u << 20)  /* bytes waiting: beyond, the server does not read */
#define LINK_QUEUE_BUSY (4u << 20) /* bytes waiting: beyond, requests are refused */
#define LINK_QUEUE_BULK (1u << 20) /* bytes waiting: beyond, bulk has no room */
#define LINK_TIMEOUT_MS 10000      /* from the first look-up to the handshake's answer */
#define LINK_IDLE_MS 30000         /* silence before a ping, and before giving up after it */
#define LINK_RETRY_MS 1000         /* doubles up to the maximum; jitter takes off up to half */
#define LINK_RETRY_SLOW_MS 20000   /* the same where somebody must act first */
#define LINK_RETRY_MAX_MS 60000
#define LINK_STEADY_MS 10000      /* up so long: the next retry is quick again */
#define LINK_FLAP_TRIES 2          /* up, but not so long: it goes on from here at most */
#define LINK_RETRY_KICKED_MAX_MS 300000 /* where another connection took our place */
#define LINK_PEACE_MS 600000       /* up so long: the last conflict is forgotten */

/* X(symbol, name in status, sentence) */
#define LINK_MAP(X)                                                              \
	X(LINK_UP, "up", "connected")                                            \
	X(LINK_STARTING, "starting", "not connected yet")                        \
	X(LINK_STOPPED, "stopped", "closed by us")                               \
	X(LINK_PORT_CLOSED, "port_closed", "nothing answers there")              \
	X(LINK_WRONG_SECRET, "wrong_secret", "the server refuses the secret, or "       \
	    "is an ejabberd that does not know the component (not-authorized)")             \
	X(LINK_UNKNOWN_HOST, "unknown_host", "the server does not know this component") \
	X(LINK_CONFLICT, "conflict", "another connection already serves this component") \
	X(LINK_OTHER, "other", "the connection ended")

enum link_state {
#define LINK_ENUM(sym, name, text) sym,
	LINK_MAP(LINK_ENUM)
#undef LINK_ENUM
	LINK_STATES
};
const char *link_state_name(enum link_state s);
const char *link_state_text(enum link_state s);

struct link_options {
	const char *host; /* name, address, or path of a Unix socket */
	int port;
	const char *jid;
	const char *server;        /* domain that is pinged */
	const char *secret_file;   /* named in the advice; what it holds never is */
	bool insecure_ok;          /* the stream may leave this machine */
	unsigned timeout_ms;       /* 0: LINK_TIMEOUT_MS */
	unsigned idle_ms;          /* 0: LINK_IDLE_MS */
};

struct link_ops {
	void (*up)(void *arg);
	void (*down)(void *arg); /* follows each up */
	void (*stanza)(void *arg, const struct xml *stanza);
	void (*refused)(void *arg, const struct xml *head); /* see xml_reader_ops */
	void (*room)(void *arg); /* bulk has room again */
};

struct link;

/* Copies options and secret. */
struct link *link_new(struct loop *l, const struct link_options *o, const char *secret,
    const struct link_ops *ops, void *arg);
void link_start(struct link *l);

/* Appends to what leaves at the end of this turn. false when the link is down. */
bool link_send(struct link *l, struct str stanza);
size_t link_queued(const struct link *l);

const char *link_jid(const struct link *l);
/* Whether another process is connected as this component, too, and came later;
 * if it was first, our link ends with LINK_CONFLICT. */
bool link_has_rival(const struct link *l);
enum link_state link_state(const struct link *l);
const char *link_detail(const struct link *l); /* words of the server or system, or "" */

/* Writes what waits, closes the stream politely and calls cb when that is done
 * or has taken too long. */
void link_stop(struct link *l, loop_cb *cb, void *arg);
/* Not inside a callback of its own. Wipes the secret. */
void link_free(struct link *l);

/* ---- link_say.c ---- */

/* Logs the state; for a failure with the lines that mend it. */
void link_say(const struct link_options *o, enum link_state s, const char *detail);

/* Whether somebody must change something on the server before it can work. */
bool link_needs_hands(enum link_state s);
/* Appends the lines that make the component known to the server, each with the
 * file it belongs into and a newline: for Prosody, then for ejabberd. */
void link_advise(const struct link_options *o, struct buf *out);

/* The delay before attempt number `tries` (0, 1, ...), jitter included. */
unsigned link_delay(enum link_state why, unsigned tries);

#endif
