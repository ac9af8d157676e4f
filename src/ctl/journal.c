/* SPDX-License-Identifier: MIT */
/* ctl/journal: verify and dump of a journal, also without a daemon. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/json.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/mem.h"
#include "ctl/journal.h"
#include "flow/record.h"

static void
journal_damage_print_cb(void *arg, const struct journal_damage *d)
{
	(void)arg;
	fprintf(stderr, "%s: offset %" PRIu64 ": %s%s (%" PRIu64 " bytes", d->file, d->offset,
	    d->torn_tail ? "torn tail: " : "", d->what, d->bytes);
	if (d->first_lost != 0)
		fprintf(stderr, ", records %" PRIu64 " to %" PRIu64 " lost", d->first_lost, d->last_lost);
	fputs(")\n", stderr);
}

int
ctl_journal_run(struct ctl_journal *j, record_cb *cb, void *arg, struct journal_summary *sum)
{
	struct journal_reader r = { .record = cb, .damage = journal_damage_print_cb, .arg = arg };
	char *why = NULL;
	enum err e = journal_read(j->dir, j->organisation, 0, &r, sum, &why);

	if (e != ERR_OK) {
		fprintf(stderr, "lecternctl: %s\n", why ? why : err_text(e));
		mem_free(why);
		return e == ERR_NOT_FOUND ? EX_NOINPUT : EX_DATAERR;
	}
	return sum->damaged > 0 ? EX_DATAERR : EX_OK;
}

static int
journal_verify(struct ctl_journal *j, int argc, char **argv)
{
	struct journal_summary s = { 0 };
	int status = ctl_journal_run(j, NULL, NULL, &s);

	(void)argc;
	(void)argv;
	printf("segments=%" PRIu64 " blocks=%" PRIu64 " records=%" PRIu64 " bytes=%" PRIu64
	    " first=%" PRIu64 " last=%" PRIu64 " damaged=%" PRIu64 " torn_tail=%s\n",
	    s.segments, s.blocks, s.records, s.bytes, s.first_seq, s.last_seq, s.damaged,
	    s.torn_tail ? "yes" : "no");
	return status;
}

/* ---- dump ---- */

/* The JSON text of an event, in our own spelling, or as a string if it does
 * not read as JSON (which would be a fault of ours). */
static void
dump_json(struct jsonw *w, struct str text)
{
	static struct json_doc *doc;
	char *padded = mem_zalloc(text.n + JSON_PADDING);
	struct json root;

	if (doc == NULL)
		doc = json_doc_new();
	memcpy(padded, text.p, text.n);
	if (json_parse(doc, (struct str){ padded, text.n }, &root) == ERR_OK)
		jsonw_value(w, root);
	else
		jsonw_str(w, text);
	mem_free(padded);
}

static void
dump_session(struct jsonw *w, struct str body)
{
	struct session_record s;

	if (session_record_read(body, &s) != ERR_OK)
		return;
	jsonw_kstr(w, "user_id", s.user_id);
	jsonw_kstr(w, "safe_user_id", s.safe_user_id);
	jsonw_kstr(w, "providence", s.providence);
	jsonw_kz(w, "sec", sec_name(s.sec));
	jsonw_kstr(w, "source", s.source);
	jsonw_kstr(w, "stream", s.stream);
	jsonw_kstr(w, "origin", s.origin);
	jsonw_kstr(w, "agent", s.agent);
	jsonw_kstr(w, "ip", s.ip);
	jsonw_key(w, "locked");
	dump_json(w, s.locked);
}

static void
dump_event(struct jsonw *w, struct str body)
{
	struct event_record e;

	if (event_record_read(body, &e) != ERR_OK)
		return;
	jsonw_kstr(w, "event", e.name);
	if (e.source.n > 0)
		jsonw_kstr(w, "source", e.source);
	if (e.doc_id.n > 0)
		jsonw_kstr(w, "doc_id", e.doc_id);
	if (e.stream_seq != 0)
		jsonw_kuint(w, "stream_seq", e.stream_seq);
	jsonw_key(w, "client");
	dump_json(w, e.json);
}

