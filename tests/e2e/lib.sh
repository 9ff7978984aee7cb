# SPDX-License-Identifier: ISC
# shellcheck shell=bash disable=SC2034,SC2094
#
# Helpers for tests of the real programs, in TAP.  A test sources this file,
# says plan N, and has its own folder $out.  Nothing here sleeps: programs
# announce themselves on a descriptor, lines are waited for as they are written.
# When the test ends, for whatever reason, everything it started is killed.
#
#   plan 1
#   zipper
#   start sink yomo-sfn -R 3 -z "$at" -c 1
#   wait_for sink
#   echo hello | yomo-source -z "$at"
#   finish sink
#   is "$(cat "$out/sink.out")" hello 'what goes in comes out'

set -u
exec </dev/null

# The whole test may take so many seconds; one wait for a program, so many.
: "${E2E_TIMEOUT:=60}" "${E2E_PATIENCE:=20}"

top=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
: "${BIN:=$top/build/bin}" "${TOOLS:=$top/build/tests/tools}"
export PATH=$BIN:$TOOLS:$PATH

out=$(mktemp -d "${TMPDIR:-/tmp}/yomo-test.XXXXXX") || exit 1
export STATE_DIRECTORY=$out/state HOME=$out XDG_STATE_HOME=$out/.state
mkdir -m 700 "$STATE_DIRECTORY"
# Shown when something fails; bash's notes on killed jobs go there, too.
exec 2>"$out/test.err"
unset YOMO_ZIPPER YOMO_CREDENTIAL NOTIFY_SOCKET

planned=0 count=0 failed=0 doing='setting up'
declare -A pid_of fd_of

# Kill what was started, and what that started, wherever it went: all carry
# the name of our folder in their environment.
reap() {
	local f

	for f in $(env -u YOMO_TEST grep -lzxF "YOMO_TEST=$out" \
	    /proc/[0-9]*/environ 2>/dev/null); do
		f=${f#/proc/}
		kill -KILL "${f%/environ}" 2>/dev/null
	done
}

# What no program may ever say, in any test.
accidents() {
	grep -lE 'ERROR: [A-Za-z]*Sanitizer|runtime error:|Assertion .* failed' \
	    "$out"/*.err
}

comment_errors() {
	local f

	for f in "$out"/*.err; do
		[ -s "$f" ] || continue
		tail -n 40 "$f" | sed "s|^|# ${f##*/}: |"
	done
}

finish_test() {
	local status=$?

	trap - EXIT
	trap '' ALRM
	kill "$watchdog" 2>/dev/null
	reap
	if [ "$count" -ne "$planned" ] || [ "$status" -ne 0 ]; then
		echo "# ended at $count of $planned (status $status), while $doing"
		failed=$((failed + 1))
	fi
	if accidents >/dev/null; then
		echo '# a program had an accident'
		failed=$((failed + 1))
	fi
	if [ "$failed" -gt 0 ]; then
		comment_errors
	fi
	rm -rf "$out"
	if [ "$failed" -gt 0 ]; then
		exit 1
	fi
	exit 0
}

# bash sees the signal only when its foreground command has gone.
watch() {
	read -rt "$E2E_TIMEOUT" _
	kill -ALRM $$
	reap
}

mkfifo "$out/watchdog"
watch <>"$out/watchdog" >/dev/null 2>&1 &
watchdog=$!
exec {fd}<>"$out/watchdog"
fd_of[nothing]=$fd
export YOMO_TEST=$out
trap finish_test EXIT
trap 'echo "# timed out after $E2E_TIMEOUT s"; exit 1' ALRM
trap 'exit 1' INT TERM HUP

# plan N: how many checks will follow.
plan() {
	planned=$1
	echo "1..$1"
}

# skip_all WHY: instead of a plan.
skip_all() {
	echo "1..0 # skip $1"
	exit 0
}

# skip N WHY: in place of N checks.
skip() {
	local i

	for ((i = 0; i < $1; i++)); do
		count=$((count + 1))
		echo "ok $count # skip $2"
	done
}

pass() { # NAME
	count=$((count + 1))
	echo "ok $count - $1"
}

fail() { # NAME
	count=$((count + 1)) failed=$((failed + 1))
	echo "not ok $count - $1"
}

# differ WHAT GOT WANT: comment on a failed check.
differ() {
	printf ' got: %s\n%4s: %s\n' "${2:0:2000}" "$1" "${3:0:2000}" |
	    sed 's/^/# /'
}

# is GOT WANT NAME
is() {
	if [ "$1" = "$2" ]; then
		pass "$3"
	else
		fail "$3"
		differ want "$1" "$2"
	fi
}

# like GOT REGEX NAME
like() {
	if [[ $1 =~ $2 ]]; then
		pass "$3"
	else
		fail "$3"
		differ like "$1" "$2"
	fi
}

# unlike GOT REGEX NAME
unlike() {
	if [[ ! $1 =~ $2 ]]; then
		pass "$3"
	else
		fail "$3"
		differ not "$1" "$2"
	fi
}

# ok NAME COMMAND...: the command says yes.
ok() {
	local name=$1

	shift
	if "$@" >"$out/ok.log" 2>&1; then
		pass "$name"
	else
		fail "$name"
		echo "# no: $*"
		sed 's/^/# /' "$out/ok.log"
	fi
}

# same FILE FILE NAME: byte for byte, in $out.
same() {
	ok "$3" cmp "$out/$1" "$out/$2"
}

# Run without the descriptors that are ours alone, and with the signals that
# bash lets its background jobs ignore.
launch() {
	local fd

	for fd in "${fd_of[@]}"; do
		exec {fd}<&-
	done
	exec env --default-signal=INT,QUIT,HUP,PIPE "$@"
}

