/* SPDX-License-Identifier: MIT */
/* journal_help: what the tests of the journal share: a folder of its own, a
 * journal on a loop, records whose content follows from their number, and a
 * reader that checks every one of them. */
#ifndef LECTERN_TESTS_JOURNAL_HELP_H
#define LECTERN_TESTS_JOURNAL_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/loop.h"
#include "base/mem.h"
#include "state/journal_priv.h"

#define ORGANISATION "school.example"
#define RECORDS_MAX 20000
#define EVENT_TIME 1700000000000000 /* of record 0 */

/* What one reading, or the listener, has seen. */
struct seen {
	uint64_t n, first, last;
	uint8_t times[RECORDS_MAX]; /* how often each record came */
	uint64_t damaged, torn;
	struct journal_damage damage[8]; /* the first ones; file and what are copies */
	char file[8][64], what[8][64];
	char slack;                 /* of the bytes behind the bodies */
	bool wrong;                 /* a record came out of order or with another body */
};

struct rig {
	char dir[64];
	struct loop *loop;
	struct loop_timer *alive; /* like a daemon's, the loop ends when told to */
	struct journal *j;
	struct journal_summary sum;
	struct seen live;
	uint64_t commits, stalls, resumes;
	uint64_t segment_size;
	size_t max_pending;
	uint64_t told[RECORDS_MAX]; /* journal_segment just before record i */
};

/* Body of record seq: 0 to 400 bytes that depend on it. */
static inline struct str
body_of(uint64_t seq)
{
	static char text[512];
	size_t n = seq % 7 == 3 ? 0 : (seq * 37) % 400;

	for (size_t i = 0; i < n; i++)
		text[i] = (char)('a' + (seq * 31 + i * 7) % 26);
	return (struct str){ text, n };
}

static inline enum record_type
type_of(uint64_t seq)
{
	return seq % 10 == 1 ? RECORD_SESSION : seq % 10 == 0 ? RECORD_SESSION_END : RECORD_EVENT;
}

static inline void
seen_record_cb(void *arg, const struct record *r)
{
	struct seen *s = arg;
	uint64_t session = r->seq - (r->seq + 9) % 10;

	if (r->seq <= s->last || r->seq >= RECORDS_MAX || r->type != type_of(r->seq) ||
	    r->session != session || r->time_us != EVENT_TIME + (int64_t)r->seq ||
	    !str_eq(r->body, body_of(r->seq)))
		s->wrong = true;
	/* must be readable: a sanitizer would tell */
	for (size_t i = 0; i < SEGMENT_SLACK; i++)
		s->slack ^= r->body.p[r->body.n + i];
	if (s->n++ == 0)
		s->first = r->seq;
	s->last = r->seq;
	if (r->seq < RECORDS_MAX)
		s->times[r->seq]++;
}

static inline void
seen_damage_cb(void *arg, const struct journal_damage *d)
{
	struct seen *s = arg;
	uint64_t i = s->damaged + s->torn;

	if (i < 8) {
		const char *slash = strrchr(d->file, '/');

		s->damage[i] = *d;
		snprintf(s->file[i], sizeof s->file[i], "%s", slash ? slash + 1 : d->file);
		snprintf(s->what[i], sizeof s->what[i], "%s", d->what);
	}
	if (d->torn_tail)
		s->torn++;
	else
		s->damaged++;
}

static inline struct journal_reader
seen_reader(struct seen *s)
{
	return (struct journal_reader){ seen_record_cb, seen_damage_cb, s };
}

/* ---- the rig ---- */

static inline void
rig_alive_cb(void *arg)
{
	(void)arg;
}

static inline void
rig_loop(struct rig *g)
{
	g->loop = loop_new();
	g->alive = loop_timer_new(g->loop, rig_alive_cb, NULL);
	loop_timer_every(g->alive, 3600000);
}

