/* SPDX-License-Identifier: MIT */
/* ctl/wsock: see wsock.h. Each step waits at most as long as the options say. */
#include "ctl/wsock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/crypt.h"
#include "base/mem.h"
#include "ctl/doctor.h"

#define WSOCK_HEAD_MAX 8192
#define WSOCK_TEXT_MAX (1u << 20)
#define WSOCK_DAY 86400.0

struct wsock {
	int fd;
	SSL_CTX *ctx;
	SSL *ssl; /* NULL: plain */
	struct buf in;
	bool open;
};

/* ---- bytes ---- */

static bool
wsock_write(struct wsock *s, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = s->ssl ? SSL_write(s->ssl, p, (int)n) : send(s->fd, p, n, MSG_NOSIGNAL);

		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

/* More bytes into s->in; false at the end, on an error or when none come. */
static bool
wsock_more(struct wsock *s)
{
	char *at = buf_room(&s->in, 16384);
	ssize_t k;

	errno = 0;
	if (at == NULL)
		return false;
	k = s->ssl ? SSL_read(s->ssl, at, 16384) : recv(s->fd, at, 16384, 0);
	if (k <= 0)
		return false;
	s->in.len += (size_t)k;
	return true;
}

/* ---- connecting ---- */

static socklen_t
wsock_address(const struct wsock_options *o, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, o->address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)o->port);
		return sizeof *v4;
	}
	inet_pton(AF_INET6, o->address, &v6->sin6_addr);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)o->port);
	return sizeof *v6;
}

static bool
wsock_connect(struct wsock *s, const struct wsock_options *o, struct wsock_report *r)
{
	struct timeval patience = { .tv_sec = o->timeout_s };
	struct sockaddr_storage a;
	socklen_t n = wsock_address(o, &a);
	double start = doctor_now();

	r->step = WSOCK_CONNECT;
	s->fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 ||
	    setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
	    setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
	    connect(s->fd, (struct sockaddr *)&a, n) != 0) {
		snprintf(r->why, sizeof r->why, "%s",
		    strerror(errno == EINPROGRESS ? ETIMEDOUT : errno));
		return false;
	}
	r->connect_ms = doctor_now() - start;
	return true;
}

/* Days until the first certificate of the chain ends. */
static void
wsock_chain(struct wsock *s, struct wsock_report *r)
{
	const STACK_OF(X509) *chain = SSL_get_peer_cert_chain(s->ssl);

	for (int i = 0; chain != NULL && i < sk_X509_num(chain); i++) {
		int days, seconds;
		double left;

		if (ASN1_TIME_diff(&days, &seconds, NULL,
		    X509_get0_notAfter(sk_X509_value(chain, i))) != 1)
			continue;
		left = days + seconds / WSOCK_DAY;
		if (!r->cert_seen || left < r->cert_days)
			r->cert_days = left;
		r->cert_seen = true;
	}
}

static bool
wsock_tls(struct wsock *s, const struct wsock_options *o, struct wsock_report *r)
{
	double start = doctor_now();
	unsigned long why;

	r->step = WSOCK_TLS;
	s->ctx = SSL_CTX_new(TLS_client_method());
	s->ssl = s->ctx ? SSL_new(s->ctx) : NULL;
	if (s->ssl == NULL) {
		snprintf(r->why, sizeof r->why, "no memory for TLS");
		return false;
	}
	SSL_set_fd(s->ssl, s->fd);
	SSL_set_tlsext_host_name(s->ssl, o->host);
	if (SSL_connect(s->ssl) != 1) {
		why = ERR_get_error();
		snprintf(r->why, sizeof r->why, "%s", why != 0 ? ERR_reason_error_string(why) :
		    "what answers does not speak TLS");
		return false;
	}
	wsock_chain(s, r);
	r->tls_ms = doctor_now() - start;
	return true;
}

/* ---- the upgrade: RFC 6455 §4.1 ---- */

static bool
wsock_ask(struct wsock *s, const struct wsock_options *o, const char *key)
{
	struct buf out = BUF_INIT(0);
	bool ok;

	buf_printf(&out, "GET /wsapi/in/ HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n",
	    o->host, key);
	if (o->origin != NULL)
		buf_printf(&out, "Origin: %s\r\n", o->origin);
	buf_z(&out, "\r\n");
	ok = wsock_write(s, out.data, out.len);
	buf_free(&out);
	return ok;
}

static size_t
wsock_head_length(const struct buf *in)
{
	const char *end = in->len > 0 ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;

	return end != NULL ? (size_t)(end - in->data) + 4 : 0;
}

/* The first line of what came, or the body of a refusal. */
static void
wsock_refused(struct wsock *s, struct wsock_report *r, size_t head)
{
	size_t from = r->status != 0 ? head : 0, n = s->in.len - from;
	const char *end = n > 0 ? memchr(s->in.data + from, '\n', n) : NULL;

	if (end != NULL)
		n = (size_t)(end - s->in.data) - from;
	snprintf(r->why, sizeof r->why, "%.*s", (int)(n > 200 ? 200 : n),
	    n > 0 ? s->in.data + from : "");
}

