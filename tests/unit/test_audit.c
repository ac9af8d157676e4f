/* SPDX-License-Identifier: MIT */
/* Tests of flow/audit: every line it writes, read back from the file. */
#include <sys/stat.h>
#include <unistd.h>

#include "hub_world.h"

static char dir[] = "/tmp/lectern-audit.XXXXXX";
static char *file;
static struct audit *audit;

static int
setup(void **state)
{
	char *why = NULL;

	(void)state;
	file = mem_printf("%s/audit.jsonl", dir);
	unlink(file);
	world_open("7b:+t,a,b");
	audit = audit_new(loop, file, &why);
	assert_non_null(audit);
	hub_door_name(door, "service.test");
	hub_set_audit(hub, audit);
	return 0;
}

/* Ends the world; what waited is in the file then. */
static void
close_all(void)
{
	hub_free(hub);
	audit_free(audit);
	engine_free(engine);
	roster_free(roster);
	loop_free(loop);
	forget();
}

static char *
contents(void)
{
	struct buf b = BUF_INIT(0);
	FILE *f = fopen(file, "r");
	char part[4096];
	size_t n;

	assert_non_null(f);
	while ((n = fread(part, 1, sizeof part, f)) > 0)
		buf_add(&b, part, n);
	fclose(f);
	return buf_take(&b);
}

static size_t
count(const char *text, const char *what)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what))
		n++;
	return n;
}

static void
assert_has(const char *text, const char *what, size_t n)
{
	if (count(text, what) != n)
		fail_msg("%zu times %s, expected %zu, in\n%s", count(text, what), what, n, text);
}

static void
test_grants_and_ends(void **state)
{
	char *text, *line, *a = mem_strdup(pseudonym("a"));
	struct hub_sub *s, *mine;
	struct stat st;

	(void)state;
	event("a");
	s = subscribe("class/7b/t.count", "t@x", 0);
	line = mem_printf("student/%s/t.count", a);
	mine = subscribe(line, "a@x", 0);
	turns(3);
	hub_unsubscribe(mine);
	hub_shown(hub, "service.test", STR_LIT("t@x"), STR_LIT("class/7b/t.count"), 5);
	set_roster("7b:+u,a,c");
	(void)s;
	close_all();
	text = contents();
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* the picture, then the difference */
	assert_has(text, "\"what\":\"begin\"", 1);
	assert_has(text, "\"what\":\"may\",\"reader\":\"t@x\",\"as\":\"teacher\",\"class\":\"7b\"", 1);
	assert_has(text, "\"what\":\"may_not\",\"reader\":\"t@x\",\"as\":\"teacher\",\"class\":\"7b\"", 1);
	assert_has(text, "\"what\":\"may\",\"reader\":\"u@x\",\"as\":\"teacher\",\"class\":\"7b\"", 1);
	assert_has(text, "\"as\":\"self\"", 2 + 2 + 2); /* a, b; b gone, c; a's subscription */
	assert_has(text, "\"what\":\"attends\"", 3);
	assert_has(text, "\"what\":\"left\"", 1);
	/* what happened */
	assert_has(text, "\"what\":\"subscribed\",\"reader\":\"t@x\",\"door\":\"service.test\","
	    "\"node\":\"class/7b/t.count\",\"as\":\"teacher\"", 1);
	assert_has(text, "\"what\":\"unsubscribed\",\"reader\":\"a@x\"", 1);
	assert_has(text, "\"what\":\"read\",\"reader\":\"t@x\"", 1);
	assert_has(text, "\"items\":5", 1);
	assert_has(text, "\"what\":\"revoked\",\"reader\":\"t@x\"", 1);
	assert_has(text, "\"items\":1", 2); /* with each end */
	assert_has(text, "\"what\":\"stop\"", 1);
	/* no names, and every line is whole */
	assert_has(text, "<a>", 0);
	assert_int_equal(count(text, "\n"), count(text, "{\"t\":\""));
	mem_free(text);
	mem_free(line);
	mem_free(a);
}

static void
test_a_flood_of_refusals(void **state)
{
	struct hub_sub *s;
	char *text;

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(hub_subscribe(door, STR_LIT("class/7b/t.count"), STR_LIT("eve@x"), 0,
		    NULL, &s), ERR_FORBIDDEN);
	for (int i = 0; i < 2000; i++) {
		char *jid = mem_printf("e%d@x", i);

		hub_refused(hub, "service.test", str_of(jid), STR_LIT("class/7b/t.count"));
		mem_free(jid);
	}
	close_all();
	text = contents();
	assert_has(text, "\"what\":\"refused\",\"reader\":\"eve@x\",\"door\":\"service.test\"", AUDIT_REFUSALS);
	assert_has(text, "\"reader\":\"eve@x\",\"refused\":980", 1);
	assert_has(text, "\"what\":\"refused\"", AUDIT_REFUSALS + AUDIT_REFUSERS - 1);
	assert_has(text, "\"what\":\"suppressed\",\"refused\":977", 1);
	mem_free(text);
}

