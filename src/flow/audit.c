/* SPDX-License-Identifier: MIT */
/* audit: the queue, the pool that writes it, and the bound on what people can cause. */
#include "flow/audit_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

#define AUDIT_LINE_MAX 8192 /* bytes; a JID and a node are bounded far below */

struct audit_count {
	size_t n; /* in this window */
};

static const struct audit_limit audit_limits[AUDIT_LIMITS] = {
	[AUDIT_LIMIT_REFUSED] = { "refused", AUDIT_REFUSALS, AUDIT_REFUSERS, NULL, 0 },
	[AUDIT_LIMIT_SIGN_INS_REFUSED] = { "sign_ins_refused", AUDIT_REFUSALS, AUDIT_TRIERS, NULL, 0 },
	[AUDIT_LIMIT_SIGN_INS] = { "sign_ins", AUDIT_SIGN_INS, AUDIT_SIGNERS, NULL, 0 },
};

/* ---- the pool ---- */

/* What is left of the batch, in the pool. A full disk may cut a line; the rest of
 * it follows. */
static void
audit_write_all(struct audit *a)
{
	while (a->written < a->batch.len) {
		ssize_t n = write(a->fd, a->batch.data + a->written, a->batch.len - a->written);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			a->error = errno;
			return;
		}
		a->written += (size_t)n;
	}
	if (fdatasync(a->fd) != 0)
		a->error = errno;
}

static int
audit_open(const char *file, bool *empty)
{
	int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || fchmod(fd, 0600) != 0) {
		close(fd);
		errno = EINVAL;
		return -1;
	}
	*empty = st.st_size == 0;
	return fd;
}

static void
audit_work_cb(void *arg)
{
	struct audit *a = arg;
	int fd;

	a->error = 0;
	if (!a->opening) {
		audit_write_all(a);
		return;
	}
	fd = audit_open(a->file, &a->opened_empty);
	if (fd < 0) {
		a->error = errno;
		return;
	}
	close(a->fd);
	a->fd = fd;
}

static void
audit_say(struct audit *a)
{
	if (a->error != 0 && !a->failing)
		log_error("audit: cannot write %s: %s; lines are kept in memory, make room or "
		    "repair it", a->file, strerror(a->error));
	if (a->error == 0 && a->failing)
		log_notice("audit: %s is written again", a->file);
	a->failing = a->error != 0;
}

static void
audit_destroy(struct audit *a)
{
	if (a->batch.len + a->queue.len > 0)
		log_error("audit: %zu bytes of lines could not be written to %s and are lost",
		    a->batch.len + a->queue.len, a->file);
	close(a->fd);
	for (size_t i = 0; i < AUDIT_LIMITS; i++)
		map_free(a->limits[i].by_key, mem_free);
	buf_free(&a->batch);
	buf_free(&a->queue);
	mem_free(a->file);
	mem_free(a);
}

/* A new file begins with everything, before what waits. */
static void
audit_opened(struct audit *a)
{
	struct buf waiting = a->queue;

	a->opening = false;
	while (a->error == 0 && a->written > 0 && a->batch.data[a->written - 1] != '\n')
		a->written--; /* its beginning stands in the old file */
	if (a->error != 0 || !a->opened_empty || a->roster == NULL)
		return;
	a->queue = BUF_INIT(AUDIT_QUEUE_MAX);
	audit_picture(a);
	buf_str(&a->queue, buf_view(&waiting));
	buf_free(&waiting);
}

static void
audit_done_cb(void *arg)
{
	struct audit *a = arg;

	a->busy = false;
	audit_say(a);
	if (a->opening) {
		audit_opened(a);
	} else if (a->error == 0) {
		buf_clear(&a->batch);
		a->written = 0;
	}
	if (a->closed && (a->error != 0 || a->batch.len + a->queue.len == 0))
		audit_destroy(a);
	else if (a->error == 0 || a->closed)
		audit_flush(a);
}

/* One job at a time, so that lines keep their order. After a failure the clock
 * tries again. */
void
audit_flush(struct audit *a)
{
	struct buf b;

	if (a->busy || (!a->reopen && a->batch.len == 0 && a->queue.len == 0))
		return;
	a->opening = a->reopen;
	a->reopen = false;
	if (!a->opening && a->batch.len == 0) {
		b = a->batch;
		a->batch = a->queue;
		a->queue = b;
	}
	a->busy = true;
	loop_pool(a->loop, audit_work_cb, audit_done_cb, a);
}

/* ---- lines ---- */

struct jsonw
audit_begin(struct audit *a, struct buf *line, const char *what)
{
	int64_t ms = loop_wall_us(a->loop) / 1000;
	time_t seconds = (time_t)(ms / 1000);
	char date[32], t[40];
	struct jsonw w = jsonw_to(line);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(t, sizeof t, "%s.%03dZ", date, (int)(ms % 1000));
	jsonw_object(&w);
	jsonw_kz(&w, "t", t);
	jsonw_kz(&w, "what", what);
	return w;
}

void
audit_end(struct audit *a, struct jsonw *w)
{
	struct buf *line = w->out;

	if (a->roster != NULL)
		jsonw_kuint(w, "roster", roster_version(a->roster));
	jsonw_object_end(w);
	buf_byte(line, '\n');
	metric_add(METRIC_AUDIT, 1);
	if (line->failed || buf_str(&a->queue, buf_view(line)) != ERR_OK) {
		if (metric_value[METRIC_AUDIT_LOST] == 0)
			log_error("audit: %s does not keep up, lines are lost; see audit_lost in the "
			    "status", a->file);
		metric_add(METRIC_AUDIT_LOST, 1);
	}
	buf_free(line);
}

