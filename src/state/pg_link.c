/* SPDX-License-Identifier: MIT */
/* pg_link: see pg_link.h. States: WAITING for the next attempt, RESOLVING the
 * name in the pool (libpq would do it on the loop), CONNECTING, PREPARING the
 * session (time limit, LISTEN), UP. One query is on its way at a time, and one
 * timer says when what is going on has taken too long. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "state/pg_link_priv.h"

#define PG_RETRY_MS 500 /* doubles up to the maximum; jitter takes off up to half */
#define PG_RETRY_MAX_MS 30000
#define PG_GRACE_MS 2000 /* the server ends a slow query itself; this much later it is given up */

static void pg_next(struct pg_link *k);
static void pg_watch(struct pg_link *k);

/* ---- queries ---- */

static void
pg_query_free(struct pg_query *q)
{
	mem_free(q->sql);
	for (size_t i = 0; i < q->n_params; i++) {
		if (q->params[i] != NULL)
			mem_wipe(q->params[i], strlen(q->params[i]));
		mem_free(q->params[i]);
	}
	mem_free(q);
}

/* The first one that waits; there is one. */
static struct pg_query *
pg_query_take(struct pg_link *k)
{
	struct pg_query *q = TAILQ_FIRST(&k->queries);

	TAILQ_REMOVE(&k->queries, q, link);
	k->n_queries--;
	return q;
}

static void
pg_query_answer(struct pg_query *q, enum err e, const char *trouble, PGresult *pg)
{
	struct pg_result r = { pg };

	if (q->cb != NULL)
		q->cb(q->arg, e, trouble, e == ERR_OK ? &r : NULL);
	pg_query_free(q);
}

/* A callback may free the link or put in new queries: those wait for the next turn. */
static void
pg_fail_waiting(struct pg_link *k)
{
	char *trouble = mem_strdup(pg_link_trouble(k));

	for (size_t n = k->n_queries; n > 0 && !k->freed && !TAILQ_EMPTY(&k->queries); n--)
		pg_query_answer(pg_query_take(k), ERR_CLOSED, trouble, NULL);
	mem_free(trouble);
}

static void
pg_soon_cb(void *arg)
{
	struct pg_link *k = arg;

	if (k->state == PG_WAITING)
		pg_fail_waiting(k);
	else if (k->state == PG_UP && k->sent == NULL)
		pg_next(k);
}

/* Parameters go as text: a NUL would cut one short. */
static void
pg_query_params(struct pg_query *q, const struct str *params, size_t n)
{
	if (n > PG_PARAMS_MAX)
		abort();
	q->n_params = n;
	for (size_t i = 0; i < n; i++) {
		if (params[i].p == NULL)
			continue;
		if (memchr(params[i].p, '\0', params[i].n) != NULL)
			q->refused = ERR_INVALID;
		q->params[i] = mem_str(params[i]);
	}
}

void
pg_link_query(struct pg_link *k, const char *sql, const struct str *params, size_t n,
    pg_query_cb *cb, void *arg)
{
	struct pg_query *q;

	MEM_NEW(q);
	q->sql = mem_strdup(sql);
	q->cb = cb;
	q->arg = arg;
	pg_query_params(q, params, n);
	if (k->n_queries >= PG_QUEUE_MAX)
		q->refused = ERR_FULL;
	TAILQ_INSERT_TAIL(&k->queries, q, link);
	k->n_queries++;
	if (k->state == PG_UP ? k->sent == NULL : k->state == PG_WAITING)
		loop_timer_once(k->soon, 0);
}

/* ---- going down ---- */

static void
pg_close(struct pg_link *k)
{
	loop_poll_free(k->poll);
	k->poll = NULL;
	PQclear(k->result);
	k->result = NULL;
	PQfinish(k->pg);
	k->pg = NULL;
	loop_timer_stop(k->timer);
}

/* The query on its way fails with those that wait, from the loop: the callbacks
 * may free the link. */
static void
pg_unsend(struct pg_link *k)
{
	struct pg_query *q = k->sent;

	k->sent = NULL;
	if (q != NULL && k->state == PG_PREPARING) {
		pg_query_free(q);
	} else if (q != NULL) {
		TAILQ_INSERT_HEAD(&k->queries, q, link);
		k->n_queries++;
	}
	loop_timer_once(k->soon, 0);
}

void
pg_down(struct pg_link *k, char *why)
{
	bool told = k->trouble != NULL && strcmp(k->trouble, why) == 0;

	pg_close(k);
	pg_unsend(k);
	mem_free(k->trouble);
	k->trouble = why;
	k->state = PG_WAITING;
	loop_timer_once(k->timer, loop_backoff(PG_RETRY_MS, k->tries++, PG_RETRY_MAX_MS));
	if (k->on.down != NULL && !told)
		k->on.down(k->arg, k->trouble);
}

