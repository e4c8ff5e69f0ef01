/* SPDX-License-Identifier: GPL-2.0 */
/*
 * XTS-AES-128 and XTS-AES-256 with AES-NI on the 32 vector registers of AVX-512VL, without VAES
 *
 * HEAD
 */

#include <linux/linkage.h>
#include "window.inc"

.set HANDLE,	%rdi	// const u8[80]: iv, then mask
.set SRC,	%rsi
.set DST_ARG,	%rdx	// the windows clear %rdx, so it moves to DST at once
.set LEN,	%rcx	// of a data unit in bytes; later of its blocks before the stealing
.set LEN32,	%ecx
.set TWEAK_IV,	%r8	// const u8[16]: number of the first data unit
.set BLOCK,	%r9	// index of the first block in the data unit
.set DST,	%r10
.set UNITS,	%rdi	// after HANDLE is used
.set REM,	%rdx	// bytes of the partial block, 0..15
.set REM32,	%edx
.set UNIT,	%r11	// index of the data unit
.set UNIT32,	%r11d
.set LEFT,	%rax	// bytes of blocks left in the data unit

// While keys are made (C0-C5: SET_C):
.set D0, %xmm0		// D0-D7, KT: aes-schedule-avx512.inc
.set D1, %xmm1
.set D2, %xmm2
.set D3, %xmm3
.set D4, %xmm4
.set D5, %xmm5
.set D6, %xmm6
.set D7, %xmm7
.set KT, %xmm12
.set SLO, %xmm13	// S
.set SHI, %xmm14
.set K2LO, %xmm27	// K2; its turn comes before K1's round keys do
.set K2HI, %xmm28

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

.set PART,	%k4	// bytes of the partial block

.set MASK,	16	// offset of the mask in a handle

.section .rodata, "a", @progbits
.p2align 4
.Lzero:		.quad	0, 0
.Lone:		.quad	1, 0
.Lgf_poly_1:	.quad	0x86, 0		// x^128 + 1 = x^7 + x^2 + x
.Lgf_poly:	.quad	0x87, 1		// x^128 = x^7 + x^2 + x + 1
.Lrotword3:	.fill	4, 4, 0x0c0f0e0d
#define ZERO .Lzero(%rip)
#define ROTWORD3 .Lrotword3(%rip)
#define BCAST {1to4}
#include "aes-schedule-avx512.inc"

.macro SET_C a, b, c, d, e, f
	.set C0, %xmm\a
	.set C1, %xmm\b
	.set C2, %xmm\c
	.set C3, %xmm\d
	.set C4, %xmm\e
	.set C5, %xmm\f
.endm

/* Round keys of S: encrypt the counters in xmm8 .. that the handle's iv starts. */
.macro USE_S i, bits
.if \i == 0
	ON_STREAM \bits, vpxor, SLO
.elseif \i == 1
	ON_STREAM \bits, vaesenc, SHI
.elseif \i < 14
	ROUND_KEY KT
	ON_STREAM \bits, vaesenc, KT
.else
	ROUND_KEY_REST KT
.irp n, 11,10,9,8
.if \n - 8 < \bits / 64
	vmovdqu	MASK + 16*(\n - 8)(HANDLE), %xmm15
	vpternlogd $0x96, CUR_C, KT, %xmm15
	vaesenclast %xmm15, %xmm\n, %xmm\n
.endif
.endr
.endif
.endm
.macro ON_STREAM bits, op, key
.irp n, 11,10,9,8
.if \n - 8 < \bits / 64
	\op	\key, %xmm\n, %xmm\n
.endif
.endr
.endm

/* K1 to \k1lo and (AES-256) \k1hi, K2 to K2LO and K2HI, from S in xmm0 and xmm1 */
.macro UNWRAP bits, k1lo, k1hi
	vmovdqa	%xmm0, SLO
	vmovdqa	%xmm1, SHI
	vmovdqu	(HANDLE), %xmm8
	vpaddq	.Lone(%rip), %xmm8, %xmm9
	vpaddq	.Lone(%rip), %xmm9, %xmm10
	vpaddq	.Lone(%rip), %xmm10, %xmm11
	SET_C	24, 25, 26, 27, 28, 29
	SCHEDULE 256, SLO, SHI, USE_S, \bits
	vmovdqa64 %xmm8, \k1lo
