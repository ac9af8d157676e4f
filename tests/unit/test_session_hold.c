/* SPDX-License-Identifier: MIT */
/* Tests of flow/session: what comes before it is known who the client is and
 * what it is about. */
#include "state/ident.h"
#include "tests/unit/session_world.h"

static struct client c, d;

static void
methods(const char *first, const char *second)
{
	w.methods[0] = first;
	w.methods[1] = second;
	world_rules();
}

/* lo_event after an outage: its queue first, the merged lock_fields last. */
static void
test_queue_first(void **state)
{
	(void)state;

	client_open(&c);
	say(&c, "{\"event\":\"a\"}");
	say(&c, "{\"event\":\"b\",\"auth\":1}");
	say(&c, "{\"event\":\"c\"}");
	hears_nothing(&c);
	assert_int_equal(metric_value[METRIC_HELD], 3);
	say(&c, LOCK("\"source\":\"org.x\",\"user_id\":\"u1\""));
	HEARS_AUTH(&c, "u1");
	assert_int_equal(metric_value[METRIC_HELD], 0);
	settle();
	keeps(0, "{\"event\":\"a\"}");
	keeps(1, "{\"event\":\"b\"}");
	keeps(2, "{\"event\":\"c\"}");
	client_done(&c);
}

/* lo_event on a first connection: an event may stand between the two. */
static void
test_identity_late(void **state)
{
	(void)state;

	client_open(&c);
	say(&c, LOCK("\"source\":\"org.x\""));
	say(&c, "{\"event\":\"a\"}");
	assert_int_equal(metric_value[METRIC_HELD], 1);
	say(&c, LOCK("\"user_id\":\"u1\""));
	HEARS_AUTH(&c, "u1");
	say(&c, LOCK("\"source\":\"org.x\",\"user_id\":\"u1\""));
	hears_nothing(&c);
	settle();
	keeps(0, "{\"event\":\"a\"}");
	client_done(&c);
}

/* The event that identifies is released with the rest, in its place. */
static void
test_identifying_event(void **state)
{
	(void)state;

	client_open(&c);
	say(&c, LOCK("\"source\":\"org.x\""));
	say(&c, "{\"event\":\"a\"}");
	say(&c, "{\"event\":\"test_framework_fake_identity\",\"user_id\":\"u1\"}");
	HEARS_AUTH(&c, "u1");
	say(&c, "{\"event\":\"c\",\"user_id\":\"u2\"}");
	settle();
	keeps(0, "{\"event\":\"a\"}");
	keeps(1, "{\"event\":\"test_framework_fake_identity\"}");
	keeps(2, "{\"event\":\"c\"}");
	assert_int_equal(kept_count(RECORD_SESSION), 1);
	hears_nothing(&c);
	client_done(&c);
}

static void
test_source_late(void **state)
{
	(void)state;

	client_open(&c);
	say(&c, "{\"event\":\"a\",\"user_id\":\"u1\"}");
	HEARS_AUTH(&c, "u1");
	/* Complete in itself, yet not before the one that came first. */
	say(&c, "{\"event\":\"b\",\"source\":\"org.y\"}");
	settle();
	assert_int_equal(kept_count(RECORD_EVENT), 0);
	say(&c, LOCK("\"source\":\"org.x\""));
	settle();
	keeps(0, "{\"event\":\"a\"}");
	keeps(1, "{\"event\":\"b\",\"source\":\"org.y\"}");
	client_done(&c);
}

static void
test_own_source(void **state)
{
	(void)state;

	client_open(&c);
	say(&c, "{\"event\":\"a\",\"user_id\":\"u1\",\"source\":\"org.y\"}");
	HEARS_AUTH(&c, "u1");
	say(&c, "{\"event\":\"b\",\"source\":\"\"}");
	hears_error(&c, "bad_source");
	settle();
	assert_true(str_is(kept(RECORD_EVENT, 0)->event.source, "org.y"));
	assert_int_equal(kept_count(RECORD_EVENT), 1);
	client_done(&c);
}

