/* SPDX-License-Identifier: GPL-2.0 */
/*
 * XTS-AES-128 and XTS-AES-256 with VAES and VPCLMULQDQ on AVX-512 registers
 *
 * HEAD
 */

#include <linux/linkage.h>
#include "window.inc"

#define BCAST {1to16}

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
.set LEFT32,	%eax

// While keys are made:
.set D0, %zmm0		// D0-D7, C0-C5: aes-schedule-avx512.inc
.set D1, %zmm1
.set D2, %zmm2
.set D3, %zmm3
.set D4, %zmm7
.set D5, %zmm8
.set D6, %zmm9
.set D7, %zmm10
.set C0, %zmm11
.set C1, %zmm12
.set C2, %zmm13
.set C3, %zmm14
.set C4, %zmm15
.set C5, %zmm31
.set KLO, %zmm22	// K2 in lanes 0-2, K1 in lane 3: first round key
.set KHI, %zmm23	// second (AES-256)
.set SLO, %zmm24	// S
.set SHI, %zmm25

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

.set PART,	%k4	// bytes or qwords of a partial vector
.set LANE3,	%k5	// dwords

.set MASK,	16	// offset of the mask in a handle

.section .rodata, "a", @progbits
.p2align 6
.Lzero:		.fill	8, 8, 0
.Lrotword3:	.fill	16, 4, 0x0c0f0e0d
.Lunits0:	.quad	0, 0, 1, 0, 2, 0, 0, 0
.Lunits4:	.quad	4, 0, 5, 0, 6, 0, 0, 0
.Lunits3:	.quad	3, 0, 7, 0, 0, 0, 0, 0
.Lblocks02:	.quad	2, 0, 2, 0, 2, 0, 0, 0
.Lblocks01:	.quad	1, 0, 1, 0, 1, 0, 0, 0
.Lone:			.quad	1, 0, 1, 0, 1, 0, 1, 0
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
#define ZERO .Lzero(%rip)
#define ROTWORD3 .Lrotword3(%rip)
#include "aes-schedule-avx512.inc"

/* Round keys of S: encrypt the counters that the handle's iv starts. */
.macro USE_S i, bits
.if \i == 0
	ON_STREAM \bits, vpxord, SLO
.elseif \i == 1
	ON_STREAM \bits, vaesenc, SHI
.elseif \i < 14
	ROUND_KEY KT
	ON_STREAM \bits, vaesenc, KT
.else
	ROUND_KEY_REST KT
.if \bits == 256
	vpternlogd $0x96, CUR_C, KT, %zmm27
	vaesenclast %zmm27, KHI, KHI
.endif
	vpternlogd $0x96, CUR_C, KT, %zmm26
	vaesenclast %zmm26, KLO, KLO
.endif
.endm
.macro ON_STREAM bits, op, key
	\op	\key, KLO, KLO
.if \bits == 256
	\op	\key, KHI, KHI
.endif
.endm

/* KLO, KHI and KEEP from S in xmm0 and xmm1 */
.macro UNWRAP bits
	vinserti128 $1, %xmm1, %ymm1, %ymm1
	vinserti128 $1, %xmm0, %ymm0, %ymm0
	vinserti64x4 $1, %ymm1, %zmm1, SHI
	vinserti64x4 $1, %ymm0, %zmm0, SLO
	movl	$0xf000, %eax
	kmovd	%eax, LANE3
	vbroadcasti32x4 (HANDLE), KLO
.if \bits == 256
	vpaddq	.Lblocks02(%rip), KLO, KLO
	vpaddq	.Lone(%rip), KLO, KHI
	vbroadcasti32x4 MASK+32(HANDLE), %zmm26
	vbroadcasti32x4 MASK+48(HANDLE), %zmm27
	vbroadcasti32x4 MASK(HANDLE), %zmm26{LANE3}
	vbroadcasti32x4 MASK+16(HANDLE), %zmm27{LANE3}
