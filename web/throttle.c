/* SPDX-License-Identifier: MIT */
/* throttle: see throttle.h. Of each key the time is kept at which all of its
 * tries will be there again. */
#include "web/throttle.h"

#include "base/map.h"
#include "base/mem.h"

struct throttle_key {
	uint64_t full_ms;
};

struct throttle {
	struct map *keys;
	struct throttle_key rest; /* of keys for which there is no room */
	uint64_t every_ms, burst_ms;
	uint64_t sweep_ms; /* no sweep before: one costs as much as all keys */
};

struct throttle *
throttle_new(unsigned burst, uint64_t every_ms)
{
	struct throttle *t;

	MEM_NEW(t);
	t->keys = map_new();
	t->every_ms = every_ms;
	t->burst_ms = burst * every_ms;
	return t;
}

void
throttle_free(struct throttle *t)
{
	if (t == NULL)
		return;
	map_free(t->keys, mem_free);
	mem_free(t);
}

/* Forgets who has all tries again. */
static void
throttle_sweep(struct throttle *t, uint64_t now_ms)
{
	struct map_iter it = { 0 };

	while (map_next(t->keys, &it)) {
		struct throttle_key *k = it.value;

		if (k->full_ms <= now_ms)
			mem_free(map_remove(t->keys, it.key));
	}
}

static struct throttle_key *
throttle_key(struct throttle *t, struct str key, uint64_t now_ms)
{
	struct throttle_key *k = map_get(t->keys, key);

	if (k != NULL)
		return k;
	if (map_size(t->keys) >= THROTTLE_KEYS_MAX && now_ms >= t->sweep_ms) {
		throttle_sweep(t, now_ms);
		t->sweep_ms = now_ms + t->every_ms;
	}
	if (map_size(t->keys) >= THROTTLE_KEYS_MAX)
		return &t->rest;
	MEM_NEW(k);
	map_put(t->keys, key, k);
	return k;
}

bool
throttle_take(struct throttle *t, struct str key, uint64_t now_ms)
{
	struct throttle_key *k = throttle_key(t, key, now_ms);
	uint64_t from = k->full_ms > now_ms ? k->full_ms : now_ms;

	if (from + t->every_ms > now_ms + t->burst_ms)
		return false;
	k->full_ms = from + t->every_ms;
	return true;
}

void
throttle_give_back(struct throttle *t, struct str key)
{
	struct throttle_key *k = map_get(t->keys, key);

	if (k == NULL)
		k = &t->rest;
	k->full_ms -= k->full_ms < t->every_ms ? k->full_ms : t->every_ms;
}
