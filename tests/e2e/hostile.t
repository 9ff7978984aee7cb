#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Clients that no client should be like do no harm, and others do not notice.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 28

sock=$out/sock
zipper -l "unix:$sock"

# works NAME: a message still goes through.
works() {
	start sink yomo-sfn -R 3 -z "$at" -F lines -c 1
	wait_for sink
	yomo-source -z "$at" -F lines <<<"$1"
	finish sink
	is "$(cat "$out/sink.out")" "$1" "$1: the zipper works on"
}

# Each is told a second before it is closed why, so all of them at once.
n=0
client() { # OPTIONS...
	n=$((n + 1))
	start "client$n" peer "$@" "$at"
}
# came_to REGEX NAME: what happened to the next of them, in one line.
came_to() {
	n=$((n + 1))
	finish "client$n"
	like "$(tr '\n' ' ' <"$out/client$n.out")" "$1" "$2"
}
client -a yomo-v2
client -u a900
client -V 2030-01-01
client -H -x a900
client -H -x b10e0200070a323032342d30312d3033
client -H -x b10f02014f070a323032342d30312d3033 -w 3
client -x c000
client -x b100
client -x bf020105
client -k 0x5f -x bf0a010300f001030002017800
client -H -x bf8fffffff7f
n=0
came_to '^closed: transport 0x178' \
    'wrong ALPN: refused with no_application_protocol'
came_to '^connected received a900' 'the right one: let in'
came_to 'received b9.*closed: application 0x13' \
    'another version: refused, closed'
came_to 'received b9.*closed' 'no handshake first: refused'
came_to 'received b9.*closed' 'an empty client type: refused'
came_to 'received (b9|a9)' 'an unknown client type: an answer'
came_to 'closed: application 0x13 unexpected' 'an unknown frame: closed'
came_to 'closed: application 0x13 unexpected' 'a second handshake: closed'
came_to 'closed: application 0x13' 'a malformed frame: closed'
came_to 'closed: application 0x13 .*reserved' 'a reserved tag: closed'
came_to 'closed|received b9' 'a frame of 2 GiB before the handshake: refused'
works 'after refusals'

# One that never opens a stream, while others come and go.
start silent peer -R 3 -S -w 30 "$at"
wait_for silent
works 'beside a client that opens no stream'
start cut peer -R 3 -H -x b1 -w 30 "$at"
works 'beside a client that stops in its handshake'
finish cut
like "$(cat "$out/cut.out")" 'closed' 'which is sent away in time'
finish silent
like "$(cat "$out/silent.out")" 'closed' 'and so is the first'

# One that observes, and never reads.
start deaf peer -N -R 3 -t 0x40 -w 0 "$at"
wait_for deaf
start flood yomo-source -z "$at" -t 0x40 -b 65536 </dev/zero
works 'beside an observer that never reads'
resident=$(awk '$1 == "VmRSS:" { print $2 }' "/proc/${pid_of[zipper]}/status")
ok 'which costs it no more than a queue' test "$resident" -lt 65536
stop deaf
stop flood KILL

# Datagrams of noise, and noise that looks like QUIC.
perl -e 'use IO::Socket::INET; srand 1;
    $s = IO::Socket::INET->new(Proto => "udp", PeerAddr => shift);
    for $i (0 .. 20000) {
	$b = join "", map { chr int rand 256 } 1 .. int rand 60;
	$b .= "\0" x (1200 - length $b) if $i % 4 == 0;
	substr($b, 0, 1) = chr(0xc0 | rand 64) if $i % 2 && length $b;
	substr($b, 1, 4) = "\0\0\0\1" if $i % 3 == 0 && length $b > 8;
	$s->send($b);
    }' "$at"
works 'after garbage datagrams'

# Handshakes on the unix socket: every one that is cut short, then every one
# with a byte changed.  Each is answered or closed, at once.
cat >"$out/mutate" <<'PERL'
use IO::Socket::UNIX; use IO::Select;
($path, $mode) = @ARGV;
$good = pack "H*", "b13b0106" . unpack("H*", "my-sfn") .
    "0304" . unpack("H*", "id-0") . "02015d" . "060833000000" . "34000000" .
    "04000500" . "070a" . unpack("H*", "2024-01-03") . "0900" . "0800";
substr($good, 1, 1) = chr(length($good) - 2);
sub answer {
	my ($bytes) = @_;
	my $s = IO::Socket::UNIX->new(Peer => $path) or die "connect: $!\n";
	my ($all, $b) = ("");
	local $SIG{PIPE} = "IGNORE";
	syswrite $s, $bytes if length $bytes;
	shutdown $s, 1;
	while (1) {
		IO::Select->new($s)->can_read(10) or die "no end: " .
		    unpack("H*", $bytes) . "\n";
		my $n = sysread $s, $b, 4096;
		last unless $n;
		$all .= $b;
	}
	return $all;
}
if ($mode eq "good") {
	print unpack("H*", answer($good)), "\n";
} elsif ($mode eq "cut") {
	for $n (0 .. length($good) - 1) {
		$all{unpack "H2", answer(substr $good, 0, $n)}++;
	}
	print join(" ", map { "$_:$all{$_}" } sort keys %all), "\n";
} else {
	for $i (0 .. length($good) - 1) {
		for $v (1 .. 255) {
			$bad = $good;
			substr($bad, $i, 1) ^= chr $v;
			$kind = unpack "H2", answer($bad);
			$kind =~ /^(|a9|ae|b9)$/ or die "answer $kind\n";
			$n++;
		}
	}
	print "$n\n";
}
PERL
is "$(perl "$out/mutate" "$sock" good)" a900 'a whole handshake: let in'
cut=$(perl "$out/mutate" "$sock" cut 2>&1)
unlike "$cut" 'a9|no end' 'a handshake cut anywhere: never let in'
like "$(perl "$out/mutate" "$sock" mutate 2>&1)" '^[0-9]+$' \
    'a handshake with any byte changed: answered or closed'
works 'after broken handshakes'

# More than it is willing to hold.
stop zipper
is "$(status zipper)" 0 'and ends as it should'
unlike "$(cat "$out/zipper.err")" 'AddressSanitizer|runtime error|assert' \
    'with nothing broken'
at=
zipper --max-connections 3
start three peer -R 3 -n 3 "$at"
wait_for three
like "$(cat "$out/three.out")" '"connections":3,' 'as many as may connect do'
client -w 3
n=$((n - 1))
came_to 'closed: transport 0x2' 'one connection too many: refused'
stop three
works 'when there is room again'
