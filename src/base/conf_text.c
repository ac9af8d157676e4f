/* SPDX-License-Identifier: MIT */
/* conf_text: makes a text mean what it looks like before libConfuse sees it.
 * libConfuse 3.3 counts a line too many for every comment, drops bytes it does
 * not know, puts environment variables into strings, follows "a|b" into other
 * sections and takes a section without "}" at the end for complete. */
#include "base/conf_priv.h"
#include "base/utf8.h"

#define SCAN_SPACE " \t\r\n"
#define SCAN_STRING_ONLY "()+*|$"

struct scan {
	struct conf_causes *causes;
	char *p, *end;
	int line;
	int depth, open_line;         /* braces, and where the outermost stands */
	bool after_word;      /* the last token was a word without quotes */
};

static bool
scan_fail(struct scan *s, int line, const char *what, const char *expected)
{
	conf_cause(s->causes, line, "%s, expected %s", what, expected);
	return false;
}

/* ---- bytes ---- */

static bool
scan_byte_ok(uint32_t c)
{
	return (c >= 0x20 && c != 0x7f) || c == '\t' || c == '\n' || c == '\r';
}

static bool
scan_utf16(const char *text, size_t n)
{
	return n >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0 ||
	    (text[0] == '\0') != (text[1] == '\0'));
}

static bool
scan_bytes(struct conf_causes *causes, const char *text, size_t n)
{
	int line = 1, ok;
	uint32_t c;

	if (scan_utf16(text, n)) {
		conf_cause(causes, 1, "byte offset 0: UTF-16 text, expected UTF-8");
		return false;
	}
	for (size_t at = 0, length; at < n; at += length) {
		length = utf8_next(text + at, n - at, &c, &ok);
		if (!ok || !scan_byte_ok(c)) {
			conf_cause(causes, line, "byte offset %zu: %s 0x%02x, expected UTF-8 text",
			    at, ok ? "control character" : "invalid UTF-8 byte",
			    (unsigned char)text[at]);
			return false;
		}
		line += c == '\n';
	}
	return true;
}

/* ---- tokens ---- */

static void
scan_blank(struct scan *s, size_t n)
{
	memset(s->p, ' ', n);
	s->p += n;
}

/* Whether the next byte is in set; no text that comes here holds a NUL. */
static bool
scan_in(const struct scan *s, const char *set)
{
	return strchr(set, *s->p) != NULL;
}

static bool
scan_at(const struct scan *s, const char *z)
{
	size_t n = strlen(z);

	return (size_t)(s->end - s->p) >= n && memcmp(s->p, z, n) == 0;
}

static void
scan_line_comment(struct scan *s)
{
	while (s->p < s->end && *s->p != '\n')
		scan_blank(s, 1);
}

static bool
scan_block_comment(struct scan *s)
{
	int line = s->line;

	scan_blank(s, 2);
	while (!scan_at(s, "*/")) {
		if (s->p == s->end)
			return scan_fail(s, line, "a comment that does not end", "*/");
		s->line += *s->p == '\n';
		if (*s->p == '\n')
			s->p++;
		else
			scan_blank(s, 1);
	}
	scan_blank(s, 2);
	return true;
}

/* The escape at p, a backslash, in a string in double quotes. */
static bool
scan_escape(struct scan *s)
{
	if (s->end - s->p < 2 || strchr("\"\\$nt", s->p[1]) == NULL)
		return scan_fail(s, s->line, "unknown escape in a string",
		    "\\\" \\\\ \\$ \\n or \\t");
	s->p += 2;
	return true;
}

static bool
scan_variable(struct scan *s)
{
	return scan_fail(s, s->line,
	    "${ stands for an environment variable, which is not supported",
	    "\\${ for the characters themselves");
}

static bool
scan_string(struct scan *s)
{
	char quote = *s->p++;

	while (s->p < s->end && *s->p != quote) {
		if (scan_in(s, "\r\n"))
			break;
		if (quote == '"' && scan_at(s, "${"))
			return scan_variable(s);
		if (*s->p == '\\' && quote == '"') {
			if (!scan_escape(s))
				return false;
		} else {
			s->p += *s->p == '\\' && (scan_at(s, "\\\\") || scan_at(s, "\\'")) ? 2 : 1;
		}
	}
	if (s->p == s->end || *s->p != quote)
		return scan_fail(s, s->line, "a string that does not end in its line",
		    quote == '"' ? "\"" : "'");
	s->p++;
	s->after_word = false;
	return true;
}

static bool
scan_word(struct scan *s)
{
	while (s->p < s->end && !scan_in(s, SCAN_SPACE SCAN_STRING_ONLY "#\"'={},"))
		s->p++;
	s->after_word = true;
	return true;
}

static bool
scan_brace(struct scan *s)
{
	if (*s->p++ == '{') {
		if (s->depth++ == 0)
			s->open_line = s->line;
	} else if (s->depth-- == 0) {
		return scan_fail(s, s->line, "} closes nothing", "a { before it");
	}
	s->after_word = false;
	return true;
}

static bool
scan_equal(struct scan *s)
{
	if (!s->after_word)
		return scan_fail(s, s->line, "= does not follow a name", "name = value");
	s->p += *s->p == '+' ? 2 : 1;
	s->after_word = false;
	return true;
}

static bool
scan_space(struct scan *s)
{
	if (*s->p == '\n') {
		s->line++;
		s->p++;
	} else {
		scan_blank(s, 1);
	}
	return true;
}

static bool
scan_token(struct scan *s)
{
	if (scan_in(s, SCAN_SPACE))
		return scan_space(s);
	if (*s->p == '#' || scan_at(s, "//")) {
		scan_line_comment(s);
		return true;
	}
	if (scan_at(s, "/*"))
		return scan_block_comment(s);
	if (scan_in(s, "\"'"))
		return scan_string(s);
	if (scan_in(s, "{}"))
		return scan_brace(s);
	if (*s->p == '=' || scan_at(s, "+="))
		return scan_equal(s);
	if (*s->p == ',') {
		s->p++;
		s->after_word = false;
		return true;
	}
	if (scan_at(s, "${"))
		return scan_variable(s);
	if (scan_in(s, SCAN_STRING_ONLY))
		return scan_fail(s, s->line, "one of ( ) + * | $ outside a string",
		    "quotes around the value");
	return scan_word(s);
}

bool
conf_text_clean(struct conf_causes *causes, char *text, size_t n)
{
	struct scan s = { .causes = causes, .p = text, .end = text + n, .line = 1 };

	if (!scan_bytes(causes, text, n))
		return false;
	if (scan_at(&s, "\xef\xbb\xbf"))
		scan_blank(&s, 3);
	while (s.p < s.end)
		if (!scan_token(&s))
			return false;
	if (s.depth > 0)
		return scan_fail(&s, s.open_line, "{ is not closed", "}");
	return true;
}
