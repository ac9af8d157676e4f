/* SPDX-License-Identifier: MIT */
/* auth_fault: see auth_fault.h. The real one is always asked, so that its questions
 * cross each other, too. */
#include "tests/contract/auth_fault.h"

#include <sys/queue.h>

#include "base/mem.h"

struct auth_fault auth_fault_now;

static const struct auth_backend *fault_real;
static struct auth_backend fault_backend;

/* An answer on its way, from the real one or to who asked. */
struct fault_answer {
	TAILQ_ENTRY(fault_answer) link;
	struct fault_store *store;
	struct loop_timer *timer;
	auth_hash_cb *hash_cb;
	auth_word_cb *word_cb;
	void *arg;
	enum err e;
	char *hash;
};

struct fault_store {
	struct loop *loop;
	void *real;
	TAILQ_HEAD(, fault_answer) answers;
};

static unsigned
fault_chance(unsigned n)
{
	auth_fault_now.seed = auth_fault_now.seed * 1103515245u + 12345u;
	return (auth_fault_now.seed >> 8) % n;
}

static bool
fault_strikes(unsigned of_100)
{
	return fault_chance(100) < of_100;
}

/* ---- answers ---- */

static void
fault_answer_drop(struct fault_answer *a)
{
	TAILQ_REMOVE(&a->store->answers, a, link);
	loop_timer_free(a->timer);
	mem_free(a->hash);
	mem_free(a);
}

/* Whoever is called may close us. */
static void
fault_tell_cb(void *arg)
{
	struct fault_answer *a = arg, was = *a;

	a->hash = NULL;
	fault_answer_drop(a);
	if (was.hash_cb != NULL)
		was.hash_cb(was.arg, was.e, was.hash);
	else
		was.word_cb(was.arg, was.e);
	mem_free(was.hash);
}

static struct fault_answer *
fault_answer_new(struct fault_store *s, auth_hash_cb *hash_cb, auth_word_cb *word_cb, void *arg)
{
	struct fault_answer *a;

	MEM_NEW(a);
	a->store = s;
	a->hash_cb = hash_cb;
	a->word_cb = word_cb;
	a->arg = arg;
	a->timer = loop_timer_new(s->loop, fault_tell_cb, a);
	TAILQ_INSERT_TAIL(&s->answers, a, link);
	return a;
}

static void
fault_send(struct fault_answer *a, enum err e, const char *hash)
{
	a->e = e;
	a->hash = hash != NULL ? mem_strdup(hash) : NULL;
	loop_timer_once(a->timer, fault_chance(auth_fault_now.late_ms + 1));
}

static void
fault_answer(struct fault_answer *a, enum err e, const char *hash)
{
	if (fault_strikes(auth_fault_now.cut)) {
		auth_fault_now.n_cut++;
		fault_answer_drop(a);
		return;
	}
	if (fault_strikes(auth_fault_now.fail)) {
		e = ERR_IO;
		hash = NULL;
	}
	if (fault_strikes(auth_fault_now.twice))
		fault_send(fault_answer_new(a->store, a->hash_cb, a->word_cb, a->arg), e, hash);
	fault_send(a, e, hash);
}

static void
fault_found_cb(void *arg, enum err e, const char *hash)
{
	fault_answer(arg, e, hash);
}

static void
fault_word_is_cb(void *arg, enum err e)
{
	fault_answer(arg, e, NULL);
}

/* ---- the backend ---- */

static void *
fault_open(const struct auth_options *o, char **why)
{
	void *real = fault_real->open(o, why);
	struct fault_store *s;

	if (real == NULL)
		return NULL;
	MEM_NEW(s);
	s->loop = o->loop;
	s->real = real;
	TAILQ_INIT(&s->answers);
	return s;
}

static void
fault_find(void *store, struct str user, auth_hash_cb *cb, void *arg)
{
	struct fault_store *s = store;

	fault_real->find(s->real, user, fault_found_cb, fault_answer_new(s, cb, NULL, arg));
}

static void
fault_check(void *store, struct str user, struct str password, auth_word_cb *cb, void *arg)
{
	struct fault_store *s = store;

	fault_real->check(s->real, user, password, fault_word_is_cb, fault_answer_new(s, NULL, cb, arg));
}

static void
fault_close(void *store)
{
	struct fault_store *s = store;

	fault_real->close(s->real);
	while (!TAILQ_EMPTY(&s->answers))
		fault_answer_drop(TAILQ_FIRST(&s->answers));
	mem_free(s);
}

const struct auth_backend *
auth_fault_before(const struct auth_backend *real)
{
	fault_real = real;
	fault_backend = (struct auth_backend){
		.name = real->name,
		.open = fault_open,
		.find = real->find != NULL ? fault_find : NULL,
		.check = real->check != NULL ? fault_check : NULL,
		.close = fault_close,
	};
	return &fault_backend;
}
