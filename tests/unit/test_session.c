/* SPDX-License-Identifier: MIT */
/* Tests of flow/session: what a client may say before it is known, what is kept
 * of what it says, what is refused. */
#include "tests/unit/session_world.h"

static struct client c;

/* The reference's happy path, its §18.1, but nothing waits for one more event. */
static void
test_happy(void **state)
{
	struct kept *k;
	(void)state;

	client_open(&c);
	say(&c, LOCK(WRITING ",\"version\":\"1\""));
	say(&c, LOCK("\"user_id\":\"u9\""));
	HEARS_AUTH(&c, "u9");
	say(&c, "{\"event\":\"extension_loaded\"}");
	say(&c, "{ \"event\" : \"google_docs_save\", \"doc_id\":\"DOCX\", \"x\":1.0 }");
	settle();
	keeps(0, "{\"event\":\"extension_loaded\"}");
	keeps(1, "{ \"event\" : \"google_docs_save\", \"doc_id\":\"DOCX\", \"x\":1.0 }");
	k = kept(RECORD_EVENT, 1);
	assert_true(str_is(k->event.name, "google_docs_save"));
	assert_true(str_is(k->event.doc_id, "DOCX"));
	assert_int_equal(k->event.source.n, 0);
	assert_int_equal(k->event.stream_seq, 0);
	assert_int_equal(k->r.session, kept(RECORD_SESSION, 0)->r.seq);
	assert_string_equal(state_of("Internal,activity.event_count,STUDENT:tc-testcase-u9"),
	    "{\"count\":2}");
	say(&c, "{\"event\":\"terminate\"}");
	assert_int_equal(c.code, 1000);
	hears_nothing(&c);
	say(&c, "{\"event\":\"late\"}");
	say(&c, "{");
	hears_nothing(&c);
	client_done(&c);
	settle();
	assert_int_equal(kept_count(RECORD_EVENT), 2);
	assert_int_equal(kept_count(RECORD_SESSION), 1);
	assert_int_equal(kept_count(RECORD_SESSION_END), 1);
	assert_int_equal(metric_value[METRIC_FRAMES], 5);
	assert_int_equal(metric_value[METRIC_EVENTS], 2);
}

static void
test_session_record(void **state)
{
	struct session_record *r;
	(void)state;

	client_open(&c);
	say(&c, LOCK(WRITING ",\"a\":\"\\ud800\",\"big\":123456789012345678901234567890,\"n\":1.50"));
	say(&c, LOCK("\"user_id\":\"u1\",\"token\":\"lt1.secret\",\"event\":\"x\",\"seq\":1,"
	    "\"auth\":{},\"safe_user_id\":\"v\",\"server\":{},\"n\":2,\"user_tag\":\"t\",\"hash\":\"h\""));
	say(&c, "{\"event\":\"a\"}");
	settle();
	r = &kept(RECORD_SESSION, 0)->session;
	assert_true(str_is(r->user_id, "testcase-u1"));
	assert_true(str_is(r->safe_user_id, "tc-testcase-u1"));
	assert_true(str_is(r->providence, "tc"));
	assert_int_equal(r->sec, SEC_UNAUTHENTICATED);
	assert_true(str_is(r->source, "org.mitros.writing_analytics"));
	assert_int_equal(r->stream.n, 0);
	assert_true(str_is(r->origin, "https://lms.example"));
	assert_true(str_is(r->agent, "Agent/1"));
	assert_true(str_is(r->ip, "192.0.2.7"));
	/* Byte for byte, later wins, no claims and nothing reserved. */
	assert_true(str_is(r->locked, "{" WRITING ",\"a\":\"\\ud800\","
	    "\"big\":123456789012345678901234567890,\"n\":2,\"user_tag\":\"t\",\"hash\":\"h\"}"));
	assert_int_equal(metric_value[METRIC_STRIPPED], 5);
	client_done(&c);
}

