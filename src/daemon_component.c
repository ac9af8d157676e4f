/* SPDX-License-Identifier: MIT */
/* daemon_component: one component alone in its process: its stream to the XMPP
 * server and its reducers; no journal, no web door, nothing on disk. */
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/crypt.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/metric.h"
#include "control.h"
#include "daemon.h"
#include "flow/producer.h"
#include "xmpp/consumer.h"

struct lone {
	const struct conf *conf;
	const struct conf_component *component;
	const struct reducer *reducers[COMPONENT_REDUCERS_MAX + 1];
	struct loop *loop;
	struct consumer *consumer;
	struct control *control;
	uint64_t started_ms;
	bool stopping;
};

/* ---- the configuration ---- */

static const struct conf_component *
lone_find(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->n_components; i++)
		if (strcmp(c->components[i].name, name) == 0 && producer_is_own(&c->components[i]))
			return &c->components[i];
	return NULL;
}

/* JID of a component of the ingest daemon; every one of them has the feed. */
static const char *
lone_service(const struct conf *c)
{
	const char *jid = NULL;

	for (size_t i = 0; i < c->n_components; i++)
		if (!producer_is_own(&c->components[i]) &&
		    (jid == NULL || strcmp(c->components[i].name, "*") == 0))
			jid = c->components[i].jid;
	return jid;
}

char *
daemon_component_control(const struct conf *c, const char *name)
{
	return mem_printf("%s.%s", c->control, name);
}

/* ---- the control socket ---- */

static void
lone_status(void *arg, struct buf *out)
{
	struct lone *l = arg;
	struct jsonw w = jsonw_to(out);

	jsonw_object(&w);
	jsonw_kz(&w, "version", PACKAGE_VERSION);
	jsonw_kint(&w, "pid", getpid());
	jsonw_kuint(&w, "uptime_s", (loop_now_ms(l->loop) - l->started_ms) / 1000);
	jsonw_kz(&w, "component", l->component->name);
	jsonw_kbool(&w, "stopping", l->stopping);
	consumer_status(l->consumer, &w);
	jsonw_key(&w, "metrics");
	metric_write(&w);
	jsonw_object_end(&w);
}

static void
lone_states(void *arg, struct buf *out)
{
	struct lone *l = arg;

	daemon_write_states(consumer_engine(l->consumer), out);
}

static const struct control_request lone_requests[] = {
	{ "status", lone_status, NULL },
	{ "states", lone_states, NULL },
	{ NULL, NULL, NULL },
};

/* ---- start and stop ---- */

static void
lone_stopped_cb(void *arg)
{
	struct lone *l = arg;

	loop_stop(l->loop);
}

static void
lone_stop_cb(void *arg)
{
	struct lone *l = arg;

	if (l->stopping) {
		loop_stop(l->loop);
		return;
	}
	l->stopping = true;
	log_notice("stopping; what is not published will be folded again");
	sd_notify(0, "STOPPING=1");
	consumer_stop(l->consumer, lone_stopped_cb, l);
}

static void
lone_debug_cb(void *arg)
{
	(void)arg;
	log_toggle_debug();
}

static bool
lone_consumer(struct lone *l, char **why)
{
	const struct conf *c = l->conf;
	char *secret = crypt_secret_read(l->component->secret_file, why);
	struct consumer_options o = {
		.loop = l->loop, .host = c->xmpp_host, .port = (int)c->xmpp_port,
		.server = c->xmpp_server, .jid = l->component->jid, .secret = secret,
		.secret_file = l->component->secret_file, .service = lone_service(c),
		.reducers = l->reducers, .insecure_ok = c->xmpp_insecure_ok,
		.idle_ms = (unsigned)c->xmpp_keepalive * 1000,
	};

	if (secret == NULL)
		return false;
	l->consumer = consumer_new(&o, why);
	mem_wipe(secret, strlen(secret));
	mem_free(secret);
	return l->consumer != NULL;
}

static bool
lone_control(struct lone *l, char **why)
{
	char *path = daemon_component_control(l->conf, l->component->name);

	l->control = control_new(l->loop, path, lone_requests, l, why);
	mem_free(path);
	return l->control != NULL;
}

static int
lone_run(struct lone *l)
{
	char *why = NULL;

	if (producer_component(l->component, l->reducers) == 0)
		why = mem_printf("component \"%s\" has no reducer", l->component->name);
	if (why != NULL || !lone_consumer(l, &why) || !lone_control(l, &why)) {
		log_error("cannot start: %s", why);
		mem_free(why);
		return EX_CONFIG;
	}
	loop_signal(l->loop, SIGTERM, lone_stop_cb, l);
	loop_signal(l->loop, SIGINT, lone_stop_cb, l);
	loop_signal(l->loop, SIGUSR2, lone_debug_cb, l);
	consumer_start(l->consumer);
	log_notice("ready component=%s jid=%s service=%s", l->component->name, l->component->jid,
	    lone_service(l->conf));
	sd_notify(0, "READY=1");
	loop_run(l->loop);
	log_notice("stopped");
	return EX_OK;
}

int
daemon_run_component(struct conf *conf, const char *name)
{
	struct lone l = { .conf = conf, .component = lone_find(conf, name) };
	enum log_level level = LOG_NOTICE;
	int status = EX_CONFIG;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN); /* nothing is read anew */
	if (log_level_by_name(conf->log_level, &level))
		log_set_level(level);
	if (l.component == NULL) {
		log_error("%s has no component \"%s\" with process = \"own\"", conf->path, name);
		conf_free(conf);
		return status;
	}
	l.loop = loop_new();
	l.started_ms = loop_now_ms(l.loop);
	status = lone_run(&l);
	control_free(l.control);
	consumer_free(l.consumer);
	loop_free(l.loop);
	conf_free(conf);
	return status;
}
