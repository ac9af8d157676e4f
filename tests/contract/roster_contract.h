/* SPDX-License-Identifier: MIT */
/* What every roster backend that has a source must do (src/state/roster.h), as one
 * suite of tests: a backend's test program says how rows get into its source, calls
 * roster_contract_run and adds what is its own. */
#ifndef LECTERN_TESTS_ROSTER_CONTRACT_H
#define LECTERN_TESTS_ROSTER_CONTRACT_H

#include "state/roster.h"

/* What happens to a source. */
enum roster_spoil {
	ROSTER_GONE, /* it is not there, or does not answer */
	ROSTER_CUT   /* half of it is there */
};

struct roster_contract {
	const char *backend;
	/* A fresh place for a source, into o; freed by drop. */
	void (*place)(struct roster_options *o);
	void (*drop)(struct roster_options *o);
	/* Puts these rows, and nothing else, into the source at once. False when the
	 * source itself refuses them. */
	bool (*write)(const struct roster_options *o, const struct roster_row *rows, size_t n);
	/* False when this cannot happen to it. */
	bool (*spoil)(const struct roster_options *o, enum roster_spoil how);
	bool guardians; /* the source can hold them */
	bool jids;      /* and JIDs of students */
	bool aliases;   /* and more than one alias */
};

/* Number of failed tests. */
int roster_contract_run(const struct roster_contract *c);

#endif
