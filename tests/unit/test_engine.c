/* SPDX-License-Identifier: MIT */
/* Tests of flow/engine: which reducers see an event, where their states are kept
 * and what they carry. */
#include "tests/unit/fold_reducers.h"

/* ---- registration ---- */

static void
assert_refused(struct reducer *wrong, const char *because)
{
	const struct reducer *all[] = { &any, wrong, NULL };
	struct engine_options o = { .reducers = all, .pseudonym_key = RIG_KEY };
	char *why = NULL;
	struct engine *e = engine_new(&o, &why);

	if (e != NULL)
		fail_msg("taken, expected: %s", because);
	assert_non_null(why);
	if (strstr(why, because) == NULL)
		fail_msg("why is \"%s\", expected: %s", why, because);
	mem_free(why);
}

#define WRONG(because, ...) \
	do { \
		struct reducer wrong_ = doc; \
		struct reducer *w = &wrong_; \
		__VA_ARGS__; \
		assert_refused(w, because); \
	} while (0)

static void
test_registration(void **state)
{
	(void)state;
	WRONG("another version", w->abi = REDUCER_ABI + 1);
	WRONG("another version", w->abi_size--);
	WRONG("id is not", w->id = NULL);
	WRONG("id is not", w->id = "");
	WRONG("id is not", w->id = "nodot");
	WRONG("id is not", w->id = ".x");
	WRONG("id is not", w->id = "x.");
	WRONG("id is not", w->id = "a.b.c");
	WRONG("id is not", w->id = "a.B");
	WRONG("id is not", w->id = "a.b,STUDENT:x");
	WRONG("key_id has", w->key_id = "a,b");
	WRONG("key_id has", w->key_id = "");
	WRONG("size", w->size = 0);
	WRONG("size", w->size = REDUCER_STATE_MAX + 1);
	WRONG("missing", w->reduce = NULL);
	WRONG("missing", w->encode = NULL);
	WRONG("missing", w->decode = NULL);
	WRONG("not sorted", w->scope[0] = "b", w->scope[1] = "a");
	WRONG("not sorted", w->scope[0] = "a", w->scope[1] = "a");
	WRONG("other characters", w->scope[0] = "a:b");
	WRONG("too many", w->scope[0] = "a", w->scope[1] = "b", w->scope[2] = "c",
	    w->scope[3] = "d", w->scope[4] = "e");
	WRONG("same id", w->id = "t.any");
	WRONG("same keys", w->key_id = "t.any", w->scope[0] = NULL);
}

/* The same name in keys is no clash where the fields differ. */
static void
test_shared_key_id(void **state)
{
	static const struct reducer tab = { TALLY, .id = "t.tab", .key_id = "Other.doc",
		.scope = { "doc_id", "tab_id" } };

	(void)state;
	START(&doc, &tab);
	event(rig_session(&rig, "s"), .doc_id = "D", .json = "{\"tab_id\":\"t.0\"}");
	assert_json("Internal,Other.doc,EventField.doc_id:D,STUDENT:s", "{\"n\":1,\"pad\":0}");
	assert_json("Internal,Other.doc,EventField.doc_id:D,EventField.tab_id:t.0,STUDENT:s",
	    "{\"n\":1,\"pad\":0}");
}

static void
test_lookups(void **state)
{
	struct student *s;

	(void)state;
	START(&any, &sourced);
	assert_ptr_equal(engine_reducer(rig.e, STR_LIT("t.any")), &any);
	assert_null(engine_reducer(rig.e, STR_LIT("t.an")));
	assert_ptr_equal(engine_reducers(rig.e)[1], &sourced);
	assert_true(engine_knows_source(rig.e, STR_LIT("org.a")));
	assert_false(engine_knows_source(rig.e, STR_LIT("org.")));
	assert_null(engine_student(rig.e, STR_LIT("s")));
	event(rig_session(&rig, "s"));
	s = engine_student(rig.e, STR_LIT("s"));
	assert_string_equal(s->id, "s");
	assert_int_equal(strlen(s->pseudonym), PSEUDONYM_LEN);
	assert_ptr_equal(engine_by_pseudonym(rig.e, str_of(s->pseudonym)), s);
	assert_null(engine_by_pseudonym(rig.e, STR_LIT("s")));
	assert_int_equal(s->n_states, 1);
	assert_ptr_equal(s->states, state_of("Internal,t.any,STUDENT:s"));
	assert_null(s->states->of_student);
	assert_ptr_equal(s->states->student, s);
	assert_null(engine_state(rig.e, STR_LIT("Internal,t.any,STUDENT:x")));
}

