/* SPDX-License-Identifier: MIT */
/* Tests of the built-in components, through the engine: what each state is after
 * given events, and that its JSON reads back as the same state. */
#include <math.h>

#include "components/activity/activity.h"
#include "components/blob/blob.h"
#include "components/writing/writing.h"
#include "flow/event.h"
#include "state/key.h"
#include "tests/unit/fold_rig.h"

#define KEY_COUNT "Internal,activity.event_count,STUDENT:s"
#define KEY_ACTIVE "Internal,activity.last_active,STUDENT:s"
#define KEY_TASK(doc) "Internal,writing_observer.writing_analysis.time_on_task," \
	"EventField.doc_id:" doc ",STUDENT:s"
#define KEY_LAST "Internal,writing_observer.writing_analysis.last_document,STUDENT:s"
#define KEY_BLOB "Internal,learning_observer.blob_storage.state_blob," \
	"EventField.activity:quiz,EventField.source:org.x,STUDENT:s"

static struct rig rig;
static uint64_t session; /* of student s, source writing */

static int
setup(void **state)
{
	(void)state;
	rig = rig_new(component_reducers());
	session = rig_session(&rig, "s");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

static void
event_at(double seconds, const char *doc)
{
	rig.now = RIG_T0 + llround(seconds * 1e6);
	rig_event(&rig, session, (struct rig_event){ .doc_id = doc });
}

#define assert_json(key, json) assert_string_equal(rig_json(&rig, key), json)

/* ---- the table ---- */

static void
test_table(void **state)
{
	const struct reducer *const *all = component_reducers();
	size_t n = 0, listed = 0;

	(void)state;
	while (all[n] != NULL)
		n++;
	assert_ptr_equal(all, component_reducers());
	for (size_t i = 0; component_table[i] != NULL; i++) {
		const struct component *c = component_table[i];

		assert_non_null(c->title);
		for (size_t k = 0; c->reducers[k] != NULL; k++) {
			const char *id = c->reducers[k]->id;

			assert_ptr_equal(all[listed++], c->reducers[k]);
			assert_memory_equal(id, c->name, strlen(c->name));
			assert_int_equal(id[strlen(c->name)], '.');
		}
	}
	assert_int_equal(listed, n);
	assert_true(engine_knows_source(rig.e, STR_LIT(RIG_WRITING)));
	assert_false(engine_knows_source(rig.e, STR_LIT("org.x")));
	assert_false(engine_knows_source(rig.e, STR_LIT("")));
}

/* ---- activity ---- */

static void
test_event_count(void **state)
{
	(void)state;
	rig_event(&rig, session, (struct rig_event){ .name = "a" });
	assert_json(KEY_COUNT, "{\"count\":1}");
	rig_event(&rig, session, (struct rig_event){ .name = "b", .source = "org.unknown" });
	rig_event(&rig, rig_session(&rig, "other"), (struct rig_event){ .name = "c" });
	assert_json(KEY_COUNT, "{\"count\":2}");
}

static void
test_blobs_are_no_activity(void **state)
{
	(void)state;
	rig_event(&rig, session, (struct rig_event){ .name = "save_blob", .source = "org.x",
	    .doc_id = "D1", .json = "{\"blob\":1,\"activity\":\"quiz\"}" });
	assert_json(KEY_COUNT, "");
	assert_json(KEY_ACTIVE, "");
	assert_json(KEY_BLOB, "1");
	rig_event(&rig, session, (struct rig_event){ .name = "save_blob", .doc_id = "D1",
	    .json = "{\"blob\":1,\"activity\":\"quiz\"}" });
	assert_json(KEY_TASK("D1"), "");
	assert_json(KEY_LAST, "");
}

static void
test_last_active(void **state)
{
	const struct state *s;

	(void)state;
	event_at(1.5, NULL);
	assert_json(KEY_ACTIVE, "{\"last_active\":1795455149.5}");
	event_at(1.0, NULL); /* the clock stepped back */
	event_at(1.5, NULL);
	assert_json(KEY_ACTIVE, "{\"last_active\":1795455149.5}");
	s = engine_state(rig.e, STR_LIT(KEY_ACTIVE));
	assert_int_equal(s->seq, 1);
	event_at(2.25, NULL);
	assert_json(KEY_ACTIVE, "{\"last_active\":1795455150.25}");
	assert_int_equal(s->seq, 2);
}

/* ---- writing ---- */

/* Seconds of events of one document, and the total afterwards; gaps of more
 * than a minute count 60, steps back nothing (reducers.md §5.1). */
static void
test_time_on_task(void **state)
{
	static const struct {
		double at[5];
		const char *json;
	} rows[] = {
		{ { 0, NAN }, "{\"saved_ts\":1795455148,\"total_time_on_task\":0}" },
		{ { 0, 0.5, NAN }, "{\"saved_ts\":1795455148.5,\"total_time_on_task\":0.5}" },
		{ { 0, 60, NAN }, "{\"saved_ts\":1795455208,\"total_time_on_task\":60}" },
		{ { 0, 60.000001, NAN }, "{\"saved_ts\":1795455208.000001,\"total_time_on_task\":60}" },
		{ { 0, 7200, 7201, NAN }, "{\"saved_ts\":1795462349,\"total_time_on_task\":61}" },
		{ { 5, 0, 1, NAN }, "{\"saved_ts\":1795455149,\"total_time_on_task\":1}" },
		{ { 3, 3, 3, NAN }, "{\"saved_ts\":1795455151,\"total_time_on_task\":0}" },
		{ { 0, 0.00033, NAN }, "{\"saved_ts\":1795455148.00033,\"total_time_on_task\":0.00033}" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		setup(state);
		for (size_t k = 0; !isnan(rows[i].at[k]); k++)
			event_at(rows[i].at[k], "D1");
		assert_json(KEY_TASK("D1"), rows[i].json);
		if (i + 1 < COUNT(rows))
			teardown(state);
	}
}

/* Many small gaps add up to exactly what they are. */
static void
test_time_on_task_adds_up(void **state)
{
	(void)state;
	for (int i = 0; i <= 10000; i++)
		event_at(i * 0.1, "D1");
	assert_json(KEY_TASK("D1"), "{\"saved_ts\":1795456148,\"total_time_on_task\":1000}");
}

static void
test_time_on_task_documents(void **state)
{
	(void)state;
	event_at(0, "D1");
	event_at(10, "D2");
	event_at(20, "D1");
	event_at(25, NULL); /* about no document */
	assert_json(KEY_TASK("D1"), "{\"saved_ts\":1795455168,\"total_time_on_task\":20}");
	event_at(20, "D1"); /* no time has gone by: nothing to publish */
	assert_int_equal(engine_state(rig.e, STR_LIT(KEY_TASK("D1")))->seq, 2);
	assert_json(KEY_TASK("D2"), "{\"saved_ts\":1795455158,\"total_time_on_task\":0}");
	rig_event(&rig, session, (struct rig_event){ .source = "org.x", .doc_id = "D3" });
	assert_json(KEY_TASK("D3"), "");
}

static void
test_last_document(void **state)
{
	const struct state *s;

	(void)state;
	event_at(0, NULL);
	assert_json(KEY_LAST, "");
	event_at(0, "D1");
	event_at(1, "D1");
	assert_json(KEY_LAST, "{\"document_id\":\"D1\"}");
	s = engine_state(rig.e, STR_LIT(KEY_LAST));
	assert_int_equal(s->seq, 1);
	event_at(2, "D2");
	event_at(3, NULL);
	assert_json(KEY_LAST, "{\"document_id\":\"D2\"}");
	assert_int_equal(s->seq, 2);
	event_at(4, "D"); /* shorter: nothing of the old one stays */
	assert_json(KEY_LAST, "{\"document_id\":\"D\"}");
}

/* 512 bytes are kept, of 513 the event is left out and the rest goes on. */
static void
test_long_document(void **state)
{
	char id[514] = { 0 }, want[600];
	uint64_t failed = metric_value[METRIC_QUARANTINED];

	(void)state;
	memset(id, 'x', 512);
	event_at(0, id);
	snprintf(want, sizeof want, "{\"document_id\":\"%s\"}", id);
	assert_json(KEY_LAST, want);
	assert_int_equal(metric_value[METRIC_QUARANTINED], failed);
	id[512] = 'x';
	event_at(1, id);
	assert_json(KEY_LAST, want);
	assert_json(KEY_COUNT, "{\"count\":2}");
	assert_int_equal(metric_value[METRIC_QUARANTINED], failed + 2); /* and time_on_task */
}

/* ---- blob ---- */

static void
save_blob(const char *json)
{
	rig_event(&rig, session, (struct rig_event){ .name = "save_blob", .source = "org.x",
	    .json = json });
}

static void
test_blob_text(void **state)
{
	static const struct {
		const char *json, *want;
	} rows[] = {
		{ "{\"activity\":\"quiz\",\"blob\":{\"n\":1}}", "{\"n\":1}" },
		{ "{\"blob\":null,\"activity\":\"quiz\"}", "null" },
		{ "{\"blob\":\"a b\",\"activity\":\"quiz\"}", "\"a b\"" },
		/* digits stay as they are, jsonw_value would change each of them */
		{ "{\"blob\":[1.0,-0,1e3,123456789012345678901234567890],\"activity\":\"quiz\"}",
		  "[1.0,-0,1e3,123456789012345678901234567890]" },
		/* white space goes, but not from strings */
		{ "{\"blob\": { \"a \\\" b\" :\t[ 1 ,\r\n2 ] } ,\"activity\":\"quiz\"}",
		  "{\"a \\\" b\":[1,2]}" },
		{ "{\"blob\":[\"\\\\\" , \"\\\\\\\" \"],\"activity\":\"quiz\"}",
		  "[\"\\\\\",\"\\\\\\\" \"]" },
		/* escapes stay, lone surrogates too; the rest becomes ASCII, safe in XML */
		{ "{\"blob\":\"\\ud800 \\u00e9\",\"activity\":\"quiz\"}", "\"\\ud800 \\u00e9\"" },
		{ "{\"blob\":\"<&>\x7f\xc3\xa9\xf0\x9f\x98\x80\",\"activity\":\"quiz\"}",
		  "\"\\u003c\\u0026\\u003e\\u007f\\u00e9\\ud83d\\ude00\"" },
		{ "{\"blob\":\"\xef\xbf\xbe\",\"activity\":\"quiz\"}", "\"\\ufffe\"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct rig again;

		save_blob(rows[i].json);
		assert_json(KEY_BLOB, rows[i].want);
		again = rig_reload(&rig);
		assert_string_equal(rig_json(&again, KEY_BLOB), rows[i].want);
		rig_free(&again);
	}
}

static void
test_blob_last_wins(void **state)
{
	const struct state *s;

	(void)state;
	save_blob("{\"blob\":1,\"activity\":\"quiz\"}");
	save_blob("{\"blob\":2,\"activity\":\"other\"}");
	save_blob("{\"blob\":3,\"activity\":\"quiz\"}");
	assert_json(KEY_BLOB, "3");
	s = engine_state(rig.e, STR_LIT(KEY_BLOB));
	assert_int_equal(s->seq, 2);
	save_blob("{\"blob\":  3,\"activity\":\"quiz\"}");
	assert_int_equal(s->seq, 2);
}

static void
test_blob_missing(void **state)
{
	uint64_t failed = metric_value[METRIC_QUARANTINED];

	(void)state;
	save_blob("{\"blob\":1,\"activity\":\"quiz\"}");
	save_blob("{\"activity\":\"quiz\"}");
	assert_json(KEY_BLOB, "1");
	assert_int_equal(metric_value[METRIC_QUARANTINED], failed + 1);
	save_blob("{\"blob\":2}"); /* no activity: no such scope, as elsewhere */
	assert_int_equal(metric_value[METRIC_QUARANTINED], failed + 1);
	assert_json(KEY_BLOB, "1");
}

/* activity and source may be locked; the source need not be in the JSON. */
static void
test_blob_locked(void **state)
{
	struct session_record s = rig_student("s");
	struct key_field fields[] = {
		{ "activity", STR_LIT("quiz") }, { "source", STR_LIT("org.x") }
	};
	struct buf key = BUF_INIT(0), json = BUF_INIT(0);
	const struct state *found;

	(void)state;
	s.source = STR_LIT("org.x");
	s.locked = STR_LIT("{\"activity\":\"quiz\"}");
	rig_event(&rig, rig_state_session(&rig, 0, &s), (struct rig_event){ .name = "save_blob",
	    .json = "{\"blob\":[],\"activity\":\"mine\"}" });
	key_write(&key, blob_state_blob.key_id, STR_LIT("s"), fields, 2);
	found = engine_state(rig.e, buf_view(&key));
	assert_non_null(found);
	engine_encode(found, &json);
	assert_str(buf_view(&json), "[]");
	assert_null(engine_changed(rig.e)); /* never published */
	buf_free(&key);
	buf_free(&json);
}

static void
test_large_blob(void **state)
{
	size_t n = (size_t)4 << 20;
	struct buf json = BUF_INIT(0), got = BUF_INIT(0);

	(void)state;
	buf_z(&json, "{\"activity\":\"quiz\",\"blob\":\"");
	memset(buf_room(&json, n), 'x', n);
	json.len += n;
	buf_add(&json, "\"}", 3);
	save_blob(json.data);
	engine_encode(engine_state(rig.e, STR_LIT(KEY_BLOB)), &got);
	assert_int_equal(got.len, n + 2);
	buf_free(&json);
	buf_free(&got);
}

/* ---- JSON of states ---- */

/* Each decodes from this text and encodes to the same one. */
static void
test_decode(void **state)
{
	static const struct {
		const struct reducer *r;
		const char *json;
	} rows[] = {
		{ &activity_event_count, "{\"count\":0}" },
		{ &activity_event_count, "{\"count\":9007199254740993}" },
		{ &activity_last_active, "{\"last_active\":1795455148.508767}" },
		{ &writing_time_on_task, "{\"saved_ts\":null,\"total_time_on_task\":0}" },
		{ &writing_time_on_task, "{\"saved_ts\":1795455148.508767,\"total_time_on_task\":1234.567891}" },
		{ &writing_time_on_task, "{\"saved_ts\":3999999999.999999,\"total_time_on_task\":1e-06}" },
		{ &writing_last_document, "{\"document_id\":null}" },
		{ &writing_last_document, "{\"document_id\":\"\\u00e9\\u0000\"}" },
	};
	struct json_doc *doc = json_doc_new();

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char padded[256] = { 0 }, *data = mem_zalloc(rows[i].r->size);
		struct buf out = BUF_INIT(0);
		struct jsonw w = jsonw_to(&out);
		struct json v;

		memcpy(padded, rows[i].json, strlen(rows[i].json));
		assert_int_equal(json_parse(doc, str_of(padded), &v), ERR_OK);
		assert_true(rows[i].r->decode(data, v));
		rows[i].r->encode(data, &w);
		assert_str(buf_view(&out), rows[i].json);
		buf_free(&out);
		mem_free(data);
	}
	json_doc_free(doc);
}

static void
test_decode_refuses(void **state)
{
	static const struct {
		const struct reducer *r;
		const char *json;
	} rows[] = {
		{ &activity_event_count, "{}" },
		{ &activity_event_count, "[1]" },
		{ &activity_event_count, "{\"count\":-1}" },
		{ &activity_event_count, "{\"count\":1.5}" },
		{ &activity_event_count, "{\"count\":\"1\"}" },
		{ &activity_last_active, "{\"last_active\":null}" },
		{ &writing_time_on_task, "{\"saved_ts\":1}" },
		{ &writing_time_on_task, "{\"total_time_on_task\":1}" },
		{ &writing_time_on_task, "{\"saved_ts\":\"1\",\"total_time_on_task\":1}" },
		{ &writing_time_on_task, "{\"saved_ts\":1e300,\"total_time_on_task\":1}" },
		{ &writing_time_on_task, "{\"saved_ts\":1,\"total_time_on_task\":-1e10}" },
		{ &writing_last_document, "null" },
		{ &writing_last_document, "{\"document_id\":1}" },
		{ &writing_last_document, "{\"document_id\":\"\"}" },
	};
	struct json_doc *doc = json_doc_new();

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char padded[256] = { 0 }, *data = mem_zalloc(rows[i].r->size);
		struct json v;

		memcpy(padded, rows[i].json, strlen(rows[i].json));
		assert_int_equal(json_parse(doc, str_of(padded), &v), ERR_OK);
		if (rows[i].r->decode(data, v))
			fail_msg("%s took %s", rows[i].r->id, rows[i].json);
		mem_free(data);
	}
	json_doc_free(doc);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_table),
		TEST(test_event_count),
		TEST(test_blobs_are_no_activity),
		TEST(test_last_active),
		cmocka_unit_test_teardown(test_time_on_task, teardown),
		TEST(test_time_on_task_adds_up),
		TEST(test_time_on_task_documents),
		TEST(test_last_document),
		TEST(test_long_document),
		TEST(test_blob_text),
		TEST(test_blob_last_wins),
		TEST(test_blob_missing),
		TEST(test_blob_locked),
		TEST(test_large_blob),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_decode_refuses),
	};

	return cmocka_run_group_tests_name("reducers", tests, NULL, NULL);
}
