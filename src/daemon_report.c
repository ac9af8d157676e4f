/* SPDX-License-Identifier: MIT */
/* daemon_report: what the control socket answers. */
#include <unistd.h>

#include "base/mem.h"
#include "base/metric.h"
#include "daemon_priv.h"
#include "state/kvs_conf.h"

static void
daemon_report_roster(const struct daemon *d, struct jsonw *w)
{
	jsonw_key(w, "roster");
	jsonw_object(w);
	jsonw_kz(w, "backend", d->conf->roster_backend);
	jsonw_kz(w, "file", d->conf->roster_file);
	jsonw_kuint(w, "version", roster_version(d->roster));
	jsonw_kuint(w, "classes", roster_classes(d->roster));
	jsonw_kuint(w, "students", roster_students(d->roster));
	jsonw_kz(w, "copy_of", d->copy_of[0] != '\0' ? d->copy_of : NULL);
	jsonw_kz(w, "reload_error", d->reload_error);
	jsonw_object_end(w);
}

static void
daemon_report_recovered(const struct daemon *d, struct jsonw *w)
{
	jsonw_key(w, "recovered");
	jsonw_object(w);
	jsonw_kuint(w, "records", d->recovered.records);
	jsonw_kuint(w, "damaged", d->recovered.damaged);
	jsonw_kbool(w, "torn_tail", d->recovered.torn_tail);
	jsonw_object_end(w);
}

void
daemon_status(struct daemon *d, struct jsonw *w)
{
	jsonw_object(w);
	jsonw_kz(w, "version", PACKAGE_VERSION);
	jsonw_kint(w, "pid", getpid());
	jsonw_kuint(w, "uptime_s", (loop_now_ms(d->loop) - d->started_ms) / 1000);
	jsonw_kz(w, "organisation", d->conf->organisation);
	jsonw_kbool(w, "stopping", d->stopping);
	jsonw_kuint(w, "position", engine_position(d->engine));
	jsonw_key(w, "journal");
	journal_status(d->journal, w);
	jsonw_key(w, "snapshot");
	checkpoint_status(d->checkpoint, w);
	jsonw_key(w, "states");
	keep_status(d->keep, w);
	daemon_report_recovered(d, w);
	daemon_report_roster(d, w);
	jsonw_key(w, "kvs");
	kvs_conf_status(d->conf, d->states, w);
	jsonw_key(w, "audit");
	audit_status(d->audit, w);
	jsonw_key(w, "xmpp");
	if (d->xmpp != NULL)
		xmpp_status(d->xmpp, w);
	else
		jsonw_null(w);
	jsonw_key(w, "pubsub");
	daemon_pubsub_status(d, w);
	jsonw_key(w, "producers");
	producers_status(d->producers, d->engine, w);
	jsonw_key(w, "web");
	web_status(d->web, w);
	jsonw_key(w, "metrics");
	metric_write(w);
	jsonw_object_end(w);
}

void
daemon_digest(struct daemon *d, struct jsonw *w)
{
	char digest[65];

	engine_digest(d->engine, digest);
	jsonw_object(w);
	jsonw_kuint(w, "position", engine_position(d->engine));
	jsonw_kz(w, "digest", digest);
	jsonw_object_end(w);
}

void
daemon_write_state(struct buf *out, const struct state *s, struct str json)
{
	struct jsonw w = jsonw_to(out);

	jsonw_object(&w);
	jsonw_kz(&w, "key", s->key);
	jsonw_kuint(&w, "seq", s->seq);
	jsonw_key(&w, "value");
	jsonw_raw(&w, json);
	jsonw_object_end(&w);
	buf_byte(out, '\n');
}

static void
daemon_states_cb(void *arg, const struct state *s, struct str json)
{
	daemon_write_state(arg, s, json);
}

void
daemon_write_states(struct engine *e, struct buf *out)
{
	engine_each(e, daemon_states_cb, out);
}

/* ---- the control socket ---- */

static void
daemon_ask_status(void *arg, struct buf *out)
{
	struct jsonw w = jsonw_to(out);

	daemon_status(arg, &w);
}

static void
daemon_reloaded_cb(void *arg, const char *why)
{
	struct buf out = BUF_INIT(0);
	struct jsonw w = jsonw_to(&out);

	jsonw_object(&w);
	jsonw_kbool(&w, "ok", why == NULL);
	if (why != NULL)
		jsonw_kz(&w, "error", why);
	jsonw_object_end(&w);
	control_reply(arg, buf_view(&out));
	buf_free(&out);
}

static void
daemon_ask_reload(void *arg, struct control_peer *peer)
{
	daemon_reload(arg, daemon_reloaded_cb, peer);
}

const struct control_request daemon_requests[] = {
	{ "status", daemon_ask_status, NULL },
	{ "reload", NULL, daemon_ask_reload },
	{ "digest", NULL, daemon_ask_digest },
	{ "states", NULL, daemon_ask_states },
	{ NULL, NULL, NULL },
};
