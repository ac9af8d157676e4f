/* SPDX-License-Identifier: MIT */
/* redis_link: see redis_link.h. hiredis reads replies and nothing else: the socket
 * is ours (base/conn), and so are what it lacks: limits on declared lengths, a
 * check that a string ends where it said, and time limits. */
#include "state/redis_link.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <sys/queue.h>

#include "base/conn.h"
#include "base/mem.h"

#define REDIS_RETRY_MS 250
#define REDIS_RETRY_MOST_MS 10000

/* A command whose reply is due. */
struct redis_due {
	STAILQ_ENTRY(redis_due) next;
	redis_reply_cb *cb; /* may be NULL */
	void *arg;
};
STAILQ_HEAD(redis_dues, redis_due);

enum redis_state { REDIS_DOWN, REDIS_CONNECTING, REDIS_SIGNING_IN, REDIS_UP };

struct redis_link {
	struct loop *loop;
	const struct redis_link_ops *ops;
	void *arg;
	char *host, *user, *password;
	int port;
	long database;
	bool insecure_ok, subscriber;
	uint64_t timeout_ms;

	enum redis_state state;
	struct conn *conn;       /* NULL while down */
	redisReader *reader;     /* of this connection */
	size_t reply_bytes;      /* of the reply that is coming in */
	struct buf out;          /* to be sent */
	bool sending;            /* conn has bytes that are not written yet */
	struct redis_dues dues;
	bool due;                /* an answer is due since `heard` */
	uint64_t heard;          /* when bytes came last, or the first due answer was asked for */
	char *why;               /* the sign-in failed */
	struct loop_timer *timer; /* next attempt while down, else silence */
	struct loop_hook *hook;
	unsigned tries;
	unsigned busy;           /* callbacks under way */
	bool dead;               /* freed inside one of them */
};

/* ---- replies ---- */

static void
redis_reply_free(void *reply)
{
	struct redis_reply *r = reply;

	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++)
		redis_reply_free(r->items[i]);
	mem_free(r->items);
	mem_free(r);
}

/* Puts the new reply into its array, if it is part of one. */
static struct redis_reply *
redis_reply_new(const redisReadTask *task, enum redis_type type, size_t room)
{
	struct redis_reply *r = mem_zalloc(sizeof *r + room), *array;

	r->type = type;
	if (task->parent != NULL) {
		array = task->parent->obj;
		array->items[task->idx] = r;
		array->n = (size_t)task->idx + 1;
	}
	return r;
}

/* hiredis believes a declared length: where the line does not end there, nothing
 * that follows can be believed, and NULL makes it an error. */
static void *
redis_make_string(const redisReadTask *task, char *p, size_t n)
{
	struct redis_reply *r;
	char *text;

	if (p[n] != '\r' || p[n + 1] != '\n')
		return NULL;
	r = redis_reply_new(task, task->type == REDIS_REPLY_ERROR ? REDIS_ERROR : REDIS_TEXT, n + 1);
	text = (char *)(r + 1);
	memcpy(text, p, n);
	r->text = (struct str){ text, n };
	return r;
}

static void *
redis_make_array(const redisReadTask *task, int n)
{
	struct redis_reply *r;

	if (n < 0 || n > REDIS_ELEMENTS_MAX)
		return NULL;
	r = redis_reply_new(task, REDIS_ARRAY, 0);
	r->items = mem_zalloc((size_t)n * sizeof *r->items + 1);
	return r;
}

static void *
redis_make_integer(const redisReadTask *task, long long n)
{
	struct redis_reply *r = redis_reply_new(task, REDIS_INTEGER, 0);

	r->integer = n;
	return r;
}

static void *
redis_make_nil(const redisReadTask *task)
{
	return redis_reply_new(task, REDIS_NONE, 0);
}

static redisReplyObjectFunctions redis_makers = {
	redis_make_string, redis_make_array, redis_make_integer, redis_make_nil, redis_reply_free,
};

/* ---- trouble in words ---- */

