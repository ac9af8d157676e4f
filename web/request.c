/* SPDX-License-Identifier: MIT */
/* request: one HTTP request on a connection: who asks, may they, which route,
 * and its body. Every connection carries one request and ends with its answer, or
 * becomes a socket. */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "web/web_priv.h"

#define REQUEST_SLICE ((size_t)256 << 10) /* of a large answer, at a time */
#define REQUEST_ANSWERS_MAX ((size_t)256 << 20) /* bytes of all answers under way */

static void
request_free(struct request *r)
{
	if (r->signin != NULL)
		signin_forget(r->signin);
	peer_leave(r->web->peers, r->peer);
	r->web->answering -= r->answer.len;
	buf_free(&r->answer);
	mem_free(r);
}

/* ---- answers ---- */

void
request_answer(struct request *r, const char *type, const char *fields, struct str body)
{
	http_answer(conn_out(r->conn), 200, type, fields, body);
	conn_finish(r->conn);
}

/* The next slice, when the one before has left. */
static void
request_more(struct request *r)
{
	size_t n = r->answer.len - r->answered;

	if (n > REQUEST_SLICE)
		n = REQUEST_SLICE;
	buf_add(conn_out(r->conn), r->answer.data + r->answered, n);
	r->answered += n;
	if (r->answered == r->answer.len)
		conn_finish(r->conn);
	else
		conn_push(r->conn);
}

void
request_answer_json(struct request *r, struct buf *json)
{
	if (json->failed) {
		buf_free(json);
		request_refuse(r, 503, "The answer is too large.");
		return;
	}
	if (r->web->answering + json->len > REQUEST_ANSWERS_MAX) {
		buf_free(json);
		request_refuse(r, 503, "Too much is being answered; try again later.");
		return;
	}
	buf_byte(json, '\n');
	r->web->answering += json->len;
	r->answer = *json;
	*json = BUF_INIT(0);
	http_answer_head(conn_out(r->conn), 200, "application/json", "", r->answer.len);
	request_more(r);
}

void
request_refuse(struct request *r, int status, const char *why)
{
	char fields[64] = "";

	if (status == 405)
		snprintf(fields, sizeof fields, "Allow: %s\r\n", r->route->methods);
	r->web->refused[http_status_index(status)]++;
	metric_add(METRIC_REFUSED, 1);
	/* nothing of the request itself: its address may hold a token */
	log_info("request refused peer=%s status=%d why=%s", r->peer->address, status, why);
	if (r->whole && !r->taken && str_is(http_str(&r->head, r->head.method), "HEAD"))
		http_answer_head(conn_out(r->conn), status, "text/plain; charset=utf-8", fields,
		    strlen(why) + 1); /* RFC 9110 §9.3.2: what GET would get, without it */
	else
		http_refuse(conn_out(r->conn), status, fields, why);
	conn_finish(r->conn);
}

void
request_become(struct request *r)
{
	r->peer = NULL;
	request_free(r);
}

/* ---- who asks ---- */

static bool
request_proxy_says_https(const struct request *r)
{
	struct str proto;

	return http_get(&r->head, "X-Forwarded-Proto", &proto) && str_is(proto, "https");
}

bool
request_is_https(const struct request *r)
{
	return server_has_tls(r->web->server) || (r->proxied && request_proxy_says_https(r));
}

/* Of our own pages. */
static const char *
request_scheme(const struct request *r)
{
	return request_is_https(r) ? "https://" : "http://";
}

/* A connection of this machine may carry another's request: a proxy that nobody
 * named leaves its marks. */
static bool
request_is_forwarded(const struct request *r)
{
	static const char *const marks[] = { "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host",
		"X-Forwarded-Proto", "X-Real-IP" };

	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		if (http_count(&r->head, marks[i]) > 0)
			return true;
	return false;
}

bool
request_is_private(const struct request *r)
{
	return request_is_https(r) || (!r->proxied && r->local && !request_is_forwarded(r));
}

bool
request_origin_known(const struct request *r)
{
	return handshake_origin_known(&r->head, r->web->conf, request_scheme(r));
}

/* X-Real-IP counts when a trusted proxy says it: then the client, not the
 * proxy, is who is counted. */
