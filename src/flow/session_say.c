/* SPDX-License-Identifier: MIT */
/* session_say: the messages a session sends. Each is one JSON object with a
 * "status"; clients ignore those they do not know. */
#include "flow/session_priv.h"

static struct jsonw
session_say(struct session *s, const char *status)
{
	struct jsonw w = jsonw_to(&s->ingest->reply);

	buf_clear(&s->ingest->reply);
	jsonw_object(&w);
	jsonw_kz(&w, "status", status);
	return w;
}

static void
session_said(struct session *s, struct jsonw *w)
{
	jsonw_object_end(w);
	s->door->send(s->peer, buf_view(&s->ingest->reply));
}

void
session_say_auth(struct session *s)
{
	struct jsonw w = session_say(s, "auth");

	jsonw_kz(&w, "user_id", s->ident.user_id);
	jsonw_kz(&w, "safe_user_id", s->ident.shown); /* a claim must not ask the roster */
	jsonw_kz(&w, "sec", sec_name(s->ident.sec));
	if (s->ident.sec == SEC_NONE)
		jsonw_kz(&w, "guest_id", s->ident.user_id);
	session_said(s, &w);
}

void
session_say_ack(struct session *s)
{
	struct jsonw w = session_say(s, "ack");

	s->acked = s->stream != NULL ? s->stream->durable : 0;
	jsonw_kstr(&w, "stream", s->locked.stream);
	jsonw_kuint(&w, "seq", s->acked);
	session_said(s, &w);
}

void
session_say_error(struct session *s, enum err e, const struct message *m)
{
	struct jsonw w = session_say(s, "error");
	int64_t seq;

	jsonw_kz(&w, "code", err_code(e));
	jsonw_kz(&w, "message", err_text(e));
	if (message_has(m, MESSAGE_SEQ) && json_int(m->member[MESSAGE_SEQ], &seq))
		jsonw_kint(&w, "seq", seq);
	session_said(s, &w);
}

void
session_say_retry(struct session *s)
{
	struct jsonw w = session_say(s, "retry");

	s->told_retry = true;
	session_said(s, &w);
}

void
session_say_blocked(struct session *s, const struct optout_rule *rule)
{
	struct jsonw w = session_say(s, "blocklist");

	jsonw_kz(&w, "action", rule->action_name);
	if (rule->time_limit != NULL)
		jsonw_kz(&w, "time_limit", rule->time_limit);
	else
		jsonw_kuint(&w, "time_limit", rule->limit_ms);
	jsonw_kz(&w, "message", rule->message);
	session_said(s, &w);
}

void
session_say_blob(struct session *s, struct str key)
{
	struct jsonw w = session_say(s, "fetch_blob");
	struct state *state = engine_state(s->ingest->engine, key);
	struct buf *scratch = &s->ingest->scratch;

	jsonw_key(&w, "data");
	buf_clear(scratch);
	if (state != NULL)
		engine_encode(state, scratch);
	if (scratch->len > 0)
		jsonw_raw(&w, buf_view(scratch));
	else
		jsonw_null(&w);
	session_said(s, &w);
}
