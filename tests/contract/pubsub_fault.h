/* SPDX-License-Identifier: MIT */
/* A pubsub backend around another one that delays, refuses, swaps and loses: what
 * the interface allows to happen, as often as the test likes. */
#ifndef LECTERN_TESTS_PUBSUB_FAULT_H
#define LECTERN_TESTS_PUBSUB_FAULT_H

#include "flow/pubsub.h"

/* Each: once in so many times; 0: never. */
struct pubsub_faults {
	unsigned delay;  /* what is to be told waits for another turn */
	unsigned refuse; /* publish says that there is no room */
	unsigned swap;   /* two things are told in the wrong order */
	unsigned cut;    /* the link is lost, with what is under way */
	unsigned cuts;   /* out: how often it was */
	unsigned refusals, swaps, delays;
};
extern struct pubsub_faults pubsub_faults;

/* The backend around `inner`, until it is made for another one. */
const struct pubsub_backend *pubsub_fault(const struct pubsub_backend *inner, unsigned seed);
/* Loses the link of whoever was opened last, in the next turn. */
void pubsub_fault_cut(void);

#endif
