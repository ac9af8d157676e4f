/* SPDX-License-Identifier: MIT */
/* xmpp: the door as the daemon sees it: components, each one or more backends
 * on a link. */
#include "base/log.h"
#include "base/mem.h"
#include "xmpp/backend.h"
#include "xmpp/link.h"
#include "xmpp/service.h"

#define XMPP_JID_MAX 1023 /* RFC 7622 §3.2 */

struct xmpp_component {
	LIST_ENTRY(xmpp_component) entry;
	struct xmpp *xmpp;
	char *jid;
	void *backend[BACKENDS]; /* as in the table; NULL: publishes nothing that way */
	struct link *link;
	size_t loading;          /* backends that are not loaded yet */
	uint64_t connects;
};

/* Those of the component that are there. */
#define BACKENDS_EACH(c, i)                \
	for (int i = 0; i < BACKENDS; i++) \
		if ((c)->backend[i] != NULL)

struct xmpp {
	struct loop *loop;
	struct hub *hub;
	struct kvs *kvs;
	struct xmpp_options o; /* strings owned */
	LIST_HEAD(, xmpp_component) components;
	size_t running;
	loop_cb *stopped_cb;
	void *stopped_arg;
};

struct xmpp *
xmpp_new(struct loop *l, struct hub *hub, struct kvs *kvs, const struct xmpp_options *o)
{
	struct xmpp *x;

	MEM_NEW(x);
	x->loop = l;
	x->hub = hub;
	x->kvs = kvs;
	x->o = *o;
	x->o.host = mem_strdup(o->host);
	x->o.server = o->server != NULL && o->server[0] != '\0' ? mem_strdup(o->server) : NULL;
	x->o.pubsub = o->pubsub != NULL && o->pubsub[0] != '\0' ? mem_strdup(o->pubsub) : NULL;
	x->o.window = o->window ? o->window : XMPP_WINDOW;
	LIST_INIT(&x->components);
	return x;
}

/* ---- between link and service ---- */

static bool
xmpp_send_cb(void *arg, struct str stanza)
{
	struct xmpp_component *c = arg;

	return link_send(c->link, stanza);
}

static bool
xmpp_bulk_cb(void *arg)
{
	struct xmpp_component *c = arg;

	return link_queued(c->link) <= LINK_QUEUE_BULK;
}

static bool
xmpp_busy_cb(void *arg)
{
	struct xmpp_component *c = arg;

	return link_queued(c->link) > LINK_QUEUE_BUSY;
}

static const struct service_sink xmpp_sink = { xmpp_send_cb, xmpp_bulk_cb, xmpp_busy_cb };

static void
xmpp_up_cb(void *arg)
{
	struct xmpp_component *c = arg;

	c->connects++;
	BACKENDS_EACH(c, i)
		backends[i]->up(c->backend[i]);
}

static void
xmpp_down_cb(void *arg)
{
	struct xmpp_component *c = arg;

	BACKENDS_EACH(c, i)
		backends[i]->down(c->backend[i]);
}

static void
xmpp_stanza_cb(void *arg, const struct xml *stanza)
{
	struct xmpp_component *c = arg;

	BACKENDS_EACH(c, i)
		if (backends[i]->stanza(c->backend[i], stanza))
			return;
}

static void
xmpp_refused_cb(void *arg, const struct xml *head)
{
	struct xmpp_component *c = arg;

	BACKENDS_EACH(c, i)
		if (backends[i]->refused(c->backend[i], head))
			return;
}

static void
xmpp_room_cb(void *arg)
{
	struct xmpp_component *c = arg;

	BACKENDS_EACH(c, i)
		backends[i]->room(c->backend[i]);
}

static const struct link_ops xmpp_link_ops = {
	.up = xmpp_up_cb,
	.down = xmpp_down_cb,
	.stanza = xmpp_stanza_cb,
	.refused = xmpp_refused_cb,
	.room = xmpp_room_cb,
};

/* ---- components ---- */

/* A domain of at least two labels, lower-cased; NULL when it is none. */
static char *
xmpp_domain(const char *jid)
{
	char *copy = mem_strdup(jid);
	size_t n = strlen(copy);
	bool ok = n > 0 && n <= XMPP_JID_MAX && strchr(copy, '.') != NULL && copy[0] != '.' &&
	    copy[n - 1] != '.';

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)copy[i];

		if (c >= 'A' && c <= 'Z')
			copy[i] = (char)(c + ('a' - 'A'));
		ok = ok && c > ' ' && c != 0x7f && strchr("@/\"'<>&:", c) == NULL;
	}
	if (ok)
		return copy;
	mem_free(copy);
	return NULL;
}

static bool
xmpp_is_new(const struct xmpp *x, const char *domain)
{
	const struct xmpp_component *c;

	LIST_FOREACH(c, &x->components, entry)
		if (strcmp(c->jid, domain) == 0)
			return false;
	return true;
}

/* What the component publishes in that way; NULL: nothing. */
static const struct reducer *const *
xmpp_published(const struct xmpp_publication *p, size_t n, const char *backend)
{
	for (size_t k = 0; k < n; k++)
		if (strcmp(p[k].backend, backend) == 0)
			return p[k].reducers;
	return NULL;
}

static void
xmpp_backends_open(struct xmpp_component *c, struct backend_options *o,
    const struct xmpp_publication *p, size_t n)
{
	static const struct reducer *const none[] = { NULL };

	o->elsewhere = xmpp_published(p, n, "xmpp-server");
	for (int i = 0; i < BACKENDS; i++) {
		o->reducers = xmpp_published(p, n, backends[i]->name);
		if (o->reducers == NULL && backends[i]->always)
			o->reducers = none;
		if (o->reducers != NULL)
			c->backend[i] = backends[i]->open(o);
	}
}

