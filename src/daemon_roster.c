/* SPDX-License-Identifier: MIT */
/* daemon_roster: the roster that is in force: loaded in the pool, so that a large one
 * or a slow source holds nothing up; loaded anew when its source says that it changed,
 * and, for a roster of all students, when new ones came. */
#include "base/log.h"
#include "base/mem.h"
#include "daemon_priv.h"

#define DAEMON_SEEN_MS 2000      /* between two rosters of all students */
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
	struct roster_options o = daemon_roster_options(d, d->conf);

	d->roster = roster_load(d->conf->roster_backend, &o, why);
	d->seen = o.n_seen;
	daemon_roster_options_free(&o);
	if (d->roster == NULL)
		return false;
	d->seen_timer = loop_timer_new(d->loop, daemon_roster_seen_timer_cb, d);
	daemon_roster_watch(d);
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
	roster_free(d->roster);
}
