/* SPDX-License-Identifier: MIT */
/* An engine that lets its students go to a store, which can be told to misbehave, and one beside it that keeps all,
 * for comparison; both fold the same records. */
#ifndef LECTERN_TESTS_COLD_WORLD_H
#define LECTERN_TESTS_COLD_WORLD_H

#include <unistd.h>

#include "base/loop.h"
#include "flow/cold.h"
#include "flow/keep.h"
#include "state/kvs.h"
#include "tests/contract/kvs_fault.h"
#include "tests/unit/fold_reducers.h"

#define COLD_DEADLINE_MS 60000
#define COLD_RECORDS_MAX 20000

/* Grows by so much with each event. */
#define COLD_BLOAT ((size_t)35 << 20)

static inline void
cold_bloat_encode(const void *state, struct jsonw *w)
{
	size_t n = (size_t)((const struct tally *)state)->n * COLD_BLOAT;
	char *text = mem_alloc(n);

	memset(text, 'x', n);
	jsonw_str(w, (struct str){ text, n });
	mem_free(text);
}

static inline bool
cold_bloat_decode(void *state, struct json v)
{
	struct str s;

	if (!json_str(v, &s))
		return false;
	((struct tally *)state)->n = (int64_t)(s.n / COLD_BLOAT);
	return true;
}

static const struct reducer cold_bloat = { REDUCER_HEADER, .id = "t.bloat", .version = 1,
	.events = { "bloat" }, .size = sizeof(struct tally), .reduce = tally_steady_reduce,
	.encode = cold_bloat_encode, .decode = cold_bloat_decode };

/* A producer's: its states are texts. */
static void
cold_text_encode(const void *state, struct jsonw *w)
{
	jsonw_raw(w, buf_view(&((const struct names *)state)->all));
}

static bool
cold_text_decode(void *state, struct str json)
{
	struct names *s = state;

	buf_clear(&s->all);
	return buf_str(&s->all, json) == ERR_OK;
}

static const struct reducer cold_external = { REDUCER_HEADER, .id = "x.out", .version = 1,
	.external = true, .size = sizeof(struct names), .encode = cold_text_encode,
	.decode_text = cold_text_decode, .fini = names_fini };
static const struct reducer *const cold_reducers[] = { &any, &doc, &owner, &pair, &hidden,
	&cold_bloat, &cold_external, NULL };

struct cold_entry_kept {
	uint8_t kind;
	struct buf key, value;
};

static struct {
	struct loop *loop;
	struct kvs *kvs;
	char dir[40], *file;     /* what it has flushed */
	struct engine *all;      /* keeps everything */
	struct engine *e;
	struct keep *keep;
	size_t limit;
	struct record record[COLD_RECORDS_MAX];
	size_t n;                /* so many there are; their seqs are 1, 2, ... */
	unsigned rebuilds, spreads;
	bool rebuild_fails, given_up;
	unsigned refusals;       /* so many times nothing can be folded anew */
	void (*meanwhile)(void); /* once, while states are folded anew */
} cw;

/* ---- records ---- */

static inline uint64_t
cw_record(enum record_type type, uint64_t session, struct str body)
{
	struct record *r = &cw.record[cw.n++];
	char *copy = mem_zalloc(body.n + JSON_PADDING);

	assert_true(cw.n < COLD_RECORDS_MAX);
	if (body.n > 0)
		memcpy(copy, body.p, body.n);
	*r = (struct record){ .seq = cw.n, .session = session ? session : cw.n, .type = type,
		.time_us = RIG_T0 + (int64_t)cw.n * RIG_SECOND, .body = { copy, body.n } };
	engine_record(cw.all, r);
	engine_record(cw.e, r);
	return cw.n;
}

/* What a known session states anew, or a new one (0). */
static inline uint64_t
cw_says(uint64_t session, const char *student)
{
	struct session_record s = rig_student(student);
	struct buf body = BUF_INIT(0);
	uint64_t id;

	s.stream = STR_LIT("x");
	session_record_write(&body, &s);
	id = cw_record(RECORD_SESSION, session, buf_view(&body));
	buf_free(&body);
	return id;
}

static inline uint64_t
cw_session(const char *student)
{
	return cw_says(0, student);
}

