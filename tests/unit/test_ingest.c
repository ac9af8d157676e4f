/* SPDX-License-Identifier: MIT */
/* Tests of flow/ingest: acks only for what is on disk, each event once, blobs
 * read back, a disk that is slow or refuses. */
#include <errno.h>

#include "tests/unit/session_world.h"

#define STREAM ",\"stream\":\"s\""
#define ACK(seq) "{\"status\":\"ack\",\"stream\":\"s\",\"seq\":" #seq "}"
#define RETRY "{\"status\":\"retry\"}"

static struct client c, d;

/* ---- acks ---- */

static void
test_ack(void **state)
{
	(void)state;

	client_open(&c);
	say(&c, LOCK("\"source\":\"org.x\"" STREAM));
	hears_nothing(&c);
	say(&c, LOCK("\"user_id\":\"u1\""));
	HEARS_AUTH(&c, "u1");
	hears(&c, ACK(0));
	say(&c, "{\"event\":\"a\",\"seq\":1}");
	say(&c, "{\"event\":\"b\",\"seq\":2}");
	hears_nothing(&c);
	settle();
	hears(&c, ACK(2));
	assert_int_equal(kept(RECORD_EVENT, 1)->event.stream_seq, 2);
	say(&c, "{\"event\":\"no seq\"}");
	settle();
	hears_nothing(&c);
	say(&c, LOCK("\"v\":1"));
	hears(&c, ACK(2));
	say(&c, "{\"event\":\"a\",\"seq\":9007199254740993}");
	say(&c, "{\"event\":\"b\",\"seq\":9223372036854775807}");
	settle();
	hears(&c, ACK(9223372036854775807));
	assert_int_equal(metric_value[METRIC_GAPS], 2);
	client_done(&c);
	/* The next connection learns where to go on; another student's stream of
	 * the same name is another one. */
	client_open(&c);
	say(&c, LOCK("\"source\":\"org.x\",\"user_id\":\"u1\"" STREAM));
	HEARS_AUTH(&c, "u1");
	hears(&c, ACK(9223372036854775807));
	client_done(&c);
	client_open(&c);
	say(&c, LOCK("\"source\":\"org.x\"" STREAM));
	say(&c, "{\"event\":\"x\",\"user_id\":\"u2\",\"seq\":1}");
	HEARS_AUTH(&c, "u2");
	hears(&c, ACK(0));
	settle();
	hears(&c, ACK(1));
	client_done(&c);
}

static void
test_bad_seq(void **state)
{
	static const char *const seqs[] = {
		"0", "-1", "1.5", "1.0", "\"7\"", "null", "true", "[]", "9223372036854775808",
		"18446744073709551616", "1e3", "-9223372036854775808",
	};
	(void)state;

	client_known(&c, "u1", "org.x", STREAM);
	for (size_t i = 0; i < COUNT(seqs); i++) {
		sayf(&c, "{\"event\":\"a\",\"seq\":%s}", seqs[i]);
		hears_error(&c, "bad_seq");
	}
	client_done(&c);
	/* Without a stream it is the client's own affair. */
	client_known(&c, "u1", "org.x", "");
	say(&c, "{\"event\":\"a\",\"seq\":\"7\"}");
	settle();
	hears_nothing(&c);
	keeps(0, "{\"event\":\"a\",\"seq\":\"7\"}");
	client_done(&c);
}

static void
test_repeated(void **state)
{
	(void)state;

	client_known(&c, "u1", "org.x", STREAM);
	say(&c, "{\"event\":\"a\",\"seq\":1}");
	say(&c, "{\"event\":\"b\",\"seq\":2}");
	settle();
	hears(&c, ACK(2));
	say(&c, "{\"event\":\"a\",\"seq\":1}");
	hears(&c, ACK(2));
	say(&c, "{\"event\":\"c\",\"seq\":3}");
	say(&c, "{\"event\":\"c\",\"seq\":3}");
	hears_nothing(&c);
	settle();
	hears(&c, ACK(3));
	hears_nothing(&c);
	assert_int_equal(kept_count(RECORD_EVENT), 3);
	assert_int_equal(metric_value[METRIC_REPEATED], 2);
	client_done(&c);
}

