/* SPDX-License-Identifier: GPL-2.0 */
/*
 * XTS-AES-128 and XTS-AES-256 with VAES and VPCLMULQDQ on AVX-512 registers, keys derived from the
 * register secret
 *
 * For CPUs with AVX-512F, BW, VL and DQ, VAES and VPCLMULQDQ: Intel since Ice Lake (2019), AMD
 * since Zen 4 (2022).  XTS: IEEE Std 1619-2018, NIST SP 800-38E.
 *
 * One call: S from its home (the window); K1 || K2 = mask ^ AES-256_S(iv + 0..3); round keys of K1
 * and the first tweaks of up to eight data units at once (keys-avx512.inc); the data; the wipe.
 * Memory is written through DST only, and only finished blocks.  Branches depend on lengths and
 * counts and on whether S is zero.
 *
 * The data: a vector is four blocks, and eight vectors are in flight, because Zen 5 starts two
 * vaesenc per cycle with a latency of four.  Eight vectors take 56 cycles then (AES-256, 112
 * vaesenc), and 56 is measured: everything else must fit beside them.  What made it fit:
 *
 * Registers: 15 round keys, 8 vectors of blocks, 8 of tweaks: 31.  The 32nd is a temporary nowhere:
 * T holds tweak ^ last round key.  That is the key of vaesenclast as it stands, and the first XOR
 * takes KFIRST = first round key ^ last one.  The step to the tweaks 32 blocks on is linear: where
 * the last round key was, KLAST has the constant that makes up for it, and one vpternlogd adds it.
 *
 * t * x^32 is a rotation by one dword (vpshufd), which puts the 32 bits c that fall out at the
 * bottom, XORed with c * (x^7 + x^2 + x).  c comes by a masked vpshufd: a byte shift competes with
 * vaesenc on Zen 5, and a shift of qwords on Golden Cove, where the only 512-bit shifter is on the
 * port that starts the only 512-bit vaesenc of each cycle.
 *
 * With several data units, the next tweaks (Q0, Q1) and K2 (KEEP) take three of the registers: four
 * vectors in flight twice, each half with tweaks of its own (60 cycles).  At the end of a data unit
 * of n * 512 bytes each half of the next one's tweaks is made as soon as the last vectors that use
 * its registers are on their way: after both halves it would be too far from them for the CPU to do
 * beside them (Golden Cove).
 *
 * Rejected: tweaks of the second half computed from those of the first (no registers needed: 69
 * cycles); masked vectors for blocks one at a time (a data unit is a power of two in practice).
 */

#include <linux/linkage.h>
#include "window.inc"

#include "xts-avx512.inc"

// While data units are done:
// zmm0-7: blocks.  With several data units only zmm0-3, and:
.set Q0, %zmm4		// first tweaks of the next eight data units
.set Q0X, %xmm4
.set Q1, %zmm5
.set KEEP, %zmm6	// KLO and KHI, packed
.set TMP, %zmm7
.set T0, %zmm8		// tweaks of the next 32 blocks, each XORed with the last round key
.set T1, %zmm9
.set T2, %zmm10
.set T3, %zmm11
.set T4, %zmm12
.set T5, %zmm13
.set T6, %zmm14
.set T7, %zmm15
.set KFIRST, %zmm16	// first round key ^ last one
// zmm17-28 (AES-128: 17-25): round keys of K1 between, in the order of use, in every lane
.set K0, %zmm31		// first round key

.section .rodata, "a", @progbits
.p2align 6
.Lgf_poly:	// x^128 = x^7 + x^2 + x + 1 on the carries of both halves
	.quad	0x87, 1, 0x87, 1, 0x87, 1, 0x87, 1
.Lgf_poly_1:	// the same less 1
	.quad	0x86, 0, 0x86, 0, 0x86, 0, 0x86, 0
.Lleft:		// shifts by 0 .. 31 for tweaks 0 .. 31, and what goes to the other half
.irpc i, 01234567
	.quad	4*\i, 4*\i, 4*\i + 1, 4*\i + 1, 4*\i + 2, 4*\i + 2, 4*\i + 3, 4*\i + 3
.endr
.Lright:
.irpc i, 01234567
	.quad	64 - 4*\i, 64 - 4*\i, 63 - 4*\i, 63 - 4*\i
	.quad	62 - 4*\i, 62 - 4*\i, 61 - 4*\i, 61 - 4*\i
