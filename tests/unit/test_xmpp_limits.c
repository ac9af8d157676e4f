/* SPDX-License-Identifier: MIT */
/* What is large, foreign or forged: snapshots and pages, items no stanza can
 * carry, addresses that are not ours or nobody's (bad-inputs C80, C88, C96). */
#include "xmpp_world.h"

/* ---- size ---- */

static void
world_large(size_t students)
{
	world_close();
	world_open(students, 200);
	for (size_t i = 1; i <= students; i++) {
		char id[24];

		snprintf(id, sizeof id, "u%zu", i);
		event(id);
	}
}

static void
large_snapshots_take_several_messages(void **state)
{
	size_t found = 0;

	(void)state;
	world_large(1000);
	subscribe_with(DESK, COUNTS, TEACHER, NULL);
	settle();
	while (messages() < 2 || found != messages()) {
		found = messages();
		turns(4);
	}
	assert_true(messages() < 1000 / 20); /* many items in one */
	for (size_t i = 1; i <= 1000; i++) {
		char id[24];

		snprintf(id, sizeof id, "u%zu", i);
		assert_int_equal(times_said("message", pseudonym(id)), 1);
	}
	for (size_t i = 0; i < n_said; i++)
		assert_true(strlen(said[i].text) <= SERVICE_OUT_MAX);
}

/* The text of the first element whose tag starts so; false when there is none. */
static bool
text_of(const char *xml, const char *tag, char *out, size_t max)
{
	const char *from = strstr(xml, tag);
	size_t n;

	if (from == NULL)
		return false;
	from = strchr(from, '>') + 1;
	n = strcspn(from, "<");
	assert_true(n < max);
	memcpy(out, from, n);
	out[n] = '\0';
	return true;
}

/* Pages through the node; each item must come once. */
static void
walk(const char *direction, const char *next, const char *set)
{
	char place[ITEM_ID_MAX + 1], asked[512];
	size_t pages = 0, items = 0;

	for (bool more = true; more; pages++) {
		ask("get", DESK, PS "<items node='" COUNTS
		    "'/>%s</pubsub>", set);
		assert_true(strlen(last_said()) <= SERVICE_OUT_MAX);
		for (const char *at = last_said(); (at = strstr(at, "<item id=")) != NULL; at++)
			items++;
		assert_non_null(strstr(last_said(), "<count>1000</count>"));
		more = text_of(last_said(), next, place, sizeof place);
		snprintf(asked, sizeof asked,
		    "<set xmlns='http://jabber.org/protocol/rsm'><%s>%s</%s></set>", direction,
		    place, direction);
		set = asked;
	}
	assert_int_equal(items, 1000);
	assert_true(pages > 2 && pages < 20);
	forget();
}

static void
items_are_paged_when_they_do_not_fit(void **state)
{
	(void)state;
	world_large(1000);
	walk("after", "<last>", "");
	walk("before", "<first ", "<set xmlns='http://jabber.org/protocol/rsm'><before/></set>");
}

static unsigned encoded;

static enum reduced
counting_reduce(void *state, const struct event *e)
{
	(void)e;
	++*(int64_t *)state;
	return REDUCED_CHANGED;
}

static void
counting_encode(const void *state, struct jsonw *w)
{
	encoded++;
	jsonw_object(w);
	jsonw_kint(w, "n", *(const int64_t *)state);
	jsonw_object_end(w);
}

static bool
counting_decode(void *state, struct json v)
{
	struct json n;

	return json_get(v, "n", &n) && json_int(n, state);
}

static const struct reducer counting = {
	REDUCER_HEADER, .version = 1, .size = sizeof(int64_t), .id = "t.counting",
	.reduce = counting_reduce, .encode = counting_encode, .decode = counting_decode,
};
static const struct reducer *const counting_only[] = { &counting, NULL };

/* Each item of a large node once and in order; and what is on other pages is
 * not encoded. */
static void
a_page_encodes_itself_alone(void **state)
{
	char last[ITEM_ID_MAX + 1] = "", next[ITEM_ID_MAX + 1];
	size_t items = 0;

	(void)state;
	world_reducers = counting_only;
	world_large(2000);
	encoded = 0;
	for (int page = 0; page < 20; page++) {
		forget();
		ask("get", DESK, PS "<items node='class/7b/t.counting'/><set "
		    "xmlns='http://jabber.org/protocol/rsm'><max>100</max><after>%s</after></set>"
		    "</pubsub>", last);
		for (const char *at = last_said(); (at = strstr(at, "<item id='")) != NULL; items++) {
			at += strlen("<item id='");
			snprintf(next, sizeof next, "%.*s", (int)strcspn(at, "'"), at);
			assert_true(strcmp(last, next) < 0);
			memcpy(last, next, sizeof last);
		}
	}
	assert_int_equal(items, 2000);
	assert_int_equal(encoded, 2000);
	ask("get", DESK, "<query xmlns='http://jabber.org/protocol/disco#items' "
	    "node='class/7b/t.counting'/>");
	ask("get", DESK, PS "<items node='class/7b/t.counting' max_items='3'/></pubsub>");
	assert_non_null(strstr(last_said(), pseudonym("u1998")));
	assert_int_equal(encoded, 2003);
}

