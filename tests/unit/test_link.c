/* SPDX-License-Identifier: MIT */
/* The component stream against a server of this test's own: handshake, each
 * reason why it fails, a silent and a dead peer, and the end (bad-inputs C85,
 * C86, C97). The server is a few lines on a socket; a script says what it
 * answers. Nothing here waits for a time to pass, only for things to happen. */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/crypt.h"
#include "base/log.h"
#include "xmpp/link.h"
#include "xmpp/stanza.h"
#include "xmpp_peer.h"

#define STREAM_ERROR(c) "<stream:error><" c " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>" \
	"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>why</text></stream:error>" \
	"</stream:stream>"

static struct link *link_;
static size_t n_up, n_down, n_stanza, n_room;
static char last_stanza[256];
static bool gone; /* link_stop has called back */

/* ---- the link ---- */

static void
up_cb(void *arg)
{
	(void)arg;
	n_up++;
}

static void
down_cb(void *arg)
{
	(void)arg;
	n_down++;
}

static void
stanza_cb(void *arg, const struct xml *x)
{
	(void)arg;
	n_stanza++;
	snprintf(last_stanza, sizeof last_stanza, "%s", x->name);
}

static void
room_cb(void *arg)
{
	(void)arg;
	n_room++;
}

static const struct link_ops link_ops_ = { up_cb, down_cb, stanza_cb, stanza_cb, room_cb };

static void
gone_cb(void *arg)
{
	(void)arg;
	gone = true;
}

static void
connect_to(const char *host, unsigned timeout_ms, unsigned idle_ms)
{
	struct link_options o = {
		.host = host, .port = peer.port, .jid = JID, .server = "school.test",
		.secret_file = "/etc/lectern/secret", .timeout_ms = timeout_ms, .idle_ms = idle_ms,
	};

	link_ = link_new(loop, &o, SECRET, &link_ops_, NULL);
	link_start(link_);
}

static int
begin(void **state)
{
	(void)state;
	log_set_level((enum log_level)-1);
	loop = loop_new();
	peer = (struct peer){ .got = BUF_INIT(0) };
	n_up = n_down = n_stanza = n_room = 0;
	gone = false;
	link_ = NULL;
	at_more = NULL;
	peer_listen_tcp();
	return 0;
}

static int
end(void **state)
{
	(void)state;
	link_free(link_);
	hang_up();
	peer_stop_listening();
	loop_free(loop);
	buf_free(&peer.got);
	return 0;
}

static char *
header_with(const char *id, const char *more)
{
	char *header = mem_printf(HEADER, id), *all = mem_printf("%s%s", header, more);

	mem_free(header);
	return all;
}

/* ---- tests ---- */

static void
let_in(void)
{
	static char header[512];

	snprintf(header, sizeof header, HEADER, "id-1");
	at_header = header;
	at_more = "<handshake/>";
	connect_to("127.0.0.1", 0, 0);
	WAIT(n_up == 1);
}

/* XEP-0114 §3: hex of SHA-1 over id and secret */
static void
handshake_is_right(void **state)
{
	struct str pieces[] = { STR_LIT("id-1"), STR_LIT(SECRET) };
	uint8_t digest[CRYPT_SHA1];
	struct buf want = BUF_INIT(0);

	(void)state;
	let_in();
	crypt_sha1(pieces, 2, digest);
	buf_z(&want, "<handshake>");
	crypt_hex(&want, digest, sizeof digest);
	buf_add(&want, "</handshake>", 13);
	assert_true(peer_got(want.data));
	assert_true(peer_got(" to='" JID "'"));
	assert_false(peer_got(SECRET));
	assert_int_equal(link_state(link_), LINK_UP);
	buf_free(&want);
}

static void
stanzas_go_both_ways(void **state)
{
	(void)state;
	connect_to("127.0.0.1", 0, 0);
	assert_false(link_send(link_, STR_LIT("<presence/>")));
	link_free(link_);
	let_in();
	assert_true(link_send(link_, STR_LIT("<message id='1'/>")));
	assert_true(link_send(link_, STR_LIT("<message id='2'/>")));
	WAIT(peer_got("<message id='1'/><message id='2'/>"));
	say("<iq from='a@b/c'/>");
	WAIT(n_stanza == 1);
	assert_string_equal(last_stanza, "iq");
}

