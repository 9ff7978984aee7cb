#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Sessions cross a Go zipper, which knows nothing of them.

# shellcheck source=tests/interop/lib.sh
. "${0%/*}/lib.sh"
plan 10

zipper_of go zipper
seq 100000 >"$out/numbers"

sfn_of ours sink --session
run source yomo-source -z "$at" --insecure --session <"$out/numbers"
is "$(status source)" 0 'whole: the source exits 0'
ended sink 0 'whole: so does the sink'
same sink.out numbers 'whole: with every byte'

sfn_of go watch -F lines
sfn_of ours sink --session -F lines
run source yomo-source -z "$at" --insecure --session -F lines < <(seq 3)
ended sink 0 'a Go sfn beside it: the sink has it whole'
ok 'a Go sfn beside it: gets the messages' seen watch.out 3
stop watch

# broken NAME SIGNAL REGEX: its source goes so, and what does the sink say?
hold in
broken() {
	sfn_of ours sink --session --session-idle 1s -F lines
	source_of ours source --session -F lines <"$out/in"
	echo part >"$out/in"
	seen sink.out part
	stop source "$2"
	ended sink 75 "$1: the sink exits 75"
	like "$(cat "$out/sink.err")" "$3" "$1: and says why"
}
broken 'SIGTERM' TERM 'was cut after 1 messages'
# Nobody is left to say it.
broken 'SIGKILL' KILL 'fell silent after 1 messages'
like "$(cat "$out/sink.out")" '^part$' 'SIGKILL: after what had come'
