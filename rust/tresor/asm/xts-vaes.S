/* SPDX-License-Identifier: GPL-2.0 */
#include <linux/linkage.h>

.set KX,	%xmm3	// a round key out of an upper half
.set KX_Y,	%ymm3	// a round key in both halves; temporary
.set T,		%xmm4	// tweak of the next block
.set T01,	%ymm4
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

/* \op with round key \i in both halves on the first \n of X01, X23, X45 */
.macro ROUND2 n, op, i
.if \i < 9
	vinserti128 $1, LO\i, IN\i, KX_Y
.else
	vperm2i128 $0x11, IN\i, IN\i, KX_Y
.endif
	ON_PAIRS \n, \op, KX_Y
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

.macro BULK enc, bits
	DOUBLE	X0, T, X1
	vinserti128 $1, X0, T01, T01
	ALPHA2	T23, T01, X01
	ALPHA2	T45, T23, X01
	jmp	.Lsix_test\@
.p2align 4
.Lsix\@:
	vpxor	(SRC), T01, X01
	vpxor	32(SRC), T23, X23
	vpxor	64(SRC), T45, X45
	ON_PAIRS 3, vpxor, IN0
	ROUNDS	\enc, \bits, 3, ROUND2
	vpxor	T01, X01, X01
	vmovdqu	X01, (DST)
	ALPHA8	X01, T01, KX_Y
	vpxor	T23, X23, X23
	vmovdqu	X23, 32(DST)
	vpxor	T45, X45, X45
	vmovdqu	X45, 64(DST)
	ALPHA2	T01, T45, X45
	ALPHA8	T45, T23, KX_Y
	vmovdqa	X01, T23
	addq	$96, SRC
	addq	$96, DST
	subq	$96, LEFT
.Lsix_test\@:
	cmpq	$96, LEFT
	jae	.Lsix\@
	cmpq	$64, LEFT
	jb	.Ltwo_test\@
	vpxor	(SRC), T01, X01
	vpxor	32(SRC), T23, X23
	ON_PAIRS 2, vpxor, IN0
	ROUNDS	\enc, \bits, 2, ROUND2
	vpxor	T01, X01, X01
	vpxor	T23, X23, X23
	vmovdqu	X01, (DST)
	vmovdqu	X23, 32(DST)
	vmovdqa	T45, T01
	addq	$64, SRC
	addq	$64, DST
	subq	$64, LEFT
	jmp	.Lrest\@
.Ltwo_test\@:
	cmpq	$32, LEFT
	jb	.Lrest\@
	vpxor	(SRC), T01, X01
	ON_PAIRS 1, vpxor, IN0
	ROUNDS	\enc, \bits, 1, ROUND2
	vpxor	T01, X01, X01
	vmovdqu	X01, (DST)
	vmovdqa	T23, T01
	addq	$32, SRC
	addq	$32, DST
	subq	$32, LEFT
.Lrest\@:
.endm

.text

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