.if \bits == 256
	vmovdqa64 %xmm9, \k1hi
	vmovdqa64 %xmm10, K2LO
	vmovdqa64 %xmm11, K2HI
.else
	vmovdqa64 %xmm9, K2LO
.endif
.endm

/* Round keys of K2: encrypt the first data unit's number in T0, and stay in upper halves. */
.macro USE_K2 i, bits
.if \i == 0
	vpxord	K2LO, T0, T0
	PUT_KEY	16, 1, K2LO
.elseif \i == 1 && \bits == 256
	vmovdqa64 K2HI, KT
	vaesenc	KT, T0, T0
	PUT_KEY	17, 1, KT
.else
	ROUND_KEY KT
.if \i < 6 + \bits / 32
	vaesenc	KT, T0, T0
.else
	vaesenclast KT, T0, T0
.endif
	PUT_KEY	16+\i, 1, KT
.endif
.endm

/* Round keys of K1, to lower halves */
.macro USE_K1 i, enc, bits, k1lo, k1hi
.if \i >= \bits / 128
	ROUND_KEY KT
.elseif \i == 1
	vmovdqa64 \k1hi, KT
.endif
.if \i > 0
.if \enc
	PUT_KEY	16+\i, 0, KT
.else
.if \i < 6 + \bits / 32
	vaesimc	KT, KT
.endif
	PUT_KEY	22+\bits/32-\i, 0, KT
.endif
.endif
.endm
.macro PUT_KEY n, half, key
.irp r, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
.if \r == \n
	vinserti32x4 $\half, \key, %ymm\r, %ymm\r
.endif
.endr
.endm

.macro KEYS enc, bits, k1lo, k1hi
	vmovdqu	(TWEAK_IV), T0
	SET_C	8, 10, 11, 13, 14, 15
	SCHEDULE \bits, K2LO, K2HI, USE_K2, \bits
	SCHEDULE \bits, \k1lo, \k1hi, USE_K1, \enc, \bits, \k1lo, \k1hi
	vmovdqa64 KLAST, %xmm0
	vinserti32x4 $2, %xmm0, %zmm17, %zmm17
	vpxord	%xmm0, KFIRST, %xmm1
	vinserti32x4 $0, %xmm1, KFIRST_Y, KFIRST_Y
	vmovdqa	%xmm0, %xmm1
	MUL_ALPHA8 %xmm1, %xmm0, %xmm2
	vinserti32x4 $0, %xmm1, KLAST_Y, KLAST_Y
.endm

/* T0 = AES_K2 of the number of data unit UNIT */
.macro NEXT_TWEAK bits
	vmovq	UNIT, KEY
	vpaddq	(TWEAK_IV), KEY, T0
.irp k, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
.if \k <= 22 + \bits / 32
	vextracti32x4 $1, %ymm\k, KEY
.if \k == 16
	vpxor	KEY, T0, T0
.elseif \k < 22 + \bits / 32
	vaesenc	KEY, T0, T0
.else
	vaesenclast KEY, T0, T0
.endif
.endif
.endr
.endm

/* \t = \t * alpha^8, XORed with \x.  Clobbers \tmp. */
.macro MUL_ALPHA8 t, x, tmp
	vpsrlq	$56, \t, \tmp
	vpclmulqdq $0x01, .Lgf_poly_1(%rip), \tmp, \tmp
	vpalignr $15, \t, \t, \t
	vpternlogd $0x96, \x, \tmp, \t
.endm

