/* SPDX-License-Identifier: MIT */
/* roster_all: one class of every student who ever sent an event, taught by the
 * configured admins: what a pilot starts with, before anybody has a roster. */
#include "state/roster_priv.h"

#define ALL_CLASS "all"
#define ALL_TITLE "All Students" /* as the reference calls it */

static bool
all_admins(struct roster *r, const struct conf *conf, const char **wrong)
{
	for (size_t i = 0; conf != NULL && i < conf->roster_admins.n; i++)
		if (roster_add(r, &(struct roster_row){ .role = ROSTER_TEACHER,
		    .class = STR_LIT(ALL_CLASS), .title = STR_LIT(ALL_TITLE),
		    .jid = str_of(conf->roster_admins.v[i]) }, wrong) != ERR_OK)
			return false;
	return true;
}

/* An id that a client chose may be nothing that a roster can hold; its student is
 * then in no class. */
static void
all_students(struct roster *r, const struct roster_options *o)
{
	const char *wrong;

	for (size_t i = 0; i < o->n_seen; i++)
		if (roster_add(r, &(struct roster_row){ .role = ROSTER_STUDENT,
		    .class = STR_LIT(ALL_CLASS), .title = STR_LIT(ALL_TITLE), .id = o->seen[i] },
		    &wrong) != ERR_OK)
			roster_note(r, "a student who was seen is left out: %s", wrong);
}

static struct roster *
all_load(const struct roster_options *o, char **why)
{
	struct roster *r = roster_begin(o);
	struct roster_options pilot = *o;
	const char *wrong;

	pilot.allow_empty = true; /* it begins so */
	r->ids_as_shown = true;
	if (all_admins(r, o->conf, &wrong)) {
		all_students(r, o);
		return roster_finish(r, &pilot, "roster \"all\"", why);
	}
	*why = mem_printf("roster.admins: %s", wrong);
	roster_free(r);
	return NULL;
}

const struct roster_backend roster_all = { .name = "all", .load = all_load };
