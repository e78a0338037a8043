#!/bin/sh
# Makes ./configure from configure.ac; needed in a git checkout only.
set -e
cd "$(dirname "$0")"
mkdir -p m4
exec autoreconf --install --force --warnings=all,no-obsolete
