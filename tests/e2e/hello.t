#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# A message goes from a source through a zipper to who observes its tag.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 20

zipper
start sink yomo-sfn -R 3 -z "$at" -F lines -c 2
start other yomo-sfn -R 3 -z "$at" -t 0x40,0x50-0x5f -F lines -c 1
wait_for sink
wait_for other
run source yomo-source -z "$at" -F lines <<<'hello'
is "$(status source)" 0 'a source exits 0 when the zipper has taken all'
run source yomo-source -z "$at" -t 0x55 -F lines <<<'in a range'
is "$(status source)" 0 'so on another tag'
run source yomo-source -z "$at" -t 0x99 -F lines <<<'for nobody'
is "$(status source)" 0 'a tag that nobody observes is no error'
run source yomo-source -z "$at" -F lines <<<'again'
ended sink 0 'a sink exits 0 after -c messages'
is "$(cat "$out/sink.out")" $'hello\nagain' 'a sink gets its tag, in order'
ended other 0 'another sink exits 0'
is "$(cat "$out/other.out")" 'in a range' 'a sink gets all tags of its list'

# Two functions in a row, and two sinks that see the same.
start first yomo-sfn -R 3 -z "$at" -t 1 -o 2 -F lines -- sed -u 's/$/ one/'
start second yomo-sfn -R 3 -z "$at" -t 2 -o 3 -F lines -- sed -u 's/$/ two/'
start sink1 yomo-sfn -R 3 -z "$at" -t 3 -F lines -c 3
start sink2 yomo-sfn -R 3 -z "$at" -t 3 -F json -c 3
for name in first second sink1 sink2; do
	wait_for "$name"
done
run source yomo-source -z "$at" -t 1 -F lines < <(printf 'a\nb\nc\n')
ended sink1 0 'a chain of functions delivers'
ended sink2 0 'to every observer'
is "$(cat "$out/sink1.out")" $'a one two\nb one two\nc one two' \
    'each function has done its work'
like "$(head -n 1 "$out/sink2.out")" '"tag":3.*"yomo-source-id":"[A-Za-z0-9_-]{21}"' \
    'answers carry the id of the source'
like "$(head -n 1 "$out/sink2.out")" '"yomo-tid":"[A-Za-z0-9_-]{21}"' \
    'and the id of a message'

# What was lost on the way here is no message, and not hidden either.
start sink yomo-sfn -R 3 -z "$at" -F lines -c 2
wait_for sink
run source yomo-source -z "$at" -F json <<'END'
{"data":"before"}
{"gap":{"messages":3,"bytes":120},"tag":51}
{"data":"after"}
END
is "$(status source)" 0 'a source leaves out gaps'
like "$(cat "$out/source.err")" ': 3 messages were lost on their way here' \
    'and says so'
finish sink
is "$(cat "$out/sink.out")" $'before\nafter' 'all else goes on'

stop first
is "$(status first)" 0 'a function drains on SIGTERM'
stop second
is "$(status second)" 0 'so does the other'
stop zipper
is "$(status zipper)" 0 'a zipper drains on SIGTERM'

# The same graph without a network.
printf 'a\nb\n' | yomo-source -t 1 -F lines |
    yomo-sfn -t 1 -o 2 -F lines -- sed -u 's/$/ one/' |
    yomo-sfn -t 2 -F lines >"$out/pipe.out"
is "${PIPESTATUS[*]}" '0 0 0 0' 'on the pipe link all exit 0'
is "$(cat "$out/pipe.out")" $'a one\nb one' 'and the graph is the same'
