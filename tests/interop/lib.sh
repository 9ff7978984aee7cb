# SPDX-License-Identifier: ISC
# shellcheck shell=bash disable=SC2034
#
# Helpers for tests with programs on YoMo's Go SDK.  Each role has one function
# whose first argument says who plays it: go, or ours.

# shellcheck source=tests/e2e/lib.sh
. "${BASH_SOURCE[0]%/*}/../e2e/lib.sh"
export PATH=$top/build/interop:$PATH YOMO_LOG_LEVEL=error
[ -x "$top/build/interop/gopeer" ] ||
    skip_all 'tests/interop/run builds what this needs'

# zipper_of KIND NAME [OPTIONS]: start it at $listen (a free port), wait until
# it is ready; its address is in $at.
zipper_of() {
	local kind=$1 name=$2

	shift 2
	case $kind in
	go) start "$name" gopeer zipper -R 3 -l "${listen:-127.0.0.1:0}" "$@" ;;
	ours) start "$name" yomo-zipper -R 3 -l "${listen:-127.0.0.1:0}" "$@" ;;
	esac
	wait_for "$name"
	at=$(address "$name")
}

# sfn_of KIND NAME [OPTIONS]: a function or sink at $at.
sfn_of() {
	local kind=$1 name=$2

	shift 2
	case $kind in
	go) start "$name" gopeer sfn -R 3 -z "$at" "$@" ;;
	ours) start "$name" yomo-sfn -R 3 -z "$at" --insecure "$@" ;;
	esac
	wait_for "$name"
}

# source_of KIND NAME [OPTIONS]: its input is the caller's stdin.  Go throws
# away what waits when it closes, so it stays until the test is done.
source_of() {
	local kind=$1 name=$2

	shift 2
	case $kind in
	go) start "$name" gopeer source -R 3 -hold -z "$at" "$@" <&0 ;;
	ours) start "$name" yomo-source -R 3 -z "$at" --insecure "$@" <&0 ;;
	esac
	wait_for "$name"
}

# whose KIND: as it stands in the name of a test.
whose() {
	case $1 in
	go) echo Go ;;
	ours) echo our ;;
	esac
}

# cast SOURCE ZIPPER SFN: who plays what, in words.
cast() {
	echo "$(whose "$1") source, $(whose "$2") zipper, $(whose "$3") sfn"
}

# messages N MIN MAX: so many in len32, numbered, of changing length.
messages() {
	perl -e '($n, $min, $max) = @ARGV; $x = 1;
	for $i (1 .. $n) {
		$x = ($x * 1103515245 + 12345) % 2147483648;
		$len = $min + $x % ($max - $min + 1);
		$b = substr(sprintf("%-*d", $len, $i), 0, $len);
		print pack("N", $len), $b;
	}' "$@"
}

# combinations COMMAND: COMMAND SOURCE ZIPPER SFN for each way to fill the
# roles.  The one that is all Go tells a broken test from a bug.
combinations() {
	local source zipper sfn

	for source in go ours; do
		for zipper in go ours; do
			for sfn in go ours; do
				"$1" "$source" "$zipper" "$sfn"
			done
		done
	done
}
