/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls an engine with every register filled and on a stack of its own, and records what it leaves there
 *
 * The record is `Probe` in src/user/probe.rs. Its address and the caller's stack pointer wait at the top of the engine's stack, above
 * anything that the engine may touch, because after the call every register belongs to the record.
 *
 * Which registers there are depends on the CPU, not on the engine: an SSE engine is called with marks in all of zmm0-31, too.
 */

#include <linux/linkage.h>

.set FUNCTION,	0	// offsets in the record
.set ARGUMENTS,	8
.set STACK_TOP,	64
.set WIDTH,	72	// bytes of a vector register: 16, 32 or 64 (then there are k0-7, too)
.set GENERAL,	80
.set VECTORS,	208
.set MASKS,	2256

/* void tresor_user_probe(struct probe *record, u64 marker) */
SYM_FUNC_START(tresor_user_probe)
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rdi, %rax
	movq	STACK_TOP(%rax), %rdx
	movq	%rsp, -8(%rdx)
	movq	%rax, -16(%rdx)
	leaq	-32(%rdx), %rsp
	movq	ARGUMENTS+48(%rax), %rdx
	movq	%rdx, (%rsp)		// the seventh argument
	movq	%rsi, %rbx
	movq	%rsi, %rbp
.irp i, 10,11,12,13,14,15
	movq	%rsi, %r\i
.endr
	cmpq	$32, WIDTH(%rax)
	ja	.Lfill_zmm
	je	.Lfill_ymm
	movq	%rsi, %xmm0
	punpcklqdq %xmm0, %xmm0
.irp i, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	movdqa	%xmm0, %xmm\i
.endr
	jmp	.Lcall
.Lfill_ymm:
	vmovq	%rsi, %xmm0
	vpunpcklqdq %xmm0, %xmm0, %xmm0
	vinsertf128 $1, %xmm0, %ymm0, %ymm0
.irp i, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqa	%ymm0, %ymm\i
.endr
	jmp	.Lcall
.Lfill_zmm:
.irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	vpbroadcastq %rsi, %zmm\i
.endr
.irp i, 0,1,2,3,4,5,6,7
	kmovq	%rsi, %k\i
.endr
.Lcall:
	movq	ARGUMENTS(%rax), %rdi
	movq	ARGUMENTS+8(%rax), %rsi
	movq	ARGUMENTS+16(%rax), %rdx
	movq	ARGUMENTS+24(%rax), %rcx
	movq	ARGUMENTS+32(%rax), %r8
	movq	ARGUMENTS+40(%rax), %r9
	callq	*FUNCTION(%rax)

	xchgq	%rax, 16(%rsp)		// now the record; the engine's %rax waits in its place
	cmpq	$32, WIDTH(%rax)
	ja	.Lrecord_zmm
	je	.Lrecord_ymm
.irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	movdqu	%xmm\i, VECTORS+64*\i(%rax)
.endr
	jmp	.Lgeneral
.Lrecord_ymm:
.irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqu	%ymm\i, VECTORS+64*\i(%rax)
.endr
	vzeroupper			// as the caller expects them
	jmp	.Lgeneral
.Lrecord_zmm:
.irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	vmovdqu64 %zmm\i, VECTORS+64*\i(%rax)
.endr
.irp i, 0,1,2,3,4,5,6,7
	kmovq	%k\i, MASKS+8*\i(%rax)
.endr
	vzeroupper
.Lgeneral:
	movq	%rcx, GENERAL+8(%rax)
	movq	%rdx, GENERAL+16(%rax)
	movq	%rbx, GENERAL+24(%rax)
	movq	%rsp, GENERAL+32(%rax)
	movq	%rbp, GENERAL+40(%rax)
	movq	%rsi, GENERAL+48(%rax)
	movq	%rdi, GENERAL+56(%rax)
.irp i, 8,9,10,11,12,13,14,15
	movq	%r\i, GENERAL+8*\i(%rax)
.endr
	movq	16(%rsp), %rcx
	movq	%rcx, GENERAL(%rax)
	movq	24(%rsp), %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	RET
SYM_FUNC_END(tresor_user_probe)
