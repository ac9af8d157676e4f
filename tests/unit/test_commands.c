/* SPDX-License-Identifier: MIT */
/* Tests of xmpp/commands: what goes over several stanzas, and what admins do. */
#include "xmpp_world.h"

#define CMD "<command xmlns='" NS_COMMANDS "' node='%s'%s%s%s>%s</command>"
#define ADMIN "admin@school.test"

static bool reload_ok;
static size_t reloads;

static bool
admin_is(void *arg, struct str jid)
{
	(void)arg;
	return str_is(jid, ADMIN);
}

static void
admin_status(void *arg, struct jsonw *w)
{
	(void)arg;
	jsonw_object(w);
	jsonw_kz(w, "version", "9");
	jsonw_kuint(w, "classes", 2);
	jsonw_object_end(w);
}

static void
admin_reload(void *arg, void (*done)(void *done_arg, const char *why), void *done_arg)
{
	(void)arg;
	reloads++;
	done(done_arg, reload_ok ? NULL : "/r.csv:7: <no> header");
}

static const struct service_admin admin = { NULL, admin_is, admin_status, admin_status,
	admin_reload };

static int
begin_admin(void **state)
{
	world_admin = &admin;
	reload_ok = true;
	reloads = 0;
	return begin(state);
}

static void
command(const char *who, const char *node, const char *id, const char *action, const char *form)
{
	char *attrs = mem_printf("%s%s%s action='%s'", id != NULL ? " sessionid='" : "",
	    id != NULL ? id : "", id != NULL ? "'" : "", action);

	ask("set", who, CMD, node, attrs, "", "", form);
	mem_free(attrs);
	settle();
}

/* The session that the last answer opened. */
static char *
session(void)
{
	const char *at = strstr(last_said(), "sessionid='");

	assert_non_null(at);
	at += strlen("sessionid='");
	return mem_dup(at, strcspn(at, "'"));
}

static void
assert_said(const char *text)
{
	if (strstr(last_said(), text) == NULL)
		fail_msg("no %s in %s", text, last_said());
}

#define FORM(fields) "<x xmlns='jabber:x:data' type='submit'>" fields "</x>"

static void
test_end_own(void **state)
{
	char *id, *subid, *form;

	(void)state;
	subscribe(TEACHER "/desk", COUNTS, TEACHER "/desk");
	command(TEACHER "/desk", "subscriptions", NULL, "execute", "");
	assert_said("status='executing'");
	assert_said("<actions execute='complete'><complete/></actions>");
	id = session();
	subid = mem_dup(strstr(last_said(), "<option") , strlen(strstr(last_said(), "<option")));
	form = strstr(subid, "<value>") + 7;
	form = mem_printf(FORM("<field var='end'><value>%.*s</value></field>"),
	    (int)strcspn(form, "<"), form);
	/* another's session is none */
	command("second@school.test/desk", "subscriptions", id, "complete", form);
	assert_said("bad-sessionid");
	command(TEACHER "/desk", "subscriptions", id, "prev", form);
	assert_said("bad-action");
	command(TEACHER "/desk", "subscriptions", id, "complete", "");
	assert_said("bad-payload");
	assert_int_equal(book_size(service->book), 1);
	command(TEACHER "/desk", "subscriptions", id, "complete", form);
	assert_said("status='completed'");
	assert_int_equal(book_size(service->book), 0);
	command(TEACHER "/desk", "subscriptions", id, "complete", form);
	assert_said("bad-sessionid");
	mem_free(form);
	mem_free(subid);
	mem_free(id);
}

static void
test_cancel(void **state)
{
	char *id;

	(void)state;
	command(ADMIN "/x", "kick", NULL, "execute", "");
	id = session();
	command(ADMIN "/x", "kick", id, "cancel", "");
	assert_said("status='canceled'");
	command(ADMIN "/x", "kick", id, "complete", FORM(""));
	assert_said("bad-sessionid");
	mem_free(id);
}

