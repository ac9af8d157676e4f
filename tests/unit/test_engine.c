/* SPDX-License-Identifier: MIT */
/* Tests of flow/engine: which reducers see an event, what their states carry,
 * what counts once, and what a snapshot gives back. */
#include "flow/event.h"
#include "tests/unit/fold_rig.h"

/* ---- reducers to test with: what they do is in the event's name ---- */

struct tally {
	int64_t n;
	char pad[100]; /* garbled by a reducer that fails */
};

static enum reduced
tally_reduce(void *state, const struct event *e)
{
	struct tally *t = state;

	if (str_is(event_name(e), "same") || str_is(event_name(e), "fail"))
		memset(t, 0xee, sizeof *t);
	if (str_is(event_name(e), "same"))
		return REDUCED_SAME;
	if (str_is(event_name(e), "fail"))
		return REDUCED_FAILED;
	t->n++;
	return REDUCED_CHANGED;
}

/* Never fails. */
static enum reduced
tally_steady_reduce(void *state, const struct event *e)
{
	(void)e;
	((struct tally *)state)->n++;
	return REDUCED_CHANGED;
}

static void
tally_encode(const void *state, struct jsonw *w)
{
	const struct tally *t = state;

	jsonw_object(w);
	jsonw_kint(w, "n", t->n);
	jsonw_kint(w, "pad", t->pad[sizeof t->pad - 1]);
	jsonw_object_end(w);
}

static bool
tally_decode(void *state, struct json v)
{
	struct tally *t = state;
	struct json n, pad;
	int64_t byte;

	if (!json_get(v, "n", &n) || !json_get(v, "pad", &pad) || !json_int(pad, &byte))
		return false;
	t->pad[sizeof t->pad - 1] = (char)byte;
	return json_int(n, &t->n) && t->n < 1000;
}

static void
tally_init(void *state)
{
	struct tally *t = state;

	t->pad[sizeof t->pad - 1] = 7;
}

#define TALLY REDUCER_HEADER, .version = 1, .size = sizeof(struct tally), \
	.reduce = tally_reduce, .encode = tally_encode, .decode = tally_decode

/* Owns memory: the events' names, one after the other. */
struct names {
	struct buf all;
};

static enum reduced
names_reduce(void *state, const struct event *e)
{
	struct names *s = state;

	if (str_is(event_name(e), "fail"))
		return REDUCED_FAILED;
	if (str_is(event_name(e), "same"))
		return REDUCED_SAME;
	buf_str(&s->all, event_name(e));
	return REDUCED_CHANGED;
}

static void
names_encode(const void *state, struct jsonw *w)
{
	jsonw_str(w, buf_view(&((const struct names *)state)->all));
}

static bool
names_decode(void *state, struct json v)
{
	struct str s;

	return json_str(v, &s) && buf_str(&((struct names *)state)->all, s) == ERR_OK;
}

static void
names_fini(void *state)
{
	buf_free(&((struct names *)state)->all);
}

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

static const struct reducer any = { TALLY, .id = "t.any", .init = tally_init };
static const struct reducer sourced = { TALLY, .id = "t.sourced", .source = "org.a" };
static const struct reducer steady = { REDUCER_HEADER, .id = "t.steady", .version = 1,
	.size = sizeof(struct tally), .reduce = tally_steady_reduce, .encode = tally_encode,
	.decode = tally_decode };
static const struct reducer picky = { TALLY, .id = "t.picky", .events = { "open", "save_blob" } };
static const struct reducer doc = { TALLY, .id = "t.doc", .key_id = "Other.doc", .scope = { "doc_id" } };
static const struct reducer pair = { TALLY, .id = "t.pair", .scope = { "a", "b" } };
static const struct reducer deep = { TALLY, .id = "t.deep", .scope = { "o.x", "source" } };
static const struct reducer owner = { REDUCER_HEADER, .id = "t.owner", .version = 1,
	.size = sizeof(struct names), .reduce = names_reduce, .encode = names_encode,
	.decode = names_decode, .fini = names_fini };
static const struct reducer hidden = { TALLY, .id = "t.hidden", .internal = true };
static const struct reducer prober = { REDUCER_HEADER, .id = "t.prober", .version = 1, .size = 1,
	.reduce = probe_reduce, .encode = tally_encode, .decode = tally_decode };

static struct rig rig;

/* Starts with these reducers; ends with NULL. */
#define START(...) \
	do { \
		static const struct reducer *const start_[] = { __VA_ARGS__, NULL }; \
		rig = rig_new(start_); \
	} while (0)

static int
setup(void **state)
{
	(void)state;
	probe = NULL;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	rig = (struct rig){ 0 };
	return 0;
}

#define event(session, ...) rig_event(&rig, session, (struct rig_event){ __VA_ARGS__ })
#define assert_json(key, json) assert_string_equal(rig_json(&rig, key), json)

