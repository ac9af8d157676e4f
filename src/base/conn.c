/* SPDX-License-Identifier: MIT */
/* conn: one socket of libuv. The handle outlives the conn until libuv has
 * closed it, and so does a name look-up under way; both then point to no conn. */
#include "base/conn.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/mem.h"

#define CONN_READ 65536

struct conn_handle {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv;
	uv_connect_t connect;
	uv_write_t write;
	struct buf writing;
	struct conn *conn; /* NULL once given up */
};

struct conn_lookup {
	uv_getaddrinfo_t uv;
	struct conn *conn; /* NULL once given up */
};

struct conn {
	struct loop *loop;
	const struct conn_ops *ops;
	void *arg;
	struct conn_handle *handle;
	struct conn_lookup *lookup;
	struct addrinfo *addresses, *next; /* still to be tried */
	bool open, loopback_only, passed_over;
};

static void conn_try(struct conn *c, int why);

static void
conn_closed_cb(uv_handle_t *uv)
{
	struct conn_handle *h = uv->data;

	buf_free(&h->writing);
	mem_free(h);
}

static void
conn_drop_handle(struct conn *c)
{
	if (c->handle == NULL)
		return;
	c->handle->conn = NULL;
	uv_close(&c->handle->uv.handle, conn_closed_cb);
	c->handle = NULL;
}

static struct conn_handle *
conn_handle_new(struct conn *c)
{
	struct conn_handle *h;

	MEM_NEW(h);
	h->conn = c;
	h->uv.handle.data = h;
	h->connect.data = h;
	h->write.data = h;
	c->handle = h;
	return h;
}

static void
conn_lost(struct conn *c, int why)
{
	conn_drop_handle(c);
	c->ops->lost(c->arg, c->open, c->passed_over ? "the host is another machine, and the stream "
	    "to it would not be encrypted (insecure_ok)" : uv_strerror(why));
}

/* ---- reading and writing ---- */

/* What was read is used up inside the callback: one buffer serves all. */
static void
conn_alloc_cb(uv_handle_t *uv, size_t suggested, uv_buf_t *out)
{
	static char room[CONN_READ];

	(void)uv, (void)suggested;
	*out = uv_buf_init(room, sizeof room);
}

static void
conn_read_cb(uv_stream_t *uv, ssize_t n, const uv_buf_t *b)
{
	struct conn_handle *h = uv->data;

	if (h->conn == NULL || n == 0)
		return;
	if (n < 0)
		conn_lost(h->conn, (int)n);
	else
		h->conn->ops->bytes(h->conn->arg, (struct str){ b->base, (size_t)n });
}

static void
conn_written_cb(uv_write_t *uv, int status)
{
	struct conn_handle *h = uv->data;

	buf_free(&h->writing);
	if (h->conn == NULL)
		return;
	if (status < 0)
		conn_lost(h->conn, status);
	else
		h->conn->ops->written(h->conn->arg);
}

void
conn_send(struct conn *c, struct buf *bytes)
{
	struct conn_handle *h = c->handle;
	uv_buf_t b = uv_buf_init(bytes->data, (unsigned)bytes->len);

	h->writing = *bytes;
	*bytes = BUF_INIT(bytes->max);
	/* Fails only for a stream that is closed or was never open. */
	if (uv_write(&h->write, &h->uv.stream, &b, 1, conn_written_cb) != 0)
		buf_free(&h->writing);
}

/* ---- connecting ---- */

static void
conn_connected_cb(uv_connect_t *uv, int status)
{
	struct conn_handle *h = uv->data;
	struct conn *c = h->conn;

	if (c == NULL)
		return;
	if (status == 0)
		status = uv_read_start(&h->uv.stream, conn_alloc_cb, conn_read_cb);
	if (status < 0) {
		conn_drop_handle(c);
		conn_try(c, status);
		return;
	}
	c->open = true;
	c->ops->open(c->arg);
}

