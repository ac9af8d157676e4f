/* SPDX-License-Identifier: MIT */
/* Tests of flow/hub: long random lives of many subscriptions, with everything
 * that may happen to them, and what must be true of each of them. */
#include "tests/unit/hub_world.h"

static const char *const rosters[] = {
	"7b:+tina,+tom,a,b,c;8a:+tom,d,e;9:+tina,a,f",
	"7b:+tina,a,b,d;8a:+tom,+tina,c,e;9:+tina,a,f",
	"7b:+tom,b,c,f;8a:+tom,d,e;10:+tina,a",
	"7b:+tina,+tom,a,b,c,d,e,f,g;8a:+tom,d,e",
	"8a:+tina,a,g",
};
static const char *const nodes[] = {
	"class/7b/t.count", "class/7b/t.docs", "class/7b/_roster", "class/8a/t.count",
	"class/8a/t.docs", "class/9/t.count", "class/10/t.docs", "class/8a/_roster",
};

#define RANDOM_SUBS 24

static uint32_t random_seed;
static struct hub_sub *random_sub[RANDOM_SUBS];

static uint32_t
random_below(uint32_t n)
{
	random_seed = random_seed * 1664525u + 1013904223u;
	return (random_seed >> 8) % n;
}

/* Nothing is ever delivered to who may not read it just then. */
static void
random_deliver(struct hub_sub *s)
{
	assert_int_equal(hub_may_read(hub, str_of(hub_sub_node(s)), str_of(hub_sub_reader(s)), NULL),
	    ERR_OK);
	if (random_below(6) == 0)
		room = random_below(3);
}

/* Another subscription may come to stand at the same address. */
static void
random_forget(struct hub_sub *s)
{
	for (size_t i = 0; i < RANDOM_SUBS; i++)
		if (random_sub[i] == s)
			random_sub[i] = NULL;
	for (size_t i = 0; i < n_got; i++)
		if (got[i].sub == s)
			got[i].sub = NULL;
}

static bool
random_find(void *found, const struct hub_item *item)
{
	struct got *g = found;

	if (strcmp(g->id, item->id) != 0)
		return true;
	g->batch = 0;
	return false;
}

/* A turn, after which everything that came is an item of its node, and nothing
 * that was retracted is. */
static void
random_turn(void)
{
	size_t i = n_got;

	turns(1);
	for (; i < n_got; i++) {
		assert_int_equal(hub_items(hub, str_of(got[i].node), str_of(got[i].reader),
		    random_find, &got[i]), ERR_OK);
		assert_int_equal(got[i].batch == 0, got[i].json != NULL);
	}
}

static void
random_subscribe(size_t i)
{
	const char *reader = random_below(2) ? "tina@x" : "tom@x";
	const char *node = nodes[random_below(COUNT(nodes))];
	char own[NODE_MAX + 1];

	if (random_below(4) == 0) {
		char id[] = { (char)('a' + random_below(7)), '\0' };

		snprintf(own, sizeof own, "student/%s/t.docs", pseudonym(id));
		node = own;
	}
	hub_subscribe(door, str_of(node), str_of(reader), random_below(3) ? 0 : HOUR, NULL,
	    &random_sub[i]);
}

static void
random_event(void)
{
	char id[] = { (char)('a' + random_below(8)), '\0' };
	char doc[] = { (char)('x' + random_below(3)), '\0' };

	event_of(id, random_below(3) ? doc : NULL);
	if (random_below(3))
		hub_spread(hub);
}

static void
random_step(void)
{
	size_t i = random_below(RANDOM_SUBS);

	switch (random_below(12)) {
	case 0:
		set_roster(rosters[random_below(COUNT(rosters))]);
		break;
	case 1:
		if (random_sub[i] != NULL) {
			hub_unsubscribe(random_sub[i]);
			random_forget(random_sub[i]);
		}
		break;
	case 2:
	case 3:
		if (random_sub[i] == NULL)
			random_subscribe(i);
		break;
	case 4:
		if (random_sub[i] != NULL)
			hub_sub_refresh(random_sub[i]);
		break;
	case 5:
		room = random_below(20);
		hub_door_ready(door);
		break;
	case 6:
		random_turn();
		break;
	default:
		random_event();
	}
}

/* Items may only come with a seq that is not lower than before; a new roster
 * may make them come again. */
static void
random_check_order(void)
{
	for (size_t i = n_got; i-- > 0;)
		for (size_t j = i; j-- > 0;)
			if (got[i].json != NULL && got[j].json != NULL && got[i].sub != NULL && got[i].sub == got[j].sub && strcmp(got[i].id, got[j].id) == 0 &&
			    strcmp(got[i].node, got[j].node) == 0) {
				assert_true(got[i].seq >= got[j].seq);
				break;
			}
}

static bool
random_final(void *sub, const struct hub_item *item)
{
	if (last_seq(sub, item->id) != item->seq)
		fail_msg("%s of %s: %d came last, not %d", item->id, hub_sub_node(sub),
		    (int)last_seq(sub, item->id), (int)item->seq);
	return true;
}

struct random_look {
	const char *id;
	bool found;
};

static bool
random_look_cb(void *arg, const struct hub_item *item)
{
	struct random_look *l = arg;

	l->found |= strcmp(item->id, l->id) == 0;
	return !l->found;
}

/* What it got last of that item, no matter how: whether it still shows it. */
static bool
random_shows(const struct hub_sub *s, const char *id)
{
	for (size_t i = n_got; i-- > 0;)
		if (got[i].sub == s && (got[i].id[0] == '\0' || strcmp(got[i].id, id) == 0))
			return got[i].json != NULL;
	return false;
}

/* And shows nothing that is in the node no more. */
static void
random_check_gone(struct hub_sub *s)
{
	for (size_t i = 0; i < n_got; i++) {
		struct random_look l = { .id = got[i].id };

		if (got[i].sub != s || !random_shows(s, l.id))
			continue;
		hub_items(hub, str_of(hub_sub_node(s)), str_of(hub_sub_reader(s)),
		    random_look_cb, &l);
		if (!l.found)
			fail_msg("%s of %s is still shown", l.id, hub_sub_node(s));
	}
}

/* Whatever happened: in the end each has the final value of each of its items. */
static void
random_settle(void)
{
	hub_spread(hub);
	on_deliver = NULL;
	room = SIZE_MAX;
	hub_door_ready(door);
	for (size_t i = 0; i < RANDOM_SUBS; i++)
		if (random_sub[i] != NULL)
			hub_sub_interval(random_sub[i], 0);
	turns(20);
	for (size_t i = 0; i < RANDOM_SUBS; i++) {
		struct hub_sub *s = random_sub[i];

		if (s != NULL)
			assert_int_equal(hub_items(hub, str_of(hub_sub_node(s)),
			    str_of(hub_sub_reader(s)), random_final, s), ERR_OK);
		if (s != NULL)
			random_check_gone(s);
	}
	random_check_order();
}

static void
test_random(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 150; seed++) {
		random_seed = seed * 2654435761u;
		memset(random_sub, 0, sizeof random_sub);
		world_open(rosters[0]);
		world_ops.batch_bytes = random_below(2) ? 300 : 4096;
		on_deliver = random_deliver;
		on_ended = random_forget;
		for (int i = 0; i < 400; i++)
			random_step();
		random_settle();
		world_close();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
