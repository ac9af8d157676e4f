/* SPDX-License-Identifier: MIT */
/* Tests of flow/hub: who is refused, what reading a node gives, and what
 * another roster does. */
#include "tests/unit/hub_world.h"

#define SCHOOL "7b:+tina,+tom,ann,bob;8a:+tom,cy"

/* ---- refusals ---- */

static const struct {
	const char *node, *reader;
	enum err e;
} refused[] = {
	{ "class/7b/t.count", "eve@x", ERR_FORBIDDEN },
	{ "class/8a/t.count", "tina@x", ERR_FORBIDDEN },
	{ "class/8a/_roster", "tina@x", ERR_FORBIDDEN },
	{ "class/7b/t.count", "ann@x", ERR_FORBIDDEN },
	{ "class/9c/t.count", "tina@x", ERR_NOT_FOUND },
	{ "class/9c/_roster", "tina@x", ERR_NOT_FOUND },
	{ "class/7b/t.none", "tina@x", ERR_NOT_FOUND },
	{ "class/7b/t.hidden", "tina@x", ERR_NOT_FOUND },
	{ "class/7b/t.count/", "tina@x", ERR_NOT_FOUND },
	{ "class/%37b/t.count", "tina@x", ERR_NOT_FOUND },
	{ "student/aaaaaaaaaaaaaaaaaaaaaaaaaa/t.count", "tina@x", ERR_NOT_FOUND },
	{ "", "tina@x", ERR_NOT_FOUND },
};

static bool
never_item(void *arg, const struct hub_item *item)
{
	(void)arg;
	(void)item;
	fail_msg("an item of a refused node");
	return false;
}

static void
test_refused(void **state)
{
	struct hub_sub *s = NULL;

	(void)state;
	world_open(SCHOOL);
	event("ann");
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct str node = str_of(refused[i].node), reader = str_of(refused[i].reader);

		assert_int_equal(hub_may_read(hub, node, reader, NULL), refused[i].e);
		assert_int_equal(metric_value[METRIC_ACCESS_REFUSED], 2 * i);
		assert_int_equal(hub_subscribe(door, node, reader, 0, NULL, &s), refused[i].e);
		assert_null(s);
		assert_int_equal(hub_items(hub, node, reader, never_item, NULL), refused[i].e);
		assert_int_equal(metric_value[METRIC_ACCESS_REFUSED], 2 * i + 2);
	}
	turns(3);
	assert_int_equal(n_batches, 0);
	assert_int_equal(metric_value[METRIC_SUBSCRIPTIONS], 0);
	world_close();
}

static void
test_may_read(void **state)
{
	struct node n;

	(void)state;
	world_open(SCHOOL);
	assert_int_equal(hub_may_read(hub, STR_LIT("class/7b/t.count"), STR_LIT("tina@x"), &n),
	    ERR_OK);
	assert_int_equal(n.kind, NODE_CLASS);
	assert_string_equal(n.owner, "7b");
	assert_string_equal(n.reducer, "t.count");
	assert_ptr_equal(hub_roster(hub), roster);
	assert_ptr_equal(hub_engine(hub), engine);
	world_close();
}

/* ---- reading ---- */

struct reading {
	char text[4096];
	size_t left;
};

static bool
reading_item(void *arg, const struct hub_item *item)
{
	struct reading *r = arg;
	size_t n = strlen(r->text);

	snprintf(r->text + n, sizeof r->text - n, "%s %d %s %.*s\n", item->id, (int)item->seq,
	    item->datatype, STR_ARG(item->json));
	return --r->left > 0;
}

static const char *
read_node(const char *node, const char *reader, size_t most)
{
	static struct reading r;

	r = (struct reading){ .left = most };
	assert_int_equal(hub_items(hub, str_of(node), str_of(reader), reading_item, &r), ERR_OK);
	return r.text;
}

