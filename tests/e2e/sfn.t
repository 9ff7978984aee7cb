#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# yomo-sfn in the hands of its users: nothing is lost in silence.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 41

seq 3 | yomo-source -F lines >"$out/three"

# Malformed input is the end, but not of what came before it.
garbage() {
	cat "$out/three"
	printf garbage
}
garbage >"$out/bad"
size=$(stat -c %s "$out/three")
run bad yomo-sfn -F lines -- sh -c 'sleep 0.2; cat' <"$out/bad"
is "$(status bad)" 65 'a frame that is none is 65'
is "$(cat "$out/bad.out")" $'1\n2\n3' 'the function has what came before it'
like "$(cat "$out/bad.err")" "byte $size: " 'the offset is said'
is "$(wc -l <"$out/bad.err")" 1 'once'
run answers yomo-sfn -o 0x34 -F lines -- cat <"$out/bad"
is "$(status answers) $(yomo-sfn -t 0x34 -F lines <"$out/answers.out" |
    tr '\n' ' ')" '65 1 2 3 ' 'and its answers go out'

# A function that has ended is read to the end, however slow we are read.
seq 40000 >"$out/many"
yomo-source -F lines <"$out/many" | yomo-sfn -o 0x34 -F lines -- cat |
    { sleep 2; yomo-sfn -t 0x34 -F lines; } >"$out/slow"
same slow many 'answers that wait when the function ends are not lost'
SECONDS=0
yomo-source -F lines <"$out/many" | yomo-sfn -o 0x34 -F lines -- \
    sh -c 'cat; sleep 100 & exit 0' | yomo-sfn -t 0x34 -F lines >"$out/daemon"
same daemon many 'nor are they if it leaves a process behind'
ok 'which is not waited for' test "$SECONDS" -lt 30

# What a dead function had not read.
lots() {
	yes '' | head -n 300000 | yomo-source -F lines
	cat # until told
}
mkfifo "$out/until"
exec {until}<>"$out/until"
start killed yomo-sfn -F lines --restart never -- sh -c 'sleep 0.5; kill -9 $$' \
    < <(lots <"$out/until")
ended killed 137 'a killed function ends it with 128 + 9'
doubt=$(sed -n 's/.* \([0-9]*\) bytes .*in doubt/\1/p' "$out/killed.err")
ok 'all that was under way to it is in doubt' test "$doubt" -gt 65536
start content yomo-sfn -F lines -- sh -c 'sleep 0.5' < <(lots <"$out/until")
ended content 0 'one that exits 0 has had enough'
like "$(cat "$out/content.err")" 'left [0-9]+ bytes unread' 'which is said'
exec {until}<&-

run status yomo-sfn --restart never -- sh -c 'exit 200' <"$out/three"
like "$(status status) $(cat "$out/status.err")" '^200 .*status 200' \
    'a status that no signal has is a status'
run once yomo-sfn --max-restarts 0 -- sh -c 'exit 9' <"$out/three"
is "$(status once) $(wc -l <"$out/once.err")" '9 1' \
    'a failure is said once where nothing is started again'

# A message that the format cannot carry.
printf 'a\nb' | yomo-source -b 3 >"$out/two-lines"
cat "$out/two-lines" "$out/three" >"$out/mixed"
run mixed yomo-sfn -F lines <"$out/mixed"
is "$(status mixed) $(tr '\n' ' ' <"$out/mixed.out")" '65 1 2 3 ' \
    'one message that does not fit does not stop the others'
like "$(cat "$out/mixed.err")" 'holds a newline' 'and it says why'

# Descriptors.
run closed sh -c 'yomo-sfn >&-' <"$out/three"
is "$(status closed)" 74 'a closed stdout is 74'
run closed sh -c 'yomo-sfn -o 0x34 -- cat >&-' <"$out/three"
is "$(status closed)" 74 'also where frames go there'
run closed sh -c 'yomo-sfn -F lines -- sh -c "cat >&2" >&-' <"$out/three"
is "$(status closed) $(cat "$out/closed.err")" $'0 1\n2\n3' \
    'a function may do without'
run closed sh -c 'yomo-sfn <&-'
is "$(status closed)" 71 'a closed stdin is not an empty one'
run tty script -qec yomo-sfn /dev/null
like "$(status tty) $(cat "$out/tty.out")" '^64 .*-z ADDR' \
    'frames are not read from a terminal'

# It says that it has a message, and goes on with it when it is told to.
later='read -r x; echo "got $x" >&2; read -r _ <"$0"; echo "$x"; cat'

# Two zippers, of which one never comes: what the other sent is not dropped.
zipper
mkfifo "$out/go"
start sfn yomo-sfn -v -z "$at" -z unix:"$out/nobody" --connect-timeout 0 \
    -- sh -c "$later" "$out/go"
