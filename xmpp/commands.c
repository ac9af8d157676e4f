/* SPDX-License-Identifier: MIT */
/* commands: ad-hoc commands (XEP-0050) with forms (XEP-0004): what a reader has
 * here, and what an admin does to the service. Knows no daemon: what is its
 * own comes through the options. Being an admin lets nobody read anything. */
#include <stdio.h>

#include "base/crypt.h"
#include "base/json.h"
#include "base/mem.h"
#include "xmpp/form.h"
#include "xmpp/service_priv.h"

#define COMMANDS_SESSIONS 64      /* of one service; the oldest gives way */
#define COMMANDS_SESSION_MS 600000
#define COMMANDS_SESSION_LEN 32   /* hexadecimal digits */
#define COMMANDS_LISTED 200       /* lines of one form, which is one stanza */

/* A form that was sent and waits to be filled in. */
struct command_session {
	LIST_ENTRY(command_session) link;
	char id[COMMANDS_SESSION_LEN + 1];
	char *jid; /* full */
	const struct command *command;
	uint64_t end_ms;
};

struct command {
	const char *node, *name;
	bool admin;
	/* Answers at once, or opens a session with a form to be filled in, which
	 * comes to submit. */
	void (*execute)(struct request *q, const struct command *c);
	void (*submit)(struct request *q, const struct command *c, const struct xml *form);
};

/* ---- answers ---- */

static void
command_open(struct xmlw *w, const struct command *c, const char *session, const char *status)
{
	xmlw_open(w, "command", NS_COMMANDS);
	xmlw_attrz(w, "node", c->node);
	xmlw_attrz(w, "sessionid", session);
	xmlw_attrz(w, "status", status);
}

static void
command_note(struct xmlw *w, const char *type, const char *text)
{
	xmlw_open(w, "note", NULL);
	xmlw_attrz(w, "type", type);
	xmlw_text(w, str_of(text));
	xmlw_close(w);
}

/* A session id also for what is complete (§3.4 asks for one). */
static const char *
command_id(char out[COMMANDS_SESSION_LEN + 1])
{
	unsigned char random[COMMANDS_SESSION_LEN / 2];

	crypt_random(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++)
		snprintf(out + 2 * i, 3, "%02x", random[i]);
	return out;
}

static struct xmlw
command_result(struct request *q, const struct command *c)
{
	char id[COMMANDS_SESSION_LEN + 1];
	struct xmlw w = reply_begin(&q->reply);

	command_open(&w, c, command_id(id), "completed");
	return w;
}

static void
command_done(const struct reply *r, const struct command *c, const char *type, const char *text)
{
	char id[COMMANDS_SESSION_LEN + 1];
	struct xmlw w = reply_begin(r);

	command_open(&w, c, command_id(id), "completed");
	command_note(&w, type, text);
	reply_end(r, &w);
}

/* ---- sessions ---- */

static void
command_session_free(struct command_session *e)
{
	LIST_REMOVE(e, link);
	mem_free(e->jid);
	mem_free(e);
}

static struct command_session *
command_session_new(struct request *q, const struct command *c)
{
	struct service *s = q->reply.service;
	struct command_session *e, *oldest = NULL;
	size_t n = 0;

	LIST_FOREACH(e, &s->commands, link) {
		oldest = e; /* new ones stand at the head */
		n++;
	}
	if (n >= COMMANDS_SESSIONS)
		command_session_free(oldest);
	MEM_NEW(e);
	command_id(e->id);
	e->jid = mem_strdup(q->from.full);
	e->command = c;
	e->end_ms = loop_now_ms(s->o.loop) + COMMANDS_SESSION_MS;
	LIST_INSERT_HEAD(&s->commands, e, link);
	return e;
}

static struct command_session *
command_session_of(const struct request *q, const struct command *c, const char *id)
{
	struct command_session *e;

	LIST_FOREACH(e, &q->reply.service->commands, link)
		if (strcmp(e->id, id) == 0 && strcmp(e->jid, q->from.full) == 0 && e->command == c)
			return e;
	return NULL;
}

/* The answer that asks for a form, up to its fields (§3.4). */
static struct xmlw
command_ask(struct request *q, const struct command *c, const char *title)
{
	struct command_session *e = command_session_new(q, c);
	struct xmlw w = reply_begin(&q->reply);

	command_open(&w, c, e->id, "executing");
	xmlw_open(&w, "actions", NULL);
	xmlw_attrz(&w, "execute", "complete");
	xmlw_leaf(&w, "complete", NULL);
	xmlw_close(&w);
	xmlw_open(&w, "x", NS_DATA);
	xmlw_attrz(&w, "type", "form");
	xmlw_textz(&w, "title", title);
	return w;
}

