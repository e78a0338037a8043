#!/bin/sh
# Do header, version script, manual pages and --help say the same?  Run by
# `make check` in the build directory.
set -u
LC_ALL=C
export LC_ALL
srcdir=${srcdir:-.}
top_srcdir=${top_srcdir:-..}
man=$top_srcdir/docs/man
header=$srcdir/qapi-agent.h
failed=0
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT

fail()
{
	echo "FAIL: $*" >&2
	failed=1
}

# The header without comments, one declaration a line.
declarations()
{
	sed -e ':a' -e '$!{N;ba' -e '}' -e 's,/\*[^*]*\*\([^/][^*]*\*\)*/,,g' \
	    "$header" | sed '/^#/d' | tr '\n\t' '  ' | tr -s ' ' |
	    sed 's/; */;\n/g' | grep 'qapi_agent_[a-z_]*(' |
	    sed -e 's/^ *extern "C" { *//' -e 's/^ *//'
}

# Prototypes of the manual page in the same form.
prototypes()
{
	awk '
	/^\.Sh DESCRIPTION/ { exit }
	/^\.Ft / { sub(/^\.Ft /, ""); gsub(/"/, ""); type = $0 }
	/^\.Fo / { name = $2; args = "" }
	/^\.Fa / {
		sub(/^\.Fa /, ""); gsub(/"/, "")
		args = args (args == "" ? "" : ", ") $0
	}
	/^\.Fc/ {
		print type (type ~ /\*$/ ? "" : " ") name "(" args ");"
	}' "$man/libqapi-agent.3"
}

declarations | sed 's/( /(/g' | sort >"$tmp/header"
prototypes | sort >"$tmp/manual"
test -s "$tmp/header" || fail "no declarations found in $header"
diff -u "$tmp/header" "$tmp/manual" ||
    fail "qapi-agent.h and libqapi-agent.3 differ"

sed 's/.*\(qapi_agent_[a-z_]*\)(.*/\1/' "$tmp/header" | sort >"$tmp/names"
sed -n 's/^	\(qapi_agent_[a-z_]*\);/\1/p' "$srcdir/qapi-agent.map" |
    sort >"$tmp/map"
diff -u "$tmp/names" "$tmp/map" || fail "qapi-agent.h and qapi-agent.map differ"

# Every header on its own; the public one as C++ too.
for h in "$srcdir"/*.h; do
	printf '#include "%s"\n' "$(basename "$h")" >"$tmp/h.c"
	${CC:-cc} -D_GNU_SOURCE -I"$srcdir" -I"$top_srcdir/proto" \
	    -Wall -Wextra -Werror -fsyntax-only "$tmp/h.c" ||
	    fail "$h does not compile on its own"
done
if command -v c++ >/dev/null; then
	printf '#include "qapi-agent.h"\nint main() { return 0; }\n' \
	    >"$tmp/h.cc"
	c++ -std=c++11 -I"$srcdir" -Wall -Wextra -pedantic -Werror \
	    -fsyntax-only "$tmp/h.cc" || fail "$header is no C++"
fi

if command -v mandoc >/dev/null; then
	mandoc -T lint -W warning "$man/qapi-agent.1" \
	    "$man/libqapi-agent.3" || fail "mandoc -T lint"
	mandoc -T ascii -O width=990 "$man/qapi-agent.1" |
	    sed "s/.$(printf '\b')//g" | tr '\n' ' ' | tr -s ' ' | tr '[:upper:]' '[:lower:]' \
	    >"$tmp/page"
	# What --help says of each command and option, the page says too.
	{
		./qapi-agent --help
		for c in $(./qapi-agent --help |
		    sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
			./qapi-agent "$c" --help
		done
	} | sed -n 's/^  \([a-z-][^ ]*.*[^ ]\)   *\([^ ].*\)/\1|\2/p' |
	    sort -u >"$tmp/help"
	test -s "$tmp/help" || fail "--help lists nothing"
	tr '[:upper:]' '[:lower:]' <"$tmp/help" | tr -s ' ' >"$tmp/lower"
	while IFS='|' read -r name text; do
		grep -qF -e "$text" "$tmp/page" ||
		    fail "qapi-agent.1 lacks: $text"
		grep -qF -e "$name" "$tmp/page" ||
		    fail "qapi-agent.1 lacks: $name"
	done <"$tmp/lower"
fi
exit $failed
