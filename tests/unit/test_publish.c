/* SPDX-License-Identifier: MIT */
/* Tests of flow/publish and of what the engine makes of published states: taken
 * once, kept over restarts and snapshots, and nothing that is wrong. */
#include "feed_world.h"

#include "flow/node.h"

static const char *
pseudonym(const char *id)
{
	static char out[4][PSEUDONYM_LEN + 1];
	static unsigned at;

	at = (at + 1) % 4;
	ident_pseudonym(KEY, str_of(id), out[at]);
	return out[at];
}

/* One item to the producer's only reducer, kept when it is right. */
static enum err
publish(struct producer *p, const char *id, const char *json)
{
	struct publish *b = publish_new(world.feed, world.roster, p, p->reducers[0]);
	const char *why = NULL;
	enum err e = publish_add(b, str_of(id), str_of(json), &why);

	assert_true((e == ERR_OK) == (why == NULL));
	if (e == ERR_OK) {
		uint64_t seq = publish_commit(b);

		rig_drain(&world.rig);
		assert_int_equal(engine_position(world.engine), seq);
	}
	publish_free(b);
	return e;
}

static const char *
state_json(const char *key)
{
	static struct buf out;
	struct state *s = engine_state(world.engine, str_of(key));

	if (s == NULL)
		return "none";
	buf_clear(&out);
	engine_encode(s, &out);
	buf_byte(&out, '\0');
	return out.data;
}

#define WORDS "Internal,t.words,STUDENT:a"

static uint64_t
some_events(int n)
{
	uint64_t s = world_session(&world, "a", "org.a"), seq = 0;

	for (int i = 0; i < n; i++)
		seq = world_event(&world, s);
	rig_drain(&world.rig);
	return seq;
}

static void
test_state(void **state)
{
	struct state *s;

	(void)state;
	some_events(3); /* 2, 3, 4 */
	engine_changed(world.engine);
	assert_int_equal(publish(world.words, pseudonym("a"), "{\"v\":1,\"position\":3,"
	    "\"time_us\":77,\"sec\":\"authenticated\",\"state\": { \"n\": 1.0, \"<\":\"\xc3\xa9\" }}"), ERR_OK);
	s = engine_state(world.engine, STR_LIT(WORDS));
	assert_non_null(s);
	assert_string_equal(state_json(WORDS), "{\"n\":1.0,\"\\u003c\":\"\\u00e9\"}");
	assert_int_equal(s->seq, 1);
	assert_int_equal(s->folded, 3);
	assert_int_equal(s->time_us, 77);
	assert_int_equal(s->sec, SEC_AUTHENTICATED);
	assert_true(s->position > 3);
	assert_ptr_equal(engine_changed(world.engine), s);
	/* what is not newer changes nothing */
	assert_int_equal(publish(world.words, pseudonym("a"), "{\"v\":1,\"position\":3,\"state\":9}"), ERR_OK);
	assert_int_equal(publish(world.words, pseudonym("a"), "{\"v\":1,\"position\":2,\"state\":9}"), ERR_OK);
	assert_int_equal(s->seq, 1);
	assert_null(engine_changed(world.engine));
	assert_int_equal(publish(world.words, pseudonym("a"), "{\"v\":1,\"position\":4,\"state\":[]}"), ERR_OK);
	assert_int_equal(s->seq, 2);
	assert_int_equal(s->sec, SEC_NONE);
	assert_string_equal(state_json(WORDS), "[]");
	assert_int_equal(engine_state_count(world.engine, world.words->reducers[0]), 1);
}

static void
test_acknowledgement(void **state)
{
	const struct reducer *r = world.words->reducers[0];

	(void)state;
	some_events(3);
	assert_int_equal(engine_acked(world.engine, r), 0);
	assert_int_equal(publish(world.words, "position", "{\"v\":1,\"position\":3}"), ERR_OK);
	assert_int_equal(engine_acked(world.engine, r), 3);
	assert_int_equal(publish(world.words, "position", "{\"v\":1,\"position\":2}"), ERR_OK);
	assert_int_equal(engine_acked(world.engine, r), 3);
	assert_int_equal(engine_acked(world.engine, world.docs->reducers[0]), 0);
	world_restart(&world);
	assert_int_equal(engine_acked(world.engine, world.words->reducers[0]), 3);
}

