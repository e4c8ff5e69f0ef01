/* SPDX-License-Identifier: GPL-2.0 */
/*
 * XTS-AES-128 and XTS-AES-256 with VAES and AVX2 in sixteen ymm registers (no AVX-512), keys
 * derived from the register secret
 *
 * For CPUs with VAES, VPCLMULQDQ and AVX2 and without usable AVX-512: Zen 3 (2020), Alder Lake
 * (2021) and later.  VPCLMULQDQ is a feature bit of its own that every such CPU has; the kernel's
 * engine of this class asks for it as well.
 *
 * Six blocks at a time, two in each of ymm0-2.  Every round key is in one half of a register
 * (aes-vex.inc) and is copied to both at its use: 15 copies a turn, the main cost beside the
 * rounds.  A lower half is copied by vinserti128, which is cheaper than a permutation (AMD).  With
 * a single data unit K2 is not needed after the first tweak, and no other tweak waits: three keys
 * take their places to be in both halves for good.  One of them is the last: the tweaks go into it,
 * in place of an XOR that the blocks wait for.
 *
 * Tweaks: three registers of two.  Of the next six, the first two are two blocks after this turn's
 * last, the others eight blocks after this turn's first four: times alpha^8 is a shift by a byte
 * and one carryless product (4 instructions), times alpha^2 takes 6.  The chain from turn to turn
 * is short.
 *
 * The unwrap does two blocks in a register, paired so that K1 comes out in the lower halves and K2
 * in the upper ones: one walk expands both, and the first tweak rides on K2's.
 *
 * Rejected: eight blocks at a time (no register for two of the four pairs of tweaks; computed
 * twice they cost more than the copies of keys saved); folding without VPCLMULQDQ, by vpmuludq and
 * variable shifts (a turn takes 11 % longer).
 */

#include <linux/linkage.h>

.set KX,	%xmm3	// a round key out of an upper half
.set KX_Y,	%ymm3	// a round key in both halves; temporary
.set T,		%xmm4	// tweak of the next block
.set T01,	%ymm4	// tweaks of a turn
.set T23,	%ymm5
.set T45,	%ymm6
.set X01,	%ymm0
.set X23,	%ymm1
.set X45,	%ymm2

#include "xts-vex.inc"

.section .rodata, "a", @progbits
.p2align 5
.Lctr0_1:	.quad 0, 0, 1, 0
.Lctr0_2:	.quad 0, 0, 2, 0
.Lctr1_3:	.quad 1, 0, 3, 0
.Lreduce:	// x^128 = x^7 + x^2 + x + 1
	.quad	0x87, 0, 0x87, 0
.irp i, 0,2,4	// shifts for times alpha^i and alpha^(i+1), and for what they shift out
.Lup\i:	.quad	\i, \i, \i + 1, \i + 1
.Ldown\i:	.quad	64 - \i, 64 - \i, 63 - \i, 63 - \i
.endr

/* \to = \t * alpha^2 in both halves.  Clobbers KX_Y and \tmp. */
.macro ALPHA2 to, t, tmp
	vpsrlq	$62, \t, \tmp
	vpsllq	$2, \t, \to
	vpclmulqdq $0x01, .Lreduce(%rip), \tmp, KX_Y
	vpslldq	$8, \tmp, \tmp
	vpxor	KX_Y, \to, \to
	vpxor	\tmp, \to, \to
.endm

/* \to = \t * alpha^8 in both halves.  Clobbers \tmp. */
.macro ALPHA8 to, t, tmp
	vpsrldq	$15, \t, \tmp
	vpslldq	$1, \t, \to
	vpclmulqdq $0x00, .Lreduce(%rip), \tmp, \tmp
	vpxor	\tmp, \to, \to
.endm

/* \to = T * alpha^\i and the next one; T in both halves of X45.  Clobbers X01, KX_Y. */
.macro FIRST_TWEAKS to, i
	vpsrlvq	.Ldown\i(%rip), X45, X01
	vpsllvq	.Lup\i(%rip), X45, \to
	vpclmulqdq $0x01, .Lreduce(%rip), X01, KX_Y
	vpslldq	$8, X01, X01
	vpxor	KX_Y, \to, \to
	vpxor	X01, \to, \to
.endm

/* \op with round key \i in both halves on the first \n of X01, X23, X45 */
.macro ROUND2 n, op, i
.if \i < 9
	vinserti128 $1, LO\i, IN\i, KX_Y
