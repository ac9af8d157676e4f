/* SPDX-License-Identifier: MIT */
/* engine: records -> states. Everything here is a function of the records
 * alone: no clock, no order of a hash table, nothing of the process. */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "flow/engine_priv.h"

/* ---- sessions ---- */

struct engine_session_key
engine_session_key(uint64_t id)
{
	struct engine_session_key k;

	for (int i = 7; i >= 0; i--, id >>= 8)
		k.bytes[i] = (char)id;
	return k;
}

static struct engine_session *
engine_session(struct engine *e, uint64_t id)
{
	struct engine_session_key k = engine_session_key(id);

	if (e->last == NULL || e->last->id != id)
		e->last = map_get(e->sessions, (struct str){ k.bytes, sizeof k.bytes });
	return e->last;
}

void
engine_said_drop(struct engine_said *said)
{
	if (--said->refs == 0)
		mem_free(said);
}

static void
engine_session_free(void *session)
{
	struct engine_session *s = session;

	s->student->n_sessions--;
	engine_said_drop(s->said);
	mem_free(s->recent);
	mem_free(s);
}

static void
engine_session_end(struct engine *e, uint64_t id)
{
	struct engine_session_key k = engine_session_key(id);
	struct engine_session *s = map_remove(e->sessions, (struct str){ k.bytes, sizeof k.bytes });

	if (s != NULL)
		engine_session_free(s);
	e->last = NULL;
}

void
engine_forget_sessions(struct engine *e)
{
	map_free(e->sessions, engine_session_free);
	e->sessions = map_new();
	e->last = NULL;
}

/* The body as it stays with the session: json_parse wants room behind it. NULL when
 * it does not read. */
static struct engine_said *
engine_said_new(uint64_t seq, struct str body)
{
	struct engine_said *said;
	struct session_record probe;

	if (session_record_read(body, &probe) != ERR_OK)
		return NULL;
	said = mem_zalloc(sizeof *said + body.n + JSON_PADDING);
	memcpy(said->bytes, body.p, body.n);
	said->refs = 1;
	said->seq = seq;
	said->body = (struct str){ said->bytes, body.n };
	session_record_read(said->body, &said->is);
	return said;
}

static struct engine_session *
engine_session_make(struct engine *e, uint64_t id)
{
	struct engine_session_key k = engine_session_key(id);
	struct engine_session *s;

	MEM_NEW(s);
	s->id = id;
	map_put(e->sessions, (struct str){ k.bytes, sizeof k.bytes }, s);
	return s;
}

/* What it was before is forgotten. */
static void
engine_session_says(struct engine *e, struct engine_session *s, struct engine_said *said)
{
	if (s->said != NULL) {
		s->student->n_sessions--;
		engine_said_drop(s->said);
	}
	s->said = said;
	s->student = engine_student_of(e, said->is.safe_user_id);
	s->student->n_sessions++;
	engine_touch(e, s->student);
	s->stream = NULL;
	mem_free(s->recent);
	s->recent = NULL;
	s->plan = NULL;
}

/* A statement may come again when a start reads more of the journal than it
 * has to; an older one then stands behind what the snapshot knows. */
bool
engine_session_put(struct engine *e, uint64_t id, uint64_t statement, struct str body)
{
	struct engine_session_key k = engine_session_key(id);
	struct engine_session *s = map_get(e->sessions, (struct str){ k.bytes, sizeof k.bytes });
	struct engine_said *said = engine_said_new(statement, body);

	if (said == NULL)
		return false;
	if (s != NULL && s->said->seq > statement) {
		engine_said_drop(said);
	} else if (e->only != NULL && !e->only(e->only_arg, said->is.safe_user_id)) {
		engine_said_drop(said);
		engine_session_end(e, id); /* no more events of whom it was before */
	} else
		engine_session_says(e, s != NULL ? s : engine_session_make(e, id), said);
	return true;
}

/* ---- one reduction ---- */

/* One event on its way through the reducers. */
struct engine_fold {
	struct engine *e;
	struct engine_session *session;
	const struct record *record;
	struct event event;
	struct engine_reducer *reducer;
	struct state **recent;
	struct key_field fields[REDUCER_SCOPE_MAX];
	char number[REDUCER_SCOPE_MAX][24];
};

/* Told at the 1st, 2nd, 4th, 8th ... failure of a reducer; never what is in the
 * event. */
