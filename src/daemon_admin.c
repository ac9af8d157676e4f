/* SPDX-License-Identifier: MIT */
/* daemon_admin: what the admins of the configuration may ask through a door.
 * Nothing of a student is in any answer. */
#include "base/jid.h"
#include "base/mem.h"
#include "base/metric.h"
#include "daemon_priv.h"

static bool
admin_is(void *arg, struct str jid)
{
	const struct daemon *d = arg;
	struct buf one = BUF_INIT(0);
	bool is = false;

	for (size_t i = 0; i < d->conf->xmpp_admins.n && !is; i++) {
		buf_clear(&one);
		is = jid_bare(str_of(d->conf->xmpp_admins.v[i]), &one) && str_eq(buf_view(&one), jid);
	}
	buf_free(&one);
	return is;
}

static void
admin_status(void *arg, struct jsonw *w)
{
	struct daemon *d = arg;

	jsonw_object(w);
	jsonw_kz(w, "version", PACKAGE_VERSION);
	jsonw_kuint(w, "uptime_s", (loop_now_ms(d->loop) - d->started_ms) / 1000);
	jsonw_kuint(w, "position", engine_position(d->engine));
	jsonw_kuint(w, "roster_version", roster_version(d->roster));
	jsonw_kuint(w, "classes", roster_classes(d->roster));
	jsonw_kuint(w, "students", roster_students(d->roster));
	jsonw_kz(w, "reload_error", d->reload_error != NULL ? d->reload_error : "");
	jsonw_kuint(w, "connections", metric_value[METRIC_CONNECTIONS]);
	jsonw_kuint(w, "events_accepted", metric_value[METRIC_EVENTS]);
	jsonw_kuint(w, "journal_commit_failures", metric_value[METRIC_COMMIT_FAILURES]);
	jsonw_kuint(w, "subscriptions", metric_value[METRIC_SUBSCRIPTIONS]);
	jsonw_kuint(w, "items_sent", metric_value[METRIC_ITEMS_SENT]);
	jsonw_kuint(w, "access_refused", metric_value[METRIC_ACCESS_REFUSED]);
	jsonw_kuint(w, "audit_lost", metric_value[METRIC_AUDIT_LOST]);
	jsonw_object_end(w);
}

static void
admin_components(void *arg, struct jsonw *w)
{
	struct daemon *d = arg;

	jsonw_object(w);
	jsonw_key(w, "components");
	xmpp_status(d->xmpp, w);
	jsonw_object_end(w);
}

static void
admin_reload(void *arg, void (*done)(void *done_arg, const char *why), void *done_arg)
{
	daemon_reload(arg, done, done_arg);
}

const struct service_admin *
daemon_admin(struct daemon *d)
{
	d->admin = (struct service_admin){ d, admin_is, admin_status, admin_components,
		admin_reload };
	return &d->admin;
}
