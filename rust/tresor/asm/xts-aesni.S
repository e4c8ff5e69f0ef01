/* SPDX-License-Identifier: GPL-2.0 */
/*
 * XTS-AES-128 and XTS-AES-256 with AES-NI in sixteen xmm registers (no AVX), keys derived from the
 * register secret
 *
 * For every x86-64 CPU with AES-NI and SSE4.1 (Westmere, 2010, and later).  XTS: IEEE Std
 * 1619-2018, NIST SP 800-38E.
 *
 * One call does a run of blocks of one data unit, or several whole data units:
 *
 *   1. S from its home into two registers (the window).  S all zero: no S on this CPU, return 1 and
 *      touch nothing.
 *   2. K1 || K2 = mask ^ AES-256_S(iv + 0..3) (XTS-AES-128: two blocks), four blocks in parallel; S
 *      is forgotten.
 *   3. T = AES_K2(number of the data unit) * alpha^first_block; K2 is forgotten.
 *   4. K1 becomes the four round keys where the walks of its schedule start.
 *   5. eight blocks at a time, then four, two and one; the last 17..31 bytes by stealing.
 *   6. several data units: from 1 again for the next, as there is no register for K2.
 *   7. every register wiped.
 *
 * Why first_block: the running tweak is secret (with it and one known block pair, XTS falls to a
 * guess on AES alone), so it cannot wait in memory while the kernel maps the next page of a
 * request.  The next call begins again from the data unit's number and multiplies by
 * alpha^first_block, which costs a few instructions per 64 blocks.
 *
 * Why eight blocks and no round keys kept: see aes-aesni.inc.  A walk is a chain of aesenclast, and
 * waiting for it costs more than its instructions.  So the four registers that are left hold round
 * keys from which two (AES-256) or four (AES-128) short walks start, independent of each other.
 * The tweaks of the eight blocks are needed before and after the rounds, and there is no register
 * for them: T is doubled eight times before, and a copy halved eight times after, last block first,
 * so that T is right for the next blocks at once.  Each block's last round comes after the halving
 * for it, not with the others': eight halvings in a row would leave AES's ports idle.
 *
 * Memory is written through DST only, and only finished blocks.  Branches depend on lengths and on
 * whether S is zero.
 *
 * Rejected: one walk and nine or ten blocks (slower: the chain); byte-wise stealing loops.
 */

#include <linux/linkage.h>
#include "window.inc"
#include "aes-aesni.inc"

#define UNITS	8(%rsp)	// data units: the seventh argument

.set HANDLE,	%rdi	// const u8[80]: iv, then mask
.set SRC,	%rsi
.set DST_ARG,	%rdx	// the windows clear %rdx, so it moves to DST at once
.set LEN,	%rcx	// bytes of a data unit
.set LEN32,	%ecx
.set LEN8,	%cl
.set TWEAK_IV,	%r8	// const u8[16]: number of the data unit
.set BLOCK,	%r9	// one data unit: index of the first block in it
.set BLOCK32,	%r9d
.set UNIT,	%r9	// several: index of the data unit (first_block is 0 then)
.set LEFT,	%r11	// bytes of whole blocks left before the stealing; the window clobbers it
.set LEFT8,	%r11b
.set DST,	%r10
.set REM,	%r8	// after TWEAK_IV is used: bytes of the partial block, 0..15
.set REM32,	%r8d
.set TMP,	%xmm8	// KA and KB outside the walks
.set NEXT,	%xmm7	// X7 while stealing: the other tweak
.set RUN,	%xmm9	// tweak of one block after the walk
.set T,		%xmm15	// tweak of the next block

.set MASK,	16	// offset of the mask in a handle

#include "xts.inc"

.section .rodata, "a", @progbits
.p2align 4
.Lgf_inverse:	// the same for the way back: x^-1 = x^127 + x^6 + x + 1
	.long	0x43, 0x80000000, 0, 0x80000000

