/* SPDX-License-Identifier: MIT */
/* What the files of pubsub_redis share: pubsub_redis.c has the link for commands,
 * questions and publishing, pubsub_redis_lease.c sees to it that one daemon alone
 * publishes, pubsub_redis_read.c has the link that reads, and snapshots. */
#ifndef LECTERN_FLOW_PUBSUB_REDIS_PRIV_H
#define LECTERN_FLOW_PUBSUB_REDIS_PRIV_H

#include <sys/queue.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "flow/pubsub_backends.h"
#include "flow/pubsub_message.h"
#include "state/redis_link.h"

#define RPS_RETRY_MS 250
#define RPS_RETRY_MOST_MS 30000

/* A node that is read, or was until Redis says that we hear of it no more. */
struct rps_node {
	char *name;
	bool read;
	unsigned leaving;    /* UNSUBSCRIBEs without an answer: what comes before it is old */
	uint64_t generation; /* an answer to what was asked earlier counts no more */
	bool subscribed;     /* Redis said so */
	bool wanted;         /* a snapshot, as soon as it is */
};

/* A question whose answer is due. */
struct rps_ask {
	struct rps *store;
	char *node;
	uint64_t generation;
	size_t bytes;
	pubsub_ids_cb *ids;
	pubsub_nodes_cb *nodes;
	void *arg;
	TAILQ_ENTRY(rps_ask) link;
};
TAILQ_HEAD(rps_asks, rps_ask);

struct rps {
	struct loop *loop;
	const struct pubsub_events *ev;
	void *arg;
	char *prefix;
	struct redis_options options; /* strings are owned */
	struct redis_link *link, *sub; /* sub: NULL until something is read */
	struct map *nodes;   /* struct rps_node by name */
	struct rps_asks asks;
	struct rps_asks failed; /* asked while there was no link; answered in the next turn */
	struct loop_timer *turn, *retry, *renew;
	unsigned tries;
	uint64_t generations;
	size_t unanswered;   /* bytes */
	bool up, full;
	char *refused;       /* what it said in this turn */
	char *trouble;       /* what Redis said last; NULL: all is well */
	bool writes;             /* it publishes, */
	char *name;              /* with this in the key of the lease */
	uint64_t lease_until_ms; /* nobody else publishes; 0: not known */
	uint64_t lease_asked_ms;
	bool lease_asked;        /* an answer is due */
	bool lease_taken;        /* before it the key was not there */
	char *lease_error;       /* or it cannot be taken */
	bool conflict;           /* somebody else publishes */
	struct pubsub_message *message;
	struct buf text, key;
	uint64_t published, lost, strange;
};

/* ---- pubsub_redis.c ---- */

/* Names in Redis, valid until the next one: the hash of a node's items, its
 * channel, and the hash of all nodes. */
struct str rps_name(struct rps *s, const char *kind, struct str node);
struct str rps_items(struct rps *s, struct str node);
struct str rps_channel(struct rps *s, struct str node);
struct str rps_all(struct rps *s);

/* The link may have gone in this turn, and not have said so yet. */
bool rps_is_up(const struct rps *s);
/* As soon as all links are there, and the lease. */
void rps_rise(struct rps *s);
/* There may be room again. */
void rps_room(struct rps *s);
/* The link is lost, or of no use. */
void rps_down(struct rps *s, const char *why);
/* Redis answers, but not as it should: in the next turn it counts as lost, for a
 * while. */
void rps_refused(struct rps *s, struct str error);
void rps_trouble(struct rps *s, const char *why);
/* A snapshot of it that is asked for from now on. */
void rps_node_want(struct rps *s, struct rps_node *n);
/* What an error reply means, in words; mem_free it. */
char *rps_trouble_of(struct str error);

struct rps_ask *rps_ask_new(struct rps *s, struct str node);
void rps_ask_free(struct rps_ask *a);
/* A command within MULTI and EXEC. */
void rps_say(struct rps *s, const struct str *words, size_t n);
/* What a transaction answers: an error of one of its commands, or NULL. */
const struct redis_reply *rps_failed(const struct redis_reply *r);

/* ---- pubsub_redis_lease.c ---- */

/* It will publish. Before the loop runs. */
void rps_lease_write(struct rps *s);
/* Whether it may now. */
bool rps_lease_held(const struct rps *s);
/* Sees to it that it may; rps_rise is called then. */
void rps_lease_want(struct rps *s);
void rps_lease_renew_cb(void *arg);
/* It publishes no more: the next one need not wait. */
void rps_lease_end(struct rps *s);

/* ---- pubsub_redis_read.c ---- */

/* Asks for every snapshot that is wanted and can be had. */
void rps_snapshots_ask(struct rps *s);
/* Subscribes to what is missing. */
void rps_subscribe_all(struct rps *s);
void rps_follow(void *store, struct str node);
void rps_unfollow(void *store, struct str node);
void rps_nodes_free(struct rps *s);

#endif
