/* SPDX-License-Identifier: MIT */
/* What every pubsub backend must do (src/flow/pubsub.h), as one suite of tests: a
 * backend's test program calls pubsub_contract_run and adds what is its own. The
 * suite runs twice, the second time with a backend around it that delays, refuses,
 * swaps and loses. */
#ifndef LECTERN_TESTS_PUBSUB_CONTRACT_H
#define LECTERN_TESTS_PUBSUB_CONTRACT_H

#include "flow/pubsub.h"

struct pubsub_contract {
	const struct pubsub_backend *backend;
	/* A fresh, empty place, into o; freed by drop. */
	void (*place)(struct pubsub_options *o);
	void (*drop)(struct pubsub_options *o);
	/* NULL; or loses the link of everybody, for a backend that has one. */
	void (*cut)(struct pubsub_options *o);
};

/* Number of failed tests. */
int pubsub_contract_run(const struct pubsub_contract *c);

/* Runs the loop until it is so; fails the test after a long while. */
typedef bool pubsub_contract_cond(void *arg);
void pubsub_contract_until(struct loop *l, pubsub_contract_cond *cond, void *arg);

#endif
