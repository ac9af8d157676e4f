/* SPDX-License-Identifier: MIT */
/* spawn: see spawn.h. */
#include "base/spawn.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <uv.h>

#include "base/log.h"
#include "base/mem.h"

struct spawn {
	uv_process_t process;
	uv_pipe_t input;
	uv_write_t write;
	struct loop_timer *limit;
	char *text;
	size_t n;
	int handles; /* not closed yet */
	bool running;
	spawn_cb *cb;
	void *arg;
};

static void
spawn_wipe(struct spawn *s)
{
	if (s->text != NULL)
		mem_wipe(s->text, s->n);
	mem_free(s->text);
	s->text = NULL;
}

static void
spawn_closed_cb(uv_handle_t *h)
{
	struct spawn *s = h->data;

	if (--s->handles > 0)
		return;
	spawn_wipe(s); /* libuv has let go of it by now */
	mem_free(s);
}

/* From here on only libuv's memory is left. */
static void
spawn_close(struct spawn *s)
{
	loop_timer_free(s->limit);
	uv_close((uv_handle_t *)&s->process, spawn_closed_cb);
	if (!uv_is_closing((uv_handle_t *)&s->input))
		uv_close((uv_handle_t *)&s->input, spawn_closed_cb);
}

/* Whoever is called may do anything, so it comes last. */
static void
spawn_end(struct spawn *s, int status)
{
	spawn_cb *cb = s->cb;
	void *arg = s->arg;

	spawn_close(s);
	cb(arg, status);
}

static void
spawn_exit_cb(uv_process_t *p, int64_t status, int sig)
{
	struct spawn *s = p->data;

	s->running = false;
	if (sig != 0)
		log_warning("a program beside the daemon was killed by signal %d", sig);
	spawn_end(s, sig == 0 ? (int)status : -1);
}

/* No zombie is left, although nobody waits for its exit any more. */
static void
spawn_stop(struct spawn *s)
{
	if (!s->running)
		return;
	s->running = false;
	kill(s->process.pid, SIGKILL);
	while (waitpid(s->process.pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void
spawn_limit_cb(void *arg)
{
	struct spawn *s = arg;

	spawn_stop(s);
	spawn_end(s, -1);
}

void
spawn_kill(struct spawn *s)
{
	spawn_stop(s);
	spawn_close(s);
}

static void
spawn_written_cb(uv_write_t *w, int status)
{
	struct spawn *s = w->data;

	(void)status; /* who did not read it will say so by its exit */
	spawn_wipe(s);
	if (!uv_is_closing((uv_handle_t *)&s->input))
		uv_close((uv_handle_t *)&s->input, spawn_closed_cb);
}

static int
spawn_start(struct spawn *s, uv_loop_t *uv, const char *const *argv)
{
	uv_stdio_container_t stdio[] = {
		{ .flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&s->input },
		{ .flags = UV_IGNORE },
		{ .flags = UV_INHERIT_FD, .data.fd = 2 },
	};
	char *environment[] = { NULL };
	uv_process_options_t o = {
		.exit_cb = spawn_exit_cb, .file = argv[0], .args = (char **)(uintptr_t)argv,
		.env = environment, .stdio_count = 3, .stdio = stdio,
	};

	return uv_spawn(uv, &s->process, &o);
}

struct spawn *
spawn_run(struct loop *l, const char *const *argv, struct str input, uint64_t limit_ms,
    spawn_cb *cb, void *arg)
{
	struct spawn *s;
	uv_buf_t text;
	int rc;

	MEM_NEW(s);
	s->cb = cb;
	s->arg = arg;
	s->handles = 2;
	s->text = mem_str(input);
	s->n = input.n;
	s->limit = loop_timer_new(l, spawn_limit_cb, s);
	uv_pipe_init(loop_uv(l), &s->input, 0);
	rc = spawn_start(s, loop_uv(l), argv);
	s->process.data = s->input.data = s->write.data = s;
	s->running = rc == 0;
	if (rc != 0)
		log_error("cannot run %s: %s", argv[0], uv_strerror(rc));
	text = uv_buf_init(s->text, (unsigned)s->n);
	if (rc == 0)
		uv_write(&s->write, (uv_stream_t *)&s->input, &text, 1, spawn_written_cb);
	loop_timer_once(s->limit, rc == 0 ? limit_ms : 0);
	return s;
}
