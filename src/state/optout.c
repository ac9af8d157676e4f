/* SPDX-License-Identifier: MIT */
/* optout: see optout.h. The rules stand in one sorted table, a row for each name
 * by which a rule is found. */
#include "state/optout.h"

#include <stdlib.h>

#include "base/date.h"
#include "base/log.h"
#include "base/mem.h"

enum optout_kind { OPTOUT_STUDENT, OPTOUT_EMAIL, OPTOUT_CLASS, OPTOUT_DOMAIN };

struct optout_row {
	enum optout_kind kind;
	struct str name;
	const struct conf_opt_out *rule;
	int64_t until_us; /* it holds before */
};

struct optout {
	const struct roster *roster;
	struct optout_row *rows;
	size_t n;
};

/* ---- names ---- */

/* What a rule's title names, and of which kind it is. */
static enum optout_kind
optout_title(const char *title, struct str *name)
{
	struct str s = str_of(title);
	bool student = str_starts(s, CONF_OPT_OUT_STUDENT), class = str_starts(s, CONF_OPT_OUT_CLASS);
	size_t prefix = student ? strlen(CONF_OPT_OUT_STUDENT) : class ? strlen(CONF_OPT_OUT_CLASS) : 0;

	*name = (struct str){ s.p + prefix, s.n - prefix };
	return student ? OPTOUT_STUDENT : class ? OPTOUT_CLASS : OPTOUT_DOMAIN;
}

static unsigned char
optout_fold(enum optout_kind kind, char c)
{
	bool any_case = kind == OPTOUT_EMAIL || kind == OPTOUT_DOMAIN;

	return (unsigned char)(any_case && c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static int
optout_compare(enum optout_kind kind, struct str a, struct str b)
{
	for (size_t i = 0; i < a.n && i < b.n; i++) {
		int d = optout_fold(kind, a.p[i]) - optout_fold(kind, b.p[i]);

		if (d != 0)
			return d;
	}
	return a.n < b.n ? -1 : a.n > b.n;
}

static int
optout_compare_rows(const struct optout_row *a, enum optout_kind kind, struct str name)
{
	return a->kind != kind ? (int)a->kind - (int)kind : optout_compare(kind, a->name, name);
}

/* For qsort; as close ones in the order of the file. */
static int
optout_order(const void *va, const void *vb)
{
	const struct optout_row *a = va, *b = vb;
	int d = optout_compare_rows(a, b->kind, b->name);

	return d != 0 ? d : a->rule < b->rule ? -1 : a->rule > b->rule;
}

/* ---- the table ---- */

static int64_t
optout_until(const struct conf_opt_out *rule)
{
	int64_t us;
	bool day;

	if (rule->until == NULL || rule->until[0] == '\0' ||
	    !date_read(str_of(rule->until), &us, &day))
		return INT64_MAX;
	return day ? us + DATE_DAY_US : us;
}

static void
optout_add(struct optout *o, enum optout_kind kind, struct str name,
    const struct conf_opt_out *rule)
{
	o->rows[o->n++] = (struct optout_row){ kind, name, rule, optout_until(rule) };
}

/* A student is found by the name in the rule, as an address too, and by the id
 * that the roster has for it. */
static void
optout_add_student(struct optout *o, struct str name, const struct conf_opt_out *rule)
{
	const struct roster_student *s = NULL;

	optout_add(o, OPTOUT_STUDENT, name, rule);
	if (memchr(name.p, '@', name.n) != NULL)
		optout_add(o, OPTOUT_EMAIL, name, rule);
	if (o->roster != NULL)
		s = roster_identify(o->roster, name);
	if (s != NULL && !str_is(name, s->id))
		optout_add(o, OPTOUT_STUDENT, str_of(s->id), rule);
}
#define OPTOUT_ROWS_PER_RULE 3

static void
optout_add_rule(struct optout *o, const struct conf_opt_out *rule)
{
	struct str name;
	enum optout_kind kind = optout_title(rule->whom, &name);

	if (kind == OPTOUT_STUDENT) {
		optout_add_student(o, name, rule);
		return;
	}
	if (kind == OPTOUT_CLASS && o->roster != NULL && roster_class(o->roster, name) == NULL)
		log_warning("opt_out \"%s\": the roster has no such class", rule->whom);
	optout_add(o, kind, name, rule);
}

struct optout *
optout_new(const struct conf *c, const struct roster *r)
{
	struct optout *o;

	if (c->n_opt_outs == 0)
		return NULL;
	MEM_NEW(o);
	o->roster = r;
	o->rows = mem_alloc(c->n_opt_outs * OPTOUT_ROWS_PER_RULE * sizeof *o->rows);
	for (size_t i = 0; i < c->n_opt_outs; i++)
		optout_add_rule(o, &c->opt_outs[i]);
	qsort(o->rows, o->n, sizeof *o->rows, optout_order);
	return o;
}

void
optout_free(struct optout *o)
{
	if (o == NULL)
		return;
	mem_free(o->rows);
	mem_free(o);
}

int64_t
optout_next(const struct optout *o, int64_t now_us)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; o != NULL && i < o->n; i++)
		if (o->rows[i].until_us > now_us && o->rows[i].until_us < next)
			next = o->rows[i].until_us;
	return next;
}

/* ---- the closest rule ---- */

static enum optout_action
optout_action(const char *name)
{
	if (strcmp(name, "TRANSMIT") == 0)
		return OPTOUT_TRANSMIT;
	/* conf.c admits no other name; if it did, taking nothing is the safe side. */
	return strcmp(name, "MAINTAIN") == 0 ? OPTOUT_MAINTAIN : OPTOUT_DROP;
}