/* The same event on two sockets counts once; both hear of it when it is on
 * disk, and not before. */
static void
test_two_sockets(void **state)
{
	(void)state;

	client_known(&c, "u1", "org.x", STREAM);
	client_known(&d, "u1", "org.x", STREAM);
	say(&c, "{\"event\":\"a\",\"seq\":1}");
	say(&d, "{\"event\":\"a\",\"seq\":1}");
	hears_nothing(&c);
	hears_nothing(&d);
	settle();
	hears(&c, ACK(1));
	hears(&d, ACK(1));
	hears_nothing(&c);
	hears_nothing(&d);
	assert_int_equal(kept_count(RECORD_EVENT), 1);
	/* The one that sent it first is gone before it is on disk. */
	say(&c, "{\"event\":\"b\",\"seq\":2}");
	client_done(&c);
	say(&d, "{\"event\":\"b\",\"seq\":2}");
	say(&d, "{\"event\":\"terminate\"}");
	assert_int_equal(d.code, 0);
	settle();
	hears(&d, ACK(2));
	assert_int_equal(d.code, 1000);
	client_done(&d);
	assert_int_equal(kept_count(RECORD_EVENT), 2);
	assert_string_equal(state_of("Internal,activity.event_count,STUDENT:tc-testcase-u1"),
	    "{\"count\":2}");
}

/* The commit in between is not the one that the second socket waits for. */
static void
test_two_sockets_two_blocks(void **state)
{
	struct client e;
	(void)state;

	client_known(&c, "u1", "org.x", STREAM);
	client_known(&d, "u1", "org.x", STREAM);
	client_known(&e, "u2", "org.x", STREAM);
	say(&e, "{\"event\":\"a\",\"seq\":1}");
	turn();
	say(&c, "{\"event\":\"a\",\"seq\":1}");
	say(&d, "{\"event\":\"a\",\"seq\":1}");
	say(&d, "{\"event\":\"terminate\"}");
	settle();
	hears(&e, ACK(1));
	hears(&c, ACK(1));
	hears(&d, ACK(1));
	assert_int_equal(d.code, 1000);
	client_done(&c);
	client_done(&d);
	client_done(&e);
	/* Whoever has turned to another stream waits for nothing of the old one. */
	client_known(&c, "u1", "org.x", STREAM);
	client_known(&d, "u1", "org.x", STREAM);
	say(&c, "{\"event\":\"b\",\"seq\":2}");
	say(&d, "{\"event\":\"b\",\"seq\":2}");
	say(&d, LOCK("\"stream\":\"t\""));
	say(&d, "{\"event\":\"terminate\"}");
	assert_int_equal(d.code, 1000);
	settle();
	client_done(&c);
	client_done(&d);
}

/* What waits for its source is not acknowledged, though the same number came
 * in over another socket. */
static void
test_held_and_taken(void **state)
{
	(void)state;

	client_open(&c);
	say(&c, LOCK("\"user_id\":\"u1\"" STREAM));
	HEARS_AUTH(&c, "u1");
	hears(&c, ACK(0));
	say(&c, "{\"event\":\"a\",\"seq\":1}");
	client_known(&d, "u1", "org.x", STREAM);
	settle();
	hears_nothing(&c);
	say(&d, "{\"event\":\"a\",\"seq\":1}");
	settle();
	hears(&d, ACK(1));
	hears_nothing(&c);
	say(&c, LOCK("\"source\":\"org.x\""));
	hears(&c, ACK(1));
	hears(&c, ACK(1));
	settle();
	hears_nothing(&c);
	assert_int_equal(kept_count(RECORD_EVENT), 1);
	client_done(&c);
	client_done(&d);
}

