/* SPDX-License-Identifier: MIT */
/* pubsub_door: the hub's door to a pubsub backend: publishes every node that the
 * roster has, to whoever may read that backend. Like `xmpp/publisher` it subscribes
 * in no reader's name; whom the backend lets read is set there. */
#ifndef LECTERN_FLOW_PUBSUB_DOOR_H
#define LECTERN_FLOW_PUBSUB_DOOR_H

#include "flow/hub.h"
#include "flow/pubsub.h"

struct pubsub_door;

/* Publishes through p, which must outlive it, and whose one writer it is. Before
 * the loop runs. */
struct pubsub_door *pubsub_door_new(struct hub *h, struct pubsub *p);
void pubsub_door_free(struct pubsub_door *d); /* NULL is allowed */
/* Members of an object: nodes, of which so many are published, wait or go. */
void pubsub_door_status(const struct pubsub_door *d, struct jsonw *w);

#endif
