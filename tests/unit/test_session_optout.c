/* SPDX-License-Identifier: MIT */
/* Tests of flow/session: students whose events may not be taken, and rules that
 * change while they are connected. */
#include <time.h>

#include "state/ident.h"
#include "state/roster.h"
#include "tests/unit/session_world.h"

#define STOP "{\"status\":\"blocklist\",\"action\":\"DROP\",\"time_limit\":\"PERMANENT\"," \
	"\"message\":\"Do not send more messages to me\"}"

static struct client c, d;

/* As after a reload. */
static void
reload(void)
{
	ingest_reconf(w.ingest, &w.conf, w.rules, w.roster);
}

static void
methods(const char *first)
{
	w.methods[0] = first;
	world_rules();
}

static void
opt_out(const char *whom, const char *action, const char *limit)
{
	w.conf.opt_outs = w.opt_outs;
	w.opt_outs[w.conf.n_opt_outs++] = (struct conf_opt_out){
		.whom = (char *)(uintptr_t)whom, .action = (char *)(uintptr_t)action,
		.time_limit = (char *)(uintptr_t)limit
	};
	reload();
}

/* Rows of the roster; what was there before is freed when the new one counts. */
static void
attend(const char *rows)
{
	struct roster *old = w.roster;
	char *file = mem_printf("%s/roster.csv", w.dir), *why = NULL;
	struct roster_options o = { .file = file, .pseudonym_key = STR_LIT(TOKEN_KEY) };
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_true(fprintf(f, "class,role,id,jid,name,alias\n7b,teacher,t,t@s.example,,\n%s", rows) > 0);
	assert_int_equal(fclose(f), 0);
	w.roster = roster_load("csv", &o, &why);
	if (w.roster == NULL)
		fail_msg("%s", why);
	reload();
	roster_free(old);
	unlink(file);
	mem_free(file);
}

/* ---- as events come ---- */

static void
test_while_held(void **state)
{
	(void)state;

	opt_out("blocked.edu", "DROP", NULL);
	methods("chromebook");
	client_open(&c);
	say(&c, LOCK("\"source\":\"org.x\""));
	say(&c, "{\"event\":\"a\"}");
	say(&c, "{\"event\":\"b\"}");
	say(&c, LOCK("\"chrome_identity\":{\"email\":\"kid@blocked.edu\",\"id\":\"123\"}"));
	hears(&c, "{\"status\":\"auth\",\"user_id\":\"gc-123\",\"safe_user_id\":\"gc-123\","
	    "\"sec\":\"unauthenticated\"}");
	hears(&c, "{\"status\":\"blocklist\",\"action\":\"DROP\",\"time_limit\":\"PERMANENT\","
	    "\"message\":\"Do not send more messages to me\"}");
	assert_int_equal(c.code, 1000);
	say(&c, "{\"event\":\"c\"}");
	hears_nothing(&c);
	client_done(&c);
	settle();
	assert_int_equal(w.n_kept, 0);
	assert_int_equal(metric_value[METRIC_OPTED_OUT], 2);
}

/* Per event; what was taken before stays, what comes after does not. */
static void
test_later(void **state)
{
	(void)state;

	opt_out("blocked.edu", "MAINTAIN", "060000");
	client_known(&c, "u1", "org.x", "");
	say(&c, "{\"event\":\"a\",\"chrome_identity\":{\"email\":\"kid@open.edu\"}}");
	say(&c, "{\"event\":\"b\"}");
	say(&c, "{\"event\":\"c\",\"chrome_identity\":{\"email\":\"KID@sub.Blocked.edu\"}}");
	hears(&c, "{\"status\":\"blocklist\",\"action\":\"MAINTAIN\",\"time_limit\":60000,"
	    "\"message\":\"You are blocked for now\"}");
	assert_int_equal(c.code, 1000);
	client_done(&c);
	settle();
	assert_int_equal(kept_count(RECORD_EVENT), 2);
	/* A locked address lies over the event's own, also when it is none. */
	client_known(&c, "u1", "org.x", ",\"chrome_identity\":{}");
	say(&c, "{\"event\":\"d\",\"chrome_identity\":{\"email\":\"kid@blocked.edu\"}}");
	hears_nothing(&c);
	client_done(&c);
	client_known(&c, "u1", "org.x", ",\"chrome_identity\":{\"email\":\"kid@blocked.edu\"}");
	say(&c, "{\"event\":\"fetch_blob\"}");
	hears(&c, "{\"status\":\"blocklist\",\"action\":\"MAINTAIN\",\"time_limit\":60000,"
	    "\"message\":\"You are blocked for now\"}");
	client_done(&c);
}