/* Each is what a server does in place of letting us in. */
static const struct failure {
	const char *header, *more; /* header NULL: with a proper one */
	const char *id;
	enum link_state state;
	const char *detail;
} failures[] = {
	{ NULL, STREAM_ERROR("not-authorized"), "1", LINK_WRONG_SECRET, "not-authorized: why" },
	{ NULL, STREAM_ERROR("host-unknown"), "", LINK_UNKNOWN_HOST, "host-unknown: why" },
	{ NULL, STREAM_ERROR("conflict"), "1", LINK_CONFLICT, "conflict: why" },
	{ NULL, STREAM_ERROR("see-other-host"), "1", LINK_OTHER, "see-other-host: why" },
	{ NULL, STREAM_ERROR("system-shutdown"), "1", LINK_OTHER, "system-shutdown: why" },
	{ NULL, "<stream:error/></stream:stream>", "1", LINK_OTHER, "stream error" },
	{ NULL, "</stream:stream>", "1", LINK_OTHER, "the server closed the stream" },
	{ NULL, "<iq type='get' from='a@b/c'/>", "1", LINK_OTHER,
	    "the server broke the order of the handshake" },
	{ NULL, "<handshake/><handshake/>", "1", LINK_OTHER,
	    "the server broke the order of the handshake" },
	{ NULL, "<!-- x -->", "1", LINK_OTHER,
	    "a DTD, comment or processing instruction stands in the stream" },
	{ NULL, "<a></b>", "1", LINK_OTHER, "the stream is not well-formed XML" },
	{ "SSH-2.0-OpenSSH_9.2\r\n", "", "", LINK_OTHER, "the stream is not well-formed XML" },
	{ "<html><body>", "", "", LINK_OTHER, "what answers there is no XMPP server" },
	{ "<!DOCTYPE html>", "", "", LINK_OTHER,
	    "a DTD, comment or processing instruction stands in the stream" },
};

static void
each_failure_has_its_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(failures); i++) {
		const struct failure *f = &failures[i];
		char *all = f->header ? mem_strdup(f->header) : header_with(f->id, f->more);

		at_header = all;
		connect_to("127.0.0.1", 0, 0);
		WAIT(link_state(link_) >= LINK_PORT_CLOSED);
		if (link_state(link_) != f->state || strcmp(link_detail(link_), f->detail) != 0)
			fail_msg("%s: %s: %s", all, link_state_name(link_state(link_)),
			    link_detail(link_));
		link_free(link_);
		link_ = NULL;
		mem_free(all);
	}
}

static void
closed_port_has_its_name(void **state)
{
	(void)state;
	peer_stop_listening();
	connect_to("127.0.0.1", 0, 0);
	WAIT(link_state(link_) == LINK_PORT_CLOSED);
	assert_string_equal(link_detail(link_), "connection refused");
	link_free(link_);
	connect_to("/nowhere/at/all", 0, 0);
	WAIT(link_state(link_) == LINK_PORT_CLOSED);
	link_free(link_);
	connect_to("no-such-host.invalid", 0, 0);
	WAIT(link_state(link_) == LINK_PORT_CLOSED);
}

/* C97: a port that accepts and says nothing, or not enough */
static void
silent_server_is_given_up(void **state)
{
	(void)state;
	at_header = NULL;
	connect_to("127.0.0.1", 50, 0);
	WAIT(link_state(link_) == LINK_OTHER);
	assert_string_equal(link_detail(link_), "the server did not finish the handshake in time");
	link_free(link_);
	at_header = "<stream:str";
	connect_to("127.0.0.1", 50, 0);
	WAIT(link_state(link_) == LINK_OTHER);
	assert_string_equal(link_detail(link_), "the server did not finish the handshake in time");
	link_free(link_);
	at_header = header_with("", ""); /* no id: nothing to prove the secret with */
	connect_to("127.0.0.1", 50, 0);
	WAIT(link_state(link_) == LINK_OTHER);
	assert_false(peer_got("<handshake>"));
	mem_free((char *)at_header);
}