.else
	vpaddq	.Lblocks01(%rip), KLO, KLO
	vbroadcasti32x4 MASK+16(HANDLE), %zmm26
	vbroadcasti32x4 MASK(HANDLE), %zmm26{LANE3}
.endif
	SCHEDULE 256, SLO, SHI, USE_S, \bits
.if \bits == 256
	vshufi64x2 $0xcc, KHI, KLO, KEEP
.else
	vshufi64x2 $0xcc, KLO, KLO, KEEP
.endif
.endm

/*
 * Round keys of K2 encrypt the numbers of eight data units, three in a vector; those of K1 go to
 * their registers.  EVEX has no aesimc: InvMixColumns = vaesdec(S-box).
 */
.macro USE_K i, enc, bits, several
.if \i == 0
	USE_KEY	\i, \enc, \bits, \several, vpxord, KLO
.elseif \i == 1 && \bits == 256
	USE_KEY	\i, \enc, \bits, \several, vaesenc, KHI
.elseif \i < 6 + \bits / 32
	ROUND_KEY KT
	USE_KEY	\i, \enc, \bits, \several, vaesenc, KT
.else
	ROUND_KEY KT
	USE_KEY	\i, \enc, \bits, \several, vaesenclast, KT
.endif
.endm
.macro USE_KEY i, enc, bits, several, op, key
	\op	\key, Q0, Q0
.if \several
	\op	\key, QR, QR
	\op	\key, Q1, Q1
.endif
.if \enc
	PUT_K1	\i, 16+\i, \enc, \bits, \key
.else
	PUT_K1	\i, 22+\bits/32-\i, \enc, \bits, \key
.endif
.endm
.macro PUT_K1 i, n, enc, bits, key
.if \i == 5 + \bits / 32		// its register may still be QR
	INV_MIX	\enc, \key, D7
.else
.irp r, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
.if \r == \n
.if \enc == 0 && \i > 0 && \i < 6 + \bits / 32
	INV_MIX	\enc, \key, %zmm\r
	vshufi32x4 $0xff, %zmm\r, %zmm\r, %zmm\r
.else
	vshufi32x4 $0xff, \key, \key, %zmm\r
.endif
.endif
.endr
.endif
.endm
.macro INV_MIX enc, key, out
.if \enc
	vmovdqa64 \key, \out
.else
	vaesenclast ZERO, \key, \out
	vaesdec	ZERO, \out, \out
.endif
.endm

/*
 * From KLO and KHI: round keys of K1; Q0, Q1 = first tweaks of data units UNIT .. UNIT + 7, or if
 * there is only one, its first tweak in all lanes of Q0.
 */
.macro KEYS enc, bits
	vbroadcasti32x4 (TWEAK_IV), Q0
	cmpq	$1, UNITS
	jne	.Lseveral\@
	SCHEDULE \bits, KLO, KHI, USE_K, \enc, \bits, 0
	vinserti32x4 $3, Q0X, Q0, Q0
	jmp	.Lkeys_done\@
.Lseveral\@:
	vpbroadcastq UNIT, QR{WORDS02}{z}
	vpaddq	QR, Q0, Q0
	vpaddq	.Lunits3(%rip), Q0, QR
	vpaddq	.Lunits4(%rip), Q0, Q1
	vpaddq	.Lunits0(%rip), Q0, Q0
	SCHEDULE \bits, KLO, KHI, USE_K, \enc, \bits, 1
	vinserti32x4 $3, QRX, Q0, Q0
	vextracti32x4 $1, QR, QRX
	vinserti32x4 $3, QRX, Q1, Q1
.Lkeys_done\@:
.endm

/* \t = \t * alpha in each lane.  Clobbers TMP. */
.macro DOUBLE t
	vpshufd	$0x13, \t, TMP
	vpaddq	\t, \t, \t
	vpsrad	$31, TMP, TMP
	vpternlogd $0x78, .Lgf_poly(%rip), TMP, \t
.endm

