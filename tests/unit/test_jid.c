/* SPDX-License-Identifier: MIT */
/* Tests of base/jid: one form of each address, that of the servers, and nothing
 * that could be taken for another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/jid.h"
#include "base/mem.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void
test_jid(void **state)
{
	static const struct { struct str in; const char *out; } cases[] = {
		{ STR_LIT("anna@school.example"), "anna@school.example" },
		{ STR_LIT("Anna.B+c@School.Example"), "anna.b+c@school.example" },
		{ STR_LIT("a@b"), "a@b" },
		{ STR_LIT("a@b."), "a@b" },
		{ STR_LIT("a@127.0.0.1"), "a@127.0.0.1" },
		{ STR_LIT("@x"), NULL },
		{ STR_LIT("a@"), NULL },
		{ STR_LIT("a"), NULL },
		{ STR_LIT(""), NULL },
		{ STR_LIT("@"), NULL },
		{ STR_LIT("a@b@c"), NULL },
		{ STR_LIT("a@b/phone"), NULL },
		{ STR_LIT("a@b/.."), NULL },
		{ STR_LIT("a/b@c"), NULL },
		{ STR_LIT("a@.b"), NULL },
		{ STR_LIT("a@b..c"), NULL },
		{ STR_LIT("a@b.."), NULL },
		{ STR_LIT("a@."), NULL },
		{ STR_LIT("a@[::1]"), NULL },
		{ STR_LIT("a@b:5222"), NULL },
		{ STR_LIT("a@b_c"), NULL },
		{ STR_LIT("*@school-b"), NULL },
		{ STR_LIT("a@*"), NULL },
		{ STR_LIT("#@school"), NULL },
		{ STR_LIT("%@school"), NULL },
		{ STR_LIT("+@school"), NULL },
		{ STR_LIT("a@+"), NULL },
		{ STR_LIT("a b@school"), NULL },
		{ STR_LIT(" a@school"), NULL },
		{ STR_LIT("a@school "), NULL },
		{ STR_LIT("a\0@school"), NULL },
		{ STR_LIT("a@school\0.evil"), NULL },
		{ STR_LIT("a\n@school"), NULL },
		{ STR_LIT("a\"@school"), NULL },
		{ STR_LIT("xmpp:a@school"), NULL },
		{ STR_LIT("a\xe2\x80\x8b@school"), NULL },      /* U+200B */
		{ STR_LIT("a\xe2\x80\xae@school"), NULL },      /* U+202E */
		{ STR_LIT("a@sch\xef\xbb\xbfool"), NULL },      /* U+FEFF */
		{ STR_LIT("a\xc2\xa0@school"), NULL },          /* U+00A0 */
		{ STR_LIT("a\xef\xbf\xbe@school"), NULL },      /* U+FFFE */
		{ STR_LIT("a\xff@school"), NULL },
		{ STR_LIT("a\xed\xa0\x80@school"), NULL },      /* surrogate */
		{ STR_LIT("a\xc3"), NULL },
	};
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out = BUF_INIT(0);
		bool ok = jid_bare(cases[i].in, &out);

		if (ok != (cases[i].out != NULL) || (ok && !str_is(buf_view(&out), cases[i].out)))
			fail_msg("%.*s", STR_ARG(cases[i].in));
		assert_true(ok || out.len == 0);
		buf_free(&out);
	}
}

static void
test_jid_length(void **state)
{
	char *text = mem_alloc(2100);
	struct buf out = BUF_INIT(0);
	(void)state;

	memset(text, 'a', 2100);
	text[1023] = '@';
	assert_true(jid_bare((struct str){ text, 1023 + 1 + 1023 }, &out));
	assert_false(jid_bare((struct str){ text, 1023 + 1 + 1024 }, &out));
	text[1023] = 'a';
	text[1024] = '@';
	assert_false(jid_bare((struct str){ text, 1026 }, &out));
	buf_free(&out);
	mem_free(text);
}

