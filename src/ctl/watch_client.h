/* SPDX-License-Identifier: MIT */
/* ctl/watch_client: an ordinary XMPP client (SCRAM, TLS) that subscribes to one
 * node of a PubSub service and hands out its items. */
#ifndef LECTERN_CTL_WATCH_CLIENT_H
#define LECTERN_CTL_WATCH_CLIENT_H

#include <stdbool.h>

/* The strings are borrowed as long as the client lives. */
struct watch_options {
	const char *jid, *service, *node;
	const char *host, *ca; /* NULL: what the JID's domain says, the system's CAs */
	long port;             /* 0: the usual one */
	long digest_ms;        /* 0: every change */
	bool plain;            /* no TLS */
	bool quiet;            /* libstrophe logs nothing */
};

struct watch_ops {
	void (*session)(void *arg);    /* logged in */
	void (*subscribed)(void *arg);
	/* datatype and json are NULL when the item has none. */
	void (*item)(void *arg, const char *id, const char *datatype, const char *json);
	/* Once; status of sysexits.h, detail may be NULL. May come inside
	 * watch_client_new. */
	void (*ended)(void *arg, int status, const char *what, const char *detail);
};

struct watch_client;

/* Begins to connect. libstrophe keeps a copy of the password; the caller's is the
 * caller's to wipe. */
struct watch_client *watch_client_new(const struct watch_options *o, const char *password,
    const struct watch_ops *ops, void *arg);
/* Waits for the network for at most so long, and calls back. */
void watch_client_step(struct watch_client *w, unsigned ms);
/* Unsubscribes and says good-bye; nobody is called back any more. */
void watch_client_stop(struct watch_client *w);
void watch_client_free(struct watch_client *w);

#endif
