/* SPDX-License-Identifier: MIT */
/* server: libwebsockets carries bytes and TLS on the daemon's loop, in its role
 * for raw sockets; what would be HTTP and WebSocket it never sees.
 *
 * A connection is only ever closed from the hook before the loop sleeps, never
 * inside a callback of libwebsockets or of a handler. */
#include "web/server.h"

#include <errno.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "base/mem.h"
#include "web/deadline.h"
#include "web/tls.h"

#define SERVER_READ (256 * 1024) /* most bytes of one read; one buffer for all */
#define SERVER_LWS_TIMEOUT_S 3600 /* longer than any limit of ours */
#define SERVER_END_TURNS 8 /* of the loop, for a step that needs two */
#define CONN_PUSH_NOW (16 * 1024) /* output that does not wait for the hook */
#define CONN_FRESH (32 * 1024) /* bytes not sent yet that the system takes */
#define CONN_KEEP_MAX (1 << 20)   /* input a handler may leave unused */

struct conn {
	struct server *server;
	struct lws *wsi; /* NULL once libwebsockets closes it */
	const struct conn_handler *handler;
	void *user;
	TAILQ_ENTRY(conn) link;
	TAILQ_ENTRY(conn) due_link;
	struct buf out;
	struct buf kept; /* input that came and was not used, */
	size_t kept_at;  /* from here on */
	size_t lent;     /* output that libwebsockets holds for us */
	struct deadline late, stuck;
	bool pushed;     /* output since drained was called last */
	bool heard;      /* something came */
	bool due;        /* the hook has to look at it */
	bool paused;     /* by its handler */
	bool reading;    /* what libwebsockets was told */
	bool finishing;  /* no more output than what waits, input is thrown away */
	bool shut;       /* and all of it is out */
	bool dead;
};

TAILQ_HEAD(conn_list, conn);

struct server {
	struct loop *loop;
	struct lws_context *context; /* libwebsockets clears it when it is gone */
	struct lws_vhost *vhost;
	struct tls *tls;
	void *ssl_ctx; /* the vhost's */
	struct deadlines *deadlines;
	struct loop_hook *hook;
	struct conn_list conns, due;
	size_t n;
	struct conn *adopted; /* from the callback back to server_adopt */
	void *foreign_loop;
};

/* ---- output, flow control, end ---- */

static void
conn_mark(struct conn *c)
{
	if (c->due || c->wsi == NULL)
		return;
	c->due = true;
	TAILQ_INSERT_TAIL(&c->server->due, c, due_link);
}

/* While libwebsockets holds output it reads nothing, yet would be woken for
 * every byte that waits: so it is told not to look. */
static void
conn_flow(struct conn *c)
{
	bool want = c->lent == 0 && (c->finishing || !c->paused);

	if (want == c->reading || c->wsi == NULL)
		return;
	c->reading = want;
	lws_rx_flow_control(c->wsi, want);
}

/* What the socket does not take, libwebsockets keeps and sends by itself; it
 * gets no more until then. */
static void
conn_write(struct conn *c)
{
	int n = (int)c->out.len;

	if (c->lent > 0 || n == 0 || c->wsi == NULL || c->dead)
		return;
	if (lws_write(c->wsi, (unsigned char *)c->out.data, (size_t)n, LWS_WRITE_RAW) < n) {
		c->dead = true;
		conn_mark(c);
	} else if (lws_partial_buffered(c->wsi)) {
		c->lent = (size_t)n;
		deadline_set(c->server->deadlines, &c->stuck, CONN_STUCK_MS);
		lws_callback_on_writable(c->wsi);
		conn_flow(c);
	}
	buf_free(&c->out);
}

struct buf *
conn_out(struct conn *c)
{
	return &c->out;
}

size_t
conn_queued(const struct conn *c)
{
	return c->out.len + c->lent;
}

void
conn_push(struct conn *c)
{
	if (c->out.len >= CONN_PUSH_NOW)
		conn_write(c);
	c->pushed = true;
	conn_mark(c);
}

