#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# A session arrives whole, byte for byte, or fails and says why.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 84

seq 200000 >"$out/numbers"
mkdir "$out/tree" "$out/tree/empty"
cp "$out/numbers" "$out/tree/some file"
head -c 300000 /dev/urandom >"$out/tree/noise"
ln -s noise "$out/tree/link"

# tells NAME REGEX TEXT: what it said on stderr.
tells() {
	like "$(cat "$out/$1.err")" "$2" "$3"
}

# --- over pipes ---

mkdir "$out/copy"
(
	set -o pipefail
	tar c -C "$out/tree" . | yomo-source --session | yomo-sfn --session |
	    tar x -C "$out/copy"
)
is $? 0 'pipe: a tree is packed, sent and unpacked'
ok 'pipe: it is the same tree' diff -r "$out/tree" "$out/copy"

for format in lines nul len32 netstring json; do
	yomo-source --session -F lines <"$out/numbers" |
	    yomo-sfn --session -F "$format" | # its own session marks, too
	    yomo-source --session -F "$format" |
	    yomo-sfn --session -F lines >"$out/$format"
	is "${PIPESTATUS[*]}" '0 0 0 0' "pipe: $format through two sessions"
	same "$format" numbers "pipe: $format loses nothing"
done

run sink yomo-sfn --session -F lines < <(yomo-source --session </dev/null)
is "$(status sink) $(wc -c <"$out/sink.out")" '0 0' \
    'pipe: an empty input is an empty session'
run sink yomo-sfn --session < <(yomo-source <"$out/numbers")
is "$(status sink) $(wc -c <"$out/sink.out")" '75 0' \
    'pipe: what is no session is not for a sink of sessions'
tells sink 'no session came' 'pipe: which says so'
run sink yomo-sfn -F lines < <(seq 3 | yomo-source --session -F lines)
is "$(cat "$out/sink.out")" $'1\n2\n3' \
    'pipe: any other sink sees messages, and none in the end'
run sink yomo-sfn -F json < <(seq 3 | yomo-source --session -F lines)
is "$(grep -c '"yomo-session":"[A-Za-z0-9_-]\{21\}:[0-3]"' "$out/sink.out")" 4 \
    'pipe: json shows the place of each'
is "$(sed -n '4s/.*"yomo-session-end":"\([a-z]*\)".*/\1/p' "$out/sink.out")" \
    eof 'pipe: and how it ended'

# edited SED: a session of ten lines, as json that somebody changed.
edited() {
	seq 10 | yomo-source --session -F lines | yomo-sfn -F json | sed "$1" |
	    yomo-source -F json
}
run sink yomo-sfn --session -F lines < <(edited 5,6d)
is "$(status sink) $(tail -n 1 "$out/sink.out")" '75 4' \
    'two messages are lost: a sink stops there'
tells sink 'lacks 2 messages after 4' 'and says how many'
run sink yomo-sfn --session -F lines \
    < <(edited '5i {"gap":{"messages":3,"bytes":9},"tag":51}')
is "$(status sink) $(tail -n 1 "$out/sink.out")" '75 4' \
    'a gap is told: a sink stops there'
tells sink 'lacks 3 messages after 4' 'and says so'
run sink yomo-sfn --session -F lines < <(edited 3p)
is "$(status sink)" 75 'a message comes twice: a sink fails'
tells sink 'repeats itself after 3' 'and says where'
run sink yomo-sfn --session -F lines < <(edited 1d)
is "$(status sink) $(wc -c <"$out/sink.out")" '75 0' \
    'the first message is lost: a sink takes none'
tells sink 'had begun before' 'and says why'
run sink yomo-sfn --session -F lines < <(edited '$d')
is "$(status sink)" 75 'the end is lost: a sink fails'
tells sink 'had not ended after 10' 'and says where'

run source yomo-source --session -F frames < <(edited 's/eof/cut/')
is "$(status source)" 75 'what was cut before is cut again'
run sink yomo-sfn --session -F lines <"$out/source.out"
tells sink 'was cut after 10' 'and a sink hears of it'

run source yomo-source --session -F json < <(
	echo '{"data":"a"}'
	echo '{"gap":{"messages":2,"bytes":7},"tag":51}'
)
is "$(status source)" 75 'what was lost before is not whole, either'

run function yomo-sfn --session -F lines -- tail -n 1 \
    < <(yomo-source --session -F lines <"$out/numbers")
