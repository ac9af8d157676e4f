/* SPDX-License-Identifier: MIT */
/* ctl/watch: lecternctl watch, an ordinary XMPP client (SCRAM, TLS) that
 * subscribes to one node and prints its items, a line of JSON each. The only
 * file that knows libstrophe. Its id handlers match the id alone, so senders
 * are checked here. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strophe.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>

#include "base/json.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "ctl/ctl.h"
#include "ctl/password.h"

#define WATCH_PUBSUB "http://jabber.org/protocol/pubsub"
#define WATCH_EVENT "http://jabber.org/protocol/pubsub#event"
#define WATCH_OPTIONS "http://jabber.org/protocol/pubsub#subscribe_options"
#define WATCH_STEP_MS 100
#define WATCH_BYE_S 3 /* longest wait for the good-bye */

struct watch {
	const char *jid, *service, *node, *host, *ca;
	long port, digest_ms, count, timeout_s;
	bool plain;

	xmpp_ctx_t *ctx;
	xmpp_conn_t *conn;
	struct json_doc *doc;
	long printed;
	bool subscribed, over; /* over: the main loop may end, with status */
	int status;
	time_t deadline;       /* of the good-bye, 0: none */
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

/* ---- stanzas ---- */

static xmpp_stanza_t *
watch_add(struct watch *w, xmpp_stanza_t *parent, const char *name, const char *ns)
{
	xmpp_stanza_t *x = xmpp_stanza_new(w->ctx);

	xmpp_stanza_set_name(x, name);
	if (ns != NULL)
		xmpp_stanza_set_ns(x, ns);
	if (parent != NULL) {
		xmpp_stanza_add_child(parent, x);
		xmpp_stanza_release(x); /* the parent holds it */
	}
	return x;
}

static void
watch_text(struct watch *w, xmpp_stanza_t *parent, const char *text)
{
	xmpp_stanza_t *x = xmpp_stanza_new(w->ctx);

	xmpp_stanza_set_text(x, text);
	xmpp_stanza_add_child(parent, x);
	xmpp_stanza_release(x);
}

static void
watch_field(struct watch *w, xmpp_stanza_t *form, const char *var, const char *value)
{
	xmpp_stanza_t *field = watch_add(w, form, "field", NULL);

	xmpp_stanza_set_attribute(field, "var", var);
	watch_text(w, watch_add(w, field, "value", NULL), value);
}

static void
watch_send(struct watch *w, xmpp_stanza_t *x)
{
	xmpp_stanza_set_to(x, w->service);
	xmpp_send(w->conn, x);
	xmpp_stanza_release(x);
}

static void
watch_presence(struct watch *w, const char *type)
{
	xmpp_stanza_t *x = watch_add(w, NULL, "presence", NULL);

	if (type != NULL)
		xmpp_stanza_set_type(x, type);
	watch_send(w, x);
}

/* <iq type='set' id='ID'><pubsub><NAME node='' jid=''/></pubsub></iq> */
static xmpp_stanza_t *
watch_request(struct watch *w, const char *id, const char *name, xmpp_stanza_t **pubsub)
{
	xmpp_stanza_t *iq = watch_add(w, NULL, "iq", NULL), *x;

	xmpp_stanza_set_type(iq, "set");
	xmpp_stanza_set_id(iq, id);
	*pubsub = watch_add(w, iq, "pubsub", WATCH_PUBSUB);
	x = watch_add(w, *pubsub, name, NULL);
	xmpp_stanza_set_attribute(x, "node", w->node);
	xmpp_stanza_set_attribute(x, "jid", xmpp_conn_get_bound_jid(w->conn));
	return iq;
}

/* XEP-0060 §6.3.7: with its options, so that no item comes before they hold. */
static void
watch_subscribe(struct watch *w)
{
	xmpp_stanza_t *pubsub, *form, *iq = watch_request(w, "subscribe", "subscribe", &pubsub);
	char ms[24];

	form = watch_add(w, watch_add(w, pubsub, "options", NULL), "x", "jabber:x:data");
	xmpp_stanza_set_type(form, "submit");
	watch_field(w, form, "FORM_TYPE", WATCH_OPTIONS);
	watch_field(w, form, "pubsub#expire", "presence");
	if (w->digest_ms > 0) {
		snprintf(ms, sizeof ms, "%ld", w->digest_ms);
		watch_field(w, form, "pubsub#digest", "1");
		watch_field(w, form, "pubsub#digest_frequency", ms);
	}
	watch_send(w, iq);
}

static bool
watch_from_service(const struct watch *w, xmpp_stanza_t *x)
{
	const char *from = xmpp_stanza_get_from(x);

	return from != NULL && strcasecmp(from, w->service) == 0;
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
watch_print(struct watch *w, xmpp_stanza_t *item)
{
	xmpp_stanza_t *payload = xmpp_stanza_get_child_by_name(item, "payload");
	xmpp_stanza_t *json = payload ? xmpp_stanza_get_child_by_name(payload, "json") : NULL;
	char *text = json ? xmpp_stanza_get_text(json) : NULL;
	struct buf b = BUF_INIT(0);
	struct jsonw out = jsonw_to(&b);

	jsonw_object(&out);
	jsonw_kz(&out, "node", w->node);
	jsonw_kz(&out, "id", xmpp_stanza_get_id(item));
	jsonw_kz(&out, "datatype", payload ? xmpp_stanza_get_attribute(payload, "datatype") : NULL);
	jsonw_key(&out, "payload");
	if (text != NULL)
		watch_payload(w, &out, text);
	else
		jsonw_null(&out);
	jsonw_object_end(&out);
	buf_byte(&b, '\n');
	if (ctl_print(buf_view(&b)) != EX_OK)
		watch_end(w, EX_IOERR, NULL, NULL);
	buf_free(&b);
	if (text != NULL)
		xmpp_free(w->ctx, text);
	if (++w->printed == w->count)
		watch_end(w, EX_OK, NULL, NULL);
}

/* ---- what arrives ---- */

static void
watch_items(struct watch *w, xmpp_stanza_t *items)
{
	const char *node = xmpp_stanza_get_attribute(items, "node");
	xmpp_stanza_t *x = xmpp_stanza_get_children(items);

	if (node == NULL || strcmp(node, w->node) != 0)
		return;
	for (; x != NULL && !w->over; x = xmpp_stanza_get_next(x)) {
		const char *name = xmpp_stanza_get_name(x);

		if (name != NULL && strcmp(name, "item") == 0)
			watch_print(w, x);
	}
}

static int
watch_message_cb(xmpp_conn_t *conn, xmpp_stanza_t *x, void *arg)
{
	struct watch *w = arg;
	xmpp_stanza_t *event = xmpp_stanza_get_child_by_name_and_ns(x, "event", WATCH_EVENT);
	xmpp_stanza_t *items, *subscription;
	const char *state;

	(void)conn;
	if (event == NULL || !watch_from_service(w, x))
		return 1;
	items = xmpp_stanza_get_child_by_name(event, "items");
	subscription = xmpp_stanza_get_child_by_name(event, "subscription");
	state = subscription ? xmpp_stanza_get_attribute(subscription, "subscription") : NULL;
	if (items != NULL)
		watch_items(w, items);
	if (state != NULL && strcmp(state, "none") == 0)
		watch_end(w, EX_NOPERM, "the service ended the subscription", NULL);
	return 1;
}

static const char *
watch_condition(xmpp_stanza_t *x)
{
	xmpp_stanza_t *error = xmpp_stanza_get_child_by_name(x, "error");
	xmpp_stanza_t *condition = error ? xmpp_stanza_get_children(error) : NULL;

	while (condition != NULL && xmpp_stanza_get_name(condition) == NULL)
		condition = xmpp_stanza_get_next(condition);
	return condition ? xmpp_stanza_get_name(condition) : "without a reason";
}

static int
watch_answer_cb(xmpp_conn_t *conn, xmpp_stanza_t *x, void *arg)
{
	struct watch *w = arg;
	const char *type = xmpp_stanza_get_type(x);

	(void)conn;
	if (!watch_from_service(w, x))
		return 1;
	if (type != NULL && strcmp(type, "result") == 0)
		w->subscribed = true;
	else
		watch_end(w, EX_NOPERM, "the service refuses the subscription", watch_condition(x));
	return 0;
}

static void
watch_lost(struct watch *w, int error, const xmpp_stream_error_t *stream_error)
{
	const char *detail = stream_error && stream_error->text ? stream_error->text : NULL;

	if (!w->over && detail == NULL && error != 0)
		detail = strerror(error);
	watch_end(w, EX_UNAVAILABLE, w->over ? NULL :
	    w->subscribed ? "the connection is lost" :
	    "no session with the XMPP server (address, certificate or password)", detail);
	w->deadline = 1; /* nothing more to wait for */
}

static void
watch_conn_cb(xmpp_conn_t *conn, xmpp_conn_event_t status, int error,
    xmpp_stream_error_t *stream_error, void *arg)
{
	struct watch *w = arg;

	if (status != XMPP_CONN_CONNECT) {
		watch_lost(w, error, stream_error);
		return;
	}
	xmpp_handler_add(conn, watch_message_cb, NULL, "message", NULL, w);
	xmpp_id_handler_add(conn, watch_answer_cb, "subscribe", w);
	watch_presence(w, NULL);
	watch_subscribe(w);
}

/* ---- the run ---- */

static void
watch_good_bye(struct watch *w)
{
	xmpp_stanza_t *pubsub, *iq;

	w->deadline = time(NULL) + WATCH_BYE_S;
	if (!xmpp_conn_is_connected(w->conn)) {
		w->deadline = 1;
		return;
	}
	if (w->subscribed) {
		iq = watch_request(w, "unsubscribe", "unsubscribe", &pubsub);
		watch_send(w, iq);
	}
	watch_presence(w, "unavailable");
	xmpp_disconnect(w->conn);
}

static void
watch_loop(struct watch *w)
{
	time_t end = w->timeout_s > 0 ? time(NULL) + w->timeout_s : 0;

	while (!w->over) {
		xmpp_run_once(w->ctx, WATCH_STEP_MS);
		if (watch_signal != 0)
			watch_end(w, EX_OK, NULL, NULL);
		else if (end != 0 && time(NULL) >= end)
			watch_end(w, w->count > 0 ? EX_TEMPFAIL : EX_OK,
			    w->count > 0 ? "not so many items in this time" : NULL, NULL);
	}
	if (w->deadline == 0)
		watch_good_bye(w);
	while (time(NULL) < w->deadline)
		xmpp_run_once(w->ctx, WATCH_STEP_MS);
}

/* The password is libstrophe's from here on; our copy is wiped. */
static void
watch_connect(struct watch *w, char *password)
{
	long flags = XMPP_CONN_FLAG_DISABLE_SM; /* a session that ends must end at once */

	flags |= w->plain ? XMPP_CONN_FLAG_DISABLE_TLS : XMPP_CONN_FLAG_MANDATORY_TLS;
	xmpp_conn_set_flags(w->conn, flags);
	xmpp_conn_set_jid(w->conn, w->jid);
	xmpp_conn_set_pass(w->conn, password);
	mem_wipe(password, strlen(password));
	mem_free(password);
	if (w->ca != NULL)
		xmpp_conn_set_cafile(w->conn, w->ca);
	if (xmpp_connect_client(w->conn, w->host, (unsigned short)w->port, watch_conn_cb, w) != 0)
		watch_end(w, EX_UNAVAILABLE, "cannot connect", w->host ? w->host : w->jid);
}

static int
watch_run(struct watch *w, char *password)
{
	struct sigaction on_signal = { .sa_handler = watch_signal_cb };

	signal(SIGPIPE, SIG_IGN); /* libstrophe writes without MSG_NOSIGNAL */
	sigaction(SIGINT, &on_signal, NULL);
	sigaction(SIGTERM, &on_signal, NULL);
	xmpp_initialize();
	w->ctx = xmpp_ctx_new(NULL, xmpp_get_default_logger(XMPP_LEVEL_ERROR));
	w->conn = xmpp_conn_new(w->ctx);
	w->doc = json_doc_new();
	watch_connect(w, password);
	watch_loop(w);
	json_doc_free(w->doc);
	xmpp_conn_release(w->conn);
	xmpp_ctx_free(w->ctx);
	xmpp_shutdown();
	return w->status;
}

/* ---- arguments ---- */

static long
watch_number(int *argc, char **argv, const char *name, long max)
{
	const char *text = ctl_option(argc, argv, name);
	char *end;
	long n;

	if (text == NULL)
		return 0;
	errno = 0;
	n = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || n < 1 || n > max) {
		fprintf(stderr, "lecternctl: %s %s: expected a number from 1 to %ld\n", name, text,
		    max);
		exit(EX_USAGE);
	}
	return n;
}

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

	w.jid = ctl_option(&argc, argv, "--jid");
	w.service = ctl_option(&argc, argv, "--service");
	w.host = ctl_option(&argc, argv, "--host");
	w.ca = ctl_option(&argc, argv, "--ca");
	file = ctl_option(&argc, argv, "--password-file");
	w.port = watch_number(&argc, argv, "--port", 65535);
	w.digest_ms = watch_number(&argc, argv, "--digest", 86400000);
	w.count = watch_number(&argc, argv, "--count", 1000000000);
	w.timeout_s = watch_number(&argc, argv, "--timeout", 1000000000);
	w.plain = ctl_flag(&argc, argv, "--insecure-plain");
	if (argc != 2 || argv[1][0] == '-' || w.jid == NULL || w.service == NULL ||
	    (w.port != 0 && w.host == NULL))
		return watch_usage();
	w.node = argv[1];
	password = ctl_password(file, "LECTERN_PASSWORD", w.jid);
	return password != NULL ? watch_run(&w, password) : EX_NOINPUT;
}
