/* SPDX-License-Identifier: MIT */
/* ctl/doctor_probe: one event of a student who exists for that, from the web door
 * through journal and reducer to an item at a subscriber, each hop timed. It
 * watches that student's own node, so it sees nobody else's data. What remains
 * is a record in the journal and one more in the student's count. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "base/crypt.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "ctl/doctor.h"
#include "ctl/doctor_web.h"
#include "ctl/watch_client.h"
#include "flow/node.h"
#include "flow/producer.h"

#define PROBE_STUDENT "lectern-probe"
#define PROBE_TESTCASE "tc-testcase-" /* docs/events.md: what the method puts before user_id */
#define PROBE_REDUCER "activity.event_count"
#define PROBE_SOURCE "org.lectern.probe"
#define PROBE_STREAM "lectern-probe" /* always the same: a stream is remembered for ever */
#define PROBE_TOKEN_S 300
#define PROBE_STEP_MS 1
#define PROBE_STAMP 40

struct probe {
	struct doctor *d;
	const struct doctor_probe *o;
	const struct roster_student *student;
	char *id;            /* of the student */
	bool by_token;
	char node[NODE_MAX + 1];
	const char *service;

	struct watch_client *client;
	bool session, subscribed, ended, item;
	char *end;           /* why it ended */
	double start, session_ms, item_at;

	struct wsock *web;
	struct json_doc *doc;
	struct buf line;
	int64_t acked;
	char sent[PROBE_STAMP]; /* wall clock before the event left, as items write it */
	double sent_at;
};

static struct doctor_check *
probe_wrong(struct probe *p, const char *fault, const char *what)
{
	return doctor_found(p->d, DOCTOR_WRONG, "probe", fault, -1, "%s", what);
}

/* ---- who sends, who watches ---- */

static bool
probe_has(const struct conf_list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->v[i], name) == 0)
			return true;
	return false;
}

static bool
probe_identity(struct probe *p)
{
	const struct conf_list *methods = &p->d->conf->methods;
	const char *name = p->o->student;

	p->by_token = probe_has(methods, "token");
	if (!p->by_token && !probe_has(methods, "testcase_auth")) {
		probe_wrong(p, "identity", "it can only be a student by the methods token or "
		    "testcase_auth, and identity.methods has neither");
		return false;
	}
	if (name == NULL)
		name = p->by_token ? PROBE_STUDENT : PROBE_TESTCASE PROBE_STUDENT;
	p->id = mem_strdup(name);
	if (p->by_token || strncmp(name, PROBE_TESTCASE, strlen(PROBE_TESTCASE)) == 0)
		return true;
	probe_wrong(p, "identity", "with testcase_auth the student's id begins with "
	    PROBE_TESTCASE);
	return false;
}

/* A real student's counts must never be touched: the probe's student is alone. */
static bool
probe_is_alone(const struct roster_student *s)
{
	for (size_t i = 0; i < s->n_classes; i++)
		if (s->classes[i]->n_students > 1)
			return false;
	return true;
}

static void
probe_advise_rows(struct probe *p, struct doctor_check *c, const char *bare)
{
	const char *place = roster_place(p->d->conf);

	buf_printf(&c->advice, "%s: lectern-probe,teacher,lectern-probe,%s,Probe\n"
	    "%s: lectern-probe,student,%s,,Probe\n"
	    "then: lecternctl reload\n", place, bare, place, p->id);
}

static bool
probe_student(struct probe *p)
{
	struct buf bare = BUF_INIT(0);
	size_t n = strcspn(p->o->jid, "/");
	struct doctor_check *c = NULL;

	if (p->d->roster == NULL || !roster_jid((struct str){ p->o->jid, n }, &bare)) {
		probe_wrong(p, "not_looked_at", p->d->roster == NULL ? "not made without a roster" :
		    "--jid is no JID of a person");
		buf_free(&bare);
		return false;
	}
	p->student = roster_student(p->d->roster, str_of(p->id));
	if (p->student == NULL)
		c = probe_wrong(p, "probe_student", "the roster has no student for it; add:");
	else if (!probe_is_alone(p->student))
		c = probe_wrong(p, "probe_student", "its student is in a class with others, whose "
		    "counts it must not touch; use one alone:");
	else if (roster_reads_student(p->student, buf_view(&bare), PROBE_REDUCER) ==
	    ROSTER_AS_NOBODY)
		c = probe_wrong(p, "probe_reader", "the account may not read the student; add:");
	buf_byte(&bare, '\0');
	if (c != NULL)
		probe_advise_rows(p, c, bare.data);
	buf_free(&bare);
	return c == NULL;
}

/* Whether the entry publishes the reducer the probe watches. */
static bool
probe_publishes(const struct conf_component *k, const char *component)
{
	return strcmp(k->name, component) == 0 && !producer_is_own(k) && (k->reducers.n == 0 ||
	    probe_has(&k->reducers, PROBE_REDUCER) ||
	    probe_has(&k->reducers, strchr(PROBE_REDUCER, '.') + 1));
}