/* \t = \t / alpha.  Clobbers \tmp. */
.macro HALVE t, tmp
	pshufd	$0x08, \t, \tmp		// words 0 and 2 to where their bit 0 belongs
	psrlq	$1, \t
	pslld	$31, \tmp
	psrad	$31, \tmp
	pand	.Lgf_inverse(%rip), \tmp
	pxor	\tmp, \t
.endm

/* \n blocks from SRC to DST, with the tweaks from T on; T, SRC, DST and LEFT move on. */
.macro XTS_BLOCKS enc, bits, n
.irp i, 0,1,2,3,4,5,6,7
.if \i < \n
	movdqu	16*\i(SRC), %xmm\i
	pxor	T, %xmm\i
	DOUBLE	T, TMP
.endif
.endr
	CRYPT	\enc, \bits, \n, key
	movdqa	T, RUN
.irp i, 7,6,5,4,3,2,1,0
.if \i < \n
	HALVE	RUN, TMP
.if \enc
	aesenclast KU, %xmm\i
.else
	aesdeclast KU, %xmm\i
.endif
	pxor	RUN, %xmm\i
	DECLARE	block
	movdqu	%xmm\i, 16*\i(DST)
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
	TEST_ZERO X0, X1, X2
	jz	.Lno_s\@
.if \bits == 128
	KEY_STREAM 2, (HANDLE), X0, X1
	movdqu	MASK(HANDLE), START0
	pxor	X0, START0		// K1
	movdqu	MASK+16(HANDLE), KA
	pxor	X1, KA			// K2
.else
	KEY_STREAM 4, (HANDLE), X0, X1
	movdqu	MASK(HANDLE), START0
	movdqu	MASK+16(HANDLE), START1
	pxor	X0, START0		// K1
	pxor	X1, START1
	movdqu	MASK+32(HANDLE), KA
	movdqu	MASK+48(HANDLE), KB
	pxor	X2, KA			// K2
	pxor	X3, KB
.endif
	movdqu	(TWEAK_IV), X0
	cmpq	$1, UNITS
	je	.Lnumber_done\@
	movq	UNIT, X1
	paddq	X1, X0
.Lnumber_done\@:
	AES_ENC	\bits, 1
	movdqa	X0, T
	STARTS	\enc, \bits
	cmpq	$1, UNITS
	jne	.Lt_done\@
	MUL_ALPHA_ANY BLOCK, BLOCK32
.Lt_done\@:
	movq	LEN, LEFT
	andq	$-16, LEFT
	testb	$15, LEN8
	jz	.Lbulk_test\@
	subq	$16, LEFT		// the last whole block takes part in the stealing
	jmp	.Lbulk_test\@
.p2align 4
.Lbulk\@:
	XTS_BLOCKS \enc, \bits, 8
.Lbulk_test\@:
	cmpq	$16*8, LEFT
	jae	.Lbulk\@
	jmp	.Lfour_test\@
.Lfour\@:
	XTS_BLOCKS \enc, \bits, 4
.Lfour_test\@:
	cmpq	$64, LEFT
	jae	.Lfour\@
	testb	$32, LEFT8
	jz	.Lone\@
	XTS_BLOCKS \enc, \bits, 2
.Lone\@:
	testb	$16, LEFT8
	jz	.Lunit_done\@
	XTS_BLOCKS \enc, \bits, 1
.Lunit_done\@:
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
 * int tresor_xts_aesni_enc_128(const u8 handle[80], const u8 *src, u8 *dst, size_t len, const u8
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
SYM_FUNC_START(tresor_xts_aesni_enc_128)
	XTS	1, 128
SYM_FUNC_END(tresor_xts_aesni_enc_128)

SYM_FUNC_START(tresor_xts_aesni_dec_128)
	XTS	0, 128
SYM_FUNC_END(tresor_xts_aesni_dec_128)

SYM_FUNC_START(tresor_xts_aesni_enc_256)
	XTS	1, 256
SYM_FUNC_END(tresor_xts_aesni_enc_256)

SYM_FUNC_START(tresor_xts_aesni_dec_256)
	XTS	0, 256
SYM_FUNC_END(tresor_xts_aesni_dec_256)
