/* SPDX-License-Identifier: MIT */
/* auth_sqlite: users and hashes of their passwords in a table of an SQLite file
 * (docs/schema-sqlite.sql), asked in the pool, one question at a time. A changed
 * password counts at once; a file put in the place of another at the next reload. */
#include <sys/queue.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sqlite.h"
#include "state/auth_backends.h"
#include "state/auth_sql.h"

struct authlite_ask {
	TAILQ_ENTRY(authlite_ask) link;
	struct authlite *store;
	char *user, *hash;
	enum err e;
	auth_hash_cb *cb;
	void *arg;
};

struct authlite {
	struct loop *loop;
	struct sqlite *db;
	struct sqlite_query *find;
	TAILQ_HEAD(, authlite_ask) asks; /* the first is in the pool */
	bool closed;                     /* goes with the job in the pool */
};

/* ---- the file ---- */

/* It holds hashes: as the password file it is closed to others. */
static bool
authlite_is_closed_to_others(const char *file, char **why)
{
	struct stat st;

	if (stat(file, &st) != 0 || (st.st_mode & S_IRWXO) == 0)
		return true; /* sqlite_open says what is wrong with a missing one */
	*why = mem_printf("%s: is open to others; let only its owner and the daemon's group read it "
	    "(chmod 0640)", file);
	return false;
}

static void
authlite_free(struct authlite *s)
{
	sqlite_query_free(s->find);
	sqlite_close(s->db);
	mem_free(s);
}

static void *
authlite_open(const struct auth_options *o, char **why)
{
	struct sqlite_options options = { .file = o->conf->auth_database, .read_only = true };
	struct authlite *s;
	int64_t version;

	if (!authlite_is_closed_to_others(options.file, why))
		return NULL;
	MEM_NEW(s);
	s->loop = o->loop;
	TAILQ_INIT(&s->asks);
	s->db = sqlite_open(&options, why);
	if (s->db != NULL && (s->find = sqlite_prepare(s->db, AUTH_SQL_FIND)) == NULL)
		*why = mem_printf("%s; the table is made with: lecternctl passwd", sqlite_trouble(s->db));
	if (s->find != NULL && (sqlite_value(s->db, "SELECT version FROM lectern_schema "
	    "WHERE part = 'auth'", &version) != ERR_OK || version > AUTH_SQL_VERSION)) {
		*why = mem_printf("%s: its users are of a newer version than this program knows; update it",
		    options.file);
		sqlite_query_free(s->find);
		s->find = NULL;
	}
	if (s->find != NULL)
		return s;
	authlite_free(s);
	return NULL;
}

/* ---- questions ---- */

static void
authlite_ask_free(struct authlite_ask *a)
{
	if (a->hash != NULL)
		mem_wipe(a->hash, strlen(a->hash));
	mem_free(a->hash);
	mem_free(a->user);
	mem_free(a);
}

static void
authlite_work(void *arg)
{
	struct authlite_ask *a = arg;
	struct sqlite_query *q = a->store->find;
	struct str hash = { NULL, 0 };
	bool row = false;

	sqlite_bind_text(q, 1, str_of(a->user));
	a->e = sqlite_step(q, &row);
	if (row)
		hash = sqlite_text(q, 0);
	if (hash.p != NULL)
		a->hash = mem_str(hash);
	sqlite_reset(q);
	if (a->e == ERR_OK && a->hash == NULL)
		a->e = ERR_NOT_FOUND;
}

static void authlite_done(void *arg);

static void
authlite_next(struct authlite *s)
{
	struct authlite_ask *a = TAILQ_FIRST(&s->asks);

	if (a != NULL)
		loop_pool(s->loop, authlite_work, authlite_done, a);
}

/* Whoever is called may close us, so the call comes last. */
static void
authlite_done(void *arg)
{
	struct authlite_ask *a = arg;
	struct authlite *s = a->store;

	TAILQ_REMOVE(&s->asks, a, link);
	if (s->closed) {
		authlite_free(s);
	} else {
		if (a->e != ERR_OK && a->e != ERR_NOT_FOUND)
			log_warning("auth: users cannot be looked up why=\"%s\"", sqlite_trouble(s->db));
		authlite_next(s);
		a->cb(a->arg, a->e, a->hash);
	}
	authlite_ask_free(a);
}

static void
authlite_find(void *store, struct str user, auth_hash_cb *cb, void *arg)
{
	struct authlite *s = store;
	struct authlite_ask *a;
	bool idle = TAILQ_EMPTY(&s->asks);

	MEM_NEW(a);
	a->store = s;
	a->user = mem_str(user);
	a->cb = cb;
	a->arg = arg;
	TAILQ_INSERT_TAIL(&s->asks, a, link);
	if (idle)
		authlite_next(s);
}

static void
authlite_close(void *store)
{
	struct authlite *s = store;
	struct authlite_ask *first = TAILQ_FIRST(&s->asks), *a;

	while (first != NULL && (a = TAILQ_NEXT(first, link)) != NULL) {
		TAILQ_REMOVE(&s->asks, a, link);
		authlite_ask_free(a);
	}
	s->closed = true;
	if (first == NULL)
		authlite_free(s);
}

/* ---- writing ---- */

/* Whether a row was changed, or trouble in db. */
static enum err
authlite_change(struct sqlite *db, struct str user, const char *hash)
{
	struct sqlite_query *q = sqlite_prepare(db, hash != NULL ? AUTH_SQL_PUT : AUTH_SQL_DROP);
	bool row = false;
	enum err e;

	if (q == NULL)
		return ERR_INVALID;
	sqlite_bind_text(q, 1, user);
	if (hash != NULL)
		sqlite_bind_text(q, 2, str_of(hash));
	e = sqlite_step(q, &row);
	sqlite_query_free(q);
	return e == ERR_OK && !row ? ERR_NOT_FOUND : e;
}

/* Without WAL: the daemon then needs no right to write. */
static enum err
authlite_set(const struct conf *c, struct str user, const char *hash, char **why)
{
	struct sqlite_options options = { .file = c->auth_database, .create = true, .durable = true };
	struct sqlite *db = sqlite_open(&options, why);
	enum err e;

	if (db == NULL)
		return ERR_IO;
	e = sqlite_exec(db, "PRAGMA journal_mode = DELETE");
	if (e == ERR_OK)
		e = sqlite_begin(db);
	if (e == ERR_OK)
		e = sqlite_exec(db, AUTH_SQL_TABLES);
	if (e == ERR_OK)
		e = authlite_change(db, user, hash);
	if (e == ERR_OK)
		e = sqlite_commit(db);
	if (e != ERR_OK && e != ERR_NOT_FOUND)
		*why = mem_strdup(sqlite_trouble(db));
	sqlite_close(db);
	return e;
}

const struct auth_backend auth_sqlite = {
	.name = "sqlite",
	.open = authlite_open,
	.find = authlite_find,
	.close = authlite_close,
	.set = authlite_set,
};
