/* SPDX-License-Identifier: MIT */
/* access: who may read a node. The only place that decides. */
#ifndef LECTERN_FLOW_ACCESS_H
#define LECTERN_FLOW_ACCESS_H

#include "flow/node.h"
#include "state/roster.h"

/* The class, or the student, whose node it is; NULL when the roster has none. */
const struct roster_class *access_class(const struct roster *r, const struct node *n);
const struct roster_student *access_student(const struct roster *r, const struct node *n);

/* As what the reader, a canonical bare JID, may read the node: ROSTER_AS_NOBODY
 * when he may not. A node whose class or student is not in the roster may be
 * read by nobody. */
enum roster_as access_as(const struct roster *r, struct str reader, const struct node *n);
bool access_may_read(const struct roster *r, struct str reader, const struct node *n);

/* Whether the roster has its class or student. */
bool access_exists(const struct roster *r, const struct node *n);

/* The JID of everyone who may read the node, some perhaps more than once. */
typedef void access_reader_cb(void *arg, struct str jid);
void access_readers(const struct roster *r, const struct node *n, access_reader_cb *cb,
    void *arg);

/* Every node the reader may read, for these reducers (NULL-terminated, internal
 * ones are passed over): classes by name, each with its reducers in the order
 * of the table and then _roster; after them students by pseudonym. */
typedef void access_node_cb(void *arg, const struct node *n);
void access_nodes(const struct roster *r, struct str reader,
    const struct reducer *const *reducers, access_node_cb *cb, void *arg);
/* The reducers, in the order of the table, of which the reader may read the node of any
 * class, or of any student. Looks at classes and at who the reader is, not at every
 * student. */
typedef void access_reducer_cb(void *arg, const char *reducer);
void access_menu(const struct roster *r, struct str reader, enum node_kind kind,
    const struct reducer *const *reducers, access_reducer_cb *cb, void *arg);
/* Whether the reader may see who is in the class. */
bool access_sees_class(const struct roster_class *c, struct str reader);
/* Every node that there is, in the same order. */
void access_all_nodes(const struct roster *r, const struct reducer *const *reducers,
    access_node_cb *cb, void *arg);

#endif
