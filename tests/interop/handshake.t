#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# What is refused, is refused in the words of Go; what kills Go does not kill.

# shellcheck source=tests/interop/lib.sh
. "${0%/*}/lib.sh"
plan 23

hex() { # TEXT
	printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n'
}

zipper_of ours zipper

# alive NAME: a Go client is let in.
alive() {
	run alive gopeer raw -z "$at" -until a900
	like "$(cat "$out/alive.out")" 'received a900' "$1"
}

# said TEXT NAME: the newest raw client was told so, and sent away.
said() {
	like "$(cat "$out/raw.out")" "received b9[0-9a-f]*$(hex "$1")" "$2"
	like "$(cat "$out/raw.out")" 'closed: application 0x13' "$2, and closed"
}

run raw gopeer raw -z "$at" -version 2030-01-01
said 'version negotiation failed: client=2030-01-01, server=2024-01-03' \
    'another version'
run raw gopeer raw -z "$at" -version ''
said 'version negotiation failed: client=, server=2024-01-03' 'no version'
run raw gopeer raw -z "$at" -no-handshake -hex 'bf0c 010133 0300 020568656c6c6f'
said 'yomo: handshake read unexpected frame, read: DataFrame' \
    'a Data frame first'
run raw gopeer raw -z "$at" -no-handshake -hex \
    b10e0200070a323032342d30312d3033
like "$(cat "$out/raw.out")" 'received b9' 'an empty client type: refused'
alive 'which would have ended a Go zipper'

start silent gopeer raw -R 3 -z "$at" -no-stream -wait 30s
wait_for silent
alive 'a client that opens no stream holds up nobody'
finish silent
like "$(cat "$out/silent.out")" '^connected.closed: ' 'and is sent away in time'

run raw gopeer raw -z "$at" -hex c00100
like "$(cat "$out/raw.out")" 'closed: application' 'an unknown frame: closed'
run raw gopeer raw -z "$at" -chunk 1 -until a900
like "$(cat "$out/raw.out")" 'received a900' \
    'a handshake of single bytes: let in'
run raw gopeer raw -z "$at" -alpn yomo-v2
like "$(cat "$out/raw.out")" '^closed: transport 0x178' 'wrong ALPN: refused'
run raw gopeer raw -z "$at" -fin -wait 2s
like "$(cat "$out/raw.out")" 'received a900.fin' \
    'the end of the stream is answered by ours'
run raw gopeer raw -z "$at" -type 0x41 -wait 2s
like "$(cat "$out/raw.out")" 'received (a9|b9)' 'an unknown client type: an answer'
alive 'all of which does no harm'

# The other way: our clients at a zipper that sends them elsewhere.
home=$at
zipper_of go signpost -connect-to "$home"
run source yomo-source -z "$at" --insecure -F lines <<<x
is "$(status source)" 0 'our source goes where a Go zipper sends it'
stop zipper
run source yomo-source -z "$at" --insecure --connect-timeout 2s -F lines <<<x
ok 'if there is somebody' test "$(status source)" -ne 0

# And what only ours can do, when it is asked of Go's.
zipper_of go plain
for o in '--group g' '--policy drop-old' '-t 1-5000'; do
	# shellcheck disable=SC2086
	run wish yomo-sfn -z "$at" --insecure $o
	is "$(status wish)" 76 "$o is not for a Go zipper"
done
like "$(cat "$out/wish.err")" "speaks only YoMo's protocol" 'which is said'
run wish yomo-source -z "$at" --insecure --wait </dev/null
is "$(status wish)" 76 'nor is --wait'