const char *
audit_as(enum roster_as as)
{
	static const char *const names[] = { "nobody", "reader", "teacher", "guardian", "self" };

	return names[as];
}

static void
audit_put(struct audit *a, const struct audit_line *l)
{
	struct buf line = BUF_INIT(AUDIT_LINE_MAX);
	struct jsonw w = audit_begin(a, &line, l->what);

	jsonw_kstr(&w, "reader", l->reader);
	if (l->door != NULL)
		jsonw_kz(&w, "door", l->door);
	jsonw_kstr(&w, "node", l->node);
	if (l->as != ROSTER_AS_NOBODY)
		jsonw_kz(&w, "as", audit_as(l->as));
	if (l->items > 0)
		jsonw_kuint(&w, "items", l->items);
	audit_end(a, &w);
}

void
audit_write(struct audit *a, const struct audit_line *l)
{
	if (a == NULL)
		return;
	audit_put(a, l);
	if (!a->failing)
		audit_flush(a);
}

/* ---- what is limited ---- */

static bool
audit_allows(struct audit_limit *l, struct str key)
{
	struct audit_count *c = map_get(l->by_key, key);

	if (c == NULL && map_size(l->by_key) == l->keys) {
		l->others++;
		return false;
	}
	if (c == NULL) {
		MEM_NEW(c);
		map_put(l->by_key, key, c);
	}
	return c->n++ < l->each;
}

void
audit_refuse(struct audit *a, const struct audit_line *l)
{
	if (a != NULL && audit_allows(&a->limits[AUDIT_LIMIT_REFUSED], l->reader))
		audit_write(a, l);
}

void
audit_sign_in(struct audit *a, const struct audit_sign_in *s)
{
	enum audit_limits kind = s->why != NULL ? AUDIT_LIMIT_SIGN_INS_REFUSED : AUDIT_LIMIT_SIGN_INS;
	struct buf line = BUF_INIT(AUDIT_LINE_MAX);
	struct jsonw w;

	if (a == NULL || !audit_allows(&a->limits[kind], s->user.n > 0 ? s->user : STR_LIT("")))
		return;
	w = audit_begin(a, &line, s->what);
	if (s->user.n > 0)
		jsonw_kstr(&w, "reader", s->user);
	jsonw_kz(&w, "door", s->door);
	if (s->by != NULL)
		jsonw_kz(&w, "by", s->by);
	if (s->why != NULL)
		jsonw_kz(&w, "why", s->why);
	jsonw_kz(&w, "peer", s->peer);
	audit_end(a, &w);
	if (!a->failing)
		audit_flush(a);
}

static void
audit_suppressed(struct audit *a, struct str reader, const char *counted, size_t n)
{
	struct buf line = BUF_INIT(AUDIT_LINE_MAX);
	struct jsonw w = audit_begin(a, &line, "suppressed");

	if (reader.n > 0)
		jsonw_kstr(&w, "reader", reader);
	jsonw_kuint(&w, counted, n);
	audit_end(a, &w);
}

static void
audit_window_end(struct audit *a, struct audit_limit *l)
{
	struct map_iter it = { 0 };

	while (map_next(l->by_key, &it)) {
		struct audit_count *c = it.value;

		if (c->n > l->each)
			audit_suppressed(a, it.key, l->counted, c->n - l->each);
		map_remove(l->by_key, it.key);
		mem_free(c);
	}
	if (l->others > 0)
		audit_suppressed(a, (struct str){ NULL, 0 }, l->counted, l->others);
	l->others = 0;
}

/* The end of a window; and what failed is tried again. */
static void
audit_window_cb(void *arg)
{
	struct audit *a = arg;

	for (size_t i = 0; i < AUDIT_LIMITS; i++)
		audit_window_end(a, &a->limits[i]);
	audit_flush(a);
}

/* ---- life ---- */

struct audit *
audit_new(struct loop *l, const char *file, char **why)
{
	struct audit *a;
	bool empty;
	int fd = audit_open(file, &empty);

	if (fd < 0) {
		*why = mem_printf("audit.file %s: %s; expected a file that lecternd may write, or "
		    "audit { enabled = false }", file, strerror(errno));
		return NULL;
	}
	MEM_NEW(a);
	a->loop = l;
	a->fd = fd;
	a->file = mem_strdup(file);
	a->queue = a->batch = BUF_INIT(AUDIT_QUEUE_MAX);
	memcpy(a->limits, audit_limits, sizeof a->limits);
	for (size_t i = 0; i < AUDIT_LIMITS; i++)
		a->limits[i].by_key = map_new();
	a->window = loop_timer_new(l, audit_window_cb, a);
	loop_timer_every(a->window, AUDIT_WINDOW_MS);
	return a;
}

void
audit_free(struct audit *a)
{
	struct buf line = BUF_INIT(AUDIT_LINE_MAX);
	struct jsonw w;

	if (a == NULL)
		return;
	audit_window_cb(a);
	a->roster = NULL; /* its owner may go now */
	w = audit_begin(a, &line, "stop");
	audit_end(a, &w);
	loop_timer_free(a->window);
	a->closed = true;
	audit_flush(a);
}

void
audit_reopen(struct audit *a)
{
	if (a == NULL)
		return;
	a->reopen = true;
	audit_flush(a);
}

void
audit_status(const struct audit *a, struct jsonw *w)
{
	if (a == NULL) {
		jsonw_null(w);
		return;
	}
	jsonw_object(w);
	jsonw_kz(w, "file", a->file);
	jsonw_kuint(w, "pending_bytes", a->queue.len + a->batch.len);
	jsonw_kbool(w, "failing", a->failing);
	jsonw_object_end(w);
}
