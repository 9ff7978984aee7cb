#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Clients of yomo-x1 that use lanes as they should not, or leave them lying:
# they do no harm, and others do not notice.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 32

# data TAG [BYTES]: a message of so many zeros (1), in hex.
data() {
	frame bf "$(frame 01 "$1")$(frame 02 "$(printf "%0$((2 * ${2:-1}))d" 0)")"
}

# One pair that stays, beside all of them.
hold lines
zipper
start sink yomo-sfn -R 3 -z "$at" -t 0x60 -F lines
wait_for sink
start source yomo-source -z "$at" -t 0x60 -F lines <"$out/lines"

# beside NAME: a message still goes through.
beside() {
	echo "$1" >"$out/lines"
	ok "$1: a message goes through" seen sink.out "^$1\$"
}

# away NAME REASON OPTIONS...: who does that is sent away for good.
away() {
	local name=$1 reason=$2

	shift 2
	run client peer -a yomo-x1 -k 0x5f "$@" "$at"
	like "$(cat "$out/client.out")" "closed: application 0x13 $reason" \
	    "$name"
}

# kept: what the zipper keeps for what clients may send ahead.
kept() {
	local n

	n=$(grep -c 'bytes of memory' "$out/zipper.err")
	kill -USR1 "${pid_of[zipper]}"
	seen zipper.err 'bytes of memory' $((n + 1))
	tail -n 1 "$out/seen.log" | sed 's/.* and \([0-9]*\) kept.*/\1/'
}

# resident: the zipper's memory in KiB.
resident() {
	awk '$1 == "VmRSS:" { print $2 }' "/proc/${pid_of[zipper]}/status"
}

beside 'before'
lane=$(frame a0 "$(frame 01 33)") shared=$(frame a0 '')
message=$(data 33)

away 'a lane without a header' 'a lane without a header' -L "$message"
away 'of two headers' 'unexpected LaneFrame' -L "$lane$lane"
away 'a message of another tag' 'a tag that is not its lane.s' \
    -L "$lane$message$(data 34)"
away 'of a reserved tag' '.*reserved' -L "$shared$(data 00f001)"
away 'of malformed metadata' 'malformed metadata' \
    -L "$lane$(frame bf "$(frame 01 33)$(frame 03 ff)")"
away 'of no tag' 'a tag that is not its lane.s' \
    -L "$lane$(frame bf "$(frame 02 00)")"
away 'control on a lane' 'unexpected InterestFrame' \
    -L "$lane$(frame a3 "$(frame 01 3300000033000000)")"
away 'no header, and broken off' 'a lane without a header' -L "$message!"
away 'an end within a frame' 'the stream ended within a frame' \
    -L "$lane$message${message:0:8}."
away 'and within the header' 'the stream ended within a frame' -L "${lane:0:4}."
beside 'after lanes that are malformed'

ranges=$(for _ in {1..65}; do printf 3300000033000000; done)
away 'interest in too many ranges' \
    'interest in 65 ranges, at most 64 are allowed' \
    -x "$(frame a3 "$(frame 01 "$ranges")")"
member=$(frame a1 "$(frame 01 01)$(frame 02 3300000033000000)$(frame 05 67)")
away 'more taken than was sent' 'more messages taken than were sent' \
    -x "$member$(frame a4 "$(frame 01 03)$(frame 02 01)")"

# opened OPTIONS...: how many lanes that client could open.
opened() {
	run client peer -a yomo-x1 -k 0x5f "$@" "$at"
	grep -c '^lane .* open$' "$out/client.out"
}
# all LANE: 70 of them.
all() {
	local _

	for _ in {1..70}; do
		printf '%s\n%s\n' -L "$1"
	done
}
mapfile -t many < <(all "$lane$message${message:0:8}")
is "$(opened -w 1 "${many[@]}")" 64 'no more lanes than are allowed'
is "$(opened -w 1 -P -H -L "$lane")" 0 'and none before the acknowledgement'
mapfile -t many < <(all "$lane$message${message:0:8}!")
is "$(opened -w 2 "${many[@]}")" 70 'broken off, others may take their place'
mapfile -t many < <(all "$lane$message.")
is "$(opened -w 2 "${many[@]}")" 70 'so they may when they have ended'
is "$(opened -w 1 -L . -L "$lane." -L '!')" 3 'even empty ones'
run client peer -a yomo-x1 -k 0x5f -E -w 1 -L "$lane$message" "$at"
like "$(tr '\n' ' ' <"$out/client.out")" ' fin .*stopped 0x13 ' \
    'but none after the end of all'