.endr
#include "keys-avx512.inc"

/* \t = \t * alpha in each lane.  Clobbers TMP. */
.macro DOUBLE t
	vpshufd	$0x13, \t, TMP
	vpaddq	\t, \t, \t
	vpsrad	$31, TMP, TMP
	vpternlogd $0x78, .Lgf_poly(%rip), TMP, \t
.endm

/* \t = \t * alpha^32 in each lane, XORed with \x.  Clobbers \tmp. */
.macro MUL_ALPHA32 t, x, tmp
	vpshufd	$0xff, \t, \tmp{WORD0}{z}
	vpshufd	$0x93, \t, \t
	vpclmulqdq $0x00, .Lgf_poly_1(%rip), \tmp, \tmp
	vpternlogd $0x96, \x, \tmp, \t
.endm

/*
 * \to = \t * alpha^(4\i) .. \t * alpha^(4\i + 3); \t has the same in all lanes.  Clobbers \tmp and
 * \tmp2.
 */
.macro FIRST_TWEAKS to, t, i, tmp, tmp2
	vpsrlvq	.Lright + 64*\i(%rip), \t, \tmp
	vpsllvq	.Lleft + 64*\i(%rip), \t, \to
	vpclmulqdq $0x01, .Lgf_poly_1(%rip), \tmp, \tmp2
	vpshufd	$0x4e, \tmp, \tmp
	vpternlogd $0x96, \tmp, \tmp2, \to
.endm

/*
 * T0-T7 = \t * alpha^0 .. \t * alpha^31, each XORed with the last round key; \t has the same in all
 * lanes.  Clobbers zmm0-2.
 */
.macro SPREAD_TWEAK t
	vpxord	K0, KFIRST, %zmm2
.irp i, 0,1,2,3,4,5,6,7
	FIRST_TWEAKS T\i, \t, \i, %zmm0, %zmm1
	vpxord	%zmm2, T\i, T\i
.endr
.endm

/* \to = \t * alpha^8 in each lane, XORed with \x if there is one.  Clobbers \tmp. */
.macro MUL_ALPHA8 to, t, tmp, x
	vpsrldq	$15, \t, \tmp
	vpslldq	$1, \t, \to
	vpclmulqdq $0x00, .Lgf_poly(%rip), \tmp, \tmp
.ifnb \x
	vpternlogd $0x96, \x, \tmp, \to
.else
	vpxord	\tmp, \to, \to
.endif
.endm

/*
 * T0-T7 of the next data unit in two steps, as their predecessors are done with: T0-T3 from \t,
 * which has its first tweak in all lanes, T4-T7 from those.  Clobber zmm0-3.
 */
.macro NEXT_T0_T3 t
	FIRST_TWEAKS T0, \t, 0, %zmm0, %zmm1
	FIRST_TWEAKS T1, \t, 1, %zmm2, %zmm3
	MUL_ALPHA8 T2, T0, %zmm0
	MUL_ALPHA8 T3, T1, %zmm1
	vpxord	K0, KFIRST, %zmm2
.irp i, 0,1,2,3
	vpxord	%zmm2, T\i, T\i
.endr
.endm
.macro NEXT_T4_T7			// \x * alpha^8 ^ \x makes up for the last round key, \x
	vpxord	K0, KFIRST, %zmm2
	MUL_ALPHA8 %zmm3, %zmm2, %zmm0, %zmm2
	MUL_ALPHA8 T4, T2, %zmm0, %zmm3
	MUL_ALPHA8 T5, T3, %zmm1, %zmm3
	MUL_ALPHA8 T6, T4, %zmm0, %zmm3
	MUL_ALPHA8 T7, T5, %zmm1, %zmm3
.endm

/* All rounds between the first XOR and the last round on zmm0 .. zmm\n-1 */
.macro ROUNDS enc, bits, n
.irp k, 17,18,19,20,21,22,23,24,25,26,27,28,29
.if \k < 22 + \bits / 32
.irp i, 0,1,2,3,4,5,6,7
.if \i < \n
	ROUND	\enc, %zmm\k, %zmm\i
.endif
.endr
.endif
.endr
.endm

/* XTS of zmm0 with tweak \t */
.macro CRYPT_VECTOR enc, bits, t
	vpternlogd $0x96, \t, KFIRST, %zmm0
	ROUNDS	\enc, \bits, 1
	LAST_ROUND \enc, \t, %zmm0