void
pg_down_by_libpq(struct pg_link *k, const char *doing)
{
	char *line = pg_one_line(PQerrorMessage(k->pg));

	pg_down(k, mem_printf("PostgreSQL: %s: %s; check that the server runs, postgres.conninfo and "
	    "postgres.password_file", doing, line));
	mem_free(line);
}

static void
pg_timer_cb(void *arg)
{
	struct pg_link *k = arg;

	if (k->state == PG_WAITING || k->state == PG_STARTING)
		pg_attempt(k);
	else if (k->state == PG_UP && k->sent == NULL)
		pg_link_query(k, "SELECT 1", NULL, 0, NULL, NULL); /* is it still there? */
	else
		pg_down(k, mem_printf("PostgreSQL: no %s within %u s; is the server overloaded or the "
		    "network cut?", k->state == PG_CONNECTING ? "connection" : "answer", k->timeout_s));
}

/* ---- sending and receiving ---- */

/* Whether it was sent; the link is down otherwise. */
static bool
pg_send(struct pg_link *k, struct pg_query *q)
{
	int sent = q->n_params == 0 ? PQsendQuery(k->pg, q->sql) :
	    PQsendQueryParams(k->pg, q->sql, (int)q->n_params, NULL, (const char *const *)q->params,
	    NULL, NULL, 0);

	k->sent = q;
	if (sent == 0) {
		pg_down_by_libpq(k, "cannot send a query");
		return false;
	}
	loop_timer_once(k->timer, (uint64_t)k->timeout_s * 1000 + PG_GRACE_MS);
	return true;
}

/* Sends the first query that can be sent; with none left, a look at the
 * connection is due when it has been silent for so long. */
static void
pg_next(struct pg_link *k)
{
	struct pg_query *q;

	while ((q = TAILQ_FIRST(&k->queries)) != NULL && q->refused != ERR_OK) {
		pg_query_answer(pg_query_take(k), q->refused, q->refused == ERR_FULL ?
		    "PostgreSQL: too many queries wait" : "a value for PostgreSQL holds a NUL", NULL);
		if (k->freed)
			return;
	}
	if (k->state != PG_UP || k->sent != NULL)
		return; /* a callback was faster */
	if (q == NULL) {
		loop_timer_once(k->timer, (uint64_t)k->timeout_s * 1000);
		return;
	}
	if (pg_send(k, pg_query_take(k)))
		pg_watch(k);
}

/* The first failure of several statements is the one that counts. */
static bool
pg_keep_result(struct pg_link *k, PGresult *r)
{
	ExecStatusType s = PQresultStatus(r);
	bool copies = s == PGRES_COPY_IN || s == PGRES_COPY_OUT || s == PGRES_COPY_BOTH;

	if (k->result != NULL && PQresultStatus(k->result) == PGRES_FATAL_ERROR) {
		PQclear(r);
	} else {
		PQclear(k->result);
		k->result = r;
	}
	return !copies;
}

static void
pg_answer(struct pg_link *k)
{
	struct pg_query *q = k->sent;
	PGresult *r = k->result;
	ExecStatusType s = PQresultStatus(r);
	enum err e = ERR_OK;
	char *trouble = s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK || s == PGRES_EMPTY_QUERY ? NULL :
	    pg_result_trouble(r, &e);

	k->sent = NULL;
	k->result = NULL;
	pg_query_answer(q, e, trouble != NULL ? trouble : "", r);
	PQclear(r);
	mem_free(trouble);
}

static void
pg_take_notifications(struct pg_link *k)
{
	PGnotify *n;

	while (!k->freed && k->pg != NULL && (n = PQnotifies(k->pg)) != NULL) {
		if (k->on.notified != NULL)
			k->on.notified(k->arg, n->relname, str_of(n->extra));
		PQfreemem(n);
	}
}

/* Takes what has arrived. */
static void
pg_receive(struct pg_link *k)
{
	PGresult *r;

	if (PQconsumeInput(k->pg) == 0) {
		pg_down_by_libpq(k, "the connection is lost");
		return;
	}
	while (k->sent != NULL && PQisBusy(k->pg) == 0) {
		r = PQgetResult(k->pg);
		if (r == NULL && PQstatus(k->pg) == CONNECTION_BAD) {
			pg_down_by_libpq(k, "the connection is lost");
			return;
		}
		if (r == NULL)
			pg_answer(k);
		else if (!pg_keep_result(k, r))
			pg_down(k, mem_strdup("PostgreSQL: a query turned out to be a COPY"));
		if (k->freed || k->pg == NULL)
			return;
		if (k->sent == NULL && k->state == PG_UP)
			pg_next(k);
		if (k->freed || k->pg == NULL)
			return;
	}
	pg_take_notifications(k);
}

