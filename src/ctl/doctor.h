/* SPDX-License-Identifier: MIT */
/* What the files of lecternctl doctor share: the checks and what they found. */
#ifndef LECTERN_CTL_DOCTOR_H
#define LECTERN_CTL_DOCTOR_H

#include "base/json.h"
#include "ctl/ctl.h"
#include "state/roster.h"

enum doctor_level { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_WRONG };

/* One thing that was looked at. */
struct doctor_check {
	enum doctor_level level;
	const char *name;  /* what was looked at */
	const char *fault; /* static name of what is wrong, for programs; NULL */
	double ms;         /* how long it took; negative: not timed */
	char *subject;     /* which of them, or NULL */
	char *what;        /* a sentence for people */
	struct buf advice; /* what to do, a line each */
};

enum doctor_daemon { DAEMON_UNKNOWN, DAEMON_DOWN, DAEMON_UP };

/* The end-to-end probe: who watches, and where. */
struct doctor_probe {
	const char *jid, *host, *ca, *student; /* student NULL: the usual one */
	long port, timeout_s;
	bool plain;
	char *password; /* wiped and freed by the probe */
};

struct doctor {
	const char *path;
	struct conf *conf;
	char *key;              /* organisation key, or NULL */
	struct roster *roster;  /* or NULL */
	enum doctor_daemon daemon;
	struct buf status;      /* the daemon's status, or empty */
	struct doctor_probe *probe; /* or NULL */

	struct doctor_check *checks;
	size_t n_checks;
};

/* Adds a finding and answers it, valid until the next one, so that advice can
 * be appended. `fault` is NULL when all is well. */
struct doctor_check *doctor_found(struct doctor *d, enum doctor_level level, const char *name,
    const char *fault, double ms, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* Monotonic milliseconds. */
double doctor_now(void);

/* The checks, in this order; each says what it found. */
bool doctor_conf(struct doctor *d);   /* doctor_host.c; false: nothing else can be looked at */
void doctor_secrets(struct doctor *d);
void doctor_state_dir(struct doctor *d);
void doctor_roster(struct doctor *d);
void doctor_daemon(struct doctor *d); /* doctor_daemon.c */
/* Of doctor_daemon: what the status, its root, says of the backends. */
void doctor_backends(struct doctor *d, struct json root); /* doctor_backends.c */
void doctor_auth(struct doctor *d);   /* doctor_backends.c */
void doctor_redis(struct doctor *d);
void doctor_web(struct doctor *d);    /* doctor_web.c */
void doctor_xmpp(struct doctor *d);   /* doctor_xmpp.c */
void doctor_probe(struct doctor *d);  /* doctor_probe.c */

#endif
