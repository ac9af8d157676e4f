/* SPDX-License-Identifier: MIT */
/* What the files of the engine share. engine.c owns reducers, students and
 * states; engine_fold.c turns records into states; engine_external.c
 * takes states that others made; engine_save.c gives everything away and takes
 * it back; engine_flush.c is the write-behind and the digests; cold.c has the
 * students whose states are in the store only. */
#ifndef LECTERN_FLOW_ENGINE_PRIV_H
#define LECTERN_FLOW_ENGINE_PRIV_H

#include <stdalign.h>
#include <stddef.h>

#include "base/crypt.h"
#include "base/pack.h"
#include "flow/cold.h"
#include "flow/engine.h"
#include "flow/event.h"
#include "flow/record.h"
#include "state/key.h"

struct engine_reducer {
	const struct reducer *r;
	size_t n_scope;
	uint64_t failures;
	/* of an external one */
	uint64_t acked;
	struct state **states;
	size_t n_states, cap_states;
};

/* The reducers that take events of one source. */
struct engine_plan {
	struct str source; /* empty: any source that no reducer names */
	struct engine_reducer **reducers;
	size_t n;
};

/* What a session stated. Events that wait lean on it, too. */
struct engine_said {
	unsigned refs;
	uint64_t seq; /* of the record */
	struct session_record is;
	struct str body; /* padded for json_parse; `is` points into it */
	char bytes[];
};

/* A session as its last statement describes it. */
struct engine_session {
	uint64_t id;
	struct engine_said *said;
	struct student *student;
	struct stream *stream;          /* NULL until its first event with a seq */
	const struct engine_plan *plan; /* of the last event's source */
	struct state **recent;          /* per reducer of `plan`: the last state, or NULL */
};

#define ENGINE_RUN 16 /* bytes */

/* Of students whose states may be away; cold.c. */
struct engine_cold {
	bool on;
	uint8_t run[ENGINE_RUN]; /* this life of the engine */
	uint8_t run_before[ENGINE_RUN]; /* the one that wrote the snapshot */
	uint64_t recovered;    /* position when the replay was over */
	size_t n_cold;
	size_t n_waiting;      /* for which records wait */
	size_t bytes;          /* of those records */
	TAILQ_HEAD(, cold) wanted;
	struct cold *unlinking; /* whose waits are being told */
	void (*wanted_cb)(void *arg);
	void *wanted_arg;
	cold_warm_cb *warm_cb;
	void *warm_arg;
};

struct engine {
	const struct reducer *const *given;
	struct engine_reducer *reducers;
	size_t n_reducers;
	struct str pseudonym_key;
	bool (*only)(void *arg, struct str student);
	void *only_arg;
	struct map *plans; /* by source; struct engine_plan */
	struct engine_plan *any;

	struct map *students;   /* by id */
	struct map *pseudonyms; /* the same students */
	struct map *states;     /* by canonical key */
	struct map *sessions;   /* by engine_session_key */
	struct streams *streams;
	uint64_t position;

	struct state *changed, **changed_end;
	struct state **dirty;
	size_t n_dirty, cap_dirty, n_large;
	uint64_t flushes, confirmed; /* numbers of the last one begun, and known to be stored */
	struct student **indexing;   /* something of them was flushed, their index not yet */
	size_t n_indexing, cap_indexing;
	TAILQ_HEAD(, student) hot;
	size_t n_hot;
	struct engine_cold cold;

	struct event_reader *reader;
	struct engine_session *last;  /* the session of the last event, or NULL */
	struct buf scope, key;        /* scratch of one reduction */
	uint64_t *repeats;            /* seqs of repeated events, ascending */
	size_t n_repeats, cap_repeats;
	bool warned_orphan, warned_damaged;
	bool load_checked;            /* the entries come from reducers like ours */
	struct json_doc *load_doc;    /* while entries are loaded */
	alignas(max_align_t) unsigned char scratch[REDUCER_STATE_MAX];
};

/* ---- engine.c ---- */

/* The student, made when new. */
struct student *engine_student_of(struct engine *e, struct str id);

struct engine_reducer *engine_find_reducer(const struct engine *e, struct str id); /* or NULL */
const struct engine_plan *engine_plan_of(const struct engine *e, struct str source);

