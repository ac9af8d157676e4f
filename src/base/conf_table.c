/* SPDX-License-Identifier: MIT */
/* conf_table: every option there is. Parser, ranges, defaults, causes,
 * --print-config and what a reload may change all come from here. */
#include "base/conf_priv.h"

#include "base/jid.h"
#include "base/mem.h"

#define KIB 1024L
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static const char *const log_levels[] = { "error", "warning", "notice", "info", "debug", NULL };
static const char *const methods[] = { "token", "testcase_auth", "local_storage", "chromebook",
	"hash_identify", "guest", NULL };
static const char *const roster_backends[] = { "csv", "oneroster", "files", "sqlite",
	"postgres", "all", NULL };
static const char *const kvs_backends[] = { "memory", "disk", "redis", "redis_ephemeral",
	NULL };
static const char *const pubsub_backends[] = { "xmpp", "xmpp-server", NULL };
static const char *const pubsub_stores[] = { "memory", "redis", NULL };
static const char *const auth_backends[] = { "file", "sqlite", "postgres", "xmpp", NULL };
static const char *const processes[] = { "daemon", "own", NULL };
static const char *const actions[] = { "TRANSMIT", "MAINTAIN", "DROP", NULL };

#define ROW(section_, name_, type_, of, field) \
	.section = section_, .name = name_, .type = type_, .offset = offsetof(of, field)
#define IN(section, name, field, type) ROW(section, name, type, struct conf, field)
#define COMPONENT(name, field, type) ROW("component", name, type, struct conf_component, field)
#define PRODUCER(name, field, type) ROW("producer", name, type, struct conf_producer, field)
#define READER(name, field, type) ROW("reader", name, type, struct conf_reader_entry, field)
#define OPT_OUT(name, field, type) ROW("opt_out", name, type, struct conf_opt_out, field)

