/* SPDX-License-Identifier: MIT */
/* daemon_pubsub: which pubsub backends the nodes are published to, beside XMPP, or
 * followed from. */
#include "base/log.h"
#include "base/mem.h"
#include "daemon_priv.h"
#include "flow/follower.h"
#include "flow/pubsub_door.h"
#include "state/redis_conf.h"

struct daemon_outlet {
	struct pubsub *pubsub;
	struct pubsub_door *door;  /* one of the two */
	struct follower *follower;
};

static struct pubsub *
daemon_outlet_pubsub(struct daemon *d, const struct pubsub_backend *b, char **why)
{
	struct redis_options redis = { 0 };
	struct pubsub_options o = { .loop = d->loop, .redis = &redis,
		.prefix = d->conf->redis_prefix };
	struct pubsub *p = NULL;

	if (!(b->caps & PUBSUB_SHARED) || redis_conf(d->conf, &redis, why))
		p = pubsub_open(b, &o, why);
	redis_conf_wipe(&redis);
	return p;
}

static bool
daemon_outlet_open(struct daemon *d, struct daemon_outlet *o, const char *name, char **why)
{
	const struct pubsub_backend *b = pubsub_backend(name, why);

	o->pubsub = b != NULL ? daemon_outlet_pubsub(d, b, why) : NULL;
	if (o->pubsub == NULL)
		return false;
	if (d->conf->pubsub_follow && (b->caps & PUBSUB_SHARED))
		o->follower = follower_new(d->hub, o->pubsub);
	else
		o->door = pubsub_door_new(d->hub, o->pubsub);
	if (o->door != NULL && d->conf->state_cache > 0)
		log_warning("pubsub.backends publishes every state of the roster's students, so these "
		    "stay in memory whatever kvs.state_cache says");
	return true;
}

bool
daemon_pubsub(struct daemon *d, char **why)
{
	const struct conf_list *names = &d->conf->pubsub_stores;

	d->outlets = mem_zalloc(names->n * sizeof *d->outlets + 1);
	for (; d->n_outlets < names->n; d->n_outlets++)
		if (!daemon_outlet_open(d, &d->outlets[d->n_outlets], names->v[d->n_outlets], why))
			return false;
	return true;
}

void
daemon_pubsub_free(struct daemon *d)
{
	for (size_t i = 0; i < d->n_outlets; i++) {
		follower_free(d->outlets[i].follower);
		pubsub_door_free(d->outlets[i].door);
		pubsub_close(d->outlets[i].pubsub);
	}
	mem_free(d->outlets);
}

static void
daemon_outlet_status(const struct daemon_outlet *o, struct jsonw *w)
{
	jsonw_object(w);
	pubsub_status(o->pubsub, w);
	if (o->follower != NULL)
		follower_status(o->follower, w);
	else
		pubsub_door_status(o->door, w);
	jsonw_object_end(w);
}

void
daemon_pubsub_status(const struct daemon *d, struct jsonw *w)
{
	jsonw_array(w);
	for (size_t i = 0; i < d->n_outlets; i++)
		daemon_outlet_status(&d->outlets[i], w);
	jsonw_array_end(w);
}
