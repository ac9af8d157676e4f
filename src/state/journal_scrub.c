/* SPDX-License-Identifier: MIT */
/* journal_scrub: old segments, which no start reads any more, are verified all
 * the same: one at a time, in the pool, a tenth of the time. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "state/journal_priv.h"

#define JOURNAL_SCRUB_REST 9 /* rests so many times as long as it worked */

struct journal_scrub {
	struct loop *loop;
	struct loop_timer *timer;
	struct journal_dir dir;
	struct journal_reader reader;
	struct journal_summary sum;
	struct journal_scan scan;
	size_t at, to;
	uint64_t began;  /* when the segment being read was begun */
	uint64_t counted; /* damaged places already in the metric */
	char *why;       /* set: the segment could not be read */
	bool busy, closing;
};

static void
journal_scrub_destroy(struct journal_scrub *s)
{
	journal_scan_free(&s->scan);
	journal_dir_close(&s->dir);
	mem_free(s->why);
	mem_free(s);
}

/* In the pool. */
static void
journal_scrub_damage_cb(void *arg, const struct journal_damage *d)
{
	(void)arg;
	journal_damage_log(d);
}

static void
journal_scrub_work_cb(void *arg)
{
	struct journal_scrub *s = arg;

	if (journal_scan_segment(&s->scan, s->at, &s->why) != ERR_OK)
		return;
	s->at++;
	if (s->at == s->to)
		journal_scan_join(&s->scan, s->to);
}

static void
journal_scrub_done_cb(void *arg)
{
	struct journal_scrub *s = arg;
	uint64_t took = loop_now_ms(s->loop) - s->began;

	s->busy = false;
	if (s->closing) {
		journal_scrub_destroy(s);
		return;
	}
	metric_add(METRIC_JOURNAL_DAMAGE, s->sum.damaged - s->counted);
	s->counted = s->sum.damaged;
	if (s->why != NULL)
		log_error("journal verification ended early: %s", s->why);
	else if (s->at < s->to)
		loop_timer_once(s->timer, took * JOURNAL_SCRUB_REST);
	else
		log_info("journal verified segments=%llu records=%llu damaged=%llu",
		    (unsigned long long)s->sum.segments, (unsigned long long)s->sum.records,
		    (unsigned long long)s->sum.damaged);
}

static void
journal_scrub_cb(void *arg)
{
	struct journal_scrub *s = arg;

	s->busy = true;
	s->began = loop_now_ms(s->loop);
	loop_pool(s->loop, journal_scrub_work_cb, journal_scrub_done_cb, s);
}

struct journal_scrub *
journal_scrub_new(struct loop *l, struct journal_dir *d, size_t to)
{
	struct journal_scrub *s;

	MEM_NEW(s);
	s->loop = l;
	s->dir = *d;
	*d = (struct journal_dir){ .fd = -1 };
	s->to = to;
	s->reader.damage = journal_scrub_damage_cb;
	journal_scan_init(&s->scan, &s->dir, 0, UINT64_MAX, &s->reader, &s->sum);
	s->timer = loop_timer_new(l, journal_scrub_cb, s);
	loop_timer_once(s->timer, 0);
	return s;
}

void
journal_scrub_free(struct journal_scrub *s)
{
	if (s == NULL)
		return;
	loop_timer_free(s->timer);
	s->closing = true;
	if (!s->busy)
		journal_scrub_destroy(s);
}