/* Of two fields with the same key the last counts, however they are spelled. */
static void
test_locked_twins(void **state)
{
	(void)state;

	client_known(&c, "u1", "org.x", ",\"v\":1,\"\\u0076\":2,\"wa-source\":3,\"wa_source\":4,"
	    "\"token\":1,\"token\":2");
	say(&c, "{\"event\":\"a\"}");
	settle();
	assert_true(str_is(kept(RECORD_SESSION, 0)->session.locked,
	    "{\"source\":\"org.x\",\"\\u0076\":2,\"wa_source\":4}"));
	client_done(&c);
}

/* Stated once, and again only after a change. */
static void
test_restated(void **state)
{
	(void)state;

	client_known(&c, "u1", "org.x", ",\"v\":1");
	say(&c, "{\"event\":\"a\"}");
	say(&c, "{\"event\":\"a\"}");
	say(&c, LOCK("\"source\":\"org.x\",\"user_id\":\"u1\",\"v\":1"));
	say(&c, "{\"event\":\"a\"}");
	settle();
	assert_int_equal(kept_count(RECORD_SESSION), 1);
	say(&c, LOCK("\"source\":\"org.y\",\"v\":2"));
	say(&c, LOCK("\"v\":3"));
	settle();
	assert_int_equal(kept_count(RECORD_SESSION), 1);
	say(&c, "{\"event\":\"a\"}");
	settle();
	assert_int_equal(kept_count(RECORD_SESSION), 2);
	assert_true(str_is(kept(RECORD_SESSION, 1)->session.source, "org.y"));
	assert_true(str_is(kept(RECORD_SESSION, 1)->session.locked, "{\"source\":\"org.y\",\"v\":3}"));
	assert_int_equal(kept(RECORD_SESSION, 1)->r.session, kept(RECORD_SESSION, 0)->r.seq);
	client_done(&c);
}

/* ---- what is refused ---- */

static void
test_errors(void **state)
{
	static const struct { struct str text; const char *code; } cases[] = {
		{ STR_LIT(""), "not_an_object" },
		{ STR_LIT(" \r\n\t"), "not_an_object" },
		{ STR_LIT("null"), "not_an_object" },
		{ STR_LIT("[]"), "not_an_object" },
		{ STR_LIT("\"x\""), "not_an_object" },
		{ STR_LIT("5"), "not_an_object" },
		{ STR_LIT("true"), "not_an_object" },
		{ STR_LIT("{}{}"), "bad_json" },
		{ STR_LIT("{\"event\":\"a\",}"), "bad_json" },
		{ STR_LIT("{\"event\":\"a\"} x"), "bad_json" },
		{ STR_LIT("{\"event\":\"\\u12G4\"}"), "bad_json" },
		{ STR_LIT("{\"event\":\"a\nb\"}"), "bad_json" },
		{ STR_LIT("\xef\xbb\xbf{\"event\":\"a\"}"), "bad_json" },
		{ STR_LIT("{\"event\":\"a\",\"x\":\"\xff\"}"), "bad_json" },
		{ STR_LIT("{}"), "bad_event_name" },
		{ STR_LIT("{\"event\":5}"), "bad_event_name" },
		{ STR_LIT("{\"event\":\"\"}"), "bad_event_name" },
		{ STR_LIT("{\"event\":null}"), "bad_event_name" },
		{ STR_LIT("{\"event\":\"a\",\"event\":\"b\"}"), "duplicate_key" },
		{ STR_LIT("{\"auth\":1,\"event\":\"a\",\"auth\":1}"), "duplicate_key" },
		{ STR_LIT("{\"event\":\"a\",\"\\u0065vent\":\"b\"}"), "duplicate_key" },
		{ STR_LIT("{\"event\":\"a\",\"user-tag\":1,\"user_tag\":2}"), "duplicate_key" },
		{ STR_LIT("{\"event\":\"a\",\"\\u0000\":1}"), "bad_key" },
		{ STR_LIT("{\"event\":\"lock_fields\"}"), "bad_fields" },
		{ STR_LIT("{\"event\":\"lock_fields\",\"fields\":[]}"), "bad_fields" },
		{ STR_LIT("{\"event\":\"lock_fields\",\"fields\":\"x\"}"), "bad_fields" },
		{ STR_LIT(LOCK("\"source\":\"\"")), "bad_source" },
		{ STR_LIT(LOCK("\"source\":null")), "bad_source" },
		{ STR_LIT(LOCK("\"source\":{}")), "bad_source" },
		{ STR_LIT(LOCK("\"stream\":\"\"")), "bad_stream" },
		{ STR_LIT(LOCK("\"stream\":5")), "bad_stream" },
		{ STR_LIT("{\"event\":\"save_blob\"}"), "blob_scope" },
		{ STR_LIT("{\"event\":\"fetch_blob\",\"activity\":\"\"}"), "blob_scope" },
		{ STR_LIT("{\"event\":\"fetch_blob\",\"activity\":[]}"), "blob_scope" },
	};
	uint64_t before;
	(void)state;

	client_known(&c, "u1", "org.x", "");
	for (size_t i = 0; i < COUNT(cases); i++) {
		before = metric_value[METRIC_REJECTED];
		say_str(&c, cases[i].text);
		hears_error(&c, cases[i].code);
		assert_int_equal(metric_value[METRIC_REJECTED], before + 1);
	}
	assert_int_equal(c.code, 0);
	say(&c, "{\"event\":\"still alive\"}");
	settle();
	keeps(0, "{\"event\":\"still alive\"}");
	assert_int_equal(kept_count(RECORD_EVENT), 1);
	hears_nothing(&c);
	client_done(&c);
}

