/* SPDX-License-Identifier: MIT */
#include "tests/contract/pubsub_rig.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/mem.h"

#define UNTIL_MS 30000

const struct pubsub_contract *rig_contract;
const struct pubsub_backend *rig_backend;
struct pubsub_options rig_options;
struct pubsub *rig_writer, *rig_reader;
unsigned rig_ups, rig_downs;
uint64_t rig_number;
static unsigned rooms;

/* ---- the loop ---- */

struct until {
	struct loop *loop;
	pubsub_contract_cond *cond;
	void *arg;
	uint64_t end_ms;
	bool met;
};

static void
until_cb(void *arg)
{
	struct until *u = arg;

	u->met = u->cond(u->arg);
	if (u->met || loop_now_ms(u->loop) > u->end_ms)
		loop_stop(u->loop);
}

static void rig_tell(void);

void
pubsub_contract_until(struct loop *l, pubsub_contract_cond *cond, void *arg)
{
	struct until u = { l, cond, arg, loop_now_ms(l) + UNTIL_MS, false };
	struct loop_timer *t = loop_timer_new(l, until_cb, &u);

	loop_timer_every(t, 1);
	loop_run(l);
	loop_timer_free(t);
	if (u.met)
		return;
	rig_tell();
	fail_msg("waited in vain");
}

void
rig_until(pubsub_contract_cond *cond, void *arg)
{
	pubsub_contract_until(rig_options.loop, cond, arg);
}

bool
rig_is_up(void *arg)
{
	(void)arg;
	return rig_ups > rig_downs;
}

static bool
turns_over(void *left)
{
	return --*(int *)left == 0;
}

/* A while in which nothing is expected to happen. */
void
rig_settle(void)
{
	int turns = 30;

	rig_until(turns_over, &turns);
}

/* ---- who publishes ---- */

static void
up_cb(void *arg)
{
	(void)arg;
	rig_ups++;
}

static void
down_cb(void *arg)
{
	(void)arg;
	rig_downs++;
}

static void
room_cb(void *arg)
{
	(void)arg;
	rooms++;
}

static const struct pubsub_writer writer_ops = { up_cb, down_cb, room_cb };

char *
rig_item_json(uint64_t seq, const char *text)
{
	return mem_printf("{\"v\":1,\"seq\":%" PRIu64 ",\"state\":\"%s\"}", seq, text);
}

static bool
publishes(void *arg)
{
	return pubsub_publish(rig_writer, str_of(RIG_NODE), arg, 1);
}

void
rig_publish(enum pubsub_op op, const char *id, const char *json)
{
	struct pubsub_change c = { op, ++rig_number, str_of(id), str_of(json) };

	rig_until(publishes, &c);
}

void
rig_item(const char *id, uint64_t seq)
{
	char *json = rig_item_json(seq, id);

	rig_publish(PUBSUB_ITEM, id, json);
	mem_free(json);
}

/* ---- who reads: what it has of one node ---- */

static uint64_t
seq_of(struct str json)
{
	char *text = mem_str(json), *at = strstr(text, "\"seq\":");
	uint64_t seq = at != NULL ? strtoull(at + 6, NULL, 10) : 0;

	mem_free(text);
	return seq;
}

static void
view_put(struct view *v, struct str id, struct str json)
{
	const char *before = map_get(v->items, id);

	if (before == NULL || seq_of(json) > seq_of(str_of(before)))
		mem_free(map_put(v->items, id, mem_str(json)));
}

static void
view_empty(struct view *v)
{
	map_free(v->items, mem_free);
	v->items = map_new();
}

static void
view_called(struct view *v)
{
	void (*called)(struct view *) = v->called;

	v->called = NULL;
	if (called != NULL)
		called(v);
}

static bool
has_id(const struct pubsub_item *v, size_t n, struct str id)
{
	while (n > 0)
		if (str_eq(v[--n].id, id))
			return true;
	return false;
}

static void
view_snapshot_cb(void *arg, const struct pubsub_item *items, size_t n, bool whole)
{
	struct view *v = arg;
	struct map_iter it = { 0 };

	v->snapshots++;
	v->whole = whole;
	for (size_t i = 0; i < n; i++)
		view_put(v, items[i].id, items[i].json);
	while (whole && map_next(v->items, &it))
		if (!has_id(items, n, it.key))
			mem_free(map_remove(v->items, it.key));
	view_called(v);
}

