/* SPDX-License-Identifier: MIT */
/* stanza: see stanza.h. */
#include "xmpp/stanza.h"

#include "state/roster.h"

#define ADDRESS_RESOURCE_MAX 1023 /* RFC 7622 §3.4 */

static const struct {
	const char *type, *condition, *app;
} stanza_faults[] = {
#define FAULT_ROW(sym, type, condition, app) { type, condition, app },
	FAULT_MAP(FAULT_ROW)
#undef FAULT_ROW
};

void
stanza_fault(struct xmlw *w, enum fault f, const char *feature)
{
	xmlw_open(w, "error", NULL);
	xmlw_attrz(w, "type", stanza_faults[f].type);
	xmlw_leaf(w, stanza_faults[f].condition, NS_STANZAS);
	if (stanza_faults[f].app != NULL) {
		xmlw_open(w, stanza_faults[f].app, NS_PUBSUB_ERRORS);
		xmlw_attrz(w, "feature", feature);
		xmlw_close(w);
	}
	xmlw_close(w);
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
	size_t resource = text[bare] == '/' ? strlen(text + bare + 1) : 0;
	struct buf canonical = BUF_INIT(ADDRESS_MAX - ADDRESS_RESOURCE_MAX - 1);
	bool ok;

	out->has_resource = text[bare] == '/';
	ok = roster_jid((struct str){ text, bare }, &canonical) && !canonical.failed &&
	    resource <= ADDRESS_RESOURCE_MAX && (resource > 0 || !out->has_resource);
	if (ok) {
		out->bare_n = canonical.len;
		memcpy(out->full, canonical.data, canonical.len);
		memcpy(out->full + canonical.len, text + bare, strlen(text + bare) + 1);
	}
	buf_free(&canonical);
	return ok;
}

struct str
address_bare(const struct address *a)
{
	return (struct str){ a->full, a->bare_n };
}