static void
test_error_seq(void **state)
{
	(void)state;

	client_open(&c);
	say(&c, "{\"seq\":7,\"event\":\"\"}");
	hears(&c, "{\"status\":\"error\",\"code\":\"bad_event_name\",\"message\":"
	    "\"\\\"event\\\" must be a non-empty string of at most 256 bytes.\",\"seq\":7}");
	say(&c, "{\"seq\":9,\"event\":\"a\",\"event\":\"b\"}");
	hears(&c, "{\"status\":\"error\",\"code\":\"duplicate_key\",\"message\":"
	    "\"The event names the same key twice.\",\"seq\":9}");
	say(&c, "{\"seq\":1.5,\"event\":\"\"}");
	hears(&c, "{\"status\":\"error\",\"code\":\"bad_event_name\",\"message\":"
	    "\"\\\"event\\\" must be a non-empty string of at most 256 bytes.\"}");
	client_done(&c);
}

/* A message of n members beside "event"; `twice` repeats the last one. */
static void
say_members(size_t n, bool twice)
{
	struct buf b = BUF_INIT(0);

	buf_z(&b, "{\"event\":\"many\"");
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, ",\"k%zu\":%zu", i, i);
	if (twice)
		buf_printf(&b, ",\"k%zu\":0", n - 1);
	buf_byte(&b, '}');
	say_str(&c, buf_view(&b));
	buf_free(&b);
}

static void
test_sizes(void **state)
{
	static const size_t members[] = { 1, 2, 20, 62, 63, 64, 65, 500, 4094 };
	char name[300];
	(void)state;

	client_known(&c, "u1", "org.x", "");
	for (size_t i = 0; i < COUNT(members); i++) {
		say_members(members[i], false);
		hears_nothing(&c);
		say_members(members[i], true);
		hears_error(&c, "duplicate_key");
	}
	say_members(4095, false);
	hears_nothing(&c);
	say_members(4096, false);
	hears_error(&c, "too_many_members");
	for (int n = 256; n <= 257; n++) {
		snprintf(name, sizeof name, "%0*d", n, 0);
		sayf(&c, "{\"event\":\"%s\"}", name);
		sayf(&c, "{\"event\":\"e\",\"%s\":1}", name);
		sayf(&c, "{\"event\":\"lock_fields\",\"fields\":{\"source\":\"%s\"}}", name);
	}
	hears_error(&c, "bad_event_name");
	hears_error(&c, "key_too_long");
	hears_error(&c, "bad_source");
	hears_nothing(&c);
	client_done(&c);
}