static void
request_real_peer(struct request *r)
{
	struct web *w = r->web;
	char address[INET6_ADDRSTRLEN];
	struct peer *proxy = r->peer;
	struct str ip;

	r->local = peer_is_loopback(proxy->address);
	r->proxied = peer_is_proxy(w->conf, proxy->address);
	if (!r->proxied || !http_get(&r->head, "X-Real-IP", &ip) || !peer_canonical(ip, address))
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

bool
request_cookie(const struct request *r, struct str *token)
{
	return http_cookie(&r->head, login_cookie(request_is_https(r)), token);
}

static void
request_find_login(struct request *r)
{
	struct str token;

	if (request_cookie(r, &token))
		r->login = login_find(r->web->logins, token);
}

/* ---- routes ---- */

static void
request_health(struct request *r, struct str body)
{
	(void)body;
	request_answer(r, "application/json", "", STR_LIT("{\"status\":\"ok\"}\n"));
}

static void
request_events(struct request *r, struct str body)
{
	(void)body;
	events_open(r);
}

static void
request_feed(struct request *r, struct str body)
{
	(void)body;
	feed_open(r);
}

const struct route routes[] = {
	{ .path = "/health", .methods = "GET", .take = request_health },
	{ .path = "/wsapi/in", .methods = "GET", .socket = true, .take = request_events },
	{ .path = "/wsapi/in/", .methods = "GET", .socket = true, .take = request_events },
	{ .path = "/wsapi/feed", .methods = "GET", .socket = true, .signed_in = true,
	    .take = request_feed },
	{ .path = "/wsapi/feed/", .methods = "GET", .socket = true, .signed_in = true,
	    .take = request_feed },
	{ .path = "/config.json", .methods = "GET", .take = signin_config },
	{ .path = "/auth/userinfo", .methods = "GET", .take = signin_userinfo },
	{ .path = "/auth/login/password", .methods = "POST", .take = signin_password },
	{ .path = "/auth/logout", .methods = "GET, POST", .take = signin_logout },
	{ .path = "/auth/default-avatar.svg", .methods = "GET", .take = signin_avatar },
	{ .path = "/webapi/courselist", .methods = "GET", .signed_in = true, .take = courses_list },
	{ .path = "/webapi/courselist/", .methods = "GET", .signed_in = true, .take = courses_list },
	{ .path = "/webapi/courseroster/", .methods = "GET", .signed_in = true, .prefix = true,
	    .take = courses_roster },
	{ .path = "/webapi/course_dashboards", .methods = "GET", .signed_in = true,
	    .take = courses_dashboards },
	{ .path = "/webapi/student_dashboards", .methods = "GET", .signed_in = true,
	    .take = courses_student_dashboards },
};
const size_t n_routes = sizeof routes / sizeof *routes;

static bool
request_route(struct request *r)
{
	struct str path = http_str(&r->head, r->head.path);

	for (size_t i = 0; r->route == NULL && i < n_routes; i++) {
		size_t n = strlen(routes[i].path);

		if (str_starts(path, routes[i].path) && (path.n == n || routes[i].prefix)) {
			r->route = &routes[i];
			r->rest = (struct str){ path.p + n, path.n - n };
		}
	}
	return r->route != NULL;
}

/* One of "GET, POST". */
static bool
request_method_known(const struct request *r)
{
	struct str method = http_str(&r->head, r->head.method);
	const char *at = r->route->methods;

	for (;; at += strcspn(at, " ") + 1) {
		size_t n = strcspn(at, ",");

		if (str_eq(method, (struct str){ at, n }))
			return true;
		if (at[n] == '\0')
			return false;
	}
}

/* ---- deciding ---- */

/* What decides here and could be read in two ways: a proxy may have put its own word
 * behind the client's. */
static bool
request_is_clear(const struct request *r)
{
	static const char *const names[] = { "Content-Type", "Origin", "Sec-Fetch-Site",
		"X-Forwarded-Proto", "X-Real-IP" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (http_count(&r->head, names[i]) > 1)
			return false;
	return true;
}

/* A body is one of a known length (RFC 9112 §6.2) that fits. */
static int
request_body(struct request *r, const char **why)
{
	struct str length;

	*why = "The body must come with a Content-Length.";
	if (http_count(&r->head, "Transfer-Encoding") > 0)
		return 411;
	if (!http_get(&r->head, "Content-Length", &length))
		return str_is(http_str(&r->head, r->head.method), "POST") ? 411 : 200;
	*why = "The body is too large.";
	for (size_t i = 0; i < length.n && r->body <= REQUEST_BODY_MAX; i++)
		r->body = r->body * 10 + (size_t)(length.p[i] - '0');
	return r->body > REQUEST_BODY_MAX ? 413 : 200;
}

/* 200 when the route may have it. */
static int
request_decide(struct request *r, const char **why)
{
	int status;

	*why = "A header that may stand once stands twice.";
	if (!request_is_clear(r))
		return 400;
	request_real_peer(r);
	*why = "This server does not answer for that host.";
	if (!handshake_host_known(&r->head, r->web->conf))
		return 421;
	*why = "This server is restarting.";
	if (r->web->draining)
		return 503;
	*why = "There are too many connections from this address.";
	if (request_too_many(r))
		return 429;
	*why = "There is nothing at this address.";
	if (!request_route(r))
		return 404;
	*why = "This method is not allowed here.";
	if (!request_method_known(r))
		return 405;
	if (r->route->socket) {
		status = handshake_check(&r->head, r->web->conf,
		    r->route->signed_in ? request_scheme(r) : NULL, why);
		return status == 101 ? 200 : status;
	}
	return request_body(r, why);
}

/* The session is looked for when the route is called, not before: it may end while
 * a body is on its way. */
static void
request_take(struct request *r, struct str body)
{
	r->taken = true;
	conn_deadline(r->conn, 0);
	request_find_login(r);
	if (r->route->signed_in && r->login == NULL)
		request_refuse(r, 401, "Sign in first.");
	else if (r->route->signed_in && !login_may_ask(r->login, 1))
		request_refuse(r, 429, "Too many requests; try again in a minute.");
	else
		r->route->take(r, body);
}

/* ---- for the connection ---- */

/* True when the head is there and the request was not refused. */
static bool
request_head(struct request *r, char *p, size_t n)
{
	const char *why = "";
	int status;

	if (r->whole) {
		r->head.p = p;
		return true;
	}
	switch (http_read(&r->head, p, n)) {
	case HTTP_MORE:
		return false;
	case HTTP_BAD:
		request_refuse(r, r->head.status, r->head.why);
		return false;
	case HTTP_DONE:
		break;
	}
	r->whole = true;
	status = request_decide(r, &why);
	if (status != 200)
		request_refuse(r, status, why);
	return status == 200;
}

static size_t
request_data(struct conn *c, void *user, char *p, size_t n)
{
	struct request *r = user;
	size_t head;

	if (r->taken)
		return n;
	if (!request_head(r, p, n) || n < r->head.at + r->body)
		return conn_finishing(c) ? n : 0;
	head = r->head.at + r->body;
	if (r->rest.n > 0) /* the bytes may have moved */
		r->rest.p = http_str(&r->head, r->head.path).p + r->head.path.n - r->rest.n;
	request_take(r, (struct str){ p + r->head.at, r->body });
	return head;
}

/* Who said nothing at all is not answered either. */
static void
request_late(struct conn *c, void *user)
{
	struct request *r = user;

	if (r->head.at == 0)
		conn_kill(c);
	else
		request_refuse(r, 408, "The request did not arrive in time.");
}

/* Who does not read the answer does not get it. */
static void
request_stuck(struct conn *c, void *user)
{
	(void)user;
	conn_kill(c);
}

static void
request_drained(struct conn *c, void *user)
{
	struct request *r = user;

	(void)c;
	if (r->answer.len > r->answered)
		request_more(r);
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
	.drained = request_drained,
	.gone = request_gone,
};

void
request_open(struct web *w, int fd, struct peer *peer)
{
	struct request *r;

	MEM_NEW(r);
	r->web = w;
	r->peer = peer;
	r->conn = server_adopt(w->server, fd, &request_handler, r);
	if (r->conn == NULL)
		request_free(r);
	else
		conn_deadline(r->conn, (uint64_t)w->conf->handshake_timeout * 1000);
}
