/* SPDX-License-Identifier: MIT */
/* daemon_xmpp: which reducers are published under which component JID. */
#include <string.h>

#include "base/crypt.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon_priv.h"

/* Whether a component, by the part of its reducers' ids before the dot, has a
 * section that publishes from here. */
static bool
daemon_has_entry(const struct conf *c, struct str component)
{
	for (size_t i = 0; i < c->n_components; i++)
		if (str_is(component, c->components[i].name) && !producer_is_own(&c->components[i]))
			return true;
	return false;
}

/* Whether the section publishes the reducer: that of its component, or "*" for
 * those without one. */
static bool
daemon_publishes(const struct conf *c, const struct conf_component *cc, const struct reducer *r)
{
	struct str component = { r->id, strcspn(r->id, ".") };
	bool mine = str_is(component, cc->name) ||
	    (strcmp(cc->name, "*") == 0 && !daemon_has_entry(c, component));

	return mine && !r->internal && !producer_is_own(cc) && producer_lists(&cc->reducers, r->id);
}

/* Adds what entry `cc` publishes. Number added. */
static size_t
daemon_gather(const struct daemon *d, const struct conf_component *cc, const struct reducer **list,
    size_t *n)
{
	size_t before = *n;

	for (const struct reducer *const *r = engine_reducers(d->engine); *r != NULL; r++)
		if (daemon_publishes(d->conf, cc, *r))
			list[(*n)++] = *r;
	return *n - before;
}

/* States that nobody could ever read are a mistake in the configuration. */
static bool
daemon_all_published(const struct daemon *d, char **why)
{
	const struct conf *c = d->conf;

	for (size_t i = 0; i < producers_count(d->producers); i++) {
		const struct producer *p = producers_at(d->producers, i);

		for (struct reducer **r = p->reducers; *r != NULL; r++) {
			bool published = false;

			for (size_t k = 0; k < c->n_components; k++)
				published = published || daemon_publishes(c, &c->components[k], *r);
			if (published)
				continue;
			*why = mem_printf("%s: no component publishes %s of \"%s\"; expected "
			    "component \"*\" { jid = ... secret_file = ... }", c->path, (*r)->id,
			    p->name);
			return false;
		}
	}
	return true;
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

/* Sections of one stream: the same JID, and not that of another process. */
static bool
daemon_same_jid(const struct conf *c, size_t a, size_t b)
{
	return !producer_is_own(&c->components[a]) && !producer_is_own(&c->components[b]) &&
	    strcmp(c->components[a].jid, c->components[b].jid) == 0;
}

/* Room for all reducers, once for each section. */
static const struct reducer **
daemon_list(const struct daemon *d)
{
	size_t n = 0;

	while (engine_reducers(d->engine)[n] != NULL)
		n++;
	return mem_alloc((n * d->conf->n_components + 1) * sizeof(struct reducer *));
}

static bool
daemon_has_word(const struct conf_list *list, const char *word)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->v[i], word) == 0)
			return true;
	return false;
}

/* What the sections with the JID of `first` publish in one way; NULL: nothing. */
static const struct reducer **
daemon_published(const struct daemon *d, size_t first, const char *backend)
{
	const struct conf *c = d->conf;
	const struct reducer **list = daemon_list(d);
	size_t n = 0;

	for (size_t i = first; i < c->n_components; i++)
		if (daemon_same_jid(c, i, first) && daemon_has_word(&c->components[i].pubsub, backend))
			daemon_gather(d, &c->components[i], list, &n);
	list[n] = NULL;
	if (n > 0)
		return list;
	mem_free(list);
	return NULL;
}

/* Whether each section with the JID of `first` publishes something. */
static bool
daemon_check_jid(const struct daemon *d, size_t first, char **why)
{
	const struct conf *c = d->conf;
	const struct reducer **list = daemon_list(d);
	bool ok = true;

	for (size_t i = first; ok && i < c->n_components; i++) {
		size_t n = 0;

		ok = !daemon_same_jid(c, i, first) ||
		    daemon_gather(d, &c->components[i], list, &n) > 0 ||
		    daemon_nothing_published(c, &c->components[i], why);
	}
	mem_free(list);
	return ok;
}

/* Adds the JID of entry `first` with the reducers of every entry that shares
 * it: one JID is one component stream. */
static bool
daemon_add_jid(struct daemon *d, size_t first, char **why)
{
	static const char *const ways[] = { "xmpp", "xmpp-server" };
	const struct conf_component *cc = &d->conf->components[first];
	struct xmpp_publication p[sizeof ways / sizeof *ways];
	char *secret;
	size_t n = 0;
	bool ok;

	if (!daemon_check_jid(d, first, why))
		return false;
	secret = crypt_secret_read(cc->secret_file, why);
	if (secret == NULL)
		return false;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		p[n] = (struct xmpp_publication){ ways[i], daemon_published(d, first, ways[i]) };
		n += p[n].reducers != NULL;
	}
	ok = xmpp_add_component(d->xmpp, cc->jid, secret, cc->secret_file, p, n, why);
	mem_wipe(secret, strlen(secret));
	mem_free(secret);
	while (n > 0)
		mem_free((void *)p[--n].reducers);
	return ok;
}

static bool
daemon_is_first(const struct conf *c, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (daemon_same_jid(c, k, i))
			return false;
	return !producer_is_own(&c->components[i]);
}

void
daemon_about(struct daemon *d)
{
	d->about = (struct service_about){ &d->conf->xmpp_contact, d->conf->xmpp_privacy_policy };
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
		.insecure_ok = c->xmpp_insecure_ok,
		.idle_ms = (unsigned)c->xmpp_keepalive * 1000,
		.feed = d->feed,
		.admin = daemon_admin(d),
		.about = &d->about,
		.pubsub = c->xmpp_pubsub_service,
		.max_items = (unsigned)c->xmpp_pubsub_max_items,
		.key = str_of(d->key),
	};

	if (c->xmpp_host == NULL || c->xmpp_host[0] == '\0') {
		log_notice("no xmpp host configured: states are kept, nothing is published");
		return true;
	}
	if (!daemon_all_published(d, why))
		return false;
	daemon_about(d);
	d->xmpp = xmpp_new(d->loop, d->hub, d->book, &o);
	for (size_t i = 0; i < c->n_components; i++)
		if (daemon_is_first(c, i) && !daemon_add_jid(d, i, why))
			return false;
	xmpp_start(d->xmpp);
	return true;
}
