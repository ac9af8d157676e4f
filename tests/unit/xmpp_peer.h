/* SPDX-License-Identifier: MIT */
/* What the tests of the component stream share: a server of a few lines on a
 * socket, whose answers the test sets, and waiting for things to happen. */
#ifndef LECTERN_TESTS_XMPP_PEER_H
#define LECTERN_TESTS_XMPP_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <uv.h>

#include "base/loop.h"
#include "base/mem.h"
#include "base/buf.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define JID "lectern.school.test"
#define SECRET "a secret of thirty-two characters"
#define HEADER "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' " \
	"xmlns:stream='http://etherx.jabber.org/streams' id='%s' from='" JID "'>"
#define PATIENCE_MS 20000 /* a test that waits longer has failed */

union peer_handle {
	uv_tcp_t tcp;
	uv_pipe_t pipe;
	uv_stream_t stream;
	uv_handle_t handle;
};

struct peer {
	uv_stream_t *listen;       /* NULL: not listening */
	union peer_handle listening;
	union peer_handle *client; /* the latest, or NULL */
	size_t accepted, reads;    /* clients so far; reads from the latest */
	struct buf got;            /* everything it read from this client */
	int port;
};

static struct loop *loop;
static struct peer peer;

/* What the server says at a client's first bytes, and at its second. */
static const char *at_header, *at_more;

static void
peer_alloc_cb(uv_handle_t *h, size_t n, uv_buf_t *b)
{
	static char room[65536];

	(void)h, (void)n;
	*b = uv_buf_init(room, sizeof room);
}

static void
peer_written_cb(uv_write_t *w, int status)
{
	(void)status;
	mem_free(w->data);
	mem_free(w);
}

static inline void
say(const char *text)
{
	uv_write_t *w = mem_zalloc(sizeof *w);
	uv_buf_t b;

	w->data = mem_strdup(text);
	b = uv_buf_init(w->data, (unsigned)strlen(text));
	uv_write(w, &peer.client->stream, &b, 1, peer_written_cb);
}

static void
peer_closed_cb(uv_handle_t *h)
{
	mem_free(h->data);
}

static void
hang_up(void)
{
	if (peer.client != NULL)
		uv_close(&peer.client->handle, peer_closed_cb);
	peer.client = NULL;
}

static void
peer_read_cb(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	const char *answer;

	if (peer.client == NULL || s != &peer.client->stream)
		return;
	if (n < 0) {
		hang_up();
		return;
	}
	buf_add(&peer.got, b->base, (size_t)n);
	peer.reads++;
	answer = peer.reads == 1 ? at_header : peer.reads == 2 ? at_more : NULL;
	if (answer != NULL)
		say(answer);
	if (answer != NULL && strstr(answer, "</stream:stream>") != NULL)
		hang_up();
}

static void
peer_accept_cb(uv_stream_t *s, int status)
{
	assert_int_equal(status, 0);
	hang_up();
	peer.client = mem_zalloc(sizeof *peer.client);
	if (s->type == UV_TCP)
		uv_tcp_init(loop_uv(loop), &peer.client->tcp);
	else
		uv_pipe_init(loop_uv(loop), &peer.client->pipe, 0);
	peer.client->handle.data = peer.client;
	assert_int_equal(uv_accept(s, &peer.client->stream), 0);
	peer.accepted++;
	peer.reads = 0;
	buf_clear(&peer.got);
	uv_read_start(&peer.client->stream, peer_alloc_cb, peer_read_cb);
}

static inline void
peer_listen_tcp(void)
{
	struct sockaddr_in a;
	int n = sizeof a;

	uv_ip4_addr("127.0.0.1", 0, &a);
	uv_tcp_init(loop_uv(loop), &peer.listening.tcp);
	assert_int_equal(uv_tcp_bind(&peer.listening.tcp, (struct sockaddr *)&a, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&peer.listening, 5, peer_accept_cb), 0);
	uv_tcp_getsockname(&peer.listening.tcp, (struct sockaddr *)&a, &n);
	peer.port = ntohs(a.sin_port);
	peer.listen = (uv_stream_t *)&peer.listening;
}

static inline void
peer_stop_listening(void)
{
	if (peer.listen != NULL)
		uv_close((uv_handle_t *)peer.listen, NULL);
	peer.listen = NULL;
}

/* ---- waiting ---- */

static void
wait_turn_cb(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

/* Runs the loop until the expression holds. */
#define WAIT(expression)                                                        \
	do {                                                                    \
		uint64_t wait_end = loop_now_ms(loop) + PATIENCE_MS;            \
		while (!(expression)) {                                         \
			struct loop_timer *t = loop_timer_new(loop, wait_turn_cb, NULL); \
			loop_timer_once(t, 5);                                  \
			loop_run(loop);                                         \
			loop_timer_free(t);                                     \
			if (loop_now_ms(loop) > wait_end)                       \
				fail_msg("waited too long for " #expression);   \
		}                                                               \
	} while (0)

static inline bool
peer_got(const char *text)
{
	buf_byte(&peer.got, '\0');
	peer.got.len--;
	return strstr(peer.got.data, text) != NULL;
}

#endif
