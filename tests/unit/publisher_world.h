/* SPDX-License-Identifier: MIT */
/* What the tests of the publisher share: a publisher on a real hub, and a PubSub
 * service in this process that does what it is asked, or what a test tells it to
 * do instead. With every item it takes it checks that nobody could read it whom
 * the roster does not let, and that no version went back. */
#ifndef LECTERN_TESTS_PUBLISHER_WORLD_H
#define LECTERN_TESTS_PUBLISHER_WORLD_H

#include "hub_world.h"
#include "xmpp/publisher_priv.h"

#define JID "lectern.school.test"
#define PUBSUB_JID "pubsub.school.test"
#define FAKE_HEADER "<stream:stream xmlns='jabber:component:accept' " \
	"xmlns:stream='http://etherx.jabber.org/streams' id='1'>"
#define FAKE_NODES 200
#define FAKE_JIDS 8
#define FAKE_ITEMS 16
#define FAKE_ANSWERS 4096

struct fake_pair {
	char key[128], value[128];
};

struct fake_item {
	char id[128], datatype[64];
	char *json;
	uint64_t seq;
};

struct fake_node {
	char name[64], model[16], max[16];
	struct fake_pair affiliation[FAKE_JIDS], subscription[FAKE_JIDS];
	struct fake_item item[FAKE_ITEMS];
};

/* What a test tells the service to answer to requests of one element. */
struct fake_script {
	const char *element, *error; /* error: what <error/> holds, type first */
	unsigned times;
};

static struct {
	struct fake_node *node[FAKE_NODES];
	char *answer[FAKE_ANSWERS]; /* not delivered yet */
	size_t n_answers, n_asked, n_published;
	struct fake_script script;
	bool open_anyway;       /* ignores access_model */
	bool keeps_config;      /* ignores <configure/> */
	bool forbidden_though;  /* takes an affiliation away and says forbidden */
	bool keeps_members;     /* takes none away */
	bool silent;
	bool backwards;         /* the answer asked for last comes first */
	bool huge;              /* items are beyond the reader's limit */
	struct buf asked;       /* " create configure ..." */
} fake;

static struct publisher *publisher;
static struct kvs *kvs;
static struct xml_reader *fake_ears, *fake_mouth;
static bool stream_up;

/* ---- the model ---- */

static inline struct fake_node **
fake_place(const char *name)
{
	struct fake_node **free_place = NULL;

	for (size_t i = 0; i < FAKE_NODES; i++) {
		if (fake.node[i] != NULL && strcmp(fake.node[i]->name, name) == 0)
			return &fake.node[i];
		if (fake.node[i] == NULL && free_place == NULL)
			free_place = &fake.node[i];
	}
	assert_non_null(free_place);
	return free_place;
}

static inline void
fake_items_clear(struct fake_node *n)
{
	for (size_t i = 0; i < FAKE_ITEMS; i++)
		mem_free(n->item[i].json);
	memset(n->item, 0, sizeof n->item);
}

static inline void
fake_drop(struct fake_node **n)
{
	if (*n != NULL)
		fake_items_clear(*n);
	mem_free(*n);
	*n = NULL;
}

static inline struct fake_node *
fake_make(const char *name, const char *model, const char *max)
{
	struct fake_node **n = fake_place(name);

	fake_drop(n);
	*n = mem_zalloc(sizeof **n);
	snprintf((*n)->name, sizeof (*n)->name, "%s", name);
	snprintf((*n)->model, sizeof (*n)->model, "%s", model);
	snprintf((*n)->max, sizeof (*n)->max, "%s", max);
	return *n;
}

static inline void
fake_set(struct fake_pair *v, const char *key, const char *value)
{
	struct fake_pair *at = NULL;

	for (size_t i = 0; i < FAKE_JIDS; i++) {
		if (strcmp(v[i].key, key) == 0) {
			at = &v[i];
			break;
		}
		if (v[i].key[0] == '\0' && at == NULL)
			at = &v[i];
	}
	assert_non_null(at);
	memset(at, 0, sizeof *at);
	if (strcmp(value, "none") == 0)
		return;
	snprintf(at->key, sizeof at->key, "%s", key);
	snprintf(at->value, sizeof at->value, "%s", value);
}

