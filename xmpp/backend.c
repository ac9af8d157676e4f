/* SPDX-License-Identifier: MIT */
/* backend: see backend.h. The table, and what makes a service and a publisher
 * look alike. */
#include "xmpp/backend.h"

#include "base/mem.h"
#include "xmpp/publisher.h"

/* ---- "xmpp-server": at the server's PubSub service ---- */

static void *
backend_publisher_open(const struct backend_options *o)
{
	struct publisher_options po = {
		.loop = o->loop, .hub = o->hub, .kvs = o->kvs, .jid = o->jid, .pubsub = o->pubsub,
		.key = o->key, .reducers = o->reducers, .max_items = o->max_items,
		.sink = o->sink, .sink_arg = o->sink_arg,
	};

	return publisher_new(&po);
}

static void
backend_publisher_load(void *b, loop_cb *cb, void *arg)
{
	publisher_load(b, cb, arg);
}

static void
backend_publisher_up(void *b)
{
	publisher_up(b);
}

static void
backend_publisher_down(void *b)
{
	publisher_down(b);
}

static void
backend_publisher_room(void *b)
{
	publisher_room(b);
}

static bool
backend_publisher_stanza(void *b, const struct xml *stanza)
{
	return publisher_stanza(b, stanza);
}

static bool
backend_publisher_refused(void *b, const struct xml *head)
{
	return publisher_refused(b, head);
}

static void
backend_publisher_write(const void *b, struct jsonw *w)
{
	publisher_write(b, w);
}

static size_t
backend_publisher_pending(const void *b)
{
	(void)b; /* what is under way is asked for again by the next stream */
	return 0;
}

static void
backend_publisher_close(void *b)
{
	publisher_free(b);
}

static const struct backend backend_publisher = {
	.name = "xmpp-server",
	.open = backend_publisher_open,
	.load = backend_publisher_load,
	.up = backend_publisher_up,
	.down = backend_publisher_down,
	.room = backend_publisher_room,
	.stanza = backend_publisher_stanza,
	.refused = backend_publisher_refused,
	.write = backend_publisher_write,
	.pending = backend_publisher_pending,
	.close = backend_publisher_close,
};

/* ---- "xmpp": the component is the service ---- */

static void *
backend_service_open(const struct backend_options *o)
{
	struct service_options so = {
		.loop = o->loop, .hub = o->hub, .kvs = o->kvs, .jid = o->jid, .server = o->server,
		.reducers = o->reducers, .elsewhere = o->elsewhere, .pubsub = o->pubsub,
		.key = o->key, .feed = o->feed, .admin = o->admin, .about = o->about,
		.window = o->window, .sink = o->sink, .sink_arg = o->sink_arg,
	};

	return service_new(&so);
}

static void
backend_service_load(void *b, loop_cb *cb, void *arg)
{
	service_load(b, cb, arg);
}

static void
backend_service_up(void *b)
{
	service_up(b);
}

static void
backend_service_down(void *b)
{
	service_down(b);
}

static void
backend_service_stop(void *b)
{
	service_stop(b);
}

static void
backend_service_room(void *b)
{
	service_room(b);
}

static bool
backend_service_stanza(void *b, const struct xml *stanza)
{
	service_stanza(b, stanza);
	return true;
}

static bool
backend_service_refused(void *b, const struct xml *head)
{
	service_refused(b, head);
	return true;
}

static void
backend_service_write(const void *b, struct jsonw *w)
{
	service_write(b, w);
}

static size_t
backend_service_pending(const void *b)
{
	return service_pending(b);
}

static void
backend_service_close(void *b)
{
	service_free(b);
}

static const struct backend backend_service = {
	.name = "xmpp",
	.always = true,
	.open = backend_service_open,
	.load = backend_service_load,
	.up = backend_service_up,
	.down = backend_service_down,
	.stop = backend_service_stop,
	.room = backend_service_room,
	.stanza = backend_service_stanza,
	.refused = backend_service_refused,
	.write = backend_service_write,
	.pending = backend_service_pending,
	.close = backend_service_close,
};

/* ---- the table ---- */

const struct backend *const backends[BACKENDS] = { &backend_publisher, &backend_service };

int
backend_find(const char *name, char **why)
{
	struct buf known = BUF_INIT(0);

	for (int i = 0; i < BACKENDS; i++)
		if (strcmp(backends[i]->name, name) == 0)
			return i;
	for (int i = 0; i < BACKENDS; i++)
		buf_printf(&known, "%s%s", i > 0 ? ", " : "", backends[i]->name);
	*why = mem_printf("pubsub \"%s\" is not known, expected one of %.*s", name,
	    STR_ARG(buf_view(&known)));
	buf_free(&known);
	return -1;
}
