/* SPDX-License-Identifier: MIT */
/* xml_copy: elements beyond the life of what the reader gave. */
#include "base/mem.h"
#include "xmpp/xml.h"

static struct xml_attr *
xml_copy_attrs(const struct xml *x)
{
	struct xml_attr *attrs = mem_alloc((x->n_attrs + 1) * sizeof *attrs);

	for (size_t i = 0; i < x->n_attrs; i++)
		attrs[i] = (struct xml_attr){ mem_strdup(x->attrs[i].name),
			mem_strdup(x->attrs[i].value) };
	return attrs;
}

/* As deep as the reader lets elements be, XML_DEPTH_MAX. */
struct xml *
xml_copy(const struct xml *x)
{
	struct xml *copy;

	MEM_NEW(copy);
	copy->ns = mem_strdup(x->ns);
	copy->name = mem_strdup(x->name);
	copy->text = (struct str){ mem_dup(x->text.n > 0 ? x->text.p : "", x->text.n), x->text.n };
	copy->attrs = xml_copy_attrs(x);
	copy->n_attrs = x->n_attrs;
	for (const struct xml *c = x->first; c != NULL; c = c->next) {
		struct xml *child = xml_copy(c);

		child->parent = copy;
		if (copy->last != NULL)
			copy->last->next = child;
		else
			copy->first = child;
		copy->last = child;
	}
	return copy;
}

void
xml_copy_free(struct xml *x)
{
	struct xml *next;

	if (x == NULL)
		return;
	for (struct xml *c = x->first; c != NULL; c = next) {
		next = c->next;
		xml_copy_free(c);
	}
	for (size_t i = 0; i < x->n_attrs; i++) {
		mem_free((char *)x->attrs[i].name);
		mem_free((char *)x->attrs[i].value);
	}
	mem_free((struct xml_attr *)x->attrs);
	mem_free((char *)x->text.p);
	mem_free((char *)x->ns);
	mem_free((char *)x->name);
	mem_free(x);
}
