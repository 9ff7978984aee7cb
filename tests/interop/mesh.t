#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# A Go zipper passes messages on to ours, as its mesh block says.

# shellcheck source=tests/interop/lib.sh
. "${0%/*}/lib.sh"
plan 10

zipper_of ours ours --token token:mesh
ours=$at
zipper_of go first -mesh "ours=$ours,token:mesh"
go=$at

at=$ours
sfn_of ours sink -d token:mesh -F json -c 3
sfn_of go gosink -d token:mesh -F show -c 3
at=$go
sfn_of go local -F lines -c 3

# The link is made in the background: try until something comes.
until grep -q . "$out/sink.out"; do
	echo knock | gopeer source -z "$go" -t 0x33 -linger 100ms
done
ok 'a Go zipper comes to ours as an upstream' grep -q knock "$out/sink.out"
run source yomo-source -z "$go" --insecure -T nobody -F lines <<<'not for these'
source_of go gosource -F lines <<<$'from Go\nfrom Go, too'
ended sink 0 'what a Go source sends to it reaches our sfn at ours'
ended gosink 0 'and a Go sfn at ours'
like "$(tail -n 1 "$out/sink.out")" '"yomo-source-id":".{21}".*"from Go' \
    'with its metadata'
unlike "$(cat "$out/sink.out")" 'not for these' 'a target holds there, too'
finish local
stop gosource

# What comes in from a zipper is for local observers, and goes no further.
zipper_of go second -mesh "ours=$ours,token:mesh"
at=$ours
sfn_of ours sink -d token:mesh -t 0x70 -F lines
at=$go
sfn_of go back -t 0x70 -F lines
run source yomo-source -z "$ours" -d token:mesh -t 0x70 -F lines <<<'stays'
seen sink.out stays
is "$(cat "$out/back.out")" '' 'ours sends nothing up the link'

# Ours restarts, and is found again.
stop ours KILL
listen=$ours zipper_of ours ours2 --token token:mesh
at=$ours
sfn_of ours late -d token:mesh -t 0x71 -F lines
until grep -q . "$out/late.out"; do
	echo knock | gopeer source -z "$go" -t 0x71 -linger 100ms
done
pass 'a Go zipper finds ours again when it was killed'
stop ours2
listen=$ours zipper_of ours ours3 --token token:mesh
at=$ours
sfn_of ours later -d token:mesh -t 0x72 -F lines
until grep -q . "$out/later.out"; do
	echo knock | gopeer source -z "$go" -t 0x72 -linger 100ms
done
pass 'and when it was restarted'

# One with a wrong token is refused, and ours goes on.
zipper_of go wrong -mesh "ours=$ours,token:wrong"
ok 'a Go zipper with a wrong token is refused' seen ours3.err 'invalid token'
unlike "$(cat "$out"/ours*.err)" 'token:wrong|: wrong' 'and the token not told'
