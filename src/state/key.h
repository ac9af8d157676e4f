/* SPDX-License-Identifier: MIT */
/* key: canonical text of a state's key, as Learning Observer writes it:
 *     Internal,<reducer>,EventField.<name>:<value>,...,STUDENT:<id>
 * fields sorted by name; in values (never in ordinary ids) ',' ':' '%' and
 * control bytes stand as %XX, so that no id can read like another field. */
#ifndef LECTERN_STATE_KEY_H
#define LECTERN_STATE_KEY_H

#include "base/buf.h"

#define KEY_FIELDS_MAX 4

struct key_field {
	const char *name; /* event field, "doc_id" */
	struct str value;
};

/* Appends the key. `fields` are sorted by name by the caller's declaration
 * (checked when reducers are registered). */
void key_write(struct buf *out, const char *reducer, struct str student,
    const struct key_field *fields, size_t n);

/* The same from values that are escaped already and joined by ",", in the order of
 * the names (which end with NULL). false when there are more or fewer of them. */
bool key_write_escaped(struct buf *out, const char *reducer, struct str student,
    const char *const *names, struct str values);

/* Appends a value with ',' ':' '%' and control bytes escaped. */
void key_escape(struct buf *out, struct str value);

#endif
