/* SPDX-License-Identifier: MIT */
/* auth_postgres: users and hashes of their passwords in a table of a PostgreSQL
 * database (docs/schema-postgres.sql). A changed password counts at once; while
 * the server is away nobody can sign in by it. */
#include <sys/queue.h>

#include "base/log.h"
#include "base/mem.h"
#include "state/auth_backends.h"
#include "state/auth_sql.h"
#include "state/pg_link.h"

struct authpg_ask {
	TAILQ_ENTRY(authpg_ask) link;
	struct authpg *store;
	auth_hash_cb *cb;
	void *arg;
};

struct authpg {
	struct pg_link *link;
	TAILQ_HEAD(, authpg_ask) asks;
};

static struct pg_options
authpg_options(const struct conf *c)
{
	return (struct pg_options){
		.conninfo = c->postgres_conninfo,
		.password_file = c->postgres_password_file,
		.timeout_s = (unsigned)c->postgres_timeout,
	};
}

static void
authpg_down_cb(void *arg, const char *why)
{
	(void)arg;
	log_warning("auth: users cannot be looked up why=\"%s\"", why);
}

static void *
authpg_open(const struct auth_options *o, char **why)
{
	static const struct pg_events on = { .down = authpg_down_cb };
	struct pg_options options = authpg_options(o->conf);
	struct authpg *s;

	*why = pg_conninfo_wrong(options.conninfo);
	if (*why != NULL)
		return NULL;
	MEM_NEW(s);
	TAILQ_INIT(&s->asks);
	s->link = pg_link_new(o->loop, &options, &on, s);
	return s;
}

/* The hash in the answer, or why there is none. */
static enum err
authpg_hash(enum err e, const char *trouble, const struct pg_result *r, struct str *hash)
{
	if (e == ERR_OK && pg_rows(r) == 0)
		trouble = "PostgreSQL: the table is made with: lecternctl passwd";
	else if (e == ERR_OK && pg_int(r, 0, 1) > AUTH_SQL_VERSION)
		trouble = "PostgreSQL: its users are of a newer version than this program knows; update it";
	else if (e == ERR_OK) {
		*hash = pg_text(r, 0, 0);
		return hash->p != NULL ? ERR_OK : ERR_NOT_FOUND;
	}
	log_warning("auth: users cannot be looked up why=\"%s\"", trouble);
	/* A missing table is no missing user. */
	return e == ERR_OK || e == ERR_NOT_FOUND ? ERR_IO : e;
}

/* Whoever is called may close us, so the call comes last. */
static void
authpg_found_cb(void *arg, enum err e, const char *trouble, const struct pg_result *r)
{
	struct authpg_ask *first = arg, a = *first;
	struct str hash = { NULL, 0 };

	TAILQ_REMOVE(&a.store->asks, first, link);
	mem_free(first);
	e = authpg_hash(e, trouble, r, &hash);
	a.cb(a.arg, e, hash.p);
}

static void
authpg_find(void *store, struct str user, auth_hash_cb *cb, void *arg)
{
	struct authpg *s = store;
	struct authpg_ask *a;

	MEM_NEW(a);
	*a = (struct authpg_ask){ .store = s, .cb = cb, .arg = arg };
	TAILQ_INSERT_TAIL(&s->asks, a, link);
	pg_link_query(s->link, AUTH_SQL_FIND, &user, 1, authpg_found_cb, a);
}

static void
authpg_close(void *store)
{
	struct authpg *s = store;
	struct authpg_ask *a;

	pg_link_free(s->link);
	while ((a = TAILQ_FIRST(&s->asks)) != NULL) {
		TAILQ_REMOVE(&s->asks, a, link);
		mem_free(a);
	}
	mem_free(s);
}

/* ---- writing ---- */

struct authpg_change {
	struct loop *loop;
	struct pg_link *link;
	const char *sql;
	struct str params[2];
	size_t n;
	bool made; /* the table, in this change */
	enum err e;
	char *why;
};

static void
authpg_end(struct authpg_change *c, enum err e, const char *why)
{
	c->e = e;
	if (*why != '\0')
		c->why = mem_strdup(why);
	loop_stop(c->loop);
}

static void
authpg_change_down_cb(void *arg, const char *why)
{
	authpg_end(arg, ERR_CLOSED, why);
}

static void
authpg_changed_cb(void *arg, enum err e, const char *trouble, const struct pg_result *r);

static void
authpg_made_cb(void *arg, enum err e, const char *trouble, const struct pg_result *r)
{
	struct authpg_change *c = arg;

	(void)r;
	c->made = true;
	if (e != ERR_OK)
		authpg_end(c, ERR_IO, trouble);
	else
		pg_link_query(c->link, c->sql, c->params, c->n, authpg_changed_cb, c);
}

/* The table is made by who first writes into it: that takes a right that later
 * changes do without. */
static void
authpg_changed_cb(void *arg, enum err e, const char *trouble, const struct pg_result *r)
{
	struct authpg_change *c = arg;

	if (e == ERR_NOT_FOUND && !c->made)
		pg_link_query(c->link, AUTH_SQL_TABLES, NULL, 0, authpg_made_cb, c);
	else if (e != ERR_OK)
		authpg_end(c, e == ERR_NOT_FOUND ? ERR_IO : e, trouble);
	else
		authpg_end(c, pg_rows(r) > 0 ? ERR_OK : ERR_NOT_FOUND, "");
}

static enum err
authpg_set(const struct conf *conf, struct str user, const char *hash, char **why)
{
	static const struct pg_events on = { .down = authpg_change_down_cb };
	struct pg_options options = authpg_options(conf);
	struct authpg_change c = {
		.loop = loop_new(), .sql = hash != NULL ? AUTH_SQL_PUT : AUTH_SQL_DROP,
		.params = { user, str_of(hash) }, .n = hash != NULL ? 2 : 1,
	};

	c.link = pg_link_new(c.loop, &options, &on, &c);
	pg_link_query(c.link, c.sql, c.params, c.n, authpg_changed_cb, &c);
	loop_run(c.loop);
	pg_link_free(c.link);
	loop_free(c.loop);
	*why = c.why;
	return c.e;
}

const struct auth_backend auth_postgres = {
	.name = "postgres",
	.open = authpg_open,
	.find = authpg_find,
	.close = authpg_close,
	.set = authpg_set,
};
