/* SPDX-License-Identifier: MIT */
/* session_world: what the tests of sessions share: a real engine and a real
 * journal in a folder of their own, clients that note what they are sent, and
 * what the journal held at the end. */
#ifndef LECTERN_TESTS_SESSION_WORLD_H
#define LECTERN_TESTS_SESSION_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <dirent.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "components/reducer.h"
#include "flow/record.h"
#include "flow/session.h"
#include "state/journal_priv.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define ORGANISATION "school.example"
#define TOKEN_KEY "0123456789abcdefghijklmnopqrstuv"
#define SENT_MAX 256
#define KEPT_MAX 4096

/* One durable record, copied. */
struct kept {
	struct record r;
	char *body;
	struct event_record event;
	struct session_record session;
};

struct world {
	char dir[64];
	struct conf conf;
	const char *methods[8];
	struct conf_opt_out opt_outs[8];
	struct ident_rules *rules;
	struct roster *roster;
	struct loop *loop;
	struct loop_timer *alive;
	struct engine *engine;
	struct journal *journal;
	struct ingest *ingest;
	struct kept kept[KEPT_MAX];
	size_t n_kept;
	uint64_t max_pending;
	unsigned stalls, resumes;
};

static struct world w;

/* One client. */
struct client {
	struct session *s;
	char *sent[SENT_MAX];
	size_t n_sent, looked_at;
	int code;     /* of the close asked for, 0: none */
	bool reading;
};

/* ---- the door ---- */

static inline void
client_send(void *peer, struct str json)
{
	struct client *c = peer;

	assert_int_equal(c->code, 0);
	assert_true(c->n_sent < SENT_MAX);
	c->sent[c->n_sent++] = mem_str(json);
}

static inline void
client_close(void *peer, int code, const char *reason)
{
	struct client *c = peer;

	assert_non_null(reason);
	assert_int_equal(c->code, 0);
	c->code = code;
}

static inline void
client_read(void *peer, bool on)
{
	struct client *c = peer;

	assert_true(c->reading != on);
	c->reading = on;
}

static const struct session_door client_door = { client_send, client_close, client_read };

static inline void
client_open(struct client *c)
{
	struct session_peer info = {
		.origin = STR_LIT("https://lms.example"),
		.agent = STR_LIT("Agent/1"),
		.ip = STR_LIT("192.0.2.7"),
	};

	*c = (struct client){ .reading = true };
	c->s = session_new(w.ingest, &client_door, c, &info);
}

/* The connection is lost; what was sent stays to be looked at. */
static inline void
client_lose(struct client *c)
{
	if (c->s != NULL)
		session_free(c->s);
	c->s = NULL;
}

static inline void
client_done(struct client *c)
{
	client_lose(c);
	for (size_t i = 0; i < c->n_sent; i++)
		mem_free(c->sent[i]);
	*c = (struct client){ 0 };
}

/* Gives the session a copy with exactly the padding promised, gone afterwards. */
static inline void
say_str(struct client *c, struct str text)
{
	char *copy = mem_alloc(text.n + JSON_PADDING);

	memcpy(copy, text.p, text.n);
	memset(copy + text.n, '"', JSON_PADDING);
	session_frame(c->s, (struct str){ copy, text.n });
	mem_free(copy);
}

static inline void
say(struct client *c, const char *text)
{
	say_str(c, str_of(text));
}

static inline void
sayf(struct client *c, const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	say(c, text);
}

/* The next message sent is this one. */
static inline void
hears(struct client *c, const char *text)
{
	if (c->looked_at == c->n_sent)
		fail_msg("heard nothing, not %s", text);
	if (strcmp(c->sent[c->looked_at], text) != 0)
		fail_msg("heard %s, not %s", c->sent[c->looked_at], text);
	c->looked_at++;
}

static inline void
hears_error(struct client *c, const char *code)
{
	char *start = mem_printf("{\"status\":\"error\",\"code\":\"%s\",\"message\":\"", code);

	if (c->looked_at == c->n_sent)
		fail_msg("heard nothing, not %s", code);
	if (!str_starts(str_of(c->sent[c->looked_at]), start))
		fail_msg("heard %s, not %s", c->sent[c->looked_at], code);
	c->looked_at++;
	mem_free(start);
}

