#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Asks for the pass phrase, if the kernel has not asked already. Sourced by dracut before udev finds the
# disks.

/usr/lib/tresor/ask