/* \t = \t * alpha^32 in each lane, XORed with \x.  Clobbers \tmp. */
.macro MUL_ALPHA32 t, x, tmp
	vpsrlq	$32, \t, \tmp
	vpshufd	$0x93, \t, \t
	vpclmulqdq $0x01, .Lgf_poly_1(%rip), \tmp, \tmp
	vpternlogd $0x96, \x, \tmp, \t
.endm

/* Q0 = Q0 * alpha^\r for \r in 0..64 in a general register (public; clobbered).  Clobbers zmm0-2 */
.macro MUL_ALPHA r, r32
	vmovq	\r, %xmm1
	negl	\r32
	addl	$64, \r32
	vmovq	\r, %xmm2
	vpsrlq	%xmm2, Q0, %zmm0
	vpsllq	%xmm1, Q0, Q0
	vpclmulqdq $0x01, .Lgf_poly(%rip), %zmm0, %zmm1
	vpslldq	$8, %zmm0, %zmm0
	vpternlogd $0x96, %zmm0, %zmm1, Q0
.endm

/*
 * T0-T7 = \t * alpha^0 .. \t * alpha^31, each XORed with the last round key; \t has the same in all
 * lanes.  Clobbers zmm0-2.
 */
.macro SPREAD_TWEAK t
	vpxord	K0, KFIRST, %zmm2
.irp i, 0,1,2,3,4,5,6,7
	vpsrlvq	.Lright + 64*\i(%rip), \t, %zmm0
	vpsllvq	.Lleft + 64*\i(%rip), \t, T\i
	vpclmulqdq $0x01, .Lgf_poly_1(%rip), %zmm0, %zmm1
	vpshufd	$0x4e, %zmm0, %zmm0
	vpxord	%zmm2, T\i, T\i
	vpternlogd $0x96, %zmm0, %zmm1, T\i
.endr
.endm

/* All rounds between the first XOR and the last round on zmm0 .. zmm\n-1 */
.macro ROUNDS enc, bits, n
.irp k, 17,18,19,20,21,22,23,24,25,26,27,28,29
.if \k < 22 + \bits / 32
.irp i, 0,1,2,3,4,5,6,7
.if \i < \n
.if \enc
	vaesenc	%zmm\k, %zmm\i, %zmm\i
.else
	vaesdec	%zmm\k, %zmm\i, %zmm\i
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

/* XTS of zmm0 with tweak \t */
.macro CRYPT_VECTOR enc, bits, t
	vpternlogd $0x96, \t, KFIRST, %zmm0
	ROUNDS	\enc, \bits, 1
	LAST_ROUND \enc, \t, %zmm0
.endm

/* XTS of zmm0 .. zmm\n-1, loaded from \offset(SRC) on and stored, with the tweaks after it */
.macro LOAD_VECTOR i, t, offset
	vmovdqu64 64*\i + \offset(SRC), %zmm\i
	vpternlogd $0x96, \t, KFIRST, %zmm\i
.endm
.macro STORE_VECTOR enc, i, t, offset, step
	LAST_ROUND \enc, \t, %zmm\i
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

.macro ADVANCE n
	subq	$-\n, SRC
	subq	$-\n, DST
.endm

/* k = the \n lowest bits, \n < 16.  Clobbers %eax. */
.macro LOW_BITS n, k
	xorl	%eax, %eax
	btsl	\n, %eax
	decl	%eax
	kmovd	%eax, \k
.endm

