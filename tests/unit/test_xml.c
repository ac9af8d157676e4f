/* SPDX-License-Identifier: MIT */
/* The reader of the component stream: limits, what is refused and what ends the
 * stream (bad-inputs C80-C84), and that it reads whatever the writer writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "xmpp/xml.h"

#define HEADER "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' " \
	"xmlns:stream='http://etherx.jabber.org/streams' id='s1' from='c.test'>"
#define NS "jabber:component:accept"

/* ---- a reader that writes down what it finds ---- */

static struct xml_reader *reader;
static size_t n_open, n_stanza, n_refused, n_close;
static struct buf seen;         /* each stanza written out again */
static void (*look)(const struct xml *x);
static bool stop_at_stanza;

static void
write_out(struct xmlw *w, const struct xml *x, unsigned depth)
{
	bool own = x->parent == NULL || strcmp(x->ns, x->parent->ns) != 0;

	xmlw_open(w, x->name, own ? x->ns : NULL);
	for (size_t i = 0; i < x->n_attrs; i++)
		xmlw_attrz(w, x->attrs[i].name, x->attrs[i].value);
	xmlw_text(w, x->text);
	for (const struct xml *c = x->first; c != NULL && depth < XMLW_DEPTH - 1; c = c->next)
		write_out(w, c, depth + 1);
	xmlw_close(w);
}

static void
on_open(void *arg, const struct xml *header)
{
	(void)arg;
	n_open++;
	assert_string_equal(header->name, "stream");
	assert_string_equal(header->ns, "http://etherx.jabber.org/streams");
}

static void
on_stanza(void *arg, const struct xml *x)
{
	struct xmlw w = xmlw_to(&seen);

	(void)arg;
	n_stanza++;
	if (look != NULL)
		look(x);
	write_out(&w, x, 0);
	if (stop_at_stanza)
		xml_reader_stop(reader);
}

static void
on_refused(void *arg, const struct xml *head)
{
	(void)arg;
	n_refused++;
	assert_null(head->first);
	assert_int_equal(head->text.n, 0);
	if (look != NULL)
		look(head);
}

static void
on_close(void *arg)
{
	(void)arg;
	n_close++;
}

static const struct xml_reader_ops ops = { on_open, on_stanza, on_refused, on_close };

static int
begin(void **state)
{
	(void)state;
	reader = xml_reader_new(&ops, NULL);
	seen = BUF_INIT(0);
	n_open = n_stanza = n_refused = n_close = 0;
	look = NULL;
	stop_at_stanza = false;
	return 0;
}

static int
end(void **state)
{
	(void)state;
	xml_reader_free(reader);
	buf_free(&seen);
	return 0;
}

static enum xml_error
feed(const char *text)
{
	return xml_reader_feed(reader, str_of(text));
}

static enum xml_error
feed_many(const char *piece, size_t times)
{
	struct buf b = BUF_INIT(0);
	enum xml_error e;

	for (size_t i = 0; i < times; i++)
		buf_z(&b, piece);
	e = xml_reader_feed(reader, buf_view(&b));
	buf_free(&b);
	return e;
}

static bool
saw(const char *text)
{
	return str_is(buf_view(&seen), text);
}

/* ---- what a stanza is ---- */

static void
stanza_becomes_a_tree(void **state)
{
	(void)state;
	assert_int_equal(feed(HEADER "<iq type='get' id='1' from='a@b/c'><query xmlns='urn:q'>"
	    "a<x/>b</query></iq>"), XML_OK);
	assert_int_equal(n_open, 1);
	assert_int_equal(n_stanza, 1);
	assert_true(saw("<iq xmlns='" NS "' type='get' id='1' from='a@b/c'><query xmlns='urn:q'>"
	    "ab<x/></query></iq>"));
}

static void
bytes_may_come_one_by_one(void **state)
{
	const char *text = HEADER "<message from='\xc3\xa4'>&lt;&#x20ac;\xe2\x82\xac<![CDATA[<>]]>"
	    "</message></stream:stream>";

	(void)state;
	for (const char *c = text; *c != '\0'; c++)
		assert_int_equal(xml_reader_feed(reader, (struct str){ c, 1 }), XML_OK);
	assert_int_equal(n_stanza, 1);
	assert_int_equal(n_close, 1);
	assert_true(saw("<message xmlns='" NS "' from='\xc3\xa4'>"
	    "&lt;\xe2\x82\xac\xe2\x82\xac&lt;&gt;</message>"));
}

/* C84 and the reason why deferral is off: a stanza is there when its last byte is. */
static void
stanza_does_not_wait_for_more(void **state)
{
	(void)state;
	assert_int_equal(feed(HEADER), XML_OK);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(feed("<presence from='a@b/c'"), XML_OK);
		assert_int_equal(feed("/>"), XML_OK);
		assert_int_equal(n_stanza, i + 1);
	}
}