static inline const char *
fake_get(const struct fake_pair *v, const char *key)
{
	for (size_t i = 0; i < FAKE_JIDS; i++)
		if (strcmp(v[i].key, key) == 0)
			return v[i].value;
	return "";
}

static inline struct fake_item *
fake_item(struct fake_node *n, const char *id)
{
	for (size_t i = 0; i < FAKE_ITEMS; i++)
		if (n->item[i].json != NULL && strcmp(n->item[i].id, id) == 0)
			return &n->item[i];
	for (size_t i = 0; i < FAKE_ITEMS; i++)
		if (n->item[i].json == NULL)
			return &n->item[i];
	fail_msg("too many items");
	return NULL;
}

/* ---- what must hold whenever an item is taken ---- */

static inline struct pub_node *
node_named(const char *opaque)
{
	struct map_iter it = { 0 };

	while (map_next(publisher->nodes, &it)) {
		struct pub_node *n = it.value;

		if (strcmp(n->opaque, opaque) == 0)
			return n;
	}
	fail_msg("no node is called %s", opaque);
	return NULL;
}

static inline void
fake_check_reader(const struct pub_node *n, const char *jid)
{
	struct str bare = { jid, strcspn(jid, "/") };

	if (jid[0] != '\0' && !access_may_read(roster, bare, &n->is))
		fail_msg("%s was published while %s could read it", n->name, jid);
}

static inline void
fake_check_publish(const struct fake_node *f)
{
	const struct pub_node *n = node_named(f->name);

	assert_string_equal(f->model, "whitelist");
	for (size_t i = 0; i < FAKE_JIDS; i++) {
		fake_check_reader(n, f->affiliation[i].key);
		fake_check_reader(n, f->subscription[i].key);
	}
}

/* ---- answering ---- */

static inline void
fake_answer(const struct xml *iq, const char *type, struct buf *inside)
{
	struct buf b = BUF_INIT(0);

	buf_printf(&b, "<iq type='%s' from='%s' to='%s' id='%s'>", type, xml_attr(iq, "to"),
	    xml_attr(iq, "from"), xml_attr(iq, "id"));
	if (inside != NULL)
		buf_str(&b, buf_view(inside));
	buf_z(&b, "</iq>");
	assert_true(fake.n_answers < FAKE_ANSWERS);
	fake.answer[fake.n_answers++] = buf_take(&b);
}

/* text: "cancel item-not-found", "cancel not-allowed closed-node" */
static inline void
fake_error(const struct xml *iq, const char *text)
{
	char type[32] = "", condition[64] = "", more[64] = "";
	struct buf b = BUF_INIT(0);

	sscanf(text, "%31s %63s %63s", type, condition, more);
	buf_printf(&b, "<error type='%s'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>", type,
	    condition);
	if (more[0] != '\0')
		buf_printf(&b, "<%s xmlns='http://jabber.org/protocol/pubsub#errors'/>", more);
	buf_z(&b, "</error>");
	fake_answer(iq, "error", &b);
	buf_free(&b);
}

static inline const char *
fake_field(const struct xml *configure, const char *name)
{
	const struct xml *form = xml_child(configure, NS_DATA, "x");

	for (const struct xml *f = form != NULL ? form->first : NULL; f != NULL; f = f->next)
		if (strcmp(xml_attr(f, "var"), name) == 0)
			return xml_child(f, NS_DATA, "value")->text.p;
	return "";
}

static inline void
fake_form(struct buf *b, const struct fake_node *n)
{
	buf_printf(b, "<pubsub xmlns='" NS_PUBSUB_OWNER "'><configure node='%s'>"
	    "<x xmlns='jabber:x:data' type='form'>"
	    "<field var='pubsub#title'><value/></field>"
	    "<field var='pubsub#access_model'><value>%s</value></field>"
	    "<field var='pubsub#persist_items'><value>true</value></field>"
	    "<field var='pubsub#max_items'><value>%s</value></field>"
	    "<field var='pubsub#send_last_published_item'><value>on_sub</value></field>"
	    "<field var='pubsub#deliver_payloads'><value>1</value></field>"
	    "<field var='pubsub#notification_type'><value>headline</value></field>"
	    "</x></configure></pubsub>", n->name, n->model, n->max);
}