/* What waits has no address of its own: the one that ends the wait is its, too. */
static void
test_with_held(void **state)
{
	(void)state;

	opt_out("blocked.edu", "DROP", NULL);
	methods("chromebook");
	client_open(&c);
	say(&c, LOCK("\"source\":\"org.x\""));
	say(&c, "{\"event\":\"a\"}");
	say(&c, "{\"event\":\"b\",\"chrome_identity\":{\"email\":\"kid@blocked.edu\",\"id\":\"123\"}}");
	hears(&c, "{\"status\":\"auth\",\"user_id\":\"gc-123\",\"safe_user_id\":\"gc-123\","
	    "\"sec\":\"unauthenticated\"}");
	hears(&c, "{\"status\":\"blocklist\",\"action\":\"DROP\",\"time_limit\":\"PERMANENT\","
	    "\"message\":\"Do not send more messages to me\"}");
	assert_int_equal(c.code, 1000);
	client_done(&c);
	settle();
	assert_int_equal(w.n_kept, 0);
	assert_int_equal(metric_value[METRIC_OPTED_OUT], 2);
}

/* Nobody's domain is judged before it is known whether the student has a rule of
 * his own; until then nothing is kept, and only so much is held. */
static void
test_address_first(void **state)
{
	(void)state;

	opt_out("blocked.edu", "DROP", NULL);
	opt_out("student:testcase-u1", "TRANSMIT", NULL);
	client_open(&c);
	client_open(&d);
	for (size_t i = 0; i < 2; i++) {
		struct client *x = i == 0 ? &c : &d;

		say(x, LOCK("\"source\":\"org.x\""));
		say(x, "{\"event\":\"a\"}");
		say(x, "{\"event\":\"b\",\"chrome_identity\":{\"email\":\"kid@blocked.edu\"}}");
		say(x, "{\"event\":\"c\",\"chrome_identity\":{\"email\":\"kid@open.edu\"}}");
		hears_nothing(x);
	}
	settle();
	assert_int_equal(w.n_kept, 0);
	say(&c, LOCK("\"user_id\":\"u1\""));
	HEARS_AUTH(&c, "u1");
	say(&d, LOCK("\"user_id\":\"u2\""));
	HEARS_AUTH(&d, "u2");
	hears(&d, STOP);
	assert_int_equal(c.code, 0);
	assert_int_equal(d.code, 1000);
	settle();
	assert_int_equal(kept_count(RECORD_EVENT), 3);
	keeps(0, "{\"event\":\"a\"}");
	assert_int_equal(metric_value[METRIC_OPTED_OUT], 3);
	client_done(&d);
	client_open(&d);
	for (long i = 0; i < w.conf.held_events; i++)
		say(&d, "{\"event\":\"b\",\"chrome_identity\":{\"email\":\"kid@blocked.edu\"}}");
	assert_int_equal(d.code, 0);
	say(&d, "{\"event\":\"b\"}");
	assert_int_equal(d.code, 1008);
	client_done(&d);
	client_done(&c);
	settle();
	assert_int_equal(kept_count(RECORD_EVENT), 3);
}

