/* SPDX-License-Identifier: MIT */
/* caps: the hash that stands for what a disco#info says (XEP-0115 §5.1). Made of
 * the answer itself, so that the two cannot differ. */
#include "xmpp/caps.h"

#include <stdlib.h>

#include "base/crypt.h"
#include "base/mem.h"
#include "xmpp/form.h"

/* What is sorted: elements, each by a key of its own. */
struct caps_part {
	char *key;
	const struct xml *x;
};

struct caps_parts {
	struct caps_part *v;
	size_t n;
};

static void
caps_add(struct caps_parts *p, char *key, const struct xml *x)
{
	p->v = mem_realloc(p->v, (p->n + 1) * sizeof *p->v);
	p->v[p->n++] = (struct caps_part){ key, x };
}

/* By bytes: the i;octet of RFC 4790 §9.3. */
static int
caps_order(const void *a, const void *b)
{
	return strcmp(((const struct caps_part *)a)->key, ((const struct caps_part *)b)->key);
}

typedef void caps_inside(const struct xml *x, struct buf *out);

/* Appends each key in order with its "<", and what is inside; ends the parts. */
static void
caps_write(struct caps_parts *p, caps_inside *inside, struct buf *out)
{
	if (p->n > 1)
		qsort(p->v, p->n, sizeof *p->v, caps_order);
	for (size_t i = 0; i < p->n; i++) {
		buf_z(out, p->v[i].key);
		buf_byte(out, '<');
		if (inside != NULL)
			inside(p->v[i].x, out);
		mem_free(p->v[i].key);
	}
	mem_free(p->v);
	*p = (struct caps_parts){ 0 };
}

static const char *
caps_attr(const struct xml *x, const char *name)
{
	const char *value = xml_attr(x, name);

	return value != NULL ? value : "";
}

static void
caps_values(const struct xml *field, struct buf *out)
{
	struct caps_parts p = { 0 };

	for (const struct xml *v = form_values(field); v != NULL; v = form_more(v))
		caps_add(&p, mem_str(v->text), v);
	caps_write(&p, NULL, out);
}

static bool
caps_is_form_type(const struct xml *field)
{
	return strcmp(caps_attr(field, "var"), "FORM_TYPE") == 0;
}

static void
caps_fields(const struct xml *form, struct buf *out)
{
	struct caps_parts p = { 0 };

	for (const struct xml *f = form->first; f != NULL; f = f->next)
		if (xml_is(f, NS_DATA, "field") && !caps_is_form_type(f))
			caps_add(&p, mem_strdup(caps_attr(f, "var")), f);
	caps_write(&p, caps_values, out);
}

/* Its FORM_TYPE; NULL: it has none that is hidden, and does not count (§5.4). */
static const char *
caps_form_type(const struct xml *form)
{
	for (const struct xml *f = form->first; f != NULL; f = f->next)
		if (xml_is(f, NS_DATA, "field") && caps_is_form_type(f))
			return strcmp(caps_attr(f, "type"), "hidden") == 0 ? form_single(f) : NULL;
	return NULL;
}

/* The reader keeps no xml:lang, and we write none. */
static char *
caps_identity(const struct xml *x)
{
	return mem_printf("%s/%s//%s", caps_attr(x, "category"), caps_attr(x, "type"),
	    caps_attr(x, "name"));
}

void
caps_text(const struct xml *query, struct buf *out)
{
	struct caps_parts identities = { 0 }, features = { 0 }, forms = { 0 };
	const char *type;

	for (const struct xml *x = query->first; x != NULL; x = x->next) {
		if (strcmp(x->name, "identity") == 0)
			caps_add(&identities, caps_identity(x), x);
		else if (strcmp(x->name, "feature") == 0)
			caps_add(&features, mem_strdup(caps_attr(x, "var")), x);
		else if (xml_is(x, NS_DATA, "x") && (type = caps_form_type(x)) != NULL)
			caps_add(&forms, mem_strdup(type), x);
	}
	caps_write(&identities, NULL, out);
	caps_write(&features, NULL, out);
	caps_write(&forms, caps_fields, out);
}

/* ---- the hash ---- */

static void
caps_query_cb(void *arg, const struct xml *query)
{
	struct buf text = BUF_INIT(0), code = BUF_INIT(0);
	struct str piece;
	uint8_t hash[CRYPT_SHA1];

	caps_text(query, &text);
	piece = buf_view(&text);
	crypt_sha1(&piece, 1, hash);
	crypt_base64(&code, hash, sizeof hash);
	memcpy(arg, code.data, CAPS_VER_LEN);
	buf_free(&code);
	buf_free(&text);
}

static void
caps_nothing_cb(void *arg)
{
	(void)arg;
}

static void
caps_head_cb(void *arg, const struct xml *head)
{
	(void)arg, (void)head;
}

static const struct xml_reader_ops caps_ops = {
	caps_head_cb, caps_query_cb, caps_head_cb, caps_nothing_cb
};

void
caps_ver(struct str query, char out[CAPS_VER_LEN + 1])
{
	struct xml_reader *r = xml_reader_new(&caps_ops, out);

	memset(out, 0, CAPS_VER_LEN + 1);
	xml_reader_feed(r, STR_LIT("<stream:stream xmlns:stream='" NS_STREAM "'>"));
	xml_reader_feed(r, query);
	xml_reader_free(r);
}