static void
test_other_stream(void **state)
{
	(void)state;

	client_known(&c, "u1", "org.x", STREAM);
	say(&c, "{\"event\":\"a\",\"seq\":5}");
	say(&c, LOCK("\"stream\":\"<t>\""));
	hears(&c, "{\"status\":\"ack\",\"stream\":\"\\u003ct\\u003e\",\"seq\":0}");
	say(&c, "{\"event\":\"b\",\"seq\":1}");
	settle();
	hears(&c, "{\"status\":\"ack\",\"stream\":\"\\u003ct\\u003e\",\"seq\":1}");
	say(&c, LOCK("\"stream\":\"s\""));
	hears(&c, ACK(5));
	hears_nothing(&c);
	client_done(&c);
}

/* A connection lost with events under way: they are kept, nobody is told. */
static void
test_lost(void **state)
{
	(void)state;

	client_known(&c, "u1", "org.x", STREAM);
	say(&c, "{\"event\":\"a\",\"seq\":1}");
	client_lose(&c);
	settle();
	hears_nothing(&c);
	client_done(&c);
	assert_int_equal(kept_count(RECORD_EVENT), 1);
	assert_int_equal(kept_count(RECORD_SESSION_END), 1);
	client_known(&c, "u1", "org.x", STREAM);
	assert_string_equal(c.sent[1], ACK(1));
	client_done(&c);
	/* One that never had an event never was there. */
	settle();
	assert_int_equal(kept_count(RECORD_SESSION_END), 1);
}

static void
test_terminate(void **state)
{
	(void)state;

	client_known(&c, "u1", "org.x", STREAM);
	say(&c, "{\"event\":\"a\",\"seq\":1}");
	say(&c, "{\"event\":\"terminate\"}");
	say(&c, "{\"event\":\"terminate\"}");
	say(&c, "{\"event\":\"b\",\"seq\":2}");
	assert_int_equal(c.code, 0);
	settle();
	hears(&c, ACK(1));
	hears_nothing(&c);
	assert_int_equal(c.code, 1000);
	client_done(&c);
	client_known(&c, "u1", "org.x", STREAM);
	say(&c, "{\"event\":\"terminate\"}");
	assert_int_equal(c.code, 1000);
	client_done(&c);
	/* Without a stream there is nothing to wait for. */
	client_known(&c, "u1", "org.x", "");
	say(&c, "{\"event\":\"c\"}");
	say(&c, "{\"event\":\"terminate\"}");
	assert_int_equal(c.code, 1000);
	client_done(&c);
	settle();
	assert_int_equal(kept_count(RECORD_EVENT), 2);
}

/* ---- blobs ---- */