/* ---- who sees what ---- */

static void
test_source(void **state)
{
	uint64_t session;
	struct session_record none = rig_student("n");

	(void)state;
	START(&any, &sourced);
	session = rig_session(&rig, "s"); /* its source is another one */
	event(session);
	assert_json("Internal,t.sourced,STUDENT:s", "");
	event(session, .source = "org.a");
	event(session, .source = "org.ab");
	event(session, .source = "org.");
	event(session, .source = "org.a");
	assert_json("Internal,t.sourced,STUDENT:s", "{\"n\":2,\"pad\":0}");
	assert_json("Internal,t.any,STUDENT:s", "{\"n\":5,\"pad\":7}");
	none.source = (struct str){ 0 };
	event(rig_state_session(&rig, 0, &none));
	assert_json("Internal,t.any,STUDENT:n", "{\"n\":1,\"pad\":7}");
	assert_json("Internal,t.sourced,STUDENT:n", "");
}

static void
test_event_names(void **state)
{
	uint64_t session;

	(void)state;
	START(&any, &picky);
	session = rig_session(&rig, "s");
	event(session, .name = "ope");
	event(session, .name = "opened");
	assert_json("Internal,t.picky,STUDENT:s", "");
	event(session, .name = "open");
	assert_json("Internal,t.picky,STUDENT:s", "{\"n\":1,\"pad\":0}");
	event(session, .name = "save_blob");
	assert_json("Internal,t.picky,STUDENT:s", "{\"n\":2,\"pad\":0}");
	assert_json("Internal,t.any,STUDENT:s", "{\"n\":3,\"pad\":7}");
}

/* ---- scope ---- */

static void
test_scope_fields(void **state)
{
	static const struct {
		const char *json, *scope; /* NULL: not reduced */
	} rows[] = {
		{ "{\"a\":\"1\",\"b\":\"2\"}", "1,2" },
		{ "{\"b\":2,\"a\":-1}", "-1,2" },
		{ "{\"a\":\"\",\"b\":\"\"}", "," },
		{ "{\"a\":\",:%\",\"b\":\"\\u0000\\u007f\\u00e9\"}", "%2C%3A%25,%00%7F\xc3\xa9" },
		{ "{\"a\":\"1\"}", NULL },
		{ "{\"a\":\"1\",\"b\":null}", NULL },
		{ "{\"a\":true,\"b\":\"2\"}", NULL },
		{ "{\"a\":1.5,\"b\":\"2\"}", NULL },
		{ "{\"a\":[],\"b\":\"2\"}", NULL },
		{ "{\"a\":{},\"b\":\"2\"}", NULL },
		{ "[]", NULL },
		{ "not json", NULL },
	};
	uint64_t failed = metric_value[METRIC_QUARANTINED];

	(void)state;
	START(&pair);
	for (size_t i = 0; i < COUNT(rows); i++) {
		char student[16];
		struct student *s;

		snprintf(student, sizeof student, "s%zu", i);
		event(rig_session(&rig, student), .json = rows[i].json);
		s = engine_student(rig.e, str_of(student));
		if (rows[i].scope == NULL)
			assert_null(s->states);
		else
			assert_string_equal(s->states->scope, rows[i].scope);
	}
	assert_int_equal(metric_value[METRIC_QUARANTINED], failed);
}

static void
test_scope_key(void **state)
{
	(void)state;
	START(&pair, &deep, &doc);
	event(rig_session(&rig, "s:1"), .doc_id = "D,1",
	    .json = "{\"a\":\"x,EventField.b:\",\"b\":\"y\",\"o\":{\"x\":5},\"doc_id\":\"ignored\"}");
	assert_int_equal(state_of("Internal,t.pair,EventField.a:x%2CEventField.b%3A,"
	    "EventField.b:y,STUDENT:s%3A1")->seq, 1);
	assert_int_equal(state_of("Internal,t.deep,EventField.o.x:5,"
	    "EventField.source:" RIG_WRITING ",STUDENT:s%3A1")->seq, 1);
	assert_string_equal(state_of("Internal,Other.doc,EventField.doc_id:D%2C1,"
	    "STUDENT:s%3A1")->scope, "D%2C1");
}

