#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Signals end programs as a shell expects, and lose nothing.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 27

zipper

hold in
start sink yomo-sfn -R 3 -z "$at" -F lines
wait_for sink
start source yomo-source -R 3 -z "$at" -F lines <"$out/in"
wait_for source
echo 'before' >"$out/in"
seen sink.out before
stop source
is "$(status source)" 0 'SIGTERM: a source whose input goes on exits 0'
stop sink
is "$(status sink)" 0 'SIGTERM: a sink exits 0'
is "$(cat "$out/sink.out")" before 'and has what came before'

# What was read is delivered: here it waits for a sink that is not read.
hold slow
start sink bash -c 'exec yomo-sfn -R 3 -z "$1" -F lines >"$2"' bash \
    "$at" "$out/slow"
wait_for sink
run source yomo-source -z "$at" -F lines < <(seq 20000)
is "$(status source)" 0 'the zipper takes what a slow sink has not'
kill -TERM "${pid_of[sink]}"
start reader cat <"$out/slow"
close slow
ended sink 0 'SIGTERM: a sink drains into its pipe'
finish reader
is "$(head -n 1 "$out/reader.out")" 1 'from the first line on'
is "$(tail -n 1 "$out/reader.out" | tr -d '0-9' | wc -l)" 1 \
    'and ends with a whole line'

# --every is for the pace of messages, not for the time of going.
start sink yomo-sfn -R 3 -z "$at" -F lines
wait_for sink
start source yomo-source -R 3 -z "$at" -F lines --every 1h < <(seq 3; cat "$out/in")
wait_for source
seen sink.out 1
stop source
is "$(status source)" 0 'SIGTERM: a source with --every exits 0'
seen sink.out 3
stop sink
is "$(cat "$out/sink.out")" $'1\n2\n3' 'and what it had read arrives'

# Bash reports death by SIGINT as 130; so would an exit, so ask the kernel.
died_by() { # SIGNAL COMMAND...
	perl -e '$s = shift; open STDIN, "<&=", $ENV{IN} if $ENV{IN};
	    pipe($r, $w); $pid = fork;
	    if (!$pid) { close $r; open $f, ">&=", $w;
		use Fcntl; fcntl($w, F_SETFD, 0); $n = fileno($w);
		s/^READY$/$n/ for @ARGV; exec @ARGV or die }
	    close $w; sysread $r, $b, 1; kill $s, $pid; waitpid $pid, 0;
	    print $? & 127, " ", $? >> 8, "\n"' "$@"
}
is "$(IN=${fd_of[in]} died_by INT yomo-source -z "$at" -R READY)" '2 0' \
    'SIGINT: a source drains and dies by it'
is "$(IN=${fd_of[in]} died_by INT yomo-sfn -z "$at" -R READY)" '2 0' \
    'SIGINT: a sink drains and dies by it'
is "$(died_by INT yomo-sfn -z "$at" -R READY -- cat)" '2 0' \
    'SIGINT: a function drains and dies by it'
is "$(died_by INT yomo-zipper -l 127.0.0.1:0 -R READY)" '2 0' \
    'SIGINT: a zipper drains and dies by it'
is "$(IN=${fd_of[in]} died_by HUP yomo-source -z "$at" -R READY)" '0 0' \
    'SIGHUP: a source drains'
is "$(died_by HUP yomo-sfn -z "$at" -R READY)" '0 0' 'SIGHUP: a sink drains'

start sink env --ignore-signal=HUP yomo-sfn -R 3 -z "$at" -F lines -c 1
wait_for sink
kill -HUP "${pid_of[sink]}"
yomo-source -z "$at" -F lines <<<'still there'
ended sink 0 'SIGHUP: a sink under nohup goes on'
is "$(cat "$out/sink.out")" 'still there' 'and does its work'

kill -USR1 "${pid_of[zipper]}"
ok 'SIGUSR1: a zipper says how it is' seen zipper.err '[0-9]'
ok 'and goes on' running zipper

# A function that does not go when its input ends: the second signal tells.
start stuck yomo-sfn -R 3 -z "$at" -- \
    sh -c 'trap "" TERM INT; cat; echo asked >&2; exec tail -f /dev/null'
wait_for stuck
kill -TERM "${pid_of[stuck]}"
seen stuck.err asked
began=$SECONDS
# One that follows at once may be timeout(1), which signals twice.
while running stuck; do
	kill -TERM "${pid_of[stuck]}"
	moment 0.15
done
finish stuck
ok 'a second SIGTERM ends it at once' test $((SECONDS - began)) -lt 5
start grace yomo-sfn -R 3 -z "$at" --grace 300ms -- \
    sh -c 'trap "" TERM INT; echo here >&2; exec tail -f /dev/null'
wait_for grace
seen grace.err here
stop grace
ok 'so does the end of --grace' test "$(status grace)" -ne 0
ok 'and no function is left behind' test -z "$(pgrep -f "tail -f /dev/null" |
    while read -r p; do
	grep -slzxF "YOMO_TEST=$out" "/proc/$p/environ"
    done)"

# ^C on a terminal, with a function running in a process group of its own.
terminal tty "yomo-sfn -R 3 -z $at -F lines -- \
    sh -c 'trap \"echo asked >&2\" INT; echo here >&2; cat; echo done >&2' \
    2>$out/function.err"
seen function.err here
printf '\3' >"$out/keys"
ended tty 130 '^C: a function on a terminal dies by SIGINT'
like "$(cat "$out/function.err")" 'done' '^C: its command sees the end of input'
unlike "$(cat "$out/function.err")" 'asked' '^C: and not the signal'

stop zipper
is "$(status zipper)" 0 'SIGTERM: a zipper exits 0'
unlike "$(cat "$out/zipper.err")" 'lost|in doubt' 'and has lost nothing'
