/* SPDX-License-Identifier: MIT */
/* daemon_reload: a new configuration and roster in place of the old ones. */
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon_priv.h"

struct roster *
daemon_roster_load(const struct conf *c, const char *key, char **why)
{
	struct roster_options o = roster_options_of(c, str_of(key));

	return roster_load(c->roster_backend, &o, why);
}

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
daemon_swap(struct daemon *d, struct conf *conf, struct roster *roster, struct ident_rules *rules)
{
	struct conf *old_conf = d->conf;
	struct roster *old_roster = d->roster;
	struct ident_rules *old_rules = d->rules;

	d->conf = conf;
	d->roster = roster;
	d->rules = rules;
	daemon_about(d);
	ingest_reconf(d->ingest, conf, rules, roster);
	hub_set_roster(d->hub, roster);
	if (old_conf != d->start)
		conf_free(old_conf);
	roster_free(old_roster);
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

/* Everything new is made first; only then is anything replaced. */
static bool
daemon_try_reload(struct daemon *d, char **why)
{
	struct buf causes = BUF_INIT(0);
	struct conf *conf = conf_read(d->conf->path, &causes);
	struct roster *roster = NULL;
	struct ident_rules *rules = NULL;
	struct auth *auth = NULL;
	enum log_level level = LOG_NOTICE;

	if (conf == NULL)
		*why = buf_take(&causes);
	buf_free(&causes);
	if (conf != NULL)
		roster = daemon_roster_load(conf, d->key, why);
	if (roster != NULL)
		rules = ident_rules_new(conf, why);
	if (rules == NULL || !daemon_auth_open(d, conf, &auth, why) ||
	    !web_reconf(d->web, conf, why)) {
		auth_close(auth);
		ident_rules_free(rules);
		roster_free(roster);
		conf_free(conf);
		return false;
	}
	daemon_say_restart(d, conf);
	daemon_swap_auth(d, auth);
	daemon_swap(d, conf, roster, rules);
	if (log_level_by_name(conf->log_level, &level))
		log_set_level(level);
	return true;
}

bool
daemon_reload(struct daemon *d, char **why)
{
	bool ok = daemon_try_reload(d, why);

	mem_free(d->reload_error);
	d->reload_error = ok ? NULL : mem_strdup(*why);
	if (ok)
		log_notice("reloaded conf=%s roster=%s students=%zu classes=%zu", d->conf->path,
		    d->conf->roster_file, roster_students(d->roster), roster_classes(d->roster));
	else
		log_error("reload refused, the old configuration and roster stay: %s", *why);
	return ok;
}

void
daemon_sighup_cb(void *arg)
{
	struct daemon *d = arg;
	char *why = NULL;

	if (d->stopping)
		return;
	sd_notify(0, "RELOADING=1");
	audit_reopen(d->audit);
	daemon_reload(d, &why);
	mem_free(why);
	sd_notify(0, "READY=1");
}
