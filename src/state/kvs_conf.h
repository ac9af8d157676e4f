/* SPDX-License-Identifier: MIT */
/* kvs_conf: the store of states that the configuration asks for. */
#ifndef LECTERN_STATE_KVS_CONF_H
#define LECTERN_STATE_KVS_CONF_H

#include "base/conf.h"
#include "state/kvs.h"

/* As kvs_open; what the configuration says is filled into a copy of o. backend: NULL
 * for the one that it names. */
struct kvs *kvs_conf_open(const struct conf *c, const char *backend, const struct kvs_options *o,
    char **why);

/* Writes a JSON object for `lecternctl status`: backend, and what is wrong. */
struct jsonw;
void kvs_conf_status(const struct conf *c, const struct kvs *k, struct jsonw *w);

#endif
