/* SPDX-License-Identifier: MIT */
/* optout: which students' events may be taken at all: rules for a student, a
 * class or an e-mail domain, some only until a date. Asked before anything
 * reaches the disk. */
#ifndef LECTERN_STATE_OPTOUT_H
#define LECTERN_STATE_OPTOUT_H

#include "base/conf.h"
#include "state/roster.h"

enum optout_action { OPTOUT_TRANSMIT, OPTOUT_MAINTAIN, OPTOUT_DROP };

struct optout_rule {
	enum optout_action action;
	const char *action_name;
	const char *time_limit; /* MINUTES, DAYS, PERMANENT; NULL: limit_ms */
	uint64_t limit_ms;
	const char *message;
};

struct optout;

/* The rules of c, their students found in r by any name they are known by; r may
 * be NULL. A class that r does not have is told in the log. Borrows both until
 * optout_free. NULL when there is no rule. */
struct optout *optout_new(const struct conf *c, const struct roster *r);
void optout_free(struct optout *o);

/* Whom to ask about; what is not known is empty. */
struct optout_who {
	struct str id;      /* safe_user_id */
	struct str user_id; /* as it was claimed, */
	struct str shown;   /* and percent-encoded, before the roster's id took its place */
	struct str email;
	bool unheard;       /* may yet show an address: its domain is not judged */
};

/* The closest rule that holds at this time: the student's, one of the student's
 * classes, the e-mail domain's and those above it, "*"; TRANSMIT when there is
 * none. Of rules that are as close the strictest, DROP before MAINTAIN before
 * TRANSMIT, and of these the first of the file. o may be NULL. */
struct optout_rule optout_find(const struct optout *o, const struct optout_who *who,
    int64_t now_us);

/* When the next rule ends after now_us; INT64_MAX when none will. o may be NULL. */
int64_t optout_next(const struct optout *o, int64_t now_us);

#endif
