/* SPDX-License-Identifier: MIT */
/* pubsub_message: one change as the JSON text that goes over a channel:
 *     {"op":"item","number":7,"id":"..","item":{..}}   op is that of pubsub.h */
#ifndef LECTERN_FLOW_PUBSUB_MESSAGE_H
#define LECTERN_FLOW_PUBSUB_MESSAGE_H

#include "flow/pubsub.h"

void pubsub_message_write(const struct pubsub_change *c, struct buf *out);

/* Reads what others wrote. */
struct pubsub_message; /* a reader with its memory; one message at a time */
struct pubsub_message *pubsub_message_new(void);
void pubsub_message_free(struct pubsub_message *m);
/* false when it is none, or one of an operation that we do not know. *c is valid
 * until the next call. */
bool pubsub_message_read(struct pubsub_message *m, struct str text, struct pubsub_change *c);

#endif
