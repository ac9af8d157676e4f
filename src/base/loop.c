/* SPDX-License-Identifier: MIT */
/* loop: the one libuv loop. Knows nothing of what runs on it.
 *
 * A turn of libuv: timers, idle (our deferred calls), prepare (our hooks),
 * sleep and input, closes. The idle handle is active exactly while deferred
 * calls wait, and an active idle handle keeps libuv from sleeping: so whatever
 * a hook defers runs at once in the next turn. */
#include "base/loop.h"

#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>
#include <uv.h>

#include "base/crypt.h"
#include "base/log.h"
#include "base/mem.h"

struct loop_call {
	loop_cb *cb;
	void *arg;
};

struct loop_calls {
	struct loop_call *v;
	size_t n, cap;
};

struct loop_hook {
	TAILQ_ENTRY(loop_hook) link;
	struct loop *loop;
	struct loop_call call;
};

struct loop_timer {
	uv_timer_t uv;
	struct loop_call call;
};

struct loop_signal {
	uv_signal_t uv;
	struct loop_call call;
	SLIST_ENTRY(loop_signal) link;
};

struct loop_poll {
	uv_poll_t uv;
	loop_poll_cb *cb;
	void *arg;
};

struct loop_job {
	uv_work_t uv;
	loop_cb *work, *done;
	void *arg;
};

struct loop {
	uv_loop_t uv;
	uv_idle_t idle;
	uv_prepare_t prepare;
	int64_t wall; /* the latest answer of loop_wall_us */
	struct loop_calls deferred, running;
	TAILQ_HEAD(, loop_hook) hooks;
	struct loop_hook *next_hook; /* while hooks run: the one after this one */
	SLIST_HEAD(, loop_signal) signals;
};

/* For calls that fail only when the program or the system is broken. */
static void
loop_must(int rc, const char *what)
{
	if (rc != 0) {
		log_error("loop failed what=%s why=%s", what, uv_strerror(rc));
		abort();
	}
}

/* What the calls defer themselves goes into the other list: next turn. */
static void
loop_idle_cb(uv_idle_t *idle)
{
	struct loop *l = idle->data;
	struct loop_calls now = l->deferred;

	l->deferred = l->running;
	for (size_t i = 0; i < now.n; i++)
		now.v[i].cb(now.v[i].arg);
	now.n = 0;
	l->running = now;
	if (l->deferred.n == 0)
		uv_idle_stop(idle);
}

static void
loop_prepare_cb(uv_prepare_t *prepare)
{
	struct loop *l = prepare->data;
	struct loop_hook *h = TAILQ_FIRST(&l->hooks);

	for (; h != NULL; h = l->next_hook) {
		l->next_hook = TAILQ_NEXT(h, link);
		h->call.cb(h->call.arg);
	}
}

struct loop *
loop_new(void)
{
	struct loop *l;

	MEM_NEW(l);
	TAILQ_INIT(&l->hooks);
	SLIST_INIT(&l->signals);
	loop_must(uv_loop_init(&l->uv), "uv_loop_init");
	uv_idle_init(&l->uv, &l->idle);
	uv_prepare_init(&l->uv, &l->prepare);
	l->idle.data = l;
	l->prepare.data = l;
	uv_prepare_start(&l->prepare, loop_prepare_cb);
	uv_unref((uv_handle_t *)&l->prepare);
	return l;
}

void
loop_run(struct loop *l)
{
	uv_run(&l->uv, UV_RUN_DEFAULT);
}

void
loop_stop(struct loop *l)
{
	uv_stop(&l->uv);
}

static void
loop_signal_closed_cb(uv_handle_t *handle)
{
	mem_free(handle->data);
}

static void
loop_unref_cb(uv_handle_t *handle, void *arg)
{
	if (handle != arg)
		uv_unref(handle);
}

static void
loop_left_cb(uv_handle_t *handle, void *arg)
{
	(void)arg;
	log_error("loop freed with an open handle type=%s",
	    uv_handle_type_name(uv_handle_get_type(handle)));
}

/* Deferred calls and pool jobs under way still get their callbacks; a handle
 * that somebody forgot to close must not keep us here. */
void
loop_free(struct loop *l)
{
	struct loop_signal *s;

	uv_prepare_stop(&l->prepare);
	uv_walk(&l->uv, loop_unref_cb, &l->idle);
	SLIST_FOREACH(s, &l->signals, link)
		uv_close((uv_handle_t *)&s->uv, loop_signal_closed_cb);
	while (uv_run(&l->uv, UV_RUN_DEFAULT) != 0)
		;
	uv_close((uv_handle_t *)&l->prepare, NULL);
	uv_close((uv_handle_t *)&l->idle, NULL);
	uv_run(&l->uv, UV_RUN_DEFAULT);
	if (uv_loop_close(&l->uv) != 0) {
		uv_walk(&l->uv, loop_left_cb, NULL);
		return; /* the handle still points to the loop */
	}
	mem_free(l->deferred.v);
	mem_free(l->running.v);
	mem_free(l);
}

void *
loop_uv(struct loop *l)
{
	return &l->uv;
}

int64_t
loop_wall_us(struct loop *l)
{
	struct timespec t;
	int64_t now;

	clock_gettime(CLOCK_REALTIME, &t);
	now = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
	if (now > l->wall)
		l->wall = now;
	return l->wall;
}

uint64_t
loop_now_ms(struct loop *l)
{
	(void)l;
	return uv_hrtime() / 1000000;
}

struct loop_timer *
loop_timer_new(struct loop *l, loop_cb *cb, void *arg)
{
	struct loop_timer *t;

	MEM_NEW(t);
	t->call = (struct loop_call){ cb, arg };
	uv_timer_init(&l->uv, &t->uv);
	t->uv.data = t;
	return t;
}

