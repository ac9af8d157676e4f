/* SPDX-License-Identifier: MIT */
/* link_say: what the log says of a component stream: which case, and the lines
 * to add on the server. Never the secret itself. */
#include "base/log.h"
#include "xmpp/link.h"

static bool
link_is_address(const char *host)
{
	return host[strspn(host, "0123456789abcdefABCDEF.:")] == '\0';
}

static void
link_advise_prosody(const struct link_options *o, struct buf *out)
{
	if (o->host[0] != '/')
		buf_printf(out, "prosody.cfg.lua: component_ports = { %d }\n", o->port);
	buf_printf(out, "prosody.cfg.lua: Component \"%s\"\n", o->jid);
	buf_printf(out, "prosody.cfg.lua:   component_secret = \"<the content of %s>\"\n",
	    o->secret_file);
	buf_z(out, "prosody.cfg.lua:   component_conflict_resolve = \"kick_old\"\n");
}

static void
link_advise_ejabberd(const struct link_options *o, struct buf *out)
{
	buf_z(out, "ejabberd.yml: listen:\n"
	    "ejabberd.yml:   -\n");
	if (o->host[0] == '/')
		buf_printf(out, "ejabberd.yml:     port: \"unix:%s\"\n", o->host);
	else
		buf_printf(out, "ejabberd.yml:     port: %d\n", o->port);
	if (link_is_address(o->host))
		buf_printf(out, "ejabberd.yml:     ip: \"%s\"\n", o->host);
	buf_printf(out, "ejabberd.yml:     module: ejabberd_service\n"
	    "ejabberd.yml:     global_routes: false\n"
	    "ejabberd.yml:     hosts:\n"
	    "ejabberd.yml:       \"%s\":\n"
	    "ejabberd.yml:         password: \"<the content of %s>\"\n", o->jid, o->secret_file);
}

bool
link_needs_hands(enum link_state s)
{
	return s == LINK_PORT_CLOSED || s == LINK_WRONG_SECRET || s == LINK_UNKNOWN_HOST ||
	    s == LINK_CONFLICT;
}

void
link_advise(const struct link_options *o, struct buf *out)
{
	link_advise_prosody(o, out);
	link_advise_ejabberd(o, out);
}

static void
link_say_lines(struct str lines)
{
	while (lines.n > 0) {
		const char *end = memchr(lines.p, '\n', lines.n);
		size_t n = (size_t)(end - lines.p);

		log_notice("xmpp %.*s", (int)n, lines.p);
		lines = (struct str){ lines.p + n + 1, lines.n - n - 1 };
	}
}

void
link_say(const struct link_options *o, enum link_state s, const char *detail)
{
	struct buf advice = BUF_INIT(0);

	if (s == LINK_UP || s == LINK_STOPPED) {
		log_notice("xmpp jid=%s host=%s port=%d state=%s", o->jid, o->host, o->port,
		    link_state_name(s));
		return;
	}
	log_line(link_needs_hands(s) ? LOG_ERROR : LOG_WARNING,
	    "xmpp jid=%s host=%s port=%d state=%s: %s%s%s; trying again", o->jid, o->host, o->port,
	    link_state_name(s), link_state_text(s), detail[0] != '\0' ? ": " : "", detail);
	if (!link_needs_hands(s))
		return;
	link_advise(o, &advice);
	link_say_lines(buf_view(&advice));
	buf_free(&advice);
}
