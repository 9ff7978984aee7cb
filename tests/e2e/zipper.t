#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# What a zipper promises to who runs it: nothing lost at its end, limits that
# hold, waits that end, and reloads that change all or nothing.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 70

sound() { # NAME: whatever happened, it was no accident.
	unlike "$(cat "$out/zipper.err")" \
	    'AddressSanitizer|LeakSanitizer|runtime error|[Aa]ssert' "$1"
}

fresh() { # OPTIONS...: another zipper, at another port.
	at=
	zipper "$@"
}

# --- the end ---

head -c 3000000 /dev/urandom >"$out/sent"
yomo-source -b 1000 <"$out/sent" >"$out/frames"
run pipe yomo-zipper --pipe -l 127.0.0.1:0 <"$out/frames"
is "$(status pipe)" 0 '--pipe: the end of the input is the end'
is "$(yomo-sfn <"$out/pipe.out" | cksum)" "$(cksum <"$out/sent")" \
    '--pipe: what comes in goes out'
(
	yomo-zipper --pipe -l 127.0.0.1:0 <"$out/frames"
	echo "$?" >"$out/slow.status"
) | {
	moment 0.5
	cat
} >"$out/slow.out"
is "$(yomo-sfn <"$out/slow.out" | cksum)" "$(cksum <"$out/sent")" \
    '--pipe: also to a slow reader'
is "$(cat "$out/slow.status")" 0 '--pipe: who waits for it'
{
	head -c 1021 "$out/frames"
	printf '\xbf\x7f'
} >"$out/broken"
run pipe yomo-zipper --pipe -l 127.0.0.1:0 <"$out/broken"
is "$(status pipe)" 65 '--pipe: malformed input is 65'
run pipe sh -c 'yomo-zipper --pipe -l 127.0.0.1:0 >/dev/full' <"$out/frames"
is "$(status pipe)" 74 '--pipe: output that cannot be written is 74'
yomo-zipper --pipe -l 127.0.0.1:0 <"$out/frames" | head -c 1 >/dev/null
is "${PIPESTATUS[0]}" 141 '--pipe: a closed output ends it by SIGPIPE'

# A signal while twenty clients pump: what was read is delivered.
accidents=0 statuses=
for ((round = 0; round < ${ROUNDS:-3}; round++)); do
	fresh -l "unix:$out/sock"
	for ((i = 0; i < 10; i++)); do
		via=$at
		((i % 2)) && via=unix:$out/sock
		start "sink$i" yomo-sfn -R 3 -z "$via" -t "$i" --retry 0
		wait_for "sink$i"
		start "pump$i" yomo-source -z "$via" -t "$i" -b 3000 \
		    --retry 0 </dev/zero
	done
	for f in "$out"/sink*.out; do
		until [ -s "$f" ]; do moment; done
	done
	stop zipper
	statuses="$statuses $(status zipper)"
	grep -qE 'Sanitizer|runtime error|[Aa]ssert' "$out/zipper.err" &&
	    accidents=$((accidents + 1))
	for ((i = 0; i < 10; i++)); do
		stop "sink$i" KILL
		stop "pump$i" KILL
	done
	rm -f "$out"/sink*.out
done
like "$statuses" '^( 0)+$' 'SIGTERM under load: what was read is delivered: 0'
is "$accidents" 0 'SIGTERM under load: no accident'

# Who never reads is waited for as long as --grace says.
fresh --grace 300ms
start deaf peer -N -R 3 -w 0 "$at"
wait_for deaf
start pump yomo-source -R 3 -z "$at" -b 60000 --retry 0 </dev/zero
wait_for pump
moment 0.3
stop zipper
is "$(status zipper)" 75 'SIGTERM: who never reads is not waited for: 75'
sound 'SIGTERM: no accident then, either'
stop deaf
stop pump KILL

# --- memory ---

# A frame of 16 MiB begins so.
huge=bf888080000101330300
works() { # NAME
	start sink yomo-sfn -R 3 -z "$at" -t 0x7f -F lines -c 1
	wait_for sink
	run source yomo-source -z "$at" -t 0x7f -F lines <<<x
	finish sink
	is "$(cat "$out/sink.out") $(status source)" 'x 0' "$1"
}

