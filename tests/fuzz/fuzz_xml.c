/* SPDX-License-Identifier: MIT */
/* Bytes of a component stream, in pieces as the first byte says. What the
 * reader takes is within its limits, and the writer's copy of it is read back
 * as the same tree. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "xmpp/stanza.h"
#include "xmpp/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEADER "<stream:stream xmlns='jabber:component:accept' " \
	"xmlns:stream='http://etherx.jabber.org/streams' id='1'>"

static void
check(bool ok)
{
	if (!ok)
		abort();
}

/* ---- the same tree? ---- */

static bool
same(const struct xml *a, const struct xml *b)
{
	const struct xml *x = a->first, *y = b->first;

	if (strcmp(a->name, b->name) != 0 || strcmp(a->ns, b->ns) != 0 ||
	    !str_eq(a->text, b->text) || a->n_attrs != b->n_attrs)
		return false;
	for (size_t i = 0; i < a->n_attrs; i++)
		if (strcmp(a->attrs[i].name, b->attrs[i].name) != 0 ||
		    strcmp(a->attrs[i].value, b->attrs[i].value) != 0)
			return false;
	for (; x != NULL && y != NULL; x = x->next, y = y->next)
		if (!same(x, y))
			return false;
	return x == NULL && y == NULL;
}

static unsigned
depth_of(const struct xml *x)
{
	unsigned deepest = 0;

	for (const struct xml *c = x->first; c != NULL; c = c->next) {
		unsigned d = depth_of(c);

		check(c->parent == x && c->n_attrs <= XML_ATTRS_MAX);
		check(strlen(c->text.p) == c->text.n);
		deepest = d > deepest ? d : deepest;
	}
	return deepest + 1;
}

/* The text goes first: where it stood among the children is not kept. */
static void
write_out(struct xmlw *w, const struct xml *x)
{
	xmlw_open(w, x->name, x->ns[0] ? x->ns : NULL);
	if (x->ns[0] == '\0')
		xmlw_attrz(w, "xmlns", "");
	for (size_t i = 0; i < x->n_attrs; i++)
		xmlw_attrz(w, x->attrs[i].name, x->attrs[i].value);
	xmlw_text(w, x->text);
	for (const struct xml *c = x->first; c != NULL; c = c->next)
		write_out(w, c);
	xmlw_close(w);
}

/* ---- reading back ---- */

struct copy {
	const struct xml *of;
	unsigned seen;
};

static void
nothing_cb(void *arg, const struct xml *x)
{
	(void)arg, (void)x;
}

static void
end_cb(void *arg)
{
	(void)arg;
}

static void
copy_cb(void *arg, const struct xml *x)
{
	struct copy *c = arg;

	c->seen++;
	check(same(c->of, x));
}

static void
copy_refused_cb(void *arg, const struct xml *x)
{
	struct copy *c = arg;

	(void)x;
	c->seen++; /* encoding makes it longer: may be beyond the limit now */
}

static const struct xml_reader_ops copy_ops = { nothing_cb, copy_cb, copy_refused_cb, end_cb };

static void
stanza_cb(void *arg, const struct xml *x)
{
	struct copy c = { .of = x };
	struct xml_reader *r;
	struct buf b = BUF_INIT(0);
	struct xmlw w = xmlw_to(&b);

	(void)arg;
	check(depth_of(x) <= XML_DEPTH_MAX);
	if (depth_of(x) > XMLW_DEPTH)
		return;
	write_out(&w, x);
	r = xml_reader_new(&copy_ops, &c);
	check(xml_reader_feed(r, STR_LIT(HEADER)) == XML_OK);
	check(xml_reader_feed(r, buf_view(&b)) == XML_OK);
	check(c.seen == 1);
	xml_reader_free(r);
	buf_free(&b);
}

static void
refused_cb(void *arg, const struct xml *head)
{
	(void)arg;
	check(head->first == NULL && head->text.n == 0 && head->n_attrs <= XML_ATTRS_MAX);
}

static const struct xml_reader_ops ops = { nothing_cb, stanza_cb, refused_cb, end_cb };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xml_reader *r = xml_reader_new(&ops, NULL);
	size_t piece = size > 0 && data[0] > 0 ? data[0] : 65536;
	struct address a;

	if (size > 0) {
		data++;
		size--;
	}
	for (size_t at = 0; at < size; at += piece) {
		struct str s = { (const char *)data + at, size - at < piece ? size - at : piece };
		enum xml_error e = xml_reader_feed(r, s);

		check(e < XML_ERRORS && xml_error_text(e) != NULL);
	}
	xml_reader_free(r);

	/* The same bytes as an address. */
	char *text = mem_dup(data, size);

	if (address_read(text, &a))
		check(a.bare_n <= strlen(a.full) && strlen(a.full) <= ADDRESS_MAX);
	mem_free(text);
	return 0;
}