static void
test_read_in_order(void **state)
{
	const char *docs[] = { "zebra", "a b", "-", "a", "~", "\xc3\xa4" };
	const char *ids[] = { "%7E", "%C3%A4", "-", "a", "a%20b", "zebra" };
	char node[NODE_MAX + 1], expected[4096] = "";

	(void)state;
	world_open(SCHOOL);
	for (size_t i = 0; i < COUNT(docs); i++)
		event_of("ann", docs[i]);
	snprintf(node, sizeof node, "student/%s/t.docs", pseudonym("ann"));
	assert_int_equal(strlen(read_node("class/8a/t.docs", "tom@x", 99)), 0);
	for (size_t i = 0; i < COUNT(ids); i++) {
		size_t n = strlen(expected);

		snprintf(expected + n, sizeof expected - n,
		    "%s 1 urn:lectern:state:t.docs:3 {\"v\":1,\"seq\":1,"
		    "\"t\":\"2026-11-23T17:40:00.123Z\",\"sec\":\"unauthenticated\","
		    "\"state\":{\"n\":1}}\n", ids[i]);
		if (i == 1)
			assert_string_equal(read_node(node, "ann@x", 2), expected);
	}
	assert_string_equal(read_node(node, "ann@x", 99), expected);
	/* the same while it is watched */
	subscribe(node, "tom@x", 0);
	assert_string_equal(read_node(node, "tina@x", 99), expected);
	assert_int_equal(metric_value[METRIC_ACCESS_REFUSED], 0);
	world_close();
}

static void
test_read_class(void **state)
{
	char *text, ann[PSEUDONYM_LEN + 1], bob[PSEUDONYM_LEN + 1];
	const char *at_ann, *at_bob;

	(void)state;
	world_open(SCHOOL);
	event("ann");
	event("bob");
	event("cy");
	memcpy(ann, pseudonym("ann"), sizeof ann);
	memcpy(bob, pseudonym("bob"), sizeof bob);
	text = mem_strdup(read_node("class/7b/t.count", "tina@x", 99));
	at_ann = strstr(text, ann);
	at_bob = strstr(text, bob);
	assert_true(at_ann != NULL && at_bob != NULL && strstr(text, pseudonym("cy")) == NULL);
	assert_int_equal(at_ann < at_bob, strcmp(ann, bob) < 0);
	mem_free(text);
	world_close();
}

/* ---- the roster as items ---- */

static void
test_roster_node(void **state)
{
	struct hub_sub *s;
	uint64_t seq;
	const char *text;

	(void)state;
	world_open(SCHOOL);
	s = subscribe("class/7b/_roster", "tina@x", 0);
	turns(3);
	assert_int_equal(n_got, 2);
	seq = last_seq(s, pseudonym("ann"));
	assert_true(seq > 0);
	assert_int_equal(last_seq(s, pseudonym("bob")), seq);
	for (size_t i = 0; i < 2; i++) {
		bool is_ann = strcmp(got[i].id, pseudonym("ann")) == 0;
		const char *head = mem_printf("{\"v\":1,\"seq\":%llu,\"t\":\"",
		    (unsigned long long)seq);
		const char *tail = is_ann
		    ? "\",\"sec\":\"authenticated\",\"state\":{\"name\":\"\\u003cann\\u003e\"}}"
		    : "\",\"sec\":\"authenticated\",\"state\":{\"name\":\"\\u003cbob\\u003e\"}}";

		assert_memory_equal(got[i].json, head, strlen(head));
		assert_string_equal(got[i].json + strlen(got[i].json) - strlen(tail), tail);
		assert_string_equal(got[i].datatype, "urn:lectern:roster:1");
		mem_free((char *)head);
	}
	text = read_node("class/7b/_roster", "tom@x", 99);
	assert_non_null(strstr(text, got[0].json));
	assert_non_null(strstr(text, got[1].json));
	/* each roster: all that are in it now, with a greater seq */
	set_roster("7b:+tina,ann,dora,eli;8a:+tom,bob");
	turns(3);
	assert_int_equal(n_got, 2 + 3 + 1);
	assert_true(last_seq(s, pseudonym("ann")) > seq);
	assert_true(last_seq(s, pseudonym("dora")) > seq);
	assert_int_equal(last_seq(s, pseudonym("bob")), 0); /* retracted */
	set_roster("7b:+tina,ann;8a:+tom,bob");
	turns(3);
	assert_int_equal(n_got, 2 + 3 + 1 + 3);
	world_close();
}