/* Only those who are let in: nobody is judged before it is known who it is. */
static void
test_allow_list(void **state)
{
	(void)state;

	opt_out("*", "DROP", NULL);
	opt_out("school.edu", "TRANSMIT", NULL);
	methods("chromebook");
	client_open(&c);
	say(&c, LOCK("\"source\":\"org.x\""));
	say(&c, "{\"event\":\"a\"}");
	say(&c, LOCK("\"chrome_identity\":{\"email\":\"kid@school.edu\",\"id\":\"1\"}"));
	assert_int_equal(c.code, 0);
	settle();
	keeps(0, "{\"event\":\"a\"}");
	client_done(&c);
	methods("testcase_auth");
	client_known(&c, "u1", "org.x", "");
	say(&c, "{\"event\":\"b\"}");
	assert_int_equal(c.code, 1000);
	client_done(&c);
	settle();
	assert_int_equal(kept_count(RECORD_EVENT), 1);
}

/* Claims are checked against proofs nowhere here: who is opted out is so under
 * any name, and whatever was claimed without proof. */
static void
test_student(void **state)
{
	static const char *names[] = { "student:tc-testcase-u1", "student:testcase-u1",
		"student:KID@school.edu" };
	(void)state;

	for (size_t i = 0; i < COUNT(names); i++) {
		w.conf.n_opt_outs = 0;
		opt_out(names[i], "DROP", NULL);
		client_known(&c, "u1", "org.x", ",\"chrome_identity\":{\"email\":\"kid@school.edu\"}");
		client_known(&d, "u10", "org.x", "");
		say(&c, "{\"event\":\"a\"}");
		say(&d, "{\"event\":\"b\"}");
		hears(&c, STOP);
		assert_int_equal(c.code, 1000);
		assert_int_equal(d.code, 0);
		client_done(&c);
		client_done(&d);
		settle();
		assert_int_equal(kept_count(RECORD_EVENT), i + 1);
	}
	w.methods[1] = "token";
	world_rules();
	client_known(&c, "u1", "org.x", "");
	assert_non_null(strstr(c.sent[0], IDENT_UNVERIFIED "tc-testcase-u1"));
	w.conf.n_opt_outs = 0;
	opt_out(names[0], "DROP", NULL);
	assert_int_equal(c.code, 1000);
	client_done(&c);
}

/* ---- while they are connected ---- */

/* What came before the rule is kept, what was held or comes after it is not. */
static void
test_reload(void **state)
{
	(void)state;

	client_known(&c, "u1", "org.x", "");
	client_known(&d, "u2", "org.x", "");
	say(&c, "{\"event\":\"a\"}");
	opt_out("student:testcase-u1", "DROP", NULL);
	hears(&c, STOP);
	assert_int_equal(c.code, 1000);
	say(&c, "{\"event\":\"b\"}");
	say(&d, "{\"event\":\"c\"}");
	hears_nothing(&c);
	hears_nothing(&d);
	assert_int_equal(metric_value[METRIC_OPTED_OUT], 0);
	settle();
	keeps(0, "{\"event\":\"a\"}");
	keeps(1, "{\"event\":\"c\"}");
	assert_int_equal(kept_count(RECORD_EVENT), 2);
	w.conf.n_opt_outs = 0;
	reload();
	client_done(&c);
	client_known(&c, "u1", "org.x", "");
	say(&c, "{\"event\":\"e\"}");
	hears_nothing(&c);
	client_done(&c);
	client_done(&d);
}

/* Events that wait for their source are dropped with the connection. */
static void
test_reload_while_held(void **state)
{
	(void)state;

	client_open(&c);
	say(&c, LOCK("\"user_id\":\"u1\""));
	say(&c, "{\"event\":\"a\"}");
	say(&c, "{\"event\":\"b\"}");
	HEARS_AUTH(&c, "u1");
	opt_out("student:testcase-u1", "DROP", NULL);
	hears(&c, STOP);
	assert_int_equal(metric_value[METRIC_HELD], 0);
	assert_int_equal(metric_value[METRIC_OPTED_OUT], 2);
	say(&c, LOCK("\"source\":\"org.x\""));
	client_done(&c);
	settle();
	assert_int_equal(w.n_kept, 0);
}