static void
test_scope(void **state)
{
	char id[ITEM_ID_MAX + 1], json[2000], long_doc[400];
	struct state *s;
	struct buf out = BUF_INIT(0);

	(void)state;
	some_events(3);
	snprintf(id, sizeof id, "%s/a%%2Fb%%2C%%C3%%A9", pseudonym("a"));
	assert_int_equal(publish(world.docs, id, "{\"v\":1,\"position\":2,\"state\":1}"), ERR_OK);
	assert_string_equal(state_json("Internal,t.docs,EventField.doc_id:a/b%2C\xc3\xa9,STUDENT:a"), "1");
	snprintf(id, sizeof id, "%s/~", pseudonym("a"));
	assert_int_equal(publish(world.docs, id, "{\"v\":1,\"position\":2,\"state\":2}"), ERR_OK);
	assert_string_equal(state_json("Internal,t.docs,EventField.doc_id:,STUDENT:a"), "2");
	/* where the id holds a hash, the values stand in the JSON */
	memset(long_doc, 'd', sizeof long_doc - 1);
	long_doc[sizeof long_doc - 1] = '\0';
	snprintf(json, sizeof json, "{\"v\":1,\"position\":2,\"scope\":[\"%s\"],\"state\":3}", long_doc);
	assert_int_equal(publish(world.docs, id, json), ERR_INVALID);
	{
		struct student t = { 0 };
		struct state like = { .reducer = world.docs->reducers[0], .student = &t,
			.scope = long_doc };

		memcpy(t.pseudonym, pseudonym("a"), PSEUDONYM_LEN);
		node_item_id(NODE_CLASS, &like, id);
	}
	assert_int_equal(publish(world.docs, id, json), ERR_OK);
	snprintf(json, sizeof json, "Internal,t.docs,EventField.doc_id:%s,STUDENT:a", long_doc);
	assert_string_equal(state_json(json), "3");
	/* and it is read back with them */
	s = engine_state(world.engine, str_of(json));
	publish_write(s, &out);
	buf_byte(&out, '\0');
	assert_non_null(strstr(out.data, "\"scope\":[\"dddd"));
	assert_non_null(strstr(out.data, "\"position\":2,"));
	buf_free(&out);
}

static void
test_wrong(void **state)
{
	const char *a = pseudonym("a");
	const struct {
		const char *id, *json;
		enum err e;
	} cases[] = {
		{ a, "", ERR_INVALID },
		{ a, "{", ERR_INVALID },
		{ a, "[]", ERR_INVALID },
		{ a, "{\"v\":2,\"position\":2,\"state\":1}", ERR_INVALID },
		{ a, "{\"position\":2,\"state\":1}", ERR_INVALID },
		{ a, "{\"v\":1,\"state\":1}", ERR_INVALID },
		{ a, "{\"v\":1,\"position\":0,\"state\":1}", ERR_INVALID },
		{ a, "{\"v\":1,\"position\":-1,\"state\":1}", ERR_INVALID },
		{ a, "{\"v\":1,\"position\":2.0,\"state\":1}", ERR_INVALID },
		{ a, "{\"v\":1,\"position\":\"2\",\"state\":1}", ERR_INVALID },
		{ a, "{\"v\":1,\"position\":99,\"state\":1}", ERR_INVALID }, /* of the future */
		{ a, "{\"v\":1,\"position\":2}", ERR_INVALID },
		{ a, "{\"v\":1,\"position\":2,\"state\":1,\"sec\":\"x\"}", ERR_INVALID },
		{ a, "{\"v\":1,\"position\":2,\"state\":1,\"time_us\":-1}", ERR_INVALID },
		{ a, "{\"v\":1,\"position\":2,\"state\":1,\"scope\":[\"x\"]}", ERR_INVALID },
		{ "", "{\"v\":1,\"position\":2,\"state\":1}", ERR_NOT_FOUND },
		{ "a", "{\"v\":1,\"position\":2,\"state\":1}", ERR_NOT_FOUND },
		{ "position/", "{\"v\":1,\"position\":2,\"state\":1}", ERR_NOT_FOUND },
		{ pseudonym("nobody"), "{\"v\":1,\"position\":2,\"state\":1}", ERR_NOT_FOUND },
	};
	char id[ITEM_ID_MAX + 1], deep[200] = "{\"v\":1,\"position\":2,\"state\":";
	const char *scopes[] = { "", "/", "/a,b", "/%", "/%4", "/%zz", "/%2f", "/a%61", "/~a", "/a/b" };
	uint64_t before;

	(void)state;
	some_events(3);
	before = engine_position(world.engine);
	for (size_t i = 0; i < COUNT(cases); i++)
		if (publish(world.words, cases[i].id, cases[i].json) != cases[i].e)
			fail_msg("%s %s", cases[i].id, cases[i].json);
	for (size_t i = 0; i < COUNT(scopes); i++) {
		snprintf(id, sizeof id, "%s%s", a, scopes[i]);
		if (publish(world.docs, id, "{\"v\":1,\"position\":2,\"state\":1}") != ERR_INVALID)
			fail_msg("%s", id);
	}
	memset(deep + strlen(deep), '[', 40);
	assert_int_equal(publish(world.words, a, deep), ERR_INVALID);
	assert_int_equal(engine_position(world.engine), before); /* nothing came of it */
}