static inline void
hears_nothing(struct client *c)
{
	if (c->looked_at != c->n_sent)
		fail_msg("heard %s", c->sent[c->looked_at]);
}

#define LOCK(fields) "{\"event\":\"lock_fields\",\"fields\":{" fields "}}"
#define WRITING "\"source\":\"org.mitros.writing_analytics\""

#define HEARS_AUTH(c, user) hears(c, "{\"status\":\"auth\",\"user_id\":\"testcase-" user \
	"\",\"safe_user_id\":\"tc-testcase-" user "\",\"sec\":\"unauthenticated\"}")

/* A client that has said who it is and what it sends. */
static inline void
client_known(struct client *c, const char *user, const char *source, const char *more)
{
	client_open(c);
	sayf(c, "{\"event\":\"lock_fields\",\"fields\":{\"source\":\"%s\",\"user_id\":\"%s\"%s}}",
	    source, user, more);
	c->looked_at = c->n_sent;
}

/* ---- the journal ---- */

static inline void
world_record_cb(void *arg, const struct record *r)
{
	struct kept *k = &w.kept[w.n_kept++];
	struct str body = { NULL, r->body.n };

	(void)arg;
	assert_true(w.n_kept < KEPT_MAX);
	k->r = *r;
	body.p = k->body = mem_dup(r->body.p, r->body.n);
	if (r->type == RECORD_EVENT)
		assert_int_equal(event_record_read(body, &k->event), ERR_OK);
	else if (r->type == RECORD_SESSION)
		assert_int_equal(session_record_read(body, &k->session), ERR_OK);
	engine_record(w.engine, r);
	ingest_record(w.ingest, r);
}

static inline void
world_commit_cb(void *arg)
{
	(void)arg;
	ingest_commit(w.ingest);
}

static inline void
world_stall_cb(void *arg)
{
	(void)arg;
	w.stalls++;
	ingest_stall(w.ingest);
}

static inline void
world_resume_cb(void *arg)
{
	(void)arg;
	w.resumes++;
	ingest_resume(w.ingest);
}

static inline void
world_stop_cb(void *arg)
{
	(void)arg;
	loop_stop(w.loop);
}

/* Runs until all that was appended is durable and told. */
static inline void
settle(void)
{
	journal_drain(w.journal, world_stop_cb, NULL);
	loop_run(w.loop);
}

/* Runs one turn: what gathered is on its way to the disk when it returns. */
static inline void
turn(void)
{
	loop_defer(w.loop, world_stop_cb, NULL);
	loop_run(w.loop);
}

/* The i-th kept record of this type, from 0; NULL when there are fewer. */
static inline struct kept *
kept(enum record_type type, size_t i)
{
	for (size_t k = 0; k < w.n_kept; k++)
		if (w.kept[k].r.type == type && i-- == 0)
			return &w.kept[k];
	return NULL;
}

static inline size_t
kept_count(enum record_type type)
{
	size_t n = 0;

	while (kept(type, n) != NULL)
		n++;
	return n;
}

/* The i-th event is kept with this text. */
static inline void
keeps(size_t i, const char *text)
{
	struct kept *k = kept(RECORD_EVENT, i);

	if (k == NULL)
		fail_msg("not kept: %s", text);
	if (!str_is(k->event.json, text))
		fail_msg("kept %.*s, not %s", STR_ARG(k->event.json), text);
}

/* JSON of a state, or "" when there is none; valid until the next call. */
static inline const char *
state_of(const char *key)
{
	static char last[4096];
	struct state *s = engine_state(w.engine, str_of(key));
	struct buf out = BUF_INIT(0);

	if (s != NULL)
		engine_encode(s, &out);
	snprintf(last, sizeof last, "%.*s", STR_ARG(buf_view(&out)));
	buf_free(&out);
	return last;
}

/* ---- begin and end ---- */

static inline struct engine *
world_engine(void)
{
	struct engine_options o = { .reducers = component_reducers(),
		.pseudonym_key = STR_LIT(TOKEN_KEY) };
	char *why = NULL;
	struct engine *e = engine_new(&o, &why);

	if (e == NULL)
		fail_msg("%s", why);
	return e;
}