static const struct state *
state_of(const char *key)
{
	const struct state *s = engine_state(rig.e, str_of(key));

	if (s == NULL)
		fail_msg("no state %s", key);
	return s;
}

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
	assert_null(engine_state(rig.e, STR_LIT("Internal,t.pair,EventField.a:1,EventField.b:1,STUDENT:s")));
	buf_free(&old);
}

/* ---- what the event says ---- */

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

/* ---- what changed ---- */

static void
test_changed(void **state)
{
	uint64_t a, b;
	struct state *s;

	(void)state;
	START(&any, &hidden, &doc);
	a = rig_session(&rig, "a");
	b = rig_session(&rig, "b");
	assert_null(engine_changed(rig.e));
	event(b);
	event(a, .doc_id = "D");
	event(b);
	s = engine_changed(rig.e);
	assert_string_equal(s->key, "Internal,t.any,STUDENT:b");
	assert_false(s->changed);
	s = s->next_changed;
	assert_string_equal(s->key, "Internal,t.any,STUDENT:a");
	s = s->next_changed;
	assert_string_equal(s->key, "Internal,Other.doc,EventField.doc_id:D,STUDENT:a");
	assert_null(s->next_changed);
	assert_null(engine_changed(rig.e));
	event(a, .name = "same");
	event(a, .name = "fail");
	assert_null(engine_changed(rig.e));
	event(a);
	s = engine_changed(rig.e);
	assert_string_equal(s->key, "Internal,t.any,STUDENT:a");
	assert_null(s->next_changed);
	assert_json("Internal,t.hidden,STUDENT:a", "{\"n\":2,\"pad\":0}");
}

struct flushed {
	struct buf text;
};

static void
flushed_cb(void *arg, const struct state *s, struct str json)
{
	struct flushed *f = arg;

	buf_printf(&f->text, "%s=%.*s;", s->key, STR_ARG(json));
}

static void
test_flush_dirty(void **state)
{
	struct flushed f = { 0 };
	uint64_t a;

	(void)state;
	START(&any, &hidden);
	a = rig_session(&rig, "a");
	event(a);
	event(a);
	engine_flush_dirty(rig.e, flushed_cb, &f);
	assert_str(buf_view(&f.text), "Internal,t.any,STUDENT:a={\"n\":2,\"pad\":7};"
	    "Internal,t.hidden,STUDENT:a={\"n\":2,\"pad\":0};");
	buf_clear(&f.text);
	event(a, .name = "same");
	engine_flush_dirty(rig.e, flushed_cb, &f);
	assert_int_equal(f.text.len, 0);
	event(a);
	engine_flush_dirty(rig.e, flushed_cb, &f);
	assert_non_null(memmem(f.text.data, f.text.len, "\"n\":3", 5));
	buf_free(&f.text);
}

static void
test_each(void **state)
{
	struct flushed f = { 0 };

	(void)state;
	START(&steady, &any);
	engine_each(rig.e, flushed_cb, &f);
	assert_int_equal(f.text.len, 0);
	event(rig_session(&rig, "b"));
	event(rig_session(&rig, "a"));
	engine_each(rig.e, flushed_cb, &f);
	assert_str(buf_view(&f.text),
	    "Internal,t.any,STUDENT:a={\"n\":1,\"pad\":7};Internal,t.any,STUDENT:b={\"n\":1,\"pad\":7};"
	    "Internal,t.steady,STUDENT:a={\"n\":1,\"pad\":0};"
	    "Internal,t.steady,STUDENT:b={\"n\":1,\"pad\":0};");
	buf_free(&f.text);
}

/* ---- snapshots ---- */

/* A little of everything; ends with two live sessions. */
static void
some_history(uint64_t *a, uint64_t *b)
{
	struct session_record s = rig_student("a");

	s.sec = SEC_NONE;
	s.stream = STR_LIT("x");
	s.locked = STR_LIT("{\"a\":\"1\"}");
	*a = rig_state_session(&rig, 0, &s);
	*b = rig_session(&rig, "b,");
	for (unsigned i = 1; i < 20; i++) {
		char doc_id[8];

		snprintf(doc_id, sizeof doc_id, "D%u", i % 3);
		rig.now += 1000000;
		event(*a, .stream_seq = i, .doc_id = doc_id, .json = "{\"b\":5}");
		event(*b, .name = i % 5 == 0 ? "fail" : "n", .doc_id = "E");
	}
	stream_of(engine_streams(rig.e), STR_LIT("a"), STR_LIT("only asked for"));
}

#define START_ALL() START(&any, &steady, &picky, &doc, &pair, &owner, &hidden)

