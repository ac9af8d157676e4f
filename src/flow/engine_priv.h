/* SPDX-License-Identifier: MIT */
/* What the files of the engine share. engine.c owns reducers, students and
 * states; engine_fold.c turns records into states; engine_external.c
 * takes states that others made; engine_save.c gives everything away and takes
 * it back. */
#ifndef LECTERN_FLOW_ENGINE_PRIV_H
#define LECTERN_FLOW_ENGINE_PRIV_H

#include <stdalign.h>
#include <stddef.h>

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

/* A session as its last statement describes it. */
struct engine_session {
	uint64_t id;
	uint64_t statement; /* seq of the record `body` comes from */
	char *body;         /* padded for json_parse; `is` points into it */
	size_t body_len;
	struct session_record is;
	struct student *student;
	struct stream *stream;          /* NULL until its first event with a seq */
	const struct engine_plan *plan; /* of the last event's source */
	struct state **recent;          /* per reducer of `plan`: the last state, or NULL */
};

struct engine {
	const struct reducer *const *given;
	struct engine_reducer *reducers;
	size_t n_reducers;
	struct str pseudonym_key;
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
	size_t n_dirty, cap_dirty;

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

/* ---- engine_save.c ---- */

/* A state's JSON back into it. */
bool engine_decode(struct engine *e, struct state *s, struct str json);

/* ---- engine_external.c ---- */

/* Folds a RECORD_STATE. */
void engine_published(struct engine *e, const struct record *r);
/* The state is one of its external reducer's. */
void engine_external_add(struct engine *e, struct state *s);
void engine_repeat_add(struct engine *e, uint64_t seq);

#endif
