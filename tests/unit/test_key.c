/* SPDX-License-Identifier: MIT */
/* Tests of state/key: the reference's text for ordinary ids, and no two scopes
 * with one key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "state/key.h"

static void
assert_key(const char *want, const char *reducer, const char *student,
    const struct key_field *fields, size_t n)
{
	struct buf out = BUF_INIT(0);

	key_write(&out, reducer, str_of(student), fields, n);
	assert_int_equal(out.len, strlen(want));
	assert_memory_equal(out.data, want, out.len);
	buf_free(&out);
}

/* learning-observer-protocol.md §12: keys as the reference wrote them. */
static void
test_reference(void **state)
{
	(void)state;
	assert_key("Internal,writing_observer.writing_analysis.reconstruct,"
	    "EventField.doc_id:D1,STUDENT:tc-testcase-u1",
	    "writing_observer.writing_analysis.reconstruct", "tc-testcase-u1",
	    (struct key_field[]){ { "doc_id", STR_LIT("D1") } }, 1);
	assert_key("Internal,writing_observer.writing_analysis.time_on_task,"
	    "EventField.doc_id:D1,EventField.tab_id:t.0,STUDENT:tc-testcase-u9",
	    "writing_observer.writing_analysis.time_on_task", "tc-testcase-u9",
	    (struct key_field[]){ { "doc_id", STR_LIT("D1") }, { "tab_id", STR_LIT("t.0") } }, 2);
	assert_key("Internal,writing_observer.writing_analysis.document_list,"
	    "STUDENT:gc-117200000000000000000",
	    "writing_observer.writing_analysis.document_list", "gc-117200000000000000000", NULL, 0);
	assert_key("Internal,learning_observer.blob_storage.state_blob,EventField.activity:a1,"
	    "EventField.source:org.x,STUDENT:guest-0a1b",
	    "learning_observer.blob_storage.state_blob", "guest-0a1b",
	    (struct key_field[]){ { "activity", STR_LIT("a1") }, { "source", STR_LIT("org.x") } }, 2);
}

/* A document called "x,STUDENT:other" is no other student's document. */
static void
test_forged(void **state)
{
	(void)state;
	assert_key("Internal,r.x,EventField.doc_id:x%2CSTUDENT%3Aother,STUDENT:me",
	    "r.x", "me", (struct key_field[]){ { "doc_id", STR_LIT("x,STUDENT:other") } }, 1);
	assert_key("Internal,r.x,EventField.doc_id:x%252C,STUDENT:me",
	    "r.x", "me", (struct key_field[]){ { "doc_id", STR_LIT("x%2C") } }, 1);
	assert_key("Internal,r.x,STUDENT:mch-hi-%2523user%253Da%2C", "r.x", "mch-hi-%23user%3Da,",
	    NULL, 0);
}

/* Every byte alone, so that each is either itself or three bytes, and all
 * results differ. */
static void
test_every_byte(void **state)
{
	struct buf seen[256];

	(void)state;
	for (int c = 0; c < 256; c++) {
		char byte = (char)c;
		bool special = c < 0x20 || c == 0x7f || byte == ',' || byte == ':' || byte == '%';

		seen[c] = BUF_INIT(0);
		key_escape(&seen[c], (struct str){ &byte, 1 });
		assert_int_equal(seen[c].len, special ? 3 : 1);
		assert_int_equal(seen[c].data[0], special ? '%' : byte);
		for (int d = 0; d < c; d++)
			assert_false(str_eq(buf_view(&seen[c]), buf_view(&seen[d])));
	}
	assert_true(str_is(buf_view(&seen[0]), "%00"));
	assert_true(str_is(buf_view(&seen[0x7f]), "%7F"));
	for (int c = 0; c < 256; c++)
		buf_free(&seen[c]);
}

static void
test_empty_and_mixed(void **state)
{
	struct buf out = BUF_INIT(0);

	(void)state;
	key_escape(&out, (struct str){ 0 });
	assert_int_equal(out.len, 0);
	key_escape(&out, STR_LIT(",a\n\xc3\xa9:"));
	assert_true(str_is(buf_view(&out), "%2Ca%0A\xc3\xa9%3A"));
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_empty_and_mixed),
	};

	return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