/* The rest of the frame's checks: bad-inputs C46 to C50. */
static void
test_odd_texts(void **state)
{
	static const char *const texts[] = {
		"{\"event\":\"a\\u0000b\",\"x\":\"\\u0000\"}",
		"{\"event\":\"\\ud800\",\"x\":\"\\udc00\\ud800\"}",
		"{\"event\":\"x\",\"y\":\"\xef\xbf\xbe\xe2\x80\xa8\xe2\x80\xae\xe2\x80\x8b\"}",
		"{\"event\":\"]]>\",\"<!--\":\"&#1;\"}",
		"{\"event\":\"__proto__\",\"constructor\":1,\"doc_id\":\"../../etc/passwd\"}",
		"{\"event\":\"e\",\"doc_id\":\"a,b,STUDENT:x\\n\"}",
		"{\"event\":\"e\",\"timestamp\":\"yesterday\",\"metadata\":{\"auth\":1}}",
		"{\"event\":\"e\",\"x\":{\"auth\":1,\"token\":2},\"y\":[{\"auth\":1,\"auth\":2}]}",
	};
	(void)state;

	client_known(&c, "u1", "org.x,STUDENT:y\\n", "");
	for (size_t i = 0; i < COUNT(texts); i++)
		say(&c, texts[i]);
	settle();
	hears_nothing(&c);
	for (size_t i = 0; i < COUNT(texts); i++)
		keeps(i, texts[i]);
	assert_int_equal(kept(RECORD_EVENT, 0)->event.name.n, 3);
	client_done(&c);
}

static void
test_reserved(void **state)
{
	static const struct { const char *said, *kept; unsigned stripped; } cases[] = {
		{ "{\"auth\":{\"sec\":\"authenticated\"},\"event\":\"a\"}", "{\"event\":\"a\"}", 1 },
		{ "{\"event\":\"a\",\"auth\":1}", "{\"event\":\"a\"}", 1 },
		{ "{\"event\":\"a\",\"auth\":1,\"b\":2}", "{\"event\":\"a\",\"b\":2}", 1 },
		{ " { \"auth\" : 1 , \"event\" : \"a\" , \"x\" : 1 } ",
		    "{\"event\" : \"a\" , \"x\" : 1}", 1 },
		{ "{\"auth\":1,\"token\":\"lt1.x\",\"event\":\"a\",\"user_id\":\"v\",\"b\":[1,{\"auth\":3}],"
		  "\"server\":{},\"safe_user_id\":null}", "{\"event\":\"a\",\"b\":[1,{\"auth\":3}]}", 5 },
		{ "{\"event\":\"a\",\"\\u0061uth\":1,\"metadata\":{\"ts\":1}}",
		    "{\"event\":\"a\",\"metadata\":{\"ts\":1}}", 1 },
	};
	uint64_t stripped = 0;
	(void)state;

	client_known(&c, "u1", "org.x", "");
	for (size_t i = 0; i < COUNT(cases); i++) {
		say(&c, cases[i].said);
		settle();
		keeps(i, cases[i].kept);
		stripped += cases[i].stripped;
		assert_int_equal(metric_value[METRIC_STRIPPED], stripped);
	}
	hears_nothing(&c);
	client_done(&c);
}

/* ---- locked fields ---- */

/* Locks the fields k`from` to k`to`, exclusive. */
static void
say_locks(unsigned from, unsigned to)
{
	struct buf b = BUF_INIT(0);

	buf_z(&b, "{\"event\":\"lock_fields\",\"fields\":{");
	for (unsigned i = from; i < to; i++)
		buf_printf(&b, "%s\"k%u\":1", i > from ? "," : "", i);
	buf_z(&b, "}}");
	say_str(&c, buf_view(&b));
	buf_free(&b);
}

/* A few bytes that cost many cannot be said without end; who sends as much as
 * it costs can. */
