/* SPDX-License-Identifier: MIT */
/* event: what stands behind `struct event` of components/reducer.h: one record
 * of the journal together with what its session states. The texts are parsed
 * when a reducer first asks for a field, at most once each. */
#ifndef LECTERN_FLOW_EVENT_H
#define LECTERN_FLOW_EVENT_H

#include "components/reducer.h"

struct event_reader;

/* All borrowed for the time of one fold. */
struct event {
	struct str name;
	struct str source;   /* of the event, else of its session */
	struct str student;
	struct str doc_id;   /* empty: none */
	struct str text;     /* the client's JSON object; JSON_PADDING bytes follow */
	struct str locked;   /* the session's, likewise */
	uint64_t seq;        /* of the record `text` is in */
	uint64_t statement;  /* of the record `locked` is in */
	int64_t time_us;
	struct event_reader *reader;
};

/* Keeps the parsed texts; sequence numbers tell them apart, so that a reader
 * serves one journal only. */
struct event_reader *event_reader_new(void);
void event_reader_free(struct event_reader *r);

/* After the fold of an event: lets go of the memory a large one needed. */
void event_done(const struct event *e);

#endif
