/* SPDX-License-Identifier: MIT */
/* publisher_priv: what the files of a publisher share.
 *
 *     publisher.c         life, the roster's nodes, the hub's door, status
 *     publisher_request.c requests under way: window, answers, silence
 *     publisher_node.c    the steps of one node
 *     publisher_access.c  its affiliations and subscriptions
 *     publisher_item.c    its items
 *     publisher_stanza.c  requests as XML, answers from XML
 *     publisher_store.c   in the kvs: which nodes there are, to delete them
 *
 * A node has at most one request under way, and goes on when that is answered:
 *
 *     CREATE > CONFIG > AFFILIATIONS > SUBSCRIPTIONS > ITEMS > READY
 *
 * with CONFIGURE, AFFILIATE, UNSUBSCRIBE, RETRACT and PURGE between, where what
 * was read back is not what it should be. Only a READY node is attached to the
 * hub, and its subscription there is held while an item is under way. So items
 * are strictly ordered, and nothing is published while a change of access is
 * not verified. A new stream begins at CONFIG, a new roster at AFFILIATIONS. */
#ifndef LECTERN_XMPP_PUBLISHER_PRIV_H
#define LECTERN_XMPP_PUBLISHER_PRIV_H

#include <sys/queue.h>

#include "xmpp/publisher.h"

#define PUB_TICK_MS 1000
#define PUB_ANSWER_MS 60000       /* a request not answered by then never will be */
#define PUB_RETRY_MS 1000         /* doubles with every failure in a row */
#define PUB_RETRY_MAX_MS 60000
#define PUB_RETRY_SLOW_MS 300000  /* where somebody must act first */
#define PUB_TRIES 6               /* failures in a row; then slowly */
#define PUB_TRIES_SLOW 4          /* from which it goes on after the slow wait */
#define PUB_ADD_MAX 50            /* affiliations set in one request */
#define PUB_DETAIL_MAX 96
#define PUB_SAID_MAX 3            /* nodes named in the log for one reason */
#define PUB_LISTED_MAX 20         /* nodes named in the status */

enum pub_step {
	PUB_IDLE,   /* no stream, or its name is not saved yet */
	PUB_CREATE,
	PUB_CONFIG,
	PUB_CONFIGURE,
	PUB_AFFILIATIONS,
	PUB_AFFILIATE,
	PUB_SUBSCRIPTIONS,
	PUB_UNSUBSCRIBE,
	PUB_ITEMS,
	PUB_RETRACT,
	PUB_PURGE,
	PUB_READY,
	PUB_PUBLISH, /* READY, with an item under way */
	PUB_DELETE
};

/* Why a node is not published. X(symbol, name in status, sentence) */
#define PUB_WHY_MAP(X)                                                          \
	X(PUB_FINE, "", "")                                                     \
	X(PUB_OPEN, "open", "the node is not limited to a whitelist")           \
	X(PUB_CONFIGURED, "configuration", "the service keeps another configuration than asked for") \
	X(PUB_MEMBERS, "affiliations", "the service keeps other affiliations than asked for") \
	X(PUB_SUBSCRIBED, "subscriptions", "the service keeps a subscription that was ended") \
	X(PUB_FORBIDDEN, "forbidden", "the service does not let us own the node") \
	X(PUB_UNSUPPORTED, "unsupported", "the service does not do what is asked") \
	X(PUB_BUSY, "busy", "the service asks to wait")                         \
	X(PUB_UNREADABLE, "unreadable", "the service's answer is too large, or not understood")

enum pub_why {
#define PUB_WHY_ENUM(sym, name, text) sym,
	PUB_WHY_MAP(PUB_WHY_ENUM)
#undef PUB_WHY_ENUM
	PUB_WHYS
};
const char *pub_why_name(enum pub_why w);
const char *pub_why_text(enum pub_why w);

/* What is done about an error. X(symbol, name in status) */
#define PUB_FAULT_MAP(X)          \
	X(PUB_NONE, "none")       \
	X(PUB_ABSENT, "absent")   /* the service itself does not answer */ \
	X(PUB_MISSING, "item-not-found") \
	X(PUB_EXISTS, "conflict") \
	X(PUB_DENIED, "forbidden") \
	X(PUB_TOO_BIG, "payload-too-big") \
	X(PUB_WAIT, "wait")       \
	X(PUB_CANNOT, "unsupported") \
	X(PUB_OTHER, "other")     \
	X(PUB_TIMEOUT, "timeout")

enum pub_fault {
#define PUB_FAULT_ENUM(sym, name) sym,
	PUB_FAULT_MAP(PUB_FAULT_ENUM)
#undef PUB_FAULT_ENUM
	PUB_FAULTS
};

struct pub_item {
	char *id;
	uint64_t hash; /* of what the service has; 0: not known */
	bool stale;    /* no item of ours: to be retracted */
	bool out;      /* there is no room for it */
};

