#!/bin/bash
# SPDX-License-Identifier: MIT
# style: banned calls, raw malloc, file length, licence line.
set -u
cd "$(dirname "$0")/../.."
bad=0
complain() { echo "not ok - $*"; bad=1; }
sources() { git ls-files -co --exclude-standard 'src/*.[ch]' 'src/*.cc' 'components/*.[ch]' 'xmpp/*.[ch]' 'web/*.[ch]'; }

# Comments may name what code may not call.
code() { sed -E 's://.*$::' "$1" | perl -0pe 's:/\*.*?\*/::gs; s/"(\\.|[^"\\])*"/""/g'; }

banned() { code "$1" | grep -nE '\b(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|strtok|alloca)[[:space:]]*\(' && complain "$1: banned call"; }

for f in $(git ls-files -co --exclude-standard 'tests/*.[ch]'); do banned "$f"; done
for f in $(sources); do
	banned "$f"
	case $f in
	src/base/mem.c) ;;
	*) code "$f" | grep -nE '\b(malloc|calloc|realloc|free)[[:space:]]*\(' | grep . && complain "$f: raw malloc or free outside src/base/mem.c" ;;
	esac
	[ "$(wc -l < "$f")" -le 600 ] || complain "$f: longer than 600 lines"
	head -1 "$f" | grep -q 'SPDX-License-Identifier: MIT' || complain "$f: no SPDX line"
done
[ $bad = 0 ] && echo "ok - style"
exit $bad
