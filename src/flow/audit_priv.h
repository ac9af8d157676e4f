/* SPDX-License-Identifier: MIT */
/* audit_priv: what audit.c and audit_roster.c share. */
#ifndef LECTERN_FLOW_AUDIT_PRIV_H
#define LECTERN_FLOW_AUDIT_PRIV_H

#include "base/map.h"
#include "flow/audit.h"

/* What people can cause as often as they like: lines of each in one window, more are
 * counted. */
struct audit_limit {
	const char *counted; /* the member with their number */
	size_t each, keys;   /* lines of one key; keys told apart, */
	struct map *by_key;  /* struct audit_count */
	size_t others;       /* lines of keys beyond */
};
enum audit_limits {
	AUDIT_LIMIT_REFUSED,
	AUDIT_LIMIT_SIGN_INS_REFUSED,
	AUDIT_LIMIT_SIGN_INS,
	AUDIT_LIMITS
};

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
	struct audit_limit limits[AUDIT_LIMITS];
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
