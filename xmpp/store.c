/* SPDX-License-Identifier: MIT */
/* store: subscriptions in the kvs:
 *     Subscription,<component>,<node>,<jid>
 *         {"jid":..,"node":..,"subid":..,"lasting":..,"doubted":..,
 *          "deliver":..,"digest":..,"frequency":..,"expire":..,"presence":..,
 *          "body":..,"shows":..}
 * At the start each is subscribed again, unless the roster no longer allows it.
 * Temporary ones are kept, too: their clients do not notice that we restarted. */
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "state/key.h"
#include "xmpp/service_priv.h"

/* How long a temporary subscription of an earlier life is served on trust. It
 * counts from the restart: its session may have been open for longer than that. */
#define STORE_DOUBTED_US (24LL * 3600 * 1000000)

static void
store_prefix(struct buf *out, const struct service *s)
{
	buf_z(out, "Subscription,");
	key_escape(out, str_of(s->o.jid));
	buf_byte(out, ',');
}

static struct buf
store_key(const struct service *s, const struct subscription *sub)
{
	struct buf key = BUF_INIT(0);

	store_prefix(&key, s);
	key_escape(&key, str_of(sub->node));
	buf_byte(&key, ',');
	key_escape(&key, str_of(sub->jid));
	return key;
}

void
store_put(struct service *s, const struct subscription *sub)
{
	struct buf key = store_key(s, sub), value = BUF_INIT(0);
	struct jsonw w = jsonw_to(&value);

	jsonw_object(&w);
	jsonw_kz(&w, "jid", sub->jid);
	jsonw_kz(&w, "node", sub->node);
	jsonw_kz(&w, "subid", sub->subid);
	jsonw_kbool(&w, "lasting", sub->lasting);
	jsonw_kint(&w, "doubted", sub->doubted_us);
	jsonw_kbool(&w, "deliver", sub->o.deliver);
	jsonw_kbool(&w, "digest", sub->o.digest);
	jsonw_kuint(&w, "frequency", sub->o.frequency_ms);
	jsonw_kint(&w, "expire", sub->o.expire_us);
	jsonw_kbool(&w, "presence", sub->o.presence);
	jsonw_kbool(&w, "body", sub->o.body);
	jsonw_kuint(&w, "shows", sub->o.shows);
	jsonw_object_end(&w);
	kvs_put(s->o.kvs, buf_view(&key), buf_view(&value));
	s->unsaved = true;
	buf_free(&key);
	buf_free(&value);
}

void
store_remove(struct service *s, const struct subscription *sub)
{
	struct buf key = store_key(s, sub);

	kvs_remove(s->o.kvs, buf_view(&key));
	s->unsaved = true;
	buf_free(&key);
}

/* A failure is the kvs's to report; what it holds is saved with the next. */
static void
store_saved_cb(void *arg, enum err e)
{
	(void)arg, (void)e;
}

void
store_save(struct service *s)
{
	if (s->unsaved)
		kvs_flush(s->o.kvs, store_saved_cb, NULL);
	s->unsaved = false;
}

/* ---- loading ---- */

struct store_loading {
	struct service *s;
	struct json_doc *doc;
	struct buf text;   /* one value with its padding */
	struct buf unfit;  /* keys to remove, each ends in NUL */
	size_t kept, dropped;
	loop_cb *cb;
	void *arg;
};

/* Those that earlier versions did not write. */
static bool
store_options_later(struct json v, struct options *o)
{
	struct json body, shows;
	int64_t bits = SHOW_ALL;

	if ((json_get(v, "body", &body) && !json_bool(body, &o->body)) ||
	    (json_get(v, "shows", &shows) && !json_int(shows, &bits)) || bits < 1 || bits > SHOW_ALL)
		return false;
	o->shows = (unsigned)bits;
	return true;
}

static bool
store_options(struct json v, struct options *o)
{
	struct json deliver, digest, frequency, expire, presence;
	int64_t ms;

	*o = OPTIONS_DEFAULT;
	if (!json_get(v, "deliver", &deliver) || !json_bool(deliver, &o->deliver) ||
	    !json_get(v, "digest", &digest) || !json_bool(digest, &o->digest) ||
	    !json_get(v, "frequency", &frequency) || !json_int(frequency, &ms) || ms < 0 ||
	    ms > OPTIONS_FREQUENCY_MAX || !json_get(v, "expire", &expire) ||
	    !json_int(expire, &o->expire_us) || !json_get(v, "presence", &presence) ||
	    !json_bool(presence, &o->presence))
		return false;
	o->frequency_ms = (uint32_t)ms;
	return store_options_later(v, o);
}

