/* SPDX-License-Identifier: MIT */
/* credentials: user name and password out of a request's body, a form or JSON.
 * Pure: knows no sockets and no users. */
#ifndef LECTERN_WEB_CREDENTIALS_H
#define LECTERN_WEB_CREDENTIALS_H

#include "base/buf.h"
#include "base/json.h"

struct credentials {
	struct buf user, password; /* never failed, may be empty */
};

/* 200; or the status to answer and *why for its body: 415 for another type than
 * application/json and application/x-www-form-urlencoded, 400 for what cannot be
 * read or has not both, once each. */
int credentials_read(struct json_doc *doc, struct str type, struct str body,
    struct credentials *out, const char **why);
/* Wipes what was read. Also after a failure. */
void credentials_wipe(struct credentials *c);

#endif
