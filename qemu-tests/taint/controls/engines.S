/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Small engines that leak, each through one channel: what the check must catch
 *
 * Never linked and never run.  Each is the same engine, which loads S, calculates something from
 * it, stores one declared block and wipes; control_clean does nothing else, so that what the check
 * says about the others is about the leak.  src/controls.rs has the rule that each breaks.
 */

#include <linux/linkage.h>
#include "window.inc"

.set HANDLE,	%rdi
.set DST,	%r10
.set KEY,	%xmm8	// something secret

/* S, and a key made of it */
.macro BEGIN name
SYM_FUNC_START(\name)
	movq	%rdx, DST
	CALL_WINDOW tresor_load_s
	movdqu	(HANDLE), KEY
	aesenc	%xmm0, KEY
.endm

/* A result, and the end */
.macro END name
	DECLARE	block
	movdqu	KEY, (DST)
	WIPE_XMM
	xorl	%eax, %eax
	RET
SYM_FUNC_END(\name)
.endm

.macro CONTROL name, leak:vararg
	BEGIN	\name
	\leak
	END	\name
.endm

.text

BEGIN control_clean
END control_clean

CONTROL control_spill, movdqu KEY, -64(%rsp)
CONTROL control_xsave, xsave (%rsi)
CONTROL control_fxsave, fxsave (%rsi)
CONTROL control_unknown, pclmulqdq $0, KEY, KEY
CONTROL control_vector_shift, psllq KEY, %xmm9
CONTROL control_general, movq KEY, %rbx
CONTROL control_call, call memcpy
CONTROL control_jump, jmp memcpy

BEGIN control_push
	movq	KEY, %rax
	pushq	%rax
	popq	%rax
	xorl	%eax, %eax
END control_push

/* The key was spilled before; here it is only copied on. */
BEGIN control_rep_movsb
	leaq	-64(%rsp), %rdi
	movl	$16, %ecx
	rep movsb
END control_rep_movsb

BEGIN control_branch
	ptest	%xmm1, %xmm0
	jz	.Leven
	pxor	%xmm3, %xmm3
.Leven:
END control_branch

BEGIN control_table
	movd	KEY, %eax
	movzbl	%al, %eax
	movzbl	(%rsi, %rax), %eax
	xorl	%eax, %eax
END control_table

BEGIN control_gather
	vpgatherdd %xmm1, (%rsi, %xmm8), %xmm2
	DECLARE	block
	movdqu	KEY, (DST)
	vzeroall
	xorl	%eax, %eax
	RET
SYM_FUNC_END(control_gather)

BEGIN control_count
	movd	KEY, %ecx
	shll	%cl, %r8d
	xorl	%r8d, %r8d
	xorl	%ecx, %ecx
END control_count

BEGIN control_divide
	movd	KEY, %eax
	xorl	%edx, %edx
	divl	%r8d
	xorl	%eax, %eax
	xorl	%edx, %edx
END control_divide

BEGIN control_flags_pushed
	ptest	KEY, KEY
	pushfq
	popq	%rbx
	xorl	%ebx, %ebx
END control_flags_pushed

BEGIN control_port
	movd	KEY, %eax
	outb	%al, $0x80
	xorl	%eax, %eax
END control_port

/* What was declared a result goes through another pointer than the destination. */
BEGIN control_elsewhere
	DECLARE	block
	movdqu	KEY, (%rsi)
END control_elsewhere

/* A declared result whose address the engine computed from something secret */
BEGIN control_moved
	movd	KEY, %eax
	addq	%rax, DST
	xorl	%eax, %eax
END control_moved

/* A debug register is read outside the window. */
BEGIN control_debug_register
	movq	%dr2, %rax
	xorl	%eax, %eax
END control_debug_register

/* One register is left. */
BEGIN control_unwiped
	DECLARE	block
	movdqu	KEY, (DST)
.irp i, 0,1,2,3,4,5,6,7,9,10,11,12,13,14,15
	pxor	%xmm\i, %xmm\i
.endr
	xorl	%eax, %eax
	RET
SYM_FUNC_END(control_unwiped)

/* One way out goes past the wipe. */
BEGIN control_unwiped_path
	testq	%rcx, %rcx
	jz	.Lreturn
	DECLARE	block
	movdqu	KEY, (DST)
	WIPE_XMM
.Lreturn:
	xorl	%eax, %eax
	RET
SYM_FUNC_END(control_unwiped_path)

/* A key derivation that copies the pass phrase */
SYM_FUNC_START(control_pass_phrase)
	DECLARE	secret_argument
	movdqu	16(%rdi), %xmm0
	movdqu	%xmm0, -64(%rsp)
	WIPE_XMM
	RET
SYM_FUNC_END(control_pass_phrase)

/* A window that leaves a half of S in a general register, and one that spills it */
.section .tresor.window.text, "ax", @progbits
SYM_FUNC_START(control_window_left)
	cli
	movq	%dr0, %rax
	movq	%rax, %xmm0
	RET
SYM_FUNC_END(control_window_left)

SYM_FUNC_START(control_window_push)
	cli
	movq	%dr0, %rax
	pushq	%rax
	popq	%rax
	movq	%rax, %xmm0
	xorl	%eax, %eax
	RET
SYM_FUNC_END(control_window_push)
