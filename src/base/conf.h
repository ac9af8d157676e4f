/* SPDX-License-Identifier: MIT */
/* conf: the configuration: one typed table of options that makes the parser,
 * --check-config, --print-config and the manual agree. conf.c is the only file
 * that knows libConfuse. */
#ifndef LECTERN_BASE_CONF_H
#define LECTERN_BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct conf_list {
	char **v;
	size_t n;
};

struct conf_component {
	char *name;        /* title: "writing" or "*" for every component */
	char *jid;         /* writing.lectern.school.example */
	char *secret_file;
	struct conf_list reducers; /* empty: all of the component's */
	struct conf_list pubsub;   /* "xmpp", "xmpp-server" */
	char *process;     /* "daemon", or "own": lecternd --component NAME runs it */
};

struct conf_producer {
	char *name;        /* title */
	char *jid;         /* a domain, or a person's */
	struct conf_list sources;  /* whose events it may read; empty: all */
	struct conf_list reducers; /* whose states it may publish */
	struct conf_list scope;    /* event fields these states are kept per */
};

struct conf_reader_entry {
	char *jid;                 /* title: who may read */
	struct conf_list classes;  /* by name, as in the roster */
	struct conf_list reducers; /* empty: all */
};

struct conf_opt_out {
	char *whom;        /* title: "student:ID", "class:NAME", e-mail domain, or "*" for everyone */
	char *action;      /* TRANSMIT MAINTAIN DROP */
	char *time_limit;  /* MINUTES DAYS PERMANENT or milliseconds */
	char *message;
	char *until;       /* the day after which, or moment from which, the rule is none */
};
#define CONF_OPT_OUT_STUDENT "student:"
#define CONF_OPT_OUT_CLASS "class:"

struct conf {
	char *path;        /* the file it came from */

	char *organisation;
	char *state_dir;
	char *key_file;    /* organisation key: pseudonyms */
	char *control;     /* Unix socket */
	char *log_level;

	/* listen */
	char *address;
	long port;
	char *tls_certificate, *tls_key;
	struct conf_list origins;         /* exact origins; empty: none */
	bool allow_no_origin;             /* clients that are no browsers */
	struct conf_list trusted_proxies; /* addresses whose X-Real-IP counts */
	struct conf_list hosts;           /* accepted Host names; empty: any */

	/* limits */
	long max_frame;                /* bytes */
	long max_fragments;
	long handshake_timeout;        /* seconds */
	long frame_timeout;            /* seconds for an unfinished frame */
	long max_connections;
	long max_connections_per_address;
	long write_queue;              /* bytes per connection */
	long held_events, held_bytes;  /* before identity and source are known */

	/* identity */
	struct conf_list methods;      /* tried in this order */
	char *token_key_file;
	char *user_file;               /* local_storage: known users, one a line */
	bool allow_guest;              /* local_storage: unknown users too */

	/* journal */
	long segment_size;
	long snapshot_records;         /* records between snapshots */

	/* roster */
	char *roster_backend;          /* "csv" */
	char *roster_file;
	bool roster_allow_empty;
	char *roster_domain;           /* of JIDs that the roster has not; or NULL */
	struct conf_list roster_admins;

	/* kvs */
	char *kvs_backend;             /* "memory", "disk", "redis", "redis_ephemeral" */
	char *kvs_file;                /* disk; states.db in state_dir when not set */
	long kvs_ttl;                  /* redis_ephemeral: seconds */
	long state_cache;              /* students with states in memory; 0: all */

	/* redis: for kvs and for pubsub */
	char *redis_address;           /* host:port, or unix:/path */
	char *redis_user, *redis_password_file; /* or NULL */
	long redis_database;
	char *redis_prefix;            /* before every key and channel */
	bool redis_insecure_ok;        /* plaintext to an address that is not loopback */
	long redis_timeout;            /* seconds of silence when an answer is due */

	/* pubsub */
	struct conf_list pubsub_stores; /* "memory", "redis"; empty: none beside XMPP */
	bool pubsub_follow;             /* read from Redis, publish nothing there */

	/* xmpp */
	char *xmpp_host;               /* empty: no XMPP */
	long xmpp_port;
	char *xmpp_server;             /* domain pinged for flow control */
	bool xmpp_insecure_ok;         /* plaintext to an address that is not loopback */
	long xmpp_keepalive;           /* seconds of silence before a ping */
	long xmpp_window;              /* messages in flight between pings */
	char *xmpp_pubsub_service;     /* the server's; NULL: "pubsub." and server */
	long xmpp_pubsub_max_items;    /* of a node there */
	struct conf_list xmpp_contact; /* URIs at which the admins are reached */
	char *xmpp_privacy_policy;     /* URI of it, or NULL */
	struct conf_list xmpp_admins;  /* who may use the commands of admins */

	/* auth */
	struct conf_list auth_backends; /* asked in this order; empty: nobody signs in */
	char *auth_file;               /* of "file" */
	char *auth_database;           /* of "sqlite" */
	char *auth_domain;             /* of users that are typed without one */
	char *auth_xmpp_host;          /* of "xmpp"; NULL: what DNS says of auth_domain */
	long auth_xmpp_port;
	char *auth_xmpp_ca;            /* PEM file; NULL: the system's */
	long auth_session, auth_idle;  /* seconds */
	struct conf_list auth_admins;

	/* postgres */
	char *postgres_conninfo;       /* without a password; NULL: nothing is there */
	char *postgres_password_file;
	long postgres_timeout;         /* seconds */

	/* audit */
	bool audit_enabled;
	char *audit_file;              /* audit.jsonl in state_dir when not set */

	struct conf_component *components;
	size_t n_components;
	struct conf_producer *producers;
	size_t n_producers;
	struct conf_reader_entry *readers;
	size_t n_readers;
	struct conf_opt_out *opt_outs;
	size_t n_opt_outs;
};

/* Reads and checks a file. NULL when anything is wrong; *causes then holds
 * every error, a line each: "file:line: what, expected". Nothing is bound or
 * connected. The caller owns the result. */
struct conf *conf_read(const char *path, struct buf *causes);
void conf_free(struct conf *c);

/* Writes the configuration in effect, defaults included, as a file that reads
 * back the same. Secrets stand in files of their own and never appear. */
void conf_print(const struct conf *c, struct buf *out);

/* Names of options that differ and need a restart, for the log after a
 * reload. Number found. */
size_t conf_needs_restart(const struct conf *now, const struct conf *next, struct buf *names);

#endif
