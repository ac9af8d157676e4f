/* SPDX-License-Identifier: MIT */
/* optout: see optout.h. */
#include "state/optout.h"

#include <strings.h>

/* What an address is compared by: all after the last '@', without the dot that
 * a fully qualified name may end in. Empty when there is none. */
static struct str
optout_domain(struct str email)
{
	struct str domain = { NULL, 0 };

	for (size_t i = email.n; i > 0 && domain.p == NULL; i--)
		if (email.p[i - 1] == '@')
			domain = (struct str){ email.p + i, email.n - i };
	while (domain.n > 0 && (domain.p[domain.n - 1] == '.' || domain.p[domain.n - 1] == ' '))
		domain.n--;
	return domain;
}

static const struct conf_opt_out *
optout_of(const struct conf *c, struct str domain)
{
	for (size_t i = 0; i < c->n_opt_outs; i++) {
		const char *d = c->opt_outs[i].domain;

		if (strlen(d) == domain.n && strncasecmp(d, domain.p, domain.n) == 0)
			return &c->opt_outs[i];
	}
	return NULL;
}

/* "a.b.edu", "b.edu", "edu", then "*". */
static const struct conf_opt_out *
optout_closest(const struct conf *c, struct str domain)
{
	const struct conf_opt_out *o;
	const char *dot;

	while (domain.n > 0) {
		if ((o = optout_of(c, domain)) != NULL)
			return o;
		if ((dot = memchr(domain.p, '.', domain.n)) == NULL)
			break;
		domain.n -= (size_t)(dot + 1 - domain.p);
		domain.p = dot + 1;
	}
	return optout_of(c, STR_LIT("*"));
}

/* What a rule left open, as the reference words it. */
static struct optout_rule
optout_rule(enum optout_action action)
{
	static const struct optout_rule defaults[] = {
		[OPTOUT_TRANSMIT] = { OPTOUT_TRANSMIT, "TRANSMIT", "", "" },
		[OPTOUT_MAINTAIN] = { OPTOUT_MAINTAIN, "MAINTAIN", "MINUTES",
		    "You are blocked for now" },
		[OPTOUT_DROP] = { OPTOUT_DROP, "DROP", "PERMANENT",
		    "Do not send more messages to me" },
	};

	return defaults[action];
}

static enum optout_action
optout_action(const char *name)
{
	if (strcmp(name, "TRANSMIT") == 0)
		return OPTOUT_TRANSMIT;
	/* conf.c admits no other name; if it did, taking nothing is the safe side. */
	return strcmp(name, "MAINTAIN") == 0 ? OPTOUT_MAINTAIN : OPTOUT_DROP;
}

struct optout_rule
optout_find(const struct conf *c, struct str email)
{
	const struct conf_opt_out *o = NULL;
	struct optout_rule r;

	if (c->n_opt_outs > 0)
		o = optout_closest(c, optout_domain(email));
	if (o == NULL)
		return optout_rule(OPTOUT_TRANSMIT);
	r = optout_rule(optout_action(o->action));
	if (o->time_limit != NULL && o->time_limit[0] != '\0')
		r.time_limit = o->time_limit;
	if (o->message != NULL && o->message[0] != '\0')
		r.message = o->message;
	return r;
}