/* Whether it lasts; a temporary one has a day to show that somebody is there. */
static bool
store_lease(struct service *s, struct json v, bool *lasting, int64_t *doubted_us)
{
	struct json flag, doubted;
	int64_t now = loop_wall_us(s->o.loop);

	if (!json_get(v, "lasting", &flag) || !json_bool(flag, lasting) ||
	    !json_get(v, "doubted", &doubted) || !json_int(doubted, doubted_us))
		return false;
	if (!*lasting && *doubted_us == 0)
		*doubted_us = now + STORE_DOUBTED_US;
	return *lasting || *doubted_us > now;
}

/* Book and hub take the subscription, or it is none any more. */
static bool
store_take(struct service *s, struct json v)
{
	struct str jid, node, subid;
	struct options o;
	struct address a;
	struct subscription *sub;
	char *jid_z, *node_z, *subid_z;
	int64_t doubted_us;
	bool ok, lasting;

	if (!json_get_str(v, "jid", &jid) || !json_get_str(v, "node", &node) ||
	    !json_get_str(v, "subid", &subid) || !store_options(v, &o) ||
	    !store_lease(s, v, &lasting, &doubted_us))
		return false;
	jid_z = mem_str(jid);
	node_z = mem_str(node);
	subid_z = mem_str(subid);
	ok = address_read(jid_z, &a) &&
	    service_may_read(s, address_bare(&a), node_z, NULL) == ERR_OK &&
	    book_find(s->book, address_bare(&a), node_z, a.full) == NULL &&
	    book_size(s->book) < BOOK_SUBS_MAX;
	if (ok) {
		sub = book_add(s->book, &a, node_z, true, subid_z);
		sub->o = o;
		sub->lasting = lasting;
		sub->doubted_us = doubted_us;
		sub->unseen = true;
		ok = notify_begin(s, sub) == ERR_OK;
		if (ok) /* who left while there was no hub, the subscriber may still show */
			hub_sub_reset(sub->hub);
		else
			book_remove(s->book, sub);
	}
	mem_free(jid_z);
	mem_free(node_z);
	mem_free(subid_z);
	return ok;
}

static bool
store_read(struct store_loading *l, struct str value)
{
	struct json v;
	char *padding;

	buf_clear(&l->text);
	buf_str(&l->text, value);
	padding = buf_room(&l->text, JSON_PADDING);
	memset(padding, 0, JSON_PADDING);
	return json_parse(l->doc, buf_view(&l->text), &v) == ERR_OK && store_take(l->s, v);
}

void
store_load_free(struct service *s)
{
	struct store_loading *l = s->loading;

	if (l == NULL)
		return;
	json_doc_free(l->doc);
	buf_free(&l->text);
	buf_free(&l->unfit);
	mem_free(l);
	s->loading = NULL;
}

/* The doubt is kept, too: more restarts do not make it longer. */
static void
store_doubt_cb(void *arg, struct subscription *sub)
{
	if (!sub->lasting)
		store_put(arg, sub);
}

static void
store_finish(struct store_loading *l)
{
	book_each(l->s->book, store_doubt_cb, l->s);
	for (size_t at = 0; at < l->unfit.len; at += strlen(l->unfit.data + at) + 1)
		kvs_remove(l->s->o.kvs, str_of(l->unfit.data + at));
	l->s->unsaved |= l->unfit.len > 0;
	if (l->kept + l->dropped > 0)
		log_notice("xmpp jid=%s subscriptions=%zu dropped=%zu", l->s->o.jid, l->kept,
		    l->dropped);
	l->cb(l->arg);
	store_load_free(l->s);
}

/* Keys hold no control bytes: key_escape sees to it. */
static void
store_scan_cb(void *arg, enum err e, struct str key, struct str value)
{
	struct store_loading *l = arg;

	if (key.p == NULL) {
		if (e != ERR_OK)
			log_error("xmpp jid=%s: subscriptions cannot be read: %s",
			    l->s->o.jid, err_text(e));
		store_finish(l);
	} else if (store_read(l, value)) {
		l->kept++;
	} else {
		l->dropped++;
		buf_str(&l->unfit, key);
		buf_byte(&l->unfit, '\0');
	}
}

void
store_load(struct service *s, loop_cb *cb, void *arg)
{
	struct buf prefix = BUF_INIT(0);
	struct store_loading *l;

	MEM_NEW(l);
	*l = (struct store_loading){ .s = s, .doc = json_doc_new(), .cb = cb, .arg = arg };
	s->loading = l;
	store_prefix(&prefix, s);
	kvs_scan(s->o.kvs, buf_view(&prefix), store_scan_cb, l);
	buf_free(&prefix);
}
