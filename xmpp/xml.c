/* SPDX-License-Identifier: MIT */
/* xml: bytes of one XMPP stream -> stanza trees. The only file that knows
 * expat. A tree lives in an arena that the next stanza uses again. */
#include "xmpp/xml.h"

#include <expat.h>
#include <stdlib.h>

#include "base/mem.h"

#define XML_SEPARATOR '\x01' /* between namespace and name; never part of either */
#define XML_CHUNK 8192       /* of the arena */
#define XML_FEED 65536       /* bytes given to expat at once */
#define XML_TEXT_MIN 32

struct xml_chunk {
	struct xml_chunk *next;
	size_t used, size;
	_Alignas(16) char at[];
};

struct xml_reader {
	XML_Parser expat;
	const struct xml_reader_ops *ops;
	void *arg;
	struct xml_chunk *chunks; /* newest first */
	size_t arena;             /* bytes of all chunks */
	char *header_name;        /* as expat gives it */
	struct xml *stanza;       /* being read, NULL between stanzas */
	struct xml *at;           /* innermost open element of it */
	size_t depth;             /* open elements, the stream's included */
	XML_Index stanza_start;
	XML_Index reported;       /* behind the last thing expat told us of */
	XML_Index fed;
	enum xml_error error;
	bool refused;             /* the stanza: only its head is kept */
	bool stopped;
};

static const struct {
	const char *condition, *text;
} xml_errors[] = {
#define XML_ROW(sym, condition, text) { condition, text },
	XML_MAP(XML_ROW)
#undef XML_ROW
};

const char *
xml_error_condition(enum xml_error e)
{
	return xml_errors[e].condition;
}

const char *
xml_error_text(enum xml_error e)
{
	return xml_errors[e].text;
}

/* ---- trees ---- */

const char *
xml_attr(const struct xml *x, const char *name)
{
	for (size_t i = 0; i < x->n_attrs; i++)
		if (strcmp(x->attrs[i].name, name) == 0)
			return x->attrs[i].value;
	return NULL;
}

bool
xml_is(const struct xml *x, const char *ns, const char *name)
{
	return strcmp(x->name, name) == 0 && strcmp(x->ns, ns) == 0;
}

const struct xml *
xml_child(const struct xml *x, const char *ns, const char *name)
{
	const struct xml *c = x != NULL ? x->first : NULL;

	while (c != NULL && !xml_is(c, ns, name))
		c = c->next;
	return c;
}

/* ---- arena ---- */

static void *
xml_alloc(struct xml_reader *r, size_t n)
{
	struct xml_chunk *c = r->chunks;
	void *at;

	n = (n + 15) & ~(size_t)15;
	if (c == NULL || c->size - c->used < n) {
		size_t size = n > XML_CHUNK ? n : XML_CHUNK;

		c = mem_alloc(sizeof *c + size);
		*c = (struct xml_chunk){ .next = r->chunks, .size = size };
		r->chunks = c;
		r->arena += size;
	}
	at = c->at + c->used;
	c->used += n;
	return at;
}

