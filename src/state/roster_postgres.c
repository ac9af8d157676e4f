/* SPDX-License-Identifier: MIT */
/* roster_postgres: the roster in the tables of a PostgreSQL database
 * (docs/rosters.md). load, init and save run a link on a loop of their own and
 * return when it is done; watch keeps one on the daemon's loop that listens. */
#include <stdio.h>

#include "base/jsonw.h"
#include "base/log.h"
#include "base/mem.h"
#include "state/pg_link.h"
#include "state/roster_sql.h"

#define ROSTER_PG_BATCH ((size_t)1 << 20) /* bytes of rows in one statement */
#define ROSTER_PG_SETTLE_MS 100           /* a change seldom comes alone */

static bool
rosterpg_options(const struct roster_options *o, struct pg_options *out, char **why)
{
	if (o->conf == NULL || o->conf->postgres_conninfo == NULL) {
		*why = mem_strdup("the roster is in PostgreSQL, and postgres.conninfo does not say where");
		return false;
	}
	*out = (struct pg_options){
		.conninfo = o->conf->postgres_conninfo,
		.password_file = o->conf->postgres_password_file,
		.timeout_s = (unsigned)o->conf->postgres_timeout,
	};
	return true;
}

/* ---- a job: queries one after the other, until one fails ---- */

struct rosterpg_job {
	struct loop *loop;
	struct pg_link *link;
	struct roster_sql *q; /* of a load */
	size_t read;
	size_t batch_table;   /* of a save: rows of one table gathered as JSON */
	struct buf batch;
	struct jsonw json;
	size_t batch_rows;
	enum err e;
	char *why;
};

static void
rosterpg_fail(struct rosterpg_job *j, enum err e, const char *why)
{
	if (j->e == ERR_OK) {
		j->e = e;
		j->why = mem_strdup(why);
	}
	loop_stop(j->loop);
}

static void
rosterpg_down_cb(void *arg, const char *why)
{
	rosterpg_fail(arg, ERR_CLOSED, why);
}

static void
rosterpg_done_cb(void *arg, enum err e, const char *trouble, const struct pg_result *r)
{
	(void)r;
	if (e != ERR_OK)
		rosterpg_fail(arg, e, trouble);
}

static void
rosterpg_last_cb(void *arg, enum err e, const char *trouble, const struct pg_result *r)
{
	struct rosterpg_job *j = arg;

	rosterpg_done_cb(j, e, trouble, r);
	loop_stop(j->loop);
}

static bool
rosterpg_begin(struct rosterpg_job *j, const struct roster_options *o, char **why)
{
	static const struct pg_events on = { .down = rosterpg_down_cb };
	struct pg_options options;

	if (!rosterpg_options(o, &options, why))
		return false;
	*j = (struct rosterpg_job){ .loop = loop_new(), .batch = BUF_INIT(2 * ROSTER_PG_BATCH) };
	j->link = pg_link_new(j->loop, &options, &on, j);
	return true;
}

/* Runs what was asked, the last with rosterpg_last_cb. */
static enum err
rosterpg_end(struct rosterpg_job *j, char **why)
{
	loop_run(j->loop);
	pg_link_free(j->link);
	loop_free(j->loop);
	buf_free(&j->batch);
	if (j->e != ERR_OK)
		*why = j->why;
	return j->e;
}

/* ---- load ---- */

static void
rosterpg_rows_cb(void *arg, enum err e, const char *trouble, const struct pg_result *r)
{
	struct rosterpg_job *j = arg;
	size_t read = j->read++;
	struct str cells[ROSTER_SQL_COLUMNS];
	bool ok = true;

	rosterpg_done_cb(j, e, trouble, r);
	for (size_t i = 0; ok && e == ERR_OK && i < pg_rows(r); i++) {
		for (size_t k = 0; k < roster_sql_reads[read].columns; k++)
			cells[k] = pg_text(r, i, (int)k);
		ok = roster_sql_row(j->q, read, cells);
	}
	if (!ok)
		loop_stop(j->loop); /* q knows why */
}

/* All queries see the same moment. */
static struct roster *
rosterpg_load(const struct roster_options *o, char **why)
{
	struct rosterpg_job j;

	if (!rosterpg_begin(&j, o, why))
		return NULL;
	j.q = roster_sql_new(o, "PostgreSQL");
	pg_link_query(j.link, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL, 0,
	    rosterpg_done_cb, &j);
	for (size_t i = 0; i < roster_sql_n_reads; i++)
		pg_link_query(j.link, roster_sql_reads[i].sql, NULL, 0, rosterpg_rows_cb, &j);
	pg_link_query(j.link, "COMMIT", NULL, 0, rosterpg_last_cb, &j);
	if (rosterpg_end(&j, why) == ERR_OK)
		return roster_sql_take(j.q, why);
	roster_sql_free(j.q);
	return NULL;
}

/* ---- watch ---- */

struct roster_watch {
	struct pg_link *link;
	struct loop_timer *settle;
	loop_cb *changed;
	void *arg;
};

static void
rosterpg_settled_cb(void *arg)
{
	struct roster_watch *w = arg;

	w->changed(w->arg);
}

