/* SPDX-License-Identifier: MIT */
/* feed: what a service has for producers. Nodes events/SOURCE and events/_all,
 * whose items are events, and state/REDUCER, to which their states are published.
 * They exist for the producers of the configuration and for nobody else. */
#ifndef LECTERN_XMPP_FEED_H
#define LECTERN_XMPP_FEED_H

#include "xmpp/service_priv.h"

#define NODE_EVENTS "events/"
#define NODE_EVENTS_ALL "events/_all"
#define NODE_STATE "state/"
#define DATATYPE_EVENT "urn:lectern:event:1"
#define DATATYPE_STATE "urn:lectern:published:1"
#define FEED_SUBS_MAX 64     /* subscriptions to events of one service */
#define FEED_WAITS_MAX 64    /* requests of one producer that are not answered yet */
#define FEED_REMIND_MS 20000 /* a notification nobody followed is sent again */

struct feed_door; /* of a service; NULL without producers */

struct feed_door *feed_door_new(struct service *s, struct feed *f);
void feed_door_free(struct feed_door *d);
/* Subscriptions of an earlier life. */
void feed_door_load(struct feed_door *d);
/* A new stream; and the clock. */
void feed_door_up(struct feed_door *d);
void feed_door_tick(struct feed_door *d, uint64_t now_ms);

/* Answers a <pubsub/> request of a producer about such a node. false: it is none. */
bool feed_request(struct request *q);

/* ---- between feed.c, feed_sub.c and publish.c ---- */

struct feed_sub {
	LIST_ENTRY(feed_sub) link;
	struct producer *producer;
	char *node, *jid; /* jid as it subscribed, full or bare */
	char *source;     /* NULL: all */
	uint64_t newest;  /* event for it, that it was not told of since it asked last */
	bool told;
	uint64_t told_ms;
};

struct feed_door {
	struct service *service;
	struct feed *feed;
	struct feed_listener listener;
	LIST_HEAD(, feed_sub) subs;
	LIST_HEAD(, feed_wait) waits;
	size_t n_subs;
	struct json_doc *loading; /* NULL: done */
};

/* A request that waits for the journal or the disk. */
struct feed_wait {
	LIST_ENTRY(feed_wait) link;
	struct feed_door *door;
	struct producer *producer;
	struct reply reply;     /* strings owned */
	char *node;
	uint64_t seq;           /* answered when this is durable; 0: by `read` */
	struct feed_read *read;
};
/* NULL, and the request answered, when too many of the producer wait. */
struct feed_wait *feed_wait_new(struct request *q, struct producer *p, const char *node);
void feed_wait_free(struct feed_wait *w);

/* Requests that waited for what is durable now. */
void feed_answer_durable(struct feed_door *d, uint64_t durable);

struct feed *feed_door_feed(struct feed_door *d);

/* feed_sub.c: subscriptions to events, and the notifications */
extern const struct feed_listener feed_sub_listener; /* without its arg */
char *feed_node_source(const struct producer *p, const char *node);
void feed_subscribe(struct request *q, struct producer *p, const struct xml *x, const char *node,
    const char *source);
void feed_unsubscribe(struct request *q, struct producer *p, const struct xml *x,
    const char *node);
/* The producer has a page of the node now; at_end: there was nothing. */
void feed_asked(struct feed_door *d, const struct producer *p, const char *node, bool at_end);
void feed_sub_free(struct feed_door *d, struct feed_sub *s);

/* XEP-0060 §7.1, and reading back what was published. */
void publish_request(struct request *q, struct producer *p, const struct xml *x);
void publish_items(struct request *q, struct producer *p, const struct xml *x);
void publish_cache_free(struct service *s);
/* <set><first/><last/></set> of a page, XEP-0059; nothing without entries. */
void feed_write_set(struct xmlw *w, const char *first, const char *last);

#endif