/* A domain is known from what was locked, or from the last event. */
static void
test_reload_domain(void **state)
{
	(void)state;

	client_known(&c, "u1", "org.x", ",\"chrome_identity\":{\"email\":\"kid@blocked.edu\"}");
	client_known(&d, "u2", "org.x", "");
	say(&d, "{\"event\":\"a\",\"chrome_identity\":{\"email\":\"kid@school.edu\"}}");
	opt_out("school.edu", "TRANSMIT", NULL);
	opt_out("blocked.edu", "DROP", NULL);
	hears(&c, STOP);
	hears_nothing(&d);
	client_done(&c);
	/* Who has not sent anything may yet show an address. */
	client_known(&c, "u3", "org.x", "");
	opt_out("*", "DROP", NULL);
	hears_nothing(&c);
	hears_nothing(&d);
	say(&c, "{\"event\":\"b\",\"chrome_identity\":{\"email\":\"kid@school.edu\"}}");
	say(&d, "{\"event\":\"c\"}");
	hears_nothing(&c);
	hears(&d, STOP);
	w.conf.n_opt_outs = 0;
	opt_out("school.edu", "DROP", NULL);
	hears(&c, STOP);
	client_done(&c);
	client_done(&d);
}

/* Who comes into a class that is opted out is told, who leaves it may come back. */
static void
test_roster_change(void **state)
{
	(void)state;

	attend("7b,student,tc-testcase-u2,,,\n7c,student,tc-testcase-u1,,,\n");
	opt_out("class:7b", "MAINTAIN", "DAYS");
	client_known(&c, "u1", "org.x", "");
	client_known(&d, "u2", "org.x", "");
	say(&c, "{\"event\":\"a\"}");
	say(&d, "{\"event\":\"b\"}");
	assert_int_equal(c.code, 0);
	assert_int_equal(d.code, 1000);
	client_done(&d);
	attend("7b,student,tc-testcase-u1,,,\n7b,student,tc-testcase-u3,,,\n");
	hears(&c, "{\"status\":\"blocklist\",\"action\":\"MAINTAIN\",\"time_limit\":\"DAYS\","
	    "\"message\":\"You are blocked for now\"}");
	assert_int_equal(c.code, 1000);
	client_done(&c);
	client_known(&d, "u2", "org.x", "");
	say(&d, "{\"event\":\"c\"}");
	hears_nothing(&d);
	client_done(&d);
	settle();
	assert_int_equal(kept_count(RECORD_EVENT), 2);
}

/* An exception that ends by its date: the rule behind it holds from then on, for
 * an open connection too, without anything else happening. */
static void
test_until(void **state)
{
	char until[32];
	time_t soon = time(NULL) + 2;
	struct tm t;
	(void)state;

	assert_non_null(gmtime_r(&soon, &t));
	assert_true(strftime(until, sizeof until, "%Y-%m-%dT%H:%M:%SZ", &t) > 0);
	opt_out("student:testcase-u1", "TRANSMIT", NULL);
	w.opt_outs[0].until = until;
	opt_out("*", "DROP", NULL);
	client_known(&c, "u1", "org.x", "");
	say(&c, "{\"event\":\"a\"}");
	hears_nothing(&c);
	while (c.code == 0)
		turn();
	assert_true(loop_wall_us(w.loop) >= (int64_t)soon * 1000000); /* time(2) may lag a tick */
	hears(&c, STOP);
	say(&c, "{\"event\":\"b\"}");
	client_done(&c);
	settle();
	assert_int_equal(kept_count(RECORD_EVENT), 1);
}