static void
rosterpg_changed(struct roster_watch *w)
{
	if (!loop_timer_armed(w->settle))
		loop_timer_once(w->settle, ROSTER_PG_SETTLE_MS);
}

/* What changed before it listened was not notified. */
static void
rosterpg_watch_up_cb(void *arg)
{
	log_info("roster watched backend=postgres");
	rosterpg_changed(arg);
}

static void
rosterpg_watch_down_cb(void *arg, const char *why)
{
	(void)arg;
	log_warning("roster not watched, the one loaded last stays why=\"%s\"", why);
}

static void
rosterpg_notified_cb(void *arg, const char *channel, struct str payload)
{
	(void)channel;
	(void)payload;
	rosterpg_changed(arg);
}

static struct roster_watch *
rosterpg_watch(struct loop *l, const struct roster_options *o, loop_cb *changed, void *arg,
    char **why)
{
	static const char *const channels[] = { ROSTER_SQL_CHANNEL, NULL };
	static const struct pg_events on = { rosterpg_watch_up_cb, rosterpg_watch_down_cb,
		rosterpg_notified_cb };
	struct pg_options options;
	struct roster_watch *w;

	if (!rosterpg_options(o, &options, why))
		return NULL;
	options.channels = channels;
	MEM_NEW(w);
	w->changed = changed;
	w->arg = arg;
	w->settle = loop_timer_new(l, rosterpg_settled_cb, w);
	w->link = pg_link_new(l, &options, &on, w);
	return w;
}

static void
rosterpg_close(struct roster_watch *w)
{
	if (w == NULL)
		return;
	pg_link_free(w->link);
	loop_timer_free(w->settle);
	mem_free(w);
}

/* ---- init and save ---- */

static enum err
rosterpg_init(const struct roster_options *o, char **why)
{
	struct rosterpg_job j;

	if (!rosterpg_begin(&j, o, why))
		return ERR_INVALID;
	pg_link_query(j.link, roster_sql_postgres, NULL, 0, rosterpg_last_cb, &j);
	return rosterpg_end(&j, why);
}

/* INSERT INTO t (a, b) SELECT a, b FROM json_to_recordset($1) AS r(a text, b text) */
static char *
rosterpg_insert_sql(const struct roster_sql_table *t)
{
	struct buf sql = BUF_INIT(0);

	buf_printf(&sql, "INSERT INTO %s (", t->name);
	for (int part = 0; part < 3; part++) {
		for (size_t i = 0; t->columns[i] != NULL; i++)
			buf_printf(&sql, "%s%s%s", i > 0 ? ", " : "", t->columns[i], part == 2 ? " text" : "");
		buf_z(&sql, part == 0 ? ") SELECT " : part == 1 ? " FROM json_to_recordset($1) AS r(" : ")");
	}
	return buf_take(&sql);
}

static void
rosterpg_send_batch(struct rosterpg_job *j)
{
	struct str rows;
	char *sql;

	if (j->batch_rows == 0)
		return;
	jsonw_array_end(&j->json);
	sql = rosterpg_insert_sql(&roster_sql_tables[j->batch_table]);
	rows = buf_view(&j->batch);
	pg_link_query(j->link, sql, &rows, 1, rosterpg_done_cb, j);
	mem_free(sql);
	buf_clear(&j->batch);
	j->batch_rows = 0;
}

static bool
rosterpg_save_row(void *arg, size_t table, const struct str *cells)
{
	struct rosterpg_job *j = arg;
	const struct roster_sql_table *t = &roster_sql_tables[table];

	if (table != j->batch_table || j->batch.len > ROSTER_PG_BATCH)
		rosterpg_send_batch(j);
	j->batch_table = table;
	if (j->batch_rows++ == 0) {
		j->json = jsonw_to(&j->batch);
		jsonw_array(&j->json);
	}
	jsonw_object(&j->json);
	for (size_t i = 0; t->columns[i] != NULL; i++)
		if (cells[i].p != NULL)
			jsonw_kstr(&j->json, t->columns[i], cells[i]);
	jsonw_object_end(&j->json);
	return true;
}

/* One transaction; who listens hears of it once. */
static enum err
rosterpg_save(const struct roster_options *o, const struct roster *r, char **why)
{
	struct rosterpg_job j;
	char sql[64];

	if (!rosterpg_begin(&j, o, why))
		return ERR_INVALID;
	pg_link_query(j.link, "BEGIN", NULL, 0, rosterpg_done_cb, &j);
	for (size_t i = roster_sql_n_tables; i-- > 0;) {
		snprintf(sql, sizeof sql, "DELETE FROM %s", roster_sql_tables[i].name);
		pg_link_query(j.link, sql, NULL, 0, rosterpg_done_cb, &j);
	}
	roster_sql_each(r, rosterpg_save_row, &j);
	rosterpg_send_batch(&j);
	pg_link_query(j.link, "COMMIT", NULL, 0, rosterpg_last_cb, &j);
	return rosterpg_end(&j, why);
}

const struct roster_backend roster_postgres = {
	.name = "postgres",
	.remote = true,
	.load = rosterpg_load,
	.watch = rosterpg_watch,
	.close = rosterpg_close,
	.init = rosterpg_init,
	.save = rosterpg_save,
};
