/* SPDX-License-Identifier: MIT */
/* daemon_reload: a new configuration and roster in place of the old ones. */
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon_priv.h"
#include "state/roster_copy.h"

bool
daemon_auth_open(struct daemon *d, const struct conf *c, struct auth **out, char **why)
{
	struct auth_options o = { .loop = d->loop, .conf = c };

	*out = c->auth_backends.n > 0 ? auth_open(&o, why) : NULL;
	return *out != NULL || c->auth_backends.n == 0;
}

/* Sessions are asked about anew: a password may have changed. */
static void
daemon_swap_auth(struct daemon *d, struct auth *auth)
{
	struct auth *old = d->auth;

	d->auth = auth;
	web_auth(d->web, auth);
	auth_close(old);
}

static void
daemon_old_roster_cb(void *arg)
{
	roster_free(arg);
}

static void
daemon_old_gone_cb(void *arg)
{
	(void)arg;
}

/* A whole export of the wrong year is a right roster. */
static void
daemon_say_fewer(const struct roster *old, const struct roster *roster)
{
	if (roster_students(roster) < roster_students(old) / 2)
		log_warning("roster: students before %zu, now %zu; is the source whole?",
		    roster_students(old), roster_students(roster));
}

/* The old one is freed in the pool: of a large one that takes as long as half of
 * its load. */
static void
daemon_swap_roster(struct daemon *d, struct roster *roster)
{
	struct roster *old = d->roster;

	daemon_say_fewer(old, roster);
	d->roster = roster;
	d->copy_of[0] = '\0';
	d->tries = 0;
	loop_timer_stop(d->again);
	ingest_reconf(d->ingest, d->conf, d->rules, roster);
	hub_set_roster(d->hub, roster);
	loop_pool(d->loop, daemon_old_roster_cb, daemon_old_gone_cb, old);
	daemon_roster_say(d);
}

static void
daemon_swap(struct daemon *d, struct conf *conf, struct roster *roster, struct ident_rules *rules)
{
	struct conf *old_conf = d->conf;
	struct ident_rules *old_rules = d->rules;

	d->conf = conf;
	d->rules = rules;
	daemon_about(d);
	daemon_swap_roster(d, roster);
	if (!daemon_roster_same(old_conf, conf)) {
		daemon_roster_watch(d);
		d->refresh = d->watch != NULL; /* it may have changed since it was read */
	}
	if (old_conf != d->start)
		conf_free(old_conf);
	ident_rules_free(old_rules);
}

static void
daemon_say_restart(struct daemon *d, const struct conf *next)
{
	struct buf names = BUF_INIT(0);

	if (conf_needs_restart(d->conf, next, &names) > 0)
		log_warning("reload: these options take effect at the next start: %.*s",
		    STR_ARG(buf_view(&names)));
	buf_free(&names);
}

/* ---- one reload ---- */

/* Who waits for the end of a reload. */
struct daemon_waiter {
	struct daemon_waiter *next;
	daemon_reload_cb *done;
	void *arg;
};

struct daemon_load {
	struct daemon *d;
	struct conf *conf; /* the new one; NULL: that in force stays */
	struct daemon_waiter *waiters;
	struct roster_options options;
	const char *backend;
	struct roster *roster;
	char *why;
	char *copy_why; /* why no copy of it could be kept */
};

static void
daemon_waiters_end(struct daemon_waiter *w, bool tell, const char *why)
{
	while (w != NULL) {
		struct daemon_waiter *next = w->next;

		if (tell && w->done != NULL)
			w->done(w->arg, why);
		mem_free(w);
		w = next;
	}
}

void
daemon_waiters_free(struct daemon *d)
{
	daemon_waiters_end(d->waiters, false, NULL);
	d->waiters = NULL;
}

/* Everything new is made first; only then is anything replaced. */
static bool
daemon_take_conf(struct daemon *d, struct daemon_load *l)
{
	struct ident_rules *rules = ident_rules_new(l->conf, &l->why);
	struct auth *auth = NULL;
	enum log_level level = LOG_NOTICE;

	if (rules == NULL || !daemon_auth_open(d, l->conf, &auth, &l->why) ||
	    !web_reconf(d->web, l->conf, &l->why)) {
		auth_close(auth);
		ident_rules_free(rules);
		return false;
	}
	daemon_say_restart(d, l->conf);
	daemon_swap_auth(d, auth);
	daemon_swap(d, l->conf, l->roster, rules);
	l->conf = NULL;
	l->roster = NULL;
	if (log_level_by_name(d->conf->log_level, &level))
		log_set_level(level);
	return true;
}

