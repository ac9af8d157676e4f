/* SPDX-License-Identifier: MIT */
/* Tests of flow/feed: every event once, in order, from memory and from the disk,
 * whole and in parts, and nothing that says who the student is. */
#include "feed_world.h"

static const struct feed_mark start = { 0, 0 };

/* ---- one event ---- */

static void
test_json(void **state)
{
	uint64_t s, e;
	struct got_page p;
	char want[1024];

	(void)state;
	s = world_session_of(&world, "gcu-1", "org.a", "str", "{\"source\":\"org.a\",\"user_id\":\"1\","
	    "\"chrome_identity\":{\"email\":\"kid@school.example\",\"id\":\"1\"},\"version\": 2.50}");
	e = world_event_of(&world, s, "D1", 0, "{\"event\":\"key\", \"n\": 1.10, \"t\":\"<\xc3\xa9>\","
	    "\"chrome\\u005fidentity\":{\"email\":\"kid@school.example\"},\"user_tag\":\"kid\","
	    "\"hash\":\"kid\",\"email\":\"kid@school.example\"}");
	rig_drain(&world.rig);
	p = read_page(&world, world.words, NULL, start, 10);
	assert_int_equal(p.n, 1);
	snprintf(want, sizeof want, "{\"v\":1,\"seq\":%d,\"t\":\"2026-11-23T17:40:00.123456Z\","
	    "\"time_us\":1795455600123456,\"source\":\"org.a\",\"student\":\"%s\","
	    "\"sec\":\"unauthenticated\",\"doc_id\":\"D1\",\"fields\":{\"source\":\"org.a\","
	    "\"version\":2.50},\"event\":{\"event\":\"key\",\"n\":1.10,"
	    "\"t\":\"\\u003c\\u00e9\\u003e\"}}\n", (int)e,
	    engine_student(world.engine, STR_LIT("gcu-1"))->pseudonym);
	buf_byte(&p.json, '\0');
	assert_string_equal(p.json.data, want);
	assert_null(strstr(p.json.data, "kid"));
	assert_null(strstr(p.json.data, "agent"));
	assert_null(strstr(p.json.data, "192.0.2.1"));
	assert_null(strstr(p.json.data, "gcu"));
	buf_free(&p.json);
}

/* ---- only what is durable ---- */

static void
test_durable(void **state)
{
	uint64_t s = world_session(&world, "a", "org.a");
	struct got_page p;

	(void)state;
	p = read_page(&world, world.words, NULL, start, 10);
	assert_int_equal(p.e, ERR_OK);
	assert_int_equal(p.n, 0);
	rig_drain(&world.rig);
	world_event(&world, s);
	rig_drain(&world.rig);
	p = read_page(&world, world.words, NULL, start, 10);
	assert_int_equal(p.n, 1);
	buf_free(&p.json);
}

/* ---- whose events ---- */

static void
test_sources(void **state)
{
	uint64_t a = world_session(&world, "a", "org.a"), b = world_session(&world, "a", "org.b");
	uint64_t ea, eb;
	struct got_page p;

	(void)state;
	ea = world_event(&world, a);
	eb = world_event(&world, b);
	rig_drain(&world.rig);
	for (int again = 0; again < 2; again++) { /* from memory, then from the disk */
		p = read_page(&world, world.words, NULL, start, 10);
		assert_int_equal(p.n, 2);
		buf_free(&p.json);
		p = read_page(&world, world.words, "org.b", start, 10);
		assert_int_equal(p.n, 1);
		assert_int_equal(p.seqs[0], eb);
		buf_free(&p.json);
		p = read_page(&world, world.docs, NULL, start, 10);
		assert_int_equal(p.n, 1);
		assert_int_equal(p.seqs[0], ea);
		buf_free(&p.json);
		p = read_page(&world, world.words, "org.none", start, 10);
		assert_int_equal(p.n, 0);
		world_restart(&world);
	}
}

/* ---- all of them, page by page ---- */

#define MANY 9000

static uint64_t many[MANY];

/* Events of three students; a session restates itself in each new segment. */
static void
append_many(struct world *w, size_t from, size_t n)
{
	static uint64_t session[3];
	static uint32_t segment[3];
	char json[1200];

	if (from == 0)
		memset(segment, 0, sizeof segment);
	for (size_t i = from; i < from + n; i++) {
		const char *student[] = { "a", "b", "c" };
		size_t k = i % 3;

		if (segment[k] != journal_segment(w->rig.j)) {
			segment[k] = journal_segment(w->rig.j);
			session[k] = world_session(w, student[k], "org.a");
		}
		snprintf(json, sizeof json, "{\"event\":\"key\",\"n\":%zu,\"pad\":\"%0*d\"}", i,
		    (int)(1 + i % 1000), 7);
		many[i] = world_event_of(w, session[k], "", 0, json);
		if (i % 500 == 499)
			rig_drain(&w->rig);
	}
	rig_drain(&w->rig);
}

