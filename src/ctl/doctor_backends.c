/* SPDX-License-Identifier: MIT */
/* ctl/doctor_backends: sign-in, the store of states, readers outside: what the running
 * daemon says of them, and Redis as it is reached from here. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "ctl/doctor.h"
#include "state/auth.h"
#include "state/redis_conf.h"

/* ---- tried from here ---- */

void
doctor_auth(struct doctor *d)
{
	struct loop *loop;
	struct auth *auth;
	char *why = NULL;

	if (d->conf->auth_backends.n == 0)
		return;
	loop = loop_new();
	auth = auth_open(&(struct auth_options){ .loop = loop, .conf = d->conf }, &why);
	if (auth != NULL)
		doctor_found(d, DOCTOR_OK, "sign-in", NULL, -1, "by %s%s", d->conf->auth_backends.v[0],
		    d->conf->auth_backends.n > 1 ? " and others" : "");
	else
		doctor_found(d, DOCTOR_WRONG, "sign-in", "auth", -1, "%s", why);
	mem_free(why);
	auth_close(auth);
	loop_free(loop);
}

struct doctor_redis {
	struct doctor *doctor;
	struct loop *loop;
	double start;
};

static void
doctor_redis_up_cb(void *arg)
{
	struct doctor_redis *r = arg;

	doctor_found(r->doctor, DOCTOR_OK, "redis", NULL, doctor_now() - r->start,
	    "%s: signed in", r->doctor->conf->redis_address);
	loop_stop(r->loop);
}

static void
doctor_redis_down_cb(void *arg, const char *why)
{
	struct doctor_redis *r = arg;

	doctor_found(r->doctor, DOCTOR_WRONG, "redis", "redis", -1, "%s: %s; look at the section "
	    "redis of the configuration and at that Redis", r->doctor->conf->redis_address, why);
	loop_stop(r->loop);
}

static bool
doctor_uses_redis(const struct conf *c)
{
	bool uses = strncmp(c->kvs_backend, "redis", 5) == 0 || c->pubsub_follow;

	for (size_t i = 0; i < c->pubsub_stores.n; i++)
		uses |= strcmp(c->pubsub_stores.v[i], "redis") == 0;
	return uses;
}

void
doctor_redis(struct doctor *d)
{
	static const struct redis_link_ops ops = { doctor_redis_up_cb, doctor_redis_down_cb, NULL };
	struct doctor_redis r = { .doctor = d, .start = doctor_now() };
	struct redis_options o;
	struct redis_link *link = NULL;
	char *why = NULL;

	if (!doctor_uses_redis(d->conf))
		return;
	r.loop = loop_new();
	if (redis_conf(d->conf, &o, &why))
		link = redis_link_new(r.loop, &o, &ops, &r, &why);
	if (link != NULL)
		loop_run(r.loop);
	else
		doctor_found(d, DOCTOR_WRONG, "redis", "redis", -1, "%s", why);
	mem_free(why);
	redis_conf_wipe(&o);
	redis_link_free(link);
	loop_free(r.loop);
}

/* ---- what the daemon says ---- */

static void
doctor_store(struct doctor *d, struct json root)
{
	struct str backend = STR_LIT(""), trouble;
	struct json kvs;

	if (!json_get(root, "kvs", &kvs))
		return;
	json_get_str(kvs, "backend", &backend);
	if (json_get_str(kvs, "trouble", &trouble))
		doctor_found(d, DOCTOR_WRONG, "kvs", "kvs", -1, "%.*s: %.*s; events are taken, and "
		    "states written again when it is over", STR_ARG(backend), STR_ARG(trouble));
	else
		doctor_found(d, DOCTOR_OK, "kvs", NULL, -1, "states are in %.*s", STR_ARG(backend));
}

static void
doctor_pubsub_one(struct doctor *d, struct json one)
{
	struct str backend = STR_LIT(""), trouble;

	json_get_str(one, "backend", &backend);
	if (json_get_str(one, "trouble", &trouble))
		doctor_found(d, DOCTOR_WRONG, "pubsub", "pubsub", -1, "%.*s: %.*s; readers there get "
		    "the newest items when it is over", STR_ARG(backend), STR_ARG(trouble));
	else
		doctor_found(d, DOCTOR_OK, "pubsub", NULL, -1, "%.*s", STR_ARG(backend));
}

static void
doctor_audit_file(struct doctor *d, struct json root)
{
	struct json audit, v;
	struct str file = STR_LIT("");
	bool failing = false;

	if (!json_get(root, "audit", &audit))
		return;
	json_get_str(audit, "file", &file);
	if (json_get(audit, "failing", &v))
		json_bool(v, &failing);
	if (failing)
		doctor_found(d, DOCTOR_WRONG, "audit", "audit", -1, "%.*s cannot be written: make room "
		    "or mend its permissions", STR_ARG(file));
}

void
doctor_backends(struct doctor *d, struct json root)
{
	struct json list;

	doctor_store(d, root);
	doctor_audit_file(d, root);
	if (!json_get(root, "pubsub", &list))
		return;
	for (struct json_iter it = json_each(list); json_next(&it);)
		doctor_pubsub_one(d, it.value);
}
