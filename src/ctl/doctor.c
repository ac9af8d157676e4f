/* SPDX-License-Identifier: MIT */
/* ctl/doctor: lecternctl doctor, which looks at a deployment from the
 * configuration to an item at a subscriber, names what is wrong and says what to
 * do. It changes nothing; only the probe, when asked for, sends one event. */
#include "ctl/doctor.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/jsonw.h"
#include "base/log.h"
#include "base/mem.h"
#include "ctl/password.h"

#define DOCTOR_PROBE_S 30

static const char *const doctor_levels[] = { "ok", "note", "wrong" };

double
doctor_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

struct doctor_check *
doctor_found(struct doctor *d, enum doctor_level level, const char *name, const char *fault,
    double ms, const char *fmt, ...)
{
	struct doctor_check *c;
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	d->checks = mem_realloc(d->checks, (d->n_checks + 1) * sizeof *d->checks);
	c = &d->checks[d->n_checks++];
	*c = (struct doctor_check){ .level = level, .name = name, .fault = fault, .ms = ms,
		.what = mem_strdup(text), .advice = BUF_INIT(0) };
	return c;
}

/* ---- printing ---- */

static void
doctor_print_advice(struct buf *out, struct str lines)
{
	while (lines.n > 0) {
		const char *end = memchr(lines.p, '\n', lines.n);
		size_t n = end != NULL ? (size_t)(end - lines.p) : lines.n;

		buf_printf(out, "%16s%.*s\n", "", (int)n, lines.p);
		n += end != NULL;
		lines = (struct str){ lines.p + n, lines.n - n };
	}
}

static void
doctor_print_people(const struct doctor *d, struct buf *out)
{
	size_t wrong = 0;

	for (size_t i = 0; i < d->n_checks; i++) {
		const struct doctor_check *c = &d->checks[i];
		char ms[24] = "";

		if (c->ms >= 0)
			snprintf(ms, sizeof ms, "%.1f ms", c->ms);
		buf_printf(out, "%-5s %-13s %9s  %s%s%s\n",
		    c->level == DOCTOR_WRONG ? "WRONG" : doctor_levels[c->level], c->name, ms,
		    c->subject ? c->subject : "", c->subject ? ": " : "", c->what);
		doctor_print_advice(out, buf_view(&c->advice));
		wrong += c->level == DOCTOR_WRONG;
	}
	if (wrong == 0)
		buf_z(out, d->probe != NULL ? "all is well\n" :
		    "all is well as far as it was looked at; --probe sends an event down the road\n");
	else
		buf_printf(out, "%zu wrong\n", wrong);
}

static void
doctor_json_advice(struct jsonw *w, struct str lines)
{
	jsonw_key(w, "advice");
	jsonw_array(w);
	while (lines.n > 0) {
		const char *end = memchr(lines.p, '\n', lines.n);
		size_t n = end != NULL ? (size_t)(end - lines.p) : lines.n;

		jsonw_str(w, (struct str){ lines.p, n });
		n += end != NULL;
		lines = (struct str){ lines.p + n, lines.n - n };
	}
	jsonw_array_end(w);
}

static void
doctor_json_check(struct jsonw *w, const struct doctor_check *c)
{
	jsonw_object(w);
	jsonw_kz(w, "check", c->name);
	jsonw_kz(w, "subject", c->subject);
	jsonw_kz(w, "level", doctor_levels[c->level]);
	jsonw_kz(w, "fault", c->fault);
	jsonw_key(w, "ms");
	if (c->ms >= 0)
		jsonw_double(w, c->ms);
	else
		jsonw_null(w);
	jsonw_kz(w, "what", c->what);
	doctor_json_advice(w, buf_view(&c->advice));
	jsonw_object_end(w);
}

static bool
doctor_is_well(const struct doctor *d)
{
	for (size_t i = 0; i < d->n_checks; i++)
		if (d->checks[i].level == DOCTOR_WRONG)
			return false;
	return true;
}

static void
doctor_print_json(const struct doctor *d, struct buf *out)
{
	struct jsonw w = jsonw_to(out);

	jsonw_object(&w);
	jsonw_kbool(&w, "ok", doctor_is_well(d));
	jsonw_key(&w, "checks");
	jsonw_array(&w);
	for (size_t i = 0; i < d->n_checks; i++)
		doctor_json_check(&w, &d->checks[i]);
	jsonw_array_end(&w);
	jsonw_object_end(&w);
	buf_byte(out, '\n');
}