/* C80 */
static void
look_for_forgery(const struct xml *x)
{
	assert_null(xml_attr(x, "from"));
	assert_string_equal(xml_attr(x, "id"), "true");
	assert_int_equal(x->n_attrs, 1);
}

static void
attributes_with_a_namespace_do_not_count(void **state)
{
	(void)state;
	look = look_for_forgery;
	assert_int_equal(feed(HEADER "<iq xmlns:x='urn:x' x:from='admin@a' x:type='set' x:id='no' "
	    "id='true' xml:lang='en'/>"), XML_OK);
	assert_int_equal(n_stanza, 1);
}

static void
look_for_children(const struct xml *x)
{
	assert_true(xml_is(x, NS, "iq"));
	assert_false(xml_is(x, "", "iq"));
	assert_null(xml_child(x, NS, "q"));
	assert_string_equal(xml_child(x, "urn:b", "q")->text.p, "second");
	assert_null(xml_child(NULL, NS, "q"));
}

static void
children_are_found_by_namespace_and_name(void **state)
{
	(void)state;
	look = look_for_children;
	assert_int_equal(feed(HEADER "<iq><q xmlns='urn:a'>first</q>"
	    "<p:q xmlns:p='urn:b'>second</p:q></iq>"), XML_OK);
	assert_int_equal(n_stanza, 1);
}

static void
look_for_long_text(const struct xml *x)
{
	assert_int_equal(x->text.n, 3 * 5000);
	assert_int_equal(strlen(x->text.p), x->text.n);
}

static void
text_between_many_children_is_one(void **state)
{
	(void)state;
	look = look_for_long_text;
	feed(HEADER "<message>");
	assert_int_equal(feed_many("abc<x/>", 5000), XML_OK);
	assert_int_equal(feed("</message>"), XML_OK);
	assert_int_equal(n_stanza, 1);
}

/* ---- limits that cost one stanza ---- */

static void
look_for_head(const struct xml *head)
{
	assert_string_equal(xml_attr(head, "id"), "7");
	assert_string_equal(xml_attr(head, "from"), "m@x/r");
}

/* Feeds a stanza that must be refused, and a good one after it. */
static void
refused(const char *before, const char *piece, size_t times, const char *after)
{
	look = look_for_head;
	assert_int_equal(feed(HEADER "<iq type='get' id='7' from='m@x/r'"), XML_OK);
	assert_int_equal(feed(before), XML_OK);
	assert_int_equal(feed_many(piece, times), XML_OK);
	assert_int_equal(feed(after), XML_OK);
	assert_int_equal(n_refused, 1);
	assert_int_equal(n_stanza, 0);
	look = NULL;
	assert_int_equal(feed("<iq id='8'/>"), XML_OK);
	assert_int_equal(n_stanza, 1);
	assert_true(saw("<iq xmlns='" NS "' id='8'/>"));
}

/* C83: 32 elements inside each other, the stanza among them */
static void
depth_is_limited(void **state)
{
	(void)state;
	feed(HEADER "<iq>");
	feed_many("<a>", XML_DEPTH_MAX - 1);
	feed_many("</a>", XML_DEPTH_MAX - 1);
	assert_int_equal(feed("</iq>"), XML_OK);
	assert_int_equal(n_stanza, 1);
}

static void
deeper_is_refused(void **state)
{
	struct buf after = BUF_INIT(0);

	(void)state;
	for (int i = 0; i < XML_DEPTH_MAX; i++)
		buf_z(&after, "</a>");
	buf_add(&after, "</iq>", 6);
	refused(">", "<a>", XML_DEPTH_MAX, after.data);
	buf_free(&after);
}

static void
bottomless_ends_the_stream(void **state)
{
	(void)state;
	assert_int_equal(feed(HEADER "<iq>"), XML_OK);
	assert_int_equal(feed_many("<a>", 100000), XML_TOO_MUCH);
	assert_int_equal(feed("</a>"), XML_TOO_MUCH);
	assert_int_equal(n_stanza + n_refused, 0);
}

static void
give_attributes(struct buf *b, int n)
{
	for (int i = 0; i < n; i++)
		buf_printf(b, " a%d='v'", i);
	buf_byte(b, '\0');
}

static void
attributes_are_limited(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	give_attributes(&b, XML_ATTRS_MAX);
	feed(HEADER "<iq><a");
	feed(b.data);
	assert_int_equal(feed("/></iq>"), XML_OK);
	assert_int_equal(n_stanza, 1);
	buf_free(&b);
}

static void
more_attributes_are_refused(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	buf_z(&b, "><a");
	give_attributes(&b, XML_ATTRS_MAX + 1);
	refused(b.data, "", 0, "/></iq>");
	buf_free(&b);
}

