/* SPDX-License-Identifier: MIT */
/* feed_disk: older events from the journal's segments, in batches that the pool
 * reads. A reader goes on where its last batch ended, so that following the feed
 * reads each segment once. */
#include "base/log.h"
#include "base/mem.h"
#include "flow/feed_priv.h"
#include "state/journal_cursor.h"

static void
feed_disk_destroy(struct feed_disk *d)
{
	feed_run_clear(&d->batch);
	journal_cursor_close(d->cursor);
	feed_sessions_free(d->sessions);
	mem_free(d->source);
	mem_free(d->why);
	mem_free(d);
}

void
feed_disk_free(struct feed_disk *d)
{
	LIST_REMOVE(d, link);
	d->feed->n_disks--;
	d->feed = NULL;
	d->closing = true;
	if (!d->busy)
		feed_disk_destroy(d);
}

/* ---- finding one ---- */

static bool
feed_disk_fits(const struct feed_disk *d, const struct producer *p, const char *source)
{
	return d->producer == p && (source == NULL ? d->source == NULL :
	    d->source != NULL && strcmp(d->source, source) == 0);
}

/* The one that was asked least lately and is not at work makes room. */
static bool
feed_disk_make_room(struct feed *f)
{
	struct feed_disk *d, *oldest = NULL;

	if (f->n_disks < FEED_READERS_MAX)
		return true;
	LIST_FOREACH(d, &f->disks, link)
		if (!d->busy && (oldest == NULL || d->used < oldest->used))
			oldest = d;
	if (oldest == NULL)
		return false;
	feed_disk_free(oldest);
	return true;
}

struct feed_disk *
feed_disk_of(struct feed *f, struct producer *p, const char *source)
{
	struct feed_disk *d;

	LIST_FOREACH(d, &f->disks, link)
		if (feed_disk_fits(d, p, source))
			break;
	if (d == NULL) {
		if (!feed_disk_make_room(f))
			return NULL;
		MEM_NEW(d);
		d->feed = f;
		d->producer = p;
		d->source = mem_strdup(source);
		LIST_INSERT_HEAD(&f->disks, d, link);
		f->n_disks++;
	}
	d->used = ++f->clock;
	return d;
}

/* ---- reading, in the pool ---- */

/* What the pool needs of the feed; the feed may go meanwhile. */
struct feed_job {
	struct feed_disk *disk;
	char *dir, *organisation;
	enum err e;
};

static bool
feed_disk_record_cb(void *arg, const struct record *r)
{
	struct feed_disk *d = arg;
	struct feed_event *e;

	if (r->type != RECORD_EVENT) {
		feed_sessions_record(d->sessions, r);
		return true;
	}
	d->reached = r->seq;
	e = feed_event_new(d->sessions, r);
	if (e == NULL)
		return true;
	if (feed_wants(d->producer, d->source, feed_event_source(e)))
		feed_run_add(&d->batch, e);
	else
		feed_event_free(e);
	return d->batch.bytes < FEED_BATCH_MAX;
}

static void
feed_disk_work_cb(void *arg)
{
	struct feed_job *j = arg;
	struct feed_disk *d = j->disk;

	if (d->cursor == NULL)
		d->cursor = journal_cursor_open(j->dir, j->organisation, d->from, d->until, &d->why);
	j->e = d->cursor == NULL ? ERR_IO :
	    journal_cursor_read(d->cursor, feed_disk_record_cb, d, &d->why);
}

/* ---- around it, on the loop ---- */

static void
feed_disk_failed(struct feed_disk *d)
{
	log_error("events cannot be read for producer=%s: %s", d->producer->name,
	    d->why != NULL ? d->why : "unknown reason");
	producer_fail(d->producer, "events cannot be read: %s", d->why != NULL ? d->why : "");
	mem_free(d->why);
	d->why = NULL;
}

/* The repeats, which the records alone do not show. */
static void
feed_disk_drop_repeats(struct feed_disk *d, const struct engine *e)
{
	struct feed_run kept = { 0 };

	for (size_t i = 0; i < d->batch.n; i++) {
		struct feed_event *event = feed_run_at(&d->batch, i);

		if (engine_is_repeat(e, feed_event_seq(event)))
			feed_event_free(event);
		else
			feed_run_add(&kept, event);
	}
	mem_free(d->batch.v);
	d->batch = kept;
}

static void
feed_disk_done_cb(void *arg)
{
	struct feed_job *j = arg;
	struct feed_disk *d = j->disk;
	enum err e = j->e;

	mem_free(j->dir);
	mem_free(j->organisation);
	mem_free(j);
	d->busy = false;
	if (d->closing) {
		feed_disk_destroy(d);
		return;
	}
	d->ended = e != ERR_OK;
	d->to = e == ERR_NOT_FOUND ? d->until : d->reached;
	feed_disk_drop_repeats(d, d->feed->o.engine);
	if (e != ERR_OK && e != ERR_NOT_FOUND) {
		feed_disk_failed(d);
		feed_run_clear(&d->batch);
		d->to = d->from;
		d->failed = true;
	}
	feed_wake(d->feed);
}

static void
feed_disk_next(struct feed_disk *d)
{
	struct feed *f = d->feed;
	struct feed_job *j;

	MEM_NEW(j);
	j->disk = d;
	j->dir = mem_strdup(f->o.journal_dir);
	j->organisation = mem_strdup(f->o.organisation);
	feed_run_clear(&d->batch);
	d->busy = true;
	d->reached = d->from;
	loop_pool(f->o.loop, feed_disk_work_cb, feed_disk_done_cb, j);
}

/* A new place to read from. */
static void
feed_disk_seek(struct feed_disk *d, uint64_t after)
{
	journal_cursor_close(d->cursor);
	d->cursor = NULL;
	feed_sessions_free(d->sessions);
	d->sessions = feed_sessions_new(d->feed->o.pseudonym_key);
	d->from = d->to = after;
	d->until = engine_position(d->feed->o.engine);
	d->ended = false;
}

bool
feed_disk_has(struct feed_disk *d, uint64_t seq, enum err *e)
{
	if (d->busy)
		return false;
	if (d->failed) {
		d->failed = false;
		d->ended = true;
		*e = ERR_IO;
		return false;
	}
	if (seq > d->from && seq <= d->to)
		return true;
	if (d->ended || d->sessions == NULL || seq != d->to + 1)
		feed_disk_seek(d, seq - 1);
	else
		d->from = d->to;
	feed_disk_next(d);
	return false;
}
