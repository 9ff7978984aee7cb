#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Any program is a function, whatever it does.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 29

# function_ends STATUS NAME COMMAND...: so ends one that is not started again.
function_ends() { # WANT NAME COMMAND...
	local want=$1 name=$2

	shift 2
	printf 'a\nb\n' | yomo-source -F lines |
	    yomo-sfn -F lines --restart never -- "$@" >"$out/f.out" 2>"$out/f.err"
	is "${PIPESTATUS[2]}" "$want" "$name"
}

function_ends 0 'a function that exits 0 ends yomo-sfn with 0' true
function_ends 3 'a function that exits 3 ends it with 3' sh -c 'exit 3'
function_ends 125 'so with 125' sh -c 'exit 125'
function_ends 1 'a status that is ours becomes 1' sh -c 'exit 77'
like "$(cat "$out/f.err")" 77 'and the real one is said'
function_ends 143 'a function that dies by a signal ends it with 128 + n' \
    sh -c 'kill -TERM $$'
function_ends 64 'a command that is not there is a usage error' ./no-such-command
function_ends 0 'a function that closes its stdin goes on to its end' \
    sh -c 'exec <&-; echo bye'
is "$(cat "$out/f.out")" bye 'and its output is there'
function_ends 0 'a function that never reads and exits is no error' \
    sh -c 'echo unasked'
is "$(cat "$out/f.out")" unasked 'what it writes without being asked is there'

yes | yomo-source -F lines | yomo-sfn -F lines -- head -n 1 >"$out/f.out"
is "${PIPESTATUS[2]} $(cat "$out/f.out")" '0 y' \
    'a function that has had enough ends it with 0'
seq 50000 | yomo-source -F lines | yomo-sfn -F lines -- sh -c '
    if [ -e "$0" ]; then exec tail -n 1; fi
    : >"$0"; read -r x; exit 9' "$out/failed-once" >"$out/f.out" 2>"$out/f.err"
is "${PIPESTATUS[2]} $(cat "$out/f.out")" '75 50000' \
    'what one that failed had not read makes it 75, whatever comes later'

# Without an answer to each message, and with answers to none.
printf 'a\nb\nc\n' | yomo-source -F lines |
    yomo-sfn -o 0x34 -F lines -- sh -c 'echo first; grep --line-buffered b;
	echo last' | yomo-sfn -t 0x34 -F lines >"$out/some"
is "$(cat "$out/some")" $'first\nb\nlast' \
    'a function answers when it wants, also after the end of its input'

zipper
start sink yomo-sfn -R 3 -z "$at" -t 0x34 -F lines -c 1
wait_for sink
start clock yomo-sfn -R 3 -z "$at" -o 0x34 -F lines -- \
    sh -c 'echo tick; exec cat >/dev/null'
wait_for clock
ended sink 0 'a function on the network may write without being asked'
is "$(cat "$out/sink.out")" tick 'and it arrives'
stop clock

# Restarted while it fails, with pauses, and given up.
start fails yomo-sfn -R 3 -z "$at" --max-restarts 2 -- \
    sh -c 'echo run >&2; exit 9'
ended fails 9 'a function that fails again and again ends it with its status'
is "$(grep -c '^run' "$out/fails.err")" 3 'after --max-restarts'

start once yomo-sfn -R 3 -z "$at" -t 0x40 -o 0x41 -F lines -- sh -c '
    if [ -e "$0" ]; then exec sed -u "s/^/again /"; fi
    : >"$0"; read -r x; exit 9' "$out/was-here"
start sink yomo-sfn -R 3 -z "$at" -t 0x41 -F lines -c 1
wait_for once
wait_for sink
yomo-source -z "$at" -t 0x40 -F lines <<<$'kills it\nis not read'
seen once.err 9
start source yomo-source -z "$at" -t 0x40 -F lines --every 100ms \
    < <(yes hello 2>&-)
finish sink
is "$(cat "$out/sink.out")" 'again hello' 'a function is started again'
like "$(cat "$out/once.err")" 'in doubt' 'and what it had is said to be in doubt'
stop source
stop once

# A function that never reads: only its own tag waits, and the zipper lives.
start deaf yomo-sfn -R 3 -z "$at" -t 0x50 --grace 100ms -- tail -f /dev/null
wait_for deaf
start flood yomo-source -z "$at" -t 0x50 -b 65536 </dev/zero
start sink yomo-sfn -R 3 -z "$at" -t 0x51 -F lines -c 1000
wait_for sink
run source yomo-source -z "$at" -t 0x51 -F lines < <(seq 1000)
is "$(status source)" 0 'beside a function that never reads, others send'
ended sink 0 'and receive'
ok 'the flood is stopped by it' running flood
stop deaf
stop flood KILL

# What a function gets, and what it does not.
export YOMO_CREDENTIAL=token:secret NOTIFY_SOCKET=$out/notify
echo x | yomo-source -F lines | yomo-sfn -F lines -- sh -c '
    env | grep -E "^(YOMO_CREDENTIAL|NOTIFY_SOCKET)="
    for fd in /proc/self/fd/*; do fd=${fd##*/}
	[ "$fd" -le 2 ] || ! [ -e "/proc/$$/fd/$fd" ] || echo "has $fd"; done
    # Two more are libc'\''s own.
    awk "/^Sig(Blk|Ign):/ { print substr(\$2, 9) }" /proc/self/status
    [ "$(ps -o pgid= $$)" -eq "$$" ] && echo leader' >"$out/gets"
is "$(grep -cE '^(YOMO_CRED|NOTIFY)' "$out/gets")" 0 \
    'a function gets no credential and no notify socket'
is "$(grep -c '^has' "$out/gets")" 0 'nor a descriptor over 2'
is "$(grep -cE '^(0+|80000000)$' "$out/gets")" 2 'no signal is blocked or ignored'
is "$(grep -c leader "$out/gets")" 1 'it leads a process group of its own'

yomo-sfn -o 0x33 -- cat </dev/null
is "$?" 64 'an answer on an observed tag is refused'
yomo-sfn -o 0x34 </dev/null
is "$?" 64 'so are answers without a function'
