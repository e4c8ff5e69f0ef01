/* SPDX-License-Identifier: GPL-2.0 */
/*
 * XTS-AES-128 and XTS-AES-256 without AES-NI, in sixteen xmm registers, keys derived from the
 * register secret
 *
 * For every x86-64 CPU with SSSE3 (Core 2, 2006, and later): a fallback, so that a volume can be
 * read everywhere.  AES: aes-ssse3.inc.
 *
 * One call does a run of blocks of one data unit, or several whole data units.  For each unit:
 *
 *   1. S from its home into two registers (the window).  S all zero: no S on this CPU, return 1 and
 *      touch nothing.
 *   2. K1 || K2 = mask ^ AES-256_S(iv + 0..3) (XTS-AES-128: two blocks); S is forgotten.
 *   3. T = AES_K2(tweak iv + unit) * alpha^first_block; K2 is forgotten.
 *   4. four blocks at a time, then one at a time; the last 17..31 bytes by ciphertext stealing.
 *
 * And in the end every register is wiped.  Four blocks, because a round needs four temporaries and
 * the schedule four registers more; K1 and the tweak fill the rest.  So tweaks are doubled twice
 * instead of kept, and K2 does not fit beside K1: each unit begins again from S, which costs four
 * blocks at once and one alone.
 *
 * Memory is written through DST only, and only finished blocks.  Branches depend on lengths and on
 * whether S is zero.
 */

#include <linux/linkage.h>
#define WITHOUT_SSE4_1
#include "window.inc"
#include "aes-ssse3.inc"
#include "aes-walk.inc"

#define UNITS	8(%rsp)	/* data units: the seventh argument */

.set HANDLE,	%rdi	// const u8[80]: iv, then mask
.set SRC,	%rsi
.set DST_ARG,	%rdx	// the windows clear %rdx, so it moves to DST at once
.set LEN,	%rcx	// bytes of a data unit
.set LEN32,	%ecx
.set LEN8,	%cl
.set TWEAK_IV,	%r8	// const u8[16]: number of the first data unit
.set BLOCK,	%r9	// one data unit: index of the first block in it
.set BLOCK32,	%r9d
.set UNIT,	%r9	// several: index of the data unit (first_block is 0 then)
.set DST,	%r10
.set LEFT,	%rdx	// bytes of whole blocks left before the stealing
.set REM,	%r8	// when all units are numbered: bytes of the partial block, 1..15
.set REM32,	%r8d
.set START_A,	%xmm12	// where each walk of the schedule of K1 starts
.set START_B,	%xmm13
.set RUN,	%xmm14	// tweak of the next block within four
.set NEXT,	%xmm14	// while stealing: the other tweak
.set T,		%xmm15	// tweak of the next block
.set TMP,	KT

.set MASK,	16	// offset of the mask in a handle

#include "xts.inc"

/* One walk of the schedule of K1 over \n blocks */
.macro CRYPT enc, bits, n
	movdqa	START_A, KA
	movdqa	START_B, KB
.if \enc
	AES_ENC	\bits, \n
.else
	AES_DEC	\bits, \n
.endif
.endm

/* KA (and KB) = start of the walk of a key: mask at \offset ^ \lo (and \hi) */
.macro UNWRAP bits, offset, lo, hi
	movdqu	MASK+\offset(HANDLE), KA
	pxor	\lo, KA
.if \bits == 256
	movdqu	MASK+\offset+16(HANDLE), KB
	pxor	\hi, KB
.endif
	SET_KEY	\bits
.endm

/* START_A, START_B = where walks with K1 start; T = tweak of the first block of the data unit */
.macro UNWRAP_BOTH enc, bits
	KEY_STREAM (\bits / 64), (HANDLE), X0, X1
	UNWRAP	\bits, 0, X0, X1	// K1
.if \enc == 0
	AES_ENC	\bits, 0
.endif
	movdqa	KA, START_A
	movdqa	KB, START_B
