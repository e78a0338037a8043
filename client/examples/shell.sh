#!/bin/sh
# usage: shell.sh REFERENCE
set -eu
ref=$1

# In a variable of the shell, which is not exported.
if password=$(qapi-agent get "$ref"); then
	echo "the password has ${#password} characters"
else
	case $? in
	3) echo "there is no such secret" >&2 ;;
	4) echo "not for us: the message above says whose decision it was" >&2 ;;
	5) echo "no agent is running" >&2 ;;
	6|7) echo "not now; try again later" >&2 ;;
	esac
	exit 1
fi

# In the environment of one program, and nowhere else.
qapi-agent run --env "PASSWORD=$ref" -- sh -c 'test -n "$PASSWORD"'

# As a file without a name, for programs that want a path.
qapi-agent run --file "PASSWORD_FILE=$ref" -- sh -c 'wc -c <"$PASSWORD_FILE"'
