/* SPDX-License-Identifier: MIT */
/* event: see event.h and components/reducer.h. */
#include "flow/event.h"

#include "base/mem.h"

/* Parsed locked fields are kept for this many sessions. A parsed text takes
 * many times its own size, so there is a fixed number of them, not one for each
 * session: a session whose place another one took is parsed again, once per
 * event at most. */
#define EVENT_LOCKED_DOCS 16
#define EVENT_KEEP ((size_t)1 << 20) /* bytes of parser memory kept between events */

struct event_parsed {
	struct json_doc *doc; /* NULL until first needed */
	uint64_t seq;         /* of the record the text was in */
	bool ok;
	struct json root;
};

struct event_reader {
	struct event_parsed own;
	struct event_parsed locked[EVENT_LOCKED_DOCS];
};

struct event_reader *
event_reader_new(void)
{
	struct event_reader *r;

	return MEM_NEW(r);
}

void
event_reader_free(struct event_reader *r)
{
	if (r == NULL)
		return;
	json_doc_free(r->own.doc);
	for (size_t i = 0; i < EVENT_LOCKED_DOCS; i++)
		json_doc_free(r->locked[i].doc);
	mem_free(r);
}

/* Parses the text of record `seq` unless it is the one parsed last. */
static bool
event_parse(struct event_parsed *p, uint64_t seq, struct str text)
{
	if (p->seq == seq)
		return p->ok;
	if (p->doc == NULL)
		p->doc = json_doc_new();
	p->seq = seq;
	p->ok = json_parse(p->doc, text, &p->root) == ERR_OK;
	return p->ok;
}

static bool
event_own(const struct event *e, struct json *root)
{
	struct event_parsed *p = &e->reader->own;
	bool ok = event_parse(p, e->seq, e->text);

	*root = p->root;
	return ok;
}

static bool
event_locked(const struct event *e, struct json *root)
{
	struct event_parsed *p = &e->reader->locked[e->statement % EVENT_LOCKED_DOCS];
	bool ok = e->locked.n > sizeof "{}" - 1 && event_parse(p, e->statement, e->locked);

	*root = p->root;
	return ok;
}

void
event_done(const struct event *e)
{
	struct event_parsed *p = &e->reader->own;

	if (p->seq == e->seq)
		json_doc_trim(p->doc, EVENT_KEEP);
}

struct str
event_name(const struct event *e)
{
	return e->name;
}

struct str
event_source(const struct event *e)
{
	return e->source;
}

struct str
event_student(const struct event *e)
{
	return e->student;
}

double
event_time(const struct event *e)
{
	return (double)e->time_us / 1e6;
}

int64_t
event_time_us(const struct event *e)
{
	return e->time_us;
}

bool
event_doc_id(const struct event *e, struct str *out)
{
	if (e->doc_id.n == 0)
		return false;
	*out = e->doc_id;
	return true;
}

/* Locked fields lie over the event's own as wholes: where the first key of the
 * path is locked, the event's own member of that name does not exist. */
bool
event_get(const struct event *e, const char *path, struct json *out)
{
	size_t n = strcspn(path, ".");
	char key[JSON_MAX_KEY + 1];
	struct json root, v;

	if (n > JSON_MAX_KEY)
		return false;
	memcpy(key, path, n);
	key[n] = '\0';
	if (!(event_locked(e, &root) && json_get(root, key, &v)) &&
	    !(event_own(e, &root) && json_get(root, key, &v)))
		return false;
	if (path[n] == '.')
		return json_path(v, path + n + 1, out);
	*out = v;
	return true;
}

bool
event_raw(const struct event *e, const char *key, struct str *out)
{
	struct str member;

	return json_member_raw(e->locked, key, &member, out) ||
	    json_member_raw(e->text, key, &member, out);
}
