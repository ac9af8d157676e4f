/* SPDX-License-Identifier: MIT */
/* session_hold: events that came before it was known whose they are or what
 * they are about. They wait in their order, bounded, and are accepted as if they
 * had come just now; a client's queue may well arrive before its lock_fields. */
#include "base/mem.h"
#include "base/metric.h"
#include "flow/session_priv.h"

bool
session_complete(const struct session *s, const struct message *m)
{
	struct str source;

	return s->identified && locked_source(&s->locked, m, &source);
}

static bool
session_hold_is_full(const struct session *s, size_t n)
{
	const struct conf *c = s->ingest->conf;

	return s->held_n + 1 > (size_t)c->held_events || s->held_bytes + n > (size_t)c->held_bytes;
}

void
session_hold(struct session *s, const struct message *m)
{
	struct held *h;

	if (session_hold_is_full(s, m->text.n)) {
		session_reject(s, ERR_TOO_MUCH_HELD, m);
		session_close(s, 1008, err_code(ERR_TOO_MUCH_HELD));
		return;
	}
	h = mem_alloc(sizeof *h + m->text.n + JSON_PADDING);
	h->next = NULL;
	h->n = m->text.n;
	memcpy(h->text, m->text.p, h->n);
	memset(h->text + h->n, 0, JSON_PADDING);
	*s->held_end = h;
	s->held_end = &h->next;
	s->held_n++;
	s->held_bytes += h->n;
	metric_add(METRIC_HELD, 1);
}

static struct held *
session_take_held(struct session *s)
{
	struct held *h = s->held;

	s->held = h->next;
	if (s->held == NULL)
		s->held_end = &s->held;
	s->held_n--;
	s->held_bytes -= h->n;
	metric_sub(METRIC_HELD, 1);
	return h;
}

void
session_drop_held(struct session *s)
{
	while (s->held != NULL)
		mem_free(session_take_held(s));
}

/* Whether the first that is held can be accepted, or must be rejected (*e). */
static bool
session_first_held(struct session *s, struct message *m, enum err *e)
{
	if (!s->identified || s->held == NULL)
		return false;
	*e = message_read(s->ingest->doc, (struct str){ s->held->text, s->held->n }, m);
	return *e != ERR_OK || session_complete(s, m);
}

/* One that still lacks its source keeps all behind it waiting: were a later one
 * accepted first, its ack would tell the client that this one is kept, too. */
void
session_release(struct session *s)
{
	struct message m;
	enum err e;

	if (!session_first_held(s, &m, &e) || session_held_opted_out(s))
		return;
	while (session_first_held(s, &m, &e)) {
		struct held *h = session_take_held(s);

		if (e == ERR_OK)
			e = session_accept(s, &m);
		if (e != ERR_OK)
			session_reject(s, e, &m);
		mem_free(h);
	}
}
