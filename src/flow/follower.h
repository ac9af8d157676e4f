/* SPDX-License-Identifier: MIT */
/* follower: shows in this daemon's hub what another one with the same roster and
 * organisation key publishes to a pubsub backend: its subscribers, by whatever door,
 * get those items by the same rules of access. */
#ifndef LECTERN_FLOW_FOLLOWER_H
#define LECTERN_FLOW_FOLLOWER_H

#include "flow/hub.h"
#include "flow/pubsub.h"

struct follower;

/* Follows every class of the hub's roster through p, which must outlive it. */
struct follower *follower_new(struct hub *h, struct pubsub *p);
void follower_free(struct follower *f); /* NULL is allowed */
/* Members of an object. */
void follower_status(const struct follower *f, struct jsonw *w);

#endif
