/* SPDX-License-Identifier: MIT */
/* hub: the one place where state changes meet subscribers. Coalesces per
 * subscription and item: at most one pending value, always the newest, and the
 * final one is always delivered. Access is decided here on every subscribe,
 * read and roster change. Knows no XMPP: doors deliver. */
#ifndef LECTERN_FLOW_HUB_H
#define LECTERN_FLOW_HUB_H

#include "base/loop.h"
#include "flow/access.h"
#include "flow/audit.h"
#include "flow/cold.h"
#include "flow/engine.h"
#include "flow/node.h"

struct hub;
struct hub_door;
struct hub_sub;

#define HUB_READER_SUBS_MAX 1024 /* subscriptions of one reader */
#define HUB_BATCH_ITEMS 128      /* given to a door at a time, whatever their size */

/* The roster is borrowed; see hub_set_roster. An engine has one hub at a time. */
struct hub *hub_new(struct loop *l, struct engine *e, const struct roster *r);
/* Frees what doors are left, too. NULL is allowed. */
void hub_free(struct hub *h);

/* Another roster took effect: subscriptions that are no longer allowed end at
 * once (door->ended) and what was pending for them is dropped; of students who
 * left, the retraction of their items becomes pending in place of the items;
 * `_roster` items and the items of students who joined become pending. The old roster must live until this returns. Not from
 * inside a callback of the hub. */
void hub_set_roster(struct hub *h, const struct roster *r);
const struct roster *hub_roster(const struct hub *h);
struct engine *hub_engine(struct hub *h);

/* Has whatever is granted, refused, shown and ended written down, and who may
 * see whom under each roster. Borrowed, until hub_free. */
void hub_set_audit(struct hub *h, struct audit *a);
/* Counts, logs and writes down that a door refused the reader. */
void hub_refused(struct hub *h, const char *door, struct str reader, struct str node);
/* Writes down that a door has shown the reader n items of a node. */
void hub_shown(struct hub *h, const char *door, struct str reader, struct str node, size_t n);

/* Spreads what engine_changed gives; called after each commit. */
void hub_spread(struct hub *h);

/* One item of a node as a door sends it. Borrowed; valid in the call. The seq
 * of an item never goes back but after a purge; of `_roster` items it grows with each roster,
 * also over restarts. */
struct hub_item {
	const char *id;
	struct str json;   /* {"v":1,"seq":..,"t":"..","sec":"..","state":..}, ASCII, XML-safe */
	uint64_t seq;
	const char *datatype; /* urn:lectern:state:writing.summary:1, urn:lectern:roster:1 */
	int64_t time_us;   /* its "t" */
	bool old;          /* delivered because of hub_subscribe, hub_sub_refresh or
	                    * hub_sub_reset alone: it has not changed since */
};

/* A door may call everything here from inside its callbacks, except where it
 * says otherwise; it may end any subscription and free itself. */
struct hub_door_ops {
	/* Items of one node for one subscription; false: no room now, the hub keeps
	 * them and tries again after hub_door_ready. Of the items' JSON (of retracted
	 * ones their ids) and item_bytes for each, the total stays below batch_bytes (one larger item
	 * goes alone). */
	bool (*deliver)(void *arg, struct hub_sub *sub, const struct hub_item *items, size_t n);
	/* The subscription is ended by the roster; freed after the call. */
	void (*ended)(void *arg, struct hub_sub *sub);
	/* Items that are no longer in the node (their ids), in the same way; as an item
	 * it is the last thing pending that counts. Also again after a refresh. */
	bool (*retract)(void *arg, struct hub_sub *sub, const char *const *ids, size_t n);
	/* Nothing that was delivered before is in the node; comes before the items
	 * that are. In place of many retractions, or when it is not known which.
	 * Both may be NULL: then the door hears of neither. */
	bool (*purge)(void *arg, struct hub_sub *sub);
	size_t batch_bytes;
	size_t item_bytes; /* at most what the door puts around an item's JSON */
	/* Another roster is in force, and what it ends has ended. NULL: not asked. */
	void (*roster)(void *arg);
};
struct hub_door *hub_door_new(struct hub *h, const struct hub_door_ops *ops, void *arg);
/* What it is called in the audit file; borrowed. */
void hub_door_name(struct hub_door *d, const char *name);
/* Ends its subscriptions without calls, then frees it. */
void hub_door_free(struct hub_door *d);
void hub_door_ready(struct hub_door *d);

/* Subscribes; every current item of the node becomes pending at once (the
 * snapshot) and is delivered in the next turn, or when the door has room.
 * interval_ms is the shortest time from the end of one delivery of everything
 * pending to the start of the next; 0: after every commit. ERR_NOT_FOUND: no
 * such node; ERR_FORBIDDEN: not this reader's; the caller treats the two alike
 * towards strangers. ERR_FULL: the reader has HUB_READER_SUBS_MAX already. */
