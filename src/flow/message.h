/* SPDX-License-Identifier: MIT */
/* message: what one text message of a client says: parsed, checked, its known
 * members found. Knows JSON and the protocol's names, nothing of sessions. */
#ifndef LECTERN_FLOW_MESSAGE_H
#define LECTERN_FLOW_MESSAGE_H

#include "base/buf.h"
#include "base/json.h"

#define MESSAGE_NAME_MAX 256 /* bytes of an event name */

/* X(symbol, key): top-level members somebody asks for. The last ones are
 * reserved: never stored as the client sent them. */
#define MESSAGE_MAP(X)                                 \
	X(MESSAGE_EVENT, "event")                      \
	X(MESSAGE_SEQ, "seq")                          \
	X(MESSAGE_SOURCE, "source")                    \
	X(MESSAGE_DOC_ID, "doc_id")                    \
	X(MESSAGE_OBJECT, "object")                    \
	X(MESSAGE_ACTIVITY, "activity")                \
	X(MESSAGE_FIELDS, "fields")                    \
	X(MESSAGE_CHROME_IDENTITY, "chrome_identity")  \
	X(MESSAGE_AUTH, "auth")                        \
	X(MESSAGE_SERVER, "server")                    \
	X(MESSAGE_TOKEN, "token")                      \
	X(MESSAGE_USER_ID, "user_id")                  \
	X(MESSAGE_SAFE_USER_ID, "safe_user_id")

enum message_key {
#define MESSAGE_ENUM(sym, key) sym,
	MESSAGE_MAP(MESSAGE_ENUM)
#undef MESSAGE_ENUM
	MESSAGE_KEYS, /* any other key */
	MESSAGE_FIRST_RESERVED = MESSAGE_AUTH
};

struct message {
	struct str text;    /* a JSON object, JSON_PADDING bytes follow it */
	struct str name;    /* of the event */
	struct json root;
	struct json member[MESSAGE_KEYS]; /* .doc is NULL for what is absent */
	unsigned reserved;  /* number of reserved members */
	bool old;           /* some member is spelled as in old clients */
};

/* Reads one message. ERR_NOT_AN_OBJECT, ERR_DUPLICATE_KEY (top level only: that
 * is where the protocol's own words stand), ERR_BAD_EVENT_NAME or an error of
 * json_parse; *m then holds at least the members found before, for the answer.
 * Borrows text and doc. */
enum err message_read(struct json_doc *doc, struct str text, struct message *m);

/* message_read, then, when members are spelled as in old clients, the text
 * anew in *spelling and read again. */
enum err message_read_any(struct json_doc *doc, struct str text, struct buf *spelling,
    struct message *m);

enum message_key message_key(struct str key);

static inline bool
message_has(const struct message *m, enum message_key key)
{
	return m->member[key].doc != NULL;
}

/* The text without its reserved members, in pieces that point into it; returns
 * their number. */
#define MESSAGE_PIECES_MAX (2 * (MESSAGE_KEYS - MESSAGE_FIRST_RESERVED + 1) + 1)
size_t message_pieces(const struct message *m, struct str *pieces);

#endif