static void
engine_failed(const struct engine_fold *f)
{
	uint64_t n = ++f->reducer->failures;

	metric_add(METRIC_QUARANTINED, 1);
	if ((n & (n - 1)) == 0)
		log_warning("reducer failed reducer=%s record=%" PRIu64 " failures=%" PRIu64,
		    f->reducer->r->id, f->record->seq, n);
}

static bool
engine_wants(const struct reducer *r, const struct event *ev)
{
	size_t max = sizeof r->events / sizeof *r->events;

	if (r->events[0] == NULL)
		return !str_is(ev->name, EVENT_SAVE_BLOB);
	for (size_t i = 0; i < max && r->events[i] != NULL; i++)
		if (str_is(ev->name, r->events[i]))
			return true;
	return false;
}

/* The value of a scope field; false when the event has none. */
static bool
engine_scope_value(struct engine_fold *f, size_t i, struct str *value)
{
	const struct event *ev = &f->event;
	const char *name = f->reducer->r->scope[i];
	struct json v;
	int64_t n;

	if (strcmp(name, "doc_id") == 0)
		return event_doc_id(ev, value);
	if (strcmp(name, "source") == 0) {
		*value = ev->source;
		return value->n > 0;
	}
	if (!event_get(ev, name, &v))
		return false;
	if (json_int(v, &n)) {
		snprintf(f->number[i], sizeof f->number[i], "%" PRId64, n);
		*value = str_of(f->number[i]);
		return true;
	}
	return json_str(v, value);
}

/* Gathers the scope's values into f->fields and, escaped, into e->scope,
 * NUL-terminated. REDUCED_SAME: the event has not all of them. */
static enum reduced
engine_scope(struct engine_fold *f)
{
	struct buf *scope = &f->e->scope;

	buf_clear(scope);
	for (size_t i = 0; i < f->reducer->n_scope; i++) {
		struct str value;

		if (!engine_scope_value(f, i, &value))
			return REDUCED_SAME;
		if (value.n > ENGINE_SCOPE_VALUE_MAX)
			return REDUCED_FAILED;
		if (i > 0)
			buf_byte(scope, ',');
		key_escape(scope, value);
		f->fields[i] = (struct key_field){ f->reducer->r->scope[i], value };
	}
	if (f->reducer->n_scope > 0)
		buf_byte(scope, '\0');
	return REDUCED_CHANGED;
}

/* The state of this session, reducer and scope, or NULL; e->key is its key
 * then. Most events go where the session's last one went. */
static struct state *
engine_find(struct engine_fold *f)
{
	struct engine *e = f->e;
	struct state *s = *f->recent;

	if (s != NULL && (f->reducer->n_scope == 0 || strcmp(s->scope, e->scope.data) == 0))
		return s;
	buf_clear(&e->key);
	key_write(&e->key, engine_key_id(f->reducer->r), f->event.student, f->fields,
	    f->reducer->n_scope);
	s = map_get(e->states, buf_view(&e->key));
	if (s != NULL)
		*f->recent = s;
	return s;
}

/* A failing reducer must leave nothing behind: it works on a copy, unless its
 * state owns memory. */
static enum reduced
engine_reduce(struct engine_fold *f, struct state *s)
{
	const struct reducer *r = f->reducer->r;
	unsigned char *copy = f->e->scratch;
	enum reduced result;

	metric_add(METRIC_REDUCED, 1);
	if (r->fini != NULL)
		return r->reduce(s->data, &f->event);
	memcpy(copy, s->data, r->size);
	result = r->reduce(copy, &f->event);
	if (result == REDUCED_CHANGED)
		memcpy(s->data, copy, r->size);
	return result;
}

static void
engine_moved(struct engine_fold *f, struct state *s)
{
	s->seq++;
	s->position = f->record->seq;
	s->time_us = f->record->time_us;
	if (f->session->said->is.sec > s->sec)
		s->sec = f->session->said->is.sec;
	engine_mark_changed(f->e, s);
}

/* The first event of a scope: the state becomes one only if it changes. */
static enum reduced
engine_reduce_new(struct engine_fold *f)
{
	struct engine *e = f->e;
	struct student *student = f->session->student;
	struct state *s;
	enum reduced result;

	if (student->n_states >= ENGINE_STUDENT_STATES_MAX)
		return REDUCED_FAILED;
	s = engine_state_new(f->reducer->r, student, buf_view(&e->key),
	    (struct str){ e->scope.data, e->scope.len > 0 ? e->scope.len - 1 : 0 });
	result = engine_reduce(f, s);
	if (result != REDUCED_CHANGED) {
		engine_state_drop(s);
		return result;
	}
	engine_add(e, s);
	engine_moved(f, s);
	*f->recent = s;
	return result;
}

