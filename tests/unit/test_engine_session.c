/* SPDX-License-Identifier: MIT */
/* Tests of flow/engine: sessions, repeats, records that come again, and what an
 * event says to a reducer. */
#include "flow/event.h"
#include "tests/unit/fold_reducers.h"

/* ---- sessions and streams ---- */

static uint64_t
stream_session(const char *student, const char *stream)
{
	struct session_record s = rig_student(student);

	s.stream = str_of(stream);
	return rig_state_session(&rig, 0, &s);
}

static void
test_repeats(void **state)
{
	uint64_t a, again, other;

	(void)state;
	START(&any);
	a = stream_session("s", "x");
	event(a, .stream_seq = 1);
	event(a, .stream_seq = 2);
	again = stream_session("s", "x");
	event(again, .stream_seq = 1);
	event(again, .stream_seq = 2);
	event(again, .stream_seq = 3);
	event(a, .stream_seq = 3);
	assert_json("Internal,t.any,STUDENT:s", "{\"n\":3,\"pad\":7}");
	other = stream_session("s", "y");
	event(other, .stream_seq = 1);
	event(other); /* no seq: taken as it comes */
	event(other);
	assert_json("Internal,t.any,STUDENT:s", "{\"n\":6,\"pad\":7}");
	event(stream_session("t", "x"), .stream_seq = 1);
	assert_json("Internal,t.any,STUDENT:t", "{\"n\":1,\"pad\":7}");
	assert_int_equal(stream_of(engine_streams(rig.e), STR_LIT("s"), STR_LIT("x"))->durable, 3);
}

/* A seq without a stream means nothing. */
static void
test_seq_without_stream(void **state)
{
	uint64_t session;

	(void)state;
	START(&any);
	session = rig_session(&rig, "s");
	event(session, .stream_seq = 1);
	event(session, .stream_seq = 1);
	assert_json("Internal,t.any,STUDENT:s", "{\"n\":2,\"pad\":7}");
}

/* A repeat that every reducer fails on is a repeat all the same. */
static void
test_failed_counts_as_seen(void **state)
{
	uint64_t session, failed = metric_value[METRIC_QUARANTINED];

	(void)state;
	START(&any);
	session = stream_session("s", "x");
	event(session, .name = "fail", .stream_seq = 1);
	event(session, .name = "save", .stream_seq = 1);
	assert_json("Internal,t.any,STUDENT:s", "");
	assert_int_equal(metric_value[METRIC_QUARANTINED], failed + 1);
}

static void
test_statements(void **state)
{
	struct session_record s = rig_student("s");
	uint64_t session;

	(void)state;
	START(&pair, &sourced);
	s.locked = STR_LIT("{\"a\":1,\"b\":1}");
	session = rig_state_session(&rig, 0, &s);
	event(session);
	s.locked = STR_LIT("{\"a\":2,\"b\":2}");
	s.source = STR_LIT("org.a");
	assert_int_equal(rig_state_session(&rig, session, &s), session);
	event(session);
	event(session);
	assert_int_equal(state_of("Internal,t.pair,EventField.a:1,EventField.b:1,STUDENT:s")->seq, 1);
	assert_int_equal(state_of("Internal,t.pair,EventField.a:2,EventField.b:2,STUDENT:s")->seq, 2);
	assert_int_equal(state_of("Internal,t.sourced,STUDENT:s")->seq, 2);
}

/* Whatever a statement says is taken at its word, another student too. */
static void
test_other_student(void **state)
{
	struct session_record s = rig_student("s"), t = rig_student("t");
	uint64_t session;

	(void)state;
	START(&any);
	s.stream = t.stream = STR_LIT("x");
	session = rig_state_session(&rig, 0, &s);
	event(session, .stream_seq = 1);
	rig_state_session(&rig, session, &t);
	event(session, .stream_seq = 1);
	assert_json("Internal,t.any,STUDENT:s", "{\"n\":1,\"pad\":7}");
	assert_json("Internal,t.any,STUDENT:t", "{\"n\":1,\"pad\":7}");
}

