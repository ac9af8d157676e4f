/* SPDX-License-Identifier: MIT */
/* consumer_fold: items of the feed as the records they came from, so that the
 * same engine folds them with the same reducers. Sessions are made up: one for
 * each student, trust, source and set of locked fields. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/pack.h"
#include "state/key.h"
#include "xmpp/consumer_priv.h"

/* The members of an event's JSON. */
struct consumer_event {
	int64_t seq, time_us;
	struct str source, student, doc_id, name, fields, event;
	enum sec sec;
};

/* json with the padding json_parse wants, in c->text. */
static bool
consumer_parse(struct consumer *c, struct str json, struct json *root)
{
	char *padding;

	buf_clear(&c->text);
	buf_str(&c->text, json);
	padding = buf_room(&c->text, JSON_PADDING);
	if (padding == NULL)
		return false;
	memset(padding, 0, JSON_PADDING);
	return json_parse(c->doc, buf_view(&c->text), root) == ERR_OK;
}

static bool
consumer_int(struct json v, const char *key, int64_t *out)
{
	struct json n;

	return json_get(v, key, &n) && json_int(n, out);
}

static bool
consumer_sec(struct json v, enum sec *out)
{
	struct str name;

	return json_get_str(v, "sec", &name) && sec_by_name(name, out);
}

/* ---- events ---- */

static bool
consumer_event_read(struct consumer *c, struct json root, struct consumer_event *e)
{
	struct str member;
	struct json event;

	if (!consumer_int(root, "seq", &e->seq) || e->seq < 1 ||
	    !consumer_int(root, "time_us", &e->time_us) || !consumer_sec(root, &e->sec) ||
	    !json_get_str(root, "source", &e->source) ||
	    !json_get_str(root, "student", &e->student) ||
	    !json_get(root, "event", &event) || !json_get_str(event, "event", &e->name) ||
	    !json_member_raw(buf_view(&c->text), "fields", &member, &e->fields) ||
	    !json_member_raw(buf_view(&c->text), "event", &member, &e->event))
		return false;
	if (!json_get_str(root, "doc_id", &e->doc_id))
		e->doc_id = (struct str){ NULL, 0 };
	return e->student.n > 0 && e->name.n > 0 && e->name.n <= UINT16_MAX &&
	    e->source.n <= UINT16_MAX;
}

/* The engine wants padding behind bodies. */
static void
consumer_record(struct consumer *c, struct record r, struct buf *body)
{
	char *padding = buf_room(body, JSON_PADDING);

	memset(padding, 0, JSON_PADDING);
	r.body = buf_view(body);
	engine_record(c->engine, &r);
	buf_free(body);
}

void
consumer_forget_sessions(struct consumer *c)
{
	map_free(c->sessions, mem_free);
	c->sessions = map_new();
	engine_forget_sessions(c->engine);
}

/* The number of the session of this event. A new one is stated under the number
 * before the event's: no other statement has it. */
static uint64_t
consumer_session(struct consumer *c, const struct consumer_event *e)
{
	struct session_record s = { .user_id = e->student, .safe_user_id = e->student,
		.sec = e->sec, .source = e->source, .locked = e->fields };
	struct buf body = BUF_INIT(0);
	uint64_t *id;

	session_record_write(&body, &s);
	id = map_get(c->sessions, buf_view(&body));
	if (id == NULL) {
		struct record r = { .seq = (uint64_t)e->seq - 1, .session = (uint64_t)e->seq,
			.time_us = e->time_us, .type = RECORD_SESSION };

		if (map_size(c->sessions) >= CONSUMER_SESSIONS_MAX)
			consumer_forget_sessions(c);
		MEM_NEW(id);
		*id = r.session;
		map_put(c->sessions, buf_view(&body), id);
		consumer_record(c, r, &body);
	}
	buf_free(&body);
	return *id;
}

