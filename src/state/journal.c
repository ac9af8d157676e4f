/* SPDX-License-Identifier: MIT */
/* journal: append, group commit and its listeners, on the loop. Leaves the disk
 * to journal_disk, in the pool, and looks at it only between two blocks. */
#include "state/journal.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/jsonw.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "state/journal_priv.h"

#define JOURNAL_RETRY_MS 250      /* after the first failed commit, then doubled */
#define JOURNAL_RETRY_MAX_MS 5000
#define JOURNAL_SPARE 2           /* empty blocks whose memory is kept */

/* ---- blocks ---- */

/* The block that takes the next record, or NULL: a new one does. */
static struct journal_block *
journal_filling(const struct journal *j)
{
	struct journal_block *b = TAILQ_LAST(&j->queue, journal_blocks);

	if (b == NULL || journal_block_full(b) ||
	    ((j->in_flight || j->stalled) && b == TAILQ_FIRST(&j->queue)))
		return NULL;
	return b;
}

/* The segment of the next new block. Never another one right after a session
 * stated itself: it did so for the events that follow. */
static uint32_t
journal_next_segment(const struct journal *j)
{
	return j->plan + (j->plan_end >= j->segment_size && !j->stated ? 1 : 0);
}

uint32_t
journal_segment(const struct journal *j)
{
	const struct journal_block *b = journal_filling(j);

	return b != NULL ? b->segment : journal_next_segment(j);
}

static struct journal_block *
journal_begin(struct journal *j)
{
	struct journal_block *b = TAILQ_FIRST(&j->spare);
	uint32_t segment = journal_next_segment(j);

	if (b != NULL)
		TAILQ_REMOVE(&j->spare, b, link);
	else
		b = journal_block_new();
	if (segment != j->plan) {
		j->plan = segment;
		j->plan_end = SEGMENT_HEADER;
	}
	j->plan_end += SEGMENT_BLOCK + SEGMENT_TRAILER;
	b->segment = segment;
	TAILQ_INSERT_TAIL(&j->queue, b, link);
	return b;
}

static void
journal_recycle(struct journal *j, struct journal_block *b)
{
	size_t n = 0;
	struct journal_block *other;

	TAILQ_FOREACH(other, &j->spare, link)
		n++;
	if (n >= JOURNAL_SPARE) {
		journal_block_free(b);
		return;
	}
	journal_block_reset(b);
	TAILQ_INSERT_HEAD(&j->spare, b, link);
}

/* ---- append ---- */

uint64_t
journal_append(struct journal *j, enum record_type type, uint64_t session, int64_t time_us,
    const struct str *pieces, size_t n)
{
	struct journal_block *b = journal_filling(j);
	struct record r = {
		.seq = j->next_seq++,
		.time_us = time_us,
		.type = type,
	};
	size_t size;

	r.session = session != 0 ? session : r.seq;
	for (size_t i = 0; i < n; i++)
		r.body.n += pieces[i].n;
	assert(r.body.n <= RECORD_BODY_MAX);
	if (b == NULL)
		b = journal_begin(j);
	size = journal_block_put(b, &r, pieces, n);
	j->plan_end += size;
	j->pending += size;
	j->stated = type == RECORD_SESSION;
	if (journal_full(j))
		j->held = true;
	return r.seq;
}

/* ---- commit ---- */

static void journal_committed_cb(void *arg);

static void
journal_commit_cb(void *arg)
{
	struct journal *j = arg;

	j->failed = journal_disk_commit(&j->disk, TAILQ_FIRST(&j->queue));
}

static void
journal_commit(struct journal *j)
{
	j->in_flight = true;
	loop_pool(j->loop, journal_commit_cb, journal_committed_cb, j);
}

/* A stalled journal is left to its timer. */
static void
journal_turn_cb(void *arg)
{
	struct journal *j = arg;

	if (!j->in_flight && !j->stalled && !TAILQ_EMPTY(&j->queue))
		journal_commit(j);
}

static void
journal_retry_cb(void *arg)
{
	journal_commit(arg);
}

static void
journal_announce(struct journal *j, const struct journal_block *b)
{
	const uint8_t *p = b->data + SEGMENT_BLOCK;
	struct record r;

	for (uint32_t i = 0; i < b->count; i++) {
		p += segment_record_view(p, &r);
		j->durable = r.seq;
		if (j->on.on_record != NULL)
			j->on.on_record(j->on.arg, &r);
	}
	if (j->on.on_commit != NULL)
		j->on.on_commit(j->on.arg);
}

static void
journal_announce_room(struct journal *j)
{
	if (!j->held || j->stalled || j->pending > j->max_pending / 2)
		return;
	j->held = false;
	if (j->on.on_resume != NULL)
		j->on.on_resume(j->on.arg);
}

/* Through the loop: whoever waited may close the journal. */
static void
journal_announce_drains(struct journal *j)
{
	struct journal_drain *d;

	while ((d = STAILQ_FIRST(&j->drains)) != NULL && d->seq <= j->durable) {
		STAILQ_REMOVE_HEAD(&j->drains, link);
		loop_defer(j->loop, d->cb, d->arg);
		mem_free(d);
	}
}

