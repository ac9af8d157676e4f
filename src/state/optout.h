/* SPDX-License-Identifier: MIT */
/* optout: which students' events may be taken at all, by e-mail domain.
 * Asked before anything reaches the disk. */
#ifndef LECTERN_STATE_OPTOUT_H
#define LECTERN_STATE_OPTOUT_H

#include "base/conf.h"
#include "base/str.h"

enum optout_action { OPTOUT_TRANSMIT, OPTOUT_MAINTAIN, OPTOUT_DROP };

struct optout_rule {
	enum optout_action action;
	const char *action_name;
	const char *time_limit; /* MINUTES, DAYS, PERMANENT or digits */
	const char *message;
};

/* The rule for an e-mail address (empty when the event has none): the most
 * specific of its domain, the domains above it, and "*"; TRANSMIT when none
 * is configured. Compared without regard to case. Borrowed from c. */
struct optout_rule optout_find(const struct conf *c, struct str email);

#endif
