/* SPDX-License-Identifier: GPL-2.0 */
/*
 * XTS-AES-128 and XTS-AES-256 with AES-NI and AVX1 in sixteen ymm registers, keys derived from the
 * register secret
 *
 * For CPUs with AES-NI and AVX but not VAES: Sandy Bridge (2011) to Comet Lake, AMD Bulldozer to
 * Zen 2.  All round keys stay in registers (aes-vex.inc), so unlike the SSE engine this one does
 * not walk the schedule again and again.
 *
 * Four blocks at a time in xmm0-3.  That is all that nine registers of keys leave: one for a key
 * out of an upper half, and two for tweaks, which hold four in their halves.  The blocks of one
 * turn wait for each other's rounds less than it seems: the next turn depends on this one through
 * the tweaks only, and out-of-order execution runs two or three turns at once.
 *
 * What bounds it: AES instructions, 14 a block at two a cycle; 6 extractions of keys, 4 moves of
 * tweaks and 20 instructions for four doublings compete for their ports.
 *
 * Rejected, none measured faster: the first XOR, the last XOR and the store as ymm (vxorps; four
 * more moves between halves cost more than the XORs saved); the carry of a doubling by vblendvps or
 * by vpcmpgtd; vperm2f128 for vextractf128; five blocks, with tweaks in the halves that K2 leaves
 * where there is one data unit (one per cent on Zen 4).
 *
 * Rejected untried: rounds in the encoding of SSE, which keeps upper halves and so makes room,
 * because Sandy Bridge to Broadwell pay for each change of encoding.
 */

#include <linux/linkage.h>

.set KX,	%xmm4	// a round key out of an upper half
.set T,		%xmm5	// tweak of the next block
.set T1,		%xmm6
.set T0T2,	%ymm5	// tweaks of a turn: two in lower, two in upper halves
.set T1T3,	%ymm6

#include "xts-vex.inc"

.section .rodata, "a", @progbits
.p2align 4
.Lctr1:	.quad	1, 0
.Lctr2:	.quad	2, 0
.Lctr3:	.quad	3, 0

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

/* UNWRAP has made the first tweak. */
.macro TWEAK_ROUND op, key
.endm

/* From S to all round keys and the first tweak */
.macro KEYS enc, bits
	UNWRAP	\bits
	EXPAND	\enc, \bits, LO, xmm
	vmovdqa	%xmm4, T
.endm

/* Four blocks at a time; T, SRC, DST and LEFT move on. */
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
	DECLARE	block
	vmovdqu	X0, (DST)
	vextractf128 $1, T0T2, KX
	vpxor	T1, X1, X1
	DECLARE	block
	vmovdqu	X1, 16(DST)
	vpxor	KX, X2, X2
	DECLARE	block
	vmovdqu	X2, 32(DST)
	vextractf128 $1, T1T3, KX
	vpxor	KX, X3, X3
	DECLARE	block
	vmovdqu	X3, 48(DST)
	DOUBLE	T, KX, X0
	addq	$64, SRC
	addq	$64, DST
	subq	$64, LEFT
.Lfour_test\@:
	cmpq	$64, LEFT
	jae	.Lfour\@
.endm

ENGINE_TEXT

/*
 * int tresor_xts_avx_enc_128(const u8 handle[80], const u8 *src, u8 *dst, size_t len, const u8
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
