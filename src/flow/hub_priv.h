/* SPDX-License-Identifier: MIT */
/* hub_priv: what the files of the hub share; nobody else includes it.
 *
 * A hub_node is a PubSub node that has subscribers. It numbers its items: each
 * is a member, and a subscription is a set of bits, one for each member that is
 * pending. So there is never more than one pending value of an item, and noting
 * a change costs a bit. The value itself is written when it is delivered, once
 * for all subscriptions.
 *
 * A member that left the node keeps its place and id as long as somebody may not
 * have heard of it: pending then means its retraction. So there still is one
 * pending thing for each item, and whoever comes back takes his place again.
 *
 *     state --watch--> links --> (node, member) --> subscriptions --> bits
 *
 * hub.c       roster, doors, readers, the turn that delivers
 * hub_node.c  nodes and their members; which nodes a state belongs to
 * hub_sub.c   subscriptions: pending bits, when they are due, delivery
 * hub_item.c  the text of items; reading a node
 * hub_mirror.c  states of another daemon */
#ifndef LECTERN_FLOW_HUB_PRIV_H
#define LECTERN_FLOW_HUB_PRIV_H

#include <sys/queue.h>

#include "base/map.h"
#include "flow/hub.h"

#define HUB_TURN_BATCHES 64 /* in one turn of the loop; the rest in the next */
#define HUB_TELLING_MS 60000 /* between two lines about what a subscription received */
#define HUB_REFUSALS_MAX 20      /* logged one by one in so long */
#define HUB_REFUSALS_MS 60000
#define HUB_GONE_MAX 256    /* members of a node that left; more are a purge */

struct hub_node;

/* An item's JSON as it was at seq; kept only while the item is watched. */
struct hub_text {
	uint64_t seq; /* 0: never written */
	char *p;
	size_t n;
};

/* state.watch. A state that is in no node with subscribers has hub_nobody. */
struct hub_link {
	struct hub_node *node;
	size_t at; /* the state is this member */
};
struct hub_watch {
	struct hub_text text;
	struct hub_link *link;
	size_t n;
};

struct hub_member {
	char *id;              /* item id; NULL: the place is free */
	struct state *state;   /* NULL in a _roster node */
	struct hub_text *text; /* the watch's; in a _roster node the member's own */
	bool kept;             /* hub_node_fill met it */
	uint64_t gone;         /* left the node, as the hub's so manieth; 0: is in it */
};

struct hub_node {
	struct hub *hub;
	struct node is;
	char *name;
	char *datatype;
	const struct reducer *reducer; /* NULL for a _roster node */
	struct hub_member *member;
	size_t n, cap; /* places, free ones included; room for */
	size_t free;   /* places that are free */
	size_t gone;   /* members that left */
	uint64_t purged; /* when it was last purged, counted as in hub_member.gone */
	TAILQ_HEAD(, hub_sub) subs;
};

struct hub_reader {
	char *jid;
	size_t subs;
};

TAILQ_HEAD(hub_queue, hub_sub);

enum hub_life {
	HUB_LIVE,
	HUB_REVOKED, /* waits for its door's ended() */
	HUB_DEAD     /* nobody refers to it any more; freed when the hub is left */
};

struct hub_sub {
	struct hub_node *node;
	struct hub_door *door;
	struct hub_reader *reader; /* NULL: the door itself */
	void *user;
	uint32_t interval_ms;
	enum hub_life life;
	bool purge;               /* pending, before all members */
	uint64_t born;            /* what left earlier it never had */
	bool held;                /* pending items wait for hub_sub_hold */
	uint64_t due_ms;          /* not served before; 0: at once */
	struct loop_timer *timer; /* NULL until it is needed */
	uint64_t *bits;           /* pending members */
	uint64_t *old;            /* those of them that did not change since mark_all */
	size_t words;
	size_t pending;           /* bits set */
	const char *ends_as;      /* for the audit file */
	size_t told;              /* items sent of which it does not know */
	size_t at;                /* members before were served in this round */
	struct hub_queue *queue;  /* that it is in, or NULL */
	TAILQ_ENTRY(hub_sub) in_queue, of_node, of_door;
};

struct hub_door {
	struct hub *hub;
	const struct hub_door_ops *ops;
	void *arg;
	const char *name; /* may be NULL */
	bool blocked;
	struct hub_queue waiting; /* for hub_door_ready */
	struct hub_queue subs;    /* all, by of_door */
	TAILQ_ENTRY(hub_door) link;
};