/* A student whom only the roster knows, or who only ever was in a session. */
static void
test_students(void **state)
{
	(void)state;
	some_events(2);
	assert_int_equal(publish(world.words, pseudonym("quiet"), "{\"v\":1,\"position\":2,\"state\":1}"), ERR_OK);
	assert_string_equal(state_json("Internal,t.words,STUDENT:quiet"), "1");
}

/* ---- kept ---- */

struct entries {
	struct {
		uint8_t kind;
		char *key, *value;
		size_t key_n, value_n;
	} v[64];
	size_t n;
};

static void
entries_cb(void *arg, uint8_t kind, struct str key, struct str value)
{
	struct entries *s = arg;

	assert_true(s->n < COUNT(s->v));
	s->v[s->n].kind = kind;
	s->v[s->n].key = mem_dup(key.p, key.n);
	s->v[s->n].key_n = key.n;
	s->v[s->n].value = mem_dup(value.p, value.n);
	s->v[s->n++].value_n = value.n;
}

static void
test_kept(void **state)
{
	char before[65], after[65];
	struct entries saved = { .n = 0 };
	struct engine *e;

	(void)state;
	some_events(3);
	world_session(&world, "silent", "org.a");
	assert_int_equal(publish(world.words, pseudonym("a"), "{\"v\":1,\"position\":3,\"state\":{\"n\":1}}"), ERR_OK);
	assert_int_equal(publish(world.words, pseudonym("a"), "{\"v\":1,\"position\":4,\"state\":{\"n\":2}}"), ERR_OK);
	assert_int_equal(publish(world.words, "position", "{\"v\":1,\"position\":4}"), ERR_OK);
	engine_digest(world.engine, before);
	engine_save(world.engine, entries_cb, &saved);
	world_restart(&world); /* replay of the journal */
	engine_digest(world.engine, after);
	assert_string_equal(before, after);
	e = world_engine(world.producers); /* the snapshot */
	for (size_t i = 0; i < saved.n; i++) {
		assert_int_equal(engine_load(e, saved.v[i].kind,
		    (struct str){ saved.v[i].key, saved.v[i].key_n },
		    (struct str){ saved.v[i].value, saved.v[i].value_n }), ERR_OK);
		mem_free(saved.v[i].key);
		mem_free(saved.v[i].value);
	}
	engine_loaded(e, engine_position(world.engine));
	engine_digest(e, after);
	assert_string_equal(before, after);
	assert_int_equal(engine_acked(e, world.words->reducers[0]), 4);
	assert_non_null(engine_by_pseudonym(e, str_of(pseudonym("silent"))));
	engine_free(e);
	assert_int_equal(publish(world.words, pseudonym("a"), "{\"v\":1,\"position\":4,\"state\":9}"), ERR_OK);
	assert_string_equal(state_json(WORDS), "{\"n\":2}");
}

/* Records of a reducer that is not configured, or that do not read, cost nothing. */
static void
test_foreign(void **state)
{
	struct state_record r = { .reducer = STR_LIT("t.gone"), .student = STR_LIT("a"), .folded = 2,
		.json = STR_LIT("1") };
	struct buf body = BUF_INIT(0);
	struct str piece;

	(void)state;
	some_events(2);
	state_record_write(&body, &r);
	piece = buf_view(&body);
	journal_append(world.rig.j, RECORD_STATE, 0, T0, &piece, 1);
	for (size_t n = 0; n < body.len; n += 3) {
		piece.n = n;
		journal_append(world.rig.j, RECORD_STATE, 0, T0, &piece, 1);
	}
	buf_clear(&body);
	r.reducer = STR_LIT("t.words");
	r.scope = STR_LIT("one,too,many");
	state_record_write(&body, &r);
	piece = buf_view(&body);
	journal_append(world.rig.j, RECORD_STATE, 0, T0, &piece, 1);
	rig_drain(&world.rig);
	assert_string_equal(state_json(WORDS), "none");
	world_restart(&world);
	assert_string_equal(state_json(WORDS), "none");
	buf_free(&body);
}

