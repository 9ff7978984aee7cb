#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# The relay that other tests lean on does to datagrams what it is told.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 12

# An echo at the far end; at the near end, datagrams "1".."N" of so many bytes,
# and what comes back of them within a moment of silence.
cat >"$out/echo" <<'PERL'
use IO::Socket::INET;
$s = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1:0') or die;
printf STDERR "echo: listening on 127.0.0.1:%d\n", $s->sockport;
open($ready, '>&=', 3); syswrite($ready, "\n"); close($ready);
while (defined($a = $s->recv($b, 65536))) { $s->send($b, 0, $a); }
PERL
cat >"$out/ask" <<'PERL'
use IO::Socket::INET; use IO::Select;
($at, $n, $size, $patience) = @ARGV;
$s = IO::Socket::INET->new(Proto => 'udp', PeerAddr => $at) or die;
$s->send(sprintf("%-*d", $size, $_)) for 1..$n;
$w = IO::Select->new($s);
while ($w->can_read($patience)) { $s->recv($b, 65536); print $b + 0, "\n"; }
PERL
ask() { # N SIZE [PATIENCE]
	perl "$out/ask" "$via" "$1" "$2" "${3:-0.2}" | tr '\n' ' '
}
ten='1 2 3 4 5 6 7 8 9 10 '

start echo perl "$out/echo"
wait_for echo
relay "$(address echo)" -s 7
is "$(ask 10 100)" "$ten" 'passes datagrams on, both ways'
is "$(ask 1 60000)" '1 ' 'passes a datagram of 60000 bytes'

tell mtu 1300
is "$(ask 1 1300)$(ask 1 1301)" '1 ' 'drops what is longer than the MTU'
tell mtu 0
tell up cut
is "$(ask 3 100)" '' 'passes nothing when cut'
tell heal
is "$(ask 10 100)" "$ten" 'passes all when healed'

tell delay 100
tell jitter 30
is "$(ask 10 100 0.15)" '' 'holds back'
is "$(ask 10 100 1)" "$ten" 'jitter keeps the order'
tell delay 0
tell jitter 0

tell dup 100
is "$(ask 2 100 | wc -w)" 8 'sends twice, each way'
tell dup 0
tell reorder 30
reordered=$(ask 10 100)
ok 'reorders' test "$reordered" != "$ten"
tell reorder 0

tell down loss 50
lost=$(ask 100 100)
ok 'loses some' test "$(wc -w <<<"$lost")" -lt 70
stop relay
relay "$(address echo)" -s 7 -c 'down loss 50'
again=$(ask 100 100)
ok 'loses others from another place in the sequence' test "$again" != "$lost"
stop relay
relay "$(address echo)" -s 7 -c 'down loss 50'
is "$(ask 100 100)" "$again" 'loses the same again for the same seed'
