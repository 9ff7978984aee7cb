#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Go programs understand each other: what else fails is not the tests' fault.

# shellcheck source=tests/interop/lib.sh
. "${0%/*}/lib.sh"
plan 6

messages 1000 1 300 >"$out/sent"
zipper_of go zipper
sfn_of go sfn -F len32 -c 1000
source_of go source -F len32 <"$out/sent"
ended sfn 0 'a Go sfn has all that a Go source sent through a Go zipper'
same sfn.out sent 'in order and unchanged'

sfn_of go upper -t 0x34 -o 0x35 -F show
sfn_of go sink -t 0x35 -F show -c 1
echo hello | source_of go source2 -t 0x34
ended sink 0 'a Go sfn answers'
like "$(cat "$out/sink.out")" '^0x35 5 "HELLO" yomo-source-id=.* yomo-tid=' \
    'with the metadata of what it answers'

run raw gopeer raw -z "$at" -until a900
is "$(sed -n 2p "$out/raw.out")" 'received a900' 'the raw client is let in'
run raw gopeer raw -z "$at" -alpn other
like "$(cat "$out/raw.out")" '^closed: transport 0x178 ' 'and kept out'
