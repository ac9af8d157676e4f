/* SPDX-License-Identifier: MIT */
/* conf_check: what a value must look like, and which options go together.
 * Knows nothing of files and syntax. */
#include <arpa/inet.h>
#include <sys/un.h>

#include "base/conf_priv.h"
#include "base/conn.h"
#include "base/date.h"
#include "base/jid.h"
#include "base/mem.h"

#define HOST_MAX 253  /* bytes of a domain name, RFC 1035 §3.1 */
#define PORT_DIGITS 5
#define TIME_LIMIT_DIGITS 15

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define URI_MARKS "-._~:/?#[]@!$&'()*+,;=%"

static bool
check_only(struct str s, const char *bytes)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' || strchr(bytes, s.p[i]) == NULL)
			return false;
	return s.n > 0;
}

bool
conf_is_filled(const char *s)
{
	return s[strspn(s, " \t\n")] != '\0';
}

bool
conf_is_address(const char *s)
{
	unsigned char out[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, s, out) == 1 || inet_pton(AF_INET6, s, out) == 1;
}

/* Labels of letters, digits, hyphens and whatever is beyond ASCII: "a.b-c". */
static bool
check_domain(struct str s)
{
	size_t label = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '.' ? label == 0 : c < 0x80 && !check_only((struct str){ s.p + i, 1 },
		    LOWER UPPER DIGITS "-_"))
			return false;
		label = c == '.' ? 0 : label + 1;
	}
	return label > 0 && s.n <= HOST_MAX;
}

bool
conf_is_domain(const char *s)
{
	return check_domain(str_of(s));
}

bool
conf_is_opt_out(const char *s)
{
	if (str_starts(str_of(s), CONF_OPT_OUT_STUDENT))
		return conf_is_filled(s + strlen(CONF_OPT_OUT_STUDENT));
	if (str_starts(str_of(s), CONF_OPT_OUT_CLASS))
		return conf_is_filled(s + strlen(CONF_OPT_OUT_CLASS));
	return strcmp(s, "*") == 0 || conf_is_domain(s);
}

const char *
conf_opt_out_shown(const char *title)
{
	if (str_starts(str_of(title), CONF_OPT_OUT_STUDENT))
		return CONF_OPT_OUT_STUDENT "...";
	if (str_starts(str_of(title), CONF_OPT_OUT_CLASS))
		return CONF_OPT_OUT_CLASS "...";
	return strcmp(title, "*") == 0 ? "*" : "...";
}

bool
conf_is_name(const char *s)
{
	return check_only(str_of(s), LOWER DIGITS "_-");
}

bool
conf_is_component(const char *s)
{
	return strcmp(s, "*") == 0 || conf_is_name(s);
}

/* "school.example" or "me@school.example", without a resource. */
bool
conf_is_jid(const char *s)
{
	const char *at = strchr(s, '@');

	return at == NULL ? conf_is_domain(s) : jid_is_person(s);
}

/* "component.name" */
bool
conf_is_reducer(const char *s)
{
	const char *dot = strchr(s, '.');

	return dot != NULL && check_only((struct str){ s, (size_t)(dot - s) }, LOWER DIGITS "_") &&
	    check_only(str_of(dot + 1), LOWER DIGITS "_");
}

/* ":8080"; nothing is allowed, too. */
static bool
check_port(struct str s)
{
	if (s.n == 0)
		return true;
	return s.p[0] == ':' && s.n <= 1 + PORT_DIGITS && s.n > 1 && s.p[1] != '0' &&
	    check_only((struct str){ s.p + 1, s.n - 1 }, DIGITS);
}

/* A domain or an address, IPv6 in brackets, and perhaps a port. */
static bool
check_host(struct str s)
{
	char ip[INET6_ADDRSTRLEN + 1];
	const char *end = s.n > 0 ? memchr(s.p, s.p[0] == '[' ? ']' : ':', s.n) : NULL;
	size_t n = end != NULL ? (size_t)(end - s.p) : s.n;

	if (s.n == 0 || s.p[0] != '[')
		return check_domain((struct str){ s.p, n }) &&
		    check_port((struct str){ s.p + n, s.n - n });
	if (end == NULL || n > INET6_ADDRSTRLEN)
		return false;
	memcpy(ip, s.p + 1, n - 1);
	ip[n - 1] = '\0';
	return strchr(ip, ':') != NULL && conf_is_address(ip) &&
	    check_port((struct str){ end + 1, s.n - n - 1 });
}

