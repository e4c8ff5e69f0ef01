/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Wrapped handles with AES-NI (no AVX): wrap.inc
 *
 * A handful of blocks for each handle: no wider class would be faster.
 */

#include <linux/linkage.h>
#include "window.inc"
#include "aes-aesni-walk.inc"
#include "aes-walk.inc"
#include "wrap.inc"

WRAP aesni