/* The value of a field of what was submitted; "" without. */
static const char *
command_value(const struct xml *form, const char *var)
{
	for (const struct xml *f = form->first; f != NULL; f = f->next) {
		const char *name = xml_attr(f, "var"), *value;

		if (!xml_is(f, NS_DATA, "field") || name == NULL || strcmp(name, var) != 0)
			continue;
		value = form_single(f);
		return value != NULL ? value : "";
	}
	return "";
}

/* ---- my classes ---- */

/* The readable nodes that begin so, as values of an open field. */
static void
command_nodes(struct xmlw *w, const struct page *mine, const char *part)
{
	char *prefix = mem_printf("class/%s/", part);

	for (size_t i = 0; i < mine->n; i++)
		if (str_starts(str_of(mine->v[i].id), prefix))
			form_value(w, mine->v[i].id);
	mem_free(prefix);
}

static void
command_class(struct xmlw *w, const struct roster_class *c, const struct page *mine)
{
	char part[NODE_CLASS_MAX + 1];

	node_class_write(str_of(c->name), part);
	xmlw_open(w, "item", NULL);
	form_field(w, "class", NULL, NULL, c->name);
	form_number(w, "students", NULL, c->n_students);
	form_field_open(w, "nodes", NULL, NULL);
	command_nodes(w, mine, part);
	xmlw_close(w);
	xmlw_close(w);
}

/* XEP-0004 §3.4 */
static void
command_classes(struct request *q, const struct command *c)
{
	const struct roster *r = hub_roster(q->reply.service->o.hub);
	struct page mine = { 0 };
	struct xmlw w = command_result(q, c);
	size_t n = 0;

	service_list(q->reply.service, q->reader, &mine, 0);
	xmlw_open(&w, "x", NS_DATA);
	xmlw_attrz(&w, "type", "result");
	xmlw_open(&w, "reported", NULL);
	form_field(&w, "class", "text-single", "Class", NULL);
	form_field(&w, "students", "text-single", "Students", NULL);
	form_field(&w, "nodes", "text-multi", "Nodes", NULL);
	xmlw_close(&w);
	for (size_t i = 0; i < roster_classes(r) && n < COMMANDS_LISTED; i++)
		if (roster_reads_class(roster_class_at(r, i), q->reader, NULL) != ROSTER_AS_NOBODY) {
			command_class(&w, roster_class_at(r, i), &mine);
			n++;
		}
	reply_end(&q->reply, &w);
	page_free(&mine);
}

/* ---- my subscriptions ---- */

static void
command_describe(const struct subscription *sub, struct xmlw *w)
{
	char *label = mem_printf("%s to %s, %s, %s", sub->node, sub->jid,
	    sub->lasting ? "lasting" : "while present", sub->o.digest ? "digests" : "each change");

	form_option(w, sub->subid, label);
	mem_free(label);
}

static void
command_subscriptions(struct request *q, const struct command *c)
{
	struct reader *r = book_reader(q->reply.service->book, q->reader);
	struct subscription *sub = r != NULL ? TAILQ_FIRST(&r->subs) : NULL;
	struct xmlw w;

	if (sub == NULL) {
		command_done(&q->reply, c, "info", "You have no subscriptions here.");
		return;
	}
	w = command_ask(q, c, "Your subscriptions");
	form_field_open(&w, "end", "list-single", "End this one");
	for (size_t n = 0; sub != NULL && n < COMMANDS_LISTED; n++, sub = TAILQ_NEXT(sub, of_reader))
		command_describe(sub, &w);
	xmlw_close(&w);
	reply_end(&q->reply, &w);
}

static void
command_end_subscription(struct request *q, const struct command *c, const struct xml *form)
{
	struct reader *r = book_reader(q->reply.service->book, q->reader);
	struct subscription *sub = r != NULL ? TAILQ_FIRST(&r->subs) : NULL;
	const char *subid = command_value(form, "end");

	while (sub != NULL && strcmp(sub->subid, subid) != 0)
		sub = TAILQ_NEXT(sub, of_reader);
	if (sub == NULL) {
		command_done(&q->reply, c, subid[0] != '\0' ? "warn" : "info",
		    "No subscription was ended.");
		return;
	}
	notify_end(q->reply.service, sub, true);
	store_save(q->reply.service);
	command_done(&q->reply, c, "info", "The subscription has ended.");
}

/* ---- for admins ---- */

