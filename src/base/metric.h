/* SPDX-License-Identifier: MIT */
/* metric: all counters and gauges in one table; the table is their
 * documentation. Loop thread only. */
#ifndef LECTERN_BASE_METRIC_H
#define LECTERN_BASE_METRIC_H

#include <stdint.h>

#include "base/err.h"
#include "base/jsonw.h"

/* X(symbol, name in status, help) */
#define METRIC_MAP(X)                                                          \
	X(METRIC_CONNECTIONS, "connections", "event sockets open now")         \
	X(METRIC_CONNECTIONS_TOTAL, "connections_total", "event sockets accepted") \
	X(METRIC_REFUSED, "handshakes_refused", "handshakes refused")          \
	X(METRIC_CLOSED_BY_US, "closed_by_us", "connections closed for breaking a rule") \
	X(METRIC_FRAMES, "frames", "text frames received")                     \
	X(METRIC_EVENTS, "events_accepted", "events given to the journal")     \
	X(METRIC_REJECTED, "events_rejected", "frames answered with an error") \
	X(METRIC_REPEATED, "events_repeated", "events dropped because their seq was known") \
	X(METRIC_GAPS, "seq_gaps", "events whose seq was not the next one")    \
	X(METRIC_STRIPPED, "keys_stripped", "reserved keys removed from events") \
	X(METRIC_HELD, "events_held", "events waiting for identity and source") \
	X(METRIC_OPTED_OUT, "events_opted_out", "events refused by an opt-out rule") \
	X(METRIC_UNKNOWN_SOURCE, "events_unknown_source", "events of a source no reducer names") \
	X(METRIC_COMMITS, "journal_commits", "blocks committed")               \
	X(METRIC_COMMIT_FAILURES, "journal_commit_failures", "commits that failed and were tried again elsewhere") \
	X(METRIC_JOURNAL_BYTES, "journal_bytes", "bytes committed since start") \
	X(METRIC_JOURNAL_DAMAGE, "journal_damage", "damaged places found in the journal") \
	X(METRIC_REDUCED, "reductions", "reducer calls")                       \
	X(METRIC_QUARANTINED, "reductions_failed", "reducer calls that failed on one event") \
	X(METRIC_STATES, "states", "states in memory")                         \
	X(METRIC_COLD_OUT, "students_out", "times a student's states went out of memory") \
	X(METRIC_COLD_BACK, "students_back", "times a student's states came back from the store") \
	X(METRIC_COLD_REBUILT, "students_rebuilt", "times a student's states were folded anew from the journal") \
	X(METRIC_STREAMS, "streams", "acknowledged event streams known")       \
	X(METRIC_SUBSCRIPTIONS, "subscriptions", "subscriptions to nodes")     \
	X(METRIC_ITEMS_SENT, "items_sent", "items sent to subscribers")        \
	X(METRIC_ITEMS_COALESCED, "items_coalesced", "changes replaced by a newer one before they were sent") \
	X(METRIC_ACCESS_REFUSED, "access_refused", "subscriptions and reads refused") \
	X(METRIC_AUDIT, "audit_lines", "lines of the audit file")              \
	X(METRIC_AUDIT_LOST, "audit_lost", "lines of the audit file lost because it could not be written") \
	X(METRIC_REVOKED, "subscriptions_revoked", "subscriptions ended by a roster change") \
	X(METRIC_PUBSUB_PUBLISHED, "pubsub_published", "changes published to memory and Redis") \
	X(METRIC_PUBSUB_GAPS, "pubsub_gaps", "times a change from Redis was missing and all of a node was read") \
	X(METRIC_SIGNIN, "signins", "people who signed in on the web side")       \
	X(METRIC_SIGNIN_REFUSED, "signins_refused", "wrong passwords there")      \
	X(METRIC_FEED_EVENTS, "feed_events", "events handed to producers")     \
	X(METRIC_FEED_STATES, "feed_states", "states taken from producers")    \
	X(METRIC_XMPP_IN, "xmpp_stanzas_in", "stanzas received")               \
	X(METRIC_XMPP_OUT, "xmpp_stanzas_out", "stanzas sent")                 \
	X(METRIC_XMPP_IGNORED, "xmpp_stanzas_ignored", "stanzas that were not for us or not valid") \
	X(METRIC_XMPP_TOO_LARGE, "xmpp_items_too_large", "items skipped because no stanza can carry them") \
	X(METRIC_XMPP_CONNECTS, "xmpp_connects", "component streams established")

enum metric {
#define METRIC_ENUM(sym, name, help) sym,
	METRIC_MAP(METRIC_ENUM)
#undef METRIC_ENUM
	METRIC_COUNT
};

extern uint64_t metric_value[METRIC_COUNT];

static inline void
metric_add(enum metric m, uint64_t n)
{
	metric_value[m] += n;
}

static inline void
metric_sub(enum metric m, uint64_t n)
{
	metric_value[m] -= n;
}

static inline void
metric_set(enum metric m, uint64_t n)
{
	metric_value[m] = n;
}

/* Counts one rejection under METRIC_REJECTED and under its reason. */
void metric_reject(enum err reason);

/* Writes {"connections":0,...,"rejected":{"bad_json":1,...}}, reasons that
 * never happened left out. */
void metric_write(struct jsonw *w);

#endif
