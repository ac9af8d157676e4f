/* SPDX-License-Identifier: MIT */
/* journal_read: segments in, records and damage out. Walks each segment from
 * its header on; where nothing it knows begins, it goes on 8 bytes at a time
 * until something does, so that damage costs no more than what it hit. Blocks
 * and records prove themselves by their own checksums, wherever they are. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "state/journal_priv.h"

#define JOURNAL_HOLE 4096 /* where to ask whether the rest is a hole */

/* ---- damage ---- */

static void
journal_scan_report(struct journal_scan *s, const struct journal_damage *d)
{
	struct journal_damage told = *d;

	told.file = s->path;
	if (d->torn_tail)
		s->sum->torn_tail = true;
	else {
		s->sum->damaged++;
		s->damaged++;
	}
	if (s->reader->damage != NULL)
		s->reader->damage(s->reader->arg, &told);
}

/* Skips n bytes at `at`; they are told of once it is known what is missing. */
static void
journal_scan_skip(struct journal_scan *s, uint64_t at, uint64_t n, const char *what)
{
	if (s->what == NULL) {
		s->what = what;
		s->bad_at = at;
		s->bad_bytes = 0;
	}
	s->bad_bytes = at + n - s->bad_at;
}

/* The next record is `seq` (0: not known): tells of what was skipped before
 * `at`, and of the records that are not there. */
static void
journal_scan_settle(struct journal_scan *s, uint64_t at, uint64_t seq)
{
	struct journal_damage d = { .offset = at, .what = "records are missing" };
	bool missing = seq > s->expect;

	if (s->what != NULL)
		d = (struct journal_damage){
			.offset = s->bad_at, .bytes = s->bad_bytes, .what = s->what
		};
	else if (!missing)
		return;
	if (missing) {
		d.first_lost = s->expect;
		d.last_lost = seq - 1;
		s->expect = seq;
	}
	s->what = NULL;
	s->reported = true;
	journal_scan_report(s, &d);
}

/* ---- records ---- */

static void
journal_scan_deliver(struct journal_scan *s, const struct record *r)
{
	s->expect = r->seq + 1;
	s->sum->records++;
	s->sum->last_seq = r->seq;
	if (s->sum->first_seq == 0)
		s->sum->first_seq = r->seq;
	if (s->reader->record != NULL && (r->seq > s->after || r->type == RECORD_SESSION ||
	    r->type == RECORD_SESSION_END))
		s->reader->record(s->reader->arg, r);
}

/* Keeps a record of a block that is not whole, in case that is the torn end. */
static void
journal_scan_save(struct journal_scan *s, const struct record *r)
{
	struct journal_block *b = TAILQ_LAST(&s->salvage, journal_blocks);

	if (b == NULL || r->seq != b->first_seq + b->count || journal_block_full(b)) {
		b = journal_block_new();
		TAILQ_INSERT_TAIL(&s->salvage, b, link);
	}
	journal_block_put(b, r, &r->body, 1);
}

/* The size of the right record at `at`, which is then in *out; or 0. */
static size_t
journal_scan_record_at(struct journal_scan *s, uint64_t at, struct record *out)
{
	uint64_t end = s->end != 0 && s->end <= s->window.end ? s->end - SEGMENT_TRAILER
	    : s->window.end;
	const uint8_t *p = window_view(&s->window, at, SEGMENT_RECORD);
	size_t size = p != NULL ? segment_record_claim(p) : 0;

	if (size == 0 || size > end - at)
		return 0;
	p = window_view(&s->window, at, size);
	if (p == NULL || !segment_record_right(p, size))
		return 0;
	segment_record_view(p, out);
	if (s->end != 0 && (out->seq < s->first_seq || out->seq >= s->end_seq))
		return 0;
	return size;
}

/* A record known already is the copy that a failed commit left behind. */
static uint64_t
journal_scan_record(struct journal_scan *s, uint64_t at, const struct record *r, size_t size)
{
	if (s->end == 0 && !s->lost) {
		s->lost = true;
		journal_scan_skip(s, at, 0, "the header of a block is missing");
	}
	journal_scan_settle(s, at, r->seq);
	if (r->seq >= s->expect) {
		journal_scan_deliver(s, r);
		if (s->end > s->window.end)
			journal_scan_save(s, r);
	}
	return at + size;
}

/* ---- blocks ---- */

