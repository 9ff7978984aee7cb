#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Functions answer, and what stands in the metadata survives, in every role.

# shellcheck source=tests/interop/lib.sh
. "${0%/*}/lib.sh"
plan 28

id='[A-Za-z0-9_-]{21}'

# The function in the middle writes upper case on another tag.
upper_of() { # KIND NAME
	case $1 in
	go) sfn_of go "$2" -t 0x34 -o 0x35 -F show ;;
	ours)
		start "$2" yomo-sfn -R 3 -z "$at" --insecure -t 0x34 -o 0x35 \
		    -F lines -- sed -u 's/.*/\U&/'
		wait_for "$2"
		;;
	esac
}

answers() { # SOURCE ZIPPER SFN
	zipper_of "$2" zipper
	upper_of "$3" upper
	sfn_of go seen -t 0x34,0x35 -F show -c 2
	start json yomo-sfn -R 3 -z "$at" --insecure -t 0x35 -F json -c 1
	wait_for json
	source_of "$1" source -t 0x34 -F lines <<<hello
	finish seen
	finish json
	like "$(grep HELLO "$out/seen.out")" \
	    '^0x35 5 "HELLO" yomo-source-id='"$id"' yomo-tid='"$id"'$' \
	    "$(cast "$@"): a Go sfn sees the answer"
	is "$(sed -E 's/.*yomo-source-id=/=/' "$out/seen.out" | sort -u | wc -l)" \
	    1 "$(cast "$@"): with the metadata of the message"
	like "$(cat "$out/json.out")" '"data":"HELLO"' \
	    "$(cast "$@"): our sfn sees it"
	stop source
	stop upper
	stop zipper
}
combinations answers

# Who has sent nothing to a Go zipper need not wait for it.
zipper_of go zipper
sfn_of ours sink -F lines -c 1
source_of go source -F lines <<<x
seen sink.out x
began=$EPOCHREALTIME
finish sink
ok 'our sink leaves a Go zipper at once' \
    test "$(((${EPOCHREALTIME/./} - ${began/./}) / 1000))" -lt 500
stop source
stop zipper

# What Go calls functions for language models: the tag comes by itself.
zipper_of ours zipper
sfn_of go llm -n weather -ai 'tells the weather' -t 0x33 -F show -c 1
yomo-source -z "$at" -t 0xe002 -T weather -F lines <<<'a call'
ended llm 0 'our zipper routes function calls to a Go function'
like "$(cat "$out/llm.out")" '^0xe002 6 "a call"' 'by its name'

# Versions of YoMo that are older than the string.
stop zipper
zipper_of ours zipper --compat-versions
run old gopeer raw -z "$at" -version 1.17.0 -until a900
like "$(cat "$out/old.out")" 'received a900' \
    'with --compat-versions our zipper takes clients of v1.17.0'
