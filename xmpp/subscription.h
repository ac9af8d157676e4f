/* SPDX-License-Identifier: MIT */
/* subscription: the door's book: who is subscribed to what and how, and which
 * full JIDs have told us that they are there (leases). Only a data structure:
 * it neither subscribes at the hub nor keeps anything on disk. */
#ifndef LECTERN_XMPP_SUBSCRIPTION_H
#define LECTERN_XMPP_SUBSCRIPTION_H

#include <sys/queue.h>

#include "flow/hub.h"
#include "xmpp/options.h"
#include "xmpp/stanza.h"

#define BOOK_SUBS_MAX 100000      /* of one service */
#define BOOK_READER_SUBS_MAX 256  /* of one bare JID; below the hub's own */
#define BOOK_LEASES_MAX 16384     /* the oldest gives way, of strangers first */
#define BOOK_PROBE_MS 600000      /* between two probes of one stale session */
#define SUBID_LEN 16

struct reader;

struct subscription {
	TAILQ_ENTRY(subscription) of_reader;
	struct reader *reader;
	char *node;
	char *jid;            /* where notifications go: bare or full */
	char subid[SUBID_LEN + 1];
	bool full;            /* jid has a resource */
	bool lasting;         /* else it ends with its presence */
	int64_t doubted_us;   /* from an earlier life of the daemon: ends at this wall
	                       * time unless its presence is seen; 0: it is known */
	struct options o;
	struct hub_sub *hub;  /* NULL while not durable yet, or not delivered to */
	bool unseen;          /* from an earlier life: its presence is not known */
	uint64_t probed;      /* the last stream on which it was, or began */
	uint64_t probed_ms;   /* when; 0: not looked at yet */
	unsigned bounces;
	uint64_t retry_ms;    /* when to send everything again, 0: no need */
};

struct reader {
	char *jid; /* bare */
	TAILQ_HEAD(, subscription) subs;
	size_t n_subs, n_leases;
	size_t showing[SHOWS]; /* leases by what they show */
};

struct book;
struct book *book_new(void);
void book_free(struct book *b); /* subscriptions too, not what they have at the hub */

size_t book_size(const struct book *b);
size_t book_lasting(const struct book *b);
/* The reader, or NULL when there is neither subscription nor lease. */
struct reader *book_reader(const struct book *b, struct str bare);
struct subscription *book_find(const struct book *b, struct str bare, const char *node,
    const char *jid);
/* A new one with default options and a subid of its own (or the one given). */
struct subscription *book_add(struct book *b, const struct address *a, const char *node,
    bool whole, const char *subid);
void book_remove(struct book *b, struct subscription *s);

typedef void book_cb(void *arg, struct subscription *s);
/* Every subscription; the callback may remove the one it is given. */
void book_each(struct book *b, book_cb *cb, void *arg);
/* The same for one reader. */
void book_each_of(struct book *b, struct str bare, book_cb *cb, void *arg);

/* Notes that a full JID is there and shows that; true when it was not known to
 * be there. */
bool book_lease(struct book *b, const struct address *a, enum show show);
/* Whether the subscriber's presence is one in which it wants notifications. Of
 * a subscription from an earlier life of the daemon that is not known. */
bool book_is_shown(const struct book *b, const struct subscription *s);
/* Every full JID that is there, until the callback answers false. */
typedef bool book_lease_cb(void *arg, const char *full);
void book_each_lease(const struct book *b, book_lease_cb *cb, void *arg);
bool book_has_lease(const struct book *b, const char *full);
/* From here on leases are of a new stream: who told us on an older one that he
 * is there may have gone without a word. */
void book_new_stream(struct book *b);
/* Whether it is bound to a full JID that has not told us, on this stream, that
 * it is there: its session may go without a word. */
bool book_is_stale(const struct book *b, const struct subscription *s);
/* Notes that a stale one is probed; false when it was, on this stream and less
 * than BOOK_PROBE_MS ago. */
bool book_probe(struct book *b, struct subscription *s, uint64_t now_ms);
void book_unlease(struct book *b, const struct address *a);
void book_unlease_all(struct book *b);

#endif