static void
early_hang_up(void **state)
{
	(void)state;
	at_header = NULL;
	connect_to("127.0.0.1", 0, 0);
	WAIT(peer.got.len > 0);
	hang_up();
	WAIT(link_state(link_) == LINK_OTHER);
	assert_string_equal(link_detail(link_), "the server hung up before the handshake was done");
}

static void
it_connects_again(void **state)
{
	(void)state;
	let_in();
	hang_up();
	WAIT(n_down == 1);
	WAIT(n_up == 2);
	assert_int_equal(peer.accepted, 2);
}

static void
unix_socket_is_a_host(void **state)
{
	char path[64];

	(void)state;
	peer_stop_listening();
	snprintf(path, sizeof path, "/tmp/lectern-test-link-%d", (int)getpid());
	unlink(path);
	loop_free(loop);
	loop = loop_new();
	uv_pipe_init(loop_uv(loop), &peer.listening.pipe, 0);
	assert_int_equal(uv_pipe_bind(&peer.listening.pipe, path), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&peer.listening, 5, peer_accept_cb), 0);
	peer.listen = (uv_stream_t *)&peer.listening;
	at_header = header_with("id-1", "");
	at_more = "<handshake/>";
	connect_to(path, 0, 0);
	WAIT(n_up == 1);
	mem_free((char *)at_header);
	unlink(path);
}

/* ---- silence ---- */

static void
dead_server_is_noticed(void **state)
{
	(void)state;
	at_header = header_with("id-1", "<handshake/>");
	connect_to("127.0.0.1", 0, 20);
	WAIT(n_up == 1);
	WAIT(peer_got("id='alive-") && peer_got("'><ping xmlns='urn:xmpp:ping'/></iq>"));
	assert_true(peer_got("from='" JID "' to='school.test'"));
	WAIT(n_down == 1);
	assert_string_equal(link_detail(link_), "the server does not answer any more");
	mem_free((char *)at_header);
}

#define LINK_PINGS_AT_FIRST 8

/* Answers the ping whose id ends like this. */
static void
pong_for(const char *last, const char *from)
{
	const char *end, *start;
	char *pong;

	assert_true(peer_got(last));
	start = end = strstr(peer.got.data, last);
	while (*start != '\'' || strncmp(start + 1, "alive-", 6) != 0)
		start--;
	pong = mem_printf("<iq type='error' id='%.*s' from='%s' to='" JID "'/>",
	    (int)(end + strlen(last) - 2 - start - 1), start + 1, from);
	say(pong);
	mem_free(pong);
}

static void
answering_server_stays(void **state)
{
	(void)state;
	at_header = header_with("id-1", "<handshake/>");
	connect_to("127.0.0.1", 0, 20);
	WAIT(n_up == 1);
	for (int i = 1; i <= LINK_PINGS_AT_FIRST + 3; i++) {
		char last[16];

		snprintf(last, sizeof last, "-%d'>", i);
		WAIT(peer_got(last) || n_down > 0);
		assert_int_equal(n_down, 0);
		pong_for(last, "school.test");
	}
	WAIT(peer_got("-12'>") || n_down > 0);
	assert_int_equal(n_down, 0);
	assert_int_equal(n_stanza, 0); /* its own pongs are its own business */
	pong_for("-12'>", "evil.test");
	WAIT(n_stanza == 1);
	mem_free((char *)at_header);
}

/* ---- another process with the same JID ---- */

#define NAMED(time) "alive-" time "0123456789abcdef"

static void
foreign_pong(const char *name)
{
	char *pong = mem_printf("<iq type='result' id='%s-1' from='school.test' to='" JID "'/>", name);

	say(pong);
	mem_free(pong);
}

static void
a_moment(void)
{
	struct loop_timer *t = loop_timer_new(loop, wait_turn_cb, NULL);

	loop_timer_once(t, 5);
	loop_run(loop);
	loop_timer_free(t);
}

/* Heard of until the link has made up its mind. */
static void
an_older_rival_is_left_alone(void **state)
{
	(void)state;
	let_in();
	while (n_down == 0) {
		foreign_pong(NAMED("0000000000000001"));
		a_moment();
	}
	assert_int_equal(link_state(link_), LINK_CONFLICT);
	assert_int_equal(n_stanza, 0);
}

