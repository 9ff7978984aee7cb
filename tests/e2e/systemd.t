#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# The systemd units are valid and hardened, and the shell in them does what it
# says.  No manager is started: its set-up would not stop at our own folder.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"

units=(yomo-zipper.service yomo-source@.service yomo-sfn@.service)
plan $((2 * ${#units[@]} + 7))

# As make install does it, for the programs that are to be tested.
mkdir "$out/units"
for u in "${units[@]}"; do
	sed "s|/usr/local/bin/|$BIN/|" "$top/scripts/systemd/$u" \
	    >"$out/units/$u"
done

# exposure UNIT: how open to the world it is, in tenths; 0 is closed.
exposure() {
	systemd-analyze security --offline=true --no-pager "$out/units/$1" |
	    sed -n 's/.*Overall exposure level.*: \([0-9]*\)\.\([0-9]\).*/\1\2/p'
}

for u in "${units[@]}"; do
	if ! systemd-analyze security --help 2>/dev/null |
	    grep -q -- --offline; then
		skip 2 'there is no systemd-analyze with --offline'
		continue
	fi
	is "$(systemd-analyze verify --man=no "$out/units/$u" 2>&1)" '' \
	    "$u: nothing is wrong with it"
	level=$(exposure "$u")
	ok "$u: its exposure is under 2.0 (${level:-?} tenths)" \
	    test "${level:-99}" -lt 20
done

# shell_of UNIT SETTING: the script that it gives to a shell, as the shell sees
# it.
shell_of() {
	sed -e ':a' -e '/\\$/{N;s/\\\n *//;ba' -e '}' "$out/units/$1" |
	    sed -n "s/^$2=[^ ]* -c '\(.*\)'.*/\1/p" |
	    sed 's/\$\$/$/g; s/%i/unit/g'
}

post=$(shell_of yomo-zipper.service ExecStartPost)
mkdir -p "$out/lib/zipper"
publish() { sh -c "${post//\/var\/lib\/yomo/$out/lib}" 2>&1; }

publish >/dev/null
ok 'a zipper without a certificate of its own publishes none' \
    test ! -e "$out/lib/cert.pem"
echo certificate >"$out/lib/zipper/cert.pem"
chmod 600 "$out/lib/zipper/cert.pem"
publish >/dev/null
is "$(stat -c %a "$out/lib/cert.pem") $(cat "$out/lib/cert.pem")" \
    '644 certificate' 'a certificate is published for everybody to read'
echo secret >"$out/secret"
ln -sf "$out/secret" "$out/lib/zipper/cert.pem"
publish >/dev/null
is "$(cat "$out/lib/cert.pem")" certificate \
    'a link in its place publishes nothing else'

# A stand-in shows what the unit would start, and with what.
mkdir "$out/bin"
cat >"$out/bin/yomo-source" <<'SH'
#!/bin/sh
echo "arguments: $*"
echo "credential: ${YOMO_CREDENTIAL-none}"
cat
SH
chmod +x "$out/bin/yomo-source"
source=$(shell_of yomo-source@.service ExecStart)
got=$(YOMO_CREDENTIAL=token:x \
    INPUT="printf 'a b\n' | tr a c; echo \"\${YOMO_CREDENTIAL-none}\"" \
    bash -c "${source//$BIN/$out/bin}" yomo-source -t 0x33 'two words')
is "$(sed -n 1p <<<"$got")" 'arguments: -t 0x33 two words' \
    'a source gets its arguments as they are'
is "$(sed -n 2p <<<"$got")" 'credential: token:x' \
    'and its credential'
is "$(sed -n '3,$p' <<<"$got")" $'c b\nnone' \
    'INPUT is a shell command, which does not see the credential'
like "$(env -u INPUT bash -c "$source" yomo-source 2>&1)" \
    'INPUT: is not set in /etc/yomo/unit.env' \
    'a source without INPUT says so'
