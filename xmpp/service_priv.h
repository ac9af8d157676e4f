/* SPDX-License-Identifier: MIT */
/* service_priv: what the files of one component's PubSub service share.
 *
 *     xmpp.c           what service.h promises: services on links
 *     service.c        life, who may read what, status
 *     router.c         stanzas to their handlers; answers
 *     commands.c       XEP-0050
 *     disco.c          XEP-0030, XEP-0092; caps.c hashes it
 *     pubsub.c         <pubsub/> to its handlers; what one has and may read
 *     pubsub_sub.c     subscribe, unsubscribe, options
 *     pubsub_items.c   items
 *     feed.c           events for producers
 *     publish.c        states from producers
 *     metadata.c       what the service and a node are; configuration, to be read
 *     notify.c         the hub's door: items out, flow control, ends
 *     presence.c       leases, bounces, what the clock ends
 *     store.c          subscriptions in the kvs */
#ifndef LECTERN_XMPP_SERVICE_PRIV_H
#define LECTERN_XMPP_SERVICE_PRIV_H

#include <sys/queue.h>

#include "base/jsonw.h"
#include "flow/feed.h"
#include "flow/hub.h"
#include "state/kvs.h"
#include "xmpp/caps.h"
#include "xmpp/page.h"
#include "xmpp/service.h"
#include "xmpp/stanza.h"
#include "xmpp/subscription.h"

#define SERVICE_OUT_MAX 65535     /* bytes of a stanza that we send */
#define SERVICE_TICK_MS 30000     /* how often the clock is asked */
#define SERVICE_ANSWERS_MAX 1024  /* answers waiting for the kvs */
#define SERVICE_AWAY_MS 20000     /* a request waits for states, then it is told to wait */
#define SERVICE_CREDITS 16        /* pings under way */

/* Where stanzas go: the link, or a test. */
struct service_sink {
	bool (*send)(void *arg, struct str stanza);
	bool (*bulk)(void *arg); /* whether there is room for notifications */
	bool (*busy)(void *arg); /* whether there is none even for answers */
};

struct service_options {
	struct loop *loop;
	struct hub *hub;
	struct kvs *kvs;
	const char *jid;
	const char *server;
	const struct reducer *const *reducers;
	/* Published at the server's service instead or as well; NULL: none. Its nodes
	 * have other names, made with the organisation's key. */
	const struct reducer *const *elsewhere;
	const char *pubsub;
	struct str key;
	struct feed *feed; /* NULL: no producers */
	const struct service_admin *admin; /* NULL: none */
	const struct service_about *about; /* NULL: nothing is told */
	unsigned window;
	const struct service_sink *sink;
	void *sink_arg;
};

/* A ping under way: its answer says that so many messages have arrived. */
struct service_credit {
	uint64_t id;
	unsigned messages;
	uint64_t sent_ms;
};

struct answer;
struct command_session;
struct feed_door;
struct publish_cache;

struct service {
	struct service_options o; /* strings and reducers owned */
	struct hub_door *door;
	struct book *book;
	struct buf out;           /* one stanza at a time */
	LIST_HEAD(, answer) answers;
	size_t n_answers;
	struct feed_door *feed;   /* NULL: no producers */
	struct publish_cache *published; /* what a producer reads back, by id */
	struct loop_timer *tick;
	LIST_HEAD(, command_session) commands;
	struct answer *reloading; /* who waits for it, or NULL */
	struct loop_timer *reload;
	bool up;
	struct store_loading *loading; /* NULL: done */
	bool unsaved;             /* the kvs was told something it has not flushed */

	/* flow control, notify.c */
	unsigned in_flight, since_ping;
	struct service_credit credit[SERVICE_CREDITS];
	size_t n_credit;
	uint64_t pings, messages;
	bool said_unanswered;
};

struct service *service_new(const struct service_options *o);
void service_free(struct service *s);
/* Calls cb once the subscriptions of the kvs are subscribed again. */
void service_load(struct service *s, loop_cb *cb, void *arg);
void service_up(struct service *s);
void service_down(struct service *s);
/* Says good-bye to those who told us that they are there, before the stream ends. */
void service_stop(struct service *s);
void service_stanza(struct service *s, const struct xml *stanza);
void service_refused(struct service *s, const struct xml *head);
void service_room(struct service *s);
/* What the clock does: leases that are over, sending again, lost pings. */
void service_tick(struct service *s, int64_t wall_us, uint64_t now_ms);
void service_write(const struct service *s, struct jsonw *w);
size_t service_pending(const struct service *s); /* answers that wait */

/* Whether the node exists here and the reader may read it; refusals counted
 * and logged. out may be NULL. */
enum err service_admit(struct service *s, struct str reader, const char *node, struct node *out);
/* The same without a word. */
enum err service_may_read(struct service *s, struct str reader, const char *node,
    struct node *out);
/* Whether there is such a node here, whoever may read it. */
enum err service_find(struct service *s, const char *node, struct node *out);
/* Every readable node, for a page. */
void service_list(struct service *s, struct str reader, struct page *p, size_t cost);

/* ---- requests: router.c ---- */