static void
test_too_many(void **state)
{
	(void)state;

	client_open(&c);
	for (int i = 0; i < 64; i++)
		say(&c, "{\"event\":\"a\"}");
	assert_int_equal(c.code, 0);
	hears_nothing(&c);
	say(&c, "{\"event\":\"a\",\"seq\":65}");
	hears(&c, "{\"status\":\"error\",\"code\":\"too_much_held\",\"message\":"
	    "\"Too many events before identity and source were known.\",\"seq\":65}");
	assert_int_equal(c.code, 1008);
	say(&c, LOCK("\"source\":\"org.x\",\"user_id\":\"u1\""));
	hears_nothing(&c);
	client_done(&c);
	settle();
	assert_int_equal(w.n_kept, 0);
}

static void
test_too_large(void **state)
{
	char *text = mem_alloc(256 << 10);
	int n;
	(void)state;

	memset(text, ' ', 256 << 10);
	n = snprintf(text, 64, "{\"event\":\"a\"}");
	text[n] = ' ';
	client_open(&c);
	say_str(&c, (struct str){ text, 256 << 10 });
	assert_int_equal(c.code, 0);
	say(&c, "{\"event\":\"b\"}");
	hears_error(&c, "too_much_held");
	assert_int_equal(c.code, 1008);
	client_done(&c);
	mem_free(text);
}

static void
test_lost_while_held(void **state)
{
	(void)state;

	client_open(&c);
	say(&c, "{\"event\":\"a\"}");
	client_done(&c);
	client_open(&c);
	say(&c, "{\"event\":\"a\"}");
	say(&c, "{\"event\":\"terminate\"}");
	assert_int_equal(c.code, 1000);
	assert_int_equal(metric_value[METRIC_HELD], 0);
	client_done(&c);
	settle();
	assert_int_equal(w.n_kept, 0);
}

/* What cannot be accepted once it is released is answered then. */
static void
test_held_errors(void **state)
{
	(void)state;

	client_open(&c);
	say(&c, "{\"event\":\"a\",\"seq\":0}");
	say(&c, "{\"event\":\"save_blob\",\"seq\":2}");
	say(&c, "{\"event\":\"b\",\"seq\":3}");
	say(&c, "{\"event\":5}");
	hears_error(&c, "bad_event_name");
	say(&c, LOCK("\"source\":\"org.x\",\"user_id\":\"u1\",\"stream\":\"s\""));
	HEARS_AUTH(&c, "u1");
	hears(&c, "{\"status\":\"ack\",\"stream\":\"s\",\"seq\":0}");
	hears_error(&c, "bad_seq");
	hears_error(&c, "blob_scope");
	hears_nothing(&c);
	settle();
	hears(&c, "{\"status\":\"ack\",\"stream\":\"s\",\"seq\":3}");
	keeps(0, "{\"event\":\"b\",\"seq\":3}");
	client_done(&c);
}

/* ---- identities ---- */

static void
test_bad_identity(void **state)
{
	(void)state;

	methods("chromebook", NULL);
	client_open(&c);
	say(&c, LOCK("\"source\":\"org.x\",\"chrome_identity\":{\"id\":\"\",\"email\":\"\"}"));
	hears_error(&c, "bad_identity");
	say(&c, "{\"event\":\"a\"}");
	hears_error(&c, "bad_identity");
	say(&c, LOCK("\"chrome_identity\":{\"id\":null}"));
	say(&c, "{\"event\":\"b\"}");
	hears_nothing(&c);
	say(&c, LOCK("\"chrome_identity\":{\"id\":\"117\"}"));
	hears(&c, "{\"status\":\"auth\",\"user_id\":\"gc-117\",\"safe_user_id\":\"gc-117\","
	    "\"sec\":\"unauthenticated\"}");
	settle();
	keeps(0, "{\"event\":\"b\"}");
	assert_int_equal(kept_count(RECORD_EVENT), 1);
	client_done(&c);
}

