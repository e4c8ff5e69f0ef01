/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Unlocking with the SHA extensions (Goldmont, Zen, Ice Lake and later)
 *
 * sha256rnds2 does two rounds on a state split into ABEF and CDGH, sha256msg1/2 the message
 * schedule (SDM Vol. 2; FIPS 180-4, 6.2.2). Sixteen groups of four rounds; from the fourth group on
 * each completes the message words of the next one.
 */

#include "aes-aesni-walk.inc"
#include "aes-walk.inc"
#include "unlock.inc"

.section .rodata, "a", @progbits
.p2align 4
.Linitial0:	// F, E, B, A of FIPS 180-4, 5.3.3
	.long	0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667
.Linitial1:	// H, G, D, C
	.long	0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372

/*
 * Rounds 4 * \g and on: \m holds their message words, \next those of the next group (three
 * quarters done), \prev those of the one before.
 */
.macro ROUNDS4 g, m, next, prev
	movdqa	.Lround_constants+16*\g(%rip), C0
	paddd	\m, C0
	sha256rnds2 ST0, ST1
.if \g >= 3 && \g <= 14
	movdqa	\m, C1
	palignr	$4, \prev, C1
	paddd	C1, \next
	sha256msg2 \m, \next
.endif
	pshufd	$0x0e, C0, C0
	sha256rnds2 ST1, ST0
.if \g >= 1 && \g <= 12
	sha256msg1 \m, \prev
.endif
.endm

.macro COMPRESS
.irp g, 0,4,8,12
	ROUNDS4	\g, M0, M1, M3
	ROUNDS4	(\g + 1), M1, M2, M0
	ROUNDS4	(\g + 2), M2, M3, M1
	ROUNDS4	(\g + 3), M3, M0, M2
.endr
.endm

/* ST0 = F E B A, ST1 = H G D C, lowest element first */
.macro STATE_TO_WORDS
	pshufd	$0x1b, ST0, M0		// A B E F
	pshufd	$0xb1, ST1, ST1		// G H C D
	movdqa	ST1, M1
	palignr	$8, M0, M1		// E F G H
	pblendw	$0xf0, ST1, M0		// A B C D
.endm

UNLOCK tresor_unlock_shani
