/* SPDX-License-Identifier: MIT */
/* rebuild: see rebuild.h. The child's result is a snapshot file of those students
 * alone, which the parent reads. */
#include "rebuild.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "child.h"
#include "flow/cold.h"
#include "state/journal.h"
#include "state/snapshot.h"

#define REBUILD_NICE 10

struct rebuild {
	struct engine *engine;
	struct str key;
	char *path, *journal, *organisation;
	uint64_t position; /* up to which the child folds */
	pid_t child;       /* 0: none */
	rebuild_done_cb *done;
	void *arg;
};

/* ---- the child ---- */

struct rebuild_fold {
	struct engine *engine;
	uint64_t until;
};

static bool
rebuild_only_cb(void *arg, struct str student)
{
	struct rebuild *b = arg;

	return cold_is_rebuilding(b->engine, student);
}

static void
rebuild_record_cb(void *arg, const struct record *r)
{
	struct rebuild_fold *f = arg;

	if (r->seq <= f->until)
		engine_record(f->engine, r);
}

static void
rebuild_add_cb(void *arg, uint8_t kind, struct str key, struct str value)
{
	snapshot_add(arg, kind, key, value);
}

static enum err
rebuild_write(const struct rebuild *b, struct engine *e, char **why)
{
	struct snapshot_writer *w = snapshot_begin(b->path, b->organisation, b->position, why);

	if (w == NULL)
		return ERR_IO;
	engine_save(e, rebuild_add_cb, w);
	return snapshot_commit(w, why);
}

static bool
rebuild_work(void *arg)
{
	struct rebuild *b = arg;
	struct engine_options o = { .reducers = engine_reducers(b->engine),
		.pseudonym_key = b->key, .only = rebuild_only_cb, .arg = b };
	char *why = NULL;
	struct rebuild_fold f = { engine_new(&o, &why), b->position };
	struct journal_reader reader = { .record = rebuild_record_cb, .arg = &f };
	struct journal_summary sum;
	enum err e = f.engine == NULL ? ERR_INVALID : ERR_OK;

	if (nice(REBUILD_NICE) < 0 && errno != 0)
		log_info("states anew: cannot be nice: %s", strerror(errno));
	if (e == ERR_OK)
		e = journal_read(b->journal, b->organisation, 0, &reader, &sum, &why);
	if (e == ERR_OK)
		e = rebuild_write(b, f.engine, &why);
	if (e != ERR_OK)
		log_error("states cannot be folded anew: %s", why != NULL ? why : err_text(e));
	return e == ERR_OK;
}

/* ---- the parent ---- */

static bool
rebuild_load(struct rebuild *b)
{
	char *why = NULL;
	uint64_t position = 0;
	enum err e = snapshot_load(b->path, b->organisation, &position, cold_rebuild_entry,
	    b->engine, &why);

	if (e != ERR_OK)
		log_error("states folded anew do not read: %s", why != NULL ? why : err_text(e));
	mem_free(why);
	if (unlink(b->path) != 0)
		log_warning("%s: %s", b->path, strerror(errno));
	return e == ERR_OK;
}

static void
rebuild_sigchld_cb(void *arg)
{
	struct rebuild *b = arg;
	enum child_end end = b->child == 0 ? CHILD_RUNS : child_reap(b->child, false);

	if (end == CHILD_RUNS)
		return;
	b->child = 0;
	b->done(b->arg, b->position, end == CHILD_DONE && rebuild_load(b));
}

bool
rebuild_start(struct rebuild *b)
{
	b->position = engine_position(b->engine);
	b->child = child_start(rebuild_work, b);
	if (b->child > 0)
		return true;
	log_warning("states anew: cannot fork: %s", strerror(errno));
	b->child = 0;
	return false;
}

struct rebuild *
rebuild_new(struct loop *l, struct engine *e, const struct conf *c, struct str pseudonym_key,
    rebuild_done_cb *done, void *arg)
{
	struct rebuild *b;

	MEM_NEW(b);
	b->engine = e;
	b->key = pseudonym_key;
	b->path = mem_printf("%s/rebuilt.snapshot", c->state_dir);
	b->journal = mem_printf("%s/journal", c->state_dir);
	b->organisation = mem_strdup(c->organisation);
	b->done = done;
	b->arg = arg;
	loop_signal(l, SIGCHLD, rebuild_sigchld_cb, b);
	return b;
}

void
rebuild_free(struct rebuild *b)
{
	if (b == NULL)
		return;
	if (b->child != 0 && kill(b->child, SIGKILL) == 0)
		child_reap(b->child, true);
	mem_free(b->path);
	mem_free(b->journal);
	mem_free(b->organisation);
	mem_free(b);
}