static inline void
rig_new(struct rig *g)
{
	const char *tmp = getenv("TMPDIR");

	*g = (struct rig){ .segment_size = 1 << 20, .max_pending = 1 << 20 };
	snprintf(g->dir, sizeof g->dir, "%.30s/lectern-journal-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(g->dir));
	rig_loop(g);
}

static inline char *
rig_path(const struct rig *g, uint32_t segment)
{
	static char path[4][128];
	static unsigned turn;
	char name[JOURNAL_NAME], *out = path[turn++ % 4];

	snprintf(out, sizeof path[0], "%s/%s", g->dir, journal_name(segment, name));
	return out;
}

static inline void
rig_free(struct rig *g)
{
	char path[128];

	if (g->j != NULL)
		journal_close(g->j);
	loop_timer_free(g->alive);
	loop_free(g->loop);
	for (uint32_t i = 1; i < 2000 && unlink(rig_path(g, i)) == 0; i++)
		;
	snprintf(path, sizeof path, "%s/lock", g->dir);
	unlink(path);
	rmdir(g->dir);
}

static inline void
rig_record_cb(void *arg, const struct record *r)
{
	struct rig *g = arg;

	seen_record_cb(&g->live, r);
	if (journal_durable(g->j) != r->seq)
		g->live.wrong = true;
}

static inline void
rig_commit_cb(void *arg)
{
	((struct rig *)arg)->commits++;
}

static inline void
rig_stall_cb(void *arg)
{
	((struct rig *)arg)->stalls++;
}

static inline void
rig_resume_cb(void *arg)
{
	((struct rig *)arg)->resumes++;
}

/* Opens the journal; what the replay gives goes into *replayed. NULL: refused. */
static inline char *
rig_open(struct rig *g, uint64_t after, struct seen *replayed)
{
	struct journal_options o = {
		.dir = g->dir, .organisation = ORGANISATION,
		.segment_size = g->segment_size, .max_pending = g->max_pending
	};
	struct journal_listener on = {
		rig_record_cb, rig_commit_cb, rig_stall_cb, rig_resume_cb, g
	};
	struct journal_reader reader = seen_reader(replayed);
	char *why = NULL;

	*replayed = (struct seen){ 0 };
	g->live = (struct seen){ 0 };
	g->j = journal_open(g->loop, &o, after, &reader, &g->sum, &why);
	if (g->j != NULL) {
		journal_listen(g->j, &on);
		g->told[0] = journal_durable(g->j);
	}
	return why;
}

static inline void
rig_must_open(struct rig *g, struct seen *replayed)
{
	char *why = rig_open(g, 0, replayed);

	if (why != NULL)
		print_message("%s\n", why);
	assert_non_null(g->j);
	assert_null(why);
	assert_false(replayed->wrong);
}

static inline void
rig_close(struct rig *g)
{
	journal_close(g->j);
	g->j = NULL;
}

static inline uint64_t
rig_append(struct rig *g)
{
	uint64_t seq = g->told[0] + 1; /* told[0]: the last one appended */
	struct str body = body_of(seq), pieces[3];
	uint64_t got;

	pieces[0] = (struct str){ body.p, body.n / 2 };
	pieces[1] = (struct str){ NULL, 0 };
	pieces[2] = (struct str){ body.p + body.n / 2, body.n - body.n / 2 };
	g->told[seq] = journal_segment(g->j);
	got = journal_append(g->j, type_of(seq), type_of(seq) == RECORD_SESSION ? 0
	    : seq - (seq + 9) % 10, EVENT_TIME + (int64_t)seq, pieces, 3);
	assert_int_equal(got, seq);
	g->told[0] = seq;
	return seq;
}

static inline void
rig_stop_cb(void *arg)
{
	loop_stop(((struct rig *)arg)->loop);
}

/* Runs the loop until all that was appended is durable. */
static inline void
rig_drain(struct rig *g)
{
	journal_drain(g->j, rig_stop_cb, g);
	loop_run(g->loop);
}

static inline void
rig_append_block(struct rig *g, int n)
{
	while (n-- > 0)
		rig_append(g);
	rig_drain(g);
}

/* ---- reading ---- */

static inline void
read_after(const char *dir, uint64_t after, struct seen *s, struct journal_summary *sum)
{
	struct journal_reader reader = seen_reader(s);
	char *why = NULL;

	*s = (struct seen){ 0 };
	if (journal_read(dir, ORGANISATION, after, &reader, sum, &why) != ERR_OK)
		print_message("%s\n", why);
	assert_null(why);
	assert_int_equal(sum->damaged, s->damaged);
	assert_int_equal(sum->torn_tail, s->torn > 0);
	assert_false(s->wrong);
}

/* The journal holds exactly the records 1 to n, undamaged. */
static inline void
assert_whole(const char *dir, uint64_t n)
{
	static struct seen s;
	struct journal_summary sum;

	read_after(dir, 0, &s, &sum);
	assert_int_equal(s.damaged, 0);
	assert_int_equal(s.torn, 0);
	assert_int_equal(s.n, n);
	assert_int_equal(s.last, n);
	assert_int_equal(sum.records, n);
	assert_int_equal(sum.last_seq, n);
}

/* Why journal_read refuses the folder; mem_free it. */
static inline char *
refusal(const char *dir)
{
	struct journal_reader reader = { 0 };
	struct journal_summary sum;
	char *why = NULL;

	assert_int_equal(journal_read(dir, ORGANISATION, 0, &reader, &sum, &why), ERR_INVALID);
	assert_non_null(why);
	return why;
}

/* ---- files ---- */

static inline size_t
file_load(const char *path, uint8_t *out, size_t room)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, out, room);
	assert_true(n >= 0 && (size_t)n < room);
	close(fd);
	return (size_t)n;
}

static inline void
file_store(const char *path, const uint8_t *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
}

/* Tests that open a journal a thousand times need no disk behind it. */
static inline int
no_sync(int fd)
{
	(void)fd;
	return 0;
}

static inline void
io_without_sync(void)
{
	journal_io.fdatasync = no_sync;
	journal_io.fsync = no_sync;
}

static inline void
io_real(void)
{
	journal_io = (struct journal_io){ pwrite, fdatasync, fsync, ftruncate, unlinkat };
}

#endif