# close NAME: our end of a descriptor.
close() {
	local fd=${fd_of[$1]}

	exec {fd}<&-
	unset "fd_of[$1]"
}

# hold NAME: make the pipe $out/NAME and keep it open both ways, so that nobody
# waits to open it or sees its end; close NAME lets go.
hold() {
	local fd

	rm -f "$out/$1"
	mkfifo "$out/$1"
	exec {fd}<>"$out/$1"
	fd_of[$1]=$fd
}

# start NAME COMMAND...: in the background, descriptor 3 for -R 3.  stdout and
# stderr go to $out/NAME.out and $out/NAME.err, stdin is the caller's.
start() {
	local name=$1 w r

	shift
	rm -f "$out/$name".{ready,status}
	if [ -s "$out/$name.err" ]; then
		cat "$out/$name.err" >>"$out/earlier.err"
	fi
	mkfifo "$out/$name.ready"
	exec {w}<>"$out/$name.ready" {r}<"$out/$name.ready"
	launch "$@" 3>&"$w" {w}>&- {r}<&- \
	    >"$out/$name.out" 2>"$out/$name.err" <&0 &
	pid_of[$name]=$!
	exec {w}>&-
	fd_of[$name]=$r
}

# ready NAME: wait until it has written to descriptor 3; no if it ended first.
ready() {
	doing="waiting for $1 to be ready"
	read -rt "$E2E_PATIENCE" -u "${fd_of[$1]}" _
}

# wait_for NAME: there is no test without it.
wait_for() {
	ready "$1" || exit 1
}

# seen FILE REGEX [N]: wait until N (1) lines of $out/FILE match.
seen() {
	local fd tail r

	doing="waiting for '$2' in $1"
	exec {fd}< <(exec tail -n +1 -F "$out/$1" 2>/dev/null)
	tail=$!
	timeout "$E2E_PATIENCE" grep -m "${3:-1}" -e "$2" <&"$fd" >"$out/seen.log"
	[ "$(wc -l <"$out/seen.log")" -eq "${3:-1}" ]
	r=$?
	kill "$tail" 2>/dev/null
	exec {fd}<&-
	[ "$r" -eq 0 ] || echo "# '$2' did not come in $1"
	return "$r"
}

# moment [SECONDS]: before something is tried again.
moment() {
	read -rt "${1:-0.05}" -u "${fd_of[nothing]}" _ || :
}

# finish NAME: wait until it ends; its status is kept for status().
finish() {
	local r

	doing="waiting for $1 to end"
	wait "${pid_of[$1]}" 2>/dev/null
	r=$?
	echo "$r" >"$out/$1.status"
	close "$1"
}

# stop NAME [SIGNAL]: and wait until it has ended.
stop() {
	kill "-${2:-TERM}" "${pid_of[$1]}" 2>/dev/null
	finish "$1"
}

# run NAME COMMAND...: start and finish.
run() {
	start "$@"
	finish "$1"
}

# status NAME: of one that was finished; 128 + n after signal n.
status() {
	cat "$out/$1.status"
}

# running NAME: has it not ended yet?
running() {
	grep -q '^State:.[^ZX]' "/proc/${pid_of[$1]}/status" 2>/dev/null
}

# peak NAME: the most memory it ever had, in KiB.
peak() {
	sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' \
	    "/proc/${pid_of[$1]}/status"
}

# frugal NAME KIB SINCE TEXT: it took no more than that since peak said SINCE.
frugal() {
	if grep -q libasan "/proc/${pid_of[$1]}/maps"; then
		skip 1 'a sanitizer takes memory of its own'
	else
		ok "$4" test $(($(peak "$1") - $3)) -le "$2"
	fi
}

# ended NAME STATUS TEXT: it ends by itself, so.
ended() {
	finish "$1"
	is "$(status "$1")" "$2" "$3"
}

# address NAME [N]: where its N-th (1) listener is.
address() {
	sed -n 's/^[^ ]*: listening on //p' "$out/$1.err" | sed -n "${2:-1}p"
}

# terminal NAME COMMAND: start a line of shell on a terminal of its own, where
# what is written to $out/keys is typed.
terminal() {
	hold keys
	start "$1" script -qec "$2" /dev/null <"$out/keys"
	wait_for "$1"
}

# zipper [OPTIONS]: start one named zipper; its address is in $at.
zipper() {
	start zipper yomo-zipper -R 3 -l "${at:-127.0.0.1:0}" "$@"
	wait_for zipper
	at=$(address zipper)
}

# relay UPSTREAM [OPTIONS]: start tests/tools/relay; its address is in $via.
relay() {
	local to=$1

	shift
	hold relay.in
	tells=0
	start relay relay -R 3 "$@" "$to" <"$out/relay.in"
	wait_for relay
	via=$(address relay)
}

# tell COMMAND...: to the relay, and wait until it is done.
tell() {
	tells=$((tells + 1))
	echo "$*" >"$out/relay.in"
	seen relay.out '^ok' "$tells"
}

# frame FIRST HEX: a packet of Y3 with that value.
frame() {
	local n=$((${#2} / 2))

	if ((n < 64)); then
		printf '%s%02x%s' "$1" "$n" "$2"
	elif ((n < 8192)); then
		printf '%s%02x%02x%s' "$1" $((0x80 | n >> 7)) $((n & 0x7f)) "$2"
	else
		printf '%s%02x%02x%02x%s' "$1" $((0x80 | n >> 14)) \
		    $((0x80 | n >> 7 & 0x7f)) $((n & 0x7f)) "$2"
	fi
}
