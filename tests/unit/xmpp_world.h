/* SPDX-License-Identifier: MIT */
/* What the tests of the PubSub service share: a service with a real hub, engine,
 * roster and kvs, and in place of the stream two readers: one turns what a test
 * says into stanzas, the other checks and keeps what the service sends. */
#ifndef LECTERN_TESTS_XMPP_WORLD_H
#define LECTERN_TESTS_XMPP_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "flow/record.h"
#include "xmpp/service_priv.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define KEY STR_LIT("a key for pseudonyms in tests only")
#define T0 INT64_C(1795455600123456) /* 2026-11-23T17:40:00.123456Z */
#define SERVICE "lectern.school.test"
#define SERVER "school.test"
#define WORLD_HEADER "<stream:stream xmlns='jabber:component:accept' " \
	"xmlns:stream='http://etherx.jabber.org/streams' id='1'>"
#define COUNTS "class/7b/activity.event_count"
#define TASKS "class/7b/writing.time_on_task"
#define NAMES "class/7b/_roster"
#define TEACHER "teacher@school.test"

static struct loop *loop;
static struct engine *engine;
static struct roster *roster;
static struct hub *hub;
static struct kvs *kvs;
static char *kvs_file; /* set before world_open: survives */
static struct service *service;
static uint64_t record_seq;
static int64_t event_us; /* server time of the next event */
static const struct service_admin *world_admin; /* NULL: no admins */
static const struct service_about *world_about; /* NULL: nothing is told */
static const struct reducer *const *world_reducers; /* NULL: those of all components */

/* ---- what the service said ---- */

struct said {
	char *text, *name, *to, *id, *type;
};

#define SAID_MAX 5000
static struct said said[SAID_MAX];
static size_t n_said;
static bool bulk_room, sink_busy;
static struct xml_reader *ears, *mouth;
static size_t n_heard;

static void
ears_stanza_cb(void *arg, const struct xml *x)
{
	struct said *s = &said[n_said];

	(void)arg;
	assert_true(n_said < SAID_MAX);
	s->name = mem_strdup(x->name);
	s->to = mem_strdup(xml_attr(x, "to"));
	s->id = mem_strdup(xml_attr(x, "id"));
	s->type = mem_strdup(xml_attr(x, "type"));
	assert_non_null(s->to);
	assert_non_null(xml_attr(x, "from"));
	n_heard++;
}

static void
ears_nothing_cb(void *arg)
{
	(void)arg;
}

static void
ears_header_cb(void *arg, const struct xml *x)
{
	(void)arg, (void)x;
}

static void
ears_refused_cb(void *arg, const struct xml *x)
{
	(void)arg;
	fail_msg("the service sent a <%s/> beyond the limits", x->name);
}

static const struct xml_reader_ops ears_ops = {
	ears_header_cb, ears_stanza_cb, ears_refused_cb, ears_nothing_cb
};

/* Whatever leaves is exactly one stanza that a strict reader takes. */
static bool
world_send_cb(void *arg, struct str stanza)
{
	size_t before = n_heard;

	(void)arg;
	assert_int_equal(xml_reader_feed(ears, stanza), XML_OK);
	assert_int_equal(n_heard, before + 1);
	said[n_said++].text = mem_str(stanza);
	return true;
}

static bool
world_bulk_cb(void *arg)
{
	(void)arg;
	return bulk_room;
}

static bool
world_busy_cb(void *arg)
{
	(void)arg;
	return sink_busy;
}

static const struct service_sink world_sink = { world_send_cb, world_bulk_cb, world_busy_cb };

static inline void
forget(void)
{
	while (n_said > 0) {
		struct said *s = &said[--n_said];

		mem_free(s->text);
		mem_free(s->name);
		mem_free(s->to);
		mem_free(s->id);
		mem_free(s->type);
	}
}

/* How many stanzas of that name it said, with that text in them. */
static inline size_t
times_said(const char *name, const char *text)
{
	size_t n = 0;

	for (size_t i = 0; i < n_said; i++)
		n += strcmp(said[i].name, name) == 0 && strstr(said[i].text, text) != NULL;
	return n;
}

static inline const char *
last_said(void)
{
	assert_true(n_said > 0);
	return said[n_said - 1].text;
}

/* ---- saying something to it ---- */

static void
mouth_stanza_cb(void *arg, const struct xml *x)
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

static const struct xml_reader_ops mouth_ops = {
	ears_header_cb, mouth_stanza_cb, mouth_refused_cb, ears_nothing_cb
};

static inline void
tell(const char *fmt, ...)
{
	struct buf b = BUF_INIT(0);
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	assert_true(n >= 0);
	buf_z(&b, text);
	(free)(text); /* vasprintf's, not mem.c's */
	assert_int_equal(xml_reader_feed(mouth, buf_view(&b)), XML_OK);
	buf_free(&b);
}