static void
journal_look(struct journal *j)
{
	j->segment = j->disk.number;
	j->segment_bytes = j->disk.end;
}

/* The next block goes to the pool before this one takes effect here. */
static void
journal_commit_done(struct journal *j)
{
	struct journal_block *b = TAILQ_FIRST(&j->queue);

	TAILQ_REMOVE(&j->queue, b, link);
	j->pending -= b->len - SEGMENT_BLOCK;
	if (j->stalled) {
		j->stalled = false;
		log_notice("journal resumed segment=%u after=\"%s\"", j->segment, j->error);
	}
	journal_turn_cb(j);
	metric_add(METRIC_COMMITS, 1);
	metric_add(METRIC_JOURNAL_BYTES, b->len + SEGMENT_TRAILER);
	journal_announce(j, b);
	journal_recycle(j, b);
	journal_announce_room(j);
	journal_announce_drains(j);
}

/* What was to go to the segment that failed goes to the next one; new records
 * count on that. */
static void
journal_commit_moved(struct journal *j)
{
	uint32_t next = j->disk.number + 1;

	if (j->disk.fd >= 0 || j->plan >= next)
		return;
	j->plan = next;
	j->plan_end = SEGMENT_HEADER + j->pending;
}

static void
journal_commit_failed(struct journal *j)
{
	char *error = mem_printf("%s: %s", j->disk.failed, strerror(j->failed));
	bool first = !j->stalled;

	metric_add(METRIC_COMMIT_FAILURES, 1);
	if (first || strcmp(error, j->error) != 0)
		log_error("journal stalled dir=%s segment=%u why=\"%s\"", j->path, j->segment,
		    error);
	mem_free(j->error);
	j->error = error;
	journal_commit_moved(j);
	j->stalled = j->held = true;
	j->retry_ms = first ? JOURNAL_RETRY_MS : 2 * j->retry_ms;
	if (j->retry_ms > JOURNAL_RETRY_MAX_MS)
		j->retry_ms = JOURNAL_RETRY_MAX_MS;
	loop_timer_once(j->retry, j->retry_ms);
	if (first && j->on.on_stall != NULL)
		j->on.on_stall(j->on.arg);
}

static void
journal_committed_cb(void *arg)
{
	struct journal *j = arg;

	j->in_flight = false;
	if (j->closing) {
		journal_free(j);
		return;
	}
	journal_look(j);
	if (j->failed == 0)
		journal_commit_done(j);
	else
		journal_commit_failed(j);
}

/* ---- the rest ---- */

void
journal_listen(struct journal *j, const struct journal_listener *listener)
{
	j->on = *listener;
}

bool
journal_full(const struct journal *j)
{
	return j->pending > j->max_pending;
}

bool
journal_stalled(const struct journal *j)
{
	return j->stalled;
}

uint64_t
journal_durable(const struct journal *j)
{
	return j->durable;
}

void
journal_status(const struct journal *j, struct jsonw *w)
{
	jsonw_object(w);
	jsonw_kuint(w, "segment", j->segment);
	jsonw_kuint(w, "segment_bytes", j->segment_bytes);
	jsonw_kuint(w, "durable", j->durable);
	jsonw_kuint(w, "appended", j->next_seq - 1);
	jsonw_kuint(w, "pending_bytes", j->pending);
	jsonw_kbool(w, "full", journal_full(j));
	jsonw_kbool(w, "stalled", j->stalled);
	jsonw_kz(w, "last_error", j->error);
	jsonw_object_end(w);
}

void
journal_drain(struct journal *j, loop_cb *cb, void *arg)
{
	struct journal_drain *d;

	MEM_NEW(d);
	*d = (struct journal_drain){ .seq = j->next_seq - 1, .cb = cb, .arg = arg };
	STAILQ_INSERT_TAIL(&j->drains, d, link);
	if (TAILQ_EMPTY(&j->queue))
		journal_announce_drains(j);
}

void
journal_ready(struct journal *j)
{
	journal_look(j);
	j->retry = loop_timer_new(j->loop, journal_retry_cb, j);
	j->hook = loop_before_sleep(j->loop, journal_turn_cb, j);
}

void
journal_free(struct journal *j)
{
	struct journal_drain *d;

	journal_disk_close(&j->disk);
	journal_blocks_free(&j->queue);
	journal_blocks_free(&j->spare);
	while ((d = STAILQ_FIRST(&j->drains)) != NULL) {
		STAILQ_REMOVE_HEAD(&j->drains, link);
		mem_free(d);
	}
	if (j->dir >= 0)
		close(j->dir);
	if (j->lock >= 0)
		close(j->lock);
	mem_free(j->path);
	mem_free(j->error);
	mem_free(j);
}

/* A block in flight is the pool's: then its end frees the journal. */
void
journal_close(struct journal *j)
{
	journal_scrub_free(j->scrub);
	loop_timer_free(j->retry);
	loop_hook_free(j->hook);
	j->closing = true;
	if (!j->in_flight)
		journal_free(j);
}
