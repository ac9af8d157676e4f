/* SPDX-License-Identifier: MIT */
/* consumer_priv: what the files of the consumer share: consumer.c has the stream
 * and its requests, consumer_fold.c turns items into events and states,
 * consumer_publish.c publishes what changed. */
#ifndef LECTERN_XMPP_CONSUMER_PRIV_H
#define LECTERN_XMPP_CONSUMER_PRIV_H

#include <sys/queue.h>

#include "base/json.h"
#include "base/map.h"
#include "flow/engine.h"
#include "xmpp/consumer.h"
#include "xmpp/feed.h"
#include "xmpp/link.h"

#define CONSUMER_PAGE 250           /* events asked for at a time */
#define CONSUMER_PUBLISH_BYTES 48000 /* of items in one publish */
#define CONSUMER_PUBLISH_ITEMS 100
#define CONSUMER_TIMEOUT_MS 60000   /* for an answer; then it is asked again */
#define CONSUMER_RETRY_MS 1000      /* after an error */
#define CONSUMER_TICK_MS 1000
#define CONSUMER_POLL_MS 30000      /* without a notification */
#define CONSUMER_ACK_MS 10000       /* where no state changes, so often at most */
#define CONSUMER_ACK_IDLE_MS 1000   /* the same once all events are read */
#define CONSUMER_EVENT_MAX ((size_t)128 << 20) /* bytes of JSON of one event */
#define CONSUMER_SESSIONS_MAX 4096  /* remembered by the engine */
#define CONSUMER_DETAIL_MAX 200

/* A state with changes that are not known to be published. `since` is the seq of
 * the first of these: no acknowledgement goes beyond the one before it. */
struct consumer_entry {
	TAILQ_ENTRY(consumer_entry) link;
	struct state *state;
	uint64_t since;
	uint64_t sent;     /* position of what is under way */
	uint64_t again;    /* seq of the first change since that left; 0: none */
	bool dirty;        /* is in one of the lists */
	bool under_way, stuck;
};
TAILQ_HEAD(consumer_entries, consumer_entry);

/* One reducer's node. */
struct consumer_node {
	const struct reducer *reducer;
	char *name;         /* state/REDUCER */
	bool restored;
	char *after;        /* id of the last state read back */
	uint64_t acked, acking;
	uint64_t acked_ms;
};

/* One request at a time of each kind. */
enum consumer_ask { ASK_SUBSCRIBE, ASK_RESTORE, ASK_EVENTS, ASK_PUBLISH, CONSUMER_ASKS };

struct consumer {
	struct consumer_options o; /* strings owned */
	struct link *link;
	struct loop_timer *tick;
	struct engine *engine;
	struct json_doc *doc;
	struct buf out, text;
	struct consumer_node *node;
	size_t n_nodes;
	bool up, subscribed;
	bool more;                 /* there may be events */
	uint64_t polled_ms;

	uint64_t asks;             /* numbers of requests */
	uint64_t asked[CONSUMER_ASKS];    /* number of the one under way, 0: none */
	uint64_t asked_ms[CONSUMER_ASKS];
	uint64_t not_before_ms[CONSUMER_ASKS];

	/* folding */
	char *after;               /* id of the last item, "" before the first */
	uint64_t processed;        /* seq of the last event folded */
	struct buf parts;          /* of an event that comes in parts */
	struct map *sessions;      /* what the engine knows, by what they state */
	uint64_t events;

	/* publishing */
	struct consumer_entries dirty, under_way, stuck;
	size_t batch_max;
	struct consumer_node *publishing;
	uint64_t published;
	char error[CONSUMER_DETAIL_MAX];
	loop_cb *stopped_cb;
	void *stopped_arg;
};

/* ---- consumer.c ---- */

/* Starts a request in c->out: <iq><pubsub>. */
struct xmlw consumer_ask(struct consumer *c, enum consumer_ask what, const char *type);
void consumer_send(struct consumer *c, struct xmlw *w);
void consumer_fail(struct consumer *c, const char *what, const struct xml *iq);
/* Asks for whatever is due. */
void consumer_next(struct consumer *c);

/* ---- consumer_fold.c ---- */

/* Takes one item of the feed; false when it does not read. */
bool consumer_fold(struct consumer *c, const char *id, struct str json);
/* Takes one state or acknowledgement read back. */
bool consumer_restore(struct consumer *c, struct consumer_node *n, const char *id,
    struct str json);
void consumer_forget_sessions(struct consumer *c);

/* ---- consumer_publish.c ---- */

/* Notes what the event of this seq has changed. */
void consumer_changed(struct consumer *c, uint64_t seq);
/* Publishes what is due; whether it did. */
bool consumer_publish(struct consumer *c);
void consumer_published(struct consumer *c);
/* It may not have arrived. permanent: the service refused it. */
void consumer_unpublished(struct consumer *c, bool permanent);
size_t consumer_waiting(const struct consumer *c);
void consumer_publish_free(struct consumer *c);

#endif