static void
dump_state(struct jsonw *w, struct str body)
{
	struct state_record s;

	if (state_record_read(body, &s) != ERR_OK)
		return;
	jsonw_kstr(w, "reducer", s.reducer);
	jsonw_kuint(w, "folded", s.folded);
	if (s.student.n == 0)
		return;
	jsonw_kstr(w, "student", s.student);
	jsonw_kstr(w, "scope", s.scope);
	jsonw_kz(w, "sec", sec_name(s.sec));
	jsonw_kdouble(w, "folded_time", (double)s.time_us / 1e6);
	jsonw_key(w, "state");
	dump_json(w, s.json);
}

static const char *
dump_type(enum record_type t)
{
	switch (t) {
	case RECORD_SESSION:
		return "session";
	case RECORD_SESSION_END:
		return "session_end";
	case RECORD_EVENT:
		return "event";
	case RECORD_STATE:
		return "state";
	}
	return "unknown";
}

static void
dump_record_cb(void *arg, const struct record *r)
{
	struct ctl_journal *j = arg;
	struct jsonw w = jsonw_to(&j->line);

	buf_clear(&j->line);
	jsonw_object(&w);
	jsonw_kuint(&w, "seq", r->seq);
	jsonw_kdouble(&w, "time", (double)r->time_us / 1e6);
	jsonw_kuint(&w, "session", r->session);
	jsonw_kz(&w, "type", dump_type(r->type));
	if (r->type == RECORD_SESSION)
		dump_session(&w, r->body);
	else if (r->type == RECORD_EVENT)
		dump_event(&w, r->body);
	else if (r->type == RECORD_STATE)
		dump_state(&w, r->body);
	jsonw_object_end(&w);
	buf_byte(&j->line, '\n');
	if (fwrite(j->line.data, 1, j->line.len, stdout) != j->line.len)
		j->write_failed = true;
}

static int
journal_dump(struct ctl_journal *j, int argc, char **argv)
{
	struct journal_summary s = { 0 };
	int status = ctl_journal_run(j, dump_record_cb, j, &s);

	(void)argc;
	(void)argv;
	if (fflush(stdout) != 0 || j->write_failed) {
		fputs("lecternctl: cannot write the dump\n", stderr);
		return EX_IOERR;
	}
	return status;
}

/* ---- the verb ---- */

static const struct ctl_journal_verb {
	const char *name;
	int (*run)(struct ctl_journal *j, int argc, char **argv);
} ctl_journal_verbs[] = {
	{ "verify", journal_verify },
	{ "dump", journal_dump },
	{ "replay", ctl_journal_replay },
};

static int
journal_usage(void)
{
	fputs("usage: lecternctl journal verify|dump|replay [-c FILE | --dir DIR]\n"
	    "  verify           read everything, say every damaged place; exit status 65 if any\n"
	    "  dump             every record as a line of JSON\n"
	    "  replay           fold everything, print every state as a line of JSON\n"
	    "  replay --verify  fold everything and compare with the running daemon's states\n",
	    stderr);
	return EX_USAGE;
}

static bool
journal_place(struct ctl_journal *j, int *argc, char **argv)
{
	const char *dir = ctl_option(argc, argv, "--dir");

	if (dir != NULL) {
		j->dir = mem_strdup(dir);
		return true;
	}
	j->conf = ctl_conf(argc, argv);
	if (j->conf == NULL)
		return false;
	j->dir = mem_printf("%s/journal", j->conf->state_dir);
	j->organisation = j->conf->organisation;
	return true;
}

int
ctl_journal(int argc, char **argv)
{
	struct ctl_journal j = { .line = BUF_INIT(0) };
	int status = -1;

	log_set_level(LOG_ERROR);
	if (!journal_place(&j, &argc, argv))
		return EX_CONFIG;
	for (size_t i = 0; argc > 1 && i < sizeof ctl_journal_verbs / sizeof *ctl_journal_verbs; i++)
		if (strcmp(argv[1], ctl_journal_verbs[i].name) == 0)
			status = ctl_journal_verbs[i].run(&j, argc - 1, argv + 1);
	if (status < 0)
		status = journal_usage();
	buf_free(&j.line);
	mem_free(j.dir);
	conf_free(j.conf);
	return status;
}
