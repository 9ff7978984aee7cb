#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Targets and reserved tags mean the same on both sides.

# shellcheck source=tests/interop/lib.sh
. "${0%/*}/lib.sh"
plan 29

targeted() { # SOURCE ZIPPER SFN
	zipper_of "$2" zipper
	sfn_of "$3" a -T a -F lines -c 2
	sfn_of "$3" b -T b -F lines -c 2
	sfn_of "$3" any -F lines -c 1
	for target in b a ''; do
		source_of "$1" "to$target" -F lines ${target:+-T "$target"} \
		    <<<"for ${target:-all}"
	done
	finish a
	finish b
	finish any
	# Between sources there is no order.
	is "$(sort "$out/a.out" | tr '\n' ' ')" 'for a for all ' \
	    "$(cast "$@"): who wants a target gets it, and what has none"
	is "$(sort "$out/b.out" | tr '\n' ' ')" 'for all for b ' \
	    "$(cast "$@"): so does another"
	is "$(cat "$out/any.out")" 'for all' \
	    "$(cast "$@"): who wants none gets only what has none"
	for target in b a ''; do
		stop "to$target"
	done
	stop zipper
}
combinations targeted

# Reserved tags may be observed, not written.
why='\[0xF000, 0xFFFF\] is reserved; please do not write within this range'
zipper_of ours zipper
run raw gopeer raw -z "$at" -hex 'bf0a 010300f001 0300 020178'
like "$(cat "$out/raw.out")" "closed: application 0x13 $why" \
    'our zipper closes who writes on a reserved tag, in the words of Go'
sfn_of go observer -t 0xf001
pass 'but lets a Go sfn observe it'
start writer gopeer source -z "$at" -t 0xf001 -hold <<<x
ok 'a Go source is told' seen writer.err 'is reserved'
stop zipper
zipper_of go zipper
run source yomo-source -z "$at" --insecure -t 0xf001 -F lines <<<x
ok 'our source fails on a Go zipper' test "$(status source)" -ne 0
like "$(cat "$out/source.err")" 'reserved' 'and says why'
