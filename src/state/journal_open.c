/* SPDX-License-Identifier: MIT */
/* journal_open: from what is on the disk to a journal that can be appended to.
 * Whatever it changes there can be cut off at any moment and done again. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "state/journal_priv.h"

void
journal_damage_log(const struct journal_damage *d)
{
	if (d->torn_tail)
		log_notice("journal torn tail file=%s offset=%llu bytes=%llu what=\"%s\"",
		    d->file, (unsigned long long)d->offset, (unsigned long long)d->bytes,
		    d->what);
	else
		log_error("journal damage file=%s offset=%llu bytes=%llu lost=%llu-%llu "
		    "what=\"%s\"", d->file, (unsigned long long)d->offset,
		    (unsigned long long)d->bytes, (unsigned long long)d->first_lost,
		    (unsigned long long)d->last_lost, d->what);
}

/* ---- replay ---- */

static void
journal_replay_record_cb(void *arg, const struct record *r)
{
	const struct journal_reader *replay = arg;

	if (replay->record != NULL)
		replay->record(replay->arg, r);
}

static void
journal_replay_damage_cb(void *arg, const struct journal_damage *d)
{
	const struct journal_reader *replay = arg;

	journal_damage_log(d);
	if (!d->torn_tail)
		metric_add(METRIC_JOURNAL_DAMAGE, 1);
	if (replay->damage != NULL)
		replay->damage(replay->arg, d);
}

/* ---- recovery ---- */

static enum err
journal_recovery_failed(const struct journal *j, const char *what, char **why)
{
	*why = mem_printf("%s: %s: %s", j->path, what, strerror(errno));
	return ERR_IO;
}

/* The file that was being made when the process ended. It never counted. */
static enum err
journal_recover_file(struct journal *j, const struct journal_dir *d, char **why)
{
	char name[JOURNAL_NAME];

	if (d->torn == 0)
		return ERR_OK;
	if (journal_io.unlinkat(j->dir, journal_name(d->torn, name), 0) != 0 ||
	    journal_io.fsync(j->dir) != 0)
		return journal_recovery_failed(j, "removing the unfinished segment", why);
	return ERR_OK;
}

/* The intact records of the torn block, as blocks of a new segment. Only then
 * is the torn one cut: whichever of both is there after a crash, each record
 * counts once. */
static enum err
journal_recover_torn(struct journal *j, struct journal_scan *s, int last, char **why)
{
	struct journal_block *b;

	j->disk.end = s->torn_at;
	TAILQ_FOREACH(b, &s->salvage, link) {
		b->segment = (uint32_t)s->dir->n;
		errno = journal_disk_commit(&j->disk, b);
		if (errno != 0)
			return journal_recovery_failed(j, "saving the records of the torn block",
			    why);
	}
	if (journal_io.ftruncate(last, (off_t)s->torn_at) != 0 ||
	    journal_io.fdatasync(last) != 0)
		return journal_recovery_failed(j, "cutting the torn block off", why);
	return ERR_OK;
}

/* What was read may so far be in the page cache only: the process before us may
 * have ended between write and fdatasync. */
static enum err
journal_recover_last(struct journal *j, struct journal_scan *s, char **why)
{
	char name[JOURNAL_NAME];
	uint32_t number = (uint32_t)s->dir->n;
	bool mine = s->damaged == 0 && TAILQ_EMPTY(&s->salvage);
	int last = openat(j->dir, journal_name(number, name), O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	enum err e = ERR_OK;

	j->disk.number = number;
	j->disk.end = s->window.end;
	memcpy(j->disk.chain, s->chain[0], SEGMENT_TRAILER);
	if (last < 0 || journal_io.fdatasync(last) != 0 || journal_io.fsync(j->dir) != 0)
		e = journal_recovery_failed(j, "syncing the last segment", why);
	else if (s->torn_at != 0)
		e = journal_recover_torn(j, s, last, why);
	if (e == ERR_OK && mine)
		j->disk.fd = last;
	else if (last >= 0)
		close(last);
	return e;
}

/* Sequence numbers that a snapshot has already counted are not given again. */
static void
journal_recover_seq(struct journal *j, const struct journal_scan *s)
{
	struct journal_damage d = {
		.file = j->path,
		.first_lost = s->expect,
		.last_lost = s->after,
		.what = "the journal ends before the position it was read from"
	};

	j->next_seq = s->expect;
	if (s->after >= s->expect) {
		s->sum->damaged++;
		s->reader->damage(s->reader->arg, &d);
		j->next_seq = s->after + 1;
	}
	j->durable = j->next_seq - 1;
}

static enum err
journal_recover(struct journal *j, struct journal_dir *d, uint64_t after,
    const struct journal_reader *replay, struct journal_summary *out, char **why)
{
	struct journal_reader reader = {
		.record = journal_replay_record_cb,
		.damage = journal_replay_damage_cb,
		.arg = (void *)replay,
	};
	size_t start = journal_dir_start(d, after);
	struct journal_scan s;
	enum err e;

	journal_scan_init(&s, d, start, after, &reader, out);
	e = journal_scan_all(&s, start, why);
	if (e == ERR_OK)
		e = journal_recover_file(j, d, why);
	if (e == ERR_OK && d->n > 0)
		e = journal_recover_last(j, &s, why);
	if (e == ERR_OK) {
		journal_recover_seq(j, &s);
		if (start > 0)
			j->scrub = journal_scrub_new(j->loop, d, start);
	}
	journal_scan_free(&s);
	return e;
}

/* ---- open ---- */

static struct journal *
journal_new(struct loop *l, const struct journal_options *o)
{
	struct journal *j;

	MEM_NEW(j);
	j->loop = l;
	j->segment_size = o->segment_size;
	j->max_pending = o->max_pending;
	j->path = mem_strdup(o->dir);
	j->dir = j->lock = -1;
	j->disk.fd = -1;
	j->disk.organisation = mem_strdup(o->organisation);
	TAILQ_INIT(&j->queue);
	TAILQ_INIT(&j->spare);
	STAILQ_INIT(&j->drains);
	return j;
}

static enum err
journal_start(struct journal *j, struct journal_dir *d, uint64_t after,
    const struct journal_reader *replay, struct journal_summary *out, char **why)
{
	enum err e = journal_dir_lock(d, &j->lock, why);

	if (e != ERR_OK)
		return e;
	j->dir = fcntl(d->fd, F_DUPFD_CLOEXEC, 0);
	if (j->dir < 0)
		return journal_recovery_failed(j, "opening the folder", why);
	j->disk.dir = j->dir;
	e = journal_dir_list(d, why);
	if (e == ERR_OK)
		e = journal_recover(j, d, after, replay, out, why);
	return e;
}

struct journal *
journal_open(struct loop *l, const struct journal_options *o, uint64_t after,
    const struct journal_reader *replay, struct journal_summary *out, char **why)
{
	struct journal *j = journal_new(l, o);
	struct journal_dir d;
	enum err e = journal_dir_open(&d, o->dir, o->organisation, true, why);

	*out = (struct journal_summary){ 0 };
	if (e == ERR_OK)
		e = journal_start(j, &d, after, replay, out, why);
	journal_dir_close(&d);
	if (e != ERR_OK) {
		journal_free(j);
		return NULL;
	}
	j->plan = j->disk.fd >= 0 ? j->disk.number : j->disk.number + 1;
	j->plan_end = j->disk.fd >= 0 ? j->disk.end : SEGMENT_HEADER;
	journal_ready(j);
	return j;
}
