/* SPDX-License-Identifier: MIT */
/* ctl/watch: lecternctl watch: prints the items of one node, a line of JSON
 * each. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/json.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "ctl/ctl.h"
#include "ctl/password.h"
#include "ctl/watch_client.h"

#define WATCH_STEP_MS 100

struct watch {
	struct watch_options o;
	long count, timeout_s, printed;
	struct json_doc *doc;
	bool over; /* the main loop may end, with status */
	int status;
};

static volatile sig_atomic_t watch_signal;

static void
watch_signal_cb(int signum)
{
	watch_signal = signum;
}

static void
watch_end(struct watch *w, int status, const char *what, const char *detail)
{
	if (what != NULL)
		fprintf(stderr, "lecternctl: %s%s%s\n", what, detail ? ": " : "",
		    detail ? detail : "");
	if (!w->over)
		w->status = status;
	w->over = true;
}

/* ---- printing ---- */

/* The service's JSON, spelled by our own writer: one line, whatever came. */
static void
watch_payload(struct watch *w, struct jsonw *out, const char *text)
{
	size_t n = strlen(text);
	char *padded = mem_zalloc(n + JSON_PADDING);
	struct json v;

	memcpy(padded, text, n);
	if (json_parse(w->doc, (struct str){ padded, n }, &v) == ERR_OK)
		jsonw_value(out, v);
	else
		jsonw_str(out, (struct str){ text, n });
	mem_free(padded);
}

static void
watch_item_cb(void *arg, const char *id, const char *datatype, const char *json)
{
	struct watch *w = arg;
	struct buf b = BUF_INIT(0);
	struct jsonw out = jsonw_to(&b);

	if (w->over)
		return;
	jsonw_object(&out);
	jsonw_kz(&out, "node", w->o.node);
	jsonw_kz(&out, "id", id);
	jsonw_kz(&out, "datatype", datatype);
	jsonw_key(&out, "payload");
	if (json != NULL)
		watch_payload(w, &out, json);
	else
		jsonw_null(&out);
	jsonw_object_end(&out);
	buf_byte(&b, '\n');
	if (ctl_print(buf_view(&b)) != EX_OK)
		watch_end(w, EX_IOERR, NULL, NULL);
	buf_free(&b);
	if (++w->printed == w->count)
		watch_end(w, EX_OK, NULL, NULL);
}

static void
watch_ended_cb(void *arg, int status, const char *what, const char *detail)
{
	watch_end(arg, status, what, detail);
}

static void
watch_nothing_cb(void *arg)
{
	(void)arg;
}

static const struct watch_ops watch_ops = {
	.session = watch_nothing_cb,
	.subscribed = watch_nothing_cb,
	.item = watch_item_cb,
	.ended = watch_ended_cb,
};

/* ---- the run ---- */

static void
watch_loop(struct watch *w, struct watch_client *client)
{
	time_t end = w->timeout_s > 0 ? time(NULL) + w->timeout_s : 0;

	while (!w->over) {
		watch_client_step(client, WATCH_STEP_MS);
		if (watch_signal != 0)
			watch_end(w, EX_OK, NULL, NULL);
		else if (end != 0 && time(NULL) >= end)
			watch_end(w, w->count > 0 ? EX_TEMPFAIL : EX_OK,
			    w->count > 0 ? "not so many items in this time" : NULL, NULL);
	}
}

static int
watch_run(struct watch *w, char *password)
{
	struct sigaction on_signal = { .sa_handler = watch_signal_cb };
	struct watch_client *client;

	sigaction(SIGINT, &on_signal, NULL);
	sigaction(SIGTERM, &on_signal, NULL);
	w->doc = json_doc_new();
	client = watch_client_new(&w->o, password, &watch_ops, w);
	mem_wipe(password, strlen(password));
	mem_free(password);
	watch_loop(w, client);
	watch_client_stop(client);
	watch_client_free(client);
	json_doc_free(w->doc);
	return w->status;
}

/* ---- arguments ---- */

static int
watch_usage(void)
{
	fputs("usage: lecternctl watch --jid JID --service SERVICE [--password-file FILE]\n"
	    "    [--host HOST [--port PORT]] [--ca FILE] [--digest MS] [--count N] [--timeout S]\n"
	    "    [--insecure-plain] NODE\n"
	    "The password comes from the file, from LECTERN_PASSWORD, or is asked for.\n", stderr);
	return EX_USAGE;
}

int
ctl_watch(int argc, char **argv)
{
	struct watch w = { .status = EX_OK };
	const char *file;
	char *password;

	w.o.jid = ctl_option(&argc, argv, "--jid");
	w.o.service = ctl_option(&argc, argv, "--service");
	w.o.host = ctl_option(&argc, argv, "--host");
	w.o.ca = ctl_option(&argc, argv, "--ca");
	file = ctl_option(&argc, argv, "--password-file");
	w.o.port = ctl_number(&argc, argv, "--port", 65535);
	w.o.digest_ms = ctl_number(&argc, argv, "--digest", 86400000);
	w.count = ctl_number(&argc, argv, "--count", 1000000000);
	w.timeout_s = ctl_number(&argc, argv, "--timeout", 1000000000);
	w.o.plain = ctl_flag(&argc, argv, "--insecure-plain");
	if (argc != 2 || argv[1][0] == '-' || w.o.jid == NULL || w.o.service == NULL ||
	    (w.o.port != 0 && w.o.host == NULL))
		return watch_usage();
	w.o.node = argv[1];
	password = ctl_password(file, "LECTERN_PASSWORD", w.o.jid);
	return password != NULL ? watch_run(&w, password) : EX_NOINPUT;
}