static int
doctor_print(const struct doctor *d, bool json)
{
	struct buf out = BUF_INIT(0);
	int status;

	if (json)
		doctor_print_json(d, &out);
	else
		doctor_print_people(d, &out);
	status = ctl_print(buf_view(&out));
	buf_free(&out);
	if (status != EX_OK || doctor_is_well(d))
		return status;
	return d->conf == NULL ? EX_CONFIG : EX_UNAVAILABLE;
}

/* ---- the run ---- */

/* Root may read everything; what counts is what the daemon's user may. */
static void
doctor_become_daemon(struct doctor *d)
{
	const struct passwd *pw;
	struct stat st;

	if (geteuid() != 0 || stat(d->conf->state_dir, &st) != 0 || st.st_uid == 0)
		return;
	pw = getpwuid(st.st_uid);
	if (pw == NULL || initgroups(pw->pw_name, pw->pw_gid) != 0 ||
	    setgid(pw->pw_gid) != 0 || setuid(st.st_uid) != 0)
		doctor_found(d, DOCTOR_NOTE, "user", "user", -1, "looked at as root, not as the "
		    "owner of %s: %s", d->conf->state_dir, strerror(errno));
	else
		doctor_found(d, DOCTOR_OK, "user", NULL, -1, "looked at as %s, the owner of %s",
		    pw->pw_name, d->conf->state_dir);
}

static void
doctor_run(struct doctor *d)
{
	if (!doctor_conf(d))
		return;
	doctor_become_daemon(d);
	doctor_secrets(d);
	doctor_state_dir(d);
	doctor_roster(d);
	doctor_auth(d);
	doctor_redis(d);
	doctor_daemon(d);
	doctor_web(d);
	doctor_xmpp(d);
	if (d->probe != NULL)
		doctor_probe(d);
}

static void
doctor_free(struct doctor *d)
{
	for (size_t i = 0; i < d->n_checks; i++) {
		mem_free(d->checks[i].what);
		mem_free(d->checks[i].subject);
		buf_free(&d->checks[i].advice);
	}
	mem_free(d->checks);
	buf_free(&d->status);
	roster_free(d->roster);
	if (d->key != NULL)
		mem_wipe(d->key, strlen(d->key));
	mem_free(d->key);
	conf_free(d->conf);
}

static int
doctor_usage(void)
{
	fputs("usage: lecternctl doctor [-c FILE] [--json]\n"
	    "    [--probe --jid JID [--password-file FILE] [--host HOST [--port PORT]] [--ca FILE]\n"
	    "     [--student ID] [--timeout S] [--insecure-plain]]\n"
	    "--probe sends one event of a student who is in the roster for that, lectern-probe\n"
	    "unless named, and waits for its item as JID, the teacher of a class of his own.\n", stderr);
	return EX_USAGE;
}

static void
doctor_probe_options(struct doctor_probe *p, int *argc, char **argv)
{
	p->jid = ctl_option(argc, argv, "--jid");
	p->host = ctl_option(argc, argv, "--host");
	p->ca = ctl_option(argc, argv, "--ca");
	p->student = ctl_option(argc, argv, "--student");
	p->port = ctl_number(argc, argv, "--port", 65535);
	p->timeout_s = ctl_number(argc, argv, "--timeout", 3600);
	if (p->timeout_s == 0)
		p->timeout_s = DOCTOR_PROBE_S;
	p->plain = ctl_flag(argc, argv, "--insecure-plain");
}

int
ctl_doctor(int argc, char **argv)
{
	struct doctor d = { .status = BUF_INIT(0) };
	struct doctor_probe probe = { 0 };
	bool json = ctl_flag(&argc, argv, "--json"), probing = ctl_flag(&argc, argv, "--probe");
	const char *file = ctl_option(&argc, argv, "--password-file");
	int status;

	d.path = ctl_option(&argc, argv, "-c");
	if (probing)
		doctor_probe_options(&probe, &argc, argv);
	if (argc != 1 || (probing && probe.jid == NULL) || (probe.port != 0 && probe.host == NULL))
		return doctor_usage();
	if (probing && (probe.password = ctl_password(file, "LECTERN_PASSWORD", probe.jid)) == NULL)
		return EX_NOINPUT;
	d.probe = probing ? &probe : NULL;
	signal(SIGPIPE, SIG_IGN);
	log_set_level((enum log_level)-1); /* what the libraries log is said here */
	doctor_run(&d);
	status = doctor_print(&d, json);
	if (probe.password != NULL)
		mem_wipe(probe.password, strlen(probe.password));
	mem_free(probe.password);
	doctor_free(&d);
	return status;
}
