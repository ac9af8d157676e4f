/* SPDX-License-Identifier: MIT */
/* What kvs_redis.c (connection, mark, reading and writing) and kvs_redis_scan.c share. */
#ifndef LECTERN_STATE_KVS_REDIS_PRIV_H
#define LECTERN_STATE_KVS_REDIS_PRIV_H

#include <sys/queue.h>

#include "state/kvs.h"
#include "state/redis_link.h"

#define KVS_REDIS_MARK "lectern:store" /* a number that nobody else has, ":", that of a flush */
#define KVS_REDIS_MARK_BYTES 16

enum kvs_ask_kind { KVS_ASK_GET, KVS_ASK_SCAN, KVS_ASK_FLUSH };

/* What somebody waits for. */
struct kvs_ask {
	TAILQ_ENTRY(kvs_ask) link;
	struct kvs_redis *store;
	enum kvs_ask_kind kind;
	kvs_get_cb *get;
	kvs_scan_cb *scan;
	kvs_done_cb *done;
	void *arg;
	struct buf pattern;  /* of a scan */
	struct str *keys;    /* found by it; owned */
	size_t n, cap;
	size_t at, asked;    /* values that came, and that were asked for */
	uint64_t number;     /* of a flush's mark */
	bool wrong;          /* one that did not come; a flush's mark that is not ours */
};
TAILQ_HEAD(kvs_asks, kvs_ask);

struct kvs_redis {
	struct loop *loop;
	struct redis_link *link;
	char *prefix;
	char ttl[24];            /* "": values stay */
	loop_cb *lost;
	void *lost_arg;
	struct kvs_asks asked;   /* Redis will answer */
	struct kvs_asks failing; /* it will not: they are told so in the next turn */
	struct loop_timer *fail;
	struct buf key;          /* scratch */
	char mark[2 * KVS_REDIS_MARK_BYTES + 1];
	uint64_t flushes;        /* marks that were sent */
	uint64_t kept;           /* the last of them that Redis had; 0: none */
	bool wrote;              /* since the last flush */
	bool failed;             /* a write that the next answer to a flush is about */
	bool dropped;            /* one that the next flush is about */
	char *trouble;
	unsigned busy;           /* callbacks under way in a loop of ours */
	bool closed, read_only;
};

/* Where the key is in Redis; valid until the next call. */
struct str kvs_redis_key(struct kvs_redis *s, struct str key);
/* Notes what an answer says is wrong; true when there is something. */
bool kvs_redis_wrong(struct kvs_redis *s, const struct redis_reply *r);
/* The key holds no state, whatever it is. */
bool kvs_redis_is_other(const struct redis_reply *r);
/* The end of what began with busy++. */
void kvs_redis_leave(struct kvs_redis *s);

struct kvs_ask *kvs_ask_new(struct kvs_redis *s, enum kvs_ask_kind kind, void *arg);
/* Tells so in the next turn. */
void kvs_ask_fail(struct kvs_ask *a);
/* The last thing done with it: the callback may close the store. */
void kvs_ask_end(struct kvs_ask *a, enum err e, bool found, struct str value);

void kvs_redis_scan(void *store, struct str prefix, kvs_scan_cb *cb, void *arg);

#endif
