/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The home of S in the debug registers: the windows, which are the only code in which the register
 * secret S is in general registers, and the routine that empties the home
 *
 * S is 256 bits.  Its home is DR0..DR3 of each CPU; x86 can move a debug register only to and from
 * a general register, so a piece of S must pass through one on its way to the vector registers.
 * These two routines are that passage, for every engine and for the key derivation.  Being the
 * whole of the code that must be trusted not to be interrupted, they stay tiny.  S can have other
 * homes, in model-specific registers; their windows are in asm/amnesia/window-msr.S.
 *
 * Policy (checked by the tests on the assembled object):
 *
 * - IRQs are off.  Each routine starts with cli and leaves them off; the caller (CALL_WINDOW) turns
 *   them on again if they were on.  Engines come here by way of asm/home.S.
 * - Only %rax and %rdx ever hold a piece of S, and both are zero at the RET.  No other general
 *   register is changed.
 * - No memory operand, no push, no call (see below: what cannot occur).
 * - Each routine may be started again from its first instruction at any moment: what it reads it
 *   has not changed.  An entry handler that finds its interrupted RIP in here can thus clear %rax
 *   and %rdx and point RIP at the routine's start (the guard: <asm/tresor-window.inc>).
 * - All of it lies in .tresor.window.text, which the kernel's linker script places between two
 *   symbols, each routine in a block of its own.
 *
 * What can interrupt a window and is guarded: NMI, #MC, #DB, #DF, #VC.  What cannot occur, between
 * the first instruction and the RET, and needs no guard:
 *
 * - IRQs: IF is clear after cli.  One that comes before cli finds no piece of S.
 * - #PF, #SS, #AC, #GP for an address: there is no memory operand.  The code itself is in the
 *   kernel's text, always mapped.  The RET reads the stack when both registers are zero.
 * - #GP for the instruction: cli and moves of debug registers need CPL 0, which this is; DR7 is
 *   written with its upper half zero (Intel SDM Vol. 2, MOV to debug registers).
 * - #UD: DR4 and DR5 are not named, there is no LOCK prefix, nothing here needs more than SSE2, and
 *   no alternatives or static calls are patched here.
 * - #NM: CR0.TS is never set (the kernel switches the FPU eagerly).
 * - #BP, #OF, #BR, #TS, #NP, #DE, #MF, #XM, #CP: no instruction for them.  Kprobes and ftrace keep
 *   away (_ASM_NOKPROBE, no __fentry__).
 * - SMI and VM exits save registers where the kernel does not reach: outside the threat model.
 *
 * DR7 is disabled before S is written (Intel SDM Vol. 3, 18.2.4): S as a breakpoint address would
 * fire, or fault when enabled. A read of DR0..DR3 while DR7.GD is clear cannot fault (SDM Vol. 3,
 * 18.2.2, and CPL is 0 here).
 *
 * In memory order S is DR0 || DR1 || DR2 || DR3, each little-endian.
 *
 * Emptying the home needs no window, as nothing of S is read: tresor_clear_s_dr uses no vector
 * register and no memory but for the flags, so that it can be called where no engine could run:
 * from an IPI, an NMI or a panic. IRQs are off between its first and its last write: an engine in
 * an interrupt would otherwise find one half of S, and encrypt with it.
 */

#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/tresor-window.inc>

.set S_LO,	%xmm0	// S bytes 0..15: DR0 (low half), DR1
.set S_HI,	%xmm1	// S bytes 16..31: DR2 (low half), DR3
.set TMP,	%xmm2	// zero at the end
.set DR7_OFF,	0x400	// no breakpoint enabled; bit 10 is always one (SDM Vol. 3, 18.2.4)

.section .tresor.window.text, "ax", @progbits

/*
 * void tresor_load_s_dr(void)
 *
 * Out: S in S_LO and S_HI.  Clobbers %rax, %rdx, TMP (all zero afterwards), flags; IRQs are off.
 */
TRESOR_WINDOW_BEGIN tresor_load_s_dr
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
TRESOR_WINDOW_END tresor_load_s_dr
_ASM_NOKPROBE(tresor_load_s_dr)

/*
 * void tresor_store_s_dr(void)
 *
 * In: S in S_LO and S_HI, both unchanged.  Clobbers %rax, %rdx, TMP (all zero afterwards), flags;
 * IRQs are off.
 */
TRESOR_WINDOW_BEGIN tresor_store_s_dr
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
TRESOR_WINDOW_END tresor_store_s_dr
_ASM_NOKPROBE(tresor_store_s_dr)

/*
 * void tresor_clear_s_dr(void): this CPU has no S any more
 *
 * Any context, NMI included. Clobbers %rax (zero afterwards), flags but IF.
 */
.section .noinstr.text, "ax", @progbits

SYM_FUNC_START(tresor_clear_s_dr)
	pushfq
	cli
	movl	$DR7_OFF, %eax
	movq	%rax, %dr7
	xorl	%eax, %eax
	movq	%rax, %dr0
	movq	%rax, %dr1
	movq	%rax, %dr2
	movq	%rax, %dr3
	popfq
	RET
SYM_FUNC_END(tresor_clear_s_dr)