/* The rest of an ASCII URI (RFC 3986 §2) after its scheme, or NULL when it is none
 * or of another scheme. */
static const char *
check_scheme(const char *uri, const char *scheme)
{
	size_t n = strlen(scheme);

	if (strncmp(uri, scheme, n) != 0 || !check_only(str_of(uri), LOWER UPPER DIGITS URI_MARKS))
		return NULL;
	return uri + n;
}

bool
conf_is_web_uri(const char *s)
{
	const char *rest = check_scheme(s, "https://");

	if (rest == NULL)
		rest = check_scheme(s, "http://");
	return rest != NULL && check_host((struct str){ rest, strcspn(rest, "/?#") });
}

/* One address, as in RFC 6068 §2 and RFC 5122 §2.2, perhaps with a query. */
bool
conf_is_contact(const char *s)
{
	const char *rest = check_scheme(s, "mailto:");
	struct buf address = BUF_INIT(0);
	bool ok;

	if (rest == NULL)
		rest = check_scheme(s, "xmpp:");
	ok = rest == NULL ? conf_is_web_uri(s) :
	    jid_bare((struct str){ rest, strcspn(rest, "?") }, &address);
	buf_free(&address);
	return ok;
}

bool
conf_is_host(const char *s)
{
	return check_host(str_of(s));
}

/* RFC 6454 §6.2, as browsers write it. */
bool
conf_is_origin(const char *s)
{
	const char *host = strstr(s, "://");

	if (host == NULL || strpbrk(s, UPPER) != NULL)
		return false;
	if (*s < 'a' || *s > 'z' ||
	    !check_only((struct str){ s, (size_t)(host - s) }, LOWER DIGITS "+-."))
		return false;
	return check_host(str_of(host + 3));
}

bool
conf_is_time_limit(const char *s)
{
	static const char *const words[] = { "MINUTES", "DAYS", "PERMANENT" };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(s, words[i]) == 0)
			return true;
	return check_only(str_of(s), DIGITS) && strlen(s) <= TIME_LIMIT_DIGITS;
}

bool
conf_is_until(const char *s)
{
	int64_t us;
	bool day;

	return date_read(str_of(s), &us, &day);
}

bool
conf_is_socket_path(const char *s)
{
	return strlen(s) < sizeof ((struct sockaddr_un *)NULL)->sun_path;
}

bool
conf_is_redis(const char *s)
{
	char *host = NULL;
	int port;
	bool ok = conn_address(s, 1, &host, &port) && (host[0] != '/' || conf_is_socket_path(host));

	mem_free(host);
	return ok;
}

bool
conf_is_loopback(const char *host)
{
	unsigned char v4[4];
	struct in6_addr v6;

	if (host[0] == '/' || strcmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, v4) == 1)
		return v4[0] == 127;
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* ---- options that go together ---- */

struct check {
	const struct conf *c;
	struct conf_causes *causes;
	conf_line_fn line;
	void *arg;
};

static int
check_line(const struct check *k, const char *section, size_t i, const char *name)
{
	return k->line(k->arg, section, i, name);
}

/* Line 0 where the option could not have stood anywhere. */
static void
check_required_in(const struct check *k, const struct conf_section *s, size_t i)
{
	const void *base = conf_section_at(k->c, s, i);

	for (size_t r = 0; r < conf_n_rows; r++) {
		const struct conf_row *row = &conf_rows[r];

		if (!row->required || strcmp(row->section, s->name) != 0 ||
		    check_line(k, s->name, i, row->name) != 0)
			continue;
		if (s->item > 0)
			conf_cause(k->causes, check_line(k, s->name, i, NULL),
			    "%s \"%s\" has no %s, expected %s = ...: %s", s->name,
			    conf_section_shown(s, *(char *const *)base), row->name, row->name,
			    row->help);
		else if (s->name[0] != '\0')
			conf_cause(k->causes, check_line(k, s->name, i, NULL),
			    "%s.%s is missing, expected %s { %s = ... }: %s", s->name, row->name,
			    s->name, row->name, row->help);
		else
			conf_cause(k->causes, 0, "%s is missing, expected %s = ...: %s", row->name,
			    row->name, row->help);
	}
}

