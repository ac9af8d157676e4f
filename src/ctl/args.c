/* SPDX-License-Identifier: MIT */
/* ctl/args: what the verbs of lecternctl share. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "ctl/ctl.h"

static void
ctl_take(int *argc, char **argv, int at, int n)
{
	for (int i = at; i + n <= *argc; i++)
		argv[i] = argv[i + n];
	*argc -= n;
}

const char *
ctl_option(int *argc, char **argv, const char *name)
{
	for (int i = 1; i < *argc; i++) {
		const char *value = i + 1 < *argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], name) != 0)
			continue;
		if (value == NULL) {
			fprintf(stderr, "lecternctl: %s needs a value\n", name);
			exit(EX_USAGE);
		}
		ctl_take(argc, argv, i, 2);
		return value;
	}
	return NULL;
}

bool
ctl_flag(int *argc, char **argv, const char *name)
{
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], name) == 0) {
			ctl_take(argc, argv, i, 1);
			return true;
		}
	}
	return false;
}

long
ctl_number(int *argc, char **argv, const char *name, long max)
{
	const char *text = ctl_option(argc, argv, name);
	char *end;
	long n;

	if (text == NULL)
		return 0;
	errno = 0;
	n = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || n < 1 || n > max) {
		fprintf(stderr, "lecternctl: %s %s: expected a number from 1 to %ld\n", name, text,
		    max);
		exit(EX_USAGE);
	}
	return n;
}

struct conf *
ctl_conf(int *argc, char **argv)
{
	const char *path = ctl_option(argc, argv, "-c");
	struct buf causes = BUF_INIT(0);
	struct conf *c = conf_read(path ? path : LECTERN_CONF, &causes);

	if (c == NULL)
		fprintf(stderr, "%.*s", STR_ARG(buf_view(&causes)));
	buf_free(&causes);
	return c;
}

static int
ctl_connect(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof a.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(a.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		fd = -1;
	}
	return fd;
}

/* Writes the request line and reads until the daemon closes. */
static bool
ctl_exchange(int fd, const char *request, struct buf *answer)
{
	ssize_t n = -1;
	char *at;

	if (dprintf(fd, "%s\n", request) < 0)
		return false;
	while ((at = buf_room(answer, 65536)) != NULL && (n = read(fd, at, 65536)) > 0)
		answer->len += (size_t)n;
	return at != NULL && n == 0;
}

int
ctl_try(const char *socket, const char *request, struct buf *answer)
{
	int fd = ctl_connect(socket), why = 0;

	if (fd < 0)
		return errno;
	if (!ctl_exchange(fd, request, answer))
		why = errno != 0 ? errno : EIO;
	close(fd);
	return why;
}

bool
ctl_ask(const char *socket, const char *request, struct buf *answer)
{
	int why = ctl_try(socket, request, answer);

	if (why != 0)
		fprintf(stderr, "lecternctl: no answer on %s: %s; is lecternd running with this "
		    "configuration, and may you open its socket?\n", socket, strerror(why));
	return why == 0;
}

int
ctl_print(struct str text)
{
	if (fwrite(text.p, 1, text.n, stdout) != text.n || fflush(stdout) != 0) {
		fprintf(stderr, "lecternctl: cannot write: %s\n", strerror(errno));
		return EX_IOERR;
	}
	return EX_OK;
}