/* Each member of a JSON object as a field. */
static void
command_report(struct request *q, const struct command *c,
    void (*report)(void *arg, struct jsonw *w))
{
	const struct service_admin *admin = q->reply.service->o.admin;
	struct buf json = BUF_INIT(SERVICE_OUT_MAX / 2);
	struct jsonw jw = jsonw_to(&json);
	struct xmlw w = command_result(q, c);
	struct json_raw it;

	report(admin->arg, &jw);
	xmlw_open(&w, "x", NS_DATA);
	xmlw_attrz(&w, "type", "result");
	for (it = json_raw_each(buf_view(&json)); json_raw_next(&it);) {
		bool text = it.value.n >= 2 && it.value.p[0] == '"';
		char *key = mem_str(it.key);
		char *value = text ? mem_dup(it.value.p + 1, it.value.n - 2) : mem_str(it.value);

		form_field(&w, key, "text-single", NULL, value);
		mem_free(key);
		mem_free(value);
	}
	reply_end(&q->reply, &w);
	buf_free(&json);
}

static void
command_status(struct request *q, const struct command *c)
{
	command_report(q, c, q->reply.service->o.admin->status);
}

static void
command_components(struct request *q, const struct command *c)
{
	command_report(q, c, q->reply.service->o.admin->components);
}

static void
command_reload(struct request *q, const struct command *c)
{
	struct service *s = q->reply.service;

	(void)c;
	if (s->reloading != NULL) {
		reply_fault(&q->reply, FAULT_BUSY);
		return;
	}
	s->reloading = answer_new(q, NULL);
	if (s->reloading != NULL)
		loop_timer_once(s->reload, 0); /* not from inside what reads the stream */
}

static void
command_kick(struct request *q, const struct command *c)
{
	struct xmlw w = command_ask(q, c, "End somebody's subscriptions");

	form_field(&w, "accountjid", "jid-single", "JID", NULL);
	form_field(&w, "node", "text-single", "Only of this node", NULL);
	reply_end(&q->reply, &w);
}

struct command_kicking {
	struct service *service;
	const char *node;
	size_t n;
};

static void
command_kick_cb(void *arg, struct subscription *sub)
{
	struct command_kicking *k = arg;

	if (k->node[0] != '\0' && strcmp(k->node, sub->node) != 0)
		return;
	if (sub->hub != NULL)
		hub_sub_ends_as(sub->hub, "kicked");
	notify_end(k->service, sub, true); /* XEP-0060 §12.13 */
	k->n++;
}

static void
command_kick_submit(struct request *q, const struct command *c, const struct xml *form)
{
	struct command_kicking k = { q->reply.service, command_value(form, "node"), 0 };
	struct address who;
	char *text;

	if (!address_read(command_value(form, "accountjid"), &who)) {
		command_done(&q->reply, c, "error", "That is no JID of a person.");
		return;
	}
	book_each_of(k.service->book, address_bare(&who), command_kick_cb, &k);
	store_save(k.service);
	text = mem_printf("Subscriptions ended: %zu", k.n);
	command_done(&q->reply, c, "info", text);
	mem_free(text);
}

static const struct command commands[] = {
	{ "classes", "My classes", false, command_classes, NULL },
	{ "subscriptions", "My subscriptions", false, command_subscriptions,
	    command_end_subscription },
	{ "status", "Status of the service", true, command_status, NULL },
	{ "components", "Components", true, command_components, NULL },
	{ "reload", "Read configuration and roster anew", true, command_reload, NULL },
	{ "kick", "End somebody's subscriptions", true, command_kick, command_kick_submit },
};

#define COMMANDS (sizeof commands / sizeof *commands)
#define COMMAND_RELOAD (&commands[4])

/* Whoever asked may be gone meanwhile. */
static void
commands_reloaded_cb(void *arg, const char *why)
{
	struct service *s = arg;
	struct answer *a = s->reloading;

	if (a == NULL)
		return;
	command_done(&a->reply, COMMAND_RELOAD, why == NULL ? "info" : "error",
	    why == NULL ? "Configuration and roster were read anew." : why);
	s->reloading = NULL;
	answer_free(a);
}

void
commands_reload_cb(void *arg)
{
	struct service *s = arg;

	if (s->reloading != NULL)
		s->o.admin->reload(s->o.admin->arg, commands_reloaded_cb, s);
}

void
commands_free(struct service *s)
{
	while (!LIST_EMPTY(&s->commands))
		command_session_free(LIST_FIRST(&s->commands));
}

/* ---- who may what ---- */

static bool
commands_has_something(struct request *q)
{
	struct page mine = { 0 };
	bool has;

	service_list(q->reply.service, q->reader, &mine, 0);
	has = mine.n > 0 || book_reader(q->reply.service->book, q->reader) != NULL;
	page_free(&mine);
	return has;
}

