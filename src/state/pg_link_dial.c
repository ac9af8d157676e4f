/* SPDX-License-Identifier: MIT */
/* pg_link_dial: from conninfo to a connection. Names are looked up in the pool:
 * libpq would do it on the loop. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>

#include "base/crypt.h"
#include "base/log.h"
#include "base/mem.h"
#include "state/pg_link_priv.h"

#define PG_ADDRESSES_MAX 16

/* ---- conninfo ---- */

static const char *
pg_value(const PQconninfoOption *all, const char *key)
{
	for (; all->keyword != NULL; all++)
		if (strcmp(all->keyword, key) == 0)
			return all->val != NULL && *all->val != '\0' ? all->val : NULL;
	return NULL;
}

static bool
pg_is_name(const char *host)
{
	struct in6_addr a;

	return *host != '/' && *host != '@' && inet_pton(AF_INET, host, &a) != 1 &&
	    inet_pton(AF_INET6, host, &a) != 1;
}

char *
pg_conninfo_wrong(const char *conninfo)
{
	char *text = NULL, *why = NULL;
	PQconninfoOption *all = PQconninfoParse(conninfo, &text);
	const char *host;

	if (all == NULL) {
		why = pg_one_line(text != NULL ? text : "out of memory");
		PQfreemem(text);
		return why;
	}
	host = pg_value(all, "host");
	if (pg_value(all, "password") != NULL)
		why = mem_strdup("it holds a password, which ps and core files would show; put it into "
		    "password_file");
	else if (host != NULL && strchr(host, ',') != NULL && pg_value(all, "hostaddr") == NULL)
		why = mem_strdup("several hosts need hostaddr=, too: their addresses in the same order");
	PQconninfoFree(all);
	return why;
}

/* Whether nobody stands between us and a host. */
static bool
pg_host_is_local(const char *host)
{
	struct in6_addr six;
	struct in_addr four;

	if (inet_pton(AF_INET, host, &four) == 1)
		return (ntohl(four.s_addr) >> 24) == 127;
	if (inet_pton(AF_INET6, host, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six);
	return *host == '\0' || *host == '/' || *host == '@' || strcmp(host, "localhost") == 0;
}

/* Of addresses and names with commas between them, every one. */
static bool
pg_hosts_are_local(const char *hosts)
{
	char *all = mem_strdup(hosts), *rest = all, *one;
	bool local = true;

	while (local && (one = strsep(&rest, ",")) != NULL)
		local = pg_host_is_local(one);
	mem_free(all);
	return local;
}

/* host and hostaddr where they are; the environment stands in for each. What a service
 * file says is not known here. */
bool
pg_conninfo_local(const char *conninfo)
{
	static const char *const keys[][2] = { { "host", "PGHOST" }, { "hostaddr", "PGHOSTADDR" } };
	PQconninfoOption *all = PQconninfoParse(conninfo, NULL);
	bool local = all != NULL && pg_value(all, "service") == NULL && getenv("PGSERVICE") == NULL;

	for (size_t i = 0; local && i < 2; i++) {
		const char *hosts = pg_value(all, keys[i][0]);

		hosts = hosts != NULL ? hosts : getenv(keys[i][1]);
		local = hosts == NULL || pg_hosts_are_local(hosts);
	}
	PQconninfoFree(all);
	return local;
}

/* ---- the connection ---- */

/* What the server tells beside answers quotes tables and rows at times: not for the log. */
static void
pg_notice_cb(void *arg, const PGresult *r)
{
	const char *sqlstate = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	(void)arg;
	log_debug("postgres notice sqlstate=%s", sqlstate != NULL ? sqlstate : "");
}

/* libpq may close its socket for another one within a step: ours must not watch
 * it then. */
void
pg_connect_step(struct pg_link *k)
{
	PostgresPollingStatusType next;

	loop_poll_free(k->poll);
	k->poll = NULL;
	next = PQconnectPoll(k->pg);
	if (next == PGRES_POLLING_FAILED) {
		pg_down_by_libpq(k, "cannot connect");
		return;
	}
	k->poll = loop_poll_new(k->loop, PQsocket(k->pg), pg_poll_cb, k);
	if (next == PGRES_POLLING_OK)
		pg_prepare(k);
	else
		loop_poll_want(k->poll, next == PGRES_POLLING_READING, next == PGRES_POLLING_WRITING);
}

enum { PG_PAIRS = 8 };

struct pg_pairs {
	const char *keys[PG_PAIRS + 1], *values[PG_PAIRS + 1]; /* both end in NULL */
	size_t n;
};

static void
pg_pair(struct pg_pairs *p, const char *key, const char *value)
{
	if (value == NULL)
		return;
	p->keys[p->n] = key;
	p->values[p->n++] = value;
}

/* What stands before conninfo is overridden by it, what stands behind overrides it.
 * libpq answers at once: every address is a number. */
static PGconn *
pg_start(const struct pg_link *k, const struct pg_lookup *q, const char *password)
{
	struct pg_pairs p = { .n = 0 };

	pg_pair(&p, "sslmode", pg_conninfo_local(k->conninfo) ? "prefer" : "require");
	pg_pair(&p, "fallback_application_name", "lectern");
	pg_pair(&p, "dbname", k->conninfo);
	pg_pair(&p, "client_encoding", "UTF8");
	pg_pair(&p, "host", q != NULL ? q->hosts.data : NULL);
	pg_pair(&p, "hostaddr", q != NULL ? q->addresses.data : NULL);
	pg_pair(&p, "password", password);
	return PQconnectStartParams(p.keys, p.values, 1);
}

static void
pg_dial(struct pg_link *k, const struct pg_lookup *q)
{
	char *why = NULL, *password = NULL;

	if (k->password_file != NULL &&
	    (password = crypt_password_read(k->password_file, &why)) == NULL) {
		pg_down(k, why);
		return;
	}
	k->pg = pg_start(k, q, password);
	if (password != NULL)
		mem_wipe(password, strlen(password));
	mem_free(password);
	if (k->pg == NULL || PQstatus(k->pg) == CONNECTION_BAD) {
		pg_down_by_libpq(k, "cannot connect");
		return;
	}
	PQsetNoticeReceiver(k->pg, pg_notice_cb, NULL);
	k->state = PG_CONNECTING;
	loop_timer_once(k->timer, (uint64_t)k->timeout_s * 1000);
	k->poll = loop_poll_new(k->loop, PQsocket(k->pg), pg_poll_cb, k);
	loop_poll_want(k->poll, false, true);
}

/* ---- names ---- */

static void
pg_lookup_free(struct pg_lookup *q)
{
	mem_free(q->host);
	buf_free(&q->hosts);
	buf_free(&q->addresses);
	mem_free(q);
}

static void
pg_lookup_work(void *arg)
{
	struct pg_lookup *q = arg;
	struct addrinfo want = { .ai_socktype = SOCK_STREAM }, *all = NULL;
	char text[NI_MAXHOST];
	int n = 0;

	q->error = getaddrinfo(q->host, NULL, &want, &all);
	for (struct addrinfo *a = all; q->error == 0 && a != NULL && n < PG_ADDRESSES_MAX; a = a->ai_next) {
		if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) != 0)
			continue;
		buf_printf(&q->hosts, "%s%s", n > 0 ? "," : "", q->host);
		buf_printf(&q->addresses, "%s%s", n > 0 ? "," : "", text);
		n++;
	}
	if (all != NULL)
		freeaddrinfo(all);
}

