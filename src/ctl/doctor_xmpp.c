/* SPDX-License-Identifier: MIT */
/* ctl/doctor_xmpp: the component streams: as the running daemon sees them, or,
 * when none runs, tried here: the handshake of each component, then a ping to the
 * server's domain. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/crypt.h"
#include "base/json.h"
#include "base/loop.h"
#include "base/mem.h"
#include "ctl/doctor.h"
#include "flow/producer.h"
#include "xmpp/link.h"
#include "xmpp/stanza.h"

#define DOCTOR_PONG_MS 5000

static struct link_options
doctor_link_options(const struct conf *c, const struct conf_component *k)
{
	return (struct link_options){ .host = c->xmpp_host, .port = (int)c->xmpp_port,
		.jid = k->jid, .server = c->xmpp_server, .secret_file = k->secret_file,
		.insecure_ok = c->xmpp_insecure_ok };
}

/* `state` is a name of LINK_MAP. */
static enum link_state
doctor_link_state(struct str name)
{
	for (int s = 0; s < LINK_STATES; s++)
		if (str_is(name, link_state_name((enum link_state)s)))
			return (enum link_state)s;
	return LINK_OTHER;
}

static void
doctor_link_wrong(struct doctor *d, const struct conf_component *k, enum link_state s,
    const char *detail)
{
	struct link_options o = doctor_link_options(d->conf, k);
	struct doctor_check *c = doctor_found(d, DOCTOR_WRONG, "xmpp", link_state_name(s), -1,
	    "%s port %d: %s%s%s", o.host, o.port, link_state_text(s), detail[0] ? ": " : "", detail);

	c->subject = mem_strdup(k->jid);
	if (s == LINK_CONFLICT)
		buf_z(&c->advice, "is another lecternd connected with this JID? only one may be\n");
	if (link_needs_hands(s))
		link_advise(&o, &c->advice);
}

/* ---- as the daemon sees it ---- */

static void
doctor_link_reported(struct doctor *d, const struct conf_component *k, struct json entry)
{
	struct str state = STR_LIT(""), why = STR_LIT("other"), detail = STR_LIT("");
	struct doctor_check *c;
	struct json v;
	bool rival = false;
	char *text;

	json_get_str(entry, "state", &state);
	if (json_get(entry, "rival", &v))
		json_bool(v, &rival);
	json_get_str(entry, "why", &why);
	json_get_str(entry, "detail", &detail);
	if (str_is(state, "up") && rival) {
		c = doctor_found(d, DOCTOR_WRONG, "xmpp", "rival", -1, "another process is connected as "
		    "this component, and the server splits what is sent to it between the two");
		c->subject = mem_strdup(k->jid);
		buf_z(&c->advice, "find the other lecternd with this JID and stop it, or give it "
		    "another JID\n");
		return;
	}
	if (str_is(state, "up")) {
		c = doctor_found(d, DOCTOR_OK, "xmpp", NULL, -1, "the daemon's stream is up");
		c->subject = mem_strdup(k->jid);
		return;
	}
	text = mem_str(detail);
	doctor_link_wrong(d, k, doctor_link_state(why), text);
	mem_free(text);
}

static void
doctor_link_ask(struct doctor *d, const struct conf_component *k)
{
	struct json_doc *doc = json_doc_new();
	struct json root, list;
	struct json_iter it;
	struct str jid;
	bool found = false;

	if (json_parse(doc, buf_view(&d->status), &root) == ERR_OK &&
	    json_get(root, "xmpp", &list)) {
		it = json_each(list);
		while (json_next(&it)) {
			if (!json_get_str(it.value, "jid", &jid) || jid.n != strlen(k->jid) ||
			    strncasecmp(jid.p, k->jid, jid.n) != 0)
				continue;
			doctor_link_reported(d, k, it.value);
			found = true;
		}
	}
	if (!found)
		doctor_found(d, DOCTOR_WRONG, "xmpp", "not_loaded", -1, "%s: the running daemon does "
		    "not know this component; it was configured after the start: restart lecternd",
		    k->jid);
	json_doc_free(doc);
}

/* ---- a component in a process of its own ---- */

/* Whether its process answered. */
static bool
doctor_own_ask(struct doctor *d, const struct conf_component *k)
{
	char *path = mem_printf("%s.%s", d->conf->control, k->name); /* daemon_component.c */
	struct json_doc *doc = json_doc_new();
	struct buf answer = BUF_INIT(0);
	int why = ctl_try(path, "status", &answer);
	struct json root;

	if (why == 0 && buf_room(&answer, JSON_PADDING) != NULL &&
	    json_parse(doc, buf_view(&answer), &root) == ERR_OK)
		doctor_link_reported(d, k, root);
	else
		doctor_found(d, DOCTOR_WRONG, "component", "component_down", -1, "%s: %s; start it: "
		    "lecternd --component %s", path, strerror(why ? why : EPROTO), k->name);
	buf_free(&answer);
	json_doc_free(doc);
	mem_free(path);
	return why != ENOENT && why != ECONNREFUSED;
}

/* ---- tried here ---- */

struct doctor_try {
	struct loop *loop;
	struct loop_timer *timer;
	struct link *link;
	const char *server;
	double start, up_ms, pong_ms;
	bool up, pong, error, failed, over;
};

static void
doctor_try_up_cb(void *arg)
{
	struct doctor_try *t = arg;
	struct buf ping = BUF_INIT(0);

	t->up = true;
	t->up_ms = doctor_now() - t->start;
	/* XEP-0199: whether xmpp.server is a domain of this server */
	stanza_ping(&ping, link_jid(t->link), t->server, "doctor");
	link_send(t->link, buf_view(&ping));
	buf_free(&ping);
	loop_timer_once(t->timer, DOCTOR_PONG_MS);
}

