/* SPDX-License-Identifier: MIT */
/* map: open addressing with linear probing over a power of two of slots.
 * Removal shifts the following entries back, so there are no tombstones and a
 * look-up of an absent key stays short for ever. */
#include "base/map.h"

#include <endian.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/crypt.h"
#include "base/mem.h"

#define MAP_FIRST 8 /* slots of the first table */

struct map_entry {
	void *value;
	size_t n;
	char key[];
};

/* The whole hash is kept beside the pointer: a probe that does not match
 * rarely has to look at the key, and growing never does. */
struct map_slot {
	uint64_t hash;
	struct map_entry *entry; /* NULL: the slot is empty */
};

struct map {
	struct map_slot *slot; /* NULL until the first put */
	size_t mask;           /* number of slots minus 1 */
	size_t size;
};

static uint64_t map_seed[2];
static pthread_once_t map_seeded = PTHREAD_ONCE_INIT;

static void
map_seed_cb(void)
{
	crypt_random(map_seed, sizeof map_seed);
}

static inline uint64_t
map_rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static inline void
map_sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = map_rotate(v[1], 13) ^ v[0];
	v[3] = map_rotate(v[3], 16) ^ v[2];
	v[0] = map_rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = map_rotate(v[1], 17) ^ v[2];
	v[3] = map_rotate(v[3], 21) ^ v[0];
	v[2] = map_rotate(v[2], 32);
}

static inline uint64_t
map_load(const char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof word);
	return le64toh(word);
}

/* The last n < 8 bytes of the key as a word, the bytes above them zero. A key
 * of 8 bytes and more has them at the end of a whole word. */
static inline uint64_t
map_load_tail(struct str key, size_t n)
{
	uint64_t word = 0;

	if (n == 0)
		return 0;
	if (key.n >= 8)
		return map_load(key.p + key.n - 8) >> (64 - 8 * n);
	for (size_t i = 0; i < n; i++)
		word |= (uint64_t)(unsigned char)key.p[i] << (8 * i);
	return word;
}