void
conn_keep_fresh(struct conn *c)
{
	int bytes = CONN_FRESH;

	if (c->wsi != NULL && setsockopt(lws_get_socket_fd(c->wsi), IPPROTO_TCP,
	    TCP_NOTSENT_LOWAT, &bytes, sizeof bytes) != 0)
		log_debug("TCP_NOTSENT_LOWAT: %s", strerror(errno));
}

/* What libwebsockets held is out. */
static void
conn_writable(struct conn *c)
{
	if (lws_partial_buffered(c->wsi))
		return;
	c->lent = 0;
	deadline_clear(c->server->deadlines, &c->stuck);
	conn_flow(c);
	conn_mark(c);
}

void
conn_read(struct conn *c, bool on)
{
	c->paused = !on;
	conn_flow(c);
	if (on && c->kept.len > 0)
		conn_mark(c);
}

void
conn_deadline(struct conn *c, uint64_t ms)
{
	if (c->finishing)
		return;
	if (ms > 0)
		deadline_set(c->server->deadlines, &c->late, ms);
	else
		deadline_clear(c->server->deadlines, &c->late);
}

static void
conn_late_cb(void *arg)
{
	struct conn *c = arg;

	if (c->finishing)
		conn_kill(c);
	else
		c->handler->late(c, c->user);
}

static void
conn_stuck_cb(void *arg)
{
	struct conn *c = arg;

	if (c->finishing)
		conn_kill(c);
	else
		c->handler->stuck(c, c->user);
}

void
conn_finish(struct conn *c)
{
	if (c->finishing)
		return;
	conn_deadline(c, CONN_LINGER_MS);
	c->finishing = true;
	buf_free(&c->kept);
	conn_flow(c);
	conn_mark(c);
}

bool
conn_finishing(const struct conn *c)
{
	return c->finishing;
}

void
conn_kill(struct conn *c)
{
	c->finishing = c->dead = true;
	conn_mark(c);
}

/* RFC 9112 §9.6: closing at once would make the peer's system throw away what
 * we sent last, so only our half ends here. */
static void
conn_shut(struct conn *c)
{
	c->shut = true;
	if (c->server->tls != NULL)
		tls_goodbye(lws_get_ssl(c->wsi));
	if (shutdown(lws_get_socket_fd(c->wsi), SHUT_WR) != 0)
		conn_kill(c);
}

/* ---- input ---- */

/* Gives bytes to the handler, which may have changed after each call, until it
 * wants no more. Returns how many were used. */
static size_t
conn_feed(struct conn *c, char *p, size_t n)
{
	size_t used = 0, some = 1;

	while (some > 0 && used < n && !c->paused && !c->finishing) {
		some = c->handler->data(c, c->user, p + used, n - used);
		used += some;
	}
	return c->finishing ? n : used;
}

/* The handler may end the connection, and what is kept with it, while it reads:
 * so the bytes are ours meanwhile. */
static void
conn_feed_kept(struct conn *c)
{
	struct buf kept = c->kept;
	size_t at = c->kept_at;

	if (kept.len == 0 || c->paused || c->finishing)
		return;
	c->kept = BUF_INIT(CONN_KEEP_MAX);
	at += conn_feed(c, kept.data + at, kept.len - at);
	if (at == kept.len)
		buf_free(&kept);
	c->kept = kept;
	c->kept_at = kept.len > 0 ? at : 0;
}

static void
conn_keep(struct conn *c, const char *p, size_t n)
{
	buf_shift(&c->kept, c->kept_at);
	c->kept_at = 0;
	if (buf_add(&c->kept, p, n) != ERR_OK)
		conn_kill(c);
}

static void
conn_received(struct conn *c, char *p, size_t n)
{
	size_t used;

	/* after a TLS handshake libwebsockets waits for HTTP of its own */
	if (!c->heard)
		lws_set_timeout(c->wsi, NO_PENDING_TIMEOUT, 0);
	c->heard = true;
	if (c->finishing)
		return;
	if (c->kept.len > 0) {
		conn_keep(c, p, n);
		conn_feed_kept(c);
		return;
	}
	used = conn_feed(c, p, n);
	if (used < n)
		conn_keep(c, p + used, n - used);
}