const struct conf_row conf_rows[] = {
	{ IN("", "organisation", organisation, CONF_STRING), .required = true, .restart = true,
	    .check = conf_is_filled, .expected = "a name such as \"springfield\"",
	    .help = "Name of the organisation; part of every pseudonym" },
	{ IN("", "state_dir", state_dir, CONF_PATH), .required = true, .restart = true,
	    .help = "Folder of the journal and the snapshots" },
	{ IN("", "key_file", key_file, CONF_PATH), .required = true, .restart = true,
	    .help = "File with the organisation's key, from which pseudonyms come" },
	{ IN("", "control", control, CONF_PATH), .restart = true, .check = conf_is_socket_path,
	    .expected = "an absolute path of at most 107 bytes",
	    .help = "Socket for lecternctl; lectern.sock in state_dir when not set" },
	{ IN("", "log_level", log_level, CONF_STRING), .standard = "notice", .known = log_levels,
	    .help = "Least important lines to log" },

	{ IN("listen", "address", address, CONF_STRING), .standard = "127.0.0.1", .restart = true,
	    .check = conf_is_address, .expected = "a numeric IPv4 or IPv6 address",
	    .help = "Address to listen on" },
	{ IN("listen", "port", port, CONF_NUMBER), .min = 1, .max = 65535, .standard = "8080",
	    .restart = true, .help = "TCP port to listen on" },
	{ IN("listen", "tls_certificate", tls_certificate, CONF_PATH),
	    .help = "PEM file with the certificate chain; goes with tls_key" },
	{ IN("listen", "tls_key", tls_key, CONF_PATH),
	    .help = "PEM file with the certificate's private key" },
	{ IN("listen", "origins", origins, CONF_LIST), .check = conf_is_origin,
	    .expected = "scheme://host or scheme://host:port in lower case, without path or *",
	    .help = "Web origins that may connect; none when empty" },
	{ IN("listen", "allow_no_origin", allow_no_origin, CONF_BOOL), .standard = "false",
	    .help = "Whether clients that send no Origin, no browsers that is, may connect" },
	{ IN("listen", "trusted_proxies", trusted_proxies, CONF_LIST), .check = conf_is_address,
	    .expected = "a numeric IPv4 or IPv6 address",
	    .help = "Addresses of proxies whose X-Real-IP counts" },
	{ IN("listen", "hosts", hosts, CONF_LIST), .check = conf_is_host,
	    .expected = "a host name as browsers send it, with the port if it is not the usual one",
	    .help = "Host names to answer to; any when empty" },

	{ IN("limits", "max_frame", max_frame, CONF_SIZE), .min = KIB, .max = 16 * MIB,
	    .standard = "4M", .help = "Bytes of one message from a client" },
	{ IN("limits", "max_fragments", max_fragments, CONF_NUMBER), .min = 1, .max = 65536,
	    .standard = "64", .help = "WebSocket fragments of one message" },
	{ IN("limits", "handshake_timeout", handshake_timeout, CONF_SECONDS), .min = 1, .max = 600,
	    .standard = "10", .help = "Seconds until a connection must have become a WebSocket" },
	{ IN("limits", "frame_timeout", frame_timeout, CONF_SECONDS), .min = 1, .max = 3600,
	    .standard = "30", .help = "Seconds for a message once it has begun" },
	{ IN("limits", "max_connections", max_connections, CONF_NUMBER), .min = 1, .max = 1000000,
	    .standard = "20000", .help = "Connections at a time" },
	{ IN("limits", "max_connections_per_address", max_connections_per_address, CONF_NUMBER),
	    .max = 1000000, .standard = "0",
	    .help = "Connections from one address; 0: no limit, a school is one address" },
	{ IN("limits", "write_queue", write_queue, CONF_SIZE), .min = 4 * KIB, .max = MIB,
	    .standard = "64k", .help = "Bytes that may wait for one client" },
	{ IN("limits", "held_events", held_events, CONF_NUMBER), .min = 1, .max = 65536,
	    .standard = "64", .help = "Events kept until identity and source are known" },
	{ IN("limits", "held_bytes", held_bytes, CONF_SIZE), .min = KIB, .max = 64 * MIB,
	    .standard = "256k", .help = "Bytes of such events" },

	{ IN("identity", "methods", methods, CONF_LIST), .known = methods,
	    .help = "Ways to find out who a client is, tried in this order" },
	{ IN("identity", "token_key_file", token_key_file, CONF_PATH),
	    .help = "File with the key that signs student tokens" },
	{ IN("identity", "user_file", user_file, CONF_PATH),
	    .help = "File with the users that local_storage knows, one a line" },
	{ IN("identity", "allow_guest", allow_guest, CONF_BOOL), .standard = "false",
	    .help = "Whether local_storage takes unknown users, too" },

	{ IN("journal", "segment_size", segment_size, CONF_SIZE), .min = 64 * KIB, .max = GIB,
	    .standard = "64M", .restart = true, .help = "Bytes of one journal file" },
	{ IN("journal", "snapshot_records", snapshot_records, CONF_NUMBER), .min = 1,
	    .max = 1000000000, .standard = "1000000", .restart = true,
	    .help = "Records between two snapshots" },

	{ IN("roster", "backend", roster_backend, CONF_STRING), .standard = "csv",
	    .known = roster_backends, .help = "Kind of roster" },
	{ IN("roster", "file", roster_file, CONF_PATH),
	    .help = "File or folder that says who teaches and who attends which class" },
	{ IN("roster", "allow_empty", roster_allow_empty, CONF_BOOL), .standard = "false",
	    .help = "Whether to start with a roster that names nobody" },
	{ IN("roster", "domain", roster_domain, CONF_STRING), .check = conf_is_domain,
	    .expected = "a domain such as school.example",
	    .help = "Domain of the JIDs of people for whom the roster has only a user name or an "
	    "e-mail address in it" },
	{ IN("roster", "admins", roster_admins, CONF_LIST), .check = jid_is_person,
	    .expected = "the JID of a person such as admin@school.example",
	    .help = "Who teaches the class of everybody, for \"all\"" },

	{ IN("kvs", "backend", kvs_backend, CONF_STRING), .standard = "memory",
	    .known = kvs_backends, .restart = true, .help = "Where states live" },
	{ IN("kvs", "file", kvs_file, CONF_PATH), .restart = true,
	    .help = "File of the backend \"disk\"; states.db in state_dir when not set" },
	{ IN("kvs", "ttl", kvs_ttl, CONF_SECONDS), .min = 60, .max = 31536000, .standard = "86400",
	    .restart = true, .help = "Seconds after which \"redis_ephemeral\" forgets a state that "
	    "does not change" },
	{ IN("kvs", "state_cache", state_cache, CONF_NUMBER), .max = 100000000, .standard = "0",
	    .restart = true,
	    .help = "Students whose states are in memory at a time; 0: all" },

	{ IN("redis", "address", redis_address, CONF_STRING), .standard = "127.0.0.1:6379",
	    .restart = true, .check = conf_is_redis,
	    .expected = "host:port such as 127.0.0.1:6379, or unix:/path",
	    .help = "Where Redis is" },
	{ IN("redis", "user", redis_user, CONF_STRING), .restart = true, .check = conf_is_filled,
	    .expected = "a user of Redis's ACL such as \"lectern\"",
	    .help = "User to sign in as; the default one when not set" },
	{ IN("redis", "password_file", redis_password_file, CONF_PATH), .restart = true,
	    .help = "File with the password; none is sent when not set" },
	{ IN("redis", "database", redis_database, CONF_NUMBER), .max = 65535, .standard = "0",
	    .restart = true, .help = "Number of the database in it" },
	{ IN("redis", "prefix", redis_prefix, CONF_STRING), .standard = "", .restart = true,
	    .help = "Stands before every key and channel" },
	{ IN("redis", "insecure_ok", redis_insecure_ok, CONF_BOOL), .standard = "false",
	    .restart = true,
	    .help = "Whether address may be another machine: the connection is not encrypted" },
	{ IN("redis", "timeout", redis_timeout, CONF_SECONDS), .min = 1, .max = 600, .standard = "5",
	    .restart = true,
	    .help = "Seconds of silence after which a connection that owes an answer is given up" },

	{ IN("pubsub", "backends", pubsub_stores, CONF_LIST), .known = pubsub_stores,
	    .restart = true, .help = "Where nodes are published beside XMPP" },
	{ IN("pubsub", "follow", pubsub_follow, CONF_BOOL), .standard = "false", .restart = true,
	    .help = "Whether to show what another daemon publishes to Redis, instead" },

	{ IN("postgres", "conninfo", postgres_conninfo, CONF_STRING),
	    .help = "Where the PostgreSQL of those backends is, as libpq reads it" },
	{ IN("postgres", "password_file", postgres_password_file, CONF_PATH),
	    .help = "File with the password for it" },
	{ IN("postgres", "timeout", postgres_timeout, CONF_SECONDS), .min = 1, .max = 3600,
	    .standard = "10", .help = "Seconds for a connection to it, and for each query" },

	{ IN("xmpp", "host", xmpp_host, CONF_STRING), .standard = "", .restart = true,
	    .help = "Host of the server's component port; nothing is published when empty" },
	{ IN("xmpp", "port", xmpp_port, CONF_NUMBER), .min = 1, .max = 65535, .standard = "5347",
	    .restart = true, .help = "TCP port of it" },
	{ IN("xmpp", "server", xmpp_server, CONF_STRING), .restart = true, .check = conf_is_domain,
	    .expected = "a domain such as school.example",
	    .help = "Domain of the server, which is pinged for flow control" },
	{ IN("xmpp", "insecure_ok", xmpp_insecure_ok, CONF_BOOL), .standard = "false",
	    .restart = true,
	    .help = "Whether host may be another machine: the stream is not encrypted" },
	{ IN("xmpp", "keepalive", xmpp_keepalive, CONF_SECONDS), .min = 1, .max = 3600,
	    .standard = "30", .restart = true,
	    .help = "Seconds of silence before the server is pinged, and before it is given up" },
	{ IN("xmpp", "window", xmpp_window, CONF_NUMBER), .min = 1, .max = 100000,
	    .standard = "200", .restart = true,
	    .help = "Messages sent ahead of the server's answer to a ping" },
	{ IN("xmpp", "pubsub_service", xmpp_pubsub_service, CONF_STRING), .restart = true,
	    .check = conf_is_domain, .expected = "a domain such as pubsub.school.example",
	    .help = "The server's PubSub service, for \"xmpp-server\"; \"pubsub.\" and server "
	    "when not set" },
	{ IN("xmpp", "pubsub_max_items", xmpp_pubsub_max_items, CONF_NUMBER), .min = 1,
	    .max = 100000, .standard = "256", .restart = true,
	    .help = "Items of one node there; the server must allow as many" },
	{ IN("xmpp", "contact", xmpp_contact, CONF_LIST), .check = conf_is_contact,
	    .expected = "a URI such as mailto:admin@school.example, xmpp:admin@school.example or "
	    "https://school.example/help",
	    .help = "Where people reach who runs this service (XEP-0157); told to whoever asks" },
	{ IN("xmpp", "privacy_policy", xmpp_privacy_policy, CONF_STRING), .check = conf_is_web_uri,
	    .expected = "a URI such as https://school.example/privacy",
	    .help = "The organisation's privacy policy (XEP-0504); told to whoever asks" },
	{ IN("xmpp", "admins", xmpp_admins, CONF_LIST), .check = jid_is_person,
	    .expected = "the JID of a person such as admin@school.example",
	    .help = "JIDs that may use the admins' commands; they may read no data by that" },

	{ IN("auth", "backends", auth_backends, CONF_LIST), .known = auth_backends,
	    .help = "Where passwords of people are checked, in this order; nobody signs in when "
	    "empty" },
	{ IN("auth", "file", auth_file, CONF_PATH),
	    .help = "File of \"file\": name:hash a line, as htpasswd -B and lecternctl passwd write" },
	{ IN("auth", "database", auth_database, CONF_PATH),
	    .help = "SQLite file of \"sqlite\", which lecternctl passwd makes and writes" },
	{ IN("auth", "domain", auth_domain, CONF_STRING), .check = conf_is_domain,
	    .expected = "a domain such as school.example",
	    .help = "Domain of users who are named without one, and of those that \"xmpp\" checks" },
	{ IN("auth", "xmpp_host", auth_xmpp_host, CONF_STRING), .check = conf_is_filled,
	    .expected = "a host such as xmpp.school.example",
	    .help = "Host of the XMPP server of \"xmpp\"; what DNS says of domain when not set" },
	{ IN("auth", "xmpp_port", auth_xmpp_port, CONF_NUMBER), .min = 1, .max = 65535,
	    .standard = "5222", .help = "Its TCP port for clients" },
	{ IN("auth", "xmpp_ca", auth_xmpp_ca, CONF_PATH),
	    .help = "PEM file of the CA that vouches for it; the system's CAs when not set" },
	{ IN("auth", "session", auth_session, CONF_SECONDS), .min = 60, .max = 2592000,
	    .standard = "28800", .help = "Seconds after which one must sign in again" },
	{ IN("auth", "idle", auth_idle, CONF_SECONDS), .min = 60, .max = 2592000,
	    .standard = "3600", .help = "The same, of seconds without a request or an open feed" },
	{ IN("auth", "admins", auth_admins, CONF_LIST), .check = jid_is_person,
	    .expected = "the JID of a person such as admin@school.example",
	    .help = "JIDs that have the role admin; they may read no data by that" },

	{ IN("audit", "enabled", audit_enabled, CONF_BOOL), .standard = "true", .restart = true,
	    .help = "Whether it is written down who could and did see whose data" },
	{ IN("audit", "file", audit_file, CONF_PATH), .restart = true,
	    .help = "That file; audit.jsonl in state_dir when not set" },

	{ COMPONENT("jid", jid, CONF_STRING), .required = true, .restart = true,
	    .check = conf_is_domain, .expected = "a domain such as lectern.school.example",
	    .help = "JID of the component, as in the server's configuration" },
	{ COMPONENT("secret_file", secret_file, CONF_PATH), .restart = true,
	    .help = "File with the secret shared with the server" },
	{ COMPONENT("reducers", reducers, CONF_LIST), .restart = true, .check = conf_is_filled,
	    .expected = "a reducer's name such as \"time_on_task\"",
	    .help = "Reducers to publish; all of the component's when empty" },
	{ COMPONENT("pubsub", pubsub, CONF_LIST), .standard = "xmpp", .known = pubsub_backends,
	    .restart = true,
	    .help = "Where: xmpp is the component itself, xmpp-server the server's service" },
	{ COMPONENT("process", process, CONF_STRING), .standard = "daemon", .known = processes,
	    .restart = true,
	    .help = "Where its reducers run; own: in lecternd --component NAME" },

	{ PRODUCER("jid", jid, CONF_STRING), .required = true, .restart = true,
	    .check = conf_is_jid, .expected = "a JID such as counts.school.example or me@school.example",
	    .help = "JID of the producer; no one else may be behind it" },
	{ PRODUCER("sources", sources, CONF_LIST), .restart = true, .check = conf_is_filled,
	    .expected = "a source such as \"org.mitros.writing_analytics\"",
	    .help = "Sources whose events it may read; all when empty" },
	{ PRODUCER("reducers", reducers, CONF_LIST), .restart = true, .check = conf_is_reducer,
	    .expected = "component.name in a-z 0-9 _",
	    .help = "Reducers whose states it may publish" },
	{ PRODUCER("scope", scope, CONF_LIST), .restart = true, .check = conf_is_filled,
	    .expected = "an event field such as \"doc_id\"",
	    .help = "Event fields that these states are kept per, beside the student" },

	{ READER("classes", classes, CONF_LIST), .required = true, .check = conf_is_filled,
	    .expected = "a class of the roster such as \"7b\"",
	    .help = "Classes of the roster that this JID may read" },
	{ READER("reducers", reducers, CONF_LIST), .check = conf_is_filled,
	    .expected = "a reducer's name such as \"time_on_task\"",
	    .help = "Reducers that it may read; all when empty" },

	{ OPT_OUT("action", action, CONF_STRING), .required = true, .known = actions,
	    .help = "What their clients are told to do" },
	{ OPT_OUT("time_limit", time_limit, CONF_STRING), .check = conf_is_time_limit,
	    .expected = "one of MINUTES, DAYS, PERMANENT or a number of milliseconds",
	    .help = "For how long; by default until the rule ends, or what fits the action" },
	{ OPT_OUT("until", until, CONF_STRING), .check = conf_is_until,
	    .expected = "a day such as 2026-12-24, or a moment such as 2026-12-24T08:00:00Z",
	    .help = "Last day of the rule, or moment at which it ends (UTC); never when not set" },
	{ OPT_OUT("message", message, CONF_STRING),
	    .help = "Words for the person; by default what fits the action" },
};
const size_t conf_n_rows = sizeof conf_rows / sizeof *conf_rows;