/*
 * The last 16 + REM bytes (IEEE 1619, 5.3.2 and 5.4.2), tweak in T0 as it is: the block's first REM
 * bytes after one encryption end the data unit; the partial block takes their place for another
 * one. Decryption uses the two tweaks in the other order.
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
	vmovdqu8 %xmm1, 16(DST){PART}
	CRYPT_VECTOR \enc, \bits, T1
	vmovdqu	%xmm0, (DST)
.endm

.macro XTS enc, bits
.if \enc		// KT and QR live where the last two keys go
	.set KT, %zmm30
	.set QR, %zmm29
	.set QRX, %xmm29
.else
	.set KT, %zmm16
	.set QR, %zmm17
	.set QRX, %xmm17
.endif
	movq	DST_ARG, DST
	SET_WORD_MASKS
	CALL_WINDOW tresor_load_s
	vpor	%xmm0, %xmm1, %xmm2
	vptest	%xmm2, %xmm2
	jz	.Lno_s\@
	UNWRAP	\bits
	movq	8(%rsp), UNITS
	xorl	UNIT32, UNIT32
	movl	LEN32, REM32
	andl	$15, REM32
	jz	.Lkeys\@
	subq	REM, LEN
	subq	$16, LEN		// the last whole block takes part in the stealing
.Lkeys\@:
	KEYS	\enc, \bits
.if \bits == 256
	.set KLAST, %zmm30
.else
	.set KLAST, %zmm26
.endif
.if \enc == 0
	vshufi32x4 $0xff, D7, D7, %zmm17
.elseif \bits == 256
	vshufi32x4 $0xff, D7, D7, %zmm29
.else
	vshufi32x4 $0xff, D7, D7, %zmm25
.endif
	vmovdqa64 KFIRST, K0
	vpxord	KLAST, KFIRST, KFIRST
	vmovdqa64 KLAST, %zmm0
	MUL_ALPHA32 KLAST, %zmm0, %zmm1
	cmpq	$1, UNITS
	jne	.Lunit\@
	testq	BLOCK, BLOCK
	jnz	.Lalpha_test\@
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
	movl	LEFT32, %r9d		// 2, 4 or 6 qwords
	LOW_BITS %r9d, PART
	vmovdqu64 (SRC), %zmm0{PART}{z}
	CRYPT_VECTOR \enc, \bits, T0
	vmovdqu64 %zmm0, (DST){PART}
	leaq	(SRC, %r9, 8), SRC
	leaq	(DST, %r9, 8), DST
	testl	REM32, REM32
	jz	.Lunit_done\@
	vpternlogd $0x96, K0, KFIRST, T0
.Ldouble\@:
	DOUBLE	T0
	subl	$2, %r9d
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
	xorl	%eax, %eax
.Lwipe\@:
	CLEAR_WORD_MASKS
	kxord	PART, PART, PART
	kxord	LANE3, LANE3, LANE3
	vzeroall
.irp i, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	vpxord	%xmm\i, %xmm\i, %xmm\i
.endr
	RET
.Lnext_unit\@:
	testb	$7, %r11b		// UNIT
	jnz	.Lunit\@
	vshufi64x2 $0x40, KEEP, KEEP, KLO
	vshufi64x2 $0xea, KEEP, KEEP, KHI
	jmp	.Lkeys\@
.Lunit\@:				// one of several
	vshufi64x2 $0, Q0, Q0, TMP
	valignq	$2, Q0, Q1, Q0
	valignq	$2, Q1, Q1, Q1
	SPREAD_TWEAK TMP
	movq	LEN, LEFT
	subq	$512, LEFT
	jb	.Lbulk_done\@
.p2align 5
.Lbulk_unit\@:
	CRYPT4	\enc, \bits, T0, T1, T2, T3, 0, KLAST
	CRYPT4	\enc, \bits, T4, T5, T6, T7, 256, KLAST
	ADVANCE 512
	subq	$512, LEFT
	jae	.Lbulk_unit\@
	jmp	.Lbulk_done\@
.Lalpha64\@:
	subq	$64, BLOCK
	movl	$64, %eax
	MUL_ALPHA %rax, %eax
.Lalpha_test\@:
	cmpq	$64, BLOCK
	jae	.Lalpha64\@
	MUL_ALPHA %r9, %r9d		// BLOCK
	jmp	.Lspread\@
.Lno_s\@:
	movl	$1, %eax
	jmp	.Lwipe\@
.endm

.text
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