static void
all_nodes_are_paged(void **state)
{
	(void)state;
	world_close();
	world_open(400, 200);
	ask("get", DESK, "<query xmlns='http://jabber.org/protocol/disco#items'/>");
	assert_true(strlen(last_said()) <= SERVICE_OUT_MAX);
	assert_non_null(strstr(last_said(), "<first index='0'>" NAMES "</first>"));
	ask("get", DESK, PS "<affiliations/></pubsub>");
	assert_true(strlen(last_said()) <= SERVICE_OUT_MAX);
	assert_non_null(strstr(last_said(), "</last><count>"));
}

static enum reduced
huge_reduce(void *state, const struct event *e)
{
	(void)e;
	++*(int *)state;
	return REDUCED_CHANGED;
}

/* The first event makes it too large for a stanza, the second small again. */
static void
huge_encode(const void *state, struct jsonw *w)
{
	static char text[70000];

	memset(text, 'x', sizeof text);
	jsonw_str(w, (struct str){ text, *(const int *)state == 1 ? sizeof text : 10 });
}

static bool
huge_decode(void *state, struct json v)
{
	(void)state, (void)v;
	return false;
}

static const struct reducer huge = { REDUCER_HEADER, .id = "activity.event_count", .version = 1,
	.size = sizeof(int), .reduce = huge_reduce, .encode = huge_encode, .decode = huge_decode };
static const struct reducer *const huge_only[] = { &huge, NULL };

static void
too_large_an_item_is_skipped(void **state)
{
	(void)state;
	world_close();
	world_reducers = huge_only;
	world_open(3, 200);
	log_set_level((enum log_level)-1); /* it warns */
	event("u1");
	event("u2");
	event("u2");
	subscribe(DESK, COUNTS, TEACHER);
	ask("get", DESK, PS "<items node='" COUNTS
	    "'/></pubsub>");
	assert_null(strstr(last_said(), pseudonym("u1")));
	assert_non_null(strstr(last_said(), pseudonym("u2")));
	assert_int_equal(metric_value[METRIC_XMPP_TOO_LARGE], 2);
	event("u1");
	turns(3);
	assert_int_equal(times_said("message", pseudonym("u1")), 1);
}

/* ---- foreign and forged ---- */

static void
stanzas_for_others_are_dropped(void **state)
{
	static const char *const stanzas[] = {
		"<iq type='get' id='1' to='" SERVICE "'>" PING "</iq>",
		"<iq type='get' id='1' from='' to='" SERVICE "'>" PING "</iq>",
		"<iq type='get' id='1' from='" DESK "'>" PING "</iq>",
		"<iq type='get' id='1' from='" DESK "' to='other.test'>" PING "</iq>",
		"<iq type='get' id='1' from='" DESK "' to='x@other.test'>" PING "</iq>",
		"<iq type='get' id='1' from='" DESK "' to='" SERVICE ".evil.test'>" PING "</iq>",
		"<iq xmlns:x='urn:x' type='get' id='1' x:from='" DESK "' to='" SERVICE "'>" PING
		"</iq>",
		"<iq xmlns='jabber:client' type='get' id='1' from='" DESK "' to='" SERVICE "'>" PING
		"</iq>",
		"<unknown from='" DESK "' to='" SERVICE "'/>",
		"<message from='" DESK "' to='" SERVICE "'><body>hi</body></message>",
		"<presence from='" SERVER "' to='" SERVICE "'/>",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(stanzas); i++)
		tell("%s", stanzas[i]);
	assert_int_equal(n_said, 0);
	assert_int_equal(metric_value[METRIC_XMPP_IGNORED], COUNT(stanzas));
	assert_int_equal(metric_value[METRIC_XMPP_IN], COUNT(stanzas));
}

static void
requests_without_id_or_type(void **state)
{
	(void)state;
	tell("<iq type='get' from='" DESK "' to='" SERVICE "'>" PING "</iq>");
	assert_int_equal(times_said("iq", "<bad-request "), 1);
	tell("<iq id='1' from='" DESK "' to='" SERVICE "'>" PING "</iq>");
	assert_int_equal(times_said("iq", "<bad-request "), 2);
	ask("what", DESK, PING);
	assert_int_equal(times_said("iq", "<bad-request "), 3);
}

