/* SPDX-License-Identifier: MIT */
/* What every KVS backend must do (src/state/kvs.h), as one suite of tests: a
 * backend's test program calls kvs_contract_run and adds what is its own. */
#ifndef LECTERN_TESTS_KVS_CONTRACT_H
#define LECTERN_TESTS_KVS_CONTRACT_H

#include "state/kvs.h"

struct kvs_contract {
	const char *backend;
	/* A fresh, empty place for a store, into o; freed by drop. */
	void (*place)(struct kvs_options *o);
	void (*drop)(struct kvs_options *o);
	bool persistent; /* what was flushed is there after close and open */
};

/* Number of failed tests. */
int kvs_contract_run(const struct kvs_contract *c);

/* ---- for tests of single backends ---- */

/* Runs the loop until nothing is left to do. */
struct kvs *kvs_contract_open(const char *backend, const struct kvs_options *o);
enum err kvs_contract_flush(struct kvs *k, struct loop *l);
/* The value and position as "value@position", or "-" when absent; mem_free it. */
char *kvs_contract_get(struct kvs *k, struct loop *l, const char *key);
/* All entries as "key=value@position;" in the order of the scan; mem_free it. */
char *kvs_contract_scan(struct kvs *k, struct loop *l, const char *prefix);

#endif
