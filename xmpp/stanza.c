/* SPDX-License-Identifier: MIT */
/* stanza: see stanza.h. */
#include "xmpp/stanza.h"

#include "base/jid.h"

static const struct {
	const char *type, *condition, *app;
} stanza_faults[] = {
#define FAULT_ROW(sym, type, condition, app) { type, condition, app },
	FAULT_MAP(FAULT_ROW)
#undef FAULT_ROW
};

/* RFC 6120 §8.3.2: the text stands between the two conditions. */
static void
stanza_write_fault(struct xmlw *w, enum fault f, const char *feature, const char *text)
{
	xmlw_open(w, "error", NULL);
	xmlw_attrz(w, "type", stanza_faults[f].type);
	xmlw_leaf(w, stanza_faults[f].condition, NS_STANZAS);
	if (text != NULL) {
		xmlw_open(w, "text", NS_STANZAS);
		xmlw_text(w, str_of(text));
		xmlw_close(w);
	}
	if (stanza_faults[f].app != NULL) {
		xmlw_open(w, stanza_faults[f].app,
		    f >= FAULT_BAD_ACTION ? NS_COMMANDS : NS_PUBSUB_ERRORS);
		xmlw_attrz(w, "feature", feature);
		xmlw_close(w);
	}
	xmlw_close(w);
}

void
stanza_fault(struct xmlw *w, enum fault f, const char *feature)
{
	stanza_write_fault(w, f, feature, NULL);
}

void
stanza_fault_text(struct xmlw *w, enum fault f, const char *text)
{
	stanza_write_fault(w, f, NULL, text);
}

void
stanza_ping(struct buf *out, const char *from, const char *to, const char *id)
{
	struct xmlw w = xmlw_to(out);

	xmlw_open(&w, "iq", NULL);
	xmlw_attrz(&w, "type", "get");
	xmlw_attrz(&w, "from", from);
	xmlw_attrz(&w, "to", to);
	xmlw_attrz(&w, "id", id);
	xmlw_leaf(&w, "ping", NS_PING);
	xmlw_close(&w);
}

bool
address_read(const char *text, struct address *out)
{
	size_t bare = strcspn(text, "/");
	struct buf canonical = BUF_INIT(ADDRESS_MAX);
	bool ok = jid_bare((struct str){ text, bare }, &canonical);

	out->has_resource = text[bare] == '/';
	out->bare_n = canonical.len;
	if (ok && out->has_resource)
		ok = buf_byte(&canonical, '/') == ERR_OK &&
		    jid_resource(str_of(text + bare + 1), &canonical);
	if (ok) {
		memcpy(out->full, canonical.data, canonical.len);
		out->full[canonical.len] = '\0';
	}
	buf_free(&canonical);
	return ok;
}

struct str
address_bare(const struct address *a)
{
	return (struct str){ a->full, a->bare_n };
}