/* Reads from a place on to the end and checks that it is all of many[from..]. */
static void
walk(struct world *w, size_t from, size_t to, size_t max)
{
	struct feed_mark at = { from > 0 ? many[from - 1] : 0, 0 };
	size_t i = from;

	for (;;) {
		struct got_page p = read_page(w, w->words, NULL, at, max);

		assert_int_equal(p.e, ERR_OK);
		assert_true(p.n <= max && p.n <= FEED_PAGE_ITEMS);
		assert_true(p.bytes <= FEED_PAGE_BYTES);
		for (size_t k = 0; k < p.n; k++) {
			assert_true(i < to);
			assert_int_equal(p.seqs[k], many[i++]);
		}
		at = p.last;
		buf_free(&p.json);
		if (p.n == 0)
			break;
	}
	assert_int_equal(i, to);
}

static void
test_walk(void **state)
{
	(void)state;
	world.rig.segment_size = 256 << 10;
	world_restart(&world);
	append_many(&world, 0, MANY - 1000);
	walk(&world, 0, MANY - 1000, 1000);
	walk(&world, MANY - 1200, MANY - 1000, 7);
	world_restart(&world); /* nothing in memory */
	walk(&world, 0, MANY - 1000, 1000);
	walk(&world, 4321, MANY - 1000, 50);
	append_many(&world, MANY - 1000, 1000);
	walk(&world, 0, MANY, 1000); /* from the disk into memory */
	assert_int_equal(world.words->newest, many[MANY - 1]);
}

/* While events come: what is read is read once. */
static void
test_walk_meanwhile(void **state)
{
	struct feed_mark at = { 0, 0 };
	size_t i = 0, n = 2000;

	(void)state;
	world.rig.segment_size = 64 << 10;
	world_restart(&world);
	append_many(&world, 0, n);
	world_restart(&world);
	for (;;) {
		struct got_page p = read_page(&world, world.words, NULL, at, 1000);

		for (size_t k = 0; k < p.n; k++)
			assert_int_equal(p.seqs[k], many[i++]);
		at = p.n > 0 ? p.last : at;
		buf_free(&p.json);
		if (p.n == 0 && i == n)
			break;
		if (n < 3000) {
			append_many(&world, n, 100);
			n += 100;
		}
	}
	assert_int_equal(i, 3000);
}

/* Memory is bounded; what falls out of it is on the disk. */
static void
test_tail_bound(void **state)
{
	char *big = mem_alloc(1 << 20);
	uint64_t s;
	struct got_page p;

	(void)state;
	memset(big, 'x', (1 << 20) - 1);
	memcpy(big, "{\"event\":\"key\",\"x\":\"", 20);
	memcpy(big + (1 << 20) - 4, "\"}", 3);
	s = world_session(&world, "a", "org.a");
	for (int i = 0; i < 20; i++) {
		many[i] = world_event_of(&world, s, "", 0, big);
		rig_drain(&world.rig);
	}
	for (int i = 0; i < 20; i++) {
		p = read_page(&world, world.words, NULL, (struct feed_mark){ many[i] - 1, 0 }, 1);
		assert_int_equal(p.n, 1);
		assert_int_equal(p.seqs[0], many[i]);
		assert_int_equal(p.last.part, 1);
		buf_free(&p.json);
	}
	mem_free(big);
}

/* ---- parts ---- */

/* The JSON of an event that came in parts, put together. */
static struct buf
gather_parts(struct world *w, uint64_t seq, size_t *parts)
{
	struct feed_mark at = { seq - 1, 0 };
	struct json_doc *doc = json_doc_new();
	struct buf whole = BUF_INIT(0);

	*parts = 0;
	for (;;) {
		struct got_page p = read_page(w, w->words, NULL, at, 1);
		struct json root;
		struct str text;

		if (p.n == 0 || p.seqs[0] != seq) {
			buf_free(&p.json);
			break;
		}
		assert_int_equal(p.last.part, ++*parts);
		assert_true(p.bytes <= FEED_ITEM_BYTES);
		p.json.len--;
		memset(buf_room(&p.json, JSON_PADDING), 0, JSON_PADDING);
		assert_int_equal(json_parse(doc, buf_view(&p.json), &root), ERR_OK);
		assert_true(json_get_str(root, "text", &text));
		buf_str(&whole, text);
		at = p.last;
		buf_free(&p.json);
	}
	json_doc_free(doc);
	return whole;
}

