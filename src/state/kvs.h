/* SPDX-License-Identifier: MIT */
/* kvs: where values live outside the engine: keys and values are bytes. Backends
 * are const descriptors in one table (kvs.c); they never block and answer through
 * the loop, never inside the call.
 *
 * Writing is behind: put and remove say nothing, the flush after them says whether
 * all of them are in. One that is not leaves the store with some of them or none:
 * whoever wrote writes again. Nothing is kept back for a store that is away. */
#ifndef LECTERN_STATE_KVS_H
#define LECTERN_STATE_KVS_H

#include "base/buf.h"
#include "base/loop.h"

struct kvs; /* an open store */

#define KVS_PERSISTENT 1u /* survives a restart by itself */
#define KVS_SNAPSHOT 2u   /* a scan gives the store as it was when asked; else what is
                           * changed until the answer may be seen or not */
#define KVS_FILE 4u       /* needs kvs_options.file */
#define KVS_REDIS 8u      /* needs kvs_options.redis */
#define KVS_KEEPS 16u     /* lives outside of this process's memory */

#define KVS_NOT_YET "not connected yet"
#define KVS_VALUE_MAX ((size_t)60 << 20) /* bytes of one value, in every store */

struct redis_options;

struct kvs_options {
	struct loop *loop;
	const char *file;  /* memory: load from and save to this file; NULL: volatile */
	bool read_only;    /* disk: nothing is written, and the file must be there */
	const struct redis_options *redis;
	const char *prefix; /* stands before every key in Redis; may be NULL */
	long ttl;           /* redis_ephemeral: seconds that a value lives */
	/* What was put may be gone: a store was emptied or replaced behind our back. */
	loop_cb *lost;      /* may be NULL */
	void *lost_arg;
};

/* found is false for an absent key or on error, such as a store that cannot be
 * reached; the value is valid in the call. Answers come in the order of asking. */
typedef void kvs_get_cb(void *arg, enum err e, bool found, struct str value);
/* Each entry of a scan in key order, then once with key.p == NULL, also after an
 * error. */
typedef void kvs_scan_cb(void *arg, enum err e, struct str key, struct str value);
typedef void kvs_done_cb(void *arg, enum err e);

struct kvs_backend {
	const char *name;
	unsigned caps;
	void *(*open)(const struct kvs_options *o, char **why);
	void (*get)(void *store, struct str key, kvs_get_cb *cb, void *arg);
	void (*put)(void *store, struct str key, struct str value);
	void (*remove)(void *store, struct str key);
	void (*scan)(void *store, struct str prefix, kvs_scan_cb *cb, void *arg);
	/* ERR_OK: every put and remove since the last flush is in the store. */
	void (*flush)(void *store, kvs_done_cb *cb, void *arg);
	/* What is wrong, as a sentence (KVS_NOT_YET while the first attempt to reach it is
	 * under way); NULL: nothing. Valid until the loop turns. */
	const char *(*trouble)(const void *store);
	void (*close)(void *store); /* callbacks outstanding are dropped */
};

/* The backend by name, or NULL with *why listing the known ones. */
const struct kvs_backend *kvs_backend(const char *name, char **why);

struct kvs *kvs_open(const char *backend, const struct kvs_options *o, char **why);
/* The same for a backend that is not in the table, such as a test's. */
struct kvs *kvs_open_as(const struct kvs_backend *b, const struct kvs_options *o, char **why);
void kvs_get(struct kvs *k, struct str key, kvs_get_cb *cb, void *arg);
void kvs_put(struct kvs *k, struct str key, struct str value); /* of at most KVS_VALUE_MAX */
void kvs_remove(struct kvs *k, struct str key);
void kvs_scan(struct kvs *k, struct str prefix, kvs_scan_cb *cb, void *arg);
void kvs_flush(struct kvs *k, kvs_done_cb *cb, void *arg);
const char *kvs_trouble(const struct kvs *k);
unsigned kvs_caps(const struct kvs *k);
void kvs_close(struct kvs *k); /* NULL is allowed */

#endif
