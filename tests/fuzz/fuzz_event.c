/* SPDX-License-Identifier: MIT */
/* Fuzzes flow/session: two connections say any lines to a real engine and a
 * real journal, of which only the disk is pretended. A line that begins with '>'
 * is the second connection's, '!' waits for the disk, '#' loses the first one.
 * The first byte chooses identity methods, opt-out and limits.
 *
 * Whatever they say: what is kept is a proper event without anything reserved,
 * an ack is never ahead of the journal, nothing is said after a close, and in
 * the end nothing is left behind. */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "components/reducer.h"
#include "flow/adapter.h"
#include "flow/record.h"
#include "flow/session_priv.h"
#include "state/journal_priv.h"

#define FUZZ_RUNS 200 /* per engine and journal, whose memory would grow for ever */
#define FUZZ_KEY "0123456789abcdefghijklmnopqrstuv"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_client {
	struct session *s;
	bool closed, reading;
};

static struct fuzz_world {
	char dir[32]; /* of the journal; "" for none */
	struct loop *loop;
	struct loop_timer *alive;
	struct engine *engine;
	struct journal *journal;
	struct ingest *ingest;
	struct json_doc *doc;
	struct fuzz_client client[2];
	uint64_t events, highest_seq;
} w;

static void
fuzz_require(bool ok)
{
	if (!ok)
		abort();
}

/* ---- the disk ---- */

static ssize_t
fuzz_pwrite(int fd, const void *p, size_t n, off_t at)
{
	(void)fd;
	(void)p;
	(void)at;
	return (ssize_t)n;
}

static int
fuzz_sync(int fd)
{
	(void)fd;
	return 0;
}

/* ---- what must hold ---- */

static struct json
fuzz_object(struct str text)
{
	char *copy = mem_alloc(text.n + JSON_PADDING);
	struct json root;

	memcpy(copy, text.p, text.n);
	memset(copy + text.n, '"', JSON_PADDING);
	fuzz_require(json_parse(w.doc, (struct str){ copy, text.n }, &root) == ERR_OK);
	fuzz_require(json_type(root) == JSON_OBJECT);
	mem_free(copy);
	return root;
}

static void
fuzz_no_reserved(struct json root)
{
	static const char *const keys[] = {
		"auth", "safe_user_id", "server", "token", "user_id", "user-tag", "wa-source"
	};
	struct json v;

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		fuzz_require(!json_get(root, keys[i], &v));
}

static void
fuzz_event(struct str body)
{
	struct event_record e;
	struct json root;
	struct str name;

	fuzz_require(event_record_read(body, &e) == ERR_OK);
	root = fuzz_object(e.json);
	fuzz_no_reserved(root);
	fuzz_require(json_get_str(root, "event", &name) && str_eq(name, e.name));
	fuzz_require(!str_is(name, "lock_fields") && !str_is(name, "terminate") &&
	    !str_is(name, "fetch_blob"));
	fuzz_require(e.source.n <= ADAPTER_SOURCE_MAX && e.doc_id.n <= ADAPTER_DOC_ID_MAX);
	if (e.stream_seq > w.highest_seq)
		w.highest_seq = e.stream_seq;
	w.events++;
}

static void
fuzz_session(struct str body)
{
	struct session_record s;
	struct json root, v;

	fuzz_require(session_record_read(body, &s) == ERR_OK);
	fuzz_require(s.safe_user_id.n > 0 && s.safe_user_id.n <= IDENT_ID_MAX);
	fuzz_require(s.locked.n <= LOCKED_MAX);
	root = fuzz_object(s.locked);
	fuzz_no_reserved(root);
	fuzz_require(!json_get(root, "event", &v) && !json_get(root, "seq", &v));
}

static void
fuzz_record_cb(void *arg, const struct record *r)
{
	(void)arg;
	if (r->type == RECORD_EVENT)
		fuzz_event(r->body);
	else if (r->type == RECORD_SESSION)
		fuzz_session(r->body);
	engine_record(w.engine, r);
	ingest_record(w.ingest, r);
}

static void
fuzz_commit_cb(void *arg)
{
	(void)arg;
	ingest_commit(w.ingest);
}

static void
fuzz_resume_cb(void *arg)
{
	(void)arg;
	ingest_resume(w.ingest);
}

/* ---- the door ---- */

static void
fuzz_send(void *peer, struct str json)
{
	struct fuzz_client *c = peer;
	struct json root = fuzz_object(json), seq;
	struct str status;
	int64_t n = -1;

	fuzz_require(!c->closed);
	fuzz_require(json_get_str(root, "status", &status));
	if (!str_is(status, "ack"))
		return;
	fuzz_require(json_get(root, "seq", &seq) && json_int(seq, &n));
	fuzz_require((uint64_t)n <= w.highest_seq);
}

static void
fuzz_close(void *peer, int code, const char *reason)
{
	struct fuzz_client *c = peer;

	fuzz_require(!c->closed && reason != NULL && (code == 1000 || code == 1008));
	c->closed = true;
}

static void
fuzz_read(void *peer, bool on)
{
	struct fuzz_client *c = peer;

	fuzz_require(c->reading != on);
	c->reading = on;
}

static const struct session_door fuzz_door = { fuzz_send, fuzz_close, fuzz_read };

static void
fuzz_open(struct fuzz_client *c)
{
	struct session_peer info = { .ip = STR_LIT("192.0.2.1") };

	*c = (struct fuzz_client){ .reading = true };
	c->s = session_new(w.ingest, &fuzz_door, c, &info);
}