is "$(status function) $(cat "$out/function.out")" '0 200000' \
    'a function gets the session, and its end'
run function yomo-sfn --session -F lines -- tail -n 1 < <(edited 5d)
is "$(status function) $(cat "$out/function.out")" '75 4' \
    'a broken one ends a function, too, but not with 0'
run function yomo-sfn --session -F lines -- head -n 1 \
    < <(yomo-source --session -F lines <"$out/numbers")
is "$(status function)" 75 'nor does a function that has enough'

run source yomo-source --session -F json < <(
	echo '{"data":"a"}'
	echo '{"tag":1,"data":"b"}'
)
is "$(status source)" 65 'a session has one tag'
run usage yomo-sfn --session -c 1 </dev/null
is "$(status usage)" 64 'a session cannot be counted out'

# --- over a zipper ---

mkdir -m 700 "$out/sock"
zipper -l "unix:$out/sock/z"
mkdir "$out/far"
start sink bash -c 'set -o pipefail
    yomo-sfn -R 3 -z "$1" --session | tar x -C "$2"' bash "$at" "$out/far"
wait_for sink
tar c -C "$out/tree" . | yomo-source -z "$at" --session
is $? 0 'zipper: a tree is packed and sent'
ended sink 0 'zipper: and unpacked'
ok 'zipper: it is the same tree' diff -r "$out/tree" "$out/far"

relay "$at" -c 'loss 3' -c 'reorder 3' -c 'dup 1'
start sink yomo-sfn -R 3 -z "$via" --session
wait_for sink
yomo-source -z "$via" --session <"$out/numbers"
is $? 0 'a bad line: the source exits 0'
ended sink 0 'a bad line: so does the sink'
same sink.out numbers 'a bad line: with every byte'
stop relay

# Two at once, and one that had begun before.
hold a.in
hold b.in
hold early.in
start watch yomo-sfn -R 3 -z "$at" -F lines
wait_for watch
start early yomo-source -z "$at" --session -F lines <"$out/early.in"
echo early >"$out/early.in"
seen watch.out early
start sink yomo-sfn -R 3 -z "$at" --session -F lines -v
wait_for sink
echo late >"$out/early.in"
seen sink.err 'under way already'
start a yomo-source -z "$at" --session -F lines <"$out/a.in"
echo a1 >"$out/a.in"
seen sink.out a1
start b yomo-source -z "$at" --session -F lines <"$out/b.in"
echo b1 >"$out/b.in"
seen watch.out b1
close b.in
ended b 0 'two at once: one ends'
ok 'two at once: which the sink does not mind' running sink
echo a2 >"$out/a.in"
close a.in
ended a 0 'two at once: so does the other'
ended sink 0 'two at once: with it the sink'
is "$(cat "$out/sink.out")" $'a1\na2' 'two at once: which has that one whole'
stop watch
stop early
is "$(status early)" 75 'SIGTERM: a source whose session goes on exits 75'

# broken NAME STATUS REGEX COMMAND: a session of which a part has come is broken
# by a command: with what status do both end, and what does the sink say?
hold in
broken() {
	local name=$1 status=$2 why=$3

	shift 3
	start sink yomo-sfn -R 3 -z "$at" --session -F lines
	wait_for sink
	start source yomo-source -z "${from:-$at}" --session -F json \
	    --grace 300ms <"$out/in"
	echo '{"data":"part"}' >"$out/in"
	seen sink.out part
	"$@"
	ended source "$status" "$name: the source exits $status"
	ended sink 75 "$name: the sink exits 75"
	tells sink "$why" "$name: and says why"
	is "$(cat "$out/sink.out")" part "$name: after what had come"
}
terminate() {
	kill "${pid_of[source]}"
}
broken SIGTERM 75 'was cut after 1 messages' terminate
murder() {
	kill -KILL "${pid_of[source]}"
}
from=unix:$out/sock/z broken SIGKILL 137 'was cut after 1 messages' murder
# At any moment: what came is how it begins.
for here in "$at" "unix:$out/sock/z"; do
	start sink yomo-sfn -R 3 -z "$here" --session
	wait_for sink
	start source yomo-source -R 3 -z "unix:$out/sock/z" --session \
	    < <(exec seq 100000000)
	until [ "$(wc -c <"$out/sink.out")" -gt 3000000 ]; do
		moment
	done
	murder
	finish source
	ended sink 75 'killed while it sends: the sink exits 75'
	ok 'killed while it sends: no byte is wrong' cmp \
	    -n "$(wc -c <"$out/sink.out")" "$out/sink.out" <(exec seq 100000000)
