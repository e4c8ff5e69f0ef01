/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ECB, CBC, CBC with ESSIV and CTR with AES-NI in sixteen xmm registers (no AVX): modes.inc
 *
 * For every x86-64 CPU with AES-NI and SSE4.1 (Westmere, 2010, and later).  Eight blocks in flight
 * hide the latency of aesenc; wider classes would only pay off where a disk uses these modes.
 */

#include <linux/linkage.h>
#include "window.inc"
#include "aes-aesni-walk.inc"
#include "aes-walk.inc"

.set BULK,	8

.macro XOR_BYTE x, t
	pxor	\t, \t
	pinsrb	$0, (SRC), \t
	pxor	\x, \t
	DECLARE	block
	pextrb	$0, \t, (DST)
.endm

#include "modes.inc"

ALL_MODES aesni