/* What a producer folded of everything so far. */
static inline void
cw_publish(const char *student, const char *json)
{
	struct buf body = BUF_INIT(0);

	state_record_write(&body, &(struct state_record){ .reducer = STR_LIT("x.out"),
		.student = str_of(student), .scope = STR_LIT(""), .folded = cw.n, .time_us = RIG_T0,
		.json = str_of(json) });
	cw_record(RECORD_STATE, 0, buf_view(&body));
	buf_free(&body);
}

static inline void
cw_event(uint64_t session, struct rig_event ev)
{
	struct buf body = BUF_INIT(0);

	event_record_head(&body, &(struct event_record){
		.name = str_of(ev.name != NULL ? ev.name : "save"), .source = str_of(ev.source),
		.doc_id = str_of(ev.doc_id), .stream_seq = ev.stream_seq });
	buf_z(&body, ev.json != NULL ? ev.json : "{}");
	cw_record(RECORD_EVENT, session, buf_view(&body));
	buf_free(&body);
}

static inline void
cw_end(uint64_t session)
{
	cw_record(RECORD_SESSION_END, session, (struct str){ 0 });
}

/* A student comes, does n things in this document and leaves. */
static inline void
cw_visit(const char *student, const char *doc_id, unsigned n)
{
	uint64_t session = cw_session(student);

	while (n-- > 0)
		cw_event(session, (struct rig_event){ .doc_id = doc_id });
	cw_end(session);
}

/* ---- the journal wins ---- */

static inline bool
cw_only_cb(void *arg, struct str student)
{
	(void)arg;
	return cold_is_rebuilding(cw.e, student);
}

static inline void
cw_entry_cb(void *arg, uint8_t kind, struct str key, struct str value)
{
	enum err *e = arg;

	if (*e == ERR_OK)
		*e = cold_rebuild_entry(cw.e, kind, key, value);
}

static inline void
cw_rebuilt_cb(void *arg)
{
	struct engine_options o = { .reducers = cold_reducers, .pseudonym_key = RIG_KEY,
		.only = cw_only_cb };
	char *why = NULL;
	struct engine *anew = engine_new(&o, &why);
	enum err e = ERR_OK;
	size_t until = (uintptr_t)arg;

	for (size_t i = 0; i < until; i++)
		engine_record(anew, &cw.record[i]);
	if (!cw.rebuild_fails)
		engine_save(anew, cw_entry_cb, &e);
	assert_int_equal(e, ERR_OK);
	engine_free(anew);
	keep_rebuilt(cw.keep, until, !cw.rebuild_fails);
	cw.rebuild_fails = false;
}

static inline bool
cw_rebuild_cb(void *arg)
{
	(void)arg;
	if (cw.refusals > 0) {
		cw.refusals--;
		return false;
	}
	cw.rebuilds++;
	loop_defer(cw.loop, cw_rebuilt_cb, (void *)(uintptr_t)cw.n);
	if (cw.meanwhile != NULL)
		cw.meanwhile();
	cw.meanwhile = NULL;
	return true;
}

static inline void
cw_spread_cb(void *arg)
{
	(void)arg;
	cw.spreads++;
	engine_changed(cw.e);
}

/* ---- life ---- */

static inline struct engine *
cw_engine(bool cold)
{
	struct engine_options o = { .reducers = cold_reducers, .pseudonym_key = RIG_KEY,
		.cold = cold };
	char *why = NULL;

	return engine_new(&o, &why);
}

static inline void
cw_keep(void)
{
	struct keep_options o = { .loop = cw.loop, .engine = cw.e, .kvs = cw.kvs,
		.limit = cw.limit, .hurry = 50, .spread = cw_spread_cb, .rebuild = cw_rebuild_cb };

	engine_forget_sessions(cw.e);
	cw.keep = keep_new(&o);
	cw.spreads = 0;
}

static inline void
cw_store(void)
{
	struct kvs_options o = { .loop = cw.loop, .file = cw.file };
	char *why = NULL;

	cw.kvs = kvs_open_as(&kvs_fault_backend, &o, &why);
	if (cw.kvs == NULL)
		fail_msg("%s", why);
}

static inline void
cw_start(size_t limit)
{
	log_set_level(LOG_ERROR);
	kvs_fault_now = (struct kvs_fault){ .backend = "memory", .seed = 1 };
	snprintf(cw.dir, sizeof cw.dir, "/tmp/test-cold.XXXXXX");
	assert_non_null(mkdtemp(cw.dir));
	cw.file = mem_printf("%s/states", cw.dir);
	cw.loop = loop_new();
	cw_store();
	cw.all = cw_engine(false);
	cw.e = cw_engine(true);
	cw.limit = limit;
	cw_keep();
}