/* What servers of 2023 stamp: RFC 3920, not PRECIS. */
static void
test_unicode(void **state)
{
	static const struct { const char *in, *out; } cases[] = {
		/* case, beyond ASCII, too */
		{ "Ärger@school", "ärger@school" },
		{ "ÉCOLE@École.example", "école@école.example" },
		{ "ПЕТР@школа.example", "петр@школа.example" },
		{ "STRASSE@school", "strasse@school" },
		{ "Straße@school", "strasse@school" },
		{ "ΝΊΚΟΣ@school", "νίκοσ@school" },
		{ "νίκος@school", "νίκοσ@school" }, /* final sigma */
		{ "\xe1\xba\x9e@school", NULL },     /* U+1E9E is younger than Unicode 3.2 */
		{ "İ@school", "i\xcc\x87@school" },
		/* composed and decomposed, compatibility forms */
		{ "e\xcc\x81@school", "é@school" },
		{ "A\xcc\x8a@school", "å@school" },
		{ "\xe2\x84\xab@school", "å@school" }, /* ANGSTROM SIGN */
		{ "Ａｎｎａ@school", "anna@school" },
		{ "ﬁ@school", "fi@school" },
		{ "a²@school", "a2@school" },
		/* what mapping must not smuggle in */
		{ "a＠b@school", NULL },
		{ "a／b@school", NULL },
		{ "＊@school", NULL },
		{ "＋@school", NULL },
		{ "a@＊", NULL },
		{ "a@school／desk", NULL },
		{ "a@b。c", NULL },
		{ "a@b．c", "a@b.c" },
		{ "a@b．", NULL },
		/* domains in Unicode and in ASCII */
		{ "a@MÜLLER.example", "a@müller.example" },
		{ "a@xn--mller-kva.example", "a@müller.example" },
		{ "a@XN--MLLER-KVA.Example.", "a@müller.example" },
		{ "a@xn--e1aybc.xn--p1ai", "a@тест.рф" },
		{ "a@straße.example", "a@strasse.example" },
		{ "a@xn--strae-oqa.example", "a@xn--strae-oqa.example" }, /* another domain */
		{ "a@xn--.example", NULL },
		{ "a@xn--0.example", NULL },
		{ "a@xn--a.example", NULL },
		{ "xn--mller-kva@school", "xn--mller-kva@school" },
		/* bidi: RFC 3454 §6 */
		{ "אבג@school", "אבג@school" },
		{ "אבגa@school", NULL },
		{ "aאבג@school", NULL },
		{ "א1@school", NULL },
		/* unassigned, private, symbols */
		{ "\xf0\x9f\x98\x80@school", NULL },
		{ "\xee\x80\x80@school", NULL },
		{ "\xf3\xa0\x81\xa1@school", NULL },
		{ "a\xc2\xad@school", NULL },
		{ "a\xe2\x80\x8d@school", NULL },
		{ "☃@school", "☃@school" },
	};
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out = BUF_INIT(0), again = BUF_INIT(0);
		bool ok = jid_bare(str_of(cases[i].in), &out);

		if (ok != (cases[i].out != NULL) || (ok && !str_is(buf_view(&out), cases[i].out)))
			fail_msg("%s became %.*s", cases[i].in, STR_ARG(buf_view(&out)));
		if (ok && (!jid_bare(buf_view(&out), &again) ||
		    !str_eq(buf_view(&out), buf_view(&again))))
			fail_msg("%s is not stable", cases[i].in);
		buf_free(&out);
		buf_free(&again);
	}
}

static void
test_resource(void **state)
{
	static const struct { const char *in, *out; } cases[] = {
		{ "desk", "desk" },
		{ "Desk 2", "Desk 2" },
		{ "a/b@c", "a/b@c" },
		{ "Ärger", "Ärger" },
		{ "A\xcc\x88rger", "Ärger" },
		{ "ｘ", "x" },
		{ "\xf0\x9f\x93\xb1", "\xf0\x9f\x93\xb1" },
		{ "", NULL },
		{ "a\nb", NULL },
		{ "a\x7f", NULL },
		{ "a\xc2\x85", NULL },
		{ "a\xef\xbf\xbe", NULL },
		{ "a\xff", NULL },
	};
	char *text = mem_alloc(2 * JID_PART_MAX);
	struct buf out = BUF_INIT(0);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		bool ok = jid_resource(str_of(cases[i].in), &out);

		if (ok != (cases[i].out != NULL) || (ok && !str_is(buf_view(&out), cases[i].out)))
			fail_msg("%s became %.*s", cases[i].in, STR_ARG(buf_view(&out)));
		assert_true(ok || out.len == 0);
		buf_clear(&out);
	}
	memset(text, 'a', 2 * JID_PART_MAX);
	assert_true(jid_resource((struct str){ text, JID_PART_MAX }, &out));
	assert_false(jid_resource((struct str){ text, JID_PART_MAX + 1 }, &out));
	/* three bytes each become nine: too long only after mapping */
	for (size_t i = 0; i + 3 <= JID_PART_MAX; i += 3)
		memcpy(text + i, "\xe3\x8c\x80", 3);
	buf_clear(&out);
	assert_false(jid_resource((struct str){ text, JID_PART_MAX / 3 * 3 }, &out));
	assert_int_equal(out.len, 0);
	buf_free(&out);
	mem_free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jid),
		cmocka_unit_test(test_jid_length),
		cmocka_unit_test(test_unicode),
		cmocka_unit_test(test_resource),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