static const struct {
	const char *code, *text;
} redis_troubles[] = {
	{ "LOADING", "Redis is still loading its data" },
	{ "OOM", "Redis is out of memory: raise its maxmemory, or let it evict less else" },
	{ "READONLY", "Redis is a read-only replica: redis.address has to name the primary" },
	{ "MISCONF", "Redis takes no writes because it cannot save to its disk" },
	{ "NOAUTH", "Redis wants a password: set redis.password_file" },
	{ "WRONGPASS", "Redis refuses user or password: check redis.user and redis.password_file" },
	{ "NOPERM", "Redis does not let this user do what is needed: check its ACL" },
	{ "MOVED", "Redis is part of a cluster, which Lectern cannot use" },
	{ "CLUSTERDOWN", "Redis is part of a cluster, which Lectern cannot use" },
	{ "BUSY", "Redis is busy with a script that does not end" },
	{ "MASTERDOWN", "Redis is a replica that lost its primary" },
	{ "NOREPLICAS", "Redis takes no writes because it has too few replicas" },
	{ "DENIED", "Redis is in protected mode: give it a password or bind it to this machine" },
};

void
redis_trouble(struct str error, struct buf *out)
{
	const char *space = memchr(error.p, ' ', error.n);
	struct str code = { error.p, space != NULL ? (size_t)(space - error.p) : error.n };

	for (size_t i = 0; i < sizeof redis_troubles / sizeof *redis_troubles; i++)
		if (str_is(code, redis_troubles[i].code)) {
			buf_printf(out, "%s (%s)", redis_troubles[i].text, redis_troubles[i].code);
			return;
		}
	buf_printf(out, "Redis says: ");
	for (size_t i = 0; i < error.n && i < 200; i++)
		buf_byte(out, (unsigned char)error.p[i] < ' ' ? '?' : error.p[i]);
}

/* ---- callbacks that may free the link ---- */

static void
redis_destroy(struct redis_link *k)
{
	conn_free(k->conn);
	if (k->reader != NULL)
		redisReaderFree(k->reader);
	loop_timer_free(k->timer);
	loop_hook_free(k->hook);
	buf_free(&k->out);
	mem_free(k->host);
	mem_free(k->user);
	if (k->password != NULL)
		mem_wipe(k->password, strlen(k->password));
	mem_free(k->password);
	mem_free(k->why);
	mem_free(k);
}

/* The end of what began with busy++. */
static void
redis_leave(struct redis_link *k)
{
	if (--k->busy == 0 && k->dead)
		redis_destroy(k);
}

static void
redis_answer(struct redis_link *k, const struct redis_reply *r)
{
	struct redis_due *d = STAILQ_FIRST(&k->dues);

	STAILQ_REMOVE_HEAD(&k->dues, next);
	if (d->cb != NULL && !k->dead)
		d->cb(d->arg, r);
	mem_free(d);
}

/* ---- down ---- */

static void
redis_lost(struct redis_link *k, const char *why)
{
	char *kept = mem_strdup(why);

	conn_free(k->conn);
	k->conn = NULL;
	k->state = REDIS_DOWN;
	k->sending = k->due = false;
	buf_free(&k->out);
	loop_timer_once(k->timer, loop_backoff(REDIS_RETRY_MS, k->tries++, REDIS_RETRY_MOST_MS));
	k->busy++;
	while (!STAILQ_EMPTY(&k->dues))
		redis_answer(k, NULL);
	if (!k->dead)
		k->ops->down(k->arg, kept);
	redis_leave(k);
	mem_free(kept);
}

static void
redis_lost_cb(void *arg, bool was_open, const char *why)
{
	struct redis_link *k = arg;
	char *text = k->why != NULL ? mem_strdup(k->why) : mem_printf("%s: %s", was_open ?
	    "the connection to Redis was lost" : "Redis cannot be reached", why);

	redis_lost(k, text);
	mem_free(text);
}

/* ---- commands ---- */

static void
redis_write(struct redis_link *k, const struct str *words, size_t n)
{
	buf_printf(&k->out, "*%zu\r\n", n);
	for (size_t i = 0; i < n; i++) {
		buf_printf(&k->out, "$%zu\r\n", words[i].n);
		buf_str(&k->out, words[i]);
		buf_str(&k->out, STR_LIT("\r\n"));
	}
}

