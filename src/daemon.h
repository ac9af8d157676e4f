/* SPDX-License-Identifier: MIT */
/* daemon: puts the rooms together: order of start and stop, reload. */
#ifndef LECTERN_DAEMON_H
#define LECTERN_DAEMON_H

#include "base/conf.h"
#include "base/jsonw.h"

/* Runs lecternd with this configuration (which it takes over) until it is told
 * to stop. An exit status: 0, or one of sysexits.h after having said why. */
int daemon_run(struct conf *conf);

/* Runs the component of this name alone, as long. (daemon_component.c) */
int daemon_run_component(struct conf *conf, const char *name);

/* Its control socket, beside the daemon's; mem_alloc'ed. */
char *daemon_component_control(const struct conf *c, const char *name);

struct daemon;
struct engine;

/* What the control socket may ask. */
void daemon_status(struct daemon *d, struct jsonw *w);
/* Reads configuration and roster anew, the roster in the pool; on failure the old
 * ones stay. Answers through the loop, why is NULL when it went well; never after
 * the daemon left its loop. done may be NULL. */
typedef void daemon_reload_cb(void *arg, const char *why);
void daemon_reload(struct daemon *d, daemon_reload_cb *done, void *arg);
/* {"position":n,"digest":"..."} of the states as they are now. */
void daemon_digest(struct daemon *d, struct jsonw *w);
/* One line of JSON for each state: key, seq, value. */
void daemon_write_states(struct engine *e, struct buf *out);

#endif