static void
test_blob(void **state)
{
	(void)state;

	client_open(&c);
	say(&c, LOCK("\"source\":\"org.x\",\"activity\":\"quiz1\",\"user_id\":\"u1\""));
	HEARS_AUTH(&c, "u1");
	say(&c, "{\"event\":\"fetch_blob\"}");
	hears(&c, "{\"status\":\"fetch_blob\",\"data\":null}");
	/* What was saved is read back, though nothing of it is on disk yet. */
	say(&c, "{\"event\":\"save_blob\",\"blob\":{\"n\":1.50,\"s\":\"\\ud800<\"}}");
	say(&c, "{\"event\":\"fetch_blob\"}");
	say(&c, "{\"event\":\"save_blob\",\"blob\":2}");
	say(&c, "{\"event\":\"fetch_blob\"}");
	hears_nothing(&c);
	settle();
	hears(&c, "{\"status\":\"fetch_blob\",\"data\":{\"n\":1.50,\"s\":\"\\ud800\\u003c\"}}");
	hears(&c, "{\"status\":\"fetch_blob\",\"data\":2}");
	hears_nothing(&c);
	assert_string_equal(state_of("Internal,learning_observer.blob_storage.state_blob,"
	    "EventField.activity:quiz1,EventField.source:org.x,STUDENT:tc-testcase-u1"), "2");
	say(&c, "{\"event\":\"fetch_blob\"}");
	hears(&c, "{\"status\":\"fetch_blob\",\"data\":2}");
	client_done(&c);
	/* Nobody else's, nor another activity's. */
	client_known(&c, "u2", "org.x", ",\"activity\":\"quiz1\"");
	say(&c, "{\"event\":\"fetch_blob\",\"user_id\":\"u1\",\"safe_user_id\":\"tc-testcase-u1\"}");
	hears(&c, "{\"status\":\"fetch_blob\",\"data\":null}");
	client_done(&c);
	client_known(&c, "u1", "org.x", "");
	say(&c, "{\"event\":\"fetch_blob\",\"activity\":5}");
	hears(&c, "{\"status\":\"fetch_blob\",\"data\":null}");
	say(&c, "{\"event\":\"save_blob\",\"activity\":5,\"blob\":\"five\"}");
	say(&c, "{\"event\":\"fetch_blob\",\"activity\":\"5\"}");
	settle();
	hears(&c, "{\"status\":\"fetch_blob\",\"data\":\"five\"}");
	say(&c, "{\"event\":\"fetch_blob\",\"activity\":\"quiz1\"}");
	hears(&c, "{\"status\":\"fetch_blob\",\"data\":2}");
	client_done(&c);
	assert_int_equal(metric_value[METRIC_EVENTS], 3);
}

/* Held like events, answered in their place. */
static void
test_blob_held(void **state)
{
	(void)state;

	client_open(&c);
	say(&c, "{\"event\":\"save_blob\",\"activity\":\"a\",\"blob\":[1]}");
	say(&c, "{\"event\":\"fetch_blob\",\"activity\":\"a\"}");
	hears_nothing(&c);
	say(&c, LOCK("\"source\":\"org.x\",\"user_id\":\"u1\""));
	HEARS_AUTH(&c, "u1");
	settle();
	hears(&c, "{\"status\":\"fetch_blob\",\"data\":[1]}");
	client_done(&c);
}

static void
test_blob_fetches(void **state)
{
	(void)state;

	client_known(&c, "u1", "org.x", ",\"activity\":\"a\"");
	say(&c, "{\"event\":\"save_blob\",\"blob\":1}");
	for (int i = 0; i < 17; i++)
		say(&c, "{\"event\":\"fetch_blob\"}");
	hears_error(&c, "full");
	settle();
	for (int i = 0; i < 16; i++)
		hears(&c, "{\"status\":\"fetch_blob\",\"data\":1}");
	hears_nothing(&c);
	/* A last question is answered before the connection closes. */
	say(&c, "{\"event\":\"save_blob\",\"blob\":2}");
	say(&c, "{\"event\":\"fetch_blob\"}");
	say(&c, "{\"event\":\"terminate\"}");
	settle();
	hears(&c, "{\"status\":\"fetch_blob\",\"data\":2}");
	assert_int_equal(c.code, 1000);
	client_done(&c);
	/* One whose asker is gone is answered to nobody. */
	client_known(&c, "u1", "org.x", ",\"activity\":\"a\"");
	say(&c, "{\"event\":\"save_blob\",\"blob\":3}");
	say(&c, "{\"event\":\"fetch_blob\"}");
	client_lose(&c);
	settle();
	hears_nothing(&c);
	client_done(&c);
}

/* ---- a disk that is behind, or refuses ---- */

static void
test_full(void **state)
{
	(void)state;

	client_known(&c, "u1", "org.x", "");
	client_known(&d, "u2", "org.x", "");
	while (c.reading)
		say(&c, "{\"event\":\"a\"}");
	assert_true(d.reading);
	/* What it has sent before it knew is taken, too. */
	say(&c, "{\"event\":\"last\"}");
	say(&d, "{\"event\":\"b\"}");
	assert_false(d.reading);
	client_done(&d);
	settle();
	assert_true(c.reading);
	assert_int_equal(w.resumes, 1);
	assert_int_equal(kept_count(RECORD_EVENT), metric_value[METRIC_EVENTS]);
	hears_nothing(&c);
	client_done(&c);
}

