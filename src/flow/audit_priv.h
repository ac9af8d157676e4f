/* SPDX-License-Identifier: MIT */
/* audit_priv: what audit.c and audit_roster.c share. */
#ifndef LECTERN_FLOW_AUDIT_PRIV_H
#define LECTERN_FLOW_AUDIT_PRIV_H

#include "base/map.h"
#include "flow/audit.h"

struct audit {
	struct loop *loop;
	char *file;
	int fd;                      /* the pool's while busy */
	struct buf queue;            /* lines that wait */
	struct buf batch;            /* lines that the pool writes */
	size_t written;              /* of the batch; the pool's while busy */
	bool busy, closed;
	bool reopen, opening;        /* wanted; this is what the pool does */
	bool opened_empty;
	int error;                   /* errno of the last try; the pool's while busy */
	bool failing;                /* said so in the log */
	const struct roster *roster; /* as last told */
	struct map *refusers;        /* reader -> struct audit_refuser */
	size_t others;               /* refusals of readers beyond AUDIT_REFUSERS */
	struct loop_timer *window;
};

/* {"t":"..","what":"..", to be ended by audit_end. */
struct jsonw audit_begin(struct audit *a, struct buf *line, const char *what);
void audit_end(struct audit *a, struct jsonw *w);
/* Has the pool write what waits, unless it does already. */
void audit_flush(struct audit *a);
/* Appends every line of the roster to a->queue, as if there had been none. */
void audit_picture(struct audit *a);

#endif
