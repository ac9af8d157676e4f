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
link_say_prosody(const struct link_options *o)
{
	if (o->host[0] != '/')
		log_notice("xmpp prosody.cfg.lua: component_ports = { %d }", o->port);
	log_notice("xmpp prosody.cfg.lua: Component \"%s\"", o->jid);
	log_notice("xmpp prosody.cfg.lua:   component_secret = \"<the content of %s>\"",
	    o->secret_file);
	log_notice("xmpp prosody.cfg.lua:   component_conflict_resolve = \"kick_old\"");
}

static void
link_say_ejabberd(const struct link_options *o)
{
	log_notice("xmpp ejabberd.yml: listen:");
	log_notice("xmpp ejabberd.yml:   -");
	if (o->host[0] == '/')
		log_notice("xmpp ejabberd.yml:     port: \"unix:%s\"", o->host);
	else
		log_notice("xmpp ejabberd.yml:     port: %d", o->port);
	if (link_is_address(o->host))
		log_notice("xmpp ejabberd.yml:     ip: \"%s\"", o->host);
	log_notice("xmpp ejabberd.yml:     module: ejabberd_service");
	log_notice("xmpp ejabberd.yml:     global_routes: false");
	log_notice("xmpp ejabberd.yml:     hosts:");
	log_notice("xmpp ejabberd.yml:       \"%s\":", o->jid);
	log_notice("xmpp ejabberd.yml:         password: \"<the content of %s>\"", o->secret_file);
}

/* Whether somebody must change something on the server before it can work. */
static bool
link_needs_hands(enum link_state s)
{
	return s == LINK_PORT_CLOSED || s == LINK_WRONG_SECRET || s == LINK_UNKNOWN_HOST ||
	    s == LINK_CONFLICT;
}

void
link_say(const struct link_options *o, enum link_state s, const char *detail)
{
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
	link_say_prosody(o);
	link_say_ejabberd(o);
}
