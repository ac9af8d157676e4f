/* SPDX-License-Identifier: MIT */
/* service: what the daemon uses of the XMPP door. Each component JID is a
 * PubSub service (XEP-0060) of its own stream, publishing its reducers. Not for
 * a program that links libstrophe, which has an xmpp_free of its own. */
#ifndef LECTERN_XMPP_SERVICE_H
#define LECTERN_XMPP_SERVICE_H

#include "base/conf.h"
#include "base/jsonw.h"
#include "base/loop.h"
#include "flow/feed.h"
#include "flow/hub.h"
#include "state/kvs.h"

struct xmpp;

#define XMPP_WINDOW 200 /* messages in flight, when the options name no window */

/* What admins may do beyond the door, through XEP-0050 commands. */
struct service_admin {
	void *arg;
	bool (*is)(void *arg, struct str jid); /* bare and canonical */
	/* Each writes one object, whose members become the fields of a form; nothing
	 * of a student. */
	void (*status)(void *arg, struct jsonw *w);
	void (*components)(void *arg, struct jsonw *w);
	/* false with *why (mem_free it) */
	/* Answers through the loop; why is NULL when it went well. */
	void (*reload)(void *arg, void (*done)(void *done_arg, const char *why), void *done_arg);
};

/* Who runs the service, told to whoever asks (XEP-0157, XEP-0504). May change
 * between two turns of the loop. */
struct service_about {
	const struct conf_list *contact; /* URIs */
	const char *privacy_policy;      /* a URI, or NULL */
};

struct xmpp_options {
	const char *host;    /* name, address, or path of a Unix socket */
	int port;
	const char *server;  /* domain pinged for flow control; NULL or "": the
	                      * component's JID without its first label */
	unsigned window;     /* messages in flight before a ping is answered; 0: XMPP_WINDOW */
	const struct service_admin *admin; /* borrowed; NULL: there are no admins */
	const struct service_about *about; /* borrowed; or NULL */
	struct feed *feed;   /* for producers; NULL: there are none */
	bool insecure_ok;    /* the streams may leave this machine */
	unsigned idle_ms;    /* silence before a ping; 0: LINK_IDLE_MS */
	unsigned timeout_ms; /* to connect and be let in; 0: LINK_TIMEOUT_MS */
	const char *pubsub;  /* the server's PubSub service; NULL or "": "pubsub." and server */
	unsigned max_items;  /* of a node there; 0: PUBLISHER_MAX_ITEMS */
	struct str key;      /* the organisation's, for the names of nodes there; borrowed */
};

/* Which reducers (ends with NULL) are published in which way (xmpp/backend). */
struct xmpp_publication {
	const char *backend;
	const struct reducer *const *reducers;
};

/* hub and kvs are borrowed. Nothing is connected yet. Make it after the hub: a
 * turn's items then leave in the same turn. */
struct xmpp *xmpp_new(struct loop *l, struct hub *hub, struct kvs *kvs,
    const struct xmpp_options *o);

/* Adds a component with what it publishes; at most one of each backend.
 * Everything is copied; secret_file is what the log names in place of the
 * secret. false with *why (mem_free it) for what is no component JID or stands
 * twice, and for an unknown backend. */
bool xmpp_add_component(struct xmpp *x, const char *jid, const char *secret,
    const char *secret_file, const struct xmpp_publication *p, size_t n, char **why);

/* Loads the subscriptions, then connects. */
void xmpp_start(struct xmpp *x);

/* An array, an object for each component. */
void xmpp_status(const struct xmpp *x, struct jsonw *w);
/* Bytes and answers that have not left yet. */
size_t xmpp_pending(const struct xmpp *x);

/* Writes what waits, flushes the kvs, closes the streams and calls cb through
 * the loop. */
void xmpp_stop(struct xmpp *x, loop_cb *cb, void *arg);
/* Before hub_free. The kvs must be closed before the loop turns again, or have
 * nothing under way. NULL is allowed. */
void xmpp_free(struct xmpp *x);

#endif
