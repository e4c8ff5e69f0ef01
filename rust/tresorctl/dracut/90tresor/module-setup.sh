#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# dracut module: asks for the pass phrase before the crypt module opens its volumes.
# Install the directory as /usr/lib/dracut/modules.d/90tresor.

# Whether to include the module: only if the tool is there.
check() {
	require_binaries tresorctl || return 1
	return 0
}

depends() {
	return 0
}

install() {
	inst_multiple tresorctl sleep
	inst_simple /usr/lib/tresor/ask
	inst_multiple -o plymouth
	# Slots that the kernel command line cannot carry: several, or with Argon2id.
	if [ -r /etc/tresor/slots ]; then
		inst_simple /etc/tresor/slots
	fi
	# Before the crypt module's own (cryptroot-ask is started from initqueue).
	# shellcheck disable=SC2154 # moddir is set by dracut
	inst_hook pre-trigger 10 "$moddir/tresor-unlock.sh"
}
