/* SPDX-License-Identifier: MIT */
/* The connection to Redis: against a real redis-server, and against one that
 * answers what no Redis should (bad-inputs C100 to C105). */
#include "redis_server.h"
#include "xmpp_peer.h"

#include "base/conn.h"
#include "state/redis_link.h"

static struct redis_server server;
static struct redis_link *link_;
static size_t ups, downs;
static char last_down[512];
static struct buf said; /* replies as text */
static bool free_in_callback;

/* ---- what the link says ---- */

static void
freed(void)
{
	if (free_in_callback) {
		redis_link_free(link_);
		link_ = NULL;
	}
}

static void
up_cb(void *arg)
{
	(void)arg;
	ups++;
}

static void
down_cb(void *arg, const char *why)
{
	(void)arg;
	downs++;
	snprintf(last_down, sizeof last_down, "%s", why);
	freed();
}

static void
say_reply(const struct redis_reply *r)
{
	switch (r->type) {
	case REDIS_NONE: buf_z(&said, "nil"); break;
	case REDIS_TEXT: buf_str(&said, r->text); break;
	case REDIS_INTEGER: buf_printf(&said, ":%lld", (long long)r->integer); break;
	case REDIS_ERROR: buf_printf(&said, "-%.*s", STR_ARG(r->text)); break;
	case REDIS_ARRAY:
		buf_byte(&said, '[');
		for (size_t i = 0; i < r->n; i++) {
			say_reply(r->items[i]);
			buf_z(&said, i + 1 < r->n ? "," : "");
		}
		buf_byte(&said, ']');
		break;
	}
}

static void
reply_cb(void *arg, const struct redis_reply *r)
{
	(void)arg;
	if (r != NULL)
		say_reply(r);
	else
		buf_z(&said, "lost");
	buf_byte(&said, ';');
	freed();
}

static void
push_cb(void *arg, const struct redis_reply *r)
{
	reply_cb(arg, r);
}

static const struct redis_link_ops ops = { up_cb, down_cb, push_cb };

/* ---- the rig ---- */

static bool
said_is(const char *want)
{
	return str_is(buf_view(&said), want);
}

static void
open_link(const struct redis_options *o)
{
	char *why = NULL;

	link_ = redis_link_new(loop, o, &ops, NULL, &why);
	if (link_ == NULL)
		fail_msg("%s", why);
}

static struct redis_options
options(void)
{
	return (struct redis_options){ .address = server.address, .timeout_s = 20 };
}

static void
open_up(const struct redis_options *o)
{
	open_link(o);
	WAIT(ups == 1);
}

/* A command of words without spaces in them. */
static bool
command(const char *line)
{
	struct str words[16];
	size_t n = 0;

	while (*line != '\0') {
		words[n].p = line;
		words[n].n = strcspn(line, " ");
		line += words[n].n + (line[words[n].n] == ' ');
		n++;
	}
	return redis_command(link_, words, n, reply_cb, NULL);
}

static int
setup(void **state)
{
	(void)state;
	loop = loop_new();
	ups = downs = 0;
	free_in_callback = false;
	return 0;
}

static int
setup_server(void **state)
{
	redis_server_start(&server, NULL);
	return setup(state);
}

static int
teardown(void **state)
{
	(void)state;
	redis_link_free(link_);
	link_ = NULL;
	hang_up();
	peer_stop_listening();
	loop_run(loop);
	loop_free(loop);
	buf_free(&said);
	buf_free(&peer.got);
	redis_server_drop(&server);
	return 0;
}

/* ---- a real Redis ---- */

static void
test_commands(void **state)
{
	struct redis_options o = options();

	(void)state;
	open_link(&o);
	assert_false(command("GET a")); /* not up yet */
	WAIT(ups == 1);
	assert_true(command("SET a 1"));
	assert_true(command("GET a"));
	assert_true(command("GET b"));
	assert_true(command("INCR a"));
	assert_true(command("LPUSH a x"));
	assert_true(command("MULTI"));
	assert_true(command("SET c 3"));
	assert_true(command("MGET a c d"));
	assert_true(command("EXEC"));
	assert_int_equal(said.len, 0); /* never inside the call */
	WAIT(said.len > 0 && said.data[said.len - 1] == ';' && strstr(said.data, "[OK") != NULL);
	assert_true(said_is("OK;1;nil;:2;-WRONGTYPE Operation against a key holding the wrong kind "
	    "of value;OK;QUEUED;QUEUED;[OK,[2,3,nil]];"));
	assert_int_equal(downs, 0);
}

static void
large_cb(void *arg, const struct redis_reply *r)
{
	*(size_t *)arg = r->text.n;
	assert_int_equal(r->text.p[0], '\r');
	assert_int_equal(r->text.p[r->text.n - 1], '\0');
}

