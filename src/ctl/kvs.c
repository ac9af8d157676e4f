/* SPDX-License-Identifier: MIT */
/* ctl/kvs: looks into the store of states, writes it out and reads it in again. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/mem.h"
#include "ctl/kvs.h"
#include "state/kvs_conf.h"

#define KVS_TRY_MS 50
#define KVS_LINE_MAX ((size_t)128 << 20) /* bytes of a line of a dump */
#define KVS_LOAD_FLUSH 1000              /* entries of one flush */

/* ---- the store ---- */

static void
ctl_kvs_done_cb(void *arg, enum err e)
{
	struct ctl_kvs *k = arg;

	k->over = true;
	k->result = e;
	loop_stop(k->loop);
}

static void
ctl_kvs_turn_cb(void *arg)
{
	loop_stop(arg);
}

int
ctl_kvs_wait(struct ctl_kvs *k)
{
	while (!k->over)
		loop_run(k->loop);
	k->over = false;
	if (k->result == ERR_OK)
		return EX_OK;
	fprintf(stderr, "lecternctl: %s\n", kvs_trouble(k->kvs) ? kvs_trouble(k->kvs) :
	    err_text(k->result));
	return EX_UNAVAILABLE;
}

static int
ctl_kvs_flush(struct ctl_kvs *k)
{
	kvs_flush(k->kvs, ctl_kvs_done_cb, k);
	return ctl_kvs_wait(k);
}

/* While it only says that it is not there yet, it may come. */
static int
ctl_kvs_reach(struct ctl_kvs *k)
{
	struct loop_timer *t = loop_timer_new(k->loop, ctl_kvs_turn_cb, k->loop);
	const char *trouble = kvs_trouble(k->kvs);

	while (trouble != NULL && strcmp(trouble, KVS_NOT_YET) == 0) {
		loop_timer_once(t, KVS_TRY_MS);
		loop_run(k->loop);
		trouble = kvs_trouble(k->kvs);
	}
	loop_timer_free(t);
	return ctl_kvs_flush(k);
}

int
ctl_kvs_open(struct ctl_kvs *k, const struct conf *c, const char *backend, bool read_only)
{
	struct kvs_options o = { .read_only = read_only };
	char *why = NULL;

	*k = (struct ctl_kvs){ .conf = c, .loop = loop_new() };
	o.loop = k->loop;
	k->kvs = kvs_conf_open(c, backend, &o, &why);
	if (k->kvs == NULL) {
		fprintf(stderr, "lecternctl: %s\n", why);
		mem_free(why);
		return EX_UNAVAILABLE;
	}
	if (kvs_caps(k->kvs) & KVS_KEEPS)
		return ctl_kvs_reach(k);
	fprintf(stderr, "lecternctl: kvs.backend \"%s\" is in the daemon's memory alone; see "
	    "lecternctl states\n", c->kvs_backend);
	return EX_CONFIG;
}

void
ctl_kvs_close(struct ctl_kvs *k)
{
	kvs_close(k->kvs);
	loop_run(k->loop);
	loop_free(k->loop);
}

/* ---- dumps ---- */

static bool
ctl_dump_line(FILE *f, char **line, size_t *room, struct str *out)
{
	ssize_t n = getline(line, room, f);

	if (n > 0 && (*line)[n - 1] == '\n')
		n--;
	*out = (struct str){ *line, n > 0 ? (size_t)n : 0 };
	return n >= 0 && out->n <= KVS_LINE_MAX;
}

static int
ctl_dump_pairs(FILE *f, const char *file, ctl_dump_cb *cb, void *arg)
{
	char *lines[2] = { NULL, NULL };
	size_t room[2] = { 0, 0 }, number = 1;
	struct str key, value;
	int status = EX_OK;

	while (status == EX_OK && ctl_dump_line(f, &lines[0], &room[0], &key)) {
		if (key.n == 0 || !ctl_dump_line(f, &lines[1], &room[1], &value)) {
			fprintf(stderr, "lecternctl: %s:%zu: expected lines with a key and with its "
			    "value by turns\n", file, number);
			status = EX_DATAERR;
		} else if (!cb(arg, key, value)) {
			status = EX_DATAERR;
		}
		number += 2;
	}
	mem_free(lines[0]);
	mem_free(lines[1]);
	if (status != EX_OK || !ferror(f))
		return status;
	fprintf(stderr, "lecternctl: %s: %s\n", file, strerror(errno));
	return EX_NOINPUT;
}

int
ctl_dump_read(const char *file, ctl_dump_cb *cb, void *arg)
{
	FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	int status;

	if (f == NULL) {
		fprintf(stderr, "lecternctl: %s: %s\n", file, strerror(errno));
		return EX_NOINPUT;
	}
	status = ctl_dump_pairs(f, file, cb, arg);
	if (f != stdin)
		fclose(f); /* was only read */
	return status;
}

/* ---- verbs ---- */

static void
kvs_get_print_cb(void *arg, enum err e, bool found, struct str value)
{
	struct ctl_kvs *k = arg;

	if (e == ERR_OK && found)
		printf("%.*s\n", STR_ARG(value));
	ctl_kvs_done_cb(k, e == ERR_OK && !found ? ERR_NOT_FOUND : e);
}