static void
loop_timer_cb(uv_timer_t *timer)
{
	struct loop_timer *t = timer->data;

	t->call.cb(t->call.arg);
}

/* libuv counts from the start of the turn; after a long turn, or before the
 * loop runs, that would fire too early. */
static void
loop_timer_start(struct loop_timer *t, uint64_t ms, uint64_t repeat)
{
	uv_update_time(t->uv.loop);
	loop_must(uv_timer_start(&t->uv, loop_timer_cb, ms, repeat), "uv_timer_start");
}

void
loop_timer_once(struct loop_timer *t, uint64_t ms)
{
	loop_timer_start(t, ms, 0);
}

void
loop_timer_every(struct loop_timer *t, uint64_t ms)
{
	ms = ms ? ms : 1; /* libuv reads 0 as "do not repeat" */
	loop_timer_start(t, ms, ms);
}

void
loop_timer_stop(struct loop_timer *t)
{
	uv_timer_stop(&t->uv);
}

bool
loop_timer_armed(const struct loop_timer *t)
{
	return uv_is_active((const uv_handle_t *)&t->uv) != 0;
}

static void
loop_timer_closed_cb(uv_handle_t *handle)
{
	mem_free(handle->data);
}

void
loop_timer_free(struct loop_timer *t)
{
	if (t != NULL)
		uv_close((uv_handle_t *)&t->uv, loop_timer_closed_cb);
}

uint64_t
loop_backoff(uint64_t ms, unsigned tries, uint64_t most)
{
	uint32_t random;

	ms <<= tries < 8 ? tries : 8;
	if (ms > most)
		ms = most;
	crypt_random(&random, sizeof random);
	return ms / 2 + random % (ms / 2 + 1);
}

void
loop_defer(struct loop *l, loop_cb *cb, void *arg)
{
	struct loop_calls *d = &l->deferred;

	if (d->n == d->cap) {
		d->cap = d->cap ? 2 * d->cap : 16;
		d->v = mem_realloc(d->v, d->cap * sizeof *d->v);
	}
	d->v[d->n++] = (struct loop_call){ cb, arg };
	uv_idle_start(&l->idle, loop_idle_cb);
}

struct loop_hook *
loop_before_sleep(struct loop *l, loop_cb *cb, void *arg)
{
	struct loop_hook *h;

	MEM_NEW(h);
	h->loop = l;
	h->call = (struct loop_call){ cb, arg };
	TAILQ_INSERT_TAIL(&l->hooks, h, link);
	return h;
}

void
loop_hook_free(struct loop_hook *h)
{
	if (h == NULL)
		return;
	if (h->loop->next_hook == h)
		h->loop->next_hook = TAILQ_NEXT(h, link);
	TAILQ_REMOVE(&h->loop->hooks, h, link);
	mem_free(h);
}

static void
loop_work_cb(uv_work_t *uv)
{
	struct loop_job *job = uv->data;

	job->work(job->arg);
}

static void
loop_work_done_cb(uv_work_t *uv, int status)
{
	struct loop_job job = *(struct loop_job *)uv->data;

	(void)status; /* only ever says "cancelled", which we never do */
	mem_free(uv->data);
	job.done(job.arg);
}

void
loop_pool(struct loop *l, loop_cb *work, loop_cb *done, void *arg)
{
	struct loop_job *job;

	MEM_NEW(job);
	*job = (struct loop_job){ .work = work, .done = done, .arg = arg };
	job->uv.data = job;
	loop_must(uv_queue_work(&l->uv, &job->uv, loop_work_cb, loop_work_done_cb),
	    "uv_queue_work");
}

struct loop_poll *
loop_poll_new(struct loop *l, int fd, loop_poll_cb *cb, void *arg)
{
	struct loop_poll *p;

	MEM_NEW(p);
	p->cb = cb;
	p->arg = arg;
	p->uv.data = p;
	loop_must(uv_poll_init(&l->uv, &p->uv, fd), "uv_poll_init");
	return p;
}

static void
loop_poll_event_cb(uv_poll_t *uv, int status, int events)
{
	struct loop_poll *p = uv->data;

	p->cb(p->arg, status != 0 || (events & UV_READABLE) != 0,
	    status != 0 || (events & UV_WRITABLE) != 0);
}

void
loop_poll_want(struct loop_poll *p, bool readable, bool writable)
{
	int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);

	loop_must(events == 0 ? uv_poll_stop(&p->uv) :
	    uv_poll_start(&p->uv, events, loop_poll_event_cb), "uv_poll_start");
}

static void
loop_poll_closed_cb(uv_handle_t *handle)
{
	mem_free(handle->data);
}

void
loop_poll_free(struct loop_poll *p)
{
	if (p != NULL)
		uv_close((uv_handle_t *)&p->uv, loop_poll_closed_cb);
}

static void
loop_signal_cb(uv_signal_t *signal, int signum)
{
	struct loop_signal *s = signal->data;

	(void)signum;
	s->call.cb(s->call.arg);
}

void
loop_signal(struct loop *l, int signum, loop_cb *cb, void *arg)
{
	struct loop_signal *s;

	MEM_NEW(s);
	s->call = (struct loop_call){ cb, arg };
	s->uv.data = s;
	loop_must(uv_signal_init(&l->uv, &s->uv), "uv_signal_init");
	loop_must(uv_signal_start(&s->uv, loop_signal_cb, signum), "uv_signal_start");
	uv_unref((uv_handle_t *)&s->uv);
	SLIST_INSERT_HEAD(&l->signals, s, link);
}