static void
test_sessions_are_bounded(void **state)
{
	char *first;

	(void)state;
	command(ADMIN "/x", "kick", NULL, "execute", "");
	first = session();
	for (int i = 0; i < 64; i++)
		command(ADMIN "/x", "kick", NULL, "execute", "");
	command(ADMIN "/x", "kick", first, "complete", FORM(""));
	assert_said("bad-sessionid");
	mem_free(first);
}

static void
test_kick(void **state)
{
	char *id;

	(void)state;
	subscribe(TEACHER, COUNTS, TEACHER);
	subscribe(TEACHER, TASKS, TEACHER);
	command(ADMIN "/x", "kick", NULL, "execute", "");
	id = session();
	command(ADMIN "/x", "kick", id, "complete",
	    FORM("<field var='accountjid'><value>Teacher@SCHOOL.test</value></field>"
	    "<field var='node'><value>" COUNTS "</value></field>"));
	assert_int_equal(book_size(service->book), 1);
	assert_int_equal(times_said("message", "subscription='none'"), 1);
	mem_free(id);
	command(ADMIN "/x", "kick", NULL, "execute", "");
	id = session();
	command(ADMIN "/x", "kick", id, "complete",
	    FORM("<field var='accountjid'><value>" TEACHER "</value></field>"));
	assert_said("Subscriptions ended: 1");
	assert_int_equal(book_size(service->book), 0);
	mem_free(id);
	command(ADMIN "/x", "kick", NULL, "execute", "");
	id = session();
	command(ADMIN "/x", "kick", id, "complete",
	    FORM("<field var='accountjid'><value>*</value></field>"));
	assert_said("type='error'");
	mem_free(id);
}

static void
test_admins(void **state)
{
	static const char *const nodes[] = { "status", "components", "reload", "kick" };

	(void)state;
	ask("get", ADMIN "/x", "<query xmlns='" NS_DISCO_ITEMS "' node='" NS_COMMANDS "'/>");
	for (size_t i = 0; i < COUNT(nodes); i++) {
		char *node = mem_printf("node='%s'", nodes[i]);

		assert_said(node);
		mem_free(node);
		command(TEACHER "/x", nodes[i], NULL, "execute", "");
		assert_said("forbidden");
		ask("get", ADMIN "/x", "<query xmlns='" NS_DISCO_ITEMS "' node='" NS_COMMANDS "'/>");
	}
	assert_null(strstr(last_said(), "'classes'"));
	/* and no data by that */
	subscribe_with(ADMIN, COUNTS, ADMIN, NULL);
	settle();
	assert_said("closed-node");
	command(ADMIN "/x", "status", NULL, "execute", "");
	assert_said("<field var='version' type='text-single'><value>9</value></field>");
	assert_said("<field var='classes' type='text-single'><value>2</value></field>");
	assert_int_equal(reloads, 0);
}

static void
test_reload(void **state)
{
	(void)state;
	command(ADMIN "/x", "reload", NULL, "execute", "");
	for (int i = 0; i < 100 && reloads == 0; i++)
		turns(5);
	assert_int_equal(reloads, 1);
	assert_said("type='info'");
	reload_ok = false;
	forget();
	ask("set", ADMIN "/x", CMD, "reload", "", "", "", "");
	assert_int_equal(n_said, 0); /* not inside the call */
	ask("set", ADMIN "/x", CMD, "reload", "", "", "", "");
	assert_said("resource-constraint");
	for (int i = 0; i < 100 && reloads == 1; i++)
		turns(5);
	assert_said("<note type='error'>/r.csv:7: &lt;no&gt; header</note>");
	/* the service may go while one waits */
	ask("set", ADMIN "/x", CMD, "reload", "", "", "", "");
}

#define ADMIN_CASE(f) cmocka_unit_test_setup_teardown(f, begin_admin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ADMIN_CASE(test_end_own),
		ADMIN_CASE(test_cancel),
		ADMIN_CASE(test_sessions_are_bounded),
		ADMIN_CASE(test_kick),
		ADMIN_CASE(test_admins),
		ADMIN_CASE(test_reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