const struct conf_section conf_sections[] = {
	{ .name = "", .help = "" },
	{ .name = "listen", .help = "The door for browsers." },
	{ .name = "limits", .help = "What one client may cost." },
	{ .name = "identity", .help = "Who a client is." },
	{ .name = "journal", .help = "The record of accepted events." },
	{ .name = "roster", .help = "Who teaches and attends what." },
	{ .name = "kvs", .help = "The store of states." },
	{ .name = "redis", .help = "The Redis that kvs and pubsub use, if they are told to." },
	{ .name = "pubsub", .help = "Readers without XMPP." },
	{ .name = "postgres", .help = "The database of roster and users, where they are in one." },
	{ .name = "xmpp", .help = "The stream to the XMPP server." },
	{ .name = "auth", .help = "Who may sign in, and how." },
	{ .name = "audit", .help = "The record of who sees whose data." },
	{ .name = "component", .help = "A component to publish; \"*\" stands for all others.",
	    .item = sizeof(struct conf_component), .items = offsetof(struct conf, components),
	    .n_items = offsetof(struct conf, n_components), .check = conf_is_component,
	    .expected = "a component's name such as \"writing\", or \"*\"" },
	{ .name = "producer", .help = "Who reads events and publishes states from outside.",
	    .item = sizeof(struct conf_producer), .items = offsetof(struct conf, producers),
	    .n_items = offsetof(struct conf, n_producers), .check = conf_is_name,
	    .expected = "a name such as \"counts\"" },
	{ .name = "reader", .help = "Who may read classes without teaching them.",
	    .item = sizeof(struct conf_reader_entry), .items = offsetof(struct conf, readers),
	    .n_items = offsetof(struct conf, n_readers), .check = jid_is_person,
	    .expected = "the JID of a person such as principal@school.example" },
	{ .name = "opt_out", .help = "Whose events are not taken, and what their clients are told.",
	    .item = sizeof(struct conf_opt_out), .items = offsetof(struct conf, opt_outs),
	    .n_items = offsetof(struct conf, n_opt_outs), .check = conf_is_opt_out,
	    .expected = "\"student:ID\", \"class:NAME\", an e-mail domain such as \"school.example\", or "
	    "\"*\"", .shown = conf_opt_out_shown },
};
const size_t conf_n_sections = sizeof conf_sections / sizeof *conf_sections;

