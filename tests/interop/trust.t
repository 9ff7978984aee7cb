#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Certificates are checked, and shown, by both sides alike.

# shellcheck source=tests/interop/lib.sh
. "${0%/*}/lib.sh"
command -v openssl >/dev/null || skip_all 'no openssl command'
plan 13

# certificate NAME ALTERNATIVE [OPTIONS]: by the CA of this test.
certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -subj "/CN=$1" -keyout "$out/$1.key" -out "$out/$1.csr"
	openssl x509 -req -in "$out/$1.csr" -CA "$out/ca.pem" \
	    -CAkey "$out/ca.key" -out "$out/$1.pem" \
	    -extfile <(echo "subjectAltName=$2") "${@:3}"
}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -subj '/CN=test ca' -days 2 -keyout "$out/ca.key" -out "$out/ca.pem"
certificate good IP:127.0.0.1,DNS:localhost -days 2
certificate other DNS:elsewhere.example -days 2
certificate client DNS:client.example -days 2
certificate old IP:127.0.0.1,DNS:localhost -days -1

# go_zipper CERTIFICATE [VARIABLE=VALUE...]: one that shows it.
go_zipper() {
	start zipper env YOMO_TLS_CERT_FILE="$out/$1.pem" \
	    YOMO_TLS_KEY_FILE="$out/$1.key" "${@:2}" \
	    gopeer zipper -R 3 -l 127.0.0.1:0
	wait_for zipper
	at=$(address zipper)
}

# ours STATUS NAME [OPTIONS]: what our source says to the zipper.
ours() {
	run source yomo-source -z "$at" --ca "$out/ca.pem" "${@:3}" <<<x
	is "$(status source)" "$1" "$2"
}

go_zipper good
ours 0 'our source trusts a Go zipper with a certificate of the CA'
run source yomo-source -z "$at" <<<x
is "$(status source)" 77 'and not without the CA'
pin=$(grep -o 'sha256//[A-Za-z0-9+/]*=*' "$out/source.err" | head -n 1)
run source yomo-source -z "$at" --pin "$pin" <<<x
is "$(status source)" 0 'but with the pin that it then says'
stop zipper
go_zipper other
ours 77 'not one of another name'
like "$(cat "$out/source.err")" '127\.0\.0\.1' 'and says whom it wanted'
stop zipper
go_zipper old
ours 77 'nor one that has expired'
like "$(cat "$out/source.err")" 'expired|ended' 'and says so'
stop zipper
go_zipper good YOMO_TLS_VERIFY_PEER=true YOMO_TLS_CACERT_FILE="$out/ca.pem"
ours 77 'a Go zipper that asks for certificates refuses our source' --retry 0
ours 0 'and lets one in that shows one' --cert "$out/client.pem" \
    --key "$out/client.key"
stop zipper

# The other way.
zipper_of ours zipper
verifying() { # NAME COMMAND...
	run go env YOMO_TLS_VERIFY_PEER=true "${@:2}"
	is "$(status go)" 0 "$1"
}
port=${at##*:}
verifying 'a Go source trusts our own certificate when told to' \
    YOMO_TLS_CACERT_FILE="$out/state/cert.pem" \
    YOMO_TLS_CERT_FILE="$out/client.pem" YOMO_TLS_KEY_FILE="$out/client.key" \
    gopeer source -z "localhost:$port" </dev/null
stop zipper
zipper_of ours zipper --cert "$out/good.pem" --key "$out/good.key" \
    --client-ca "$out/ca.pem"
verifying 'and one of the CA, and shows its own to ours' \
    YOMO_TLS_CACERT_FILE="$out/ca.pem" \
    YOMO_TLS_CERT_FILE="$out/client.pem" YOMO_TLS_KEY_FILE="$out/client.key" \
    gopeer source -z "localhost:${at##*:}" </dev/null
run go gopeer source -z "$at" </dev/null
is "$(status go)" 1 'without one it is refused'
like "$(cat "$out/go.err")" 'certificate required' 'in the words of TLS'
