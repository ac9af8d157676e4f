#!/bin/bash
# SPDX-License-Identifier: MIT
# floors: a file includes its own floor or a lower one; doors never include each
# other; each library has one owner. docs/architecture.md has the picture.
set -u
cd "$(dirname "$0")/../.."
bad=0
complain() { echo "not ok - $*"; bad=1; }

floor_of() { # number of a file's floor
	case $1 in
	src/base/*) echo 0 ;; src/state/*) echo 1 ;; components/*) echo 2 ;; src/flow/*) echo 3 ;;
	xmpp/*|web/*) echo 4 ;; *) echo 5 ;;
	esac
}
path_of() { # the file an #include "..." names
	case $1 in components/*|xmpp/*|web/*) echo "$1" ;; base/*|state/*|flow/*|ctl/*) echo "src/$1" ;; *) echo "" ;; esac
}

while IFS=: read -r file included; do
	target=$(path_of "$included"); [ -n "$target" ] || continue
	[ "$(floor_of "$target")" -le "$(floor_of "$file")" ] || complain "$file includes $included, a higher floor"
	case $file:$target in
	xmpp/*:web/*|web/*:xmpp/*) complain "$file includes $included, the other door" ;;
	components/*:src/state/*) complain "$file includes $included: components know JSON and reducer.h, nothing else" ;;
	esac
done < <(git ls-files -co --exclude-standard 'src/*.[ch]' 'src/*.cc' 'components/*.[ch]' 'xmpp/*.[ch]' 'web/*.[ch]' |
	xargs grep -HoP '^\s*#\s*include\s+"\K[^"]+' )

owner() { # owner HEADER-PATTERN ALLOWED-PATTERN
	local f
	for f in $(git ls-files -co --exclude-standard 'src/*' 'components/*' 'xmpp/*' 'web/*' | xargs grep -lE "#\s*include\s+<$1" 2>/dev/null); do
		[[ $f =~ ^($2)$ ]] || complain "$f includes <$1>, whose owner is $2"
	done
}
owner 'uv\.h' 'src/base/(loop|conn|spawn)\.c|src/control\.c|web/(server|listen)\.[ch]'
owner 'libwebsockets\.h' 'web/(server|tls)\.[ch]'
owner 'expat\.h' 'xmpp/xml[a-z_]*\.[ch]'
owner 'openssl/' 'src/base/crypt\.c|web/tls\.c|src/ctl/wsock\.c'
owner 'simdjson\.h' 'src/base/json\.cc'
owner 'confuse\.h' 'src/base/conf[a-z_]*\.[ch]'
owner 'unicode/' 'src/base/jid\.c'
owner 'sqlite3\.h' 'src/base/sqlite\.c'
owner 'hiredis/' 'src/state/redis_link\.c'
owner 'libpq-fe\.h' 'src/state/pg_link[a-z_]*\.[ch]'
owner 'zip\.h' 'src/state/roster_oneroster[a-z_]*\.c'
owner 'strophe\.h' 'src/ctl/watch_client\.c|src/xmpp_check\.c'
owner 'crypt\.h' 'src/base/password\.c'
owner 'systemd/' 'src/daemon[a-z_]*\.c'

[ $bad = 0 ] && echo "ok - floors and owners"
exit $bad
