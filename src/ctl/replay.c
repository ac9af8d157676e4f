/* SPDX-License-Identifier: MIT */
/* ctl/replay: folds a whole journal, and compares the result with the states of
 * the running daemon or, when none runs, with its snapshot. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/crypt.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "ctl/journal.h"
#include "flow/engine.h"
#include "flow/producer.h"
#include "state/snapshot.h"

#define REPLAY_DIGEST 65 /* hex and NUL */

struct ctl_replay {
	struct engine *engine;
	struct engine_options options;
	uint64_t until; /* records beyond are left out */
};

static void
replay_record_cb(void *arg, const struct record *r)
{
	struct ctl_replay *p = arg;

	if (r->seq <= p->until)
		engine_record(p->engine, r);
}

static void
replay_print_cb(void *arg, const struct state *s, struct str json)
{
	struct ctl_journal *j = arg;
	struct jsonw w = jsonw_to(&j->line);

	buf_clear(&j->line);
	jsonw_object(&w);
	jsonw_kz(&w, "key", s->key);
	jsonw_kuint(&w, "seq", s->seq);
	jsonw_key(&w, "value");
	jsonw_raw(&w, json);
	jsonw_object_end(&w);
	buf_byte(&j->line, '\n');
	if (fwrite(j->line.data, 1, j->line.len, stdout) != j->line.len)
		j->write_failed = true;
}

/* Position and digest of the running daemon. */
static bool
replay_daemon(const struct conf *c, uint64_t *position, char digest[REPLAY_DIGEST])
{
	struct buf answer = BUF_INIT(0);
	struct json_doc *doc = json_doc_new();
	struct json root, v;
	struct str s;
	int64_t n;
	bool ok = ctl_ask(c->control, "digest", &answer) &&
	    buf_room(&answer, JSON_PADDING) != NULL &&
	    json_parse(doc, buf_view(&answer), &root) == ERR_OK &&
	    json_get(root, "position", &v) && json_int(v, &n) &&
	    json_get_str(root, "digest", &s) && s.n == REPLAY_DIGEST - 1;

	if (ok) {
		*position = (uint64_t)n;
		memcpy(digest, s.p, s.n);
		digest[s.n] = '\0';
	}
	json_doc_free(doc);
	buf_free(&answer);
	return ok;
}

/* Position and digest of what the snapshot holds. */
static bool
replay_snapshot(const struct conf *c, const struct engine_options *o, uint64_t *position,
    char digest[REPLAY_DIGEST])
{
	char *why = NULL, *path = mem_printf("%s/states.snapshot", c->state_dir);
	struct engine *e = engine_new(o, &why);
	bool ok = e != NULL && snapshot_load(path, c->organisation, position, engine_load, e, &why) == ERR_OK;

	if (ok)
		engine_digest(e, digest);
	else
		fprintf(stderr, "lecternctl: nothing to compare with: %s\n", why ? why : path);
	engine_free(e);
	mem_free(path);
	mem_free(why);
	return ok;
}

static int
replay_compare(struct ctl_journal *j, struct ctl_replay *p)
{
	char want[REPLAY_DIGEST], got[REPLAY_DIGEST];
	struct journal_summary sum = { 0 };
	bool live = access(j->conf->control, F_OK) == 0;
	int status;

	if (live ? !replay_daemon(j->conf, &p->until, want)
	         : !replay_snapshot(j->conf, &p->options, &p->until, want))
		return EX_UNAVAILABLE;
	status = ctl_journal_run(j, replay_record_cb, p, &sum);
	engine_digest(p->engine, got);
	printf("position=%" PRIu64 " %s=%s replayed=%s %s\n", p->until, live ? "live" : "snapshot",
	    want, got, strcmp(want, got) == 0 ? "equal" : "DIFFERENT");
	return strcmp(want, got) == 0 ? status : EX_DATAERR;
}

static int
replay_print(struct ctl_journal *j, struct ctl_replay *p)
{
	struct journal_summary sum = { 0 };
	int status = ctl_journal_run(j, replay_record_cb, p, &sum);

	engine_each(p->engine, replay_print_cb, j);
	if (fflush(stdout) != 0 || j->write_failed) {
		fputs("lecternctl: cannot write the states\n", stderr);
		return EX_IOERR;
	}
	return status;
}

int
ctl_journal_replay(struct ctl_journal *j, int argc, char **argv)
{
	struct ctl_replay p = { .until = UINT64_MAX, .options.cold = true };
	struct producers *producers = NULL;
	bool verify = ctl_flag(&argc, argv, "--verify");
	char *why = NULL, *key;
	int status = EX_CONFIG;

	if (j->conf == NULL) {
		fputs("lecternctl: replay needs the configuration (-c FILE)\n", stderr);
		return EX_USAGE;
	}
	key = crypt_secret_read(j->conf->key_file, &why);
	p.options.pseudonym_key = str_of(key);
	if (key != NULL)
		producers = producers_new(j->conf, &why);
	if (producers != NULL)
		p.options.reducers = producers_reducers(producers);
	p.engine = producers != NULL ? engine_new(&p.options, &why) : NULL;
	if (p.engine != NULL)
		status = verify ? replay_compare(j, &p) : replay_print(j, &p);
	else
		fprintf(stderr, "lecternctl: %s\n", why);
	engine_free(p.engine);
	producers_free(producers);
	mem_free(why);
	if (key != NULL)
		mem_wipe(key, strlen(key));
	mem_free(key);
	return status;
}