static inline void
fake_list(struct buf *b, const struct fake_pair *v, const char *list, const char *one)
{
	buf_printf(b, "<pubsub xmlns='" NS_PUBSUB_OWNER "'><%s>", list);
	if (strcmp(one, "affiliation") == 0)
		buf_z(b, "<affiliation jid='" JID "' affiliation='owner'/>");
	for (size_t i = 0; i < FAKE_JIDS; i++)
		if (v[i].key[0] != '\0')
			buf_printf(b, "<%s jid='%s' %s='%s'/>", one, v[i].key, one, v[i].value);
	buf_printf(b, "</%s></pubsub>", list);
}

static inline void
fake_items_list(struct buf *b, const struct fake_node *n)
{
	buf_z(b, "<pubsub xmlns='" NS_PUBSUB "'><items>");
	for (size_t i = 0; i < FAKE_ITEMS; i++) {
		const struct fake_item *it = &n->item[i];

		if (it->json != NULL)
			buf_printf(b, "<item id='%s'><payload xmlns='urn:xmpp:json-msg:0' datatype='%s'>"
			    "<json xmlns='urn:xmpp:json:0'>%s</json></payload></item>", it->id,
			    it->datatype, it->json);
	}
	for (int i = 0; fake.huge && i < 7000; i++)
		buf_z(b, "0123456789");
	buf_z(b, "</items></pubsub>");
}

/* What is to be set in affiliations or subscriptions. */
static inline bool
fake_change(struct fake_pair *v, const struct xml *list, const char *one)
{
	bool forbidden = false;

	for (const struct xml *x = list->first; x != NULL; x = x->next) {
		const char *as = xml_attr(x, one);
		bool less = strcmp(as, "none") == 0;

		if (!less || !fake.keeps_members)
			fake_set(v, xml_attr(x, "jid"), as);
		forbidden |= less && fake.forbidden_though && strcmp(one, "affiliation") == 0;
	}
	return forbidden;
}

static inline void
fake_publish(const struct xml *iq, const struct xml *publish, struct fake_node *n)
{
	const struct xml *item = publish->first;
	const struct xml *payload = item->first, *json = payload->first;
	struct fake_item *it = fake_item(n, xml_attr(item, "id"));
	const char *seq = strstr(json->text.p, "\"seq\":");
	uint64_t now = strtoull(seq + strlen("\"seq\":"), NULL, 10);

	assert_ptr_equal(item->next, NULL);
	assert_non_null(strstr(publish->next->name, "publish-options"));
	if (strcmp(n->model, fake_field(publish->next, "pubsub#access_model")) != 0) {
		fake_error(iq, "cancel conflict precondition-not-met");
		return;
	}
	fake_check_publish(n);
	if (it->json != NULL && now < it->seq)
		fail_msg("%s went back from %ju to %ju", it->id, (uintmax_t)it->seq, (uintmax_t)now);
	mem_free(it->json);
	snprintf(it->id, sizeof it->id, "%s", xml_attr(item, "id"));
	snprintf(it->datatype, sizeof it->datatype, "%s", xml_attr(payload, "datatype"));
	it->json = mem_strdup(json->text.p);
	it->seq = now;
	fake.n_published++;
	fake_answer(iq, "result", NULL);
}

static inline void
fake_set_request(const struct xml *iq, const struct xml *x, struct fake_node *n)
{
	bool forbidden = false;

	if (strcmp(x->name, "configure") == 0 && !fake.keeps_config)
		snprintf(n->max, sizeof n->max, "%s", fake_field(x, "pubsub#max_items"));
	else if (strcmp(x->name, "affiliations") == 0)
		forbidden = fake_change(n->affiliation, x, "affiliation");
	else if (strcmp(x->name, "subscriptions") == 0)
		forbidden = fake_change(n->subscription, x, "subscription");
	else if (strcmp(x->name, "purge") == 0)
		fake_items_clear(n);
	else if (strcmp(x->name, "delete") == 0)
		fake_drop(fake_place(n->name));
	else if (strcmp(x->name, "retract") == 0) {
		struct fake_item *it = fake_item(n, xml_attr(x->first, "id"));

		mem_free(it->json);
		memset(it, 0, sizeof *it);
	}
	if (forbidden)
		fake_error(iq, "auth forbidden");
	else
		fake_answer(iq, "result", NULL);
}

