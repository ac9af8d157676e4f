/* SPDX-License-Identifier: MIT */
/* Tests of entity capabilities (XEP-0115): the hash, by the examples of the
 * XEP, and the presence that carries it. */
#include "xmpp_world.h"

#define QUERY(inside) "<query xmlns='http://jabber.org/protocol/disco#info'>" inside "</query>"
#define FEATURE(var) "<feature var='" var "'/>"
#define VALUES(var, type, values) "<field var='" var "'" type ">" values "</field>"
#define FEATURES /* not in order */                                            \
	FEATURE("http://jabber.org/protocol/muc") FEATURE("http://jabber.org/protocol/caps") \
	FEATURE("http://jabber.org/protocol/disco#items")                      \
	FEATURE("http://jabber.org/protocol/disco#info")
#define FEATURES_TEXT "http://jabber.org/protocol/caps<"                       \
	"http://jabber.org/protocol/disco#info<http://jabber.org/protocol/disco#items<" \
	"http://jabber.org/protocol/muc<"

static void
simple_vector(void **state)
{
	char ver[CAPS_VER_LEN + 1];

	(void)state;
	caps_ver(STR_LIT(QUERY("<identity category='client' type='pc' name='Exodus 0.9.1'/>"
	    FEATURES)), ver);
	assert_string_equal(ver, "QgayPKawpkPSDYmwT/WM94uAlu0="); /* §5.2 */
}

static void
text_cb(void *arg, const struct xml *query)
{
	caps_text(query, arg);
}

static const struct xml_reader_ops text_ops = {
	ears_header_cb, text_cb, ears_refused_cb, ears_nothing_cb
};

/* §5.3, but for the languages of its identities; and a form that does not count. */
static void
form_is_sorted_in(void **state)
{
	struct buf out = BUF_INIT(0);
	struct xml_reader *r = xml_reader_new(&text_ops, &out);

	(void)state;
	xml_reader_feed(r, STR_LIT(WORLD_HEADER QUERY(
	    "<identity category='client' type='pc' name='Psi 0.11'/>"
	    "<identity category='client' type='mobile'/>" FEATURES
	    "<x xmlns='jabber:x:data' type='result'>"
	    VALUES("FORM_TYPE", " type='hidden'", "<value>urn:xmpp:dataforms:softwareinfo</value>")
	    VALUES("os", "", "<value>Mac</value>")
	    VALUES("ip_version", "", "<value>ipv6</value><value>ipv4</value>")
	    VALUES("os_version", "", "<value>10.5.1</value>") "</x>"
	    "<x xmlns='jabber:x:data' type='result'>"
	    VALUES("FORM_TYPE", "", "<value>urn:none</value>") "</x>")));
	xml_reader_free(r);
	assert_true(str_is(buf_view(&out), "client/mobile//<client/pc//Psi 0.11<" FEATURES_TEXT
	    "urn:xmpp:dataforms:softwareinfo<ip_version<ipv4<ipv6<os<Mac<os_version<10.5.1<"));
	buf_free(&out);
}

/* The ver of the last presence said. */
static const char *
ver_said(void)
{
	static char ver[CAPS_VER_LEN + 1];
	const char *at = strstr(last_said(), " ver='");

	assert_non_null(at);
	memcpy(ver, at + strlen(" ver='"), CAPS_VER_LEN);
	assert_int_equal(at[strlen(" ver='") + CAPS_VER_LEN], '\'');
	return ver;
}

/* What the last answer says, hashed by ourselves. */
static void
last_said_has(const char *ver)
{
	const char *from = strstr(last_said(), "<query "), *to = strstr(from, "</query>");
	char is[CAPS_VER_LEN + 1];

	caps_ver((struct str){ from, (size_t)(to - from) + strlen("</query>") }, is);
	assert_string_equal(is, ver);
}

static void
presence_is_answered_once(void **state)
{
	const char *ver;

	(void)state;
	presence(DESK, NULL);
	assert_int_equal(times_said("presence", "<c xmlns='http://jabber.org/protocol/caps' "
	    "hash='sha-1' node='" CAPS_NODE "' ver='"), 1);
	assert_string_equal(said[0].to, DESK);
	ver = ver_said();
	presence(DESK, NULL);
	assert_int_equal(n_said, 1);
	ask("get", DESK, "<query xmlns='http://jabber.org/protocol/disco#info'/>");
	last_said_has(ver);
	ask("get", DESK, "<query xmlns='http://jabber.org/protocol/disco#info' node='" CAPS_NODE
	    "#%s'/>", ver);
	assert_string_equal(said[2].type, "result");
	last_said_has(ver);
	ask("get", DESK, "<query xmlns='http://jabber.org/protocol/disco#info' node='" CAPS_NODE
	    "#none'/>");
	assert_string_equal(said[3].type, "error");
}

static void
presence_that_gets_no_answer(void **state)
{
	(void)state;
	presence(TEACHER, NULL);
	presence("other.school.test", NULL);
	presence(SERVICE, NULL);
	presence(SERVICE "/x", NULL);
	tell("<presence from='" DESK "' to='x@" SERVICE "'/>");
	bulk_room = false;
	presence(TEACHER "/phone", NULL);
	service_stop(service);
	assert_int_equal(n_said, 0);
}

static void
an_error_that_may_pass_ends_nothing(void **state)
{
	(void)state;
	presence(DESK, NULL);
	tell("<presence type='error' from='" DESK "' to='" SERVICE "'><error type='wait'/></presence>");
	assert_true(book_has_lease(service->book, DESK));
	tell("<presence type='error' from='" DESK "' to='" SERVICE "'><error type='cancel'/>"
	    "</presence>");
	assert_false(book_has_lease(service->book, DESK));
	assert_int_equal(n_said, 1);
}

static void
the_end_is_told(void **state)
{
	(void)state;
	presence(DESK, NULL);
	presence("parent@home.test/x", NULL);
	presence("second@school.test/x", NULL);
	presence("second@school.test/x", "unavailable");
	forget();
	service_stop(service);
	assert_int_equal(times_said("presence", "type='unavailable'"), 2);
	assert_int_equal(n_said, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(simple_vector), CASE(form_is_sorted_in), CASE(presence_is_answered_once),
		CASE(presence_that_gets_no_answer), CASE(an_error_that_may_pass_ends_nothing),
		CASE(the_end_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