.else
	vperm2i128 $0x11, IN\i, IN\i, KX_Y
.endif
	ON_PAIRS \n, \op, KX_Y
.endm
/* The same where keys 7 and 8 are in both halves, in the place of K2 */
.macro ROUND2_ONE_UNIT n, op, i
.if \i == 7 || \i == 8
	ON_PAIRS \n, \op, IN\i
.else
	ROUND2	\n, \op, \i
.endif
.endm

/* \op with \key on the first \n of X01, X23, X45 */
.macro ON_PAIRS n, op, key
.irp i, 0,1,2
.if \i < \n
	\op	\key, %ymm\i, %ymm\i
.endif
.endr
.endm

/* A round of the first tweak, in the upper half beside K2's schedule */
.macro TWEAK_ROUND op, key
	\op	\key, T01, T01
.endm

/* From S in X0, X1 to all round keys and the first tweak; K1 in lower halves, K2 in upper ones */
.macro KEYS enc, bits
	vinserti128 $1, X0, %ymm0, %ymm8
	vinserti128 $1, X1, %ymm1, %ymm9
	vbroadcasti128 (HANDLE), X23
	vbroadcasti128 (TWEAK_IV), T01
.if \bits == 128
	vpaddq	.Lctr0_1(%rip), X23, X01
	AES_WALK 256, 1, %ymm8, %ymm9, %ymm10, %ymm11, ON_PAIRS
	vpxor	MASK(HANDLE), X01, IN0
	vextracti128 $1, IN0, %xmm5
	vpxor	IN0, T01, T01
.else
	vpaddq	.Lctr0_2(%rip), X23, X01
	vpaddq	.Lctr1_3(%rip), X23, X23
	AES_WALK 256, 2, %ymm8, %ymm9, %ymm10, %ymm11, ON_PAIRS
	vmovdqu	MASK(HANDLE), %xmm5
	vmovdqu	MASK+16(HANDLE), %xmm6
	vinserti128 $1, MASK+32(HANDLE), %ymm5, %ymm5
	vinserti128 $1, MASK+48(HANDLE), %ymm6, %ymm6
	vpxor	%ymm5, X01, IN0
	vpxor	%ymm6, X23, IN1
	vextracti128 $1, IN0, %xmm5
	vextracti128 $1, IN1, %xmm6
	vpxor	IN0, T01, T01
	vaesenc	IN1, T01, T01
.endif
	EXPAND	\enc, \bits, IN, ymm
	vextracti128 $1, T01, T
.endm

/* Begin the first \n of X01, X23, X45. */
.macro BEGIN n, round
	vpxor	(SRC), T01, X01
.if \n > 1
	vpxor	32(SRC), T23, X23
.endif
.if \n > 2
	vpxor	64(SRC), T45, X45
.endif
.ifc \round, ROUND2_ONE_UNIT
	ON_PAIRS \n, vpxor, IN0
.else
	ROUND2	\n, vpxor, 0
.endif
.endm

/* The first \n of X01, X23, X45 from SRC, through all rounds; the last XOR is missing. */
.macro CRYPT_PAIRS enc, bits, n
	BEGIN	\n, ROUND2
	ROUNDS	\enc, \bits, \n, ROUND2
.endm
.macro MOVE_ON n
	addq	$\n, SRC
	addq	$\n, DST
	subq	$\n, LEFT
.endm

/* The last round of the pair \x with tweaks \t, key in both halves of IN8.  Clobbers KX_Y. */
.macro FINISH_ROUND2_ONE_UNIT enc, x, t
	vpxor	IN8, \t, KX_Y
	LAST_ROUND \enc, KX_Y, \x, \x
.endm
/* Where IN8 has K2, there is no register for their sum: the pair has had its last round. */
.macro FINISH_ROUND2 enc, x, t
	vpxor	\t, \x, \x
.endm

/*
 * Six blocks at a time.  The next tweaks are made as registers become free, and before the last
 * rounds that can wait.
 */
.macro SIXES enc, bits, round
	jmp	.Lsix_test\@
.p2align 4
.Lsix\@:
	BEGIN	3, \round
	OPENING_ROUNDS \enc, 3, \round
	UPPER_ROUNDS \enc, \bits, 3, \round
	CLOSING_ROUNDS \enc, 3, \round
