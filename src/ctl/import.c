/* SPDX-License-Identifier: MIT */
/* ctl/import: takes the states of an existing Learning Observer over, from its
 * Redis or from a dump of it. They become records of the journal, which so stays
 * the whole truth. Learning Observer's keys: Internal,<reducer>,EventField.<name>:
 * <value>,...,STUDENT:<id> with the values as they are, not escaped. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/crypt.h"
#include "base/log.h"
#include "base/mem.h"
#include "ctl/kvs.h"
#include "flow/engine.h"
#include "flow/producer.h"
#include "state/key.h"

#define IMPORT_FIELD ",EventField."
#define IMPORT_STUDENT ",STUDENT:"
#define IMPORT_PENDING ((size_t)32 << 20) /* bytes that wait for the disk */

/* What became of a key. */
#define IMPORT_MAP(X)                                                        \
	X(IMPORT_TAKEN, "taken")                                             \
	X(IMPORT_KEPT, "kept: the journal has a state of this key already")  \
	X(IMPORT_OTHER, "left out: no reducer of ours has such keys")        \
	X(IMPORT_EXTERNAL, "left out: a producer publishes these states")    \
	X(IMPORT_EMPTY, "left out: without a value")                         \
	X(IMPORT_LARGE, "left out: larger than a state may be")              \
	X(IMPORT_UNREAD, "left out: not a value of our reducer's")           \
	X(IMPORT_FOREIGN, "left out: not an Internal state")

enum import_result {
#define IMPORT_ENUM(sym, text) sym,
	IMPORT_MAP(IMPORT_ENUM)
#undef IMPORT_ENUM
	IMPORT_COUNT
};

static const char *const import_texts[] = {
#define IMPORT_TEXT(sym, text) text,
	IMPORT_MAP(IMPORT_TEXT)
#undef IMPORT_TEXT
};

struct import {
	const struct conf *conf;
	struct loop *loop;
	char *key;               /* the organisation's */
	struct producers *producers;
	struct engine *engine;   /* what the journal holds */
	struct journal *journal;
	bool dry, drained;
	struct buf name, scope, body;
	struct map *taken;       /* keys, so that none is taken twice */
	uint64_t n[IMPORT_COUNT];
};

/* A key taken apart. */
struct import_key {
	const struct reducer *reducer;
	struct str student;
	struct key_field fields[REDUCER_SCOPE_MAX];
	size_t n;
};

/* ---- keys ---- */

/* Takes `text` off the front. */
static bool
import_skip(struct str *s, const char *text)
{
	size_t n = strlen(text);

	if (!str_starts(*s, text))
		return false;
	*s = (struct str){ s->p + n, s->n - n };
	return true;
}

/* Takes what stands before the last `mark` off the front: values may hold commas,
 * and what comes after is never part of one. */
static bool
import_before(struct str *s, const char *mark, struct str *out)
{
	size_t n = strlen(mark);

	for (size_t i = s->n >= n ? s->n - n + 1 : 0; i-- > 0;)
		if (memcmp(s->p + i, mark, n) == 0) {
			*out = (struct str){ s->p, i };
			*s = (struct str){ s->p + i, s->n - i };
			return true;
		}
	return false;
}

static bool
import_fields(struct import_key *k, const struct reducer *r, struct str rest)
{
	char next[256];

	for (k->n = 0; r->scope[k->n] != NULL; k->n++) {
		struct key_field *f = &k->fields[k->n];

		f->name = r->scope[k->n];
		if (!import_skip(&rest, IMPORT_FIELD) || !import_skip(&rest, f->name) ||
		    !import_skip(&rest, ":"))
			return false;
		if (r->scope[k->n + 1] == NULL)
			snprintf(next, sizeof next, IMPORT_STUDENT);
		else
			snprintf(next, sizeof next, IMPORT_FIELD "%s:", r->scope[k->n + 1]);
		if (!import_before(&rest, next, &f->value) || f->value.n == 0 ||
		    f->value.n > ENGINE_SCOPE_VALUE_MAX || str_is(f->value, "None"))
			return false;
	}
	k->student = rest;
	return import_skip(&k->student, IMPORT_STUDENT) && k->student.n > 0 &&
	    k->student.n <= IDENT_ID_MAX && memchr(k->student.p, '\0', k->student.n) == NULL;
}