static bool
command_allowed(struct request *q, const struct command *c)
{
	const struct service_admin *admin = q->reply.service->o.admin;

	if (q->reader.n == 0)
		return false;
	if (c->admin)
		return admin != NULL && admin->is(admin->arg, q->reader);
	return commands_has_something(q);
}

static const struct command *
command_of(const char *node)
{
	for (size_t i = 0; node != NULL && i < COMMANDS; i++)
		if (strcmp(node, commands[i].node) == 0)
			return &commands[i];
	return NULL;
}

/* ---- discovery: §2.2, §2.3 ---- */

bool
commands_disco_items(struct request *q)
{
	const char *node = xml_attr(q->query, "node");
	struct xmlw w;

	if (node == NULL || strcmp(node, NS_COMMANDS) != 0)
		return false;
	w = reply_begin(&q->reply);
	xmlw_open(&w, "query", NS_DISCO_ITEMS);
	xmlw_attrz(&w, "node", node);
	for (size_t i = 0; i < COMMANDS; i++) {
		if (!command_allowed(q, &commands[i]))
			continue;
		xmlw_open(&w, "item", NULL);
		xmlw_attrz(&w, "jid", q->reply.service->o.jid);
		xmlw_attrz(&w, "node", commands[i].node);
		xmlw_attrz(&w, "name", commands[i].name);
		xmlw_close(&w);
	}
	reply_end(&q->reply, &w);
	return true;
}

static void
commands_feature(struct xmlw *w, const char *var)
{
	xmlw_open(w, "feature", NULL);
	xmlw_attrz(w, "var", var);
	xmlw_close(w);
}

bool
commands_disco_info(struct request *q)
{
	const char *node = xml_attr(q->query, "node");
	const struct command *c = command_of(node);
	bool list = node != NULL && strcmp(node, NS_COMMANDS) == 0;
	struct xmlw w;

	if (!list && (c == NULL || !command_allowed(q, c)))
		return false;
	w = reply_begin(&q->reply);
	xmlw_open(&w, "query", NS_DISCO_INFO);
	xmlw_attrz(&w, "node", node);
	xmlw_open(&w, "identity", NULL);
	xmlw_attrz(&w, "category", "automation");
	xmlw_attrz(&w, "type", list ? "command-list" : "command-node");
	xmlw_attrz(&w, "name", list ? "Commands" : c->name);
	xmlw_close(&w);
	commands_feature(&w, NS_COMMANDS);
	commands_feature(&w, NS_DATA);
	reply_end(&q->reply, &w);
	return true;
}

/* ---- requests: §3 ---- */

static void
command_cancel(struct request *q, struct command_session *e)
{
	struct xmlw w = reply_begin(&q->reply);

	command_open(&w, e->command, e->id, "canceled");
	reply_end(&q->reply, &w);
	command_session_free(e);
}

/* The second step: there are no more. */
static void
command_go_on(struct request *q, const struct command *c, const char *id, const char *action)
{
	struct command_session *e = command_session_of(q, c, id);
	const struct xml *form = xml_child(q->query, NS_DATA, "x");

	if (e == NULL) {
		reply_fault(&q->reply, FAULT_BAD_SESSION);
	} else if (e->end_ms <= loop_now_ms(q->reply.service->o.loop)) {
		command_session_free(e);
		reply_fault(&q->reply, FAULT_SESSION_EXPIRED);
	} else if (strcmp(action, "cancel") == 0) {
		command_cancel(q, e);
	} else if (strcmp(action, "execute") != 0 && strcmp(action, "complete") != 0) {
		reply_fault(&q->reply, FAULT_BAD_ACTION); /* there is no prev, no next */
	} else if (form == NULL || form_kind(form) != FORM_SUBMIT) {
		reply_fault(&q->reply, FAULT_BAD_PAYLOAD);
	} else {
		command_session_free(e);
		c->submit(q, c, form);
	}
}

void
commands_request(struct request *q)
{
	static const char *const actions[] = { "execute", "complete", "cancel", "next", "prev" };
	const struct command *c = command_of(xml_attr(q->query, "node"));
	const char *id = xml_attr(q->query, "sessionid"), *action = xml_attr(q->query, "action");
	bool known = false;

	action = action != NULL ? action : "execute";
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		known = known || strcmp(action, actions[i]) == 0;
	if (c == NULL)
		reply_fault(&q->reply, FAULT_NOT_FOUND);
	else if (!command_allowed(q, c))
		reply_fault(&q->reply, FAULT_FORBIDDEN);
	else if (!known)
		reply_fault(&q->reply, FAULT_MALFORMED_ACTION);
	else if (id != NULL)
		command_go_on(q, c, id, action);
	else if (strcmp(action, "execute") != 0)
		reply_fault(&q->reply, FAULT_BAD_ACTION);
	else
		c->execute(q, c);
}
