/* SPDX-License-Identifier: MIT */
/* login: see login.h. */
#include "web/login.h"

#include "base/map.h"
#include "base/mem.h"

#define LOGIN_SWEEP_MS 5000
#define LOGIN_RANDOM 32

struct login {
	struct logins *all;
	TAILQ_ENTRY(login) link; /* the oldest first */
	uint8_t hash[CRYPT_SHA256];
	char *user;
	struct auth_proof proof;
	uint64_t begun_ms, used_ms;
	uint64_t asked_ms; /* when it may ask LOGIN_ASKS at once again */
	TAILQ_ENTRY(login) in_check;
	bool unchecked; /* it is in that list */
	size_t n_guests;
	TAILQ_HEAD(, login_guest) guests;
};

struct logins {
	struct loop *loop;
	struct map *by_hash;
	TAILQ_HEAD(, login) list;
	TAILQ_HEAD(, login) unchecked; /* logins_check has not come to them yet */
	uint64_t session_ms, idle_ms;
	struct loop_timer *sweep, *again;
	struct auth *auth;       /* that is being asked by logins_check */
	struct login *checked;   /* about whom; NULL: he is gone */
	struct auth_ask *ask;
};

static struct str
login_key(const struct login *x)
{
	return (struct str){ (const char *)x->hash, sizeof x->hash };
}

const char *
login_cookie(bool https)
{
	return https ? "__Host-lectern_session" : "lectern_session";
}

/* ---- ends ---- */

void
login_end(struct login *x)
{
	struct logins *ls = x->all;
	struct login_guest *g;

	map_remove(ls->by_hash, login_key(x));
	TAILQ_REMOVE(&ls->list, x, link);
	if (x->unchecked)
		TAILQ_REMOVE(&ls->unchecked, x, in_check);
	if (ls->checked == x)
		ls->checked = NULL;
	while ((g = TAILQ_FIRST(&x->guests)) != NULL) {
		login_leave(g);
		g->ended(g->arg);
	}
	mem_free(x->user);
	mem_free(x);
}

static bool
login_is_over(const struct login *x, uint64_t now)
{
	return now - x->begun_ms >= x->all->session_ms ||
	    (x->n_guests == 0 && now - x->used_ms >= x->all->idle_ms);
}

static void
logins_sweep_cb(void *arg)
{
	struct logins *ls = arg;
	uint64_t now = loop_now_ms(ls->loop);
	struct login *x, *next;

	for (x = TAILQ_FIRST(&ls->list); x != NULL; x = next) {
		next = TAILQ_NEXT(x, link);
		if (login_is_over(x, now))
			login_end(x);
	}
	if (TAILQ_EMPTY(&ls->list))
		loop_timer_stop(ls->sweep);
}

/* ---- life ---- */

static void logins_again_cb(void *arg);

void
logins_reconf(struct logins *ls, const struct conf *c)
{
	ls->session_ms = (uint64_t)c->auth_session * 1000;
	ls->idle_ms = (uint64_t)c->auth_idle * 1000;
}

struct logins *
logins_new(struct loop *l, const struct conf *c)
{
	struct logins *ls;

	MEM_NEW(ls);
	ls->loop = l;
	ls->by_hash = map_new();
	TAILQ_INIT(&ls->list);
	TAILQ_INIT(&ls->unchecked);
	ls->sweep = loop_timer_new(l, logins_sweep_cb, ls);
	ls->again = loop_timer_new(l, logins_again_cb, ls);
	logins_reconf(ls, c);
	return ls;
}

void
logins_free(struct logins *ls)
{
	if (ls == NULL)
		return;
	if (ls->ask != NULL)
		auth_drop(ls->ask);
	while (!TAILQ_EMPTY(&ls->list))
		login_end(TAILQ_FIRST(&ls->list));
	map_free(ls->by_hash, NULL);
	loop_timer_free(ls->sweep);
	loop_timer_free(ls->again);
	mem_free(ls);
}

size_t
logins_count(const struct logins *ls)
{
	return map_size(ls->by_hash);
}

/* Makes room for one more session of this user. */
static void
logins_room(struct logins *ls, struct str user)
{
	struct login *x, *oldest = NULL;
	size_t n = 0;

	TAILQ_FOREACH(x, &ls->list, link) {
		if (!str_is(user, x->user))
			continue;
		if (n++ == 0)
			oldest = x;
	}
	if (n >= LOGINS_PER_USER)
		login_end(oldest);
}

static void
login_hash(struct str token, uint8_t out[CRYPT_SHA256])
{
	crypt_sha256(&token, 1, out);
}

