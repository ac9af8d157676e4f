/* SPDX-License-Identifier: MIT */
/* subscription: readers by bare JID, each with its few subscriptions in a list;
 * leases by full JID, the oldest first. */
#include "xmpp/subscription.h"

#include "base/crypt.h"
#include "base/map.h"
#include "base/mem.h"

struct lease {
	TAILQ_ENTRY(lease) by_age;
	struct reader *reader;
	char *full;
	enum show show;
	uint64_t stream; /* on which it was told last */
};

struct book {
	struct map *readers, *leases;
	TAILQ_HEAD(, lease) by_age;
	size_t n_subs;
	uint64_t stream;
};

struct book *
book_new(void)
{
	struct book *b;

	MEM_NEW(b);
	b->readers = map_new();
	b->leases = map_new();
	TAILQ_INIT(&b->by_age);
	return b;
}

static void
book_remove_cb(void *arg, struct subscription *s)
{
	book_remove(arg, s);
}

void
book_free(struct book *b)
{
	if (b == NULL)
		return;
	book_unlease_all(b);
	book_each(b, book_remove_cb, b);
	map_free(b->readers, NULL);
	map_free(b->leases, NULL);
	mem_free(b);
}

size_t
book_size(const struct book *b)
{
	return b->n_subs;
}

size_t
book_lasting(const struct book *b)
{
	size_t n = 0;
	struct map_iter it = { 0 };

	while (map_next(b->readers, &it)) {
		const struct reader *r = it.value;
		const struct subscription *s;

		TAILQ_FOREACH(s, &r->subs, of_reader)
			n += s->lasting;
	}
	return n;
}

/* ---- readers ---- */

struct reader *
book_reader(const struct book *b, struct str bare)
{
	return map_get(b->readers, bare);
}

static struct reader *
book_reader_make(struct book *b, struct str bare)
{
	struct reader *r = book_reader(b, bare);

	if (r != NULL)
		return r;
	MEM_NEW(r);
	r->jid = mem_str(bare);
	TAILQ_INIT(&r->subs);
	map_put(b->readers, bare, r);
	return r;
}

static void
book_reader_drop(struct book *b, struct reader *r)
{
	if (r->n_subs > 0 || r->n_leases > 0)
		return;
	map_remove(b->readers, str_of(r->jid));
	mem_free(r->jid);
	mem_free(r);
}

/* ---- subscriptions ---- */

struct subscription *
book_find(const struct book *b, struct str bare, const char *node, const char *jid)
{
	struct reader *r = book_reader(b, bare);
	struct subscription *s;

	if (r == NULL)
		return NULL;
	TAILQ_FOREACH(s, &r->subs, of_reader)
		if (strcmp(s->node, node) == 0 && strcmp(s->jid, jid) == 0)
			return s;
	return NULL;
}

/* Random, so that nobody can name a subscription that is not his. */
static void
book_subid(char out[SUBID_LEN + 1])
{
	uint8_t random[SUBID_LEN / 2];
	struct buf hex = BUF_INIT(0);

	crypt_random(random, sizeof random);
	crypt_hex(&hex, random, sizeof random);
	memcpy(out, hex.data, SUBID_LEN);
	out[SUBID_LEN] = '\0';
	buf_free(&hex);
}

struct subscription *
book_add(struct book *b, const struct address *a, const char *node, bool whole,
    const char *subid)
{
	struct reader *r = book_reader_make(b, address_bare(a));
	struct subscription *s;

	MEM_NEW(s);
	s->reader = r;
	s->node = mem_strdup(node);
	s->full = whole && a->has_resource;
	s->jid = s->full ? mem_strdup(a->full) : mem_str(address_bare(a));
	s->o = OPTIONS_DEFAULT;
	s->probed = b->stream; /* he has just spoken */
	if (subid != NULL && strlen(subid) == SUBID_LEN)
		memcpy(s->subid, subid, SUBID_LEN + 1);
	else
		book_subid(s->subid);
	TAILQ_INSERT_TAIL(&r->subs, s, of_reader);
	r->n_subs++;
	b->n_subs++;
	return s;
}

void
book_remove(struct book *b, struct subscription *s)
{
	struct reader *r = s->reader;

	TAILQ_REMOVE(&r->subs, s, of_reader);
	r->n_subs--;
	b->n_subs--;
	mem_free(s->node);
	mem_free(s->jid);
	mem_free(s);
	book_reader_drop(b, r);
}