static inline int
cw_stop(void **state)
{
	(void)state;
	keep_free(cw.keep);
	engine_free(cw.e);
	engine_free(cw.all);
	kvs_close(cw.kvs);
	loop_free(cw.loop);
	unlink(cw.file);
	assert_int_equal(rmdir(cw.dir), 0);
	mem_free(cw.file);
	for (size_t i = 0; i < cw.n; i++)
		mem_free((char *)cw.record[i].body.p);
	memset(&cw, 0, sizeof cw);
	return 0;
}

/* The daemon is killed, with this snapshot, and starts: what came behind the snapshot
 * is read from the journal; the store has what it flushed. */
static inline void
cw_restart(const struct rig_saved *s, uint64_t position)
{
	keep_free(cw.keep);
	kvs_close(cw.kvs);
	cw_store();
	engine_free(cw.e);
	cw.e = cw_engine(true);
	if (s != NULL) {
		assert_int_equal(rig_load(cw.e, s, s->n), ERR_OK);
		engine_loaded(cw.e, position);
	}
	for (size_t i = 0; i < cw.n; i++)
		engine_record(cw.e, &cw.record[i]);
	cw_keep();
}

/* ---- waiting ---- */

static inline void
cw_give_up_cb(void *arg)
{
	(void)arg;
	fail_msg("waited in vain");
}

static inline void
cw_look_cb(void *arg)
{
	bool (*cond)(void) = *(bool (**)(void))arg;

	if (cond())
		loop_stop(cw.loop);
}

/* Runs the loop until cond. */
static inline void
cw_until(bool (*cond)(void))
{
	struct loop_timer *look = loop_timer_new(cw.loop, cw_look_cb, &cond);
	struct loop_timer *end = loop_timer_new(cw.loop, cw_give_up_cb, NULL);

	loop_timer_every(look, 1);
	loop_timer_once(end, COLD_DEADLINE_MS);
	if (!cond())
		loop_run(cw.loop);
	loop_timer_free(look);
	loop_timer_free(end);
}

static inline bool
cw_is_within(void)
{
	return cold_hot(cw.e) <= cw.limit && cold_waiting(cw.e) == 0;
}

/* Everything is stored, and who may go is gone. */
static inline void
cw_settle(void)
{
	engine_changed(cw.e);
	keep_flush(cw.keep);
	cw_until(cw_is_within);
}

static inline bool
cw_nobody_waits(void)
{
	return cold_waiting(cw.e) == 0;
}

/* ---- comparing ---- */

static inline void
cw_assert_digest(void)
{
	char want[65], got[65];

	engine_digest(cw.all, want);
	engine_digest(cw.e, got);
	assert_string_equal(want, got);
}

static inline void
cw_warm_cb(void *arg)
{
	*(bool *)arg = true;
}

static bool cw_warm_done;

static inline bool
cw_is_warm(void)
{
	return cw_warm_done;
}

/* Has the student's states fetched and compares them. */
static inline void
cw_assert_student(const char *id)
{
	const struct student *want = engine_student(cw.all, str_of(id));
	struct student *got = engine_student(cw.e, str_of(id));
	struct cold_wait *w = cold_wait_new(cw.e);
	struct buf a = BUF_INIT(0), b = BUF_INIT(0);

	cold_wait_calls(w, cw_warm_cb, &cw_warm_done);
	cold_wait_for(w, got);
	cw_warm_done = cold_wait_over(w);
	cw_until(cw_is_warm);
	assert_int_equal(got->n_states, want->n_states);
	for (const struct state *s = want->states; s != NULL; s = s->of_student) {
		const struct state *t = engine_state(cw.e, str_of(s->key));

		assert_non_null(t);
		buf_clear(&a);
		buf_clear(&b);
		engine_encode(s, &a);
		engine_encode(t, &b);
		assert_true(str_eq(buf_view(&a), buf_view(&b)));
		assert_int_equal(s->seq, t->seq);
		assert_int_equal(s->position, t->position);
		assert_int_equal(s->time_us, t->time_us);
		assert_int_equal(s->sec, t->sec);
	}
	cold_wait_free(w);
	buf_free(&a);
	buf_free(&b);
}

#endif
