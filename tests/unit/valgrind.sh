#!/bin/sh
# Run test programs under valgrind, two at a time, and count.
#   usage: valgrind.sh PROGRAM...
# LIBTOOL, if set, is the libtool of the build.
set -u
logs=$(mktemp -d "${TMPDIR:-/tmp}/qapi-agent-valgrind.XXXXXX") || exit 1
trap 'rm -rf "$logs"' EXIT
export logs
export UNDER_VALGRIND=1
# fewer steps of what goes on at random: it is memory that is looked at here
export QAPI_TEST_OPS=5000

# shellcheck disable=SC2016  # the inner shell expands it
printf '%s\n' "$@" | xargs -P 2 -I{} sh -c '
	timeout 300 ${LIBTOOL:-} ${LIBTOOL:+--mode=execute} valgrind --quiet \
	    --error-exitcode=99 --leak-check=full \
	    --errors-for-leak-kinds=definite --child-silent-after-fork=yes \
	    "./$1" >"$logs/$1.log" 2>&1
	echo "$? $1" >>"$logs/results"' sh {}

passed=0
failed=0
while read -r status name; do
	case $status in
	0) passed=$((passed + 1)) ;;
	77) ;;
	*)
		failed=$((failed + 1))
		echo "FAIL: $name under valgrind (status $status)"
		tail -n 40 "$logs/$name.log"
		;;
	esac
done <"$logs/results"
echo "valgrind: $passed passed, $failed failed"
test "$failed" -eq 0