static void
test_large(void **state)
{
	struct redis_options o = options();
	size_t n = (size_t)9 << 20, got = 0;
	char *value = mem_zalloc(n);

	(void)state;
	memcpy(value, "\r\n$3\r\n", 6);
	open_up(&o);
	redis_command(link_, (struct str[]){ STR_LIT("SET"), STR_LIT("a"), { value, n } }, 3, NULL,
	    NULL);
	redis_command(link_, (struct str[]){ STR_LIT("GET"), STR_LIT("a") }, 2, large_cb, &got);
	assert_true(redis_link_waiting(link_) > n);
	WAIT(got > 0);
	assert_int_equal(got, n);
	mem_free(value);
}

static void
test_database(void **state)
{
	struct redis_options o = options();

	(void)state;
	o.database = 3;
	open_up(&o);
	command("SET a 1");
	command("SELECT 0");
	command("EXISTS a");
	WAIT(said_is("OK;OK;:0;"));
}

static void
test_no_database(void **state)
{
	struct redis_options o = options();

	(void)state;
	o.database = 99;
	open_link(&o);
	WAIT(downs == 1);
	assert_non_null(strstr(last_down, "DB index is out of range"));
	assert_int_equal(ups, 0);
}

static void
expect_down(const char *user, const char *password, const char *why)
{
	struct redis_options o = options();

	o.user = user;
	o.password = password;
	ups = downs = 0;
	open_link(&o);
	WAIT(downs == 1 || ups == 1);
	if (why == NULL)
		assert_int_equal(ups, 1);
	else
		assert_non_null(strstr(last_down, why));
	redis_link_free(link_);
	link_ = NULL;
}

static void
test_password(void **state)
{
	(void)state;
	expect_down(NULL, "x", "without any password configured");
	redis_server_do(&server, "ACL SETUSER lectern on >sesame ~lectern:* +@all -ping");
	redis_server_do(&server, "CONFIG SET requirepass open");
	expect_down(NULL, NULL, "set redis.password_file (NOAUTH)");
	expect_down(NULL, "wrong", "check redis.user and redis.password_file");
	expect_down("lectern", "open", "check redis.user and redis.password_file");
	expect_down(NULL, "open", NULL);
	expect_down("lectern", "sesame", NULL);
}

static void
test_restart(void **state)
{
	struct redis_options o = options();

	(void)state;
	open_up(&o);
	command("DEBUG SLEEP 20");
	WAIT(redis_link_waiting(link_) == 0);
	redis_server_stop(&server, SIGKILL);
	WAIT(downs >= 1);
	assert_true(said_is("lost;"));
	assert_false(command("GET a"));
	redis_server_start(&server, NULL);
	WAIT(ups == 2);
	assert_true(command("GET a"));
	WAIT(said_is("lost;nil;"));
}

/* A Redis that stopped is noticed, also when nobody asks it anything. */
static void
test_stopped(void **state)
{
	struct redis_options o = options();

	(void)state;
	o.timeout_s = 1;
	open_up(&o);
	kill(server.pid, SIGSTOP);
	WAIT(downs >= 1);
	assert_string_equal(last_down, "Redis does not answer");
	kill(server.pid, SIGCONT);
	WAIT(ups == 2);
}

static void
test_subscriber(void **state)
{
	struct redis_options o = options();

	(void)state;
	o.subscriber = true;
	o.timeout_s = 1;
	open_up(&o);
	assert_true(command("SUBSCRIBE a"));
	WAIT(said_is("[subscribe,a,:1];"));
	redis_server_do(&server, "PUBLISH a hello");
	WAIT(said_is("[subscribe,a,:1];[message,a,hello];"));
	buf_clear(&said);
	command("NOSUCH");
	WAIT(said.len > 0 && strstr(said.data, "-ERR") == said.data);
	kill(server.pid, SIGSTOP);
	WAIT(downs >= 1);
	assert_string_equal(last_down, "Redis does not answer");
}

static void
test_free_in_callbacks(void **state)
{
	struct redis_options o = options();

	(void)state;
	free_in_callback = true;
	open_up(&o);
	command("GET a");
	command("GET b");
	WAIT(link_ == NULL);
	loop_run(loop);
	assert_true(said_is("nil;"));
	ups = 0;
	open_up(&o);
	command("DEBUG SLEEP 20");
	WAIT(redis_link_waiting(link_) == 0);
	redis_server_stop(&server, SIGKILL);
	WAIT(link_ == NULL);
	assert_true(said_is("nil;lost;"));
	assert_int_equal(downs, 0); /* freed before that */
	open_link(&o);
	WAIT(downs == 1 && link_ == NULL);
	loop_run(loop);
}