/* An empty value is a value. */
static void
test_scope_empty(void **state)
{
	uint64_t session;

	(void)state;
	START(&single);
	session = rig_session(&rig, "s");
	event(session, .json = "{\"a\":\"x\"}");
	event(session, .json = "{\"a\":\"\"}");
	event(session, .json = "{\"a\":\"x\"}");
	assert_int_equal(state_of("Internal,t.single,EventField.a:x,STUDENT:s")->seq, 2);
	assert_int_equal(state_of("Internal,t.single,EventField.a:,STUDENT:s")->seq, 1);
}

/* What is found without a look at the map must be the right state, too: values
 * that are each other's escaped spelling, prefixes, and back again. */
static void
test_scope_alternating(void **state)
{
	static const char *const ids[] = { "a,", "a%2C", "a", "a,b", "a%2C" };
	uint64_t session;

	(void)state;
	START(&doc);
	session = rig_session(&rig, "s");
	for (size_t i = 0; i < COUNT(ids); i++)
		event(session, .doc_id = ids[i]);
	assert_int_equal(state_of("Internal,Other.doc,EventField.doc_id:a%2C,STUDENT:s")->seq, 1);
	assert_int_equal(state_of("Internal,Other.doc,EventField.doc_id:a%252C,STUDENT:s")->seq, 2);
	assert_int_equal(state_of("Internal,Other.doc,EventField.doc_id:a,STUDENT:s")->seq, 1);
	assert_int_equal(state_of("Internal,Other.doc,EventField.doc_id:a%2Cb,STUDENT:s")->seq, 1);
}

static void
test_scope_locked(void **state)
{
	struct session_record s = rig_student("s");
	uint64_t session;

	(void)state;
	START(&pair);
	s.locked = STR_LIT("{\"a\":\"locked\"}");
	session = rig_state_session(&rig, 0, &s);
	event(session, .json = "{\"a\":\"own\",\"b\":\"own\"}");
	event(session, .json = "{\"b\":\"own\"}");
	assert_int_equal(state_of("Internal,t.pair,EventField.a:locked,EventField.b:own,"
	    "STUDENT:s")->seq, 2);
}

static void
test_scope_too_long(void **state)
{
	static char id[ENGINE_SCOPE_VALUE_MAX + 2];
	uint64_t failed = metric_value[METRIC_QUARANTINED], session;

	(void)state;
	START(&doc, &any);
	session = rig_session(&rig, "s");
	memset(id, ',', ENGINE_SCOPE_VALUE_MAX);
	event(session, .doc_id = id);
	assert_int_equal(metric_value[METRIC_QUARANTINED], failed);
	assert_int_equal(strlen(engine_student(rig.e, STR_LIT("s"))->states->of_student->scope),
	    3 * ENGINE_SCOPE_VALUE_MAX);
	id[ENGINE_SCOPE_VALUE_MAX] = ',';
	event(session, .doc_id = id);
	assert_int_equal(metric_value[METRIC_QUARANTINED], failed + 1);
	assert_json("Internal,t.any,STUDENT:s", "{\"n\":2,\"pad\":7}");
}

static void
test_states_of_one_student(void **state)
{
	uint64_t failed = metric_value[METRIC_QUARANTINED], session, other;
	struct student *s;

	(void)state;
	START(&doc, &steady);
	session = rig_session(&rig, "s");
	other = rig_session(&rig, "o");
	for (int i = 0; i <= ENGINE_STUDENT_STATES_MAX; i++) {
		char id[16];

		snprintf(id, sizeof id, "D%d", i);
		event(session, .doc_id = id);
	}
	s = engine_student(rig.e, STR_LIT("s"));
	assert_int_equal(s->n_states, ENGINE_STUDENT_STATES_MAX);
	/* One is the state of `steady`; two documents found no place. */
	assert_int_equal(metric_value[METRIC_QUARANTINED], failed + 2);
	event(session, .doc_id = "D0");
	assert_int_equal(state_of("Internal,Other.doc,EventField.doc_id:D0,STUDENT:s")->seq, 2);
	event(other, .doc_id = "new");
	assert_int_equal(engine_student(rig.e, STR_LIT("o"))->n_states, 2);
}

/* ---- what a state carries ---- */

