#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# yomo-sfn in the hands of its users: nothing is lost in silence.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 21

seq 3 | yomo-source -F lines >"$out/three"

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
