/* SPDX-License-Identifier: GPL-2.0 */
/* What the engines need of the kernel's <asm/asm.h>: there are no kprobes in user space. */

#define _ASM_NOKPROBE(entry)
