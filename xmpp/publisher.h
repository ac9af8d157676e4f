/* SPDX-License-Identifier: MIT */
/* publisher: publishes nodes of the roster at the server's own PubSub service
 * (XEP-0060), as their owner, over the component's stream. Who may read them is
 * copied there from the roster, and nothing is published to a node before what
 * the service has was read back and found right. */
#ifndef LECTERN_XMPP_PUBLISHER_H
#define LECTERN_XMPP_PUBLISHER_H

#include "base/jsonw.h"
#include "flow/hub.h"
#include "state/kvs.h"
#include "xmpp/service_priv.h"
#include "xmpp/xml.h"

#define PUBLISHER_WINDOW 64     /* requests without an answer */
#define PUBLISHER_MAX_ITEMS 256 /* of a node: what Prosody allows by default */

struct publisher;

struct publisher_options {
	struct loop *loop;
	struct hub *hub;
	struct kvs *kvs;
	const char *jid;     /* the component's: owner of the nodes */
	const char *pubsub;  /* the service's */
	struct str key;      /* the organisation's; copied */
	const struct reducer *const *reducers;
	unsigned window;     /* 0: PUBLISHER_WINDOW */
	unsigned max_items;  /* 0: PUBLISHER_MAX_ITEMS */
	const struct service_sink *sink;
	void *sink_arg;
};

struct publisher *publisher_new(const struct publisher_options *o);
void publisher_free(struct publisher *p); /* NULL is allowed */
/* Calls cb once it knows which nodes it had in an earlier life. */
void publisher_load(struct publisher *p, loop_cb *cb, void *arg);
void publisher_up(struct publisher *p);
void publisher_down(struct publisher *p);
/* Whether the stanza is an answer of the service's; refused: beyond a limit of
 * the reader. */
bool publisher_stanza(struct publisher *p, const struct xml *stanza);
bool publisher_refused(struct publisher *p, const struct xml *head);
void publisher_room(struct publisher *p);
/* What the clock does: answers that never came, attempts that are due. */
void publisher_tick(struct publisher *p, uint64_t now_ms);
void publisher_write(const struct publisher *p, struct jsonw *w);

#endif
