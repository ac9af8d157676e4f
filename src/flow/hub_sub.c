/* SPDX-License-Identifier: MIT */
/* hub_sub: one subscription: which items are pending, when it is due, and
 * giving them to its door. Knows nothing of rosters.
 *
 * A delivery is a round over the members from the first to the last, in as many
 * batches as it takes. What changes behind the round waits for the next one,
 * which begins no sooner than the interval after this one ended: so an item is
 * sent at most once in a round, and a large node cannot keep its place in the
 * queue for ever. */
#include "base/mem.h"
#include "base/metric.h"
#include "flow/hub_priv.h"

#define HUB_WORD 64 /* bits */

/* ---- queues ---- */

void
hub_sub_unqueue(struct hub_sub *s)
{
	if (s->queue != NULL)
		TAILQ_REMOVE(s->queue, s, in_queue);
	s->queue = NULL;
}

void
hub_sub_queue(struct hub_sub *s, struct hub_queue *q)
{
	hub_sub_unqueue(s);
	TAILQ_INSERT_TAIL(q, s, in_queue);
	s->queue = q;
}

/* To the turn that serves it, or to its door's waiting room. */
static void
hub_sub_line_up(struct hub_sub *s)
{
	struct hub *h = s->door->hub;

	hub_sub_queue(s, s->door->blocked ? &s->door->waiting : &h->ready);
	if (!s->door->blocked)
		hub_wake(h);
}

static void hub_sub_timer_cb(void *arg);

/* Has it served when something is pending: now, or when its interval is over. */
static void
hub_sub_schedule(struct hub_sub *s)
{
	struct loop *l = s->door->hub->loop;
	uint64_t now;

	if ((s->pending == 0 && !s->purge) || s->queue != NULL || s->held)
		return;
	if (s->timer != NULL && loop_timer_armed(s->timer))
		return;
	now = loop_now_ms(l);
	if (now >= s->due_ms) {
		hub_sub_line_up(s);
		return;
	}
	if (s->timer == NULL)
		s->timer = loop_timer_new(l, hub_sub_timer_cb, s);
	loop_timer_once(s->timer, s->due_ms - now);
}

static void
hub_sub_timer_cb(void *arg)
{
	hub_sub_schedule(arg);
}

/* ---- pending items ---- */

/* Words for that many; the new ones are 0. */
static void
hub_sub_widen(struct hub_sub *s, size_t words)
{
	s->bits = mem_realloc(s->bits, words * sizeof *s->bits);
	s->old = mem_realloc(s->old, words * sizeof *s->old);
	memset(s->bits + s->words, 0, (words - s->words) * sizeof *s->bits);
	memset(s->old + s->words, 0, (words - s->words) * sizeof *s->old);
	s->words = words;
}

/* What is pending as changed stays so when it is marked as old. */
static bool
hub_sub_mark_as(struct hub_sub *s, size_t member, bool old)
{
	size_t word = member / HUB_WORD;
	uint64_t bit = (uint64_t)1 << member % HUB_WORD;

	if (s->life != HUB_LIVE)
		return false;
	if (word >= s->words)
		hub_sub_widen(s, 2 * word + 1);
	if (!old)
		s->old[word] &= ~bit;
	if (s->bits[word] & bit)
		return true;
	s->bits[word] |= bit;
	if (old)
		s->old[word] |= bit;
	s->pending++;
	hub_sub_schedule(s);
	return false;
}

bool
hub_sub_mark(struct hub_sub *s, size_t member)
{
	return hub_sub_mark_as(s, member, false);
}

static bool
hub_sub_is_old(const struct hub_sub *s, size_t member)
{
	return s->old[member / HUB_WORD] >> member % HUB_WORD & 1;
}

void
hub_sub_unmark(struct hub_sub *s, size_t member)
{
	size_t word = member / HUB_WORD;
	uint64_t bit = (uint64_t)1 << member % HUB_WORD;

	if (word >= s->words || (s->bits[word] & bit) == 0)
		return;
	s->bits[word] &= ~bit;
	s->old[word] &= ~bit;
	s->pending--;
}

void
hub_sub_mark_all(struct hub_sub *s)
{
	const struct hub_node *n = s->node;

	if (n->purged > s->born) {
		hub_sub_purge(s);
		return;
	}
	for (size_t i = 0; i < n->n; i++)
		if (n->member[i].id != NULL && (n->member[i].gone == 0 || n->member[i].gone > s->born))
			hub_sub_mark_as(s, i, true);
}

void
hub_sub_purge(struct hub_sub *s)
{
	const struct hub_node *n = s->node;

	if (s->life != HUB_LIVE)
		return;
	s->purge = s->door->ops->purge != NULL;
	s->at = 0;
	for (size_t i = 0; i < n->n; i++)
		if (n->member[i].id != NULL && n->member[i].gone == 0)
			hub_sub_mark_as(s, i, true);
	hub_sub_schedule(s);
}

