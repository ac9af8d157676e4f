/* SPDX-License-Identifier: MIT */
/* session_blob: a client's own saved state, one JSON value per student, source
 * and activity. save_blob is an event like any other, and what it saved is a
 * state of the engine; this only finds that state's name. */
#include "base/mem.h"
#include "flow/cold.h"
#include "flow/session_priv.h"
#include "state/key.h"

#define SESSION_BLOB_REDUCER "learning_observer.blob_storage.state_blob"

static bool
session_blob_scope(const struct session *s, const struct message *m, struct str *source,
    struct str *activity)
{
	return locked_source(&s->locked, m, source) &&
	    locked_activity(&s->locked, m, &s->ingest->scratch, activity);
}

enum err
session_check_blob(const struct session *s, const struct message *m)
{
	struct str source, activity;

	return session_blob_scope(s, m, &source, &activity) ? ERR_OK : ERR_BLOB_SCOPE;
}

/* ---- states that are away ---- */

/* An answer that waits for the student's states. Counts as in flight. */
struct blob_wait {
	LIST_ENTRY(blob_wait) link;
	struct session *session;
	char *key;
	struct cold_wait *wait;
};

static void
blob_wait_free(struct blob_wait *b)
{
	LIST_REMOVE(b, link);
	cold_wait_free(b->wait);
	mem_free(b->key);
	mem_free(b);
}

static void
blob_wait_cb(void *arg)
{
	struct blob_wait *b = arg;
	struct session *s = b->session;

	if (session_listens(s))
		session_say_blob(s, str_of(b->key));
	blob_wait_free(b);
	s->in_flight--;
	s->fetches--;
	ingest_settle(s);
	session_reap(s);
}

void
session_answer_blob(struct session *s, char *key)
{
	struct ingest *g = s->ingest;
	struct student *t = engine_student(g->engine, str_of(s->ident.safe_user_id));
	struct blob_wait *b;

	if (t == NULL || t->cold == NULL) {
		session_say_blob(s, str_of(key));
		mem_free(key);
		return;
	}
	MEM_NEW(b);
	b->session = s;
	b->key = key;
	b->wait = cold_wait_new(g->engine);
	cold_wait_calls(b->wait, blob_wait_cb, b);
	LIST_INSERT_HEAD(&g->blob_waits, b, link);
	s->in_flight++;
	s->fetches++;
	cold_wait_for(b->wait, t);
}

void
session_blobs_free(struct ingest *g)
{
	while (!LIST_EMPTY(&g->blob_waits))
		blob_wait_free(LIST_FIRST(&g->blob_waits));
}

/* ---- messages ---- */

enum err
session_fetch_blob(struct session *s, const struct message *m)
{
	struct key_field fields[] = { { .name = "activity" }, { .name = "source" } };
	struct buf key = BUF_INIT(0);

	if (!session_blob_scope(s, m, &fields[1].value, &fields[0].value))
		return ERR_BLOB_SCOPE;
	if (s->fetches >= SESSION_FETCHES_MAX)
		return ERR_FULL;
	key_write(&key, SESSION_BLOB_REDUCER, str_of(s->ident.safe_user_id), fields, 2);
	if (s->in_flight > 0) {
		ingest_fetch(s, buf_take(&key));
		return ERR_OK;
	}
	session_answer_blob(s, buf_take(&key));
	return ERR_OK;
}
