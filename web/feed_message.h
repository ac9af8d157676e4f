/* SPDX-License-Identifier: MIT */
/* feed_message: what a client of the feed may say, from text to a request. Pure. */
#ifndef LECTERN_WEB_FEED_MESSAGE_H
#define LECTERN_WEB_FEED_MESSAGE_H

#include "base/json.h"
#include "flow/node.h"

#define FEED_DIGEST_MAX_MS 3600000

enum feed_op { FEED_BAD, FEED_SUBSCRIBE, FEED_UNSUBSCRIBE, FEED_NODES, FEED_PING };

struct feed_message {
	enum feed_op op;
	char node[NODE_MAX + 1]; /* "" when it has none, or one that cannot be */
	uint32_t digest_ms;
	const char *why;         /* FEED_BAD: a sentence */
};

/* text is followed by JSON_PADDING readable bytes. */
void feed_message_read(struct json_doc *doc, struct str text, struct feed_message *out);

#endif
