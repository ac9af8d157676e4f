/* SPDX-License-Identifier: MIT */
/* request: one HTTP request on a connection: who asks, may they, which route.
 * Every connection carries one request and ends with its answer, or becomes an
 * event socket. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "web/web_priv.h"

struct request {
	struct web *web;
	struct peer *peer; /* counted; the event socket takes it over */
	struct http_head head;
};

static void
request_free(struct request *r)
{
	peer_leave(r->web->peers, r->peer);
	mem_free(r);
}

static void
request_refuse(struct request *r, struct conn *c, int status, const char *why)
{
	r->web->refused[http_status_index(status)]++;
	metric_add(METRIC_REFUSED, 1);
	/* nothing of the request itself: its address may hold a token */
	log_info("request refused peer=%s status=%d why=%s", r->peer->address, status, why);
	http_refuse(conn_out(c), status, why);
	conn_finish(c);
}

/* ---- routes ---- */

static void
request_events(struct request *r, struct conn *c)
{
	struct web *w = r->web;
	const char *why = "";
	int status = handshake_check(&r->head, w->conf, &why);

	if (status != 101) {
		request_refuse(r, c, status, why);
	} else if (w->event_sockets >= (size_t)w->conf->max_connections) {
		request_refuse(r, c, 503, "There are too many connections; try again later.");
	} else {
		events_open(w, c, &r->head, r->peer);
		r->peer = NULL;
		request_free(r);
	}
}

static void
request_health(struct request *r, struct conn *c)
{
	if (!str_is(http_str(&r->head, r->head.method), "GET")) {
		request_refuse(r, c, 405, "Only GET is allowed here.");
		return;
	}
	http_answer(conn_out(c), 200, "application/json", STR_LIT("{\"status\":\"ok\"}\n"));
	conn_finish(c);
}

static const struct request_route {
	const char *path;
	void (*take)(struct request *r, struct conn *c);
} request_routes[] = {
	{ "/wsapi/in/", request_events },
	{ "/wsapi/in", request_events },
	{ "/health", request_health },
};

/* ---- deciding ---- */

/* X-Real-IP counts when a trusted proxy says it: then the client, not the
 * proxy, is who is counted. */
static void
request_real_peer(struct request *r)
{
	struct web *w = r->web;
	char address[INET6_ADDRSTRLEN];
	struct peer *proxy = r->peer;
	struct str ip;

	if (!peer_is_proxy(w->conf, proxy->address) ||
	    !http_get(&r->head, "X-Real-IP", &ip) || !peer_canonical(ip, address))
		return;
	r->peer = peer_join(w->peers, address);
	peer_leave(w->peers, proxy);
}

static bool
request_too_many(const struct request *r)
{
	size_t max = (size_t)r->web->conf->max_connections_per_address;

	return max > 0 && r->peer->n > max && !peer_is_proxy(r->web->conf, r->peer->address);
}

static void
request_route(struct request *r, struct conn *c)
{
	struct str path = http_str(&r->head, r->head.path);

	for (size_t i = 0; i < sizeof request_routes / sizeof *request_routes; i++) {
		if (str_is(path, request_routes[i].path)) {
			request_routes[i].take(r, c);
			return;
		}
	}
	request_refuse(r, c, 404, "There is nothing at this address.");
}

static void
request_decide(struct request *r, struct conn *c)
{
	request_real_peer(r);
	if (!handshake_host_known(&r->head, r->web->conf))
		request_refuse(r, c, 421, "This server does not answer for that host.");
	else if (r->web->draining)
		request_refuse(r, c, 503, "This server is restarting.");
	else if (request_too_many(r))
		request_refuse(r, c, 429, "There are too many connections from this address.");
	else
		request_route(r, c);
}

/* ---- for the connection ---- */

static size_t
request_data(struct conn *c, void *user, char *p, size_t n)
{
	struct request *r = user;
	size_t used = 0;

	switch (http_read(&r->head, p, n)) {
	case HTTP_MORE:
		break;
	case HTTP_DONE:
		used = r->head.at;
		request_decide(r, c);
		break;
	case HTTP_BAD:
		used = n;
		request_refuse(r, c, r->head.status, r->head.why);
		break;
	}
	return used;
}

/* Who said nothing at all is not answered either. */
static void
request_late(struct conn *c, void *user)
{
	struct request *r = user;

	if (r->head.at == 0)
		conn_kill(c);
	else
		request_refuse(r, c, 408, "The request did not arrive in time.");
}

/* Answers are far smaller than any socket's buffer. */
static void
request_stuck(struct conn *c, void *user)
{
	(void)user;
	conn_kill(c);
}

static void
request_gone(struct conn *c, void *user)
{
	(void)c;
	request_free(user);
}

static const struct conn_handler request_handler = {
	.data = request_data,
	.late = request_late,
	.stuck = request_stuck,
	.gone = request_gone,
};

void
request_open(struct web *w, int fd, struct peer *peer)
{
	struct request *r;
	struct conn *c;

	MEM_NEW(r);
	r->web = w;
	r->peer = peer;
	c = server_adopt(w->server, fd, &request_handler, r);
	if (c == NULL)
		request_free(r);
	else
		conn_deadline(c, (uint64_t)w->conf->handshake_timeout * 1000);
}