struct reply {
	struct service *service;
	const char *to, *from, *id; /* to: who asked; from: whom */
};

struct request {
	struct reply reply;
	bool set;                 /* else get */
	const struct xml *query;  /* the iq's child */
	struct address from;
	struct str reader;        /* bare JID of a person, or empty */
};

typedef void request_cb(struct request *q);

/* <iq type='result'>, to be closed by reply_end, which sends it. */
struct xmlw reply_begin(const struct reply *r);
struct xmlw reply_open(const struct reply *r, const char *type); /* or another type */
void reply_end(const struct reply *r, struct xmlw *w);
void reply_empty(const struct reply *r);
void reply_fault(const struct reply *r, enum fault f);
void reply_unsupported(const struct reply *r, const char *feature);
/* Starts a stanza of ours in s->out; sends what stands there (false: it was
 * too large and is dropped). */
struct xmlw service_begin(struct service *s, const char *name);
bool service_send(struct service *s);

/* An answer that waits until the kvs has flushed, or until states are in memory. */
struct answer {
	LIST_ENTRY(answer) link;
	struct reply reply; /* strings owned */
	struct address from;
	char *node;
	char *jid;          /* of a subscription to events */
	char subid[SUBID_LEN + 1];
	bool whole;         /* the subscription is the full JID's */
	bool with_options;
	void (*cb)(struct answer *a, enum err e);
	/* of a request that is handled again */
	struct xml *query;
	request_cb *handle;
	bool set;
	struct cold_wait *wait;
	struct loop_timer *end;
};
/* Copies the request's addresses; NULL, and the request answered, when too
 * many wait already. */
struct answer *answer_new(const struct request *q, void (*cb)(struct answer *a, enum err e));
void answer_after_flush(struct answer *a);
void answer_free(struct answer *a);
/* Whether the request, which the reader may make, needs states of this node that are
 * away: it is then handled by `handle` once more, when they are there. */
bool request_waits(struct request *q, const char *node, request_cb *handle);

/* ---- handlers ---- */

/* commands.c; the two answer only for nodes that are theirs */
void commands_request(struct request *q);
bool commands_disco_info(struct request *q);
bool commands_disco_items(struct request *q);
void commands_reload_cb(void *service);
void commands_free(struct service *s);
void disco_info(struct request *q);
void disco_items(struct request *q);
void disco_version(struct request *q);
/* The hash of what disco_info answers for the service. */
void disco_caps(const struct service *s, char ver[CAPS_VER_LEN + 1]);
void pubsub_request(struct request *q);

/* pubsub_sub.c, pubsub_items.c: q->query is <pubsub/>, x its child */
void pubsub_subscribe(struct request *q, const struct xml *x);
void pubsub_unsubscribe(struct request *q, const struct xml *x);
void pubsub_options_get(struct request *q, const struct xml *x);
void pubsub_options_default(struct request *q, const struct xml *x);
void pubsub_options_set(struct request *q, const struct xml *x);
void pubsub_items(struct request *q, const struct xml *x);
/* <subscription/>, closed. */
void pubsub_write_subscription(struct xmlw *w, const struct subscription *sub);

/* ---- metadata.c ---- */

/* The forms of the service and of a node for disco#info. */
void metadata_write_service(struct xmlw *w, const struct service *s);
void metadata_write(struct xmlw *w, const struct service *s, const struct node *n);
void metadata_configure_get(struct request *q, const struct xml *x);
void metadata_configure_set(struct request *q, const struct xml *x);
void metadata_default_get(struct request *q, const struct xml *x);

/* ---- notify.c ---- */

extern const struct hub_door_ops notify_door_ops;
/* Subscribes at the hub, or sends everything again. */
enum err notify_begin(struct service *s, struct subscription *sub);
/* Brings what it has at the hub in line with its options. */
enum err notify_adapt(struct service *s, struct subscription *sub);
/* Has the hub hold or let go what it may not, or may, be sent now: by its
 * options and the presence of its subscriber. */
void notify_hold(struct service *s, struct subscription *sub);
/* Ends it here, at the hub and in the kvs; tells the subscriber if so wanted. */
void notify_end(struct service *s, struct subscription *sub, bool tell);
void notify_reset(struct service *s); /* on a new stream */
/* Asks whether a full JID is still there: if not, it comes back. */
void notify_probe(struct service *s, const char *jid);
/* Whether this iq answers one of our pings. */
bool notify_pong(struct service *s, const struct xml *iq);
void notify_lost_pings(struct service *s, uint64_t now_ms);
void notify_write_item(struct xmlw *w, const struct hub_item *item);

/* ---- presence.c ---- */

void presence_stanza(struct service *s, const struct xml *x);
void presence_probe_all(struct service *s); /* on a new stream */
void presence_bounce(struct service *s, const struct xml *message);

/* ---- store.c ---- */

void store_put(struct service *s, const struct subscription *sub);
void store_remove(struct service *s, const struct subscription *sub);
/* Flushes what no answer waits for. */
void store_save(struct service *s);
void store_load(struct service *s, loop_cb *cb, void *arg);
void store_load_free(struct service *s); /* its callback does not come any more */

#endif