_Static_assert(offsetof(struct conf_component, name) == 0, "elements begin with the title");
_Static_assert(offsetof(struct conf_producer, name) == 0, "elements begin with the title");
_Static_assert(offsetof(struct conf_reader_entry, jid) == 0, "elements begin with the title");
_Static_assert(offsetof(struct conf_opt_out, whom) == 0, "elements begin with the title");

const char *
conf_section_shown(const struct conf_section *s, const char *title)
{
	return s->shown != NULL ? s->shown(title) : title;
}

const struct conf_section *
conf_section_find(const char *name)
{
	for (size_t i = 0; i < conf_n_sections; i++)
		if (strcmp(conf_sections[i].name, name) == 0)
			return &conf_sections[i];
	return NULL;
}

const struct conf_row *
conf_row_find(const char *section, const char *name)
{
	for (size_t i = 0; i < conf_n_rows; i++)
		if (strcmp(conf_rows[i].section, section) == 0 &&
		    strcmp(conf_rows[i].name, name) == 0)
			return &conf_rows[i];
	return NULL;
}

/* By memcpy, because the array's type differs from section to section. */
static char *
conf_items(const struct conf *c, const struct conf_section *s)
{
	char *items;

	memcpy(&items, (const char *)c + s->items, sizeof items);
	return items;
}

size_t
conf_section_count(const struct conf *c, const struct conf_section *s)
{
	return s->item == 0 ? 1 : *(const size_t *)(const void *)((const char *)c + s->n_items);
}

void *
conf_section_at(const struct conf *c, const struct conf_section *s, size_t i)
{
	return s->item == 0 ? (void *)c : conf_items(c, s) + i * s->item;
}

void
conf_section_add(struct conf *c, const struct conf_section *s, const char *title)
{
	size_t n = conf_section_count(c, s);
	char *items = mem_realloc(conf_items(c, s), (n + 1) * s->item);
	char *item = items + n * s->item;

	n++;
	memcpy((char *)c + s->items, &items, sizeof items);
	memcpy((char *)c + s->n_items, &n, sizeof n);
	memset(item, 0, s->item);
	*(char **)(void *)item = mem_strdup(title);
	for (size_t i = 0; i < conf_n_rows; i++)
		if (strcmp(conf_rows[i].section, s->name) == 0)
			conf_value_default(&conf_rows[i], item);
}