seen sfn.err 'connected to'
seq 3 | yomo-source -z "$at" -b 6
seen sfn.err 'got 1'
kill "${pid_of[sfn]}"
echo >"$out/go"
ended sfn 0 'SIGTERM: with one zipper of two'
is "$(tr '\n' ' ' <"$out/sfn.out")" '1 2 3 ' 'the function gets what came'

# One of two zippers refuses for good, later: the function has what came.
start sfn yomo-sfn -R 3 -z "$at" --retry 0 -- sh -c "$later" "$out/go"
wait_for sfn
seq 3 | yomo-source -z "$at" -b 6
seen sfn.err 'got 1'
start usr1 yomo-sfn -R 3 -z "$at"
wait_for usr1
kill -USR1 "${pid_of[usr1]}"
ok 'SIGUSR1: a sink says how it is' seen usr1.err '0 messages'
stop zipper KILL
seen sfn.err 'lost the connection'
echo >"$out/go"
ended sfn 75 'a lost zipper is 75 with --retry 0'
is "$(tr '\n' ' ' <"$out/sfn.out")" '1 2 3 ' 'and the function gets what came'

# Nothing is under way: a sink ends although its zipper is gone.
seen usr1.err 'lost the connection'
stop usr1
is "$(status usr1)" 0 'SIGTERM: a sink without its zipper ends'
unlike "$(cat "$out/usr1.err")" grace 'at once'

# A function sees nothing of ours.
at=
export YOMO_CREDENTIAL=token:topsecret
zipper --token topsecret
run env yomo-sfn -vv -z "$at" -t 0x35 --idle-exit 0.2 -- \
    sh -c 'env; ls -l /proc/self/fd'
is "$(status env)" 0 'the credential of the environment is used'
is "$(grep -c 'topsecret' "$out/env.out" "$out/env.err" "$out/zipper.err" |
    tr '\n' ' ' | grep -o ':[1-9]')" '' 'and seen nowhere'
like "$(cat "$out/env.out")" 'YOMO_TAG=0x35' 'a function knows its tag'
is "$(grep -c 'topsecret' "/proc/${pid_of[zipper]}/cmdline")" 0 \
    'a zipper wipes it from its command line'
unset YOMO_CREDENTIAL

# Order and number, through two functions.
seq 100000 >"$out/seq"
yomo-source -F lines <"$out/seq" | yomo-sfn -o 0x34 -F lines -- cat |
    yomo-sfn -t 0x34 -F lines -- cat >"$out/chain"
same chain seq 'a hundred thousand messages pass two functions in order'

# What was lost on the way stands where it was lost, if the format can show it.
gap='{"gap":{"messages":3,"bytes":120},"tag":51}'
printf '%s\n' '{"tag":51,"data":"a"}' "$gap" '{"tag":51,"data":"b"}' \
    '{"gap":{"messages":9,"bytes":9},"tag":52}' | yomo-source -F json >"$out/gaps"
without_meta() { sed 's/"meta":{[^}]*},//' "$@"; }
run shown yomo-sfn -F json <"$out/gaps"
is "$(status shown) $(without_meta "$out/shown.out" | tr '\n' ' ')" \
    '0 {"tag":51,"data":"a"} '"$gap"' {"tag":51,"data":"b"} ' \
    'a loss is a line in json'
like "$(cat "$out/shown.err")" ' 3 messages were lost' 'and is said'
yomo-sfn -t 51,52 -F frames <"$out/gaps" >"$out/frames"
same frames gaps 'in frames it is a frame'
is "$(yomo-sfn <"$out/gaps" 2>"$out/plain.err")" ab 'elsewhere it is not seen'
run strict yomo-sfn --fail-on-loss <"$out/gaps"
is "$(status strict) $(cat "$out/strict.out")" '75 ab' \
    '--fail-on-loss is for the exit status'
run other yomo-sfn -t 0x99 --fail-on-loss <"$out/gaps"
is "$(status other)" 0 'a loss of others is none of ours'
yomo-sfn -t 52 -o 0x60 -- cat <"$out/gaps" 2>"$out/between.err" |
    yomo-sfn -F json 2>>"$out/between.err" | without_meta >"$out/passed"
is "$(sed -n 2p "$out/passed")" "$gap" 'a pipe passes on what is for others'
yomo-sfn -o 0x60 -F json -- cat <"$out/gaps" 2>"$out/told.err" |
    yomo-sfn -t 51,0x60 -F json 2>>"$out/told.err" | without_meta \
    >"$out/told"
is "$(sed -n 2p "$out/told")" "$gap" 'and a function is told'