struct pub_node {
	LIST_ENTRY(pub_node) link;
	TAILQ_ENTRY(pub_node) in_queue;
	TAILQ_HEAD(pub_queue, pub_node) *queue; /* work or asked, or NULL */
	struct publisher *publisher;
	struct node is;
	char *name;                        /* class/7b/writing.summary */
	char opaque[NODE_OPAQUE_LEN + 1];  /* l/mzxw6... */
	enum pub_step step;
	bool saving, saved;   /* in the kvs */
	bool known;           /* there is such a node at the service, or was */
	bool kept, leaving;   /* the roster has it; or has it no more: to be deleted */
	bool again;           /* the roster changed while a request was under way */
	bool configured;      /* in this pass */
	uint64_t roster_hash; /* of readers and items, as the roster has them */
	uint64_t id, asked_ms; /* of the request under way */
	struct buf todo;      /* JIDs that AFFILIATE or UNSUBSCRIBE names, each with a subid
	                       * or "", NUL after each of both */
	const char *todo_as;  /* "member", "none" */
	size_t left;          /* changes to make when last counted */
	struct hub_sub *sub;
	struct pub_item *item;
	size_t n_items;       /* those without room included */
	size_t at;            /* the item under way */
	uint64_t at_hash;
	size_t left_out;      /* items for which there is no room */
	enum pub_why why;
	char detail[PUB_DETAIL_MAX];
	unsigned tries;       /* failures in a row */
	uint64_t retry_ms;    /* waits until then; 0: does not wait */
};

struct publisher {
	struct publisher_options o; /* strings and reducers owned */
	struct hub_door *door;
	struct map *nodes;          /* struct pub_node by name */
	struct pub_queue work, asked; /* asked: in the order of asking */
	size_t n_asked;
	struct buf out;
	struct json_doc *doc;
	struct loop_timer *tick;
	bool up, loaded;
	loop_cb *loaded_cb;
	void *loaded_arg;
	bool saving, save_again;
	uint64_t ids;
	/* The service does not answer: one request at a time, not before then. */
	bool absent;
	unsigned absent_tries;
	uint64_t absent_until;
	uint64_t published, unchanged, skipped, retracted, late;
	uint64_t faults[PUB_FAULTS];
	unsigned said[PUB_WHYS];
	unsigned said_full, said_big;
};

/* ---- publisher.c ---- */

void pub_attach(struct pub_node *n);
void pub_detach(struct pub_node *n);
void pub_node_free(struct pub_node *n);
struct pub_node *pub_node_new(struct publisher *p, const char *name);

/* ---- publisher_request.c ---- */

/* To the line of those that want to ask; at its front when there is haste. */
void pub_queue(struct pub_node *n, struct pub_queue *q, bool first);
void pub_unqueue(struct pub_node *n);
/* Room within so many quarters of the window. */
bool pub_has_room(const struct publisher *p, unsigned quarters);
/* Asks for as many as there is room. */
void pub_work(struct publisher *p);
/* Sends p->out, a request of the node's step; false: no stream. */
bool pub_ask(struct pub_node *n);
uint64_t pub_backoff(unsigned tries);

/* ---- publisher_node.c ---- */

/* Goes on with this step, as soon as there is room. */
void pub_go(struct pub_node *n, enum pub_step s);
void pub_begin(struct pub_node *n); /* on a new stream, or after a failure */
void pub_refuse(struct pub_node *n, enum pub_why why, const char *detail);
void pub_fail(struct pub_node *n, enum pub_fault f, const char *detail);
/* Writes the request of the node's step into p->out. */
void pub_write_step(struct pub_node *n);
/* iq is NULL when the answer was beyond a limit of the reader. */
void pub_answer(struct pub_node *n, const struct xml *iq, enum pub_fault f, const char *detail);
void pub_step_node(struct pub_node *n); /* asks */

/* ---- publisher_access.c ---- */

/* What the roster makes of the node, for comparing. */
uint64_t pub_roster_hash(const struct pub_node *n);
void pub_affiliations(struct pub_node *n, const struct xml *iq);
void pub_subscriptions(struct pub_node *n, const struct xml *iq);

/* ---- publisher_item.c ---- */

void pub_items(struct pub_node *n, const struct xml *iq);
void pub_items_known(struct pub_node *n); /* retracts one that is stale, or READY */
void pub_items_forget(struct pub_node *n);
bool pub_item_publish(struct pub_node *n, const struct hub_item *item);
void pub_item_answer(struct pub_node *n, enum pub_fault f, const char *detail);

/* ---- publisher_stanza.c ---- */

enum pub_form { PUB_FORM_FITS, PUB_FORM_OPEN, PUB_FORM_DIFFERS, PUB_FORM_NONE };
/* Compares the form of a <configure/> with what is asked for. */
enum pub_form pub_form_read(const struct publisher *p, const struct xml *iq, const char **field);
void pub_form_write(const struct publisher *p, struct xmlw *w);
enum pub_fault pub_fault_read(const struct xml *iq, char detail[PUB_DETAIL_MAX]);
/* Writes a request of the node's step, but for PUBLISH. */
void pub_write_request(struct pub_node *n);
void pub_write_publish(struct pub_node *n, const struct hub_item *item);

/* ---- publisher_store.c ---- */

void pub_store_put(struct pub_node *n);
void pub_store_remove(struct pub_node *n);
/* The nodes that are not saved yet begin once they are. */
void pub_store_save(struct publisher *p);
void pub_store_load(struct publisher *p, loop_cb *cb, void *arg);

#endif
