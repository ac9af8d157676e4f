/* SPDX-License-Identifier: MIT */
/* A backend that misbehaves before a real one: its answers come late and in any
 * order, twice, as failures, or not at all. */
#ifndef LECTERN_TESTS_AUTH_FAULT_H
#define LECTERN_TESTS_AUTH_FAULT_H

#include "state/auth_backends.h"

struct auth_fault {
	unsigned late_ms; /* answers come up to so late, by chance */
	unsigned twice;   /* of 100 come a second time */
	unsigned fail;    /* of 100 are that there is none now */
	unsigned cut;     /* of 100 never come */
	unsigned seed;    /* what chance is made of */
	size_t n_cut;     /* that never came so far */
};

/* Changed by tests at any time; read at each question. */
extern struct auth_fault auth_fault_now;

/* One before the real one, of the same name. There is one at a time. */
const struct auth_backend *auth_fault_before(const struct auth_backend *real);

#endif
