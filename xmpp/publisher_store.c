/* SPDX-License-Identifier: MIT */
/* publisher_store: the nodes that a publisher has made, in the kvs, so that they
 * can be deleted when the roster lost them while we were away:
 *     PublishedNode,<component>,<service>,<node>    the node */
#include "base/log.h"
#include "base/mem.h"
#include "state/key.h"
#include "xmpp/publisher_priv.h"

static void
pub_store_prefix(struct buf *out, const struct publisher *p)
{
	buf_z(out, "PublishedNode,");
	key_escape(out, str_of(p->o.jid));
	buf_byte(out, ',');
	key_escape(out, str_of(p->o.pubsub));
	buf_byte(out, ',');
}

static struct buf
pub_store_key(const struct pub_node *n)
{
	struct buf key = BUF_INIT(0);

	pub_store_prefix(&key, n->publisher);
	key_escape(&key, str_of(n->name));
	return key;
}

void
pub_store_put(struct pub_node *n)
{
	struct buf key = pub_store_key(n);

	kvs_put(n->publisher->o.kvs, buf_view(&key), str_of(n->name));
	buf_free(&key);
}

void
pub_store_remove(struct pub_node *n)
{
	struct buf key = pub_store_key(n);

	kvs_remove(n->publisher->o.kvs, buf_view(&key));
	buf_free(&key);
}

/* ---- before it is made, a node is saved ---- */

static void
pub_saved_cb(void *arg, enum err e)
{
	struct publisher *p = arg;
	struct map_iter it = { 0 };

	(void)e; /* the kvs has said it; a node too many is the lesser harm */
	p->saving = false;
	while (map_next(p->nodes, &it)) {
		struct pub_node *n = it.value;

		if (!n->saved && n->saving) {
			n->saved = true;
			pub_begin(n);
		}
		n->saving = false;
	}
	if (p->save_again)
		pub_store_save(p);
	pub_work(p);
}

void
pub_store_save(struct publisher *p)
{
	struct map_iter it = { 0 };

	p->save_again = p->saving;
	if (p->saving)
		return;
	p->saving = true;
	while (map_next(p->nodes, &it))
		((struct pub_node *)it.value)->saving = true;
	kvs_flush(p->o.kvs, pub_saved_cb, p);
}

/* ---- loading ---- */

static void
pub_load_cb(void *arg, enum err e, struct str key, struct str value)
{
	struct publisher *p = arg;
	struct pub_node *n;
	char *name;

	if (key.p == NULL) {
		if (e != ERR_OK)
			log_error("xmpp jid=%s: published nodes cannot be read: %s", p->o.jid,
			    err_text(e));
		p->loaded_cb(p->loaded_arg);
		return;
	}
	name = mem_str(value);
	n = pub_node_new(p, name);
	if (n != NULL)
		n->saved = n->known = true;
	mem_free(name);
}

void
pub_store_load(struct publisher *p, loop_cb *cb, void *arg)
{
	struct buf prefix = BUF_INIT(0);

	p->loaded_cb = cb;
	p->loaded_arg = arg;
	pub_store_prefix(&prefix, p);
	kvs_scan(p->o.kvs, buf_view(&prefix), pub_load_cb, p);
	buf_free(&prefix);
}
