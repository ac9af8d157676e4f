/* SPDX-License-Identifier: MIT */
/* engine: journal records -> states, live exactly as in replay. One owner per
 * key: everything happens on the loop. Knows nothing of subscribers. */
#ifndef LECTERN_FLOW_ENGINE_H
#define LECTERN_FLOW_ENGINE_H

#include <sys/queue.h>

#include "base/map.h"
#include "components/reducer.h"
#include "flow/record.h"
#include "flow/stream.h"
#include "state/ident.h"
#include "state/journal.h"

/* What clients can make us keep. Where a limit is met, the reducer fails on the
 * event as on any other that it cannot reduce. */
#define ENGINE_STUDENT_STATES_MAX 16384
#define ENGINE_SCOPE_VALUE_MAX 512 /* bytes of one value of a scope, unescaped */

struct engine;
struct cold;

/* A student the engine has seen; lives as long as the engine. */
struct student {
	char *id; /* safe_user_id */
	char pseudonym[PSEUDONYM_LEN + 1];
	struct state *states; /* linked by state.of_student, the newest first */
	size_t n_states;      /* at most ENGINE_STUDENT_STATES_MAX; also of a cold one */
	struct cold *cold;    /* its states are in the store only; see flow/cold.h */
	uint64_t flushed;     /* the flush that wrote of it last */
	uint64_t includes;    /* the journal position its index in the store includes */
	/* what keeps it from going out */
	unsigned n_dirty, n_external, n_large; /* states */
	unsigned n_sessions, n_pins;
	unsigned n_watched;           /* the hub's: states that have subscribers */
	bool indexing;
	bool index_large;             /* larger than what can be stored */
	TAILQ_ENTRY(student) of_hot;  /* with states in memory, the last used at the end */
};

struct state {
	const struct reducer *reducer;
	struct student *student;
	struct state *of_student; /* next of the same student */
	char *key;                /* canonical KVS key */
	char *scope;              /* scope values as key_escape writes them, in the order
	                           * of reducer->scope, joined by ","; "" for none */
	uint64_t seq;             /* counts changes: 1 after the first */
	uint64_t position;        /* journal record that changed it last */
	uint64_t folded;          /* of an external reducer: seq of the last event in it */
	int64_t time_us;          /* server time of that event */
	enum sec sec;             /* weakest identity that wrote into it */
	struct state *next_changed;
	bool changed;             /* is in the list of engine_changed */
	bool dirty;               /* changed since the last write-behind */
	bool large;               /* was larger then than what can be stored */
	bool foreign;             /* another daemon's: scope is as it stands in item ids */
	uint8_t *sum;             /* SHA-256 of the value that was flushed last; NULL when
	                           * no student goes out */
	void *data;               /* the reducer's struct */
	void *watch;              /* the hub's: which nodes with subscribers have this
	                           * state as an item. NULL until the hub first saw it */
};

struct engine_options {
	const struct reducer *const *reducers; /* ends with NULL; borrowed */
	struct str pseudonym_key;              /* borrowed for the engine's life; empty: the
	                                        * students' ids are pseudonyms already */
	bool cold; /* states of students may be away; without it a snapshot with such
	            * students does not load */
	/* Of these students only, or NULL: all. */
	bool (*only)(void *arg, struct str student);
	void *arg;
};

/* NULL with *why when a descriptor is wrong (ABI, id, scope order, twice the
 * same id). */
struct engine *engine_new(const struct engine_options *o, char **why);
void engine_free(struct engine *e);

/* Folds one record (record_cb, arg is the engine). */
void engine_record(void *engine, const struct record *r);

/* Sequence number of the last record folded. */
uint64_t engine_position(const struct engine *e);

/* After a replay: no session of the journal is alive any more. */
void engine_forget_sessions(struct engine *e);

struct streams *engine_streams(struct engine *e);

/* Takes the list of published states that changed since the last call, linked
 * by next_changed; flags are cleared. NULL when none. */
struct state *engine_changed(struct engine *e);

/* Whether this was the seq of a repeated event, which is not folded. Repeats
 * are dropped before they come to the journal; should one ever have slipped in,
 * it stays known by its number. */
bool engine_is_repeat(const struct engine *e, uint64_t seq);

