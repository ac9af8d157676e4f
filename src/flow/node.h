/* SPDX-License-Identifier: MIT */
/* node: names of PubSub nodes and items. Only pseudonyms, never names.
 *     class/CLASS/REDUCER      items PSEUDONYM or PSEUDONYM/SCOPE
 *     student/PSEUDONYM/REDUCER  items "current" or SCOPE
 *     class/CLASS/_roster      items PSEUDONYM
 * CLASS and SCOPE are percent-encoded beyond letters, digits and -._~; a part
 * that grows too long is replaced by "~" and base32 of its SHA-256. */
#ifndef LECTERN_FLOW_NODE_H
#define LECTERN_FLOW_NODE_H

#include "flow/engine.h"

#define NODE_MAX 255    /* bytes of a node name */
#define ITEM_ID_MAX 255 /* bytes of an item id */

enum node_kind { NODE_CLASS, NODE_STUDENT, NODE_ROSTER };

struct node {
	enum node_kind kind;
	char owner[NODE_MAX + 1];   /* class name, decoded; or pseudonym */
	char reducer[NODE_MAX + 1]; /* id; "" for NODE_ROSTER */
};

/* ERR_OK or ERR_NOT_FOUND for anything that is no canonical node name. */
enum err node_parse(struct str name, struct node *out);
/* Into out[NODE_MAX + 1]; ERR_FULL when it would be too long. */
enum err node_write(const struct node *n, char *out);
/* The id of a state's item in a node of this kind, into out[ITEM_ID_MAX + 1]. */
void node_item_id(enum node_kind kind, const struct state *s, char *out);

#endif
