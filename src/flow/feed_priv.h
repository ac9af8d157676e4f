/* SPDX-License-Identifier: MIT */
/* feed_priv: what the files of the feed share: feed.c keeps the newest events and
 * answers reads, feed_disk.c reads older ones, publish.c takes states. */
#ifndef LECTERN_FLOW_FEED_PRIV_H
#define LECTERN_FLOW_FEED_PRIV_H

#include "flow/feed.h"

/* Events one after the other in the journal's order. */
struct feed_run {
	struct feed_event **v;
	size_t at, n, cap; /* the first; how many; room, a power of two */
	size_t bytes;
};

/* Older events, a batch at a time, for one producer and source. */
struct feed_disk {
	LIST_ENTRY(feed_disk) link;
	struct feed *feed;
	struct producer *producer;
	char *source;   /* NULL: all of the producer's */
	struct feed_run batch;
	uint64_t from;  /* the batch has every event with from < seq <= to */
	uint64_t to;
	uint64_t until; /* where the cursor ends */
	uint64_t used;  /* feed->clock when it was asked last */
	bool busy, closing, failed;
	bool ended;     /* the cursor has no more */
	/* the pool's while busy */
	struct journal_cursor *cursor;
	struct feed_sessions *sessions;
	uint64_t reached;
	char *why;
};

struct feed_read {
	TAILQ_ENTRY(feed_read) link;
	struct feed *feed;
	struct producer *producer;
	char *source;
	struct feed_mark after;
	size_t max;
	feed_page_cb *cb;
	void *arg;
};

struct feed {
	struct feed_options o;
	struct feed_sessions *sessions;
	struct feed_run tail;
	uint64_t tail_from; /* the tail has every event behind this seq */
	TAILQ_HEAD(, feed_read) reads;
	LIST_HEAD(, feed_disk) disks;
	LIST_HEAD(, feed_listener) listeners;
	size_t n_disks;
	uint64_t clock;
	bool woken, closed;
	struct json_doc *doc;
	struct buf page;    /* JSON of the page being made */
	struct buf large;   /* the last event that came in parts */
	uint64_t large_seq;
};

/* ---- feed.c ---- */

void feed_run_add(struct feed_run *r, struct feed_event *e);
void feed_run_drop(struct feed_run *r);  /* the first one */
void feed_run_clear(struct feed_run *r);
/* The place of the first event with at least this seq. */
size_t feed_run_place(const struct feed_run *r, uint64_t seq);
static inline struct feed_event *
feed_run_at(const struct feed_run *r, size_t i)
{
	return r->v[(r->at + i) & (r->cap - 1)];
}
/* Has reads answered in the next turn. */
void feed_wake(struct feed *f);
bool feed_wants(const struct producer *p, const char *source, struct str of);

/* ---- feed_disk.c ---- */

/* The reader for that producer and source, made when there is none; NULL when all
 * places are taken for now. */
struct feed_disk *feed_disk_of(struct feed *f, struct producer *p, const char *source);
/* Whether the batch can answer for events from `seq` on. Otherwise a batch that
 * does is being read, unless *e says why it cannot. */
bool feed_disk_has(struct feed_disk *d, uint64_t seq, enum err *e);
void feed_disk_free(struct feed_disk *d);

#endif
