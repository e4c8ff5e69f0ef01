/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls an engine with every register filled and on a stack of its own, and records what it leaves there
 *
 * The record is `Probe` in src/user/probe.rs. Its address and the caller's stack pointer wait at the top of the engine's stack, above
 * anything that the engine may touch, because after the call every register belongs to the record.
 */

#include <linux/linkage.h>

.set FUNCTION,	0	// offsets in the record
.set ARGUMENTS,	8
.set STACK_TOP,	56
.set GENERAL,	64
.set VECTORS,	192

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
	leaq	-16(%rdx), %rsp
	movq	%rsi, %rbx
	movq	%rsi, %rbp
.irp i, 10,11,12,13,14,15
	movq	%rsi, %r\i
.endr
	movq	%rsi, %xmm0
	punpcklqdq %xmm0, %xmm0
.irp i, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	movdqa	%xmm0, %xmm\i
.endr
	movq	ARGUMENTS(%rax), %rdi
	movq	ARGUMENTS+8(%rax), %rsi
	movq	ARGUMENTS+16(%rax), %rdx
	movq	ARGUMENTS+24(%rax), %rcx
	movq	ARGUMENTS+32(%rax), %r8
	movq	ARGUMENTS+40(%rax), %r9
	callq	*FUNCTION(%rax)

	xchgq	%rax, (%rsp)		// now the record; the engine's %rax waits in its place
.irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	movdqu	%xmm\i, VECTORS+16*\i(%rax)
.endr
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
	popq	%rcx
	movq	%rcx, GENERAL(%rax)
	movq	(%rsp), %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	RET
SYM_FUNC_END(tresor_user_probe)
