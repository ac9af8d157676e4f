/* SPDX-License-Identifier: MIT */
/* redis_conf: the section "redis" of the configuration as options for a link. */
#ifndef LECTERN_STATE_REDIS_CONF_H
#define LECTERN_STATE_REDIS_CONF_H

#include "base/conf.h"
#include "state/redis_link.h"

/* Reads the password's file. Strings are the configuration's except the password,
 * for redis_conf_wipe. false with *why. */
bool redis_conf(const struct conf *c, struct redis_options *out, char **why);
void redis_conf_wipe(struct redis_options *o);

#endif