/* The name of a reducer in keys. */
const char *engine_key_id(const struct reducer *r);

/* A null state that is not yet one of the engine's; state_drop or engine_add. */
struct state *engine_state_new(const struct reducer *r, struct student *student,
    struct str key, struct str scope);
void engine_state_drop(void *state);
void engine_add(struct engine *e, struct state *s);
/* Takes all of a student's states out of the engine and frees them. */
void engine_drop_states(struct engine *e, struct student *t);
/* The student was used now. */
void engine_touch(struct engine *e, struct student *t);

/* Puts the state into the lists of what changed. */
void engine_mark_dirty(struct engine *e, struct state *s);
void engine_mark_changed(struct engine *e, struct state *s);

/* ---- engine_fold.c ---- */

/* Key of a session in the map: 8 bytes, sorting as the number does. */
struct engine_session_key {
	char bytes[8];
};
struct engine_session_key engine_session_key(uint64_t id);

/* Takes a session's statement; false if it does not read. */
bool engine_session_put(struct engine *e, uint64_t id, uint64_t statement, struct str body);
void engine_said_drop(struct engine_said *said);
/* Reduces an event of the session. */
void engine_fold_event(struct engine *e, struct engine_session *s, const struct record *r,
    const struct event_record *er);

/* ---- cold.c ---- */

const uint8_t *cold_digest(const struct student *t);

/* Keeps a record for a cold student, of this session (NULL: a published state), and
 * has the states fetched. */
void cold_keep_record(struct engine *e, struct student *t, const struct engine_session *s,
    const struct record *r);
void cold_free(struct engine *e, struct student *t);
/* Makes a student with these many states cold. */
struct cold *cold_make(struct engine *e, struct student *t, size_t n_states, uint64_t includes,
    const uint8_t digest[CRYPT_SHA256]);

/* ---- engine_flush.c ---- */

/* One state of an index: where it is, what it is, and the hash of its value. */
struct engine_line {
	struct str key, reducer, scope;
	uint32_t version;
	enum sec sec;
	uint64_t seq, position, folded;
	int64_t time_us;
	struct str sum;
};
void engine_line_write(struct buf *out, const struct engine_line *l);
/* Appends the lines of all states, sorted by key; of their values the hashes that
 * were flushed, or new ones. */
void engine_lines(const struct student *t, bool flushed, struct buf *out);

/* ---- engine_save.c ---- */

/* Kinds of entries. Values are on disk. */
enum engine_entry {
	ENGINE_ENTRY_REDUCERS = 1, /* fingerprint of the reducers, always the first */
	ENGINE_ENTRY_STATE = 2,
	ENGINE_ENTRY_STREAM = 3,
	ENGINE_ENTRY_SESSION = 4,
	ENGINE_ENTRY_STUDENT = 5, /* one without any state, whose states may yet come */
	ENGINE_ENTRY_ACKED = 6,   /* of an external reducer */
	ENGINE_ENTRY_REPEAT = 7,
	ENGINE_ENTRY_COLD = 8,    /* a student whose states are in the store */
	ENGINE_ENTRY_RUN = 9,     /* of the engine that saved this */
};

/* Where entries go. */
struct engine_saving {
	engine_entry_cb *cb;
	void *arg;
	struct buf value; /* scratch */
};
/* What the reducers are; and of the fold of the journal all but the students. */
void engine_save_head(struct engine *e, struct engine_saving *to);
void engine_save_facts(struct engine *e, struct engine_saving *to);

/* A state's JSON back into it. */
bool engine_decode(struct engine *e, struct state *s, struct str json);
/* What the reducers are. */
void engine_fingerprint(const struct engine *e, struct buf *out);
/* A state as it was saved, now one of the engine's, or NULL. */
struct state *engine_load_state(struct engine *e, struct str key, struct unpack *u);

/* ---- engine_external.c ---- */

/* Folds a RECORD_STATE. */
void engine_published(struct engine *e, const struct record *r);
void engine_external_take(struct engine *e, const struct record *r);
/* The state is one of its external reducer's; it is none any more. */
void engine_external_add(struct engine *e, struct state *s);
void engine_external_remove(struct engine *e, struct state *s);
void engine_repeat_add(struct engine *e, uint64_t seq);

#endif
