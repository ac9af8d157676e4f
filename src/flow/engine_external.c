/* SPDX-License-Identifier: MIT */
/* engine: states that a producer folded in a process of its own and published:
 * the journal has them as records, here they only become the newest. And the few
 * facts about events that the feed of producers asks for. */
#include <inttypes.h>

#include "base/log.h"
#include "base/mem.h"
#include "flow/engine_priv.h"

/* ---- repeats ---- */

void
engine_repeat_add(struct engine *e, uint64_t seq)
{
	if (e->n_repeats == e->cap_repeats) {
		e->cap_repeats = e->cap_repeats ? 2 * e->cap_repeats : 16;
		e->repeats = mem_realloc(e->repeats, e->cap_repeats * sizeof *e->repeats);
	}
	e->repeats[e->n_repeats++] = seq;
}

bool
engine_is_repeat(const struct engine *e, uint64_t seq)
{
	size_t low = 0, high = e->n_repeats;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (e->repeats[middle] < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low < e->n_repeats && e->repeats[low] == seq;
}

/* ---- external reducers ---- */

static struct engine_reducer *
engine_external(const struct engine *e, const struct reducer *r)
{
	struct engine_reducer *er = e->reducers;

	while (er->r != r)
		er++;
	return er;
}

uint64_t
engine_acked(const struct engine *e, const struct reducer *r)
{
	return engine_external(e, r)->acked;
}

size_t
engine_state_count(const struct engine *e, const struct reducer *r)
{
	return engine_external(e, r)->n_states;
}

void
engine_each_of(struct engine *e, const struct reducer *r, engine_each_of_cb *cb, void *arg)
{
	struct engine_reducer *er = engine_external(e, r);

	for (size_t i = 0; i < er->n_states; i++)
		cb(arg, er->states[i]);
}

void
engine_external_add(struct engine *e, struct state *s)
{
	struct engine_reducer *er = engine_external(e, s->reducer);

	if (er->n_states == er->cap_states) {
		er->cap_states = er->cap_states ? 2 * er->cap_states : 64;
		er->states = mem_realloc(er->states, er->cap_states * sizeof *er->states);
	}
	er->states[er->n_states++] = s;
	s->student->n_external++;
}

void
engine_external_remove(struct engine *e, struct state *s)
{
	struct engine_reducer *er = engine_external(e, s->reducer);
	size_t i = 0;

	while (er->states[i] != s)
		i++;
	er->states[i] = er->states[--er->n_states];
	s->student->n_external--;
}

/* ---- records ---- */

/* The state the record is about; a new one is not the engine's yet. NULL when
 * the student has too many, or the scope is not the reducer's. */
static struct state *
engine_external_state(struct engine *e, const struct engine_reducer *er,
    const struct state_record *sr, bool *is_new)
{
	struct student *student = engine_student_of(e, sr->student);
	struct state *s;

	buf_clear(&e->key);
	if (!key_write_escaped(&e->key, engine_key_id(er->r), sr->student, er->r->scope, sr->scope))
		return NULL;
	s = map_get(e->states, buf_view(&e->key));
	*is_new = s == NULL;
	if (s != NULL)
		return s;
	if (student->n_states >= ENGINE_STUDENT_STATES_MAX)
		return NULL;
	return engine_state_new(er->r, student, buf_view(&e->key), sr->scope);
}

/* A state that was taken over from another system (folded is 0): where the fold goes
 * on. What was folded here before it stays. */
static void
engine_imported(struct engine *e, const struct engine_reducer *er, const struct record *r,
    const struct state_record *sr)
{
	bool is_new;
	struct state *s = engine_external_state(e, er, sr, &is_new);

	if (s == NULL || !is_new)
		return;
	if (!engine_decode(e, s, sr->json)) {
		log_warning("state taken over does not read, left out record=%" PRIu64, r->seq);
		engine_state_drop(s);
		return;
	}
	engine_add(e, s);
	s->seq = 1;
	s->position = r->seq;
	s->time_us = sr->time_us;
	s->sec = sr->sec;
	engine_mark_changed(e, s);
}

void
engine_external_take(struct engine *e, const struct record *r)
{
	const struct engine_reducer *er;
	struct state_record sr;
	struct state *s;
	bool is_new;

	state_record_read(r->body, &sr);
	er = engine_find_reducer(e, sr.reducer);
	if (!er->r->external) {
		engine_imported(e, er, r, &sr);
		return;
	}
	s = engine_external_state(e, er, &sr, &is_new);
	if (s == NULL || s->folded >= sr.folded)
		return; /* sent again */
	er->r->decode_text(s->data, sr.json);
	if (is_new)
		engine_add(e, s);
	s->seq++;
	s->position = r->seq;
	s->folded = sr.folded;
	s->time_us = sr.time_us;
	s->sec = sr.sec;
	engine_mark_changed(e, s);
}

bool
engine_reads(struct engine *e, const struct reducer *r, struct str json)
{
	struct student nobody = { .id = "" };
	struct state *s = engine_state_new(r, &nobody, STR_LIT(""), STR_LIT(""));
	bool ok = engine_decode(e, s, json);

	engine_state_drop(s);
	return ok;
}

/* Of a reducer that is no longer configured, or runs here again, nothing is
 * taken; its records stay for the day when it is. */
void
engine_published(struct engine *e, const struct record *r)
{
	struct state_record sr;
	struct engine_reducer *er;
	struct student *t;

	if (state_record_read(r->body, &sr) != ERR_OK) {
		log_warning("published state does not read, left out record=%" PRIu64, r->seq);
		return;
	}
	er = engine_find_reducer(e, sr.reducer);
	if (er == NULL || er->r->external != (sr.folded > 0))
		return;
	if (sr.student.n == 0) {
		if (er->acked < sr.folded)
			er->acked = sr.folded;
		return;
	}
	if (e->only != NULL && !e->only(e->only_arg, sr.student))
		return;
	t = engine_student_of(e, sr.student);
	if (t->cold != NULL)
		cold_keep_record(e, t, NULL, r);
	else
		engine_external_take(e, r);
}

bool
engine_restore(struct engine *e, const struct reducer *r, const struct state_record *sr)
{
	bool is_new;
	struct state *s = engine_external_state(e, engine_find_reducer(e, str_of(r->id)), sr,
	    &is_new);

	if (s == NULL || !is_new)
		return false;
	s->folded = s->position = sr->folded;
	s->time_us = sr->time_us;
	s->sec = sr->sec;
	if (!engine_decode(e, s, sr->json)) {
		engine_state_drop(s);
		return false;
	}
	engine_add(e, s);
	return true;
}

/* ---- states of another daemon ---- */

struct state *
engine_foreign_new(const struct reducer *r, struct student *t, struct str scope)
{
	struct state *s = engine_state_new(r, t, STR_LIT(""), scope);

	s->foreign = true;
	return s;
}

bool
engine_foreign_read(struct engine *e, struct state *s, struct str json)
{
	const struct reducer *r = s->reducer;

	if (r->fini != NULL)
		r->fini(s->data);
	memset(s->data, 0, r->size);
	if (r->init != NULL)
		r->init(s->data);
	return engine_decode(e, s, json);
}

void
engine_foreign_free(struct state *s)
{
	engine_state_drop(s);
}
