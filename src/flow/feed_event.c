/* SPDX-License-Identifier: MIT */
/* feed_event: see feed_event.h. Nothing is written out before somebody asks for
 * the event. */
#include "flow/feed_event.h"

#include <stdio.h>
#include <time.h>

#include "base/json.h"
#include "base/jsonw.h"
#include "base/map.h"
#include "base/mem.h"

/* Of a session; events hold on to the statement they stand under. */
struct feed_session {
	unsigned refs;
	enum sec sec;
	char pseudonym[PSEUDONYM_LEN + 1];
	struct str source, locked; /* in text */
	char text[];               /* with JSON_PADDING */
};

struct feed_sessions {
	struct str key;
	struct map *all; /* by the session's number */
};

struct feed_event {
	struct feed_session *session;
	uint64_t seq;
	int64_t time_us;
	struct event_record is;
	size_t size;
	char body[]; /* with JSON_PADDING */
};

/* What a client says to tell who it is; none of it leaves. The pseudonym stands
 * in place of it. Sorted as people read it. */
static const char *const feed_claims[] = {
	"auth", "chrome_identity", "email", "google_identity", "guest_id", "hash", "safe_user_id",
	"server", "token", "user_id", "user_tag",
};

/* ---- sessions ---- */

static void
feed_session_drop(void *session)
{
	struct feed_session *s = session;

	if (--s->refs == 0)
		mem_free(s);
}

struct feed_sessions *
feed_sessions_new(struct str pseudonym_key)
{
	struct feed_sessions *s;

	MEM_NEW(s);
	s->key = pseudonym_key;
	s->all = map_new();
	return s;
}

void
feed_sessions_free(struct feed_sessions *s)
{
	if (s == NULL)
		return;
	map_free(s->all, feed_session_drop);
	mem_free(s);
}

static struct feed_session *
feed_session_new(const struct feed_sessions *all, const struct session_record *is)
{
	struct feed_session *s = mem_zalloc(sizeof *s + is->source.n + is->locked.n + JSON_PADDING);

	s->refs = 1;
	s->sec = is->sec;
	ident_pseudonym(all->key, is->safe_user_id, s->pseudonym);
	if (is->locked.n > 0)
		memcpy(s->text, is->locked.p, is->locked.n);
	s->locked = (struct str){ s->text, is->locked.n };
	/* The padding of the locked fields is the source, or zeros. */
	if (is->source.n > 0)
		memcpy(s->text + is->locked.n, is->source.p, is->source.n);
	s->source = (struct str){ s->text + is->locked.n, is->source.n };
	return s;
}

void
feed_sessions_record(struct feed_sessions *s, const struct record *r)
{
	struct str key = { (const char *)&r->session, sizeof r->session };
	struct session_record is;
	struct feed_session *old = NULL;

	if (r->type == RECORD_SESSION && session_record_read(r->body, &is) == ERR_OK)
		old = map_put(s->all, key, feed_session_new(s, &is));
	else if (r->type == RECORD_SESSION_END)
		old = map_remove(s->all, key);
	if (old != NULL)
		feed_session_drop(old);
}

/* ---- events ---- */

struct feed_event *
feed_event_new(struct feed_sessions *s, const struct record *r)
{
	struct feed_session *session = map_get(s->all,
	    (struct str){ (const char *)&r->session, sizeof r->session });
	struct feed_event *e;
	size_t size = sizeof *e + r->body.n + JSON_PADDING;

	if (session == NULL || r->type != RECORD_EVENT)
		return NULL;
	e = mem_zalloc(size);
	memcpy(e->body, r->body.p, r->body.n);
	if (event_record_read((struct str){ e->body, r->body.n }, &e->is) != ERR_OK) {
		mem_free(e);
		return NULL;
	}
	e->session = session;
	session->refs++;
	e->seq = r->seq;
	e->time_us = r->time_us;
	e->size = size;
	return e;
}

void
feed_event_free(struct feed_event *e)
{
	if (e == NULL)
		return;
	feed_session_drop(e->session);
	mem_free(e);
}

uint64_t
feed_event_seq(const struct feed_event *e)
{
	return e->seq;
}

struct str
feed_event_source(const struct feed_event *e)
{
	return e->is.source.n > 0 ? e->is.source : e->session->source;
}

size_t
feed_event_size(const struct feed_event *e)
{
	return e->size;
}

/* ---- writing ---- */

static bool
feed_is_claim(struct str key)
{
	for (size_t i = 0; i < sizeof feed_claims / sizeof *feed_claims; i++)
		if (str_is(key, feed_claims[i]))
			return true;
	return false;
}

/* An object without its claims, each other member as the client wrote it. Keys
 * are compared unescaped. */
static void
feed_write_object(struct jsonw *w, struct json_doc *doc, struct str text)
{
	struct json root;
	struct json_iter it;
	struct json_raw raw = json_raw_each(text);

	jsonw_object(w);
	if (json_parse(doc, text, &root) == ERR_OK) {
		it = json_each(root);
		while (json_next(&it) && json_raw_next(&raw)) {
			if (feed_is_claim(it.key))
				continue;
			jsonw_key_str(w, it.key);
			jsonw_text(w, raw.value);
		}
	}
	jsonw_object_end(w);
}

static void
feed_write_time(struct jsonw *w, int64_t time_us)
{
	time_t seconds = (time_t)(time_us / 1000000);
	char date[32], t[48];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(t, sizeof t, "%s.%06dZ", date, (int)(time_us % 1000000));
	jsonw_kz(w, "t", t);
	jsonw_kint(w, "time_us", time_us);
}

void
feed_event_write(const struct feed_event *e, struct json_doc *doc, struct buf *out)
{
	struct jsonw w = jsonw_to(out);

	jsonw_object(&w);
	jsonw_kint(&w, "v", 1);
	jsonw_kuint(&w, "seq", e->seq);
	feed_write_time(&w, e->time_us);
	jsonw_kstr(&w, "source", feed_event_source(e));
	jsonw_kz(&w, "student", e->session->pseudonym);
	jsonw_kz(&w, "sec", sec_name(e->session->sec));
	if (e->is.doc_id.n > 0)
		jsonw_kstr(&w, "doc_id", e->is.doc_id);
	jsonw_key(&w, "fields");
	feed_write_object(&w, doc, e->session->locked);
	jsonw_key(&w, "event");
	feed_write_object(&w, doc, e->is.json);
	jsonw_object_end(&w);
}
