/* SPDX-License-Identifier: MIT */
/* session_priv: what the files of sessions share: session.c takes messages,
 * session_lock.c fields and identity, session_hold.c what must wait,
 * session_optout.c who may not be heard, session_blob.c blobs, session_say.c the answers, ingest.c the journal's side
 * and the acks. Nobody else includes this. */
#ifndef LECTERN_FLOW_SESSION_PRIV_H
#define LECTERN_FLOW_SESSION_PRIV_H

#include <sys/queue.h>

#include "flow/locked.h"
#include "flow/message.h"
#include "flow/session.h"
#include "state/optout.h"

#define SESSION_FETCHES_MAX 16 /* fetch_blob unanswered at a time */

/* Each lock_fields is laid over all fields locked before, which the journal then
 * gets anew; so a few bytes could cost 64 KiB. A client may cause this many
 * bytes of it, and as many times the bytes that it sends. */
#define SESSION_LOCK_CREDIT ((size_t)1 << 20)
#define SESSION_LOCK_RATE 4

struct held {
	struct held *next;
	size_t n;
	char text[]; /* with JSON_PADDING */
};

struct session {
	struct ingest *ingest;
	struct session *next, *prev; /* all of the ingest's */
	const struct session_door *door;
	void *peer;
	char *origin, *agent, *ip, *guest_id;

	struct locked locked;
	size_t lock_credit; /* bytes of locked fields it may still change */
	bool source_known; /* some reducer names the locked source */
	struct ident ident;
	bool identified;
	char *email;       /* that its last event has shown, or NULL */
	bool heard;        /* it has sent an event */

	uint64_t id;       /* in the journal; 0: has not stated itself */
	uint32_t segment;  /* where it stated itself last */
	bool stated;       /* as it is now */

	struct stream *stream; /* the engine's; NULL before it has an event */
	uint64_t acked;    /* last seq told to the client */
	uint64_t echo;     /* highest repeated seq that is not durable yet */

	size_t in_flight;  /* records and fetches the journal has not answered */
	unsigned fetches;  /* of these, fetches */
	struct session *next_touched;
	bool touched;      /* is in the ingest's list for the next commit */

	struct held *held, **held_end;
	size_t held_n, held_bytes;

	bool paused;       /* the door was asked not to read */
	bool told_retry;
	bool ending;       /* closes once all is acknowledged, */
	int end_code;      /* with this */
	const char *end_reason; /* a literal */
	bool deaf;         /* takes no more messages */
	bool gone;         /* the connection is no more; waits for in_flight */
};

/* Whether the client may still be told something. */
static inline bool
session_listens(const struct session *s)
{
	return !s->gone && (!s->deaf || s->ending);
}

/* One record, or one fetch_blob, on its way through the journal. */
struct flight {
	struct session *session;
	uint64_t seq;   /* of the record; of the record before for a fetch */
	char *blob_key; /* of a fetch; NULL for a record */
};

struct ingest {
	struct loop *loop;
	struct engine *engine;
	struct journal *journal;
	const struct conf *conf;
	const struct ident_rules *rules;
	const struct roster *roster;     /* or NULL */
	struct optout *optout;           /* NULL: no rules */
	struct loop_timer *optout_timer; /* a rule ends */

	struct json_doc *doc;        /* the message at hand */
	struct json_doc *locked_doc; /* locked fields, when they are asked for */
	struct buf spelling;         /* a message in today's spelling */
	struct buf head;             /* of the record at hand */
	struct buf scratch;
	struct buf reply;

	struct session *sessions;
	size_t n_sessions;
	struct session *touched;
	struct map *unknown_sources; /* told to the operator */

	LIST_HEAD(, blob_wait) blob_waits;
	struct flight *flights; /* ring, in the order of seq */
	size_t flights_at, flights_n, flights_cap;
	uint64_t last_seq;      /* appended last */
};

/* ---- session_say.c ---- */

void session_say_auth(struct session *s);
void session_say_ack(struct session *s);
void session_say_error(struct session *s, enum err e, const struct message *m);
void session_say_retry(struct session *s);
void session_say_blocked(struct session *s, const struct optout_rule *rule);
void session_say_blob(struct session *s, struct str key);

/* ---- session.c ---- */

/* Takes an event whose identity and source are known. */
enum err session_accept(struct session *s, const struct message *m);
/* Answers with an error and counts it. */
void session_reject(struct session *s, enum err e, const struct message *m);
/* Drops what is held and asks the door to close. */
void session_close(struct session *s, int code, const char *reason);
/* Takes nothing more and closes once what is under way is acknowledged, so that the
 * client does not send it again. The reason is a literal. */
void session_end(struct session *s, int code, const char *reason);
/* Frees a session that is gone, once nothing refers to it any more. */
void session_reap(struct session *s);

/* ---- session_lock.c ---- */

enum err session_lock(struct session *s, const struct message *m);
/* Tries to find out who this is from the locked fields and the members of
 * `claims`, and tells the client. guest_ok: something waits for it, so a guest
 * may be made. ERR_NOT_FOUND when nothing is claimed yet, or what is wrong. */
enum err session_identify(struct session *s, struct json claims, bool guest_ok);
/* Of a known client, whose old claims, even expired ones, mean nothing any more:
 * ERR_IDENTITY_CHANGED when there is proof that it is another student now. */
enum err session_recheck(struct session *s, struct json claims);

/* ---- session_hold.c ---- */

/* Whether identity and source of the event are known. */
bool session_complete(const struct session *s, const struct message *m);
/* Keeps the event for later, or, when too much is held, ends the connection. */
void session_hold(struct session *s, const struct message *m);
/* Accepts what is held, in its order, as far as it is complete. */
void session_release(struct session *s);
void session_drop_held(struct session *s);

/* ---- session_optout.c ---- */

/* Whether a rule forbids to take the event; the client was told then, and is closed.
 * Only when it is known who the student is: a rule of the domain is asked about after
 * the student's own. */
bool session_opted_out(struct session *s, const struct message *m);
/* The same of all that is held, before any of it is accepted. */
bool session_held_opted_out(struct session *s);
/* The rules of g->conf against this roster, for every open connection from now on. */
void ingest_opt_outs(struct ingest *g, const struct roster *roster);
void ingest_opt_outs_free(struct ingest *g);

/* ---- session_blob.c ---- */

enum err session_check_blob(const struct session *s, const struct message *m);
enum err session_fetch_blob(struct session *s, const struct message *m);
/* Answers with the state of this key, once it is in memory; takes key. */
void session_answer_blob(struct session *s, char *key);
void session_blobs_free(struct ingest *g); /* the answers that wait */

/* ---- ingest.c ---- */

/* Appends a record of the session; stands in the flights until it is durable. */
uint64_t ingest_append(struct session *s, enum record_type type, const struct str *pieces,
    size_t n);
/* Answers a fetch once all that was appended so far is durable; takes key. */
void ingest_fetch(struct session *s, char *key);
/* Tells the session what is durable, and closes it when that was its last word. */
void ingest_settle(struct session *s);
/* The session hears of the next commit. */
void ingest_touch(struct session *s);
/* The session just appended, or began: it stops reading while the journal is full,
 * so that neither its next events nor ever new connections grow what waits. */
void ingest_pressure(struct session *s);
/* Lets go of memory that a message of n bytes made necessary. */
void ingest_trim(struct ingest *g, size_t n);
/* Counts an event of a source no reducer names; tells the operator once. */
void ingest_unknown_source(struct ingest *g, struct str source);

#endif
