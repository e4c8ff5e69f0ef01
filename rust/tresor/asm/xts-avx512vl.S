/* SPDX-License-Identifier: GPL-2.0 */
/*
 * XTS-AES-128 and XTS-AES-256 with AES-NI on the 32 vector registers of AVX-512VL, without VAES,
 * keys derived from the register secret
 *
 * For Intel's Skylake-X, Cascade Lake and Cooper Lake (2017-2020): AVX-512F, BW, VL, DQ, AES-NI and
 * PCLMULQDQ.  XTS: IEEE Std 1619-2018, NIST SP 800-38E.
 *
 * One call: S from its home (the window); K1 || K2 = mask ^ AES-256_S(iv + 0..3); all round keys
 * and the first tweak (keys-avx512vl.inc); the data, eight blocks in flight; the next data unit's
 * tweak with K2's round keys; the wipe.  Memory is written through DST only, and only finished
 * blocks.  Branches depend on lengths and counts and on whether S is zero.
 *
 * vaesenc without VAES reaches xmm0-15 only.  So blocks are there, round keys in xmm16-30, and
 * each is copied to KEY before its eight blocks: a move that costs no execution unit.  T holds
 * tweak ^ last round key, as in xts-avx512.S, and so is the key of vaesenclast; KLAST makes up for
 * it in the step to the tweaks eight blocks on, which is a rotation by one byte and a carry-less
 * product.
 *
 * Vectors wider than xmm hold keys only: no 512-bit arithmetic, for which these CPUs slow down.
 *
 * Rejected: doubling one tweak after the other (five instructions each and a long chain); a
 * queue of tweaks for several data units (no registers; a tweak costs 14 rounds on one block).
 */

#include <linux/linkage.h>
#include "window.inc"

#include "xts-avx512.inc"

// While data units are done:
// xmm0-7: blocks
.set KEY, %xmm8		// AES-NI takes a key from xmm0-15 only
.set T0, %xmm9		// tweaks of the next eight blocks, each XORed with the last round key
.set T1, %xmm10
.set T2, %xmm11
.set T3, %xmm12
.set T4, %xmm13
.set T5, %xmm14
.set T6, %xmm15
.set T7, %xmm31
.set KFIRST, %xmm16	// first round key ^ last one
.set KFIRST_Y, %ymm16
// xmm17-28 (AES-128: 17-25): round keys of K1 between, in the order of use; upper halves of
// ymm16-30: round keys of K2; third quarter of zmm17: last round key of K1

.section .rodata, "a", @progbits
.p2align 4
.Lgf_poly_1:	.quad	0x86, 0		// x^128 + 1 = x^7 + x^2 + x
.Lgf_poly:	.quad	0x87, 1		// x^128 = x^7 + x^2 + x + 1
#include "keys-avx512vl.inc"

/* \t = \t * alpha^8, XORed with \x.  Clobbers \tmp. */
.macro MUL_ALPHA8 t, x, tmp
	vpsrlq	$56, \t, \tmp
	vpclmulqdq $0x01, .Lgf_poly_1(%rip), \tmp, \tmp
	vpalignr $15, \t, \t, \t
	vpternlogd $0x96, \x, \tmp, \t
.endm

/* T0-T7 = T0 * alpha^0 .. alpha^7, each XORed with the last round key.  Clobbers xmm0-2. */
.macro SPREAD_TWEAK
	vextracti32x4 $2, %zmm17, %xmm2
.irp i, 1,2,3,4,5,6,7
	vpsrlq	$64 - \i, T0, %xmm0
	vpsllq	$\i, T0, T\i
	vpclmulqdq $0x01, .Lgf_poly_1(%rip), %xmm0, %xmm1
	vpshufd	$0x4e, %xmm0, %xmm0
	vpxord	%xmm2, T\i, T\i
	vpternlogd $0x96, %xmm0, %xmm1, T\i
.endr
	vpxor	%xmm2, T0, T0
.endm

/* XTS of xmm0 .. xmm\n-1 without loads and stores */
.macro CRYPT enc, bits, n
.irp k, 17,18,19,20,21,22,23,24,25,26,27,28,29
.if \k < 22 + \bits / 32
	vmovdqa64 %xmm\k, KEY
.irp i, 0,1,2,3,4,5,6,7
.if \i < \n
	ROUND	\enc, KEY, %xmm\i
.endif
.endr
.endif
.endr
.endm
/* XTS of xmm0 with tweak \t */
.macro CRYPT1 enc, bits, t
	vpternlogd $0x96, \t, KFIRST, %xmm0
	CRYPT	\enc, \bits, 1
	LAST_ROUND \enc, \t, %xmm0
.endm

.macro CRYPT8 enc, bits
.irp i, 0,1,2,3,4,5,6,7
	vmovdqu	16*\i(SRC), %xmm\i
	vpternlogd $0x96, T\i, KFIRST, %xmm\i
