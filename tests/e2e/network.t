#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# What networks do to datagrams delays messages, and does no more.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 16

zipper

# through WHAT BYTES: a transfer both ways through the relay, as it is set up.
through() {
	head -c "$2" /dev/urandom >"$out/sent"
	start sink yomo-sfn -R 3 -z "$via" --insecure -c $(($2 / 1000))
	wait_for sink
	yomo-source -z "$via" --insecure -b 1000 <"$out/sent"
	is "$?" 0 "$1: the source exits 0"
	finish sink
	same sink.out sent "$1: all arrives"
}

relay "$at" -c 'loss 5'
through '5 % loss' 500000
stop relay
relay "$at" -c 'delay 20' -c 'jitter 10' -c 'reorder 5' -c 'dup 5'
through 'delay, reordering, duplicates' 1000000
stop relay
relay "$at" -c 'mtu 1280'
through 'a path of 1280 bytes' 2000000
stop relay
relay "$at" -c 'rate 1000000' -c 'queue 64000'
through 'a slow link with a short queue' 1000000
stop relay

# The path gets narrower while a stream runs: large datagrams had worked.
hold in
relay "$at"
start sink yomo-sfn -R 3 -z "$via" --insecure -c 4000
wait_for sink
start source yomo-source -R 3 -z "$via" --insecure -b 1000 <"$out/in"
wait_for source
head -c 4000000 /dev/urandom >"$out/sent"
head -c 2000000 "$out/sent" >"$out/in"
seen_bytes() { # FILE N
	local n=0

	while [ "$n" -lt "$2" ]; do
		moment
		n=$(stat -c %s "$out/$1")
	done
}
seen_bytes sink.out 1000000
tell mtu 1300
tail -c 2000000 "$out/sent" >"$out/in"
close in
ended source 0 'the MTU is cut in mid-stream: the source exits 0'
ended sink 0 'the MTU is cut in mid-stream: all arrives'
same sink.out sent 'the MTU is cut in mid-stream: unchanged'

# A cut that is shorter than the idle time-out is nothing but a pause.
start sink yomo-sfn -R 3 -z "$via" --insecure -F lines -c 2
wait_for sink
hold in
start source yomo-source -R 3 -z "$via" --insecure -F lines <"$out/in"
wait_for source
echo before >"$out/in"
seen sink.out before
tell cut
echo after >"$out/in"
moment 1
tell heal
ended sink 0 'a cut of a second: what was sent meanwhile arrives'
is "$(cat "$out/sink.out")" $'before\nafter' 'a cut of a second: once'
stop source
is "$(status source)" 0 'a cut of a second: the source exits 0'

# A longer one is the end of the connections, which are made anew.
start sink yomo-sfn -R 3 -z "$via" --insecure -F lines
wait_for sink
start source yomo-source -R 3 -z "$via" --insecure -F lines <"$out/in"
wait_for source
tell cut
echo lost >"$out/in"
seen source.err 'in doubt'
seen sink.err 'lost'
tell heal
until grep -q healed "$out/sink.out"; do
	echo healed >"$out/in"
	moment
done
pass 'a long cut: both come back'
stop source
is "$(status source)" 75 'a long cut: the source says that it lost something'
