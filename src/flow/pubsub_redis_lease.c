/* SPDX-License-Identifier: MIT */
/* pubsub_redis_lease: one daemon alone publishes under a prefix. Who does has the key
 * lectern:publisher for a while, and prolongs it as long as it lives; who finds
 * somebody else's name there publishes nothing, says so, and looks again later. One
 * that was killed is out of it when the time is over, one that ends takes it away.
 *
 * A key that has gone although it was ours also says that this Redis lost what it had
 * without losing the link: then everything is published anew. */
#include "flow/pubsub_redis_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/crypt.h"

#define LEASE_MS 6000
#define LEASE_TEXT "6000"
#define LEASE_RENEW_MS (LEASE_MS / 3)
#define LEASE_RANDOM 16
#define LEASE_SHOWN 100 /* bytes of another's name, in messages */

static struct str
rps_lease_key(struct rps *s)
{
	return rps_name(s, "publisher", STR_LIT(""));
}

/* Nobody else's: random bytes, and for people where it is. */
void
rps_lease_write(struct rps *s)
{
	struct buf b = BUF_INIT(0);
	uint8_t random[LEASE_RANDOM];
	char host[64] = "";

	crypt_random(random, sizeof random);
	crypt_hex(&b, random, sizeof random);
	if (gethostname(host, sizeof host - 1) != 0)
		host[0] = '\0';
	buf_printf(&b, " process %jd on %s", (intmax_t)getpid(), host);
	mem_free(s->name);
	s->name = buf_take(&b);
	s->writes = true;
}

bool
rps_lease_held(const struct rps *s)
{
	return loop_now_ms(s->loop) < s->lease_until_ms;
}

/* ---- what Redis says ---- */

static void
rps_lease_mine(struct rps *s, bool taken)
{
	s->lease_until_ms = s->lease_asked_ms + LEASE_MS;
	s->conflict = false;
	loop_timer_once(s->renew, taken && s->up ? 0 : LEASE_RENEW_MS);
	if (taken && s->up)
		rps_down(s, "Redis has lost what was published, all of it is published anew");
	else if (!s->up)
		rps_rise(s);
	else
		rps_room(s);
}

/* Of its name the part for people. */
static void
rps_lease_anothers(struct rps *s, struct str name)
{
	const char *space = memchr(name.p, ' ', name.n);
	size_t from = space != NULL ? (size_t)(space + 1 - name.p) : name.n;
	size_t n = name.n - from < LEASE_SHOWN ? name.n - from : LEASE_SHOWN;
	char *why = mem_printf("another daemon (%.*s) publishes under redis.prefix \"%s\": stop one of "
	    "the two, give it a prefix of its own, or let it follow (pubsub.follow)",
	    (int)n, name.p + from, s->prefix);

	s->lease_until_ms = 0;
	s->conflict = true;
	loop_timer_once(s->renew, LEASE_MS);
	rps_down(s, why);
	mem_free(why);
}

/* Neither ours nor another's: it ran out in between, or Redis does not take it. */
static void
rps_lease_nobodys(struct rps *s, struct str error)
{
	char *why = error.n > 0 ? rps_trouble_of(error) : NULL;

	loop_timer_once(s->renew, LEASE_RENEW_MS);
	if (why != NULL)
		rps_down(s, why);
	mem_free(why);
}

static void
rps_lease_set_cb(void *arg, const struct redis_reply *r)
{
	struct rps *s = arg;

	mem_free(s->lease_error);
	s->lease_error = r != NULL && r->type == REDIS_ERROR ? mem_str(r->text) : NULL;
	s->lease_taken = r != NULL && r->type == REDIS_TEXT;
}

static void
rps_lease_get_cb(void *arg, const struct redis_reply *r)
{
	struct rps *s = arg;

	s->lease_asked = false;
	if (r == NULL)
		return; /* the link is lost */
	if (r->type == REDIS_TEXT && str_is(r->text, s->name))
		rps_lease_mine(s, s->lease_taken);
	else if (r->type == REDIS_TEXT)
		rps_lease_anothers(s, r->text);
	else
		rps_lease_nobodys(s, r->type == REDIS_ERROR ? r->text :
		    str_of(s->lease_error));
}

/* ---- asking ---- */

/* Prolonging another's by mistake does no harm. */
static void
rps_lease_prolong(struct rps *s)
{
	struct str words[] = { STR_LIT("PEXPIRE"), rps_lease_key(s), STR_LIT(LEASE_TEXT) };

	redis_command(s->link, words, 3, NULL, NULL);
}

static void
rps_lease_ask(struct rps *s)
{
	struct str set[] = { STR_LIT("SET"), { NULL, 0 }, str_of(s->name), STR_LIT("NX"),
		STR_LIT("PX"), STR_LIT(LEASE_TEXT) };
	struct str get[] = { STR_LIT("GET"), { NULL, 0 } };

	if (s->lease_asked || !redis_link_up(s->link))
		return;
	s->lease_asked = true;
	s->lease_asked_ms = loop_now_ms(s->loop);
	if (rps_lease_held(s))
		rps_lease_prolong(s);
	set[1] = rps_lease_key(s);
	redis_command(s->link, set, 6, rps_lease_set_cb, s);
	get[1] = rps_lease_key(s);
	redis_command(s->link, get, 2, rps_lease_get_cb, s);
}

void
rps_lease_renew_cb(void *arg)
{
	rps_lease_ask(arg);
}

/* Whoever was there first comes first, also when both lost a Redis that forgot. */
void
rps_lease_want(struct rps *s)
{
	if (s->conflict)
		loop_timer_once(s->renew, LEASE_MS);
	else
		rps_lease_ask(s);
}

void
rps_lease_end(struct rps *s)
{
	struct str words[] = { STR_LIT("DEL"), rps_lease_key(s) };

	if (s->link != NULL && redis_link_up(s->link) && rps_lease_held(s))
		redis_command(s->link, words, 2, NULL, NULL);
}
