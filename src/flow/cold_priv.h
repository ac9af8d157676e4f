/* SPDX-License-Identifier: MIT */
/* What cold.c (who is cold, what waits), cold_index.c (indexes and loading) and
 * cold_rebuild.c share. */
#ifndef LECTERN_FLOW_COLD_PRIV_H
#define LECTERN_FLOW_COLD_PRIV_H

#include "flow/engine_priv.h"

/* A record that waits; its strings are behind it. */
struct cold_record {
	struct cold_record *next;
	struct engine_said *said; /* NULL: a published state */
	struct record r;
	size_t cost;
	char body[];
};

/* One wait of one student. */
struct cold_link {
	struct cold_link *next;
	struct cold_wait *wait;
};

struct cold_wait {
	struct engine *engine;
	void (*cb)(void *arg);
	void *arg;
	struct student **v; /* pinned */
	size_t n, cap;
	size_t pending;     /* of them away */
};

enum cold_step { COLD_LEFT, COLD_WANTED, COLD_TAKEN };

struct cold {
	struct student *student;
	uint8_t digest[CRYPT_SHA256];
	enum cold_step step;
	bool waiting;      /* something did or does wait */
	bool rebuilding;
	uint64_t lost;     /* the last record that had no place in the queue */
	struct cold_record *first, **end;
	size_t bytes;
	struct cold_link *links;
	TAILQ_ENTRY(cold) of_wanted;
};

/* The states are there, up to this position: what waits is folded, and it is told. */
void cold_warm(struct engine *e, struct student *t, uint64_t includes);
/* Empties the queue; the journal has what was in it. */
void cold_lose(struct engine *e, struct cold *c, uint64_t seq);

#endif
