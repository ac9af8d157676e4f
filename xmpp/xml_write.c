/* SPDX-License-Identifier: MIT */
/* xml_write: the one encoder of everything that leaves for the XMPP server.
 * One character that is no XML Char would end the whole component stream. */
#include <assert.h>
#include <stdio.h>

#include "base/utf8.h"
#include "xmpp/xml.h"

#define XML_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* XML 1.0 §2.2 Char */
static bool
xml_is_char(uint32_t c)
{
	return c == 0x9 || c == 0xa || c == 0xd || (c >= 0x20 && c <= 0xd7ff) ||
	    (c >= 0xe000 && c <= 0xfffd) || (c >= 0x10000 && c <= 0x10ffff);
}

/* What stands for an ASCII byte, or NULL for the byte itself. A parser would
 * turn a raw CR into LF, and in attributes TAB and LF into a space (XML 1.0
 * §2.11, §3.3.3). */
static const char *
xml_reference(char c, bool in_attr)
{
	switch (c) {
	case '&': return "&amp;";
	case '<': return "&lt;";
	case '>': return "&gt;";
	case '\r': return "&#13;";
	case '\'': return in_attr ? "&apos;" : NULL;
	case '"': return in_attr ? "&quot;" : NULL;
	case '\t': return in_attr ? "&#9;" : NULL;
	case '\n': return in_attr ? "&#10;" : NULL;
	}
	return (unsigned char)c < 0x20 && c != '\t' && c != '\n' ? XML_REPLACEMENT : NULL;
}

/* Length of the character at s, and what stands for it (NULL: itself). */
static size_t
xml_next(struct str s, bool in_attr, const char **instead)
{
	uint32_t c;
	size_t n;
	int ok;

	if ((unsigned char)s.p[0] < 0x80) {
		*instead = xml_reference(s.p[0], in_attr);
		return 1;
	}
	n = utf8_next(s.p, s.n, &c, &ok);
	*instead = ok && xml_is_char(c) ? NULL : XML_REPLACEMENT;
	return n;
}

static void
xml_escape(struct buf *out, struct str s, bool in_attr)
{
	size_t plain = 0;

	while (plain < s.n) {
		const char *instead;
		size_t n = xml_next((struct str){ s.p + plain, s.n - plain }, in_attr, &instead);

		if (instead == NULL) {
			plain += n;
			continue;
		}
		buf_add(out, s.p, plain);
		buf_z(out, instead);
		s.p += plain + n;
		s.n -= plain + n;
		plain = 0;
	}
	buf_add(out, s.p, plain);
}

void
xml_encode(struct buf *out, struct str text)
{
	xml_escape(out, text, false);
}

struct xmlw
xmlw_to(struct buf *out)
{
	return (struct xmlw){ .out = out };
}

static void
xmlw_end_tag(struct xmlw *w)
{
	if (w->in_tag)
		buf_byte(w->out, '>');
	w->in_tag = false;
}

void
xmlw_open(struct xmlw *w, const char *name, const char *ns)
{
	assert(w->depth < XMLW_DEPTH);
	xmlw_end_tag(w);
	buf_byte(w->out, '<');
	buf_z(w->out, name);
	w->open[w->depth++] = name;
	w->in_tag = true;
	xmlw_attrz(w, "xmlns", ns);
}

void
xmlw_attr(struct xmlw *w, const char *name, struct str value)
{
	assert(w->in_tag);
	buf_byte(w->out, ' ');
	buf_z(w->out, name);
	buf_z(w->out, "='");
	xml_escape(w->out, value, true);
	buf_byte(w->out, '\'');
}

void
xmlw_attrz(struct xmlw *w, const char *name, const char *value)
{
	if (value != NULL)
		xmlw_attr(w, name, str_of(value));
}

void
xmlw_attru(struct xmlw *w, const char *name, size_t value)
{
	char text[24];

	snprintf(text, sizeof text, "%zu", value);
	xmlw_attrz(w, name, text);
}

void
xmlw_text(struct xmlw *w, struct str text)
{
	if (text.n == 0)
		return;
	xmlw_end_tag(w);
	xml_escape(w->out, text, false);
}

void
xmlw_close(struct xmlw *w)
{
	const char *name;

	assert(w->depth > 0);
	name = w->open[--w->depth];
	if (w->in_tag) {
		buf_z(w->out, "/>");
		w->in_tag = false;
		return;
	}
	buf_z(w->out, "</");
	buf_z(w->out, name);
	buf_byte(w->out, '>');
}

void
xmlw_leaf(struct xmlw *w, const char *name, const char *ns)
{
	xmlw_open(w, name, ns);
	xmlw_close(w);
}

void
xmlw_textz(struct xmlw *w, const char *name, const char *text)
{
	xmlw_open(w, name, NULL);
	xmlw_text(w, str_of(text));
	xmlw_close(w);
}
