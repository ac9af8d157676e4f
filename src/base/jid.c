/* SPDX-License-Identifier: MIT */
/* jid: see jid.h. ASCII, nearly everything there is, needs no library; the rest
 * is prepared by ICU as Prosody does. Narrower than the RFCs where a typing error
 * could look like an address: no wildcards, nothing invisible. */
#include "base/jid.h"

#include <pthread.h>
#include <unicode/uidna.h>
#include <unicode/usprep.h>
#include <unicode/ustring.h>

#include "base/utf8.h"

#define JID_UNITS (2 * JID_PART_MAX) /* UTF-16, before and after mapping */

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
	return c == 0x3002 ? false : /* a dot to IDNA, but to no server */
	    c >= 0x80 || jid_is_lower_or_digit((unsigned char)c) || c == '-' || c == '.';
}

static bool
jid_any_char_ok(uint32_t c)
{
	(void)c;
	return true;
}

/* ---- beyond ASCII: ICU ---- */

/* What ICU opens is opened once and kept, as it wants it, and may then be used by
 * several threads at once (a roster is loaded by one of the pool). */
static pthread_mutex_t jid_opening = PTHREAD_MUTEX_INITIALIZER;

/* From one profile of RFC 3454. */
static UStringPrepProfile *
jid_profile(UStringPrepProfileType type)
{
	static UStringPrepProfile *open[USPREP_RFC4518_LDAP_CI + 1];
	UErrorCode e = U_ZERO_ERROR;

	pthread_mutex_lock(&jid_opening);
	if (open[type] == NULL)
		open[type] = usprep_openByType(type, &e);
	pthread_mutex_unlock(&jid_opening);
	return U_SUCCESS(e) ? open[type] : NULL;
}

/* Appends UTF-16 as UTF-8 when it is a part's worth of it. */
static bool
jid_append(const UChar *text, int32_t n, struct buf *out)
{
	char utf8[JID_PART_MAX];
	UErrorCode e = U_ZERO_ERROR;
	int32_t bytes = 0;

	u_strToUTF8(utf8, sizeof utf8, &bytes, text, n, &e);
	return U_SUCCESS(e) && bytes > 0 && bytes <= JID_PART_MAX &&
	    buf_add(out, utf8, (size_t)bytes) == ERR_OK;
}

/* Appends the part as the profile maps it; false for what it prohibits. */
static bool
jid_prepare(struct str part, UStringPrepProfileType type, int32_t options, struct buf *out)
{
	UStringPrepProfile *profile = jid_profile(type);
	UChar in[JID_UNITS], mapped[JID_UNITS];
	UErrorCode e = U_ZERO_ERROR;
	int32_t n = 0;

	if (profile == NULL || part.n > JID_PART_MAX)
		return false;
	u_strFromUTF8(in, JID_UNITS, &n, part.p, (int32_t)part.n, &e);
	n = usprep_prepare(profile, in, n, mapped, JID_UNITS, options, NULL, &e);
	return U_SUCCESS(e) && jid_append(mapped, n, out);
}

static UIDNA *
jid_idna(void)
{
	static UIDNA *open;
	UErrorCode e = U_ZERO_ERROR;

	pthread_mutex_lock(&jid_opening);
	if (open == NULL)
		open = uidna_openUTS46(UIDNA_USE_STD3_RULES | UIDNA_CHECK_BIDI | UIDNA_CHECK_CONTEXTJ |
		    UIDNA_NONTRANSITIONAL_TO_ASCII | UIDNA_NONTRANSITIONAL_TO_UNICODE, &e);
	pthread_mutex_unlock(&jid_opening);
	return U_SUCCESS(e) ? open : NULL;
}

/* Appends "xn--..." in Unicode. A label that a server would make another one of
 * (nameprep makes "ss" of a sharp s) stays as it is: we send to what we keep. */
