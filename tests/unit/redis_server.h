/* SPDX-License-Identifier: MIT */
/* A redis-server of the test's own: in a private folder, on a Unix socket, without
 * persistence unless the test asks for it. */
#ifndef LECTERN_TESTS_REDIS_SERVER_H
#define LECTERN_TESTS_REDIS_SERVER_H

#include <errno.h>
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define REDIS_WORDS_MAX 32
#define REDIS_PATIENCE 2000 /* times 10 ms until it has to be up */

struct redis_server {
	char dir[64];
	char socket[96];
	char address[104]; /* for redis.address */
	pid_t pid;         /* 0: not running */
};

/* A connection that waits, or -1. */
static inline int
redis_server_connect(const struct redis_server *s)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "%s", s->socket);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Says one line of words over its own connection; the first bytes of the answer are
 * in `answer`. */
static inline void
redis_server_ask(const struct redis_server *s, const char *words, char *answer, size_t room)
{
	int fd = redis_server_connect(s);
	ssize_t n;

	assert_true(fd >= 0);
	assert_true(dprintf(fd, "%s\r\n", words) > 0);
	n = read(fd, answer, room - 1);
	assert_true(n > 0);
	answer[n] = '\0';
	close(fd);
}

static inline void
redis_server_do(const struct redis_server *s, const char *words)
{
	char answer[256];

	redis_server_ask(s, words, answer, sizeof answer);
	if (answer[0] == '-')
		fail_msg("%s: %s", words, answer);
}

static inline void
redis_server_run(const struct redis_server *s, const char *const *more)
{
	const char *words[REDIS_WORDS_MAX] = { "redis-server", "--port", "0", "--unixsocket",
		s->socket, "--dir", s->dir, "--save", "", "--enable-debug-command", "local",
		"--loglevel", "warning", "--logfile", "redis.log" };
	size_t n = 0;

	while (words[n] != NULL)
		n++;
	for (; more != NULL && *more != NULL && n < REDIS_WORDS_MAX - 1; more++)
		words[n++] = *more;
	execvp(words[0], (char *const *)words);
	_exit(127);
}

/* Starts it, again after a stop with what it kept; more: words of its command line,
 * the last is NULL. Answers once it takes connections. */
static inline void
redis_server_start(struct redis_server *s, const char *const *more)
{
	int fd = -1;

	if (s->dir[0] == '\0') {
		snprintf(s->dir, sizeof s->dir, "/tmp/lectern-redis-XXXXXX");
		assert_non_null(mkdtemp(s->dir));
		snprintf(s->socket, sizeof s->socket, "%s/redis.sock", s->dir);
		snprintf(s->address, sizeof s->address, "unix:%s", s->socket);
	}
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0)
		redis_server_run(s, more);
	for (int i = 0; i < REDIS_PATIENCE && fd < 0; i++) {
		fd = redis_server_connect(s);
		if (fd < 0 && waitpid(s->pid, NULL, WNOHANG) == s->pid)
			fail_msg("redis-server ended at its start; is it installed?");
		if (fd < 0)
			usleep(10000);
	}
	assert_true(fd >= 0);
	close(fd);
}

static inline void
redis_server_stop(struct redis_server *s, int with)
{
	if (s->pid == 0)
		return;
	kill(s->pid, with);
	kill(s->pid, SIGCONT);
	waitpid(s->pid, NULL, 0);
	unlink(s->socket);
	s->pid = 0;
}

/* Ends it and removes its folder. */
static inline void
redis_server_drop(struct redis_server *s)
{
	char *argv[] = { "rm", "-rf", s->dir, NULL };
	pid_t pid;

	redis_server_stop(s, SIGKILL);
	pid = s->dir[0] != '\0' ? fork() : -1;
	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
	*s = (struct redis_server){ .pid = 0 };
}

#endif
