/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Unlocking without the SHA extensions: SHA-256 in xmm registers, no general register and no stack
 * for the working variables
 *
 * Every other SHA-256 keeps a..h in general registers, where an interrupt would store them.  Here
 * ST0 holds a b c d and ST1 e f g h, lowest element first, and a round works on the lowest
 * elements; what is left in the other elements of the temporaries is never used.  A rotation of one
 * word is one 64-bit shift of the word twice in a row: the low half of (x:x) >> n is x rotated by
 * n, and shifting on rotates on as long as the sum is at most 32.  So each big Sigma takes one copy
 * and three shifts.
 *
 * About 40 instructions a round against SHA-NI's two: some ten times slower, for CPUs that have
 * AES-NI but not SHA-NI (Westmere to Skylake).  The slot's iteration count is chosen on the machine
 * that runs it, so that it costs security margin, not time.
 *
 * Rejected: MMX registers as additional storage (one more kind of register to wipe); four lanes at
 * once (PBKDF2 with one output block has nothing that is parallel).
 */

#include "unlock.inc"

.section .rodata, "a", @progbits
.p2align 4
.Linitial0:	// a, b, c, d of FIPS 180-4, 5.3.3
	.long	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a
.Linitial1:	// e, f, g, h
	.long	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19

/* One round (FIPS 180-4, 6.2.2); C0 holds K + W of four rounds, \i tells which */
.macro ROUND i
	pshufd	$0x00, ST1, C1		// e
	movdqa	C1, C2
	psrlq	$6, C2
	psrlq	$11, C1
	pxor	C1, C2
	psrlq	$(25 - 11), C1
	pxor	C1, C2			// Sigma1(e)
	pshufd	$0x01, ST1, C1		// f
	pshufd	$0x02, ST1, C3		// g
	pxor	C3, C1
	pand	ST1, C1
	pxor	C3, C1			// Ch(e, f, g) = ((f ^ g) & e) ^ g
	paddd	C1, C2
	pshufd	$0x03, ST1, C1		// h
	paddd	C1, C2
	pshufd	$\i, C0, C1		// K + W
	paddd	C1, C2			// T1
	pshufd	$0x03, ST0, C1		// d
	paddd	C2, C1
	pslldq	$4, ST1
	movss	C1, ST1			// d + T1, e, f, g
	pshufd	$0x00, ST0, C1		// a
	movdqa	C1, C3
	psrlq	$2, C3
	psrlq	$13, C1
	pxor	C1, C3
	psrlq	$(22 - 13), C1
	pxor	C1, C3			// Sigma0(a)
	paddd	C3, C2
	pshufd	$0x01, ST0, C1		// b
	pshufd	$0x02, ST0, C3		// c
	pxor	ST0, C1
	pxor	ST0, C3
	pand	C3, C1
	pxor	ST0, C1			// Maj(a, b, c) = ((a ^ b) & (a ^ c)) ^ a
	paddd	C1, C2
	pslldq	$4, ST0
	movss	C2, ST0			// T1 + T2, a, b, c
.endm

/* C2 = sigma1 of the two words that stand twice each in C1: 0 and 2 are the elements that count */
.macro SMALL_SIGMA1
	movdqa	C1, C2
	psrld	$10, C2
	psrlq	$17, C1
	pxor	C1, C2
	psrlq	$(19 - 17), C1
	pxor	C1, C2
.endm

/* \m0 = W[t..t+4] from W[t-16..t] in \m0, \m1, \m2, \m3 */
.macro SCHEDULE m0, m1, m2, m3
	movdqa	\m3, C1
	palignr	$4, \m2, C1
	movdqa	\m1, C2
	palignr	$4, \m0, C2		// W[t-15..t-11]
	paddd	C1, \m0			// + W[t-7..t-3]
	movdqa	C2, C1
	psrld	$3, C1
	movdqa	C2, C3
	psrld	$7, C3
	pxor	C3, C1
	psrld	$(18 - 7), C3
	pxor	C3, C1
	pslld	$(32 - 18), C2
	pxor	C2, C1
	pslld	$((32 - 7) - (32 - 18)), C2
	pxor	C2, C1			// sigma0
	paddd	C1, \m0
	pshufd	$0xfa, \m3, C1		// W[t-2], W[t-2], W[t-1], W[t-1]
	SMALL_SIGMA1
	pshufd	$0x08, C2, C2		// 0, 2, x, x
	movq	C2, C2
	paddd	C2, \m0			// W[t], W[t+1]
	pshufd	$0x50, \m0, C1		// each twice
	SMALL_SIGMA1
	pshufd	$0x08, C2, C2
	pslldq	$8, C2
	paddd	C2, \m0
.endm

/* Rounds 4 * \g and on */
.macro ROUNDS4 g, m0, m1, m2, m3
	movdqa	.Lround_constants+16*\g(%rip), C0
	paddd	\m0, C0
.irp i, 0,1,2,3
	ROUND	\i
.endr
.if \g < 12
	SCHEDULE \m0, \m1, \m2, \m3
.endif
.endm

.macro COMPRESS
.irp g, 0,4,8,12
	ROUNDS4	\g, M0, M1, M2, M3
	ROUNDS4	(\g + 1), M1, M2, M3, M0
	ROUNDS4	(\g + 2), M2, M3, M0, M1
	ROUNDS4	(\g + 3), M3, M0, M1, M2
.endr
.endm

.macro STATE_TO_WORDS
	movdqa	ST0, M0
	movdqa	ST1, M1
.endm

UNLOCK tresor_unlock_ssse3
