/* SPDX-License-Identifier: MIT */
/* feed_event: one event as producers get it: a record of the journal with what
 * its session states, less whatever says who the student is beside the
 * pseudonym. Any thread, one at a time. */
#ifndef LECTERN_FLOW_FEED_EVENT_H
#define LECTERN_FLOW_FEED_EVENT_H

#include "flow/record.h"

/* Sessions as the records read so far state them. */
struct feed_sessions;
struct feed_sessions *feed_sessions_new(struct str pseudonym_key); /* borrowed */
void feed_sessions_free(struct feed_sessions *s);
/* A RECORD_SESSION or RECORD_SESSION_END; others are passed over. */
void feed_sessions_record(struct feed_sessions *s, const struct record *r);

struct feed_event;
/* A RECORD_EVENT, copied; NULL when it does not read or its session is unknown. */
struct feed_event *feed_event_new(struct feed_sessions *s, const struct record *r);
void feed_event_free(struct feed_event *e);
uint64_t feed_event_seq(const struct feed_event *e);
struct str feed_event_source(const struct feed_event *e);
size_t feed_event_size(const struct feed_event *e); /* bytes of memory */

/* Appends its JSON: {"v":1,"seq":..,"t":"..","time_us":..,"source":"..",
 * "student":PSEUDONYM,"sec":"..","doc_id":"..","fields":{..},"event":{..}},
 * ASCII and safe inside XML. */
struct json_doc;
void feed_event_write(const struct feed_event *e, struct json_doc *doc, struct buf *out);

#endif
