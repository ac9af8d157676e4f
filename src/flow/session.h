/* SPDX-License-Identifier: MIT */
/* session: one event connection: its identity, locked fields, held events and
 * acks. Turns frames into journal records. Knows no sockets: a door gives it
 * frames and takes its answers. Protocol: docs/events.md. */
#ifndef LECTERN_FLOW_SESSION_H
#define LECTERN_FLOW_SESSION_H

#include "base/conf.h"
#include "base/loop.h"
#include "flow/engine.h"
#include "state/ident.h"
#include "state/journal.h"
#include "state/roster.h"

/* What the sessions of a daemon share. */
struct ingest;

struct ingest_options {
	struct loop *loop;
	struct engine *engine;
	struct journal *journal; /* its listener is the daemon, which passes commits on */
	const struct conf *conf; /* limits, opt-out rules; see ingest_reconf */
	const struct ident_rules *rules;
	const struct roster *roster; /* by whose ids students are kept, and whom opt-out
	                              * rules mean; NULL: nobody is known */
};
struct ingest *ingest_new(const struct ingest_options *o);
void ingest_free(struct ingest *g);
/* A new configuration or roster took effect; pointers are borrowed until the next
 * call. Connections whose identity the new rules would not give are closed (1012),
 * and those of students who are opted out now (1000, after a blocklist message). */
void ingest_reconf(struct ingest *g, const struct conf *conf, const struct ident_rules *rules,
    const struct roster *roster);

/* From the journal's listener, after the engine folded the record. */
void ingest_record(struct ingest *g, const struct record *r);
void ingest_commit(struct ingest *g); /* sends the acks of the block */
void ingest_stall(struct ingest *g);  /* {"status":"retry"} to who waits, reading stops */
void ingest_resume(struct ingest *g); /* reading goes on */

/* What a session may ask of its connection. None of them calls back into the
 * session before it returns. */
struct session_door {
	void (*send)(void *peer, struct str json); /* one text frame; copied */
	void (*close)(void *peer, int code, const char *reason); /* RFC 6455 §7.4 */
	void (*read)(void *peer, bool on);         /* flow control of the socket */
};

struct session_peer {
	struct str origin, agent; /* request headers */
	struct str ip;            /* X-Real-IP of a trusted proxy, else the peer's address */
	struct str guest_id;      /* from the cookie or made for it; may be empty */
};

struct session;
/* Asks the door at once to send and not to read while the journal is full. */
struct session *session_new(struct ingest *g, const struct session_door *door, void *peer,
    const struct session_peer *info);

/* One text message; JSON_PADDING readable bytes follow it. The session may
 * have asked the door to close when this returns. */
void session_frame(struct session *s, struct str text);

/* The connection is gone; the session frees itself (after its records are
 * durable). The door is not called again. */
void session_free(struct session *s);

#endif
