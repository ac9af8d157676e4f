/* SPDX-License-Identifier: MIT */
/* daemon: see daemon.h. The order of start is the order of the road, backwards:
 * who receives stands before who sends. */
#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/crypt.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "daemon_priv.h"
#include "state/kvs_conf.h"

#define DAEMON_JOURNAL_PENDING ((size_t)32 << 20) /* bytes waiting for the disk */

/* ---- the road: commits ---- */

static void
daemon_record_cb(void *arg, const struct record *r)
{
	struct daemon *d = arg;

	engine_record(d->engine, r);
	if (d->feed != NULL)
		feed_record(d->feed, r);
	ingest_record(d->ingest, r);
}

static void
daemon_commit_cb(void *arg)
{
	struct daemon *d = arg;

	ingest_commit(d->ingest);
	hub_spread(d->hub);
	if (d->feed != NULL)
		feed_commit(d->feed);
	checkpoint_due(d->checkpoint);
	daemon_roster_seen(d);
}

static void
daemon_stall_cb(void *arg)
{
	struct daemon *d = arg;

	ingest_stall(d->ingest);
}

static void
daemon_resume_cb(void *arg)
{
	struct daemon *d = arg;

	ingest_resume(d->ingest);
}

/* ---- start ---- */

static bool
daemon_state_dir(struct daemon *d, char **why)
{
	const char *dir = d->conf->state_dir;
	struct stat st;

	if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
		*why = mem_printf("state_dir %s: %s; create it and give it to the user of lecternd",
		    dir, strerror(errno));
		return false;
	}
	if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
		*why = mem_printf("state_dir %s: not a folder", dir);
		return false;
	}
	if ((st.st_mode & 022) != 0) {
		*why = mem_printf("state_dir %s: others may write to it; chmod 0700 %s", dir, dir);
		return false;
	}
	if (access(dir, R_OK | W_OK | X_OK) != 0) {
		*why = mem_printf("state_dir %s: %s; give it to the user of lecternd",
		    dir, strerror(errno));
		return false;
	}
	return true;
}

static bool
daemon_key(struct daemon *d, char **why)
{
	d->key = crypt_secret_read(d->conf->key_file, why);
	return d->key != NULL;
}

static bool
daemon_engine_new(struct daemon *d, char **why)
{
	struct engine_options o = { .reducers = producers_reducers(d->producers),
		.pseudonym_key = str_of(d->key), .cold = d->conf->state_cache > 0 };

	d->engine = engine_new(&o, why);
	return d->engine != NULL;
}

/* Snapshot, or nothing, into the engine. A snapshot that does not fit is left
 * aside: the journal has everything. */
static bool
daemon_engine(struct daemon *d, char **why)
{
	enum err e;

	d->start = d->conf;
	d->producers = producers_new(d->start, why);
	if (d->producers == NULL || !daemon_engine_new(d, why))
		return false;
	e = checkpoint_load(d->conf, d->engine, why);
	if (e == ERR_OK || e == ERR_NOT_FOUND) {
		mem_free(*why);
		*why = NULL;
		return true;
	}
	log_warning("snapshot ignored, replaying the whole journal: %s", *why ? *why : err_text(e));
	mem_free(*why);
	*why = NULL;
	engine_free(d->engine);
	return daemon_engine_new(d, why);
}

static void
daemon_feed(struct daemon *d, const char *journal_dir)
{
	struct feed_options o = {
		.loop = d->loop, .engine = d->engine, .producers = d->producers,
		.journal = d->journal, .journal_dir = journal_dir,
		.organisation = d->start->organisation, .pseudonym_key = str_of(d->key),
	};

	if (producers_count(d->producers) > 0)
		d->feed = feed_new(&o);
}

