/* SPDX-License-Identifier: GPL-2.0 */
/* What the engines need of the kernel's <asm/processor-flags.h>. */

#define X86_EFLAGS_IF	0x200
