# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# Completion of the yomo programs for bash.  The options, and what each takes,
# are read from --help, so that they cannot differ from the program's.

# Lines "letter long argument", "-" for what there is not.
_yomo_options() {
	"$1" --help 2>/dev/null | awk '
		match($0, /^  (-., |    )--[a-z0-9-]+(\[=[^ ]+\]| [^ ]+)?(  |$)/) {
			n = split(substr($0, 1, RLENGTH), word, " ")
			i = word[1] ~ /^-[^-]/ ? 2 : 1
			sub(/\[.*/, "", word[i]) # the value may be left out
			letter = i == 2 ? substr(word[1], 1, 2) : "-"
			print letter, word[i], i == n ? "-" : word[i + 1]
		}'
}

# What may follow an option whose argument is called so.
_yomo_argument() {
	local arg=$1 cur=$2

	case $arg in
	FILE) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	ADDR) mapfile -t COMPREPLY < <(compgen -A hostname -- "$cur") ;;
	GROUP) mapfile -t COMPREPLY < <(compgen -g -- "$cur") ;;
	*'|'*) mapfile -t COMPREPLY < <(compgen -W "${arg//|/ }" -- "$cur") ;;
	*) COMPREPLY=() ;;
	esac
}

_yomo() {
	local program=$1 cur=$2 prev=$3 letter long arg word i
	local -A takes=()
	local -a names=()

	# bash makes three words of --name=value.
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	while read -r letter long arg; do
		takes[$letter]=$arg takes[$long]=$arg
		names+=("$long")
		[[ $letter == - ]] || names+=("$letter")
	done < <(_yomo_options "$program")
	unset 'takes[-]'

	# The first operand begins a command, if it is before the cursor.
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $word == -- ]]; then
			i=$((i + 1))
			break
		elif [[ $word != -* ]]; then
			break
		elif [[ ${takes[$word]:--} != - ]]; then
			[[ ${COMP_WORDS[i + 1]-} != = ]] || i=$((i + 1))
			i=$((i + 1))
		fi
	done
	if ((i < COMP_CWORD)); then
		if declare -F _command_offset >/dev/null; then
			_command_offset "$i"
		else
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		fi
	elif [[ ${takes[$prev]:--} != - && $i -gt $COMP_CWORD ]]; then
		_yomo_argument "${takes[$prev]}" "$cur"
	elif [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "${names[*]}" -- "$cur")
	elif [[ ${program##*/} == yomo-sfn ]]; then
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
	fi
}

complete -o filenames -F _yomo yomo-source yomo-sfn yomo-zipper