static inline void
fake_get_request(const struct xml *iq, const struct xml *x, struct fake_node *n)
{
	struct buf b = BUF_INIT(0);

	if (strcmp(x->name, "configure") == 0)
		fake_form(&b, n);
	else if (strcmp(x->name, "affiliations") == 0)
		fake_list(&b, n->affiliation, "affiliations", "affiliation");
	else if (strcmp(x->name, "subscriptions") == 0)
		fake_list(&b, n->subscription, "subscriptions", "subscription");
	else
		fake_items_list(&b, n);
	fake_answer(iq, "result", &b);
	buf_free(&b);
}

static inline void
fake_create(const struct xml *iq, const struct xml *create, const char *name)
{
	const char *model = fake_field(create->next, "pubsub#access_model");

	if (*fake_place(name) != NULL) {
		fake_error(iq, "cancel conflict");
		return;
	}
	fake_make(name, fake.open_anyway ? "open" : model,
	    fake_field(create->next, "pubsub#max_items"));
	fake_answer(iq, "result", NULL);
}

static void
fake_stanza_cb(void *arg, const struct xml *iq)
{
	const struct xml *x = iq->first->first;
	const char *name = xml_attr(x, "node");
	struct fake_node *n = *fake_place(name);

	(void)arg;
	assert_string_equal(xml_attr(iq, "to"), PUBSUB_JID);
	assert_string_equal(xml_attr(iq, "from"), JID);
	fake.n_asked++;
	buf_printf(&fake.asked, " %s", x->name);
	if (fake.silent)
		return;
	if (fake.script.times > 0 && strcmp(fake.script.element, x->name) == 0) {
		fake.script.times--;
		fake_error(iq, fake.script.error);
	} else if (strcmp(x->name, "create") == 0) {
		fake_create(iq, x, name);
	} else if (n == NULL) {
		fake_error(iq, "cancel item-not-found");
	} else if (strcmp(x->name, "publish") == 0) {
		fake_publish(iq, x, n);
	} else if (strcmp(xml_attr(iq, "type"), "set") == 0) {
		fake_set_request(iq, x, n);
	} else {
		fake_get_request(iq, x, n);
	}
}

/* ---- the stream ---- */

static void
fake_header_cb(void *arg, const struct xml *x)
{
	(void)arg, (void)x;
}

static void
fake_refused_cb(void *arg, const struct xml *x)
{
	(void)arg;
	fail_msg("the publisher sent a <%s/> beyond the limits", x->name);
}

static void
fake_close_cb(void *arg)
{
	(void)arg;
}

static const struct xml_reader_ops fake_ears_ops = {
	fake_header_cb, fake_stanza_cb, fake_refused_cb, fake_close_cb
};

static size_t n_foreign; /* stanzas that the publisher did not take */

static void
fake_mouth_cb(void *arg, const struct xml *x)
{
	(void)arg;
	n_foreign += !publisher_stanza(publisher, x);
}

static void
fake_mouth_refused_cb(void *arg, const struct xml *x)
{
	(void)arg;
	n_foreign += !publisher_refused(publisher, x);
}

static const struct xml_reader_ops fake_mouth_ops = {
	fake_header_cb, fake_mouth_cb, fake_mouth_refused_cb, fake_close_cb
};

static bool
fake_send_cb(void *arg, struct str stanza)
{
	(void)arg;
	if (!stream_up)
		return false;
	assert_int_equal(xml_reader_feed(fake_ears, stanza), XML_OK);
	return true;
}

static bool
fake_bulk_cb(void *arg)
{
	(void)arg;
	return true;
}

static const struct service_sink fake_sink = { fake_send_cb, fake_bulk_cb, NULL };

static inline void
tell(const char *text)
{
	assert_int_equal(xml_reader_feed(fake_mouth, str_of(text)), XML_OK);
}