.endm

/*
 * CRYPT8, CRYPT4: XTS of eight or four vectors, from \offset(SRC) to \offset(DST).  \step: KLAST,
 * to let their tweaks advance by 32 blocks, or nothing.
 */
.macro LOAD_VECTOR i, t, offset
	vmovdqu64 64*\i + \offset(SRC), %zmm\i
	vpternlogd $0x96, \t, KFIRST, %zmm\i
.endm
.macro STORE_VECTOR enc, i, t, offset, step
	LAST_ROUND \enc, \t, %zmm\i
	DECLARE	block
	vmovdqu64 %zmm\i, 64*\i + \offset(DST)
.ifnb \step
	MUL_ALPHA32 \t, \step, %zmm\i
.endif
.endm
.macro CRYPT8 enc, bits, step
.irp i, 0,1,2,3,4,5,6,7
	LOAD_VECTOR \i, T\i, 0
.endr
	ROUNDS	\enc, \bits, 8
.irp i, 0,1,2,3,4,5,6,7
	STORE_VECTOR \enc, \i, T\i, 0, \step
.endr
.endm
.macro CRYPT4 enc, bits, t0, t1, t2, t3, offset, step
	LOAD_VECTOR 0, \t0, \offset
	LOAD_VECTOR 1, \t1, \offset
	LOAD_VECTOR 2, \t2, \offset
	LOAD_VECTOR 3, \t3, \offset
	ROUNDS	\enc, \bits, 4
	STORE_VECTOR \enc, 0, \t0, \offset, \step
	STORE_VECTOR \enc, 1, \t1, \offset, \step
	STORE_VECTOR \enc, 2, \t2, \offset, \step
	STORE_VECTOR \enc, 3, \t3, \offset, \step
.endm

/* \first = first tweak of the next data unit in all lanes, from Q0, which Q1 refills */
.macro NEXT_UNIT first
	vshufi64x2 $0, Q0, Q0, \first
	valignq	$2, Q0, Q1, Q0
	valignq	$2, Q1, Q1, Q1
.endm

.macro ADVANCE n
	subq	$-\n, SRC
	subq	$-\n, DST
.endm

/*
 * The last 16 + REM bytes (IEEE 1619, 5.3.2 and 5.4.2), tweak in T0 as it is: the block's first REM
 * bytes after one encryption end the data unit; the partial block takes their place for another
 * one.  Decryption uses the two tweaks in the other order.
 */
.macro STEAL enc, bits
	vmovdqa64 T0, T1
.if \enc
	DOUBLE	T1
.else
	DOUBLE	T0
.endif
	vpternlogd $0x96, K0, KFIRST, T0
	vpternlogd $0x96, K0, KFIRST, T1
	LOW_BITS REM32, PART
	vmovdqu	(SRC), %xmm0
	CRYPT_VECTOR \enc, \bits, T0
	vmovdqa	%xmm0, %xmm1
	vmovdqu8 16(SRC), %xmm0{PART}	// before the store: DST may be SRC
	DECLARE	block
	vmovdqu8 %xmm1, 16(DST){PART}
	CRYPT_VECTOR \enc, \bits, T1
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
	movl	LEN32, REM32
	andl	$15, REM32
	jz	.Lkeys\@
	subq	REM, LEN
	subq	$16, LEN		// the last whole block takes part in the stealing
.Lkeys\@:
	KEYS	\enc, \bits
	cmpq	$1, UNITS
	jne	.Lunit\@
	testq	BLOCK, BLOCK
	jnz	.Lskip_blocks\@
.Lspread\@:
	SPREAD_TWEAK Q0
	movq	LEN, LEFT
	subq	$512, LEFT
	jb	.Lbulk_done\@
.p2align 5
.Lbulk\@:
	CRYPT8	\enc, \bits, KLAST
	ADVANCE 512
	subq	$512, LEFT
	jae	.Lbulk\@
.Lbulk_done\@:
	addq	$512, LEFT
	jz	.Lblocks_done\@
	subq	$256, LEFT
	jb	.Lvectors\@
	CRYPT4	\enc, \bits, T0, T1, T2, T3, 0
	vmovdqa64 T4, T0
	vmovdqa64 T5, T1
	vmovdqa64 T6, T2
	vmovdqa64 T7, T3
	ADVANCE	256
	subq	$256, LEFT
