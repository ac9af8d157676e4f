/* SPDX-License-Identifier: MIT */
/* auth: see auth.h. A question goes from backend to backend; a hash that one of
 * them finds waits for its turn in the pool, where one is computed at a time, so
 * that the journal's blocks never wait behind a crowd that signs in. */
#include "state/auth.h"

#include <sys/queue.h>

#include "base/jid.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/password.h"
#include "state/auth_backends.h"

static const struct auth_backend *const auth_backends[] = {
	&auth_file,
	&auth_sqlite,
	&auth_postgres,
	&auth_xmpp,
};

struct auth_open {
	const struct auth_backend *backend;
	void *store;
};

/* One computation in the pool; has nothing that others touch. */
struct auth_work {
	struct auth *auth; /* NULL when it was closed meanwhile */
	struct auth_ask *ask;
	char *hash, *password;
	bool matches;
};

struct auth_ask {
	struct auth *auth;
	TAILQ_ENTRY(auth_ask) link;
	TAILQ_ENTRY(auth_ask) in_line;
	struct loop_timer *timer;
	size_t at;       /* the backend that is asked, */
	uint64_t ticket; /* and by which its answer is known; 0: it owes none */
	char *user;
	char *password;  /* NULL: only whether the proof still holds */
	char *hash;      /* while it waits in line */
	struct auth_proof proof;
	auth_cb *cb;     /* NULL: nobody waits any more, yet the backend owes an answer */
	void *arg;
};

TAILQ_HEAD(auth_asks, auth_ask);

struct auth {
	LIST_ENTRY(auth) link;
	struct loop *loop;
	struct auth_open *open;
	size_t n;
	struct auth_asks asks, line;
	size_t n_asks;
	struct auth_work *work;
};

/* All that are open, so that an answer finds its question by the number alone: one
 * that comes twice, or when nobody waits for it any more, is nobody's. */
static LIST_HEAD(, auth) auth_all = LIST_HEAD_INITIALIZER(auth_all);
static uint64_t auth_tickets;

/* ---- questions ---- */

static void
auth_wipe(char **secret)
{
	if (*secret != NULL)
		mem_wipe(*secret, strlen(*secret));
	mem_free(*secret);
	*secret = NULL;
}

static void
auth_ask_free(struct auth_ask *q)
{
	struct auth *a = q->auth;

	if (q->hash != NULL)
		TAILQ_REMOVE(&a->line, q, in_line);
	TAILQ_REMOVE(&a->asks, q, link);
	a->n_asks--;
	loop_timer_free(q->timer);
	auth_wipe(&q->password);
	auth_wipe(&q->hash);
	mem_free(q->user);
	mem_free(q);
}

/* Whoever is called may close everything, so it comes last. */
static void
auth_end(struct auth_ask *q, enum auth_verdict v)
{
	struct auth_proof proof = { .backend = NULL };
	auth_cb *cb = q->cb;
	void *arg = q->arg;

	if (v == AUTH_YES)
		proof = q->proof;
	auth_ask_free(q);
	if (cb != NULL)
		cb(arg, v, &proof);
}

/* What a backend or the pool still owes is waited for by nobody. */
void
auth_drop(struct auth_ask *q)
{
	struct auth *a = q->auth;

	q->cb = NULL;
	loop_timer_stop(q->timer);
	auth_wipe(&q->password);
	if (q->ticket == 0 && (a->work == NULL || a->work->ask != q))
		auth_ask_free(q);
}

/* It took too long, or there were too many from the start. */
static void
auth_late_cb(void *arg)
{
	static const struct auth_proof none;
	struct auth_ask *q = arg;
	auth_cb *cb = q->cb;
	void *cb_arg = q->arg;

	if (q->ticket != 0)
		log_warning("auth: backend %s gives no answer within %d s",
		    q->auth->open[q->at].backend->name, AUTH_TIMEOUT_MS / 1000);
	auth_drop(q);
	cb(cb_arg, AUTH_CANNOT_SAY, &none);
}

/* ---- the pool ---- */

static void
auth_work_cb(void *arg)
{
	struct auth_work *w = arg;

	w->matches = password_matches(w->hash, w->password);
}

static void auth_next_in_line(struct auth *a);

static void
auth_worked_cb(void *arg)
{
	struct auth_work *w = arg;
	struct auth *a = w->auth;

	if (a != NULL) {
		a->work = NULL;
		auth_next_in_line(a);
		auth_end(w->ask, w->matches && w->ask->proof.backend ? AUTH_YES : AUTH_NO);
	}
	auth_wipe(&w->hash);
	auth_wipe(&w->password);
	mem_free(w);
}

