#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Whoever restarts is found again by the other side, Go's or ours.

E2E_TIMEOUT=240
# shellcheck source=tests/interop/lib.sh
. "${0%/*}/lib.sh"
plan 18

# restarts SIGNAL SOURCE ZIPPER SFN: the zipper goes, and comes back.
restarts() {
	local signal=$1 who
	who="SIG$signal: $(cast "${@:2}")"

	zipper_of "$3" zipper
	sfn_of "$4" sfn -F lines
	hold lines
	source_of "$2" source -F lines <"$out/lines"
	echo before >"$out/lines"
	seen sfn.out before
	began=$EPOCHREALTIME
	stop zipper "$signal"
	listen=$at zipper_of "$3" zipper
	# What is sent while one of them is away is lost, so send again.
	until grep -q after "$out/sfn.out"; do
		echo after >"$out/lines"
		moment 0.1
	done
	pass "$who: both find it again"
	echo "# after $(awk -v a="$began" -v b="$EPOCHREALTIME" \
	    'BEGIN { printf "%.1f", b - a }') s"
	stop source KILL
	stop sfn KILL
	stop zipper KILL
}

for signal in TERM KILL; do
	restarts "$signal" go ours go
	restarts "$signal" ours go ours
	restarts "$signal" ours ours go
	restarts "$signal" go ours ours
	restarts "$signal" ours go go
	restarts "$signal" go go ours
done

# Clients that go do not stay in the way of those that come.
leaves() { # ZIPPER SFN SIGNAL
	zipper_of "$1" zipper
	sfn_of "$2" first -F lines
	source_of ours source -F lines <<<'one'
	seen first.out one
	stop first "$3"
	sfn_of "$2" second -F lines -c 1
	run source2 yomo-source -z "$at" --insecure -F lines <<<'two'
	ended second 0 \
	    "SIG$3: $(whose "$1") zipper serves the next $(whose "$2") sfn"
	is "$(cat "$out/second.out")" two "SIG$3: with what comes then"
	stop source KILL
	stop zipper KILL
}
leaves ours go KILL
leaves ours go TERM
leaves ours ours KILL