beside 'after lanes broken off'

# Lanes of the zipper's, which nobody wants.
start client peer -a yomo-x1 -R 3 -X 12 -k 0x5d -t 0x33 -w 0 "$at"
wait_for client
start member peer -a yomo-x1 -R 3 -X 12 -k 0x5f -w 0 -x "$member" "$at"
wait_for member
seq 200 | run burst yomo-source -z "$at" -t 0x33 -F lines
is "$(status burst)" 0 'lanes that are stopped'
stop client
stop member
beside 'after lanes that are stopped'

# Much is asked, and nothing is read.
add=$(frame a1 "$(frame 01 01)$(frame 02 0010000060100000)")
run client peer -a yomo-x1 -k 0x5f -N -w 15 -x "$add$(
    for _ in {1..2000}; do frame a3 "$(frame 01 0010000060100000)"; done)" "$at"
like "$(cat "$out/client.out")" 'closed: application .* too slow' \
    'who reads no answers'
beside 'after one who reads no answers'

# range XX: 4096 tags.
range() {
	printf '0000%s00ff0f%s00' "$1" "$1"
}
for i in {10..19}; do
	start "many$i" peer -a yomo-x1 -R 3 -k 0x5f -w 0 \
	    -x "$(frame a1 "$(frame 01 01)$(frame 02 "$(range "$i")")")" "$at"
done
for i in {10..19}; do
	wait_for "many$i"
done
all=$(frame a3 "$(frame 01 00000000ffffffff)")
run client peer -a yomo-x1 -k 0x5f -u "$(frame a2 "$(frame 01 02)")" \
    -x "$all$(frame a1 "$(frame 01 02)")" "$at"
unlike "$(cat "$out/client.out")" 'closed|still open' \
    'an answer may be long if it is read'
for i in {10..19}; do
	stop "many$i"
done

# Who has said all is told nothing more.
start quiet peer -a yomo-x1 -k 0x5f -w 0 -E -x "$all" "$at"
ok 'the end is answered' seen quiet.out '^fin$'
start late yomo-sfn -R 3 -z "$at" -t 0x71
wait_for late
stop late

# What much is sent through costs nothing when it is over.
before=$(resident)
head -c 9000000 /dev/zero | run burst yomo-source -z "$at" -t 0x70 -b 60000
run client peer -k 0x5f -E -x bfa4cf4701013302a4cf40 -Z 600000 "$at"
stop source
stop sink
is "$(kept)" 0 'much is sent: nothing is kept for who has left'
ok 'and it costs no memory' test "$(resident)" -lt $((before + 16384))

stop zipper
is "$(status zipper)" 0 'the zipper ends as it should'
finish quiet

# A lane that waits holds up what is behind it, not who sends it.
at=
zipper --memory 1M --stall 1s
start member peer -a yomo-x1 -R 3 -k 0x5f -w 0 -x "$member" "$at"
wait_for member
full=$lane$(for _ in {1..7}; do data 33 8000; done)
mapfile -t many < <(for _ in {1..8}; do printf '%s\n%s\n' -L "$full"; done)
run client peer -a yomo-x1 -k 0x5f -w 5 "${many[@]}" \
    -L "$lane$(data 33 60000)" "$at"
like "$(cat "$out/client.out")" 'still open' \
    'half a message for which there is no room may wait'
stop member
stop zipper
is "$(status zipper)" 0 'and the zipper ends as it should'