static bool
daemon_journal(struct daemon *d, char **why)
{
	char *dir = mem_printf("%s/journal", d->conf->state_dir);
	struct journal_options o = {
		.dir = dir,
		.organisation = d->conf->organisation,
		.segment_size = (uint64_t)d->conf->segment_size,
		.max_pending = DAEMON_JOURNAL_PENDING,
	};
	struct journal_reader replay = { .record = engine_record, .arg = d->engine };
	struct journal_listener listener = {
		.on_record = daemon_record_cb,
		.on_commit = daemon_commit_cb,
		.on_stall = daemon_stall_cb,
		.on_resume = daemon_resume_cb,
		.arg = d,
	};
	uint64_t loaded = engine_position(d->engine);

	d->journal = journal_open(d->loop, &o, loaded, &replay,
	    &d->recovered, why);
	if (d->journal == NULL) {
		mem_free(dir);
		return false;
	}
	journal_listen(d->journal, &listener);
	engine_forget_sessions(d->engine);
	daemon_feed(d, dir);
	mem_free(dir);
	d->checkpoint = checkpoint_new(d->loop, d->engine, d->conf, loaded);
	return true;
}

static void
daemon_spread_cb(void *arg)
{
	struct daemon *d = arg;

	hub_spread(d->hub);
}

static void
daemon_rebuilt_cb(void *arg, uint64_t position, bool ok)
{
	struct daemon *d = arg;

	keep_rebuilt(d->keep, position, ok);
}

static bool
daemon_rebuild_cb(void *arg)
{
	struct daemon *d = arg;

	return rebuild_start(d->rebuild);
}

static void
daemon_keep(struct daemon *d)
{
	struct keep_options o = {
		.loop = d->loop, .engine = d->engine, .kvs = d->states,
		.limit = (size_t)d->start->state_cache,
		.spread = daemon_spread_cb, .rebuild = daemon_rebuild_cb, .arg = d,
	};

	d->keep = keep_new(&o);
	d->rebuild = rebuild_new(d->loop, d->engine, d->start, str_of(d->key),
	    daemon_rebuilt_cb, d);
}

/* The store is not the one it was. */
static void
daemon_lost_cb(void *arg)
{
	struct daemon *d = arg;

	engine_unstored(d->engine);
}

static bool
daemon_states(struct daemon *d, char **why)
{
	struct kvs_options o = { .loop = d->loop, .lost = daemon_lost_cb, .lost_arg = d };

	d->states = kvs_conf_open(d->conf, NULL, &o, why);
	return d->states != NULL;
}

static bool
daemon_hub(struct daemon *d, char **why)
{
	struct kvs_options book = { .loop = d->loop };
	char *file = mem_printf("%s/subscriptions", d->conf->state_dir);

	book.file = file;
	if (daemon_roster(d, why) && daemon_states(d, why))
		d->book = kvs_open("memory", &book, why);
	mem_free(file);
	if (d->book == NULL)
		return false;
	d->hub = hub_new(d->loop, d->engine, d->roster);
	daemon_keep(d);
	return true;
}

static bool
daemon_audit(struct daemon *d, char **why)
{
	if (!d->conf->audit_enabled)
		return true;
	d->audit = audit_new(d->loop, d->conf->audit_file, why);
	if (d->audit != NULL)
		hub_set_audit(d->hub, d->audit);
	return d->audit != NULL;
}

static bool
daemon_ingest(struct daemon *d, char **why)
{
	struct ingest_options o = {
		.loop = d->loop,
		.engine = d->engine,
		.journal = d->journal,
		.conf = d->conf,
		.roster = d->roster,
	};

	d->rules = ident_rules_new(d->conf, why);
	if (d->rules == NULL)
		return false;
	o.rules = d->rules;
	d->ingest = ingest_new(&o);
	return true;
}

static bool
daemon_web(struct daemon *d, char **why)
{
	struct web_options o = { .loop = d->loop, .conf = d->conf, .ingest = d->ingest,
		.hub = d->hub, .auth = d->auth, .audit = d->audit };

	d->web = web_new(&o, why);
	return d->web != NULL;
}

static bool
daemon_auth(struct daemon *d, char **why)
{
	return daemon_auth_open(d, d->conf, &d->auth, why);
}

