/* SPDX-License-Identifier: MIT */
/* session: see session.h. The road of one message: read, locked fields or
 * terminate, identity, opt-out, blobs, seq, journal. The order is the
 * protocol's; docs/events.md describes it from outside. */
#include "flow/session_priv.h"

#include "base/mem.h"
#include "base/metric.h"
#include "flow/record.h"

#define SESSION_HEADER_MAX 512 /* bytes kept of Origin, User-Agent and address */

/* ---- begin and end ---- */

static char *
session_header(struct str s)
{
	if (s.n > SESSION_HEADER_MAX)
		s.n = SESSION_HEADER_MAX;
	return mem_str(s);
}

struct session *
session_new(struct ingest *g, const struct session_door *door, void *peer,
    const struct session_peer *info)
{
	struct session *s;

	MEM_NEW(s);
	s->ingest = g;
	s->door = door;
	s->peer = peer;
	s->origin = session_header(info->origin);
	s->agent = session_header(info->agent);
	s->ip = session_header(info->ip);
	s->guest_id = session_header(info->guest_id);
	s->held_end = &s->held;
	s->lock_credit = SESSION_LOCK_CREDIT;
	s->next = g->sessions;
	if (s->next != NULL)
		s->next->prev = s;
	g->sessions = s;
	g->n_sessions++;
	if (journal_full(g->journal))
		ingest_pressure(s);
	return s;
}

static void
session_unlink(struct session *s)
{
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		s->ingest->sessions = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	s->ingest->n_sessions--;
}

void
session_reap(struct session *s)
{
	if (!s->gone || s->in_flight > 0 || s->touched)
		return;
	session_unlink(s);
	session_drop_held(s);
	locked_free(&s->locked);
	ident_free(&s->ident);
	mem_free(s->origin);
	mem_free(s->agent);
	mem_free(s->ip);
	mem_free(s->guest_id);
	mem_free(s->email);
	mem_free(s);
}

void
session_free(struct session *s)
{
	session_drop_held(s);
	s->deaf = s->gone = true;
	if (s->id != 0)
		ingest_append(s, RECORD_SESSION_END, NULL, 0);
	session_reap(s);
}

void
session_close(struct session *s, int code, const char *reason)
{
	session_drop_held(s);
	s->deaf = true;
	s->ending = false;
	s->door->close(s->peer, code, reason);
}

void
session_end(struct session *s, int code, const char *reason)
{
	session_drop_held(s);
	s->deaf = true;
	s->ending = true;
	s->end_code = code;
	s->end_reason = reason;
	if ((s->locked.stream.p != NULL && s->in_flight > 0) || s->fetches > 0 || s->echo > 0)
		ingest_touch(s);
	else
		session_close(s, code, reason);
}

void
session_reject(struct session *s, enum err e, const struct message *m)
{
	metric_reject(e);
	session_say_error(s, e, m);
}

/* ---- events ---- */

/* States who the session is and what it has locked, in each segment anew. */
static void
session_state(struct session *s)
{
	struct buf *body = &s->ingest->head;
	struct session_record r = {
		.user_id = str_of(s->ident.user_id),
		.safe_user_id = str_of(s->ident.safe_user_id),
		.providence = str_of(s->ident.providence),
		.sec = s->ident.sec,
		.source = s->locked.source,
		.stream = s->locked.stream,
		.origin = str_of(s->origin),
		.agent = str_of(s->agent),
		.ip = str_of(s->ip),
		.locked = locked_text(&s->locked),
	};
	struct str piece;
	uint32_t segment = journal_segment(s->ingest->journal);
	uint64_t seq;

	if (s->stated && s->segment == segment)
		return;
	buf_clear(body);
	session_record_write(body, &r);
	piece = buf_view(body);
	seq = ingest_append(s, RECORD_SESSION, &piece, 1);
	if (s->id == 0)
		s->id = seq;
	s->stated = true;
	s->segment = segment;
}

static void
session_journal(struct session *s, const struct message *m, uint64_t stream_seq)
{
	struct ingest *g = s->ingest;
	struct event_record r = { .name = m->name, .stream_seq = stream_seq, .json = m->text };
	struct str pieces[1 + MESSAGE_PIECES_MAX];
	size_t n;

	session_state(s);
	if (s->locked.source.p == NULL)
		locked_source(&s->locked, m, &r.source);
	if (!locked_doc_id(&s->locked, m, &g->scratch, &r.doc_id))
		r.doc_id = (struct str){ NULL, 0 };
	buf_clear(&g->head);
	event_record_head(&g->head, &r);
	pieces[0] = buf_view(&g->head);
	n = 1 + message_pieces(m, pieces + 1);
	ingest_append(s, RECORD_EVENT, pieces, n);
	metric_add(METRIC_EVENTS, 1);
	metric_add(METRIC_STRIPPED, m->reserved);
	ingest_pressure(s);
}