static bool
jid_a_label(struct str label, struct buf *out)
{
	UIDNAInfo info = UIDNA_INFO_INITIALIZER;
	UErrorCode e = U_ZERO_ERROR;
	char unicode[JID_PART_MAX];
	struct buf again = BUF_INIT(JID_PART_MAX);
	int32_t n;
	bool same;

	if (jid_idna() == NULL)
		return false;
	n = uidna_labelToUnicodeUTF8(jid_idna(), label.p, (int32_t)label.n, unicode,
	    sizeof unicode, &info, &e);
	if (U_FAILURE(e) || info.errors != 0 || n <= 0 || n > JID_PART_MAX)
		return false;
	same = jid_prepare((struct str){ unicode, (size_t)n }, USPREP_RFC3491_NAMEPREP,
	    USPREP_DEFAULT, &again) && str_eq(buf_view(&again), (struct str){ unicode, (size_t)n });
	buf_free(&again);
	return (same ? buf_add(out, unicode, (size_t)n) : buf_str(out, label)) == ERR_OK;
}

/* ---- parts ---- */

/* Appends ASCII in lower case; false when a byte is none. */
static bool
jid_lower(struct str part, struct buf *out)
{
	for (size_t i = 0; i < part.n; i++) {
		unsigned char c = (unsigned char)part.p[i];

		if (c >= 0x80)
			return false;
		buf_byte(out, (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c));
	}
	return !out->failed;
}

static bool
jid_chars_ok(struct str part, bool (*char_ok)(uint32_t))
{
	for (size_t at = 0, n; at < part.n; at += n) {
		uint32_t c;
		int ok;

		n = utf8_next(part.p + at, part.n - at, &c, &ok);
		if (!ok || jid_is_invisible(c) || !char_ok(c))
			return false;
	}
	return true;
}

/* Appends the part in its canonical form: what stands there before is checked,
 * and what comes out of it is, too, as mapping makes "@" of a full-width one. */
static bool
jid_part(struct str part, UStringPrepProfileType type, bool (*char_ok)(uint32_t),
    struct buf *out)
{
	size_t start = out->len;
	struct str made;

	if (part.n == 0 || part.n > JID_PART_MAX)
		return false;
	if (!jid_lower(part, out)) {
		out->len = start;
		if (!jid_chars_ok(part, jid_any_char_ok) ||
		    !jid_prepare(part, type, USPREP_DEFAULT, out))
			return false;
	}
	made = (struct str){ out->data + start, out->len - start };
	return jid_chars_ok(made, char_ok);
}

/* No empty label: "b.", which means "b", has lost its dot before. Labels are
 * cut after nameprep, so that a full-width dot is a dot. */
static bool
jid_domain(struct str text, struct buf *out)
{
	struct buf mapped = BUF_INIT(JID_PART_MAX);
	bool ok = jid_part(text, USPREP_RFC3491_NAMEPREP, jid_domain_char_ok, &mapped);
	struct str rest = buf_view(&mapped);
	size_t start = out->len;

	while (ok) {
		const char *dot = memchr(rest.p, '.', rest.n);
		struct str label = { rest.p, dot != NULL ? (size_t)(dot - rest.p) : rest.n };

		ok = label.n > 0 &&
		    (str_starts(label, "xn--") ? jid_a_label(label, out) :
		    buf_str(out, label) == ERR_OK);
		if (!ok || dot == NULL)
			break;
		buf_byte(out, '.');
		rest = (struct str){ dot + 1, rest.n - label.n - 1 };
	}
	buf_free(&mapped);
	return ok && out->len - start <= JID_PART_MAX;
}

bool
jid_bare(struct str text, struct buf *out)
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
	if (!str_is(local, "+") &&
	    jid_part(local, USPREP_RFC3920_NODEPREP, jid_local_char_ok, out) &&
	    !(out->len - start == 1 && out->data[start] == '+') &&
	    buf_byte(out, '@') == ERR_OK && jid_domain(domain, out) && !out->failed)
		return true;
	out->len = start;
	return false;
}

/* RFC 3920 §B: resources are for programs to choose; what Unicode has added
 * since is let through, as servers do. */
bool
jid_resource(struct str text, struct buf *out)
{
	size_t start = out->len;
	bool ascii = true;

	if (text.n == 0 || text.n > JID_PART_MAX)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c < 0x20 || c == 0x7f)
			return false;
		ascii = ascii && c < 0x80;
	}
	if (ascii)
		return buf_str(out, text) == ERR_OK;
	if (jid_prepare(text, USPREP_RFC3920_RESOURCEPREP, USPREP_ALLOW_UNASSIGNED, out))
		return true;
	out->len = start;
	return false;
}

bool
jid_is_person(const char *text)
{
	struct buf out = BUF_INIT(0);
	bool ok = jid_bare(str_of(text), &out);

	buf_free(&out);
	return ok;
}
