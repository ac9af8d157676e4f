/* SPDX-License-Identifier: MIT */
/* What every auth backend must do (src/state/auth.h), as one suite of tests: a
 * backend's test program calls auth_contract_run and adds what is its own. */
#ifndef LECTERN_TESTS_AUTH_CONTRACT_H
#define LECTERN_TESTS_AUTH_CONTRACT_H

#include "state/auth_backends.h"

/* The users that every backend's place holds, and their passwords. */
#define CONTRACT_ANN "ann@school.test"
#define CONTRACT_ANN_PASSWORD "correct horse"
#define CONTRACT_BEA "b\xc3\xa9" "a@school.test" /* and what is not ASCII */
#define CONTRACT_BEA_PASSWORD "pa:ss\xe2\x82\xac\"'%"

struct auth_contract {
	const struct auth_backend *backend;
	/* Fills in a place with these two users. */
	void (*place)(struct conf *c);
	void (*drop)(struct conf *c);
	/* Changes ann's password, NULL removes her; what is open sees it at the latest
	 * when it is opened anew. NULL: the backend keeps no hashes. */
	void (*change)(struct conf *c, const char *password);
	/* Makes the backend unable to answer. NULL: cannot happen to it. */
	void (*cut)(struct conf *c);
};

/* The number of failed tests: of the suite, of the suite with answers that come late,
 * in any order and twice, and of what must hold when they also fail or never come. */
int auth_contract_run(const struct auth_contract *c);

#endif
