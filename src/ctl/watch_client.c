/* SPDX-License-Identifier: MIT */
/* ctl/watch_client: see watch_client.h. The only file that knows libstrophe. Its
 * id handlers match the id alone, so senders are checked here. */
#include "ctl/watch_client.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <strophe.h>
#include <sysexits.h>
#include <time.h>

#include "base/mem.h"

#define WATCH_PUBSUB "http://jabber.org/protocol/pubsub"
#define WATCH_EVENT "http://jabber.org/protocol/pubsub#event"
#define WATCH_OPTIONS "http://jabber.org/protocol/pubsub#subscribe_options"
#define WATCH_STEP_MS 100
#define WATCH_BYE_S 3 /* longest wait for the good-bye */

struct watch_client {
	struct watch_options o;
	const struct watch_ops *ops;
	void *arg;
	xmpp_ctx_t *ctx;
	xmpp_conn_t *conn;
	bool subscribed, over;
	time_t deadline; /* of the good-bye, 0: none */
};

/* Says the end, once. */
static void
watch_end(struct watch_client *w, int status, const char *what, const char *detail)
{
	if (w->over)
		return;
	w->over = true;
	w->ops->ended(w->arg, status, what, detail);
}

/* ---- stanzas ---- */

static xmpp_stanza_t *
watch_add(struct watch_client *w, xmpp_stanza_t *parent, const char *name, const char *ns)
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
watch_text(struct watch_client *w, xmpp_stanza_t *parent, const char *text)
{
	xmpp_stanza_t *x = xmpp_stanza_new(w->ctx);

	xmpp_stanza_set_text(x, text);
	xmpp_stanza_add_child(parent, x);
	xmpp_stanza_release(x);
}

static void
watch_field(struct watch_client *w, xmpp_stanza_t *form, const char *var, const char *value)
{
	xmpp_stanza_t *field = watch_add(w, form, "field", NULL);

	xmpp_stanza_set_attribute(field, "var", var);
	watch_text(w, watch_add(w, field, "value", NULL), value);
}

static void
watch_send(struct watch_client *w, xmpp_stanza_t *x)
{
	xmpp_stanza_set_to(x, w->o.service);
	xmpp_send(w->conn, x);
	xmpp_stanza_release(x);
}

static void
watch_presence(struct watch_client *w, const char *type)
{
	xmpp_stanza_t *x = watch_add(w, NULL, "presence", NULL);

	if (type != NULL)
		xmpp_stanza_set_type(x, type);
	watch_send(w, x);
}

/* <iq type='set' id='ID'><pubsub><NAME node='' jid=''/></pubsub></iq> */
static xmpp_stanza_t *
watch_request(struct watch_client *w, const char *id, const char *name, xmpp_stanza_t **pubsub)
{
	xmpp_stanza_t *iq = watch_add(w, NULL, "iq", NULL), *x;

	xmpp_stanza_set_type(iq, "set");
	xmpp_stanza_set_id(iq, id);
	*pubsub = watch_add(w, iq, "pubsub", WATCH_PUBSUB);
	x = watch_add(w, *pubsub, name, NULL);
	xmpp_stanza_set_attribute(x, "node", w->o.node);
	xmpp_stanza_set_attribute(x, "jid", xmpp_conn_get_bound_jid(w->conn));
	return iq;
}

/* XEP-0060 §6.3.7: with its options, so that no item comes before they hold. */
static void
watch_subscribe(struct watch_client *w)
{
	xmpp_stanza_t *pubsub, *form, *iq = watch_request(w, "subscribe", "subscribe", &pubsub);
	char ms[24];

	form = watch_add(w, watch_add(w, pubsub, "options", NULL), "x", "jabber:x:data");
	xmpp_stanza_set_type(form, "submit");
	watch_field(w, form, "FORM_TYPE", WATCH_OPTIONS);
	watch_field(w, form, "pubsub#expire", "presence");
	if (w->o.digest_ms > 0) {
		snprintf(ms, sizeof ms, "%ld", w->o.digest_ms);
		watch_field(w, form, "pubsub#digest", "1");
		watch_field(w, form, "pubsub#digest_frequency", ms);
	}
	watch_send(w, iq);
}

static bool
watch_from_service(const struct watch_client *w, xmpp_stanza_t *x)
{
	const char *from = xmpp_stanza_get_from(x);

	return from != NULL && strcasecmp(from, w->o.service) == 0;
}

/* ---- what arrives ---- */

static void
watch_item(struct watch_client *w, xmpp_stanza_t *item)
{
	xmpp_stanza_t *payload = xmpp_stanza_get_child_by_name(item, "payload");
	xmpp_stanza_t *json = payload ? xmpp_stanza_get_child_by_name(payload, "json") : NULL;
	char *text = json ? xmpp_stanza_get_text(json) : NULL;
	const char *id = xmpp_stanza_get_id(item);

	w->ops->item(w->arg, id ? id : "",
	    payload ? xmpp_stanza_get_attribute(payload, "datatype") : NULL, text);
	if (text != NULL)
		xmpp_free(w->ctx, text);
}

