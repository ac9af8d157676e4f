/* SPDX-License-Identifier: MIT */
/* pubsub_redis: a node that is given up and taken again before Redis has answered. A
 * Redis that answers when the test wants it to shows what may happen in between. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "flow/pubsub_backends.h"
#include "state/redis_link.h"
#include "tests/contract/pubsub_contract.h"

#define NODE "class/7b/t.count"
#define CHANNEL "$29\r\nlectern:node:class/7b/t.count\r\n"
#define CONNS 2

/* ---- a Redis ---- */

static struct {
	char dir[40], path[60];
	int listener;
	struct buf in[CONNS];
	int fd[CONNS];
	size_t n;
	int subscriber;               /* the connection that said SUBSCRIBE */
	unsigned subscribes, unsubscribes, snapshots;
	int seq;                      /* of its one item */
} fake;

static void
say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void
fake_command(int fd, struct str word)
{
	char answer[100];

	if (str_is(word, "SUBSCRIBE")) {
		fake.subscriber = fd;
		fake.subscribes++;
	} else if (str_is(word, "UNSUBSCRIBE")) {
		fake.unsubscribes++;
	} else if (str_is(word, "EXEC")) {
		fake.snapshots++;
		snprintf(answer, sizeof answer,
		    "*2\r\n$1\r\n1\r\n*2\r\n$1\r\na\r\n$9\r\n{\"seq\":%d}\r\n", fake.seq);
		say(fd, answer);
	} else {
		say(fd, str_is(word, "PING") ? "+PONG\r\n" : str_is(word, "MULTI") ? "+OK\r\n" : "+QUEUED\r\n");
	}
}

/* Bytes up to and with the end of the line at `at`, whose number is *n. */
static size_t
fake_line(const struct buf *b, size_t at, size_t *n)
{
	const char *end = at < b->len ? memchr(b->data + at, '\n', b->len - at) : NULL;

	if (end == NULL)
		return 0;
	*n = strtoul(b->data + at + 1, NULL, 10);
	return (size_t)(end + 1 - b->data) - at;
}

/* The first command that is whole: its first word; 0 when there is none. */
static size_t
fake_read(const struct buf *b, struct str *word)
{
	size_t at, words = 0, n = 0, line = fake_line(b, 0, &words);

	at = line;
	for (size_t i = 0; line > 0 && i < words; i++) {
		line = fake_line(b, at, &n);
		at += line;
		if (i == 0)
			*word = (struct str){ b->data + at, n };
		at += n + 2;
		if (at > b->len)
			return 0;
	}
	return line > 0 ? at : 0;
}

static void
fake_serve(size_t i)
{
	char bytes[4096];
	ssize_t n = read(fake.fd[i], bytes, sizeof bytes);
	struct str word;
	size_t used;

	if (n > 0)
		buf_add(&fake.in[i], bytes, (size_t)n);
	while ((used = fake_read(&fake.in[i], &word)) > 0) {
		fake_command(fake.fd[i], word);
		memmove(fake.in[i].data, fake.in[i].data + used, fake.in[i].len - used);
		fake.in[i].len -= used;
	}
}

static void
fake_turn(void)
{
	int fd = fake.n < CONNS ? accept(fake.listener, NULL, NULL) : -1;

	if (fd >= 0) {
		fcntl(fd, F_SETFL, O_NONBLOCK);
		fake.fd[fake.n++] = fd;
	}
	for (size_t i = 0; i < fake.n; i++)
		fake_serve(i);
}

static void
fake_open(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(fake.dir, sizeof fake.dir, "/tmp/lectern-fake-XXXXXX");
	assert_non_null(mkdtemp(fake.dir));
	snprintf(fake.path, sizeof fake.path, "%s/redis", fake.dir);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", fake.path);
	fake.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fake.listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fake.listener, CONNS), 0);
}

static void
fake_close(void)
{
	for (size_t i = 0; i < fake.n; i++) {
		close(fake.fd[i]);
		buf_free(&fake.in[i]);
	}
	close(fake.listener);
	unlink(fake.path);
	rmdir(fake.dir);
}

/* ---- a reader ---- */

static struct loop *loop;
static int seen; /* the last seq */
static unsigned changes;

static void
snapshot_cb(void *arg, const struct pubsub_item *v, size_t n, bool whole)
{
	(void)arg, (void)whole;
	assert_int_equal(n, 1);
	seen = v[0].json.p[7] - '0'; /* {"seq":N} */
}

static void
change_cb(void *arg, const struct pubsub_change *c)
{
	(void)arg, (void)c;
	changes++;
}

static const struct pubsub_reader reader = { snapshot_cb, change_cb };

struct wanted {
	unsigned subscribes, unsubscribes;
	int seen;
};

static bool
is_so(void *arg)
{
	const struct wanted *w = arg;

	fake_turn();
	return fake.subscribes == w->subscribes && fake.unsubscribes == w->unsubscribes &&
	    seen == w->seen;
}

static void
wait_for(unsigned subscribes, unsigned unsubscribes, int last)
{
	struct wanted w = { subscribes, unsubscribes, last };

	pubsub_contract_until(loop, is_so, &w);
}

static bool
turns_over(void *left)
{
	return --*(int *)left <= 0;
}

static bool
is_changed(void *arg)
{
	(void)arg;
	return changes == 1;
}

/* Between the end of the first subscription and the second one something changes that
 * nobody is told of: what the first one still hears is not good enough. */
static void
test_taken_again(void **state)
{
	struct redis_options redis = { .timeout_s = 60 };
	struct pubsub_options o = { .redis = &redis };
	struct pubsub_sub *sub;
	struct pubsub *p;
	char *address, *why = NULL;

	(void)state;
	fake_open();
	redis.address = address = mem_printf("unix:%s", fake.path);
	o.loop = loop = loop_new();
	p = pubsub_open(&pubsub_redis, &o, &why);
	fake.seq = 1;
	sub = pubsub_follow(p, STR_LIT(NODE), &reader, NULL);
	wait_for(1, 0, 0);
	pubsub_unfollow(sub);
	pubsub_follow(p, STR_LIT(NODE), &reader, NULL);
	wait_for(2, 1, 0);
	say(fake.subscriber, "*3\r\n$9\r\nsubscribe\r\n" CHANNEL ":1\r\n");
	say(fake.subscriber, "*3\r\n$7\r\nmessage\r\n" CHANNEL "$25\r\n{\"op\":\"purge\",\"number\":5}\r\n");
	for (int i = 0; i < 20; i++) {
		int few = 5;

		pubsub_contract_until(loop, turns_over, &few);
		fake_turn();
	}
	assert_int_equal(fake.snapshots, 0);
	fake.seq = 2;
	say(fake.subscriber, "*3\r\n$11\r\nunsubscribe\r\n" CHANNEL ":0\r\n");
	say(fake.subscriber, "*3\r\n$9\r\nsubscribe\r\n" CHANNEL ":1\r\n");
	wait_for(2, 1, 2);
	assert_int_equal(fake.snapshots, 1);
	assert_int_equal(changes, 0);
	say(fake.subscriber, "*3\r\n$7\r\nmessage\r\n" CHANNEL "$25\r\n{\"op\":\"purge\",\"number\":7}\r\n");
	pubsub_contract_until(loop, is_changed, NULL);
	pubsub_close(p);
	loop_run(loop);
	loop_free(loop);
	mem_free(address);
	fake_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_taken_again) };

	log_set_level(LOG_ERROR);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
