#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Links other than QUIC, and what travels in the frames themselves.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 23

# Unix sockets.
u=unix:$out/sock
zipper -l "$u"
is "$(stat -c %a "$out/sock")" 600 'a unix socket is for its owner alone'
is "$(address zipper 2)" "$u" 'each listener is said'
start sink yomo-sfn -R 3 -z "$u" -F lines -c 3
start net yomo-sfn -R 3 -z "$at" -F lines -c 3
wait_for sink
wait_for net
run source yomo-source -z "$u" -F lines <<<$'1\n2'
is "$(status source)" 0 'a source on a unix socket exits 0'
yomo-source -z "$at" -F lines <<<3
ended sink 0 'a sink on a unix socket has all'
is "$(cat "$out/sink.out")" $'1\n2\n3' 'in order'
finish net
same net.out sink.out 'as one on the network'
head -c 20000000 /dev/urandom >"$out/sent"
start sink yomo-sfn -R 3 -z "$u" -c 306
wait_for sink
yomo-source -z "$u" -b 65536 <"$out/sent"
finish sink
same sink.out sent 'many bytes pass unchanged'

# Targets: for those who want them; without one, for all.
start a yomo-sfn -R 3 -z "$at" -T a -F lines -c 2
start b yomo-sfn -R 3 -z "$at" -T b -F lines -c 2
start none yomo-sfn -R 3 -z "$at" -F lines -c 1
wait_for a
wait_for b
wait_for none
yomo-source -z "$at" -T a -F lines <<<'for a'
yomo-source -z "$at" -T b -F lines <<<'for b'
yomo-source -z "$at" -F lines <<<'for all'
finish a
finish b
finish none
is "$(cat "$out/a.out")" $'for a\nfor all' 'a target is for who wants it'
is "$(cat "$out/b.out")" $'for b\nfor all' 'and for nobody else'
is "$(cat "$out/none.out")" 'for all' 'who wants none gets what has none'

start meta yomo-sfn -R 3 -z "$at" -F json -c 1
wait_for meta
yomo-source -z "$at" -m room=cellar -m 'q="' -F lines <<<x
finish meta
like "$(cat "$out/meta.out")" '"room":"cellar"' 'metadata travel along'
run reserved yomo-source -z "$at" -t 0xf000 --retry 0 -F lines <<<x
ok 'a reserved tag is refused' test "$(status reserved)" -ne 0

# Frames through pipes, with what is not observed left in place.
{
	yomo-source -t 1 -F lines <<<one
	yomo-source -t 2 -F lines <<<two
	printf '\xc5\x02hi' # a type of frame that is not known
	yomo-source -t 1 -F lines <<<three
} >"$out/frames"
yomo-sfn -t 1 -o 9 -F lines -- sed -u 's/^/f /' <"$out/frames" \
    >"$out/through"
yomo-sfn -t 0-16 -F json <"$out/through" >"$out/json"
is "$(sed 's/.*"tag":\([0-9]*\).*"data":"\([^"]*\)".*/\1 \2/' "$out/json" |
    sort | tr '\n' ';')" '2 two;9 f one;9 f three;' \
    'a function passes on what it does not observe'
ok 'and frames that it does not know' grep -q $'\xc5\x02hi' "$out/through"
yomo-sfn -t 77 -F frames <"$out/frames" >"$out/same"
same same frames 'in -F frames a sink drops nothing'
is "$(yomo-sfn -t 1 -F lines <"$out/frames" | tr '\n' ' ')" 'one three ' \
    'in others it drops the rest'
head -c 10 "$out/frames" | yomo-sfn -t 1 -F lines >/dev/null
is "${PIPESTATUS[1]}" 65 'a frame cut short is malformed input'

# Two zippers joined by a line of shell.
start far yomo-zipper -R 3 -l 127.0.0.1:0
wait_for far
far=$(address far)
start sink yomo-sfn -R 3 -z "$far" -F lines -c 1
start join bash -c 'yomo-sfn -R 3 -z "$1" -F frames |
    yomo-source -z "$2" -F frames 3>&-' bash "$at" "$far"
wait_for sink
wait_for join
yomo-source -z "$at" -F lines <<<'across'
ended sink 0 'two zippers are joined by sfn | source'
is "$(cat "$out/sink.out")" across 'and a message crosses'
start both yomo-sfn -R 3 -z "$at" -z "$far" -t 0x44 -F lines -c 2
wait_for both
yomo-source -z "$at" -t 0x44 -F lines <<<'here'
yomo-source -z "$far" -t 0x44 -F lines <<<'there'
finish both
is "$(sort "$out/both.out" | tr '\n' ' ')" 'here there ' \
    'one sink joins two zippers'

# A zipper in a pipe, beside its clients on the network.
hold in
start pipe yomo-zipper --pipe -R 3 -l 127.0.0.1:0 <"$out/in"
wait_for pipe
start sink yomo-sfn -R 3 -z "$(address pipe)" -F lines -c 1
wait_for sink
yomo-source -F lines <<<'down' >"$out/in"
ended sink 0 'a zipper takes frames from its input'
yomo-source -z "$(address pipe)" -F lines <<<'up'
close in
finish pipe
is "$(yomo-sfn -F lines <"$out/pipe.out" | sort | tr '\n' ' ')" 'down up ' \
    'and writes those of all tags to its output'
at= # another port
stop zipper
zipper --hold 1M
yomo-source -z "$at" -t 0x66 -F lines <<<'early'
is "$(yomo-sfn -z "$at" -t 0x66 -F lines -c 1)" early \
    'a zipper that holds keeps messages for the first observer'
