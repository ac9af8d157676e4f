/* SPDX-License-Identifier: MIT */
/* kvs: see kvs.h. The table of backends and the facade before them. */
#include "state/kvs.h"

#include <assert.h>

#include "base/mem.h"
#include "state/kvs_backends.h"

static const struct kvs_backend *const kvs_backends[] = {
	&kvs_memory,
	&kvs_disk,
	&kvs_redis,
	&kvs_redis_ephemeral,
};

struct kvs {
	const struct kvs_backend *backend;
	void *store;
};

const struct kvs_backend *
kvs_backend(const char *name, char **why)
{
	struct buf known = BUF_INIT(0);
	size_t n = sizeof kvs_backends / sizeof *kvs_backends;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(kvs_backends[i]->name, name) == 0) {
			buf_free(&known);
			return kvs_backends[i];
		}
		buf_printf(&known, "%s%s", i > 0 ? ", " : "", kvs_backends[i]->name);
	}
	*why = mem_printf("unknown kvs backend \"%s\"; known: %.*s", name, STR_ARG(buf_view(&known)));
	buf_free(&known);
	return NULL;
}

struct kvs *
kvs_open_as(const struct kvs_backend *b, const struct kvs_options *o, char **why)
{
	void *store = b->open(o, why);
	struct kvs *k;

	if (store == NULL)
		return NULL;
	MEM_NEW(k);
	*k = (struct kvs){ .backend = b, .store = store };
	return k;
}

struct kvs *
kvs_open(const char *backend, const struct kvs_options *o, char **why)
{
	const struct kvs_backend *b = kvs_backend(backend, why);

	return b != NULL ? kvs_open_as(b, o, why) : NULL;
}

void
kvs_get(struct kvs *k, struct str key, kvs_get_cb *cb, void *arg)
{
	k->backend->get(k->store, key, cb, arg);
}

void
kvs_put(struct kvs *k, struct str key, struct str value)
{
	assert(value.n <= KVS_VALUE_MAX);
	k->backend->put(k->store, key, value);
}

void
kvs_remove(struct kvs *k, struct str key)
{
	k->backend->remove(k->store, key);
}

void
kvs_scan(struct kvs *k, struct str prefix, kvs_scan_cb *cb, void *arg)
{
	k->backend->scan(k->store, prefix, cb, arg);
}

void
kvs_flush(struct kvs *k, kvs_done_cb *cb, void *arg)
{
	k->backend->flush(k->store, cb, arg);
}

const char *
kvs_trouble(const struct kvs *k)
{
	return k->backend->trouble(k->store);
}

unsigned
kvs_caps(const struct kvs *k)
{
	return k->backend->caps;
}

void
kvs_close(struct kvs *k)
{
	if (k == NULL)
		return;
	k->backend->close(k->store);
	mem_free(k);
}
