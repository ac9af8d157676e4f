/* SPDX-License-Identifier: MIT */
/* pubsub: nodes and their last items outside of this process, for whoever reads
 * them there: another daemon, or a program with no XMPP. One publishes, any
 * number read. A reader gets the items that there are (the snapshot) and then
 * every change, without a gap between the two, however late it comes and whatever
 * became of its link; what it misses is noticed by the number of each change and
 * mended by another snapshot. Backends are const descriptors in one table
 * (pubsub.c); they never block, and call through the loop, never inside a call.
 *
 * Who may read is not decided here: that is the business of the place where the
 * items go. */
#ifndef LECTERN_FLOW_PUBSUB_H
#define LECTERN_FLOW_PUBSUB_H

#include "base/buf.h"
#include "base/jsonw.h"
#include "base/loop.h"

#define PUBSUB_WAITING_MAX ((size_t)1 << 20) /* bytes of changes that wait for a snapshot */

struct pubsub;
struct redis_options;

struct pubsub_options {
	struct loop *loop;
	const struct redis_options *redis; /* borrowed during the call */
	const char *prefix; /* stands before every key and channel; NULL: nothing */
};

/* X(symbol, name in messages) */
#define PUBSUB_OP_MAP(X)                                                       \
	X(PUBSUB_ITEM, "item")       /* is new, or changed: id and json */     \
	X(PUBSUB_RETRACT, "retract") /* is no longer in the node: id */        \
	X(PUBSUB_PURGE, "purge")     /* nothing is in the node any more */     \
	X(PUBSUB_DELETED, "deleted") /* nor is there such a node */            \
	X(PUBSUB_PART, "part")       /* from here on not everything may be there */ \
	X(PUBSUB_WHOLE, "whole")     /* until here: now everything is */

enum pubsub_op {
#define PUBSUB_OP_ENUM(sym, name) sym,
	PUBSUB_OP_MAP(PUBSUB_OP_ENUM)
#undef PUBSUB_OP_ENUM
	PUBSUB_OPS
};
const char *pubsub_op_name(enum pubsub_op op);
bool pubsub_op_by_name(struct str name, enum pubsub_op *op);

struct pubsub_change {
	enum pubsub_op op;
	uint64_t number; /* of the changes of its node, in the publisher's life: 1, 2, 3 .. */
	struct str id;
	struct str json; /* as in hub_item */
};

struct pubsub_item {
	struct str id, json;
};

/* What the facade hears from a backend. Any of its functions may be called from
 * inside, also close. */
struct pubsub_events {
	/* It is reached. It may have lost everything, and hold what nobody knows of. */
	void (*up)(void *arg);
	void (*down)(void *arg);
	void (*room)(void *arg); /* after publish said no */
	/* All items of a node that was subscribed to, with all changes that were told
	 * before it was asked for; whole: nothing else is in it. */
	void (*snapshot)(void *arg, struct str node, const struct pubsub_item *v, size_t n, bool whole);
	/* In the order of publishing, or a snapshot mends it. Those that the snapshot
	 * has already may come once more after it; what came since it was asked for
	 * counts after it. */
	void (*change)(void *arg, struct str node, const struct pubsub_change *c);
};

/* The ids of the items of a node; ERR_CLOSED: the link was lost, nothing is known. */
typedef void pubsub_ids_cb(void *arg, enum err e, const struct str *ids, size_t n);
/* Names of nodes that were published at any time, some perhaps twice, in one call
 * or several; more: another one follows. */
typedef void pubsub_nodes_cb(void *arg, enum err e, const struct str *names, size_t n, bool more);

#define PUBSUB_SHARED 1u /* other processes see what is published */

struct pubsub_backend {
	const char *name;
	unsigned caps;
	void *(*open)(const struct pubsub_options *o, const struct pubsub_events *ev, void *arg,
	    char **why);
	/* It will publish, before the loop runs. Where somebody else does already it
	 * is not up, and status says why. NULL: nobody else can. */
	void (*write)(void *store);
	/* All of them or none. false: no room, or down; room or up follows. */
	bool (*publish)(void *store, struct str node, const struct pubsub_change *c, size_t n);
	void (*ids)(void *store, struct str node, pubsub_ids_cb *cb, void *arg);
	void (*nodes)(void *store, pubsub_nodes_cb *cb, void *arg);
	/* A snapshot follows, and changes; again: another snapshot, or one that is later
	 * than both calls. After down and up one comes by itself. */
	void (*follow)(void *store, struct str node);
	void (*unfollow)(void *store, struct str node);
	void (*status)(const void *store, struct jsonw *w); /* members of an object */
	void (*close)(void *store); /* nothing is called any more */
};

/* The backend by name, or NULL with *why (mem_free it) listing the known ones. */
const struct pubsub_backend *pubsub_backend(const char *name, char **why);

struct pubsub *pubsub_open(const struct pubsub_backend *b, const struct pubsub_options *o,
    char **why);
void pubsub_close(struct pubsub *p); /* ends all subscriptions; NULL is allowed */
const char *pubsub_name(const struct pubsub *p);
void pubsub_status(const struct pubsub *p, struct jsonw *w); /* members of an object */

/* ---- who publishes; there is one ---- */

struct pubsub_writer {
	void (*up)(void *arg);   /* publish everything anew */
	void (*down)(void *arg);
	void (*room)(void *arg);
};
/* Before the loop runs. While another process publishes there it is not up. */
void pubsub_write(struct pubsub *p, const struct pubsub_writer *w, void *arg);
bool pubsub_publish(struct pubsub *p, struct str node, const struct pubsub_change *c, size_t n);
void pubsub_ids(struct pubsub *p, struct str node, pubsub_ids_cb *cb, void *arg);
void pubsub_nodes(struct pubsub *p, pubsub_nodes_cb *cb, void *arg);

/* ---- who reads ---- */

struct pubsub_sub;

/* Any function may be called from inside. An item whose seq is not above that of
 * the one the reader has comes again and is to be dropped. */
struct pubsub_reader {
	void (*snapshot)(void *arg, const struct pubsub_item *v, size_t n, bool whole);
	void (*change)(void *arg, const struct pubsub_change *c);
};
struct pubsub_sub *pubsub_follow(struct pubsub *p, struct str node,
    const struct pubsub_reader *r, void *arg);
void pubsub_unfollow(struct pubsub_sub *s);
/* Another snapshot. */
void pubsub_refresh(struct pubsub_sub *s);

#endif
