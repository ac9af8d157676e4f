/* SPDX-License-Identifier: MIT */
/* roster_grant: the readers whom the configuration lets in beside a roster's own
 * teachers. */
#include "base/log.h"
#include "state/roster_priv.h"

static void
roster_grant_take(struct roster_grant *g, const struct conf_reader_entry *e)
{
	struct buf jid = BUF_INIT(0);

	jid_bare(str_of(e->jid), &jid); /* conf has checked it */
	g->jid = buf_take(&jid);
	for (size_t i = 0; i < e->reducers.n; i++) {
		roster_grow(&g->reducers, g->n_reducers);
		g->reducers[g->n_reducers++] = mem_strdup(e->reducers.v[i]);
	}
}

/* A student who reads the whole class would be a slip of the pen, as in the
 * roster itself. */
static bool
roster_attends(const struct roster_class *c, const char *jid)
{
	for (size_t i = 0; i < c->n_students; i++)
		if (c->students[i]->jid != NULL && strcmp(c->students[i]->jid, jid) == 0)
			return true;
	return false;
}

static bool
roster_grant_class(struct roster *r, const struct conf *conf, const struct roster_grant *g,
    const char *name, char **why)
{
	struct roster_class *c = map_get(r->classes, str_of(name));

	if (c == NULL) {
		log_warning("%s: reader \"%s\": the roster has no class \"%s\"", conf->path, g->jid,
		    name);
		return true;
	}
	if (roster_attends(c, g->jid)) {
		*why = mem_printf("%s: reader \"%s\" is a student of class \"%s\", "
		    "expected one or the other", conf->path, g->jid, name);
		return false;
	}
	roster_grow(&c->grants, c->n_grants);
	c->grants[c->n_grants++] = g;
	return true;
}

enum err
roster_grant(struct roster *r, const struct conf *c, char **why)
{
	r->grants = mem_zalloc((c->n_readers + 1) * sizeof *r->grants);
	r->n_grants = c->n_readers;
	for (size_t i = 0; i < c->n_readers; i++) {
		const struct conf_list *classes = &c->readers[i].classes;

		roster_grant_take(&r->grants[i], &c->readers[i]);
		for (size_t k = 0; k < classes->n; k++)
			if (!roster_grant_class(r, c, &r->grants[i], classes->v[k], why))
				return ERR_INVALID;
	}
	return ERR_OK;
}
