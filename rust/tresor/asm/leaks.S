/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Leaks on request: the positive controls of every check (CONFIG_CRYPTO_TRESOR_LEAKS, test only)
 *
 * A check that finds nothing shows nothing unless it finds something that is there.  Each routine
 * here breaks the rules of the engines in one way, a channel, with the real register secret S of
 * this CPU:
 *
 *	# cat /sys/kernel/debug/tresor/leak
 *	spill push xsave rep-movsb schedule interrupt-frame unwiped branch table
 *	# echo spill > /sys/kernel/debug/tresor/leak
 *
 * The write returns when the leak is done; ENODATA means that this CPU has no S, EINVAL that there
 * is no such channel.  Where a leak goes to memory it goes to one page, which may be read
 *
 *	# dd if=/sys/kernel/debug/tresor/leaked of=/dev/vdc bs=4096 count=1 oflag=direct
 *
 * (that is the channel "virtio DMA": the device reads the page, and reading the disk again copies
 * it to RAM without any store of a CPU) and is cleared by "echo clear".  What leaks, if not said
 * otherwise, is round key 2 of the AES-256 schedule of S, 16 bytes.
 *
 * channel		what happens				what must see it
 * spill		movdqu to the page			stores, RAM
 * push			half a round key on the stack, for	stores, RAM while it waits
 *			WAIT ticks, then taken off again
 * xsave		xmm registers, S among them, saved	stores, RAM
 * rep-movsb		16 bytes copied byte by byte		stores, RAM
 * schedule		all 15 round keys to the page		stores, RAM, aeskeyfind
 * interrupt-frame	in r14 and r15 for WAIT ticks with	stores, RAM while it waits
 *			IRQs on: every IRQ entry stores them
 * unwiped		xmm3 not cleared at the return		code
 * branch		a jump depends on one bit		code
 * table		a load at an address with 8 bits of it	code
 *
 * Three more need no routine: a window whose entry guard was left out
 * (CONFIG_TRESOR_NO_ENTRY_GUARD), the disk, as above, and CPUs that keep S when they go offline,
 * after "echo keep-offline", which a look at their registers must see.
 *
 * All routines: void f(u8 page[4096], u64 ticks), in a kernel_fpu section, S on this CPU.  xmm0-15
 * are zero at the end, but for "unwiped".  Needs AES-NI.
 */

#include <linux/linkage.h>
#include "window.inc"

.set PAGE,	%rdi
.set TICKS,	%rsi
.set UNTIL,	%rcx
.set S_LO,	%xmm0
.set S_HI,	%xmm1
.set ASSIST,	%xmm2
.set RK,	%xmm3	// the round key that leaks
.set TMP,	%xmm4

.set SOURCE,	2048	// of the byte-wise copy, in the page
.set XMM,	2	// bit of the xmm registers in XCR0 (Intel SDM Vol. 1, 13.1)

/* The AES-256 schedule (FIPS 197, 5.2): \even becomes the round key two after it. */
.macro EVEN_KEY rcon even odd
	aeskeygenassist $\rcon, \odd, ASSIST
	pshufd	$0xff, ASSIST, ASSIST
	SHIFTED_SUM \even
	pxor	ASSIST, \even
.endm

.macro ODD_KEY even odd
	aeskeygenassist $0, \even, ASSIST
	pshufd	$0xaa, ASSIST, ASSIST
	SHIFTED_SUM \odd
	pxor	ASSIST, \odd
.endm

/* Word i of \key becomes the sum of its words 0 to i. */
.macro SHIFTED_SUM key
	movdqa	\key, TMP
.rept 3
	pslldq	$4, TMP
	pxor	TMP, \key
.endr
.endm

/* RK = round key 2 of S; S in S_LO and S_HI */
.macro ROUND_KEY
	CALL_WINDOW tresor_load_s
	movdqa	S_LO, RK
	EVEN_KEY 1, RK, S_HI
.endm

/* Until TICKS more jiffies have passed: IRQs come meanwhile.  Clobbers UNTIL. */
.macro WAIT
	movq	jiffies(%rip), UNTIL
	addq	TICKS, UNTIL
.Lwait\@:
	pause
	cmpq	jiffies(%rip), UNTIL
	ja	.Lwait\@
.endm

ENGINE_TEXT

SYM_FUNC_START(tresor_leak_spill)
	ROUND_KEY
	movdqu	RK, (PAGE)
	WIPE_XMM
	RET
SYM_FUNC_END(tresor_leak_spill)

SYM_FUNC_START(tresor_leak_push)
	ROUND_KEY
	movq	RK, %rax
	WIPE_XMM
	pushq	%rax
	xorl	%eax, %eax
	WAIT
	popq	%rax
	xorl	%eax, %eax
	RET
SYM_FUNC_END(tresor_leak_push)

SYM_FUNC_START(tresor_leak_xsave)
	ROUND_KEY
	movl	$XMM, %eax
	xorl	%edx, %edx
	xsave64	(PAGE)
	WIPE_XMM
	RET
SYM_FUNC_END(tresor_leak_xsave)

SYM_FUNC_START(tresor_leak_rep_movsb)
	ROUND_KEY
	movdqu	RK, SOURCE(PAGE)
	movq	PAGE, %r8
	leaq	SOURCE(PAGE), %rsi
	movl	$16, %ecx
	rep movsb
	WIPE_XMM
	movdqu	%xmm0, SOURCE(%r8)
	RET
SYM_FUNC_END(tresor_leak_rep_movsb)

SYM_FUNC_START(tresor_leak_schedule)
	CALL_WINDOW tresor_load_s
	movdqu	S_LO, (PAGE)
	movdqu	S_HI, 16(PAGE)
.set i, 2
.irp rcon, 1, 2, 4, 8, 16, 32, 64
	EVEN_KEY \rcon, S_LO, S_HI
	movdqu	S_LO, 16*i(PAGE)
.if i < 14
	ODD_KEY	S_LO, S_HI
	movdqu	S_HI, 16*i+16(PAGE)
.endif
.set i, i + 2
.endr
	WIPE_XMM
	RET
SYM_FUNC_END(tresor_leak_schedule)

SYM_FUNC_START(tresor_leak_interrupt_frame)
	pushq	%r14
	pushq	%r15
	ROUND_KEY
	// Their order in struct pt_regs.
	movq	RK, %r15
	psrldq	$8, RK
	movq	RK, %r14
	WIPE_XMM
	WAIT
	popq	%r15
	popq	%r14
	RET
SYM_FUNC_END(tresor_leak_interrupt_frame)

SYM_FUNC_START(tresor_leak_unwiped)
	ROUND_KEY
.irp i, 0,1,2,4,5,6,7,8,9,10,11,12,13,14,15
	pxor	%xmm\i, %xmm\i
.endr
	RET
SYM_FUNC_END(tresor_leak_unwiped)

SYM_FUNC_START(tresor_leak_branch)
	ROUND_KEY
	movq	RK, %rax
	WIPE_XMM
	testb	$1, %al
	jz	.Lbit_clear
	incq	(PAGE)
.Lbit_clear:
	xorl	%eax, %eax
	RET
SYM_FUNC_END(tresor_leak_branch)

SYM_FUNC_START(tresor_leak_table)
	ROUND_KEY
	movq	RK, %rax
	WIPE_XMM
	movzbl	%al, %eax
	movzbl	(PAGE, %rax), %eax
	xorl	%eax, %eax
	RET
SYM_FUNC_END(tresor_leak_table)
