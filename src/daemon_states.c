/* SPDX-License-Identifier: MIT */
/* daemon_states: what the control socket answers about all states, also those that
 * are not in memory: these come a few students at a time and go again. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "daemon_priv.h"
#include "flow/cold.h"

#define STATES_BATCH 64       /* students in memory for it at a time */
#define STATES_LOOK_MS 20
#define STATES_MAX_MS 60000   /* then it is told that it did not work out */

struct states_line {
	char *key;
	size_t at, n; /* of the text */
};

/* One question that takes its time. */
struct daemon_ask {
	LIST_ENTRY(daemon_ask) link;
	struct daemon *daemon;
	struct control_peer *peer;
	struct buf answer;
	struct loop_timer *look;
	uint64_t end_ms;
	void (*go_on)(struct daemon_ask *a);
	/* of states */
	struct student **student; /* all of them */
	size_t n, at;
	struct cold_wait *wait;   /* for those up to `at` */
	size_t from;
	struct states_line *line;
	size_t n_lines, cap_lines;
	struct buf text;
};

static void
ask_free(struct daemon_ask *a)
{
	LIST_REMOVE(a, link);
	loop_timer_free(a->look);
	cold_wait_free(a->wait);
	for (size_t i = 0; i < a->n_lines; i++)
		mem_free(a->line[i].key);
	mem_free(a->line);
	mem_free(a->student);
	buf_free(&a->text);
	buf_free(&a->answer);
	mem_free(a);
}

void
daemon_asks_free(struct daemon *d)
{
	while (!LIST_EMPTY(&d->asks))
		ask_free(LIST_FIRST(&d->asks));
}

static void
ask_done(struct daemon_ask *a)
{
	control_reply(a->peer, buf_view(&a->answer));
	ask_free(a);
}

static void
ask_look_cb(void *arg)
{
	struct daemon_ask *a = arg;

	if (loop_now_ms(a->daemon->loop) < a->end_ms) {
		a->go_on(a);
		return;
	}
	buf_z(&a->answer, "{\"error\":\"the store of states does not answer\"}");
	ask_done(a);
}

static struct daemon_ask *
ask_new(struct daemon *d, struct control_peer *peer, void (*go_on)(struct daemon_ask *a))
{
	struct daemon_ask *a;

	MEM_NEW(a);
	a->daemon = d;
	a->peer = peer;
	a->answer = BUF_INIT(0);
	a->go_on = go_on;
	a->end_ms = loop_now_ms(d->loop) + STATES_MAX_MS;
	a->look = loop_timer_new(d->loop, ask_look_cb, a);
	loop_timer_every(a->look, STATES_LOOK_MS);
	LIST_INSERT_HEAD(&d->asks, a, link);
	return a;
}

/* ---- digest ---- */

/* The states are those of the position when nothing waits. */
static void
ask_digest_go_on(struct daemon_ask *a)
{
	struct jsonw w = jsonw_to(&a->answer);

	if (cold_waiting(a->daemon->engine) > 0)
		return;
	daemon_digest(a->daemon, &w);
	ask_done(a);
}

void
daemon_ask_digest(void *arg, struct control_peer *peer)
{
	ask_digest_go_on(ask_new(arg, peer, ask_digest_go_on));
}

/* ---- states ---- */

static void
states_add(struct daemon_ask *a, const struct state *s, struct buf *json)
{
	size_t at = a->text.len;

	if (a->n_lines == a->cap_lines) {
		a->cap_lines = a->cap_lines > 0 ? 2 * a->cap_lines : 256;
		a->line = mem_realloc(a->line, a->cap_lines * sizeof *a->line);
	}
	buf_clear(json);
	engine_encode(s, json);
	daemon_write_state(&a->text, s, buf_view(json));
	a->line[a->n_lines++] = (struct states_line){ mem_strdup(s->key), at, a->text.len - at };
}

/* Those of this batch are in memory. */
static void
states_take(struct daemon_ask *a)
{
	struct buf json = BUF_INIT(0);

	for (; a->from < a->at; a->from++)
		for (const struct state *s = a->student[a->from]->states; s != NULL;
		    s = s->of_student)
			states_add(a, s, &json);
	buf_free(&json);
	cold_wait_free(a->wait);
	a->wait = NULL;
}

static void
states_want(struct daemon_ask *a)
{
	a->wait = cold_wait_new(a->daemon->engine);
	for (; a->at < a->n && a->at - a->from < STATES_BATCH; a->at++)
		cold_wait_for(a->wait, a->student[a->at]);
}

static int
states_order(const void *x, const void *y)
{
	return strcmp(((const struct states_line *)x)->key, ((const struct states_line *)y)->key);
}

static void
states_answer(struct daemon_ask *a)
{
	struct buf *out = &a->answer;

	if (a->n_lines > 1)
		qsort(a->line, a->n_lines, sizeof *a->line, states_order);
	for (size_t i = 0; i < a->n_lines; i++)
		buf_add(out, a->text.data + a->line[i].at, a->line[i].n);
	ask_done(a);
}

static void
ask_states_go_on(struct daemon_ask *a)
{
	while (a->wait == NULL || cold_wait_over(a->wait)) {
		if (a->wait != NULL)
			states_take(a);
		if (a->at == a->n) {
			states_answer(a);
			return;
		}
		states_want(a);
	}
}

static void
states_student_cb(void *arg, const struct student *t)
{
	struct daemon_ask *a = arg;

	a->student[a->n++] = engine_student(a->daemon->engine, str_of(t->id));
}

void
daemon_ask_states(void *arg, struct control_peer *peer)
{
	struct daemon *d = arg;
	struct daemon_ask *a = ask_new(d, peer, ask_states_go_on);

	a->text = BUF_INIT(0);
	a->student = mem_alloc((engine_students(d->engine) + 1) * sizeof *a->student);
	engine_each_student(d->engine, states_student_cb, a);
	ask_states_go_on(a);
}
