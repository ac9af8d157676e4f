/* SPDX-License-Identifier: MIT */
/* kvs: where values live outside the engine: keys and values are bytes, beside
 * each value stands the journal position it includes. Backends are const
 * descriptors in one table (kvs.c); they never block and answer through the
 * loop, never inside the call. */
#ifndef LECTERN_STATE_KVS_H
#define LECTERN_STATE_KVS_H

#include "base/buf.h"
#include "base/loop.h"

struct kvs; /* an open store */

#define KVS_PERSISTENT 1u /* survives a restart by itself */

struct kvs_options {
	struct loop *loop;
	const char *file; /* memory: load from and save to this file; NULL: volatile */
};

/* found is false for an absent key or on error; the value is valid in the call. */
typedef void kvs_get_cb(void *arg, enum err e, bool found, struct str value, uint64_t position);
/* Each entry of a scan in key order, then once with key.p == NULL. */
typedef void kvs_scan_cb(void *arg, enum err e, struct str key, struct str value,
    uint64_t position);
typedef void kvs_done_cb(void *arg, enum err e);

struct kvs_backend {
	const char *name;
	unsigned caps;
	void *(*open)(const struct kvs_options *o, char **why);
	void (*get)(void *store, struct str key, kvs_get_cb *cb, void *arg);
	/* put and remove are write-behind: durable, where the backend can, after flush. */
	void (*put)(void *store, struct str key, struct str value, uint64_t position);
	void (*remove)(void *store, struct str key);
	void (*scan)(void *store, struct str prefix, kvs_scan_cb *cb, void *arg);
	void (*flush)(void *store, kvs_done_cb *cb, void *arg);
	void (*close)(void *store); /* callbacks outstanding are dropped */
};

/* The backend by name, or NULL with *why listing the known ones. */
const struct kvs_backend *kvs_backend(const char *name, char **why);

struct kvs *kvs_open(const char *backend, const struct kvs_options *o, char **why);
void kvs_get(struct kvs *k, struct str key, kvs_get_cb *cb, void *arg);
void kvs_put(struct kvs *k, struct str key, struct str value, uint64_t position);
void kvs_remove(struct kvs *k, struct str key);
void kvs_scan(struct kvs *k, struct str prefix, kvs_scan_cb *cb, void *arg);
void kvs_flush(struct kvs *k, kvs_done_cb *cb, void *arg);
unsigned kvs_caps(const struct kvs *k);
void kvs_close(struct kvs *k); /* NULL is allowed */

#endif