static bool
daemon_control(struct daemon *d, char **why)
{
	d->control = control_new(d->loop, d->conf->control, daemon_requests, d, why);
	return d->control != NULL;
}

static void
daemon_free(struct daemon *d)
{
	d->left = true;
	loop_timer_free(d->stop);
	daemon_asks_free(d);
	control_free(d->control);
	web_free(d->web);
	auth_close(d->auth);
	xmpp_free(d->xmpp);
	keep_free(d->keep);
	rebuild_free(d->rebuild);
	ingest_free(d->ingest);
	feed_free(d->feed);
	daemon_pubsub_free(d);
	hub_free(d->hub);
	audit_free(d->audit);
	kvs_close(d->book);
	kvs_close(d->states);
	checkpoint_free(d->checkpoint);
	if (d->journal != NULL)
		journal_close(d->journal);
	engine_free(d->engine);
	ident_rules_free(d->rules);
	daemon_roster_free(d);
	daemon_waiters_free(d);
	loop_free(d->loop);
	producers_free(d->producers); /* the pool may have read events for them */
	if (d->key != NULL)
		mem_wipe(d->key, strlen(d->key));
	mem_free(d->key);
	mem_free(d->reload_error);
	if (d->start != d->conf)
		conf_free(d->start);
	conf_free(d->conf);
}

/* ---- run ---- */

static void
daemon_sigusr2_cb(void *arg)
{
	(void)arg;
	log_toggle_debug();
}

static void
daemon_signals(struct daemon *d)
{
	loop_signal(d->loop, SIGHUP, daemon_sighup_cb, d);
	loop_signal(d->loop, SIGUSR2, daemon_sigusr2_cb, d);
	loop_signal(d->loop, SIGTERM, daemon_stop_cb, d);
	loop_signal(d->loop, SIGINT, daemon_stop_cb, d);
	d->stop = loop_timer_new(d->loop, daemon_stop_step_cb, d);
}

/* In this order: what a step needs was made by the ones before. */
static const struct daemon_step {
	int status; /* exit status when it fails */
	bool (*start)(struct daemon *d, char **why);
} daemon_steps[] = {
	{ EX_CANTCREAT, daemon_state_dir },
	{ EX_CONFIG, daemon_key },
	{ EX_SOFTWARE, daemon_engine },
	{ EX_IOERR, daemon_journal },
	{ EX_CONFIG, daemon_hub },
	{ EX_CANTCREAT, daemon_audit },
	{ EX_CONFIG, daemon_ingest },
	{ EX_CONFIG, daemon_pubsub },
	{ EX_CONFIG, daemon_xmpp },
	{ EX_UNAVAILABLE, daemon_control },
	{ EX_CONFIG, daemon_auth },
	{ EX_UNAVAILABLE, daemon_web },
};

static int
daemon_start(struct daemon *d)
{
	char *why = NULL;

	for (size_t i = 0; i < sizeof daemon_steps / sizeof *daemon_steps; i++) {
		if (!daemon_steps[i].start(d, &why)) {
			log_error("cannot start: %s", why ? why : "unknown reason");
			mem_free(why);
			return daemon_steps[i].status;
		}
	}
	return EX_OK;
}

int
daemon_run(struct conf *conf)
{
	struct daemon d = { .conf = conf };
	enum log_level level = LOG_NOTICE;
	int status;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of write(2), not a death */
	if (log_level_by_name(conf->log_level, &level))
		log_set_level(level);
	d.loop = loop_new();
	d.started_ms = loop_now_ms(d.loop);
	status = daemon_start(&d);
	if (status == EX_OK) {
		daemon_signals(&d);
		log_notice("ready address=%s port=%ld records=%llu states=%llu", conf->address,
		    conf->port, (unsigned long long)engine_position(d.engine),
		    (unsigned long long)metric_value[METRIC_STATES]);
		sd_notify(0, "READY=1");
		loop_run(d.loop);
		log_notice("stopped");
	}
	daemon_free(&d);
	return status;
}
