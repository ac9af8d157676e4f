/* SPDX-License-Identifier: MIT */
/* roster_jid: the canonical bare address of a person, so that addresses can be
 * compared byte by byte. Narrower than RFC 7622 where a typing error could look
 * like an address: no wildcards, nothing invisible. */
#include "base/utf8.h"
#include "state/roster.h"

#define JID_PART_MAX 1023 /* bytes, RFC 7622 §3 */

/* Code points that nobody can see, or that print as nothing: spaces, controls,
 * zero-width and direction marks, byte order marks, non-characters. */
static bool
jid_is_invisible(uint32_t c)
{
	static const struct { uint32_t first, last; } ranges[] = {
		{ 0x00, 0x20 }, { 0x7f, 0xa0 }, { 0xad, 0xad }, { 0x034f, 0x034f },
		{ 0x061c, 0x061c }, { 0x115f, 0x1160 }, { 0x1680, 0x1680 }, { 0x17b4, 0x17b5 },
		{ 0x180b, 0x180f }, { 0x2000, 0x200f }, { 0x2028, 0x202f }, { 0x205f, 0x206f },
		{ 0x3000, 0x3000 }, { 0x3164, 0x3164 }, { 0xe000, 0xf8ff }, { 0xfe00, 0xfe0f },
		{ 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 }, { 0xfff0, 0xffff }, { 0xe0000, 0x10ffff },
	};

	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

static bool
jid_is_lower_or_digit(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* RFC 7622 §3.3.1 forbids the first eight; the rest are other programs'
 * wildcards. */
static bool
jid_local_char_ok(uint32_t c)
{
	return c >= 0x80 || memchr("\"&'/:<>@*#%", (int)c, 11) == NULL;
}

static bool
jid_domain_char_ok(uint32_t c)
{
	return c >= 0x80 || jid_is_lower_or_digit((unsigned char)c) || c == '-' || c == '.';
}

/* Appends the part with ASCII letters in lower case; false when a character does
 * not belong there. */
static bool
jid_part(struct str part, bool (*char_ok)(uint32_t), struct buf *out)
{
	size_t at = 0;

	if (part.n == 0 || part.n > JID_PART_MAX)
		return false;
	while (at < part.n) {
		uint32_t c;
		int ok;
		size_t n = utf8_next(part.p + at, part.n - at, &c, &ok);

		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		if (!ok || jid_is_invisible(c) || !char_ok(c))
			return false;
		if (c < 0x80)
			buf_byte(out, (char)c);
		else
			buf_add(out, part.p + at, n);
		at += n;
	}
	return true;
}

/* No empty label: "b.", which means "b", has lost its dot before. */
static bool
jid_labels_ok(struct str domain)
{
	bool begins = true;

	for (size_t i = 0; i < domain.n; i++) {
		if (begins && domain.p[i] == '.')
			return false;
		begins = domain.p[i] == '.';
	}
	return !begins;
}

bool
roster_jid(struct str text, struct buf *out)
{
	const char *at = text.n > 0 ? memchr(text.p, '@', text.n) : NULL;
	struct str local, domain;
	size_t start = out->len;

	if (at == NULL)
		return false;
	local = (struct str){ text.p, (size_t)(at - text.p) };
	domain = (struct str){ at + 1, text.n - local.n - 1 };
	if (domain.n > 1 && domain.p[domain.n - 1] == '.')
		domain.n--; /* RFC 7622 §3.2 */
	if (!str_is(local, "+") && jid_labels_ok(domain) &&
	    jid_part(local, jid_local_char_ok, out) && buf_byte(out, '@') == ERR_OK &&
	    jid_part(domain, jid_domain_char_ok, out) && !out->failed)
		return true;
	out->len = start;
	return false;
}