static void
xmpp_component_new(struct xmpp *x, char *jid, const char *secret, const char *secret_file,
    const struct xmpp_publication *p, size_t n)
{
	const char *server = x->o.server != NULL ? x->o.server : strchr(jid, '.') + 1;
	char *pubsub = x->o.pubsub != NULL ? mem_strdup(x->o.pubsub) : mem_printf("pubsub.%s", server);
	struct xmpp_component *c;
	struct backend_options bo = {
		.loop = x->loop, .hub = x->hub, .kvs = x->kvs, .jid = jid, .server = server,
		.pubsub = pubsub, .key = x->o.key, .feed = x->o.feed, .admin = x->o.admin, .about = x->o.about,
		.window = x->o.window,
		.max_items = x->o.max_items, .sink = &xmpp_sink,
	};
	struct link_options lo = {
		.host = x->o.host, .port = x->o.port, .jid = jid, .server = server,
		.secret_file = secret_file, .timeout_ms = x->o.timeout_ms,
		.insecure_ok = x->o.insecure_ok, .idle_ms = x->o.idle_ms,
	};

	MEM_NEW(c);
	bo.sink_arg = c;
	c->xmpp = x;
	c->jid = jid;
	c->link = link_new(x->loop, &lo, secret, &xmpp_link_ops, c);
	xmpp_backends_open(c, &bo, p, n);
	LIST_INSERT_HEAD(&x->components, c, entry);
	mem_free(pubsub);
}

bool
xmpp_add_component(struct xmpp *x, const char *jid, const char *secret, const char *secret_file,
    const struct xmpp_publication *p, size_t n, char **why)
{
	char *domain;

	for (size_t i = 0; i < n; i++)
		if (backend_find(p[i].backend, why) < 0)
			return false;
	domain = xmpp_domain(jid);
	if (domain == NULL) {
		*why = mem_printf(
		    "component jid \"%s\" is no domain such as lectern.school.example", jid);
		return false;
	}
	if (!xmpp_is_new(x, domain)) {
		*why = mem_printf("component jid \"%s\" stands twice", domain);
		mem_free(domain);
		return false;
	}
	xmpp_component_new(x, domain, secret, secret_file, p, n);
	return true;
}

static void
xmpp_loaded_cb(void *arg)
{
	struct xmpp_component *c = arg;

	if (--c->loading == 0 && c->xmpp->stopped_cb == NULL) /* not told to stop meanwhile */
		link_start(c->link);
}

void
xmpp_start(struct xmpp *x)
{
	struct xmpp_component *c;

	LIST_FOREACH(c, &x->components, entry) {
		BACKENDS_EACH(c, i)
			c->loading++;
		BACKENDS_EACH(c, i)
			backends[i]->load(c->backend[i], xmpp_loaded_cb, c);
	}
}

void
xmpp_status(const struct xmpp *x, struct jsonw *w)
{
	const struct xmpp_component *c;

	jsonw_array(w);
	LIST_FOREACH(c, &x->components, entry) {
		enum link_state s = link_state(c->link);

		jsonw_object(w);
		jsonw_kz(w, "jid", c->jid);
		jsonw_kz(w, "state", s == LINK_UP ? "up" : "down");
		jsonw_kz(w, "why", s == LINK_UP ? NULL : link_state_name(s));
		jsonw_kz(w, "detail", s == LINK_UP ? NULL : link_detail(c->link));
		jsonw_kbool(w, "rival", link_has_rival(c->link));
		jsonw_kuint(w, "connects", c->connects);
		jsonw_kuint(w, "queue", link_queued(c->link));
		BACKENDS_EACH(c, i)
			backends[i]->write(c->backend[i], w);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
}

size_t
xmpp_pending(const struct xmpp *x)
{
	const struct xmpp_component *c;
	size_t n = 0;

	LIST_FOREACH(c, &x->components, entry) {
		n += link_queued(c->link);
		BACKENDS_EACH(c, i)
			n += backends[i]->pending(c->backend[i]);
	}
	return n;
}

/* ---- the end ---- */

static void
xmpp_one_less(struct xmpp *x)
{
	if (--x->running == 0)
		x->stopped_cb(x->stopped_arg);
}

static void
xmpp_saved_cb(void *arg, enum err e)
{
	(void)e; /* the kvs has said it */
	xmpp_one_less(arg);
}

static void
xmpp_stopped_cb(void *arg)
{
	struct xmpp_component *c = arg;

	xmpp_one_less(c->xmpp);
}

void
xmpp_stop(struct xmpp *x, loop_cb *cb, void *arg)
{
	struct xmpp_component *c;

	x->stopped_cb = cb;
	x->stopped_arg = arg;
	x->running = 1;
	kvs_flush(x->kvs, xmpp_saved_cb, x);
	LIST_FOREACH(c, &x->components, entry) {
		x->running++;
		BACKENDS_EACH(c, i)
			if (backends[i]->stop != NULL)
				backends[i]->stop(c->backend[i]);
		link_stop(c->link, xmpp_stopped_cb, c);
	}
}

void
xmpp_free(struct xmpp *x)
{
	struct xmpp_component *c;

	if (x == NULL)
		return;
	while ((c = LIST_FIRST(&x->components)) != NULL) {
		LIST_REMOVE(c, entry);
		BACKENDS_EACH(c, i)
			backends[i]->close(c->backend[i]);
		link_free(c->link);
		mem_free(c->jid);
		mem_free(c);
	}
	mem_free((char *)x->o.host);
	mem_free((char *)x->o.server);
	mem_free((char *)x->o.pubsub);
	mem_free(x);
}
