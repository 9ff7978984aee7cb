#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# A client that shares no code with ours speaks yomo-x1 to a zipper, on a unix
# socket.  It is written from yomo-protocol(7), and does only what stands there.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
plan 9

at=unix:$STATE_DIRECTORY/socket
start zipper yomo-zipper -R 3 -l "$at"
wait_for zipper

cat >"$out/stranger" <<'END'
use strict;
use IO::Socket::UNIX;

my $socket = IO::Socket::UNIX->new($ARGV[0]) or die "$ARGV[0]: $!";
my $in = '';
my %lanes;     # bytes of each that are not a frame yet
my $told = ''; # what was heard, for people

$SIG{ALRM} = sub { print $told; die "nothing more came\n" };
alarm 15;

# -- ENCODING --

sub packet {
	my ($id, $value) = @_;
	my $n = length $value;
	my $len = pack 'C', $n & 0x7f;

	for ($n >>= 7; $n > 0; $n >>= 7) {
		$len = pack('C', 0x80 | $n & 0x7f) . $len;
	}
	$len = "\x80$len" if ord($len) & 0x40; # it would look negative
	return chr($id) . $len . $value;
}

# Take a packet off the front of a string: its first byte and its value.
sub take {
	my ($from) = @_;
	my ($at, $len) = (1, 0);

	for (;; $at++) {
		return if $at >= length $$from;
		my $byte = ord substr $$from, $at, 1;
		$len = $len << 7 | $byte & 0x7f;
		last if $byte < 0x80;
	}
	return if length $$from < $at + 1 + $len;
	my $packet = substr $$from, 0, $at + 1 + $len, '';
	return ord $packet, substr $packet, $at + 1;
}

sub fields {
	my ($body) = @_;
	my %field;

	while (my ($id, $value) = take(\$body)) {
		$field{$id} = $value;
	}
	return %field;
}

sub number { # of any width
	my $n = 0;
	$n = $n << 8 | $_ for unpack 'C*', shift // '';
	return $n;
}

# -- what is said --

sub say_frame {
	my ($type, @fields) = @_;
	my $body = '';

	while (my ($id, $value) = splice @fields, 0, 2) {
		$body .= packet($id, $value);
	}
	my $frame = packet(0x80 | $type, $body);
	return $frame if defined wantarray;
	print $socket $frame;
	$socket->flush;
}

sub data {
	my ($tag, $text) = @_;
	my $frame = say_frame(0x3f, 1, $tag, 3, '', 2, $text);
	return $frame;
}

# -- what is heard --

my %names = (0x22, 'ObserveAck', 0x23, 'Interest', 0x24, 'Taken',
    0x26, 'Credit', 0x28, 'Reset', 0x29, 'Ack');

# Frames of a lane, which a Chunk continues.
sub hear_chunk {
	my (%field) = @_;
	my $lane = number($field{1});

	$lanes{$lane} .= $field{3} // '';
	while (my ($type, $body) = take(\$lanes{$lane})) {
		my %of = fields($body);
		my $tag = unpack 'H*', $of{1};
		$told .= "lane $lane: Lane $tag\n" if $type == 0xa0;
		$told .= "lane $lane: Data $tag $of{2}\n" if $type == 0xbf;
	}
	$told .= "lane $lane: end\n" if $field{2};
}

sub hear_frame {
	my ($type, $body) = @_;
	my %field = fields($body);

	return hear_chunk(%field) if $type == 0xa7;
	$told .= join(' ', $names{$type & 0x7f} // $type,
	    map { number($field{$_}) } sort keys %field) . "\n";
}

# Hear until there is a line like that, and give what it has in brackets.
sub await {
	my ($wanted) = @_;

	until ($told =~ /^$wanted$/m) {
		if (my @frame = take(\$in)) {
			hear_frame(@frame);
		} elsif (!sysread $socket, $in, 65536, length $in) {
			$told .= "end of socket\n";
			last;
		}
	}
	return $told =~ /^$wanted$/m ? $1 : undef;
}

# -- HANDSHAKE, OBSERVING, LANES --

say_frame(0x31, 1, 'stranger', 3, 'A' x 21 . '-0', 2, "\x5d",
    6, pack('V', 0x33), 4, '', 5, '', 7, 'yomo-x1', 9, '', 8, '');
await('Ack');
say_frame(0x21, 1, "\1", 2, pack('VV', 0x40, 0x40), 5, 'group', 6, "\1");
await('ObserveAck 1');

my $lane = say_frame(0x20, 1, "\x33");
$lane .= data("\x33", 'one') . data("\x33", 'x' x 100);
say_frame(0x27, 1, "\2", 3, substr($lane, 0, 10));
say_frame(0x27, 1, "\2", 3, substr($lane, 10), 2, "\1");
$lane = say_frame(0x20, 1, "\0\x99");
$lane .= data("\0\x99", 'for nobody');
say_frame(0x27, 1, "\6", 3, $lane, 2, "\1");
my $own = await('lane (\d+): Data 33 x{100}');
await('Reset 2 0');
await('Reset 6 0');

# Of the group one message at a time; the next when that is taken.
open my $source, '|-', "yomo-source -z unix:$ARGV[0] -t 0x40 -F lines";
print $source "first\nsecond\n";
$source->flush;
my $shared = await('lane (\d+): Data 40 first');
say_frame(0x23, 1, pack('VV', 0x40, 0x40)); # to hear something else
await('Interest .*');
say_frame(0x24, 1, chr $shared, 2, "\1", 3, "\0");
await("lane $shared: Data 40 second");
say_frame(0x24, 1, chr $shared, 2, "\2", 3, "\0");
close $source or die 'the source failed';

# -- The end of a connection --

say_frame(0x27, 1, "\0", 2, "\1");
for my $id ($own, $shared) {
	await("lane $id: end");
	say_frame(0x28, 1, chr $id, 2, "\0");
}
await('lane 0: end');
shutdown $socket, 1;
await('end of socket');
print $told;
END
run stranger perl "$out/stranger" "${at#unix:}"

# told REGEX: what it heard of that, in order.
told() {
	grep -E "$1" "$out/stranger.out" | tr '\n' ';'
}

is "$(head -n 2 "$out/stranger.out" | tr '\n' ';')" 'Ack;ObserveAck 1;' \
    'who greets is acknowledged, and what it asks is done'
like "$(told ' 33( |$)')" \
    '^(lane .: )Lane 33;lane .: Data 33 one;lane .: Data 33 x{100};$' \
    'messages of a tag come on a lane of it, in order'
is "$(told '^Taken 2 ')" 'Taken 2 2 0;' 'they were routed, and observed'
is "$(told '^Taken 6 ')" 'Taken 6 1 1;' 'others by nobody, which is told'
is "$(told '^Reset')" 'Reset 2 0;Reset 6 0;' \
    'each lane is over when all of it is routed'
like "$(told '(40( |$)|Interest)')" \
    'Lane 40;lane .: Data 40 first;Interest.*;lane .: Data 40 second;$' \
    'of a group comes one message, and the next when that is taken'
like "$(told '^(lane .: end|end)')" 'lane 0: end;end of socket;$' \
    'the end is answered when all is taken'
is "$(status stranger)$(cat "$out/stranger.err")" 0 'and that was all'
stop zipper
is "$(status zipper)" 0 'the zipper is none the worse'
