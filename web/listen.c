/* SPDX-License-Identifier: MIT */
/* listen: accepts on one socket. Not libwebsockets' own listener, because that
 * one tells its log, and not its caller, why it could not bind, and spins when
 * the process is out of file descriptors. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4 */
#endif
#include "web/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "base/mem.h"

#define LISTEN_BACKLOG 4096
#define LISTEN_PER_TURN 64   /* accepted before others have their turn */
#define LISTEN_PAUSE_MS 1000 /* when the system has no more descriptors */
#define LISTEN_KEEPALIVE_S 60 /* silent peers are probed, dead ones found */

struct listener {
	uv_poll_t poll;
	int fd;
	listen_cb *cb;
	void *arg;
	struct loop_timer *pause;
};

static void listen_ready_cb(uv_poll_t *poll, int status, int events);

static void
listen_resume_cb(void *arg)
{
	struct listener *ls = arg;

	uv_poll_start(&ls->poll, UV_READABLE, listen_ready_cb);
}

/* Out of descriptors the socket stays readable: without a pause we would spin. */
static void
listen_failed(struct listener *ls, int error)
{
	if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
		return;
	log_error("accept failed, waiting %d ms why=%s", LISTEN_PAUSE_MS, strerror(error));
	uv_poll_stop(&ls->poll);
	loop_timer_once(ls->pause, LISTEN_PAUSE_MS);
}

/* Failures here cost speed or a late discovery of a dead peer, no more. */
static void
listen_tune(int fd)
{
	int one = 1, idle = LISTEN_KEEPALIVE_S;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle) != 0)
		log_debug("setsockopt failed why=%s", strerror(errno));
}

static void
listen_ready_cb(uv_poll_t *poll, int status, int events)
{
	struct listener *ls = poll->data;
	struct sockaddr_storage peer;
	socklen_t n;
	int fd;

	(void)status; /* accept4 tells more */
	(void)events;
	for (int i = 0; i < LISTEN_PER_TURN; i++) {
		n = sizeof peer;
		fd = accept4(ls->fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			listen_failed(ls, errno);
			return;
		}
		listen_tune(fd);
		ls->cb(ls->arg, fd, (struct sockaddr *)&peer);
	}
}

static const char *
listen_advice(int error)
{
	if (error == EADDRINUSE)
		return "another program listens there: stop it, or choose another port";
	if (error == EACCES)
		return "ports below 1024 need CAP_NET_BIND_SERVICE "
		    "(AmbientCapabilities= in the unit), or choose a higher one";
	if (error == EADDRNOTAVAIL)
		return "this machine does not have that address";
	return "check the address and port in section listen";
}

static int
listen_socket(const struct addrinfo *ai)
{
	int one = 1, error;
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
	    bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static int
listen_open(const char *address, long port, char **why)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *ai;
	char service[24];
	int rc, fd;

	snprintf(service, sizeof service, "%ld", port);
	rc = getaddrinfo(address, service, &hints, &ai);
	if (rc != 0) {
		*why = mem_printf("cannot listen on %s port %ld: %s; give a numeric address "
		    "such as 127.0.0.1 or ::", address, port, gai_strerror(rc));
		return -1;
	}
	fd = listen_socket(ai);
	if (fd < 0)
		*why = mem_printf("cannot listen on %s port %ld: %s; %s", address, port,
		    strerror(errno), listen_advice(errno));
	freeaddrinfo(ai);
	return fd;
}

struct listener *
listener_new(struct loop *l, const char *address, long port, listen_cb *cb, void *arg,
    char **why)
{
	struct listener *ls;
	int fd = listen_open(address, port, why);

	if (fd < 0)
		return NULL;
	MEM_NEW(ls);
	ls->fd = fd;
	ls->cb = cb;
	ls->arg = arg;
	ls->pause = loop_timer_new(l, listen_resume_cb, ls);
	uv_poll_init(loop_uv(l), &ls->poll, fd);
	ls->poll.data = ls;
	uv_poll_start(&ls->poll, UV_READABLE, listen_ready_cb);
	return ls;
}

static void
listen_closed_cb(uv_handle_t *handle)
{
	mem_free(handle->data);
}

void
listener_free(struct listener *ls)
{
	if (ls == NULL)
		return;
	loop_timer_free(ls->pause);
	uv_poll_stop(&ls->poll);
	close(ls->fd);
	uv_close((uv_handle_t *)&ls->poll, listen_closed_cb);
}