.if \bits == 128
	UNWRAP	128, 16, X1		// K2
.else
	UNWRAP	256, 32, X2, X3
.endif
	movdqu	(TWEAK_IV), X0
	cmpq	$1, UNITS
	je	.Lnumbered\@
	movq	UNIT, X1
	paddq	X1, X0
.Lnumbered\@:
	AES_ENC	\bits, 1
	movdqa	X0, T
.endm

/* \n blocks from SRC to DST, with the tweaks from T on; T, SRC, DST and LEFT move on. */
.macro XTS_BLOCKS enc, bits, n
	movdqa	T, RUN
.irp i, 0,1,2,3
.if \i < \n
	movdqu	16*\i(SRC), %xmm\i
	pxor	RUN, %xmm\i
	DOUBLE	RUN, TMP
.endif
.endr
	CRYPT	\enc, \bits, \n
.irp i, 0,1,2,3
.if \i < \n
	pxor	T, %xmm\i
	DECLARE	block
	movdqu	%xmm\i, 16*\i(DST)
	DOUBLE	T, TMP
.endif
.endr
	addq	$16*\n, SRC
	addq	$16*\n, DST
	subq	$16*\n, LEFT
.endm

.macro XTS enc, bits
	movq	DST_ARG, DST
.Lunit\@:
	CALL_WINDOW tresor_load_s
	TEST_ZERO X0, X1, X2		// declassified: whether S is zero
	jz	.Lno_s\@
	UNWRAP_BOTH \enc, \bits
	cmpq	$1, UNITS
	jne	.Lblocks\@
	MUL_ALPHA_ANY BLOCK, BLOCK32
.Lblocks\@:
	movq	LEN, LEFT
	andq	$-16, LEFT
	testb	$15, LEN8
	jz	.Lbulk_test\@
	subq	$16, LEFT		// the last whole block takes part in the stealing
	jmp	.Lbulk_test\@
.p2align 4
.Lbulk\@:
	XTS_BLOCKS \enc, \bits, 4
.Lbulk_test\@:
	cmpq	$64, LEFT
	jae	.Lbulk\@
	jmp	.Lsingle_test\@
.Lsingle\@:
	XTS_BLOCKS \enc, \bits, 1
.Lsingle_test\@:
	testq	LEFT, LEFT
	jnz	.Lsingle\@
	cmpq	$1, UNITS
	je	.Ltail\@
	incq	UNIT
	cmpq	UNITS, UNIT
	jne	.Lunit\@
	jmp	.Ldone\@
.Ltail\@:
	movl	LEN32, REM32
	andl	$15, REM32
	jz	.Ldone\@
	STEAL	\enc, \bits
.Ldone\@:
	xorl	%eax, %eax
	WIPE_XMM
	RET
.Lno_s\@:
	movl	$1, %eax
	WIPE_XMM
	RET
.endm

ENGINE_TEXT

/*
 * int tresor_xts_ssse3_enc_128(const u8 handle[80], const u8 *src, u8 *dst, size_t len, const u8
 * tweak_iv[16], u64 first_block, u64 units)
 *
 * and enc_256, dec_128, dec_256 alike: the interface of xts-aesni.S.
 */
SYM_FUNC_START(tresor_xts_ssse3_enc_128)
	XTS	1, 128
SYM_FUNC_END(tresor_xts_ssse3_enc_128)

SYM_FUNC_START(tresor_xts_ssse3_dec_128)
	XTS	0, 128
SYM_FUNC_END(tresor_xts_ssse3_dec_128)

SYM_FUNC_START(tresor_xts_ssse3_enc_256)
	XTS	1, 256
SYM_FUNC_END(tresor_xts_ssse3_enc_256)

SYM_FUNC_START(tresor_xts_ssse3_dec_256)
	XTS	0, 256
SYM_FUNC_END(tresor_xts_ssse3_dec_256)