/* ---- life ---- */

void
conn_handle(struct conn *c, const struct conn_handler *h, void *user)
{
	c->handler = h;
	c->user = user;
}

const struct conn_handler *
conn_handler(const struct conn *c)
{
	return c->handler;
}

void *
conn_user(const struct conn *c)
{
	return c->user;
}

static void
conn_new(struct server *s, struct lws *wsi)
{
	struct conn *c;

	MEM_NEW(c);
	c->server = s;
	c->wsi = wsi;
	c->reading = true;
	c->out = BUF_INIT(CONN_OUT_MAX);
	c->kept = BUF_INIT(CONN_KEEP_MAX);
	c->late = (struct deadline){ .cb = conn_late_cb, .arg = c };
	c->stuck = (struct deadline){ .cb = conn_stuck_cb, .arg = c };
	TAILQ_INSERT_TAIL(&s->conns, c, link);
	s->n++;
	s->adopted = c;
	lws_set_opaque_user_data(wsi, c);
}

/* Libwebsockets closes it: everything but the memory goes. */
static void
conn_lost(struct conn *c)
{
	struct server *s = c->server;

	if (c->wsi == NULL)
		return;
	c->wsi = NULL;
	if (c->due)
		TAILQ_REMOVE(&s->due, c, due_link);
	deadline_clear(s->deadlines, &c->late);
	deadline_clear(s->deadlines, &c->stuck);
	TAILQ_REMOVE(&s->conns, c, link);
	s->n--;
	if (c->handler != NULL)
		c->handler->gone(c, c->user);
	buf_free(&c->out);
	buf_free(&c->kept);
}

