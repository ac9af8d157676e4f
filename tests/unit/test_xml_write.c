/* SPDX-License-Identifier: MIT */
/* The writer of everything that leaves for the XMPP server: whatever it is
 * given, XML comes out. That it can be read back, test_xml shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "xmpp/xml.h"

#define FFFD "\xef\xbf\xbd"

static void
written_is(struct buf *b, const char *want)
{
	buf_byte(b, '\0');
	assert_string_equal(b->data, want);
	buf_clear(b);
}

static void
writer_writes_elements(void **state)
{
	struct buf b = BUF_INIT(0);
	struct xmlw w = xmlw_to(&b);

	(void)state;
	xmlw_open(&w, "iq", NULL);
	xmlw_attrz(&w, "to", "a'\"<>&\t\n\r");
	xmlw_attrz(&w, "absent", NULL);
	xmlw_attru(&w, "n", 42);
	xmlw_leaf(&w, "a", "urn:a");
	xmlw_textz(&w, "b", "'\"<>&\t\n\r]]>");
	xmlw_textz(&w, "c", "");
	xmlw_close(&w);
	written_is(&b, "<iq to='a&apos;&quot;&lt;&gt;&amp;&#9;&#10;&#13;' n='42'><a xmlns='urn:a'/>"
	    "<b>'\"&lt;&gt;&amp;\t\n&#13;]]&gt;</b><c/></iq>");
	buf_free(&b);
}

static void
writer_writes_only_xml_characters(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	xml_encode(&b, STR_LIT("a\0b\x01" "c\x1f\x7f"));
	written_is(&b, "a\xef\xbf\xbd" "b\xef\xbf\xbd" "c\xef\xbf\xbd\x7f");
	xml_encode(&b, STR_LIT("\xef\xbf\xbe\xef\xbf\xbf\xef\xbf\xbd\xed\xa0\x80\xff\xe2\x82"));
	written_is(&b, FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD);
	xml_encode(&b, STR_LIT("\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\xc2\x85"));
	written_is(&b, "\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\xc2\x85");
	buf_free(&b);
}

static void
writer_stops_at_its_cap(void **state)
{
	struct buf b = BUF_INIT(20);
	struct xmlw w = xmlw_to(&b);

	(void)state;
	xmlw_open(&w, "message", NULL);
	xmlw_textz(&w, "body", "far too much for so small a buffer");
	xmlw_close(&w);
	assert_true(b.failed);
	buf_free(&b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(writer_writes_elements),
		cmocka_unit_test(writer_writes_only_xml_characters),
		cmocka_unit_test(writer_stops_at_its_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
