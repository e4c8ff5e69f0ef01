/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The home of S: what engines call, wherever it is
 *
 * S lives in DR0..DR3 (asm/window-dr.S) or, if the person at the command line has chosen so, in
 * model-specific registers (asm/amnesia/window-msr.S). The driver decides once, before there can be
 * an S, and leaves the number of the home in tresor_home, which becomes read-only with the other
 * data of the boot. Each routine here looks at that number and jumps to the routine of that home;
 * which registers it clobbers is told there, and is at most %rax, %rcx, %rdx, %xmm2 and flags.
 *
 * The price on the way to DR0..DR3 is one comparison with a word of memory that never changes, a
 * jump that is never taken and one that always is. Rejected: a pointer to the routine, because an
 * indirect call is a target that could be bent, and dearer with retpolines; and changing the code
 * at boot, because what is in the file would no longer be what runs.
 *
 * A number that is no home stands for nothing: no S is found, none is kept, and there is nothing to
 * clear. Engines then say so as on any CPU without S.
 *
 * The first two are in the section of the windows, each in a block of its own, although nothing of
 * S is in general registers yet: the guard in the kernel's entries then starts them again like a
 * window, which is right, and the check of the machine code treats them as what they are, a part of
 * the windows. Their one memory operand is in the kernel's data, always mapped.
 */

#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/msr-home.h>
#include <asm/tresor-window.inc>

.set S_LO,	%xmm0
.set S_HI,	%xmm1
.set TMP,	%xmm2

/* Go to \routine of the home with this number, if it is that one. */
.macro TO_MSR_HOME routine number name
	cmpl	$\number, tresor_home(%rip)
	jne	.Lanother\@
	jmp	\routine\()_\name
.Lanother\@:
.endm

/* Go to \routine of the home, if there is one. */
.macro TO_HOME routine
	cmpl	$0, tresor_home(%rip)
	jne	.Lelsewhere\@
	jmp	\routine\()_dr
.Lelsewhere\@:
#define ONE(number, name, width, registers...)	TO_MSR_HOME \routine, number, name;
	MSR_HOMES(ONE)
.endm

.section .tresor.window.text, "ax", @progbits

/* void tresor_load_s(void): S from its home to S_LO and S_HI */
TRESOR_WINDOW_BEGIN tresor_load_s
	TO_HOME	tresor_load_s
	pxor	S_LO, S_LO
	pxor	S_HI, S_HI
	pxor	TMP, TMP
	xorl	%eax, %eax
	xorl	%edx, %edx
	RET
TRESOR_WINDOW_END tresor_load_s
_ASM_NOKPROBE(tresor_load_s)

/* void tresor_store_s(void): S from S_LO and S_HI to its home */
TRESOR_WINDOW_BEGIN tresor_store_s
	TO_HOME	tresor_store_s
	pxor	TMP, TMP
	xorl	%eax, %eax
	xorl	%edx, %edx
	RET
TRESOR_WINDOW_END tresor_store_s
_ASM_NOKPROBE(tresor_store_s)

/*
 * void tresor_clear_s(void): this CPU has no S any more
 *
 * Any context, NMI included. An engine that this CPU was running when it was interrupted still has
 * its round keys, and ends with a wipe as always.
 */
.section .noinstr.text, "ax", @progbits

SYM_FUNC_START(tresor_clear_s)
	TO_HOME	tresor_clear_s
	RET
SYM_FUNC_END(tresor_clear_s)
