#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Whatever stands in standard input arrives as it is.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 31

zipper

# passes NAME N OPTIONS...: stdin, as N messages, comes out as it went in.
passes() {
	local name=$1 n=$2

	shift 2
	start sink yomo-sfn -R 3 -z "$at" -c "$n" "$@"
	wait_for sink
	tee "$out/sent" | yomo-source -z "$at" "$@"
	is "${PIPESTATUS[1]}" 0 "$name: the source exits 0"
	finish sink
	same sink.out sent "$name: comes out as it went in"
}

# Nothing at all.
start sink yomo-sfn -R 3 -z "$at" -F lines
wait_for sink
run source yomo-source -z "$at" -F lines </dev/null
is "$(status source)" 0 'empty stdin: the source exits 0'
run source yomo-source -z 127.0.0.1:1 --connect-timeout 200ms </dev/null
is "$(status source)" 69 'empty stdin: it connects all the same'
stop sink
is "$(cat "$out/sink.out")" '' 'empty stdin: nothing comes out'
is "$(yomo-source </dev/null | yomo-sfn | wc -c)" 0 \
    'empty stdin: nothing comes out of a pipe'

start sink yomo-sfn -R 3 -z "$at" -F lines -c 2
wait_for sink
printf 'one\ntwo' | yomo-source -z "$at" -F lines
finish sink
is "$(cat "$out/sink.out")" $'one\ntwo' \
    'no final newline: the last line is a message too'

passes '1-byte writes' 2 -F lines < <(perl -e '
    for $b (split //, "slow\nbytes\n") { syswrite STDOUT, $b }')
passes 'NUL bytes in lines' 2 -F lines < <(printf 'a\0b\0\0c\n\0\n')
passes 'NUL bytes that end messages' 3 -F nul < <(printf 'a\nb\0\0c\0')
passes 'netstrings' 3 -F netstring < <(printf '3:a\0b,0:,2:\n\n,')
head -c 67108864 /dev/urandom >"$out/blob"
passes 'a message of 64 MiB' 1 -F len32 \
    < <(printf '\4\0\0\0' && cat "$out/blob")
passes 'stdin is a file' 1024 -b 65536 <"$out/blob"
rm "$out/blob"
passes 'stdin is a pipe' 1526 -b 65536 < <(head -c 100000000 /dev/urandom)

# One over the limit, after one that is not.
start sink yomo-sfn -R 3 -z "$at" -F lines -c 1
wait_for sink
run source yomo-source -z "$at" -F len32 < <(printf '\0\0\0\2ok\4\0\0\1rest')
is "$(status source)" 65 'a message over the limit: the source exits 65'
like "$(cat "$out/source.err")" '\<6\>' \
    'a message over the limit: it says at which byte'
finish sink
is "$(cat "$out/sink.out")" ok 'a message over the limit: those before arrive'
run source yomo-source -z "$at" -F lines --max-message 10 <<<'more than ten bytes'
is "$(status source)" 65 'a line over the limit: the source exits 65'
run source yomo-source -z "$at" -F netstring < <(printf '2:ok,3:cut')
is "$(status source)" 65 'input cut short: the source exits 65'
run source yomo-source -z "$at" -F json <<<'{"data":"a","data":"b"}'
is "$(status source)" 65 'malformed JSON: the source exits 65'

# A zipper with a smaller limit sends the source away.
start small yomo-zipper -R 3 -l 127.0.0.1:0 --max-message 64K
wait_for small
head -c 100000 /dev/zero >"$out/big"
run source yomo-source -z "$(address small)" -b 100000 --retry 0 <"$out/big"
ok 'a message over the limit of the zipper: the source fails' \
    test "$(status source)" -ne 0
ok 'a message over the limit of the zipper: the zipper lives' running small
stop small

# A terminal: what is typed, until ^D.
start sink yomo-sfn -R 3 -z "$at" -F lines -c 2
wait_for sink
terminal source "yomo-source -R 3 -z $at -F lines"
printf 'typed\nlines\n\4' >"$out/keys"
ended source 0 'stdin is a terminal: the source exits 0'
finish sink
is "$(cat "$out/sink.out")" $'typed\nlines' \
    'stdin is a terminal: what is typed arrives'
run tty script -qec 'yomo-source' /dev/null
is "$(status tty)" 64 'frames are not written to a terminal'
like "$(cat "$out/tty.out")" '-z' 'and it says what to add'
