/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The end of a CPU: nothing secret is left in its registers
 *
 * For a CPU that never goes back to what it was interrupted in: it is stopped by another one for a
 * reboot, by the NMI of a crash, or it is the one that crashed.  What comes next may be firmware,
 * the kernel of kexec or the one that writes a crash dump, and RESET or INIT need not come before.
 *
 * tresor_clear_s empties the home of S.  That is not enough here: the CPU may have been in the
 * middle of an engine, with round keys in its vector registers, and nobody will end that engine.
 * INIT does not clear vector registers either (Intel SDM Vol. 3, table "IA-32 and Intel 64
 * Processor States Following Power-up, Reset, or INIT").
 *
 * What there is to wipe is asked of the CPU: it was the kernel that set CR4 and XCR0, and memory
 * need not be sound after a crash.  A kernel may also panic before it has set them: then the vector
 * instructions would fault, the fault would panic, and so on for ever.  The general registers are
 * not wiped: only a window has a piece of S there, and IRQs are off in it; an NMI in it is the
 * matter of the entry code.
 */

#include <linux/linkage.h>
#include "window.inc"

.set CR4_OSFXSR, 9	// xmm registers can be used: nobody has before
.set CR4_OSXSAVE, 18	// XGETBV and XCR0 exist
.set XCR0_YMM,	0x4	// the upper halves of ymm0-15 are in use
.set XCR0_ZMM,	0xe0	// mask registers, upper halves of zmm0-15, zmm16-31

.section .noinstr.text, "ax", @progbits

/*
 * void tresor_end_this_cpu(void)
 *
 * Any context, NMI included, on a CPU whose interrupted code is not continued.  Uses the vector
 * registers without asking.  Clobbers %rax, %rcx, %rdx, flags.
 */
SYM_FUNC_START(tresor_end_this_cpu)
#ifdef CONFIG_CRYPTO_TRESOR_LEAKS
	cmpl	$0, tresor_keep_at_end(%rip)	// for a test that must notice
	jne	.Lkeep
#endif
	movq	%cr4, %rax
	btl	$CR4_OSFXSR, %eax
	jnc	.Lno_vectors		// not to the function: the taint check follows no such jump
	btl	$CR4_OSXSAVE, %eax
	jnc	.Lsse
	xorl	%ecx, %ecx
	xgetbv
	testl	$XCR0_YMM, %eax
	jz	.Lsse
	andl	$XCR0_ZMM, %eax
	cmpl	$XCR0_ZMM, %eax
	je	.Lavx512
	jmp	tresor_end_avx
.Lavx512:
	jmp	tresor_end_avx512
.Lsse:
	jmp	tresor_end_sse
.Lno_vectors:
	jmp	tresor_clear_s
#ifdef CONFIG_CRYPTO_TRESOR_LEAKS
.Lkeep:
	RET
#endif
SYM_FUNC_END(tresor_end_this_cpu)

/*
 * The wipes, each a routine of its own, so that the check of the machine code can hold each to all
 * the registers of its kind.
 */
SYM_FUNC_START(tresor_end_sse)
	WIPE_XMM
	jmp	tresor_clear_s
SYM_FUNC_END(tresor_end_sse)

SYM_FUNC_START(tresor_end_avx)
	vzeroall
	jmp	tresor_clear_s
SYM_FUNC_END(tresor_end_avx)

SYM_FUNC_START(tresor_end_avx512)
	vzeroall
.irp i, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	vpxorq	%zmm\i, %zmm\i, %zmm\i
.endr
.irp i, 0,1,2,3,4,5,6,7
	kxorw	%k\i, %k\i, %k\i	// 64 bits with KMOVQ: the upper ones become zero, too
.endr
	jmp	tresor_clear_s
SYM_FUNC_END(tresor_end_avx512)
