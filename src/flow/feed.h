/* SPDX-License-Identifier: MIT */
/* feed: the events of the journal for producers, in pages, from any position on;
 * and what producers publish, into the journal. The newest events are at hand in
 * memory, older ones are read from the disk in the pool. Only what is durable
 * and was folded as new is ever handed out, and always in the journal's order. */
#ifndef LECTERN_FLOW_FEED_H
#define LECTERN_FLOW_FEED_H

#include <sys/queue.h>

#include "base/loop.h"
#include "flow/feed_event.h"
#include "flow/producer.h"
#include "state/roster.h"

#define FEED_TAIL_MAX ((size_t)16 << 20) /* bytes of events kept at hand */
#define FEED_BATCH_MAX ((size_t)4 << 20) /* bytes read from the disk at a time, and one event */
#define FEED_READERS_MAX 8               /* positions from which the disk is read */
#define FEED_READS_MAX 8                 /* of one producer, not answered yet */
/* Bytes as a server may write them on, with six for a quote. */
#define FEED_PAGE_BYTES 55000            /* of a page */
#define FEED_AROUND_BYTES 200            /* of these, what a door puts around an item */
#define FEED_PAGE_ITEMS 250
#define FEED_ITEM_BYTES 48000            /* an event with more comes in parts */
#define FEED_PART_BYTES 9000             /* of the event, unescaped, in one part */

struct feed;

struct feed_options {
	struct loop *loop;
	struct engine *engine;       /* after the replay */
	struct producers *producers;
	struct journal *journal;
	const char *journal_dir;     /* copied */
	const char *organisation;    /* borrowed, as the next */
	struct str pseudonym_key;
};
struct feed *feed_new(const struct feed_options *o);
/* Reads under way are dropped without a call. NULL is allowed. */
void feed_free(struct feed *f);
struct producers *feed_producers(struct feed *f);
struct engine *feed_engine(struct feed *f);

/* From the journal's listener, after the engine folded the record; and after
 * the last one of a commit. */
void feed_record(struct feed *f, const struct record *r);
void feed_commit(struct feed *f);

/* Hears of every event for some producer, and of every commit. */
struct feed_listener {
	LIST_ENTRY(feed_listener) link;
	void (*event)(void *arg, struct str source, uint64_t seq);
	void (*commit)(void *arg, uint64_t durable);
	void *arg;
};
void feed_listen(struct feed *f, struct feed_listener *l);
void feed_unlisten(struct feed_listener *l);

/* ---- reading ---- */

/* A place between two events, or between two parts of one: behind part `part`
 * of event `seq`; part 0 is the event as a whole. */
struct feed_mark {
	uint64_t seq;
	unsigned part;
};

struct feed_item {
	uint64_t seq;
	unsigned part; /* 1, 2, ... of an event in parts; else 0 */
	struct str json;
};

struct feed_read;
/* The items are valid in the call. ERR_OK with none: nothing is there yet. ERR_IO:
 * the disk failed, ask again later. */
typedef void feed_page_cb(void *arg, enum err e, const struct feed_item *items, size_t n);
/* Reads the first page behind a place: events of one source, or, source NULL, of
 * all that are for the producer; at most max. Answers in a later turn. NULL when
 * too many reads of the producer are under way. */
struct feed_read *feed_read_new(struct feed *f, struct producer *p, const char *source,
    struct feed_mark after, size_t max, feed_page_cb *cb, void *arg);
void feed_read_cancel(struct feed_read *r);

/* ---- publishing (publish.c) ---- */

#define PUBLISH_ACK "position" /* id of the item that acknowledges */

/* The items of one publish: all are taken or none. */
struct publish;
struct publish *publish_new(struct feed *f, const struct roster *r, struct producer *p,
    const struct reducer *reducer);
/* Checks one item. ERR_OK, or what is wrong, with *why for people (static). */
enum err publish_add(struct publish *b, struct str id, struct str json, const char **why);
/* Appends them to the journal; the sequence number after whose commit they are
 * kept. ERR_FULL is asked before: publish_full. */
uint64_t publish_commit(struct publish *b);
void publish_free(struct publish *b);
/* Whether the journal takes nothing for now. */
bool publish_full(const struct feed *f);

/* Appends the JSON of a state as its producer published it. */
void publish_write(const struct state *s, struct buf *out);

#endif
