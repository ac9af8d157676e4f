/* SPDX-License-Identifier: MIT */
/* The door as the daemon uses it, against a server of this test's own: adding
 * components, start, status, a request over the stream, stop. */
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "flow/hub.h"
#include "state/roster.h"
#include "xmpp/service.h"
#include "xmpp_peer.h"

#define KEY STR_LIT("a key for pseudonyms in tests only")

static struct engine *engine;
static struct roster *roster;
static struct hub *hub;
static struct kvs *kvs;
static struct xmpp *door;
static char header[512], file[64];
static bool stopped;

static void
open_kvs(void)
{
	struct kvs_options o = { .loop = loop, .file = file };
	char *why = NULL;

	kvs = kvs_open("memory", &o, &why);
	assert_non_null(kvs);
}

static void
open_door(void)
{
	struct xmpp_options o = { .host = "127.0.0.1", .port = peer.port };

	door = xmpp_new(loop, hub, kvs, &o);
	stopped = false;
}

static int
begin(void **state)
{
	struct engine_options o = { .reducers = component_reducers(), .pseudonym_key = KEY };
	const char *why;
	char *cause = NULL;

	(void)state;
	log_set_level((enum log_level)-1);
	snprintf(file, sizeof file, "/tmp/lectern-test-component-%d", (int)getpid());
	unlink(file);
	loop = loop_new();
	engine = engine_new(&o, &cause);
	roster = roster_new(KEY);
	roster_add(roster, &(struct roster_row){ .role = ROSTER_TEACHER, .class = STR_LIT("7b"),
	    .jid = STR_LIT("t@school.test") }, &why);
	roster_add(roster, &(struct roster_row){ .role = ROSTER_STUDENT, .class = STR_LIT("7b"),
	    .id = STR_LIT("u1"), .name = STR_LIT("U") }, &why);
	assert_int_equal(roster_seal(roster, &why), ERR_OK);
	hub = hub_new(loop, engine, roster);
	open_kvs();
	peer = (struct peer){ .got = BUF_INIT(0) };
	peer_listen_tcp();
	snprintf(header, sizeof header, HEADER, "id-1");
	at_header = header;
	at_more = "<handshake/>";
	open_door();
	return 0;
}

static int
end(void **state)
{
	(void)state;
	xmpp_free(door);
	hub_free(hub);
	kvs_close(kvs);
	engine_free(engine);
	roster_free(roster);
	hang_up();
	peer_stop_listening();
	loop_free(loop);
	buf_free(&peer.got);
	unlink(file);
	return 0;
}

static bool
add(const char *jid)
{
	const struct xmpp_publication p = { "xmpp", component_reducers() };
	char *why = NULL;
	bool ok = xmpp_add_component(door, jid, SECRET, "/etc/lectern/secret", &p, 1, &why);

	assert_true(ok == (why == NULL));
	mem_free(why);
	return ok;
}

static bool
status_has(const char *text)
{
	struct buf b = BUF_INIT(0);
	struct jsonw w = jsonw_to(&b);
	bool has;

	xmpp_status(door, &w);
	buf_byte(&b, '\0');
	has = strstr(b.data, text) != NULL;
	buf_free(&b);
	return has;
}

static void
stopped_cb(void *arg)
{
	(void)arg;
	stopped = true;
}

/* ---- tests ---- */

static void
components_have_domains(void **state)
{
	static const char *const bad[] = {
		"", "nodots", ".x.y", "x.y.", "a@x.y", "x.y/z", "x y.z", "x.y'z", "x.y\n", "x:5.y",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		if (add(bad[i]))
			fail_msg("taken: %s", bad[i]);
	assert_true(add(JID));
	assert_true(add("other.school.test"));
	assert_false(add("LECTERN.school.test")); /* twice */
}

static void
door_opens_and_answers(void **state)
{
	(void)state;
	assert_true(add("Lectern.School.TEST"));
	assert_true(status_has("\"state\":\"down\",\"why\":\"starting\""));
	xmpp_start(door);
	WAIT(status_has("\"jid\":\"" JID "\",\"state\":\"up\",\"why\":null"));
	say("<iq type='get' id='7' from='t@school.test/r' to='" JID "'>"
	    "<ping xmlns='urn:xmpp:ping'/></iq>");
	WAIT(peer_got("<iq type='result' from='" JID "' to='t@school.test/r' id='7'/>"));
	hang_up();
	WAIT(status_has("\"state\":\"down\",\"why\":\"other\""));
	WAIT(status_has("\"state\":\"up\""));
	assert_true(status_has("\"connects\":2"));
}

static void
lasting_subscription_survives_the_door(void **state)
{
	(void)state;
	add(JID);
	xmpp_start(door);
	WAIT(status_has("\"state\":\"up\""));
	say("<iq type='set' id='7' from='t@school.test/r' to='" JID "'>"
	    "<pubsub xmlns='http://jabber.org/protocol/pubsub'>"
	    "<subscribe node='class/7b/_roster' jid='t@school.test'/></pubsub></iq>");
	WAIT(peer_got("subscription='subscribed'") && peer_got("<message "));
	assert_int_equal(xmpp_pending(door), 0);
	xmpp_stop(door, stopped_cb, NULL);
	assert_false(stopped);
	WAIT(peer_got("</stream:stream>"));
	say("</stream:stream>");
	WAIT(stopped);
	assert_true(status_has("\"why\":\"stopped\""));
	xmpp_free(door);
	kvs_close(kvs);

	open_kvs(); /* from the file */
	open_door();
	add(JID);
	xmpp_start(door);
	WAIT(status_has("\"state\":\"up\""));
	WAIT(peer_got("<message from='" JID "' to='t@school.test' "));
	assert_true(status_has("\"subscriptions\":1,\"temporary\":0"));
}

static void
stop_without_start(void **state)
{
	(void)state;
	add(JID);
	xmpp_stop(door, stopped_cb, NULL);
	WAIT(stopped);
}

static void
stop_while_loading(void **state)
{
	(void)state;
	add(JID);
	xmpp_start(door);
	xmpp_stop(door, stopped_cb, NULL);
	WAIT(stopped);
	assert_int_equal(peer.accepted, 0);
}

static void
stop_without_components(void **state)
{
	(void)state;
	xmpp_start(door);
	assert_true(status_has("[]"));
	xmpp_stop(door, stopped_cb, NULL);
	assert_false(stopped);
	WAIT(stopped);
	xmpp_free(NULL);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(components_have_domains), CASE(door_opens_and_answers),
		CASE(lasting_subscription_survives_the_door), CASE(stop_without_start),
		CASE(stop_while_loading), CASE(stop_without_components),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