static void
auth_next_in_line(struct auth *a)
{
	struct auth_ask *q;
	struct auth_work *w;

	q = TAILQ_FIRST(&a->line);
	if (a->work != NULL || q == NULL)
		return;
	TAILQ_REMOVE(&a->line, q, in_line);
	MEM_NEW(w);
	*w = (struct auth_work){ .auth = a, .ask = q, .hash = q->hash, .password = q->password };
	q->hash = q->password = NULL;
	a->work = w;
	loop_pool(a->loop, auth_work_cb, auth_worked_cb, w);
}

/* A hash to compare the password with. Without a backend it is nobody's: it takes
 * the time that it takes for a user who is there. */
static void
auth_line_up(struct auth_ask *q, const char *backend, const char *hash)
{
	struct str piece = str_of(hash);

	q->proof.backend = backend;
	if (backend != NULL)
		crypt_sha256(&piece, 1, q->proof.mark);
	q->hash = mem_strdup(hash);
	TAILQ_INSERT_TAIL(&q->auth->line, q, in_line);
	auth_next_in_line(q->auth);
}

/* ---- from backend to backend ---- */

static void auth_ask_backend(struct auth_ask *q);

/* The question that is answered by this; NULL when there is nothing more to do for
 * it: it has been answered, or nobody waits. */
static struct auth_ask *
auth_answered(void *ticket)
{
	struct auth_ask *q;
	struct auth *a;

	LIST_FOREACH(a, &auth_all, link)
		TAILQ_FOREACH(q, &a->asks, link) {
			if (q->ticket != (uintptr_t)ticket)
				continue;
			q->ticket = 0;
			if (q->cb != NULL)
				return q;
			auth_ask_free(q);
			return NULL;
		}
	return NULL;
}

static void
auth_next_backend(struct auth_ask *q)
{
	q->at++;
	auth_ask_backend(q);
}

static const char *
auth_name(const struct auth_ask *q)
{
	return q->auth->open[q->at].backend->name;
}

/* What this user's proof would be now, against the one that was given. */
static void
auth_compare(struct auth_ask *q, const char *hash)
{
	struct auth_proof now = { .backend = auth_name(q) };
	struct str piece = str_of(hash);

	if (hash != NULL)
		crypt_sha256(&piece, 1, now.mark);
	auth_end(q, strcmp(now.backend, q->proof.backend) == 0 &&
	    memcmp(now.mark, q->proof.mark, sizeof now.mark) == 0 ? AUTH_YES : AUTH_NO);
}

static void
auth_found_cb(void *arg, enum err e, const char *hash)
{
	struct auth_ask *q = auth_answered(arg);
	const char *wrong = e == ERR_OK ? password_hash_wrong(hash) : NULL;

	if (q == NULL)
		return;
	if (wrong != NULL)
		log_warning("auth: backend %s: %s", auth_name(q), wrong);
	if (e == ERR_NOT_FOUND)
		auth_next_backend(q);
	else if (e != ERR_OK || wrong != NULL)
		auth_end(q, AUTH_CANNOT_SAY);
	else if (q->password == NULL)
		auth_compare(q, hash);
	else
		auth_line_up(q, auth_name(q), hash);
}

static void
auth_word_is_cb(void *arg, enum err e)
{
	struct auth_ask *q = auth_answered(arg);

	if (q == NULL)
		return;
	if (e == ERR_NOT_FOUND) {
		auth_next_backend(q);
		return;
	}
	q->proof.backend = auth_name(q);
	auth_end(q, e == ERR_OK ? AUTH_YES : e == ERR_FORBIDDEN ? AUTH_NO : AUTH_CANNOT_SAY);
}

/* A backend that keeps no hashes cannot tell whether the password is still the
 * same: its word of then counts. */
static void
auth_ask_backend(struct auth_ask *q)
{
	const struct auth_open *o = &q->auth->open[q->at];
	bool asks = q->at < q->auth->n && (o->backend->find != NULL || q->password != NULL);
	void *ticket = (void *)(uintptr_t)++auth_tickets;

	q->ticket = asks ? (uintptr_t)ticket : 0;
	if (asks && o->backend->find != NULL)
		o->backend->find(o->store, str_of(q->user), auth_found_cb, ticket);
	else if (asks)
		o->backend->check(o->store, str_of(q->user), str_of(q->password),
		    auth_word_is_cb, ticket);
	else if (q->password != NULL)
		auth_line_up(q, NULL, password_hash_nobody());
	else if (q->at < q->auth->n && strcmp(o->backend->name, q->proof.backend) != 0)
		auth_next_backend(q);
	else
		loop_timer_once(q->timer, 0);
}

/* ---- asking ---- */