.endr
	CRYPT	\enc, \bits, 8
	vmovdqa64 T7, KEY
.irp i, 0,1,2,3,4,5,6,7
.if \i < 7
	LAST_ROUND \enc, T\i, %xmm\i
.else
	LAST_ROUND \enc, KEY, %xmm\i
.endif
	DECLARE	block
	vmovdqu	%xmm\i, 16*\i(DST)
	MUL_ALPHA8 T\i, KLAST, %xmm\i
.endr
.endm

/*
 * The last 16 + REM bytes (IEEE 1619, 5.3.2 and 5.4.2): the block's first REM bytes after one
 * encryption end the data unit; the partial block takes their place for another one.  Decryption
 * uses the two tweaks in the other order.
 */
.macro STEAL enc, bits, t_first, t_second
	LOW_BITS REM32, PART
	vmovdqu	(SRC), %xmm0
	CRYPT1	\enc, \bits, \t_first
	vmovdqa	%xmm0, %xmm1
	vmovdqu8 16(SRC), %xmm0{PART}	// before the store: DST may be SRC
	DECLARE	block
	vmovdqu8 %xmm1, 16(DST){PART}
	CRYPT1	\enc, \bits, \t_second
	DECLARE	block
	vmovdqu	%xmm0, (DST)
.endm

.macro XTS enc, bits
	SET_KEY_REGISTERS \enc, \bits
	movq	DST_ARG, DST
	SET_WORD_MASKS
	CALL_WINDOW tresor_load_s
	vpor	%xmm0, %xmm1, %xmm2
	DECLARE	verdict
	vptest	%xmm2, %xmm2
	jz	.Lno_s\@
	UNWRAP	\bits
	movq	UNITS_ARG(%rsp), UNITS
	xorl	UNIT32, UNIT32
	KEYS	\enc, \bits
	movl	LEN32, REM32
	andl	$15, REM32
	jz	.Lskip_blocks\@
	subq	REM, LEN
	subq	$16, LEN		// the last whole block takes part in the stealing
.Lskip_blocks\@:
	testq	BLOCK, BLOCK
	jz	.Lunit\@
	MUL_ALPHA_BLOCK T0, x
.Lunit\@:
	SPREAD_TWEAK
	movq	LEN, LEFT
	subq	$128, LEFT
	jb	.Lbulk_done\@
.p2align 5
.Lbulk\@:
	CRYPT8	\enc, \bits
	subq	$-128, SRC
	subq	$-128, DST
	subq	$128, LEFT
	jae	.Lbulk\@
.Lbulk_done\@:
	addq	$128, LEFT
	jz	.Lblocks_done\@
.Lblock\@:
	vmovdqu	(SRC), %xmm0
	CRYPT1	\enc, \bits, T0
	DECLARE	block
	vmovdqu	%xmm0, (DST)
	MUL_ALPHA8 T0, KLAST, %xmm1
	vmovdqa	T0, %xmm1
	vmovdqa	T1, T0
	vmovdqa	T2, T1
	vmovdqa	T3, T2
	vmovdqa	T4, T3
	vmovdqa	T5, T4
	vmovdqa	T6, T5
	vmovdqa64 T7, T6
	vmovdqa64 %xmm1, T7
	addq	$16, SRC
	addq	$16, DST
	subq	$16, LEFT
	jnz	.Lblock\@
.Lblocks_done\@:
	testl	REM32, REM32
	jz	.Lunit_done\@
.if \enc
	STEAL	\enc, \bits, T0, T1
.else
	STEAL	\enc, \bits, T1, T0
.endif
.Lunit_done\@:
	incq	UNIT
	cmpq	UNIT, UNITS
	je	.Ldone\@
	NEXT_TWEAK \bits
	jmp	.Lunit\@
.Lno_s\@:
	movl	$1, %eax
	jmp	.Lwipe\@
.Ldone\@:
	xorl	%eax, %eax
.Lwipe\@:
	WIPE
	RET
.endm

ENGINE_TEXT

/* Arguments and result: xts-avx512.inc */
SYM_FUNC_START(tresor_xts_avx512vl_enc_128)
	XTS	1, 128
SYM_FUNC_END(tresor_xts_avx512vl_enc_128)

SYM_FUNC_START(tresor_xts_avx512vl_dec_128)
	XTS	0, 128
SYM_FUNC_END(tresor_xts_avx512vl_dec_128)

SYM_FUNC_START(tresor_xts_avx512vl_enc_256)
	XTS	1, 256
SYM_FUNC_END(tresor_xts_avx512vl_enc_256)

SYM_FUNC_START(tresor_xts_avx512vl_dec_256)
	XTS	0, 256
SYM_FUNC_END(tresor_xts_avx512vl_dec_256)
