/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ECB, CBC, CBC with ESSIV and CTR without AES-NI: modes.inc over aes-ssse3.inc
 *
 * For every x86-64 CPU with SSSE3 (Core 2, 2006, and later).
 */

#include <linux/linkage.h>
#define WITHOUT_SSE4_1
#include "window.inc"
#include "aes-ssse3.inc"
#include "aes-walk.inc"

.set BULK,	4

/* SSE4.1 would store a byte from a vector register.  What goes through %eax is a finished byte. */
.macro XOR_BYTE x, t
	movzbl	(SRC), %eax
	movd	%eax, \t
	pxor	\x, \t
	pand	.Lfirst_byte(%rip), \t
	DECLARE	byte
	movd	\t, %eax
	DECLARE	block
	movb	%al, (DST)
.endm

.section .rodata, "a", @progbits
.p2align 4
.Lfirst_byte:
	.quad	0xff, 0

#include "modes.inc"

ALL_MODES ssse3