static bool
last_item_seq(void *seq, const struct hub_item *item)
{
	*(uint64_t *)seq = item->seq;
	return true;
}

static void
test_roster_seq_grows(void **state)
{
	uint64_t seq = 0, next = 0;

	(void)state;
	world_open(SCHOOL);
	for (int i = 0; i < 100; i++, seq = next) {
		set_roster(SCHOOL);
		assert_int_equal(hub_items(hub, STR_LIT("class/7b/_roster"), STR_LIT("tina@x"),
		    last_item_seq, &next), ERR_OK);
		assert_true(next > seq);
	}
	world_close();
}

/* ---- another roster ---- */

static void
test_teacher_removed(void **state)
{
	struct hub_sub *tom;

	(void)state;
	world_open(SCHOOL);
	event("ann");
	subscribe("class/7b/t.count", "tina@x", 0);
	subscribe("class/7b/_roster", "tina@x", 0);
	tom = subscribe("class/7b/t.count", "tom@x", 0);
	turns(3);
	event("ann"); /* pending when the roster changes */
	forget();
	set_roster("7b:+tom,ann,bob;8a:+tom,cy");
	assert_int_equal(n_ended, 2);
	assert_int_equal(metric_value[METRIC_REVOKED], 2);
	assert_int_equal(metric_value[METRIC_SUBSCRIPTIONS], 1);
	event("ann");
	turns(3);
	assert_int_equal(n_got, 1);
	assert_int_equal(last_seq(tom, pseudonym("ann")), 3);
	/* who comes back starts anew */
	set_roster(SCHOOL);
	turns(3);
	assert_int_equal(n_got, 1);
	subscribe("class/7b/t.count", "tina@x", 0);
	turns(3);
	assert_int_equal(n_got, 2);
	world_close();
}

/* Also what waits for a timer or a full door. */
static void
test_removed_while_waiting(void **state)
{
	(void)state;
	world_open(SCHOOL);
	event("ann");
	subscribe("class/7b/t.count", "tina@x", 1);
	turns(2);
	event("ann");
	room = 0;
	subscribe("class/7b/t.docs", "tina@x", 0);
	event_of("ann", "essay");
	hub_spread(hub);
	turns(2);
	forget();
	set_roster("7b:+tom,ann,bob");
	assert_int_equal(n_ended, 2);
	room = SIZE_MAX;
	hub_door_ready(door);
	loop_run(loop); /* nothing is left that could wake it */
	assert_int_equal(n_batches, 0);
	world_close();
}

static void
test_class_gone(void **state)
{
	(void)state;
	world_open(SCHOOL);
	event("cy");
	subscribe("class/8a/t.count", "tom@x", 0);
	subscribe("class/8a/_roster", "tom@x", 0);
	set_roster("7b:+tina,+tom,ann,bob");
	assert_int_equal(n_ended, 2);
	event("cy");
	turns(3);
	assert_int_equal(n_batches, 0);
	world_close();
}

static void
test_student_left(void **state)
{
	char node[NODE_MAX + 1];
	struct hub_sub *s, *child;

	(void)state;
	world_open(SCHOOL);
	event("ann");
	event("bob");
	snprintf(node, sizeof node, "student/%s/t.count", pseudonym("ann"));
	s = subscribe("class/7b/t.count", "tina@x", 0);
	subscribe(node, "tina@x", 0);
	child = subscribe(node, "ann@x", 0);
	turns(3);
	forget();
	event("ann");
	event("bob");
	set_roster("7b:+tina,+tom,bob;8a:+tom,ann,cy");
	assert_int_equal(n_ended, 1); /* tina on ann's own node */
	event("ann");
	turns(3);
	assert_int_equal(n_got, 3);
	assert_int_equal(last_seq(s, pseudonym("bob")), 2);
	assert_int_equal(last_seq(s, pseudonym("ann")), 0);
	assert_int_equal(last_seq(child, "current"), 3);
	/* nor may a refresh or reading bring it back */
	hub_sub_refresh(s);
	turns(3);
	assert_int_equal(last_seq(s, pseudonym("ann")), 0);
	assert_null(strstr(read_node("class/7b/t.count", "tina@x", 99), pseudonym("ann")));
	world_close();
}