/* ---- the roster ---- */

static inline void
world_row(struct roster *r, enum roster_role role, const char *class, const char *id,
    const char *jid)
{
	const char *why = NULL;

	if (roster_add(r, &(struct roster_row){ .role = role, .class = str_of(class), .id = str_of(id),
	    .jid = str_of(jid), .name = str_of(id) }, &why) != ERR_OK)
		fail_msg("roster row %s %s %s: %s", class, id, jid, why);
}

/* Class 7b with students u1..uN; u1 has a guardian; class 8a with another teacher. */
static inline struct roster *
world_roster(size_t students, bool with_teacher)
{
	struct roster *r = roster_new(KEY);
	const char *why = NULL;
	char id[24], jid[48];

	if (with_teacher)
		world_row(r, ROSTER_TEACHER, "7b", "t1", TEACHER);
	world_row(r, ROSTER_TEACHER, "7b", "t2", "second@school.test");
	world_row(r, ROSTER_TEACHER, "8a", "t3", "other@school.test");
	world_row(r, ROSTER_STUDENT, "8a", "v1", "v1@school.test");
	for (size_t i = 1; i <= students; i++) {
		snprintf(id, sizeof id, "u%zu", i);
		snprintf(jid, sizeof jid, "u%zu@school.test", i);
		world_row(r, ROSTER_STUDENT, "7b", id, jid);
	}
	world_row(r, ROSTER_GUARDIAN, "7b", "u1", "parent@home.test");
	assert_int_equal(roster_seal(r, &why), ERR_OK);
	return r;
}

static inline void
set_roster(size_t students, bool with_teacher)
{
	struct roster *next = world_roster(students, with_teacher);

	hub_set_roster(hub, next);
	roster_free(roster);
	roster = next;
}

static inline const char *
pseudonym(const char *id)
{
	static char out[4][PSEUDONYM_LEN + 1];
	static unsigned at;

	at = (at + 1) % 4;
	ident_pseudonym(KEY, str_of(id), out[at]);
	return out[at];
}

/* ---- events ---- */

static inline void
world_record(enum record_type type, uint64_t session, struct buf *body)
{
	struct record r = { .seq = record_seq + 1, .session = session ? session : record_seq + 1,
		.time_us = event_us, .type = type };

	memset(buf_room(body, JSON_PADDING), 0, JSON_PADDING);
	r.body = buf_view(body);
	record_seq++;
	engine_record(engine, &r);
	buf_free(body);
}

/* One event of a student about a document (or none), committed. */
static inline void
event_about(const char *student, const char *doc)
{
	struct str source = STR_LIT("org.mitros.writing_analytics");
	struct session_record s = { .safe_user_id = str_of(student), .user_id = str_of(student),
		.sec = SEC_UNAUTHENTICATED, .source = source, .locked = STR_LIT("{}") };
	struct event_record e = { .name = STR_LIT("keystroke"), .doc_id = str_of(doc),
		.json = STR_LIT("{\"event\":\"keystroke\"}") };
	struct buf b = BUF_INIT(0);
	uint64_t session = record_seq + 1;

	session_record_write(&b, &s);
	world_record(RECORD_SESSION, 0, &b);
	event_record_head(&b, &e);
	buf_str(&b, e.json);
	world_record(RECORD_EVENT, session, &b);
	world_record(RECORD_SESSION_END, session, &b);
	event_us += 1000000;
	hub_spread(hub);
}

static inline void
event(const char *student)
{
	event_about(student, NULL);
}

/* ---- the loop ---- */

static inline void world_service(unsigned window);

static inline void
world_turn_cb(void *left)
{
	if (--*(int *)left > 0)
		loop_defer(loop, world_turn_cb, left);
	else
		loop_stop(loop);
}

static inline void
turns(int n)
{
	loop_defer(loop, world_turn_cb, &n);
	loop_run(loop);
}

static inline void
world_flushed_cb(void *done, enum err e)
{
	assert_int_equal(e, ERR_OK);
	*(bool *)done = true;
}

/* A new service on what the kvs holds, as after a restart. */
static inline void
world_loaded_cb(void *done)
{
	*(bool *)done = true;
}

static inline void
world_restart(unsigned window)
{
	bool done = false;

	service_free(service);
	world_service(window);
	service_load(service, world_loaded_cb, &done);
	while (!done)
		turns(1);
	service_up(service);
}

/* Turns until the kvs has flushed, and its answers with it. */
static inline void
settle(void)
{
	bool done = false;

	kvs_flush(kvs, world_flushed_cb, &done);
	while (!done)
		turns(1);
	turns(4);
}

/* ---- begin and end of a test ---- */

