#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# An observer that is not read fills its queue, and then the sources of its tag
# wait, down to the pipe of the shell; other tags go on.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"

plan 17

# --explain-memory says what can be in flight.
explained() { # TEXT
	sed -n "s/^ *$1  *\([0-9]*\) .*/\1/p" "$out/explain.out"
}

run explain yomo-zipper --explain-memory --queue 256K
is "$(status explain)" 0 '--explain-memory: is no failure'
bound=$(explained 'at most, in all')
ok '--explain-memory: says what can be in flight' test "${bound:-0}" -gt 0
is "$(explained 'a queue')" 262144 '--explain-memory: heeds the options'

# consumed: bytes that the source has read of its input file.
consumed() {
	sed -n 's/^pos:[^0-9]*//p' "/proc/${pid_of[source]}/fdinfo/0"
}

# standstill: wait until the source reads no more.
standstill() {
	local before=-1 now=0

	doing='waiting for a standstill'
	while now=$(consumed) && [ "$now" != "$before" ]; do
		before=$now
		moment 0.5
	done
}

# What the clients keep besides: yomo-source's queue and what it read ahead,
# yomo-sfn's output and both pipes.
clients=$(((1 << 20) + (512 << 10) + (512 << 10) + (128 << 10)))

stuck() { # SIZE
	local zipper_peak

	zipper --queue 256K
	hold unread
	start sink sh -c "exec yomo-sfn -z $at -R 3 >$out/unread"
	wait_for sink
	truncate -s 64M "$out/input"
	start source yomo-source -z "$at" -b "$1" <"$out/input"
	standstill
	ok "messages of $1 bytes: what is in flight is bounded" \
	    test "$(consumed)" -le $((bound + clients))
	zipper_peak=$(peak zipper)

	# Other tags.
	start other yomo-sfn -z "$at" -t 0x34 -F lines -c 20000 -R 3
	wait_for other
	seq 20000 | yomo-source -z "$at" -t 0x34 -F lines
	finish other
	is "$(tail -n 1 "$out/other.out")" 20000 \
	    "messages of $1 bytes: other tags go on"
	standstill
	frugal zipper 4096 "$zipper_peak" \
	    "messages of $1 bytes: the zipper does not grow"
	ok "messages of $1 bytes: the source waits" running source
	stop source KILL
	stop sink KILL
	close unread
	stop zipper KILL
}

stuck 64
stuck 65536

# One source of two tags: lanes of one connection do not wait for each other,
# nor do those within one socket.
two_tags() { # NAME ZIPPER
	local name=$1 via=$2

	start deaf peer -a yomo -N -R 3 -w 0 "$at"
	wait_for deaf
	start other yomo-sfn -z "$via" -t 0x34 -F lines -c 1 -R 3
	wait_for other
	hold mixed
	start source yomo-source -z "$via" -F json -R 3 <"$out/mixed"
	wait_for source
	{
		yes "{\"tag\":51,\"data\":\"$(printf '%01000d' 0)\"}" |
		    head -n 1100
		echo '{"tag":52,"data":"past them"}'
	} >"$out/mixed"
	finish other
	is "$(cat "$out/other.out")" 'past them' \
	    "$name: a tag that is stuck does not hold up another of its source"
	ok '... and its source waits' running source
	stop deaf
	close mixed
	finish source
	is "$(status source)" 0 '... until its observer has gone'
}

zipper --queue 64K -l "unix:$out/sock"
two_tags 'over QUIC' "$at"
two_tags 'over a unix socket' "unix:$out/sock"
stop zipper
