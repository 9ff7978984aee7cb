#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# No loss is silent: what was sent was delivered, told as lost, or observed by
# nobody, to the last message, whatever the network does.  If a connection is
# lost, what is in doubt is the difference at most.
#
# ACCOUNTING_SEEDS=100 tries so many networks.

: "${ACCOUNTING_SEEDS:=4}" "${E2E_TIMEOUT:=$((60 + ACCOUNTING_SEEDS * 20))}"
# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"

plan $((ACCOUNTING_SEEDS * 2 + 4))

early=300 late=4000 size=1000

# messages N: lines of $size bytes.
messages() {
	head -c $((size * $1 * 3 / 4)) /dev/zero | base64 -w "$size"
}

# count WHAT FILE: messages in a sink's JSON, or those of its gaps.
count() {
	local what='if .gap then 0 else 1 end'

	[ "$1" = gaps ] && what='.gap.messages // 0'
	jq -n "[inputs | $what] | add // 0" "$out/$2" 2>/dev/null || echo 0
}

# reported WORD: the zipper's count of messages, routed or unobserved.
reported() {
	local n

	n=$(grep -c ' messages: ' "$out/zipper.err")
	kill -USR1 "${pid_of[zipper]}"
	seen zipper.err ' messages: ' $((n + 1)) >/dev/null
	sed -n "\$s/.*[ ]\([0-9]*\) $1.*/\1/p" "$out/seen.log"
}

# routed N: wait until the zipper has routed so many.
routed() {
	local tries

	doing="waiting for $1 routed messages"
	for ((tries = 0; tries < 400; tries++)); do
		[ "$(reported messages:)" -ge "$1" ] && return
		moment
	done
	exit 1
}

# accounted N: wait until the sink has told of so many.
accounted() {
	local tries

	for ((tries = 0; tries < 200; tries++)); do
		[ $(($(count messages reader.out) + $(count gaps reader.out))) \
		    -ge "$1" ] && return
		moment 0.1
	done
}

# The first messages find nobody, then comes a sink whose output nobody reads
# until all is sent.
account() { # SEED
	local loss=$(($1 % 21)) alone delivered gaps

	at=127.0.0.1:0
	zipper --queue 64K
	relay "$at" -s "$1" -c "loss $loss"
	hold lines
	start source yomo-source -v -R 3 -z "$via" --insecure -F lines \
	    <"$out/lines"
	wait_for source
	messages "$early" >"$out/lines"
	routed "$early"
	hold unread
	start sink sh -c "exec yomo-sfn -R 3 -z $via --insecure -F json \
	    --policy drop-old >$out/unread"
	wait_for sink
	messages "$late" >"$out/lines"
	close lines
	finish source
	start reader cat "$out/unread"
	alone=$(sed -n 's/.* \([0-9]*\) unobserved.*/\1/p' "$out/source.err")
	accounted $((early + late - alone))
	stop sink
	close unread
	finish reader
	delivered=$(count messages reader.out) gaps=$(count gaps reader.out)
	is $((delivered + gaps + alone)) $((early + late)) \
	    "seed $1, $loss % of datagrams lost: $delivered delivered, $gaps told as lost, $alone unobserved"
	is "$alone" "$early" "seed $1: the source is told what nobody saw"
	stop relay
	stop zipper
}

for ((seed = 1; seed <= ACCOUNTING_SEEDS; seed++)); do
	account $((ACCOUNTING_SEEDS > 20 ? seed : seed * 5))
done

# --- a connection that is lost ---

at=127.0.0.1:0
zipper
relay "$at" -c 'rate 4000000'
hold lines
start sink yomo-sfn -R 3 -z "$at" -F lines
wait_for sink
start source yomo-source -v -R 3 -z "$via" --insecure -F lines <"$out/lines"
wait_for source
messages 8000 >"$out/all"
start writer dd if="$out/all" of="$out/lines" bs=64K
routed 500
tell up cut
seen source.err 'trying again'
tell up heal
finish writer
close lines
finish source
stop sink
delivered=$(wc -l <"$out/sink.out")
doubt=$(sed -n 's/.* \([0-9]*\) messages in doubt.*/\1/p' "$out/source.err" |
    head -n 1)
is "$(status source)" 75 'a connection that was lost shows in the status'
ok 'nothing comes twice' test "$delivered" -le 8000
ok "what does not come is in doubt: $delivered delivered, $doubt in doubt" \
    test $((delivered + doubt)) -ge 8000
ok 'no more is in doubt than the windows hold' \
    test $((doubt * size)) -le $((4 << 20))
stop zipper