.ifc \round, ROUND2
	LAST_ROUND_OF \enc, 3, \round
.endif
	FINISH_\round \enc, X01, T01
	DECLARE	block
	vmovdqu	X01, (DST)
	ALPHA8	X01, T01, KX_Y
	FINISH_\round \enc, X23, T23
	DECLARE	block
	vmovdqu	X23, 32(DST)
	ALPHA2	T01, T45, X23
	FINISH_\round \enc, X45, T45
	DECLARE	block
	vmovdqu	X45, 64(DST)
	ALPHA8	T45, T23, KX_Y
	vmovdqa	X01, T23
	MOVE_ON	96
.Lsix_test\@:
	cmpq	$96, LEFT
	jae	.Lsix\@
.endm

/* Six blocks at a time, then four or two; T, SRC, DST and LEFT move on. */
.macro BULK enc, bits
	vinserti128 $1, T, T01, X45
	FIRST_TWEAKS T01, 0
	FIRST_TWEAKS T23, 2
	FIRST_TWEAKS T45, 4
	cmpq	$1, UNITS
	jne	.Lseveral\@
	vinserti128 $1, LO7, IN7, IN7	// K2 has done its work
	vinserti128 $1, LO8, IN8, IN8
	SIXES	\enc, \bits, ROUND2_ONE_UNIT
	jmp	.Lfour_test\@
.Lseveral\@:
	SIXES	\enc, \bits, ROUND2
.Lfour_test\@:
	cmpq	$64, LEFT
	jb	.Ltwo_test\@
	CRYPT_PAIRS \enc, \bits, 2
	vpxor	T01, X01, X01
	vpxor	T23, X23, X23
	DECLARE	block
	vmovdqu	X01, (DST)
	DECLARE	block
	vmovdqu	X23, 32(DST)
	vmovdqa	T45, T01
	MOVE_ON	64
	jmp	.Lrest\@
.Ltwo_test\@:
	cmpq	$32, LEFT
	jb	.Lrest\@
	CRYPT_PAIRS \enc, \bits, 1
	vpxor	T01, X01, X01
	DECLARE	block
	vmovdqu	X01, (DST)
	vmovdqa	T23, T01
	MOVE_ON	32
.Lrest\@:
.endm

/* For NEXT_UNIT.  Clobbers the blocks, and T. */
.macro TWO_TWEAKS bits
	vinserti128 $1, X0, X01, X01
	vpaddq	.Lctr0_1(%rip), X01, X01
	vperm2i128 $0x11, IN_K2A, IN_K2A, X23
.if \bits == 256
	vperm2i128 $0x11, IN_K2B, IN_K2B, X45
.endif
	AES_WALK \bits, 1, X23, X45, KX_Y, T01, ON_PAIRS
	vpblendd $0xf0, X01, IN0, IN0
.endm

ENGINE_TEXT

/*
 * int tresor_xts_vaes_enc_128(const u8 handle[80], const u8 *src, u8 *dst, size_t len, const u8
 * tweak_iv[16], u64 first_block, u64 units)
 *
 * and enc_256, dec_128, dec_256 alike.  units data units of len bytes each, one after the other;
 * data unit i has the number tweak_iv + i, where the addition is on the first eight bytes,
 * little-endian, modulo 2^64.  One data unit: len is 16 or more; it may be done in several calls if
 * all but the last have a multiple of 16 bytes and the last has 16 or more, and first_block is the
 * index of the call's first block.  Several: len is a multiple of 16 and first_block is 0.
 *
 * src and dst are the same or do not overlap, and need no alignment.  Returns 0, or 1 when this CPU
 * has no S: then nothing was written.  Context: within kernel_fpu_begin()/kernel_fpu_end().
 */
SYM_FUNC_START(tresor_xts_vaes_enc_128)
	XTS	1, 128
SYM_FUNC_END(tresor_xts_vaes_enc_128)

SYM_FUNC_START(tresor_xts_vaes_dec_128)
	XTS	0, 128
SYM_FUNC_END(tresor_xts_vaes_dec_128)

SYM_FUNC_START(tresor_xts_vaes_enc_256)
	XTS	1, 256
SYM_FUNC_END(tresor_xts_vaes_enc_256)

SYM_FUNC_START(tresor_xts_vaes_dec_256)
	XTS	0, 256
SYM_FUNC_END(tresor_xts_vaes_dec_256)
