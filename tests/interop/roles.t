#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# 10,000 messages, and messages of 8 MiB, arrive in order and unchanged,
# whoever plays which role.

E2E_TIMEOUT=300
# shellcheck source=tests/interop/lib.sh
. "${0%/*}/lib.sh"
plan 40

messages 10000 1 300 >"$out/small"
messages 5 8388608 8388608 >"$out/big"

transfer() { # SOURCE SFN FILE N NAME
	sfn_of "$2" sfn -F len32 -c "$4"
	source_of "$1" source -F len32 <"$out/$3"
	ended sfn 0 "$5: the sfn has all"
	same sfn.out "$3" "$5: in order and unchanged"
	stop source
	# Go's cannot know.
	[ "$1" = go ] || is "$(status source)" 0 "$5: the source exits 0"
}

arrives() { # SOURCE ZIPPER SFN
	zipper_of "$2" zipper
	transfer "$1" "$3" small 10000 "$(cast "$@"): 10,000 messages"
	transfer "$1" "$3" big 5 "$(cast "$@"): 8 MiB each"
	stop zipper
}

combinations arrives