static void
check_required(const struct check *k)
{
	for (size_t s = 0; s < conf_n_sections; s++)
		for (size_t i = 0; i < conf_section_count(k->c, &conf_sections[s]); i++)
			check_required_in(k, &conf_sections[s], i);
}

static void
check_tls(const struct check *k)
{
	if ((k->c->tls_certificate == NULL) == (k->c->tls_key == NULL))
		return;
	if (k->c->tls_key == NULL)
		conf_cause(k->causes, check_line(k, "listen", 0, "tls_certificate"),
		    "listen.tls_certificate without tls_key, expected both or neither");
	else
		conf_cause(k->causes, check_line(k, "listen", 0, "tls_key"),
		    "listen.tls_key without tls_certificate, expected both or neither");
}

static void
check_token(const struct check *k)
{
	const struct conf_list *methods = &k->c->methods;

	for (size_t i = 0; i < methods->n && k->c->token_key_file == NULL; i++)
		if (strcmp(methods->v[i], "token") == 0) {
			conf_cause(k->causes, check_line(k, "identity", 0, "methods"),
			    "identity.methods has \"token\" without a key, "
			    "expected token_key_file = ...");
			return;
		}
}

static void
check_roster(const struct check *k)
{
	const struct conf *c = k->c;
	const char *backend = c->roster_backend;
	bool all = strcmp(backend, "all") == 0;

	if (c->roster_file == NULL && !all && strcmp(backend, "postgres") != 0 &&
	    check_line(k, "roster", 0, "file") == 0)
		conf_cause(k->causes, check_line(k, "roster", 0, NULL),
		    "roster.file is missing, expected roster { file = ... }: where the backend \"%s\" "
		    "reads who teaches and who attends which class", backend);
	if (strcmp(backend, "postgres") == 0 && c->postgres_conninfo == NULL)
		conf_cause(k->causes, check_line(k, "roster", 0, "backend"),
		    "roster.backend \"postgres\" without a database, expected postgres { conninfo = ... }");
	if (all && c->roster_admins.n == 0 && check_line(k, "roster", 0, "admins") == 0)
		conf_cause(k->causes, check_line(k, "roster", 0, "backend"),
		    "roster.backend \"all\" without admins, expected admins = { ... }: who sees every "
		    "student");
}

/* Producers and components in processes of their own reach the daemon through the
 * XMPP server, and a component of the daemon. */
static void
check_producers(const struct check *k)
{
	const struct conf *c = k->c;
	const char *section = "producer";
	size_t here = 0, first = 0, n = c->n_producers;

	for (size_t i = 0; i < c->n_components; i++) {
		bool own = strcmp(c->components[i].process, "own") == 0;

		here += !own;
		if (own && strcmp(c->components[i].name, "*") == 0)
			conf_cause(k->causes, check_line(k, "component", i, "process"),
			    "component \"*\" cannot have a process of its own, expected it for a "
			    "component by its name");
		if (own && n++ == 0) {
			section = "component";
			first = i;
		}
	}
	if (n == 0)
		return;
	if (c->xmpp_host[0] == '\0')
		conf_cause(k->causes, check_line(k, section, first, NULL),
		    "a process of its own needs the XMPP server, expected xmpp { host = ... }");
	else if (here == 0)
		conf_cause(k->causes, check_line(k, section, first, NULL),
		    "a process of its own needs a component of the daemon to talk to, "
		    "expected component \"*\" { jid = ... secret_file = ... }");
}

static void
check_xmpp(const struct check *k)
{
	const struct conf *c = k->c;
	int line = check_line(k, "xmpp", 0, "host");

	if (c->xmpp_host[0] == '\0')
		return;
	if (!c->xmpp_insecure_ok && !conf_is_loopback(c->xmpp_host))
		conf_cause(k->causes, line,
		    "xmpp.host \"%s\" is another machine and the stream to it is not encrypted, "
		    "expected 127.0.0.1, ::1, localhost, the path of a socket, or "
		    "insecure_ok = true", c->xmpp_host);
	if (c->xmpp_server == NULL && check_line(k, "xmpp", 0, "server") == 0)
		conf_cause(k->causes, line, "xmpp.host without server, expected server = ...: the "
		    "server's domain");
	if (c->n_components == 0)
		conf_cause(k->causes, line, "xmpp.host without any component, "
		    "expected component \"*\" { jid = ... secret_file = ... }");
	for (size_t i = 0; i < c->n_components; i++)
		if (c->components[i].secret_file == NULL)
			conf_cause(k->causes, check_line(k, "component", i, NULL),
			    "component \"%s\" has no secret_file, expected secret_file = ...: "
			    "xmpp.host is set", c->components[i].name);
}

