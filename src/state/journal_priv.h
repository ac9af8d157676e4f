/* SPDX-License-Identifier: MIT */
/* journal_priv: what the files of the journal share with each other and with
 * their tests; nobody else includes this.
 *
 *     journal_dir     the folder: lock, list of segments, what is refused
 *     journal_read    segments -> records and damage
 *     journal_cursor  the same bit by bit, while somebody else appends
 *     journal_block   records gathering in memory
 *     journal_disk    blocks -> segments; runs in the pool
 *     journal_scrub   verifies old segments in the pool, long after the start
 *     journal_open    recovery
 *     journal         append, commit, listeners; runs on the loop */
#ifndef LECTERN_STATE_JOURNAL_PRIV_H
#define LECTERN_STATE_JOURNAL_PRIV_H

#include <sys/queue.h>
#include <sys/types.h>

#include "state/journal.h"
#include "state/segment.h"
#include "state/window.h"

/* The system calls that change segments, in one table so that tests can make
 * them fail. */
struct journal_io {
	ssize_t (*pwrite)(int fd, const void *p, size_t n, off_t at);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd);
	int (*ftruncate)(int fd, off_t size);
	int (*unlinkat)(int dir, const char *name, int flags);
};
extern struct journal_io journal_io;

/* ---- folder ---- */

#define JOURNAL_NAME 32 /* room for a segment's file name */

struct journal_segment {
	uint32_t number;
	enum segment_state state;     /* GOOD, BENT or BROKEN */
	struct segment_header header; /* unless BROKEN */
};

struct journal_dir {
	int fd;
	char *path;
	char *organisation;
	struct journal_segment *v; /* numbers 1 to n */
	size_t n;
	uint32_t torn; /* number of a last file without a whole header, or 0 */
};

const char *journal_name(uint32_t number, char out[JOURNAL_NAME]);

/* open: also makes the folder when `make`, and then insists that nobody else
 * may write into it. All answer ERR_OK or set *why. */
enum err journal_dir_open(struct journal_dir *d, const char *path, const char *organisation,
    bool make, char **why);
enum err journal_dir_lock(const struct journal_dir *d, int *lock, char **why);
enum err journal_dir_list(struct journal_dir *d, char **why);
void journal_dir_close(struct journal_dir *d);

/* Index of the first segment to read for all records behind `after` and the
 * sessions they lean on. */
size_t journal_dir_start(const struct journal_dir *d, uint64_t after);

/* ---- blocks in memory ---- */

/* A block being filled or written. data has room for the trailer and
 * SEGMENT_SLACK behind len. */
struct journal_block {
	TAILQ_ENTRY(journal_block) link;
	uint8_t *data;
	size_t len, cap;  /* len: header and records */
	uint32_t count;
	uint64_t first_seq;
	uint32_t segment; /* the one its records count on; see journal_segment */
	unsigned spacious; /* times in a row it used little of its room */
};
TAILQ_HEAD(journal_blocks, journal_block);

struct journal_block *journal_block_new(void);
void journal_block_free(struct journal_block *b);
void journal_blocks_free(struct journal_blocks *list);
/* Makes it empty; keeps its memory if that is about what it needs. */
void journal_block_reset(struct journal_block *b);
/* r->seq is the first or the next of the block; r->body.n is the sum of the
 * pieces. Returns the bytes added. */
size_t journal_block_put(struct journal_block *b, const struct record *r,
    const struct str *pieces, size_t n);
static inline bool
journal_block_full(const struct journal_block *b)
{
	return b->len >= SEGMENT_BLOCK_FULL;
}

/* ---- reading ---- */

struct journal_scan {
	const struct journal_dir *dir;
	const struct journal_reader *reader;
	uint64_t after;
	struct journal_summary *sum;

	uint64_t expect;                    /* the next sequence number */
	uint8_t chain[2][SEGMENT_TRAILER];  /* trailer of the block before: as it
	                                     * stands there, and as it should be */
	/* of the segment being read */
	struct window window;
	char *path;
	uint64_t at, good_end; /* the walk is here; all before is blocks that are whole */
	bool pause;        /* stops the walk after the record at hand */
	bool last;         /* of the journal: its end may be torn */
	uint64_t torn_at;  /* where the torn block begins, or 0 */
	uint64_t damaged;  /* places found */
	/* of the block being read; end is 0 outside */
	uint64_t start, end, first_seq, end_seq;
	bool reported;     /* its hash cannot match, and it was told why */
	/* of the place that is being skipped */
	bool lost;         /* outside a block, where one should be */
	const char *what;  /* NULL: none is being skipped */
	uint64_t bad_at, bad_bytes;

