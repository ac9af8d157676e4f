/* SPDX-License-Identifier: MIT */
/* ingest: what the sessions share, and the journal's side of them: which record
 * belongs to whom until it is durable, acks, and reading no more while the disk
 * is behind. Records come back in the order they went, so a queue suffices to
 * find their session. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "flow/session_priv.h"

#define INGEST_BIG ((size_t)256 << 10)       /* bytes of a message that leave much memory behind */
#define INGEST_DOC_KEEP ((size_t)4 << 20)    /* bytes a parser keeps after one */
#define INGEST_SOURCES_MAX 64                /* unknown sources told to the operator */

struct ingest *
ingest_new(const struct ingest_options *o)
{
	struct ingest *g;

	MEM_NEW(g);
	g->loop = o->loop;
	g->engine = o->engine;
	g->journal = o->journal;
	LIST_INIT(&g->blob_waits);
	g->doc = json_doc_new();
	g->locked_doc = json_doc_new();
	g->unknown_sources = map_new();
	ingest_reconf(g, o->conf, o->rules, o->roster);
	return g;
}

void
ingest_reconf(struct ingest *g, const struct conf *conf, const struct ident_rules *rules,
    const struct roster *roster)
{
	g->conf = conf;
	g->rules = rules;
	g->roster = roster;
	for (struct session *s = g->sessions; s != NULL; s = s->next)
		if (s->identified && !s->deaf && !ident_still_fits(rules, roster, &s->ident))
			session_end(s, 1012, "identify again");
	ingest_opt_outs(g, roster);
}

void
ingest_free(struct ingest *g)
{
	if (g == NULL)
		return;
	for (; g->flights_n > 0; g->flights_n--, g->flights_at++)
		mem_free(g->flights[g->flights_at & (g->flights_cap - 1)].blob_key);
	session_blobs_free(g);
	while (g->sessions != NULL) {
		struct session *s = g->sessions;

		s->gone = true;
		s->in_flight = 0;
		s->touched = false;
		session_reap(s);
	}
	ingest_opt_outs_free(g);
	map_free(g->unknown_sources, NULL);
	buf_free(&g->spelling);
	buf_free(&g->head);
	buf_free(&g->scratch);
	buf_free(&g->reply);
	json_doc_free(g->doc);
	json_doc_free(g->locked_doc);
	mem_free(g->flights);
	mem_free(g);
}

void
ingest_trim(struct ingest *g, size_t n)
{
	if (n < INGEST_BIG)
		return;
	json_doc_trim(g->doc, INGEST_DOC_KEEP);
	buf_free(&g->spelling);
	buf_free(&g->scratch);
	buf_free(&g->reply);
}

void
ingest_unknown_source(struct ingest *g, struct str source)
{
	metric_add(METRIC_UNKNOWN_SOURCE, 1);
	if (map_size(g->unknown_sources) >= INGEST_SOURCES_MAX ||
	    map_put(g->unknown_sources, source, g) != NULL)
		return;
	log_notice("no reducer names this source: its events are kept, and seen by the reducers "
	    "of any source only source=%.*s", STR_ARG(source));
}

/* ---- into the journal ---- */

static void
ingest_fly(struct ingest *g, struct flight f)
{
	if (g->flights_n == g->flights_cap) {
		size_t cap = g->flights_cap > 0 ? 2 * g->flights_cap : 256;
		struct flight *wider = mem_alloc(cap * sizeof *wider);

		for (size_t i = 0; i < g->flights_n; i++)
			wider[i] = g->flights[(g->flights_at + i) & (g->flights_cap - 1)];
		mem_free(g->flights);
		g->flights = wider;
		g->flights_cap = cap;
		g->flights_at = 0;
	}
	g->flights[(g->flights_at + g->flights_n++) & (g->flights_cap - 1)] = f;
	f.session->in_flight++;
}

uint64_t
ingest_append(struct session *s, enum record_type type, const struct str *pieces, size_t n)
{
	struct ingest *g = s->ingest;

	g->last_seq = journal_append(g->journal, type, s->id, loop_wall_us(g->loop), pieces, n);
	ingest_fly(g, (struct flight){ .session = s, .seq = g->last_seq });
	return g->last_seq;
}

void
ingest_fetch(struct session *s, char *key)
{
	s->fetches++;
	ingest_fly(s->ingest, (struct flight){ s, s->ingest->last_seq, key });
}

void
ingest_pressure(struct session *s)
{
	struct journal *j = s->ingest->journal;
	bool stalled = journal_stalled(j);

	if (stalled && !s->told_retry)
		session_say_retry(s);
	if (s->paused || (!stalled && !journal_full(j)))
		return;
	s->paused = true;
	s->door->read(s->peer, false);
}

/* ---- out of the journal ---- */

void
ingest_touch(struct session *s)
{
	struct ingest *g = s->ingest;

	if (s->touched)
		return;
	s->touched = true;
	s->next_touched = g->touched;
	g->touched = s;
}

static void
ingest_land(struct session *s, const struct flight *f)
{
	s->in_flight--;
	if (f->blob_key != NULL) {
		s->fetches--;
		if (session_listens(s))
			session_answer_blob(s, f->blob_key);
		else
			mem_free(f->blob_key);
	}
	if (s->stream != NULL || s->ending)
		ingest_touch(s);
	session_reap(s);
}

void
ingest_record(struct ingest *g, const struct record *r)
{
	while (g->flights_n > 0) {
		struct flight f = g->flights[g->flights_at & (g->flights_cap - 1)];

		if (f.seq > r->seq)
			return;
		g->flights_at++;
		g->flights_n--;
		ingest_land(f.session, &f);
	}
}

/* One ack for all that this commit made durable. A session whose last word was
 * terminate closes once nothing of it is under way any more. */
void
ingest_settle(struct session *s)
{
	uint64_t durable = s->stream != NULL ? s->stream->durable : 0;

	if (!session_listens(s))
		return;
	if (durable > s->acked)
		session_say_ack(s);
	if (s->echo <= durable)
		s->echo = 0;
	if (s->ending && s->in_flight == 0 && s->echo == 0)
		session_close(s, s->end_code, s->end_reason);
	else if (s->echo > 0)
		ingest_touch(s);
}

void
ingest_commit(struct ingest *g)
{
	struct session *s = g->touched, *next;

	g->touched = NULL;
	for (; s != NULL; s = next) {
		next = s->next_touched;
		s->touched = false;
		ingest_settle(s);
		session_reap(s);
	}
}

void
ingest_stall(struct ingest *g)
{
	for (struct session *s = g->sessions; s != NULL; s = s->next)
		if (s->in_flight > 0 && !s->told_retry && session_listens(s))
			session_say_retry(s);
}

void
ingest_resume(struct ingest *g)
{
	if (journal_stalled(g->journal) || journal_full(g->journal))
		return;
	for (struct session *s = g->sessions; s != NULL; s = s->next) {
		s->told_retry = false;
		if (!s->paused)
			continue;
		s->paused = false;
		if (!s->gone)
			s->door->read(s->peer, true);
	}
}