static void
test_parts(void **state)
{
	struct json_doc *doc = json_doc_new();
	size_t n = 200000, parts = 0;
	char *json = mem_zalloc(n + 64);
	uint64_t s = world_session(&world, "a", "org.a"), seq, after;
	struct json root, v;
	struct str text;

	(void)state;
	snprintf(json, 64, "{\"event\":\"key\",\"x\":\"");
	for (size_t i = strlen(json); i < n; i += 2)
		memcpy(json + i, i % 3 == 0 ? "\\\"" : "\\\\", 2);
	memcpy(json + strlen(json), "\"}", 3);
	seq = world_event_of(&world, s, "", 0, json);
	after = world_event(&world, s);
	rig_drain(&world.rig);
	for (int again = 0; again < 2; again++) {
		struct buf whole = gather_parts(&world, seq, &parts);
		struct got_page p;

		assert_true(parts > 20);
		memset(buf_room(&whole, JSON_PADDING), 0, JSON_PADDING);
		assert_int_equal(json_parse(doc, buf_view(&whole), &root), ERR_OK);
		assert_true(json_path(root, "event.x", &v) && json_str(v, &text));
		assert_int_equal(text.n, (n - 20) / 2);
		buf_free(&whole);
		/* Whoever names the last part, or the event, has it all. */
		p = read_page(&world, world.words, NULL, (struct feed_mark){ seq, (unsigned)parts }, 9);
		assert_int_equal(p.n, 1);
		assert_int_equal(p.seqs[0], after);
		buf_free(&p.json);
		p = read_page(&world, world.words, NULL, (struct feed_mark){ seq, 0 }, 9);
		assert_int_equal(p.n, 1);
		buf_free(&p.json);
		world_restart(&world);
	}
	json_doc_free(doc);
	mem_free(json);
}

/* ---- repeats ---- */

static void
test_repeats(void **state)
{
	uint64_t s = world_session_of(&world, "a", "org.a", "str", "{}"), first, second;
	struct got_page p;

	(void)state;
	first = world_event_of(&world, s, "", 1, "{\"event\":\"key\"}");
	world_event_of(&world, s, "", 1, "{\"event\":\"key\"}"); /* slipped through */
	second = world_event_of(&world, s, "", 2, "{\"event\":\"key\"}");
	rig_drain(&world.rig);
	assert_false(engine_is_repeat(world.engine, first));
	assert_true(engine_is_repeat(world.engine, first + 1));
	for (int again = 0; again < 2; again++) {
		p = read_page(&world, world.words, NULL, start, 9);
		assert_int_equal(p.n, 2);
		assert_int_equal(p.seqs[0], first);
		assert_int_equal(p.seqs[1], second);
		buf_free(&p.json);
		world_restart(&world);
	}
	assert_true(engine_is_repeat(world.engine, first + 1));
}

static void
test_orphan(void **state)
{
	struct got_page p;

	(void)state;
	world_event(&world, 999);
	rig_drain(&world.rig);
	p = read_page(&world, world.words, NULL, start, 9);
	assert_int_equal(p.n, 0);
	world_restart(&world);
	p = read_page(&world, world.words, NULL, start, 9);
	assert_int_equal(p.n, 0);
}

/* ---- reads ---- */

static void
never_cb(void *arg, enum err e, const struct feed_item *items, size_t n)
{
	(void)arg, (void)e, (void)items, (void)n;
	fail_msg("a read that was cancelled is answered");
}

static void
test_reads(void **state)
{
	struct feed_read *r[FEED_READS_MAX];
	uint64_t s = world_session(&world, "a", "org.a");

	(void)state;
	world_event(&world, s);
	rig_drain(&world.rig);
	world_restart(&world);
	for (size_t i = 0; i < COUNT(r); i++) {
		r[i] = feed_read_new(world.feed, world.words, NULL, start, 9, never_cb, NULL);
		assert_non_null(r[i]);
	}
	assert_null(feed_read_new(world.feed, world.words, NULL, start, 9, never_cb, NULL));
	for (size_t i = 0; i < COUNT(r); i++)
		feed_read_cancel(r[i]);
	/* and a feed that goes while the disk is read */
	assert_non_null(feed_read_new(world.feed, world.words, NULL, start, 9, never_cb, NULL));
}

static void
listen_event_cb(void *arg, struct str source, uint64_t seq)
{
	assert_true(str_is(source, "org.a"));
	*(uint64_t *)arg = seq;
}

static void
listen_commit_cb(void *arg, uint64_t durable)
{
	assert_true(durable >= *(uint64_t *)arg);
}

static void
test_listener(void **state)
{
	uint64_t seen = 0, s = world_session(&world, "a", "org.a"), e;
	struct feed_listener l = { .event = listen_event_cb, .commit = listen_commit_cb,
		.arg = &seen };

	(void)state;
	feed_listen(world.feed, &l);
	e = world_event(&world, s);
	rig_drain(&world.rig);
	assert_int_equal(seen, e);
	feed_unlisten(&l);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_json),
		CASE(test_durable),
		CASE(test_sources),
		CASE(test_walk),
		CASE(test_walk_meanwhile),
		CASE(test_tail_bound),
		CASE(test_parts),
		CASE(test_repeats),
		CASE(test_orphan),
		CASE(test_reads),
		CASE(test_listener),
	};

	return cmocka_run_group_tests_name("feed", tests, NULL, NULL);
}