static int
kvs_verb_get(struct ctl_kvs *k, int argc, char **argv)
{
	int status = EX_OK;

	for (int i = 1; i < argc && status == EX_OK; i++) {
		kvs_get(k->kvs, str_of(argv[i]), kvs_get_print_cb, k);
		while (!k->over)
			loop_run(k->loop);
		if (k->result == ERR_NOT_FOUND) {
			fprintf(stderr, "lecternctl: no such key: %s\n", argv[i]);
			k->over = false;
			status = EX_NOINPUT;
		} else {
			status = ctl_kvs_wait(k);
		}
	}
	return status;
}

static void
kvs_list_cb(void *arg, enum err e, struct str key, struct str value)
{
	(void)value;
	if (key.p == NULL)
		ctl_kvs_done_cb(arg, e);
	else
		printf("%.*s\n", STR_ARG(key));
}

/* What would not stand in a line of its own is none of a reducer's. */
static void
kvs_dump_cb(void *arg, enum err e, struct str key, struct str value)
{
	if (key.p == NULL)
		ctl_kvs_done_cb(arg, e);
	else if (memchr(key.p, '\n', key.n) == NULL && memchr(value.p, '\n', value.n) == NULL)
		printf("%.*s\n%.*s\n", STR_ARG(key), STR_ARG(value));
	else
		fprintf(stderr, "lecternctl: left out, more than one line: %.*s\n", STR_ARG(key));
}

static int
kvs_verb_scan(struct ctl_kvs *k, kvs_scan_cb *cb, const char *prefix)
{
	int status;

	kvs_scan(k->kvs, str_of(prefix != NULL ? prefix : ""), cb, k);
	status = ctl_kvs_wait(k);
	return fflush(stdout) != 0 ? EX_IOERR : status;
}

static int
kvs_verb_list(struct ctl_kvs *k, int argc, char **argv)
{
	return kvs_verb_scan(k, kvs_list_cb, argc > 1 ? argv[1] : NULL);
}

static int
kvs_verb_dump(struct ctl_kvs *k, int argc, char **argv)
{
	return kvs_verb_scan(k, kvs_dump_cb, argc > 1 ? argv[1] : CTL_KVS_STATES);
}

struct kvs_loading {
	struct ctl_kvs *k;
	size_t n;
};

static bool
kvs_load_pair_cb(void *arg, struct str key, struct str value)
{
	struct kvs_loading *l = arg;

	if (value.n > KVS_VALUE_MAX) {
		fprintf(stderr, "lecternctl: a value is larger than %zu bytes: %.*s\n", KVS_VALUE_MAX,
		    STR_ARG(key));
		return false;
	}
	kvs_put(l->k->kvs, key, value);
	return ++l->n % KVS_LOAD_FLUSH != 0 || ctl_kvs_flush(l->k) == EX_OK;
}

static int
kvs_verb_load(struct ctl_kvs *k, int argc, char **argv)
{
	struct kvs_loading l = { .k = k };
	int status = ctl_dump_read(argc > 1 ? argv[1] : "-", kvs_load_pair_cb, &l);

	if (status == EX_OK)
		status = ctl_kvs_flush(k);
	if (status == EX_OK)
		printf("loaded=%zu\n", l.n);
	return status;
}

static const struct kvs_verb {
	const char *name;
	bool writes;
	int least, most; /* arguments */
	int (*run)(struct ctl_kvs *k, int argc, char **argv);
} kvs_verbs[] = {
	{ "get", false, 1, 1000, kvs_verb_get },
	{ "list", false, 0, 1, kvs_verb_list },
	{ "dump", false, 0, 1, kvs_verb_dump },
	{ "load", true, 0, 1, kvs_verb_load },
};

/* A daemon would take what somebody else writes for a loss. */
static bool
kvs_daemon_runs(const struct conf *c)
{
	struct buf answer = BUF_INIT(0);
	bool runs = ctl_try(c->control, "digest", &answer) == 0;

	buf_free(&answer);
	if (runs)
		fputs("lecternctl: lecternd is running and writes its states itself; stop it first\n",
		    stderr);
	return runs;
}

static int
kvs_run(const struct kvs_verb *v, const struct conf *c, int argc, char **argv)
{
	struct ctl_kvs k;
	int status;

	if (v->writes && kvs_daemon_runs(c))
		return EX_TEMPFAIL;
	status = ctl_kvs_open(&k, c, NULL, !v->writes);
	if (status == EX_OK)
		status = v->run(&k, argc, argv);
	ctl_kvs_close(&k);
	return status;
}

int
ctl_kvs(int argc, char **argv)
{
	struct conf *c = ctl_conf(&argc, argv);
	const char *name = argc > 1 ? argv[1] : "";
	int status = EX_USAGE;

	if (c == NULL)
		return EX_CONFIG;
	log_set_level(LOG_ERROR);
	if (strcmp(name, "import") == 0)
		status = ctl_kvs_import(c, argc - 1, argv + 1);
	for (size_t i = 0; i < sizeof kvs_verbs / sizeof *kvs_verbs; i++)
		if (strcmp(name, kvs_verbs[i].name) == 0 && argc - 2 >= kvs_verbs[i].least &&
		    argc - 2 <= kvs_verbs[i].most)
			status = kvs_run(&kvs_verbs[i], c, argc - 1, argv + 1);
	if (status == EX_USAGE)
		fputs("usage: lecternctl kvs [-c FILE] get KEY... | list [PREFIX] | dump [PREFIX] | "
		    "load [FILE] |\n                      import [--dry-run] FILE|--redis\n", stderr);
	conf_free(c);
	return status;
}
