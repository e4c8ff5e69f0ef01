/* SPDX-License-Identifier: GPL-2.0 */
#include <linux/linkage.h>

.set KX,	%xmm4	// a round key out of an upper half
.set T,		%xmm5	// tweak of the next block
.set T1,	%xmm6
.set T0T2,	%ymm5
.set T1T3,	%ymm6

#include "xts-vex.inc"

/*
 * From S in X0, X1: K1 in LO0, LO1, K2 in xmm5, xmm6 (AES-128: LO0 and xmm5), and the tweak of the
 * first data unit in xmm4, whose walk the CPU can do beside EXPAND's
 */
.macro UNWRAP bits
	vmovdqa	X0, %xmm8
	vmovdqa	X1, %xmm9
	vmovdqu	(HANDLE), X0
	vpaddq	.Lctr1(%rip), X0, X1
.if \bits == 128
	AES_WALK 256, 2, %xmm8, %xmm9, %xmm10, %xmm11
	vpxor	MASK(HANDLE), X0, LO0
	vpxor	MASK+16(HANDLE), X1, %xmm5
.else
	vpaddq	.Lctr2(%rip), X0, X2
	vpaddq	.Lctr3(%rip), X0, X3
	AES_WALK 256, 4, %xmm8, %xmm9, %xmm10, %xmm11
	vpxor	MASK(HANDLE), X0, LO0
	vpxor	MASK+16(HANDLE), X1, LO1
	vpxor	MASK+32(HANDLE), X2, %xmm5
	vpxor	MASK+48(HANDLE), X3, %xmm6
	vmovdqa	%xmm6, %xmm2
.endif
	vmovdqa	%xmm5, %xmm1
	vmovdqu	(TWEAK_IV), X0
	TWEAK_WALK \bits, %xmm1, %xmm2
	vmovdqa	X0, %xmm4
.endm

/* The tweak is there before. */
.macro TWEAK_ROUND op, key
.endm

/* From S to all round keys and the first tweak */
.macro KEYS enc, bits
	UNWRAP	\bits
	EXPAND	\enc, \bits, LO, xmm
	vmovdqa	%xmm4, T
.endm

/* Four blocks at a time */
.macro BULK enc, bits
	jmp	.Lfour_test\@
.p2align 4
.Lfour\@:
	vpxor	(SRC), T, X0
	DOUBLE	T1, T, KX
	vpxor	16(SRC), T1, X1
	DOUBLE	X2, T1, KX
	vinsertf128 $1, X2, T0T2, T0T2
	DOUBLE	X3, X2, KX
	vpxor	32(SRC), X2, X2
	vinsertf128 $1, X3, T1T3, T1T3
	vpxor	48(SRC), X3, X3
	ON_BLOCKS 4, vpxor, LO0
	ROUNDS	\enc, \bits, 4
	vpxor	T, X0, X0
	vmovdqu	X0, (DST)
	vextractf128 $1, T0T2, KX
	vpxor	T1, X1, X1
	vmovdqu	X1, 16(DST)
	vpxor	KX, X2, X2
	vmovdqu	X2, 32(DST)
	vextractf128 $1, T1T3, KX
	vpxor	KX, X3, X3
	vmovdqu	X3, 48(DST)
	DOUBLE	T, KX, X0
	addq	$64, SRC
	addq	$64, DST
	subq	$64, LEFT
.Lfour_test\@:
	cmpq	$64, LEFT
	jae	.Lfour\@
.endm

.text

SYM_FUNC_START(tresor_xts_avx_enc_128)
	XTS	1, 128
SYM_FUNC_END(tresor_xts_avx_enc_128)

SYM_FUNC_START(tresor_xts_avx_dec_128)
	XTS	0, 128
SYM_FUNC_END(tresor_xts_avx_dec_128)

SYM_FUNC_START(tresor_xts_avx_enc_256)
	XTS	1, 256
SYM_FUNC_END(tresor_xts_avx_enc_256)

SYM_FUNC_START(tresor_xts_avx_dec_256)
	XTS	0, 256
SYM_FUNC_END(tresor_xts_avx_dec_256)
