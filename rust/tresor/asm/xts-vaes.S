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
.Lfold_133:	// c * (x^7 + x^2 + 1) to the low half, c to the high one, for c < x^2
	.quad	0x85, 1, 0x85, 1
.Lfold_129:	// c * (x^7 + 1) for c < x^6
	.quad	0x81, 1, 0x81, 1
.Lshift_1:	// c * x to the low half, nothing to the high one
	.quad	1, 64, 1, 64
.Lshift_2:
	.quad	2, 64, 2, 64

/* \to = \t * alpha^2 in both halves.  Clobbers KX_Y and \tmp. */
.macro ALPHA2 to, t, tmp
	vpsrlq	$62, \t, \tmp
	vpshufd	$0x4e, \tmp, \tmp
	vpsllq	$2, \t, \to
	vpmuludq .Lfold_133(%rip), \tmp, KX_Y
	vpsllvq	.Lshift_1(%rip), \tmp, \tmp
	vpxor	KX_Y, \to, \to
	vpxor	\tmp, \to, \to
.endm

/* \t = \t * alpha^6 in both halves.  Clobbers KX_Y and \tmp. */
.macro ALPHA6 t, tmp
	vpsrlq	$58, \t, \tmp
	vpshufd	$0x4e, \tmp, \tmp
	vpsllq	$6, \t, \t
	vpmuludq .Lfold_129(%rip), \tmp, KX_Y
	vpxor	KX_Y, \t, \t
	vpsllvq	.Lshift_1(%rip), \tmp, KX_Y
	vpsllvq	.Lshift_2(%rip), \tmp, \tmp
	vpxor	KX_Y, \t, \t
	vpxor	\tmp, \t, \t
.endm

/* \op with round key \i in both halves on the first \n of X01, X23, X45 */
.macro ROUND2 n, op, i
.if \i < 9
	vperm2i128 $0x00, IN\i, IN\i, KX_Y
.else
	vperm2i128 $0x11, IN\i, IN\i, KX_Y
.endif
	ON_PAIRS \n, \op, KX_Y
.endm
.macro ON_PAIRS n, op, key
.irp i, 0,1,2
.if \i < \n
	\op	\key, %ymm\i, %ymm\i
.endif
.endr
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
	vpxor	T23, X23, X23
	vpxor	T45, X45, X45
	vmovdqu	X01, (DST)
	vmovdqu	X23, 32(DST)
	vmovdqu	X45, 64(DST)
	ALPHA6	T01, X01
	ALPHA2	T23, T01, X23
	ALPHA2	T45, T23, X45
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