static bool
wsock_upgrade(struct wsock *s, const struct wsock_options *o, struct wsock_report *r)
{
	/* The key has 16 bytes; that they are always the same harms nobody here. */
	static const char key[] = "bGVjdGVybiBkb2N0b3IhIQ==";
	double start = doctor_now();
	size_t head = 0;

	r->step = WSOCK_UPGRADE;
	if (wsock_ask(s, o, key))
		while ((head = wsock_head_length(&s->in)) == 0 && s->in.len < WSOCK_HEAD_MAX &&
		    wsock_more(s))
			;
	if (s->in.len >= 12 && memcmp(s->in.data, "HTTP/1.", 7) == 0)
		r->status = (int)strtol(s->in.data + 9, NULL, 10);
	if (head == 0 || r->status != 101) {
		wsock_refused(s, r, head);
		return false;
	}
	buf_shift(&s->in, head);
	r->upgrade_ms = doctor_now() - start;
	return true;
}

struct wsock *
wsock_open(const struct wsock_options *o, struct wsock_report *r)
{
	struct wsock *s;

	MEM_NEW(s);
	s->fd = -1;
	s->in = BUF_INIT(WSOCK_TEXT_MAX);
	*r = (struct wsock_report){ .step = WSOCK_CONNECT };
	if (!wsock_connect(s, o, r) || (o->tls && !wsock_tls(s, o, r)) || !wsock_upgrade(s, o, r)) {
		wsock_close(s);
		return NULL;
	}
	s->open = true;
	r->step = WSOCK_OPEN;
	return s;
}

/* ---- messages: RFC 6455 §5 ---- */

static bool
wsock_frame(struct wsock *s, unsigned char op, struct str payload)
{
	unsigned char head[14] = { 0x80 | op }, mask[4];
	size_t n = 2;
	char *masked = mem_dup(payload.p, payload.n);
	bool ok;

	if (payload.n < 126) {
		head[1] = 0x80 | (unsigned char)payload.n;
	} else { /* nothing longer than 64 KiB is sent from here */
		head[1] = 0x80 | 126;
		head[n++] = (unsigned char)(payload.n >> 8);
		head[n++] = (unsigned char)payload.n;
	}
	crypt_random(mask, sizeof mask);
	memcpy(head + n, mask, sizeof mask);
	for (size_t i = 0; i < payload.n; i++)
		masked[i] = (char)(masked[i] ^ mask[i % 4]);
	ok = payload.n < 65536 && wsock_write(s, (char *)head, n + 4) &&
	    wsock_write(s, masked, payload.n);
	mem_free(masked);
	return ok;
}

bool
wsock_send(struct wsock *s, struct str text)
{
	return wsock_frame(s, 1, text);
}

/* The length of the whole frame at the front, 0 when it is not all there yet;
 * servers do not mask (RFC 6455 §5.1). */
static size_t
wsock_whole(const struct buf *in, size_t *head)
{
	const unsigned char *b = (const unsigned char *)in->data;
	size_t n;

	*head = 2;
	if (in->len < 4)
		return in->len >= 2 && (b[1] & 0x7f) + 2u <= in->len ? (b[1] & 0x7f) + 2u : 0;
	n = b[1] & 0x7f;
	if (n == 126) {
		n = (size_t)b[2] << 8 | b[3];
		*head = 4;
	}
	return *head + n <= in->len ? *head + n : 0;
}

bool
wsock_receive(struct wsock *s, struct buf *text, const char **why)
{
	for (;;) {
		size_t head, n = wsock_whole(&s->in, &head);
		unsigned char op = n > 0 ? s->in.data[0] & 0x0f : 0;

		if (n == 0 && !wsock_more(s)) {
			*why = errno == EAGAIN ? "no answer in time" : "the connection was closed";
			return false;
		}
		if (n == 0)
			continue;
		if (op == 1)
			buf_add(text, s->in.data + head, n - head);
		if (op == 9)
			wsock_frame(s, 10, (struct str){ s->in.data + head, n - head });
		buf_shift(&s->in, n);
		if (op == 1)
			return true;
		if (op == 8) {
			*why = "the daemon closed the connection";
			return false;
		}
	}
}

void
wsock_close(struct wsock *s)
{
	if (s == NULL)
		return;
	if (s->open)
		wsock_frame(s, 8, STR_LIT("\x03\xe8"));
	if (s->ssl != NULL && s->open)
		SSL_shutdown(s->ssl);
	SSL_free(s->ssl);
	SSL_CTX_free(s->ctx);
	if (s->fd >= 0)
		close(s->fd);
	buf_free(&s->in);
	mem_free(s);
}