static void
test_locked_often(void **state)
{
	unsigned n = 0;
	char *text = mem_alloc(20001);
	(void)state;

	client_known(&c, "u1", "org.x", "");
	say_locks(0, 4000);
	while (c.looked_at == c.n_sent && n < 1000)
		sayf(&c, LOCK("\"v\":%u"), n++);
	hears_error(&c, "full");
	assert_in_range(n, 10, 100);
	memset(text, ' ', 20000);
	text[20000] = '\0';
	memcpy(text, "{\"event\":\"a\"}", 13);
	for (unsigned i = 0; i < 50; i++) {
		say(&c, text);
		sayf(&c, LOCK("\"v\":%u"), n++);
	}
	hears_nothing(&c);
	mem_free(text);
	client_done(&c);
}

static void
test_locked_limit(void **state)
{
	struct buf b = BUF_INIT(0);
	(void)state;

	client_known(&c, "u1", "org.x", "");
	/* {"source":"org.x","x":"..."} of 64 KiB exactly */
	for (size_t n = (64 << 10) - 25; n <= (64 << 10) - 24; n++) {
		buf_clear(&b);
		buf_z(&b, "{\"event\":\"lock_fields\",\"fields\":{\"x\":\"");
		memset(buf_room(&b, n), 'x', n);
		b.len += n;
		buf_z(&b, "\"}}");
		say_str(&c, buf_view(&b));
	}
	hears_error(&c, "bad_fields");
	hears_nothing(&c);
	say(&c, "{\"event\":\"a\"}");
	settle();
	assert_int_equal(kept(RECORD_SESSION, 0)->session.locked.n, 64 << 10);
	/* Each fits, both together have too many members. */
	say(&c, LOCK("\"x\":null"));
	say_locks(0, 2094);
	say_locks(2094, 4094);
	hears_nothing(&c);
	say_locks(4094, 4095);
	hears_error(&c, "bad_fields");
	buf_free(&b);
	client_done(&c);
}

static void
test_locked_wins(void **state)
{
	(void)state;

	client_known(&c, "u1", "org.x", ",\"doc_id\":\"L\"");
	say(&c, "{\"event\":\"a\",\"source\":\"org.y\",\"doc_id\":\"E\"}");
	say(&c, LOCK("\"doc_id\":null"));
	say(&c, "{\"event\":\"b\",\"doc_id\":\"E\",\"source\":5}");
	settle();
	assert_int_equal(kept(RECORD_EVENT, 0)->event.source.n, 0);
	assert_true(str_is(kept(RECORD_EVENT, 0)->event.doc_id, "L"));
	assert_int_equal(kept(RECORD_EVENT, 1)->event.doc_id.n, 0);
	hears_nothing(&c);
	client_done(&c);
}

/* The adapter: old names, in events and in locked fields, also as identity. */
static void
test_old_clients(void **state)
{
	(void)state;

	w.methods[0] = "local_storage";
	w.conf.allow_guest = true;
	world_rules();
	client_open(&c);
	say(&c, LOCK("\"source\":\"org.mitros.writing-analytics\",\"user-tag\":\"t\""));
	hears(&c, "{\"status\":\"auth\",\"user_id\":\"ls-t\",\"safe_user_id\":\"ls-ls-t\","
	    "\"sec\":\"unauthenticated\"}");
	say(&c, "{\"event\":\"a\",\"wa-source\" : 1,\"a-b\":2,\"x\":{\"wa-source\":3}}");
	say(&c, "{\"event\":\"a\",\"\\u0077a-source\":1,\"auth\":2}");
	settle();
	assert_true(str_is(kept(RECORD_SESSION, 0)->session.locked,
	    "{" WRITING ",\"user_tag\":\"t\"}"));
	assert_true(str_is(kept(RECORD_SESSION, 0)->session.source, "org.mitros.writing_analytics"));
	keeps(0, "{\"event\":\"a\",\"wa_source\":1,\"a-b\":2,\"x\":{\"wa-source\":3}}");
	keeps(1, "{\"event\":\"a\",\"wa_source\":1}");
	client_done(&c);
	client_open(&c);
	say(&c, "{\"event\":\"a\",\"source\":\"org-x\",\"user-tag\":\"t\"}");
	settle();
	keeps(2, "{\"event\":\"a\",\"source\":\"org_x\",\"user_tag\":\"t\"}");
	assert_true(str_is(kept(RECORD_EVENT, 2)->event.source, "org_x"));
	client_done(&c);
}