struct login *
login_begin(struct logins *ls, struct str user, const struct auth_proof *proof,
    char token[LOGIN_TOKEN_LEN + 1])
{
	struct buf text = BUF_INIT(0);
	uint8_t raw[LOGIN_RANDOM];
	struct login *x;

	logins_room(ls, user);
	if (logins_count(ls) >= LOGINS_MAX)
		return NULL;
	MEM_NEW(x);
	x->all = ls;
	x->user = mem_str(user);
	x->proof = *proof;
	x->begun_ms = x->used_ms = loop_now_ms(ls->loop);
	TAILQ_INIT(&x->guests);
	crypt_random(raw, sizeof raw);
	crypt_base64url(&text, raw, sizeof raw);
	memcpy(token, text.data, LOGIN_TOKEN_LEN);
	token[LOGIN_TOKEN_LEN] = '\0';
	mem_wipe(raw, sizeof raw);
	mem_wipe(text.data, text.len);
	buf_free(&text);
	login_hash(str_of(token), x->hash);
	map_put(ls->by_hash, login_key(x), x);
	TAILQ_INSERT_TAIL(&ls->list, x, link);
	if (!loop_timer_armed(ls->sweep))
		loop_timer_every(ls->sweep, LOGIN_SWEEP_MS);
	return x;
}

struct login *
login_find(struct logins *ls, struct str token)
{
	uint8_t hash[CRYPT_SHA256];
	struct login *x;
	uint64_t now = loop_now_ms(ls->loop);

	if (token.n != LOGIN_TOKEN_LEN)
		return NULL;
	login_hash(token, hash);
	x = map_get(ls->by_hash, (struct str){ (const char *)hash, sizeof hash });
	if (x != NULL && login_is_over(x, now)) {
		login_end(x);
		return NULL;
	}
	if (x != NULL)
		x->used_ms = now;
	return x;
}

const char *
login_user(const struct login *x)
{
	return x->user;
}

bool
login_may_ask(struct login *x, size_t many)
{
	uint64_t now = loop_now_ms(x->all->loop), from = x->asked_ms > now ? x->asked_ms : now;

	if (many > LOGIN_ASKS)
		many = LOGIN_ASKS;
	if (from + many * LOGIN_ASK_MS > now + LOGIN_ASKS * LOGIN_ASK_MS)
		return false;
	x->asked_ms = from + many * LOGIN_ASK_MS;
	return true;
}

long
login_left(const struct login *x)
{
	uint64_t gone = loop_now_ms(x->all->loop) - x->begun_ms;

	return gone < x->all->session_ms ? (long)((x->all->session_ms - gone) / 1000) : 0;
}

/* ---- guests ---- */

void
login_join(struct login *x, struct login_guest *g)
{
	g->login = x;
	x->n_guests++;
	TAILQ_INSERT_TAIL(&x->guests, g, link);
}

void
login_leave(struct login_guest *g)
{
	struct login *x = g->login;

	if (x == NULL)
		return;
	TAILQ_REMOVE(&x->guests, g, link);
	x->n_guests--;
	x->used_ms = loop_now_ms(x->all->loop);
	g->login = NULL;
}

size_t
login_guests(const struct login *x)
{
	return x->n_guests;
}

/* ---- whether passwords are still the same ---- */

static void logins_check_next(struct logins *ls);

/* Who cannot be asked about now stays: the answer was yes before. */
static void
logins_checked_cb(void *arg, enum auth_verdict v, const struct auth_proof *proof)
{
	struct logins *ls = arg;
	struct login *x = ls->checked;

	(void)proof;
	ls->ask = NULL;
	ls->checked = NULL;
	if (x != NULL && v == AUTH_NO)
		login_end(x);
	logins_check_next(ls);
}

static void
logins_check_next(struct logins *ls)
{
	struct login *x = TAILQ_FIRST(&ls->unchecked);

	if (x == NULL) {
		loop_timer_once(ls->again, LOGINS_CHECK_MS);
		return;
	}
	TAILQ_REMOVE(&ls->unchecked, x, in_check);
	x->unchecked = false;
	ls->checked = x;
	ls->ask = auth_still(ls->auth, str_of(x->user), &x->proof, logins_checked_cb, ls);
}

void
logins_check(struct logins *ls, struct auth *a)
{
	struct login *x;

	if (ls->ask != NULL)
		auth_drop(ls->ask);
	ls->ask = NULL;
	ls->checked = NULL;
	ls->auth = a;
	loop_timer_stop(ls->again);
	while (a == NULL && !TAILQ_EMPTY(&ls->list))
		login_end(TAILQ_FIRST(&ls->list));
	TAILQ_FOREACH(x, &ls->list, link) {
		if (!x->unchecked)
			TAILQ_INSERT_TAIL(&ls->unchecked, x, in_check);
		x->unchecked = true;
	}
	if (a != NULL)
		logins_check_next(ls);
}

static void
logins_again_cb(void *arg)
{
	struct logins *ls = arg;

	logins_check(ls, ls->auth);
}
