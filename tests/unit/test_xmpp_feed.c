/* SPDX-License-Identifier: MIT */
/* Tests of xmpp/feed and xmpp/publish: a conversation of a producer with a service,
 * and what everybody else gets. */
#include "feed_world.h"

#include "xmpp/feed.h"

#define SERVICE "lectern.school.test"
#define PRODUCER "words.school.test"
#define HEADER "<stream:stream xmlns='jabber:component:accept' " \
	"xmlns:stream='http://etherx.jabber.org/streams' id='1'>"
#define PS "<pubsub xmlns='http://jabber.org/protocol/pubsub'>"
#define ITEM(id, json) "<item id='" id "'><payload xmlns='urn:xmpp:json-msg:0' datatype='x'>" \
	"<json xmlns='urn:xmpp:json:0'>" json "</json></payload></item>"

static struct hub *hub;
static struct kvs *kvs;
static struct service *service;
static struct xml_reader *mouth;
static struct buf said; /* stanzas, a line each */
static size_t n_said;

static bool
sink_send_cb(void *arg, struct str stanza)
{
	(void)arg;
	buf_str(&said, stanza);
	buf_byte(&said, '\n');
	n_said++;
	return true;
}

static bool
sink_yes_cb(void *arg)
{
	(void)arg;
	return true;
}

static bool
sink_no_cb(void *arg)
{
	(void)arg;
	return false;
}

static const struct service_sink sink = { sink_send_cb, sink_yes_cb, sink_no_cb };

static void
mouth_stanza_cb(void *arg, const struct xml *x)
{
	(void)arg;
	service_stanza(service, x);
}

static void
mouth_nothing_cb(void *arg, const struct xml *x)
{
	(void)arg, (void)x;
}

static void
mouth_end_cb(void *arg)
{
	(void)arg;
}

static const struct xml_reader_ops mouth_ops = {
	mouth_nothing_cb, mouth_stanza_cb, mouth_nothing_cb, mouth_end_cb
};

static void
turn_cb(void *left)
{
	if (--*(int *)left > 0)
		loop_defer(world.rig.loop, turn_cb, left);
	else
		loop_stop(world.rig.loop);
}

/* Lets what was asked be answered: the journal, the kvs, the loop. */
static void
settle(void)
{
	int n = 8;

	rig_drain(&world.rig);
	loop_defer(world.rig.loop, turn_cb, &n);
	loop_run(world.rig.loop);
}

static const char *
ask(const char *type, const char *from, const char *payload)
{
	struct buf b = BUF_INIT(0);

	buf_clear(&said);
	n_said = 0;
	buf_printf(&b, "<iq type='%s' id='q' from='%s' to='" SERVICE "'>" PS "%s</pubsub></iq>", type,
	    from, payload);
	assert_int_equal(xml_reader_feed(mouth, buf_view(&b)), XML_OK);
	buf_free(&b);
	settle();
	buf_byte(&said, '\0');
	said.len--;
	return said.data;
}

#define has(text, part) do { if (strstr(text, part) == NULL) fail_msg("no %s in %s", part, text); } while (0)
#define has_not(text, part) do { if (strstr(text, part) != NULL) fail_msg("%s in %s", part, text); } while (0)

static const char *
error_of(const char *type, const char *from, const char *payload)
{
	const char *answer = ask(type, from, payload);

	has(answer, "type='error'");
	assert_int_equal(n_said, 1);
	return answer;
}

static void
service_start(void)
{
	static const struct reducer *none[] = { NULL };
	struct service_options o = {
		.loop = world.rig.loop, .hub = hub, .kvs = kvs, .jid = SERVICE,
		.server = "school.test", .reducers = none, .window = 200, .feed = world.feed,
		.sink = &sink,
	};

	service = service_new(&o);
}

static void
loaded_cb(void *arg)
{
	(void)arg;
}

static int
setup(void **state)
{
	struct kvs_options ko = { 0 };
	char *why = NULL;

	world_setup(state);
	ko.loop = world.rig.loop;
	hub = hub_new(world.rig.loop, world.engine, world.roster);
	kvs = kvs_open("memory", &ko, &why);
	mouth = xml_reader_new(&mouth_ops, NULL);
	assert_int_equal(xml_reader_feed(mouth, STR_LIT(HEADER)), XML_OK);
	service_start();
	service_up(service);
	return 0;
}

static int
teardown(void **state)
{
	service_free(service);
	hub_free(hub);
	kvs_close(kvs);
	xml_reader_free(mouth);
	buf_free(&said);
	return world_teardown(state);
}