static inline void
world_alive_cb(void *arg)
{
	(void)arg;
}

static inline void
world_journal(void)
{
	struct journal_options o = {
		.dir = w.dir, .organisation = ORGANISATION,
		.segment_size = 1 << 20, .max_pending = w.max_pending
	};
	struct journal_listener on = {
		world_record_cb, world_commit_cb, world_stall_cb, world_resume_cb, NULL
	};
	struct journal_reader replay = { .record = engine_record, .arg = w.engine };
	struct journal_summary sum;
	char *why = NULL;

	w.journal = journal_open(w.loop, &o, 0, &replay, &sum, &why);
	if (w.journal == NULL)
		fail_msg("%s", why);
	journal_listen(w.journal, &on);
}

/* Methods and limits as w.conf and w.methods say. */
static inline void
world_rules(void)
{
	struct ident_rules *old = w.rules;
	char *key = mem_printf("%s/key", w.dir), *why = NULL;
	FILE *f = fopen(key, "w");

	assert_non_null(f);
	assert_true(fputs(TOKEN_KEY "\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(key, 0600), 0);
	w.conf.token_key_file = key;
	w.conf.methods.v = (char **)w.methods;
	for (w.conf.methods.n = 0; w.methods[w.conf.methods.n] != NULL;)
		w.conf.methods.n++;
	w.rules = ident_rules_new(&w.conf, &why);
	if (w.rules == NULL)
		fail_msg("%s", why);
	w.conf.token_key_file = NULL;
	if (w.ingest != NULL)
		ingest_reconf(w.ingest, &w.conf, w.rules, w.roster);
	ident_rules_free(old);
	unlink(key);
	mem_free(key);
}

static inline int
world_new(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct ingest_options o;
	(void)state;

	w = (struct world){ .max_pending = 1 << 20 };
	w.conf = (struct conf){ .held_events = 64, .held_bytes = 256 << 10 };
	w.methods[0] = "testcase_auth";
	snprintf(w.dir, sizeof w.dir, "%.30s/lectern-session-XXXXXX", tmp ? tmp : "/tmp");
	if (mkdtemp(w.dir) == NULL)
		return -1;
	memset(metric_value, 0, sizeof metric_value);
	log_set_level(LOG_ERROR);
	w.loop = loop_new();
	w.alive = loop_timer_new(w.loop, world_alive_cb, NULL);
	loop_timer_every(w.alive, 3600000);
	w.engine = world_engine();
	world_journal();
	world_rules();
	o = (struct ingest_options){ w.loop, w.engine, w.journal, &w.conf, w.rules,
	    w.roster };
	w.ingest = ingest_new(&o);
	return 0;
}

/* The journal as it stands on disk, folded into a new engine, gives the same
 * states. */
static inline void
world_replay(void)
{
	struct engine *again = world_engine();
	struct journal_reader reader = { .record = engine_record, .arg = again };
	struct journal_summary sum;
	char live[65], replayed[65], *why = NULL;

	if (journal_read(w.dir, ORGANISATION, 0, &reader, &sum, &why) != ERR_OK)
		fail_msg("%s", why);
	engine_digest(w.engine, live);
	engine_digest(again, replayed);
	assert_string_equal(live, replayed);
	engine_free(again);
}

static inline void
world_empty_dir(void)
{
	DIR *d = opendir(w.dir);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		closedir(d);
	rmdir(w.dir);
}

/* Every test ends with all durable, replayable, and nothing left of sessions
 * but what the test kept open. */
static inline int
world_free(void **state)
{
	(void)state;
	settle();
	world_replay();
	assert_int_equal(metric_value[METRIC_HELD], 0);
	ingest_free(w.ingest);
	journal_close(w.journal);
	engine_free(w.engine);
	ident_rules_free(w.rules);
	roster_free(w.roster);
	loop_timer_free(w.alive);
	loop_free(w.loop);
	for (size_t i = 0; i < w.n_kept; i++)
		mem_free(w.kept[i].body);
	world_empty_dir();
	return 0;
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_new, world_free)

#endif
