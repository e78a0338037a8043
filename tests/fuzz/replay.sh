#!/bin/sh
# Test driver: runs fuzz target $1 over its corpus.  With libFuzzer's main,
# FUZZ_FLAGS keeps it from making up inputs of its own.
set -e
# shellcheck disable=SC2086
exec "$1" $FUZZ_FLAGS "${srcdir:-.}/corpus/$(basename "$1")"
