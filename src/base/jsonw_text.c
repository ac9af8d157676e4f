/* SPDX-License-Identifier: MIT */
/* jsonw_text: copies a JSON text that somebody else wrote, byte for byte as far
 * as it is plain ASCII that XML carries as it is. */
#include "base/jsonw.h"
#include "base/utf8.h"

/* Appends the character at the start of s as \u escapes; its length. */
static size_t
jsonw_text_escape(struct buf *out, struct str s)
{
	uint32_t c;
	int ok;
	size_t n = utf8_next(s.p, s.n, &c, &ok);

	if (c >= 0x10000)
		buf_printf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
		    0xdc00 + ((c - 0x10000) & 0x3ff));
	else
		buf_printf(out, "\\u%04x", c);
	return n;
}

/* What would not be plain ASCII, or not safe inside XML. In a JSON text such
 * bytes stand in strings only. */
static bool
jsonw_text_special(unsigned char c)
{
	return c >= 0x7f || c == '<' || c == '>' || c == '&';
}

void
jsonw_text(struct jsonw *w, struct str json)
{
	struct buf *out = w->out;
	bool in_string = false, escaped = false;

	jsonw_raw(w, STR_LIT(""));
	for (size_t i = 0; i < json.n;) {
		char c = json.p[i];

		if (jsonw_text_special((unsigned char)c)) {
			i += jsonw_text_escape(out, (struct str){ json.p + i, json.n - i });
			continue;
		}
		if (c == '"' && !escaped)
			in_string = !in_string;
		escaped = c == '\\' && !escaped;
		if (in_string || memchr(" \t\r\n", c, 4) == NULL)
			buf_byte(out, c);
		i++;
	}
}
