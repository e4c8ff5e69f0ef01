/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The windows of user space: S lives in a buffer of each thread instead of the debug registers
 *
 * They keep the contract of asm/window-dr.S: S in %xmm0 and %xmm1, nothing but %rax, %rdx, %xmm2 and flags clobbered, and those
 * cleared. Here S never passes through a general register, because the processor does not ask for it.
 *
 * initial-exec addressing: works in an executable and in a shared library that is loaded with it, and needs no call.
 */

#include <linux/linkage.h>

.section .tbss, "awT", @nobits
.p2align 4
tresor_user_secret:
	.skip	32
tresor_user_read_only:	// not zero: stores are lost, as on a CPU whose registers do not keep S
	.skip	1

.text

/* void tresor_load_s(void) */
SYM_FUNC_START(tresor_load_s)
	movq	tresor_user_secret@gottpoff(%rip), %rax
	movdqu	%fs:(%rax), %xmm0
	movdqu	%fs:16(%rax), %xmm1
	pxor	%xmm2, %xmm2
	xorl	%eax, %eax
	xorl	%edx, %edx
	RET
SYM_FUNC_END(tresor_load_s)

/* void tresor_store_s(void) */
SYM_FUNC_START(tresor_store_s)
	movq	tresor_user_read_only@gottpoff(%rip), %rax
	cmpb	$0, %fs:(%rax)
	jne	.Lread_only
	movq	tresor_user_secret@gottpoff(%rip), %rax
	movdqu	%xmm0, %fs:(%rax)
	movdqu	%xmm1, %fs:16(%rax)
.Lread_only:
	pxor	%xmm2, %xmm2
	xorl	%eax, %eax
	xorl	%edx, %edx
	RET
SYM_FUNC_END(tresor_store_s)

/* u8 *tresor_user_secret_of_thread(void): the buffer of 32 bytes */
SYM_FUNC_START(tresor_user_secret_of_thread)
	movq	%fs:0, %rax
	addq	tresor_user_secret@gottpoff(%rip), %rax
	RET
SYM_FUNC_END(tresor_user_secret_of_thread)

/* u8 *tresor_user_read_only_of_thread(void) */
SYM_FUNC_START(tresor_user_read_only_of_thread)
	movq	%fs:0, %rax
	addq	tresor_user_read_only@gottpoff(%rip), %rax
	RET
SYM_FUNC_END(tresor_user_read_only_of_thread)
