/* SPDX-License-Identifier: MIT */
/* daemon_xmpp: which reducers are published under which component JID. */
#include <string.h>

#include "base/crypt.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon_priv.h"

static bool
daemon_has_entry(const struct conf *c, const char *component)
{
	for (size_t i = 0; i < c->n_components; i++)
		if (strcmp(c->components[i].name, component) == 0)
			return true;
	return false;
}

/* Whether a reducer "component.name" is among those listed; an empty list
 * means all. The component part may be left out. */
static bool
daemon_listed(const struct conf_list *list, const char *id)
{
	const char *dot = strchr(id, '.');

	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->v[i], id) == 0 || (dot != NULL && strcmp(list->v[i], dot + 1) == 0))
			return true;
	return list->n == 0;
}

/* Adds what entry `cc` publishes: the component of its name, or for "*" every
 * component that has no entry of its own. Number added. */
static size_t
daemon_gather(const struct conf *c, const struct conf_component *cc, const struct reducer **list,
    size_t *n)
{
	size_t before = *n;

	for (size_t i = 0; component_table[i] != NULL; i++) {
		const struct component *t = component_table[i];
		bool mine = strcmp(cc->name, t->name) == 0 ||
		    (strcmp(cc->name, "*") == 0 && !daemon_has_entry(c, t->name));

		for (size_t k = 0; mine && t->reducers[k] != NULL; k++)
			if (!t->reducers[k]->internal && daemon_listed(&cc->reducers, t->reducers[k]->id))
				list[(*n)++] = t->reducers[k];
	}
	return *n - before;
}

static void
daemon_known_components(struct buf *out)
{
	for (size_t i = 0; component_table[i] != NULL; i++)
		buf_printf(out, "%s%s", i > 0 ? ", " : "", component_table[i]->name);
}

static bool
daemon_nothing_published(const struct conf *c, const struct conf_component *cc, char **why)
{
	struct buf known = BUF_INIT(0);

	daemon_known_components(&known);
	*why = mem_printf("%s: component \"%s\" names no reducer to publish; expected one of %.*s, "
	    "or \"*\", and reducers of that component", c->path, cc->name, STR_ARG(buf_view(&known)));
	buf_free(&known);
	return false;
}

/* Adds the JID of entry `first` with the reducers of every entry that shares
 * it: one JID is one component stream. */
static bool
daemon_add_jid(struct daemon *d, size_t first, char **why)
{
	const struct conf *c = d->conf;
	const struct reducer *list[COMPONENT_REDUCERS_MAX + 1];
	char *secret;
	size_t n = 0;
	bool ok;

	for (size_t i = first; i < c->n_components; i++)
		if (strcmp(c->components[i].jid, c->components[first].jid) == 0 &&
		    daemon_gather(c, &c->components[i], list, &n) == 0)
			return daemon_nothing_published(c, &c->components[i], why);
	list[n] = NULL;
	secret = crypt_secret_read(c->components[first].secret_file, why);
	if (secret == NULL)
		return false;
	ok = xmpp_add_component(d->xmpp, c->components[first].jid, secret,
	    c->components[first].secret_file, list, why);
	mem_wipe(secret, strlen(secret));
	mem_free(secret);
	return ok;
}

static bool
daemon_is_first(const struct conf *c, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(c->components[k].jid, c->components[i].jid) == 0)
			return false;
	return true;
}

bool
daemon_xmpp(struct daemon *d, char **why)
{
	const struct conf *c = d->conf;
	struct xmpp_options o = {
		.host = c->xmpp_host,
		.port = (int)c->xmpp_port,
		.server = c->xmpp_server,
		.window = (unsigned)c->xmpp_window,
	};

	if (c->xmpp_host == NULL || c->xmpp_host[0] == '\0') {
		log_notice("no xmpp host configured: states are kept, nothing is published");
		return true;
	}
	d->xmpp = xmpp_new(d->loop, d->hub, d->book, &o);
	for (size_t i = 0; i < c->n_components; i++)
		if (daemon_is_first(c, i) && !daemon_add_jid(d, i, why))
			return false;
	xmpp_start(d->xmpp);
	return true;
}
