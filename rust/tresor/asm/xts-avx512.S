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
 * The data goes four blocks in a vector and eight vectors at a time (rounds-avx512.inc).  Round
 * keys take 15 registers, vectors 8, and their tweaks 8: 31.  What makes that enough is in
 * tweaks-avx512.inc, which has the steps from tweaks to later ones, too.  With several data units,
 * the next tweaks (Q0, Q1) and K2 (KEEP) take three of the registers: four vectors at a time.
 *
 * Rejected: masked vectors for blocks one at a time (a data unit is a power of two in practice).
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

#include "tweaks-avx512.inc"
#include "rounds-avx512.inc"
#include "keys-avx512.inc"

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
	SET_WIDTH y
	movq	DST_ARG, DST
	CALL_WINDOW tresor_load_s
	vpor	%xmm0, %xmm1, %xmm2
	DECLARE	verdict
	vptest	%xmm2, %xmm2
	jz	.Lno_s\@
	SET_WORD_MASKS
	UNWRAP	\bits
	movq	UNITS_ARG(%rsp), UNITS
	xorl	UNIT32, UNIT32
	movl	LEN32, REM32
	andl	$15, REM32
	jz	.Lkeys\@
	subq	REM, LEN
	subq	$16, LEN		// the last whole block takes part in the stealing
.Lkeys\@:
	cmpq	$1, UNITS
	jne	.Lseveral\@
	KEYS	\enc, \bits
	testq	BLOCK, BLOCK
	jnz	.Lskip_blocks\@
.Lspread\@:
	FIRST_LOW Q0
	movq	LEN, LEFT
	subq	$512, LEFT
	jb	.Lbulk_done\@
.p2align 5
.Lbulk\@:
	FRONT8	\enc, \bits
	MIDDLE8	\enc, \bits
	subq	$512, LEFT
	jb	.Lbulk_last\@
	BACK8	\enc, \bits, 1
	ADVANCE 512
	jmp	.Lbulk\@
.Lbulk_last\@:
	BACK8	\enc, \bits, 0
	ADVANCE 512
	addq	$512, LEFT
	jnz	.Lmore\@
	testl	REM32, REM32
	jz	.Lunit_done\@
.Lmore\@:
.irp i, 0,1,2,3
	LOW	\i, %zmm\i
.endr
	jmp	.Lrest\@
.Lbulk_done\@:
	addq	$512, LEFT
.Lrest\@:
	testq	LEFT, LEFT
	jz	.Lblocks_done\@
	subq	$256, LEFT
	jb	.Lvectors\@
	CRYPT4	\enc, \bits, T0, T1, T2, T3, 0
.irp i, 0,1,2,3
	HIGH	\i, %zmm\i
.endr
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
	kxord	LANE1, LANE1, LANE1
	WIPE
	RET
.Lnext_unit\@:
	testb	$7, UNIT8
	jnz	.Lunit\@
	jmp	.Lnext_eight\@
.Lseveral\@:
	KEEP_KEYS \bits
	SET_WIDTH z
.Lnext_eight\@:
	KEYS_OF_SEVERAL \enc, \bits
.Lunit\@:
	TWEAK_OF_UNIT TMP
	FIRST_LOW TMP
.Lready\@:
	NEXT_UNIT
	movq	LEN, LEFT
	jmp	.Lbulk_test\@
.p2align 5
.Lbulk_unit\@:
	CRYPT4	\enc, \bits, T0, T1, T2, T3, 0, HIGH
	testq	LEFT, LEFT
	jz	.Lbulk_unit_last\@
	CRYPT4	\enc, \bits, T4, T5, T6, T7, 256, LOW
	ADVANCE 512
.Lbulk_test\@:
	subq	$512, LEFT
	jae	.Lbulk_unit\@
	jmp	.Lbulk_done\@
.Lbulk_unit_last\@:
	TWEAK_OF_UNIT TMP
	CRYPT4	\enc, \bits, T4, T5, T6, T7, 256, FIRST_LOW_BESIDE
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