static void
redis_expect(struct redis_link *k, redis_reply_cb *cb, void *arg)
{
	struct redis_due *d;

	MEM_NEW(d);
	d->cb = cb;
	d->arg = arg;
	STAILQ_INSERT_TAIL(&k->dues, d, next);
}

static void
redis_ask(struct redis_link *k, const struct str *words, size_t n)
{
	redis_write(k, words, n);
	if (!k->due)
		k->heard = loop_now_ms(k->loop);
	k->due = true;
}

bool
redis_command(struct redis_link *k, const struct str *words, size_t n, redis_reply_cb *cb, void *arg)
{
	if (k->state != REDIS_UP)
		return false;
	redis_ask(k, words, n);
	if (!k->subscriber)
		redis_expect(k, cb, arg);
	return true;
}

/* What a turn gathered goes out at its end; conn takes one piece at a time. */
static void
redis_hook_cb(void *arg)
{
	struct redis_link *k = arg;

	if (k->out.failed) {
		redis_lost(k, "more waits for Redis than memory should hold");
	} else if (k->state >= REDIS_SIGNING_IN && !k->sending && k->out.len > 0) {
		k->sending = true;
		conn_send(k->conn, &k->out);
	}
}

static void
redis_written_cb(void *arg)
{
	struct redis_link *k = arg;

	k->sending = false;
}

/* ---- signing in ---- */

static void
redis_signed_cb(void *arg, const struct redis_reply *r)
{
	struct redis_link *k = arg;
	struct buf why = BUF_INIT(0);

	if (r == NULL || r->type != REDIS_ERROR || k->why != NULL)
		return;
	redis_trouble(r->text, &why);
	k->why = buf_take(&why);
}

/* The last answer of the sign-in. A user who may not PING is signed in, too. */
static void
redis_ready_cb(void *arg, const struct redis_reply *r)
{
	struct redis_link *k = arg;

	if (r == NULL)
		return;
	if (!str_starts(r->text, "NOPERM"))
		redis_signed_cb(arg, r);
	if (k->why != NULL)
		return; /* redis_replies gives up */
	k->state = REDIS_UP;
	k->tries = 0;
	k->ops->up(k->arg);
}

static void
redis_sign_in(struct redis_link *k)
{
	struct str user = str_of(k->user), password = str_of(k->password);
	char number[24];

	k->state = REDIS_SIGNING_IN;
	if (k->password != NULL) {
		redis_ask(k, (struct str[]){ STR_LIT("AUTH"), k->user != NULL ? user : password,
		    password }, k->user != NULL ? 3 : 2);
		redis_expect(k, redis_signed_cb, k);
	}
	if (k->database != 0) {
		snprintf(number, sizeof number, "%ld", k->database);
		redis_ask(k, (struct str[]){ STR_LIT("SELECT"), str_of(number) }, 2);
		redis_expect(k, redis_signed_cb, k);
	}
	redis_ask(k, (struct str[]){ STR_LIT("PING") }, 1);
	redis_expect(k, redis_ready_cb, k);
}

static void
redis_open_cb(void *arg)
{
	struct redis_link *k = arg;

	loop_timer_every(k->timer, k->timeout_ms / 2);
	redis_sign_in(k);
}

/* ---- reading ---- */

static bool
redis_is_pong(const struct redis_reply *r)
{
	return r->type == REDIS_ARRAY && r->n > 0 && str_is(r->items[0]->text, "pong");
}

static void
redis_take(struct redis_link *k, const struct redis_reply *r)
{
	if (!STAILQ_EMPTY(&k->dues))
		redis_answer(k, r);
	else if (!k->subscriber)
		k->why = mem_strdup("Redis sent an answer that nobody asked for");
	else if (!redis_is_pong(r) && !str_is(r->text, "PONG"))
		k->ops->push(k->arg, r);
	if (k->dead)
		return;
	k->due = !STAILQ_EMPTY(&k->dues);
}