static void
test_student_joined(void **state)
{
	struct hub_sub *a, *b;

	(void)state;
	world_open(SCHOOL);
	event("ann");
	event("cy");
	event("new");
	a = subscribe("class/7b/t.count", "tina@x", 0);
	b = subscribe("class/8a/t.count", "tom@x", 0);
	turns(3);
	forget();
	event_of("cy", NULL); /* changed, but not spread yet */
	set_roster("7b:+tina,ann,bob,cy,new;8a:+tom,cy");
	assert_int_equal(n_got, 0);
	turns(3);
	hub_spread(hub);
	turns(3);
	assert_int_equal(last_seq(a, pseudonym("cy")), 2);
	assert_int_equal(last_seq(b, pseudonym("cy")), 2);
	assert_int_equal(last_seq(a, pseudonym("new")), 1);
	assert_int_equal(times(a, pseudonym("ann")), 0); /* nothing new about the others */
	event("new");
	turns(3);
	assert_int_equal(last_seq(a, pseudonym("new")), 2);
	world_close();
}

/* Places of those who left are used again, and their bits are not inherited. */
static void
test_places_again(void **state)
{
	struct hub_sub *s;

	(void)state;
	world_open("7b:+tina,a,b,c");
	for (const char *z = "abcdef"; *z != '\0'; z++)
		event((char[]){ *z, '\0' });
	room = 0;
	s = subscribe("class/7b/t.count", "tina@x", 0);
	turns(2);
	set_roster("7b:+tina,b");
	set_roster("7b:+tina,b,d,e,f");
	set_roster("7b:+tina,d,e,f,c");
	set_roster("7b:+tina,d");
	room = SIZE_MAX;
	hub_door_ready(door);
	turns(3);
	assert_int_equal(n_got, 6);
	assert_int_equal(times(NULL, pseudonym("d")), 1);
	assert_int_equal(last_seq(s, pseudonym("d")), 1);
	world_close();
}

/* ---- callbacks of a roster change ---- */

static struct hub_sub *other, *again;

static void
unsubscribe_ended(struct hub_sub *s)
{
	assert_string_equal(hub_sub_node(s), "class/7b/t.count");
	assert_string_equal(hub_sub_reader(s), "tina@x");
	hub_sub_refresh(s);
	hub_sub_interval(s, 0);
	hub_unsubscribe(s);
	if (n_ended == 1)
		hub_unsubscribe(other);
}

static void
test_unsubscribe_in_ended(void **state)
{
	(void)state;
	world_open(SCHOOL);
	event("ann");
	on_ended = unsubscribe_ended;
	subscribe("class/7b/t.count", "tina@x", 0);
	other = subscribe("class/7b/t.count", "tina@x", 0);
	set_roster("7b:+tom,ann,bob");
	assert_int_equal(n_ended, 1);
	assert_int_equal(metric_value[METRIC_SUBSCRIPTIONS], 0);
	turns(3);
	assert_int_equal(n_batches, 0);
	world_close();
}

static void
subscribe_ended(struct hub_sub *s)
{
	struct hub_sub *none;

	assert_int_equal(hub_subscribe(door, str_of(hub_sub_node(s)), STR_LIT("tina@x"), 0, NULL,
	    &none), ERR_FORBIDDEN);
	again = subscribe(hub_sub_node(s), "tom@x", 0);
}

static void
test_subscribe_in_ended(void **state)
{
	(void)state;
	world_open(SCHOOL);
	event("ann");
	on_ended = subscribe_ended;
	subscribe("class/7b/t.count", "tina@x", 0);
	set_roster("7b:+tom,ann,bob");
	turns(3);
	assert_int_equal(n_got, 1);
	assert_int_equal(last_seq(again, pseudonym("ann")), 1);
	world_close();
}

static void
free_door_ended(struct hub_sub *s)
{
	(void)s;
	hub_door_free(door);
	door = hub_door_new(hub, &world_ops, NULL);
}

