/* SPDX-License-Identifier: MIT */
/* session_optout: connections of students whose events may not be taken: asked
 * for each event before anything is kept of it, and for every open connection
 * when the rules, the roster or the time have changed what is allowed. */
#include "base/mem.h"
#include "base/metric.h"
#include "flow/session_priv.h"

#define OPTOUT_RECHECK_MS (UINT64_C(3600) * 1000) /* a clock may have been set meanwhile */

/* Tells the client and closes, if a rule says so; what is held is dropped. */
static bool
session_judge(struct session *s, const struct optout_who *who, size_t events)
{
	struct ingest *g = s->ingest;
	struct optout_rule rule = optout_find(g->optout, who, loop_wall_us(g->loop));

	if (rule.action == OPTOUT_TRANSMIT)
		return false;
	metric_add(METRIC_OPTED_OUT, events + s->held_n);
	session_say_blocked(s, &rule);
	session_close(s, 1000, "opted out");
	return true;
}

static struct optout_who
session_who(const struct session *s)
{
	return (struct optout_who){
		.id = str_of(s->ident.safe_user_id),
		.user_id = str_of(s->ident.user_id),
		.shown = str_of(s->ident.shown),
	};
}

/* The address of the event; when it has none, that by which the student was identified. */
static struct str
session_email(const struct session *s, const struct message *m)
{
	struct str email;

	if (locked_email(&s->locked, m, &email))
		return email;
	return str_of(s->locked.email.p == NULL && s->ident.email != NULL ? s->ident.email : "");
}

/* Remembers the address that an event has shown, for when the rules change. */
static void
session_note_email(struct session *s, struct str email)
{
	s->heard = true;
	if (email.n > IDENT_ID_MAX)
		email.n = 0;
	if (str_eq(str_of(s->email), email))
		return;
	mem_free(s->email);
	s->email = email.n > 0 ? mem_str(email) : NULL;
}

bool
session_opted_out(struct session *s, const struct message *m)
{
	struct optout_who who = session_who(s);

	who.email = session_email(s, m);
	session_note_email(s, who.email);
	return s->ingest->optout != NULL && session_judge(s, &who, 1);
}

/* One address that any of it shows is the student's, so it speaks for all of it. */
bool
session_held_opted_out(struct session *s)
{
	struct str email;
	struct message m;

	for (struct held *h = s->held; s->ingest->optout != NULL && h != NULL; h = h->next) {
		struct optout_who who = session_who(s);

		if (message_read(s->ingest->doc, (struct str){ h->text, h->n }, &m) != ERR_OK ||
		    !locked_email(&s->locked, &m, &email))
			continue;
		who.email = email;
		if (session_judge(s, &who, 0))
			return true;
	}
	return false;
}

/* The rules are asked about who is known; others when they are. */
static void
session_judge_open(struct session *s)
{
	struct optout_who who = session_who(s);

	if (!s->identified || s->deaf)
		return;
	who.email = s->locked.email.p != NULL ? s->locked.email : str_of(s->email);
	who.unheard = !s->heard && s->locked.email.p == NULL;
	session_judge(s, &who, 0);
}

/* Judges all, and again when the next rule ends. */
static void
ingest_judge_cb(void *arg)
{
	struct ingest *g = arg;
	int64_t now = loop_wall_us(g->loop), next = optout_next(g->optout, now);
	uint64_t ms;

	if (g->optout == NULL)
		return;
	for (struct session *s = g->sessions; s != NULL; s = s->next)
		session_judge_open(s);
	if (next == INT64_MAX)
		return;
	ms = (uint64_t)(next - now) / 1000 + 1;
	loop_timer_once(g->optout_timer, ms < OPTOUT_RECHECK_MS ? ms : OPTOUT_RECHECK_MS);
}

void
ingest_opt_outs(struct ingest *g, const struct roster *roster)
{
	if (g->optout_timer == NULL)
		g->optout_timer = loop_timer_new(g->loop, ingest_judge_cb, g);
	loop_timer_stop(g->optout_timer);
	optout_free(g->optout);
	g->optout = optout_new(g->conf, roster);
	ingest_judge_cb(g);
}

void
ingest_opt_outs_free(struct ingest *g)
{
	loop_timer_free(g->optout_timer);
	optout_free(g->optout);
}
