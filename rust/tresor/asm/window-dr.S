/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The windows: the only code in which the register secret S is in general registers
 *
 * S is 256 bits.  Its home is DR0..DR3 of each CPU; x86 can move a debug register only to and from
 * a general register, so a piece of S must pass through one on its way to the vector registers.
 * These two routines are that passage, for every engine and for the key derivation.  Being the
 * whole of the code that must be trusted not to be interrupted, they stay tiny.
 *
 * Policy (checked by the tests on the assembled object):
 *
 * - IRQs are off.  Each routine starts with cli and leaves them off; the caller (CALL_WINDOW) turns
 *   them on again if they were on.
 * - Only %rax and %rdx ever hold a piece of S, and both are zero at the RET.  No other general
 *   register is changed.
 * - No memory operand, no push, no call: so no #PF, #GP or #SS can occur between the first
 *   instruction and the RET.
 * - Each routine may be started again from its first instruction at any moment: what it reads it
 *   has not changed.  An entry handler that finds its interrupted RIP in here can thus clear %rax
 *   and %rdx and point RIP at the routine's start.
 * - All of it lies in .tresor.window.text, which the kernel's linker script places between two
 *   symbols.
 *
 * DR7 is disabled before S is written (Intel SDM Vol. 3, 18.2.4): S as a breakpoint address would
 * fire, or fault when enabled. A read of DR0..DR3 while DR7.GD is clear cannot fault (SDM Vol. 3,
 * 18.2.2, and CPL is 0 here).
 *
 * In memory order S is DR0 || DR1 || DR2 || DR3, each little-endian.
 */

#include <linux/linkage.h>
#include <asm/asm.h>

.set S_LO,	%xmm0	// S bytes 0..15: DR0 (low half), DR1
.set S_HI,	%xmm1	// S bytes 16..31: DR2 (low half), DR3
.set TMP,	%xmm2	// zero at the end
.set DR7_OFF,	0x400	// no breakpoint enabled; bit 10 is always one (SDM Vol. 3, 18.2.4)

.section .tresor.window.text, "ax", @progbits

/*
 * void tresor_load_s(void)
 *
 * Out: S in S_LO and S_HI.  Clobbers %rax, %rdx, TMP (all zero afterwards), flags; IRQs are off.
 */
SYM_FUNC_START(tresor_load_s)
	cli
	movq	%dr0, %rax
	movq	%dr1, %rdx
	movq	%rax, S_LO
	movq	%rdx, TMP
	punpcklqdq TMP, S_LO
	movq	%dr2, %rax
	movq	%dr3, %rdx
	movq	%rax, S_HI
	movq	%rdx, TMP
	punpcklqdq TMP, S_HI
	pxor	TMP, TMP
	xorl	%eax, %eax
	xorl	%edx, %edx
	RET
SYM_FUNC_END(tresor_load_s)
_ASM_NOKPROBE(tresor_load_s)

/*
 * void tresor_store_s(void)
 *
 * In: S in S_LO and S_HI, both unchanged.  Clobbers %rax, %rdx, TMP (all zero afterwards), flags;
 * IRQs are off.
 */
SYM_FUNC_START(tresor_store_s)
	cli
	movl	$DR7_OFF, %eax
	movq	%rax, %dr7
	pshufd	$0x4e, S_LO, TMP	// swap the halves: pextrq would do, but needs SSE4.1
	movq	S_LO, %rax
	movq	TMP, %rdx
	movq	%rax, %dr0
	movq	%rdx, %dr1
	pshufd	$0x4e, S_HI, TMP
	movq	S_HI, %rax
	movq	TMP, %rdx
	movq	%rax, %dr2
	movq	%rdx, %dr3
	pxor	TMP, TMP
	xorl	%eax, %eax
	xorl	%edx, %edx
	RET
SYM_FUNC_END(tresor_store_s)
_ASM_NOKPROBE(tresor_store_s)