/* ---- events ---- */

static void
test_items(void **state)
{
	uint64_t s = world_session(&world, "a", "org.a");
	const char *answer;

	(void)state;
	world_event(&world, s); /* 2 */
	world_event(&world, s); /* 3 */
	settle();
	answer = ask("get", PRODUCER, "<items node='events/_all'/>");
	has(answer, "<iq type='result' from='" SERVICE "' to='" PRODUCER "' id='q'>");
	has(answer, "<items node='events/_all'><item id='2'><payload xmlns='urn:xmpp:json-msg:0' "
	    "datatype='urn:lectern:event:1'><json xmlns='urn:xmpp:json:0'>{\"v\":1,\"seq\":2,");
	has(answer, "</items><set xmlns='http://jabber.org/protocol/rsm'><first>2</first>"
	    "<last>3</last></set></pubsub></iq>");
	answer = ask("get", PRODUCER, "<items node='events/org.a'/>"
	    "<set xmlns='http://jabber.org/protocol/rsm'><after>2</after><max>5</max></set>");
	has_not(answer, "<item id='2'>");
	has(answer, "<item id='3'>");
	answer = ask("get", PRODUCER "/resource", "<items node='events/_all'/>"
	    "<set xmlns='http://jabber.org/protocol/rsm'><after>3</after></set>");
	has(answer, "<items node='events/_all'/></pubsub></iq>");
}

static void
test_items_wrong(void **state)
{
	static const char *const places[] = { "x", "1.", ".1", "1.2.3", "-1", "1 ", "99999999999999999999" };
	char text[300];

	(void)state;
	for (size_t i = 0; i < COUNT(places); i++) {
		snprintf(text, sizeof text, "<items node='events/_all'/>"
		    "<set xmlns='http://jabber.org/protocol/rsm'><after>%s</after></set>", places[i]);
		has(error_of("get", PRODUCER, text), "<bad-request");
	}
	has(error_of("get", PRODUCER, "<items node='events/_all'/>"
	    "<set xmlns='http://jabber.org/protocol/rsm'><before/></set>"), "<bad-request");
	has(error_of("get", PRODUCER, "<items node='events/'/>"), "<closed-node");
	has(error_of("get", PRODUCER, "<items node='events/%6frg.a'/>"), "<closed-node");
	has(error_of("get", "me@school.test/x", "<items node='events/org.b'/>"), "<closed-node");
	has(error_of("set", PRODUCER, "<publish node='events/_all'/>"), "<forbidden");
}

/* Whoever is no producer gets what he gets for a node that is not there. */
static void
test_strangers(void **state)
{
	static const char *const who[] = { "you@school.test/x", "other.school.test", "school.test",
		"x@words.school.test", "words.school.test.evil.test", "t@school.test" };
	static const char *const nodes[] = { "events/_all", "events/org.a", "state/t.words" };
	char mine[200], none[200], *first;

	(void)state;
	for (size_t i = 0; i < COUNT(who); i++)
		for (size_t k = 0; k < COUNT(nodes); k++) {
			static const char *const forms[] = { "<items node='%s'/>",
				"<subscribe node='%s' jid='x@y.z'/>", "<unsubscribe node='%s' jid='x@y.z'/>",
				"<publish node='%s'><item id='x'/></publish>" };

			for (size_t f = 0; f < COUNT(forms); f++) {
				snprintf(mine, sizeof mine, forms[f], nodes[k]);
				snprintf(none, sizeof none, forms[f], "class/none/x.y");
				first = mem_strdup(error_of(f == 0 ? "get" : "set", who[i], mine));
				assert_string_equal(first, error_of(f == 0 ? "get" : "set", who[i], none));
				mem_free(first);
			}
		}
}

/* ---- notifications ---- */

#define NOTE "<message from='" SERVICE "' to='" PRODUCER "' type='headline'>" \
	"<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='events/_all'><item id='"

static const char *
happen(uint64_t session)
{
	buf_clear(&said);
	n_said = 0;
	world_event(&world, session);
	settle();
	buf_byte(&said, '\0');
	said.len--;
	return said.data;
}