static void
engine_fold_one(struct engine_fold *f)
{
	enum reduced result = engine_wants(f->reducer->r, &f->event) ? engine_scope(f) : REDUCED_SAME;
	struct state *s;

	if (result == REDUCED_CHANGED) {
		s = engine_find(f);
		if (s != NULL && f->record->seq <= s->folded)
			return; /* in it already, see engine_restore */
		result = s != NULL ? engine_reduce(f, s) : engine_reduce_new(f);
		if (s != NULL && result == REDUCED_CHANGED)
			engine_moved(f, s);
	}
	if (result == REDUCED_FAILED)
		engine_failed(f);
}

/* ---- records ---- */

static void
engine_plan_session(struct engine *e, struct engine_session *s, struct str source)
{
	const struct engine_plan *p;

	if (s->plan != NULL && str_eq(s->plan->source, source))
		return;
	p = engine_plan_of(e, source);
	if (p == s->plan)
		return;
	mem_free(s->recent);
	s->recent = mem_zalloc(p->n * sizeof *s->recent);
	s->plan = p;
}

void
engine_fold_event(struct engine *e, struct engine_session *s, const struct record *r,
    const struct event_record *er)
{
	struct engine_fold f = { .e = e, .session = s, .record = r };

	f.event = (struct event){
		.name = er->name,
		.source = er->source.n > 0 ? er->source : s->said->is.source,
		.student = s->said->is.safe_user_id,
		.doc_id = er->doc_id,
		.text = er->json,
		.locked = s->said->is.locked,
		.seq = r->seq,
		.statement = s->said->seq,
		.time_us = r->time_us,
		.reader = e->reader,
	};
	engine_touch(e, s->student);
	engine_plan_session(e, s, f.event.source);
	for (size_t i = 0; i < s->plan->n; i++) {
		f.reducer = s->plan->reducers[i];
		f.recent = &s->recent[i];
		engine_fold_one(&f);
	}
	event_done(&f.event);
}

/* Whether the event's seq, if it has one, is new. */
static bool
engine_is_new(struct engine *e, struct engine_session *s, uint64_t seq)
{
	if (seq == 0 || s->said->is.stream.n == 0)
		return true;
	if (s->stream == NULL)
		s->stream = stream_of(e->streams, s->said->is.safe_user_id, s->said->is.stream);
	return stream_fold(s->stream, seq);
}

static void
engine_event(struct engine *e, const struct record *r)
{
	struct engine_session *s = engine_session(e, r->session);
	struct event_record er;

	if (s == NULL) {
		if (!e->warned_orphan && e->only == NULL)
			log_warning("events without their session are left out: the journal lost what "
			    "session=%" PRIu64 " stated (first record=%" PRIu64 ")", r->session, r->seq);
		e->warned_orphan = true;
		return;
	}
	if (event_record_read(r->body, &er) != ERR_OK) {
		if (!e->warned_damaged)
			log_warning("event does not read, left out record=%" PRIu64, r->seq);
		e->warned_damaged = true;
		return;
	}
	if (!engine_is_new(e, s, er.stream_seq))
		engine_repeat_add(e, r->seq);
	else if (s->student->cold != NULL)
		cold_keep_record(e, s->student, s, r);
	else
		engine_fold_event(e, s, r, &er);
}

/* Statements and ends of sessions may come again below the position; events
 * and published states never count twice. */
void
engine_record(void *engine, const struct record *r)
{
	struct engine *e = engine;
	bool is_new = r->seq > e->position;

	switch (r->type) {
	case RECORD_SESSION:
		if (!engine_session_put(e, r->session, r->seq, r->body))
			log_warning("session does not read, left out record=%" PRIu64, r->seq);
		break;
	case RECORD_SESSION_END:
		engine_session_end(e, r->session);
		break;
	case RECORD_EVENT:
		if (is_new)
			engine_event(e, r);
		break;
	case RECORD_STATE:
		if (is_new)
			engine_published(e, r);
		break;
	}
	if (is_new)
		e->position = r->seq;
}
