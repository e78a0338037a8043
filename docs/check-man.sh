#!/bin/sh
# Do the manual pages and documents say what is so?  Run by `make check` in the
# build directory.  That qapi-agent.1 has all of --help, and that the .3 page
# has the prototypes of the header, is for client/check-docs.sh; that
# agent.conf.5 has every setting is for tests/unit/test_settings.c.
set -u
LC_ALL=C
export LC_ALL
top=${top_srcdir:-..}
build=${top_builddir:-..}
man=$top/docs/man
failed=0
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT

fail()
{
	echo "FAIL: $*" >&2
	failed=1
}

# Long options that a page has as items, one a line.
options_of()
{
	sed -n '/^\.It Fl/s/Fl Fl \([a-z-]*\)/\n--\1\n/gp' "$1" |
	    grep '^--[a-z]' | sort -u
}

# --- the daemon's page and its --help, both ways ---------------------------

page=$man/qapi-agentd.8
"$build/agent/qapi-agentd" --help >"$tmp/help" || fail "qapi-agentd --help"
options_of "$page" >"$tmp/page"
grep -o -e '--[a-z][a-z-]*' "$tmp/help" | sort -u >"$tmp/options"
# --help of the page is written with its short form
diff -u "$tmp/options" "$tmp/page" || fail "qapi-agentd --help and $page differ"

# --- what qapi-agent.1 has, --help has ---------------------------------------

page=$man/qapi-agent.1
helper=$build/client/qapi-agent
{
	"$helper" --help
	for c in $("$helper" --help |
	    sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
		"$helper" "$c" --help
	done
} >"$tmp/help" || fail "qapi-agent --help"
for o in $(options_of "$page"); do
	grep -q -e "$o" "$tmp/help" || fail "$page: there is no option $o"
done
for c in $(sed -n '/^\.Sh COMMANDS/,/^\.Sh JSON/s/^\.Ss //p' "$page"); do
	"$helper" "$c" --help >/dev/null ||
	    fail "$page: there is no command $c"
done

# --- what agent.conf.5 has, the parser knows -------------------------------

page=$man/agent.conf.5
for key in $(sed -n 's/^\.It Cm \([a-z-]*\) Ns = Ns .*/\1/p' "$page"); do
	grep -q "\"$key\"" "$top/agent/settings_table.c" \
	    "$top/agent/policy_rule.c" || fail "$page: there is no key $key"
done

# --- pages name each other -------------------------------------------------

for page in "$man"/*.[1-8]; do
	name=$(basename "$page")
	grep -q "$name" "$top/docs/Makefile.am" ||
	    fail "$page: is not installed"
	for xr in $(sed -n 's/^\.Xr \([a-z.-]*\) \([1-8]\).*/\1.\2/p' "$page"); do
		case $xr in
		*qapi*|agent.conf.*)
			test -f "$man/$xr" ||
			    fail "$page: there is no page $xr" ;;
		esac
	done
done

# --- links of the documents ------------------------------------------------

find "$top" -mindepth 1 -name '[._]?*' -prune -o -name 'build*' -prune -o \
    -name '*.md' -print >"$tmp/md"
test -s "$tmp/md" || fail "no documents found below $top"

# The anchor that GitHub makes of a heading.
anchors()
{
	sed -n 's/^##* //p' "$1" | tr '[:upper:] ' '[:lower:]-' |
	    sed 's/[^a-z0-9_-]//g'
}

while read -r md; do
	# without code blocks and code
	awk '/^ *```/ { code = !code; next } !code' "$md" |
	    sed 's/`[^`]*`//g' |
	    grep -o '\](\([^() ]*\))' | sed 's/^](\(.*\))$/\1/' |
	    sort -u >"$tmp/links"
	while read -r link; do
		case $link in
		http://*|https://*|mailto:*) continue ;;
		esac
		path=${link%%#*}
		if [ -n "$path" ] && [ ! -e "$(dirname "$md")/$path" ]; then
			fail "$md: dead link $link"
			continue
		fi
		case $link in
		*.md#*|'#'*)
			target=$md
			[ -z "$path" ] || target=$(dirname "$md")/$path
			anchors "$target" | grep -qx -e "${link#*#}" ||
			    fail "$md: no heading for $link" ;;
		esac
	done <"$tmp/links"
done <"$tmp/md"

# --- tests that security.md names ------------------------------------------

for t in $(grep -o '`test_[a-z0-9_]*`' "$top/docs/security.md" |
    tr -d '`' | sort -u); do
	grep -rqw --include='*.c' --include='*.py' "$t" "$top/tests" ||
	    [ -e "$top/tests/unit/$t.c" ] ||
	    [ -e "$top/tests/integration/$t.py" ] ||
	    fail "security.md: there is no $t"
done

# --- examples in program.md are the files that are tested ------------------

awk -v tmp="$tmp" '
/^```[a-z]+ file=/ {
	sub(/.*file=/, ""); name = $0; n++; out = tmp "/example" n
	print name, out >(tmp "/examples"); printf "" >out; next
}
/^```/ { if (out != "") close(out); out = ""; next }
out != "" { print >out }' "$top/docs/program.md"
test -s "$tmp/examples" || fail "program.md shows no file"
while read -r name shown; do
	diff -u "$top/$name" "$shown" || fail "program.md and $name differ"
done <"$tmp/examples"

# --- pages are well-formed -------------------------------------------------

if ! command -v mandoc >/dev/null; then
	[ $failed -ne 0 ] || failed=77
	echo "mandoc is not there: pages not checked"
	exit $failed
fi
for page in "$man"/*.[1-8]; do
	mandoc -T lint -W warning "$page" || fail "mandoc -T lint $page"
done
exit $failed