/* Who comes while the journal is full waits from the start: else each new
 * connection would add what it sends first. */
static void
test_full_newcomers(void **state)
{
	(void)state;

	client_known(&c, "u1", "org.x", "");
	while (c.reading)
		say(&c, "{\"event\":\"a\"}");
	client_open(&d);
	assert_false(d.reading);
	client_done(&d);
	client_open(&d);
	settle();
	assert_true(d.reading);
	hears_nothing(&d);
	assert_int_equal(kept_count(RECORD_SESSION), 1);
	client_done(&c);
	client_done(&d);
}

static int failing;

static int
failing_sync(int fd)
{
	if (failing > 0) {
		failing--;
		errno = ENOSPC;
		return -1;
	}
	return fdatasync(fd);
}

static void
wait_for_stall(void)
{
	struct loop_timer *t = loop_timer_new(w.loop, world_stop_cb, NULL);

	while (w.stalls == 0) {
		loop_timer_once(t, 1);
		loop_run(w.loop);
	}
	loop_timer_free(t);
}

static void
test_stall(void **state)
{
	struct journal_io real = journal_io;
	struct client e;
	(void)state;

	client_known(&c, "u1", "org.x", STREAM);
	client_known(&d, "u2", "org.x", STREAM);
	client_known(&e, "u3", "org.x", STREAM);
	journal_io.fdatasync = failing_sync;
	failing = 2;
	say(&c, "{\"event\":\"a\",\"seq\":1}");
	wait_for_stall();
	hears(&c, RETRY);
	hears_nothing(&d);
	assert_true(c.reading);
	/* Who goes on sending is told, and stops reading; once each. */
	say(&c, "{\"event\":\"b\",\"seq\":2}");
	hears_nothing(&c);
	assert_false(c.reading);
	say(&d, "{\"event\":\"a\",\"seq\":1}");
	hears(&d, RETRY);
	assert_false(d.reading);
	say(&d, "{\"event\":\"b\",\"seq\":2}");
	say(&d, "{\"event\":\"terminate\"}");
	hears_nothing(&d);
	assert_int_equal(d.code, 0);
	settle();
	hears(&c, ACK(1));
	hears(&c, ACK(2));
	hears_nothing(&c);
	assert_true(c.reading);
	hears(&d, ACK(2));
	assert_int_equal(d.code, 1000);
	hears_nothing(&e);
	assert_int_equal(kept_count(RECORD_EVENT), 4);
	journal_io = real;
	client_done(&c);
	client_done(&d);
	client_done(&e);
}

/* A session states itself in every segment it has events in. */
static void
test_segments(void **state)
{
	char *text = mem_alloc(300001);
	struct kept *last;
	(void)state;

	client_known(&c, "u1", "org.x", "");
	memset(text, ' ', 300000);
	text[300000] = '\0';
	memcpy(text, "{\"event\":\"big\"}", 15);
	for (int i = 0; i < 8; i++) {
		say(&c, text);
		settle();
	}
	assert_true(kept_count(RECORD_SESSION) >= 2);
	last = kept(RECORD_SESSION, kept_count(RECORD_SESSION) - 1);
	assert_int_equal(last->r.session, kept(RECORD_SESSION, 0)->r.seq);
	assert_true(str_is(last->session.user_id, "testcase-u1"));
	assert_int_equal(kept_count(RECORD_EVENT), 8);
	mem_free(text);
	client_done(&c);
}

/* Many sessions, each event of each once, in its order, however the commits
 * fall. */
