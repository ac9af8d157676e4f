/* SPDX-License-Identifier: MIT */
/* The contract of pubsub backends: whoever publishes everything anew after each loss,
 * and takes away what is not there any more, has equal readers in the end. */
#include "tests/contract/pubsub_rig.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/contract/pubsub_fault.h"

#define RANDOM_IDS 6
#define RANDOM_STEPS 400

static uint64_t model[RANDOM_IDS]; /* seq of each item; 0: there is none */
static unsigned model_ups;         /* how often it was published anew */

static void
republish_ids_cb(void *arg, enum err e, const struct str *ids, size_t n)
{
	bool *over = arg;

	*over = true;
	if (e != ERR_OK)
		model_ups = 0; /* lost again */
	for (size_t i = 0; e == ERR_OK && i < n; i++) {
		struct pubsub_change c = { .op = PUBSUB_RETRACT, .number = rig_number + 1, .id = ids[i] };

		if (model[ids[i].p[0] - 'a'] != 0)
			continue;
		if (!pubsub_publish(rig_writer, str_of(RIG_NODE), &c, 1))
			model_ups = 0;
		else
			rig_number++;
	}
}

static bool
is_true(void *arg)
{
	return *(bool *)arg;
}

static void
republish(void)
{
	bool over = false;

	model_ups = rig_ups;
	rig_publish(PUBSUB_PART, "", "");
	pubsub_ids(rig_writer, str_of(RIG_NODE), republish_ids_cb, &over);
	rig_until(is_true, &over);
	for (int i = 0; i < RANDOM_IDS && model_ups == rig_ups; i++)
		if (model[i] != 0)
			rig_item((const char[]){ (char)('a' + i), '\0' }, model[i]);
	if (model_ups == rig_ups)
		rig_publish(PUBSUB_WHOLE, "", "");
}

static void
random_step(uint64_t seq)
{
	int i = rand() % RANDOM_IDS;
	const char id[] = { (char)('a' + i), '\0' };

	if (rand() % 4 == 0) {
		model[i] = 0;
		rig_publish(PUBSUB_RETRACT, id, "");
	} else {
		model[i] = seq;
		rig_item(id, seq);
	}
}

static char *
model_text(void)
{
	struct buf b = BUF_INIT(0);

	buf_z(&b, "");
	for (int i = 0; i < RANDOM_IDS; i++)
		if (model[i] != 0)
			buf_printf(&b, "%c=%" PRIu64 ";", 'a' + i, model[i]);
	return buf_take(&b);
}

void
test_converges(void **state)
{
	struct pubsub_faults before = pubsub_faults;
	struct view v, late;
	char *want;

	(void)state;
	memset(model, 0, sizeof model);
	model_ups = rig_ups;
	if (pubsub_faults.delay != 0) {
		pubsub_faults.cut = 40;
		pubsub_faults.cut_ask = 3;
	}
	view_open(&v, RIG_NODE);
	for (uint64_t i = 1; i <= RANDOM_STEPS || !pubsub_faults_seen(&before); i++) {
		random_step(i);
		while (model_ups != rig_ups)
			republish();
	}
	pubsub_faults.cut = pubsub_faults.cut_ask = 0;
	republish();
	while (model_ups != rig_ups || rig_downs >= rig_ups)
		republish();
	want = model_text();
	view_expect(&v, want);
	view_open(&late, RIG_NODE);
	view_expect(&late, want);
	mem_free(want);
	view_close(&v);
	view_close(&late);
}