static void
a_younger_rival_is_told_of(void **state)
{
	(void)state;
	let_in();
	while (!link_has_rival(link_)) {
		foreign_pong(NAMED("ffffffffffffffff"));
		a_moment();
	}
	assert_int_equal(n_down, 0);
	hang_up();
	WAIT(n_up == 2);
	assert_false(link_has_rival(link_));
}

/* What a process that has died asked may be answered to its successor. */
static void
one_astray_answer_is_no_rival(void **state)
{
	(void)state;
	let_in();
	foreign_pong(NAMED("0000000000000001"));
	say("<iq from='a@b/c'/>");
	WAIT(n_stanza == 1);
	WAIT(peer_got("-16'>")); /* it asked around again */
	assert_int_equal(n_down, 0);
	assert_false(link_has_rival(link_));
}

/* ---- an address beyond this machine ---- */

static void
only_loopback_is_spoken_to_in_plain(void **state)
{
	(void)state;
	connect_to("192.0.2.1", 0, 0); /* RFC 5737: nobody is there */
	WAIT(link_state(link_) == LINK_PORT_CLOSED);
	assert_non_null(strstr(link_detail(link_), "insecure_ok"));
	assert_int_equal(peer.accepted, 0);
}

/* ---- a server that does not read ---- */

static void
queue_is_bounded(void **state)
{
	static char stanza[60000];
	const struct str one = { stanza, sizeof stanza };
	size_t sent = 0;

	(void)state;
	memset(stanza, 'x', sizeof stanza);
	let_in();
	uv_read_stop(&peer.client->stream);
	while (n_down == 0) {
		struct loop_timer *t = loop_timer_new(loop, wait_turn_cb, NULL);

		for (int i = 0; i < 10 && link_send(link_, one); i++)
			sent += sizeof stanza;
		assert_true(link_queued(link_) < LINK_QUEUE_MAX + 11 * sizeof stanza);
		loop_timer_once(t, 1);
		loop_run(loop);
		loop_timer_free(t);
		assert_true(sent < (size_t)200 << 20);
	}
	assert_string_equal(link_detail(link_), "the server does not read what it is sent");
	assert_int_equal(link_queued(link_), 0);
}

static void
room_is_told(void **state)
{
	static char stanza[60000];

	(void)state;
	memset(stanza, 'x', sizeof stanza);
	let_in();
	uv_read_stop(&peer.client->stream);
	while (link_queued(link_) <= LINK_QUEUE_BULK)
		link_send(link_, (struct str){ stanza, sizeof stanza });
	assert_int_equal(n_room, 0);
	uv_read_start(&peer.client->stream, peer_alloc_cb, peer_read_cb);
	WAIT(n_room == 1);
	assert_true(link_queued(link_) <= LINK_QUEUE_BULK / 2);
	assert_int_equal(n_down, 0);
}

/* ---- the end ---- */

static void
good_bye_is_polite(void **state)
{
	(void)state;
	let_in();
	link_send(link_, STR_LIT("<message id='last'/>"));
	link_stop(link_, gone_cb, NULL);
	assert_false(gone);
	assert_int_equal(n_down, 1);
	WAIT(peer_got("<message id='last'/></stream:stream>"));
	say("</stream:stream>");
	WAIT(gone);
	assert_int_equal(link_state(link_), LINK_STOPPED);
	assert_false(link_send(link_, STR_LIT("<presence/>")));
}

static void
good_bye_does_not_wait_for_ever(void **state)
{
	(void)state;
	let_in();
	link_stop(link_, gone_cb, NULL);
	WAIT(gone);
}

static void
end_at_any_moment(void **state)
{
	(void)state;
	at_header = NULL;
	for (int turns = 0; turns < 12; turns++) {
		connect_to("127.0.0.1", 0, 0);
		for (int i = 0; i < turns; i++)
			uv_run(loop_uv(loop), UV_RUN_NOWAIT);
		if (turns % 2 == 0) {
			gone = false;
			link_stop(link_, gone_cb, NULL);
			WAIT(gone);
		}
		link_free(link_);
		link_ = NULL;
	}
}

/* ---- what the log says ---- */

static int log_fd, real_stderr;
static char logged[65536];

static void
log_begin(void)
{
	log_fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	assert_true(log_fd >= 0);
	real_stderr = dup(STDERR_FILENO);
	dup2(log_fd, STDERR_FILENO);
	log_set_level(LOG_NOTICE);
}