static bool
conn_is_loopback(const struct addrinfo *a)
{
	const struct sockaddr_in *v4 = (const void *)a->ai_addr;
	const struct sockaddr_in6 *v6 = (const void *)a->ai_addr;

	if (a->ai_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return a->ai_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* The next address, or the end with the reason why the last one failed. */
static void
conn_try(struct conn *c, int why)
{
	while (c->next != NULL) {
		struct addrinfo *a = c->next;
		struct conn_handle *h;

		c->next = a->ai_next;
		c->passed_over = c->loopback_only && !conn_is_loopback(a);
		if (c->passed_over)
			continue;
		h = conn_handle_new(c);
		uv_tcp_init(loop_uv(c->loop), &h->uv.tcp);
		uv_tcp_nodelay(&h->uv.tcp, 1);
		why = uv_tcp_connect(&h->connect, &h->uv.tcp, a->ai_addr, conn_connected_cb);
		if (why == 0)
			return;
		conn_drop_handle(c);
	}
	conn_lost(c, why);
}

static void
conn_resolved_cb(uv_getaddrinfo_t *uv, int status, struct addrinfo *found)
{
	struct conn_lookup *lookup = uv->data;
	struct conn *c = lookup->conn;

	mem_free(lookup);
	if (c == NULL) {
		uv_freeaddrinfo(found);
		return;
	}
	c->lookup = NULL;
	c->addresses = c->next = found;
	conn_try(c, status);
}

static void
conn_resolve(struct conn *c, const char *host, int port)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	char service[16];

	snprintf(service, sizeof service, "%d", port);
	MEM_NEW(c->lookup);
	c->lookup->conn = c;
	c->lookup->uv.data = c->lookup;
	/* Fails only for names longer than a name can be: as if unknown. */
	if (uv_getaddrinfo(loop_uv(c->loop), &c->lookup->uv, conn_resolved_cb, host, service,
	    &hints) != 0)
		uv_getaddrinfo(loop_uv(c->loop), &c->lookup->uv, conn_resolved_cb, "invalid.",
		    service, &hints);
}

static void
conn_unix(struct conn *c, const char *path)
{
	struct conn_handle *h = conn_handle_new(c);

	uv_pipe_init(loop_uv(c->loop), &h->uv.pipe, 0);
	uv_pipe_connect(&h->connect, &h->uv.pipe, path, conn_connected_cb);
}

static bool
conn_port(const char *text, int *port)
{
	char *end;
	long n = strtol(text, &end, 10);

	*port = (int)n;
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && n > 0 && n <= 65535;
}

bool
conn_address(const char *address, int standard, char **host, int *port)
{
	bool bracket = address[0] == '[';
	const char *end = address + bracket + strcspn(address + bracket, bracket ? "]" : ":");

	*port = standard;
	if (strncmp(address, "unix:", 5) == 0) {
		*host = mem_strdup(address + 5);
		return (*host)[0] == '/';
	}
	*host = mem_dup(address + bracket, (size_t)(end - address) - bracket);
	if ((*host)[0] == '\0' || (*host)[0] == '/' || (bracket && *end++ != ']'))
		return false;
	return *end == '\0' || (*end == ':' && conn_port(end + 1, port));
}

struct conn *
conn_new(struct loop *l, const char *host, int port, bool loopback_only,
    const struct conn_ops *ops, void *arg)
{
	struct conn *c;

	MEM_NEW(c);
	c->loop = l;
	c->ops = ops;
	c->arg = arg;
	c->loopback_only = loopback_only;
	if (host[0] == '/')
		conn_unix(c, host);
	else
		conn_resolve(c, host, port);
	return c;
}

void
conn_free(struct conn *c)
{
	if (c == NULL)
		return;
	conn_drop_handle(c);
	if (c->lookup != NULL) {
		c->lookup->conn = NULL;
		uv_cancel((uv_req_t *)&c->lookup->uv); /* or it ends by itself */
	}
	uv_freeaddrinfo(c->addresses);
	mem_free(c);
}
