/* SPDX-License-Identifier: MIT */
/* record: bodies of journal records: what a session states of itself, and one
 * event of it. Pure encoding; little-endian; docs/journal.md describes it. */
#ifndef LECTERN_FLOW_RECORD_H
#define LECTERN_FLOW_RECORD_H

#include "base/buf.h"
#include "state/ident.h"
#include "state/journal.h"

/* RECORD_SESSION: stands for all events of the session that follow. All
 * strings borrowed. */
struct session_record {
	struct str user_id, safe_user_id, providence;
	enum sec sec;
	struct str source;  /* the locked one, or empty */
	struct str stream;  /* or empty: no acks */
	struct str origin, agent, ip;
	struct str locked;  /* JSON object of the locked fields, "{}" at least */
};
void session_record_write(struct buf *out, const struct session_record *s);
enum err session_record_read(struct str body, struct session_record *out);

/* RECORD_EVENT: head and strings, then the event's JSON text as it came, less
 * reserved keys. */
struct event_record {
	struct str name;
	struct str source;   /* empty: the session's */
	struct str doc_id;   /* as the adapter found it; empty: none */
	uint64_t stream_seq; /* the client's seq in the session's stream, 0: none */
	struct str json;     /* followed by JSON_PADDING readable bytes once read
	                      * from a journal block or file */
};
/* Writes head and strings without the JSON, which follows as its own piece. */
void event_record_head(struct buf *out, const struct event_record *e);
enum err event_record_read(struct str body, struct event_record *out);

/* RECORD_STATE: one state of an external reducer, or, with an empty student, that
 * all events up to `folded` are in what was published. */
struct state_record {
	struct str reducer;  /* id */
	struct str student;  /* safe_user_id */
	struct str scope;    /* as in struct state */
	uint64_t folded;     /* seq of the last event in it */
	int64_t time_us;     /* server time of that event */
	enum sec sec;
	struct str json;     /* the state; empty without a student */
};
void state_record_write(struct buf *out, const struct state_record *s);
enum err state_record_read(struct str body, struct state_record *out);

#endif
