#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Without a place to keep its state, a zipper says so and leaves nothing half.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
unshare -rm true 2>/dev/null || skip_all 'no mount namespaces here'
plan 4

# A file system with room for nothing.
mkdir -m 700 "$out/full"
run full env STATE_DIRECTORY="$out/full" unshare -rm bash -c '
    mount -t tmpfs -o size=16k,mode=700 none "$1" || exit 99
    head -c 1000000 /dev/zero >"$1/ballast"
    yomo-zipper -l 127.0.0.1:0
    status=$?
    ls -A "$1"
    exit "$status"' bash "$out/full"
is "$(status full)" 71 'a full disk for the state folder is 71'
like "$(cat "$out/full.err")" 'No space left|cannot' 'and it says so'
is "$(cat "$out/full.out")" ballast 'no half-written file is left'

# What is there is used, although nothing can be added.
zipper
stop zipper
run again env unshare -rm bash -c '
    mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit 99
    exec timeout -s TERM 1 yomo-zipper -l 127.0.0.1:0' bash "$out/state"
is "$(status again)" 124 'with a key that is there, it need not write'