fresh --memory 8M --stall 1s
before=$(peak zipper)
for ((i = 0; i < 8; i++)); do
	start "half$i" peer -k 0x5f -w 30 -x "$huge" -Z 8M "$at"
done
for ((i = 0; i < 8; i++)); do
	finish "half$i"
done
is "$(cat "$out"/half*.out | grep -c '^closed: application 0x100')" 8 \
    '--memory: who sends half a message is sent away in time'
works '--memory: then it works on'
frugal zipper $((32 << 10)) "$before" '--memory: it was held'

# Four messages that are too much together, and all may come.
head -c 16777216 /dev/urandom >"$out/sent"
start large yomo-sfn -R 3 -z "$at" -c 4
wait_for large
for ((i = 0; i < 4; i++)); do
	dd if="$out/sent" of="$out/part$i" bs=4M skip="$i" count=1
	start "part$i" yomo-source -z "$at" -b 4M <"$out/part$i"
done
for ((i = 0; i < 4; i++)); do
	finish "part$i"
done
is "$(cat "$out"/part?.status | tr '\n' ' ')" '0 0 0 0 ' \
    '--memory: messages that do not fit together come one by one'
finish large
is "$(stat -c %s "$out/large.out")" 16777216 '--memory: all of them'
frugal zipper $((32 << 10)) "$before" '--memory: in little more than there is'

# Observers whose queues are the memory, and who never read.
stop zipper
fresh --memory 8M --stall 1s --queue 1M --policy 0x33=drop-old
start deaf peer -N -R 3 -n 20 "$at"
wait_for deaf
head -c 30000000 /dev/zero >"$out/zeros"
run source yomo-source -z "$at" -b 1000 <"$out/zeros"
is "$(status source)" 0 '--memory: observers that hold all of it have to go'
ok '--memory: which was said' grep -q 'took nothing' "$out/zipper.err"
stop deaf
stop zipper
is "$(status zipper)" 0 '--memory: and it ends well'
sound '--memory: without an accident'

run no yomo-zipper -l 127.0.0.1:0 --memory 1K
is "$(status no)" 78 '--memory: too little is no configuration'
run no yomo-zipper -l 127.0.0.1:0 --memory 8M --hold 8M
is "$(status no)" 78 '--hold: nor is all of --memory'

# --- slow observers ---

# report REGEX: a line of the statistics.
report() {
	local n

	n=$(grep -c ' messages: ' "$out/zipper.err")
	kill -USR1 "${pid_of[zipper]}"
	seen zipper.err ' messages: ' $((n + 1))
	grep ' messages: ' "$out/zipper.err" | tail -n 1
}

fresh --stall 1s
start deaf peer -N -R 3 -w 0 "$at"
wait_for deaf
run source yomo-source -z "$at" -b 1000 <"$out/zeros"
is "$(status source)" 0 'block: the source goes on when the observer went'
is "$(grep -c 'took nothing for 1 s' "$out/zipper.err")" 1 \
    'block: which is said once'
finish deaf
like "$(tail -n 1 "$out/deaf.out")" 'application 0x100 stalled' \
    'block: and told to the observer'
stop zipper

fresh --policy 0x33=drop-old
start deaf peer -N -R 3 -w 0 "$at"
wait_for deaf
run source yomo-source -z "$at" -b 1000 <"$out/zeros"
is "$(status source)" 0 'drop-old: nobody waits'
line=$(report)
[[ $line =~ \ ([0-9]+)\ messages:\ ([0-9]+)\ delivered.*,\ ([0-9]+)\ dropped ]]
is "${BASH_REMATCH[1]}" 30000 'drop-old: all messages are counted'
is $((BASH_REMATCH[2] + BASH_REMATCH[3])) 30000 \
    'drop-old: each is delivered or dropped'