/* SipHash-1-3 (Aumasson, Bernstein: one round per word, three at the end). */
static inline uint64_t
map_sip(const uint64_t seed[2], struct str key)
{
	uint64_t v[4] = {
		seed[0] ^ 0x736f6d6570736575, seed[1] ^ 0x646f72616e646f6d,
		seed[0] ^ 0x6c7967656e657261, seed[1] ^ 0x7465646279746573
	};
	size_t left = key.n;
	const char *p = key.p;
	uint64_t word;

	for (; left >= 8; left -= 8, p += 8) {
		word = map_load(p);
		v[3] ^= word;
		map_sip_round(v);
		v[0] ^= word;
	}
	word = map_load_tail(key, left) | (uint64_t)key.n << 56;
	v[3] ^= word;
	map_sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	map_sip_round(v);
	map_sip_round(v);
	map_sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t
map_hash(struct str key)
{
	pthread_once(&map_seeded, map_seed_cb);
	return map_sip(map_seed, key);
}

struct map *
map_new(void)
{
	struct map *m;

	pthread_once(&map_seeded, map_seed_cb);
	return MEM_NEW(m);
}

void
map_free(struct map *m, void (*free_value)(void *value))
{
	struct map_iter it = { 0 };

	if (m == NULL)
		return;
	while (map_next(m, &it)) {
		if (free_value != NULL)
			free_value(it.value);
	}
	for (size_t i = 0; m->slot != NULL && i <= m->mask; i++)
		mem_free(m->slot[i].entry);
	mem_free(m->slot);
	mem_free(m);
}

size_t
map_size(const struct map *m)
{
	return m->size;
}

/* The slot that holds key, or the empty one where it would go. There is
 * always an empty one. */
static inline struct map_slot *
map_find(const struct map *m, struct str key, uint64_t hash)
{
	for (size_t i = hash & m->mask;; i = (i + 1) & m->mask) {
		struct map_slot *s = &m->slot[i];

		if (s->entry == NULL)
			return s;
		if (s->hash == hash && str_eq((struct str){ s->entry->key, s->entry->n }, key))
			return s;
	}
}

void *
map_get(const struct map *m, struct str key)
{
	const struct map_slot *s;

	if (m->size == 0)
		return NULL;
	s = map_find(m, key, map_sip(map_seed, key));
	return s->entry ? s->entry->value : NULL;
}

static void
map_grow(struct map *m)
{
	struct map_slot *old = m->slot;
	size_t n = old ? m->mask + 1 : 0;

	m->mask = (n ? 2 * n : MAP_FIRST) - 1;
	m->slot = mem_zalloc((m->mask + 1) * sizeof *m->slot);
	for (size_t i = 0; i < n; i++) {
		size_t at = old[i].hash & m->mask;

		if (old[i].entry == NULL)
			continue;
		while (m->slot[at].entry != NULL)
			at = (at + 1) & m->mask;
		m->slot[at] = old[i];
	}
	mem_free(old);
}

void *
map_put(struct map *m, struct str key, void *value)
{
	uint64_t hash = map_sip(map_seed, key);
	struct map_entry *e;
	struct map_slot *s;

	/* at most three quarters full */
	if (m->slot == NULL || (m->size + 1) > (m->mask + 1) / 4 * 3)
		map_grow(m);
	s = map_find(m, key, hash);
	if (s->entry != NULL) {
		void *before = s->entry->value;

		s->entry->value = value;
		return before;
	}
	e = mem_alloc(sizeof *e + key.n);
	*e = (struct map_entry){ .value = value, .n = key.n };
	if (key.n > 0)
		memcpy(e->key, key.p, key.n);
	*s = (struct map_slot){ hash, e };
	m->size++;
	return NULL;
}

/* Closes the hole at `hole` with later entries of the same run that may stand
 * there, that is, whose own place is not behind it. */
static void
map_close_hole(struct map *m, size_t hole)
{
	size_t i = hole;

	for (;;) {
		size_t home;

		i = (i + 1) & m->mask;
		if (m->slot[i].entry == NULL)
			break;
		home = m->slot[i].hash & m->mask;
		if (((i - home) & m->mask) >= ((i - hole) & m->mask)) {
			m->slot[hole] = m->slot[i];
			hole = i;
		}
	}
	m->slot[hole].entry = NULL;
}

void *
map_remove(struct map *m, struct str key)
{
	struct map_slot *s;
	struct map_entry *e;
	void *value;

	if (m->size == 0)
		return NULL;
	s = map_find(m, key, map_sip(map_seed, key));
	e = s->entry;
	if (e == NULL)
		return NULL;
	value = e->value;
	map_close_hole(m, (size_t)(s - m->slot));
	m->size--;
	mem_free(e); /* last: key may point into it */
	return value;
}

/* Starts at an empty slot and goes backwards around the table. Removing the
 * entry just visited moves only entries between it and the next empty slot
 * above: all of them have been visited, and none leaves that stretch. */
bool
map_next(const struct map *m, struct map_iter *it)
{
	if (m->slot == NULL)
		return false;
	if (it->at == 0) {
		for (it->from = 0; m->slot[it->from].entry != NULL; it->from++)
			;
	}
	while (it->at < m->mask) {
		const struct map_entry *e = m->slot[(it->from - ++it->at) & m->mask].entry;

		if (e != NULL) {
			it->key = (struct str){ e->key, e->n };
			it->value = e->value;
			return true;
		}
	}
	return false;
}

static int
map_compare_cb(const void *a, const void *b)
{
	struct str x = ((const struct map_iter *)a)->key;
	struct str y = ((const struct map_iter *)b)->key;
	size_t n = x.n < y.n ? x.n : y.n;
	int order = n ? memcmp(x.p, y.p, n) : 0;

	return order ? order : (x.n > y.n) - (x.n < y.n);
}

struct map_iter *
map_sorted(const struct map *m)
{
	struct map_iter *all, it = { 0 };

	if (m->size == 0)
		return NULL;
	all = mem_alloc(m->size * sizeof *all);
	for (size_t i = 0; map_next(m, &it); i++)
		all[i] = it;
	qsort(all, m->size, sizeof *all, map_compare_cb);
	return all;
}