void
pg_poll_cb(void *arg, bool readable, bool writable)
{
	struct pg_link *k = arg;

	(void)writable; /* pg_watch flushes */
	if (k->state == PG_CONNECTING) {
		pg_connect_step(k);
		return;
	}
	if (readable)
		pg_receive(k);
	if (!k->freed && k->pg != NULL)
		pg_watch(k);
}

/* Reads always, writes while libpq holds bytes back. */
static void
pg_watch(struct pg_link *k)
{
	int left = PQflush(k->pg);

	if (left < 0)
		pg_down_by_libpq(k, "the connection is lost");
	else
		loop_poll_want(k->poll, true, left > 0);
}

/* ---- coming up ---- */

static void
pg_prepared_cb(void *arg, enum err e, const char *trouble, const struct pg_result *r)
{
	struct pg_link *k = arg;

	(void)r;
	if (e != ERR_OK) {
		pg_down(k, mem_strdup(trouble));
		return;
	}
	k->state = PG_UP;
	k->tries = 0;
	mem_free(k->trouble);
	k->trouble = NULL;
	if (k->on.up != NULL)
		k->on.up(k->arg);
}

/* The time limit is set in the session, not at its start: poolers refuse that. */
void
pg_prepare(struct pg_link *k)
{
	struct buf sql = BUF_INIT(0);
	struct pg_query *q;

	k->state = PG_PREPARING;
	buf_printf(&sql, "SET statement_timeout = %u", k->timeout_s * 1000);
	for (char **c = k->channels; *c != NULL; c++)
		buf_printf(&sql, "; LISTEN %s", *c);
	MEM_NEW(q);
	q->sql = buf_take(&sql);
	q->cb = pg_prepared_cb;
	q->arg = k;
	if (PQsetnonblocking(k->pg, 1) != 0) {
		k->sent = q;
		pg_down_by_libpq(k, "cannot be used without blocking");
	} else if (pg_send(k, q)) {
		pg_watch(k);
	}
}

/* ---- the link ---- */

static char **
pg_copy_channels(const char *const *channels)
{
	size_t n = 0;
	char **copy;

	while (channels != NULL && channels[n] != NULL)
		n++;
	copy = mem_zalloc((n + 1) * sizeof *copy);
	for (size_t i = 0; i < n; i++)
		copy[i] = mem_strdup(channels[i]);
	return copy;
}

struct pg_link *
pg_link_new(struct loop *l, const struct pg_options *o, const struct pg_events *on, void *arg)
{
	struct pg_link *k;

	MEM_NEW(k);
	k->loop = l;
	k->conninfo = mem_strdup(o->conninfo);
	k->password_file = mem_strdup(o->password_file);
	k->channels = pg_copy_channels(o->channels);
	k->timeout_s = o->timeout_s;
	k->on = *on;
	k->arg = arg;
	TAILQ_INIT(&k->queries);
	k->timer = loop_timer_new(l, pg_timer_cb, k);
	k->soon = loop_timer_new(l, pg_soon_cb, k);
	loop_timer_once(k->timer, 0);
	return k;
}

/* The struct stays until whoever called us from a callback is done with it. */
static void
pg_gone_cb(void *arg)
{
	mem_free(arg);
}

static void
pg_drop_queries(struct pg_link *k)
{
	struct pg_query *q;

	while ((q = TAILQ_FIRST(&k->queries)) != NULL) {
		TAILQ_REMOVE(&k->queries, q, link);
		pg_query_free(q);
	}
	if (k->sent != NULL)
		pg_query_free(k->sent);
	k->sent = NULL;
}

void
pg_link_free(struct pg_link *k)
{
	if (k == NULL)
		return;
	pg_close(k);
	pg_drop_queries(k);
	if (k->lookup != NULL)
		k->lookup->link = NULL;
	loop_timer_free(k->timer);
	loop_timer_free(k->soon);
	for (char **c = k->channels; *c != NULL; c++)
		mem_free(*c);
	mem_free(k->channels);
	mem_free(k->conninfo);
	mem_free(k->password_file);
	mem_free(k->trouble);
	k->trouble = NULL;
	k->freed = true;
	loop_defer(k->loop, pg_gone_cb, k);
}

const char *
pg_link_trouble(const struct pg_link *k)
{
	return k->trouble != NULL ? k->trouble : "";
}

bool
pg_link_up(const struct pg_link *k)
{
	return k->state == PG_UP;
}