/* A server or component may ask, but is nobody who can read. */
static void
who_is_no_person_reads_nothing(void **state)
{
	(void)state;
	ask("get", SERVER, PING);
	assert_int_equal(times_said("iq", "type='result'"), 1);
	subscribe_with("bot.school.test", COUNTS, "bot.school.test", NULL);
	assert_int_equal(times_said("iq", "<invalid-jid "), 1);
	ask("get", "bot.school.test", PS "<items node='" COUNTS
	    "'/></pubsub>");
	assert_int_equal(times_said("iq", "<closed-node "), 1);
	ask("get", "bot.school.test", PS
	    "<subscriptions/></pubsub>");
	assert_int_equal(times_said("iq", "<subscriptions/>"), 1);
	ask("set", "bot.school.test", PS "<unsubscribe node='"
	    COUNTS "' jid='bot.school.test'/></pubsub>");
	assert_int_equal(times_said("iq", "<forbidden "), 1);
}

static void
too_large_a_request_costs_one_error(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	for (int i = 0; i < 9000; i++)
		buf_z(&b, "<x>text</x>");
	buf_byte(&b, '\0');
	tell("<iq type='set' id='big' from='" DESK "' to='" SERVICE "'>%s</iq>", b.data);
	assert_int_equal(n_said, 1);
	assert_string_equal(said[0].id, "big");
	assert_non_null(strstr(said[0].text, "<policy-violation "));
	tell("<iq type='result' id='big' from='" DESK "' to='" SERVICE "'>%s</iq>", b.data);
	tell("<message id='big' from='" DESK "' to='" SERVICE "'>%s</message>", b.data);
	assert_int_equal(n_said, 1);
	ask("get", DESK, PING);
	assert_int_equal(n_said, 2);
	buf_free(&b);
}

/* Whatever a peer names comes back as XML; the ears of this test insist. */
static void
names_of_others_are_encoded(void **state)
{
	(void)state;
	tell("<iq type='get' id='&lt;&quot;&apos;&#x9;\xef\xbf\xbd' from='" DESK "' to='" SERVICE
	    "'>" PING "</iq>");
	assert_int_equal(n_said, 1);
	ask("get", TEACHER "/&lt;&apos;&amp;",
	    "<query xmlns='http://jabber.org/protocol/disco#items' node='&lt;b c=&apos;&gt;'/>");
	assert_int_equal(n_said, 2);
	presence(TEACHER "/&lt;&apos;&amp;", NULL);
	subscribe_with(TEACHER "/&lt;&apos;&amp;", COUNTS, TEACHER "/&lt;&apos;&amp;", NULL);
	event("u1");
	settle();
	assert_int_equal(messages(), 1);
	assert_string_equal(said[n_said - 1].to, TEACHER "/<'&");
}

static void
long_addresses_are_carried(void **state)
{
	char resource[1024], longer[1025];

	(void)state;
	memset(resource, '"', 1023);
	resource[1023] = '\0';
	memset(longer, 'r', 1024);
	longer[1024] = '\0';
	tell("<presence from='" TEACHER "/%s' to='" SERVICE "'/>", resource);
	tell("<iq type='set' id='s' from='" TEACHER "/%s' to='" SERVICE "'>" PS
	    "<subscribe node='" COUNTS "' jid='" TEACHER "/%s'/></pubsub></iq>", resource,
	    resource);
	assert_int_equal(times_said("iq", "subscription='subscribed'"), 1);
	for (size_t i = 1; i <= 3; i++)
		event(i == 1 ? "u1" : i == 2 ? "u2" : "u3");
	turns(4);
	assert_int_equal(messages(), 1);
	tell("<iq type='set' id='s' from='" TEACHER "/%s' to='" SERVICE "'>" PS
	    "<subscribe node='" COUNTS "' jid='" TEACHER "/%s'/></pubsub></iq>", longer, longer);
	assert_int_equal(times_said("iq", "<invalid-jid "), 1);
}

static void
status_tells_numbers(void **state)
{
	struct buf b = BUF_INIT(0);
	struct jsonw w = jsonw_to(&b);

	(void)state;
	presence(DESK, NULL);
	subscribe(DESK, COUNTS, DESK);
	subscribe(DESK, NAMES, TEACHER);
	event("u1");
	turns(3);
	jsonw_object(&w);
	service_write(service, &w);
	jsonw_object_end(&w);
	buf_byte(&b, '\0');
	assert_non_null(strstr(b.data, "\"subscriptions\":2"));
	assert_non_null(strstr(b.data, "\"temporary\":1"));
	assert_non_null(strstr(b.data, "\"in_flight\":2"));
	buf_free(&b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(large_snapshots_take_several_messages),
		CASE(items_are_paged_when_they_do_not_fit), CASE(a_page_encodes_itself_alone), CASE(all_nodes_are_paged),
		CASE(too_large_an_item_is_skipped), CASE(stanzas_for_others_are_dropped),
		CASE(requests_without_id_or_type), CASE(who_is_no_person_reads_nothing),
		CASE(too_large_a_request_costs_one_error), CASE(names_of_others_are_encoded),
		CASE(long_addresses_are_carried), CASE(status_tells_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
