/* SPDX-License-Identifier: MIT */
/* daemon_pubsub: which pubsub backends the nodes are published to, beside XMPP. */
#include "base/mem.h"
#include "daemon_priv.h"
#include "flow/pubsub_door.h"

struct daemon_outlet {
	struct pubsub *pubsub;
	struct pubsub_door *door;
};

static bool
daemon_outlet_open(struct daemon *d, struct daemon_outlet *o, const char *name, char **why)
{
	struct pubsub_options options = { .loop = d->loop };
	const struct pubsub_backend *b = pubsub_backend(name, why);

	o->pubsub = b != NULL ? pubsub_open(b, &options, why) : NULL;
	if (o->pubsub == NULL)
		return false;
	o->door = pubsub_door_new(d->hub, o->pubsub);
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
		pubsub_door_free(d->outlets[i].door);
		pubsub_close(d->outlets[i].pubsub);
	}
	mem_free(d->outlets);
}

void
daemon_pubsub_status(const struct daemon *d, struct jsonw *w)
{
	jsonw_array(w);
	for (size_t i = 0; i < d->n_outlets; i++) {
		jsonw_object(w);
		pubsub_status(d->outlets[i].pubsub, w);
		pubsub_door_status(d->outlets[i].door, w);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
}