done
garble() {
	echo rubbish >"$out/in"
}
broken 'malformed input' 65 'was cut after 1 messages' garble
crash() {
	kill -KILL "${pid_of[zipper]}"
	finish zipper
}
broken 'the zipper dies' 75 'lost its connection after 1 messages' crash
tells source 'cut after 1 messages: the connection was lost' \
    'the zipper dies: the source says so'

# One that comes back is told, and tells others.
zipper
start sink yomo-sfn -R 3 -z "$at" -F lines
wait_for sink
start source yomo-source -R 3 -z "$at" --session -F lines <"$out/in"
echo part >"$out/in"
seen sink.out part
stop sink
crash
zipper -l "unix:$out/sock/z" --hold 1M -v
ended source 75 'the zipper is back: the source exits 75'
run sink yomo-sfn -R 3 -z "$at" -F json -c 1
like "$(cat "$out/sink.out")" '"yomo-session-end":"cut"' \
    'the zipper is back: and is told that the session is cut'

# A source that leaves well, but not its session: here, from a pipe that broke.
start sink yomo-sfn -R 3 -z "$at" --session -F lines
wait_for sink
edited '$d' | yomo-source -z "$at" -F frames
ended sink 75 'a session goes on where its source ends: the sink exits 75'
tells sink 'was cut after 10 messages' 'and says why'
run sink yomo-sfn --session -F lines < <(edited '$d' | yomo-zipper --pipe \
    -l "unix:$out/cut")
tells sink 'was cut after 10 messages' 'a zipper in a pipe says it, too'

# Many at once from one client: more than have a lane of their own.
seq 3 | yomo-source --session -F lines | yomo-sfn -F json >"$out/one"
while read -r line; do
	for i in {10..89}; do
		echo "${line/\"yomo-session\":\"??/\"yomo-session\":\"$i}"
	done
done <"$out/one" >"$out/many"
start watch yomo-sfn -R 3 -z "$at" -F json
wait_for watch
start sink yomo-sfn -R 3 -z "$at" --session -F lines
wait_for sink
yomo-source -z "$at" -F json <"$out/many"
ended sink 0 'eighty sessions of one source: a sink exits 0'
is "$(cat "$out/sink.out")" $'1\n2\n3' 'and has one of them'
start sink yomo-sfn -R 3 -z "$at" --session -F lines
wait_for sink
head -n -80 "$out/many" | yomo-source -z "$at" -F json
ended sink 75 'eighty that do not end: a sink exits 75'
ok 'as many are cut as the manual says' seen watch.out '"cut"' 64
stop watch

# Where there is no room for the word, it waits.
hold slow
start sink bash -c 'exec yomo-sfn -R 3 -z "$1" --session >"$2"' bash "$at" \
    "$out/slow"
wait_for sink
start source yomo-source -R 3 -z "unix:$out/sock/z" --session -n cut_off \
    < <(exec yes)
wait_for source
moment 0.5
stop source KILL
seen zipper.err "'cut_off' .* is gone"
start reader cat <"$out/slow"
close slow
ended sink 75 'no room: the sink exits 75'
tells sink 'was cut after' 'no room: and says why, in the end'
finish reader

# Nobody says anything.
start sink yomo-sfn -R 3 -z "$at" --session --session-idle 200ms -F lines
wait_for sink
start source yomo-source -R 3 -z "$at" --session -F lines <"$out/in"
echo part >"$out/in"
ended sink 75 'silence: a sink exits 75 after --session-idle'
tells sink 'fell silent after 1 messages' 'silence: and says so'
stop source

# A reader that takes its time makes a silence of its own.
hold slow
start sink bash -c 'exec yomo-sfn -R 3 -z "$1" --session --session-idle 200ms \
    >"$2"' bash "$at" "$out/slow"
wait_for sink
yomo-source -z "$at" --session <"$out/numbers"
moment 0.5
start reader cat <"$out/slow"
close slow
ended sink 0 'a slow reader: its own silence is no end'
finish reader
same reader.out numbers 'a slow reader: it gets everything'