static void
check_redis(const struct check *k)
{
	const struct conf *c = k->c;
	char *host = NULL;
	int port;

	if (conn_address(c->redis_address, 1, &host, &port) && !c->redis_insecure_ok &&
	    !conf_is_loopback(host))
		conf_cause(k->causes, check_line(k, "redis", 0, "address"),
		    "redis.address \"%s\" is another machine and the connection to it is not encrypted, "
		    "expected 127.0.0.1, ::1, localhost, unix:/path, or insecure_ok = true",
		    c->redis_address);
	mem_free(host);
	if (c->redis_user != NULL && c->redis_password_file == NULL)
		conf_cause(k->causes, check_line(k, "redis", 0, "user"),
		    "redis.user without a password, expected password_file = ...");
}

/* What goes out of memory must be somewhere else. */
static void
check_kvs(const struct check *k)
{
	if (k->c->state_cache > 0 && strcmp(k->c->kvs_backend, "memory") == 0)
		conf_cause(k->causes, check_line(k, "kvs", 0, "state_cache"),
		    "kvs.state_cache lets states out of memory, and backend \"memory\" has no other "
		    "place for them, expected another backend or state_cache = 0");
}

static void
check_follow(const struct check *k)
{
	const struct conf_list *names = &k->c->pubsub_stores;

	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->v[i], "redis") == 0)
			return;
	if (k->c->pubsub_follow)
		conf_cause(k->causes, check_line(k, "pubsub", 0, "follow"),
		    "pubsub.follow without a Redis to follow, expected backends = { \"redis\" }");
}

static void
check_control(const struct check *k)
{
	if (k->c->control != NULL && !conf_is_socket_path(k->c->control))
		conf_cause(k->causes, check_line(k, "", 0, "state_dir"),
		    "state_dir is too long for lectern.sock in it, expected a shorter one or "
		    "control = ...");
}

/* The value is not part of the cause: what is wrong with it is a secret. libpq has
 * the last word. */
static void
check_postgres(const struct check *k)
{
	const char *s = k->c->postgres_conninfo;
	const char *user = s != NULL ? strstr(s, "://") : NULL;
	const char *at = user != NULL ? strchr(user, '@') : NULL;

	if ((s != NULL && strstr(s, "password") != NULL) ||
	    (at != NULL && memchr(user + 3, ':', (size_t)(at - user - 3)) != NULL))
		conf_cause(k->causes, check_line(k, "postgres", 0, "conninfo"),
		    "postgres.conninfo holds a password, expected it in a file of its own: "
		    "password_file = ...");
}

static void
check_auth(const struct check *k)
{
	static const struct check_need {
		const char *backend, *option;
		size_t offset;
	} needs[] = {
		{ "file", "file = ... beside it", offsetof(struct conf, auth_file) },
		{ "sqlite", "database = ... beside it", offsetof(struct conf, auth_database) },
		{ "postgres", "postgres { conninfo = ... }", offsetof(struct conf, postgres_conninfo) },
		{ "xmpp", "domain = ... beside it", offsetof(struct conf, auth_domain) },
	};
	const struct conf_list *names = &k->c->auth_backends;

	for (size_t i = 0; i < names->n; i++)
		for (size_t j = 0; j < sizeof needs / sizeof *needs; j++)
			if (strcmp(names->v[i], needs[j].backend) == 0 &&
			    *(char *const *)(const void *)((const char *)k->c + needs[j].offset) == NULL)
				conf_cause(k->causes, check_line(k, "auth", 0, "backends"),
				    "auth.backends has \"%s\", expected %s",
				    needs[j].backend, needs[j].option);
}

void
conf_check(const struct conf *c, struct conf_causes *causes, conf_line_fn line, void *arg)
{
	struct check k = { c, causes, line, arg };

	check_required(&k);
	check_tls(&k);
	check_token(&k);
	check_roster(&k);
	check_kvs(&k);
	check_redis(&k);
	check_xmpp(&k);
	check_auth(&k);
	check_postgres(&k);
	check_producers(&k);
	check_control(&k);
	check_follow(&k);
}