/* One that something happened to since the loop slept last. */
static void
conn_turn(struct conn *c)
{
	conn_feed_kept(c);
	if (!c->dead)
		conn_write(c);
	if (c->pushed && !c->finishing && conn_queued(c) == 0) {
		c->pushed = false;
		if (c->handler->drained != NULL)
			c->handler->drained(c, c->user);
	}
	if (c->finishing && !c->shut && !c->dead && conn_queued(c) == 0)
		conn_shut(c);
	if (c->dead)
		lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

static void
server_turn_cb(void *arg)
{
	struct server *s = arg;
	struct conn *c;

	while ((c = TAILQ_FIRST(&s->due)) != NULL) {
		TAILQ_REMOVE(&s->due, c, due_link);
		c->due = false;
		conn_turn(c);
	}
}

/* ---- libwebsockets ---- */

static int
server_lws_cb(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t n)
{
	struct server *s = lws_context_user(lws_get_context(wsi));
	struct conn *c;

	switch (reason) {
	case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
		s->ssl_ctx = user;
		return 0;
	case LWS_CALLBACK_RAW_ADOPT:
		conn_new(s, wsi);
		return 0;
	case LWS_CALLBACK_RAW_RX:
		conn_received(lws_get_opaque_user_data(wsi), in, n);
		return 0;
	case LWS_CALLBACK_RAW_WRITEABLE:
		conn_writable(lws_get_opaque_user_data(wsi));
		return 0;
	case LWS_CALLBACK_RAW_CLOSE:
		if ((c = lws_get_opaque_user_data(wsi)) != NULL)
			conn_lost(c);
		return 0;
	case LWS_CALLBACK_WSI_DESTROY: /* also for what never came to RAW_ADOPT */
		if ((c = lws_get_opaque_user_data(wsi)) != NULL) {
			conn_lost(c);
			mem_free(c);
		}
		return 0;
	default:
		return 0;
	}
}

static void
server_log_cb(int level, const char *line)
{
	size_t n = strcspn(line, "\n");

	log_line(level == LLL_ERR ? LOG_ERROR : level == LLL_WARN ? LOG_WARNING : LOG_DEBUG,
	    "libwebsockets: %.*s", (int)n, line);
}

static const struct lws_protocols server_protocols[] = {
	{ .name = "lectern", .callback = server_lws_cb },
	{ .name = NULL },
};

static bool
server_context(struct server *s, char **why)
{
	struct lws_context_creation_info info = {
		.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
		    (s->tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
		.foreign_loops = &s->foreign_loop,
		.pcontext = &s->context,
		.pt_serv_buf_size = SERVER_READ,
		.timeout_secs = SERVER_LWS_TIMEOUT_S,
		.user = s,
		.uid = (int)getuid(),
		.gid = (int)getgid(),
	};

	lws_set_log_level(LLL_ERR | LLL_WARN | LLL_NOTICE, server_log_cb);
	s->context = lws_create_context(&info);
	if (s->context == NULL)
		*why = mem_strdup("libwebsockets does not start; is its libuv part, the package "
		    "libwebsockets-evlib-uv, installed?");
	return s->context != NULL;
}

static bool
server_vhost(struct server *s, const char *certificate, const char *key, char **why)
{
	struct lws_context_creation_info info = {
		.options = s->tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0,
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = server_protocols,
		.vhost_name = "lectern",
		.timeout_secs = SERVER_LWS_TIMEOUT_S,
		.ssl_cert_filepath = certificate,
		.ssl_private_key_filepath = key,
		.user = s,
	};

	s->vhost = lws_create_vhost(s->context, &info);
	if (s->vhost == NULL)
		*why = mem_strdup("libwebsockets does not take the TLS settings");
	else if (s->tls != NULL)
		tls_attach(s->tls, s->ssl_ctx);
	return s->vhost != NULL;
}

struct server *
server_new(struct loop *l, const char *certificate, const char *key, char **why)
{
	struct server *s;
	bool tls = certificate != NULL && key != NULL;

	MEM_NEW(s);
	TAILQ_INIT(&s->conns);
	TAILQ_INIT(&s->due);
	s->loop = l;
	s->foreign_loop = loop_uv(l);
	s->deadlines = deadlines_new(l);
	s->hook = loop_before_sleep(l, server_turn_cb, s);
	if ((tls && (s->tls = tls_new(certificate, key, why)) == NULL) ||
	    !server_context(s, why) ||
	    !server_vhost(s, tls ? certificate : NULL, tls ? key : NULL, why)) {
		server_free(s);
		return NULL;
	}
	return s;
}

/* Libwebsockets takes itself apart in steps: sockets, then its own timers, then
 * memory and the code of its libuv part. A step begins when the loop has closed
 * the handles of the one before, and the last one only when it is called. */
void
server_free(struct server *s)
{
	if (s == NULL)
		return;
	while (s->context != NULL) {
		lws_context_destroy(s->context);
		for (int i = 0; s->context != NULL && i < SERVER_END_TURNS; i++)
			uv_run(s->foreign_loop, UV_RUN_NOWAIT);
	}
	loop_hook_free(s->hook);
	deadlines_free(s->deadlines);
	tls_free(s->tls);
	mem_free(s);
}

bool
server_has_tls(const struct server *s)
{
	return s->tls != NULL;
}

bool
server_reload_tls(struct server *s, const char *certificate, const char *key, char **why)
{
	return tls_reload(s->tls, certificate, key, why);
}

size_t
server_connections(const struct server *s)
{
	return s->n;
}

struct conn *
server_adopt(struct server *s, int fd, const struct conn_handler *h, void *user)
{
	lws_sock_file_fd_type sock = { .sockfd = fd };
	struct conn *c;

	s->adopted = NULL;
	if (lws_adopt_descriptor_vhost(s->vhost, LWS_ADOPT_SOCKET | LWS_ADOPT_ALLOW_SSL, sock,
	    NULL, NULL) == NULL)
		return NULL;
	c = s->adopted;
	if (c != NULL)
		conn_handle(c, h, user);
	return c;
}

void
server_each(struct server *s, conn_cb *cb, void *arg)
{
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&s->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		cb(arg, c);
	}
}
