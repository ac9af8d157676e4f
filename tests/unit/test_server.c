/* SPDX-License-Identifier: MIT */
/* Connections as streams of bytes, over socket pairs: what a handler is given,
 * what comes back, flow control both ways, and every way to end. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "web/server.h"

/* One connection with both of its ends. */
struct pair {
	struct conn *conn;
	int fd; /* the client's */
	struct buf got; /* what the handler used */
	size_t least; /* the handler uses nothing while there is less than this */
	bool pause; /* the handler stops reading after its next piece */
	unsigned late, gone;
};

static struct loop *loop;
static struct server *server;

static void
stop_cb(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static bool
is_true(const void *flag)
{
	return *(const bool *)flag;
}

/* Turns the loop until test says so; for ever, if it never does. */
static void
turn_until(bool (*test)(const void *arg), const void *arg)
{
	do {
		loop_defer(loop, stop_cb, NULL);
		loop_run(loop);
	} while (!test(arg));
}

static size_t
data_cb(struct conn *c, void *user, char *p, size_t n)
{
	struct pair *pair = user;

	assert_ptr_equal(c, pair->conn);
	if (n < pair->least)
		return 0;
	if (pair->least > 0)
		n = pair->least;
	buf_add(&pair->got, p, n);
	if (pair->pause)
		conn_read(c, false);
	memset(p, '#', n); /* its to write to */
	return n;
}

static void
late_cb(struct conn *c, void *user)
{
	(void)c;
	((struct pair *)user)->late++;
}

static void
stuck_cb(struct conn *c, void *user)
{
	(void)user;
	conn_kill(c);
}

static void
gone_cb(struct conn *c, void *user)
{
	(void)c;
	((struct pair *)user)->gone++;
}

static const struct conn_handler handler = { data_cb, late_cb, stuck_cb, NULL, gone_cb };

static void
pair_open(struct pair *p)
{
	int fds[2];

	*p = (struct pair){ .fd = -1 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	p->fd = fds[1];
	p->conn = server_adopt(server, fds[0], &handler, p);
	assert_non_null(p->conn);
}

static bool
pair_gone(const void *arg)
{
	return ((const struct pair *)arg)->gone > 0;
}

static void
pair_close(struct pair *p)
{
	close(p->fd);
	turn_until(pair_gone, p);
	assert_int_equal(p->gone, 1);
	buf_free(&p->got);
}

static void
pair_say(struct pair *p, const char *text)
{
	assert_int_equal(write(p->fd, text, strlen(text)), strlen(text));
}

struct pair_wait {
	struct pair *pair;
	size_t n;
};

static bool
pair_has(const void *arg)
{
	const struct pair_wait *w = arg;

	return w->pair->got.len >= w->n;
}

static void
pair_expect(struct pair *p, const char *text)
{
	turn_until(pair_has, &(struct pair_wait){ p, strlen(text) });
	assert_int_equal(p->got.len, strlen(text));
	assert_memory_equal(p->got.data, text, p->got.len);
}

/* Turns often enough for anything to happen that wants to. */
static void
pair_settle(void)
{
	bool done = true;

	for (int i = 0; i < 20; i++)
		turn_until(is_true, &done);
}

/* What the client can read now; 0 with *end at the end. */
static size_t
pair_read(struct pair *p, char *to, size_t n, bool *end)
{
	ssize_t got = read(p->fd, to, n);

	*end = got == 0 || (got < 0 && errno != EAGAIN);
	return got > 0 ? (size_t)got : 0;
}

static void
pair_hears(struct pair *p, const char *text, bool and_end)
{
	char heard[64];
	size_t n = 0;
	bool end = false, always = true;

	while (n < strlen(text) || (and_end && !end)) {
		assert_false(end && n < strlen(text));
		n += pair_read(p, heard + n, sizeof heard - n, &end);
		turn_until(is_true, &always);
	}
	assert_int_equal(n, strlen(text));
	assert_memory_equal(heard, text, n);
}

/* ---- tests ---- */

static void
test_bytes(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p);
	pair_say(&p, "hello");
	pair_expect(&p, "hello");
	buf_z(conn_out(p.conn), "answer");
	conn_push(p.conn);
	pair_hears(&p, "answer", false);
	assert_int_equal(conn_queued(p.conn), 0);
	assert_int_equal(server_connections(server), 1);
	pair_close(&p);
	assert_int_equal(server_connections(server), 0);
}

/* What a handler does not use comes again, with what follows. */
static void
test_kept(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p);
	p.least = 4;
	pair_say(&p, "abc");
	pair_settle();
	assert_int_equal(p.got.len, 0);
	pair_say(&p, "defgh1");
	pair_expect(&p, "abcdefgh");
	pair_say(&p, "234");
	pair_expect(&p, "abcdefgh1234");
	pair_close(&p);
}