static bool
import_key(const struct import *m, struct str key, struct import_key *out)
{
	const struct reducer *const *r = engine_reducers(m->engine);

	for (; *r != NULL; r++) {
		struct str rest = key;

		if (import_skip(&rest, CTL_KVS_STATES) &&
		    import_skip(&rest, (*r)->key_id != NULL ? (*r)->key_id : (*r)->id) &&
		    import_fields(out, *r, rest)) {
			out->reducer = *r;
			return true;
		}
	}
	return false;
}

/* ---- states ---- */

static void
import_write(struct import *m, const struct import_key *k, struct str json)
{
	struct state_record sr = { .reducer = str_of(k->reducer->id), .student = k->student,
		.time_us = loop_wall_us(m->loop), .sec = SEC_UNAUTHENTICATED, .json = json };

	buf_clear(&m->scope);
	for (size_t i = 0; i < k->n; i++) {
		if (i > 0)
			buf_byte(&m->scope, ',');
		key_escape(&m->scope, k->fields[i].value);
	}
	sr.scope = buf_view(&m->scope);
	buf_clear(&m->body);
	state_record_write(&m->body, &sr);
	if (!m->dry)
		journal_append(m->journal, RECORD_STATE, 0, sr.time_us,
		    (struct str[]){ buf_view(&m->body) }, 1);
}

static enum import_result
import_state(struct import *m, struct str key, struct str json)
{
	struct import_key k;

	if (!str_starts(key, CTL_KVS_STATES))
		return IMPORT_FOREIGN;
	if (engine_state(m->engine, key) != NULL)
		return IMPORT_KEPT; /* written by us, perhaps with %XX in it */
	if (!import_key(m, key, &k))
		return IMPORT_OTHER;
	if (k.reducer->external)
		return IMPORT_EXTERNAL;
	buf_clear(&m->name);
	key_write(&m->name, k.reducer->key_id != NULL ? k.reducer->key_id : k.reducer->id, k.student,
	    k.fields, k.n);
	if (engine_state(m->engine, buf_view(&m->name)) != NULL || map_get(m->taken, buf_view(&m->name)))
		return IMPORT_KEPT;
	if (json.n == 0 || str_is(json, "null") || str_is(json, "{}"))
		return IMPORT_EMPTY;
	if (json.n > KVS_VALUE_MAX)
		return IMPORT_LARGE;
	if (!engine_reads(m->engine, k.reducer, json))
		return IMPORT_UNREAD;
	map_put(m->taken, buf_view(&m->name), m);
	import_write(m, &k, json);
	return IMPORT_TAKEN;
}

static void
import_drained_cb(void *arg)
{
	((struct import *)arg)->drained = true;
}

static void
import_turn_cb(void *arg)
{
	(void)arg;
}

/* Waits until the journal has everything; false when the disk does not take it. */
static bool
import_drain(struct import *m)
{
	m->drained = false;
	journal_drain(m->journal, import_drained_cb, m);
	while (!m->drained && !journal_stalled(m->journal)) {
		loop_defer(m->loop, import_turn_cb, m); /* blocks begin at the end of a turn */
		loop_run(m->loop);
	}
	if (!m->drained)
		fputs("lecternctl: the disk does not take the journal's records\n", stderr);
	return m->drained;
}

static bool
import_pair_cb(void *arg, struct str key, struct str value)
{
	struct import *m = arg;
	enum import_result r = import_state(m, key, value);

	m->n[r]++;
	if (r != IMPORT_TAKEN && r != IMPORT_FOREIGN)
		printf("%.*s: %s\n", STR_ARG(key), import_texts[r]);
	return !journal_full(m->journal) || import_drain(m);
}

