#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Asks for the pass phrase, if the kernel has not asked already. Sourced or run by dracut before udev
# finds the disks.

tresor_ask() {
	# A pipe, so that the pass phrase is in no variable, no file and no command line.
	if command -v plymouth >/dev/null && plymouth --ping 2>/dev/null; then
		plymouth ask-for-password --prompt="Tresor pass phrase" |
			tresorctl unlock "$@" --pass-phrase-file -
	elif command -v systemd-ask-password >/dev/null; then
		systemd-ask-password --timeout=0 "Tresor pass phrase:" |
			tresorctl unlock "$@" --pass-phrase-file -
	else
		tresorctl unlock "$@" </dev/console >/dev/console 2>&1
	fi
}

tresor_unlock() {
	[ -c /dev/tresor ] || return 0
	command -v tresorctl >/dev/null || return 0

	# Unlocked by the kernel's own prompt, or no slot to unlock with.
	status=$(tresorctl status --json)
	case "$status" in
	*'"phase":"unlocked"'*) return 0 ;;
	esac
	if [ -r /etc/tresor/slots ]; then
		set -- --slot-file /etc/tresor/slots
	else
		set --
		case "$status" in
		*'"slot":null'*) return 0 ;;
		esac
	fi

	for _ in 1 2 3; do
		tresor_ask "$@"
		case $? in
		0) return 0 ;;
		2) ;;
		*) break ;;
		esac
	done
	echo "tresor: not unlocked; encrypted volumes wait until: tresorctl unlock" >&2
}

tresor_unlock
