/* SPDX-License-Identifier: MIT */
/* What the verbs of `lecternctl kvs` share. */
#ifndef LECTERN_CTL_KVS_H
#define LECTERN_CTL_KVS_H

#include "base/loop.h"
#include "ctl/ctl.h"
#include "state/kvs.h"

#define CTL_KVS_STATES "Internal," /* keys of states begin with it */

/* The store that the configuration names, reached from a loop of its own. */
struct ctl_kvs {
	const struct conf *conf;
	struct loop *loop;
	struct kvs *kvs;
	enum err result; /* of the last thing that was waited for */
	bool over;       /* it is there */
};

/* Opens the store and waits until it can be reached; EX_OK, or another after having
 * said why. backend: NULL for the configuration's. Close it in any case. */
int ctl_kvs_open(struct ctl_kvs *k, const struct conf *c, const char *backend, bool read_only);
void ctl_kvs_close(struct ctl_kvs *k);

/* Runs the loop until k->over; EX_OK, or EX_UNAVAILABLE after having said what the
 * store's trouble is. */
int ctl_kvs_wait(struct ctl_kvs *k);

/* Reads a dump: lines with a key and with its value by turns. FILE "-" is standard
 * input. EX_OK, EX_NOINPUT or EX_DATAERR after having said why; the callback
 * answers false to stop, which is EX_DATAERR, too. */
typedef bool ctl_dump_cb(void *arg, struct str key, struct str value);
int ctl_dump_read(const char *file, ctl_dump_cb *cb, void *arg);

/* `kvs import`, in import.c. */
int ctl_kvs_import(const struct conf *c, int argc, char **argv);

#endif
