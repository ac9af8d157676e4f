/* SPDX-License-Identifier: MIT */
/* What the files of the daemon share: what it owns, and its life's steps. */
#ifndef LECTERN_DAEMON_PRIV_H
#define LECTERN_DAEMON_PRIV_H

#include <sys/queue.h>

#include "base/loop.h"
#include "checkpoint.h"
#include "control.h"
#include "daemon.h"
#include "flow/engine.h"
#include "flow/feed.h"
#include "flow/hub.h"
#include "flow/keep.h"
#include "flow/session.h"
#include "rebuild.h"
#include "state/auth.h"
#include "state/journal.h"
#include "state/kvs.h"
#include "state/roster.h"
#include "web/web.h"
#include "xmpp/service.h"

struct daemon_outlet;

struct daemon {
	struct conf *conf;
	struct conf *start; /* the one at the start: producers refer to it */
	struct loop *loop;
	char *key; /* organisation key */
	struct engine *engine;
	struct producers *producers;
	struct feed *feed;  /* NULL: nobody folds elsewhere */
	struct journal *journal;
	struct checkpoint *checkpoint;
	struct roster *roster;
	struct hub *hub;
	struct audit *audit; /* or NULL */
	struct kvs *states; /* the states, written behind */
	struct keep *keep;  /* between it and the engine */
	struct rebuild *rebuild;
	struct kvs *book;   /* what doors must remember: lasting subscriptions */
	struct daemon_outlet *outlets; /* nodes published beside XMPP */
	size_t n_outlets;
	struct ident_rules *rules;
	struct ingest *ingest;
	struct xmpp *xmpp;
	struct auth *auth; /* NULL: nobody signs in */
	struct web *web;
	struct control *control;
	LIST_HEAD(, daemon_ask) asks;
	struct service_admin admin;
	struct service_about about;
	struct loop_timer *stop;
	uint64_t stop_deadline, store_deadline;
	bool stopping, drained, xmpp_down;
	bool left; /* the loop was left, parts are gone: late calls do nothing */
	uint64_t started_ms;
	struct journal_summary recovered;
	char *reload_error; /* of the last reload, NULL when it went well */
	bool error_of_roster; /* it was the roster that was refused */
	struct daemon_load *load;       /* the reload under way, or NULL */
	struct daemon_waiter *waiters;  /* for the one after it */
	bool refresh;                   /* the roster changed meanwhile */
	struct loop_timer *again;       /* the roster could not be read when it changed */
	unsigned tries;                 /* since it could */
	char copy_of[32];               /* the copy in force was made then; "": none is */
	struct roster_watch *watch;     /* of the roster's source, or NULL */
	const struct roster_backend *watched; /* whose that is */
	struct loop_timer *seen_timer;  /* a roster of all students is behind */
	size_t seen;                    /* students that it was made of */
};

/* daemon_states.c: for the control socket; arg is the daemon */
void daemon_ask_digest(void *daemon, struct control_peer *peer);
void daemon_ask_states(void *daemon, struct control_peer *peer);
void daemon_asks_free(struct daemon *d); /* those that are not answered yet */

/* daemon_report.c: for the control socket; arg is the daemon */
void daemon_write_state(struct buf *out, const struct state *s, struct str json);
extern const struct control_request daemon_requests[];

/* daemon_xmpp.c: a step of the start */
bool daemon_xmpp(struct daemon *d, char **why);
/* d->about as the configuration has it now. */
void daemon_about(struct daemon *d);

/* daemon_pubsub.c: a step of the start, its end, and an array for the status */
bool daemon_pubsub(struct daemon *d, char **why);
void daemon_pubsub_free(struct daemon *d);
void daemon_pubsub_status(const struct daemon *d, struct jsonw *w);

/* daemon_admin.c: what the commands of admins do */
const struct service_admin *daemon_admin(struct daemon *d);

/* daemon_roster.c */
/* A step of the start; ends with daemon_roster_free. */
bool daemon_roster(struct daemon *d, char **why);
void daemon_roster_free(struct daemon *d);
/* After a commit: students may have come whom a roster of all lacks. */
void daemon_roster_seen(struct daemon *d);
/* Whether the configurations name the same source. */
bool daemon_roster_same(const struct conf *a, const struct conf *b);
/* What a load needs: who was seen, too; given back to daemon_roster_options_free. */
struct roster_options daemon_roster_options(const struct daemon *d, const struct conf *c);
void daemon_roster_options_free(struct roster_options *o);
/* Listens to the source that the configuration names now; what changed before is
 * not told. */
void daemon_roster_watch(struct daemon *d);
/* Warns that no copy could be kept; NULL: one could. */
void daemon_roster_uncopied(const char *why);
/* Why the roster cannot be read, and of a copy that is in force instead; mem_free it. */
char *daemon_roster_trouble(const struct daemon *d, const char *why);
/* A load of what changed went wrong: it is tried again, less and less often. */
void daemon_roster_retry(struct daemon *d);
void daemon_roster_say(const struct daemon *d);

/* daemon_reload.c */
void daemon_refresh(struct daemon *d); /* reads the roster alone anew */
void daemon_waiters_free(struct daemon *d);
/* NULL in *out where nobody signs in. */
bool daemon_auth_open(struct daemon *d, const struct conf *c, struct auth **out, char **why);
void daemon_sighup_cb(void *daemon);

/* daemon_stop.c */
void daemon_stop_cb(void *daemon);      /* SIGTERM, SIGINT */
void daemon_stop_step_cb(void *daemon); /* the timer d->stop */

#endif
