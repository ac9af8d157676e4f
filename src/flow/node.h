/* SPDX-License-Identifier: MIT */
/* node: names of PubSub nodes and items. Only pseudonyms, never names.
 *     class/CLASS/REDUCER        items PSEUDONYM or PSEUDONYM/SCOPE
 *     student/PSEUDONYM/REDUCER  items "current" or SCOPE
 *     class/CLASS/_roster        items PSEUDONYM
 * CLASS and SCOPE are percent-encoded: letters, digits and -._~ stand for
 * themselves, every other byte and a "~" at the front is %XX in upper case. A
 * part that grows too long is "~" and the base32 of its SHA-256 instead, so it
 * can be recognised but not be read back. There is one spelling of each name;
 * any other names nothing. */
#ifndef LECTERN_FLOW_NODE_H
#define LECTERN_FLOW_NODE_H

#include "flow/engine.h"

#define NODE_MAX 255       /* bytes of a node name */
#define NODE_CLASS_MAX 150 /* bytes of its CLASS; the reducer needs room, too */
#define ITEM_ID_MAX 255    /* bytes of an item id */

enum node_kind { NODE_CLASS, NODE_STUDENT, NODE_ROSTER };

struct node {
	enum node_kind kind;
	char owner[NODE_MAX + 1];   /* CLASS as it stands in the name; or pseudonym */
	char reducer[NODE_MAX + 1]; /* id; "" for NODE_ROSTER */
};

/* ERR_OK or ERR_NOT_FOUND for anything that is no canonical node name. */
enum err node_parse(struct str name, struct node *out);
/* Into out[NODE_MAX + 1]; ERR_FULL when it would be too long. */
enum err node_write(const struct node *n, char *out);

/* The name that stands for a node where everybody sees the names of all nodes:
 * "l/" and the base32 of a keyed hash, into out[NODE_OPAQUE_LEN + 1]. The key is
 * the organisation's. */
#define NODE_OPAQUE_LEN 34
void node_opaque(struct str key, struct str name, char *out);

/* The CLASS of a class of this name, into out[NODE_CLASS_MAX + 1]. */
void node_class_write(struct str name, char *out);
/* The inverse, as C string into out[NODE_CLASS_MAX + 1]; false for a hash. */
bool node_class_read(const char *part, char *out);

/* The id of a state's item in a node of this kind, into out[ITEM_ID_MAX + 1].
 * Of the state's scope the escapes and commas stay as they are, so SCOPE is
 * the percent-encoded values joined by ","; an empty scope value alone is "~". */
void node_item_id(enum node_kind kind, const struct state *s, char *out);

#endif
