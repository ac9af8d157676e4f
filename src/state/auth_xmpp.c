/* SPDX-License-Identifier: MIT */
/* auth_xmpp: the school's XMPP server knows the passwords. A program of its own
 * signs in there as the user (src/xmpp_check.c): libstrophe waits in select(),
 * which must never meet the daemon's descriptors. */
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/jid.h"
#include "base/mem.h"
#include "base/spawn.h"
#include "state/auth_backends.h"

#define AUTH_XMPP_AT_ONCE 4
#define AUTH_XMPP_MS 15000
#define AUTH_XMPP_PROGRAM "lectern-xmpp-check"

struct xmpp_ask {
	TAILQ_ENTRY(xmpp_ask) link;
	struct auth_xmpp *store;
	struct spawn *spawn;      /* once it runs */
	struct loop_timer *timer; /* of what is answered without it */
	enum err answer;
	struct buf input;
	auth_word_cb *cb;
	void *arg;
};

TAILQ_HEAD(xmpp_asks, xmpp_ask);

struct auth_xmpp {
	struct loop *loop;
	const struct conf *conf;
	char *program;
	struct buf domain; /* "@" and the canonical domain */
	struct xmpp_asks waiting, running, answered;
	size_t n_running;
};

/* ---- questions ---- */

static void
xmpp_wipe(struct xmpp_ask *q)
{
	if (q->input.data != NULL)
		mem_wipe(q->input.data, q->input.cap);
	buf_free(&q->input);
}

static void
xmpp_ask_free(struct xmpp_ask *q, struct xmpp_asks *list)
{
	TAILQ_REMOVE(list, q, link);
	loop_timer_free(q->timer);
	xmpp_wipe(q);
	mem_free(q);
}

static void xmpp_next(struct auth_xmpp *x);

/* What the program's exit means; see there. */
static enum err
xmpp_verdict(int status)
{
	return status == EX_OK ? ERR_OK : status == EX_NOPERM ? ERR_FORBIDDEN : ERR_IO;
}

static void
xmpp_exit_cb(void *arg, int status)
{
	struct xmpp_ask *q = arg;
	struct auth_xmpp *x = q->store;
	auth_word_cb *cb = q->cb;
	void *cb_arg = q->arg;

	x->n_running--;
	xmpp_ask_free(q, &x->running);
	xmpp_next(x);
	cb(cb_arg, xmpp_verdict(status));
}

static void
xmpp_next(struct auth_xmpp *x)
{
	const char *const argv[] = { x->program, NULL };
	struct xmpp_ask *q;

	while (x->n_running < AUTH_XMPP_AT_ONCE && (q = TAILQ_FIRST(&x->waiting)) != NULL) {
		TAILQ_REMOVE(&x->waiting, q, link);
		TAILQ_INSERT_TAIL(&x->running, q, link);
		x->n_running++;
		q->spawn = spawn_run(x->loop, argv, buf_view(&q->input), AUTH_XMPP_MS, xmpp_exit_cb, q);
		xmpp_wipe(q);
	}
}

static void
xmpp_answer_cb(void *arg)
{
	struct xmpp_ask *q = arg;
	auth_word_cb *cb = q->cb;
	void *cb_arg = q->arg;
	enum err e = q->answer;

	xmpp_ask_free(q, &q->store->answered);
	cb(cb_arg, e);
}

/* ERR_OK when the server is to be asked. Only about users of the one domain, so that
 * nobody chooses by a name where we connect to. */
static enum err
xmpp_is_ours(const struct auth_xmpp *x, struct str user, struct str password)
{
	if (user.n <= x->domain.len ||
	    memcmp(user.p + user.n - x->domain.len, x->domain.data, x->domain.len) != 0)
		return ERR_NOT_FOUND;
	return password.n == 0 || memchr(password.p, '\n', password.n) != NULL ? ERR_FORBIDDEN : ERR_OK;
}

static void
auth_xmpp_check(void *store, struct str user, struct str password, auth_word_cb *cb, void *arg)
{
	struct auth_xmpp *x = store;
	const struct conf *c = x->conf;
	struct xmpp_ask *q;

	MEM_NEW(q);
	q->store = x;
	q->cb = cb;
	q->arg = arg;
	q->answer = xmpp_is_ours(x, user, password);
	if (q->answer != ERR_OK) {
		TAILQ_INSERT_TAIL(&x->answered, q, link);
		q->timer = loop_timer_new(x->loop, xmpp_answer_cb, q);
		loop_timer_once(q->timer, 0);
		return;
	}
	/* room for all of it, so that no copy of the password is left behind */
	buf_room(&q->input, user.n + password.n + 8192);
	buf_printf(&q->input, "%.*s\n%.*s\n%s\n%ld\n%s\n", STR_ARG(user), STR_ARG(password),
	    c->auth_xmpp_host != NULL ? c->auth_xmpp_host : "", c->auth_xmpp_port,
	    c->auth_xmpp_ca != NULL ? c->auth_xmpp_ca : "");
	TAILQ_INSERT_TAIL(&x->waiting, q, link);
	xmpp_next(x);
}

/* ---- life ---- */

/* Beside the daemon while it is not installed. */
static char *
xmpp_program(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *beside, *slash;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash != NULL) {
		*slash = '\0';
		beside = mem_printf("%s/" AUTH_XMPP_PROGRAM, self);
		if (access(beside, X_OK) == 0)
			return beside;
		mem_free(beside);
	}
	return mem_strdup(LECTERN_LIBEXEC "/" AUTH_XMPP_PROGRAM);
}

static void auth_xmpp_close(void *store);

static void *
auth_xmpp_open(const struct auth_options *o, char **why)
{
	struct auth_xmpp *x;

	MEM_NEW(x);
	x->loop = o->loop;
	x->conf = o->conf;
	x->program = xmpp_program();
	TAILQ_INIT(&x->waiting);
	TAILQ_INIT(&x->running);
	TAILQ_INIT(&x->answered);
	if (access(x->program, X_OK) != 0) {
		*why = mem_printf("auth: \"xmpp\" needs the program %s, which is not there; is all of "
		    "lectern installed?", x->program);
	} else if (!auth_user(o->conf, STR_LIT("x"), &x->domain)) {
		*why = mem_printf("auth: domain = \"%s\" is no domain of JIDs", o->conf->auth_domain);
	} else {
		buf_shift(&x->domain, 1);
		return x;
	}
	auth_xmpp_close(x);
	return NULL;
}

static void
auth_xmpp_close(void *store)
{
	struct auth_xmpp *x = store;
	struct xmpp_asks *lists[] = { &x->waiting, &x->running, &x->answered };
	struct xmpp_ask *q;

	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		while ((q = TAILQ_FIRST(lists[i])) != NULL) {
			if (q->spawn != NULL)
				spawn_kill(q->spawn);
			xmpp_ask_free(q, lists[i]);
		}
	mem_free(x->program);
	buf_free(&x->domain);
	mem_free(x);
}

const struct auth_backend auth_xmpp = {
	.name = "xmpp",
	.open = auth_xmpp_open,
	.check = auth_xmpp_check,
	.close = auth_xmpp_close,
};