static uint64_t
journal_scan_block(struct journal_scan *s, uint64_t at, const struct segment_block *b)
{
	const uint8_t *before;
	bool resumed;

	if (s->end != 0)
		journal_scan_skip(s, at, 0, "a block ends before its time");
	resumed = s->what != NULL;
	/* After a damaged place: what stands before the block should be the
	 * trailer it continues. */
	if (resumed && (before = window_view(&s->window, at - SEGMENT_TRAILER,
	    SEGMENT_TRAILER)) != NULL) {
		memcpy(s->chain[1], s->chain[0], SEGMENT_TRAILER);
		memcpy(s->chain[0], before, SEGMENT_TRAILER);
	}
	s->reported = false;
	journal_scan_settle(s, at, b->first_seq);
	if (resumed)
		s->reported = false;
	journal_blocks_free(&s->salvage);
	s->start = at;
	s->end = at + b->length;
	s->first_seq = b->first_seq;
	s->end_seq = b->first_seq + b->count;
	s->lost = false;
	/* The hash will want all of it. */
	window_view(&s->window, at,
	    s->end < s->window.end ? b->length : s->window.end - at);
	return at + SEGMENT_BLOCK;
}

/* Whether a block begins at `at`. A header of which one bit is wrong is believed
 * where a block is due. */
static bool
journal_scan_block_at(struct journal_scan *s, uint64_t at, struct segment_block *out)
{
	const uint8_t *p = window_view(&s->window, at, SEGMENT_BLOCK);
	uint8_t mended[SEGMENT_BLOCK];

	if (p == NULL)
		return false;
	if (segment_block_decode(p, out))
		return true;
	if (s->end != 0 || s->lost)
		return false;
	memcpy(mended, p, sizeof mended);
	if (!segment_block_mend(mended, out))
		return false;
	journal_scan_report(s, &(struct journal_damage){
		.offset = at, .what = "a bit of a block's header was wrong and could be mended"
	});
	memcpy(s->window.data + (at - s->window.at), mended, sizeof mended);
	return true;
}

static uint64_t
journal_scan_trailer(struct journal_scan *s, uint64_t at)
{
	size_t length = (size_t)(s->end - s->start);
	const uint8_t *p;
	uint8_t should[2][SEGMENT_TRAILER];

	journal_scan_settle(s, at, s->end_seq);
	p = window_view(&s->window, s->start, length);
	if (p == NULL) /* cut off under us */
		return s->window.end;
	segment_trailer(s->chain[0], p, length, should[0]);
	memcpy(should[1], should[0], SEGMENT_TRAILER);
	if (memcmp(s->chain[0], s->chain[1], SEGMENT_TRAILER) != 0)
		segment_trailer(s->chain[1], p, length, should[1]);
	p += length - SEGMENT_TRAILER;
	if (memcmp(p, should[1], SEGMENT_TRAILER) == 0)
		memcpy(should[0], p, SEGMENT_TRAILER);
	else if (memcmp(p, should[0], SEGMENT_TRAILER) != 0 && !s->reported)
		journal_scan_report(s, &(struct journal_damage){
			.offset = s->start, .what = "the hash of a block does not match"
		});
	memcpy(s->chain[0], p, SEGMENT_TRAILER);
	memcpy(s->chain[1], should[0], SEGMENT_TRAILER);
	s->sum->blocks++;
	s->end = 0;
	return at + SEGMENT_TRAILER;
}

/* ---- walking ---- */

static uint64_t
journal_scan_bad(struct journal_scan *s, uint64_t at)
{
	uint64_t next = at + SEGMENT_ALIGN;

	if (next > s->window.end)
		next = s->window.end;
	if (s->end == 0) {
		s->lost = true;
		if (at % JOURNAL_HOLE == 0 && window_data(&s->window, at) > next)
			next = window_data(&s->window, at) & ~(uint64_t)(SEGMENT_ALIGN - 1);
	}
	journal_scan_skip(s, at, next - at,
	    s->end != 0 ? "a record is damaged" : "no block begins where one should");
	return next;
}

/* What is at `at`? Returns the place behind it. */
static uint64_t
journal_scan_step(struct journal_scan *s, uint64_t at)
{
	struct segment_block b;
	struct record r;
	size_t size;

	if (s->end != 0 && at == s->end - SEGMENT_TRAILER && s->end <= s->window.end)
		return journal_scan_trailer(s, at);
	size = journal_scan_record_at(s, at, &r);
	if (size != 0)
		return journal_scan_record(s, at, &r, size);
	if (journal_scan_block_at(s, at, &b))
		return journal_scan_block(s, at, &b);
	return journal_scan_bad(s, at);
}

/* A crash leaves the last segment with a block of which the end is missing, or
 * with a piece of a block's header. */