static void
view_change_cb(void *arg, const struct pubsub_change *c)
{
	struct view *v = arg;

	v->changes++;
	if (c->op == PUBSUB_ITEM)
		view_put(v, c->id, c->json);
	else if (c->op == PUBSUB_RETRACT)
		mem_free(map_remove(v->items, c->id));
	else if (c->op != PUBSUB_WHOLE && c->op != PUBSUB_PART)
		view_empty(v);
	else if (c->op == PUBSUB_WHOLE && !v->whole)
		pubsub_refresh(v->sub);
	v->deleted += c->op == PUBSUB_DELETED;
	view_called(v);
}

static const struct pubsub_reader view_ops = { view_snapshot_cb, view_change_cb };

void
view_open(struct view *v, const char *node)
{
	*v = (struct view){ .items = map_new() };
	v->sub = pubsub_follow(rig_reader, str_of(node), &view_ops, v);
}

void
view_close(struct view *v)
{
	if (v->sub != NULL)
		pubsub_unfollow(v->sub);
	map_free(v->items, mem_free);
}

/* "id=seq;" of each item, in order. */
static char *
view_text(const struct view *v)
{
	struct buf b = BUF_INIT(0);
	struct map_iter *all = map_sorted(v->items);

	buf_z(&b, "");
	for (size_t i = 0; i < map_size(v->items); i++)
		buf_printf(&b, "%.*s=%" PRIu64 ";", STR_ARG(all[i].key),
		    seq_of(str_of(all[i].value)));
	mem_free(all);
	return buf_take(&b);
}

struct expected {
	const struct view *v;
	const char *text;
};
static const struct expected *waited_for; /* by view_expect */

static bool
is_as_expected(void *arg)
{
	const struct expected *e = arg;
	char *text = view_text(e->v);
	bool is = e->v->snapshots > 0 && strcmp(text, e->text) == 0;

	mem_free(text);
	return is;
}

void
view_expect(const struct view *v, const char *text)
{
	struct expected e = { v, text };

	waited_for = &e;
	rig_until(is_as_expected, &e);
	waited_for = NULL;
}

static void
rig_tell_status(const char *who, const struct pubsub *p)
{
	struct buf b = BUF_INIT(0);
	struct jsonw w = jsonw_to(&b);

	jsonw_object(&w);
	pubsub_status(p, &w);
	jsonw_object_end(&w);
	print_error("%s: %.*s\n", who, STR_ARG(buf_view(&b)));
	buf_free(&b);
}

/* How things stand when a test waited in vain. */
static void
rig_tell(void)
{
	char *text = waited_for != NULL ? view_text(waited_for->v) : NULL;

	print_error("ups %u downs %u rooms %u, number %" PRIu64 "\n", rig_ups, rig_downs, rooms,
	    rig_number);
	if (text != NULL)
		print_error("there is %s after %u snapshots and %u changes, wanted %s\n", text,
		    waited_for->v->snapshots, waited_for->v->changes, waited_for->text);
	mem_free(text);
	if (rig_writer != NULL)
		rig_tell_status("writer", rig_writer);
	if (rig_reader != NULL && rig_reader != rig_writer)
		rig_tell_status("reader", rig_reader);
}

/* ---- begin and end ---- */

void
rig_open(void)
{
	char *why = NULL;

	rig_writer = pubsub_open(rig_backend, &rig_options, &why);
	if (rig_writer == NULL)
		fail_msg("pubsub_open: %s", why);
	pubsub_write(rig_writer, &writer_ops, NULL);
	rig_reader = rig_writer;
	if (rig_backend->caps & PUBSUB_SHARED)
		rig_reader = pubsub_open(rig_backend, &rig_options, &why);
	assert_non_null(rig_reader);
}

void
rig_close(void)
{
	if (rig_reader != rig_writer)
		pubsub_close(rig_reader);
	pubsub_close(rig_writer);
	rig_reader = rig_writer = NULL;
}

int
rig_setup(void **state)
{
	(void)state;
	rig_ups = rig_downs = rooms = 0;
	rig_number = 0;
	rig_options = (struct pubsub_options){ .loop = loop_new() };
	rig_contract->place(&rig_options);
	rig_open();
	assert_int_equal(rig_ups, 0); /* never inside the call */
	rig_until(rig_is_up, NULL);
	return 0;
}

int
rig_teardown(void **state)
{
	(void)state;
	rig_close();
	loop_run(rig_options.loop);
	loop_free(rig_options.loop);
	rig_contract->drop(&rig_options);
	return 0;
}
