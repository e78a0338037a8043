#!/bin/sh
# The examples of docs/program.md against a real daemon and the sandbox.  Run
# by `make check` in the build directory.
set -u
build=$(cd "${top_builddir:-..}" && pwd)
examples=$(cd "${top_srcdir:-..}/client/examples" && pwd)
for p in agent/qapi-agentd client/qapi-agent tests/sandbox/qapi-sandbox \
    client/examples/event client/examples/get client/examples/login \
    client/examples/poll; do
	test -x "$build/$p" || { echo "$p is not built"; exit 77; }
done
failed=0
pids=
tmp=$(mktemp -d) || exit 99
PYTHONDONTWRITEBYTECODE=1
PATH=$build/client:$PATH
QAPI_AGENT_SOCK=$tmp/agent.sock
export PATH QAPI_AGENT_SOCK PYTHONDONTWRITEBYTECODE

finish()
{
	for pid in $pids; do
		kill "$pid" 2>/dev/null
		wait "$pid"
	done
	rm -rf "$tmp"
}
trap finish EXIT

fail()
{
	echo "FAIL: $*" >&2
	failed=1
}

# STATUS OUTPUT COMMAND...: what it prints, on either stream, and how it ends.
expect()
{
	want_status=$1 want=$2
	shift 2
	got=$("$@" 2>&1)
	status=$?
	[ $status -eq "$want_status" ] && [ "$got" = "$want" ] && return
	fail "$*: status $status, \"$got\"; wanted $want_status, \"$want\""
}

# TEXT COMMAND...: that it fails, and has a line on stderr that begins so
fails_with()
{
	text=$1
	shift
	"$@" >/dev/null 2>"$tmp/err" && fail "$*: does not fail"
	grep -q "^$text" "$tmp/err" ||
	    fail "$*: \"$(cat "$tmp/err")\"; wanted \"$text\""
}

# COMMAND...: until it succeeds, for 10 s at most
wait_for()
{
	n=0
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		[ $n -lt 200 ] || { fail "waited in vain for $*"; exit 1; }
		sleep 0.05
	done
}

cat >"$tmp/seed.json" <<'EOF'
{"secrets": [{"id": "sec_one", "name": "db/prod/password", "value": "first"}],
 "keys": [], "apiKeys": [{"key": "qapi_examples", "scopes": ["*"]}]}
EOF
printf 'qapi_examples' >"$tmp/key"
chmod 600 "$tmp/key"
"$build/tests/sandbox/qapi-sandbox" --listen 127.0.0.1:0 \
    --seed "$tmp/seed.json" >"$tmp/sandbox.log" 2>&1 &
pids=$!
wait_for grep -q 'listening on' "$tmp/sandbox.log"
url=$(sed -n 's/.*listening on //p' "$tmp/sandbox.log")
cat >"$tmp/agent.conf" <<EOF
[agent]
socket=$QAPI_AGENT_SOCK
[upstream]
url=$url/api/v1
api-key-file=$tmp/key
EOF
chmod 600 "$tmp/agent.conf"
"$build/agent/qapi-agentd" -c "$tmp/agent.conf" 2>"$tmp/agent.log" &
pids="$! $pids"
wait_for qapi-agent ping

ref=qapi://secrets/db/prod/password
none=qapi://secrets/none
expect 0 'first' "$build/client/examples/get" $ref
fails_with "get: $none: not-found: " "$build/client/examples/get" $none
expect 0 'logged in' "$build/client/examples/login" $ref first
# With event loops; those of libraries that are not here are not built.
for loop in event glib poll uv; do
	program=$build/client/examples/$loop
	[ -x "$program" ] || { echo "$loop is not built"; continue; }
	expect 0 "$ref: 5 bytes
$ref: 5 bytes" "$program" $ref $ref
	fails_with "$loop: .*not-found: " "$program" $none $ref
done
expect 0 'the password has 5 characters
5' "$examples/shell.sh" db/prod/password
fails_with 'there is no such secret' "$examples/shell.sh" none
if command -v python3 >/dev/null; then
	expect 0 'db/prod/password fresh 5' "$examples/helper.py" $ref
	fails_with 'not-found: ' "$examples/helper.py" $none
	expect 0 'first' "$examples/raw.py" $ref
	fails_with "$none: error 2: " "$examples/raw.py" $none $ref
fi

# The password is changed at the service: the cached one is refused.
if command -v curl >/dev/null; then
	curl -sf -X PUT -H 'Content-Type: application/json' \
	    -d '{"value": "second"}' "$url/_sandbox/secrets/sec_one" \
	    >/dev/null || fail "the sandbox does not change a value"
	expect 0 'refused; asking for a newer one
logged in' "$build/client/examples/login" $ref second
	expect 1 'refused; asking for a newer one
not logged in' "$build/client/examples/login" $ref third
fi
[ $failed -eq 0 ] || cat "$tmp/agent.log"
exit $failed
