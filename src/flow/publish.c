/* SPDX-License-Identifier: MIT */
/* publish: states from producers into the journal. An item is checked here,
 * before it becomes a record: what the engine then finds in the journal it takes. */
#include "base/json.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "base/metric.h"
#include "flow/feed_priv.h"
#include "flow/node.h"
#include "state/key.h"

struct publish {
	struct feed *feed;
	const struct roster *roster;
	struct producer *producer;
	const struct reducer *reducer;
	struct json_doc *doc;
	struct buf text;   /* the item at hand, padded */
	struct buf bodies; /* of the records */
	size_t *ends, n, cap; /* where each body ends */
};

/* What the item at hand says. */
struct publish_item {
	struct str id, student, json;
	struct buf scope, state;
	int64_t position, time_us;
	enum sec sec;
	const char **why;
};

struct publish *
publish_new(struct feed *f, const struct roster *r, struct producer *p,
    const struct reducer *reducer)
{
	struct publish *b;

	MEM_NEW(b);
	b->feed = f;
	b->roster = r;
	b->producer = p;
	b->reducer = reducer;
	b->doc = json_doc_new();
	return b;
}

void
publish_free(struct publish *b)
{
	json_doc_free(b->doc);
	buf_free(&b->text);
	buf_free(&b->bodies);
	mem_free(b->ends);
	mem_free(b);
}

bool
publish_full(const struct feed *f)
{
	return journal_full(f->o.journal) || journal_stalled(f->o.journal);
}

static enum err
publish_wrong(const struct publish_item *i, enum err e, const char *why)
{
	*i->why = why;
	return e;
}

/* ---- the parts of an item ---- */

/* Server time and trust of the last event in the state; a producer that does not
 * say gets those of the least. */
static enum err
publish_read_event(struct publish *b, struct publish_item *i, struct json root)
{
	struct json v;
	struct str sec;

	i->sec = SEC_NONE;
	i->time_us = loop_wall_us(b->feed->o.loop);
	if (json_get(root, "sec", &v) && (!json_str(v, &sec) || !sec_by_name(sec, &i->sec)))
		return publish_wrong(i, ERR_INVALID, "\"sec\" is not one of an event's");
	if (json_get(root, "time_us", &v) && (!json_int(v, &i->time_us) || i->time_us < 0))
		return publish_wrong(i, ERR_INVALID, "\"time_us\" is not one of an event's");
	return ERR_OK;
}

static enum err
publish_read_position(struct publish *b, struct publish_item *i, struct json root)
{
	struct json v;
	int64_t version;

	if (!json_get(root, "v", &v) || !json_int(v, &version) || version != 1)
		return publish_wrong(i, ERR_INVALID, "\"v\" is not 1");
	if (!json_get(root, "position", &v) || !json_int(v, &i->position) || i->position < 1)
		return publish_wrong(i, ERR_INVALID, "\"position\" is not the seq of an event");
	if ((uint64_t)i->position > engine_position(b->feed->o.engine))
		return publish_wrong(i, ERR_INVALID, "\"position\" is one that no event has yet");
	return ERR_OK;
}

/* Of a student we know by the pseudonym the id, which only we know. */
static enum err
publish_read_student(struct publish *b, struct publish_item *i)
{
	const char *slash = memchr(i->id.p, '/', i->id.n);
	struct str pseudonym = { i->id.p, slash != NULL ? (size_t)(slash - i->id.p) : i->id.n };
	const struct student *s = engine_by_pseudonym(b->feed->o.engine, pseudonym);
	const struct roster_student *rs = roster_by_pseudonym(b->roster, pseudonym);

	if (s == NULL && rs == NULL)
		return publish_wrong(i, ERR_NOT_FOUND, "there is no such student");
	i->student = str_of(s != NULL ? s->id : rs->id);
	return ERR_OK;
}