static bool
probe_place(struct probe *p)
{
	const struct conf *c = p->d->conf;
	struct node n = { .kind = NODE_STUDENT, .reducer = PROBE_REDUCER };

	for (size_t i = 0; i < c->n_components && c->xmpp_host[0] != '\0'; i++)
		if (probe_publishes(&c->components[i], "activity") ||
		    (p->service == NULL && probe_publishes(&c->components[i], "*")))
			p->service = c->components[i].jid;
	if (p->service == NULL) {
		probe_wrong(p, "not_published", "no component publishes " PROBE_REDUCER ", which it "
		    "watches");
		return false;
	}
	snprintf(n.owner, sizeof n.owner, "%s", p->student->pseudonym);
	return node_write(&n, p->node) == ERR_OK;
}

/* ---- the subscriber ---- */

static void
probe_session_cb(void *arg)
{
	struct probe *p = arg;

	p->session = true;
	p->session_ms = doctor_now() - p->start;
}

static void
probe_subscribed_cb(void *arg)
{
	struct probe *p = arg;

	p->subscribed = true;
}

/* The first item that is younger than the event. What stood there before comes
 * first, and is older. */
static void
probe_item_cb(void *arg, const char *id, const char *datatype, const char *json)
{
	struct probe *p = arg;
	struct json root;
	struct str t;
	char *padded;

	(void)id, (void)datatype;
	if (json == NULL || p->sent[0] == '\0' || p->item)
		return;
	padded = mem_zalloc(strlen(json) + JSON_PADDING);
	memcpy(padded, json, strlen(json));
	if (json_parse(p->doc, (struct str){ padded, strlen(json) }, &root) == ERR_OK &&
	    json_get_str(root, "t", &t) && strncmp(t.p, p->sent, t.n) >= 0) {
		p->item = true;
		p->item_at = doctor_now();
	}
	mem_free(padded);
}

static void
probe_ended_cb(void *arg, int status, const char *what, const char *detail)
{
	struct probe *p = arg;

	(void)status;
	p->ended = true;
	p->end = mem_printf("%s%s%s", what ? what : "", detail ? ": " : "", detail ? detail : "");
}

static const struct watch_ops probe_watch_ops = {
	.session = probe_session_cb,
	.subscribed = probe_subscribed_cb,
	.item = probe_item_cb,
	.ended = probe_ended_cb,
};

/* Waits for the flag; false when the client ended or the time is over. */
static bool
probe_wait(struct probe *p, const bool *flag)
{
	double end = doctor_now() + (double)p->o->timeout_s * 1e3;

	while (!*flag && !p->ended && doctor_now() < end)
		watch_client_step(p->client, PROBE_STEP_MS);
	return *flag;
}

static bool
probe_subscribe(struct probe *p)
{
	struct watch_options o = {
		.jid = p->o->jid, .service = p->service, .node = p->node, .host = p->o->host,
		.ca = p->o->ca, .port = p->o->port, .plain = p->o->plain, .quiet = true,
	};
	struct doctor_check *c;

	p->start = doctor_now();
	p->client = watch_client_new(&o, p->o->password, &probe_watch_ops, p);
	if (!probe_wait(p, &p->session)) {
		c = probe_wrong(p, "login", p->end ? p->end : "no session in time");
		buf_z(&c->advice, "look at --jid, its password, --host, --port and --ca\n");
		return false;
	}
	doctor_found(p->d, DOCTOR_OK, "login", NULL, p->session_ms, "%s has a session", p->o->jid);
	if (!probe_wait(p, &p->subscribed)) {
		c = probe_wrong(p, "subscribe", p->end ? p->end : "the service does not answer");
		buf_printf(&c->advice, "service %s, node %s; has the daemon read the roster "
		    "(lecternctl reload), and is its stream up?\n", p->service, p->node);
		return false;
	}
	doctor_found(p->d, DOCTOR_OK, "subscribe", NULL, doctor_now() - p->start - p->session_ms,
	    "subscribed at %s", p->service);
	return true;
}

/* ---- the student ---- */

/* Reads until an ack; false after having said why none came. */
static bool
probe_ack(struct probe *p, int64_t at_least)
{
	const char *why = "";
	struct json root, seq;
	struct str status, message;
	struct doctor_check *c;

	for (;;) {
		buf_clear(&p->line);
		if (!wsock_receive(p->web, &p->line, &why)) {
			c = probe_wrong(p, "no_ack", why);
			buf_z(&c->advice, "is the journal's disk full or slow? see lecternctl "
			    "status, journal.stalled\n");
			return false;
		}
		if (buf_room(&p->line, JSON_PADDING) == NULL ||
		    json_parse(p->doc, buf_view(&p->line), &root) != ERR_OK ||
		    !json_get_str(root, "status", &status))
			continue;
		if (str_is(status, "error") && json_get_str(root, "message", &message)) {
			doctor_found(p->d, DOCTOR_WRONG, "probe", "event_refused", -1,
			    "the daemon refuses the event: %.*s", STR_ARG(message));
			return false;
		}
		if (str_is(status, "ack") && json_get(root, "seq", &seq) &&
		    json_int(seq, &p->acked) && p->acked >= at_least)
			return true;
	}
}

