/* SPDX-License-Identifier: MIT */
/* session_lock: lock_fields, and who the client is. Both may come in any order
 * and any number of messages; whatever becomes known releases what waited. */
#include "base/metric.h"
#include "flow/session_priv.h"

/* The locked fields as json_parse gives them; .doc is NULL when there are none. */
static struct json
session_locked_json(struct session *s)
{
	struct json root = { .doc = NULL };

	if (s->locked.text != NULL &&
	    json_parse(s->ingest->locked_doc, locked_text(&s->locked), &root) != ERR_OK)
		root.doc = NULL;
	return root;
}

static void
session_find_stream(struct session *s)
{
	struct stream *t = NULL;

	if (s->identified && s->locked.stream.p != NULL)
		t = stream_find(engine_streams(s->ingest->engine),
		    str_of(s->ident.safe_user_id), s->locked.stream);
	if (t != s->stream)
		s->acked = s->echo = 0;
	s->stream = t;
}

enum err
session_identify(struct session *s, struct json claims, bool guest_ok)
{
	struct ident_claim c = {
		.locked = session_locked_json(s),
		.event = claims,
		.guest_id = str_of(s->guest_id),
		.roster = s->ingest->roster,
		.now_us = loop_wall_us(s->ingest->loop),
		.guest_ok = guest_ok,
	};
	enum err e = ident_find(s->ingest->rules, &c, &s->ident);

	if (e != ERR_OK)
		return e;
	s->identified = true;
	session_find_stream(s);
	session_say_auth(s);
	if (s->locked.stream.p != NULL)
		session_say_ack(s);
	return ERR_OK;
}

enum err
session_recheck(struct session *s, struct json claims)
{
	struct ident_claim c = {
		.event = claims,
		.roster = s->ingest->roster,
		.now_us = loop_wall_us(s->ingest->loop),
	};

	return ident_recheck(s->ingest->rules, &c, s->ident.safe_user_id);
}

/* Pays for laying a message over the fields already locked. */
static bool
session_lock_pay(struct session *s)
{
	if (s->lock_credit > SESSION_LOCK_CREDIT)
		s->lock_credit = SESSION_LOCK_CREDIT;
	if (s->lock_credit < s->locked.n)
		return false;
	s->lock_credit -= s->locked.n;
	return true;
}

/* Takes the fields over; what is known of them follows. */
static enum err
session_lock_fields(struct session *s, const struct message *m)
{
	unsigned stripped = 0;
	bool changed;
	enum err e;

	if (!session_lock_pay(s))
		return ERR_FULL;
	e = locked_merge(&s->locked, m, s->ingest->locked_doc, &stripped, &changed);
	if (e != ERR_OK)
		return e;
	metric_add(METRIC_STRIPPED, stripped);
	if (!changed)
		return ERR_OK;
	s->stated = false;
	s->source_known = s->locked.source.p != NULL &&
	    engine_knows_source(s->ingest->engine, s->locked.source);
	session_find_stream(s);
	return ERR_OK;
}

/* Somebody waits who may be made a guest: an event, or a client that numbers
 * its events and wants to know where to go on. */
static bool
session_lock_guest_ok(const struct session *s)
{
	return s->locked.source.p != NULL && (s->held_n > 0 || s->locked.stream.p != NULL);
}

enum err
session_lock(struct session *s, const struct message *m)
{
	struct json fields = m->member[MESSAGE_FIELDS];
	enum err e = ERR_OK;

	if (s->identified && message_has(m, MESSAGE_FIELDS))
		e = session_recheck(s, fields);
	if (e == ERR_OK)
		e = session_lock_fields(s, m);
	if (e != ERR_OK)
		return e;
	if (!s->identified)
		e = session_identify(s, fields, session_lock_guest_ok(s));
	else if (s->locked.stream.p != NULL)
		session_say_ack(s);
	session_release(s);
	return e == ERR_NOT_FOUND ? ERR_OK : e;
}