/* Nothing is given while reading is off; what came with the last piece, and
 * what waits in the socket, comes when it is on again. */
static void
test_pause(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p);
	p.least = 2;
	p.pause = true;
	pair_say(&p, "aabb");
	pair_expect(&p, "aa");
	pair_say(&p, "cc");
	pair_settle();
	pair_expect(&p, "aa");
	conn_read(p.conn, true); /* and off again after each piece */
	pair_expect(&p, "aabb");
	pair_settle();
	pair_expect(&p, "aabb");
	p.pause = false;
	conn_read(p.conn, true);
	pair_expect(&p, "aabbcc");
	pair_close(&p);
}

/* Output arrives, then the end; what the client still says is not heard. */
static void
test_finish(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p);
	pair_say(&p, "x");
	pair_expect(&p, "x");
	buf_z(conn_out(p.conn), "last words");
	conn_finish(p.conn);
	assert_true(conn_finishing(p.conn));
	pair_say(&p, "ignored");
	pair_hears(&p, "last words", true);
	pair_settle();
	assert_int_equal(p.got.len, 1);
	assert_int_equal(p.gone, 0); /* until the client closes, too */
	pair_close(&p);
}

static void
test_kill(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p);
	conn_kill(p.conn);
	assert_int_equal(p.gone, 0);
	pair_hears(&p, "", true);
	pair_close(&p);
}

/* More than the socket takes: it waits, reading stops meanwhile, and all of it
 * arrives in order once the client reads. */
static void
test_stuck(void **state)
{
	enum { CHUNK = 64 * 1024, CHUNKS = 16 };
	char *chunk = mem_alloc(CHUNK);
	struct pair p;
	size_t sent = 0, got = 0, n;
	bool end, always = true;

	(void)state;
	pair_open(&p);
	while (conn_queued(p.conn) == 0 || sent < (size_t)CHUNKS * CHUNK) {
		for (size_t i = 0; i < CHUNK; i++)
			chunk[i] = (char)((sent + i) % 251);
		buf_add(conn_out(p.conn), chunk, CHUNK);
		conn_push(p.conn);
		sent += CHUNK;
	}
	pair_say(&p, "meanwhile");
	pair_settle();
	assert_int_equal(p.got.len, 0);
	for (; got < sent; got += n) {
		n = pair_read(&p, chunk, CHUNK, &end);
		assert_false(end);
		for (size_t i = 0; i < n; i++)
			assert_int_equal((unsigned char)chunk[i], (got + i) % 251);
		turn_until(is_true, &always);
	}
	pair_expect(&p, "meanwhile");
	assert_int_equal(conn_queued(p.conn), 0);
	mem_free(chunk);
	pair_close(&p);
}

static bool
pair_late(const void *arg)
{
	return ((const struct pair *)arg)->late > 0;
}

static void
test_deadline(void **state)
{
	struct pair p, patient;

	(void)state;
	pair_open(&p);
	pair_open(&patient);
	conn_deadline(patient.conn, 1);
	conn_deadline(patient.conn, 0);
	conn_deadline(p.conn, 1);
	turn_until(pair_late, &p);
	assert_int_equal(p.late, 1);
	assert_int_equal(patient.late, 0);
	pair_close(&p);
	pair_close(&patient);
}

static void
kill_cb(void *arg, struct conn *c)
{
	(void)arg;
	conn_kill(c);
}

static void
test_each(void **state)
{
	struct pair p[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		pair_open(&p[i]);
	server_each(server, kill_cb, NULL);
	for (int i = 0; i < 3; i++)
		pair_close(&p[i]);
}

/* Whoever is left when the server goes hears of it. */
static void
test_end(void **state)
{
	struct pair p;
	char *why = NULL;

	(void)state;
	pair_open(&p);
	pair_say(&p, "unread");
	server_free(server);
	assert_int_equal(p.gone, 1);
	close(p.fd);
	buf_free(&p.got);
	server = server_new(loop, NULL, NULL, &why);
	assert_non_null(server);
}

static void
test_bad_tls(void **state)
{
	char *why = NULL;

	(void)state;
	assert_null(server_new(loop, "/nonexistent/cert", "/nonexistent/key", &why));
	assert_non_null(strstr(why, "/nonexistent/cert"));
	mem_free(why);
}

static int
setup(void **state)
{
	char *why = NULL;

	(void)state;
	loop = loop_new();
	server = server_new(loop, NULL, NULL, &why);
	return server == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	server_free(server);
	loop_free(loop);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_stuck),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_bad_tls),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
