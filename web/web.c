/* SPDX-License-Identifier: MIT */
/* web: what the daemon sees of the door: start, reload, drain, stop, status. */
#include "web/web.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "web/web_priv.h"

/* Wrong passwords: of one user so many at once and then one in so many
 * milliseconds; of one network, which may be a whole school, more. */
#define WEB_USER_TRIES 10
#define WEB_USER_TRY_MS 30000
#define WEB_NETWORK_TRIES 100
#define WEB_NETWORK_TRY_MS 3000

#define WEB_OTHER_FILES 128 /* descriptors for all but client connections */

/* ---- start ---- */

/* Who is above a limit may stay a moment to be told so, but not any number. */
static bool
web_is_full(const struct web *w, const struct peer *p)
{
	size_t max = (size_t)w->conf->max_connections_per_address;

	return server_connections(w->server) >= (size_t)w->conf->max_connections + WEB_SPARE ||
	    (max > 0 && p->n > max + WEB_SPARE && !peer_is_proxy(w->conf, p->address));
}

static void
web_accept_cb(void *arg, int fd, const struct sockaddr *sa)
{
	char address[INET6_ADDRSTRLEN];
	struct web *w = arg;
	struct peer *p;

	if (w->server == NULL || !peer_of_socket(sa, address)) {
		close(fd);
		return;
	}
	p = peer_join(w->peers, address);
	if (!web_is_full(w, p)) {
		request_open(w, fd, p);
		return;
	}
	metric_add(METRIC_REFUSED, 1);
	log_info("connection refused peer=%s why=too many connections", address);
	peer_leave(w->peers, p);
	close(fd);
}

/* As many descriptors as connections are allowed; libwebsockets makes its
 * tables as long as the limit it finds, so more would only cost memory. */
static void
web_files(const struct conf *conf)
{
	rlim_t need = (rlim_t)conf->max_connections + WEB_SPARE + WEB_OTHER_FILES;
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
		return;
	if (rl.rlim_max < need)
		log_warning("only %ju files may be open, max_connections=%ld needs %ju: "
		    "raise LimitNOFILE", (uintmax_t)rl.rlim_max, conf->max_connections,
		    (uintmax_t)need);
	rl.rlim_cur = need < rl.rlim_max ? need : rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) != 0)
		log_warning("setrlimit failed why=%s", strerror(errno));
}

static bool
web_has_tls(const struct conf *conf)
{
	return conf->tls_certificate != NULL && conf->tls_certificate[0] != '\0';
}

static void
web_signin(struct web *w)
{
	TAILQ_INIT(&w->signins);
	w->logins = logins_new(w->loop, w->conf);
	logins_check(w->logins, w->auth);
	w->user_tries = throttle_new(WEB_USER_TRIES, WEB_USER_TRY_MS);
	w->network_tries = throttle_new(WEB_NETWORK_TRIES, WEB_NETWORK_TRY_MS);
	w->doc = json_doc_new();
}

struct web *
web_new(const struct web_options *o, char **why)
{
	const struct conf *conf = o->conf;
	bool tls = web_has_tls(conf);
	struct web *w;

	MEM_NEW(w);
	w->loop = o->loop;
	w->conf = conf;
	w->ingest = o->ingest;
	w->hub = o->hub;
	w->auth = o->auth;
	w->audit = o->audit;
	w->peers = peers_new();
	web_signin(w);
	w->address = mem_strdup(conf->address);
	w->port = conf->port;
	web_files(conf);
	/* First: to take libwebsockets apart again the loop runs, and the others' parts with it. */
	w->listener = listener_new(w->loop, conf->address, conf->port, web_accept_cb, w, why);
	if (w->listener != NULL)
		w->server = server_new(w->loop, tls ? conf->tls_certificate : NULL,
		    tls ? conf->tls_key : NULL, why);
	if (w->server == NULL) {
		web_free(w);
		return NULL;
	}
	log_notice("listening address=%s port=%ld tls=%s", conf->address, conf->port,
	    tls ? "yes" : "no");
	return w;
}

/* ---- life ---- */

bool
web_reconf(struct web *w, const struct conf *conf, char **why)
{
	if (server_has_tls(w->server) && web_has_tls(conf) &&
	    !server_reload_tls(w->server, conf->tls_certificate, conf->tls_key, why))
		return false;
	w->conf = conf;
	logins_reconf(w->logins, conf);
	return true;
}

void
web_auth(struct web *w, struct auth *auth)
{
	signin_give_up(w);
	w->auth = auth;
	logins_check(w->logins, auth);
}

static void
web_drain_cb(void *arg, struct conn *c)
{
	(void)arg;
	if (conn_handler(c) == &socket_handler)
		socket_drain(conn_user(c));
}

void
web_drain(struct web *w)
{
	w->draining = true;
	server_each(w->server, web_drain_cb, NULL);
}

struct web_close {
	int code;
	const char *reason;
};

static void
web_close_cb(void *arg, struct conn *c)
{
	const struct web_close *how = arg;

	if (conn_handler(c) == &socket_handler)
		socket_close(conn_user(c), how->code, how->reason);
	else if (!conn_finishing(c))
		conn_kill(c);
}

void
web_close_all(struct web *w, int code, const char *reason)
{
	struct web_close how = { code, reason };

	w->draining = true;
	listener_free(w->listener);
	w->listener = NULL;
	server_each(w->server, web_close_cb, &how);
}

size_t
web_connections(const struct web *w)
{
	return server_connections(w->server);
}

void
web_free(struct web *w)
{
	if (w == NULL)
		return;
	listener_free(w->listener);
	server_free(w->server);
	logins_free(w->logins);
	throttle_free(w->user_tries);
	throttle_free(w->network_tries);
	json_doc_free(w->doc);
	peers_free(w->peers);
	mem_free(w->address);
	mem_free(w);
}

/* ---- status ---- */

static void
web_status_refused(const struct web *w, struct jsonw *out)
{
	char status[16];

	jsonw_key(out, "refused");
	jsonw_object(out);
	for (size_t i = 0; i < HTTP_STATUSES; i++) {
		snprintf(status, sizeof status, "%d", http_status_at(i));
		if (w->refused[i] > 0)
			jsonw_kuint(out, status, w->refused[i]);
	}
	jsonw_object_end(out);
}

static void
web_status_closed(const struct web *w, struct jsonw *out)
{
	char code[16];

	jsonw_key(out, "closed");
	jsonw_object(out);
	for (int i = 0; i < (int)(sizeof w->closed / sizeof *w->closed); i++) {
		snprintf(code, sizeof code, "%d", 1000 + i);
		if (w->closed[i] > 0)
			jsonw_kuint(out, code, w->closed[i]);
	}
	jsonw_object_end(out);
}

void
web_status(struct web *w, struct jsonw *out)
{
	jsonw_object(out);
	jsonw_kz(out, "address", w->address);
	jsonw_kint(out, "port", w->port);
	jsonw_kbool(out, "tls", server_has_tls(w->server));
	jsonw_kbool(out, "draining", w->draining);
	jsonw_kuint(out, "connections", server_connections(w->server));
	jsonw_kuint(out, "event_sockets", w->event_sockets);
	jsonw_kuint(out, "feed_sockets", w->feed_sockets);
	jsonw_kuint(out, "sessions", logins_count(w->logins));
	jsonw_kuint(out, "addresses", peers_count(w->peers));
	web_status_refused(w, out);
	web_status_closed(w, out);
	jsonw_object_end(out);
}
