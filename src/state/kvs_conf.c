/* SPDX-License-Identifier: MIT */
/* kvs_conf: see kvs_conf.h. */
#include "state/kvs_conf.h"

#include "base/jsonw.h"
#include "base/mem.h"
#include "state/redis_conf.h"

#define KVS_CONF_FILE "states.db" /* in state_dir */

struct kvs *
kvs_conf_open(const struct conf *c, const char *backend, const struct kvs_options *given,
    char **why)
{
	const struct kvs_backend *b = kvs_backend(backend != NULL ? backend : c->kvs_backend, why);
	struct kvs_options o = *given;
	struct redis_options redis = { .password = NULL };
	char *file = NULL;
	struct kvs *k = NULL;

	if (b == NULL)
		return NULL;
	if (b->caps & KVS_FILE)
		file = c->kvs_file != NULL ? mem_strdup(c->kvs_file) :
		    mem_printf("%s/%s", c->state_dir, KVS_CONF_FILE);
	o.file = file;
	o.prefix = c->redis_prefix;
	o.ttl = c->kvs_ttl;
	o.redis = &redis;
	if (!(b->caps & KVS_REDIS) || redis_conf(c, &redis, why))
		k = kvs_open_as(b, &o, why);
	redis_conf_wipe(&redis);
	mem_free(file);
	return k;
}

void
kvs_conf_status(const struct conf *c, const struct kvs *k, struct jsonw *w)
{
	jsonw_object(w);
	jsonw_kz(w, "backend", c->kvs_backend);
	jsonw_kz(w, "trouble", kvs_trouble(k));
	jsonw_object_end(w);
}
