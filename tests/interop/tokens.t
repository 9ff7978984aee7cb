#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Credentials are shown and checked alike, and ours never say a token.

# shellcheck source=tests/interop/lib.sh
. "${0%/*}/lib.sh"
plan 24

zipper_of ours zipper --token token:s3cret
sfn_of go sfn -d token:s3cret -c 2
pass 'our zipper takes a Go sfn with the token'
gopeer source -z "$at" -d token:s3cret <<<one
yomo-source -z "$at" -d token:s3cret -F lines <<<two
ended sfn 0 'and sources'
is "$(cat "$out/sfn.out")" $'one\ntwo' 'of both kinds'
run wrong gopeer source -z "$at" -d token:wr0ng <<<x
is "$(status wrong)" 1 'our zipper refuses a Go source with another'
like "$(cat "$out/wrong.err")" 'invalid token' 'in the words of Go'
run wrong2 gopeer sfn -z "$at" -d token:wr0ng
like "$(cat "$out/wrong2.err")" 'invalid token' 'and a Go sfn'
run none gopeer source -z "$at" <<<x
like "$(cat "$out/none.err")" 'invalid token' 'and one without any'
run method gopeer source -z "$at" -d other:s3cret <<<x
like "$(cat "$out/method.err")" 'authentication not found: other' \
    'and a method that it does not know'
run bare gopeer raw -z "$at" -d s3cret -until a900
like "$(cat "$out/bare.out")" 'received a900' \
    'a credential without a name is a token'
run spaces gopeer raw -z "$at" -d 'token: s3cret' -wait 3s
unlike "$(cat "$out/spaces.out")" 'received a900' 'nothing is trimmed'
unlike "$(cat "$out/zipper.err")" 's3cret|wr0ng' 'our zipper logs no token'
unlike "$(cat "$out"/{wrong,wrong2,none}.err)" 's3cret|wr0ng' \
    'and its refusals tell none'
stop zipper

zipper_of go zipper -token s3cret
sfn_of ours sfn -d token:s3cret -F lines -c 2
pass 'a Go zipper takes our sfn with the token'
run source yomo-source -z "$at" --insecure -d token:s3cret -F lines <<<one
is "$(status source)" 0 'and our source'
echo token:s3cret >"$out/credential"
chmod 600 "$out/credential"
run source yomo-source -z "$at" --insecure -d "@$out/credential" -F lines <<<two
is "$(status source)" 0 'and one with the token in a file'
ended sfn 0 'and their messages pass'
is "$(cat "$out/sfn.out")" $'one\ntwo' 'in order'
run wrong yomo-source -z "$at" --insecure -d token:wr0ng <<<x
is "$(status wrong)" 77 'our source exits 77 when a Go zipper refuses it'
like "$(cat "$out/wrong.err")" 'invalid token: \*\*\*' 'and says why'
run wrong2 yomo-sfn -z "$at" --insecure -d token:wr0ng
is "$(status wrong2)" 77 'so does our sfn'
run method yomo-sfn -z "$at" --insecure -d other:x
is "$(status method)" 77 'so with a method that Go does not know'
like "$(cat "$out/method.err")" 'authentication not found: other' 'and says it'
unlike "$(cat "$out"/{wrong,wrong2}.err)" 's3cret' 'nobody tells the token'
unlike "$(cat "$out"/{wrong,wrong2}.err)" 'wr0ng' \
    'and ours do not repeat what Go says of it'
