/* SPDX-License-Identifier: GPL-2.0 */
/*
 * AES-128 and AES-256 the way TRESOR (2011) did it: the whole key schedule again for every block
 *
 * TRESOR was a block cipher under the kernel's generic modes. Between two blocks nothing secret could stay in the vector registers, because it
 * turned the IRQs on in between; so every block began with the key in the debug registers. This is a new text of that method, for
 * comparison: 14 (10) round keys in xmm2-xmm15, each from aeskeygenassist, the state in xmm0, and all of them zeroed at the end.
 *
 * In TRESOR's favour: the key comes from a buffer, because user space cannot read debug registers, and nothing turns IRQs off and on.
 */

#include <linux/linkage.h>

.set KEY,	%rdi
.set SRC,	%rsi
.set DST,	%rdx
.set STATE,	%xmm0		// before the block is loaded: a temporary of the schedule
.set HELP,	%xmm1
.set RK1,	%xmm2		// RK\i is %xmm(i+1)
.set RK2,	%xmm3
.set RK3,	%xmm4
.set RK4,	%xmm5
.set RK5,	%xmm6
.set RK6,	%xmm7
.set RK7,	%xmm8
.set RK8,	%xmm9
.set RK9,	%xmm10
.set RK10,	%xmm11
.set RK11,	%xmm12
.set RK12,	%xmm13
.set RK13,	%xmm14
.set RK14,	%xmm15

/* \new = next round key: \old is the one Nk words before, \last the one just before, \column where its aeskeygenassist word is */
.macro ROUND_KEY new, old, last, rcon, column
	aeskeygenassist $\rcon, \last, HELP
	pshufd	$\column, HELP, HELP
	movdqa	\old, \new
	movdqa	\new, STATE
.rept 3
	pslldq	$4, STATE
	pxor	STATE, \new
.endr
	pxor	HELP, \new
.endm

.macro SCHEDULE_128
	movdqu	(KEY), RK10		// round key 0, where it is overwritten last
	ROUND_KEY RK1, RK10, RK10, 0x01, 0xff
	ROUND_KEY RK2, RK1, RK1, 0x02, 0xff
	ROUND_KEY RK3, RK2, RK2, 0x04, 0xff
	ROUND_KEY RK4, RK3, RK3, 0x08, 0xff
	ROUND_KEY RK5, RK4, RK4, 0x10, 0xff
	ROUND_KEY RK6, RK5, RK5, 0x20, 0xff
	ROUND_KEY RK7, RK6, RK6, 0x40, 0xff
	ROUND_KEY RK8, RK7, RK7, 0x80, 0xff
	ROUND_KEY RK9, RK8, RK8, 0x1b, 0xff
	ROUND_KEY RK10, RK9, RK9, 0x36, 0xff
.endm

.macro SCHEDULE_256
	movdqu	(KEY), RK14		// round key 0, where it is overwritten last
	movdqu	16(KEY), RK1
	ROUND_KEY RK2, RK14, RK1, 0x01, 0xff
	ROUND_KEY RK3, RK1, RK2, 0, 0xaa
	ROUND_KEY RK4, RK2, RK3, 0x02, 0xff
	ROUND_KEY RK5, RK3, RK4, 0, 0xaa
	ROUND_KEY RK6, RK4, RK5, 0x04, 0xff
	ROUND_KEY RK7, RK5, RK6, 0, 0xaa
	ROUND_KEY RK8, RK6, RK7, 0x08, 0xff
	ROUND_KEY RK9, RK7, RK8, 0, 0xaa
	ROUND_KEY RK10, RK8, RK9, 0x10, 0xff
	ROUND_KEY RK11, RK9, RK10, 0, 0xaa
	ROUND_KEY RK12, RK10, RK11, 0x20, 0xff
	ROUND_KEY RK13, RK11, RK12, 0, 0xaa
	ROUND_KEY RK14, RK12, RK13, 0x40, 0xff
.endm

.macro LOAD_BLOCK first_key
	movdqu	(SRC), STATE
	pxor	\first_key, STATE
.endm

.macro ENC_128
	movdqu	(KEY), HELP
	LOAD_BLOCK HELP
.irp key, RK1, RK2, RK3, RK4, RK5, RK6, RK7, RK8, RK9
	aesenc	\key, STATE
.endr
	aesenclast RK10, STATE
.endm

.macro ENC_256
	movdqu	(KEY), HELP
	LOAD_BLOCK HELP
.irp key, RK1, RK2, RK3, RK4, RK5, RK6, RK7, RK8, RK9, RK10, RK11, RK12, RK13
	aesenc	\key, STATE
.endr
	aesenclast RK14, STATE
.endm

/* A decryption round key is InvMixColumns of the encryption one (FIPS 197, 5.3.5). */
.macro DEC_128
	LOAD_BLOCK RK10
.irp key, RK9, RK8, RK7, RK6, RK5, RK4, RK3, RK2, RK1
	aesimc	\key, \key
	aesdec	\key, STATE
.endr
	movdqu	(KEY), HELP
	aesdeclast HELP, STATE
.endm

.macro DEC_256
	LOAD_BLOCK RK14
.irp key, RK13, RK12, RK11, RK10, RK9, RK8, RK7, RK6, RK5, RK4, RK3, RK2, RK1
	aesimc	\key, \key
	aesdec	\key, STATE
.endr
	movdqu	(KEY), HELP
	aesdeclast HELP, STATE
.endm

.macro STORE_AND_WIPE
	movdqu	STATE, (DST)
.irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	pxor	%xmm\i, %xmm\i
.endr
	RET
.endm

.text

/* void bench_per_block_enc_128(const u8 key[16], const u8 src[16], u8 dst[16]), and dec_128, enc_256, dec_256 alike */
SYM_FUNC_START(bench_per_block_enc_128)
	SCHEDULE_128
	ENC_128
	STORE_AND_WIPE
SYM_FUNC_END(bench_per_block_enc_128)

SYM_FUNC_START(bench_per_block_dec_128)
	SCHEDULE_128
	DEC_128
	STORE_AND_WIPE
SYM_FUNC_END(bench_per_block_dec_128)

SYM_FUNC_START(bench_per_block_enc_256)
	SCHEDULE_256
	ENC_256
	STORE_AND_WIPE
SYM_FUNC_END(bench_per_block_enc_256)

SYM_FUNC_START(bench_per_block_dec_256)
	SCHEDULE_256
	DEC_256
	STORE_AND_WIPE
SYM_FUNC_END(bench_per_block_dec_256)
