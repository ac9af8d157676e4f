/* SPDX-License-Identifier: MIT */
/* caps: the hash that stands for what a disco#info says (XEP-0115 §5.1). */
#ifndef LECTERN_XMPP_CAPS_H
#define LECTERN_XMPP_CAPS_H

#include "xmpp/stanza.h"

#define CAPS_NODE "urn:lectern:service" /* what software it is */
#define CAPS_VER_LEN 28                 /* of a SHA-1 in base64 */

/* The hash of an answer's <query xmlns='http://jabber.org/protocol/disco#info'/>,
 * whole; "" when it is no XML. */
void caps_ver(struct str query, char out[CAPS_VER_LEN + 1]);
/* Appends what is hashed. */
void caps_text(const struct xml *query, struct buf *out);

#endif