/* Gives one answer: the first asked for, or the last. */
static inline void
tell_one(void)
{
	size_t at = fake.backwards ? fake.n_answers - 1 : 0;
	char *text = fake.answer[at];

	assert_true(fake.n_answers > 0);
	memmove(fake.answer + at, fake.answer + at + 1,
	    (--fake.n_answers - at) * sizeof *fake.answer);
	tell(text);
	mem_free(text);
}

static inline void
deliver_answers(void)
{
	while (fake.n_answers > 0)
		tell_one();
}

static inline void
lose_answers(void)
{
	while (fake.n_answers > 0)
		mem_free(fake.answer[--fake.n_answers]);
}

/* Until nobody has anything more to say. */
static inline void
run(void)
{
	size_t before, answers;

	do {
		before = fake.n_asked;
		turns(4);
		answers = fake.n_answers;
		deliver_answers();
	} while (fake.n_asked != before || answers > 0);
}

static inline void
later(uint64_t ms)
{
	publisher_tick(publisher, loop_now_ms(loop) + ms);
}

static inline void
stream_goes(void)
{
	stream_up = false;
	lose_answers();
	publisher_down(publisher);
}

static inline void
stream_comes(void)
{
	stream_up = true;
	publisher_up(publisher);
}

/* ---- asking ---- */

static inline struct fake_node *
at_service(const char *name)
{
	char opaque[NODE_OPAQUE_LEN + 1];

	node_opaque(KEY, str_of(name), opaque);
	return *fake_place(opaque);
}

static inline struct pub_node *
node(const char *name)
{
	return map_get(publisher->nodes, str_of(name));
}

static inline size_t
fake_nodes(void)
{
	size_t n = 0;

	for (size_t i = 0; i < FAKE_NODES; i++)
		n += fake.node[i] != NULL;
	return n;
}

static inline void
fake_model(struct fake_node *n, const char *model)
{
	snprintf(n->model, sizeof n->model, "%s", model);
}

/* The seq of an item that the service has; 0: it has none. */
static inline uint64_t
seq_at(const char *name, const char *id)
{
	struct fake_node *n = at_service(name);
	struct fake_item *it = n != NULL ? fake_item(n, id) : NULL;

	return it != NULL && it->json != NULL ? it->seq : 0;
}

/* ---- begin and end ---- */

static void
publisher_loaded(void *arg)
{
	*(bool *)arg = true;
}

static inline void
publisher_open(unsigned window, unsigned max_items)
{
	struct publisher_options o = {
		.loop = loop, .hub = hub, .kvs = kvs, .jid = JID, .pubsub = PUBSUB_JID, .key = KEY,
		.reducers = world_reducers, .window = window, .max_items = max_items,
		.sink = &fake_sink,
	};
	bool loaded = false;

	publisher = publisher_new(&o);
	publisher_load(publisher, publisher_loaded, &loaded);
	while (!loaded)
		turns(1);
	turns(4); /* what it makes is saved */
}

static inline void
start(const char *text, unsigned window, unsigned max_items)
{
	struct kvs_options o = { 0 };
	char *why = NULL;

	world_open(text);
	o.loop = loop;
	kvs = kvs_open("memory", &o, &why);
	assert_non_null(kvs);
	memset(&fake, 0, sizeof fake);
	n_foreign = 0;
	fake_ears = xml_reader_new(&fake_ears_ops, NULL);
	fake_mouth = xml_reader_new(&fake_mouth_ops, NULL);
	assert_int_equal(xml_reader_feed(fake_ears, STR_LIT(FAKE_HEADER)), XML_OK);
	assert_int_equal(xml_reader_feed(fake_mouth, STR_LIT(FAKE_HEADER)), XML_OK);
	publisher_open(window, max_items);
}

static inline int
finish(void **state)
{
	(void)state;
	publisher_free(publisher);
	hub_door_free(door);
	for (size_t i = 0; i < FAKE_NODES; i++)
		fake_drop(&fake.node[i]);
	lose_answers();
	buf_free(&fake.asked);
	xml_reader_free(fake_ears);
	xml_reader_free(fake_mouth);
	kvs_close(kvs);
	world_close();
	return 0;
}

#endif