static void
test_notifications(void **state)
{
	uint64_t s = world_session(&world, "a", "org.a");

	(void)state;
	assert_string_equal(happen(s), ""); /* nobody has subscribed */
	has(ask("set", PRODUCER, "<subscribe node='events/_all' jid='" PRODUCER "'/>"),
	    "<subscription node='events/_all' jid='" PRODUCER "' subscription='subscribed'/>");
	ask("get", PRODUCER, "<items node='events/_all'/>");
	assert_string_equal(happen(s), ""); /* it got a page and will ask again */
	ask("get", PRODUCER, "<items node='events/_all'/><set xmlns='http://jabber.org/protocol/rsm'>"
	    "<after>3</after></set>");
	assert_int_equal(n_said, 1);
	has(happen(s), NOTE "4'/></items></event></message>");
	assert_int_equal(n_said, 1);
	assert_string_equal(happen(s), ""); /* one is enough */
	feed_door_tick(service->feed, loop_now_ms(world.rig.loop) + FEED_REMIND_MS);
	assert_int_equal(n_said, 1); /* it may have been lost */
	buf_clear(&said);
	n_said = 0;
	feed_door_up(service->feed);
	assert_int_equal(n_said, 1); /* and so may everything on the old stream */
	has(ask("set", PRODUCER, "<unsubscribe node='events/_all' jid='" PRODUCER "'/>"), "type='result'");
	has(error_of("set", PRODUCER, "<unsubscribe node='events/_all' jid='" PRODUCER "'/>"),
	    "<not-subscribed");
	assert_string_equal(happen(s), "");
	has(error_of("set", PRODUCER, "<subscribe node='events/_all' jid='you@school.test'/>"),
	    "<invalid-jid");
	has(error_of("set", PRODUCER, "<subscribe node='events/_all'/>"), "<jid-required");
}

static void
test_subscription_kept(void **state)
{
	uint64_t s = world_session(&world, "a", "org.a");

	(void)state;
	has(ask("set", PRODUCER, "<subscribe node='events/org.a' jid='" PRODUCER "/x'/>"),
	    "subscription='subscribed'");
	service_free(service);
	service_start();
	service_load(service, loaded_cb, NULL);
	settle();
	service_up(service);
	has(happen(s), "to='" PRODUCER "/x' type='headline'");
}

/* ---- publish ---- */

static char *
publish_text(const char *reducer, const char *items)
{
	static char text[4000];

	snprintf(text, sizeof text, "<publish node='state/%s'>%s</publish>", reducer, items);
	return text;
}

static const char *
item(const char *student, const char *json)
{
	static char text[2000];
	char pseudonym[PSEUDONYM_LEN + 1];

	ident_pseudonym(KEY, str_of(student), pseudonym);
	snprintf(text, sizeof text, ITEM("%s", "%s"), pseudonym, json);
	return text;
}

static void
test_publish(void **state)
{
	uint64_t s = world_session(&world, "a", "org.a");
	const char *answer;

	(void)state;
	world_event(&world, s);
	settle();
	answer = ask("set", PRODUCER, publish_text("t.words", item("a", "{\"v\":1,\"position\":2,\"state\":7}")));
	assert_string_equal(answer, "<iq type='result' from='" SERVICE "' to='" PRODUCER "' id='q'/>\n");
	assert_int_equal(engine_state_count(world.engine, world.words->reducers[0]), 1);
	ask("set", PRODUCER, publish_text("t.words", ITEM("position", "{\"v\":1,\"position\":2}")));
	answer = ask("get", PRODUCER, "<items node='state/t.words'/>");
	has(answer, "<json xmlns='urn:xmpp:json:0'>{\"v\":1,\"position\":2,\"time_us\":");
	has(answer, "\"sec\":\"none\",\"state\":7}");
	has(answer, "<item id='position'><payload xmlns='urn:xmpp:json-msg:0' "
	    "datatype='urn:lectern:published:1'><json xmlns='urn:xmpp:json:0'>{\"v\":1,\"position\":2}");
	answer = ask("get", PRODUCER, "<items node='state/t.words'><item id='position'/></items>");
	has_not(answer, "\"state\":7");
	has(answer, "\"position\":2}");
	answer = ask("get", PRODUCER, "<items node='state/t.words'/>"
	    "<set xmlns='http://jabber.org/protocol/rsm'><after>zzz</after></set>");
	has(answer, "<items node='state/t.words'/></pubsub>");
}

