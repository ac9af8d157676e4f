/* SPDX-License-Identifier: MIT */
/* page: see page.h. */
#include "xmpp/page.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "xmpp/stanza.h"

#define PAGE_DIGITS_MAX 9 /* of a number in <set/> */

static bool
page_number(const struct xml *x, size_t *out)
{
	size_t n = 0;

	if (x->text.n == 0 || x->text.n > PAGE_DIGITS_MAX)
		return false;
	for (size_t i = 0; i < x->text.n; i++) {
		if (x->text.p[i] < '0' || x->text.p[i] > '9')
			return false;
		n = 10 * n + (size_t)(x->text.p[i] - '0');
	}
	*out = n;
	return true;
}

bool
page_read(const struct xml *parent, struct page *out)
{
	const struct xml *set = xml_child(parent, NS_RSM, "set");
	const struct xml *max = xml_child(set, NS_RSM, "max");
	const struct xml *after = xml_child(set, NS_RSM, "after");
	const struct xml *before = xml_child(set, NS_RSM, "before");
	const struct xml *index = xml_child(set, NS_RSM, "index");

	*out = (struct page){ .query = { .asked = set != NULL, .max = SIZE_MAX } };
	out->query.backwards = before != NULL;
	out->query.has_index = index != NULL;
	if (after != NULL && after->text.n > 0)
		out->query.after = after->text.p;
	if (before != NULL && before->text.n > 0)
		out->query.before = before->text.p;
	return (max == NULL || page_number(max, &out->query.max)) &&
	    (index == NULL || page_number(index, &out->query.index));
}

/* The longest reference, "&quot;" or "&apos;", has six bytes. */
size_t
page_cost(struct str value)
{
	size_t cost = value.n;

	for (size_t i = 0; i < value.n; i++)
		if (strchr("&<>'\"\t\r\n", value.p[i]) != NULL)
			cost += 5;
	return cost;
}

void
page_add(struct page *p, struct str id, size_t cost, size_t data)
{
	if (p->n == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 32;
		p->v = mem_realloc(p->v, p->cap * sizeof *p->v);
	}
	p->v[p->n++] = (struct page_entry){ mem_str(id), cost, data };
}

static int
page_compare(const void *a, const void *b)
{
	return strcmp(((const struct page_entry *)a)->id, ((const struct page_entry *)b)->id);
}

/* The place of the first entry whose id is not below `id` (beyond: or equal). */
static size_t
page_place(const struct page *p, const char *id, bool beyond)
{
	size_t low = 0, high = p->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = strcmp(p->v[middle].id, id);

		if (c < 0 || (c == 0 && beyond))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void
page_choose(struct page *p)
{
	const struct page_query *q = &p->query;
	size_t bytes = 0, n = 0, low = 0, high = p->n;

	if (p->n > 0)
		qsort(p->v, p->n, sizeof *p->v, page_compare);
	if (q->has_index)
		low = q->index < p->n ? q->index : p->n;
	if (q->after != NULL)
		low = page_place(p, q->after, true);
	if (q->before != NULL)
		high = page_place(p, q->before, false);
	while (low + n < high && n < q->max) {
		struct page_entry *e = &p->v[q->backwards ? high - 1 - n : low + n];

		bytes += p->cost != NULL ? p->cost(p->arg, e) : e->cost;
		if (bytes > PAGE_BYTES && n > 0)
			break;
		n++;
	}
	p->from = q->backwards && low < high ? high - n : low;
	p->to = p->from + n;
}

/* XEP-0059 §2.2: first and last only with entries; nothing at all when the
 * whole set is empty. */
void
page_write(const struct page *p, struct xmlw *w)
{
	char text[24];

	if (p->n == 0 || (!p->query.asked && p->to - p->from == p->n))
		return;
	xmlw_open(w, "set", NS_RSM);
	if (p->to > p->from) {
		xmlw_open(w, "first", NULL);
		xmlw_attru(w, "index", p->from);
		xmlw_text(w, str_of(p->v[p->from].id));
		xmlw_close(w);
		xmlw_textz(w, "last", p->v[p->to - 1].id);
	}
	snprintf(text, sizeof text, "%zu", p->n);
	xmlw_textz(w, "count", text);
	xmlw_close(w);
}

void
page_free(struct page *p)
{
	for (size_t i = 0; i < p->n; i++)
		mem_free(p->v[i].id);
	mem_free(p->v);
	p->v = NULL;
	p->n = 0;
}