static void
test_unknown_session(void **state)
{
	uint64_t session;

	(void)state;
	START(&any);
	session = rig_session(&rig, "s");
	event(session + 100);
	assert_int_equal(engine_position(rig.e), 2);
	assert_json("Internal,t.any,STUDENT:s", "");
	event(session);
	rig_end(&rig, session);
	rig_end(&rig, session);
	event(session);
	assert_json("Internal,t.any,STUDENT:s", "{\"n\":1,\"pad\":7}");
	session = rig_session(&rig, "s");
	event(session);
	engine_forget_sessions(rig.e);
	event(session);
	assert_json("Internal,t.any,STUDENT:s", "{\"n\":2,\"pad\":7}");
	assert_int_equal(engine_position(rig.e), rig.seq);
}

static void
test_unreadable_bodies(void **state)
{
	uint64_t session;

	(void)state;
	START(&any);
	session = rig_session(&rig, "s");
	rig_record(&rig, RECORD_EVENT, ++rig.seq, session, STR_LIT("short"));
	rig_record(&rig, RECORD_SESSION, ++rig.seq, session, STR_LIT("short"));
	rig_record(&rig, RECORD_SESSION, ++rig.seq, session + 1, (struct str){ 0 });
	rig_record(&rig, (enum record_type)99, ++rig.seq, session, STR_LIT("later version"));
	event(session);
	assert_json("Internal,t.any,STUDENT:s", "{\"n\":1,\"pad\":7}");
	assert_int_equal(engine_position(rig.e), rig.seq);
}

/* A start may read sessions again that the engine knows already, and events
 * that it has folded. */
static void
test_records_again(void **state)
{
	struct session_record s = rig_student("s");
	uint64_t session, first, second;
	struct buf old = BUF_INIT(0);
	struct rig again;

	(void)state;
	START(&pair);
	s.locked = STR_LIT("{\"a\":1,\"b\":1}");
	session_record_write(&old, &s);
	first = session = rig_state_session(&rig, 0, &s);
	s.locked = STR_LIT("{\"a\":2,\"b\":2}");
	rig_state_session(&rig, session, &s);
	event(session);
	second = rig.seq;
	rig_event_at(&rig, second, session, (struct rig_event){ 0 });
	rig_record(&rig, RECORD_SESSION, first, session, buf_view(&old));
	assert_int_equal(engine_position(rig.e), second);
	event(session);
	assert_int_equal(state_of("Internal,t.pair,EventField.a:2,EventField.b:2,STUDENT:s")->seq, 2);
	assert_json("Internal,t.pair,EventField.a:1,EventField.b:1,STUDENT:s", "");
	again = rig_reload(&rig);
	rig_record(&again, RECORD_SESSION, first, session, buf_view(&old));
	rig_event(&again, session, (struct rig_event){ 0 });
	assert_int_equal(engine_state(again.e,
	    STR_LIT("Internal,t.pair,EventField.a:2,EventField.b:2,STUDENT:s"))->seq, 3);
	rig_free(&again);
	buf_free(&old);
}

/* ---- what the event says ---- */

/* Calls what the test put here. */
static void (*probe)(const struct event *e);

static enum reduced
probe_reduce(void *state, const struct event *e)
{
	(void)state;
	if (probe != NULL)
		probe(e);
	return REDUCED_SAME;
}

static const struct reducer prober = { REDUCER_HEADER, .id = "t.prober", .version = 1, .size = 1,
	.reduce = probe_reduce, .encode = tally_encode, .decode = tally_decode };

static struct str
probe_str(const struct event *e, const char *path)
{
	struct json v;
	struct str s = { 0 };

	return event_get(e, path, &v) && json_str(v, &s) ? s : (struct str){ 0 };
}

