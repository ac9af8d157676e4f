/* SPDX-License-Identifier: MIT */
/* locked: the fields a client has locked for its connection, kept as one JSON
 * text and laid over each of its events. Pure. */
#ifndef LECTERN_FLOW_LOCKED_H
#define LECTERN_FLOW_LOCKED_H

#include "flow/message.h"

#define LOCKED_MAX ((size_t)64 << 10) /* bytes of the text */
#define LOCKED_ACTIVITY_MAX 256       /* bytes of an activity; a longer one is none */

/* What sessions ask for often, read out once. .p is NULL when the field is not
 * locked; a locked value that does not fit is an empty str, since it hides an
 * event's own. */
struct locked {
	char *text; /* a JSON object, JSON_PADDING bytes follow; NULL for none */
	size_t n;
	struct str source, stream, activity, email, doc_id, object_doc_id;
};

void locked_free(struct locked *l); /* what it holds, not itself */

/* Lays the "fields" of a lock_fields over those already locked, later wins, and
 * counts in *stripped the reserved ones, which are left out. Identities claimed
 * by "token" and "user_id" are left out, too: whoever asks who this is reads
 * them from the message. ERR_BAD_FIELDS, ERR_BAD_SOURCE, ERR_BAD_STREAM: nothing
 * has changed. *changed says whether the text differs. Uses doc. */
enum err locked_merge(struct locked *l, const struct message *m, struct json_doc *doc,
    unsigned *stripped, bool *changed);

/* The locked fields as a JSON text, "{}" when there are none; padded. */
struct str locked_text(const struct locked *l);

/* Fields of an event with the locked ones laid over it; false when there is
 * none that fits. The text of a number goes into *scratch. */
bool locked_source(const struct locked *l, const struct message *m, struct str *out);
bool locked_activity(const struct locked *l, const struct message *m, struct buf *scratch,
    struct str *out);
bool locked_email(const struct locked *l, const struct message *m, struct str *out);
bool locked_doc_id(const struct locked *l, const struct message *m, struct buf *scratch,
    struct str *out);

/* ERR_BAD_SOURCE when the event's own source would count and is no valid one. */
enum err locked_check_source(const struct locked *l, const struct message *m);

#endif
