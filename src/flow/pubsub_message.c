/* SPDX-License-Identifier: MIT */
/* pubsub_message: see pubsub_message.h. */
#include "flow/pubsub_message.h"

#include "base/json.h"
#include "base/mem.h"

struct pubsub_message {
	struct json_doc *doc;
	struct buf text; /* padded */
};

void
pubsub_message_write(const struct pubsub_change *c, struct buf *out)
{
	struct jsonw w = jsonw_to(out);

	jsonw_object(&w);
	jsonw_kz(&w, "op", pubsub_op_name(c->op));
	jsonw_kuint(&w, "number", c->number);
	if (c->op == PUBSUB_ITEM || c->op == PUBSUB_RETRACT)
		jsonw_kstr(&w, "id", c->id);
	if (c->op == PUBSUB_ITEM) {
		jsonw_key(&w, "item");
		jsonw_raw(&w, c->json);
	}
	jsonw_object_end(&w);
}

struct pubsub_message *
pubsub_message_new(void)
{
	struct pubsub_message *m;

	MEM_NEW(m);
	m->doc = json_doc_new();
	return m;
}

void
pubsub_message_free(struct pubsub_message *m)
{
	json_doc_free(m->doc);
	buf_free(&m->text);
	mem_free(m);
}

bool
pubsub_message_read(struct pubsub_message *m, struct str text, struct pubsub_change *c)
{
	struct str op, member;
	struct json root, v;
	int64_t number;

	buf_clear(&m->text);
	buf_str(&m->text, text);
	memset(buf_room(&m->text, JSON_PADDING), 0, JSON_PADDING);
	*c = (struct pubsub_change){ .op = PUBSUB_ITEM };
	if (json_parse(m->doc, buf_view(&m->text), &root) != ERR_OK ||
	    !json_get_str(root, "op", &op) || !pubsub_op_by_name(op, &c->op) ||
	    !json_get(root, "number", &v) || !json_int(v, &number) || number < 1)
		return false;
	c->number = (uint64_t)number;
	if (c->op == PUBSUB_ITEM || c->op == PUBSUB_RETRACT)
		if (!json_get_str(root, "id", &c->id))
			return false;
	return c->op != PUBSUB_ITEM ||
	    json_member_raw(buf_view(&m->text), "item", &member, &c->json);
}
