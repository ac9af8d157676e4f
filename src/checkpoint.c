/* SPDX-License-Identifier: MIT */
/* checkpoint: see checkpoint.h. The child owns a copy-on-write picture of the
 * states at one journal position; nothing has to stand still for it. */
#include "checkpoint.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "child.h"
#include "flow/cold.h"
#include "state/snapshot.h"

struct checkpoint {
	struct engine *engine;
	char *path;
	char *organisation;
	uint64_t every;      /* records between two */
	uint64_t position;   /* of the last one that succeeded */
	uint64_t attempted;  /* position of the last attempt */
	pid_t child;         /* 0: none */
	bool first;          /* this run has yet to write one; see checkpoint.h */
	uint64_t failures;
};

static char *
checkpoint_path(const struct conf *c)
{
	return mem_printf("%s/states.snapshot", c->state_dir);
}

static void
checkpoint_add_cb(void *arg, uint8_t kind, struct str key, struct str value)
{
	snapshot_add(arg, kind, key, value);
}

/* Writes the engine's entries to the snapshot file. */
static enum err
checkpoint_write(struct checkpoint *k)
{
	char *why = NULL;
	uint64_t position = engine_position(k->engine);
	struct snapshot_writer *w = snapshot_begin(k->path, k->organisation, position, &why);
	enum err e = w == NULL ? ERR_IO : ERR_OK;

	if (e == ERR_OK) {
		engine_save(k->engine, checkpoint_add_cb, w);
		e = snapshot_commit(w, &why);
	}
	if (e != ERR_OK)
		log_error("snapshot failed file=%s why=\"%s\"", k->path, why ? why : "");
	mem_free(why);
	return e;
}

static bool
checkpoint_work(void *arg)
{
	return checkpoint_write(arg) == ERR_OK;
}

/* While records wait for states that are away, the states are not those of the
 * position. */
void
checkpoint_due(struct checkpoint *k)
{
	uint64_t now = engine_position(k->engine);

	if (k->child != 0 || (!k->first && now - k->attempted < k->every) ||
	    cold_waiting(k->engine) > 0)
		return;
	k->first = false;
	k->attempted = now;
	k->child = child_start(checkpoint_work, k);
	if (k->child < 0) {
		log_warning("snapshot: cannot fork: %s", strerror(errno));
		k->child = 0;
		k->failures++;
	}
}

/* Takes the result of the child; waits for it when `block`. */
static void
checkpoint_reap(struct checkpoint *k, bool block)
{
	enum child_end end = k->child == 0 ? CHILD_RUNS : child_reap(k->child, block);

	if (end == CHILD_RUNS)
		return;
	k->child = 0;
	if (end == CHILD_DONE) {
		k->position = k->attempted;
		log_info("snapshot written position=%llu", (unsigned long long)k->position);
	} else {
		k->failures++;
	}
}

static void
checkpoint_sigchld_cb(void *arg)
{
	checkpoint_reap(arg, false);
}

struct checkpoint *
checkpoint_new(struct loop *l, struct engine *e, const struct conf *c, uint64_t loaded)
{
	struct checkpoint *k;

	MEM_NEW(k);
	k->engine = e;
	k->path = checkpoint_path(c);
	k->organisation = mem_strdup(c->organisation);
	k->every = (uint64_t)c->snapshot_records;
	k->position = k->attempted = loaded;
	k->first = cold_is_on(e);
	loop_signal(l, SIGCHLD, checkpoint_sigchld_cb, k);
	return k;
}

void
checkpoint_now(struct checkpoint *k)
{
	if (k->child != 0) {
		if (kill(k->child, SIGKILL) != 0)
			log_warning("snapshot: cannot end the child: %s", strerror(errno));
		checkpoint_reap(k, true);
	}
	if (engine_position(k->engine) == k->position || cold_waiting(k->engine) > 0)
		return;
	if (checkpoint_write(k) == ERR_OK)
		k->position = engine_position(k->engine);
}

void
checkpoint_status(const struct checkpoint *k, struct jsonw *w)
{
	jsonw_object(w);
	jsonw_kuint(w, "position", k->position);
	jsonw_kbool(w, "running", k->child != 0);
	jsonw_kuint(w, "failures", k->failures);
	jsonw_object_end(w);
}

void
checkpoint_free(struct checkpoint *k)
{
	if (k == NULL)
		return;
	mem_free(k->path);
	mem_free(k->organisation);
	mem_free(k);
}

enum err
checkpoint_load(const struct conf *c, struct engine *e, char **why)
{
	char *path = checkpoint_path(c);
	uint64_t position = 0;
	enum err err = snapshot_load(path, c->organisation, &position, engine_load, e, why);

	if (err == ERR_OK)
		engine_loaded(e, position);
	mem_free(path);
	return err;
}
