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
 * out of an upper half, and two for tweaks, which hold four in their halves.
 *
 * A block takes 14 latencies of AES, some 60 cycles, and the AES instructions of a turn of four 28,
 * so the CPU has to work on several turns at once.  It looks ahead as far as its schedulers have
 * room for what waits: 64 instructions on Zen 4, and a turn has a hundred.  So their order counts:
 *
 *   - A block begins as soon as the one before it in its register has ended, with as little between
 *     them as can be (NEXT_FOUR).  Each then is spread over nearly a whole turn, and what the CPU
 *     sees at any time is rounds of four blocks that do not wait for each other.
 *   - The doublings and moves for the next tweaks are between rounds.  In a row, they would hide
 *     the rounds after them.
 *   - The last round key takes up the tweak, in place of an XOR that the block waits for.
 *
 * What bounds it: AES instructions, 14 a block at two a cycle; 6 extractions of keys, 4 moves of
 * tweaks and 20 instructions for four doublings compete for their ports.
 *
 * Rejected, none measured faster: the first XOR and the store as ymm (vxorps; more moves between
 * halves cost more than the XORs saved); the carry of a doubling by vblendvps (it takes AES's ports
 * on Zen 4) or by vpcmpgtd; vperm2f128 for vextractf128; five blocks, with tweaks in the halves
 * that K2 leaves where there is one data unit; six, with tweaks made again after the rounds.
 *
 * Rejected untried: rounds in the encoding of SSE, which keeps upper halves and so makes room,
 * because Sandy Bridge to Broadwell pay for each change of encoding.
 */

#include <linux/linkage.h>

.set KX,	%xmm4	// a round key out of an upper half
.set T,		%xmm5	// tweak of the next block
.set T3,		%xmm6	// tweak of a turn's last block
.set T0T1,	%ymm5	// tweaks of a turn, T0 and T3 in lower halves
.set T3T2,	%ymm6

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
	AES_WALK \bits, 1, %xmm1, %xmm2, %xmm3, %xmm4
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

/* Begin block \x of a turn, whose tweak is \t. */
.macro BEGIN x, t
	vpxor	LO0, \t, %xmm\x
	vpxor	16*\x(SRC), %xmm\x, %xmm\x
.endm

/* A round of block \x alone: a \round for OPENING_ROUNDS and CLOSING_ROUNDS */
.macro ROUND_OF x, op, i
	\op	LO\i, %xmm\x, %xmm\x
.endm

/* A round of the blocks from \first on: another one */
.macro ROUND_FROM first, op, i
.irp x, 0,1,2,3
.if \x >= \first
	\op	LO\i, %xmm\x, %xmm\x
.endif
.endr
.endm

/* Bring block \x with tweak \t to its end.  Clobbers KX; \t may be KX. */
.macro FINISH enc, x, t
	vpxor	LO8, \t, KX
	CLOSING_ROUNDS \enc, \x, ROUND_OF
	LAST_ROUND \enc, KX, %xmm\x, %xmm\x
	DECLARE	block
	vmovdqu	%xmm\x, 16*\x(DST)
.endm

/* Begin the first four blocks. */
.macro FIRST_FOUR enc
	BEGIN	0, T
	DOUBLE	X1, T, KX
	DOUBLE	X2, X1, KX
	DOUBLE	T3, X2, KX
	vinsertf128 $1, X1, T0T1, T0T1
	vinsertf128 $1, X2, T3T2, T3T2
	BEGIN	1, X1
	BEGIN	2, X2
	BEGIN	3, T3
	OPENING_ROUNDS \enc, 0, ROUND_FROM
.endm

/* End four blocks and begin the next four. */
.macro NEXT_FOUR enc
	FINISH	\enc, 0, T
	vextractf128 $1, T0T1, KX
	DOUBLE	T, T3, X0
	BEGIN	0, T
	FINISH	\enc, 1, KX
	DOUBLE	X1, T, KX
	vinsertf128 $1, X1, T0T1, T0T1
	vextractf128 $1, T3T2, KX
	OPENING_ROUNDS \enc, 0, ROUND_OF
	FINISH	\enc, 2, KX
	DOUBLE	X2, X1, KX
	BEGIN	1, X1
	FINISH	\enc, 3, T3
	DOUBLE	T3, X2, KX
	vinsertf128 $1, X2, T3T2, T3T2
	BEGIN	2, X2
	BEGIN	3, T3
	OPENING_ROUNDS \enc, 1, ROUND_FROM
.endm

/* End the last four; T is the tweak after theirs. */
.macro LAST_FOUR enc
	FINISH	\enc, 0, T
	vextractf128 $1, T0T1, KX
	FINISH	\enc, 1, KX
	vextractf128 $1, T3T2, KX
	FINISH	\enc, 2, KX
	FINISH	\enc, 3, T3
	DOUBLE	T, T3, KX
.endm

/* Four blocks at a time; T, SRC, DST and LEFT move on. */
.macro BULK enc, bits
	cmpq	$64, LEFT
	jb	.Lfew\@
	FIRST_FOUR \enc
	jmp	.Lmiddle\@
.p2align 4
.Lfour\@:
	NEXT_FOUR \enc
	addq	$64, DST
.Lmiddle\@:
	UPPER_ROUNDS \enc, \bits, 4, ROUND
	addq	$64, SRC
	subq	$64, LEFT
	cmpq	$64, LEFT
	jae	.Lfour\@
	LAST_FOUR \enc
	addq	$64, DST
.Lfew\@:
.endm

/* For NEXT_UNIT.  Clobbers the blocks, and T. */
.macro TWO_TWEAKS bits
	vpaddq	.Lctr1(%rip), X0, X1
	vextractf128 $1, IN_K2A, X2
.if \bits == 256
	vextractf128 $1, IN_K2B, X3
.endif
	AES_WALK \bits, 2, X2, X3, %xmm4, %xmm5
	vinsertf128 $1, X1, IN0, IN0
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