/* Gives all replies that are there. What is wrong, or NULL. */
static const char *
redis_replies(struct redis_link *k)
{
	void *reply = NULL;
	int rc = redisReaderGetReply(k->reader, &reply);

	while (rc == REDIS_OK && reply != NULL) {
		k->reply_bytes = k->reader->len - k->reader->pos;
		redis_take(k, reply);
		redis_reply_free(reply);
		if (k->dead || k->why != NULL)
			return k->why;
		reply = NULL;
		rc = redisReaderGetReply(k->reader, &reply);
	}
	redis_reply_free(reply);
	if (rc != REDIS_OK)
		return "Redis answers in a way that is not its protocol, or declares more than is "
		    "sensible";
	return k->reply_bytes > REDIS_REPLY_MAX ? "Redis sends an answer that does not end" : NULL;
}

static void
redis_bytes_cb(void *arg, struct str bytes)
{
	struct redis_link *k = arg;
	const char *why = "out of memory";

	k->heard = loop_now_ms(k->loop);
	k->reply_bytes += bytes.n;
	k->busy++;
	if (redisReaderFeed(k->reader, bytes.p, bytes.n) == REDIS_OK)
		why = redis_replies(k);
	if (!k->dead && why != NULL)
		redis_lost(k, why);
	redis_leave(k);
}

/* ---- time ---- */

static const struct conn_ops redis_conn_ops = {
	redis_open_cb, redis_bytes_cb, redis_written_cb, redis_lost_cb,
};

static void
redis_connect(struct redis_link *k)
{
	mem_free(k->why);
	k->why = NULL;
	if (k->reader != NULL)
		redisReaderFree(k->reader);
	k->reader = redisReaderCreateWithFunctions(&redis_makers);
	k->reply_bytes = 0;
	k->state = REDIS_CONNECTING;
	loop_timer_once(k->timer, k->timeout_ms);
	k->conn = conn_new(k->loop, k->host, k->port, !k->insecure_ok, &redis_conn_ops, k);
}

/* While nothing is due a PING is: a Redis that stopped is noticed by it. */
static void
redis_silence(struct redis_link *k)
{
	if (k->due && loop_now_ms(k->loop) - k->heard >= k->timeout_ms) {
		redis_lost(k, "Redis does not answer");
	} else if (!k->due && k->state == REDIS_UP) {
		redis_ask(k, (struct str[]){ STR_LIT("PING") }, 1);
		if (!k->subscriber)
			redis_expect(k, NULL, NULL);
	}
}

static void
redis_timer_cb(void *arg)
{
	struct redis_link *k = arg;

	if (k->state == REDIS_DOWN)
		redis_connect(k);
	else if (k->state == REDIS_CONNECTING)
		redis_lost(k, "Redis cannot be reached: it does not answer");
	else
		redis_silence(k);
}

/* ---- the link ---- */

struct redis_link *
redis_link_new(struct loop *l, const struct redis_options *o, const struct redis_link_ops *ops,
    void *arg, char **why)
{
	struct redis_link *k;

	MEM_NEW(k);
	k->loop = l;
	k->ops = ops;
	k->arg = arg;
	k->database = o->database;
	k->insecure_ok = o->insecure_ok;
	k->subscriber = o->subscriber;
	k->timeout_ms = (uint64_t)o->timeout_s * 1000;
	STAILQ_INIT(&k->dues);
	k->timer = loop_timer_new(l, redis_timer_cb, k);
	if (!conn_address(o->address, REDIS_PORT, &k->host, &k->port)) {
		*why = mem_printf("redis.address \"%s\": expected host:port or unix:/path", o->address);
		redis_destroy(k);
		return NULL;
	}
	k->user = mem_strdup(o->user);
	k->password = mem_strdup(o->password);
	k->hook = loop_before_sleep(l, redis_hook_cb, k);
	redis_connect(k);
	return k;
}

void
redis_link_free(struct redis_link *k)
{
	if (k == NULL)
		return;
	k->dead = true;
	while (!STAILQ_EMPTY(&k->dues))
		redis_answer(k, NULL);
	if (k->state == REDIS_UP && !k->sending && k->out.len > 0 && !k->out.failed)
		conn_send(k->conn, &k->out); /* as much as the socket takes at once */
	k->busy++;
	redis_leave(k);
}

bool
redis_link_up(const struct redis_link *k)
{
	return k->state == REDIS_UP;
}

size_t
redis_link_waiting(const struct redis_link *k)
{
	return k->out.len;
}
