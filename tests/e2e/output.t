#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Whoever stops reading ends the program before it, like any filter.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 16

zipper

# A reader that goes away while nothing comes: noticed all the same.
hold reader
start sink bash -c 'exec yomo-sfn -R 3 -z "$1" -F lines >"$2"' bash \
    "$at" "$out/reader"
wait_for sink
close reader
ended sink 141 'a sink whose reader goes ends by SIGPIPE, also while idle'

start head bash -c 'yomo-sfn -R 3 -z "$1" -F lines | head -n 1
    echo "${PIPESTATUS[0]}"' bash "$at"
wait_for head
start source yomo-source -z "$at" -F lines < <(yes 2>&-)
finish head
is "$(cat "$out/head.out")" $'y\n141' 'sink | head -n 1 ends by SIGPIPE, at once'
stop source

yes | yomo-source -F lines | head -c 1 >"$out/first"
is "${PIPESTATUS[*]}" '141 141 0' 'yes | source | head -c 1 ends by SIGPIPE'
yes | yomo-source -F lines | yomo-sfn -F lines | head -n 1 >"$out/first"
is "${PIPESTATUS[*]}" '141 141 141 0' 'a chain of pipes ends by SIGPIPE'
is "$(cat "$out/first")" y 'and the first line is there'

yes | env --ignore-signal=PIPE yomo-source -F lines | head -c 1 >"$out/first"
is "${PIPESTATUS[1]}" 74 'where SIGPIPE was ignored, it exits 74'
yes | head -n 100000 | yomo-source -F lines >/dev/full
is "${PIPESTATUS[2]}" 74 'a full disk is 74'
yomo-source -F lines </dev/null >/dev/full
is "$?" 0 'but nothing to write is nothing to fail'

# Descriptors belong to the shell as well: their flags stay.
flags() { # FD
	sed -n 's/^flags:[[:space:]]*//p' "/proc/self/fdinfo/$1"
}
hold in
hold out
before=$(flags "${fd_of[in]}")$(flags "${fd_of[out]}")
keeps() { # NAME
	is "$(flags "${fd_of[in]}")$(flags "${fd_of[out]}")" "$before" "$1"
}
printf 'x\n' >"$out/in"
start sink yomo-sfn -R 3 -z "$at" -F lines <&"${fd_of[in]}"
wait_for sink
yomo-source -z "$at" -F lines -c 1 <&"${fd_of[in]}" >&"${fd_of[out]}"
seen sink.out x
keeps 'the flags of pipes stay'
stop sink
printf 'x\n' >"$out/in"
yomo-source -F lines -c 1 <&"${fd_of[in]}" >&"${fd_of[out]}"
keeps 'so of a source on the pipe link'
yomo-sfn -F lines -c 1 <&"${fd_of[out]}" >&"${fd_of[in]}"
keeps 'so of a sink'
terminal tty "yomo-source -R 3 -z $at -F lines -c 1; \
    sed -n 's/^flags:[[:space:]]*//p' /proc/self/fdinfo/0"
echo x >"$out/keys"
finish tty
flags=$(tr -d '\r' <"$out/tty.out" | tail -n 1)
is "$((8#${flags:-4000} & 8#4000))" 0 'so of a terminal'

# A pipe that is full makes the source wait; nothing is lost.
start slow yomo-sfn -R 3 -z "$at" -F lines -c 200000
wait_for slow
seq 200000 | yomo-source -z "$at" -F lines
is "${PIPESTATUS[1]}" 0 'a source that is faster than its sink exits 0'
ended slow 0 'the sink has all'
is "$(cksum <"$out/slow.out")" "$(seq 200000 | cksum)" 'in order'
is "$(yomo-sfn --idle-exit 0.2 -z "$at" >"$out/idle.out"; echo $?)" 0 \
    'a sink leaves when nothing comes, if asked to'