static char *
xml_keep(struct xml_reader *r, const char *p, size_t n)
{
	char *copy = xml_alloc(r, n + 1);

	memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

/* Everything goes but one ordinary chunk, which the next stanza will use. */
static void
xml_arena_clear(struct xml_reader *r, bool keep_one)
{
	struct xml_chunk *kept = NULL;

	for (struct xml_chunk *c = r->chunks, *next; c != NULL; c = next) {
		next = c->next;
		if (keep_one && kept == NULL && c->size == XML_CHUNK)
			kept = c;
		else
			mem_free(c);
	}
	r->chunks = kept;
	r->arena = kept != NULL ? XML_CHUNK : 0;
	if (kept != NULL)
		*kept = (struct xml_chunk){ .size = XML_CHUNK };
}

/* ---- building ---- */

static void
xml_fail(struct xml_reader *r, enum xml_error e)
{
	if (r->error == XML_OK)
		r->error = e;
	XML_StopParser(r->expat, XML_FALSE);
}

static bool
xml_over(const struct xml_reader *r)
{
	return r->error != XML_OK || r->stopped;
}

static void
xml_note_place(struct xml_reader *r)
{
	r->reported = XML_GetCurrentByteIndex(r->expat) + XML_GetCurrentByteCount(r->expat);
}

/* From here to its end the stanza is only counted. */
static void
xml_refuse(struct xml_reader *r)
{
	r->refused = true;
	r->at = NULL;
	r->stanza->first = r->stanza->last = NULL;
	r->stanza->text = (struct str){ "", 0 };
}

/* Holds the stanza being read to its limits. */
static void
xml_measure(struct xml_reader *r)
{
	XML_Index size = r->reported - r->stanza_start;

	if (size > (XML_Index)XML_HARD_STANZA_MAX || r->depth > XML_HARD_DEPTH_MAX)
		xml_fail(r, XML_TOO_MUCH);
	else if (!r->refused && (size > XML_STANZA_MAX || r->depth > XML_DEPTH_MAX + 1 ||
	    r->arena > XML_ARENA_MAX))
		xml_refuse(r);
}

static void
xml_take_attrs(struct xml_reader *r, struct xml *x, const char **attrs)
{
	size_t n = (size_t)XML_GetSpecifiedAttributeCount(r->expat) / 2;
	struct xml_attr *kept;

	kept = xml_alloc(r, (n < XML_ATTRS_MAX ? n : XML_ATTRS_MAX) * sizeof *kept);
	for (; attrs[0] != NULL && x->n_attrs < XML_ATTRS_MAX; attrs += 2) {
		if (strchr(attrs[0], XML_SEPARATOR) != NULL)
			continue;
		kept[x->n_attrs].name = xml_keep(r, attrs[0], strlen(attrs[0]));
		kept[x->n_attrs++].value = xml_keep(r, attrs[1], strlen(attrs[1]));
	}
	x->attrs = kept;
}

static struct xml *
xml_element(struct xml_reader *r, struct xml *parent, const char *name, const char **attrs)
{
	const char *cut = strchr(name, XML_SEPARATOR);
	size_t ns = cut != NULL ? (size_t)(cut - name) : 0;
	struct xml *x = xml_alloc(r, sizeof *x);

	*x = (struct xml){ .parent = parent, .ns = "", .text = { "", 0 } };
	x->name = xml_keep(r, cut ? cut + 1 : name, strlen(cut ? cut + 1 : name));
	if (parent != NULL && strlen(parent->ns) == ns && memcmp(parent->ns, name, ns) == 0)
		x->ns = parent->ns;
	else if (ns > 0)
		x->ns = xml_keep(r, name, ns);
	if (attrs[0] != NULL)
		xml_take_attrs(r, x, attrs);
	return x;
}

static void
xml_append(struct xml *parent, struct xml *x)
{
	if (parent->last != NULL)
		parent->last->next = x;
	else
		parent->first = x;
	parent->last = x;
}

static void
xml_header(struct xml_reader *r, const char *name, const char **attrs)
{
	struct xml *header = xml_element(r, NULL, name, attrs);

	r->header_name = mem_strdup(name);
	r->ops->open(r->arg, header);
	xml_arena_clear(r, true);
}

static void
xml_stanza_start(struct xml_reader *r, const char *name, const char **attrs)
{
	if (strcmp(name, r->header_name) == 0) {
		xml_fail(r, XML_TWICE);
		return;
	}
	r->refused = false;
	r->stanza_start = XML_GetCurrentByteIndex(r->expat);
	r->stanza = r->at = xml_element(r, NULL, name, attrs);
}

static void XMLCALL
xml_start_cb(void *arg, const char *name, const char **attrs)
{
	struct xml_reader *r = arg;
	int n = XML_GetSpecifiedAttributeCount(r->expat) / 2;

	if (xml_over(r))
		return;
	xml_note_place(r);
	if (r->depth++ == 0) {
		xml_header(r, name, attrs);
		return;
	}
	if (r->depth == 2) {
		xml_stanza_start(r, name, attrs);
	} else if (!r->refused && n <= XML_ATTRS_MAX) {
		struct xml *x = xml_element(r, r->at, name, attrs);

		xml_append(r->at, x);
		r->at = x;
	}
	if (xml_over(r))
		return;
	if (n > XML_ATTRS_MAX && !r->refused)
		xml_refuse(r);
	xml_measure(r);
}

static void
xml_stanza_end(struct xml_reader *r)
{
	struct xml *stanza = r->stanza;

	r->stanza = r->at = NULL;
	if (r->refused)
		r->ops->refused(r->arg, stanza);
	else
		r->ops->stanza(r->arg, stanza);
	xml_arena_clear(r, true);
}

static void XMLCALL
xml_end_cb(void *arg, const char *name)
{
	struct xml_reader *r = arg;

	(void)name;
	if (xml_over(r))
		return;
	xml_note_place(r);
	r->depth--;
	if (r->depth == 0) {
		r->ops->close(r->arg);
		return;
	}
	xml_measure(r);
	if (xml_over(r))
		return;
	if (r->depth == 1)
		xml_stanza_end(r);
	else if (!r->refused)
		r->at = r->at->parent;
}

/* Text grows by doubling, so that text between a thousand children costs what
 * it weighs. */
static void
xml_text(struct xml_reader *r, struct xml *x, const char *p, size_t n)
{
	char *text;

	if (x->text.n + n >= x->text_cap) {
		x->text_cap = 2 * (x->text.n + n) + XML_TEXT_MIN;
		text = xml_alloc(r, x->text_cap);
		memcpy(text, x->text.p, x->text.n);
		x->text.p = text;
	}
	text = (char *)x->text.p; /* ours, from the line above */
	memcpy(text + x->text.n, p, n);
	x->text.n += n;
	text[x->text.n] = '\0';
}

static void XMLCALL
xml_chars_cb(void *arg, const char *p, int n)
{
	struct xml_reader *r = arg;

	if (xml_over(r))
		return;
	xml_note_place(r);
	if (r->stanza == NULL)
		return; /* white space that keeps the stream alive */
	if (!r->refused)
		xml_text(r, r->at, p, (size_t)n);
	xml_measure(r);
}

/* RFC 6120 §11.1: none of these may stand in a stream. */
static void XMLCALL
xml_doctype_cb(void *arg, const char *name, const char *sysid, const char *pubid, int internal)
{
	(void)name, (void)sysid, (void)pubid, (void)internal;
	xml_fail(arg, XML_RESTRICTED);
}

static void XMLCALL
xml_pi_cb(void *arg, const char *target, const char *data)
{
	(void)target, (void)data;
	xml_fail(arg, XML_RESTRICTED);
}

static void XMLCALL
xml_comment_cb(void *arg, const char *data)
{
	(void)data;
	xml_fail(arg, XML_RESTRICTED);
}

struct xml_reader *
xml_reader_new(const struct xml_reader_ops *ops, void *arg)
{
	struct xml_reader *r;

	MEM_NEW(r);
	r->ops = ops;
	r->arg = arg;
	r->expat = XML_ParserCreateNS("UTF-8", XML_SEPARATOR);
	if (r->expat == NULL)
		abort(); /* no memory, as in mem.c */
	XML_SetUserData(r->expat, r);
	XML_SetElementHandler(r->expat, xml_start_cb, xml_end_cb);
	XML_SetCharacterDataHandler(r->expat, xml_chars_cb);
	XML_SetStartDoctypeDeclHandler(r->expat, xml_doctype_cb);
	XML_SetProcessingInstructionHandler(r->expat, xml_pi_cb);
	XML_SetCommentHandler(r->expat, xml_comment_cb);
#ifdef HAVE_XML_SETREPARSEDEFERRALENABLED
	/* A stanza must not wait for the bytes of the next one. What deferral
	 * guards against, a token fed in crumbs, ends at XML_HARD_TOKEN_MAX. */
	XML_SetReparseDeferralEnabled(r->expat, XML_FALSE);
#endif
	return r;
}

void
xml_reader_free(struct xml_reader *r)
{
	if (r == NULL)
		return;
	XML_ParserFree(r->expat);
	xml_arena_clear(r, false);
	mem_free(r->header_name);
	mem_free(r);
}

void
xml_reader_stop(struct xml_reader *r)
{
	r->stopped = true;
	XML_StopParser(r->expat, XML_FALSE);
}

/* RFC 6120 §11.6: a stream is UTF-8. expat would follow a byte order mark, or
 * the NULs of UTF-16, into another encoding. */
static bool
xml_is_utf8_start(const struct xml_reader *r, struct str bytes)
{
	return memchr(bytes.p, '\0', bytes.n) == NULL &&
	    (r->fed > 0 || (unsigned char)bytes.p[0] < 0x80);
}

static void
xml_feed_some(struct xml_reader *r, struct str bytes)
{
	enum XML_Status status;

	if (!xml_is_utf8_start(r, bytes)) {
		r->error = XML_MALFORMED;
		return;
	}
	r->fed += (XML_Index)bytes.n;
	status = XML_Parse(r->expat, bytes.p, (int)bytes.n, XML_FALSE);
	if (xml_over(r))
		return;
	if (status != XML_STATUS_OK)
		r->error = XML_MALFORMED;
	else if (r->fed - r->reported > (XML_Index)XML_HARD_TOKEN_MAX)
		r->error = XML_TOO_MUCH; /* one token that does not end */
}

enum xml_error
xml_reader_feed(struct xml_reader *r, struct str bytes)
{
	while (bytes.n > 0 && !xml_over(r)) {
		size_t n = bytes.n < XML_FEED ? bytes.n : XML_FEED;

		xml_feed_some(r, (struct str){ bytes.p, n });
		bytes.p += n;
		bytes.n -= n;
	}
	return r->error;
}