static void
test_moves(void **state)
{
	uint64_t session;
	const struct state *s;

	(void)state;
	START(&any);
	session = rig_session(&rig, "s");
	event(session, .name = "same"); /* a null state is none */
	event(session, .name = "fail");
	assert_json("Internal,t.any,STUDENT:s", "");
	assert_null(engine_student(rig.e, STR_LIT("s"))->states);
	rig.now = RIG_T0 + 5;
	event(session);
	s = state_of("Internal,t.any,STUDENT:s");
	assert_ptr_equal(s->reducer, &any);
	assert_string_equal(s->scope, "");
	assert_int_equal(s->seq, 1);
	assert_int_equal(s->position, rig.seq);
	assert_true(s->time_us == RIG_T0 + 5);
	rig.now = RIG_T0 + 9;
	event(session, .name = "same");
	event(session, .name = "fail");
	assert_int_equal(s->seq, 1);
	assert_int_equal(s->position, rig.seq - 2);
	assert_true(s->time_us == RIG_T0 + 5);
	assert_json("Internal,t.any,STUDENT:s", "{\"n\":1,\"pad\":7}");
	assert_int_equal(engine_position(rig.e), rig.seq);
}

static uint64_t
session_of(enum sec sec)
{
	struct session_record s = rig_student("s");

	s.sec = sec;
	return rig_state_session(&rig, 0, &s);
}

/* A state is as trustworthy as the weakest that wrote into it. */
static void
test_sec(void **state)
{
	uint64_t good, middle, weak;
	const struct state *s;

	(void)state;
	START(&any);
	good = session_of(SEC_AUTHENTICATED);
	middle = session_of(SEC_UNAUTHENTICATED);
	weak = session_of(SEC_NONE);
	event(good);
	s = state_of("Internal,t.any,STUDENT:s");
	assert_int_equal(s->sec, SEC_AUTHENTICATED);
	event(weak, .name = "same"); /* wrote nothing */
	event(weak, .name = "fail");
	assert_int_equal(s->sec, SEC_AUTHENTICATED);
	event(middle);
	assert_int_equal(s->sec, SEC_UNAUTHENTICATED);
	event(good);
	assert_int_equal(s->sec, SEC_UNAUTHENTICATED);
	event(weak);
	assert_int_equal(s->sec, SEC_NONE);
}

static void
test_failure_spares_siblings(void **state)
{
	uint64_t failed = metric_value[METRIC_QUARANTINED], reduced = metric_value[METRIC_REDUCED];
	uint64_t session;

	(void)state;
	START(&any, &owner, &steady);
	session = rig_session(&rig, "s");
	event(session, .name = "a");
	event(session, .name = "fail");
	event(session, .name = "b");
	assert_json("Internal,t.any,STUDENT:s", "{\"n\":2,\"pad\":7}");
	assert_json("Internal,t.owner,STUDENT:s", "\"ab\"");
	assert_json("Internal,t.steady,STUDENT:s", "{\"n\":3,\"pad\":0}");
	assert_int_equal(metric_value[METRIC_QUARANTINED], failed + 2);
	assert_int_equal(metric_value[METRIC_REDUCED], reduced + 9);
}

/* A state that owns memory and does not come to be leaks nothing. */
static void
test_owner_null(void **state)
{
	uint64_t session;

	(void)state;
	START(&owner);
	session = rig_session(&rig, "s");
	event(session, .name = "same");
	event(session, .name = "fail");
	assert_json("Internal,t.owner,STUDENT:s", "");
	event(session, .name = "x");
	assert_json("Internal,t.owner,STUDENT:s", "\"x\"");
}

static void
test_metric_states(void **state)
{
	uint64_t before = metric_value[METRIC_STATES];

	(void)state;
	START(&any, &doc);
	event(rig_session(&rig, "a"), .doc_id = "D");
	event(rig_session(&rig, "b"));
	assert_int_equal(metric_value[METRIC_STATES], before + 3);
	rig_free(&rig);
	assert_int_equal(metric_value[METRIC_STATES], before);
	rig = (struct rig){ 0 };
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_registration),
		TEST(test_shared_key_id),
		TEST(test_lookups),
		TEST(test_source),
		TEST(test_event_names),
		TEST(test_scope_fields),
		TEST(test_scope_key),
		TEST(test_scope_empty),
		TEST(test_scope_alternating),
		TEST(test_scope_locked),
		TEST(test_scope_too_long),
		TEST(test_states_of_one_student),
		TEST(test_moves),
		TEST(test_sec),
		TEST(test_failure_spares_siblings),
		TEST(test_owner_null),
		TEST(test_metric_states),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