struct hub {
	struct loop *loop;
	struct engine *engine;
	const struct roster *roster;
	struct audit *audit; /* or NULL */
	struct loop_timer *telling; /* NULL without audit */
	uint64_t roster_seq; /* of _roster items */
	int64_t roster_us;
	struct map *nodes;   /* struct hub_node by name */
	struct map *readers; /* struct hub_reader by JID */
	struct map *mirrored; /* struct hub_mirrored by reducer and item id */
	struct map *mirror_students; /* struct hub_mirror_student by pseudonym */
	TAILQ_HEAD(, hub_door) doors, dead_doors;
	struct hub_queue ready; /* have something to send and may */
	struct hub_queue ending, dead;
	size_t refusals;     /* since refusals_ms */
	uint64_t refusals_ms;
	uint64_t leavings;   /* of members from nodes, and purges */
	unsigned busy;       /* inside callbacks: nothing is freed */
	bool woken, closed;  /* a turn is due; hub_free waits for it */
};

/* ---- hub.c ---- */

/* Between the two, subscriptions and doors that end stay in memory. */
void hub_enter(struct hub *h);
void hub_leave(struct hub *h);
/* Has ready subscriptions served in the next turn. */
void hub_wake(struct hub *h);
/* The reader with one more or one less subscription. */
struct hub_reader *hub_reader_take(struct hub *h, struct str jid);
void hub_reader_drop(struct hub *h, struct hub_reader *r);
/* Writes down what happened to a subscription. */
void hub_sub_audit(struct hub_sub *s, const char *what);
/* hub_may_read that counts and logs a refusal; door as in hub_refused. */
enum err hub_admit(struct hub *h, const char *door, struct str node, struct str reader,
    struct node *out);

/* ---- hub_node.c ---- */

extern struct hub_watch hub_nobody;

/* The node with members and subscribers, made when there is none. */
struct hub_node *hub_node_of(struct hub *h, const struct node *is, struct str name);
void hub_node_free(struct hub_node *n);
/* Takes in what the roster says is in the node and puts out the rest. What
 * comes in becomes pending for every subscription. */
void hub_node_fill(struct hub_node *n);
/* A state the hub never saw: finds the nodes it belongs to. */
void hub_state_look(struct hub *h, struct state *s);
/* The state leaves all its nodes: its items are retracted; or are another state's
 * at once. */
void hub_state_leave(struct state *s);
/* The same without a retraction, as another one is the item; purge: its seq is not
 * above this one's, so readers are told that nothing they have counts. */
void hub_state_forget(struct state *s, bool purge);
/* A state that has been looked at changed. */
void hub_state_spread(struct state *s);

typedef void hub_state_cb(void *arg, struct state *s);
/* Every state that is an item of the node, as the roster says. */
void hub_node_states(struct hub *h, const struct node *is, hub_state_cb *cb, void *arg);

/* ---- hub_mirror.c ---- */

/* The engine has this state now: a mirrored one goes. */
void hub_mirror_hide(struct hub *h, const struct state *own);
/* The student's states are in memory again, and were looked at. */
void hub_mirror_warm(struct hub *h, const struct student *own);
void hub_mirror_states(struct hub *h, const struct roster_student *rs, const struct reducer *r,
    hub_state_cb *cb, void *arg);

/* ---- hub_sub.c ---- */

/* Makes the item pending because it changed; true when it was so already. */
bool hub_sub_mark(struct hub_sub *s, size_t member);
void hub_sub_unmark(struct hub_sub *s, size_t member);
/* Everything it should know. */
void hub_sub_mark_all(struct hub_sub *s);
/* A purge and everything that is in the node. */
void hub_sub_purge(struct hub_sub *s);
void hub_sub_queue(struct hub_sub *s, struct hub_queue *q);
void hub_sub_unqueue(struct hub_sub *s);
/* Gives the door one batch. */
void hub_sub_serve(struct hub_sub *s);
void hub_sub_revoke(struct hub_sub *s);
void hub_sub_die(struct hub_sub *s);
void hub_sub_free(struct hub_sub *s);

/* ---- hub_item.c ---- */

void hub_state_write(const struct state *s, struct buf *out);
void hub_student_write(const struct hub *h, const struct roster_student *s, struct buf *out);
/* Writes the state anew if t is not as of its present seq. */
void hub_text_refresh(struct hub_text *t, const struct state *s);
void hub_text_set(struct hub_text *t, uint64_t seq, struct str json);
void hub_text_free(struct hub_text *t);

#endif
