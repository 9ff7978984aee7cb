#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# yomo-source in the hands of its users: paces, waits, mistakes.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 29

# usage TEXT REGEX OPTIONS...: exits 64 and says why.
usage() {
	local text=$1 regex=$2

	shift 2
	yomo-source "$@" </dev/null >"$out/usage.out" 2>"$out/usage.err"
	like "$? $(cat "$out/usage.err")" "^64 yomo-source: $regex" "$text"
}

usage 'a queue of nothing is refused' '--queue 0' --queue 0
usage 'a count is a number' "--count: '-1': not a number" -c -1
usage 'metadata without a value is refused' "--meta: 'room'" -m room
usage 'metadata of ours is refused' "--meta: 'yomo-tid=1'" -m yomo-tid=1
YOMO_ZIPPER=host:0 usage 'the environment is checked' "YOMO_ZIPPER: 'host:0'"

# Descriptors that are closed, or are not what they should be.
run closed sh -c 'echo x | yomo-source >&-'
is "$(status closed)" 74 'a closed stdout is 74, also for input that is short'
like "$(cat "$out/closed.err")" 'standard output is closed' 'and is said'
run closed sh -c 'yomo-source <&-'
is "$(status closed)" 71 'a closed stdin is not an empty one'
run folder yomo-source <"$out"
is "$(status folder)" 71 'a folder cannot be read'
is "$(wc -l <"$out/folder.err")" 1 'which is said once'

# The shortest message, the last block, each format both ways.
printf '1234567890' >"$out/ten"
is "$({ head -c 3; sleep 0.1; cat; } <"$out/ten" | yomo-source -b 4 |
    yomo-sfn -F lines | tr '\n' ' ')" '1234 5678 90 ' \
    'blocks are cut from reads of any size'
for f in lines nul len32 netstring json frames; do
	yomo-source -b 4 <"$out/ten" | yomo-sfn -F $f | yomo-source -F $f |
	    yomo-sfn >"$out/$f.out"
	same ten "$f.out" "what is written in $f can be read again"
done

# One message at a time, so far apart; what comes late is not made up for.
paces() { # OPTIONS...: milliseconds between the lines that come
	yomo-source -F lines "$@" | yomo-sfn -F lines | perl -MTime::HiRes=time \
	    -ne 'printf "%d ", 1000 * (time - $t) if $t; $t = time'
}
# shellcheck disable=SC2046
set -- $({ echo 1; sleep 0.7; seq 2 4; } | paces --every 200ms)
is "$#" 3 '--every loses nothing'
ok 'what comes late goes at once' test "$1" -ge 250 -a "$1" -lt 1500
ok 'and those after it keep their distance' test "$2" -ge 100 -a "$3" -ge 100
is "$(yes | yomo-source -F lines --every 1ms -c 3 | yomo-sfn -F lines)" \
    $'y\ny\ny' '--count ends it'

# Counts that are asked for come, however short the work was.
seq 3 | yomo-source -F lines --progress 2>"$out/progress" >"$out/frames"
is "$(cat "$out/progress")" '3 messages, 3 B, 3/s, 0:00' \
    '--progress shows the counts at the end'

# The zipper is gone for good, and so is what we had to say: no grace period.
mkfifo "$out/in"
exec {in}<>"$out/in"
zipper
start source yomo-source -R 3 -z "$at" --grace 1m <&"$in"
wait_for source
stop zipper KILL
seen source.err 'lost the connection'
stop source
is "$(status source)" 0 'SIGTERM: who waits for a zipper with nothing to send ends'
unlike "$(cat "$out/source.err")" 'grace' 'and at once'

# What was read of a message that is not whole is no message, but is said.
at=
zipper
start source yomo-source -R 3 -F lines <&"$in"
wait_for source
printf 'whole\nhalf' >&"$in"
seen source.out whole
stop source
is "$(status source) $(yomo-sfn -F lines <"$out/source.out")" '0 whole' \
    'SIGTERM: what is whole is sent'
like "$(cat "$out/source.err")" ' 4 bytes' 'and what is not is said'

# The zipper does not come back: what waited for it is said.
start source yomo-source -R 3 -z "$at" --retry 2s --linger 0 -F lines <&"$in"
wait_for source
stop zipper KILL
seen source.err 'lost the connection'
echo 'never sent' >&"$in"
ended source 75 'a zipper that does not come back is 75'
like "$(cat "$out/source.err")" 'cannot come back' 'which is said'
like "$(cat "$out/source.err")" '[0-9]+ bytes of messages were never sent' \
    'and how much waited for it'