static void
probe_fields(const struct event *e)
{
	struct json v;
	struct str s;

	assert_str(event_name(e), "save");
	assert_str(event_source(e), RIG_WRITING);
	assert_str(event_student(e), "s");
	assert_true(event_time_us(e) == RIG_T0 + 500000);
	assert_true(event_time(e) == 1795455148.5);
	assert_true(event_doc_id(e, &s));
	assert_str(s, "D1");
	assert_str(probe_str(e, "mine"), "own");
	assert_str(probe_str(e, "both"), "locked");
	assert_str(probe_str(e, "o.own.x"), "deep");
	assert_str(probe_str(e, "l.x"), "locked deep");
	/* A locked field hides all of the event's own, also what it has not itself. */
	assert_false(event_get(e, "l.y", &v));
	assert_false(event_get(e, "nothing", &v));
	assert_false(event_get(e, "mine.x", &v));
	assert_false(event_get(e, "", &v));
	assert_false(event_get(e, ".", &v));
	assert_true(event_get(e, "null", &v));
	assert_int_equal(json_type(v), JSON_NULL);
	assert_true(event_raw(e, "mine", &s));
	assert_str(s, "\"ow\\u006e\"");
	assert_true(event_raw(e, "both", &s));
	assert_str(s, "\"locked\"");
	assert_false(event_raw(e, "nothing", &s));
}

static unsigned probed;

static void
probe_count(const struct event *e)
{
	probe_fields(e);
	probed++;
}

static void
test_event_fields(void **state)
{
	struct session_record s = rig_student("s");

	(void)state;
	START(&prober);
	s.locked = STR_LIT("{\"both\":\"locked\",\"l\":{\"x\":\"locked deep\"}}");
	probe = probe_count;
	probed = 0;
	rig.now = RIG_T0 + 500000;
	event(rig_state_session(&rig, 0, &s), .doc_id = "D1",
	    .json = "{\"mine\":\"ow\\u006e\",\"both\":\"own\",\"l\":{\"y\":1},\"null\":null,"
	    "\"o\":{\"own\":{\"x\":\"deep\"}}}");
	assert_int_equal(probed, 1);
}

static void
probe_long_key(const struct event *e)
{
	char key[2 * JSON_MAX_KEY];
	struct json v;
	struct str s;

	memset(key, 'k', sizeof key);
	key[JSON_MAX_KEY] = '\0';
	assert_true(event_get(e, key, &v));
	key[JSON_MAX_KEY] = 'k';
	key[JSON_MAX_KEY + 1] = '\0';
	assert_false(event_get(e, key, &v));
	assert_false(event_doc_id(e, &s));
	probed++;
}

static void
test_event_long_key(void **state)
{
	char json[JSON_MAX_KEY + 8] = "{\"";

	(void)state;
	START(&prober);
	memset(json + 2, 'k', JSON_MAX_KEY);
	memcpy(json + 2 + JSON_MAX_KEY, "\":1}", 5);
	probe = probe_long_key;
	probed = 0;
	event(rig_session(&rig, "s"), .json = json);
	assert_int_equal(probed, 1);
}

static void
probe_own_fields(const struct event *e)
{
	assert_true(str_eq(probe_str(e, "me"), event_student(e)));
	assert_str(probe_str(e, "own"), "own");
	assert_true(str_eq(probe_str(e, "me"), event_student(e)));
	probed++;
}

/* More sessions than are kept parsed, taking turns. */
static void
test_many_locked(void **state)
{
	uint64_t session[40];

	(void)state;
	START(&prober);
	probe = probe_own_fields;
	probed = 0;
	for (size_t i = 0; i < COUNT(session); i++) {
		char id[8], locked[32];
		struct session_record s;

		snprintf(id, sizeof id, "s%zu", i);
		snprintf(locked, sizeof locked, "{\"me\":\"s%zu\"}", i);
		s = rig_student(id);
		s.locked = str_of(locked);
		session[i] = rig_state_session(&rig, 0, &s);
	}
	for (size_t i = 0; i < 5 * COUNT(session); i++)
		event(session[i * 7 % COUNT(session)], .json = "{\"me\":\"own\",\"own\":\"own\"}");
	assert_int_equal(probed, 5 * COUNT(session));
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_repeats),
		TEST(test_seq_without_stream),
		TEST(test_failed_counts_as_seen),
		TEST(test_statements),
		TEST(test_other_student),
		TEST(test_unknown_session),
		TEST(test_unreadable_bodies),
		TEST(test_records_again),
		TEST(test_event_fields),
		TEST(test_event_long_key),
		TEST(test_many_locked),
	};

	return cmocka_run_group_tests_name("engine session", tests, NULL, NULL);
}