static int
publish_hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decodes one value of the SCOPE of an item id. */
static bool
publish_decode(struct str s, struct buf *out)
{
	for (size_t k = 0; k < s.n; k++) {
		int high = 0, low = 0;

		if (s.p[k] != '%') {
			buf_byte(out, s.p[k]);
			continue;
		}
		if (s.n - k < 3 || (high = publish_hex(s.p[k + 1])) < 0 ||
		    (low = publish_hex(s.p[k + 2])) < 0)
			return false;
		buf_byte(out, (char)(high << 4 | low));
		k += 2;
	}
	return true;
}

static bool
publish_scope_add(struct publish_item *i, size_t *n, struct str value)
{
	if (value.n > ENGINE_SCOPE_VALUE_MAX || *n == REDUCER_SCOPE_MAX)
		return false;
	if ((*n)++ > 0)
		buf_byte(&i->scope, ',');
	key_escape(&i->scope, value);
	return true;
}

static bool
publish_scope_of_id(struct publish_item *i, struct str scope, size_t *n)
{
	struct buf value = BUF_INIT(0);
	bool ok = true, more = true;

	if (str_is(scope, "~"))
		scope.n = 0;
	while (ok && more) {
		const char *comma = scope.n > 0 ? memchr(scope.p, ',', scope.n) : NULL;
		size_t length = comma != NULL ? (size_t)(comma - scope.p) : scope.n;

		buf_clear(&value);
		ok = publish_decode((struct str){ scope.p, length }, &value) &&
		    publish_scope_add(i, n, buf_view(&value));
		more = comma != NULL;
		length += more;
		scope = (struct str){ scope.p + length, scope.n - length };
	}
	buf_free(&value);
	return ok;
}

static bool
publish_scope_of_json(struct publish_item *i, struct json values, size_t *n)
{
	struct json_iter it = json_each(values);
	struct str value;

	if (json_type(values) != JSON_ARRAY)
		return false;
	while (json_next(&it))
		if (!json_str(it.value, &value) || !publish_scope_add(i, n, value))
			return false;
	return true;
}

/* The scope's values stand in the id, or, needed only where the id holds a hash of
 * them, as "scope":[..] in the JSON. */
static bool
publish_read_values(struct publish_item *i, struct json root, size_t *n)
{
	const char *slash = memchr(i->id.p, '/', i->id.n);
	struct json values;

	if (json_get(root, "scope", &values))
		return publish_scope_of_json(i, values, n);
	return slash == NULL || publish_scope_of_id(i,
	    (struct str){ slash + 1, i->id.n - (size_t)(slash + 1 - i->id.p) }, n);
}

/* There is one id for each state: the one under which it is published. */
static bool
publish_id_fits(const struct publish *b, const struct publish_item *i)
{
	struct student student = { 0 };
	struct state s = { .reducer = b->reducer, .student = &student,
		.scope = i->scope.len > 0 ? i->scope.data : (char *)"" };
	char id[ITEM_ID_MAX + 1];

	memcpy(student.pseudonym, i->id.p, PSEUDONYM_LEN);
	node_item_id(NODE_CLASS, &s, id);
	return str_is(i->id, id);
}

static enum err
publish_read_scope(struct publish *b, struct publish_item *i, struct json root)
{
	size_t n = 0, wanted = 0;

	while (b->reducer->scope[wanted] != NULL)
		wanted++;
	if (!publish_read_values(i, root, &n) || n != wanted)
		return publish_wrong(i, ERR_INVALID, "the scope's values are not those of the reducer");
	if (n > 0)
		buf_byte(&i->scope, '\0');
	if (!publish_id_fits(b, i))
		return publish_wrong(i, ERR_INVALID, "the item's id is not the one of its state");
	return ERR_OK;
}

static enum err
publish_read_state(struct publish *b, struct publish_item *i)
{
	struct jsonw w = jsonw_to(&i->state);
	struct str member, value;

	if (!json_member_raw(buf_view(&b->text), "state", &member, &value))
		return publish_wrong(i, ERR_INVALID, "there is no \"state\"");
	jsonw_text(&w, value);
	return ERR_OK;
}

/* A student has no more states than the engine would make. */
static enum err
publish_has_room(struct publish *b, struct publish_item *i)
{
	const struct student *s = engine_student(b->feed->o.engine, i->student);

	if (s != NULL && s->n_states >= ENGINE_STUDENT_STATES_MAX)
		return publish_wrong(i, ERR_FULL, "the student has too many states");
	return ERR_OK;
}

