/* SPDX-License-Identifier: MIT */
/* control: see control.h. The file mode is the only access rule: whoever may
 * open the socket is the administrator. */
#include "control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "base/mem.h"

#define CONTROL_REQUEST_MAX 256 /* bytes of a request line */
#define CONTROL_BACKLOG 8

struct control {
	uv_pipe_t pipe;
	const struct control_request *requests;
	void *arg;
	char *path;
	struct control_peer *peers;
};

struct control_peer {
	struct control_peer *next;
	uv_pipe_t pipe;
	uv_write_t write;
	struct control *control;
	struct buf answer;
	char request[CONTROL_REQUEST_MAX];
	size_t len;
};

/* ---- requests ---- */

static void
control_unknown(const struct control *c, struct buf *out)
{
	buf_z(out, "{\"error\":\"unknown request, expected one of");
	for (const struct control_request *r = c->requests; r->name != NULL; r++)
		buf_printf(out, "%s %s", r > c->requests ? "," : "", r->name);
	buf_z(out, "\"}");
}

static const struct control_request *
control_find(const struct control *c, struct str request)
{
	for (const struct control_request *r = c->requests; r->name != NULL; r++)
		if (str_is(request, r->name))
			return r;
	return NULL;
}

/* ---- connections ---- */

static void
control_closed_cb(uv_handle_t *h)
{
	struct control_peer *p = h->data;

	buf_free(&p->answer);
	mem_free(p);
}

static void
control_peer_close(struct control_peer *p)
{
	struct control_peer **at = &p->control->peers;

	if (uv_is_closing((uv_handle_t *)&p->pipe))
		return;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	uv_close((uv_handle_t *)&p->pipe, control_closed_cb);
}

static void
control_written_cb(uv_write_t *req, int status)
{
	(void)status;
	control_peer_close(req->data);
}

static void
control_send(struct control_peer *p)
{
	uv_buf_t out;

	buf_byte(&p->answer, '\n');
	out = uv_buf_init(p->answer.data, (unsigned)p->answer.len);
	p->write.data = p;
	if (uv_write(&p->write, (uv_stream_t *)&p->pipe, &out, 1, control_written_cb) != 0)
		control_peer_close(p);
}

void
control_reply(struct control_peer *p, struct str answer)
{
	buf_str(&p->answer, answer);
	control_send(p);
}

static void
control_ask(struct control_peer *p)
{
	const struct control *c = p->control;
	const char *end = memchr(p->request, '\n', p->len);
	const struct control_request *r = control_find(c,
	    (struct str){ p->request, (size_t)(end - p->request) });

	uv_read_stop((uv_stream_t *)&p->pipe);
	if (r != NULL && r->later != NULL) {
		r->later(c->arg, p);
		return;
	}
	if (r != NULL)
		r->answer(c->arg, &p->answer);
	else
		control_unknown(c, &p->answer);
	control_send(p);
}

static void
control_alloc_cb(uv_handle_t *h, size_t want, uv_buf_t *out)
{
	struct control_peer *p = h->data;

	(void)want;
	*out = uv_buf_init(p->request + p->len, (unsigned)(CONTROL_REQUEST_MAX - p->len));
}

static void
control_read_cb(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct control_peer *p = s->data;

	(void)b;
	if (n < 0) {
		control_peer_close(p);
		return;
	}
	p->len += (size_t)n;
	if (memchr(p->request, '\n', p->len) != NULL)
		control_ask(p);
	else if (p->len == CONTROL_REQUEST_MAX)
		control_peer_close(p);
}

static void
control_accept_cb(uv_stream_t *s, int status)
{
	struct control *c = s->data;
	struct control_peer *p;

	if (status < 0)
		return;
	MEM_NEW(p);
	p->control = c;
	p->next = c->peers;
	c->peers = p;
	p->answer = BUF_INIT(0);
	p->pipe.data = p;
	uv_pipe_init(s->loop, &p->pipe, 0);
	if (uv_accept(s, (uv_stream_t *)&p->pipe) != 0 ||
	    uv_read_start((uv_stream_t *)&p->pipe, control_alloc_cb, control_read_cb) != 0)
		control_peer_close(p);
}

/* ---- the socket ---- */

/* Removes a socket left by a daemon that is gone; a live one answers connect. */
static bool
control_remove_stale(const char *path, char **why)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd, rc;

	if (strlen(path) >= sizeof a.sun_path) {
		*why = mem_printf("control: %s is longer than %zu bytes, choose a shorter path",
		    path, sizeof a.sun_path - 1);
		return false;
	}
	memcpy(a.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	rc = fd < 0 ? -1 : connect(fd, (struct sockaddr *)&a, sizeof a);
	if (fd >= 0)
		close(fd);
	if (rc == 0) {
		*why = mem_printf("control: another lecternd answers on %s", path);
		return false;
	}
	if (unlink(path) != 0 && errno != ENOENT) {
		*why = mem_printf("control: cannot remove %s: %s", path, strerror(errno));
		return false;
	}
	return true;
}

static void
control_freed_cb(uv_handle_t *h)
{
	struct control *c = h->data;

	mem_free(c->path);
	mem_free(c);
}

void
control_free(struct control *c)
{
	if (c == NULL)
		return;
	while (c->peers != NULL)
		control_peer_close(c->peers);
	uv_close((uv_handle_t *)&c->pipe, control_freed_cb);
}

struct control *
control_new(struct loop *l, const char *path, const struct control_request *requests,
    void *arg, char **why)
{
	struct control *c;
	mode_t old;
	int rc;

	if (!control_remove_stale(path, why))
		return NULL;
	MEM_NEW(c);
	c->requests = requests;
	c->arg = arg;
	c->path = mem_strdup(path);
	c->pipe.data = c;
	uv_pipe_init(loop_uv(l), &c->pipe, 0);
	old = umask(0177);
	rc = uv_pipe_bind(&c->pipe, path);
	umask(old);
	if (rc == 0)
		rc = uv_listen((uv_stream_t *)&c->pipe, CONTROL_BACKLOG, control_accept_cb);
	if (rc != 0) {
		*why = mem_printf("control: cannot listen on %s: %s", path, uv_strerror(rc));
		control_free(c);
		return NULL;
	}
	return c;
}