/* ---- from Redis ---- */

struct import_scan {
	struct import *m;
	struct ctl_kvs *k;
	bool failed;
};

static void
import_scan_cb(void *arg, enum err e, struct str key, struct str value)
{
	struct import_scan *s = arg;

	if (key.p != NULL) {
		s->failed |= !import_pair_cb(s->m, key, value);
		return;
	}
	s->k->over = true;
	s->k->result = e;
	loop_stop(s->k->loop);
}

static int
import_redis(struct import *m)
{
	struct ctl_kvs k;
	struct import_scan s = { .m = m, .k = &k };
	int status = ctl_kvs_open(&k, m->conf, "redis", true);

	if (status == EX_OK) {
		kvs_scan(k.kvs, STR_LIT(CTL_KVS_STATES), import_scan_cb, &s);
		status = ctl_kvs_wait(&k);
	}
	ctl_kvs_close(&k);
	return status == EX_OK && s.failed ? EX_IOERR : status;
}

/* ---- the journal ---- */

static bool
import_open(struct import *m, char **why)
{
	char *dir = mem_printf("%s/journal", m->conf->state_dir);
	struct journal_options o = { .dir = dir, .organisation = m->conf->organisation,
		.segment_size = (uint64_t)m->conf->segment_size, .max_pending = IMPORT_PENDING };
	struct journal_reader replay = { .record = engine_record };
	struct engine_options eo = { 0 };
	struct journal_summary sum;

	m->key = crypt_secret_read(m->conf->key_file, why);
	if (m->key != NULL)
		m->producers = producers_new(m->conf, why);
	if (m->producers != NULL) {
		eo.reducers = producers_reducers(m->producers);
		eo.pseudonym_key = str_of(m->key);
		m->engine = engine_new(&eo, why);
	}
	replay.arg = m->engine;
	if (m->engine != NULL)
		m->journal = journal_open(m->loop, &o, 0, &replay, &sum, why);
	mem_free(dir);
	return m->journal != NULL;
}

static void
import_close(struct import *m)
{
	if (m->journal != NULL)
		journal_close(m->journal);
	engine_free(m->engine);
	producers_free(m->producers);
	if (m->key != NULL)
		mem_wipe(m->key, strlen(m->key));
	mem_free(m->key);
	map_free(m->taken, NULL);
	buf_free(&m->name);
	buf_free(&m->scope);
	buf_free(&m->body);
	loop_run(m->loop);
	loop_free(m->loop);
}

static void
import_tell(const struct import *m)
{
	printf("%s=%" PRIu64 " kept=%" PRIu64 " unknown=%" PRIu64 " external=%" PRIu64 " empty=%" PRIu64
	    " unreadable=%" PRIu64 " others=%" PRIu64 " too_large=%" PRIu64 "\n", m->dry ? "would_take" : "taken",
	    m->n[IMPORT_TAKEN], m->n[IMPORT_KEPT], m->n[IMPORT_OTHER], m->n[IMPORT_EXTERNAL],
	    m->n[IMPORT_EMPTY], m->n[IMPORT_UNREAD], m->n[IMPORT_FOREIGN],
	    m->n[IMPORT_LARGE]);
}

int
ctl_kvs_import(const struct conf *c, int argc, char **argv)
{
	struct import m = { .conf = c };
	bool redis = ctl_flag(&argc, argv, "--redis");
	char *why = NULL;
	int status;

	m.dry = ctl_flag(&argc, argv, "--dry-run");
	if (argc != (redis ? 1 : 2))
		return EX_USAGE;
	m.loop = loop_new();
	m.taken = map_new();
	if (!import_open(&m, &why)) {
		fprintf(stderr, "lecternctl: %s\n", why);
		status = EX_TEMPFAIL;
	} else {
		status = redis ? import_redis(&m) : ctl_dump_read(argv[1], import_pair_cb, &m);
		if (!import_drain(&m))
			status = EX_IOERR;
		import_tell(&m);
	}
	mem_free(why);
	import_close(&m);
	return status;
}
