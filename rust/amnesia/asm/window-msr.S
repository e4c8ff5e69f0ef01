/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The homes of S in model-specific registers: the windows, and the routines that empty a home
 *
 * For those who need hardware breakpoints. What a window is and the policy that it keeps are told
 * in asm/window-dr.S; these keep the same one, word by word, but for %ecx, in which RDMSR and WRMSR
 * want the number of the register. That is public, and the caller (CALL_WINDOW) gets its own %rcx
 * back.
 *
 * There is one pair of windows for each home of <asm/msr-home.h>, made by the same two macros. They
 * see S as sixteen words of 16 bits: a counter with 48 bits holds three of them, a register with 64
 * bits four. RDMSR gives the lower two words in %eax and the others in %edx. Words are what PINSRW
 * and PEXTRW of SSE2 move between a general register and a place in a vector register; so nothing
 * but these two registers is needed, and no shift across the border between both halves of S.
 * Rejected: to gather quadwords by shifts of vector registers, which is shorter for 64 bits and
 * needs a second temporary for 48.
 *
 * What cannot occur in them, beside what asm/window-dr.S lists:
 *
 * - #GP for the register, or for a value that does not fit: the driver has written and read back
 *   all bits of each register on this CPU before it made this the home (src/kmod/store.rs).
 * - #VE and #VC for the access: in an encrypted guest the driver does not use these homes.
 *
 * The counters stand still (the driver has stopped them), and the kernel's own users keep away:
 * arch/x86/kernel/msr_owner.c.
 *
 * Emptying a home needs no window, as nothing of S is read. WRMSR waits for all instructions before
 * it, so it is slower than a write to a debug register; nobody empties a home often.
 */

#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/msr-home.h>
#include <asm/tresor-window.inc>

.set S_LO,	%xmm0	// S bytes 0..15: words 0..7
.set S_HI,	%xmm1	// S bytes 16..31: words 8..15
.set TMP,	%xmm2	// zero at the end
.set WORDS,	16	// of 16 bits, in S

/* Word \word of S from the lower half of \from */
.macro PUT_WORD word from
.if \word < 8
	pinsrw	$(\word), \from, S_LO
.else
	pinsrw	$(\word - 8), \from, S_HI
.endif
.endm

/* Word \word of S to \to, whose upper half becomes zero */
.macro GET_WORD word to
.if \word < 8
	pextrw	$(\word), S_LO, \to
.else
	pextrw	$(\word - 8), S_HI, \to
.endif
.endm

/* The words \word (even) and the next one of S to \to.  Clobbers TMP. */
.macro GET_TWO_WORDS word to
.if \word < 8
	pshufd	$((\word) / 2), S_LO, TMP
.else
	pshufd	$((\word) / 2 - 4), S_HI, TMP
.endif
	movd	TMP, \to
.endm

.section .tresor.window.text, "ax", @progbits

/*
 * void tresor_load_s_\name(void)
 *
 * Out: S in S_LO and S_HI.  Clobbers %rax, %rdx, TMP (all zero afterwards), %rcx, flags; IRQs are
 * off.
 */
.macro LOAD name width registers:vararg
TRESOR_WINDOW_BEGIN tresor_load_s_\name
	cli
.set word, 0
.irp msr, \registers
	movl	$\msr, %ecx
	rdmsr
	PUT_WORD word, %eax
.if word + 1 < WORDS
	shrl	$16, %eax
	PUT_WORD word+1, %eax
.endif
.if word + 2 < WORDS
	PUT_WORD word+2, %edx
.endif
.if \width == 64
	shrl	$16, %edx
	PUT_WORD word+3, %edx
.endif
.set word, word + \width / 16
.endr
	pxor	TMP, TMP
	xorl	%eax, %eax
	xorl	%edx, %edx
	RET
TRESOR_WINDOW_END tresor_load_s_\name
_ASM_NOKPROBE(tresor_load_s_\name)
.endm

/*
 * void tresor_store_s_\name(void)
 *
 * In: S in S_LO and S_HI, both unchanged.  Clobbers %rax, %rdx, TMP (all zero afterwards), %rcx,
 * flags; IRQs are off.
 */
.macro STORE name width registers:vararg
TRESOR_WINDOW_BEGIN tresor_store_s_\name
	cli
.set word, 0
.irp msr, \registers
.if word + 1 < WORDS
	GET_WORD word+1, %eax
	shll	$16, %eax
	GET_WORD word, %edx
	orl	%edx, %eax
.else
	GET_WORD word, %eax
.endif
.if \width == 64
	GET_TWO_WORDS word+2, %edx
.elseif word + 2 < WORDS
	GET_WORD word+2, %edx
.else
	xorl	%edx, %edx
.endif
	movl	$\msr, %ecx
	wrmsr
.set word, word + \width / 16
.endr
	pxor	TMP, TMP
	xorl	%eax, %eax
	xorl	%edx, %edx
	RET
TRESOR_WINDOW_END tresor_store_s_\name
_ASM_NOKPROBE(tresor_store_s_\name)
.endm

/*
 * void tresor_clear_s_\name(void): this CPU has no S any more
 *
 * Any context, NMI included. Clobbers %rax, %rdx (zero afterwards), %rcx, flags but IF.
 */
.macro CLEAR name registers:vararg
SYM_FUNC_START(tresor_clear_s_\name)
	pushfq
	cli
	xorl	%eax, %eax
	xorl	%edx, %edx
.irp msr, \registers
	movl	$\msr, %ecx
	wrmsr
.endr
	popfq
	RET
SYM_FUNC_END(tresor_clear_s_\name)
.endm

#define WINDOWS(number, name, width, registers...)	\
	LOAD name, width, registers;			\
	STORE name, width, registers;

MSR_HOMES(WINDOWS)

.section .noinstr.text, "ax", @progbits

#define CLEARS(number, name, width, registers...)	CLEAR name, registers;

MSR_HOMES(CLEARS)
