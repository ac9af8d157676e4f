/* SPDX-License-Identifier: MIT */
/* map: byte strings to pointers. Random seed per process (SipHash-1-3), so a
 * peer that chooses the keys cannot choose collisions. */
#ifndef LECTERN_BASE_MAP_H
#define LECTERN_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct map;

struct map *map_new(void);

/* Frees the map; `free_value`, when given, is called for each value. */
void map_free(struct map *m, void (*free_value)(void *value));

size_t map_size(const struct map *m);

/* The value, or NULL. */
void *map_get(const struct map *m, struct str key);

/* Puts value (never NULL) under a copy of key; returns the value that was
 * there before, or NULL. */
void *map_put(struct map *m, struct str key, void *value);

/* Takes the entry out and returns its value, or NULL. */
void *map_remove(struct map *m, struct str key);

/* Visits all entries in no particular order:
 *     struct map_iter it = { 0 };
 *     while (map_next(m, &it)) use(it.key, it.value);
 * Removing the entry just visited is allowed, adding is not. */
struct map_iter {
	struct str key;
	void *value;
	size_t at, from;
};
bool map_next(const struct map *m, struct map_iter *it);

/* Entries sorted by key bytes, for output that must be the same every time.
 * A mem_alloc'ed array of map_size() iterators, or NULL when empty. */
struct map_iter *map_sorted(const struct map *m);

/* SipHash-1-3 with the process seed, for tables of one's own. */
uint64_t map_hash(struct str key);

#endif