enum err hub_subscribe(struct hub_door *d, struct str node, struct str reader,
    uint32_t interval_ms, void *user, struct hub_sub **out);
/* Subscribes the door itself, in no reader's name: for a door that publishes the
 * node at another service and sees to it who reads it there (access_readers).
 * Nothing that a peer says may lead here. It ends when the roster has no such
 * class or student any more. ERR_NOT_FOUND as in hub_subscribe. */
enum err hub_attach(struct hub_door *d, struct str node, void *user, struct hub_sub **out);
void hub_unsubscribe(struct hub_sub *s);
/* How its end is called in the audit file: "unsubscribed" unless told. */
void hub_sub_ends_as(struct hub_sub *s, const char *what);
void hub_sub_interval(struct hub_sub *s, uint32_t interval_ms);
/* While it is held nothing is delivered; the newest value of each item waits.
 * It still ends when the roster says so. */
void hub_sub_hold(struct hub_sub *s, bool held);
/* All current items become pending again, for the next turn: after a lost
 * stream. */
void hub_sub_refresh(struct hub_sub *s);
/* The same, and before them that nothing else is in the node: for a reader whose
 * subscription the hub takes over from an earlier life. */
void hub_sub_reset(struct hub_sub *s);
/* How many items and retractions are pending; in door->deliver and door->retract
 * without those that it is given. */
size_t hub_sub_pending(const struct hub_sub *s);
/* Whether its node is in the roster no more, for anybody; for door->ended. */
bool hub_sub_is_deleted(const struct hub_sub *s);
void *hub_sub_user(const struct hub_sub *s);
const char *hub_sub_node(const struct hub_sub *s);
const char *hub_sub_reader(const struct hub_sub *s); /* "" for the door itself */

/* Has the states of the node's students brought into memory that are away, and kept
 * there until the wait is freed; see cold_wait_calls. NULL: there is nothing to wait
 * for. For doors before they read, once the reader is known to be allowed to; a read
 * shows what is in memory. */
struct cold_wait *hub_warm(struct hub *h, struct str node);
/* Whether the item is of a student whose states are away. */
bool hub_item_is_away(struct hub *h, const struct node *is, const char *id);

/* Reading a node: its items in the order of their ids, of which only those that
 * are asked for are written. ERR_NOT_FOUND or ERR_FORBIDDEN as in hub_subscribe.
 * For one turn of the loop and one roster. */
struct hub_reading;
enum err hub_read(struct hub *h, struct str node, struct str reader, struct hub_reading **out);
size_t hub_reading_size(const struct hub_reading *r);
/* The item without its JSON. */
struct hub_item hub_reading_head(const struct hub_reading *r, size_t at);
/* With it; valid until the next one. */
struct hub_item hub_reading_item(struct hub_reading *r, size_t at);
void hub_reading_free(struct hub_reading *r);

/* Reads all of them. The callback returns false to stop. */
typedef bool hub_item_cb(void *arg, const struct hub_item *item);
enum err hub_items(struct hub *h, struct str node, struct str reader, hub_item_cb *cb, void *arg);

/* ---- states of another daemon: in the nodes like the engine's, and nowhere else.
 * Of a state that the engine has, too, its own counts, from the moment it is there; a
 * student whose states are away shows none until they are back. ---- */

struct hub_mirrored;
struct hub_mirror_value {
	uint64_t seq;
	int64_t time_us;
	enum sec sec;
	struct str json; /* of the state alone */
};
/* The state behind an item of a class node, for one more holder; NULL when the id
 * is not one of the reducer's. The last release takes it out of the nodes. */
struct hub_mirrored *hub_mirror_take(struct hub *h, const struct reducer *r, struct str id);
void hub_mirror_release(struct hub_mirrored *m);
/* Its value; one that is not newer changes nothing. false when it does not read. */
bool hub_mirror_set(struct hub_mirrored *m, const struct hub_mirror_value *v);
/* Of so many students there is something. */
size_t hub_mirror_students(const struct hub *h);

/* The ids of all items of a node that the roster has, in order, whoever asks. */
typedef void hub_id_cb(void *arg, const char *id);
void hub_item_ids(struct hub *h, const struct node *is, hub_id_cb *cb, void *arg);

/* ERR_OK when there is such a node, or ERR_NOT_FOUND, whoever asks: for what may
 * be said of a node without its items. */
enum err hub_find(struct hub *h, struct str node, struct node *out);
/* What the items of such a node are: hub_item.datatype, to be mem_free'd. */
char *hub_datatype(struct hub *h, const struct node *is);

/* ERR_OK when the node exists and the reader may read it; or ERR_NOT_FOUND or
 * ERR_FORBIDDEN, uncounted. out may be NULL. */
enum err hub_may_read(struct hub *h, struct str node, struct str reader, struct node *out);

#endif
