#!/bin/sh
# Each header compiles on its own, with nothing included before it.
set -u

: "${srcdir:=.}"
: "${CC:=cc}"
: "${CORE_CPPFLAGS:=}"
top=$srcdir/../..
out=$(mktemp -d) || exit 99
trap 'rm -rf "$out"' EXIT
failed=0
count=0

for header in "$top"/proto/*.h "$top"/agent/*.h "$top"/client/*.h; do
	dir=${header%/*}
	count=$((count + 1))
	# twice, so that the guard is tried as well
	printf '#include "%s"\n#include "%s"\n' "${header##*/}" \
	    "${header##*/}" >"$out/one.c"
	# shellcheck disable=SC2086 # flags are words
	if ! $CC $CORE_CPPFLAGS -D_GNU_SOURCE -I"$dir" -I"$top/proto" \
	    -I"$top/agent" -I"$top/client" -Wall -Wextra -Werror \
	    -fsyntax-only "$out/one.c" >"$out/log" 2>&1; then
		failed=$((failed + 1))
		echo "$header does not compile on its own:"
		cat "$out/log"
	fi
done
echo "$count headers, $failed failed"
test "$count" -gt 40 && test "$failed" -eq 0