static void
test_many(void **state)
{
	struct client many[20];
	(void)state;

	for (size_t i = 0; i < COUNT(many); i++) {
		char user[8];

		snprintf(user, sizeof user, "u%zu", i);
		client_known(&many[i], user, "org.x", STREAM);
	}
	for (unsigned n = 1; n <= 50; n++) {
		for (size_t i = 0; i < COUNT(many); i++)
			sayf(&many[i], "{\"event\":\"e\",\"seq\":%u}", n);
		if (n % 7 == 0)
			settle();
	}
	for (size_t i = 0; i < COUNT(many); i += 2)
		client_lose(&many[i]);
	settle();
	for (size_t i = 0; i < COUNT(many); i++) {
		char key[80];

		snprintf(key, sizeof key, "Internal,activity.event_count,STUDENT:tc-testcase-u%zu", i);
		assert_string_equal(state_of(key), "{\"count\":50}");
		if (i % 2 == 1)
			assert_string_equal(many[i].sent[many[i].n_sent - 1], ACK(50));
		client_done(&many[i]);
	}
	assert_int_equal(kept_count(RECORD_EVENT), 1000);
}

/* The daemon is told to go while connections are open and events under way. */
static void
test_free_early(void **state)
{
	struct ingest_options o = { w.loop, w.engine, w.journal, &w.conf, w.rules, NULL };
	(void)state;

	client_known(&c, "u1", "org.x", STREAM ",\"activity\":\"a\"");
	say(&c, "{\"event\":\"a\",\"seq\":1}");
	say(&c, "{\"event\":\"fetch_blob\"}");
	client_open(&d);
	say(&d, "{\"event\":\"held\"}");
	client_lose(&c);
	ingest_free(w.ingest);
	d.s = NULL;
	w.ingest = ingest_new(&o);
	client_done(&c);
	client_done(&d);
}

static int
world_new_small(void **state)
{
	int rc = world_new(state);

	(void)state;
	journal_close(w.journal);
	w.max_pending = 4096;
	world_journal();
	ingest_free(w.ingest);
	w.ingest = ingest_new(&(struct ingest_options){ w.loop, w.engine, w.journal, &w.conf, w.rules, NULL });
	return rc;
}

/* A claim of before must not go on writing where a token's student writes now. */
static void
test_token_switched_on(void **state)
{
	struct client claims, waits;

	(void)state;
	client_open(&claims);
	client_open(&waits);
	say(&claims, LOCK("\"user_id\":\"u1\",\"source\":\"s\""));
	say(&claims, "{\"event\":\"a\"}");
	w.methods[0] = "token";
	w.methods[1] = "testcase_auth";
	w.methods[2] = NULL;
	world_rules();
	assert_int_equal(claims.code, 1012);
	assert_int_equal(waits.code, 0);
	say(&waits, LOCK("\"user_id\":\"u1\",\"source\":\"s\""));
	say(&waits, "{\"event\":\"a\"}");
	world_rules(); /* the same again: nobody is sent away */
	assert_int_equal(waits.code, 0);
	client_done(&claims);
	client_done(&waits);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		WORLD_TEST(test_ack),
		WORLD_TEST(test_bad_seq),
		WORLD_TEST(test_repeated),
		WORLD_TEST(test_two_sockets),
		WORLD_TEST(test_two_sockets_two_blocks),
		WORLD_TEST(test_held_and_taken),
		WORLD_TEST(test_other_stream),
		WORLD_TEST(test_lost),
		WORLD_TEST(test_terminate),
		WORLD_TEST(test_blob),
		WORLD_TEST(test_blob_held),
		WORLD_TEST(test_blob_fetches),
		cmocka_unit_test_setup_teardown(test_full, world_new_small, world_free),
		cmocka_unit_test_setup_teardown(test_full_newcomers, world_new_small, world_free),
		WORLD_TEST(test_stall),
		WORLD_TEST(test_segments),
		WORLD_TEST(test_many),
		WORLD_TEST(test_free_early),
		WORLD_TEST(test_token_switched_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