static void
test_guest(void **state)
{
	struct session_peer info = { .guest_id = STR_LIT("00112233445566778899aabbccddeeff") };
	(void)state;

	methods("testcase_auth", "guest");
	d = (struct client){ .reading = true };
	d.s = session_new(w.ingest, &client_door, &d, &info);
	/* Whoever has only said what it sends may still say who it is. */
	say(&d, LOCK("\"source\":\"org.x\""));
	hears_nothing(&d);
	say(&d, "{\"event\":\"a\"}");
	hears(&d, "{\"status\":\"auth\",\"user_id\":\"00112233445566778899aabbccddeeff\","
	    "\"safe_user_id\":\"guest-00112233445566778899aabbccddeeff\",\"sec\":\"none\","
	    "\"guest_id\":\"00112233445566778899aabbccddeeff\"}");
	say(&d, LOCK("\"user_id\":\"u1\""));
	hears_nothing(&d);
	client_done(&d);
	/* Whoever asks where to go on gets an answer. */
	client_open(&c);
	say(&c, LOCK("\"source\":\"org.x\",\"stream\":\"s\","
	    "\"guest_id\":\"ffeeddccbbaa99887766554433221100\""));
	hears(&c, "{\"status\":\"auth\",\"user_id\":\"ffeeddccbbaa99887766554433221100\","
	    "\"safe_user_id\":\"guest-ffeeddccbbaa99887766554433221100\",\"sec\":\"none\","
	    "\"guest_id\":\"ffeeddccbbaa99887766554433221100\"}");
	hears(&c, "{\"status\":\"ack\",\"stream\":\"s\",\"seq\":0}");
	client_done(&c);
	/* Events that waited for the source make a guest, too. */
	client_open(&c);
	say(&c, "{\"event\":\"b\"}");
	hears_nothing(&c);
	say(&c, LOCK("\"source\":\"org.x\""));
	assert_int_equal(c.n_sent, 1);
	client_done(&c);
	settle();
	assert_int_equal(kept_count(RECORD_EVENT), 2);
}

static char *
token_of(const char *id, int64_t seconds)
{
	return ident_token_mint(STR_LIT(TOKEN_KEY), str_of(id),
	    loop_wall_us(w.loop) / 1000000 + seconds);
}

static void
test_token(void **state)
{
	char *mine, *other, *old;
	(void)state;

	methods("token", "testcase_auth");
	mine = token_of("gc-1", 60);
	other = token_of("gc-2", 60);
	old = token_of("gc-2", -1);
	client_open(&c);
	sayf(&c, LOCK("\"source\":\"org.x\",\"token\":\"%s\""), old);
	hears_error(&c, "token_expired");
	sayf(&c, LOCK("\"token\":\"%sA\""), mine);
	hears_error(&c, "bad_token");
	sayf(&c, "{\"event\":\"a\",\"token\":\"%s\"}", mine);
	hears(&c, "{\"status\":\"auth\",\"user_id\":\"gc-1\",\"safe_user_id\":\"gc-1\","
	    "\"sec\":\"authenticated\"}");
	sayf(&c, "{\"event\":\"b\",\"token\":\"%s\"}", mine);
	sayf(&c, "{\"event\":\"c\",\"token\":\"%s\"}", old);
	hears_nothing(&c);
	sayf(&c, "{\"event\":\"d\",\"token\":\"%s\"}", other);
	hears_error(&c, "identity_changed");
	sayf(&c, LOCK("\"v\":1,\"token\":\"%s\""), other);
	hears_error(&c, "identity_changed");
	sayf(&c, LOCK("\"token\":\"%s\",\"user_id\":\"gc-2\""), mine);
	hears_nothing(&c);
	client_done(&c);
	/* A claim never reaches the student who has a token. */
	client_known(&c, "x", "org.x", "");
	say(&c, "{\"event\":\"e\"}");
	settle();
	assert_true(str_is(kept(RECORD_SESSION, 1)->session.safe_user_id, "unverified-tc-testcase-x"));
	assert_int_equal(kept_count(RECORD_EVENT), 4);
	/* No token is ever kept. */
	for (size_t i = 0; i < w.n_kept; i++)
		assert_null(memmem(w.kept[i].body, w.kept[i].r.body.n, "lt1.", 4));
	client_done(&c);
	mem_free(mine);
	mem_free(other);
	mem_free(old);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		WORLD_TEST(test_queue_first),
		WORLD_TEST(test_identity_late),
		WORLD_TEST(test_identifying_event),
		WORLD_TEST(test_source_late),
		WORLD_TEST(test_own_source),
		WORLD_TEST(test_too_many),
		WORLD_TEST(test_too_large),
		WORLD_TEST(test_lost_while_held),
		WORLD_TEST(test_held_errors),
		WORLD_TEST(test_bad_identity),
		WORLD_TEST(test_guest),
		WORLD_TEST(test_token),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