static char *
probe_token(struct probe *p)
{
	char *why = NULL, *key = crypt_secret_read(p->d->conf->token_key_file, &why), *token = NULL;

	mem_free(why); /* told with the secrets */
	if (key == NULL)
		return NULL;
	token = ident_token_mint(str_of(key), str_of(p->id), (int64_t)time(NULL) + PROBE_TOKEN_S);
	mem_wipe(key, strlen(key));
	mem_free(key);
	return token;
}

static bool
probe_identify(struct probe *p)
{
	struct jsonw w = jsonw_to(&p->line);
	char *token = p->by_token ? probe_token(p) : NULL;
	double start = doctor_now();
	bool ok;

	if (p->by_token && token == NULL) {
		probe_wrong(p, "identity", "no token can be made for the student");
		return false;
	}
	buf_clear(&p->line);
	jsonw_object(&w);
	jsonw_kz(&w, "event", "lock_fields");
	jsonw_key(&w, "fields");
	jsonw_object(&w);
	jsonw_kz(&w, "source", PROBE_SOURCE);
	jsonw_kz(&w, "stream", PROBE_STREAM);
	if (p->by_token)
		jsonw_kz(&w, "token", token);
	else
		jsonw_kz(&w, "user_id", p->id + strlen(PROBE_TESTCASE));
	jsonw_object_end(&w);
	jsonw_object_end(&w);
	mem_free(token);
	ok = wsock_send(p->web, buf_view(&p->line)) && probe_ack(p, 0);
	if (ok)
		doctor_found(p->d, DOCTOR_OK, "identify", NULL, doctor_now() - start,
		    "the daemon knows the student");
	return ok;
}

/* As items write it: milliseconds, UTC. */
static void
probe_stamp(char out[PROBE_STAMP])
{
	struct timeval now;
	struct tm tm;
	size_t n;

	gettimeofday(&now, NULL);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(out, PROBE_STAMP, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, PROBE_STAMP - n, ".%03dZ", (int)(now.tv_usec / 1000));
}

static bool
probe_send(struct probe *p)
{
	int64_t seq = p->acked + 1;

	buf_clear(&p->line);
	buf_printf(&p->line, "{\"event\":\"lectern_probe\",\"seq\":%" PRId64 "}", seq);
	p->sent_at = doctor_now();
	if (!wsock_send(p->web, buf_view(&p->line)) || !probe_ack(p, seq))
		return false;
	doctor_found(p->d, DOCTOR_OK, "event", NULL, doctor_now() - p->sent_at,
	    "journaled, synced, folded by the reducers and acknowledged");
	return true;
}

static bool
probe_web(struct probe *p)
{
	struct wsock_options o;
	struct wsock_report r;
	char host[DOCTOR_HOST_MAX];

	probe_stamp(p->sent); /* a little early: the daemon looks at its clock once a turn */
	doctor_web_options(p->d->conf, host, &o);
	o.timeout_s = (unsigned)p->o->timeout_s;
	p->web = wsock_open(&o, &r);
	if (p->web == NULL)
		probe_wrong(p, "web", "the web door does not let it in, see above");
	return p->web != NULL;
}

/* ---- the whole road ---- */

static void
probe_arrived(struct probe *p)
{
	struct doctor_check *c;

	if (probe_wait(p, &p->item)) {
		doctor_found(p->d, DOCTOR_OK, "item", NULL, p->item_at - p->sent_at,
		    "from the event to the item at the subscriber");
		return;
	}
	c = probe_wrong(p, "no_item", p->end ? p->end : "the event was acknowledged, but no item "
	    "reached the subscriber");
	buf_printf(&c->advice, "see lecternctl status, xmpp: state, queue and in_flight of %s\n"
	    "another lecternd with the same JID would get part of the stanzas\n", p->service);
}

void
doctor_probe(struct doctor *d)
{
	struct probe p = { .d = d, .o = d->probe, .line = BUF_INIT(0) };

	if (d->daemon == DAEMON_DOWN) {
		doctor_found(d, DOCTOR_NOTE, "probe", "not_looked_at", -1, "not made, since lecternd "
		    "does not run");
		return;
	}
	p.doc = json_doc_new();
	if (probe_identity(&p) && probe_student(&p) && probe_place(&p) && probe_subscribe(&p) &&
	    probe_web(&p) && probe_identify(&p) && probe_send(&p))
		probe_arrived(&p);
	wsock_close(p.web);
	if (p.client != NULL) {
		watch_client_stop(p.client);
		watch_client_free(p.client);
	}
	json_doc_free(p.doc);
	buf_free(&p.line);
	mem_free(p.id);
	mem_free(p.end);
}