static void
doctor_try_down_cb(void *arg)
{
	struct doctor_try *t = arg;

	if (t->over)
		return;
	t->failed = true;
	loop_stop(t->loop);
}

static void
doctor_try_stanza_cb(void *arg, const struct xml *x)
{
	struct doctor_try *t = arg;
	const char *id = xml_attr(x, "id"), *type = xml_attr(x, "type");

	if (id == NULL || strcmp(id, "doctor") != 0)
		return;
	t->pong = true;
	t->error = type == NULL || strcmp(type, "result") != 0;
	t->pong_ms = doctor_now() - t->start - t->up_ms;
	loop_stop(t->loop);
}

static void
doctor_try_nothing_cb(void *arg)
{
	(void)arg;
}

static void
doctor_try_refused_cb(void *arg, const struct xml *head)
{
	(void)arg, (void)head;
}

static const struct link_ops doctor_try_ops = {
	.up = doctor_try_up_cb,
	.down = doctor_try_down_cb,
	.stanza = doctor_try_stanza_cb,
	.refused = doctor_try_refused_cb,
	.room = doctor_try_nothing_cb,
};

static void
doctor_try_timer_cb(void *arg)
{
	struct doctor_try *t = arg;

	loop_stop(t->loop);
}

/* A failed attempt calls nobody back: the state tells. */
static void
doctor_try_turn_cb(void *arg)
{
	struct doctor_try *t = arg;

	if (!t->over && !t->up && link_state(t->link) != LINK_STARTING)
		loop_stop(t->loop);
}

static void
doctor_try_stopped_cb(void *arg)
{
	struct doctor_try *t = arg;

	loop_stop(t->loop);
}

static void
doctor_try_tell(struct doctor *d, const struct conf_component *k, const struct doctor_try *t)
{
	struct doctor_check *c;

	if (!t->up || t->failed) {
		doctor_link_wrong(d, k, link_state(t->link), link_detail(t->link));
		return;
	}
	c = doctor_found(d, DOCTOR_OK, "xmpp", NULL, t->up_ms, "the server takes the component "
	    "(connect and handshake)");
	c->subject = mem_strdup(k->jid);
	if (t->pong && !t->error)
		doctor_found(d, DOCTOR_OK, "ping", NULL, t->pong_ms, "%s answers", t->server);
	else if (t->pong) /* a server without XEP-0199, or none of that domain */
		doctor_found(d, DOCTOR_NOTE, "ping", "server_unsure", t->pong_ms, "%s answers a ping "
		    "with an error: is xmpp.server the domain of the XMPP server?", t->server);
	else
		doctor_found(d, DOCTOR_WRONG, "ping", "server_silent", -1, "%s does not answer a "
		    "ping: is xmpp.server the domain of the XMPP server? items flow slowly without",
		    t->server);
}

static void
doctor_link_try(struct doctor *d, const struct conf_component *k, const char *secret)
{
	struct link_options o = doctor_link_options(d->conf, k);
	struct doctor_try t = { .loop = loop_new(), .server = o.server, .start = doctor_now() };
	struct loop_hook *hook;

	if (o.server == NULL || o.server[0] == '\0')
		t.server = o.server = strchr(k->jid, '.') ? strchr(k->jid, '.') + 1 : k->jid;
	t.timer = loop_timer_new(t.loop, doctor_try_timer_cb, &t);
	t.link = link_new(t.loop, &o, secret, &doctor_try_ops, &t);
	hook = loop_before_sleep(t.loop, doctor_try_turn_cb, &t);
	link_start(t.link);
	loop_run(t.loop);
	doctor_try_tell(d, k, &t);
	t.over = true;
	loop_timer_stop(t.timer);
	link_stop(t.link, doctor_try_stopped_cb, &t);
	loop_run(t.loop);
	link_free(t.link);
	loop_hook_free(hook);
	loop_timer_free(t.timer);
	loop_free(t.loop);
}

static void
doctor_component(struct doctor *d, const struct conf_component *k)
{
	char *why = NULL, *secret;

	if (producer_is_own(k)) {
		if (doctor_own_ask(d, k))
			return;
	} else if (d->daemon == DAEMON_UP) {
		doctor_link_ask(d, k);
		return;
	}
	/* With kick_old an attempt here would throw a running daemon out. */
	if (d->daemon == DAEMON_UNKNOWN && !producer_is_own(k)) {
		doctor_found(d, DOCTOR_NOTE, "xmpp", "not_looked_at", -1, "%s: not tried, since "
		    "lecternd may be running", k->jid);
		return;
	}
	secret = crypt_secret_read(k->secret_file, &why);
	mem_free(why); /* it was told with the secrets */
	if (secret == NULL) {
		doctor_found(d, DOCTOR_NOTE, "xmpp", "not_looked_at", -1, "%s: not tried without its "
		    "secret", k->jid);
		return;
	}
	doctor_link_try(d, k, secret);
	mem_wipe(secret, strlen(secret));
	mem_free(secret);
}

void
doctor_xmpp(struct doctor *d)
{
	const struct conf *c = d->conf;

	if (c->xmpp_host[0] == '\0') {
		doctor_found(d, DOCTOR_NOTE, "xmpp", "not_configured", -1, "no xmpp.host is "
		    "configured: states are kept, nothing is published");
		return;
	}
	for (size_t i = 0; i < c->n_components; i++) {
		bool first = true;

		for (size_t k = 0; k < i; k++)
			first = first && strcasecmp(c->components[k].jid, c->components[i].jid) != 0;
		if (first)
			doctor_component(d, &c->components[i]);
	}
}