/* The first pending member not before `from`; false when there is none. */
static bool
hub_sub_next(const struct hub_sub *s, size_t from, size_t *member)
{
	size_t word = from / HUB_WORD;
	uint64_t mask = ~(uint64_t)0 << from % HUB_WORD;

	for (; word < s->words; word++, mask = ~(uint64_t)0) {
		uint64_t found = s->bits[word] & mask;

		if (found != 0) {
			*member = word * HUB_WORD + (size_t)__builtin_ctzll(found);
			return true;
		}
	}
	return false;
}

/* ---- delivery ---- */

/* Items or retractions, not both. */
struct hub_batch {
	struct hub_item item[HUB_BATCH_ITEMS];
	const char *retracted[HUB_BATCH_ITEMS]; /* ids */
	size_t member[HUB_BATCH_ITEMS];
	size_t n, bytes;
	bool of_retracted;
};

/* Adds a member; false when the batch has no room for it. */
static bool
hub_batch_add(struct hub_batch *b, const struct hub_sub *s, size_t at)
{
	const struct hub_door_ops *ops = s->door->ops;
	const struct hub_node *n = s->node;
	const struct hub_member *m = &n->member[at];
	size_t bytes;

	if (b->n == 0)
		b->of_retracted = m->gone != 0;
	if (b->n == HUB_BATCH_ITEMS || b->of_retracted != (m->gone != 0))
		return false;
	if (m->state != NULL)
		hub_text_refresh(m->text, m->state);
	bytes = (m->gone != 0 ? strlen(m->id) : m->text->n) + ops->item_bytes;
	if (b->n > 0 && b->bytes + bytes >= ops->batch_bytes)
		return false;
	b->bytes += bytes;
	b->member[b->n] = at;
	b->retracted[b->n] = m->id;
	b->item[b->n++] = m->gone != 0 ? (struct hub_item){ .id = m->id } : (struct hub_item){
		m->id, { m->text->p, m->text->n }, m->text->seq, n->datatype,
		m->state != NULL ? m->state->time_us : n->hub->roster_us, hub_sub_is_old(s, at)
	};
	return true;
}

/* Takes what comes next in the round; it is pending no more. */
static void
hub_batch_take(struct hub_batch *b, struct hub_sub *s)
{
	size_t at;

	b->n = b->bytes = 0;
	while (hub_sub_next(s, s->at, &at) && hub_batch_add(b, s, at)) {
		hub_sub_unmark(s, at);
		s->at = at + 1;
	}
}

/* The door had no room: all of the batch is pending again. */
static void
hub_batch_return(const struct hub_batch *b, struct hub_sub *s)
{
	for (size_t i = 0; i < b->n; i++)
		hub_sub_mark_as(s, b->member[i], b->item[i].old);
	if (s->at > b->member[0])
		s->at = b->member[0];
}

/* To the end of the line for the rest of the round, or the round is over. */
static void
hub_sub_served(struct hub_sub *s)
{
	size_t at;

	hub_sub_unqueue(s);
	if (s->held)
		return;
	if (s->purge || hub_sub_next(s, s->at, &at)) {
		hub_sub_line_up(s);
		return;
	}
	s->at = 0;
	s->due_ms = loop_now_ms(s->door->hub->loop) + s->interval_ms;
	hub_sub_schedule(s);
}

/* The door counts as blocked while it is asked, so that a hub_door_ready from
 * inside the call is not lost when it answers no. */
static void
hub_batch_give(const struct hub_batch *b, struct hub_sub *s)
{
	struct hub_door *d = s->door;
	bool took = true;

	d->blocked = true;
	if (!b->of_retracted)
		took = d->ops->deliver(d->arg, s, b->item, b->n);
	else if (d->ops->retract != NULL)
		took = d->ops->retract(d->arg, s, b->retracted, b->n);
	if (took) {
		metric_add(METRIC_ITEMS_SENT, b->n);
		s->told += b->of_retracted ? 0 : b->n;
		hub_door_ready(d);
	} else if (s->life == HUB_LIVE) {
		hub_batch_return(b, s);
	}
}

static void
hub_sub_give_purge(struct hub_sub *s)
{
	struct hub_door *d = s->door;

	d->blocked = true;
	s->purge = false;
	if (d->ops->purge(d->arg, s))
		hub_door_ready(d);
	else if (s->life == HUB_LIVE)
		s->purge = true;
}

void
hub_sub_serve(struct hub_sub *s)
{
	struct hub_door *d = s->door;
	struct hub_batch b;

	if (d->blocked) {
		hub_sub_queue(s, &d->waiting);
		return;
	}
	if (s->purge) {
		hub_sub_give_purge(s);
	} else {
		hub_batch_take(&b, s);
		if (b.n > 0)
			hub_batch_give(&b, s);
	}
	if (s->life == HUB_LIVE)
		hub_sub_served(s);
}

/* ---- begin and end ---- */

