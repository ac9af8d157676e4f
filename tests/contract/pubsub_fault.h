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
	unsigned cut;    /* the link is lost when something is published, with what is under way */
	unsigned cut_ask; /* the same when ids or nodes are asked for */
	/* Out: how often it happened; of the cuts, how often what was just published
	 * was lost, and a question got no answer. */
	unsigned cuts, refusals, swaps, delays, losses, errors;
	unsigned asked;  /* by pubsub_faults_seen */
};
extern struct pubsub_faults pubsub_faults;
/* Whether each kind that is to happen has happened since then. Fails the test when it
 * still has not after it was asked very often. */
bool pubsub_faults_seen(const struct pubsub_faults *before);

/* The backend around `inner`, until it is made for another one. */
const struct pubsub_backend *pubsub_fault(const struct pubsub_backend *inner, unsigned seed);
/* Loses the link of whoever was opened last, in the next turn. */
void pubsub_fault_cut(void);

#endif
