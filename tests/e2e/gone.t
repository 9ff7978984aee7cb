#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# A zipper that is absent, refuses, restarts, is killed or frozen.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 25

# absent NAME COMMAND...: exits 69, in time.
absent() {
	local name=$1

	shift
	run absent "$@"
	is "$(status absent)" 69 "absent: $name exits 69"
}
absent 'a source' yomo-source -z 127.0.0.1:1 --connect-timeout 300ms
absent 'a sink' yomo-sfn -z 127.0.0.1:1 --connect-timeout 300ms
absent 'a sink of a unix socket' yomo-sfn -z "unix:$out/none" \
    --connect-timeout 300ms
absent 'a name that is none' yomo-source -z nowhere.invalid \
    --connect-timeout 300ms

# It may come while one waits.
start early yomo-sfn -R 3 -z "unix:$out/late/sock" -F lines -c 1
mkdir -m 700 "$out/late"
start zipper yomo-zipper -R 3 -l "unix:$out/late/sock"
wait_for zipper
wait_for early
yomo-source -z "unix:$out/late/sock" -F lines <<<'at last'
ended early 0 'absent: a sink finds a zipper that comes later'
stop zipper

zipper --token right
run refused yomo-source -z "$at" -d token:wrong <<<x
is "$(status refused)" 77 'refusing: a source exits 77'
run refused yomo-sfn -z "$at" -d token:wrong
is "$(status refused)" 77 'refusing: a sink exits 77'
unlike "$(cat "$out"/*.err)" 'wrong|right' 'refusing: nobody tells the token'
YOMO_CREDENTIAL=token:right run source yomo-source -z "$at" <<<x
is "$(status source)" 0 'the right token is accepted from the environment'
stop zipper

# One that repeats the token which it refuses, as Go does.
start parrot perl -e '
    use IO::Socket::UNIX;
    $l = IO::Socket::UNIX->new(Local => shift, Listen => 1) or die;
    open($ready, ">&=", 3); syswrite $ready, "\n";
    $s = $l->accept; sysread $s, $b, 4096;
    $text = "invalid token: s3cret"; $n = length $text;
    syswrite $s, pack("C4a*", 0xb9, $n + 2, 1, $n, $text);
    sysread $s, $b, 4096' "$out/parrot"
wait_for parrot
run refused yomo-source -z "unix:$out/parrot" -d token:s3cret <<<x
is "$(status refused)" 77 'refusing: with words that hold the token'
like "$(cat "$out/refused.err")" 'invalid token: \*\*\*' \
    'refusing: they are shown without it'
finish parrot

# comes_back NAME SIGNAL: the zipper goes so, and returns.
hold in
comes_back() { # NAME SIGNAL
	zipper
	start sink yomo-sfn -R 3 -z "$at" -v -F lines
	start source yomo-source -R 3 -z "$at" -v -F lines <"$out/in"
	wait_for sink
	wait_for source
	echo one >"$out/in"
	seen sink.out one
	stop zipper "$2"
	zipper
	# Both are back when what one sends reaches the other.
	until grep -q two "$out/sink.out"; do
		echo two >"$out/in"
		moment
	done
	pass "$1: source and sink find it again"
	echo three >"$out/in"
	ok "$1: and work on" seen sink.out three
	stop source
	like "$(status source)" '^(0|75)$' "$1: the source says whether all arrived"
	stop sink
	is "$(status sink)" 0 "$1: the sink lost nothing that it knows of"
	stop zipper
}
comes_back restarting TERM
comes_back killed KILL

# Frozen is not gone, but who has waited long enough gives up.
zipper
start source yomo-source -R 3 -z "$at" --retry 0 -F lines <"$out/in"
wait_for source
kill -STOP "${pid_of[zipper]}"
echo into the ice >"$out/in"
ended source 75 'frozen: a source that may not redial exits 75'
like "$(cat "$out/source.err")" 'in doubt' 'frozen: and says what is in doubt'
kill -CONT "${pid_of[zipper]}"
start sink yomo-sfn -R 3 -z "$at" -F lines -c 1
wait_for sink
yomo-source -z "$at" -F lines <<<'thawed'
ended sink 0 'frozen: a zipper that thaws works on'
kill -STOP "${pid_of[zipper]}"
run source yomo-source -z "$at" --connect-timeout 300ms <<<x
is "$(status source)" 69 'frozen: a new source exits 69'
kill -CONT "${pid_of[zipper]}"

# Gone for good.
start source yomo-source -R 3 -z "$at" --retry 300ms -F lines <"$out/in"
start sink yomo-sfn -R 3 -z "$at" --retry 300ms -F lines
wait_for source
wait_for sink
stop zipper
finish source
ok 'gone for good: a source gives up after --retry' \
    test "$(status source)" -ne 0
finish sink
ok 'gone for good: so does a sink' test "$(status sink)" -ne 0