static void
test_save_and_load(void **state)
{
	uint64_t a, b;
	struct rig again;
	struct rig_saved *before, *after;
	char digest[65], other[65];
	const struct state *s, *t;

	(void)state;
	START_ALL();
	some_history(&a, &b);
	again = rig_reload(&rig);
	before = rig_save(rig.e);
	after = rig_save(again.e);
	rig_assert_same(before, after);
	engine_digest(rig.e, digest);
	engine_digest(again.e, other);
	assert_string_equal(digest, other);
	assert_int_equal(engine_position(again.e), rig.seq);
	s = state_of("Internal,Other.doc,EventField.doc_id:D1,STUDENT:a");
	t = engine_state(again.e, str_of(s->key));
	assert_int_equal(t->seq, s->seq);
	assert_int_equal(t->position, s->position);
	assert_true(t->time_us == s->time_us);
	assert_int_equal(t->sec, SEC_NONE);
	assert_string_equal(t->scope, "D1");
	assert_string_equal(t->student->id, "a");
	assert_null(engine_changed(again.e));
	rig_saved_free(before);
	rig_saved_free(after);
	rig_free(&again);
}

/* Sessions live on in the entries: the tail folds as if nothing had been. */
static void
test_goes_on_after_load(void **state)
{
	uint64_t a, b;
	struct rig again, *both[] = { &rig, &again };
	struct rig_saved *one, *two;

	(void)state;
	START_ALL();
	some_history(&a, &b);
	again = rig_reload(&rig);
	for (size_t i = 0; i < COUNT(both); i++) {
		rig_event(both[i], a, (struct rig_event){ .stream_seq = 19 }); /* a repeat */
		rig_event(both[i], a, (struct rig_event){ .stream_seq = 20, .doc_id = "D1" });
		rig_event(both[i], b, (struct rig_event){ .name = "fail" });
		rig_event(both[i], rig_session(both[i], "c"), (struct rig_event){ .doc_id = "F" });
	}
	one = rig_save(rig.e);
	two = rig_save(again.e);
	rig_assert_same(one, two);
	rig_saved_free(one);
	rig_saved_free(two);
	rig_free(&again);
}

/* The same records fold to the same bytes, however often somebody looks. */
static void
test_replay_is_the_same(void **state)
{
	uint64_t a, b;
	struct rig live;
	char digest[65], other[65];
	struct flushed f = { 0 };

	(void)state;
	START_ALL();
	some_history(&a, &b);
	live = rig;
	START_ALL();
	some_history(&a, &b);
	engine_changed(rig.e);
	engine_flush_dirty(rig.e, flushed_cb, &f);
	engine_digest(live.e, digest);
	engine_digest(rig.e, other);
	assert_string_equal(digest, other);
	assert_int_equal(strlen(digest), 64);
	engine_forget_sessions(rig.e); /* who is connected is no part of it */
	engine_digest(rig.e, other);
	assert_string_equal(digest, other);
	event(rig_session(&rig, "z"));
	engine_digest(rig.e, other);
	assert_string_not_equal(digest, other);
	buf_free(&f.text);
	rig_free(&live);
}

/* After a load nobody knows what a store has. */
static void
test_loaded_is_dirty(void **state)
{
	struct rig again;
	struct flushed f = { 0 };

	(void)state;
	START(&any);
	event(rig_session(&rig, "a"));
	engine_flush_dirty(rig.e, flushed_cb, &f);
	buf_clear(&f.text);
	again = rig_reload(&rig);
	engine_flush_dirty(again.e, flushed_cb, &f);
	assert_str(buf_view(&f.text), "Internal,t.any,STUDENT:a={\"n\":1,\"pad\":7};");
	buf_free(&f.text);
	rig_free(&again);
}

/* Loads what rig saved into an engine with these reducers. */
static enum err
load_with(const struct reducer *first, const struct reducer *second)
{
	const struct reducer *all[] = { first, second, NULL };
	struct rig_saved *s = rig_save(rig.e);
	struct engine *e = rig_engine(all);
	enum err err = rig_load(e, s, s->n);

	engine_free(e);
	rig_saved_free(s);
	return err;
}

/* States of before are the fold only for exactly these reducers: one more would
 * have missed the past. */
static void
test_other_reducers(void **state)
{
	struct reducer changed;

	(void)state;
	START(&any, &doc);
	event(rig_session(&rig, "s"), .doc_id = "D");
	assert_int_equal(load_with(&any, &doc), ERR_OK);
	assert_int_equal(load_with(&any, NULL), ERR_DAMAGED);
	assert_int_equal(load_with(&any, &steady), ERR_DAMAGED);
	changed = doc;
	changed.version = 2;
	assert_int_equal(load_with(&any, &changed), ERR_DAMAGED);
	changed = doc;
	changed.source = "org.a";
	assert_int_equal(load_with(&any, &changed), ERR_DAMAGED);
	changed = doc;
	changed.key_id = NULL;
	assert_int_equal(load_with(&any, &changed), ERR_DAMAGED);
	changed = doc;
	changed.events[0] = "open";
	assert_int_equal(load_with(&any, &changed), ERR_DAMAGED);
	changed = doc;
	changed.scope[1] = "tab_id";
	assert_int_equal(load_with(&any, &changed), ERR_DAMAGED);
	rig_free(&rig);
	START(&any); /* nothing folded yet, yet it has seen records */
	rig_session(&rig, "s");
	assert_int_equal(load_with(&any, &doc), ERR_DAMAGED);
}

