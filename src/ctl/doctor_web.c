/* SPDX-License-Identifier: MIT */
/* ctl/doctor_web: whether the web door answers as a browser needs it. Opens one
 * WebSocket and closes it again; no event is sent. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/doctor.h"
#include "ctl/doctor_web.h"

#define DOCTOR_WEB_S 10          /* longest wait for each step */
#define DOCTOR_CERT_DAYS_MIN 14  /* fewer are told */

void
doctor_web_options(const struct conf *c, char host[DOCTOR_HOST_MAX], struct wsock_options *o)
{
	bool v6 = strchr(c->address, ':') != NULL;

	*o = (struct wsock_options){ .address = c->address, .port = (int)c->port,
		.tls = c->tls_certificate != NULL, .host = host, .timeout_s = DOCTOR_WEB_S };
	if (strcmp(c->address, "0.0.0.0") == 0)
		o->address = "127.0.0.1";
	else if (strcmp(c->address, "::") == 0)
		o->address = "::1";
	if (c->hosts.n > 0)
		snprintf(host, DOCTOR_HOST_MAX, "%s", c->hosts.v[0]);
	else
		snprintf(host, DOCTOR_HOST_MAX, v6 ? "[%s]:%d" : "%s:%d", o->address, o->port);
	o->origin = c->origins.n > 0 ? c->origins.v[0] : NULL;
}

static void
doctor_web_closed(struct doctor *d, const struct wsock_options *o, const struct wsock_report *r)
{
	if (d->daemon == DAEMON_DOWN)
		doctor_found(d, DOCTOR_NOTE, "web", "port_closed", -1, "%s port %d: %s, since "
		    "lecternd does not run", o->address, o->port, r->why);
	else
		doctor_found(d, DOCTOR_WRONG, "web", "port_closed", -1, "%s port %d: %s, although "
		    "lecternd runs; was listen.address or port changed without a restart?",
		    o->address, o->port, r->why);
}

static void
doctor_web_foreign(struct doctor *d, const struct wsock_options *o, const struct wsock_report *r)
{
	struct doctor_check *c = doctor_found(d, DOCTOR_WRONG, "web", "port_taken", -1,
	    "what answers on %s port %d is not lecternd: \"%s\"", o->address, o->port, r->why);

	buf_printf(&c->advice, "find it with: ss -ltnp 'sport = :%d'; stop it, or give listen.port "
	    "another number\n", o->port);
}

static void
doctor_web_refused(struct doctor *d, const struct wsock_options *o, const struct wsock_report *r)
{
	struct doctor_check *c = doctor_found(d, DOCTOR_WRONG, "web", "web_refused", -1,
	    "the web door refuses a WebSocket with Host %s and %s%s: %d %s", o->host,
	    o->origin ? "Origin " : "no Origin", o->origin ? o->origin : "", r->status, r->why);

	if (o->origin == NULL)
		buf_z(&c->advice, "no browser can connect: set listen { origins = { "
		    "\"https://...\" } } to the pages' origins\n");
}

static void
doctor_web_certificate(struct doctor *d, const struct wsock_report *r)
{
	const char *file = d->conf->tls_certificate;

	if (!r->cert_seen)
		return;
	if (r->cert_days < 0)
		doctor_found(d, DOCTOR_WRONG, "certificate", "certificate_expired", -1, "%s ended "
		    "%.1f days ago: browsers refuse it; renew it, then lecternctl reload", file,
		    -r->cert_days);
	else if (r->cert_days < DOCTOR_CERT_DAYS_MIN)
		doctor_found(d, DOCTOR_NOTE, "certificate", "certificate_ends", -1, "%s ends in %.1f "
		    "days; renew it, then lecternctl reload", file, r->cert_days);
	else
		doctor_found(d, DOCTOR_OK, "certificate", NULL, -1, "good for %.0f days", r->cert_days);
}

static void
doctor_web_tell(struct doctor *d, const struct wsock_options *o, const struct wsock_report *r)
{
	if (r->step == WSOCK_CONNECT)
		doctor_web_closed(d, o, r);
	else if (r->step == WSOCK_OPEN && d->daemon == DAEMON_DOWN)
		doctor_found(d, DOCTOR_WRONG, "web", "port_taken", -1, "%s port %d answers although "
		    "no lecternd of this configuration runs: another one has the port", o->address,
		    o->port);
	else if (r->step == WSOCK_OPEN)
		doctor_found(d, DOCTOR_OK, "web", NULL, r->connect_ms + r->tls_ms + r->upgrade_ms,
		    "%s port %d: WebSocket open (connect %.1f, TLS %.1f, upgrade %.1f ms)%s",
		    o->address, o->port, r->connect_ms, r->tls_ms, r->upgrade_ms,
		    o->origin == NULL ? "; no origin is allowed, so no browser can connect" : "");
	else if (r->step == WSOCK_TLS || r->status == 0 || r->status == 404 || d->daemon == DAEMON_DOWN)
		doctor_web_foreign(d, o, r);
	else
		doctor_web_refused(d, o, r);
}

void
doctor_web(struct doctor *d)
{
	struct wsock_options o;
	struct wsock_report r;
	char host[DOCTOR_HOST_MAX];

	doctor_web_options(d->conf, host, &o);
	wsock_close(wsock_open(&o, &r));
	doctor_web_tell(d, &o, &r);
	doctor_web_certificate(d, &r);
}
