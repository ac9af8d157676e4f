/* SPDX-License-Identifier: MIT */
/* xml: the XML of an XMPP stream. A bounded reader that turns bytes into small
 * stanza trees (xml.c, the only file that knows expat), and the one writer,
 * which cannot produce anything but XML (xml_write.c). Knows no stanza. */
#ifndef LECTERN_XMPP_XML_H
#define LECTERN_XMPP_XML_H

#include "base/buf.h"

/* ---- reading ---- */

/* A stanza beyond these is not kept but reported whole as refused: whoever can
 * send us a stanza through the server must not be able to end the stream. */
#define XML_DEPTH_MAX 32           /* elements inside each other, the stanza included */
#define XML_ATTRS_MAX 64           /* per element */
#define XML_STANZA_MAX 65536       /* bytes on the wire */
#define XML_ARENA_MAX (4u << 20)   /* bytes of its tree */

/* Beyond these the stream itself is ended. They lie above what a server makes
 * of the largest stanza it lets a user send (512 KiB, six bytes for a quote). */
#define XML_HARD_DEPTH_MAX 4096
#define XML_HARD_TOKEN_MAX (4u << 20)   /* a tag, an attribute with it */
#define XML_HARD_STANZA_MAX (16u << 20)

struct xml_attr {
	const char *name;
	const char *value;
};

/* An element. Only attributes without a namespace are kept: a server passes
 * x:from='...' on as it came, and it must never be taken for the real one. */
struct xml {
	const char *ns;   /* "" for none */
	const char *name;
	struct str text;  /* its own character data, children's not included; ends in NUL */
	const struct xml_attr *attrs;
	size_t n_attrs;
	struct xml *first, *last; /* children */
	struct xml *next, *parent;
	size_t text_cap;
};

/* The value, or NULL. */
const char *xml_attr(const struct xml *x, const char *name);
bool xml_is(const struct xml *x, const char *ns, const char *name);
/* The first child of that name and namespace, or NULL; x may be NULL. */
const struct xml *xml_child(const struct xml *x, const char *ns, const char *name);

/* X(symbol, RFC 6120 §4.9.3 stream error condition, sentence for people) */
#define XML_MAP(X)                                                              \
	X(XML_OK, "", "no error")                                               \
	X(XML_MALFORMED, "not-well-formed", "the stream is not well-formed XML") \
	X(XML_RESTRICTED, "restricted-xml",                                     \
	    "a DTD, comment or processing instruction stands in the stream")    \
	X(XML_TOO_MUCH, "policy-violation", "an element of the stream is beyond every limit") \
	X(XML_TWICE, "bad-format", "a second stream header stands in the stream")

enum xml_error {
#define XML_ENUM(sym, condition, text) sym,
	XML_MAP(XML_ENUM)
#undef XML_ENUM
	XML_ERRORS
};
const char *xml_error_condition(enum xml_error e);
const char *xml_error_text(enum xml_error e);

/* What the reader finds; trees are valid in the call. The reader must not be
 * freed in a call, but xml_reader_stop may be called: it is the last one. */
struct xml_reader_ops {
	void (*open)(void *arg, const struct xml *header); /* <stream:stream ...> */
	void (*stanza)(void *arg, const struct xml *stanza);
	/* Its first tag, without children, with its first XML_ATTRS_MAX attributes. */
	void (*refused)(void *arg, const struct xml *head);
	void (*close)(void *arg); /* </stream:stream> */
};

struct xml_reader;
struct xml_reader *xml_reader_new(const struct xml_reader_ops *ops, void *arg);
void xml_reader_free(struct xml_reader *r);
/* Once it has answered an error it answers that error for ever. */
enum xml_error xml_reader_feed(struct xml_reader *r, struct str bytes);
void xml_reader_stop(struct xml_reader *r);

/* A copy of an element and all that is in it, to be kept. */
struct xml *xml_copy(const struct xml *x);
void xml_copy_free(struct xml *x); /* NULL is allowed */

/* ---- writing ---- */

#define XMLW_DEPTH 16

/* Names and namespaces come from the program, everything else is encoded:
 * what is no XML Char (XML 1.0 §2.2), or no UTF-8, comes out as U+FFFD. */
struct xmlw {
	struct buf *out; /* borrowed */
	const char *open[XMLW_DEPTH];
	unsigned depth;
	bool in_tag;
};

struct xmlw xmlw_to(struct buf *out);
void xmlw_open(struct xmlw *w, const char *name, const char *ns); /* ns may be NULL */
void xmlw_attr(struct xmlw *w, const char *name, struct str value);
void xmlw_attrz(struct xmlw *w, const char *name, const char *value); /* NULL: left out */
void xmlw_attru(struct xmlw *w, const char *name, size_t value);
void xmlw_text(struct xmlw *w, struct str text);
void xmlw_close(struct xmlw *w);
/* Shorthands: <name xmlns='ns'/> and <name>text</name>. */
void xmlw_leaf(struct xmlw *w, const char *name, const char *ns);
void xmlw_textz(struct xmlw *w, const char *name, const char *text);

/* What xmlw_text would append, without a writer. */
void xml_encode(struct buf *out, struct str text);

#endif
