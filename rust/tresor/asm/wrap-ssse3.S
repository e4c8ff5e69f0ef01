/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Wrapped handles without AES-NI: wrap.inc over aes-ssse3.inc
 *
 * For every x86-64 CPU with SSSE3 (Core 2, 2006, and later).
 */

#include <linux/linkage.h>
#define WITHOUT_SSE4_1
#include "window.inc"
#include "aes-ssse3.inc"
#include "aes-walk.inc"
#include "wrap.inc"

WRAP ssse3