static void
test_addresses(void **state)
{
	static const struct {
		const char *text, *host;
		int port;
	} good[] = {
		{ "localhost", "localhost", 7 }, { "127.0.0.1:1", "127.0.0.1", 1 },
		{ "[::1]:65535", "::1", 65535 }, { "[::1]", "::1", 7 },
		{ "unix:/run/redis.sock", "/run/redis.sock", 7 },
	};
	static const char *const bad[] = { "", ":1", "a:", "a:0", "a:65536", "a:x", "a:1x", "a:-1",
		"::1", "[::1", "[::1]x", "[]:1", "unix:x", "unix:", "/run/redis.sock", "a:1:2" };
	struct redis_options o = { .address = "a:b", .timeout_s = 1 };
	char *why = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(good) + COUNT(bad); i++) {
		char *host = NULL;
		int port;
		bool ok = conn_address(i < COUNT(good) ? good[i].text : bad[i - COUNT(good)], 7,
		    &host, &port);

		assert_int_equal(ok, i < COUNT(good));
		if (ok)
			assert_string_equal(host, good[i].host);
		if (ok)
			assert_int_equal(port, good[i].port);
		mem_free(host);
	}
	assert_null(redis_link_new(loop, &o, &ops, NULL, &why));
	assert_non_null(strstr(why, "a:b"));
	mem_free(why);
}

/* ---- one that is none ---- */

static void
against(const char *greeting, const char *answer)
{
	static char address[32];
	struct redis_options o = { .address = address, .timeout_s = 1 };

	at_header = greeting;
	at_more = answer;
	ups = downs = 0;
	buf_clear(&said);
	last_down[0] = '\0';
	snprintf(address, sizeof address, "127.0.0.1:%d", peer.port);
	open_link(&o);
}

static void
drop_link(void)
{
	redis_link_free(link_);
	link_ = NULL;
}

static void
test_garbage(void **state)
{
	static const char *const bad[] = { "?x\r\n", "\r\n", "*-2\r\n", "$-5\r\n", ":abc\r\n", "%1\r\n",
		"_\r\n", "*1000000000\r\n", "$3\r\nabcdef\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n",
		"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "$536870912\r\nabc",
		"*2\r\n$1\r\na\r\n", "+", "$999999999999999999999\r\n", "+a\r\n+b\r\n" };

	(void)state;
	peer_listen_tcp();
	for (size_t i = 0; i < COUNT(bad); i++) {
		bool first_good = bad[i][0] == '+' && bad[i][1] == 'a';

		against("+PONG\r\n", bad[i]);
		WAIT(ups == 1);
		assert_true(command("GET a"));
		WAIT(downs == 1);
		assert_true(said_is(first_good ? "a;" : "lost;"));
		assert_true(str_starts(str_of(last_down), "Redis "));
		WAIT(ups == 2); /* and comes back */
		drop_link();
		against(bad[i], NULL); /* already at the sign-in */
		WAIT(downs == 1 || first_good);
		drop_link();
	}
}

static void
test_troubles(void **state)
{
	static const char *const codes[] = { "LOADING", "OOM", "READONLY", "MISCONF", "NOAUTH", "MOVED",
		"BUSY", "NOPERM", "MASTERDOWN", "WRONGPASS", "DENIED" };
	struct buf text = BUF_INIT(0);
	char line[64];

	(void)state;
	peer_listen_tcp();
	for (size_t i = 0; i < COUNT(codes); i++) {
		snprintf(line, sizeof line, "%s whatever", codes[i]);
		buf_clear(&text);
		redis_trouble(str_of(line), &text);
		assert_true(str_starts(buf_view(&text), "Redis "));
		assert_non_null(memmem(text.data, text.len, codes[i], strlen(codes[i])));
		assert_null(memmem(text.data, text.len, "whatever", 8));
		snprintf(line, sizeof line, "-%s whatever\r\n", codes[i]);
		against(line, NULL);
		WAIT(downs + ups == 1);
		assert_int_equal(ups, strcmp(codes[i], "NOPERM") == 0); /* of the PING */
		assert_true(ups == 1 || strstr(last_down, codes[i]) != NULL);
		drop_link();
	}
	buf_clear(&text);
	redis_trouble(STR_LIT("ERR a\x1b[2Jb"), &text);
	assert_true(str_is(buf_view(&text), "Redis says: ERR a?[2Jb"));
	buf_free(&text);
}

static void
test_nobody_there(void **state)
{
	struct redis_options o = { .address = "unix:/nonexistent/redis.sock", .timeout_s = 1 };

	(void)state;
	open_link(&o);
	WAIT(downs >= 2); /* and tries again */
	assert_true(str_starts(str_of(last_down), "Redis cannot be reached: "));
	drop_link();
	o.address = "192.0.2.1:6379"; /* another machine, without insecure_ok */
	open_link(&o);
	downs = 0;
	WAIT(downs >= 1);
	assert_non_null(strstr(last_down, "insecure_ok"));
}

int
main(void)
{
#define REAL(f) cmocka_unit_test_setup_teardown(f, setup_server, teardown)
#define FAKE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		REAL(test_commands),
		REAL(test_large),
		REAL(test_database),
		REAL(test_no_database),
		REAL(test_password),
		REAL(test_restart),
		REAL(test_stopped),
		REAL(test_subscriber),
		REAL(test_free_in_callbacks),
		FAKE(test_addresses),
		FAKE(test_garbage),
		FAKE(test_troubles),
		FAKE(test_nobody_there),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