static void
many_attributes_in_the_head_are_refused(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	give_attributes(&b, 20000);
	refused(b.data, "", 0, "/>");
	buf_free(&b);
}

static void
long_text_is_refused(void **state)
{
	(void)state;
	refused("><body>", "0123456789", (10u << 20) / 10, "</body></iq>"); /* 10 MiB */
}

static void
many_line_ends_are_refused(void **state)
{
	(void)state;
	refused("><body>", "\n", 1u << 20, "</body></iq>");
}

static void
many_references_are_refused(void **state)
{
	(void)state;
	refused("><body>", "&lt;", 1u << 20, "</body></iq>");
}

/* What a server makes of 256 KiB of quotes in an attribute that a user sent. */
static void
long_attribute_is_refused(void **state)
{
	(void)state;
	refused("><a b='", "&apos;", 256u << 10, "'/></iq>");
}

static void
many_small_elements_are_refused(void **state)
{
	(void)state;
	refused(">", "<a/>", XML_STANZA_MAX / 4, "</iq>");
}

static void
stanza_just_below_the_limit_is_taken(void **state)
{
	(void)state;
	feed(HEADER "<iq><b>");
	assert_int_equal(feed_many("x", XML_STANZA_MAX - strlen("<iq><b></b></iq>")), XML_OK);
	assert_int_equal(feed("</b></iq>"), XML_OK);
	assert_int_equal(n_stanza, 1);
}

static void
stanza_just_above_the_limit_is_not(void **state)
{
	(void)state;
	feed(HEADER "<iq><b>");
	assert_int_equal(feed_many("x", XML_STANZA_MAX - strlen("<iq><b></b></iq>") + 1), XML_OK);
	assert_int_equal(feed("</b></iq>"), XML_OK);
	assert_int_equal(n_stanza, 0);
	assert_int_equal(n_refused, 1);
}

static void
two_long_namespaces_cost_little(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	buf_z(&b, "><x xmlns='");
	for (int i = 0; i < 20000; i++)
		buf_byte(&b, 'n');
	buf_z(&b, "' xmlns:p='");
	for (int i = 0; i < 20000; i++)
		buf_byte(&b, 'm');
	buf_add(&b, "'>", 3);
	refused(b.data, "<a><p:b/></a>", 1500, "</x></iq>"); /* the tree would take 60 MB */
	buf_free(&b);
}

static void
endless_token_ends_the_stream(void **state)
{
	(void)state;
	assert_int_equal(feed(HEADER "<iq a='"), XML_OK);
	assert_int_equal(feed_many("0123456789abcdef", (5u << 20) / 16), XML_TOO_MUCH);
}

static void
endless_stanza_ends_the_stream(void **state)
{
	(void)state;
	assert_int_equal(feed(HEADER "<iq>"), XML_OK);
	assert_int_equal(feed_many("0123456789abcdef", (17u << 20) / 16), XML_TOO_MUCH);
	assert_int_equal(n_refused, 0);
}

static void
white_space_keeps_the_stream_alive(void **state)
{
	(void)state;
	assert_int_equal(feed(HEADER), XML_OK);
	assert_int_equal(feed_many("\n", 20u << 20), XML_OK);
	assert_int_equal(feed("<iq/>"), XML_OK);
	assert_int_equal(n_stanza, 1);
}

/* ---- what ends the stream ---- */

/* C81, C82, C84, C85 */
static void
these_end_the_stream(void **state)
{
	static const struct {
		const char *text;
		enum xml_error e;
	} cases[] = {
		{ "<!DOCTYPE x>" HEADER, XML_RESTRICTED },
		{ "<!DOCTYPE x [<!ENTITY a 'b'><!ENTITY c '&a;&a;'>]>" HEADER "<iq>&c;</iq>",
		    XML_RESTRICTED },
		{ "<!DOCTYPE x SYSTEM 'file:///etc/passwd'>" HEADER, XML_RESTRICTED },
		{ HEADER "<!-- c -->", XML_RESTRICTED },
		{ HEADER "<iq><!-- c --></iq>", XML_RESTRICTED },
		{ HEADER "<?pi x?>", XML_RESTRICTED },
		{ HEADER "<iq>&unknown;</iq>", XML_MALFORMED },
		{ HEADER "<iq></message>", XML_MALFORMED },
		{ HEADER "<iq a='1' a='2'/>", XML_MALFORMED },
		{ HEADER "<p:iq/>", XML_MALFORMED },
		{ HEADER "<iq>\x01</iq>", XML_MALFORMED },
		{ HEADER "<iq>&#1;</iq>", XML_MALFORMED },
		{ HEADER "<iq>&#xffff;</iq>", XML_MALFORMED },
		{ HEADER "<iq>\xff</iq>", XML_MALFORMED },
		{ HEADER "<iq>\xc0\x80</iq>", XML_MALFORMED },
		{ HEADER "<iq>\xed\xa0\x80</iq>", XML_MALFORMED },
		{ HEADER "<iq>]]></iq>", XML_MALFORMED },
		{ HEADER "<iq><</iq>", XML_MALFORMED },
		{ HEADER "</stream:stream><iq/>", XML_MALFORMED },
		{ HEADER HEADER, XML_MALFORMED }, /* an XML declaration in the middle */
		{ "HTTP/1.1 400 Bad Request\r\n\r\n", XML_MALFORMED },
		{ HEADER "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>",
		    XML_TWICE },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		enum xml_error e = feed(cases[i].text);

		if (e != cases[i].e)
			fail_msg("%s: %s", cases[i].text, xml_error_text(e));
		assert_int_equal(feed("<iq/>"), cases[i].e);
		assert_int_equal(n_stanza, 0);
		end(state);
		begin(state);
	}
}

