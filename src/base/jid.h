/* SPDX-License-Identifier: MIT */
/* jid: addresses of people in the one form in which they are compared byte by
 * byte: the form that servers stamp on what their users send (RFC 3920 nodeprep,
 * nameprep, resourceprep), with every domain label in Unicode (RFC 7622 §3.2).
 * jid.c is the only file that knows ICU. */
#ifndef LECTERN_BASE_JID_H
#define LECTERN_BASE_JID_H

#include "base/buf.h"

#define JID_PART_MAX 1023 /* bytes, RFC 7622 §3 */

/* Appends the canonical bare JID of a person, local@domain. False, and nothing
 * appended, for anything else: a resource, wildcards, spaces and whatever else
 * nobody sees, characters that Unicode 3.2 does not know, parts that are empty,
 * too long or no valid UTF-8. What it gives it takes and gives again. */
bool jid_bare(struct str text, struct buf *out);

/* The same for a resource, where case counts and spaces are allowed. */
bool jid_resource(struct str text, struct buf *out);

/* jid_bare as a check of an option. */
bool jid_is_person(const char *text);

#endif