	struct journal_blocks salvage; /* records of a block that is unfinished */
};

void journal_scan_init(struct journal_scan *s, const struct journal_dir *d, size_t start,
    uint64_t after, const struct journal_reader *reader, struct journal_summary *sum);
/* Reads segment i of the folder; call for each in turn. */
enum err journal_scan_segment(struct journal_scan *s, size_t i, char **why);
/* The same in steps: enter, run until it answers true (false: s->pause was set
 * meanwhile), leave. Whatever the steps answered, leave closes the file. */
enum err journal_scan_enter(struct journal_scan *s, size_t i, char **why);
bool journal_scan_run(struct journal_scan *s);
void journal_scan_leave(struct journal_scan *s, size_t i);
/* Reads all from `start` on. */
enum err journal_scan_all(struct journal_scan *s, size_t start, char **why);
/* Whether segment i, which is not read, continues what was; tells of damage. */
void journal_scan_join(struct journal_scan *s, size_t i);
void journal_scan_free(struct journal_scan *s);

/* ---- writing; one thread at a time ---- */

struct journal_disk {
	int dir;             /* borrowed */
	char *organisation;  /* owned */
	int fd;              /* of the segment `number`, or -1: it takes no more */
	uint32_t number;     /* of the newest segment, 0: none yet */
	uint64_t end;        /* its durable length */
	uint8_t chain[SEGMENT_TRAILER]; /* of its last durable block */
	uint32_t leftover;   /* a segment that failed and could not be removed, or 0 */
	const char *failed;  /* the call that failed last */
};

/* Makes the block durable: in the segment it wants, or in a new one when the
 * old one takes no more. 0, or errno: then none of it counts, whatever got to
 * the disk, and it is to be committed again, before any other. */
int journal_disk_commit(struct journal_disk *d, struct journal_block *b);
void journal_disk_close(struct journal_disk *d);

/* ---- scrub ---- */

struct journal_scrub;

/* Verifies the segments before index `to` of the folder, and that `to` continues
 * them, one at a time in the pool, with long rests. Takes *d over, which is empty
 * afterwards. Logs and counts damage. */
struct journal_scrub *journal_scrub_new(struct loop *l, struct journal_dir *d, size_t to);
/* Ends it, as soon as the segment being read is done; NULL is allowed. */
void journal_scrub_free(struct journal_scrub *s);

/* Logs one damage, as recovery and scrub do. Any thread. */
void journal_damage_log(const struct journal_damage *d);

/* ---- the journal ---- */

struct journal_drain {
	STAILQ_ENTRY(journal_drain) link;
	uint64_t seq; /* waits for this one */
	loop_cb *cb;
	void *arg;
};

struct journal {
	struct loop *loop;
	struct journal_listener on;
	uint64_t segment_size;
	size_t max_pending;
	char *path;
	int dir, lock;
	struct journal_scrub *scrub;

	struct journal_disk disk;    /* the pool's while a block is in flight */
	struct journal_blocks queue; /* the first is in flight or stalled, the last gathers */
	struct journal_blocks spare;
	bool in_flight, closing;
	int failed;                  /* errno of the commit that just ended, or 0 */

	uint64_t next_seq, durable;
	size_t pending;              /* bytes of records in the queue */
	bool held;                   /* on_resume is due once there is room again */
	bool stated;                 /* the last record was a RECORD_SESSION */
	uint32_t plan;               /* segment of the newest block */
	uint64_t plan_end;           /* how long that will be with all that is queued */

	bool stalled;
	uint64_t retry_ms;
	struct loop_timer *retry;
	struct loop_hook *hook;
	STAILQ_HEAD(, journal_drain) drains;

	/* for status: the disk as it was when the loop last had it */
	uint32_t segment;
	uint64_t segment_bytes;
	char *error;
};

/* journal_open's end and journal_close's: hooks it up, frees all of it. */
void journal_ready(struct journal *j);
void journal_free(struct journal *j);

#endif
