#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# What a program says of its options is the same everywhere: in --help, in its
# manual page, in the completions; and it fits a screen.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=scripts/completion/yomo.bash
. "$top/scripts/completion/yomo.bash"

programs=(yomo-source yomo-sfn yomo-zipper)
plan $((6 * ${#programs[@]}))

# In all of these: a name a line, sorted, with dashes.

of_help() { # PROGRAM
	"$1" --help |
	    grep -oE '^ {2}(-., | {4})--[a-z0-9-]+' |
	    grep -oE -e '--?[A-Za-z0-9][a-z0-9-]*' | sort
}

of_man() { # PROGRAM
	sed -n 's/^\.It Fl \(.*\)/\1/p' "$top/man/$1.1" |
	    grep -oE '(^|Fl )-?[A-Za-z0-9][a-z0-9-]*' |
	    sed 's/^Fl //; s/^/-/' | sort
}

of_bash() { # PROGRAM
	COMP_WORDS=("$1" -)
	COMP_CWORD=1
	COMPREPLY=()
	_yomo "$1" - "$1"
	printf '%s\n' "${COMPREPLY[@]}" | sort
}

of_zsh() { # PROGRAM
	zsh -f -c '
		words=($1)
		_call_program() { shift; "$@" }
		_arguments() { print -rl -- "$@" }
		. $2' zsh "$1" "$top/scripts/completion/_yomo" |
	    sed -n 's/^\*\(--\{0,1\}[A-Za-z0-9][a-z0-9-]*\)[=+]\{0,1\}\[.*/\1/p' |
	    sort
}

for p in "${programs[@]}"; do
	if [ ! -x "$BIN/$p" ]; then
		skip 6 "there is no $p"
		continue
	fi
	want=$(of_help "$p")
	like "$want" '--version' "$p: --help lists options"
	is "$(of_man "$p")" "$want" "$p: the manual page has the options of --help"
	is "$(of_bash "$p")" "$want" "$p: so has the completion for bash"
	if command -v zsh >/dev/null; then
		is "$(of_zsh "$p")" "$want" "$p: so has the completion for zsh"
	else
		skip 1 'there is no zsh'
	fi
	"$p" --help >/dev/full 2>"$out/full.err"
	is $? 74 "$p: --help that cannot be written is no success"
	is "$("$p" --help | awk 'length > 79')" '' "$p: --help fits 80 columns"
done
