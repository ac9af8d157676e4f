/* SPDX-License-Identifier: MIT */
/* backend: the ways in which a component's nodes are published over its stream,
 * found by the names that `pubsub` of a component section lists. Each is a door
 * of the hub; the stream is shared. */
#ifndef LECTERN_XMPP_BACKEND_H
#define LECTERN_XMPP_BACKEND_H

#include "base/jsonw.h"
#include "flow/hub.h"
#include "state/kvs.h"
#include "xmpp/service_priv.h"

struct backend_options {
	struct loop *loop;
	struct hub *hub;
	struct kvs *kvs;
	const char *jid;     /* the component's */
	const char *server;  /* domain that is pinged */
	const char *pubsub;  /* the server's PubSub service */
	struct str key;      /* the organisation's */
	unsigned window, max_items;
	const struct reducer *const *reducers;
	struct feed *feed;   /* NULL: no producers */
	const struct service_admin *admin; /* NULL: no admins */
	const struct service_about *about; /* or NULL */
	/* What is published at pubsub, by whichever backend; NULL: nothing. */
	const struct reducer *const *elsewhere;
	const struct service_sink *sink;
	void *sink_arg;
};

struct backend {
	const char *name;
	bool always; /* there even without reducers, to answer for the component */
	void *(*open)(const struct backend_options *o);
	void (*load)(void *b, loop_cb *cb, void *arg);
	void (*up)(void *b);
	void (*down)(void *b);
	void (*stop)(void *b); /* before the stream is closed for good; may be NULL */
	void (*room)(void *b);
	/* Whether it was meant for this one; the last of the table takes all. */
	bool (*stanza)(void *b, const struct xml *stanza);
	bool (*refused)(void *b, const struct xml *head);
	void (*write)(const void *b, struct jsonw *w);
	size_t (*pending)(const void *b);
	void (*close)(void *b);
};

#define BACKENDS 2
/* The table, in the order in which a stanza is offered. */
extern const struct backend *const backends[BACKENDS];

/* Its place in the table, or -1 with *why (mem_free it) listing the known ones. */
int backend_find(const char *name, char **why);

#endif
