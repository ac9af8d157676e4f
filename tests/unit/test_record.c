/* SPDX-License-Identifier: MIT */
/* Tests of flow/record: what goes in comes out, and a body cut or garbled
 * anywhere is refused or read within its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "flow/record.h"

#define assert_str(s, z) assert_true(str_is(s, z))

static const struct session_record full = {
	.user_id = { "u1", 2 },
	.safe_user_id = { "tc-u1", 5 },
	.providence = { "tc", 2 },
	.sec = SEC_UNAUTHENTICATED,
	.source = { "org.x", 5 },
	.stream = { "str", 3 },
	.origin = { "https://a", 9 },
	.agent = { "Mozilla", 7 },
	.ip = { "::1", 3 },
	.locked = { "{\"a\":1}", 7 },
};

/* Memory of exactly the body's size, so that the sanitizer sees a read beyond. */
static enum err
read_session(struct str body, struct session_record *out)
{
	char *copy = mem_dup(body.p, body.n), *tight = mem_alloc(body.n);
	enum err e;

	memcpy(tight, copy, body.n);
	e = session_record_read((struct str){ tight, body.n }, out);
	mem_free(copy);
	mem_free(tight);
	return e;
}

static void
test_session(void **state)
{
	struct buf body = BUF_INIT(0);
	struct session_record got;

	(void)state;
	session_record_write(&body, &full);
	assert_int_equal(session_record_read(buf_view(&body), &got), ERR_OK);
	assert_str(got.user_id, "u1");
	assert_str(got.safe_user_id, "tc-u1");
	assert_str(got.providence, "tc");
	assert_int_equal(got.sec, SEC_UNAUTHENTICATED);
	assert_str(got.source, "org.x");
	assert_str(got.stream, "str");
	assert_str(got.origin, "https://a");
	assert_str(got.agent, "Mozilla");
	assert_str(got.ip, "::1");
	assert_str(got.locked, "{\"a\":1}");
	buf_free(&body);
}

static void
test_session_every_sec(void **state)
{
	(void)state;
	for (int sec = 0; sec < SEC_COUNT; sec++) {
		struct session_record s = full, got;
		struct buf body = BUF_INIT(0);

		s.sec = (enum sec)sec;
		session_record_write(&body, &s);
		assert_int_equal(session_record_read(buf_view(&body), &got), ERR_OK);
		assert_int_equal(got.sec, sec);
		buf_free(&body);
	}
}

static void
test_session_damaged(void **state)
{
	struct buf body = BUF_INIT(0);
	struct session_record got, none = full;

	(void)state;
	session_record_write(&body, &full);
	for (size_t n = 0; n < body.len; n++)
		assert_int_equal(read_session((struct str){ body.data, n }, &got), ERR_DAMAGED);
	buf_byte(&body, 'x');
	assert_int_equal(read_session(buf_view(&body), &got), ERR_DAMAGED);
	/* A length that reaches around the address space. */
	memset(body.data, 0xff, 4);
	assert_int_equal(read_session(buf_view(&body), &got), ERR_DAMAGED);
	buf_clear(&body);
	none.safe_user_id = (struct str){ 0 };
	session_record_write(&body, &none);
	assert_int_equal(read_session(buf_view(&body), &got), ERR_DAMAGED);
	buf_free(&body);
}

static void
test_session_unknown_sec(void **state)
{
	struct buf body = BUF_INIT(0);
	struct session_record got;
	char *at;

	(void)state;
	session_record_write(&body, &full);
	at = memmem(body.data, body.len, "unauthenticated", 15);
	assert_non_null(at);
	*at = 'x';
	assert_int_equal(session_record_read(buf_view(&body), &got), ERR_DAMAGED);
	buf_free(&body);
}

static void
test_event(void **state)
{
	struct event_record e = {
		.name = STR_LIT("google_docs_save"), .source = STR_LIT("org.x"),
		.doc_id = STR_LIT("D1"), .stream_seq = UINT64_C(1) << 60
	};
	struct event_record got;
	struct buf body = BUF_INIT(0);

	(void)state;
	event_record_head(&body, &e);
	buf_z(&body, "{\"event\":\"google_docs_save\"}");
	assert_int_equal(event_record_read(buf_view(&body), &got), ERR_OK);
	assert_str(got.name, "google_docs_save");
	assert_str(got.source, "org.x");
	assert_str(got.doc_id, "D1");
	assert_true(got.stream_seq == UINT64_C(1) << 60);
	assert_str(got.json, "{\"event\":\"google_docs_save\"}");
	buf_free(&body);
}

static void
test_event_least_and_most(void **state)
{
	static char longest[UINT16_MAX], doc[UINT16_MAX + 2];
	struct event_record e = { .name = { longest, sizeof longest },
		.source = { longest, sizeof longest }, .doc_id = { doc, sizeof doc } };
	struct event_record got;
	struct buf body = BUF_INIT(0);

	(void)state;
	event_record_head(&body, &e);
	buf_z(&body, "{}");
	assert_int_equal(event_record_read(buf_view(&body), &got), ERR_OK);
	assert_int_equal(got.name.n, sizeof longest);
	assert_int_equal(got.source.n, sizeof longest);
	assert_int_equal(got.doc_id.n, sizeof doc);
	assert_str(got.json, "{}");
	buf_clear(&body);
	event_record_head(&body, &(struct event_record){ .name = STR_LIT("a") });
	buf_z(&body, "{}");
	assert_int_equal(event_record_read(buf_view(&body), &got), ERR_OK);
	assert_str(got.name, "a");
	assert_int_equal(got.source.n + got.doc_id.n + got.stream_seq, 0);
	buf_free(&body);
}

static void
test_event_damaged(void **state)
{
	struct event_record e = { .name = STR_LIT("save"), .source = STR_LIT("org.x"),
		.doc_id = STR_LIT("D1") };
	struct event_record got;
	struct buf body = BUF_INIT(0);
	size_t head;

	(void)state;
	event_record_head(&body, &e);
	head = body.len;
	for (size_t n = 0; n <= head; n++) {
		char *tight = mem_alloc(n);

		memcpy(tight, body.data, n);
		assert_int_equal(event_record_read((struct str){ tight, n }, &got), ERR_DAMAGED);
		mem_free(tight);
	}
	buf_z(&body, "{}");
	assert_int_equal(event_record_read(buf_view(&body), &got), ERR_OK);
	memset(body.data + 12, 0xff, 4); /* the document's length */
	assert_int_equal(event_record_read(buf_view(&body), &got), ERR_DAMAGED);
	buf_clear(&body);
	event_record_head(&body, &(struct event_record){ .doc_id = STR_LIT("D") });
	buf_z(&body, "{}");
	assert_int_equal(event_record_read(buf_view(&body), &got), ERR_DAMAGED); /* no name */
	buf_free(&body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_session_every_sec),
		cmocka_unit_test(test_session_damaged),
		cmocka_unit_test(test_session_unknown_sec),
		cmocka_unit_test(test_event),
		cmocka_unit_test(test_event_least_and_most),
		cmocka_unit_test(test_event_damaged),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
