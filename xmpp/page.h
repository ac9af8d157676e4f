/* SPDX-License-Identifier: MIT */
/* page: result sets that do not fit one stanza (XEP-0059). A list of entries
 * sorted by id, the page of it that was asked for and that fits. */
#ifndef LECTERN_XMPP_PAGE_H
#define LECTERN_XMPP_PAGE_H

#include "xmpp/xml.h"

#define PAGE_BYTES 55000 /* of entries in one stanza */

/* What the peer asked for in <set/>. */
struct page_query {
	bool asked;          /* there was a <set/> */
	bool has_index, backwards;
	size_t max, index;   /* max is SIZE_MAX without one */
	const char *after;   /* NULL: from the start */
	const char *before;  /* NULL: from the end, when backwards */
};

struct page_entry {
	char *id;
	size_t cost;  /* bytes it takes in the stanza, at most */
	size_t data;  /* the caller's */
};

struct page {
	/* When it is not NULL: what an entry costs, asked of those that come into
	 * question for the page; its cost is no matter otherwise. */
	size_t (*cost)(void *arg, const struct page_entry *e);
	void *arg;
	struct page_query query;
	struct page_entry *v;
	size_t n, cap;
	size_t from, to; /* the chosen ones */
};

/* Reads the <set/> among the children of parent. false when it is not valid. */
bool page_read(const struct xml *parent, struct page *out);
/* Bytes an attribute or text value may grow to. */
size_t page_cost(struct str value);
void page_add(struct page *p, struct str id, size_t cost, size_t data);
/* Sorts and chooses. What follows a deleted entry is found by the order. */
void page_choose(struct page *p);
/* Writes <set/> when it was asked for or something was left out. */
void page_write(const struct page *p, struct xmlw *w);
void page_free(struct page *p);

#endif