.Lvectors\@:
	addq	$256-64, LEFT
	jnc	.Lvectors_done\@
.Lvector\@:
	vmovdqu64 (SRC), %zmm0
	CRYPT_VECTOR \enc, \bits, T0
	DECLARE	block
	vmovdqu64 %zmm0, (DST)
	vmovdqa64 T1, T0
	vmovdqa64 T2, T1
	vmovdqa64 T3, T2
	ADVANCE	64
	subq	$64, LEFT
	jae	.Lvector\@
.Lvectors_done\@:
	addq	$64, LEFT
	jz	.Lblocks_done\@
	shrl	$3, LEFT32
	movl	LEFT32, BLOCK32		// 2, 4 or 6 qwords
	LOW_BITS BLOCK32, PART
	vmovdqu64 (SRC), %zmm0{PART}{z}
	CRYPT_VECTOR \enc, \bits, T0
	DECLARE	block
	vmovdqu64 %zmm0, (DST){PART}
	leaq	(SRC, BLOCK, 8), SRC
	leaq	(DST, BLOCK, 8), DST
	testl	REM32, REM32
	jz	.Lunit_done\@
	vpternlogd $0x96, K0, KFIRST, T0
.Ldouble\@:
	DOUBLE	T0
	subl	$2, BLOCK32
	jnz	.Ldouble\@
	jmp	.Lsteal\@
.Lblocks_done\@:
	testl	REM32, REM32
	jz	.Lunit_done\@
	vpternlogd $0x96, K0, KFIRST, T0
.Lsteal\@:
	STEAL	\enc, \bits
.Lunit_done\@:
	incq	UNIT
	cmpq	UNIT, UNITS
	jne	.Lnext_unit\@
.Ldone\@:
	xorl	%eax, %eax
.Lwipe\@:
	kxord	LANE3, LANE3, LANE3
	WIPE
	RET
.Lnext_unit\@:
	testb	$7, UNIT8
	jnz	.Lunit\@
.Lnext_eight\@:
	vshufi64x2 $0x40, KEEP, KEEP, KLO
	vshufi64x2 $0xea, KEEP, KEEP, KHI
	jmp	.Lkeys\@
.Lunit\@:				// one of several
	NEXT_UNIT TMP
	SPREAD_TWEAK TMP
.Lready\@:
	movq	LEN, LEFT
	jmp	.Lbulk_test\@
.p2align 5
.Lbulk_unit\@:
	CRYPT4	\enc, \bits, T0, T1, T2, T3, 0, KLAST
	CRYPT4	\enc, \bits, T4, T5, T6, T7, 256, KLAST
	ADVANCE 512
.Lbulk_test\@:
	subq	$512, LEFT
	ja	.Lbulk_unit\@
	jb	.Lbulk_done\@
	CRYPT4	\enc, \bits, T0, T1, T2, T3, 0
	NEXT_UNIT TMP
	NEXT_T0_T3 TMP
	CRYPT4	\enc, \bits, T4, T5, T6, T7, 256
	NEXT_T4_T7
	ADVANCE 512
	incq	UNIT
	cmpq	UNIT, UNITS
	je	.Ldone\@
	testb	$7, UNIT8
	jnz	.Lready\@
	jmp	.Lnext_eight\@
.Lskip_blocks\@:
	MUL_ALPHA_BLOCK Q0, z
	jmp	.Lspread\@
.Lno_s\@:
	movl	$1, %eax
	jmp	.Lwipe\@
.endm

ENGINE_TEXT

/* Arguments and result: xts-avx512.inc */
SYM_FUNC_START(tresor_xts_avx512_enc_128)
	XTS	1, 128
SYM_FUNC_END(tresor_xts_avx512_enc_128)

SYM_FUNC_START(tresor_xts_avx512_dec_128)
	XTS	0, 128
SYM_FUNC_END(tresor_xts_avx512_dec_128)

SYM_FUNC_START(tresor_xts_avx512_enc_256)
	XTS	1, 256
SYM_FUNC_END(tresor_xts_avx512_enc_256)

SYM_FUNC_START(tresor_xts_avx512_dec_256)
	XTS	0, 256
SYM_FUNC_END(tresor_xts_avx512_dec_256)