static bool
daemon_take(struct daemon *d, struct daemon_load *l)
{
	if (l->roster == NULL)
		return false;
	d->seen = l->options.n_seen;
	if (l->conf != NULL)
		return daemon_take_conf(d, l);
	daemon_swap_roster(d, l->roster);
	l->roster = NULL;
	return true;
}

/* all: with the configuration. What is wrong with that is not mended by a roster that
 * is right. */
static void
daemon_say_reloaded(struct daemon *d, bool all, bool of_roster, const char *why)
{
	char *error = why != NULL ? daemon_roster_trouble(d, why) : NULL;
	bool told = error != NULL && d->reload_error != NULL && strcmp(error, d->reload_error) == 0;

	if (why != NULL || all || d->error_of_roster) {
		mem_free(d->reload_error);
		d->reload_error = mem_strdup(error);
		d->error_of_roster = of_roster;
	}
	mem_free(error);
	if (why == NULL)
		log_notice("reloaded%s%s roster=%s students=%zu classes=%zu", all ? " conf=" : "",
		    all ? d->conf->path : "", roster_place(d->conf), roster_students(d->roster),
		    roster_classes(d->roster));
	else if (all || !told) /* what is tried again need not be told again */
		log_error("reload refused, the old configuration and roster stay: %s", why);
}

static void
daemon_load_free(struct daemon_load *l)
{
	daemon_roster_options_free(&l->options);
	roster_free(l->roster);
	conf_free(l->conf);
	mem_free(l->why);
	mem_free(l->copy_why);
	mem_free(l);
}

static void daemon_load_next(struct daemon *d);

static void
daemon_load_done_cb(void *arg)
{
	struct daemon_load *l = arg;
	struct daemon *d = l->d;
	struct daemon_waiter *waiters = l->waiters;
	bool all = l->conf != NULL || l->backend == NULL;
	bool of_roster = l->backend != NULL && l->roster == NULL;

	if (d->left) {
		daemon_waiters_end(waiters, false, NULL);
		daemon_load_free(l);
		return;
	}
	if (daemon_take(d, l)) {
		mem_free(l->why);
		l->why = NULL;
	}
	daemon_roster_uncopied(l->copy_why);
	daemon_say_reloaded(d, all, of_roster, l->why);
	if (of_roster && !all)
		daemon_roster_retry(d);
	d->load = NULL;
	daemon_waiters_end(waiters, true, l->why);
	daemon_load_free(l);
	daemon_load_next(d);
}

/* In the pool. The copy comes first: it may never be of an older roster than the one
 * in force. */
static void
daemon_load_cb(void *arg)
{
	struct daemon_load *l = arg;

	l->roster = roster_load(l->backend, &l->options, &l->why);
	if (l->roster != NULL)
		roster_copy_put(l->backend, &l->options, l->roster, &l->copy_why);
}

static void
daemon_load_roster(struct daemon_load *l, const struct conf *c)
{
	l->backend = c->roster_backend;
	l->options = daemon_roster_options(l->d, c);
	loop_pool(l->d->loop, daemon_load_cb, daemon_load_done_cb, l);
}

static void
daemon_load_all(struct daemon_load *l)
{
	struct buf causes = BUF_INIT(0);

	l->conf = conf_read(l->d->conf->path, &causes);
	if (l->conf != NULL) {
		daemon_load_roster(l, l->conf);
	} else {
		l->why = buf_take(&causes);
		loop_defer(l->d->loop, daemon_load_done_cb, l);
	}
	buf_free(&causes);
}

/* Begins what is asked for, when nothing is under way. */
static void
daemon_load_next(struct daemon *d)
{
	struct daemon_load *l;

	if (d->load != NULL || (d->waiters == NULL && !d->refresh))
		return;
	MEM_NEW(l);
	l->d = d;
	l->waiters = d->waiters;
	d->load = l;
	d->refresh = false;
	d->waiters = NULL;
	if (l->waiters != NULL)
		daemon_load_all(l);
	else
		daemon_load_roster(l, d->conf);
}

void
daemon_reload(struct daemon *d, daemon_reload_cb *done, void *arg)
{
	struct daemon_waiter *w;

	MEM_NEW(w);
	*w = (struct daemon_waiter){ d->waiters, done, arg };
	d->waiters = w;
	daemon_load_next(d);
}

void
daemon_refresh(struct daemon *d)
{
	d->refresh = true;
	daemon_load_next(d);
}

static void
daemon_sighup_done_cb(void *arg, const char *why)
{
	(void)arg;
	(void)why;
	sd_notify(0, "READY=1");
}

void
daemon_sighup_cb(void *arg)
{
	struct daemon *d = arg;

	if (d->stopping)
		return;
	sd_notify(0, "RELOADING=1");
	audit_reopen(d->audit);
	daemon_reload(d, daemon_sighup_done_cb, d);
}
