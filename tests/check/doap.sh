#!/bin/bash
# SPDX-License-Identifier: MIT
# doap: lectern.doap names each namespace that disco#info announces (those of
# pubsub#... by their XEP), and announces none that the code does not know.
set -u
cd "$(dirname "$0")/../.."
bad=0
complain() { echo "not ok - $*"; bad=1; }

declare -A ns
while read -r name value; do ns[$name]=$value; done < <(
	sed -nE 's/^#define (NS_[A-Z_]+) "([^"]+)".*/\1 \2/p' xmpp/stanza.h)
[ ${#ns[@]} -gt 10 ] || complain "no namespaces found in xmpp/stanza.h"
announced=$(sed -n '/disco_features\[\]/,/^};/p' xmpp/disco.c | grep -oE '^	NS_[A-Z_]+' | sort -u)
[ -n "$announced" ] || complain "no features found in xmpp/disco.c"
notes=$(grep -oE '<xmpp:note[^>]*>[^<]*' lectern.doap)
for name in $announced; do
	grep -qF "${ns[$name]:-?$name}" <<< "$notes" || complain "lectern.doap does not name $name, ${ns[$name]:-unknown}"
done
for value in $(grep -oE '(urn:xmpp:|jabber:|http://jabber.org/protocol/)[^; <]+' <<< "$notes"); do
	known=no
	for name in $announced; do [ "${ns[$name]:-}" != "$value" ] || known=yes; done
	[ $known = yes ] || complain "lectern.doap names $value, which disco#info does not announce"
done
[ $bad -eq 0 ] && echo "ok - lectern.doap and disco#info agree"
exit $bad