/* ---- items ---- */

static void
publish_record(struct publish *b, const struct publish_item *i)
{
	struct state_record r = {
		.reducer = str_of(b->reducer->id),
		.student = i->student,
		.scope = { i->scope.data, i->scope.len > 0 ? i->scope.len - 1 : 0 },
		.folded = (uint64_t)i->position,
		.time_us = i->time_us,
		.sec = i->sec,
		.json = buf_view(&i->state),
	};

	state_record_write(&b->bodies, &r);
	if (b->n == b->cap) {
		b->cap = b->cap ? 2 * b->cap : 16;
		b->ends = mem_realloc(b->ends, b->cap * sizeof *b->ends);
	}
	b->ends[b->n++] = b->bodies.len;
}

static enum err
publish_read(struct publish *b, struct publish_item *i)
{
	struct json root;
	enum err e = json_parse(b->doc, buf_view(&b->text), &root);

	if (e != ERR_OK)
		return publish_wrong(i, ERR_INVALID, err_text(e));
	e = publish_read_position(b, i, root);
	if (e != ERR_OK || str_is(i->id, PUBLISH_ACK))
		return e;
	e = publish_read_event(b, i, root);
	if (e == ERR_OK)
		e = publish_read_student(b, i);
	if (e == ERR_OK)
		e = publish_has_room(b, i);
	if (e == ERR_OK)
		e = publish_read_scope(b, i, root);
	return e != ERR_OK ? e : publish_read_state(b, i);
}

enum err
publish_add(struct publish *b, struct str id, struct str json, const char **why)
{
	struct publish_item i = { .id = id, .why = why };
	enum err e;

	buf_clear(&b->text);
	buf_str(&b->text, json);
	memset(buf_room(&b->text, JSON_PADDING), 0, JSON_PADDING);
	e = publish_read(b, &i);
	if (e == ERR_OK)
		publish_record(b, &i);
	buf_free(&i.scope);
	buf_free(&i.state);
	return e;
}

uint64_t
publish_commit(struct publish *b)
{
	struct feed *f = b->feed;
	uint64_t seq = engine_position(f->o.engine);
	size_t at = 0;

	for (size_t k = 0; k < b->n; at = b->ends[k++]) {
		struct str body = { b->bodies.data + at, b->ends[k] - at };

		seq = journal_append(f->o.journal, RECORD_STATE, 0, loop_wall_us(f->o.loop), &body, 1);
	}
	b->producer->published += b->n;
	metric_add(METRIC_FEED_STATES, b->n);
	return seq;
}

/* ---- reading back ---- */

/* The values of a scope, which stand in it escaped. */
static void
publish_write_scope(struct jsonw *w, const struct state *s)
{
	struct str left = str_of(s->scope);
	struct buf value = BUF_INIT(0);
	bool more = true;

	jsonw_key(w, "scope");
	jsonw_array(w);
	while (more) {
		const char *comma = memchr(left.p, ',', left.n);
		size_t n = comma != NULL ? (size_t)(comma - left.p) : left.n;

		buf_clear(&value);
		publish_decode((struct str){ left.p, n }, &value);
		jsonw_str(w, buf_view(&value));
		more = comma != NULL;
		n += more;
		left = (struct str){ left.p + n, left.n - n };
	}
	jsonw_array_end(w);
	buf_free(&value);
}

void
publish_write(const struct state *s, struct buf *out)
{
	struct jsonw w = jsonw_to(out);

	jsonw_object(&w);
	jsonw_kint(&w, "v", 1);
	jsonw_kuint(&w, "position", s->reducer->external ? s->folded : s->position);
	jsonw_kint(&w, "time_us", s->time_us);
	jsonw_kz(&w, "sec", sec_name(s->sec));
	if (s->reducer->scope[0] != NULL)
		publish_write_scope(&w, s);
	jsonw_key(&w, "state");
	jsonw_raw(&w, STR_LIT(""));
	engine_encode(s, out);
	jsonw_object_end(&w);
}
