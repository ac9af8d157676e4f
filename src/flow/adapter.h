/* SPDX-License-Identifier: MIT */
/* adapter: what old clients spell differently, and which document an event is
 * about (the reference's adapter, done at the front). Pure. */
#ifndef LECTERN_FLOW_ADAPTER_H
#define LECTERN_FLOW_ADAPTER_H

#include "base/buf.h"
#include "base/json.h"

#define ADAPTER_SOURCE_MAX 256 /* bytes of a source */
#define ADAPTER_DOC_ID_MAX 512 /* bytes; a longer document id counts as none */

/* Whether a member is one that adapter_member would spell anew: one of the 18
 * keys once written with dashes, or a "source" with dashes in it. */
bool adapter_is_old(struct str key, struct json value);

/* Appends a member in today's spelling: what adapter_is_old names with
 * underscores, everything else byte for byte. */
void adapter_member(struct buf *out, struct str key, struct json value,
    const struct json_raw *raw);

/* Today's spelling of a key, in out[JSON_MAX_KEY] when it differs. */
struct str adapter_key(struct str key, char *out);

/* The document id in an event's "doc_id": a string that is not empty, or the
 * text of a number that is not 0, which goes into *scratch. */
bool adapter_doc_id(struct json doc_id, struct buf *scratch, struct str *out);

/* The document id of an event's "object": when its url is one of a Google
 * document, its id, or else the one in the url. */
bool adapter_object_doc_id(struct json object, struct str *out);

#endif
