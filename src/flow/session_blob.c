/* SPDX-License-Identifier: MIT */
/* session_blob: a client's own saved state, one JSON value per student, source
 * and activity. save_blob is an event like any other, and what it saved is a
 * state of the engine; this only finds that state's name. */
#include "base/mem.h"
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
	session_say_blob(s, buf_view(&key));
	buf_free(&key);
	return ERR_OK;
}
