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
    ./fleet --plot "$dir/$file.svg" --check "$@" >"$dir/$file" || {
        cat "$dir/$file"
        exit 1
    }
}

small="--agents 60 --secrets 20 --agents-per-key 20 --capacity 600"

# shellcheck disable=SC2086
{
    run one $small --seed 7
    run two $small --seed 7 --jobs 2
    run three $small --seed 8
    # a limit that all who share a key just keep to
    run tight $small --limit 120 shared-no-list shared-rotation
}
# enough of them to tell a wave from chance
run many --agents 1000 --secrets 12 refused restart-state

cmp "$dir/one" "$dir/two"
cmp "$dir/one.svg" "$dir/two.svg"
if cmp -s "$dir/one" "$dir/three"; then
    echo "another seed gives the same run"
    exit 1
fi
grep -q '^</svg>' "$dir/one.svg"
for file in one two three tight many; do
    tail -n 1 "$dir/$file"
done
