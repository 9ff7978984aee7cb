#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Who is trusted, who is not, and what is said about it.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
command -v openssl >/dev/null || skip_all 'no openssl command'
plan 24

# certificate NAME SUBJECT DAYS [ALTERNATIVE]: by the CA of this test.
certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -subj "/CN=$2" -keyout "$out/$1.key" -out "$out/$1.csr"
	openssl x509 -req -in "$out/$1.csr" -CA "$out/ca.pem" \
	    -CAkey "$out/ca.key" -days "$3" -out "$out/$1.pem" \
	    -extfile <(echo "subjectAltName=${4:-IP:127.0.0.1}")
}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -subj '/CN=test ca' -days 2 -keyout "$out/ca.key" -out "$out/ca.pem"
certificate good 'the zipper' 2
certificate other elsewhere 2 DNS:elsewhere.example
certificate client 'a client' 2 DNS:client.example
cp "$out/ca.pem" "$out/state/unused.pem"

# A client of another user, who trusts nobody's certificate.
stranger() {
	STATE_DIRECTORY=$out/nobody "$@"
}
mkdir -m 700 "$out/nobody"

try() { # NAME COMMAND...
	start "$1" "${@:2}" <<<x
	finish "$1"
	status "$1"
}

zipper
is "$(try own yomo-source -z "$at")" 0 'the own zipper: trusted on loopback'
port=${at##*:}
is "$(try own yomo-source -z "localhost:$port")" 0 'so by the name localhost'
is "$(stranger try alien yomo-source -z "$at")" 77 "another's: refused"
pin=$(grep -o 'sha256//[A-Za-z0-9+/]*=*' "$out/alien.err" | head -n 1)
ok 'the error says which pin to pass' test -n "$pin"
ok "it is the one that the zipper says" grep -qF "$pin" "$out/zipper.err"
is "$(stranger try pinned yomo-source -z "$at" --pin "$pin")" 0 \
    'with that pin: trusted'
is "$(try mispinned yomo-source -z "$at" --pin \
    sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=)" 77 \
    'with the pin of another key: refused'
is "$(stranger try insecure yomo-source -z "$at" --insecure -d token:x)" 0 \
    '--insecure: anything goes'
like "$(cat "$out/insecure.err")" 'insecure' 'with a warning for a credential'
before=$(cksum "$out/state/key.pem")
stop zipper
zipper
is "$(cksum "$out/state/key.pem")" "$before" 'the key is kept'
is "$(stat -c %a "$out/state/key.pem" "$out/state/cert.pem" | tr '\n' ' ')" \
    '600 644 ' 'and only its owner can read it'
is "$(stranger try pinned yomo-source -z "$at" --pin "$pin")" 0 \
    'so pins live on'
stop zipper
at=

zipper --cert "$out/good.pem" --key "$out/good.key"
is "$(stranger try ca yomo-source -z "$at" --ca "$out/ca.pem")" 0 \
    'a certificate of the CA: trusted'
is "$(stranger try noca yomo-source -z "$at")" 77 'of an unknown CA: refused'
stop zipper
zipper --cert "$out/other.pem" --key "$out/other.key"
is "$(stranger try name yomo-source -z "$at" --ca "$out/ca.pem")" 77 \
    'a certificate of another name: refused'
like "$(cat "$out/name.err")" '127\.0\.0\.1' 'it says which name was wanted'
stop zipper

run mismatched yomo-zipper -l 127.0.0.1:0 --cert "$out/good.pem" \
    --key "$out/other.key"
is "$(status mismatched)" 78 'a certificate of another key: no zipper'

# Over while it is used: the zipper refuses to start with it, so start first.
openssl req -new -key "$out/good.key" -subj /CN=old -out "$out/old.csr"
if openssl x509 -req -in "$out/old.csr" -CA "$out/ca.pem" \
    -CAkey "$out/ca.key" -not_before 20200101000000Z \
    -not_after 20200102000000Z -out "$out/old.pem" ||
    openssl x509 -req -in "$out/old.csr" -CA "$out/ca.pem" \
    -CAkey "$out/ca.key" -days -1 -out "$out/old.pem"; then
	run expired yomo-zipper -l 127.0.0.1:0 --cert "$out/old.pem" \
	    --key "$out/good.key"
	is "$(status expired)" 78 'an expired certificate: no zipper'
	like "$(cat "$out/expired.err")" 'ended|expired' 'and it says why'
else
	skip 2 'this openssl makes no expired certificates'
fi

zipper --client-ca "$out/ca.pem"
is "$(try stranger yomo-source -z "$at" --retry 0)" 77 \
    'a client without a certificate: refused'
is "$(try known yomo-source -z "$at" --cert "$out/client.pem" \
    --key "$out/client.key")" 0 'a client with one of the CA: let in'
stop zipper

# A network that others can reach wants a decision.
run open yomo-zipper -l 0.0.0.0:0
is "$(status open)" 78 'open to everybody: only when asked to be'
like "$(cat "$out/open.err")" '--open' 'and it says how'
start open yomo-zipper -R 3 -l 0.0.0.0:0 --open
ok 'then it is' ready open