static void
test_door_gone_in_ended(void **state)
{
	(void)state;
	world_open(SCHOOL);
	event("ann");
	on_ended = free_door_ended;
	subscribe("class/7b/t.count", "tina@x", 0);
	subscribe("class/7b/t.count", "tina@x", 0);
	subscribe("class/7b/t.count", "tom@x", 0);
	set_roster("7b:+tom,ann,bob");
	assert_int_equal(n_ended, 1);
	assert_int_equal(metric_value[METRIC_SUBSCRIPTIONS], 0);
	turns(3);
	assert_int_equal(n_batches, 0);
	world_close();
}

/* ---- a door that reads in its own name ---- */

static size_t n_rosters, ended_before;

static void
count_roster(void *arg)
{
	(void)arg;
	n_rosters++;
	ended_before = n_ended;
}

static void
test_attached(void **state)
{
	struct hub_sub *s = NULL;

	(void)state;
	n_rosters = 0;
	world_open(SCHOOL);
	world_ops.roster = count_roster;
	event("ann");
	assert_int_equal(hub_attach(door, STR_LIT("class/9c/t.count"), NULL, &s), ERR_NOT_FOUND);
	assert_int_equal(hub_attach(door, STR_LIT("class/7b/t.hidden"), NULL, &s), ERR_NOT_FOUND);
	assert_null(s);
	assert_int_equal(hub_attach(door, STR_LIT("class/7b/t.count"), NULL, &s), ERR_OK);
	turns(3);
	assert_int_equal(times(s, pseudonym("ann")), 1);
	assert_string_equal(hub_sub_reader(s), "");
	assert_int_equal(metric_value[METRIC_SUBSCRIPTIONS], 0);
	set_roster("7b:+tom,ann,bob"); /* whoever reads: it stays */
	assert_int_equal(n_rosters, 1);
	assert_int_equal(n_ended, 0);
	event("bob");
	turns(3);
	assert_int_equal(times(s, pseudonym("bob")), 1);
	set_roster("8a:+tom,cy");
	assert_int_equal(n_rosters, 2);
	assert_int_equal(ended_before, 1); /* the door hears of the end first */
	assert_int_equal(metric_value[METRIC_REVOKED], 0);
	world_close();
}

static void
ids_cb(void *arg, const char *id)
{
	buf_printf(arg, "%s\n", id);
}

static void
test_ids(void **state)
{
	struct node is;
	struct buf b = BUF_INIT(0);

	(void)state;
	world_open(SCHOOL);
	event("ann");
	event("bob");
	event("cy");
	assert_int_equal(node_parse(STR_LIT("class/7b/t.count"), &is), ERR_OK);
	hub_item_ids(hub, &is, ids_cb, &b);
	assert_int_equal(b.len, 2 * (PSEUDONYM_LEN + 1));
	buf_byte(&b, '\0');
	assert_non_null(strstr(b.data, pseudonym("ann")));
	assert_non_null(strstr(b.data, pseudonym("bob")));
	buf_clear(&b);
	assert_int_equal(node_parse(STR_LIT("class/9c/t.count"), &is), ERR_OK);
	hub_item_ids(hub, &is, ids_cb, &b);
	assert_int_equal(b.len, 0);
	buf_free(&b);
	world_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_may_read),
		cmocka_unit_test(test_read_in_order),
		cmocka_unit_test(test_read_class),
		cmocka_unit_test(test_roster_node),
		cmocka_unit_test(test_roster_seq_grows),
		cmocka_unit_test(test_teacher_removed),
		cmocka_unit_test(test_removed_while_waiting),
		cmocka_unit_test(test_class_gone),
		cmocka_unit_test(test_student_left),
		cmocka_unit_test(test_student_joined),
		cmocka_unit_test(test_places_again),
		cmocka_unit_test(test_unsubscribe_in_ended),
		cmocka_unit_test(test_subscribe_in_ended),
		cmocka_unit_test(test_door_gone_in_ended),
		cmocka_unit_test(test_attached),
		cmocka_unit_test(test_ids),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
