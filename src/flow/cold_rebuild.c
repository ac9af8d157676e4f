/* SPDX-License-Identifier: MIT */
/* cold: students whose states somebody folds anew from the journal. */
#include "base/mem.h"
#include "base/metric.h"
#include "flow/cold_priv.h"

/* What waits now will be part of what comes back. */
void
cold_rebuild_begin(struct engine *e, struct student *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		v[i]->cold->rebuilding = true;
		cold_lose(e, v[i]->cold, e->position);
	}
}

bool
cold_is_rebuilding(struct engine *e, struct str student)
{
	const struct student *t = engine_student(e, student);

	return t != NULL && t->cold != NULL && t->cold->rebuilding;
}

/* Whose state a key is of is in the entry's value; see engine_load_state. */
static bool
cold_rebuild_state(struct engine *e, struct str key, struct str value)
{
	struct unpack u = { .left = value };
	struct state *s = engine_load_state(e, key, &u);

	return s != NULL && s->student->cold != NULL && s->student->cold->rebuilding;
}

enum err
cold_rebuild_entry(void *engine, uint8_t kind, struct str key, struct str value)
{
	struct engine *e = engine;
	struct buf mine = BUF_INIT(0);
	bool ok = true;

	if (kind == ENGINE_ENTRY_REDUCERS) {
		engine_fingerprint(e, &mine);
		ok = str_eq(buf_view(&mine), value);
		buf_free(&mine);
	} else if (kind == ENGINE_ENTRY_STATE) {
		ok = cold_rebuild_state(e, key, value);
	}
	return ok ? ERR_OK : ERR_DAMAGED;
}

static void
cold_rebuild_student(struct engine *e, struct student *t, uint64_t position, bool ok)
{
	struct cold *c = t->cold;
	size_t n = t->n_states;

	c->rebuilding = false;
	if (ok && c->lost <= position) {
		for (struct state *s = t->states; s != NULL; s = s->of_student)
			engine_mark_dirty(e, s);
		metric_add(METRIC_COLD_REBUILT, 1);
		cold_warm(e, t, position);
		return;
	}
	engine_drop_states(e, t);
	t->n_states = n;
	cold_again(e, t);
}

void
cold_rebuild_end(struct engine *e, struct student *const *v, size_t n, uint64_t position,
    bool ok)
{
	for (size_t i = 0; i < n; i++)
		cold_rebuild_student(e, v[i], position, ok);
}
