/* SPDX-License-Identifier: MIT */
/* journal_cursor: see journal_cursor.h. Segments are listed when it is opened and
 * the length of each is taken when it is entered: what comes behind is behind
 * `until`, too, and the next cursor's. */
#include "state/journal_cursor.h"

#include "base/mem.h"
#include "state/journal_priv.h"

struct journal_cursor {
	struct journal_dir dir;
	struct journal_scan scan;
	struct journal_reader reader;
	struct journal_summary sum;
	size_t at;     /* segment */
	bool inside;   /* it is entered */
	bool done;     /* `until` was passed */
	uint64_t until;
	journal_cursor_cb *cb;
	void *arg;
};

static void
journal_cursor_record_cb(void *arg, const struct record *r)
{
	struct journal_cursor *c = arg;

	if (r->seq > c->until)
		c->done = true;
	if (c->done || !c->cb(c->arg, r))
		c->scan.pause = true;
}

struct journal_cursor *
journal_cursor_open(const char *dir, const char *organisation, uint64_t after, uint64_t until,
    char **why)
{
	struct journal_cursor *c;
	enum err e;

	MEM_NEW(c);
	c->until = until;
	c->reader = (struct journal_reader){ .record = journal_cursor_record_cb, .arg = c };
	e = journal_dir_open(&c->dir, dir, organisation, false, why);
	if (e == ERR_OK)
		e = journal_dir_list(&c->dir, why);
	if (e != ERR_OK) {
		journal_dir_close(&c->dir);
		mem_free(c);
		return NULL;
	}
	c->at = journal_dir_start(&c->dir, after);
	journal_scan_init(&c->scan, &c->dir, c->at, after, &c->reader, &c->sum);
	return c;
}

/* Goes on in the segment; ERR_NOT_FOUND at its end. */
static enum err
journal_cursor_segment(struct journal_cursor *c, char **why)
{
	enum err e = c->inside ? ERR_OK : journal_scan_enter(&c->scan, c->at, why);

	if (e != ERR_OK)
		return e;
	c->inside = true;
	if (!journal_scan_run(&c->scan))
		return ERR_OK;
	journal_scan_leave(&c->scan, c->at);
	c->inside = false;
	c->at++;
	return c->scan.pause ? ERR_OK : ERR_NOT_FOUND;
}

enum err
journal_cursor_read(struct journal_cursor *c, journal_cursor_cb *cb, void *arg, char **why)
{
	enum err e = ERR_NOT_FOUND;

	c->cb = cb;
	c->arg = arg;
	while (e == ERR_NOT_FOUND && !c->done && c->at < c->dir.n)
		e = journal_cursor_segment(c, why);
	return c->done && e == ERR_OK ? ERR_NOT_FOUND : e;
}

void
journal_cursor_close(struct journal_cursor *c)
{
	if (c == NULL)
		return;
	journal_scan_leave(&c->scan, c->at);
	journal_scan_free(&c->scan);
	journal_dir_close(&c->dir);
	mem_free(c);
}
