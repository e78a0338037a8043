#!/bin/sh
#
# A fleet small enough for each build: the contract's promises about an outage,
# the same run twice, and a plot that is a picture.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

run() { # FILE OPTION...
    file=$1
    shift
    ./fleet --agents 60 --secrets 20 --agents-per-key 20 --capacity 600 \
        --plot "$dir/$file.svg" --check "$@" >"$dir/$file" || {
        cat "$dir/$file"
        exit 1
    }
}

run one --seed 7
run two --seed 7 --jobs 2
run three --seed 8
cmp "$dir/one" "$dir/two"
cmp "$dir/one.svg" "$dir/two.svg"
if cmp -s "$dir/one" "$dir/three"; then
    echo "another seed gives the same run"
    exit 1
fi
grep -q '^</svg>' "$dir/one.svg"
tail -n 1 "$dir/one"
