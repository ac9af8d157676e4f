/* SPDX-License-Identifier: MIT */
/* What the tests of the contract share: one who publishes, one who reads, and what
 * the reader has of a node. */
#ifndef LECTERN_TESTS_PUBSUB_RIG_H
#define LECTERN_TESTS_PUBSUB_RIG_H

#include "tests/contract/pubsub_contract.h"

#define RIG_NODE "class/7b/t.count"

struct map;

extern const struct pubsub_contract *rig_contract;
extern const struct pubsub_backend *rig_backend; /* under test, with faults or without */
extern struct pubsub_options rig_options;
/* The same where nobody else sees what is published. */
extern struct pubsub *rig_writer, *rig_reader;
extern unsigned rig_ups, rig_downs;
extern uint64_t rig_number; /* of the last change */

void rig_until(pubsub_contract_cond *cond, void *arg);
bool rig_is_up(void *arg);
/* A while in which nothing is expected to happen. */
void rig_settle(void);

/* Publishes as soon as there is room. */
void rig_publish(enum pubsub_op op, const char *id, const char *json);
void rig_item(const char *id, uint64_t seq);
char *rig_item_json(uint64_t seq, const char *text);

void rig_open(void);
void rig_close(void);
int rig_setup(void **state);
int rig_teardown(void **state);

struct view {
	struct map *items;    /* JSON by id */
	struct pubsub_sub *sub;
	unsigned snapshots, changes, deleted;
	bool whole;
	void (*called)(struct view *v); /* in the first call */
};

void view_open(struct view *v, const char *node);
void view_close(struct view *v);
/* Waits until it has exactly that, "id=seq;" of each item, in order. */
void view_expect(const struct view *v, const char *text);

/* A test of the contract, pubsub_converges.c. */
void test_converges(void **state);

#endif