static void
watch_items(struct watch_client *w, xmpp_stanza_t *items)
{
	const char *node = xmpp_stanza_get_attribute(items, "node");
	xmpp_stanza_t *x = xmpp_stanza_get_children(items);

	if (node == NULL || strcmp(node, w->o.node) != 0)
		return;
	for (; x != NULL && !w->over; x = xmpp_stanza_get_next(x)) {
		const char *name = xmpp_stanza_get_name(x);

		if (name != NULL && strcmp(name, "item") == 0)
			watch_item(w, x);
	}
}

static int
watch_message_cb(xmpp_conn_t *conn, xmpp_stanza_t *x, void *arg)
{
	struct watch_client *w = arg;
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
	struct watch_client *w = arg;
	const char *type = xmpp_stanza_get_type(x);

	(void)conn;
	if (!watch_from_service(w, x))
		return 1;
	if (type != NULL && strcmp(type, "result") == 0) {
		w->subscribed = true;
		w->ops->subscribed(w->arg);
		return 0;
	}
	watch_end(w, EX_NOPERM, "the service refuses the subscription", watch_condition(x));
	return 0;
}

static void
watch_lost(struct watch_client *w, int error, const xmpp_stream_error_t *stream_error)
{
	const char *detail = stream_error && stream_error->text ? stream_error->text : NULL;

	if (!w->over && detail == NULL && error != 0)
		detail = strerror(error);
	watch_end(w, EX_UNAVAILABLE, w->subscribed ? "the connection is lost" :
	    "no session with the XMPP server (address, certificate or password)", detail);
	w->deadline = 1; /* nothing more to wait for */
}

static void
watch_conn_cb(xmpp_conn_t *conn, xmpp_conn_event_t status, int error,
    xmpp_stream_error_t *stream_error, void *arg)
{
	struct watch_client *w = arg;

	if (status != XMPP_CONN_CONNECT) {
		watch_lost(w, error, stream_error);
		return;
	}
	xmpp_handler_add(conn, watch_message_cb, NULL, "message", NULL, w);
	xmpp_id_handler_add(conn, watch_answer_cb, "subscribe", w);
	w->ops->session(w->arg);
	watch_presence(w, NULL);
	watch_subscribe(w);
}

/* ---- life ---- */

static void
watch_good_bye(struct watch_client *w)
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

void
watch_client_step(struct watch_client *w, unsigned ms)
{
	xmpp_run_once(w->ctx, ms);
}

void
watch_client_stop(struct watch_client *w)
{
	w->over = true; /* what still comes is nobody's business */
	if (w->deadline == 0)
		watch_good_bye(w);
	while (time(NULL) < w->deadline)
		xmpp_run_once(w->ctx, WATCH_STEP_MS);
}

void
watch_client_free(struct watch_client *w)
{
	xmpp_conn_release(w->conn);
	xmpp_ctx_free(w->ctx);
	xmpp_shutdown();
	mem_free(w);
}

static void
watch_connect(struct watch_client *w, const char *password)
{
	long flags = XMPP_CONN_FLAG_DISABLE_SM; /* a session that ends must end at once */

	flags |= w->o.plain ? XMPP_CONN_FLAG_DISABLE_TLS : XMPP_CONN_FLAG_MANDATORY_TLS;
	xmpp_conn_set_flags(w->conn, flags);
	xmpp_conn_set_jid(w->conn, w->o.jid);
	xmpp_conn_set_pass(w->conn, password);
	if (w->o.ca != NULL)
		xmpp_conn_set_cafile(w->conn, w->o.ca);
	if (xmpp_connect_client(w->conn, w->o.host, (unsigned short)w->o.port, watch_conn_cb, w) != 0)
		watch_end(w, EX_UNAVAILABLE, "cannot connect", w->o.host ? w->o.host : w->o.jid);
}

struct watch_client *
watch_client_new(const struct watch_options *o, const char *password, const struct watch_ops *ops,
    void *arg)
{
	xmpp_log_t *log = xmpp_get_default_logger(XMPP_LEVEL_ERROR);
	struct watch_client *w;

	MEM_NEW(w);
	w->o = *o;
	w->ops = ops;
	w->arg = arg;
	signal(SIGPIPE, SIG_IGN); /* libstrophe writes without MSG_NOSIGNAL */
	xmpp_initialize();
	w->ctx = xmpp_ctx_new(NULL, o->quiet ? NULL : log);
	w->conn = xmpp_conn_new(w->ctx);
	watch_connect(w, password);
	return w;
}