/* A crowd of tries is counted, and hides neither a sign-in nor what else is refused. */
static void
test_sign_ins(void **state)
{
	struct audit_sign_in in = { .what = "signed_in", .user = STR_LIT("t@x"), .door = "web",
		.by = "file", .peer = "192.0.2.1" };
	struct audit_sign_in wrong = { .what = "sign_in_refused", .user = STR_LIT("t@x"), .door = "web",
		.why = "password", .peer = "192.0.2.2" };
	char *text;

	(void)state;
	audit_sign_in(NULL, &in);
	for (int i = 0; i < 1000; i++)
		audit_sign_in(audit, &wrong);
	wrong.user.n = 0;
	for (int i = 0; i < 1000; i++)
		audit_sign_in(audit, &wrong);
	for (int i = 0; i < 1000; i++) {
		char *jid = mem_printf("e%d@x", i);

		wrong.user = str_of(jid);
		audit_sign_in(audit, &wrong);
		mem_free(jid);
	}
	audit_sign_in(audit, &in);
	in.what = "signed_out";
	in.by = NULL;
	audit_sign_in(audit, &in);
	hub_refused(hub, "web", STR_LIT("t@x"), STR_LIT("class/7b/t.count"));
	close_all();
	text = contents();
	assert_has(text, "\"what\":\"signed_in\",\"reader\":\"t@x\",\"door\":\"web\",\"by\":\"file\","
	    "\"peer\":\"192.0.2.1\",\"roster\":", 1);
	assert_has(text, "\"what\":\"signed_out\",\"reader\":\"t@x\",\"door\":\"web\",\"peer\":\"192.0.2.1\"", 1);
	assert_has(text, "\"what\":\"sign_in_refused\",\"reader\":\"t@x\",\"door\":\"web\","
	    "\"why\":\"password\",\"peer\":\"192.0.2.2\"", AUDIT_REFUSALS);
	assert_has(text, "\"what\":\"sign_in_refused\",\"door\":\"web\"", AUDIT_REFUSALS);
	assert_has(text, "\"what\":\"suppressed\",\"reader\":\"t@x\",\"sign_ins_refused\":980", 1);
	assert_has(text, "\"what\":\"suppressed\",\"sign_ins_refused\":980", 1);
	assert_has(text, "\"what\":\"sign_in_refused\"", 2 * AUDIT_REFUSALS + AUDIT_TRIERS - 2);
	assert_has(text, "\"what\":\"suppressed\",\"sign_ins_refused\":938", 1);
	assert_has(text, "\"what\":\"refused\",\"reader\":\"t@x\",\"door\":\"web\"", 1);
	mem_free(text);
}

/* Until something stands in it. */
static void
wait_for_file(void)
{
	struct stat st;

	for (int i = 0; i < 10000; i++) {
		turns(1);
		if (stat(file, &st) == 0 && st.st_size > 0)
			return;
		usleep(1000);
	}
	fail_msg("%s stays empty", file);
}

static void
test_rotation(void **state)
{
	char *old = mem_printf("%s.1", file), *text;
	struct hub_sub *s;

	(void)state;
	s = subscribe("class/7b/t.count", "t@x", 0);
	turns(3);
	wait_for_file();
	assert_int_equal(rename(file, old), 0);
	audit_reopen(audit);
	wait_for_file();
	hub_unsubscribe(s);
	close_all();
	text = contents();
	assert_int_equal(strncmp(strstr(text, "\"what\""), "\"what\":\"begin\"", 14), 0);
	assert_has(text, "\"what\":\"attends\"", 2);
	assert_has(text, "\"what\":\"may\"", 3);
	assert_has(text, "\"what\":\"unsubscribed\"", 1);
	mem_free(text);
	unlink(old);
	mem_free(old);
}

static void
test_a_file_that_cannot_be_written(void **state)
{
	char *why = NULL, *link = mem_printf("%s/link", dir);

	(void)state;
	assert_null(audit_new(loop, dir, &why));
	assert_non_null(strstr(why, "enabled = false"));
	mem_free(why);
	assert_int_equal(symlink(file, link), 0);
	assert_null(audit_new(loop, link, &why));
	mem_free(why);
	unlink(link);
	mem_free(link);
	close_all();
}

static int
done(void **state)
{
	(void)state;
	unlink(file);
	mem_free(file);
	return 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, done)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_grants_and_ends),
		CASE(test_a_flood_of_refusals),
		CASE(test_sign_ins),
		CASE(test_rotation),
		CASE(test_a_file_that_cannot_be_written),
	};
	int failed;

	assert_non_null(mkdtemp(dir));
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return failed;
}