/* What is asked, and the strictest answer so far of those that are as close. */
struct optout_search {
	const struct optout *rules;
	int64_t now_us;
	const struct optout_row *best;
};

static void
optout_take(struct optout_search *q, const struct optout_row *row)
{
	enum optout_action a = optout_action(row->rule->action), best;

	if (row->until_us <= q->now_us)
		return;
	best = q->best != NULL ? optout_action(q->best->rule->action) : a;
	if (q->best == NULL || a > best || (a == best && row->rule < q->best->rule))
		q->best = row;
}

static void
optout_look(struct optout_search *q, enum optout_kind kind, struct str name)
{
	const struct optout_row *rows = q->rules->rows;
	size_t low = 0, high = q->rules->n;

	if (name.n == 0)
		return;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (optout_compare_rows(&rows[middle], kind, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < q->rules->n && optout_compare_rows(&rows[low], kind, name) == 0; low++)
		optout_take(q, &rows[low]);
}

/* An id without the mark that it was only claimed: who is opted out is so also
 * where nobody has proof of being that student. */
static struct str
optout_plain_id(struct str id)
{
	size_t prefix = strlen(IDENT_UNVERIFIED);

	return str_starts(id, IDENT_UNVERIFIED) ? (struct str){ id.p + prefix, id.n - prefix } : id;
}

/* Whom the roster knows by each of these names: they may be several students, as one
 * with another's address, and all of them are meant. */
#define OPTOUT_NAMES 4

static size_t
optout_students(const struct roster *r, const struct optout_who *who,
    const struct roster_student *out[OPTOUT_NAMES])
{
	const struct str names[OPTOUT_NAMES] = { optout_plain_id(who->id), who->user_id,
		optout_plain_id(who->shown), who->email };
	size_t n = 0;

	for (size_t i = 0; r != NULL && i < OPTOUT_NAMES; i++)
		if (names[i].n > 0 && (out[n] = roster_identify(r, names[i])) != NULL)
			n++;
	return n;
}

static void
optout_look_student(struct optout_search *q, const struct optout_who *who,
    const struct roster_student **students, size_t n)
{
	optout_look(q, OPTOUT_STUDENT, optout_plain_id(who->id));
	optout_look(q, OPTOUT_STUDENT, who->user_id);
	optout_look(q, OPTOUT_STUDENT, optout_plain_id(who->shown));
	optout_look(q, OPTOUT_EMAIL, who->email);
	for (size_t i = 0; i < n; i++)
		optout_look(q, OPTOUT_STUDENT, str_of(students[i]->id));
}

static void
optout_look_classes(struct optout_search *q, const struct roster_student *s)
{
	for (size_t i = 0; i < s->n_classes; i++)
		optout_look(q, OPTOUT_CLASS, str_of(s->classes[i]->name));
}

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

/* "a.b.edu", "b.edu", "edu", then "*". */
static void
optout_look_domains(struct optout_search *q, struct str domain)
{
	const char *dot;

	while (domain.n > 0) {
		optout_look(q, OPTOUT_DOMAIN, domain);
		dot = memchr(domain.p, '.', domain.n);
		if (q->best != NULL || dot == NULL)
			break;
		domain = (struct str){ dot + 1, domain.n - (size_t)(dot + 1 - domain.p) };
	}
	if (q->best == NULL)
		optout_look(q, OPTOUT_DOMAIN, STR_LIT("*"));
}

/* ---- in words ---- */

/* What a rule left open, as the reference words it. */
static struct optout_rule
optout_rule(enum optout_action action)
{
	static const struct optout_rule defaults[] = {
		[OPTOUT_TRANSMIT] = { OPTOUT_TRANSMIT, "TRANSMIT", "", 0, "" },
		[OPTOUT_MAINTAIN] = { OPTOUT_MAINTAIN, "MAINTAIN", "MINUTES", 0,
		    "You are blocked for now" },
		[OPTOUT_DROP] = { OPTOUT_DROP, "DROP", "PERMANENT", 0,
		    "Do not send more messages to me" },
	};

	return defaults[action];
}

static void
optout_limit(struct optout_rule *r, const struct optout_row *row, int64_t now_us)
{
	const char *limit = row->rule->time_limit;

	if (limit != NULL && limit[0] >= '0' && limit[0] <= '9') {
		r->time_limit = NULL;
		r->limit_ms = strtoull(limit, NULL, 10);
	} else if (limit != NULL && limit[0] != '\0') {
		r->time_limit = limit;
	} else if (row->until_us != INT64_MAX) {
		r->time_limit = NULL;
		r->limit_ms = (uint64_t)(row->until_us - now_us + 999) / 1000;
	}
}

struct optout_rule
optout_find(const struct optout *o, const struct optout_who *who, int64_t now_us)
{
	struct optout_search q = { o, now_us, NULL };
	const struct roster_student *students[OPTOUT_NAMES];
	struct optout_rule r;
	bool own;
	size_t n;

	if (o == NULL)
		return optout_rule(OPTOUT_TRANSMIT);
	n = optout_students(o->roster, who, students);
	optout_look_student(&q, who, students, n);
	own = q.best != NULL;
	for (size_t i = 0; i < n && !own; i++)
		optout_look_classes(&q, students[i]);
	if (q.best == NULL && !who->unheard)
		optout_look_domains(&q, optout_domain(who->email));
	if (q.best == NULL)
		return optout_rule(OPTOUT_TRANSMIT);
	r = optout_rule(optout_action(q.best->rule->action));
	optout_limit(&r, q.best, now_us);
	if (q.best->rule->message != NULL && q.best->rule->message[0] != '\0')
		r.message = q.best->rule->message;
	return r;
}