/* ---- who ---- */

static void
test_who(void **state)
{
	(void)state;
	assert_ptr_equal(producers_find(world.producers, "words.school.test"), world.words);
	assert_ptr_equal(producers_find(world.producers, "Words.School.Test/r"), world.words);
	assert_ptr_equal(producers_find(world.producers, "me@school.test/phone"), world.docs);
	assert_ptr_equal(producers_find(world.producers, "ME@school.test"), world.docs);
	assert_null(producers_find(world.producers, "school.test"));
	assert_null(producers_find(world.producers, "x@words.school.test"));
	assert_null(producers_find(world.producers, "school.test/me@school.test"));
	assert_null(producers_find(world.producers, "you@school.test"));
	assert_null(producers_find(world.producers, ""));
	assert_null(producers_find(world.producers, "/"));
	assert_null(producers_find(world.producers, "@"));
	assert_non_null(producer_reducer(world.words, STR_LIT("t.words")));
	assert_null(producer_reducer(world.words, STR_LIT("t.docs")));
	assert_true(producer_takes(world.words, STR_LIT("any")));
	assert_false(producer_takes(world.docs, STR_LIT("any")));
}

static void
refused(struct conf_producer a, struct conf_producer b, const char *expected)
{
	struct conf_producer both[] = { a, b };
	struct conf c = { .producers = both, .n_producers = 2 };
	char *why = NULL;
	struct producers *p = producers_new(&c, &why);
	struct engine_options o = { .pseudonym_key = KEY };

	if (p != NULL) { /* the engine looks at the reducers */
		o.reducers = producers_reducers(p);
		assert_null(engine_new(&o, &why));
	}
	assert_non_null(why);
	if (strstr(why, expected) == NULL)
		fail_msg("%s", why);
	mem_free(why);
	producers_free(p);
}

static void
test_refused(void **state)
{
	static char *taken[] = { "activity.event_count" }, *fields[] = { "a", "b", "c", "d", "e" };
	struct conf_producer words = world_producers[0], docs = world_producers[1], other = docs;

	(void)state;
	other.jid = "WORDS.school.test";
	refused(words, other, "has the JID of");
	other = docs;
	other.reducers = words.reducers;
	refused(words, other, "t.words");
	other.reducers = (struct conf_list){ taken, 1 };
	refused(words, other, "activity.event_count");
	other = docs;
	other.scope = (struct conf_list){ fields, 5 };
	refused(words, other, "more than 4 fields");
}

static void
test_components(void **state)
{
	struct conf_component own = { .name = "writing", .jid = "writing.school.test",
		.process = "own" };
	struct conf c = { .components = &own, .n_components = 1 };
	char *why = NULL;
	struct producers *p = producers_new(&c, &why);
	size_t external = 0, all = 0;
	struct engine *e;

	(void)state;
	assert_non_null(p);
	assert_int_equal(producers_count(p), 1);
	for (const struct reducer *const *r = producers_reducers(p); *r != NULL; r++, all++)
		external += (*r)->external;
	assert_int_equal(external, 2);
	assert_ptr_equal(producers_reducers(p)[0], component_reducers()[0]);
	assert_true(producer_takes(producers_at(p, 0), STR_LIT("org.mitros.writing_analytics")));
	assert_false(producer_takes(producers_at(p, 0), STR_LIT("org.other")));
	e = world_engine(p);
	assert_true(engine_knows_source(e, STR_LIT("org.mitros.writing_analytics")));
	engine_free(e);
	producers_free(p);
	own.name = "blob"; /* has nothing but what the daemon itself needs */
	p = producers_new(&c, &why);
	assert_null(p);
	mem_free(why);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_state),
		CASE(test_acknowledgement),
		CASE(test_scope),
		CASE(test_wrong),
		CASE(test_students),
		CASE(test_kept),
		CASE(test_foreign),
		CASE(test_who),
		CASE(test_refused),
		CASE(test_components),
	};

	return cmocka_run_group_tests_name("publish", tests, NULL, NULL);
}