static void
pg_lookup_done(void *arg)
{
	struct pg_lookup *q = arg;
	struct pg_link *k = q->link;

	if (k != NULL) {
		k->lookup = NULL;
		if (q->addresses.len == 0) {
			pg_down(k, mem_printf("PostgreSQL: the host %s is not found (%s); check "
			    "postgres.conninfo and the name server", q->host, gai_strerror(q->error)));
		} else {
			buf_byte(&q->hosts, '\0');
			buf_byte(&q->addresses, '\0');
			pg_dial(k, q);
		}
	}
	pg_lookup_free(q);
}

static void
pg_resolve(struct pg_link *k, const char *host)
{
	struct pg_lookup *q;

	MEM_NEW(q);
	q->link = k;
	q->host = mem_strdup(host);
	q->hosts = BUF_INIT(0);
	q->addresses = BUF_INIT(0);
	k->state = PG_RESOLVING; /* the resolver has its own time limit */
	k->lookup = q;
	loop_pool(k->loop, pg_lookup_work, pg_lookup_done, q);
}

/* ---- an attempt ---- */

void
pg_attempt(struct pg_link *k)
{
	char *wrong = pg_conninfo_wrong(k->conninfo);
	PQconninfoOption *all = wrong == NULL ? PQconninfoParse(k->conninfo, NULL) : NULL;
	const char *host = all != NULL ? pg_value(all, "host") : NULL;

	if (wrong != NULL)
		pg_down(k, mem_printf("postgres.conninfo: %s", wrong));
	else if (host != NULL && pg_value(all, "hostaddr") == NULL && pg_is_name(host))
		pg_resolve(k, host);
	else
		pg_dial(k, NULL);
	PQconninfoFree(all);
	mem_free(wrong);
}

