/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Unlocking without the SHA extensions
 *
 * For CPUs that have AES-NI but not SHA-NI (Westmere to Skylake).
 */

#include "aes-aesni-walk.inc"
#include "aes-walk.inc"
#include "unlock.inc"
#include "sha256-ssse3.inc"

UNLOCK tresor_unlock_ssse3