static bool
journal_scan_torn(struct journal_scan *s, uint64_t good_end)
{
	size_t n = (size_t)(s->window.end - good_end);
	const uint8_t *p;

	if (!s->last)
		return false;
	if (s->end != 0)
		return s->end > s->window.end;
	if (s->what == NULL || s->bad_at != good_end || n >= SEGMENT_BLOCK)
		return false;
	p = window_view(&s->window, good_end, n);
	return p != NULL && segment_block_begins(p, n);
}

static void
journal_scan_finish(struct journal_scan *s, uint64_t good_end, uint64_t next_first)
{
	uint64_t end = s->window.end;

	if (journal_scan_torn(s, good_end)) {
		uint64_t at = s->what != NULL && s->bad_at + s->bad_bytes == end ? s->bad_at : end;

		s->torn_at = s->end != 0 ? s->start : good_end;
		s->what = NULL;
		journal_scan_report(s, &(struct journal_damage){
			.offset = at, .bytes = end - at, .torn_tail = true,
			.what = "the last block is unfinished"
		});
	} else {
		journal_blocks_free(&s->salvage);
		if (s->end != 0)
			journal_scan_skip(s, end, 0, "the segment ends inside a block");
		journal_scan_settle(s, end, s->end == 0 || next_first != 0 ? next_first : s->end_seq);
	}
	s->end = 0;
	s->lost = false;
}

bool
journal_scan_run(struct journal_scan *s)
{
	s->pause = false;
	while (s->at < s->window.end && !s->pause) {
		s->at = journal_scan_step(s, s->at);
		if (s->end == 0 && s->what == NULL)
			s->good_end = s->at;
	}
	return s->at >= s->window.end;
}

/* ---- a segment ---- */

static void
journal_scan_path(struct journal_scan *s, uint32_t number)
{
	char name[JOURNAL_NAME];

	mem_free(s->path);
	s->path = mem_printf("%s/%s", s->dir->path, journal_name(number, name));
}

void
journal_scan_join(struct journal_scan *s, size_t i)
{
	const struct journal_segment *seg = &s->dir->v[i];

	journal_scan_path(s, seg->number);
	if (memcmp(seg->header.before, s->chain[0], SEGMENT_TRAILER) != 0 &&
	    memcmp(seg->header.before, s->chain[1], SEGMENT_TRAILER) != 0)
		journal_scan_report(s, &(struct journal_damage){
			.what = "the segment does not continue the one before"
		});
}

static void
journal_scan_header(struct journal_scan *s, size_t i)
{
	const struct journal_segment *seg = &s->dir->v[i];

	if (seg->state == SEGMENT_BROKEN) {
		journal_scan_report(s, &(struct journal_damage){
			.bytes = SEGMENT_HEADER, .what = "the segment's header is damaged"
		});
		return;
	}
	if (seg->state == SEGMENT_BENT)
		journal_scan_report(s, &(struct journal_damage){
			.what = "a bit of the segment's header was wrong and could be mended"
		});
	journal_scan_join(s, i);
	memcpy(s->chain[0], seg->header.before, SEGMENT_TRAILER);
	memcpy(s->chain[1], seg->header.before, SEGMENT_TRAILER);
}

/* How much of the open segment belongs to the journal: the next one says where
 * it took over. Behind that may be what a failed commit left. */
static void
journal_scan_limit(struct journal_scan *s, uint64_t size, const struct journal_segment *next)
{
	s->window.end = size;
	if (next == NULL || next->state == SEGMENT_BROKEN || size <= next->header.before_end)
		return;
	s->window.end = next->header.before_end > SEGMENT_HEADER ? next->header.before_end
	    : SEGMENT_HEADER;
	if (!next->header.continued)
		journal_scan_report(s, &(struct journal_damage){
			.offset = s->window.end, .bytes = size - s->window.end,
			.what = "bytes behind the end of the segment"
		});
}

static enum err
journal_scan_open(struct journal_scan *s, uint32_t number, uint64_t *size, char **why)
{
	char name[JOURNAL_NAME];
	struct stat st;

	journal_scan_path(s, number);
	window_reset(&s->window, openat(s->dir->fd, journal_name(number, name),
	    O_RDONLY | O_NOFOLLOW | O_CLOEXEC), 0);
	if (s->window.fd < 0 || fstat(s->window.fd, &st) != 0) {
		*why = mem_printf("%s: cannot be opened: %s", s->path, strerror(errno));
		return ERR_IO;
	}
	*size = (uint64_t)st.st_size;
	return ERR_OK;
}