static void
fuzz_say(struct fuzz_client *c, struct str text)
{
	char *copy = mem_alloc(text.n + JSON_PADDING);

	if (text.n > 0)
		memcpy(copy, text.p, text.n);
	memset(copy + text.n, '"', JSON_PADDING);
	session_frame(c->s, (struct str){ copy, text.n });
	mem_free(copy);
}

/* ---- the world ---- */

static void
fuzz_stop_cb(void *arg)
{
	(void)arg;
	loop_stop(w.loop);
}

static void
fuzz_settle(void)
{
	journal_drain(w.journal, fuzz_stop_cb, NULL);
	loop_run(w.loop);
}

static void
fuzz_remove_dir(void)
{
	DIR *d = w.dir[0] != '\0' ? opendir(w.dir) : NULL;
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		closedir(d);
	rmdir(w.dir);
	w.dir[0] = '\0';
}

static void
fuzz_world_new(void)
{
	struct engine_options eo = { .reducers = component_reducers(),
		.pseudonym_key = STR_LIT(FUZZ_KEY) };
	char *why = NULL;
	struct journal_options jo = { .dir = w.dir, .organisation = "fuzz",
		.segment_size = 1 << 20, .max_pending = 8 << 10 };
	struct journal_listener on = { fuzz_record_cb, fuzz_commit_cb, NULL, fuzz_resume_cb, NULL };
	struct journal_reader none = { 0 };
	struct journal_summary sum;

	journal_io.pwrite = fuzz_pwrite;
	journal_io.fdatasync = journal_io.fsync = fuzz_sync;
	log_set_level(LOG_ERROR);
	snprintf(w.dir, sizeof w.dir, "/tmp/fuzz_event.XXXXXX");
	fuzz_require(mkdtemp(w.dir) != NULL);
	w.highest_seq = 0;
	w.loop = loop_new();
	w.alive = loop_timer_new(w.loop, fuzz_commit_cb, NULL);
	loop_timer_every(w.alive, 3600000);
	w.engine = engine_new(&eo, &why);
	w.journal = journal_open(w.loop, &jo, 0, &none, &sum, &why);
	fuzz_require(w.engine != NULL && w.journal != NULL);
	journal_listen(w.journal, &on);
	w.doc = json_doc_new();
}

static void
fuzz_world_free(void)
{
	journal_close(w.journal);
	fuzz_remove_dir();
	engine_free(w.engine);
	json_doc_free(w.doc);
	loop_timer_free(w.alive);
	loop_free(w.loop);
}

static struct ident_rules *
fuzz_rules(struct conf *c, uint8_t choice)
{
	static const char *const methods[] = {
		"testcase_auth", "local_storage", "chromebook", "hash_identify", "guest"
	};
	static struct conf_opt_out out = { .whom = (char *)"b.edu", .action = (char *)"DROP" };
	char *v[5], *why = NULL;

	c->methods = (struct conf_list){ v, 0 };
	for (size_t i = 0; i < 5; i++)
		if ((choice >> i & 1) != 0)
			v[c->methods.n++] = (char *)(uintptr_t)methods[i];
	c->allow_guest = (choice & 32) != 0;
	c->opt_outs = &out;
	c->n_opt_outs = (choice & 64) != 0;
	c->held_events = 4;
	c->held_bytes = 1024;
	return ident_rules_new(c, &why);
}

static void
fuzz_line(struct str line)
{
	struct fuzz_client *c = &w.client[0];

	if (line.n > 0 && *line.p == '!') {
		fuzz_settle();
		return;
	}
	if (line.n > 0 && *line.p == '#') {
		session_free(c->s);
		fuzz_open(c);
		return;
	}
	if (line.n > 0 && *line.p == '>') {
		c = &w.client[1];
		line.p++;
		line.n--;
	}
	fuzz_say(c, line);
}

static void
fuzz_lines(struct str text)
{
	while (text.n > 0) {
		const char *end = memchr(text.p, '\n', text.n);
		size_t n = end != NULL ? (size_t)(end - text.p) : text.n;

		fuzz_line((struct str){ text.p, n });
		n += end != NULL;
		text.p += n;
		text.n -= n;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned run;
	struct conf conf = { 0 };
	struct ident_rules *rules;
	struct ingest_options o;
	uint64_t events = metric_value[METRIC_EVENTS] - w.events;

	if (run == 0)
		atexit(fuzz_remove_dir);
	if (run % FUZZ_RUNS == 0)
		fuzz_world_new();
	rules = fuzz_rules(&conf, size > 0 ? data[0] : 0);
	o = (struct ingest_options){ w.loop, w.engine, w.journal, &conf, rules, NULL };
	w.ingest = ingest_new(&o);
	fuzz_open(&w.client[0]);
	fuzz_open(&w.client[1]);
	if (size > 0)
		fuzz_lines((struct str){ (const char *)data + 1, size - 1 });
	session_free(w.client[0].s);
	session_free(w.client[1].s);
	fuzz_settle();
	fuzz_require(w.ingest->sessions == NULL && w.ingest->flights_n == 0);
	fuzz_require(metric_value[METRIC_HELD] == 0);
	fuzz_require(metric_value[METRIC_EVENTS] - w.events == events);
	ingest_free(w.ingest);
	ident_rules_free(rules);
	if (++run % FUZZ_RUNS == 0)
		fuzz_world_free();
	return 0;
}