/* For a process that folds only some reducers and gets its states back from where
 * it published them: puts a state in place, of which all events up to `folded`
 * are part; they are left out when they come again. false when the engine has
 * this state already, or it does not read. Before the first record. */
bool engine_restore(struct engine *e, const struct reducer *r, const struct state_record *s);

/* Whether a value reads as a state of the reducer: what a RECORD_STATE with folded 0
 * needs, which gives a student a state that another system folded, unless there is
 * one of that key already. */
bool engine_reads(struct engine *e, const struct reducer *r, struct str json);

/* Up to which event everything is in what was published of this external
 * reducer, as its producer says. */
uint64_t engine_acked(const struct engine *e, const struct reducer *r);
/* How many states the reducer has; of an external one only. */
size_t engine_state_count(const struct engine *e, const struct reducer *r);
/* Calls cb for each of them, in no order. */
typedef void engine_each_of_cb(void *arg, struct state *s);
void engine_each_of(struct engine *e, const struct reducer *r, engine_each_of_cb *cb, void *arg);

struct student *engine_student(struct engine *e, struct str id);      /* or NULL */
struct student *engine_by_pseudonym(struct engine *e, struct str p);  /* or NULL */
size_t engine_students(const struct engine *e);
/* Calls cb for each of them, in no order. */
typedef void engine_student_cb(void *arg, const struct student *s);
void engine_each_student(const struct engine *e, engine_student_cb *cb, void *arg);
/* A state by canonical key, or NULL. */
struct state *engine_state(struct engine *e, struct str key);

/* The reducer by id, or NULL. */
const struct reducer *engine_reducer(const struct engine *e, struct str id);
const struct reducer *const *engine_reducers(const struct engine *e);

/* Whether any reducer names this source. */
bool engine_knows_source(const struct engine *e, struct str source);

/* A state that is none of the engine's, of a student of the caller's: for the hub,
 * which shows what another daemon folds. It has no value before the first read; a
 * read that fails leaves it without. */
struct state *engine_foreign_new(const struct reducer *r, struct student *t, struct str scope);
bool engine_foreign_read(struct engine *e, struct state *s, struct str json);
void engine_foreign_free(struct state *s);

/* Appends the state's JSON value. */
void engine_encode(const struct state *s, struct buf *out);

/* Entries for a snapshot, sorted, so that equal engines give equal bytes: what
 * the reducers are, states (with seq, position, time and sec), streams and live
 * sessions. */
typedef void engine_entry_cb(void *arg, uint8_t kind, struct str key, struct str value);
void engine_save(struct engine *e, engine_entry_cb *cb, void *arg);
/* Takes one entry back, in the order they were given (snapshot_entry_cb, arg is
 * the engine, new). ERR_DAMAGED when it does not read, or when other reducers
 * made it: then only the whole journal gives the right states. */
enum err engine_load(void *engine, uint8_t kind, struct str key, struct str value);
/* After the last engine_load: the position the entries include. */
void engine_loaded(struct engine *e, uint64_t position);

typedef void engine_state_cb(void *arg, const struct state *s, struct str json);
/* Of one flush. */
struct engine_flush {
	size_t states, bytes; /* about so much; one state at least */
	size_t value;         /* a state larger than this is given without its JSON (p is NULL):
	                       * nothing can store it; its student stays in memory */
};
/* The write-behind to a KVS: calls cb for dirty states with their JSON and clears the
 * flag. Returns the number of this flush, 0 when nothing was dirty. Once the KVS has
 * it all, engine_flushed says so; engine_unflushed makes everything dirty again that
 * was not confirmed, engine_unstored all there is. */
uint64_t engine_flush_dirty(struct engine *e, const struct engine_flush *max,
    engine_state_cb *cb, void *arg);
void engine_flushed(struct engine *e, uint64_t flush);
size_t engine_dirty(const struct engine *e); /* states */
size_t engine_large(const struct engine *e); /* states that nothing can store */
void engine_unflushed(struct engine *e);
void engine_unstored(struct engine *e);
/* Calls cb for every state in memory, sorted by key. */
void engine_each(struct engine *e, engine_state_cb *cb, void *arg);

/* SHA-256 in hex over everything that is the fold of the journal, cold students
 * included: equal digests mean equal states, byte for byte. Of an engine in which
 * no record waits for a cold student (cold_waiting). */
void engine_digest(struct engine *e, char out[65]);

#endif
