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
	const struct kvs_backend *as; /* opened instead of the one by that name, or NULL */
};

/* Number of failed tests. */
int kvs_contract_run(const struct kvs_contract *c);
/* The same with a store that fails (`as`): of the contract what must hold there, too, for
 * whoever writes again what a flush did not confirm and asks again what failed. */
int kvs_contract_run_faults(const struct kvs_contract *c);

/* ---- for tests of single backends ---- */

/* Each runs the loop until the answer is there. Open waits until the store can be
 * reached. */
struct kvs *kvs_contract_open(const char *backend, const struct kvs_options *o);
enum err kvs_contract_flush(struct kvs *k, struct loop *l);
/* The value, or "-" when absent; mem_free it. */
char *kvs_contract_get(struct kvs *k, struct loop *l, const char *key);
/* All entries as "key=value;" in the order of the scan; mem_free it. */
char *kvs_contract_scan(struct kvs *k, struct loop *l, const char *prefix);

/* Runs the loop until *count is at least n; fails when that takes too long. */
void kvs_contract_until(struct loop *l, const unsigned *count, unsigned n);

#endif
