/* SPDX-License-Identifier: MIT */
/* What the tests of producers share: a journal in a folder of its own, an engine,
 * two configured producers and the feed between them, as the daemon joins them. */
#ifndef LECTERN_TESTS_FEED_WORLD_H
#define LECTERN_TESTS_FEED_WORLD_H

#include "journal_help.h"

#include "base/json.h"
#include "base/log.h"
#include "flow/feed.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define KEY STR_LIT("a key for pseudonyms in tests only")
#define T0 INT64_C(1795455600123456) /* 2026-11-23T17:40:00.123456Z */

/* "words" takes every source and publishes t.words; "docs" takes org.a only and
 * publishes t.docs, one state for each document. */
static char *world_words[] = { "t.words" }, *world_docs[] = { "t.docs" };
static char *world_sources[] = { "org.a" }, *world_scope[] = { "doc_id" };
static struct conf_producer world_producers[] = {
	{ .name = "words", .jid = "words.school.test", .reducers = { world_words, 1 } },
	{ .name = "docs", .jid = "me@school.test", .sources = { world_sources, 1 },
	    .reducers = { world_docs, 1 }, .scope = { world_scope, 1 } },
};
static struct conf world_conf = { .producers = world_producers, .n_producers = 2 };

struct world {
	struct rig rig; /* folder and loop */
	struct producers *producers;
	struct engine *engine;
	struct roster *roster;
	struct feed *feed;
	struct producer *words, *docs;
	uint64_t commits;
};
static struct world world;

static inline void
world_record_cb(void *arg, const struct record *r)
{
	struct world *w = arg;

	engine_record(w->engine, r);
	if (w->feed != NULL)
		feed_record(w->feed, r);
}

static inline void
world_commit_cb(void *arg)
{
	struct world *w = arg;

	w->commits++;
	feed_commit(w->feed);
}

static inline struct engine *
world_engine(const struct producers *p)
{
	struct engine_options o = { .reducers = producers_reducers(p), .pseudonym_key = KEY };
	char *why = NULL;
	struct engine *e = engine_new(&o, &why);

	if (e == NULL)
		fail_msg("%s", why);
	return e;
}

/* On what the folder holds, as after a restart. */
static inline void
world_start(struct world *w)
{
	struct journal_options o = { .dir = w->rig.dir, .organisation = ORGANISATION,
		.segment_size = w->rig.segment_size, .max_pending = 64 << 20 };
	struct journal_reader replay = { .record = world_record_cb, .arg = w };
	struct journal_listener on = { world_record_cb, world_commit_cb, NULL, NULL, w };
	struct feed_options fo = { .loop = w->rig.loop, .journal_dir = w->rig.dir,
		.organisation = ORGANISATION, .pseudonym_key = KEY };
	struct journal_summary sum;
	char *why = NULL;

	w->feed = NULL;
	w->producers = producers_new(&world_conf, &why);
	assert_non_null(w->producers);
	w->words = producers_at(w->producers, 0);
	w->docs = producers_at(w->producers, 1);
	w->engine = world_engine(w->producers);
	w->rig.j = journal_open(w->rig.loop, &o, 0, &replay, &sum, &why);
	assert_non_null(w->rig.j);
	journal_listen(w->rig.j, &on);
	engine_forget_sessions(w->engine);
	fo.engine = w->engine;
	fo.producers = w->producers;
	fo.journal = w->rig.j;
	w->feed = feed_new(&fo);
}

static inline void
world_stop(struct world *w)
{
	feed_free(w->feed);
	rig_close(&w->rig);
	engine_free(w->engine);
}

static inline int
world_setup(void **state)
{
	const char *why = NULL;

	(void)state;
	log_set_level((enum log_level)-1);
	io_without_sync();
	rig_new(&world.rig);
	world.roster = roster_new(KEY);
	assert_int_equal(roster_add(world.roster, &(struct roster_row){ .role = ROSTER_STUDENT,
	    .class = STR_LIT("7b"), .id = STR_LIT("quiet"), .name = STR_LIT("Quiet") }, &why), ERR_OK);
	assert_int_equal(roster_seal(world.roster, &why), ERR_OK);
	world_start(&world);
	return 0;
}

static inline int
world_teardown(void **state)
{
	(void)state;
	world_stop(&world);
	rig_free(&world.rig);
	producers_free(world.producers);
	roster_free(world.roster);
	io_real();
	return 0;
}

static inline void
world_restart(struct world *w)
{
	struct producers *old = w->producers;

	world_stop(w);
	loop_timer_free(w->rig.alive);
	loop_free(w->rig.loop);
	producers_free(old);
	rig_loop(&w->rig);
	world_start(w);
}

/* ---- records ---- */

static inline uint64_t
world_session_of(struct world *w, const char *student, const char *source, const char *stream,
    const char *locked)
{
	struct session_record s = { .user_id = str_of(student), .safe_user_id = str_of(student),
		.sec = SEC_UNAUTHENTICATED, .source = str_of(source), .stream = str_of(stream),
		.agent = STR_LIT("secret agent"), .ip = STR_LIT("192.0.2.1"),
		.locked = str_of(locked) };
	struct buf b = BUF_INIT(0);
	struct str body;
	uint64_t seq;

	session_record_write(&b, &s);
	body = buf_view(&b);
	seq = journal_append(w->rig.j, RECORD_SESSION, 0, T0, &body, 1);
	buf_free(&b);
	return seq;
}

static inline uint64_t
world_session(struct world *w, const char *student, const char *source)
{
	return world_session_of(w, student, source, "", "{}");
}

static inline uint64_t
world_event_of(struct world *w, uint64_t session, const char *doc, uint64_t stream_seq,
    const char *json)
{
	struct event_record e = { .name = STR_LIT("key"), .doc_id = str_of(doc),
		.stream_seq = stream_seq };
	struct buf head = BUF_INIT(0);
	struct str pieces[2];
	uint64_t seq;

	event_record_head(&head, &e);
	pieces[0] = buf_view(&head);
	pieces[1] = str_of(json);
	seq = journal_append(w->rig.j, RECORD_EVENT, session, T0, pieces, 2);
	buf_free(&head);
	return seq;
}

static inline uint64_t
world_event(struct world *w, uint64_t session)
{
	return world_event_of(w, session, "", 0, "{\"event\":\"key\"}");
}

/* ---- reading ---- */

struct got_page {
	enum err e;
	size_t n;
	struct feed_mark last;
	uint64_t seqs[FEED_PAGE_ITEMS];
	size_t bytes;
	struct buf json; /* of all items, a line each */
	bool done;
	struct loop *loop;
};

static inline void
page_cb(void *arg, enum err e, const struct feed_item *items, size_t n)
{
	struct got_page *p = arg;

	assert_false(p->done);
	p->e = e;
	p->n = n;
	for (size_t i = 0; i < n; i++) {
		p->seqs[i] = items[i].seq;
		p->last = (struct feed_mark){ items[i].seq, items[i].part };
		p->bytes += items[i].json.n;
		buf_str(&p->json, items[i].json);
		buf_byte(&p->json, '\n');
	}
	p->done = true;
	loop_stop(p->loop);
}

/* The page behind a place; buf_free(&p.json). */
static inline struct got_page
read_page(struct world *w, struct producer *who, const char *source, struct feed_mark after,
    size_t max)
{
	struct got_page p = { .loop = w->rig.loop };

	assert_non_null(feed_read_new(w->feed, who, source, after, max, page_cb, &p));
	while (!p.done)
		loop_run(w->rig.loop);
	return p;
}

#endif
