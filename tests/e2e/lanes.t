#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# What clients can ask of a zipper that speaks yomo-x1: a group, a policy, who
# observes; and that they use lanes as they should.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 32

zipper

# Whether these files of lines are the numbers from 1 to N, each once.
are_all() { # N FILE...
	diff <(seq "$1") <(shift; cd "$out" && sort -n "$@")
}

# -- many tags --

start tags yomo-sfn -R 3 -z "$at" -t 1-100 -F json -c 1000
wait_for tags
for ((i = 0; i < 1000; i++)); do
	echo "{\"tag\":$((i % 100 + 1)),\"data\":\"$i\"}"
done | yomo-source -z "$at" -F json
is $? 0 'more tags than lanes are no error'
finish tags
in_order() {
	sed 's/.*"tag":\([0-9]*\),.*"data":"\([0-9]*\)".*/\1 \2/' \
	    "$out/tags.out" | awk '
		seen[$1]++ && $2 != last[$1] + 100 { exit 1 }
		{ last[$1] = $2 }
		END { exit NR != 1000 || length(seen) != 100 }'
}
ok 'and each tag is in order' in_order

run many yomo-sfn -z "$at" -t 0x1000-0x5000
is "$(status many)" 77 'more tags than a zipper allows are refused'
like "$(cat "$out/many.err")" 'refused by the zipper' 'in its words'

# -- groups --

start all yomo-sfn -R 3 -z "$at" -F lines -c 1000
for m in a b c; do
	start "$m" yomo-sfn -R 3 -z "$at" --group team -F lines
	wait_for "$m"
done
wait_for all
seq 1000 | yomo-source -z "$at" -F lines
is $? 0 'a group takes all'
finish all
ok 'who is in no group has every message' are_all 1000 all.out
for m in a b c; do stop "$m"; done
is "$(status a) $(status b) $(status c)" '0 0 0' 'its members end as others do'
ok 'each message goes to one of them' are_all 1000 a.out b.out c.out
works() { [ -s "$out/a.out" ] && [ -s "$out/b.out" ] && [ -s "$out/c.out" ]; }
ok 'and none goes without' works

# Who leaves orderly has done what it took, and leaves the rest.
for m in a b; do
	start "$m" yomo-sfn -R 3 -z "$at" --group team -F lines -- \
	    sh -c 'while read -r n; do echo "$n"; done'
	wait_for "$m"
done
start source yomo-source -z "$at" -F lines --every 1ms < <(seq 500)
seen a.out .
stop a
finish source
is "$(status source)" 0 'a member that leaves is no matter for the source'
seen b.out '^500$'
stop b
ok 'nothing is lost by it, and nothing comes twice' are_all 500 a.out b.out

# One that does nothing gets no more than it may have, and when it dies the
# others get that.
start a yomo-sfn -R 3 -z "$at" --group team --prefetch 5 -F lines
wait_for a
kill -STOP "${pid_of[a]}"
start b yomo-sfn -R 3 -z "$at" --group team -F lines -c 40
wait_for b
seq 40 | yomo-source -z "$at" -F lines
is $? 0 'a member that is stuck is in nobody'\''s way'
seen b.out . 35
is "$(wc -l <"$out/b.out")" 35 'it is given what --prefetch allows'
stop a KILL
finish b
ok 'and when it dies another one gets that' are_all 40 b.out

# -- policies --

# A sink that is stuck while 2000 messages come, and then goes on.
stuck() { # NAME OPTIONS...
	local name=$1

	shift
	start "$name" yomo-sfn -R 3 -z "$at" -t 0x50 "$@"
	wait_for "$name"
	kill -STOP "${pid_of[$name]}"
	seq -f %010000g 2000 | yomo-source -z "$at" -t 0x50 -F lines
	kill -CONT "${pid_of[$name]}"
	finish "$name"
}
stuck old --policy drop-old --fail-on-loss --idle-exit 1 -F json
is "$(status old)" 75 'what is lost by --policy drop-old fails --fail-on-loss'
lost=$(sed -n 's/.*"gap":{"messages":\([0-9]*\).*/\1/p' "$out/old.out" |
    awk '{ n += $1 } END { print n + 0 }')
had=$(grep -c '"data"' "$out/old.out")
is $((had + lost)) 2000 'every message has come or is in a gap'
ok 'and there are gaps' test "$lost" -gt 0
like "$(cat "$out/old.err")" "$lost messages were lost" 'which are counted'
stuck lenient --policy drop-old --idle-exit 1 -F lines
is "$(status lenient)" 0 'without --fail-on-loss that is no failure'
stuck away --policy disconnect --retry 0 -F lines
is "$(status away)" 75 '--policy disconnect: it is sent away'
start block yomo-sfn -R 3 -z "$at" -t 0x50 --policy block -F lines -c 2000
wait_for block
seq -f %010000g 2000 | yomo-source -z "$at" -t 0x50 -F lines
finish block
is "$(wc -l <"$out/block.out")" 2000 '--policy block: all come'

# -- who observes --

start source yomo-source -R 3 -z "$at" -t 0x60 -F lines --wait=2 < <(seq 100)
wait_for source
start a yomo-sfn -R 3 -z "$at" -t 0x60 -F lines -c 100
wait_for a
start other yomo-sfn -R 3 -z "$at" -t 0x61
wait_for other
is "$(cat "$out/a.out")" '' '--wait=2 is not for one'
start b yomo-sfn -R 3 -z "$at" -t 0x60 -F lines -c 100
finish source
finish a
finish b
is "$(status source)" 0 'but for two'
ok 'and neither misses a message' are_all 100 a.out
ok 'not the other one, either' are_all 100 b.out
stop other
start a yomo-sfn -R 3 -z "$at" -t 0x60 -F lines -c 10
wait_for a
run source yomo-source -z "$at" -t 0x60 -F lines --wait --every 1ms \
    < <(seq 100)
finish a
like "$(status source) $(cat "$out/source.err")" \
    '^0 .* [1-9][0-9]* messages had no observer' \
    'messages after the observer has left had none'
run quiet yomo-source -v -z "$at" -t 0x62 -F lines < <(seq 100)
like "$(cat "$out/quiet.err")" ' 100 unobserved' 'with -v it is always said'
start source yomo-source -R 3 -z "$at" -t 0x63 --wait </dev/null
wait_for source
stop source
is "$(status source)" 0 'SIGTERM: who waits for nobody ends'

# -- at a pipe there is nobody to ask --

for o in '--group g' '--policy block'; do
	# shellcheck disable=SC2086
	run sfn yomo-sfn $o </dev/null
	is "$(status sfn)" 64 "$o needs a zipper"
done
run source yomo-source --wait </dev/null
is "$(status source)" 64 '--wait needs one, too'

stop zipper
zipper --max-tags 20000
start many yomo-sfn -R 3 -z "$at" -t 0x1000-0x5000 -c 1 -F lines
wait_for many
echo x | yomo-source -z "$at" -t 0x4fff -F lines
finish many
is "$(cat "$out/many.out")" x 'ranges may be as large as the zipper allows'