static inline void
world_service(unsigned window)
{
	struct service_options o = {
		.loop = loop, .hub = hub, .kvs = kvs, .jid = SERVICE, .server = SERVER,
		.reducers = world_reducers ? world_reducers : component_reducers(),
		.admin = world_admin, .about = world_about, .window = window, .sink = &world_sink,
	};

	service = service_new(&o);
}

static inline void
world_open(size_t students, unsigned window)
{
	struct engine_options o = {
		.reducers = world_reducers ? world_reducers : component_reducers(),
		.pseudonym_key = KEY,
	};
	struct kvs_options ko = { .file = kvs_file };
	char *why = NULL;

	log_set_level(LOG_ERROR);
	memset(metric_value, 0, sizeof metric_value);
	record_seq = 0;
	event_us = T0;
	bulk_room = true;
	sink_busy = false;
	n_heard = 0;
	forget(); /* what a failed test left */
	loop = ko.loop = loop_new();
	engine = engine_new(&o, &why);
	assert_non_null(engine);
	roster = world_roster(students, true);
	hub = hub_new(loop, engine, roster);
	kvs = kvs_open("memory", &ko, &why);
	assert_non_null(kvs);
	ears = xml_reader_new(&ears_ops, NULL);
	mouth = xml_reader_new(&mouth_ops, NULL);
	xml_reader_feed(ears, STR_LIT(WORLD_HEADER));
	xml_reader_feed(mouth, STR_LIT(WORLD_HEADER));
	world_service(window);
	service_up(service);
}

static inline void
world_close(void)
{
	service_free(service);
	xml_reader_free(ears);
	xml_reader_free(mouth);
	hub_free(hub);
	assert_int_equal(metric_value[METRIC_SUBSCRIPTIONS], 0);
	kvs_close(kvs);
	engine_free(engine);
	roster_free(roster);
	loop_free(loop);
	forget();
}

/* ---- what readers do ---- */

#define PS "<pubsub xmlns='http://jabber.org/protocol/pubsub'>"
#define DESK TEACHER "/desk"
#define PING "<ping xmlns='urn:xmpp:ping'/>"
#define FORM(fields) "<x xmlns='jabber:x:data' type='submit'>" fields "</x>"
#define OPTION(var, value) "<field var='" var "'><value>" value "</value></field>"

/* <iq type='TYPE'> with this payload. */
static inline void
ask(const char *type, const char *from, const char *fmt, ...)
{
	char *payload;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&payload, fmt, ap);
	va_end(ap);
	assert_true(n >= 0);
	tell("<iq type='%s' id='q' from='%s' to='" SERVICE "'>%s</iq>", type, from, payload);
	(free)(payload); /* vasprintf's, not mem.c's */
}

static inline void
subscribe_with(const char *from, const char *node, const char *jid, const char *fields)
{
	tell("<iq type='set' id='sub' from='%s' to='" SERVICE "'>" PS
	    "<subscribe node='%s' jid='%s'/>%s%s%s</pubsub></iq>", from, node, jid,
	    fields ? "<options><x xmlns='jabber:x:data' type='submit'>" : "", fields ? fields : "",
	    fields ? "</x></options>" : "");
}

static inline void
subscribe(const char *from, const char *node, const char *jid)
{
	subscribe_with(from, node, jid, NULL);
	settle();
	if (times_said("iq", "subscription='subscribed'") == 0)
		fail_msg("not subscribed: %s", last_said());
	forget();
}

static inline void
presence(const char *from, const char *type)
{
	tell("<presence from='%s' to='" SERVICE "'%s%s%s/>", from, type ? " type='" : "",
	    type ? type : "", type ? "'" : "");
}

static inline void
answer_pings(void)
{
	size_t n = n_said;

	for (size_t i = 0; i < n; i++)
		if (strcmp(said[i].name, "iq") == 0 && strcmp(said[i].to, SERVER) == 0)
			tell("<iq type='result' id='%s' from='" SERVER "' to='" SERVICE "'/>",
			    said[i].id);
}

static inline size_t
messages(void)
{
	return times_said("message", "<items node=");
}

/* ---- kvs ---- */

struct kept {
	size_t n;
	bool done;
};

static void
kept_cb(void *arg, enum err e, struct str key, struct str value)
{
	struct kept *k = arg;

	(void)value;
	assert_int_equal(e, ERR_OK);
	k->n += key.p != NULL;
	k->done = key.p == NULL;
}

static inline size_t
kept(void)
{
	struct kept k = { 0 };

	kvs_scan(kvs, STR_LIT("Subscription,"), kept_cb, &k);
	while (!k.done)
		turns(1);
	return k.n;
}

static inline int
begin(void **state)
{
	(void)state;
	world_open(3, 200);
	return 0;
}

static inline int
end(void **state)
{
	(void)state;
	world_close();
	world_reducers = NULL;
	return 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

#endif
