/* SPDX-License-Identifier: MIT */
/* publisher_request: which requests are under way, and how many may be; what
 * comes back for them, or does not. */
#include <stdio.h>
#include <strings.h>

#include "base/crypt.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "xmpp/publisher_priv.h"

/* ---- queues ---- */

void
pub_unqueue(struct pub_node *n)
{
	if (n->queue == NULL)
		return;
	if (n->queue == &n->publisher->asked)
		n->publisher->n_asked--;
	TAILQ_REMOVE(n->queue, n, in_queue);
	n->queue = NULL;
}

void
pub_queue(struct pub_node *n, struct pub_queue *q, bool first)
{
	pub_unqueue(n);
	if (first)
		TAILQ_INSERT_HEAD(q, n, in_queue);
	else
		TAILQ_INSERT_TAIL(q, n, in_queue);
	n->queue = q;
	if (q == &n->publisher->asked)
		n->publisher->n_asked++;
}

bool
pub_has_room(const struct publisher *p, unsigned quarters)
{
	unsigned most = p->o.window * quarters / 4;

	if (!p->up || !p->o.sink->bulk(p->o.sink_arg))
		return false;
	if (p->absent)
		return p->n_asked == 0 && loop_now_ms(p->o.loop) >= p->absent_until;
	return p->n_asked < (most > 0 ? most : 1);
}

/* Verifying leaves some of the window to items, which the hub holds. */
void
pub_work(struct publisher *p)
{
	struct pub_node *n;

	while ((n = TAILQ_FIRST(&p->work)) != NULL && pub_has_room(p, 3)) {
		pub_unqueue(n);
		pub_step_node(n);
	}
	if (pub_has_room(p, 4))
		hub_door_ready(p->door);
}

bool
pub_ask(struct pub_node *n)
{
	struct publisher *p = n->publisher;

	if (p->out.failed || !p->o.sink->send(p->o.sink_arg, buf_view(&p->out)))
		return false;
	n->asked_ms = loop_now_ms(p->o.loop);
	pub_queue(n, &p->asked, false);
	return true;
}

/* With jitter, so that many do not come back at once. */
uint64_t
pub_backoff(unsigned tries)
{
	uint64_t ms = (uint64_t)PUB_RETRY_MS << (tries < 8 ? tries : 8);
	uint32_t random;

	if (ms > PUB_RETRY_MAX_MS)
		ms = PUB_RETRY_MAX_MS;
	crypt_random(&random, sizeof random);
	return ms / 2 + random % (ms / 2 + 1);
}

/* ---- a service that does not answer ---- */

static void
pub_absent(struct publisher *p, const char *why)
{
	if (!p->absent)
		log_error("xmpp jid=%s pubsub=%s does not answer (%s); trying again. Is it the "
		    "domain of the server's PubSub service?", p->o.jid, p->o.pubsub, why);
	p->absent = true;
	p->absent_until = loop_now_ms(p->o.loop) + pub_backoff(p->absent_tries++);
}

static void
pub_present(struct publisher *p)
{
	if (p->absent)
		log_notice("xmpp jid=%s pubsub=%s answers", p->o.jid, p->o.pubsub);
	p->absent = false;
	p->absent_tries = 0;
}

/* ---- answers ---- */

/* Ids are numbers of this process; from is the server's word. */
static struct pub_node *
pub_asked(struct publisher *p, const struct xml *iq)
{
	const char *id = xml_attr(iq, "id"), *from = xml_attr(iq, "from");
	const char *type = xml_attr(iq, "type");
	struct pub_node *n;
	char ours[32];

	if (strcmp(iq->name, "iq") != 0 || strcmp(iq->ns, NS_COMPONENT) != 0 || id == NULL ||
	    from == NULL || type == NULL || strcasecmp(from, p->o.pubsub) != 0 ||
	    (strcmp(type, "result") != 0 && strcmp(type, "error") != 0))
		return NULL;
	TAILQ_FOREACH(n, &p->asked, in_queue) {
		snprintf(ours, sizeof ours, "publisher-%llu", (unsigned long long)n->id);
		if (strcmp(ours, id) == 0)
			return n;
	}
	return NULL;
}

/* Answers of an earlier stream, or later than we waited: of no use to anybody. */
static bool
pub_is_late(struct publisher *p, const struct xml *x)
{
	const char *id = xml_attr(x, "id"), *from = xml_attr(x, "from");
	const char *type = xml_attr(x, "type");
	bool late = strcmp(x->name, "iq") == 0 && id != NULL && from != NULL && type != NULL &&
	    strcasecmp(from, p->o.pubsub) == 0 && strncmp(id, "publisher-", 10) == 0 &&
	    (strcmp(type, "result") == 0 || strcmp(type, "error") == 0);

	if (late) {
		p->late++;
		metric_add(METRIC_XMPP_IGNORED, 1);
	}
	return late;
}

static bool
pub_take(struct publisher *p, const struct xml *x, bool whole)
{
	struct pub_node *n = pub_asked(p, x);
	char detail[PUB_DETAIL_MAX] = "";
	enum pub_fault f = PUB_NONE;

	if (n == NULL)
		return pub_is_late(p, x);
	metric_add(METRIC_XMPP_IN, 1);
	if (whole && strcmp(xml_attr(x, "type"), "error") == 0)
		f = pub_fault_read(x, detail);
	pub_unqueue(n);
	p->faults[f]++;
	if (f == PUB_ABSENT)
		pub_absent(p, detail);
	else
		pub_present(p);
	pub_answer(n, whole ? x : NULL, f, detail);
	pub_work(p);
	return true;
}

bool
publisher_stanza(struct publisher *p, const struct xml *x)
{
	return pub_take(p, x, true);
}

bool
publisher_refused(struct publisher *p, const struct xml *head)
{
	return pub_take(p, head, false);
}

/* ---- the clock ---- */

static void
pub_timeouts(struct publisher *p, uint64_t now_ms)
{
	struct pub_node *n;

	while ((n = TAILQ_FIRST(&p->asked)) != NULL && n->asked_ms + PUB_ANSWER_MS <= now_ms) {
		pub_unqueue(n);
		p->faults[PUB_TIMEOUT]++;
		pub_absent(p, "no answer");
		pub_answer(n, NULL, PUB_TIMEOUT, "no answer");
	}
}

void
publisher_tick(struct publisher *p, uint64_t now_ms)
{
	struct map_iter it = { 0 };

	if (!p->up)
		return;
	pub_timeouts(p, now_ms);
	while (map_next(p->nodes, &it)) {
		struct pub_node *n = it.value;

		if (n->retry_ms != 0 && n->retry_ms <= now_ms)
			pub_begin(n);
	}
	pub_work(p);
}