static void
test_doc_id(void **state)
{
#define OBJECT(url, id) "\"object\":{\"url\":\"" url "\",\"id\":" id "}"
	static const struct { const char *members, *doc_id; } cases[] = {
		{ "\"doc_id\":\"D\"", "D" },
		{ "\"doc_id\":12", "12" },
		{ "\"doc_id\":0", "" },
		{ "\"doc_id\":1.5", "1.5" },
		{ "\"doc_id\":\"\"", "" },
		{ "\"doc_id\":null", "" },
		{ "\"doc_id\":[\"D\"]", "" },
		{ "\"doc_id\":\"D\"," OBJECT("https://docs.google.com/document/d/U/edit", "\"O\""), "D" },
		{ "\"doc_id\":\"\"," OBJECT("https://docs.google.com/document/d/U/edit", "\"O\""), "O" },
		{ OBJECT("https://docs.google.com/document/d/U/edit?tab=t.0", "null"), "U" },
		{ OBJECT("https://docs.google.com/document/u/0/d/U/edit", "\"O\""), "O" },
		{ OBJECT("https://docs.google.com/document/u/12/d/U/", "5"), "U" },
		{ OBJECT("https://docs.google.com/document/d/U", "null"), "U" },
		{ OBJECT("https://docs.google.com/document/d//edit", "\"O\""), "" },
		{ OBJECT("https://docs.google.com/document/x/d/U/", "\"O\""), "" },
		{ OBJECT("http://docs.google.com/document/d/U/", "\"O\""), "" },
		{ OBJECT("https://docs.google.com.evil/document/d/U/", "\"O\""), "" },
		{ "\"object\":\"x\"", "" },
		{ "\"x\":1", "" },
	};
	(void)state;

	client_known(&c, "u1", "org.x", "");
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct kept *k;

		sayf(&c, "{\"event\":\"a\",%s}", cases[i].members);
		settle();
		k = kept(RECORD_EVENT, i);
		if (!str_is(k->event.doc_id, cases[i].doc_id))
			fail_msg("%s: %.*s", cases[i].members, STR_ARG(k->event.doc_id));
	}
	client_done(&c);
	client_known(&c, "u1", "org.x", "," OBJECT("https://docs.google.com/document/d/U/e", "1"));
	say(&c, "{\"event\":\"a\"}");
	settle();
	assert_true(str_is(kept(RECORD_EVENT, COUNT(cases))->event.doc_id, "U"));
	client_done(&c);
}

static void
test_unknown_source(void **state)
{
	(void)state;

	client_known(&c, "u1", "org.nobody", "");
	say(&c, "{\"event\":\"a\"}");
	say(&c, LOCK(WRITING));
	say(&c, "{\"event\":\"a\"}");
	client_done(&c);
	client_open(&c);
	for (int i = 0; i < 200; i++)
		sayf(&c, "{\"event\":\"a\",\"user_id\":\"u\",\"source\":\"org.%d\"}", i);
	settle();
	assert_int_equal(metric_value[METRIC_UNKNOWN_SOURCE], 201);
	assert_int_equal(kept_count(RECORD_EVENT), 202);
	assert_string_equal(state_of("Internal,activity.event_count,STUDENT:tc-testcase-u"),
	    "{\"count\":200}");
	client_done(&c);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		WORLD_TEST(test_happy),
		WORLD_TEST(test_session_record),
		WORLD_TEST(test_locked_twins),
		WORLD_TEST(test_restated),
		WORLD_TEST(test_errors),
		WORLD_TEST(test_error_seq),
		WORLD_TEST(test_sizes),
		WORLD_TEST(test_odd_texts),
		WORLD_TEST(test_reserved),
		WORLD_TEST(test_locked_limit),
		WORLD_TEST(test_locked_often),
		WORLD_TEST(test_locked_wins),
		WORLD_TEST(test_old_clients),
		WORLD_TEST(test_doc_id),
		WORLD_TEST(test_unknown_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