static void
log_end(void)
{
	ssize_t n;

	log_set_level((enum log_level)-1);
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	n = pread(log_fd, logged, sizeof logged - 1, 0);
	assert_true(n >= 0);
	logged[n] = '\0';
	close(log_fd);
}

static size_t
times_logged(const char *text)
{
	size_t n = 0;

	for (const char *at = logged; (at = strstr(at, text)) != NULL; at++)
		n++;
	return n;
}

static void
log_names_case_and_cure(void **state)
{
	(void)state;
	at_header = header_with("1", STREAM_ERROR("not-authorized"));
	log_begin();
	connect_to("127.0.0.1", 0, 0);
	WAIT(link_state(link_) == LINK_WRONG_SECRET);
	log_end();
	assert_int_equal(times_logged("state=wrong_secret: the server refuses the secret, or "
	    "is an ejabberd that does not know the component (not-authorized): not-authorized: why"),
	    1);
	assert_int_equal(times_logged("Component \"" JID "\"\n"), 1);
	assert_int_equal(times_logged("  component_secret = \"<the content of "
	    "/etc/lectern/secret>\"\n"), 1);
	assert_int_equal(times_logged("component_conflict_resolve = \"kick_old\"\n"), 1);
	assert_int_equal(times_logged("module: ejabberd_service\n"), 1);
	assert_int_equal(times_logged("global_routes: false\n"), 1);
	assert_int_equal(times_logged("       \"" JID "\":\n"), 1);
	assert_int_equal(times_logged("password: \"<the content of /etc/lectern/secret>\"\n"), 1);
	assert_int_equal(times_logged(SECRET), 0);
	mem_free((char *)at_header);
}

static void
log_says_a_state_once(void **state)
{
	size_t refused;

	(void)state;
	at_header = header_with("1", STREAM_ERROR("host-unknown"));
	log_begin();
	connect_to("127.0.0.1", 0, 0);
	WAIT(peer.accepted >= 2 && peer.client == NULL); /* refused twice */
	mem_free((char *)at_header);
	refused = peer.accepted;
	at_header = header_with("id-1", "<handshake/>");
	WAIT(n_up == 1);
	log_end();
	assert_true(peer.accepted > refused);
	assert_int_equal(times_logged("state=unknown_host"), 1);
	assert_int_equal(times_logged("state=up"), 1);
	mem_free((char *)at_header);
}

static void
delays_grow_and_vary(void **state)
{
	bool varies = false;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		unsigned ms = link_delay(LINK_PORT_CLOSED, 0);

		assert_in_range(ms, 500, 1000);
		varies = varies || ms != link_delay(LINK_PORT_CLOSED, 0);
		assert_in_range(link_delay(LINK_PORT_CLOSED, 3), 4000, 8000);
		assert_in_range(link_delay(LINK_OTHER, 100), 30000, 60000);
		assert_in_range(link_delay(LINK_UNKNOWN_HOST, i), 500, 60000);
		assert_in_range(link_delay(LINK_CONFLICT, 0), 10000, 20000);
		assert_in_range(link_delay(LINK_CONFLICT, 1), 20000, 40000);
		assert_in_range(link_delay(LINK_WRONG_SECRET, i), 10000, 60000);
	}
	assert_true(varies);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(handshake_is_right), CASE(stanzas_go_both_ways),
		CASE(each_failure_has_its_name), CASE(closed_port_has_its_name),
		CASE(silent_server_is_given_up), CASE(early_hang_up),
		CASE(it_connects_again), CASE(unix_socket_is_a_host), CASE(dead_server_is_noticed),
		CASE(answering_server_stays), CASE(an_older_rival_is_left_alone),
		CASE(a_younger_rival_is_told_of), CASE(one_astray_answer_is_no_rival),
		CASE(only_loopback_is_spoken_to_in_plain), CASE(queue_is_bounded), CASE(room_is_told),
		CASE(good_bye_is_polite), CASE(good_bye_does_not_wait_for_ever),
		CASE(end_at_any_moment),
		CASE(log_names_case_and_cure), CASE(log_says_a_state_once),
		cmocka_unit_test(delays_grow_and_vary),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