void
book_each_of(struct book *b, struct str bare, book_cb *cb, void *arg)
{
	struct reader *r = book_reader(b, bare);
	struct subscription *s = r != NULL ? TAILQ_FIRST(&r->subs) : NULL;

	while (s != NULL) {
		struct subscription *next = TAILQ_NEXT(s, of_reader);

		cb(arg, s);
		s = next;
	}
}

void
book_each(struct book *b, book_cb *cb, void *arg)
{
	struct map_iter it = { 0 };

	while (map_next(b->readers, &it)) {
		struct reader *r = it.value;

		book_each_of(b, str_of(r->jid), cb, arg);
	}
}

/* ---- leases ---- */

bool
book_has_lease(const struct book *b, const char *full)
{
	return map_get(b->leases, str_of(full)) != NULL;
}

void
book_each_lease(const struct book *b, book_lease_cb *cb, void *arg)
{
	const struct lease *l;

	TAILQ_FOREACH(l, &b->by_age, by_age)
		if (!cb(arg, l->full))
			return;
}

static void
book_lease_drop(struct book *b, struct lease *l)
{
	struct reader *r = l->reader;

	map_remove(b->leases, str_of(l->full));
	TAILQ_REMOVE(&b->by_age, l, by_age);
	r->n_leases--;
	r->showing[l->show]--;
	mem_free(l->full);
	mem_free(l);
	book_reader_drop(b, r);
}

/* The oldest gives way; one whose reader has subscriptions only when all have. */
static void
book_lease_make_room(struct book *b)
{
	struct lease *l = TAILQ_FIRST(&b->by_age);

	while (l != NULL && l->reader->n_subs > 0)
		l = TAILQ_NEXT(l, by_age);
	book_lease_drop(b, l != NULL ? l : TAILQ_FIRST(&b->by_age));
}

bool
book_lease(struct book *b, const struct address *a, enum show show)
{
	struct lease *l = map_get(b->leases, str_of(a->full));

	if (l != NULL) {
		TAILQ_REMOVE(&b->by_age, l, by_age);
		TAILQ_INSERT_TAIL(&b->by_age, l, by_age);
		l->stream = b->stream;
		l->reader->showing[l->show]--;
		l->reader->showing[l->show = show]++;
		return false;
	}
	if (map_size(b->leases) == BOOK_LEASES_MAX)
		book_lease_make_room(b);
	MEM_NEW(l);
	l->full = mem_strdup(a->full);
	l->stream = b->stream;
	l->reader = book_reader_make(b, address_bare(a));
	l->reader->n_leases++;
	l->reader->showing[l->show = show]++;
	map_put(b->leases, str_of(l->full), l);
	TAILQ_INSERT_TAIL(&b->by_age, l, by_age);
	return true;
}

bool
book_is_shown(const struct book *b, const struct subscription *s)
{
	const struct lease *l;

	if (s->o.shows == SHOW_ALL || s->unseen)
		return true;
	if (s->full) {
		l = map_get(b->leases, str_of(s->jid));
		return l != NULL && (s->o.shows & 1u << l->show);
	}
	for (size_t i = 0; i < SHOWS; i++)
		if (s->reader->showing[i] > 0 && (s->o.shows & 1u << i))
			return true;
	return false;
}

void
book_new_stream(struct book *b)
{
	b->stream++;
}

bool
book_is_stale(const struct book *b, const struct subscription *s)
{
	const struct lease *l = map_get(b->leases, str_of(s->jid));

	return s->full && (l == NULL || l->stream != b->stream);
}

bool
book_probe(struct book *b, struct subscription *s, uint64_t now_ms)
{
	bool due = s->probed != b->stream ||
	    (s->probed_ms != 0 && now_ms - s->probed_ms >= BOOK_PROBE_MS);

	if (due || s->probed_ms == 0)
		s->probed_ms = now_ms;
	s->probed = b->stream;
	return due;
}

void
book_unlease(struct book *b, const struct address *a)
{
	struct lease *l = map_get(b->leases, str_of(a->full));

	if (l != NULL)
		book_lease_drop(b, l);
}

void
book_unlease_all(struct book *b)
{
	while (!TAILQ_EMPTY(&b->by_age))
		book_lease_drop(b, TAILQ_FIRST(&b->by_age));
}