static struct hub_sub *
hub_sub_new(struct hub_door *d, struct hub_node *n, struct hub_reader *r, void *user)
{
	struct hub_sub *s;

	MEM_NEW(s);
	s->door = d;
	s->node = n;
	s->reader = r;
	s->user = user;
	s->born = d->hub->leavings;
	TAILQ_INSERT_TAIL(&n->subs, s, of_node);
	TAILQ_INSERT_TAIL(&d->subs, s, of_door);
	return s;
}

enum err
hub_subscribe(struct hub_door *d, struct str node, struct str reader,
    uint32_t interval_ms, void *user, struct hub_sub **out)
{
	struct hub *h = d->hub;
	struct hub_reader *r;
	struct node is;
	enum err e = hub_admit(h, d->name, node, reader, &is);

	if (e != ERR_OK)
		return e;
	r = hub_reader_take(h, reader);
	if (r == NULL)
		return ERR_FULL;
	metric_add(METRIC_SUBSCRIPTIONS, 1);
	*out = hub_sub_new(d, hub_node_of(h, &is, node), r, user);
	(*out)->interval_ms = interval_ms;
	hub_sub_audit(*out, "subscribed");
	hub_sub_mark_all(*out);
	return ERR_OK;
}

enum err
hub_attach(struct hub_door *d, struct str node, void *user, struct hub_sub **out)
{
	struct node is;
	enum err e = hub_find(d->hub, node, &is);

	if (e != ERR_OK)
		return e;
	*out = hub_sub_new(d, hub_node_of(d->hub, &is, node), NULL, user);
	hub_sub_mark_all(*out);
	return ERR_OK;
}

/* Nothing more is done for it, though it is still in its node and door. */
static void
hub_sub_stop(struct hub_sub *s)
{
	hub_sub_unqueue(s);
	loop_timer_free(s->timer);
	s->timer = NULL;
	mem_free(s->bits);
	mem_free(s->old);
	s->bits = s->old = NULL;
	s->words = s->pending = 0;
	s->purge = false;
}

void
hub_sub_revoke(struct hub_sub *s)
{
	s->life = HUB_REVOKED;
	hub_sub_stop(s);
	hub_sub_queue(s, &s->door->hub->ending);
}

void
hub_sub_die(struct hub_sub *s)
{
	s->life = HUB_DEAD;
	hub_sub_stop(s);
	hub_sub_queue(s, &s->door->hub->dead);
	if (s->reader != NULL)
		metric_sub(METRIC_SUBSCRIPTIONS, 1);
}

void
hub_sub_free(struct hub_sub *s)
{
	struct hub_node *n = s->node;

	hub_sub_unqueue(s);
	TAILQ_REMOVE(&n->subs, s, of_node);
	TAILQ_REMOVE(&s->door->subs, s, of_door);
	if (TAILQ_EMPTY(&n->subs))
		hub_node_free(n);
	if (s->reader != NULL)
		hub_reader_drop(s->door->hub, s->reader);
	mem_free(s);
}

void
hub_unsubscribe(struct hub_sub *s)
{
	struct hub *h = s->door->hub;

	hub_enter(h);
	if (s->life != HUB_DEAD) {
		hub_sub_audit(s, s->ends_as != NULL ? s->ends_as : "unsubscribed");
		hub_sub_die(s);
	}
	hub_leave(h);
}

void
hub_sub_ends_as(struct hub_sub *s, const char *what)
{
	s->ends_as = what;
}

void
hub_sub_interval(struct hub_sub *s, uint32_t interval_ms)
{
	if (s->due_ms != 0)
		s->due_ms = s->due_ms - s->interval_ms + interval_ms;
	s->interval_ms = interval_ms;
	if (s->timer != NULL)
		loop_timer_stop(s->timer);
	hub_sub_schedule(s);
}

void
hub_sub_hold(struct hub_sub *s, bool held)
{
	if (s->held == held || s->life != HUB_LIVE)
		return;
	s->held = held;
	if (!held) {
		hub_sub_schedule(s);
		return;
	}
	hub_sub_unqueue(s);
	if (s->timer != NULL)
		loop_timer_stop(s->timer);
}

void
hub_sub_refresh(struct hub_sub *s)
{
	s->at = 0;
	s->due_ms = 0;
	if (s->timer != NULL)
		loop_timer_stop(s->timer);
	hub_sub_mark_all(s);
	hub_sub_schedule(s);
}

void
hub_sub_reset(struct hub_sub *s)
{
	s->due_ms = 0;
	if (s->timer != NULL)
		loop_timer_stop(s->timer);
	hub_sub_purge(s);
}

size_t
hub_sub_pending(const struct hub_sub *s)
{
	return s->pending;
}

void *
hub_sub_user(const struct hub_sub *s)
{
	return s->user;
}

const char *
hub_sub_node(const struct hub_sub *s)
{
	return s->node->name;
}

const char *
hub_sub_reader(const struct hub_sub *s)
{
	return s->reader != NULL ? s->reader->jid : "";
}