ok 'drop-old: most are dropped' test "${BASH_REMATCH[3]}" -gt 20000
stop deaf
stop zipper

fresh --policy 0x33=disconnect
start deaf peer -N -R 3 -w 0 "$at"
start good yomo-sfn -R 3 -z "$at" -t 0x34
wait_for deaf
wait_for good
run source yomo-source -z "$at" -b 1000 <"$out/zeros"
is "$(status source)" 0 'disconnect: nobody waits'
finish deaf
like "$(tail -n 1 "$out/deaf.out")" 'application 0x100 too slow' \
    'disconnect: the observer is sent away'
is "$(grep -c 'too slow: disconnected' "$out/zipper.err")" 1 \
    'disconnect: which is said once'
ok 'disconnect: and how much it missed' \
    grep -q "left without [0-9]* messages" "$out/zipper.err"
like "$(report)" ' 1 observers sent away' 'disconnect: and counted once'
ok 'disconnect: others stay' running good
stop good
stop zipper

# --- who may come in ---

umask 077
echo 'token:one' >"$out/tokens"
cat >"$out/conf" <<JSON
{ "listen": "0.0.0.0:0", "token": "@$out/tokens", "max-tags": 100 }
JSON
start zipper yomo-zipper -R 3 -f "$out/conf"
wait_for zipper
at=$(address zipper)
at=127.0.0.1:${at##*:}
try() { # TOKEN
	run try yomo-source -z "$at" -d "token:$1" <<<x
	status try
}
reload() { # LINE that is said
	local n

	n=$(grep -c "$1" "$out/zipper.err")
	kill -HUP "${pid_of[zipper]}"
	seen zipper.err "$1" $((n + 1))
}
is "$(try one) $(try two)" '0 77' 'tokens: right and wrong'
echo 'token:two' >"$out/tokens"
reload 'reloaded: certificate'
is "$(try one) $(try two)" '77 0' 'SIGHUP: tokens are read again'
: >"$out/tokens"
reload 'not reloaded'
is "$(try one) $(try two)" '77 0' 'SIGHUP: without a token left, nothing changes'
echo 'three' >"$out/tokens"
echo '{ "listen": "0.0.0.0:0", "token": "@'"$out"'/tokens", "max-tags": }' \
    >"$out/conf"
reload 'not reloaded'
is "$(try two) $(try three)" '0 77' \
    'SIGHUP: with a broken file nothing changes, tokens neither'
echo '{ "listen": "0.0.0.0:0" }' >"$out/conf"
reload 'not reloaded'
is "$(try two) $(try three)" '0 77' \
    'SIGHUP: nobody is let in whom the start would have kept out'
echo "{ \"token\": \"@$out/tokens\", \"cert\": \"$out/conf\"," \
    "\"key\": \"$out/conf\" }" >"$out/conf"
reload 'not reloaded'
is "$(try two) $(try three)" '0 77' \
    'SIGHUP: with a broken certificate nothing changes'
echo "{ \"token\": \"@$out/tokens\", \"max-tags\": 1 }" >"$out/conf"
reload 'reloaded: certificate'
is "$(try two) $(try three)" '77 0' 'SIGHUP: when all is well, everything does'
run many yomo-sfn -z "$at" -d three -t 1,2 </dev/null
is "$(status many)" 77 'SIGHUP: limits, too'
unlike "$(cat "$out"/zipper.err)" 'one|two|three' 'tokens: are never told'
start deaf peer -N -R 3 -d token:three -w 0 "$at"
wait_for deaf
start source yomo-source -R 3 -z "$at" -d three -b 1000 <"$out/zeros"
wait_for source
moment 0.3
ok 'block: the source waits' running source
echo "{ \"token\": \"@$out/tokens\", \"policy\": \"0x33=drop-old\" }" \
    >"$out/conf"
reload 'reloaded: certificate'
ended source 0 'SIGHUP: policies, for those who are there, too'
stop deaf
stop zipper

# --- where it listens ---

start zipper yomo-zipper -R 3 -l localhost:0 -l '[::1]:0' -l 127.0.0.1:0
wait_for zipper
is "$(address zipper 1 | sed 's/.*://')" "$(address zipper 2 | sed 's/.*://')" \
    'localhost: one port on both families'
for i in 1 2 3 4; do
	yomo-source -z "$(address zipper "$i")" <<<x
	echo "$?"
done >"$out/codes"
is "$(tr '\n' ' ' <"$out/codes")" '0 0 0 0 ' 'all listeners let clients in'
run no yomo-zipper -l "$(address zipper 1)"
is "$(status no)" 71 'an address that is taken is 71'
stop zipper

u=$out/u
start zipper yomo-zipper -R 3 -l "unix:$u" --unix-mode 622
wait_for zipper
is "$(stat -c %a "$u")" 622 '--unix-mode'
run no yomo-zipper -l "unix:$u"
is "$(status no)" 71 'a socket that is alive is not replaced'
stop zipper KILL
ok 'a zipper that was killed leaves its socket' test -S "$u"
start zipper yomo-zipper -R 3 -l "unix:$u" --unix-group "$(id -gn)"
wait_for zipper
is "$(stat -c '%a %g' "$u")" "660 $(id -g)" 'which is replaced; --unix-group'
kill -STOP "${pid_of[zipper]}"
perl -e 'use IO::Socket::UNIX; $| = 1;
    for (1 .. 200) { push @s, IO::Socket::UNIX->new(Peer => $ARGV[0],
	Blocking => 0) }
    print "full\n"; sleep 60' "$u" >"$out/full.out" 2>/dev/null &
full=$!
seen full.out full
run late yomo-source -z "unix:$u" --connect-timeout 500ms <<<x
is "$(status late)" 69 'a full backlog does not hang a client'
run no yomo-zipper -l "unix:$u"
is "$(status no)" 71 'nor another zipper'
kill "$full"
kill -CONT "${pid_of[zipper]}"
stop zipper
ok 'a zipper takes its socket with it' test ! -e "$u"
run no yomo-zipper -l "unix:/$(printf 'x%.0s' {1..120})"
is "$(status no)" 78 'a path that is too long is 78'

# --- limits ---

fresh --max-tags 2 --max-message 1K --max-per-address 3 --retry-from 0
run many yomo-sfn -z "$at" -t 1-3
is "$(status many)" 77 '--max-tags: one more is refused'
run long yomo-source -z "$at" -b 2000 <"$out/zeros"
is "$(status long)" 77 '--max-message: one byte more is refused'
like "$(cat "$out/long.err")" '--max-message' '--max-message: with words'
works '--retry-from: clients try twice, and get in'
kill -USR1 "${pid_of[zipper]}"
seen zipper.err ' retries'
ok '--retry-from: which is counted' grep -q '[1-9][0-9]* retries' \
    "$out/zipper.err"
start three peer -R 3 -n 3 "$at"
wait_for three
run four peer -w 3 "$at"
like "$(cat "$out/four.out")" 'closed: transport 0x2' \
    '--max-per-address: one more is refused'
stop three
stop zipper

# Thousands who never get an answer, and those who do not notice.
fresh --max-half-open 200
before=$(peak zipper)
relay "$at" -c 'down cut'
for ((i = 0; i < 4; i++)); do
	start "flood$i" peer -n 500 -j 500 "$via"
done
moment 0.5
works 'a flood of handshakes: others get in'
frugal zipper $((32 << 10)) "$before" 'a flood of handshakes: takes little memory'
for ((i = 0; i < 4; i++)); do
	stop "flood$i" KILL
done
stop relay

# Many that are idle.
before=$(peak zipper)
start idle peer -R 3 -n 1000 "$at"
wait_for idle
echo "# $((($(peak zipper) - before) / 1024)) MiB more for 1000 connections"
like "$(cat "$out/idle.out")" '"failed":0' 'a thousand at once are let in'
frugal zipper 65536 "$before" 'an idle connection costs less than 64 KiB'
stop idle
stop zipper
is "$(status zipper)" 0 'and goes without a trace'
sound 'and without an accident'
