/* SPDX-License-Identifier: MIT */
/* daemon_roster: the roster that is in force: loaded in the pool, so that a large one
 * or a slow source holds nothing up; loaded anew when its source says that it changed,
 * and, for a roster of all students, when new ones came. */
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon_priv.h"
#include "state/roster_copy.h"

#define DAEMON_SEEN_MS 2000      /* between two rosters of all students */
#define DAEMON_AGAIN_MS 5000     /* after a roster that could not be read; doubles */
#define DAEMON_AGAIN_MAX_MS (UINT64_C(300) * 1000)
#define DAEMON_SEEN_PER_SECOND 50000 /* and a second more for so many of them */

/* ---- who was seen ---- */

static bool
daemon_roster_is_all(const struct conf *c)
{
	return strcmp(c->roster_backend, "all") == 0;
}

static void
daemon_roster_seen_cb(void *arg, const struct student *s)
{
	struct roster_options *o = arg;

	((struct str *)(uintptr_t)o->seen)[o->n_seen++] = str_of(mem_strdup(s->id));
}

struct roster_options
daemon_roster_options(const struct daemon *d, const struct conf *c)
{
	struct roster_options o = roster_options_of(c, str_of(d->key));

	if (daemon_roster_is_all(c)) {
		o.seen = mem_alloc((engine_students(d->engine) + 1) * sizeof *o.seen);
		engine_each_student(d->engine, daemon_roster_seen_cb, &o);
	}
	return o;
}

void
daemon_roster_options_free(struct roster_options *o)
{
	for (size_t i = 0; i < o->n_seen; i++)
		mem_free((char *)(uintptr_t)o->seen[i].p);
	mem_free((struct str *)(uintptr_t)o->seen);
	o->seen = NULL;
	o->n_seen = 0;
}

static void
daemon_roster_seen_timer_cb(void *arg)
{
	daemon_refresh(arg);
}

void
daemon_roster_seen(struct daemon *d)
{
	if (daemon_roster_is_all(d->conf) && engine_students(d->engine) > d->seen &&
	    !loop_timer_armed(d->seen_timer))
		loop_timer_once(d->seen_timer, DAEMON_SEEN_MS +
		    d->seen * 1000 / DAEMON_SEEN_PER_SECOND);
}

/* ---- what the source says ---- */

static void
daemon_roster_changed_cb(void *arg)
{
	daemon_refresh(arg);
}

void
daemon_roster_watch(struct daemon *d)
{
	struct roster_options o = roster_options_of(d->conf, str_of(d->key));
	char *why = NULL;

	if (d->watched != NULL)
		d->watched->close(d->watch);
	d->watch = NULL;
	d->watched = roster_backend(d->conf->roster_backend, &why);
	if (d->watched != NULL && d->watched->watch != NULL)
		d->watch = d->watched->watch(d->loop, &o, daemon_roster_changed_cb, d, &why);
	if (d->watch == NULL)
		d->watched = NULL;
	if (why != NULL)
		log_warning("roster: its changes are not noticed, only a reload reads them: %s", why);
	mem_free(why);
}

static bool
daemon_same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool
daemon_roster_same(const struct conf *a, const struct conf *b)
{
	return strcmp(a->roster_backend, b->roster_backend) == 0 &&
	    daemon_same_text(a->roster_file, b->roster_file) &&
	    daemon_same_text(a->postgres_conninfo, b->postgres_conninfo) &&
	    daemon_same_text(a->postgres_password_file, b->postgres_password_file) &&
	    a->postgres_timeout == b->postgres_timeout;
}

/* ---- a source that cannot be read ---- */

static void
daemon_roster_again_cb(void *arg)
{
	daemon_refresh(arg);
}

void
daemon_roster_retry(struct daemon *d)
{
	loop_timer_once(d->again, loop_backoff(DAEMON_AGAIN_MS, d->tries++, DAEMON_AGAIN_MAX_MS));
}

char *
daemon_roster_trouble(const struct daemon *d, const char *why)
{
	return d->copy_of[0] == '\0' ? mem_strdup(why) :
	    mem_printf("the roster cannot be read, and a copy of %s is in force until it can: %s",
	    d->copy_of, why);
}

/* The roster as it was when the source could be read last. why says why it cannot now. */
static bool
daemon_roster_copy(struct daemon *d, const struct roster_options *o, const char *why, char **none)
{
	int64_t put_s = 0;
	struct tm tm;

	d->roster = roster_copy_get(d->conf->roster_backend, o, &put_s, none);
	if (d->roster == NULL)
		return false;
	gmtime_r(&(time_t){ put_s }, &tm);
	strftime(d->copy_of, sizeof d->copy_of, "%Y-%m-%dT%H:%M:%SZ", &tm);
	d->reload_error = daemon_roster_trouble(d, why);
	d->error_of_roster = true;
	log_error("%s", d->reload_error);
	daemon_roster_retry(d);
	return true;
}

void
daemon_roster_uncopied(const char *why)
{
	if (why != NULL)
		log_warning("no copy of the roster could be kept for a start without its source: %s", why);
}

/* Reads the roster, or takes the copy. */
static bool
daemon_roster_first(struct daemon *d, char **why)
{
	struct roster_options o = daemon_roster_options(d, d->conf);
	char *first = NULL, *none = NULL;

	d->roster = roster_load(d->conf->roster_backend, &o, &first);
	if (d->roster != NULL) {
		roster_copy_put(d->conf->roster_backend, &o, d->roster, &none);
		daemon_roster_uncopied(none);
	} else if (!daemon_roster_copy(d, &o, first, &none)) {
		*why = mem_printf("%s%s%s", first, none != NULL ? "; and " : "", none != NULL ? none : "");
	}
	mem_free(first);
	mem_free(none);
	d->seen = o.n_seen;
	daemon_roster_options_free(&o);
	return d->roster != NULL;
}

/* ---- begin and end ---- */

void
daemon_roster_say(const struct daemon *d)
{
	if (roster_noted(d->roster) > 0)
		log_notice("roster: rows that lead nowhere, or are odd: %zu; `lecternctl roster check` "
		    "names them", roster_noted(d->roster));
}

bool
daemon_roster(struct daemon *d, char **why)
{
	d->seen_timer = loop_timer_new(d->loop, daemon_roster_seen_timer_cb, d);
	d->again = loop_timer_new(d->loop, daemon_roster_again_cb, d);
	daemon_roster_watch(d); /* before it is read: what changes then is read again */
	if (!daemon_roster_first(d, why))
		return false;
	daemon_roster_say(d);
	return true;
}

void
daemon_roster_free(struct daemon *d)
{
	if (d->watched != NULL)
		d->watched->close(d->watch);
	d->watched = NULL;
	loop_timer_free(d->seen_timer);
	loop_timer_free(d->again);
	roster_free(d->roster);
}
