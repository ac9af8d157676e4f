/* SPDX-License-Identifier: MIT */
/* stanza: namespaces, addresses, errors and the few stanzas every room of the
 * door writes. Knows no service. */
#ifndef LECTERN_XMPP_STANZA_H
#define LECTERN_XMPP_STANZA_H

#include "xmpp/xml.h"

#define NS_STREAM "http://etherx.jabber.org/streams"
#define NS_STREAM_ERRORS "urn:ietf:params:xml:ns:xmpp-streams"
#define NS_COMPONENT "jabber:component:accept"
#define NS_STANZAS "urn:ietf:params:xml:ns:xmpp-stanzas"
#define NS_DISCO_INFO "http://jabber.org/protocol/disco#info"
#define NS_DISCO_ITEMS "http://jabber.org/protocol/disco#items"
#define NS_PUBSUB "http://jabber.org/protocol/pubsub"
#define NS_PUBSUB_ERRORS "http://jabber.org/protocol/pubsub#errors"
#define NS_PUBSUB_EVENT "http://jabber.org/protocol/pubsub#event"
#define NS_PUBSUB_OWNER "http://jabber.org/protocol/pubsub#owner"
#define NS_SUBSCRIBE_OPTIONS "http://jabber.org/protocol/pubsub#subscribe_options"
#define NS_DELAY "urn:xmpp:delay"
#define NS_RSM "http://jabber.org/protocol/rsm"
#define NS_CAPS "http://jabber.org/protocol/caps"
#define NS_DATA "jabber:x:data"
#define NS_COMMANDS "http://jabber.org/protocol/commands"
#define NS_PING "urn:xmpp:ping"
#define NS_VERSION "jabber:iq:version"
#define NS_JSON "urn:xmpp:json:0"
#define NS_JSON_MSG "urn:xmpp:json-msg:0"

/* ---- errors: RFC 6120 §8.3, the second condition XEP-0060 §11 ---- */

/* X(symbol, type, condition, condition of pubsub#errors or NULL) */
#define FAULT_MAP(X)                                                            \
	X(FAULT_BAD_REQUEST, "modify", "bad-request", NULL)                     \
	X(FAULT_INVALID_JID, "modify", "bad-request", "invalid-jid")            \
	X(FAULT_JID_REQUIRED, "modify", "bad-request", "jid-required")          \
	X(FAULT_NODE_REQUIRED, "modify", "bad-request", "nodeid-required")      \
	X(FAULT_INVALID_OPTIONS, "modify", "bad-request", "invalid-options")    \
	X(FAULT_INVALID_PAYLOAD, "modify", "bad-request", "invalid-payload")    \
	X(FAULT_ITEM_REQUIRED, "modify", "bad-request", "item-required")        \
	X(FAULT_INVALID_SUBID, "modify", "not-acceptable", "invalid-subid")     \
	X(FAULT_CLOSED_NODE, "cancel", "not-allowed", "closed-node")            \
	X(FAULT_NOT_ALLOWED, "cancel", "not-allowed", NULL)                     \
	X(FAULT_FORBIDDEN, "auth", "forbidden", NULL)                           \
	X(FAULT_NOT_FOUND, "cancel", "item-not-found", NULL)                    \
	X(FAULT_NOT_SUBSCRIBED, "cancel", "unexpected-request", "not-subscribed") \
	X(FAULT_TOO_MANY, "wait", "policy-violation", "too-many-subscriptions") \
	X(FAULT_TOO_LARGE, "modify", "policy-violation", NULL)                  \
	X(FAULT_BUSY, "wait", "resource-constraint", NULL)                      \
	X(FAULT_UNSUPPORTED, "cancel", "feature-not-implemented", "unsupported") \
	X(FAULT_UNAVAILABLE, "cancel", "service-unavailable", NULL)             \
	X(FAULT_INTERNAL, "wait", "internal-server-error", NULL)                \
	/* XEP-0050 §3.6: the second condition is of its namespace */           \
	X(FAULT_BAD_ACTION, "modify", "bad-request", "bad-action")              \
	X(FAULT_MALFORMED_ACTION, "modify", "bad-request", "malformed-action")  \
	X(FAULT_BAD_PAYLOAD, "modify", "bad-request", "bad-payload")            \
	X(FAULT_BAD_SESSION, "modify", "bad-request", "bad-sessionid")          \
	X(FAULT_SESSION_EXPIRED, "cancel", "not-allowed", "session-expired")

enum fault {
#define FAULT_ENUM(sym, type, condition, app) sym,
	FAULT_MAP(FAULT_ENUM)
#undef FAULT_ENUM
	FAULTS
};

/* Writes <error/> into the open stanza; feature only for FAULT_UNSUPPORTED. */
void stanza_fault(struct xmlw *w, enum fault f, const char *feature);
/* The same with a text for people, in English. */
void stanza_fault_text(struct xmlw *w, enum fault f, const char *text);

/* Appends a whole XEP-0199 ping. */
void stanza_ping(struct buf *out, const char *from, const char *to, const char *id);

/* ---- addresses ---- */

#define ADDRESS_MAX 3071 /* RFC 7622 §3.1: three parts of 1023 bytes */

/* The JID of a person, canonical. */
struct address {
	char full[ADDRESS_MAX + 1]; /* with the resource, where there is one */
	size_t bare_n;              /* bytes before it */
	bool has_resource;
};

/* false when it is not the JID of a person. */
bool address_read(const char *text, struct address *out);
struct str address_bare(const struct address *a);

#endif