/* The result comes after the commit and not before. */
static void
test_publish_is_a_promise(void **state)
{
	uint64_t s = world_session(&world, "a", "org.a");
	struct buf b = BUF_INIT(0);

	(void)state;
	world_event(&world, s);
	settle();
	buf_clear(&said);
	buf_printf(&b, "<iq type='set' id='q' from='" PRODUCER "' to='" SERVICE "'>" PS "%s</pubsub></iq>",
	    publish_text("t.words", item("a", "{\"v\":1,\"position\":2,\"state\":7}")));
	assert_int_equal(xml_reader_feed(mouth, buf_view(&b)), XML_OK);
	assert_int_equal(said.len, 0);
	settle();
	buf_byte(&said, '\0');
	has(said.data, "type='result'");
	buf_free(&b);
}

static void
test_publish_wrong(void **state)
{
	uint64_t s = world_session(&world, "a", "org.a"), before;
	char both[3000], first[1000];
	const char *answer;

	(void)state;
	world_event(&world, s);
	settle();
	before = engine_position(world.engine);
	has(error_of("set", PRODUCER, publish_text("t.docs", item("a", "1"))), "<forbidden");
	has(error_of("set", PRODUCER, publish_text("activity.event_count", item("a", "1"))), "<forbidden");
	has(error_of("set", PRODUCER, publish_text("none", item("a", "1"))), "<forbidden");
	has(error_of("get", PRODUCER, "<items node='state/t.docs'/>"), "<forbidden");
	has(error_of("set", PRODUCER, publish_text("t.words", "")), "<item-required");
	has(error_of("set", PRODUCER, publish_text("t.words", "<item/>")), "<invalid-payload");
	has(error_of("set", PRODUCER, publish_text("t.words", "<item id='a'><x xmlns='y'/></item>")),
	    "<invalid-payload");
	has(error_of("set", PRODUCER, publish_text("t.words", "<x xmlns='y'/>")), "<bad-request");
	has(error_of("set", PRODUCER, publish_text("t.words", item("nobody", "{\"v\":1,\"position\":2,"
	    "\"state\":1}"))), "<item-not-found");
	/* one wrong item and none is taken; the error names it */
	snprintf(first, sizeof first, "%s", item("a", "{\"v\":1,\"position\":2,\"state\":7}"));
	snprintf(both, sizeof both, "%s%s", first, ITEM("wrong&apos;id", "{\"v\":1,\"position\":2,\"state\":1}"));
	answer = error_of("set", PRODUCER, publish_text("t.words", both));
	has(answer, "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>item wrong'id: there is no such student</text>");
	has(error_of("set", PRODUCER, "<publish node='state/t.words'><item id='x'/></publish><publish-options/>"),
	    "publish-options");
	assert_int_equal(engine_position(world.engine), before);
	assert_int_equal(engine_state_count(world.engine, world.words->reducers[0]), 0);
	assert_true(world.words->error[0] != '\0');
}

/* Many states, read back in pages, each once. */
static void
test_read_back(void **state)
{
	char text[700], after[PSEUDONYM_LEN + 1] = "", id[16];
	size_t seen = 0;

	(void)state;
	for (int i = 0; i < 300; i++) {
		snprintf(id, sizeof id, "s%d", i);
		world_event(&world, world_session(&world, id, "org.a"));
	}
	settle();
	for (int i = 0; i < 300; i++) {
		snprintf(id, sizeof id, "s%d", i);
		snprintf(text, sizeof text, "{\"v\":1,\"position\":2,\"state\":\"%0*d\"}", 300, i);
		ask("set", PRODUCER, publish_text("t.words", item(id, text)));
	}
	for (;;) {
		const char *at;
		size_t n = 0;

		snprintf(text, sizeof text, "<items node='state/t.words'/><set xmlns="
		    "'http://jabber.org/protocol/rsm'><max>1000</max><after>%s</after></set>", after);
		at = ask("get", PRODUCER, text);
		assert_true(said.len <= SERVICE_OUT_MAX);
		while ((at = strstr(at, "<item id='")) != NULL) {
			at += 10;
			assert_true(strncmp(at, after, strcspn(at, "'")) > 0);
			snprintf(after, sizeof after, "%.*s", (int)strcspn(at, "'"), at);
			n++;
		}
		if (n == 0)
			break;
		seen += n;
	}
	assert_int_equal(seen, 301); /* and the acknowledgement */
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_items),
		CASE(test_items_wrong),
		CASE(test_strangers),
		CASE(test_notifications),
		CASE(test_subscription_kept),
		CASE(test_publish),
		CASE(test_publish_is_a_promise),
		CASE(test_publish_wrong),
		CASE(test_read_back),
	};

	return cmocka_run_group_tests_name("xmpp feed", tests, NULL, NULL);
}