static void
consumer_event_fold(struct consumer *c, const struct consumer_event *e)
{
	struct event_record er = { .name = e->name, .source = e->source, .doc_id = e->doc_id };
	struct record r = { .seq = (uint64_t)e->seq, .session = consumer_session(c, e),
		.time_us = e->time_us, .type = RECORD_EVENT };
	struct buf body = BUF_INIT(0);

	event_record_head(&body, &er);
	buf_str(&body, e->event);
	consumer_record(c, r, &body);
	consumer_changed(c, (uint64_t)e->seq);
	c->processed = (uint64_t)e->seq;
	c->events++;
}

static bool
consumer_fold_whole(struct consumer *c, struct str json)
{
	struct consumer_event e = { 0 };
	struct json root;
	bool ok = consumer_parse(c, json, &root) && consumer_event_read(c, root, &e);

	if (ok && (uint64_t)e.seq > c->processed) /* else it is known */
		consumer_event_fold(c, &e);
	json_doc_trim(c->doc, (size_t)1 << 20);
	return ok;
}

/* Parts come one after the other; the last one makes the event whole. */
static bool
consumer_fold_part(struct consumer *c, struct json root)
{
	int64_t part, parts;
	struct str text;
	struct buf whole;
	bool ok;

	if (!consumer_int(root, "part", &part) || !consumer_int(root, "parts", &parts) ||
	    !json_get_str(root, "text", &text))
		return false;
	if (part == 1)
		buf_clear(&c->parts);
	buf_str(&c->parts, text);
	if (part < parts)
		return true;
	whole = c->parts;
	c->parts = BUF_INIT(CONSUMER_EVENT_MAX);
	ok = !whole.failed && consumer_fold_whole(c, buf_view(&whole));
	buf_free(&whole);
	return ok;
}

bool
consumer_fold(struct consumer *c, const char *id, struct str json)
{
	struct json root;

	if (strchr(id, '.') == NULL)
		return consumer_fold_whole(c, json);
	return consumer_parse(c, json, &root) && consumer_fold_part(c, root);
}

/* ---- states ---- */

/* The scope as the engine writes it, from "scope":[..]. */
static bool
consumer_scope(struct json root, struct buf *out)
{
	struct json values;
	struct json_iter it;
	struct str value;
	size_t n = 0;

	if (!json_get(root, "scope", &values))
		return true;
	it = json_each(values);
	while (json_next(&it)) {
		if (!json_str(it.value, &value))
			return false;
		if (n++ > 0)
			buf_byte(out, ',');
		key_escape(out, value);
	}
	return true;
}

static bool
consumer_restore_state(struct consumer *c, struct consumer_node *n, const char *id,
    struct json root, int64_t position)
{
	struct state_record s = { .student = { id, strcspn(id, "/") },
		.folded = (uint64_t)position };
	struct buf scope = BUF_INIT(0), state = BUF_INIT(0);
	struct str member, value;
	bool ok = consumer_int(root, "time_us", &s.time_us) && consumer_sec(root, &s.sec) &&
	    consumer_scope(root, &scope) &&
	    json_member_raw(buf_view(&c->text), "state", &member, &value);

	if (ok) {
		buf_str(&state, value);
		s.scope = scope.len > 0 ? buf_view(&scope) : STR_LIT("");
		s.json = buf_view(&state);
		ok = engine_restore(c->engine, n->reducer, &s);
	}
	buf_free(&scope);
	buf_free(&state);
	return ok;
}

bool
consumer_restore(struct consumer *c, struct consumer_node *n, const char *id, struct str json)
{
	struct json root;
	int64_t position;

	if (!consumer_parse(c, json, &root) || !consumer_int(root, "position", &position) ||
	    position < 0)
		return false;
	if (strcmp(id, PUBLISH_ACK) != 0)
		return consumer_restore_state(c, n, id, root, position);
	n->acked = (uint64_t)position;
	return true;
}
