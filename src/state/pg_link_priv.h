/* SPDX-License-Identifier: MIT */
/* pg_link_priv: what the files of pg_link share: pg_link.c (the states, queries),
 * pg_link_dial.c (names, conninfo, coming up) and pg_link_text.c (words, rows). */
#ifndef LECTERN_STATE_PG_LINK_PRIV_H
#define LECTERN_STATE_PG_LINK_PRIV_H

#include <libpq-fe.h>
#include <sys/queue.h>

#include "state/pg_link.h"

enum pg_state { PG_STARTING, PG_WAITING, PG_RESOLVING, PG_CONNECTING, PG_PREPARING, PG_UP };

struct pg_query {
	TAILQ_ENTRY(pg_query) link;
	char *sql, *params[PG_PARAMS_MAX];
	size_t n_params;
	enum err refused; /* why it will not be sent */
	pg_query_cb *cb;
	void *arg;
};

TAILQ_HEAD(pg_queries, pg_query);

/* A name being looked up; survives its link. */
struct pg_lookup {
	struct pg_link *link; /* NULL when that is gone */
	char *host;
	struct buf hosts, addresses; /* lists of the same length, as libpq wants them */
	int error;
};

struct pg_link {
	struct loop *loop;
	char *conninfo, *password_file;
	char **channels; /* ended by NULL */
	unsigned timeout_s;
	struct pg_events on;
	void *arg;
	enum pg_state state;
	PGconn *pg;
	struct loop_poll *poll;
	struct loop_timer *timer, *soon; /* soon: refuses what waits, from the loop */
	struct pg_lookup *lookup;
	struct pg_queries queries;
	size_t n_queries;
	struct pg_query *sent; /* on its way, not in queries any more */
	PGresult *result;      /* of it, as far as it is there */
	unsigned tries;
	char *trouble;
	bool freed;
};

struct pg_result {
	PGresult *pg;
};

/* One line of at most PG_TROUBLE_MAX bytes; mem_free it. */
#define PG_TROUBLE_MAX 1024
char *pg_one_line(const char *text);
/* What a failed result says and what to do, without values of rows; mem_free it. */
char *pg_result_trouble(const PGresult *r, enum err *e);

/* Makes the next attempt to connect. */
void pg_attempt(struct pg_link *k);
/* A step of the connection that is being made: its socket is ready. */
void pg_connect_step(struct pg_link *k);
/* The connection stands: sets the session up and then calls on.up. */
void pg_prepare(struct pg_link *k);
/* Closes what there is, fails the queries and waits for the next attempt. Takes
 * why. The link may be freed after it. */
void pg_down(struct pg_link *k, char *why);
void pg_down_by_libpq(struct pg_link *k, const char *doing);
void pg_poll_cb(void *arg, bool readable, bool writable);

#endif