static struct engine *
empty_copy(void)
{
	return rig_engine(engine_reducers(rig.e));
}

/* Every entry cut short anywhere is refused and leaks nothing. */
static void
test_damaged_entries(void **state)
{
	uint64_t a, b;
	struct rig_saved *s;

	(void)state;
	START_ALL();
	some_history(&a, &b);
	s = rig_save(rig.e);
	for (size_t i = 0; i < s->n; i++) {
		struct engine *e = empty_copy();
		size_t whole = s->v[i].value_n;

		assert_int_equal(rig_load(e, s, i), ERR_OK);
		for (size_t n = 0; n < whole; n++) {
			s->v[i].value_n = n;
			if (rig_load(e, &(struct rig_saved){ .v[0] = s->v[i], .n = 1 }, 1) != ERR_DAMAGED)
				fail_msg("entry %zu cut to %zu of %zu bytes was taken", i, n, whole);
		}
		s->v[i].value_n = whole;
		engine_free(e);
	}
	rig_saved_free(s);
}

static void
test_refused_entries(void **state)
{
	uint64_t a, b;
	struct rig_saved *s;
	struct engine *e;

	(void)state;
	START_ALL();
	some_history(&a, &b);
	s = rig_save(rig.e);
	e = empty_copy();
	/* before the first entry has told whose they are */
	assert_int_equal(engine_load(e, s->v[1].kind, (struct str){ s->v[1].key, s->v[1].key_n },
	    (struct str){ s->v[1].value, s->v[1].value_n }), ERR_DAMAGED);
	assert_int_equal(rig_load(e, s, s->n), ERR_OK);
	/* the same state twice */
	assert_int_equal(engine_load(e, s->v[1].kind, (struct str){ s->v[1].key, s->v[1].key_n },
	    (struct str){ s->v[1].value, s->v[1].value_n }), ERR_DAMAGED);
	assert_int_equal(engine_load(e, 0, STR_LIT("k"), STR_LIT("v")), ERR_DAMAGED);
	assert_int_equal(engine_load(e, 200, STR_LIT("k"), STR_LIT("v")), ERR_DAMAGED);
	engine_free(e);
	rig_saved_free(s);
}

/* A value that the reducer itself refuses. */
static void
test_refused_value(void **state)
{
	uint64_t session;

	(void)state;
	START(&steady);
	session = rig_session(&rig, "s");
	for (int i = 0; i < 999; i++)
		event(session);
	assert_int_equal(load_with(&steady, NULL), ERR_OK);
	event(session);
	assert_int_equal(load_with(&steady, NULL), ERR_DAMAGED);
}

static void
test_empty(void **state)
{
	struct rig again;
	char digest[65], other[65];

	(void)state;
	START(&any);
	again = rig_reload(&rig);
	engine_digest(rig.e, digest);
	engine_digest(again.e, other);
	assert_string_equal(digest, other);
	assert_int_equal(engine_position(again.e), 0);
	engine_forget_sessions(again.e);
	rig_free(&again);
	engine_free(NULL);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_registration),
		TEST(test_shared_key_id),
		TEST(test_lookups),
		TEST(test_source),
		TEST(test_event_names),
		TEST(test_scope_fields),
		TEST(test_scope_key),
		TEST(test_scope_alternating),
		TEST(test_scope_locked),
		TEST(test_scope_too_long),
		TEST(test_states_of_one_student),
		TEST(test_moves),
		TEST(test_sec),
		TEST(test_failure_spares_siblings),
		TEST(test_owner_null),
		TEST(test_metric_states),
		TEST(test_repeats),
		TEST(test_seq_without_stream),
		TEST(test_failed_counts_as_seen),
		TEST(test_statements),
		TEST(test_unknown_session),
		TEST(test_unreadable_bodies),
		TEST(test_records_again),
		TEST(test_event_fields),
		TEST(test_event_long_key),
		TEST(test_many_locked),
		TEST(test_changed),
		TEST(test_flush_dirty),
		TEST(test_each),
		TEST(test_save_and_load),
		TEST(test_goes_on_after_load),
		TEST(test_replay_is_the_same),
		TEST(test_loaded_is_dirty),
		TEST(test_other_reducers),
		TEST(test_damaged_entries),
		TEST(test_refused_entries),
		TEST(test_refused_value),
		TEST(test_empty),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