static void
session_note_source(struct session *s, const struct message *m)
{
	struct str source;

	if (s->source_known || !locked_source(&s->locked, m, &source))
		return;
	if (s->locked.source.p != NULL || !engine_knows_source(s->ingest->engine, source))
		ingest_unknown_source(s->ingest, source);
}

/* A seq that is known already is dropped and acknowledged again: at once when
 * it is durable, else with the commit that makes it so. */
static void
session_repeated(struct session *s, uint64_t seq)
{
	metric_add(METRIC_REPEATED, 1);
	if (seq <= s->stream->durable) {
		session_say_ack(s);
		return;
	}
	if (s->echo < seq)
		s->echo = seq;
	ingest_touch(s);
}

/* Whether the event is new in its stream; *seq is 0 for one without. */
static enum err
session_number(struct session *s, const struct message *m, uint64_t *seq, bool *is_new)
{
	struct ingest *g = s->ingest;
	int64_t number;

	*seq = 0;
	*is_new = true;
	if (s->locked.stream.p == NULL || !message_has(m, MESSAGE_SEQ))
		return ERR_OK;
	if (!json_int(m->member[MESSAGE_SEQ], &number) || number < 1)
		return ERR_BAD_SEQ;
	if (s->stream == NULL)
		s->stream = stream_of(engine_streams(g->engine),
		    str_of(s->ident.safe_user_id), s->locked.stream);
	*seq = (uint64_t)number;
	*is_new = stream_accept(s->stream, *seq);
	return ERR_OK;
}

enum err
session_accept(struct session *s, const struct message *m)
{
	enum err e = ERR_OK;
	uint64_t seq;
	bool is_new;

	if (session_opted_out(s, m))
		return ERR_OK;
	if (str_is(m->name, "fetch_blob"))
		return session_fetch_blob(s, m);
	if (str_is(m->name, "save_blob"))
		e = session_check_blob(s, m);
	if (e == ERR_OK)
		e = session_number(s, m, &seq, &is_new);
	if (e != ERR_OK)
		return e;
	if (is_new) {
		session_note_source(s, m);
		session_journal(s, m, seq);
	} else {
		session_repeated(s, seq);
	}
	return ERR_OK;
}

/* The identity a message shows, or contradicts. */
static enum err
session_check_identity(struct session *s, const struct message *m)
{
	struct str source;
	enum err e = ERR_OK;

	if (!s->identified)
		e = session_identify(s, m->root, locked_source(&s->locked, m, &source));
	else if (message_has(m, MESSAGE_TOKEN))
		e = session_recheck(s, m->root);
	return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err
session_event(struct session *s, const struct message *m)
{
	enum err e;

	e = locked_check_source(&s->locked, m);
	if (e == ERR_OK)
		e = session_check_identity(s, m);
	if (e != ERR_OK)
		return e;
	if (s->held == NULL && session_complete(s, m))
		return session_accept(s, m);
	session_hold(s, m);
	session_release(s);
	return ERR_OK;
}

/* ---- messages ---- */

/* What was accepted before is kept and, in a stream, acknowledged first; a
 * fetch_blob gets its answer. The commit that ends the wait closes. */
static enum err
session_terminate(struct session *s)
{
	session_end(s, 1000, "");
	return ERR_OK;
}

static enum err
session_message(struct session *s, const struct message *m)
{
	if (str_is(m->name, "lock_fields"))
		return session_lock(s, m);
	if (str_is(m->name, "terminate"))
		return session_terminate(s);
	return session_event(s, m);
}

void
session_frame(struct session *s, struct str text)
{
	struct ingest *g = s->ingest;
	struct message m;
	enum err e;

	if (s->deaf)
		return;
	metric_add(METRIC_FRAMES, 1);
	s->lock_credit += SESSION_LOCK_RATE * text.n;
	e = message_read_any(g->doc, text, &g->spelling, &m);
	if (e == ERR_OK)
		e = session_message(s, &m);
	if (e != ERR_OK)
		session_reject(s, e, &m);
	ingest_trim(g, text.n);
}