static void
journal_scan_close(struct journal_scan *s)
{
	if (s->window.fd >= 0)
		close(s->window.fd);
	s->window.fd = -1;
}

static const struct journal_segment *
journal_scan_next(const struct journal_scan *s, size_t i)
{
	return i + 1 < s->dir->n ? &s->dir->v[i + 1] : NULL;
}

enum err
journal_scan_enter(struct journal_scan *s, size_t i, char **why)
{
	const struct journal_segment *next = journal_scan_next(s, i);
	uint64_t size = 0;
	enum err e = journal_scan_open(s, s->dir->v[i].number, &size, why);

	if (e != ERR_OK) {
		journal_scan_close(s);
		return e;
	}
	s->last = next == NULL;
	s->torn_at = s->damaged = 0;
	s->at = s->good_end = SEGMENT_HEADER;
	journal_scan_header(s, i);
	journal_scan_limit(s, size, next);
	return ERR_OK;
}

static void
journal_scan_end(struct journal_scan *s, size_t i)
{
	const struct journal_segment *next = journal_scan_next(s, i);
	bool known = next != NULL && next->state != SEGMENT_BROKEN;

	journal_scan_finish(s, s->good_end, known ? next->header.first_seq : 0);
	if (s->window.failed)
		journal_scan_report(s, &(struct journal_damage){
			.what = "the disk cannot read a part of the segment"
		});
	s->sum->segments++;
	s->sum->bytes += s->window.end;
}

void
journal_scan_leave(struct journal_scan *s, size_t i)
{
	if (s->window.fd < 0)
		return;
	if (s->at >= s->window.end)
		journal_scan_end(s, i);
	journal_scan_close(s);
}

enum err
journal_scan_segment(struct journal_scan *s, size_t i, char **why)
{
	enum err e = journal_scan_enter(s, i, why);

	while (e == ERR_OK && !journal_scan_run(s))
		continue;
	journal_scan_leave(s, i);
	return e;
}

void
journal_scan_init(struct journal_scan *s, const struct journal_dir *d, size_t start,
    uint64_t after, const struct journal_reader *reader, struct journal_summary *sum)
{
	*s = (struct journal_scan){
		.dir = d, .reader = reader, .after = after, .sum = sum,
		.expect = 1, .window.fd = -1,
	};
	TAILQ_INIT(&s->salvage);
	if (start < d->n && start > 0) {
		s->expect = d->v[start].header.first_seq;
		memcpy(s->chain[0], d->v[start].header.before, SEGMENT_TRAILER);
		memcpy(s->chain[1], d->v[start].header.before, SEGMENT_TRAILER);
	}
}

void
journal_scan_free(struct journal_scan *s)
{
	journal_blocks_free(&s->salvage);
	window_free(&s->window);
	mem_free(s->path);
	s->path = NULL;
}

/* ---- the whole journal ---- */

/* A last file without a whole header holds nothing. */
static void
journal_read_torn_file(const struct journal_dir *d, const struct journal_reader *reader,
    struct journal_summary *sum)
{
	char name[JOURNAL_NAME];
	char *path = mem_printf("%s/%s", d->path, journal_name(d->torn, name));

	sum->torn_tail = true;
	if (reader->damage != NULL)
		reader->damage(reader->arg, &(struct journal_damage){
			.file = path, .torn_tail = true, .what = "the last segment is unfinished"
		});
	mem_free(path);
}

enum err
journal_scan_all(struct journal_scan *s, size_t start, char **why)
{
	enum err e = ERR_OK;

	for (size_t i = start; e == ERR_OK && i < s->dir->n; i++)
		e = journal_scan_segment(s, i, why);
	if (e == ERR_OK && s->dir->torn != 0)
		journal_read_torn_file(s->dir, s->reader, s->sum);
	return e;
}

enum err
journal_read(const char *dir, const char *organisation, uint64_t after,
    const struct journal_reader *reader, struct journal_summary *out, char **why)
{
	struct journal_dir d;
	struct journal_scan s;
	enum err e = journal_dir_open(&d, dir, organisation, false, why);

	*out = (struct journal_summary){ 0 };
	if (e == ERR_OK)
		e = journal_dir_list(&d, why);
	if (e == ERR_OK) {
		size_t start = journal_dir_start(&d, after);

		journal_scan_init(&s, &d, start, after, reader, out);
		e = journal_scan_all(&s, start, why);
		journal_scan_free(&s);
	}
	journal_dir_close(&d);
	return e;
}
