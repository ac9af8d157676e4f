/* SPDX-License-Identifier: MIT */
/* options: the form of a subscription, pubsub#subscribe_options (XEP-0060
 * §6.3, §16.4.2), and the dates in it (XEP-0082). */
#ifndef LECTERN_XMPP_OPTIONS_H
#define LECTERN_XMPP_OPTIONS_H

#include <stdint.h>

#include "xmpp/xml.h"

#define OPTIONS_FREQUENCY_MS 5000        /* of a digest that names none */
#define OPTIONS_FREQUENCY_MAX 86400000u  /* a day */

struct options {
	bool deliver;
	bool digest;
	uint32_t frequency_ms; /* shortest time between two digests */
	bool presence;         /* ends with the subscriber's presence (§12.4) */
	int64_t expire_us;     /* end of the lease (§12.18), 0: none */
};

#define OPTIONS_DEFAULT ((struct options){ .deliver = true, .frequency_ms = OPTIONS_FREQUENCY_MS })

/* Lays a submitted form over the options. false, and nothing changed, when a
 * field or value is not one of ours or the lease ends in the past. */
bool options_read(const struct xml *form, int64_t now_us, struct options *o);
/* Writes <x type='TYPE'/>: "form" to be filled in, "result" as an answer. */
void options_write(struct xmlw *w, const struct options *o, const char *type);
/* Shortest time between two messages. */
uint32_t options_interval(const struct options *o);

/* XEP-0082 DateTime in microseconds since 1970. */
bool options_date(const char *text, int64_t *out);

#endif
