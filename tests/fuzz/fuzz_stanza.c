/* SPDX-License-Identifier: MIT */
/* Stanzas from a server into the whole PubSub service, with a real hub, engine,
 * roster and kvs behind it. Whatever comes, the service sends nothing but
 * single, well-formed stanzas within the limits, and lets go of everything. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "flow/record.h"
#include "xmpp/service_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY STR_LIT("a key for pseudonyms in tests only")
#define HEADER STR_LIT("<stream:stream xmlns='jabber:component:accept' " \
	"xmlns:stream='http://etherx.jabber.org/streams' id='1'>")
#define STUDENTS 3
#define TURNS 6

static struct loop *loop;
static struct engine *engine;
static struct roster *rosters[2]; /* with and without the teacher */
static struct hub *hub;
static struct kvs *kvs;
static struct service *service;
static struct xml_reader *ears;
static uint64_t seq;
static unsigned heard;

static void
check(bool ok)
{
	if (!ok)
		abort();
}

static void
nothing_cb(void *arg, const struct xml *x)
{
	(void)arg, (void)x;
}

static void
end_cb(void *arg)
{
	(void)arg;
}

static void
ears_cb(void *arg, const struct xml *x)
{
	(void)arg;
	check(xml_attr(x, "from") != NULL && xml_attr(x, "to") != NULL);
	heard++;
}

static void
never_cb(void *arg, const struct xml *x)
{
	(void)arg, (void)x;
	abort();
}

static void
mouth_cb(void *arg, const struct xml *x)
{
	(void)arg;
	service_stanza(service, x);
}

static void
mouth_refused_cb(void *arg, const struct xml *x)
{
	(void)arg;
	service_refused(service, x);
}

static const struct xml_reader_ops ears_ops = { nothing_cb, ears_cb, never_cb, end_cb };
static const struct xml_reader_ops mouth_ops = { nothing_cb, mouth_cb, mouth_refused_cb, end_cb };

static bool
send_cb(void *arg, struct str stanza)
{
	unsigned before = heard;

	(void)arg;
	check(stanza.n <= SERVICE_OUT_MAX);
	check(xml_reader_feed(ears, stanza) == XML_OK && heard == before + 1);
	return true;
}

static bool
bulk_cb(void *arg)
{
	(void)arg;
	return true;
}

static bool
busy_cb(void *arg)
{
	(void)arg;
	return false;
}

static const struct service_sink sink = { send_cb, bulk_cb, busy_cb };

/* ---- the world, made once ---- */

static void
row(struct roster *r, enum roster_role role, const char *id, const char *jid)
{
	const char *why;

	check(roster_add(r, &(struct roster_row){ .role = role, .class = STR_LIT("7b"),
	    .id = str_of(id), .jid = str_of(jid), .name = str_of(id) }, &why) == ERR_OK);
}

static struct roster *
make_roster(bool with_teacher)
{
	struct roster *r = roster_new(KEY);
	const char *why;
	char id[8];

	if (with_teacher)
		row(r, ROSTER_TEACHER, "t", "t@x");
	row(r, ROSTER_TEACHER, "s", "s@x");
	for (int i = 1; i <= STUDENTS; i++) {
		snprintf(id, sizeof id, "u%d", i);
		row(r, ROSTER_STUDENT, id, "");
	}
	check(roster_seal(r, &why) == ERR_OK);
	return r;
}

static void
record(enum record_type type, uint64_t session, struct buf *body)
{
	struct record r = { .seq = seq + 1, .session = session ? session : seq + 1, .type = type };

	memset(buf_room(body, JSON_PADDING), 0, JSON_PADDING);
	r.body = buf_view(body);
	seq++;
	engine_record(engine, &r);
	buf_free(body);
}

static void
event(const char *student)
{
	struct session_record s = { .safe_user_id = str_of(student), .user_id = str_of(student),
		.source = STR_LIT("x"), .locked = STR_LIT("{}") };
	struct event_record e = { .name = STR_LIT("key"), .json = STR_LIT("{}") };
	struct buf b = BUF_INIT(0);
	uint64_t session = seq + 1;

	session_record_write(&b, &s);
	record(RECORD_SESSION, 0, &b);
	event_record_head(&b, &e);
	buf_str(&b, e.json);
	record(RECORD_EVENT, session, &b);
	record(RECORD_SESSION_END, session, &b);
	hub_spread(hub);
}

static void
make_world(void)
{
	struct engine_options eo = { .reducers = component_reducers(), .pseudonym_key = KEY };
	struct kvs_options ko = { 0 };
	char *why = NULL;

	log_set_level((enum log_level)-1);
	loop = ko.loop = loop_new();
	engine = engine_new(&eo, &why);
	rosters[0] = make_roster(true);
	rosters[1] = make_roster(false);
	hub = hub_new(loop, engine, rosters[0]);
	kvs = kvs_open("memory", &ko, &why);
	check(engine != NULL && kvs != NULL);
}

/* ---- one input ---- */

static void
turn_cb(void *left)
{
	if (--*(int *)left > 0)
		loop_defer(loop, turn_cb, left);
	else
		loop_stop(loop);
}

static void
turns(int n)
{
	loop_defer(loop, turn_cb, &n);
	loop_run(loop);
}

static void
forget_cb(void *arg, struct subscription *sub)
{
	notify_end(arg, sub, false);
}

/* The first byte says what happens between the stanzas and the end. */
static void
afterwards(uint8_t what)
{
	turns(TURNS);
	event("u1");
	if (what & 1)
		service_down(service);
	turns(TURNS);
	if (what & 1)
		service_up(service);
	if (what & 2)
		hub_set_roster(hub, rosters[1]);
	if (what & 4)
		service_tick(service, INT64_MAX, UINT64_MAX / 2);
	turns(TURNS);
	hub_set_roster(hub, rosters[0]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct service_options o = {
		.jid = "d.x", .server = "x", .reducers = component_reducers(), .window = 4,
		.sink = &sink,
	};
	struct xml_reader *mouth;

	if (size == 0)
		return 0;
	if (loop == NULL)
		make_world();
	o.loop = loop;
	o.hub = hub;
	o.kvs = kvs;
	ears = xml_reader_new(&ears_ops, NULL);
	mouth = xml_reader_new(&mouth_ops, NULL);
	check(xml_reader_feed(ears, HEADER) == XML_OK);
	service = service_new(&o);
	service_up(service);
	xml_reader_feed(mouth, HEADER);
	xml_reader_feed(mouth, (struct str){ (const char *)data + 1, size - 1 });
	afterwards(data[0]);
	book_each(service->book, forget_cb, service);
	check(book_size(service->book) == 0);
	turns(TURNS);
	service_free(service);
	xml_reader_free(mouth);
	xml_reader_free(ears);
	return 0;
}