static struct auth_ask *
auth_ask_new(struct auth *a, struct str user, auth_cb *cb, void *arg)
{
	struct auth_ask *q;

	MEM_NEW(q);
	q->auth = a;
	q->user = mem_str(user);
	q->cb = cb;
	q->arg = arg;
	TAILQ_INSERT_TAIL(&a->asks, q, link);
	a->n_asks++;
	return q;
}

/* A password that nobody can have is refused like any other: slowly. */
struct auth_ask *
auth_check(struct auth *a, struct str user, struct str password, auth_cb *cb, void *arg)
{
	struct auth_ask *q = auth_ask_new(a, user, cb, arg);
	bool odd = password.n > PASSWORD_MAX || memchr(password.p, '\0', password.n) != NULL;

	q->timer = loop_timer_new(a->loop, auth_late_cb, q);
	loop_timer_once(q->timer, a->n_asks > AUTH_ASKS_MAX ? 0 : AUTH_TIMEOUT_MS);
	if (a->n_asks > AUTH_ASKS_MAX)
		return q;
	q->password = odd ? mem_strdup("") : mem_str(password);
	q->at = odd ? a->n : 0;
	auth_ask_backend(q);
	return q;
}

/* When the backends that know hashes do not know the user. */
static void
auth_still_cb(void *arg)
{
	struct auth_ask *q = arg;
	bool word = q->at < q->auth->n && q->auth->open[q->at].backend->find == NULL;

	auth_end(q, word ? AUTH_YES : AUTH_NO);
}

struct auth_ask *
auth_still(struct auth *a, struct str user, const struct auth_proof *proof, auth_cb *cb,
    void *arg)
{
	struct auth_ask *q = auth_ask_new(a, user, cb, arg);

	q->proof = *proof;
	q->timer = loop_timer_new(a->loop, auth_still_cb, q);
	auth_ask_backend(q);
	return q;
}

bool
auth_user(const struct conf *c, struct str typed, struct buf *out)
{
	struct buf whole = BUF_INIT(0);
	bool ok;

	buf_str(&whole, typed);
	if (c->auth_domain != NULL && (typed.n == 0 || memchr(typed.p, '@', typed.n) == NULL))
		buf_printf(&whole, "@%s", c->auth_domain);
	ok = jid_bare(buf_view(&whole), out);
	buf_free(&whole);
	return ok;
}

/* ---- life ---- */

const struct auth_backend *
auth_backend(const char *name, char **why)
{
	struct buf known = BUF_INIT(0);

	for (size_t i = 0; i < sizeof auth_backends / sizeof *auth_backends; i++) {
		if (strcmp(auth_backends[i]->name, name) == 0) {
			buf_free(&known);
			return auth_backends[i];
		}
		buf_printf(&known, "%s%s", i > 0 ? ", " : "", auth_backends[i]->name);
	}
	*why = mem_printf("unknown auth backend \"%s\"; known: %.*s", name,
	    STR_ARG(buf_view(&known)));
	buf_free(&known);
	return NULL;
}

struct auth *
auth_new(const struct auth_backend *const *backends, size_t n, const struct auth_options *o,
    char **why)
{
	struct auth *a;

	MEM_NEW(a);
	a->loop = o->loop;
	a->open = mem_zalloc(n * sizeof *a->open + 1);
	TAILQ_INIT(&a->asks);
	TAILQ_INIT(&a->line);
	LIST_INSERT_HEAD(&auth_all, a, link);
	for (; a->n < n; a->n++) {
		a->open[a->n].backend = backends[a->n];
		a->open[a->n].store = backends[a->n]->open(o, why);
		if (a->open[a->n].store == NULL) {
			auth_close(a);
			return NULL;
		}
	}
	return a;
}

struct auth *
auth_open(const struct auth_options *o, char **why)
{
	const struct conf_list *names = &o->conf->auth_backends;
	const struct auth_backend **backends = mem_zalloc(names->n * sizeof *backends + 1);
	struct auth *a = NULL;
	size_t n = 0;

	while (n < names->n && (backends[n] = auth_backend(names->v[n], why)) != NULL)
		n++;
	if (n == names->n)
		a = auth_new(backends, n, o, why);
	mem_free(backends);
	return a;
}

void
auth_close(struct auth *a)
{
	if (a == NULL)
		return;
	LIST_REMOVE(a, link);
	for (size_t i = 0; i < a->n; i++)
		a->open[i].backend->close(a->open[i].store);
	if (a->work != NULL)
		a->work->auth = NULL;
	while (!TAILQ_EMPTY(&a->asks))
		auth_ask_free(TAILQ_FIRST(&a->asks));
	mem_free(a->open);
	mem_free(a);
}
