#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# What a client may ask on the control stream of yomo-x1, what it is told there,
# and what sends it away.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 17

# text STRING: in hex.
text() {
	printf %s "$1" | od -An -v -t x1 | tr -d ' \n'
}

# observe FIELDS: request 1, with these fields.
observe() {
	frame a1 "$(frame 01 01)$1$(frame 06 10)"
}

# ask HEX UNTIL: send these frames, until that has come.
ask() {
	run client peer -a yomo-x1 -x "$1" -u "$2" "$at"
}

# heard: all that came on the control stream.
heard() {
	sed -n 's/^received //p' "$out/client.out" | tr -d '\n'
}

ack=a900 taken=$(frame a2 "$(frame 01 01)")
tag=3300000033000000 tags=4000000050000000 # 0x33; 0x40 to 0x50
group=$(text "$(printf '%256s' x)")

zipper --max-tags 16

ask "$(observe "$(frame 02 "$tag")")" "$taken"
is "$(heard)" "$ack$taken" 'tags are added'
ask "$(observe "$(frame 03 "$tag")")" "$taken"
is "$(heard)" "$ack$taken" 'and removed'
ask "$(observe "$(frame 02 "$tag")$(frame 05 "${group:2}")")" "$taken"
is "$(heard)" "$ack$taken" 'a group may have a name of 255 bytes'
ask "$(observe "$(frame 02 "$tag")$(frame 05 "$group")")" "$(text bytes)"
like "$(heard)" "^${ack}a2..010101.*$(text 'at most 255 bytes')" \
    'a longer one is refused'
ask "$(observe "$(frame 02 "$tags")")" "$(text allowed)"
like "$(heard)" "^${ack}a2..010101.*$(text 'at most 16 are allowed')" \
    'so are more tags than are allowed'
ask "$(observe "$(frame 03 "$tags")")" "$(text allowed)"
like "$(heard)" "^${ack}a2..010101.*$(text 'at most 16 are allowed')" \
    'and to remove more'
ask "$(frame a4 010163)$(observe '')" "$taken"
is "$(heard)" "$ack$taken" 'what was taken of a lane that is none is nothing'

interest=$(frame a3 "$(frame 01 "$tag")")
one=3300000001000000 none=3300000000000000
start client peer -a yomo-x1 -k 0x5f -R 3 -x "$interest" \
    -u "$(frame a3 "$(frame 02 "$none")")" "$at"
wait_for client
start sink yomo-sfn -R 3 -z "$at" -t 0x33,0x34
wait_for sink
stop sink
finish client
is "$(heard)" "$ack$(frame a3 030101)$(frame a3 "$(frame 02 "$one")")$(
    frame a3 "$(frame 02 "$none")")" \
    'who asks is told who observes, and when that changes'

# away NAME HEX REASON [OPTIONS]: who sends that is sent away for good.
away() {
	local name=$1 hex=$2 reason=$3

	shift 3
	run client peer -a yomo-x1 -x "$hex" "$@" "$at"
	like "$(cat "$out/client.out")" "closed: application 0x13 $reason" \
	    "$name"
}

away 'a message is for a lane' "$(frame bf "$(frame 01 33)")" \
    'unexpected DataFrame'
away 'so is a gap' "$(frame a5 "$(frame 01 33)")" 'unexpected GapFrame'
away 'a lane begins elsewhere' "$(frame a0 '')" 'unexpected LaneFrame'
away 'chunks are for sockets' "$(frame a7 "$(frame 01 02)")" \
    'unexpected ChunkFrame'
away 'a policy that there is not' "$(observe "$(frame 04 04)")" \
    'malformed Observe'
away 'a range that runs backwards' \
    "$(frame a3 "$(frame 01 3400000033000000)")" 'malformed Interest'
away 'a number without a byte' "$(frame a4 "$(frame 01 '')")" \
    'malformed Taken'
away 'an end within a frame' a306 'malformed control stream' -E
away 'who speaks like Go says none of this' "$(observe '')" \
    'unexpected ObserveFrame' -a yomo
