/* SPDX-License-Identifier: MIT */
/* journal: the append-only record of accepted events; the truth. States are
 * only its fold. Knows records as bytes, never what is in them. The bytes on
 * disk belong to segment.h; docs/journal.md describes them.
 *
 * One block is in flight at a time: hashing, writing and fdatasync run in the
 * pool, meanwhile the next block gathers. Records take effect (on_record) only
 * after their block is durable, in the order of their sequence numbers. */
#ifndef LECTERN_STATE_JOURNAL_H
#define LECTERN_STATE_JOURNAL_H

#include "base/buf.h"
#include "base/loop.h"

/* What a record is; its body belongs to flow/record.h. Values are on disk. */
enum record_type {
	RECORD_SESSION = 1,     /* identity and locked fields of a session */
	RECORD_SESSION_END = 2, /* the session is over */
	RECORD_EVENT = 3,       /* one event of a session */
	RECORD_STATE = 4        /* a state that a producer published */
};

#define RECORD_BODY_MAX ((size_t)80 << 20) /* bytes of one record's body */

struct record {
	uint64_t seq;     /* 1, 2, 3 ... over the whole journal, no holes */
	uint64_t session; /* seq of the session's first RECORD_SESSION */
	int64_t time_us;  /* server time of receipt, microseconds since 1970 */
	enum record_type type;
	struct str body;
};

typedef void record_cb(void *arg, const struct record *r);

/* ---- reading, also without a daemon ---- */

/* One damaged place, or a torn tail. */
struct journal_damage {
	const char *file;  /* path of the segment */
	uint64_t offset;   /* of the first bad byte known */
	uint64_t bytes;    /* skipped */
	uint64_t first_lost, last_lost; /* sequence numbers missing; 0, 0 if none known */
	bool torn_tail;    /* an unfinished last block: normal after a crash */
	const char *what;  /* a sentence */
};
typedef void journal_damage_cb(void *arg, const struct journal_damage *d);

struct journal_reader {
	record_cb *record;          /* may be NULL */
	journal_damage_cb *damage;  /* may be NULL */
	void *arg;
};

struct journal_summary {
	uint64_t segments, blocks, records, bytes, damaged, first_seq, last_seq;
	bool torn_tail;
};

/* Reads all segments of dir in order and gives every intact record exactly
 * once, in sequence. Records up to `after` are not given, except
 * RECORD_SESSION and RECORD_SESSION_END ones, which may be (whoever folds
 * needs the sessions). Changes nothing on disk. ERR_OK also when damage was
 * found (see the summary); ERR_NOT_FOUND, ERR_IO or ERR_INVALID with *why
 * (mem_free it) when the journal cannot be read at all, such as a foreign
 * organisation, an unknown version, or a missing segment. */
enum err journal_read(const char *dir, const char *organisation, uint64_t after,
    const struct journal_reader *reader, struct journal_summary *out, char **why);

/* ---- writing ---- */

struct journal;

struct journal_options {
	const char *dir;          /* made with mode 0700 when missing */
	const char *organisation; /* written into each segment, checked on opening */
	uint64_t segment_size;    /* a block that starts beyond opens the next segment */
	size_t max_pending;       /* bytes waiting for the disk before journal_full */
};

struct journal_listener {
	record_cb *on_record;  /* each record that became durable */
	loop_cb *on_commit;    /* after the last on_record of a block */
	loop_cb *on_stall;     /* a commit failed: nothing is acknowledged for now */
	loop_cb *on_resume;    /* journal_full or the stall is over */
	void *arg;
};

/* Locks the folder (flock), reads it as journal_read does, cuts a torn tail
 * (its intact records are kept), logs damage with file and offset, and is then
 * ready to append. NULL with *why (mem_free it) on failure. */
struct journal *journal_open(struct loop *l, const struct journal_options *o, uint64_t after,
    const struct journal_reader *replay, struct journal_summary *out, char **why);

/* Sets who hears of commits; before the first append. */
void journal_listen(struct journal *j, const struct journal_listener *listener);

/* Appends a record made of n pieces; the bytes are copied. Returns its
 * sequence number; session 0 means "this record's own number" (a session's
 * first RECORD_SESSION). The block is committed at the end of this turn of
 * the loop, or as soon as the one before it is durable. Works also while
 * journal_full: whoever appends is asked to stop reading its peer then. */
uint64_t journal_append(struct journal *j, enum record_type type, uint64_t session,
    int64_t time_us, const struct str *pieces, size_t n);

/* Number of the segment the next appended record goes to. A session states
 * itself anew (RECORD_SESSION) in each segment in which it has events, so that
 * damage to one segment orphans no event of another. */
uint32_t journal_segment(const struct journal *j);

bool journal_full(const struct journal *j);    /* too much waits for the disk */
bool journal_stalled(const struct journal *j); /* the disk refuses writes */
uint64_t journal_durable(const struct journal *j); /* last durable sequence number */

/* State of the journal for `lecternctl status`: segment, bytes, durable,
 * pending, stalled and the last error in words. Writes one JSON object. */
struct jsonw;
void journal_status(const struct journal *j, struct jsonw *w);

/* Calls cb once everything appended so far is durable and announced. */
void journal_drain(struct journal *j, loop_cb *cb, void *arg);

/* Closes files and lock; what is not durable is dropped. Only when no block is
 * in flight (after journal_drain), or before the loop ever ran. */
void journal_close(struct journal *j);

#endif