/* T0 = T0 * alpha^\r for \r in 0..64 in a general register (public; clobbered).  Clobbers xmm0-2 */
.macro MUL_ALPHA r, r32
	vmovq	\r, %xmm1
	negl	\r32
	addl	$64, \r32
	vmovq	\r, %xmm2
	vpsrlq	%xmm2, T0, %xmm0
	vpsllq	%xmm1, T0, T0
	vpclmulqdq $0x01, .Lgf_poly(%rip), %xmm0, %xmm1
	vpslldq	$8, %xmm0, %xmm0
	vpternlogd $0x96, %xmm0, %xmm1, T0
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
.if \enc
	vaesenc	KEY, %xmm\i, %xmm\i
.else
	vaesdec	KEY, %xmm\i, %xmm\i
.endif
.endif
.endr
.endif
.endr
.endm
.macro LAST_ROUND enc, t, x
.if \enc
	vaesenclast \t, \x, \x
.else
	vaesdeclast \t, \x, \x
.endif
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
	xorl	%eax, %eax
	btsl	REM32, %eax
	decl	%eax
	kmovd	%eax, PART
	vmovdqu	(SRC), %xmm0
	CRYPT1	\enc, \bits, \t_first
	vmovdqa	%xmm0, %xmm1
	vmovdqu8 16(SRC), %xmm0{PART}	// before the store: DST may be SRC
	vmovdqu8 %xmm1, 16(DST){PART}
	CRYPT1	\enc, \bits, \t_second
	vmovdqu	%xmm0, (DST)
.endm

.macro XTS enc, bits, k1lo, k1hi
.if \bits == 256
	.set KLAST, %xmm30
	.set KLAST_Y, %ymm30
.else
	.set KLAST, %xmm26
	.set KLAST_Y, %ymm26
.endif
	movq	DST_ARG, DST
	SET_WORD_MASKS
	CALL_WINDOW tresor_load_s
	vpor	%xmm0, %xmm1, %xmm2
	vptest	%xmm2, %xmm2
	jz	.Lno_s\@
	UNWRAP	\bits, \k1lo, \k1hi
	movq	8(%rsp), UNITS
	xorl	UNIT32, UNIT32
	KEYS	\enc, \bits, \k1lo, \k1hi
	movl	LEN32, REM32
	andl	$15, REM32
	jz	.Lalpha_test\@
	subq	REM, LEN
	subq	$16, LEN		// the last whole block takes part in the stealing
	jmp	.Lalpha_test\@
.Lalpha64\@:
	subq	$64, BLOCK
	movl	$64, %eax
	MUL_ALPHA %rax, %eax
.Lalpha_test\@:
	cmpq	$64, BLOCK
	jae	.Lalpha64\@
	testq	BLOCK, BLOCK
	jz	.Lunit\@
	MUL_ALPHA %r9, %r9d		// BLOCK
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
	CLEAR_WORD_MASKS
	kxord	PART, PART, PART
	vzeroall
.irp i, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	vpxord	%xmm\i, %xmm\i, %xmm\i
.endr
	RET
.endm

.text

/*
 * int tresor_xts_avx512vl_enc_128(const u8 handle[80], const u8 *src, u8 *dst, size_t len, const u8
 * tweak_iv[16], u64 first_block, u64 units)
 *
 * and enc_256, dec_128, dec_256 alike; as in xts-avx512.S.
 */
SYM_FUNC_START(tresor_xts_avx512vl_enc_128)
	XTS	1, 128, %xmm16, %xmm16
SYM_FUNC_END(tresor_xts_avx512vl_enc_128)

SYM_FUNC_START(tresor_xts_avx512vl_dec_128)
	XTS	0, 128, %xmm26, %xmm26
SYM_FUNC_END(tresor_xts_avx512vl_dec_128)

SYM_FUNC_START(tresor_xts_avx512vl_enc_256)
	XTS	1, 256, %xmm16, %xmm17
SYM_FUNC_END(tresor_xts_avx512vl_enc_256)

SYM_FUNC_START(tresor_xts_avx512vl_dec_256)
	XTS	0, 256, %xmm30, %xmm29
SYM_FUNC_END(tresor_xts_avx512vl_dec_256)
