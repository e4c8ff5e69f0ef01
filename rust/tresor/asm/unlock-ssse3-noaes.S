/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Unlocking without the SHA extensions and without AES-NI
 *
 * For CPUs with SSSE3 alone (Core 2, 2006, to Nehalem; Bobcat; Atom before Silvermont).  AES is
 * needed for six blocks, so it is not what takes the time.
 */

#define WITHOUT_SSE4_1
#include "aes-ssse3.inc"
#include "aes-walk.inc"
#include "unlock.inc"
#include "sha256-ssse3.inc"

UNLOCK tresor_unlock_ssse3_noaes