/* ---- the roster's ids ---- */

/* A rule by what the client shows holds when the roster has an id of its own for it;
 * one by the address that came with the identity, when later events have none. */
static void
test_other_names(void **state)
{
	(void)state;

	attend("7b,student,s1,,,testcase-u1\n");
	client_known(&c, "u1", "org.x", "");
	say(&c, "{\"event\":\"a\"}");
	assert_int_equal(c.code, 0);
	opt_out("student:tc-testcase-u1", "DROP", NULL);
	hears(&c, STOP);
	client_done(&c);
	client_known(&c, "u1", "org.x", "");
	say(&c, "{\"event\":\"b\"}");
	hears(&c, STOP);
	client_done(&c);
	methods("chromebook");
	client_open(&d);
	say(&d, LOCK("\"source\":\"org.x\""));
	say(&d, "{\"event\":\"a\",\"chrome_identity\":{\"email\":\"kid@school.edu\",\"id\":\"1\"}}");
	say(&d, "{\"event\":\"b\"}");
	assert_int_equal(d.code, 0);
	opt_out("school.edu", "DROP", NULL);
	assert_int_equal(d.code, 1000);
	client_done(&d);
	settle();
	assert_int_equal(kept_count(RECORD_EVENT), 3);
}

/* What is kept is the roster's student, whatever the client shows; who is another
 * under a new roster comes anew. */
static void
test_canonical(void **state)
{
	(void)state;

	attend("7b,student,s1,,,tc-testcase-u1\n");
	client_known(&c, "u1", "org.x", "");
	say(&c, "{\"event\":\"a\"}");
	client_known(&d, "u2", "org.x", "");
	say(&d, "{\"event\":\"b\"}");
	settle();
	assert_true(str_is(w.kept[0].session.safe_user_id, "s1"));
	assert_true(str_is(w.kept[0].session.user_id, "testcase-u1"));
	assert_true(str_is(w.kept[2].session.safe_user_id, "tc-testcase-u2"));
	attend("7b,student,s1,,,tc-testcase-u1\n7b,student,s2,,,\n");
	assert_int_equal(c.code, 0);
	assert_int_equal(d.code, 0);
	attend("7b,student,s1,,,\n7b,student,s2,,,tc-testcase-u2\n");
	assert_int_equal(c.code, 1012);
	assert_int_equal(d.code, 1012);
	client_done(&c);
	client_done(&d);
}

/* What is under way is acknowledged before the client is asked to come anew: it would send
 * it again, and the event would count for one student and for the other. */
static void
test_canonical_under_way(void **state)
{
	(void)state;

	attend("7b,student,s1,,,tc-testcase-u1\n");
	client_known(&c, "u1", "org.x", ",\"stream\":\"s\"");
	say(&c, "{\"event\":\"a\",\"seq\":1}");
	attend("7b,student,s1,,,\n");
	assert_int_equal(c.code, 0);
	say(&c, "{\"event\":\"b\",\"seq\":2}"); /* comes again under the new id */
	settle();
	hears(&c, "{\"status\":\"ack\",\"stream\":\"s\",\"seq\":1}");
	hears_nothing(&c);
	assert_int_equal(c.code, 1012);
	assert_int_equal(kept_count(RECORD_EVENT), 1);
	client_done(&c);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		WORLD_TEST(test_while_held),
		WORLD_TEST(test_later),
		WORLD_TEST(test_with_held),
		WORLD_TEST(test_address_first),
		WORLD_TEST(test_allow_list),
		WORLD_TEST(test_student),
		WORLD_TEST(test_reload),
		WORLD_TEST(test_reload_while_held),
		WORLD_TEST(test_reload_domain),
		WORLD_TEST(test_roster_change),
		WORLD_TEST(test_until),
		WORLD_TEST(test_other_names),
		WORLD_TEST(test_canonical),
		WORLD_TEST(test_canonical_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
