/* SPDX-License-Identifier: MIT */
/* feed_message: see feed_message.h. */
#include "web/feed_message.h"

static const struct feed_word {
	const char *name;
	enum feed_op op;
	bool needs_node;
} feed_words[] = {
	{ "subscribe", FEED_SUBSCRIBE, true },
	{ "unsubscribe", FEED_UNSUBSCRIBE, true },
	{ "nodes", FEED_NODES, false },
	{ "ping", FEED_PING, false },
};

static const struct feed_word *
feed_word(struct str op)
{
	for (size_t i = 0; i < sizeof feed_words / sizeof *feed_words; i++)
		if (str_is(op, feed_words[i].name))
			return &feed_words[i];
	return NULL;
}

/* A name that is too long or has a NUL is no node's: it stays "". */
static bool
feed_node(struct json root, struct feed_message *out)
{
	const char *key = out->op == FEED_NODES ? "after" : "node";
	struct json v;
	struct str s;

	if (!json_get(root, key, &v))
		return out->op == FEED_NODES || out->op == FEED_PING;
	if (!json_str(v, &s))
		return false;
	if (s.n <= NODE_MAX && memchr(s.p, '\0', s.n) == NULL)
		memcpy(out->node, s.p, s.n);
	return true;
}

static bool
feed_digest(struct json root, struct feed_message *out)
{
	struct json v;
	int64_t ms;

	if (out->op != FEED_SUBSCRIBE || !json_get(root, "digest_ms", &v))
		return true;
	if (!json_int(v, &ms) || ms < 0 || ms > FEED_DIGEST_MAX_MS)
		return false;
	out->digest_ms = (uint32_t)ms;
	return true;
}

void
feed_message_read(struct json_doc *doc, struct str text, struct feed_message *out)
{
	const struct feed_word *word;
	struct json root;
	struct str op;

	*out = (struct feed_message){ .op = FEED_BAD, .why = "A message is one JSON object." };
	if (json_parse(doc, text, &root) != ERR_OK || json_type(root) != JSON_OBJECT)
		return;
	out->why = "\"op\" is one of subscribe, unsubscribe, nodes, ping.";
	if (!json_get_str(root, "op", &op) || (word = feed_word(op)) == NULL)
		return;
	out->op = word->op;
	out->why = word->needs_node ? "\"node\" must be the name of a node." :
	    "\"after\" must be the name of a node.";
	if (!feed_node(root, out)) {
		out->op = FEED_BAD;
		return;
	}
	out->why = "\"digest_ms\" must be a whole number from 0 to 3600000.";
	if (!feed_digest(root, out))
		out->op = FEED_BAD;
}