static void
nul_ends_the_stream(void **state)
{
	(void)state;
	assert_int_equal(feed(HEADER), XML_OK);
	assert_int_equal(xml_reader_feed(reader, STR_LIT("<iq>\0</iq>")), XML_MALFORMED);
}

static void
utf16_ends_the_stream(void **state)
{
	(void)state;
	assert_int_equal(xml_reader_feed(reader,
	    STR_LIT("\xff\xfe<\0s\0 \0x\0m\0l\0n\0s\0=\0'\0a\0'\0>\0")), XML_MALFORMED);
	assert_int_equal(n_open, 0);
}

static void
nothing_comes_after_a_stop(void **state)
{
	(void)state;
	stop_at_stanza = true;
	assert_int_equal(feed(HEADER "<iq/><iq/></stream:stream>"), XML_OK);
	assert_int_equal(feed("<iq/>"), XML_OK);
	assert_int_equal(n_stanza, 1);
	assert_int_equal(n_close, 0);
}

static void
errors_have_conditions(void **state)
{
	(void)state;
	assert_string_equal(xml_error_condition(XML_RESTRICTED), "restricted-xml");
	assert_string_equal(xml_error_condition(XML_MALFORMED), "not-well-formed");
}

static size_t round_trip;

static void
look_for_round_trip(const struct xml *x)
{
	const char *attr = xml_attr(x, "a");

	assert_true(str_eq(x->text, str_of(attr)));
	round_trip = x->text.n;
}

/* Every byte string comes through any XML parser: never an error. */
static void
whatever_is_written_can_be_read(void **state)
{
	char bytes[64];
	struct buf b = BUF_INIT(0);

	(void)state;
	look = look_for_round_trip;
	assert_int_equal(feed(HEADER), XML_OK);
	srandom(20231123);
	for (int i = 0; i < 20000; i++) {
		struct xmlw w = xmlw_to(&b);
		struct str s = { bytes, (size_t)random() % sizeof bytes };

		for (size_t k = 0; k < s.n; k++)
			bytes[k] = (char)(random() % 3 ? random() : "<>&'\"\r\n\t]"[random() % 9]);
		xmlw_open(&w, "m", NULL);
		xmlw_attr(&w, "a", s);
		xmlw_text(&w, s);
		xmlw_close(&w);
		assert_int_equal(xml_reader_feed(reader, buf_view(&b)), XML_OK);
		assert_int_equal(n_stanza, i + 1);
		assert_true(round_trip >= s.n / 4);
		buf_clear(&b);
	}
	buf_free(&b);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(stanza_becomes_a_tree), CASE(bytes_may_come_one_by_one),
		CASE(stanza_does_not_wait_for_more), CASE(attributes_with_a_namespace_do_not_count),
		CASE(children_are_found_by_namespace_and_name),
		CASE(text_between_many_children_is_one),
		CASE(depth_is_limited), CASE(deeper_is_refused), CASE(bottomless_ends_the_stream),
		CASE(attributes_are_limited), CASE(more_attributes_are_refused),
		CASE(many_attributes_in_the_head_are_refused), CASE(long_text_is_refused),
		CASE(many_line_ends_are_refused), CASE(many_references_are_refused),
		CASE(long_attribute_is_refused), CASE(many_small_elements_are_refused),
		CASE(stanza_just_below_the_limit_is_taken),
		CASE(stanza_just_above_the_limit_is_not),
		CASE(two_long_namespaces_cost_little), CASE(endless_token_ends_the_stream),
		CASE(endless_stanza_ends_the_stream), CASE(white_space_keeps_the_stream_alive),
		CASE(these_end_the_stream), CASE(nul_ends_the_stream), CASE(utf16_ends_the_stream),
		CASE(nothing_comes_after_a_stop),
		CASE(errors_have_conditions), CASE(whatever_is_written_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
