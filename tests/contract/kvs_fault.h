/* SPDX-License-Identifier: MIT */
/* A store that misbehaves before a real one: its answers come late and out of order,
 * its writes reach the real store in any order or not at all, reads fail. What it
 * reports as stored is stored: that is all anybody may lean on. */
#ifndef LECTERN_TESTS_KVS_FAULT_H
#define LECTERN_TESTS_KVS_FAULT_H

#include "state/kvs.h"

struct kvs_fault {
	const char *backend;  /* the real one */
	unsigned late_ms;     /* answers come up to so late, by chance */
	unsigned cut;         /* of 100 flushes fail, after some of their writes came through */
	unsigned fail;        /* of 100 reads fail */
	unsigned seed;        /* what chance is made of */
	unsigned writes, flushes; /* that came, counted */
};

/* Changed by tests at any time; read at each call. */
extern struct kvs_fault kvs_fault_now;
extern const struct kvs_backend kvs_fault_backend;

/* The next number of chance, below n. */
unsigned kvs_fault_chance(unsigned n);

#endif
