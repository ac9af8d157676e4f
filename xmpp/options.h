/* SPDX-License-Identifier: MIT */
/* options: the form of a subscription, pubsub#subscribe_options (XEP-0060
 * §6.3, §16.4.2). */
#ifndef LECTERN_XMPP_OPTIONS_H
#define LECTERN_XMPP_OPTIONS_H

#include <stdint.h>

#include "xmpp/xml.h"

#define OPTIONS_FREQUENCY_MS 5000        /* of a digest that names none */
#define OPTIONS_FREQUENCY_MAX 86400000u  /* a day */

/* What the presence of a session shows (RFC 6121 §4.7.2.1).
 * X(symbol, value, label) */
#define SHOW_MAP(X)                                                             \
	X(SHOW_AWAY, "away", "Away")                                            \
	X(SHOW_CHAT, "chat", "Free for chat")                                   \
	X(SHOW_DND, "dnd", "Do not disturb")                                    \
	X(SHOW_ONLINE, "online", "Available")                                   \
	X(SHOW_XA, "xa", "Away for long")

enum show {
#define SHOW_ENUM(sym, value, label) sym,
	SHOW_MAP(SHOW_ENUM)
#undef SHOW_ENUM
	SHOWS
};
#define SHOW_ALL ((1u << SHOWS) - 1) /* no matter what, or whether there is a presence */

/* Of the text of <show/>; what is none of them counts as no <show/>. */
enum show show_read(const char *text);

struct options {
	bool deliver;
	bool digest;
	uint32_t frequency_ms; /* shortest time between two digests */
	bool presence;         /* ends with the subscriber's presence (§12.4) */
	int64_t expire_us;     /* end of the lease (§12.18), 0: none */
	bool body;             /* a sentence for people, too */
	unsigned shows;        /* bits by enum show: nothing is sent in others */
};

#define OPTIONS_DEFAULT ((struct options){ .deliver = true, \
	.frequency_ms = OPTIONS_FREQUENCY_MS, .shows = SHOW_ALL })

/* Lays a submitted form over the options. false, and nothing changed, when a
 * field or value is not one of ours or the lease ends in the past. */
bool options_read(const struct xml *form, int64_t now_us, struct options *o);
/* Writes <x type='TYPE'/>: "form" to be filled in, "result" as an answer. */
void options_write(struct xmlw *w, const struct options *o, const char *type);
/* Shortest time between two messages. */
uint32_t options_interval(const struct options *o);

#endif
